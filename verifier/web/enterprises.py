"""Enterprises: rosters, declarations of scope, and the status of their own people."""

from __future__ import annotations

import re
from typing import Any, Final

from aiohttp import web

from verifier.errors import AccessDenied, Code
from verifier.model.access import Role
from verifier.model.person import Uscc
from verifier.signatures import jws, strict_json
from verifier.web import bodies
from verifier.web.bodies import JSON
from verifier.web.routes import OBJECT, TEXT, Call, Route, Text, Word, answer, raw, wants

CSV: Final = "text/csv"
JWT: Final = "application/jwt"
ANSWER_TYPE: Final = "status-answer+jwt"


def _uscc(call: Call) -> Uscc:
    """The enterprise of the path, if the caller may act for it; any other does not exist for them."""
    uscc = Uscc(call.request.match_info["uscc"])
    if uscc not in call.caller.enterprises:
        raise AccessDenied(Code.NOT_FOUND)
    return uscc


async def _body(call: Call, max_bytes: int) -> bytes:
    return await bodies.read(call.request, call.services.limits, max_bytes)


async def roster(call: Call) -> web.StreamResponse:
    """``PUT /v1/enterprises/{uscc}/roster``, answered row by row."""
    uscc = _uscc(call)
    media_type = bodies.media_type(call.request, JSON, CSV)
    body = await _body(call, call.services.limits.roster_bytes)
    partial = call.words["partial"] == "1"
    enterprises = call.services.enterprises
    return answer(await enterprises.upload_roster(call.caller, uscc, body, media_type, partial=partial))


async def scope(call: Call) -> web.StreamResponse:
    """``POST /v1/enterprises/{uscc}/scope-declarations``."""
    uscc = _uscc(call)
    bodies.media_type(call.request, JSON)
    body = await _body(call, call.services.limits.body_bytes)
    return answer(await call.services.enterprises.declare_scope(call.caller, uscc, body))


async def status(call: Call) -> web.StreamResponse:
    """``POST /v1/enterprises/{uscc}/status``: people in the body, never in the address."""
    uscc = _uscc(call)
    bodies.media_type(call.request, JSON)
    body = await _body(call, call.services.limits.body_bytes)
    entitlement = call.words["entitlement"]
    found = await call.services.enterprises.status(call.caller, uscc, body, entitlement=entitlement)
    if not wants(call.request, JWT):
        return answer(found)
    return raw(_signed(call, found).encode("ascii"), JWT)


def _signed(call: Call, found: dict[str, Any]) -> str:
    services = call.services
    claims: dict[str, Any] = {
        "iss": services.issuer,
        "aud": call.caller.client_id,
        "iat": int(services.clock().timestamp()),
        "jti": call.request_id,
        "answer": found,
    }
    return jws.sign_compact(strict_json.canonical(claims), services.answer_key, typ=ANSWER_TYPE)


ROUTES: Final = (
    Route(
        "PUT",
        "/v1/enterprises/{uscc}/roster",
        roster,
        "上传花名册，逐行答复 · Upload a roster, answered row by row",
        roles=(Role.ENTERPRISE,),
        parameters=(
            Word("partial", "1：有问题的行不收，其余照收 · 1: take the rows without a problem", ("0", "1")),
        ),
        takes={JSON: OBJECT, CSV: TEXT},
    ),
    Route(
        "POST",
        "/v1/enterprises/{uscc}/scope-declarations",
        scope,
        "声明扩大到全体技术工人 · Declare the scope widened to all technical workers",
        roles=(Role.ENTERPRISE,),
        takes={JSON: OBJECT},
    ),
    Route(
        "POST",
        "/v1/enterprises/{uscc}/status",
        status,
        "查询本单位人员资格 · Status of the enterprise's own people",
        roles=(Role.ENTERPRISE,),
        parameters=(
            Text(
                "entitlement",
                "补贴资格，缺省为一（三）项 · which entitlement; the month of online training if left out",
                re.compile(r"[a-z][a-z0-9-]{0,63}"),
                default="",
            ),
        ),
        takes={JSON: OBJECT},
        gives={JSON: OBJECT, JWT: TEXT},
    ),
)

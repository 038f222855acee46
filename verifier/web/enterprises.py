"""Enterprises: rosters, declarations of scope, the status of their own people, and claim lists."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from aiohttp import web

from verifier import roster_template
from verifier.errors import AccessDenied, Code
from verifier.model.access import Role
from verifier.model.person import Uscc
from verifier.signatures import jws_long, strict_json
from verifier.signatures.jws_long import LongToken
from verifier.web import bodies, streaming
from verifier.web.bodies import JSON
from verifier.web.routes import OBJECT, TEXT, Call, Number, Route, Schema, Text, Word, answer, raw, wants

CSV: Final = "text/csv"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
BINARY: Final[Schema] = {"type": "string", "format": "binary"}
JWT: Final = "application/jwt"
_MONTH: Final = re.compile(r"(?:19|20|21)[0-9]{2}-(?:0[1-9]|1[0-2])", re.ASCII)
ANSWER_TYPE: Final = "status-answer+jwt"
WHOLE_BYTES: Final = 1 << 20
"""What is longer is sent piece by piece."""


def enterprise(call: Call) -> Uscc:
    """The enterprise of the path, if the caller may act for it; any other does not exist for them."""
    uscc = Uscc(call.request.match_info["uscc"])
    if uscc not in call.caller.enterprises:
        raise AccessDenied(Code.NOT_FOUND)
    return uscc


async def _body(call: Call, max_bytes: int) -> bytes:
    return await bodies.read(call.request, call.services.limits, max_bytes)


async def roster(call: Call) -> web.StreamResponse:
    """``PUT /v1/enterprises/{uscc}/roster``, answered row by row."""
    uscc = enterprise(call)
    media_type = bodies.media_type(call.request, JSON, CSV, XLSX)
    body = await _body(call, call.services.limits.roster_bytes)
    partial = call.words["partial"] == "1"
    enterprises = call.services.enterprises
    return answer(await enterprises.upload_roster(call.caller, uscc, body, media_type, partial=partial))


async def template(_: Call) -> web.StreamResponse:
    """``GET /v1/enterprises/roster-template``: a roster to fill in."""
    return _file(await asyncio.to_thread(roster_template.workbook), "roster-template.xlsx")


async def uploads(call: Call) -> web.StreamResponse:
    """``GET /v1/enterprises/{uscc}/rosters``: when which was taken in."""
    return answer(await call.services.enterprises.uploads(enterprise(call), call.numbers["limit"]))


async def claim_list(call: Call) -> web.StreamResponse:
    """``GET /v1/enterprises/{uscc}/claim-list``: whose month is granted here."""
    uscc = enterprise(call)
    month = date.fromisoformat(f"{call.words['month']}-01")
    enterprises, entitlement = call.services.enterprises, call.words["entitlement"]
    if wants(call.request, JSON):
        return answer(await enterprises.claim_list(call.caller, uscc, month, entitlement=entitlement))
    sheet = await enterprises.claim_sheet(call.caller, uscc, month, entitlement=entitlement)
    return _file(sheet, f"claim-list-{call.words['month']}.xlsx")


def _file(content: bytes, name: str) -> web.StreamResponse:
    response = raw(content, XLSX)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


async def scope(call: Call) -> web.StreamResponse:
    """``POST /v1/enterprises/{uscc}/scope-declarations``."""
    uscc = enterprise(call)
    bodies.media_type(call.request, JSON)
    body = await _body(call, call.services.limits.body_bytes)
    return answer(await call.services.enterprises.declare_scope(call.caller, uscc, body))


async def status(call: Call) -> web.StreamResponse:
    """``POST /v1/enterprises/{uscc}/status``: people in the body, never in the address."""
    uscc = enterprise(call)
    bodies.media_type(call.request, JSON)
    body = await _body(call, call.services.limits.body_bytes)
    entitlement = call.words["entitlement"]
    signed = wants(call.request, JWT)
    pieces = await call.services.enterprises.status(
        call.caller, uscc, body, entitlement=entitlement, canonical=signed
    )
    if not signed:
        return await _sent(call, pieces, JSON, sum(map(len, pieces)))
    # Of 10,000 people it is some 60 MB: a digest over that is nothing for the loop.
    token = await asyncio.to_thread(_signed, call, pieces)
    return await _sent(call, token.pieces(), JWT, token.length)


async def _sent(call: Call, pieces: Iterable[bytes], media_type: str, length: int) -> web.StreamResponse:
    if length <= WHOLE_BYTES:
        return raw(b"".join(pieces), media_type)
    return await streaming.send(call, streaming.each(pieces), media_type, length)


def _signed(call: Call, pieces: Sequence[bytes]) -> LongToken:
    services = call.services
    claims: dict[str, Any] = {
        "iss": services.issuer,
        "aud": call.caller.client_id,
        "iat": int(services.clock().timestamp()),
        "jti": call.request_id,
    }
    # The answer is in canonical form already, and its name sorts before the others'.
    payload = (b'{"answer":', *pieces, b"," + strict_json.canonical(claims)[1:])
    return jws_long.sign(payload, services.answer_key, typ=ANSWER_TYPE)


_ENTITLEMENT: Final = Text(
    "entitlement",
    "补贴资格，缺省为一（三）项 · which entitlement; the month of online training if left out",
    re.compile(r"[a-z][a-z0-9-]{0,63}"),
    default="",
)
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
        takes={JSON: OBJECT, CSV: TEXT, XLSX: BINARY},
    ),
    Route(
        "GET",
        "/v1/enterprises/roster-template",
        template,
        "下载花名册模板 · A roster to fill in",
        roles=(Role.ENTERPRISE,),
        gives={XLSX: BINARY},
    ),
    Route(
        "GET",
        "/v1/enterprises/{uscc}/rosters",
        uploads,
        "已收录的花名册 · Rosters that were taken in, newest first",
        roles=(Role.ENTERPRISE,),
        parameters=(Number("limit", "至多几份 · at most so many", 1, 1000, 100),),
    ),
    Route(
        "GET",
        "/v1/enterprises/{uscc}/claim-list",
        claim_list,
        "某月申领名单 · Whose month is granted at this enterprise",
        roles=(Role.ENTERPRISE,),
        parameters=(Text("month", "补贴月份 · the subsidy month, YYYY-MM", _MONTH), _ENTITLEMENT),
        gives={XLSX: BINARY, JSON: OBJECT},
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
        parameters=(_ENTITLEMENT,),
        takes={JSON: OBJECT},
        gives={JSON: OBJECT, JWT: TEXT},
    ),
)

"""Enterprises about their own people, besides rosters: months given up, and objections."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from aiohttp import web

from verifier.model.access import Role
from verifier.model.person import ClaimedKind, IdentityClaims
from verifier.web import bodies
from verifier.web.bodies import JSON
from verifier.web.enterprises import enterprise
from verifier.web.routes import Call, Route, answer

Number = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
Prose = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class ReleaseBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whose month is given up, and why."""

    id_number: Number
    reason: Prose
    id_kind: Word = ClaimedKind.RESIDENT_ID.value
    entitlement: Annotated[str, msgspec.Meta(max_length=64)] = ""


class ObjectionBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is raised, about whom, and in what words."""

    id_number: Number
    kind: Word
    topic: Word
    text: Prose
    about: Annotated[str, msgspec.Meta(max_length=64)] = ""
    id_kind: Word = ClaimedKind.RESIDENT_ID.value


async def release(call: Call) -> web.StreamResponse:
    """``POST /v1/enterprises/{uscc}/releases``."""
    uscc = enterprise(call)
    body = await bodies.document(call.request, call.services.limits, ReleaseBody)
    who = IdentityClaims(body.id_kind, body.id_number, "")
    employers = call.services.employers
    return answer(await employers.release(call.caller, uscc, who, body.reason, body.entitlement))


async def raise_objection(call: Call) -> web.StreamResponse:
    """``POST /v1/enterprises/{uscc}/objections``."""
    uscc = enterprise(call)
    body = await bodies.document(call.request, call.services.limits, ObjectionBody)
    who = IdentityClaims(body.id_kind, body.id_number, "")
    employers = call.services.employers
    return answer(
        await employers.object(call.caller, uscc, who, body.kind, body.topic, body.about, body.text)
    )


async def objections(call: Call) -> web.StreamResponse:
    """``GET /v1/enterprises/{uscc}/objections``."""
    return answer(await call.services.employers.objections(enterprise(call)))


async def objection(call: Call) -> web.StreamResponse:
    """``GET /v1/enterprises/{uscc}/objections/{number}``."""
    uscc = enterprise(call)
    return answer(await call.services.employers.objection(call.caller, uscc, call.name("number")))


_RELEASE: Final = msgspec.json.schema_components([ReleaseBody], ref_template="")[1]["ReleaseBody"]
_OBJECTION: Final = msgspec.json.schema_components([ObjectionBody], ref_template="")[1]["ObjectionBody"]
_ENTERPRISE: Final = (Role.ENTERPRISE,)

ROUTES: Final = (
    Route(
        "POST",
        "/v1/enterprises/{uscc}/releases",
        release,
        "放弃本单位占用的月份 · Give up the month that the enterprise holds for somebody",
        roles=_ENTERPRISE,
        takes={JSON: _RELEASE},
    ),
    Route(
        "POST",
        "/v1/enterprises/{uscc}/objections",
        raise_objection,
        "提出更正、异议或申诉 · Raise a correction, objection or appeal",
        roles=_ENTERPRISE,
        takes={JSON: _OBJECTION},
    ),
    Route(
        "GET",
        "/v1/enterprises/{uscc}/objections",
        objections,
        "本单位提出的各件 · Those that the enterprise raised",
        roles=_ENTERPRISE,
    ),
    Route(
        "GET",
        "/v1/enterprises/{uscc}/objections/{number}",
        objection,
        "查看一件及签名的结论 · One, with its signed outcome",
        roles=_ENTERPRISE,
    ),
)

"""Subsidy systems: a record, why it was decided so, its claim and what followed."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from aiohttp import web

from verifier import explaining
from verifier.errors import AccessDenied, Code
from verifier.model.access import Role
from verifier.ports.reading import StoredRecord
from verifier.web import bodies
from verifier.web.bodies import JSON
from verifier.web.routes import Call, Route, answer
from verifier.web.services import ClaimStep


class ClaimBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A claim; the reference names the payment in the client's own books."""

    payment_reference: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class StepBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What followed a claim, and why."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


async def _record(call: Call) -> StoredRecord:
    """The record of the path, if its office is the caller's; any other does not exist for them."""
    record = await call.services.reading.record(call.name("record_id"))
    client = call.caller
    if record is None or record.office not in client.offices or not client.may_see("record"):
        raise AccessDenied(Code.NOT_FOUND)
    return record


async def record(call: Call) -> web.StreamResponse:
    """``GET /v1/records/{record_id}``."""
    found = await _record(call)
    client = call.caller
    await call.services.disclose({found.learner_id}, client.client_id, client.role.value, "record")
    return answer(
        {
            "id": found.record_id,
            "kind": found.kind,
            "index": found.position,
            "office": found.office,
            "month": found.month.strftime("%Y-%m") if found.month else None,
            "current": found.current,
            "sd_jwt": found.sd_jwt,
        }
    )


async def explanation(call: Call) -> web.StreamResponse:
    """``GET /v1/records/{record_id}/explanation``; it names employers, so that the showing is recorded."""
    found = await call.services.reading.record(call.name("record_id"))
    client = call.caller
    mine = found is not None and (client.role is Role.AUDITOR or found.office in client.offices)
    mine = mine and client.may_see("record")
    explained = await call.services.reading.explain(found.record_id) if found is not None and mine else None
    if explained is None:
        raise AccessDenied(Code.NOT_FOUND)
    await call.services.disclose({explained.learner_id}, client.client_id, client.role.value, "explanation")
    return answer(explaining.members(explained))


async def claim(call: Call) -> web.StreamResponse:
    """``POST /v1/records/{record_id}/claim``."""
    found = await _record(call)
    body = await bodies.document(call.request, call.services.limits, ClaimBody)
    claims = call.services.claims
    return answer(await claims.claim(call.caller, found.record_id, body.payment_reference))


async def _step(call: Call, step: ClaimStep) -> web.StreamResponse:
    found = await _record(call)
    body = await bodies.document(call.request, call.services.limits, StepBody)
    return answer(await call.services.claims.step(call.caller, found.record_id, step, body.reason))


async def release(call: Call) -> web.StreamResponse:
    """``POST /v1/records/{record_id}/claim/release``: the claim is given up unpaid."""
    return await _step(call, "release")


async def paid(call: Call) -> web.StreamResponse:
    """``POST /v1/records/{record_id}/claim/paid``."""
    return await _step(call, "paid")


async def returned(call: Call) -> web.StreamResponse:
    """``POST /v1/records/{record_id}/claim/returned``: the payment came back."""
    return await _step(call, "returned")


_CLAIM: Final = msgspec.json.schema_components([ClaimBody], ref_template="")[1]["ClaimBody"]
_STEP: Final = msgspec.json.schema_components([StepBody], ref_template="")[1]["StepBody"]
_SUBSIDY: Final = (Role.SUBSIDY,)

ROUTES: Final = (
    Route("GET", "/v1/records/{record_id}", record, "查看记录 · A record", roles=_SUBSIDY),
    Route(
        "GET",
        "/v1/records/{record_id}/explanation",
        explanation,
        "逐条理由与所据事实的来源 · Clause by clause, with the facts and their sources",
        roles=(Role.SUBSIDY, Role.AUDITOR),
    ),
    Route(
        "POST",
        "/v1/records/{record_id}/claim",
        claim,
        "申领（幂等、独占） · Claim, idempotent and exclusive",
        roles=_SUBSIDY,
        takes={JSON: _CLAIM},
    ),
    Route(
        "POST",
        "/v1/records/{record_id}/claim/release",
        release,
        "放弃申领 · Give a claim up",
        roles=_SUBSIDY,
        takes={JSON: _STEP},
    ),
    Route(
        "POST",
        "/v1/records/{record_id}/claim/paid",
        paid,
        "登记已支付 · Record the payment",
        roles=_SUBSIDY,
        takes={JSON: _STEP},
    ),
    Route(
        "POST",
        "/v1/records/{record_id}/claim/returned",
        returned,
        "登记已退回 · Record the return",
        roles=_SUBSIDY,
        takes={JSON: _STEP},
    ),
)

"""Subsidy systems: a record, why it was decided so, its claim and what followed."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec
from aiohttp import web

from verifier import explaining
from verifier.claim_files import MONTH, Month, Reason, Reference, asked_of
from verifier.errors import AccessDenied, Code
from verifier.model.access import Role
from verifier.model.time import parse_month
from verifier.ports.reading import StoredRecord
from verifier.totals import By
from verifier.web import bodies
from verifier.web.bodies import JSON
from verifier.web.routes import OBJECT, TEXT, Call, Route, Text, Word, answer
from verifier.web.services import ClaimStep


class ClaimBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A claim; the reference names the payment in the client's own books."""

    payment_reference: Reference
    payee: Literal["employer", "dispatcher"] | msgspec.UnsetType = msgspec.UNSET
    settled_in: Month | msgspec.UnsetType = msgspec.UNSET


class StepBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What followed a claim, and why; the reference is the claim's."""

    payment_reference: Reference
    reason: Reason


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
    asked = asked_of(body.payment_reference, body.payee, body.settled_in)
    return answer(await call.services.claims.claim(call.caller, found.record_id, asked))


async def _step(call: Call, step: ClaimStep) -> web.StreamResponse:
    found = await _record(call)
    body = await bodies.document(call.request, call.services.limits, StepBody)
    claims = call.services.claims
    return answer(await claims.step(call.caller, found.record_id, step, body.payment_reference, body.reason))


async def release(call: Call) -> web.StreamResponse:
    """``POST /v1/records/{record_id}/claim/release``: the claim is given up unpaid."""
    return await _step(call, "release")


async def paid(call: Call) -> web.StreamResponse:
    """``POST /v1/records/{record_id}/claim/paid``."""
    return await _step(call, "paid")


async def returned(call: Call) -> web.StreamResponse:
    """``POST /v1/records/{record_id}/claim/returned``: the payment came back."""
    return await _step(call, "returned")


async def totals(call: Call) -> web.StreamResponse:
    """``GET /v1/totals``."""
    words = call.words
    month = parse_month(words["month"])
    counted = await call.services.claims.totals(
        call.caller, words["office"], month, By(words["by"]), words["entitlement"]
    )
    return answer(counted)


_CLAIM: Final = msgspec.json.schema_components([ClaimBody], ref_template="")[1]["ClaimBody"]
_STEP: Final = msgspec.json.schema_components([StepBody], ref_template="")[1]["StepBody"]
_SUBSIDY: Final = (Role.SUBSIDY,)
_TOTALS: Final = {
    "type": "object",
    "required": ["totals", "totals_sha256", "as_of", "size", "frozen"],
    "properties": {
        "totals": OBJECT,
        "totals_sha256": TEXT,
        "as_of": TEXT,
        "size": {"type": "integer", "minimum": 0},
        "frozen": {"type": "array", "items": OBJECT},
    },
}

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
    Route(
        "GET",
        "/v1/totals",
        totals,
        "对账合计及其摘要 · Totals to compare, with their digest",
        roles=(Role.SUBSIDY, Role.AUDITOR),
        parameters=(
            Text("month", "月份 · the month, YYYY-MM", re.compile(MONTH, re.ASCII)),
            Text("office", "受理机构代码 · acceptance office", re.compile("[A-Za-z0-9-]{1,32}", re.ASCII)),
            Word("by", "补贴月份或记账月份 · by subsidy or account month", tuple(By)),
            Text("entitlement", "只计此补贴资格 · only this one", re.compile("[a-z][a-z0-9-]{0,63}|"), ""),
        ),
        gives={JSON: _TOTALS},
    ),
)

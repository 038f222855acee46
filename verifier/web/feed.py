"""Subsidy systems and auditors: the ledger's entries with their bodies, records, claims.

Who sees what of an entry:

===========  ===========================================  ==============  =======================
role         entries whose body is shown                  record          others
===========  ===========================================  ==============  =======================
subsidy      of its offices; evidence, adoptions, merges  all disclosed   index and leaf hash
auditor      all                                          none disclosed  there are none
===========  ===========================================  ==============  =======================

``next`` is the last index scanned, so that an omission shows. What is disclosed is recorded first.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from verifier import explaining
from verifier.errors import AccessDenied, Code
from verifier.model.access import Client, Role
from verifier.ports.reading import FeedEntry, StoredRecord
from verifier.signatures import sdjwt
from verifier.web import bodies
from verifier.web.bodies import JSON
from verifier.web.routes import OBJECT, TEXT, Call, Number, Route, answer, raw, wants
from verifier.web.services import ClaimStep

NDJSON: Final = "application/x-ndjson"
FOR_ALL: Final = frozenset({"evidence", "adoption", "merge"})
"""Kinds of entries that concern no office and hold nothing of anybody."""
_SLICE: Final = 50


class ClaimBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A claim; the reference names the payment in the client's own books."""

    payment_reference: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class StepBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What followed a claim, and why."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


async def feed(call: Call) -> web.StreamResponse:
    """``GET /v1/feed``."""
    after = call.numbers["after"]
    entries, size = await call.services.reading.feed(after, call.numbers["limit"])
    await _note_disclosures(call, [one.record for one in entries if _visible(call.caller, one)], "feed")
    shown: list[dict[str, Any]] = []
    for place, entry in enumerate(entries):
        if place % _SLICE == 0:
            await asyncio.sleep(0)  # others get their turn
        shown.append(_shown(call.caller, entry))
    last = entries[-1].position if entries else after
    if wants(call.request, NDJSON):
        lines = [*shown, {"next": last, "size": size}]
        return raw(b"\n".join([*map(msgspec.json.encode, lines), b""]), NDJSON)
    return answer({"entries": shown, "next": last, "size": size})


def _visible(client: Client, entry: FeedEntry) -> bool:
    if client.role is Role.AUDITOR:
        return True
    return entry.office in client.offices or (entry.office == "" and entry.kind in FOR_ALL)


def _shown(client: Client, entry: FeedEntry) -> dict[str, Any]:
    shown: dict[str, Any] = {"index": entry.position, "leaf_hash": entry.leaf_hash.hex()}
    if not _visible(client, entry):
        return shown
    shown["kind"] = entry.kind
    shown["body"] = msgspec.Raw(entry.body)
    shown["body_b64"] = base64.b64encode(entry.body).decode("ascii")
    if entry.record is not None:
        shown["record"] = {"id": entry.record.record_id, "sd_jwt": _sd_jwt(client, entry.record)}
    return shown


def _sd_jwt(client: Client, record: StoredRecord) -> str:
    if client.role is Role.SUBSIDY:
        return record.sd_jwt
    signed, _ = sdjwt.split(record.sd_jwt)
    return sdjwt.compose(signed, [])


async def _note_disclosures(call: Call, records: Sequence[StoredRecord | None], what: str) -> None:
    client = call.caller
    learners = {record.learner_id for record in records if record is not None}
    if client.role is Role.SUBSIDY and learners:
        await call.services.disclose(learners, client.client_id, "subsidy", what)


async def _record(call: Call) -> StoredRecord:
    """The record of the path, if its office is the caller's; any other does not exist for them."""
    record = await call.services.reading.record(call.name("record_id"))
    if record is None or record.office not in call.caller.offices:
        raise AccessDenied(Code.NOT_FOUND)
    return record


async def record(call: Call) -> web.StreamResponse:
    """``GET /v1/records/{record_id}``."""
    found = await _record(call)
    await _note_disclosures(call, [found], "record")
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
    mine = found is not None and (call.caller.role is Role.AUDITOR or found.office in call.caller.offices)
    explained = await call.services.reading.explain(found.record_id) if found is not None and mine else None
    if explained is None:
        raise AccessDenied(Code.NOT_FOUND)
    client = call.caller
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


_ENTRY: Final = {
    "type": "object",
    "required": ["index", "leaf_hash"],
    "properties": {
        "index": {"type": "integer"},
        "leaf_hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "kind": TEXT,
        "body": OBJECT,
        "body_b64": {"type": "string", "contentEncoding": "base64"},
        "record": {
            "type": "object",
            "required": ["id", "sd_jwt"],
            "properties": {"id": TEXT, "sd_jwt": TEXT},
        },
    },
}
_FEED: Final = {
    "type": "object",
    "required": ["entries", "next", "size"],
    "properties": {
        "entries": {"type": "array", "items": _ENTRY},
        "next": {"type": "integer", "minimum": -1},
        "size": {"type": "integer", "minimum": 0},
    },
}
_CLAIM: Final = msgspec.json.schema_components([ClaimBody], ref_template="")[1]["ClaimBody"]
_STEP: Final = msgspec.json.schema_components([StepBody], ref_template="")[1]["StepBody"]
_SUBSIDY: Final = (Role.SUBSIDY,)

ROUTES: Final = (
    Route(
        "GET",
        "/v1/feed",
        feed,
        "按序拉取账本条目 · The ledger's entries in order",
        roles=(Role.SUBSIDY, Role.AUDITOR),
        parameters=(
            Number("after", "上次的 next · the last answer's next", least=-1, default=-1),
            Number("limit", "最多条数 · at most this many", least=1, most=1000, default=200),
        ),
        gives={JSON: _FEED, NDJSON: TEXT},
    ),
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

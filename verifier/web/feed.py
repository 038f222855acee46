"""Subsidy systems and auditors: the ledger's entries with their bodies and records.

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
from typing import Any, Final

import msgspec
from aiohttp import web

from verifier.model.access import Client, Role
from verifier.ports.reading import FeedEntry, StoredRecord
from verifier.signatures import sdjwt
from verifier.web.bodies import JSON
from verifier.web.routes import OBJECT, TEXT, Call, Number, Route, answer, raw, wants

NDJSON: Final = "application/x-ndjson"
FOR_ALL: Final = frozenset({"evidence", "adoption", "merge"})
"""Kinds of entries that concern no office and hold nothing of anybody."""
_SLICE: Final = 50


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
)

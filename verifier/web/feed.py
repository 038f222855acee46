"""Subsidy systems and auditors: the ledger's entries with their bodies and records, by index.

Who sees what of an entry:

===========  ===========================================  ==============  =======================
role         entries whose body is shown                  record          others
===========  ===========================================  ==============  =======================
subsidy      of its offices; evidence, adoptions, merges  all disclosed   index and leaf hash
auditor      all                                          none disclosed  there are none
===========  ===========================================  ==============  =======================

A client's registration may leave it fewer kinds, and a call may ask for fewer kinds and offices. What is
left out is still there as index and leaf hash: no index is ever passed over, ``next`` is the last one looked
at, and an omission shows. What is disclosed is recorded first, and nothing else is.

Every answer stands on one checkpoint, taken before its first entry: ``size`` and ``checkpoint`` are of that
moment, no entry behind it is shown, and ``proof`` shows that the tree up to ``next`` is its beginning (RFC
9162, 2.1.4). Whoever keeps the right edge of the tree thus checks each answer by itself, however far behind.
"""

from __future__ import annotations

import asyncio
import binascii
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiohttp import web

from verifier.errors import AccessDenied, Code, Conflict, RequestRejected
from verifier.model.access import Client, ClientState, Role
from verifier.model.ledger import KINDS
from verifier.ports.reading import FeedEntry, ShownRecord
from verifier.web import ledger, streaming
from verifier.web.bodies import JSON
from verifier.web.routes import OBJECT, TEXT, Call, Number, Route, Text, answer, wants
from verifier.web.services import Services

NDJSON: Final = "application/x-ndjson"
FOR_ALL: Final = frozenset({"evidence", "adoption", "merge", "erasure", "retention"})
"""Kinds of entries that concern no office and hold nothing of anybody."""
MOST: Final = 1000
"""Entries of an answer that is made as a whole."""
MOST_LINES: Final = 100_000
MOST_SECONDS: Final = 30
PAGE: Final = 1000
"""Entries read in one transaction for an answer in lines."""
_SLICE: Final = 50
_TOGETHER: Final = 32
"""Lines that are written at once; with a record each has some 8 kB."""
_AS_SAID: Final = msgspec.json.Encoder()
_WORDS: Final = re.compile(r"[A-Za-z0-9_]{1,32}(?:,[A-Za-z0-9_]{1,32}){0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Sight:
    """What one call shows.

    Attributes:
        kinds: that were asked for; empty for all that the client may see.
        offices: as above.
    """

    client: Client
    kinds: frozenset[str] = frozenset()
    offices: frozenset[str] = frozenset()
    _said: dict[tuple[str, str], bool] = field(default_factory=dict, init=False, repr=False, compare=False)

    def shows(self, kind: str, office: str) -> bool:
        """Whether the body of an entry of this kind and office is shown."""
        said = self._said.get((kind, office))
        if said is None:
            said = self._said[kind, office] = self._shows(kind, office)
        return said

    def _shows(self, kind: str, office: str) -> bool:
        if not self.client.may_see(kind) or (self.kinds and kind not in self.kinds):
            return False
        if not office:
            return self.client.role is Role.AUDITOR or kind in FOR_ALL
        if self.client.role is not Role.AUDITOR and office not in self.client.offices:
            return False
        return not self.offices or office in self.offices


@dataclass(frozen=True, slots=True)
class _Head:
    """The checkpoint that an answer stands on."""

    note: bytes
    size: int


def _sight(call: Call) -> Sight:
    """What the call shows.

    Raises:
        RequestRejected: SCHEMA_INVALID, there is no such kind.
        AccessDenied: SCOPE_INSUFFICIENT, the client may not see what it asks for by name.
    """
    client = call.caller
    kinds, offices = (frozenset(filter(None, call.words[name].split(","))) for name in ("kinds", "offices"))
    if not kinds <= KINDS:
        raise RequestRejected(Code.SCHEMA_INVALID, "there is no such kind of entry", pointer="?kinds")
    if not all(map(client.may_see, kinds)):
        raise AccessDenied(Code.SCOPE_INSUFFICIENT, "not one of this client's kinds", pointer="?kinds")
    if client.role is Role.SUBSIDY and not offices <= client.offices:
        raise AccessDenied(Code.SCOPE_INSUFFICIENT, "not one of this client's offices", pointer="?offices")
    return Sight(client, kinds, offices)


async def feed(call: Call) -> web.StreamResponse:
    """``GET /v1/feed``."""
    sight, in_lines = _sight(call), wants(call.request, NDJSON)
    after, limit = call.numbers["after"], call.numbers["limit"]
    if limit > MOST and not in_lines:
        raise RequestRejected(Code.SCHEMA_INVALID, "as many entries only in lines (NDJSON)", pointer="?limit")
    head = await _behind(call, after)
    last = min(after + limit, head.size - 1)
    if in_lines:
        limits = call.services.limits
        client_id = call.caller.client_id
        with call.services.streams.taken(client_id, most=limits.streams, of_one=limits.streams_per_client):
            return await streaming.send(call, _lines(call, sight, after, last, head), NDJSON)
    shown: list[dict[str, Any]] = []
    for place, entry in enumerate(await _page(call, sight, after, last)):
        if place % _SLICE == 0:
            await asyncio.sleep(0)  # others get their turn
        shown.append(members(sight, entry))
    return answer({"entries": shown, **await _end(call.services, last, head)})


async def _behind(call: Call, after: int) -> _Head:
    """The newest checkpoint, once there is something behind a cursor or the time to wait is up.

    Raises:
        Conflict: CURSOR_AHEAD.
        Unavailable: OVERLOADED, too many wait.
    """
    services, seconds = call.services, call.numbers["wait"]
    head = _Head(*await ledger.head(services))
    if after >= head.size:
        raise Conflict(Code.CURSOR_AHEAD, "the ledger does not reach as far", pointer="?after")
    if seconds and head.size == after + 1:
        limits, client_id = services.limits, call.caller.client_id
        with services.waiters.taken(client_id, most=limits.waiters, of_one=limits.waiters_per_client):

            async def size() -> int:
                return (await ledger.head(services))[1]

            await services.growth.beyond(size, head.size, seconds, lambda: streaming.gone(call))
        head = _Head(*await ledger.head(services))
    return head


async def _page(call: Call, sight: Sight, after: int, last: int) -> Sequence[FeedEntry]:
    """Entries up to ``last``; that those who are in the shown ones are shown is recorded by then."""
    if last <= after:
        return ()
    entries = await _read(call, sight, after, last)
    await _disclose(call, sight, entries)
    return entries


async def _read(call: Call, sight: Sight, after: int, last: int) -> Sequence[FeedEntry]:
    whole = sight.client.role is Role.SUBSIDY
    entries, _ = await call.services.reading.feed(after, last - after, sight.shows, disclosed=whole)
    return entries


async def _disclose(call: Call, sight: Sight, entries: Sequence[FeedEntry]) -> None:
    """Record that those who are in the shown entries are shown."""
    shown = [entry.record for entry in entries if sight.shows(entry.kind, entry.office)]
    learners = {record.learner_id for record in shown if record is not None}
    if sight.client.role is Role.SUBSIDY and learners:
        await call.services.disclose(learners, sight.client.client_id, "subsidy", "feed")


async def _lines(call: Call, sight: Sight, after: int, last: int, head: _Head) -> AsyncGenerator[bytes, None]:
    """The answer in lines; it ends early where it takes long, or the client may no longer see it.

    The next page is read while one is sent. That somebody is shown is recorded only when its turn comes.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + call.services.limits.stream_seconds
    coming: asyncio.Future[Sequence[FeedEntry]] | None = None
    try:
        while after < last:
            entries = await (coming or _read(call, sight, after, min(after + PAGE, last)))
            after, coming = entries[-1].position, None
            if after < last:
                coming = asyncio.ensure_future(_read(call, sight, after, min(after + PAGE, last)))
            await _disclose(call, sight, entries)
            for piece in _pieces(sight, entries):
                yield piece
            if loop.time() >= until or not await _goes_on(call):
                break
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.wait([coming])
    yield msgspec.json.encode(await _end(call.services, after, head)) + b"\n"


def _pieces(sight: Sight, entries: Sequence[FeedEntry]) -> Iterator[bytes]:
    """The lines, as many at once as make some two hundred kilobytes."""
    for first in range(0, len(entries), _TOGETHER):
        yield _AS_SAID.encode_lines([members(sight, one) for one in entries[first : first + _TOGETHER]])


async def _goes_on(call: Call) -> bool:
    """Whether a long answer goes on: its client is as it was, and the service is not about to end."""
    if call.services.growth.closed:
        return False
    client = await call.services.reading.client(call.caller.client_id)
    return client is not None and (client.version, client.state) == (call.caller.version, ClientState.ACTIVE)


async def _end(services: Services, last: int, head: _Head) -> dict[str, Any]:
    """Where an answer ends, and how that is checked."""
    proof = await ledger.extends(services, last + 1, head.size)
    return {
        "next": last,
        "size": head.size,
        "checkpoint": head.note.decode("utf-8"),
        "proof": [step.hex() for step in proof],
    }


def members(sight: Sight, entry: FeedEntry) -> dict[str, Any]:
    """An entry as it is shown."""
    shown: dict[str, Any] = {"index": entry.position, "leaf_hash": entry.leaf_hash.hex()}
    if not sight.shows(entry.kind, entry.office):
        return shown
    shown["kind"] = entry.kind
    shown["body"] = msgspec.Raw(entry.body)
    shown["body_b64"] = binascii.b2a_base64(entry.body, newline=False).decode("ascii")
    if entry.record is not None:
        shown["record"] = {"id": entry.record.record_id, "sd_jwt": _sd_jwt(sight.client, entry.record)}
    return shown


def _sd_jwt(client: Client, record: ShownRecord) -> str:
    return record.sd_jwt if client.role is Role.SUBSIDY else f"{record.jws}~"


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
    "required": ["entries", "next", "size", "checkpoint", "proof"],
    "properties": {
        "entries": {"type": "array", "items": _ENTRY},
        "next": {"type": "integer", "minimum": -1},
        "size": {"type": "integer", "minimum": 0},
        "checkpoint": TEXT,
        "proof": {"type": "array", "items": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
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
            Number(
                "limit",
                f"最多条数；NDJSON 以外至多 {MOST} · at most this many; {MOST} but for NDJSON",
                least=1,
                most=MOST_LINES,
                default=200,
            ),
            Number(
                "wait",
                "没有新条目时至多等待的秒数 · wait for one at most so long",
                most=MOST_SECONDS,
                default=0,
            ),
            Text("kinds", "只看这些种类，逗号分隔 · only of these kinds", _WORDS, default=""),
            Text("offices", "只看这些受理机构，逗号分隔 · only of these offices", _WORDS, default=""),
        ),
        gives={JSON: _FEED, NDJSON: TEXT},
    ),
)

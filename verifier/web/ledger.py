"""Anyone: the ledger's digests (C2SP tlog-tiles), keys, status lists, health. Nothing here is personal.

Bundles of entries are for auditors alone: to anybody else they do not exist.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from verifier import ledger, merkle, published, witnesses
from verifier.errors import AccessDenied, Code, RequestRejected, Unavailable, VerifierError
from verifier.model.access import Role
from verifier.model.ledger import NodeReader, Tile
from verifier.signatures import keys
from verifier.web import metrics, oauth
from verifier.web.bodies import JSON
from verifier.web.errors import problem
from verifier.web.routes import OBJECT, TEXT, Call, Number, Route, answer, raw
from verifier.web.services import Services

PLAIN: Final = "text/plain; charset=utf-8"
BINARY: Final = "application/octet-stream"
STATUS_LIST: Final = "application/statuslist+jwt"
READY_SECONDS: Final = 1.0
BACKGROUND_DOWN: Final = "the process of background work is down, or a part of it stopped"
_YEAR: Final = 31_536_000
_MINUTES: Final = 300
_MAX_LIST: Final = 6
"""Digits of a status list's number."""


async def checkpoint(call: Call) -> web.StreamResponse:
    """``GET /ledger/checkpoint``: the newest tree head as a signed note, with what cosignatures there are."""
    note = await call.services.reading.checkpoint()
    if not note:
        raise AccessDenied(Code.NOT_FOUND)
    return raw(witnesses.under(note, await call.services.reading.cosignatures()), PLAIN)


async def witnessed(call: Call) -> web.StreamResponse:
    """``GET /ledger/checkpoint/witnessed``: the newest one that a witness cosigned."""
    note = witnesses.newest_witnessed(await call.services.reading.cosignatures())
    if not note:
        raise AccessDenied(Code.NOT_FOUND)
    return raw(note, PLAIN)


async def verifier_key(call: Call) -> web.StreamResponse:
    """``GET /ledger/key``: the keys of checkpoints, one a line, in the form that C2SP tools take."""
    lines = [f"{key}\n" for key in call.services.published.verifier_keys()]
    return raw("".join(lines).encode(), PLAIN, max_age=_MINUTES)


async def head(services: Services) -> tuple[bytes, int]:
    """The newest checkpoint and the size that it states; empty and 0 while the ledger is empty."""
    note = await services.reading.checkpoint()
    if not note:
        return b"", 0
    text, _, _ = note.rpartition(b"\n\n")
    return note, ledger.parse_checkpoint(text + b"\n").size


async def _size(services: Services) -> int:
    return (await head(services))[1]


async def extends(services: Services, old: int, new: int) -> list[bytes]:
    """The proof that the tree of ``new`` entries begins with that of ``old``; both were signed once."""

    def read(node: NodeReader) -> list[bytes]:
        return merkle.consistency_proof(old, new, node)

    return read(await _nodes(services, merkle.coordinates(read)))


async def tile(call: Call) -> web.StreamResponse:
    """``GET /ledger/tile/…``: hashes for anyone, entries for auditors."""
    wanted = ledger.parse_tile_path(f"tile/{call.request.match_info['tile']}")
    if wanted.level is None:
        await _auditor(call)
    if wanted.tree_size > await _size(call.services):
        raise AccessDenied(Code.NOT_FOUND)
    if wanted.level is None:
        entries = await call.services.reading.bodies(wanted.first, wanted.width)
        return raw(ledger.entry_bundle(entries), BINARY)
    return raw(await _tile_bytes(call.services, wanted, wanted.level), BINARY, max_age=_YEAR)


async def _auditor(call: Call) -> None:
    try:
        await oauth.authenticate(call.request, call.services, Role.AUDITOR)
    except AccessDenied:
        raise AccessDenied(Code.NOT_FOUND) from None


async def _tile_bytes(services: Services, wanted: Tile, level: int) -> bytes:
    def read(node: NodeReader) -> bytes:
        return ledger.tile_bytes(level, wanted.index, wanted.width, node)

    return read(await _nodes(services, merkle.coordinates(read)))


async def _nodes(services: Services, coordinates: list[tuple[int, int]]) -> NodeReader:
    found = await services.reading.nodes(coordinates) if coordinates else {}
    if len(found) != len(coordinates):
        raise Unavailable(Code.STORE_UNAVAILABLE, "the tree is not complete")
    return lambda level, index: found[level, index]


async def proof(call: Call) -> web.StreamResponse:
    """``GET /ledger/proof``: of inclusion (``index``, ``size``) or of consistency (``from``, ``to``)."""
    given, size = call.numbers, await _size(call.services)
    if {"index"} <= set(given) <= {"index", "size"}:
        return await _inclusion(call.services, given["index"], given.get("size", size), size)
    if {"from"} <= set(given) <= {"from", "to"}:
        return await _consistency(call.services, given["from"], given.get("to", size), size)
    raise RequestRejected(Code.SCHEMA_INVALID, "either index and size, or from and to", pointer="?")


async def _inclusion(services: Services, index: int, of: int, size: int) -> web.Response:
    if not index < of <= size:
        raise AccessDenied(Code.NOT_FOUND)

    def read(node: NodeReader) -> tuple[bytes, bytes, list[bytes]]:
        path = merkle.inclusion_proof(index, of, node)
        return node(0, index), merkle.Frontier.read(of, node).root(), path

    leaf, root, path = read(await _nodes(services, merkle.coordinates(read)))
    return answer(
        {
            "origin": services.ledger_origin,
            "index": index,
            "size": of,
            "leaf_hash": leaf.hex(),
            "root": root.hex(),
            "proof": [step.hex() for step in path],
        }
    )


async def _consistency(services: Services, old: int, new: int, size: int) -> web.Response:
    if not old <= new <= size:
        raise AccessDenied(Code.NOT_FOUND)

    def read(node: NodeReader) -> tuple[bytes, bytes, list[bytes]]:
        path = merkle.consistency_proof(old, new, node)
        return merkle.Frontier.read(old, node).root(), merkle.Frontier.read(new, node).root(), path

    old_root, new_root, path = read(await _nodes(services, merkle.coordinates(read)))
    return answer(
        {
            "origin": services.ledger_origin,
            "from": old,
            "to": new,
            "from_root": old_root.hex(),
            "to_root": new_root.hex(),
            "proof": [step.hex() for step in path],
        }
    )


async def jwks(call: Call) -> web.StreamResponse:
    """``GET /.well-known/jwks.json``: the public keys of records, status lists and status answers."""
    issuers = {one.kid: published.jwk(one) for one in call.services.published.signing()}
    own = call.services.answer_key.verification_key
    return answer({"keys": [*issuers.values(), keys.public_jwk(own)]}, max_age=_MINUTES)


async def status_list(call: Call) -> web.StreamResponse:
    """``GET /status-lists/{number}`` (Token Status List)."""
    number = call.name("number")
    canonical = number.isdecimal() and len(number) <= _MAX_LIST and str(int(number)) == number
    token = await call.services.reading.status_token(int(number)) if canonical else None
    if token is None:
        raise AccessDenied(Code.NOT_FOUND)
    return raw(token.encode("ascii"), STATUS_LIST, max_age=60)


async def healthz(_call: Call) -> web.StreamResponse:
    """``GET /healthz``: the process answers."""
    return answer({"status": "ok"})


async def readyz(call: Call) -> web.StreamResponse:
    """``GET /readyz``: every worker works, and the database answers within a second."""
    if failed := call.services.failed():
        # Which one and why stands in the log; it does not come back before an operator has looked.
        detail = BACKGROUND_DOWN if BACKGROUND_DOWN in failed else ""
        return problem(VerifierError(Code.INTERNAL, detail), call.request_id, status=503)
    try:
        async with asyncio.timeout(READY_SECONDS):
            ready = await call.services.reading.ready()
    except TimeoutError:
        ready = False
    if not ready:
        raise Unavailable(Code.STORE_UNAVAILABLE, "not ready")
    return answer({"status": "ready"})


async def counters(call: Call) -> web.StreamResponse:
    """``GET /metrics`` for Prometheus."""
    return raw(call.services.metrics.text(), metrics.CONTENT_TYPE)


HEALTH: Final = (
    Route("GET", "/healthz", healthz, "存活 · Alive"),
    Route("GET", "/readyz", readyz, "就绪 · Ready"),
    Route("GET", "/metrics", counters, "指标 · Counters", gives={"text/plain": TEXT}),
)
"""Also for a listener of their own."""

ROUTES: Final = (
    Route("GET", "/ledger/checkpoint", checkpoint, "检查点 · Checkpoint", gives={"text/plain": TEXT}),
    Route(
        "GET",
        "/ledger/checkpoint/witnessed",
        witnessed,
        "最近一个有见证方签名的检查点 · The newest checkpoint that a witness cosigned",
        gives={"text/plain": TEXT},
    ),
    Route("GET", "/ledger/key", verifier_key, "检查点公钥 · Checkpoints' key", gives={"text/plain": TEXT}),
    Route("GET", "/ledger/tile/{tile:.+}", tile, "哈希瓦片 · Tiles of hashes", gives={BINARY: TEXT}),
    Route(
        "GET",
        "/ledger/proof",
        proof,
        "包含证明与一致性证明 · Proofs of inclusion and consistency",
        parameters=(
            Number("index", "条目序号 · an entry's index"),
            Number("size", "账本大小 · size of the tree; the newest if left out", least=1),
            Number("from", "较早的大小 · the earlier size"),
            Number("to", "较晚的大小 · the later size; the newest if left out"),
        ),
    ),
    Route("GET", "/.well-known/jwks.json", jwks, "公钥 · Public keys", gives={JSON: OBJECT}),
    Route("GET", "/status-lists/{number}", status_list, "状态列表 · Status list", gives={STATUS_LIST: TEXT}),
    *HEALTH,
)

"""``verifier verify``: checks what this service hands out, and what platforms sign, without it. Pure.

What a file is follows from its content, never from its name:

=====================  ========================================================================
record                 compact JWS with tildes (SD-JWT)
status list            compact JWS, ``typ: statuslist+jwt``
outcome                compact JWS, ``typ: objection-outcome+jwt``
signature of a file    compact JWS, ``typ: signed-file+jwt``
platform certificate   any other compact JWS with a payload; a PDF
checkpoint             signed note
proof                  JSON of ``/ledger/proof``
dump of the feed       JSON of ``/v1/feed``, or its NDJSON
=====================  ========================================================================

A verdict is never better than what was given to check by: without the key of the essential signature it is
``not_checked``, whatever else holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from verifier import offline, outcome, record, signed_file
from verifier.errors import Code, RequestRejected, SignatureRejected, VerifierError
from verifier.signatures import jws, strict_json
from verifier.verifying import certificate, dumps, proofs, tokens
from verifier.verifying.given import Given
from verifier.verifying.verdict import Value, Verdict

MAX_BYTES: Final = dumps.MAX_PAGE_BYTES
"""Greatest file that is held in memory; NDJSON is read line by line and may be of any size."""

_TOKEN: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*(~[A-Za-z0-9_.~-]*)?")
_NOTE: Final = "\n\n\N{EM DASH} ".encode()
_PROOF: Final = ({"index", "leaf_hash", "proof"}, {"from", "to", "proof"})
_BY_TYP: Final[Mapping[str | None, Callable[[str, Given], Verdict]]] = MappingProxyType(
    {
        record.TYP: tokens.record,
        offline.STATUS_TYP: tokens.listed,
        outcome.TYP: tokens.outcome,
        signed_file.TYP: tokens.signed_file,
        "JWT": certificate.token,
        None: certificate.token,
    }
)


def check(content: bytes, given: Given) -> Verdict:
    """Recognise and check a file that is held in memory.

    Raises:
        RequestRejected: KIND_UNKNOWN, it is nothing that can be checked here.
    """
    stripped = content.strip()
    if stripped.startswith(b"%PDF-"):
        return certificate.beside()
    if _TOKEN.fullmatch(stripped):
        return _token(stripped.decode("ascii"), given)
    if _NOTE in content:
        return proofs.checkpoint(content, given)
    if is_feed_line(stripped.split(b"\n", 1)[0]):
        return dumps.lines(iter(stripped.split(b"\n")), given)
    members = _members(stripped, MAX_BYTES)
    if {"entries", "next", "size"} <= members:
        return dumps.page(stripped, given)
    if any(wanted <= members for wanted in _PROOF):
        try:
            return proofs.proof(stripped, given)
        except VerifierError:
            pass  # it has the members of a proof and is none
    raise unknown()


def is_feed_line(line: bytes) -> bool:
    """Whether a line is one of the feed's NDJSON: an entry, or the last line of an empty page."""
    members = _members(line, dumps.MAX_LINE_BYTES)
    entry = {"index", "leaf_hash"} <= members and "proof" not in members
    return entry or ({"next", "size"} <= members and "entries" not in members)


def both(signature: Verdict, dump: Verdict) -> Verdict:
    """Of a dump beside which a signature stands that holds: what is said of both."""
    value = Value.SIGNATURE_VALID if dump.value is Value.NOT_CHECKED else dump.value
    checked = (*signature.checked, *dump.checked)
    return replace(dump, value=value, checked=checked, says={**signature.says, **dump.says})


def unknown() -> RequestRejected:
    """The refusal of what is nothing that can be checked here."""
    return RequestRejected(Code.KIND_UNKNOWN, "not a record, list, proof, checkpoint, dump or certificate")


def _token(text: str, given: Given) -> Verdict:
    if "~" in text:
        return tokens.record(text, given)
    try:
        typ = jws.parse_compact(text, max_bytes=certificate.MAX_BYTES, allow_x5c=True).typ
    except SignatureRejected:
        raise unknown() from None
    if typ not in _BY_TYP:
        raise unknown()
    return _BY_TYP[typ](text, given)


def _members(raw: bytes, limit: int) -> set[str]:
    if not raw.startswith(b"{"):
        return set()
    try:
        found = strict_json.loads(raw, max_bytes=limit)
    except RequestRejected:
        return set()
    return set(found) if isinstance(found, dict) else set()

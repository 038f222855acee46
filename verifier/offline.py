"""Checks a record without the service: what anybody can do who has the public keys. Pure.

1. form: an SD-JWT (RFC 9901) of our type, its JWS strict;
2. the key is one of those given, by ``kid``, and the signature is right;
3. every disclosure belongs to it, and nothing else is disclosed;
4. if a status list token is given: its own signature, its address, its time, and the record's place in it;
5. with a checkpoint and an inclusion proof (``check_inclusion``): the record's entry is in the ledger.

The signed outcome of an objection (``check_outcome``) has a type of its own, and is never taken for a record.

What was not given is said to be not checked: a result is never better than its evidence.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from verifier import ledger, merkle, outcome
from verifier.errors import Code, LedgerRefused, SignatureRejected
from verifier.model.ledger import Checkpoint
from verifier.record import TYP, VCT
from verifier.signatures import jws, sdjwt, status_list, strict_json
from verifier.signatures.status_list import Status

MAX_BYTES: Final = 1 << 20
STATUS_TYP: Final = "statuslist+jwt"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a record says, and how far that was checked.

    Attributes:
        claims: visible and disclosed claims; personal where disclosures came with it.
        status: ``valid``, ``invalid``, ``suspended``, ``superseded``, or ``not_checked``.
        not_checked: what no evidence was given for.
    """

    claims: dict[str, Any] = field(repr=False)
    status: str
    not_checked: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether the record may be relied on, as far as it was checked at all."""
        return self.status in {"valid", "not_checked"}


def check(
    sd_jwt: str, keys: Collection[jws.VerificationKey], *, status_token: str | None, now: datetime
) -> Checked:
    """Check a record.

    Args:
        sd_jwt: the record, with as many disclosures as were given.
        keys: the issuer's published keys.
        status_token: a status list token, or None.
        now: aware UTC, against which the status list's time is judged.

    Raises:
        LedgerRefused: RECORD_INVALID, with what is wrong.
    """
    try:
        token, disclosures = sdjwt.split(sd_jwt)
        payload = verified(token, TYP, keys)
        claims = sdjwt.disclosed(payload, disclosures)
    except SignatureRejected as error:
        raise _invalid(f"the record fails at: {error.step}") from None
    if claims.get("vct") != VCT:
        raise _invalid("the record is of another type")
    missing = ["inclusion in the ledger"]
    status = "not_checked"
    if status_token is None:
        missing.append("status")
    else:
        status = _status(payload, status_token, keys, now)
    return Checked(claims, status, tuple(missing))


def is_outcome(text: str) -> bool:
    """Whether a text claims to be the signed outcome of an objection; nothing is believed of it yet."""
    try:
        return jws.parse_compact(text, max_bytes=MAX_BYTES).typ == outcome.TYP
    except SignatureRejected:
        return False


def check_outcome(token: str, keys: Collection[jws.VerificationKey]) -> dict[str, Any]:
    """Check the signed outcome of an objection, and return its claims.

    Args:
        token: a compact JWS.
        keys: the issuer's published keys.

    Raises:
        LedgerRefused: RECORD_INVALID, with what is wrong.
    """
    try:
        return verified(token, outcome.TYP, keys)
    except SignatureRejected as error:
        raise _invalid(f"the outcome fails at: {error.step}") from None


def verified(token: str, typ: str, keys: Collection[jws.VerificationKey]) -> dict[str, Any]:
    """The payload of a compact JWS of one type by one of the keys.

    Raises:
        SignatureRejected: with the step that failed.
    """
    parsed = jws.parse_compact(token, max_bytes=MAX_BYTES)
    key = next((key for key in keys if key.kid == parsed.kid), None)
    if key is None or parsed.typ != typ:
        raise SignatureRejected("key" if key is None else "typ")
    payload = strict_json.loads(jws.verify(parsed, key), max_bytes=MAX_BYTES)
    if not isinstance(payload, dict):
        raise SignatureRejected("payload")
    return dict(payload)


def _status(payload: dict[str, Any], token: str, keys: Collection[jws.VerificationKey], now: datetime) -> str:
    """The record's status; an unknown or stale one is never valid."""
    try:
        listed = verified(token, STATUS_TYP, keys)
        place = payload["status"]["status_list"]
        moment = now.timestamp()
        if listed["sub"] != place["uri"] or not listed["iat"] - 300 <= moment < listed["exp"]:
            raise _invalid("the status list is another one, or stale")
        packed = status_list.decode(
            listed["status_list"]["lst"], listed["status_list"]["bits"], max_bytes=MAX_BYTES
        )
        status = Status(status_list.get(packed, listed["status_list"]["bits"], place["idx"]))
        if status is Status.VALID and moment >= listed["iat"] + listed["ttl"]:
            # What was revoked stays so; what was valid may have been revoked since.
            raise _invalid("the status list is stale: fetch it anew")
        return status.name.lower()
    except (SignatureRejected, KeyError, TypeError, ValueError):
        raise _invalid("the status list does not check out") from None


def check_checkpoint(note: bytes, origin: str, keys: ledger.NoteKeys) -> Checkpoint:
    """Read a signed checkpoint.

    Args:
        note: the signed note.
        origin: the log's name.
        keys: its key, or several while one takes another's place.

    Raises:
        LedgerRefused: RECORD_INVALID.
    """
    checkpoint = ledger.parse_checkpoint(ledger.verify_note(note, {origin: keys}))
    if checkpoint.origin != origin:
        raise _invalid("the checkpoint is another log's")
    return checkpoint


def check_inclusion(sd_jwt: str, body: bytes, proof: Sequence[bytes], checkpoint: Checkpoint) -> None:
    """Check that a record's entry commits to it, and that the entry is in the ledger.

    Args:
        sd_jwt: the record; ``check`` it first.
        body: the entry's exact bytes.
        proof: inclusion proof of the entry at the checkpoint's size.
        checkpoint: from ``check_checkpoint``.

    Raises:
        LedgerRefused: RECORD_INVALID.
    """
    token, _ = sdjwt.split(sd_jwt)
    entry = strict_json.loads(body, max_bytes=MAX_BYTES)
    payload = strict_json.loads(jws.parse_compact(token, max_bytes=MAX_BYTES).payload, max_bytes=MAX_BYTES)
    signed = sha256(token.rpartition(".")[0].encode()).hexdigest()
    match entry, payload:
        case (
            {"signing_input_sha256": str(digest), "index": int(index), "record": str(record)},
            {"jti": str(named), "log": {"index": int(logged), "origin": str(origin)}},
        ) if (digest, index, record, checkpoint.origin) == (signed, logged, named, origin):
            merkle.verify_inclusion(merkle.leaf_hash(body), index, checkpoint.size, proof, checkpoint.root)
        case _:
            raise _invalid("the entry does not commit to this record")


def _invalid(detail: str) -> LedgerRefused:
    return LedgerRefused(Code.RECORD_INVALID, detail)

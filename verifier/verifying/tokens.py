"""Checks of what the keys of the JWKS sign: records, status lists, outcomes, signatures of files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from verifier import offline
from verifier import signed_file as signed_files
from verifier.errors import LedgerRefused, RequestRejected, SignatureRejected
from verifier.model.time import iso
from verifier.signatures import jws, status_list, strict_json
from verifier.verifying.given import Given, signed_checkpoint
from verifier.verifying.proofs import Inclusion, entry_bytes, read_proof
from verifier.verifying.verdict import Kind, Point, Value, Verdict

MAX_BYTES: Final = 1 << 20
_NO_KEYS: Final = "no keys were given (--jwks)"
_OF_A_FILE: Final = ("aud", "kind", "name", "sha256", "size", "after", "next")


def unverified(token: str) -> dict[str, Any]:
    """The payload of a compact JWS, of which nothing is believed; empty where it cannot be read."""
    try:
        payload = strict_json.loads(
            jws.parse_compact(token, max_bytes=MAX_BYTES).payload, max_bytes=MAX_BYTES
        )
    except (SignatureRejected, RequestRejected):
        return {}
    return dict(payload) if isinstance(payload, dict) else {}


def record(text: str, given: Given) -> Verdict:
    """A record: signature, disclosures, status and place in the ledger."""
    points = (Point.SIGNATURE, Point.DISCLOSURES, Point.STATUS, Point.INCLUSION)
    if given.keys is None:
        says = _of_record(unverified(text.partition("~")[0]))
        return Verdict(Kind.RECORD, Value.NOT_CHECKED, (), points, says, _NO_KEYS)
    checked, left = [Point.SIGNATURE, Point.DISCLOSURES], [Point.STATUS, Point.INCLUSION]
    told: dict[str, Any] = {}
    try:
        found = offline.check(text, given.keys, status_token=given.status, now=given.now)
        told = _of_record(found.claims)
        value = Value.SIGNATURE_VALID
        if found.status != "not_checked":
            value = Value(found.status)
            left.remove(Point.STATUS)
            checked.append(Point.STATUS)
        if _include(text, given):
            left.remove(Point.INCLUSION)
            checked.append(Point.INCLUSION)
    except LedgerRefused as error:
        return Verdict(Kind.RECORD, Value.INVALID, (), points, told, error.detail)
    reason = "" if value in {Value.VALID, Value.SIGNATURE_VALID} else "the status list says so"
    return Verdict(Kind.RECORD, value, tuple(checked), tuple(left), told, reason)


def _include(text: str, given: Given) -> bool:
    """Whether proof, entry, checkpoint and key were given; what they do not prove is refused."""
    if given.proof is None or given.checkpoint is None or given.entry is None or not given.log_keys:
        return False
    checkpoint, proof = signed_checkpoint(given.checkpoint, given.log_keys), read_proof(given.proof)
    if not isinstance(proof, Inclusion):
        return False
    offline.check_inclusion(text, entry_bytes(given.entry, proof.leaf), proof.path, checkpoint)
    return True


def _of_record(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is disclosed: of that only the names."""
    shown = {"record": claims.get("jti"), "issuer": claims.get("iss"), "decision": claims.get("decision")}
    personal = [name for name in ("name", "id_number", "employer", "dispatched_by") if name in claims]
    return shown | {"log": claims.get("log"), "disclosed": personal}


def listed(text: str, given: Given) -> Verdict:
    """A status list: signature, time, and that it can be unpacked."""
    points = (Point.SIGNATURE, Point.TIME)
    claims = unverified(text)
    if given.keys is None:
        return Verdict(Kind.STATUS_LIST, Value.NOT_CHECKED, (), points, _of_list(claims), _NO_KEYS)
    try:
        claims = offline.verified(text, offline.STATUS_TYP, given.keys)
        packed = status_list.decode(
            claims["status_list"]["lst"], claims["status_list"]["bits"], max_bytes=MAX_BYTES
        )
        fresh = claims["iat"] - 300 <= given.now.timestamp() < claims["exp"]
    except SignatureRejected as error:
        reason = f"the status list fails at: {error.step}"
        return Verdict(Kind.STATUS_LIST, Value.INVALID, (), points, {}, reason)
    except (KeyError, TypeError):
        return Verdict(Kind.STATUS_LIST, Value.INVALID, (), points, {}, "the status list is malformed")
    says = _of_list(claims) | {"bytes": len(packed)}
    if not fresh:
        reason = "the status list is stale, or not yet issued: it says nothing of any record"
        return Verdict(Kind.STATUS_LIST, Value.INVALID, (Point.SIGNATURE,), (), says, reason)
    return Verdict(Kind.STATUS_LIST, Value.VALID, points, (), says)


def _of_list(claims: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "list": claims.get("sub"),
        "issued_at": _moment(claims, "iat"),
        "expires_at": _moment(claims, "exp"),
    }


def _moment(claims: Mapping[str, Any], name: str) -> str | None:
    seconds = claims.get(name)
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 <= seconds < 1 << 36:
        return None
    return iso(datetime.fromtimestamp(seconds, UTC))


def outcome(text: str, given: Given) -> Verdict:
    """The signed outcome of a correction, objection or appeal."""
    left = (Point.INCLUSION, Point.TEXT)
    if given.keys is None:
        says = _of_outcome(unverified(text))
        return Verdict(Kind.OUTCOME, Value.NOT_CHECKED, (), (Point.SIGNATURE, *left), says, _NO_KEYS)
    try:
        claims = offline.check_outcome(text, given.keys)
    except LedgerRefused as error:
        return Verdict(Kind.OUTCOME, Value.INVALID, (), (Point.SIGNATURE, *left), {}, error.detail)
    return Verdict(Kind.OUTCOME, Value.VALID, (Point.SIGNATURE,), left, _of_outcome(claims))


def _of_outcome(claims: Mapping[str, Any]) -> dict[str, Any]:
    names = ("number", "kind", "topic", "about", "outcome", "decided_at", "log")
    return {name: claims.get(name) for name in names}


def signed_file(text: str, given: Given) -> Verdict:
    """The signature beside a file: signature, and the file's digest and size where the file is there."""
    points = (Point.SIGNATURE, Point.FILE)
    if given.keys is None:
        says = _of_file(unverified(text))
        return Verdict(Kind.SIGNED_FILE, Value.NOT_CHECKED, (), points, says, _NO_KEYS)
    try:
        claims = offline.verified(text, signed_files.TYP, given.keys)
    except SignatureRejected as error:
        reason = f"the signature of the file fails at: {error.step}"
        return Verdict(Kind.SIGNED_FILE, Value.INVALID, (), points, {}, reason)
    says, found = _of_file(claims), given.companion()
    if found is None:
        reason = "the file itself does not stand beside its signature"
        checked = (Point.SIGNATURE,)
        return Verdict(Kind.SIGNED_FILE, Value.SIGNATURE_VALID, checked, (Point.FILE,), says, reason)
    try:
        signed_files.check(text, found, given.keys)
    except RequestRejected as error:
        return Verdict(Kind.SIGNED_FILE, Value.INVALID, (Point.SIGNATURE,), (Point.FILE,), says, error.detail)
    return Verdict(Kind.SIGNED_FILE, Value.VALID, points, (), says)


def _of_file(claims: Mapping[str, Any]) -> dict[str, Any]:
    shown = {"file" if name == "kind" else name: claims[name] for name in _OF_A_FILE if name in claims}
    return {"issuer": claims.get("iss"), "issued_at": _moment(claims, "iat"), **shown}

"""Signed statements of xAPI 1.0.3: how they are packed, and when two of them say the same.

A signature is an attachment with its own usage type; its data is a JWS whose payload is the statement as it
was before the attachment was added (Data, section 2.6). It comes as a part of ``multipart/mixed``, found by
the SHA-2 digest of its bytes and in no other way (Communication, section 1.5.2): no ``fileUrl`` is followed.

The specification allows RS256, RS384 and RS512; which algorithm a signer may use is for the trust register.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from verifier.errors import AdapterError, Code, RequestRejected
from verifier.model import fields
from verifier.model.time import TimeFormat, parse_moment
from verifier.signatures import strict_json
from verifier.signatures.documents import json_object
from verifier.signatures.multipart import Part

USAGE: Final = "http://adlnet.gov/expapi/attachments/signature"
"""The ``usageType`` of a signature."""
MEDIA_TYPE: Final = "application/octet-stream"
"""Its ``contentType``."""

_JSON: Final = re.compile(r"application/json(?:[ \t]*;[ \t]*charset=(?:utf-8|\"utf-8\"))?", re.IGNORECASE)
_HASHES: Final = {64: hashlib.sha256, 96: hashlib.sha384, 128: hashlib.sha512}
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_ASSIGNED: Final = ("id", "version", "timestamp")
"""What a record store fills in where the sender left it out (Data, section 2.3.1)."""
_NOT_COMPARED: Final = frozenset({*_ASSIGNED, "stored", "authority", "attachments"})


# How they are packed


def unpack(parts: Sequence[Part]) -> tuple[bytes, Mapping[str, Part]]:
    """The statements, and the attachments by their digests.

    Args:
        parts: of a delivery, at least one.

    Returns:
        The first part's JSON; and the other parts by the lower-case hex digest they declare, without those
        whose bytes have another: for a statement that names such a digest, its attachment is missing.

    Raises:
        AdapterError: DELIVERY_UNREADABLE: the first part is not JSON alone, or another lacks a header.
    """
    statements, *others = parts
    if _JSON.fullmatch(statements.content_type) is None or statements.content_hash:
        raise AdapterError(detail="the first part is not the statements", pointer="part 0")
    attachments = {}
    for position, part in enumerate(others, start=1):
        if not part.is_binary or not part.content_hash:
            detail = "an attachment is not binary, or declares no digest"
            raise AdapterError(detail=detail, pointer=f"part {position}")
        name = part.content_hash.lower()
        digest = _HASHES.get(len(name))
        if digest is not None and digest(part.content).hexdigest() == name:
            attachments[name] = part
    return statements.content, attachments


STATEMENT: Final = "statement"
SIGNATURE: Final = "signature"
LINE: Final = (STATEMENT, SIGNATURE)
"""The members of a line that holds a statement beside its signature, and the columns of a table of them."""


def pack_line(line: bytes, boundary: str) -> tuple[str, bytes]:
    """A line of a file as a body: the inverse of ``unpack``.

    Args:
        line: a statement, or several, which are a body as they are; or an object with the members of
            ``LINE``, where the statement may also be written as a text, since a cell holds nothing else.
        boundary: 1 to 70 letters, digits and hyphens that stand in neither.

    Returns:
        The content type, and the body.

    Raises:
        AdapterError: it is no such line.
    """
    try:
        value = strict_json.loads(line, max_bytes=len(line))
    except RequestRejected as error:
        raise AdapterError(detail="not strict JSON", pointer=error.pointer) from None
    if not isinstance(value, dict) or STATEMENT not in value:
        return "application/json", line
    given, signature = value[STATEMENT], value.get(SIGNATURE, "")
    statement = json_object(given.encode()) if isinstance(given, str) else fields.members(given, "")
    content = strict_json.canonical(dict(statement))
    if not signature:
        return "application/json", content
    if not isinstance(signature, str):
        raise AdapterError(Code.FIELD_INVALID, "a signature is a text", pointer=f"/{SIGNATURE}")
    return f"multipart/mixed; boundary={boundary}", _packed(
        content, signature.encode(), boundary.encode("ascii")
    )


def _packed(statement: bytes, signature: bytes, boundary: bytes) -> bytes:
    digest = hashlib.sha256(signature).hexdigest()
    about = (
        f"Content-Type: {MEDIA_TYPE}\r\nContent-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {digest}"
    )
    parts = (b"Content-Type: application/json\r\n\r\n" + statement, about.encode() + b"\r\n\r\n" + signature)
    return (
        b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"
    )


def signature_of(statement: Mapping[str, Any], attachments: Mapping[str, Part], pointer: str) -> str:
    """The JWS that is attached to a statement.

    Args:
        statement: as it came, from strict JSON.
        attachments: from ``unpack``.
        pointer: where the statement stands.

    Raises:
        AdapterError: FIELD_MISSING, there is no signature or its data did not come; FIELD_INVALID, there are
            several, or the data is not what the attachment says of it.
    """
    found = [(f"{pointer}/attachments/{position}", one) for position, one in _signatures(statement)]
    if not found:
        raise AdapterError(
            Code.FIELD_MISSING, "the statement is not signed", pointer=f"{pointer}/attachments"
        )
    if len(found) > 1:
        raise AdapterError(Code.FIELD_INVALID, "several signatures", pointer=f"{pointer}/attachments")
    [(at, described)] = found
    name = described.get("sha2")
    part = attachments.get(name.lower()) if isinstance(name, str) else None
    if part is None:
        raise AdapterError(Code.FIELD_MISSING, "no data has this digest", pointer=f"{at}/sha2")
    # Its length is not compared: the digest says more, and the specification's own example has it wrong.
    if described.get("contentType") != MEDIA_TYPE or part.content_type not in {"", MEDIA_TYPE}:
        detail = "a signature is application/octet-stream"
        raise AdapterError(Code.FIELD_INVALID, detail, pointer=f"{at}/contentType")
    # Whether it is a JWS is for the certificate's first step; other than ASCII it cannot be one.
    return part.content.decode("ascii", "replace")


def is_signed(statement: Mapping[str, Any]) -> bool:
    """Whether a statement says that a signature is attached to it."""
    return bool(_signatures(statement))


def _signatures(statement: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    listed = statement.get("attachments")
    return [
        (position, one)
        for position, one in enumerate(listed if isinstance(listed, list) else [])
        if isinstance(one, dict) and one.get("usageType") == USAGE
    ]


# When two say the same


def equivalent(signed: Mapping[str, Any], received: Mapping[str, Any]) -> bool:
    """Whether a received statement is logically the one that was signed (Data, sections 2.3.1 and 2.6).

    Not compared: what a record store assigns (``stored``, ``authority``; ``id``, ``version`` and
    ``timestamp`` where either lacks them), ``attachments``, the ``display`` of verbs, the ``definition`` of
    activities, the order of a group's members, the form of a timestamp, and the case of what has none (the
    domain of a mailbox, UUIDs, language tags). Everything else is, ``duration`` as a text. Whoever reads the
    statement reads the signed one, so that what is not compared is still signed.

    Args:
        signed: the signature's payload, from strict JSON.
        received: the statement that bears the signature, from strict JSON.
    """
    for name in _ASSIGNED:
        if name in signed and name in received and _assigned(signed[name]) != _assigned(received[name]):
            return False
    return strict_json.canonical(_statement(signed)) == strict_json.canonical(_statement(received))


def comparable(statement: Mapping[str, Any]) -> bytes:
    """What a statement's id stands for: equal bytes for statements that do not differ by the rules above.

    Its id is no part of it, and its timestamp is: for senders that write one into every statement.
    """
    timestamp = _moment(statement.get("timestamp"))
    return strict_json.canonical({**_statement(statement), "timestamp": timestamp})


def _assigned(value: Any) -> Any:
    return _moment(_uuid(value))


def _moment(value: Any) -> Any:
    try:
        return parse_moment(value, TimeFormat.RFC3339).isoformat()
    except ValueError:
        return value


def _uuid(value: Any) -> Any:
    return value.lower() if isinstance(value, str) and _UUID.fullmatch(value) else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _without(value: Any, *names: str) -> Any:
    return (
        {name: one for name, one in value.items() if name not in names} if isinstance(value, dict) else value
    )


def _with(value: Any, **rules: Any) -> Any:
    """An object whose members of these names are written as their rules say."""
    if not isinstance(value, dict):
        return value
    return {name: rules[name](one) if name in rules else one for name, one in value.items()}


def _statement(value: Any) -> Any:
    return _with(_without(value, *_NOT_COMPARED), verb=_verb, actor=_agent, object=_object, context=_context)


def _verb(value: Any) -> Any:
    return _without(value, "display")


def _object(value: Any) -> Any:
    kind = value.get("objectType", "Activity") if isinstance(value, dict) else None
    if kind == "Activity":
        return _without(value, "definition")
    if kind == "SubStatement":
        # Nobody assigns anything within one: its timestamp is the sender's own.
        return {**_statement(value), "timestamp": _moment(value.get("timestamp"))}
    return _reference(value) if kind == "StatementRef" else _agent(value)


def _reference(value: Any) -> Any:
    return _with(value, id=_uuid)


def _agent(value: Any) -> Any:
    return _with(value, mbox=_mailbox, member=_members)


def _mailbox(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    local, at, domain = value.rpartition("@")
    return f"{local}{at}{domain.lower()}"


def _members(value: Any) -> Any:
    return sorted(map(_agent, value), key=strict_json.canonical) if isinstance(value, list) else value


def _context(value: Any) -> Any:
    return _with(
        value,
        registration=_uuid,
        language=_lower,
        statement=_reference,
        instructor=_agent,
        team=_agent,
        contextActivities=_activities,
    )


def _activities(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        name: [_without(one, "definition") for one in listed]
        if isinstance(listed, list)
        else _without(listed, "definition")
        for name, listed in value.items()
    }

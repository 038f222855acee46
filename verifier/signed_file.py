"""Files that leave or come over an isolated network, each with a signature beside it. Pure.

``NAME.jws`` is a compact JWS of a type of its own, so that no file's signature passes for a record, a token
or a status list. Its claims:

==========  ==============================================================================
``iss``     who signed: our base URL, or the name of a registered client
``aud``     for whom, where it is for somebody: a file that a client signs names our base URL
``iat``     when, in seconds since 1970
``jti``     random id of the signature
``kind``    what the file is: ``feed``, ``claims``, ``claim-steps``, ``claim-results`` …
``name``    the file's name, without directories
``sha256``  hex digest of the whole file
``size``    its length in bytes
==========  ==============================================================================

and what the kind adds. Only an operator's own process signs ours, with the record key; the web never does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from verifier.errors import Code, RequestRejected, SignatureRejected
from verifier.signatures import jws, strict_json
from verifier.signatures.strict_json import JsonValue

TYP: Final = "signed-file+jwt"
SUFFIX: Final = ".jws"
MAX_BYTES: Final = 8192
"""Of a signature."""
_OWN: Final = ("iss", "aud", "iat", "jti", "kind", "name", "sha256", "size")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a signature says of a file's bytes.

    Attributes:
        sha256: hex.
        size: in bytes.
    """

    sha256: str
    size: int


def contents(pieces: Iterable[bytes]) -> Contents:
    """Read a file's bytes, piece by piece."""
    digest, size = sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return Contents(digest.hexdigest(), size)


def make(
    found: Contents,
    key: jws.Signs,
    *,
    kind: str,
    name: str,
    issuer: str,
    jti: str,
    at: datetime,
    audience: str = "",
    adds: Mapping[str, JsonValue] | None = None,
) -> str:
    """Sign a file.

    Args:
        found: its digest and size.
        key: of who signs.
        kind: what the file is.
        name: without directories.
        issuer: who signs.
        jti: random id.
        at: aware UTC.
        audience: for whom; empty for anybody.
        adds: what the kind adds; never one of the members above.

    Raises:
        ValueError: it would replace one of them.
    """
    if adds and not adds.keys().isdisjoint(_OWN):
        raise ValueError("a claim of every signed file may not be set")
    claims: dict[str, JsonValue] = {
        **(adds or {}),
        "iss": issuer,
        "iat": int(at.timestamp()),
        "jti": jti,
        "kind": kind,
        "name": name,
        "sha256": found.sha256,
        "size": found.size,
        **({"aud": audience} if audience else {}),
    }
    return jws.sign_compact(strict_json.canonical(claims), key, typ=TYP)


def check(
    token: str,
    found: Contents,
    keys: Collection[jws.VerificationKey],
    *,
    kind: str = "",
    issuer: str = "",
    audience: str = "",
    name: str = "",
) -> dict[str, Any]:
    """Check a signature, and that it is of this file.

    Args:
        token: the text of ``NAME.jws``, without white space around it.
        found: digest and size of the file that lies here.
        keys: those of who may have signed; one is picked by ``kid``.
        kind: the kind that is expected; empty for any.
        issuer: who must have signed; empty for anybody who has one of the keys.
        audience: for whom it must be; empty: not looked at.
        name: the file's name here; empty: not looked at.

    Returns:
        Its claims.

    Raises:
        RequestRejected: SIGNED_FILE_REFUSED, with what is wrong.
    """
    claims = _verified(token, keys)
    expected = {"sha256": found.sha256, "size": found.size, "kind": kind, "iss": issuer, "name": name}
    for member, value in (*expected.items(), ("aud", audience)):
        wanted = value or member in {"sha256", "size"}
        said = claims.get(member)
        if wanted and (said != value or isinstance(said, bool)):
            raise _refused(f"another {member} is signed", member)
    for member, form in (("iss", str), ("iat", int), ("jti", str), ("kind", str), ("name", str)):
        if not isinstance(claims.get(member), form) or isinstance(claims.get(member), bool):
            raise _refused(f"{member} is missing", member)
    return claims


def is_signature(token: str) -> bool:
    """Whether a text claims to be a file's signature; nothing is believed of it yet."""
    try:
        return jws.parse_compact(token, max_bytes=MAX_BYTES).typ == TYP
    except SignatureRejected:
        return False


def _verified(token: str, keys: Collection[jws.VerificationKey]) -> dict[str, Any]:
    try:
        parsed = jws.parse_compact(token, max_bytes=MAX_BYTES)
        key = next((key for key in keys if key.kid == parsed.kid), None)
        if key is None:
            raise _refused("it is signed with none of the keys", "kid")
        if parsed.typ != TYP:
            raise _refused("it is no signature of a file", "typ")
        claims = strict_json.loads(jws.verify(parsed, key), max_bytes=MAX_BYTES)
    except SignatureRejected as error:
        raise _refused(f"the signature fails at: {error.step}", "signature") from None
    except RequestRejected as error:
        if error.code is Code.SIGNED_FILE_REFUSED:
            raise
        raise _refused("what is signed is no JSON", "signature") from None
    if not isinstance(claims, dict):
        raise _refused("what is signed is no object", "signature")
    return dict(claims)


def _refused(detail: str, pointer: str) -> RequestRejected:
    return RequestRejected(Code.SIGNED_FILE_REFUSED, detail, pointer=pointer)

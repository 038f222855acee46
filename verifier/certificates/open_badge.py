"""A certificate as an Open Badges 3.0 credential in its JSON Web Token proof format (1EdTech, VC-JWT).

``content`` is the compact JWS. The credential is the payload itself, or, as the older data model has it, the
payload's ``vc``. Every rule of the section "Verify a Credential VC-JWT Signature" that needs no clock and no
key is part of the form. ``kid`` is looked up in the trust register and never dereferenced, ``jwk`` is
refused, ``credentialStatus`` and ``refreshService`` are not followed: nothing here opens a connection.

What a table of fields can point at is the same for both data models:

===================  ==============================================================================
``iss`` ``jti``      the issuer's and the credential's id
``sub`` ``nbf``      the recipient's id, and when the credential becomes valid, in epoch seconds
``credential``       the credential itself
``identifiers``      the recipient's plain identifiers, by their ``identityType``: ``type``, ``value``
===================  ==============================================================================

An identifier that the credential holds only as a digest becomes plain by the value that the message states
for it (``SignedCertificate.known``), if that has the digest: so the issuer vouches for the value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from verifier.certificates import compact
from verifier.certificates.form import Claims, Unverified, header_refused, malformed
from verifier.errors import CertificateRejected, Code
from verifier.model.certificate import SignedCertificate
from verifier.model.time import TimeFormat, parse_moment
from verifier.signatures import hmac
from verifier.signatures.strict_json import JsonValue

MAX_BYTES: Final = 32_768
TYPES: Final = frozenset({None, "JWT"})
"""``typ``: "If present, MUST be set to JWT"."""

_Object = Mapping[str, JsonValue]

_HEADERS: Final = frozenset({"alg", "kid", "typ"})
_KINDS: Final = frozenset({"OpenBadgeCredential", "AchievementCredential"})
_REGISTERED: Final = frozenset({"iss", "jti", "sub", "nbf", "exp", "iat", "aud"})
_VALIDITY: Final[Mapping[JsonValue, tuple[str, str]]] = {
    "https://www.w3.org/ns/credentials/v2": ("validFrom", "validUntil"),
    "https://www.w3.org/2018/credentials/v1": ("issuanceDate", "expirationDate"),
}
"""The first context of each data model, and what its times are called."""
_CONTEXT: Final = re.compile(
    r"https://purl\.imsglobal\.org/spec/ob/v3p0/context(?:-3\.[0-9]\.[0-9])?\.json", re.ASCII
)
_DIGEST: Final = re.compile(r"sha256\$([0-9A-Fa-f]{64})")
_MAX_IDENTIFIERS: Final = 16


def open_credential(signed: SignedCertificate) -> Unverified:
    """Steps 1 and 2 of a credential."""
    token = compact.parse(signed.content, MAX_BYTES, types=TYPES)
    if not token.header.keys() <= _HEADERS:
        raise header_refused("a credential's header holds alg, kid and typ alone")
    payload = compact.claims_of(token, MAX_BYTES)
    credential = _credential(payload)
    subject = _object(credential, "credentialSubject")
    _check_kind(credential, subject)
    _check_claims(payload, credential, subject)
    claims: Claims = {
        **{name: payload[name] for name in ("iss", "jti", "sub", "nbf")},
        "credential": dict(credential),
        "identifiers": _identifiers(subject, signed.known),
    }
    return Unverified(claims, compact.check_of(token), key_id=token.kid)


def _credential(payload: _Object) -> _Object:
    if "vc" in payload:
        return _object(payload, "vc")
    return {name: value for name, value in payload.items() if name not in _REGISTERED}


def _object(within: _Object, name: str) -> _Object:
    value = within.get(name)
    if not isinstance(value, dict):
        raise malformed("an object of the credential is missing")
    return value


def _check_kind(credential: _Object, subject: _Object) -> None:
    """It is an achievement, awarded to a recipient."""
    kinds = _set(credential.get("type"))
    if "VerifiableCredential" not in kinds or kinds.isdisjoint(_KINDS):
        raise malformed("not an Open Badges credential")
    achieved = _set(_object(subject, "achievement").get("type"))
    if "AchievementSubject" not in _set(subject.get("type")) or "Achievement" not in achieved:
        raise malformed("the credential awards no achievement")


def _set(value: JsonValue) -> frozenset[str]:
    """A set of texts; one alone may stand without its array."""
    values = value if isinstance(value, list) else [value]
    return frozenset(one for one in values if isinstance(one, str))


def _check_claims(payload: _Object, credential: _Object, subject: _Object) -> None:
    """The token's own claims repeat the credential's, exactly."""
    issuer = credential.get("issuer")
    pairs = (
        (payload.get("iss"), issuer.get("id") if isinstance(issuer, dict) else issuer),
        (payload.get("sub"), subject.get("id")),
        (payload.get("jti"), credential.get("id")),
    )
    if not all(isinstance(claim, str) and claim and claim == repeated for claim, repeated in pairs):
        raise malformed("iss, sub or jti is not what the credential says")
    starts, ends = _validity(credential)
    valid_from, valid_until = _seconds(credential.get(starts)), _seconds(credential.get(ends))
    if valid_from is None or (_whole(payload, "nbf"), _whole(payload, "exp")) != (valid_from, valid_until):
        raise malformed("nbf or exp is not what the credential says")


def _validity(credential: _Object) -> tuple[str, str]:
    contexts = credential.get("@context")
    match contexts if isinstance(contexts, list) else []:
        case [str(first), str(second), *_] if first in _VALIDITY and _CONTEXT.fullmatch(second):
            return _VALIDITY[first]
        case _:
            raise malformed("the credential's contexts are not those of Open Badges 3.0")


def _whole(payload: _Object, name: str) -> int | None:
    """A time of the token; None where it has none."""
    value = payload.get(name)
    # A bool is an int in Python.
    if value is not None and type(value) is not int:
        raise malformed("a time of the token is not a whole number")
    return value


def _seconds(written: JsonValue) -> float | None:
    if written is None:
        return None
    try:
        return parse_moment(written, TimeFormat.RFC3339).timestamp()
    except ValueError:
        raise malformed("a time of the credential is malformed") from None


def _identifiers(subject: _Object, known: Mapping[str, str]) -> dict[str, JsonValue]:
    listed = subject.get("identifier", [])
    if not isinstance(listed, list) or len(listed) > _MAX_IDENTIFIERS:
        raise malformed("the identifiers are no list, or too many")
    plain: dict[str, set[str]] = {}
    hashed: dict[str, list[tuple[str, str]]] = {}
    for one in listed:
        if not isinstance(one, dict) or one.get("type") != "IdentityObject":
            raise malformed("an identifier is malformed")
        kind, value = _text(one, "identityType"), _text(one, "identityHash")
        if one.get("hashed") is True:
            hashed.setdefault(kind, []).append((_digest(value), _text(one, "salt", "")))
        elif one.get("hashed") is False:
            plain.setdefault(kind, set()).add(value)
        else:
            raise malformed("an identifier does not say whether it is hashed")
    found = {kind: _only(values) for kind, values in plain.items()}
    for kind in known.keys() & hashed.keys() - plain.keys():
        found[kind] = _proven(known[kind], hashed[kind])
    return {kind: {"type": kind, "value": found[kind]} for kind in sorted(found)}


def _text(identifier: _Object, name: str, default: str | None = None) -> str:
    value = identifier.get(name, default)
    if not isinstance(value, str):
        raise malformed("a member of an identifier is no text")
    return value


def _only(values: set[str]) -> str:
    if len(values) > 1:
        raise malformed("two identifiers of one type")
    return values.pop()


def _digest(written: str) -> str:
    # The specification knows MD5 as well: two ids with one digest are made within seconds.
    form = _DIGEST.fullmatch(written)
    if form is None:
        raise malformed("an identifier's digest is not SHA-256")
    return form[1].lower()


def _proven(value: str, digests: Sequence[tuple[str, str]]) -> str:
    """The value, if one of the digests is its own: of the text and the salt after it, in UTF-8."""
    for digest, salt in digests:
        if hmac.equal(sha256((value + salt).encode()).digest(), bytes.fromhex(digest)):
            return value
    raise CertificateRejected(Code.CERTIFICATE_MISMATCH, 2, "what the message states has not the digest")

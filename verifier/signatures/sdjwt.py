"""Selective disclosure for JWTs (RFC 9901), flat: claims of the payload's top level only; pure.

An SD-JWT is a signed JWT followed by disclosures, each an array ``[salt, name, value]`` in base64url. The
JWT's payload holds only the disclosures' digests, so that whoever passes the SD-JWT on may leave disclosures
out (``redact``) without breaking the signature.

Issue: ``new_disclosure`` for each claim, ``payload_with``, sign the payload elsewhere, ``compose``.
Verify: 1 ``split``; 2 verify the JWS elsewhere; 3 ``disclosed`` with its payload.

Narrower than the RFC, so that nothing unexpected can hide: only SHA-256, no disclosures inside other claims
or in arrays, no key binding, and the claims that SD-JWT VC wants always visible cannot be disclosures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from verifier.errors import RequestRejected, SignatureRejected
from verifier.signatures import base64url, strict_json

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

MAX_SD_JWT_CHARS: Final = 64 * 1024
"""Longest SD-JWT read, in characters."""

MAX_DISCLOSURE_CHARS: Final = 8 * 1024
"""Longest disclosure, in characters of base64url."""

MAX_DISCLOSURES: Final = 64
"""Most disclosures in one SD-JWT."""

SALT_BYTES: Final = 16
"""128 bits of randomness in a salt (RFC 9901, 9.3)."""

ALWAYS_VISIBLE: Final = frozenset(
    {"iss", "aud", "nbf", "exp", "cnf", "vct", "vct#integrity", "aka_vcts", "status"}
)
"""Claims that decide about validity: never disclosures (RFC 9901, 9.7; SD-JWT VC, registered JWT claims)."""

_RESERVED: Final = frozenset({"_sd", "...", "_sd_alg"})
_NEVER_HIDDEN: Final = ALWAYS_VISIBLE | _RESERVED
_OWN_WRITTEN: Final = b'"_sd'
_ELSEWHERE: Final = b'"..."'
_ALGORITHM: Final = "sha-256"
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One claim with its salt (RFC 9901, 4.2.1).

    Attributes:
        salt: secret text, unique to this claim and this SD-JWT.
        name: the claim's name.
        value: any JSON value.
    """

    salt: str = field(repr=False)
    name: str
    value: Any = field(repr=False)

    @property
    def encoded(self) -> str:
        """Base64url of the canonical JSON of ``[salt, name, value]``: what ``digest`` is taken of.

        Raises:
            SignatureRejected: step ``disclosure``, if the value is not JSON.
        """
        said = [self.salt, self.name, self.value]
        written = strict_json.plain if all(type(one) is str for one in said) else strict_json.canonical
        try:
            return base64url.encode(written(said))
        except RequestRejected:
            raise _bad_disclosure() from None


def new_disclosure(name: str, value: Any, randbytes: Callable[[int], bytes]) -> Disclosure:
    """A disclosure with a fresh salt.

    Args:
        name: the claim's name.
        value: any JSON value.
        randbytes: cryptographically secure randomness, such as ``secrets.token_bytes``.
    """
    return Disclosure(base64url.encode(randbytes(SALT_BYTES)), name, value)


def digest(encoded: str) -> str:
    """Base64url of SHA-256 over an encoded disclosure's own characters (RFC 9901, 4.2.3)."""
    return base64url.encode(sha256(encoded.encode("ascii")).digest())


def decoy(randbytes: Callable[[int], bytes]) -> str:
    """A digest of nothing, to hide how many claims there are (RFC 9901, 4.2.5).

    Args:
        randbytes: cryptographically secure randomness.
    """
    return base64url.encode(sha256(randbytes(32)).digest())


def payload_with(
    claims: Mapping[str, Any], disclosures: Sequence[Disclosure], *, decoys: Sequence[str] = ()
) -> dict[str, Any]:
    """The payload to sign: the visible claims and, if there are any, the digests.

    The digests stand in ascending order, which hides that of the claims (RFC 9901, 4.2.4.1).

    Args:
        claims: what everyone sees.
        disclosures: what may be left out.
        decoys: results of ``decoy``.

    Raises:
        SignatureRejected: step ``disclosure``, where ``disclosed`` would refuse the result.
    """
    payload, encoded = _payload(claims, disclosures, decoys)
    disclosed(payload, encoded)
    return payload


def issue(
    claims: Mapping[str, Any],
    disclosures: Sequence[Disclosure],
    write: Callable[[object], bytes] = strict_json.canonical,
) -> tuple[bytes, list[str]]:
    """The payload to sign as canonical JSON, and the encoded disclosures; otherwise as ``payload_with``.

    Args:
        claims: what everyone sees.
        disclosures: what may be left out.
        write: ``strict_json.plain`` for claims of which the caller owes what that function says.
    """
    payload, encoded = _payload(claims, disclosures, ())
    written = write(payload)
    # Searched, which is faster than walking. If more is found than our own two members, `disclosed` decides.
    own = written.count(_OWN_WRITTEN) == (2 if encoded else 0) and _ELSEWHERE not in written
    if not own or not _are_plain(claims, disclosures, encoded):
        disclosed(payload, encoded)
    return written, encoded


def _payload(
    claims: Mapping[str, Any], disclosures: Sequence[Disclosure], decoys: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    if not _RESERVED.isdisjoint(claims):
        raise _bad_disclosure()
    encoded = [item.encoded for item in disclosures]
    digests = sorted([*map(digest, encoded), *decoys])
    return ({**claims, "_sd": digests, "_sd_alg": _ALGORITHM} if digests else dict(claims)), encoded


def _are_plain(claims: Mapping[str, Any], disclosures: Sequence[Disclosure], encoded: Sequence[str]) -> bool:
    """Whether these are short texts under names of their own, which ``disclosed`` can only accept."""
    names = {item.name for item in disclosures}
    if len(names) < len(disclosures) or not (names.isdisjoint(claims) and names.isdisjoint(_NEVER_HIDDEN)):
        return False
    # Loops, because this is run for every record: generators take three times as long.
    for item in disclosures:
        if type(item.value) is not str or not f"{item.salt}{item.name}{item.value}".isprintable():
            return False
    for one in encoded:  # noqa: SIM110 - as above
        if len(one) > MAX_DISCLOSURE_CHARS:
            return False
    return True


def compose(jws: str, disclosures: Sequence[str]) -> str:
    """The SD-JWT: the signed JWT and the encoded disclosures, each followed by a tilde.

    Args:
        jws: compact serialisation.
        disclosures: ``Disclosure.encoded``, in any order.

    Raises:
        SignatureRejected: step ``sd_jwt_malformed``, where ``split`` would refuse the result.
    """
    sd_jwt = "~".join([jws, *disclosures, ""])
    split(sd_jwt)
    return sd_jwt


def split(sd_jwt: str) -> tuple[str, list[str]]:
    """The signed JWT and the encoded disclosures; nothing is verified yet.

    Raises:
        SignatureRejected: step ``sd_jwt_malformed``: too long, too many, twice the same, not base64url, or
            not ended by a tilde (a bare JWT, or one with key binding).
    """
    if len(sd_jwt) > MAX_SD_JWT_CHARS:
        raise _malformed()
    jws, *disclosures = sd_jwt.split("~")
    if not disclosures or disclosures.pop() != "" or len(disclosures) > MAX_DISCLOSURES:
        raise _malformed()
    sound = all(_BASE64URL.fullmatch(item) and len(item) <= MAX_DISCLOSURE_CHARS for item in disclosures)
    if not sound or not _JWS.fullmatch(jws) or len(set(disclosures)) != len(disclosures):
        raise _malformed()
    return jws, disclosures


def disclosed(payload: Mapping[str, Any], disclosures: Sequence[str]) -> dict[str, Any]:
    """The claims of a *verified* payload together with those disclosed (RFC 9901, 7.1, steps 3 to 5).

    Args:
        payload: of the signed JWT, its signature verified.
        disclosures: as ``split`` gave them.

    Returns:
        the claims without ``_sd`` and ``_sd_alg``.

    Raises:
        SignatureRejected: step ``disclosure``: a digest occurs twice, a disclosure is not referenced exactly
            once or is malformed, its name is reserved, must be visible or is taken, or digests stand
            elsewhere than at the top level.
    """
    embedded = payload.get("_sd", [])
    if not isinstance(embedded, list) or not all(isinstance(item, str) for item in embedded):
        raise _bad_disclosure()
    signed = set(embedded)
    if payload.get("_sd_alg", _ALGORITHM) != _ALGORITHM or len(signed) != len(embedded):
        raise _bad_disclosure()
    claims = {name: value for name, value in payload.items() if name not in {"_sd", "_sd_alg"}}
    _refuse_reserved(claims)
    for encoded in disclosures:
        item = parse_disclosure(encoded)
        # The same disclosure twice fails here too: its name is taken.
        if digest(encoded) not in signed or item.name in claims:
            raise _bad_disclosure()
        claims[item.name] = item.value
    return claims


def redact(sd_jwt: str, keep: Collection[str]) -> str:
    """The SD-JWT with only the disclosures of the claims named; the signature stays valid.

    Args:
        sd_jwt: as issued or received.
        keep: names of claims; a name that is not there is no error.

    Raises:
        SignatureRejected: step ``sd_jwt_malformed`` or ``disclosure``.
    """
    names = frozenset(keep)
    jws, disclosures = split(sd_jwt)
    return compose(jws, [item for item in disclosures if parse_disclosure(item).name in names])


def parse_disclosure(encoded: str) -> Disclosure:
    """Read one disclosure strictly; that its digest was signed is for ``disclosed`` to say.

    Its own ``encoded`` need not be the same text: others may space and escape the JSON differently.

    Raises:
        SignatureRejected: step ``disclosure``: not ``[salt, name, value]`` in canonical base64url and strict
            JSON, too long, or a name or key that is reserved or must be visible.
    """
    if len(encoded) > MAX_DISCLOSURE_CHARS:
        raise _bad_disclosure()
    try:
        content = strict_json.loads(base64url.decode(encoded), max_bytes=MAX_DISCLOSURE_CHARS)
    except (ValueError, RequestRejected):
        raise _bad_disclosure() from None
    match content:
        case [str() as salt, str() as name, value] if name not in ALWAYS_VISIBLE:
            _refuse_reserved({name: value})
            return Disclosure(salt, name, value)
        case _:
            raise _bad_disclosure()


def _refuse_reserved(value: Any) -> None:
    """Refuse digests at any depth; a loop, because what is walked may come from outside."""
    pending = [value]
    while pending:
        match pending.pop():
            case dict() as found:
                if not _RESERVED.isdisjoint(found):
                    raise _bad_disclosure()
                pending += [member for member in found.values() if type(member) is not str]
            case list() | tuple() as found:
                pending += [member for member in found if type(member) is not str]
            case _:
                pass


def _malformed() -> SignatureRejected:
    return SignatureRejected("sd_jwt_malformed")


def _bad_disclosure() -> SignatureRejected:
    return SignatureRejected("disclosure")

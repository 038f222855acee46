"""Compact JWS, strictly (RFC 7515): parse, then verify with one key under its one registered algorithm.

1. ``parse_compact`` settles the form and believes nothing: size, three parts, canonical base64url, strict
   JSON header, no parameter that brings its own key or changes what is signed.
2. The caller picks the key by what it has registered (issuer, ``kid``, date), never by what the token brings.
3. ``verify`` compares the algorithm with the key's and checks the signature.

The caller still owes ``typ``, the claims, and replay: an ES256 signature can be altered into another valid
one, so that token bytes identify nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NoReturn, Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from verifier.errors import Code, ConfigurationError, RequestRejected, SignatureRejected
from verifier.signatures import base64url, hmac, strict_json
from verifier.signatures.sm2 import Sm2PublicKey
from verifier.signatures.steps import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from verifier.signatures.strict_json import JsonValue


class Algorithm(StrEnum):
    """The signature algorithms of keys (RFC 7518, section 3.1; RFC 8037; GB/T 32918.2).

    ``REGISTERABLE`` are those that the trust register may name for tokens; the others exist so that a token
    under them is decided, and public test vectors run. ``SM2`` has no registered name in JOSE: no token is
    accepted under it, and ``asymmetric`` verifies it in certificates of other forms.
    """

    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"
    EDDSA = "EdDSA"
    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    HS256 = "HS256"
    HS384 = "HS384"
    HS512 = "HS512"
    SM2 = "SM3withSM2"


REGISTERABLE: Final = frozenset({Algorithm.ES256, Algorithm.EDDSA, Algorithm.RS256, Algorithm.PS256})
"""What a trust register may name. No shared secrets: who can verify them can forge them."""

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey | Sm2PublicKey
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey

CURVES: Final[Mapping[Algorithm, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1]] = MappingProxyType(
    {Algorithm.ES256: ec.SECP256R1(), Algorithm.ES384: ec.SECP384R1(), Algorithm.ES512: ec.SECP521R1()},
)
"""The one curve of each ECDSA algorithm (RFC 7518, section 3.4)."""

_HASHES: Final[Mapping[str, hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = MappingProxyType(
    {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()},
)
_ECDSA: Final[Mapping[Algorithm, ec.ECDSA]] = MappingProxyType(
    {algorithm: ec.ECDSA(_HASHES[algorithm[2:]]) for algorithm in CURVES},
)
_HMAC_NAMES: Final[Mapping[Algorithm, Literal["sha256", "sha384", "sha512"]]] = MappingProxyType(
    {Algorithm.HS256: "sha256", Algorithm.HS384: "sha384", Algorithm.HS512: "sha512"},
)
_REFUSED_HEADERS: Final = frozenset({"jwk", "jku", "x5u", "crit", "b64", "zip", "enc"})
_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]+)")
_KID: Final = re.compile(r"[\x20-\x7e]{1,128}")
MAX_CACHED_HEADERS: Final = 128
"""As many signers are met again and again; none is longer than the token's limit."""


def hash_of(algorithm: Algorithm) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    """The hash of an algorithm whose name ends in its length: all but EdDSA and SM2."""
    return _HASHES[algorithm[2:]]


def _fits(algorithm: Algorithm, public: PublicKey | bytes) -> bool:
    if isinstance(public, bytes):
        # RFC 7518, section 3.2: a key shorter than the hash is easier to guess than the hash promises.
        return algorithm.startswith("HS") and len(public) >= hash_of(algorithm).digest_size
    if isinstance(public, ec.EllipticCurvePublicKey):
        return algorithm in CURVES and CURVES[algorithm].name == public.curve.name
    if isinstance(public, Ed25519PublicKey):
        return algorithm is Algorithm.EDDSA
    if isinstance(public, Sm2PublicKey):
        return algorithm is Algorithm.SM2
    return algorithm.startswith(("RS", "PS"))


def _check_key(kid: str, algorithm: Algorithm, public: PublicKey | bytes) -> None:
    if _KID.fullmatch(kid) is None:
        raise ConfigurationError(Code.KEY_REFUSED, "a key id is not 1 to 128 printable ASCII characters")
    if not _fits(algorithm, public):
        raise ConfigurationError(Code.KEY_REFUSED, "a key does not fit its algorithm")


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key with the one algorithm it is registered for. ``keys`` loads and vets them.

    Attributes:
        kid: its id, 1 to 128 printable ASCII characters.
        algorithm: the only algorithm it verifies.
        public: the public key; for HMAC the shared secret.

    Raises:
        ConfigurationError: ``key_refused``: the key does not fit the algorithm.
    """

    kid: str
    algorithm: Algorithm
    public: PublicKey | bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check_key(self.kid, self.algorithm, self.public)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with the one algorithm it signs by.

    Raises:
        ConfigurationError: ``key_refused``: the key does not fit the algorithm.
    """

    kid: str
    algorithm: Algorithm
    private: PrivateKey = field(repr=False)

    def __post_init__(self) -> None:
        _check_key(self.kid, self.algorithm, self.private.public_key())

    @property
    def verification_key(self) -> VerificationKey:
        """The public half."""
        return VerificationKey(self.kid, self.algorithm, self.private.public_key())

    def sign(self, data: bytes) -> bytes:
        """The signature of these bytes, in the form of RFC 7518."""
        return signature(data, self)


class Signs(Protocol):
    """Whatever signs under a key's id: a ``SigningKey``, or what holds one elsewhere."""

    @property
    def kid(self) -> str:
        """The key's id."""
        ...

    @property
    def algorithm(self) -> Algorithm:
        """The one algorithm that it signs by."""
        ...

    def sign(self, data: bytes) -> bytes:
        """The signature of these bytes, in the form of RFC 7518."""
        ...


@dataclass(frozen=True, slots=True)
class UnverifiedJws:
    """A token whose form is right; nothing in it is believed yet.

    Attributes:
        header: the protected header.
        alg: what it calls its algorithm; any text.
        kid: what it calls its key, if it does.
        typ: what it calls its type, if it does.
        payload: the decoded payload.
        signing_input: the bytes that are signed.
        signature: the decoded signature.
    """

    header: Mapping[str, JsonValue] = field(repr=False)
    alg: str
    kid: str | None
    typ: str | None
    payload: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def _malformed() -> NoReturn:
    raise SignatureRejected(Step.MALFORMED)


def _text(header: Mapping[str, JsonValue], name: str) -> str | None:
    """A header parameter that is text if it is there; null is not absence."""
    if name not in header:
        return None
    value = header[name]
    return value if isinstance(value, str) else _malformed()


def parse_compact(token: str, *, max_bytes: int = 8192, allow_x5c: bool = False) -> UnverifiedJws:
    """Takes a compact JWS apart without believing it.

    Args:
        token: the token, without surrounding white space.
        max_bytes: its greatest length.
        allow_x5c: whether the header may carry a certificate chain, for callers that verify it.

    Raises:
        SignatureRejected: ``malformed`` or ``header_refused``; nothing else, whatever the text.
    """
    parts = _COMPACT.fullmatch(token) if len(token) <= max_bytes else None
    if parts is None:
        _malformed()
    try:
        payload, signature = base64url.decode(parts[2]), base64url.decode(parts[3])
    except ValueError:
        _malformed()
    header = _header(parts[1], allow_x5c)
    return UnverifiedJws(
        header=header.parameters,
        alg=header.alg,
        kid=header.kid,
        typ=header.typ,
        payload=payload,
        signing_input=token[: parts.end(2)].encode("ascii"),
        signature=signature,
    )


@dataclass(frozen=True, slots=True)
class _Header:
    parameters: Mapping[str, JsonValue]
    alg: str
    kid: str | None
    typ: str | None


@lru_cache(maxsize=MAX_CACHED_HEADERS)
def _header(written: str, allow_x5c: bool) -> _Header:  # noqa: FBT001 - the cache tells arguments by place
    """A header that has its form. A signer's is the same in all its tokens, and remembered once accepted."""
    try:
        raw = base64url.decode(written)
        header = strict_json.loads(raw, max_bytes=len(raw), max_depth=4)
    except (ValueError, RequestRejected):
        _malformed()
    if not isinstance(header, dict):
        _malformed()
    if not _REFUSED_HEADERS.isdisjoint(header) or ("x5c" in header and not allow_x5c):
        raise SignatureRejected(Step.HEADER_REFUSED)
    alg, kid = _text(header, "alg"), _text(header, "kid")
    if alg is None or (kid is not None and _KID.fullmatch(kid) is None):
        _malformed()
    return _Header(MappingProxyType(header), alg, kid, _text(header, "typ"))


def _ecdsa_der(raw: bytes, curve: ec.EllipticCurve) -> bytes:
    """The library's DER from r || s: fixed length, both in 1 .. n - 1."""
    size = (curve.key_size + 7) // 8
    r, s = int.from_bytes(raw[:size]), int.from_bytes(raw[size:])
    if len(raw) != 2 * size or not (0 < r < curve.group_order and 0 < s < curve.group_order):
        raise InvalidSignature
    return encode_dss_signature(r, s)


def rsa_padding(algorithm: Algorithm) -> padding.PKCS1v15 | padding.PSS:
    """The padding of an RSA algorithm: PKCS #1 v1.5, or PSS with the hash on both levels."""
    if algorithm.startswith("RS"):
        return padding.PKCS1v15()
    digest = hash_of(algorithm)
    # RFC 7518, section 3.5: the salt is as long as the hash, no other length is accepted.
    return padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)


def _check(signature: bytes, signing_input: bytes, key: VerificationKey) -> None:
    public = key.public
    if isinstance(public, bytes):
        expected = hmac.digest(public, signing_input, _HMAC_NAMES[key.algorithm])
        if not hmac.equal(expected, signature):
            raise InvalidSignature
    elif isinstance(public, ec.EllipticCurvePublicKey):
        der = _ecdsa_der(signature, public.curve)
        public.verify(der, signing_input, _ECDSA[key.algorithm])
    elif isinstance(public, Ed25519PublicKey):
        public.verify(signature, signing_input)
    elif isinstance(public, Sm2PublicKey):
        raise SignatureRejected(Step.ALGORITHM)
    else:
        public.verify(signature, signing_input, rsa_padding(key.algorithm), hash_of(key.algorithm))


def verify(jws: UnverifiedJws, key: VerificationKey) -> bytes:
    """Verifies a parsed token with one key.

    Returns:
        The payload, now authentic: signed by the holder of ``key``.

    Raises:
        SignatureRejected: ``algorithm`` or ``signature``; nothing else.
    """
    if jws.alg != key.algorithm:
        raise SignatureRejected(Step.ALGORITHM)
    try:
        _check(jws.signature, jws.signing_input, key)
    except InvalidSignature as error:
        raise SignatureRejected(Step.SIGNATURE) from error
    return jws.payload


def signing_input(
    payload: bytes,
    key: Signs,
    *,
    typ: str,
    headers: Mapping[str, JsonValue] | None = None,
) -> bytes:
    """The bytes that are signed: canonical header, payload.

    Args:
        payload: signed as it is.
        key: gives ``alg`` and ``kid``.
        typ: the token's kind, explicit so that no kind passes for another (RFC 8725, section 3.11).
        headers: further header parameters.

    Raises:
        ConfigurationError: ``configuration_invalid``: a header that would replace ours or that we refuse.
    """
    header = _protected(key.algorithm.value, key.kid, typ)
    if headers:
        own: dict[str, JsonValue] = {"alg": key.algorithm.value, "kid": key.kid, "typ": typ}
        if not (_REFUSED_HEADERS | own.keys()).isdisjoint(headers):
            raise ConfigurationError(Code.CONFIGURATION_INVALID, "a header parameter may not be set")
        header = base64url.encode(strict_json.canonical({**headers, **own}))
    return f"{header}.{base64url.encode(payload)}".encode("ascii")


@lru_cache(maxsize=MAX_CACHED_HEADERS)
def _protected(alg: str, kid: str, typ: str) -> str:
    """The header of tokens of one kind under one key: the same in all of them."""
    return base64url.encode(strict_json.canonical({"alg": alg, "kid": kid, "typ": typ}))


def signature(signing_input: bytes, key: SigningKey) -> bytes:
    """Signs bytes by the key's algorithm, in the form of RFC 7518 (ECDSA: r || s)."""
    private = key.private
    if isinstance(private, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(private.sign(signing_input, _ECDSA[key.algorithm]))
        size = (private.curve.key_size + 7) // 8
        return r.to_bytes(size) + s.to_bytes(size)
    if isinstance(private, Ed25519PrivateKey):
        return private.sign(signing_input)
    return private.sign(signing_input, rsa_padding(key.algorithm), hash_of(key.algorithm))


def sign_compact(
    payload: bytes,
    key: Signs,
    *,
    typ: str,
    headers: Mapping[str, JsonValue] | None = None,
) -> str:
    """A compact JWS; arguments and errors as in ``signing_input``."""
    signed = signing_input(payload, key, typ=typ, headers=headers)
    return f"{signed.decode('ascii')}.{base64url.encode(key.sign(signed))}"

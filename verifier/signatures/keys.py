"""Loads keys and refuses the weak, the ambiguous and the misdeclared.

Everything here is our configuration, so that every refusal is a ``ConfigurationError`` with ``key_refused``.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from verifier.errors import Code, ConfigurationError, RequestRejected
from verifier.signatures import base64url, strict_json, weak_keys
from verifier.signatures.jws import Algorithm, PublicKey, SigningKey, VerificationKey
from verifier.signatures.sm2 import DEFAULT_ID, Sm2PublicKey
from verifier.signatures.strict_json import JsonValue

Jwk = Mapping[str, JsonValue]

MAX_JWKS_BYTES: Final = 262_144
MAX_JWKS_KEYS: Final = 100
_PUBLIC_PEM: Final = re.compile(
    rb"\s*-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]{1,512})-----END PUBLIC KEY-----\s*"
)
_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}
_CURVE_NAMES: Final = {curve.name: name for name, curve in _CURVES.items()}
_THUMBPRINT_MEMBERS: Final = {
    "EC": ("crv", "kty", "x", "y"),
    "RSA": ("e", "kty", "n"),
    "OKP": ("crv", "kty", "x"),
}


def _refused(detail: str) -> ConfigurationError:
    return ConfigurationError(Code.KEY_REFUSED, detail)


def _accepted(public: object, algorithm: Algorithm, kid: str) -> VerificationKey:
    """The one gate for public keys, whatever form they came in."""
    match public:
        case rsa.RSAPublicKey():
            numbers = public.public_numbers()
            weak_keys.check_rsa(numbers.n, numbers.e)
        case Ed25519PublicKey():
            weak_keys.check_ed25519(public.public_bytes_raw())
        case ec.EllipticCurvePublicKey() | Sm2PublicKey():
            pass  # made only of points on their curve; VerificationKey checks that the curve fits
        case _:
            raise _refused("a key is neither RSA, EC, Ed25519 nor SM2")
    return VerificationKey(kid, algorithm, public)


def _only_block(pem: bytes) -> None:
    if pem.count(b"-----BEGIN ") != 1:
        raise _refused("a key file does not hold exactly one PEM block")


def _sm2(pem: bytes, sm2_id: bytes) -> Sm2PublicKey:
    """The other library's loader raises on this curve."""
    match = _PUBLIC_PEM.fullmatch(pem)
    try:
        der = binascii.a2b_base64(b"".join(match[1].split()) if match else b"=", strict_mode=True)
    except ValueError as error:
        raise _refused("a public key file cannot be read") from error
    return Sm2PublicKey.from_spki(der, sm2_id)


def load_public_pem(
    pem: bytes, algorithm: Algorithm, kid: str, *, sm2_id: bytes = DEFAULT_ID
) -> VerificationKey:
    """Loads a public key from PEM (SubjectPublicKeyInfo).

    Args:
        pem: one PEM block.
        algorithm: the algorithm the key is registered for.
        kid: the id it is registered under.
        sm2_id: for ``SM3withSM2``, the distinguishing id that the signer hashes in.

    Raises:
        ConfigurationError: ``key_refused``.
    """
    _only_block(pem)
    if algorithm is Algorithm.SM2:
        return _accepted(_sm2(pem, sm2_id), algorithm, kid)
    try:
        public = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refused("a public key file cannot be read") from error
    return _accepted(public, algorithm, kid)


def spki(public: PublicKey) -> bytes:
    """The SubjectPublicKeyInfo of a public key, DER: the same bytes for the same key, whatever its kind."""
    if isinstance(public, Sm2PublicKey):
        return public.spki()
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def load_private_pem(
    pem: bytes, algorithm: Algorithm, kid: str, *, password: bytes | None = None
) -> SigningKey:
    """Loads a private key from PEM; its public half passes the same checks as anyone's.

    Args:
        pem: one PEM block.
        algorithm: the algorithm it will sign by.
        kid: the id it will sign under.
        password: for an encrypted file.

    Raises:
        ConfigurationError: ``key_refused``.
    """
    _only_block(pem)
    try:
        private = serialization.load_pem_private_key(pem, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # TypeError: a password is missing, or given for a file that has none.
        raise _refused("a private key file cannot be read") from error
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise _refused("a key is neither RSA, EC nor Ed25519")
    _accepted(private.public_key(), algorithm, kid)
    return SigningKey(kid, algorithm, private)


def _bytes(jwk: Jwk, name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str):
        raise _refused("a JWK member is missing or not text")
    try:
        return base64url.decode(value)
    except ValueError as error:
        raise _refused("a JWK member is not canonical base64url") from error


def _number(jwk: Jwk, name: str) -> int:
    data = _bytes(jwk, name)
    if data[:1] in {b"", b"\x00"}:
        raise _refused("a JWK number is not in its shortest form")  # RFC 7518, section 2: Base64urlUInt
    return int.from_bytes(data)


def _rsa(jwk: Jwk) -> PublicKey:
    n, e = _number(jwk, "n"), _number(jwk, "e")
    weak_keys.check_rsa(n, e)  # before the library, which names other limits
    return rsa.RSAPublicNumbers(e, n).public_key()


def _ec(jwk: Jwk) -> PublicKey:
    curve = _CURVES.get(str(jwk.get("crv")))
    if curve is None:
        raise _refused("a JWK names an unknown curve")
    x, y = _bytes(jwk, "x"), _bytes(jwk, "y")
    if not len(x) == len(y) == (curve.key_size + 7) // 8:
        raise _refused("a JWK coordinate is not of its curve's length")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + x + y)
    except ValueError as error:
        raise _refused("a JWK point is not on its curve") from error


def _okp(jwk: Jwk) -> PublicKey:
    if jwk.get("crv") != "Ed25519":
        raise _refused("a JWK names an unknown curve")
    try:
        return Ed25519PublicKey.from_public_bytes(_bytes(jwk, "x"))
    except ValueError as error:
        raise _refused("a JWK point is not of its curve's length") from error


_READERS: Final[Mapping[str, Callable[[Jwk], PublicKey]]] = {"RSA": _rsa, "EC": _ec, "OKP": _okp}


def _check_purpose(jwk: Jwk) -> None:
    """Where ``use`` or ``key_ops`` stand they must allow verification (RFC 7517, sections 4.2 and 4.3)."""
    if jwk.get("use", "sig") != "sig":
        raise _refused("a JWK's use is not sig")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise _refused("a JWK's key_ops do not allow verification")


def _agreed(jwk: Jwk, member: str, registered: str | None) -> str:
    """What register and JWK say of a key: one of them must, and they must not differ."""
    claimed = jwk.get(member, registered)
    if not isinstance(claimed, str) or registered not in {None, claimed}:
        raise _refused(f"a key's {member} is missing, not text, or not the registered one")
    return claimed


def _declared(jwk: Jwk, algorithm: Algorithm | None, kid: str | None) -> tuple[Algorithm, str]:
    name = _agreed(jwk, "alg", algorithm)
    if name not in set(Algorithm):
        raise _refused("a key's alg is unknown")
    return Algorithm(name), _agreed(jwk, "kid", kid)


def load_public_jwk(jwk: Jwk, algorithm: Algorithm | None = None, kid: str | None = None) -> VerificationKey:
    """Loads a public key from a JWK (RFC 7517, RFC 7518, RFC 8037). Unknown members are ignored.

    Args:
        jwk: the decoded JSON object.
        algorithm: the algorithm it is registered for; without it the JWK's own ``alg``.
        kid: the id it is registered under; without it the JWK's own ``kid``.

    Raises:
        ConfigurationError: ``key_refused``: weak, private or symmetric, not for verification, not on its
            curve, or at odds with the register.
    """
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise _refused("a public JWK holds private or symmetric parts")
    _check_purpose(jwk)
    algorithm, kid = _declared(jwk, algorithm, kid)
    reader = _READERS.get(str(jwk.get("kty")))
    if reader is None:
        raise _refused("a JWK's kty is unknown")
    return _accepted(reader(jwk), algorithm, kid)


def load_secret_jwk(jwk: Jwk, algorithm: Algorithm | None = None, kid: str | None = None) -> VerificationKey:
    """Loads a symmetric key for HMAC (``kty`` is ``oct``); arguments as in ``load_public_jwk``.

    Raises:
        ConfigurationError: ``key_refused``: not symmetric, shorter than its hash, or not for verification.
    """
    if jwk.get("kty") != "oct":
        raise _refused("a JWK is not symmetric")
    _check_purpose(jwk)
    algorithm, kid = _declared(jwk, algorithm, kid)
    return VerificationKey(kid, algorithm, _bytes(jwk, "k"))


def load_jwks(raw: bytes, *, symmetric: bool = False) -> tuple[VerificationKey, ...]:
    """Loads a JWK set. One bad key refuses the whole set: who registers it must know.

    Args:
        raw: the JSON document.
        symmetric: whether the set is of HMAC keys instead of public keys; a set is never of both.

    Raises:
        ConfigurationError: ``key_refused``: not a set, empty, over 100 keys, a key refused, or an id given
            twice.
    """
    try:
        document = strict_json.loads(raw, max_bytes=MAX_JWKS_BYTES)
    except RequestRejected as error:
        raise _refused("a JWK set is not strict JSON") from error
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_JWKS_KEYS:
        raise _refused("a JWK set does not hold 1 to 100 keys")
    load = load_secret_jwk if symmetric else load_public_jwk
    loaded: dict[str, VerificationKey] = {}
    for entry in entries:
        if not isinstance(entry, dict):
            raise _refused("a JWK is not an object")
        key = load(entry)
        if key.kid in loaded:
            raise _refused("a JWK set gives one id to two keys")
        loaded[key.kid] = key
    return tuple(loaded.values())


def public_jwk(key: VerificationKey) -> dict[str, str]:
    """The public JWK of a key, with ``alg``, ``kid`` and ``use``.

    Raises:
        ConfigurationError: ``key_refused``: the key is symmetric and has no public form, or is an SM2 key,
            for which JOSE has none.
    """
    match key.public:
        case rsa.RSAPublicKey() as public:
            numbers = public.public_numbers()
            shape = {"kty": "RSA", "n": _encoded(numbers.n), "e": _encoded(numbers.e)}
        case ec.EllipticCurvePublicKey() as public:
            size = (public.curve.key_size + 7) // 8
            point = public.public_numbers()
            shape = {
                "kty": "EC",
                "crv": _CURVE_NAMES[public.curve.name],
                "x": _encoded(point.x, size),
                "y": _encoded(point.y, size),
            }
        case Ed25519PublicKey() as public:
            shape = {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(public.public_bytes_raw())}
        case _:
            raise _refused("a symmetric key, or one on the SM2 curve, has no public JWK")
    return {**shape, "alg": key.algorithm.value, "kid": key.kid, "use": "sig"}


def _encoded(number: int, size: int | None = None) -> str:
    return base64url.encode(number.to_bytes(size or (number.bit_length() + 7) // 8))


def thumbprint(jwk: Jwk) -> str:
    """The SHA-256 thumbprint of a public JWK, base64url (RFC 7638, RFC 8037 section 2).

    Raises:
        ConfigurationError: ``key_refused``: a symmetric or unknown ``kty``, or a required member is missing.
    """
    members = _THUMBPRINT_MEMBERS.get(str(jwk.get("kty")))
    if members is None or not all(isinstance(jwk.get(name), str) for name in members):
        raise _refused("a JWK has no thumbprint: unknown kty or a member missing")
    required: dict[str, JsonValue] = {name: jwk[name] for name in members}
    return base64url.encode(hashlib.sha256(strict_json.canonical(required)).digest())

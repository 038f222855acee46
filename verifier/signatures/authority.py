"""What authorities sign, certificates and revocation lists alike: its outer form, algorithm and signature."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import ObjectIdentifier

from verifier.errors import Code, ConfigurationError, SignatureRejected
from verifier.signatures import asymmetric, der, weak_keys
from verifier.signatures.jws import Algorithm, PublicKey, VerificationKey
from verifier.signatures.sm2 import Sm2PublicKey
from verifier.signatures.steps import Step

MAX_CACHED: Final = 256
"""Keys and signatures remembered: an authority's are met again with every document."""

ALGORITHMS: Final[Mapping[bytes, Algorithm]] = MappingProxyType(
    {
        **dict.fromkeys(der.RSA_WITH_SHA256, Algorithm.RS256),
        **dict.fromkeys(der.with_or_without_null("1.2.840.113549.1.1.12"), Algorithm.RS384),
        **dict.fromkeys(der.with_or_without_null("1.2.840.113549.1.1.13"), Algorithm.RS512),
        **dict.fromkeys(der.PSS_WITH_SHA256, Algorithm.PS256),
        der.ECDSA_WITH_SHA256: Algorithm.ES256,
        der.identifier("1.2.840.10045.4.3.3"): Algorithm.ES384,
        der.identifier("1.3.101.112"): Algorithm.EDDSA,
        **dict.fromkeys(der.SM2_WITH_SM3, Algorithm.SM2),
    }
)
"""By what an authority may sign; the whole identifier is compared, so that no parameter goes unread.

RFC 4055 section 5, RFC 5758 section 3.2, RFC 8410 section 3, GM/T 0015 for SM2. SHA-1 is not among them.
"""

_SM2_KEY: Final = der.identifier("1.2.840.10045.2.1", der.encode(ObjectIdentifier("1.2.156.10197.1.301")))
_PEM: Final = re.compile(
    rb"\s*-----BEGIN ([A-Z0-9 ]{1,32})-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END \1-----\s*"
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A certificate or a revocation list taken apart; nothing in it is believed yet.

    Attributes:
        tbs: the bytes signed.
        identifier: the algorithm's, DER.
        signature: ECDSA and SM2 in DER.
    """

    tbs: bytes = field(repr=False)
    identifier: bytes
    signature: bytes = field(repr=False)


def statement(data: bytes) -> Statement:
    """Takes apart what an authority signed.

    Raises:
        SignatureRejected: ``malformed``.
    """
    outer = der.decode(der.Signed, data)
    if outer.signature.padding_bits() != 0:
        raise der.malformed()
    return Statement(der.encode(outer.tbs), der.encode(outer.algorithm), outer.signature.as_bytes())


def _vetted(public: object) -> PublicKey:
    match public:
        case rsa.RSAPublicKey():
            numbers = public.public_numbers()
            weak_keys.check_rsa(numbers.n, numbers.e)
        case Ed25519PublicKey():
            weak_keys.check_ed25519(public.public_bytes_raw())
        case ec.EllipticCurvePublicKey():
            pass  # the library checks that the point is on its curve, ``VerificationKey`` that the curve fits
        case _:
            raise ConfigurationError(Code.KEY_REFUSED, "a key is neither RSA, EC, Ed25519 nor SM2")
    return public


@lru_cache(maxsize=MAX_CACHED)
def public_key(spki: bytes, sm2_id: bytes) -> PublicKey:
    """The key that a certificate certifies; its strength is looked at once for many uses.

    Args:
        spki: SubjectPublicKeyInfo, DER.
        sm2_id: what the key's holder hashes in, if it is an SM2 key.

    Raises:
        SignatureRejected: ``chain``: of no kind known here, or weak.
    """
    try:
        if spki[2:].startswith(_SM2_KEY):
            return Sm2PublicKey.from_spki(spki, sm2_id)
        return _vetted(load_der_public_key(spki))
    except (ValueError, UnsupportedAlgorithm, ConfigurationError) as error:
        raise SignatureRejected(Step.CHAIN) from error


@lru_cache(maxsize=MAX_CACHED)
def check_signed_by(signed: Statement, spki: bytes, sm2_id: bytes) -> None:
    """Checks that an authority's key signed a statement, by an algorithm that fits the key.

    It depends on no time, so that what once held is remembered; what does not hold is not, and so drives
    nothing else out of memory.

    Args:
        signed: certificate or revocation list.
        spki: the authority's key; as in ``public_key``.
        sm2_id: what the authorities of this chain hash in.

    Raises:
        SignatureRejected: ``chain``.
        ConfigurationError: ``configuration_invalid``: an SM2 key, and libcrypto has no SM2.
    """
    algorithm = ALGORITHMS.get(signed.identifier)
    public = public_key(spki, sm2_id)
    if algorithm is None:
        raise SignatureRejected(Step.CHAIN)
    try:
        key = VerificationKey("authority", algorithm, public)
    except ConfigurationError as error:
        raise SignatureRejected(Step.CHAIN) from error
    try:
        asymmetric.verify(key, signed.tbs, signed.signature)
    except SignatureRejected as error:
        raise SignatureRejected(Step.CHAIN) from error


def unwrapped(data: bytes, label: str) -> bytes:
    """DER from a file of ours that is either DER or one PEM block of that label (RFC 7468).

    Raises:
        ConfigurationError: ``key_refused``: it begins like PEM and is not exactly one such block.
    """
    if not data.lstrip().startswith(b"-----"):
        return data
    match = _PEM.fullmatch(data)
    if match is None or match[1] != label.encode("ascii"):
        raise ConfigurationError(Code.KEY_REFUSED, "a PEM file does not hold exactly one block of its kind")
    try:
        return _base64(b"".join(match[2].split()))
    except ValueError as error:
        raise ConfigurationError(Code.KEY_REFUSED, "a PEM file is not canonical base64") from error


def _base64(text: bytes) -> bytes:
    found = binascii.a2b_base64(text, strict_mode=True)
    if binascii.b2a_base64(found, newline=False) != text:
        raise ValueError
    return found

"""Signatures by a registered public key over plain bytes, in the forms of X.509, CMS and XML.

ECDSA and SM2 signatures are DER here, while tokens (``jws``) have r || s. What a platform sends as text is
brought into this form by ``decode``, by the one encoding that is registered with the key; a signature in
another encoding is malformed, never tried.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from verifier.errors import SignatureRejected
from verifier.signatures import sm2
from verifier.signatures.jws import CURVES, Algorithm, VerificationKey, hash_of, rsa_padding
from verifier.signatures.steps import Step

_RAW_BYTES: Final = {
    Algorithm.SM2: 64,
    **{algorithm: 2 * ((curve.key_size + 7) // 8) for algorithm, curve in CURVES.items()},
}
"""Length of r || s, where a signature is a pair of numbers."""
# 1,024 bytes at the most: a signature by the longest RSA modulus that is accepted.
_HEX: Final = re.compile(r"(?:[0-9a-f]{2}){1,1024}|(?:[0-9A-F]{2}){1,1024}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{2,1366}={0,2}")


class SignatureEncoding(StrEnum):
    """How a signature is written as text. For RSA and EdDSA, ``der`` and ``raw`` are the same bytes."""

    DER_BASE64 = "der+base64"
    DER_HEX = "der+hex"
    RAW_BASE64 = "raw+base64"
    RAW_HEX = "raw+hex"


def _base64(text: str) -> bytes:
    if _BASE64.fullmatch(text) is None:
        raise ValueError
    data = binascii.a2b_base64(text, strict_mode=True)
    # Left-over bits would give one signature many spellings.
    if base64.b64encode(data).decode("ascii") != text:
        raise ValueError
    return data


def _hex(text: str) -> bytes:
    if _HEX.fullmatch(text) is None:
        raise ValueError
    return bytes.fromhex(text)


_READERS: Final[dict[str, Callable[[str], bytes]]] = {"base64": _base64, "hex": _hex}


def decode(text: str, encoding: SignatureEncoding, algorithm: Algorithm) -> bytes:
    """The bytes that ``verify`` takes, from a signature as text.

    Args:
        text: as received: standard base64 with padding, or hexadecimal digits of one case.
        encoding: the one that is registered with the key.
        algorithm: the key's; it says whether the signature is a pair of numbers at all.

    Raises:
        SignatureRejected: ``malformed``.
    """
    form, _, reading = encoding.partition("+")
    try:
        data = _READERS[reading](text)
    except ValueError as error:
        raise SignatureRejected(Step.MALFORMED) from error
    size = _RAW_BYTES.get(algorithm)
    if form == "der" or size is None:
        return data
    if len(data) != size:
        raise SignatureRejected(Step.MALFORMED)
    r, s = int.from_bytes(data[: size // 2]), int.from_bytes(data[size // 2 :])
    return encode_dss_signature(r, s)


def verify(key: VerificationKey, data: bytes, signature: bytes) -> None:
    """Verifies a signature by the key's one algorithm.

    Args:
        key: a registered key.
        data: what was signed.
        signature: DER for ECDSA and SM2; the plain bytes for RSA and EdDSA.

    Raises:
        SignatureRejected: ``algorithm``: the key is a shared secret; ``signature``.
        ConfigurationError: ``configuration_invalid``: an SM2 key, and libcrypto has no SM2.
    """
    public = key.public
    try:
        if isinstance(public, bytes):
            raise SignatureRejected(Step.ALGORITHM)
        if isinstance(public, sm2.Sm2PublicKey):
            sm2.verify(public, data, signature)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, data, ec.ECDSA(hash_of(key.algorithm)))
        elif isinstance(public, Ed25519PublicKey):
            public.verify(signature, data)
        else:
            public.verify(signature, data, rsa_padding(key.algorithm), hash_of(key.algorithm))
    except InvalidSignature as error:
        raise SignatureRejected(Step.SIGNATURE) from error


def verify_text(key: VerificationKey, data: bytes, text: str, encoding: SignatureEncoding) -> None:
    """``decode``, then ``verify``.

    Raises:
        SignatureRejected: ``malformed``, ``algorithm`` or ``signature``.
        ConfigurationError: ``configuration_invalid``: an SM2 key, and libcrypto has no SM2.
    """
    verify(key, data, decode(text, encoding, key.algorithm))

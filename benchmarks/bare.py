"""The bare library calls that everything is compared with: a parsed key, bytes, one call a signature."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Final, TypeAlias

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import Certificate

from verifier.signatures import sm2
from verifier.signatures.sm2 import Sm2PublicKey

Call: TypeAlias = Callable[[], object]
_SHA256: Final = hashes.SHA256()
_ECDSA: Final = ec.ECDSA(_SHA256)
_PKCS1: Final = padding.PKCS1v15()


def call(public: object, signature: bytes, data: bytes) -> Call:
    """The call that verifies one signature.

    Args:
        public: the cryptography library's P-256, Ed25519 or RSA key (PKCS #1 v1.5); or an SM2 key.
        signature: ECDSA and SM2 in DER.
        data: what was signed.
    """
    match public:
        case ec.EllipticCurvePublicKey():
            return partial(public.verify, signature, data, _ECDSA)
        case Ed25519PublicKey():
            return partial(public.verify, signature, data)
        case RSAPublicKey():
            return partial(public.verify, signature, data, _PKCS1, _SHA256)
        case Sm2PublicKey():
            return _sm2(public, signature, data)
        case _:
            raise TypeError


def verifications(seconds: float) -> float:
    """How often in a second this process makes the call for one ES256 signature."""
    key, data = ec.generate_private_key(ec.SECP256R1()), b"x" * 600
    one = call(key.public_key(), key.sign(data, _ECDSA), data)
    count, spent, begun = 0, 0.0, perf_counter()
    while spent < seconds:
        for _ in range(20):
            one()
        count, spent = count + 20, perf_counter() - begun
    return count / spent


def link(certificate: Certificate, issuer: Certificate) -> Call:
    """The call that verifies a certificate's signature by P-256."""
    return call(issuer.public_key(), certificate.signature, certificate.tbs_certificate_bytes)


def each(*calls: Call) -> Call:
    """Several calls, one after another."""

    def run() -> None:
        for one in calls:
            one()

    return run


def _sm2(public: Sm2PublicKey, signature: bytes, data: bytes) -> Call:
    """Nothing but OpenSSL's calls, the key parsed before: EVP with the distinguishing id."""
    library = sm2._libcrypto()  # noqa: SLF001 - the same library with the same declarations
    handle = sm2._public_handle(public.point)  # noqa: SLF001 - a parsed key
    sm3, key_context = library.EVP_sm3(), ctypes.c_void_p()
    place, name = ctypes.byref(key_context), public.distinguishing_id
    sizes = len(name), len(signature), len(data)

    def run() -> None:
        context = library.EVP_MD_CTX_new()
        library.EVP_DigestVerifyInit(context, place, sm3, None, handle.pointer)
        library.EVP_PKEY_CTX_set1_id(key_context, name, sizes[0])
        held = library.EVP_DigestVerify(context, signature, sizes[1], data, sizes[2])
        library.EVP_MD_CTX_free(context)
        assert held == 1

    return run

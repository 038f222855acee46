"""Every class of case that C2SP/wycheproof has for JWK sets, built here at run time with fresh keys.

The public vectors themselves are not part of this repository (see ``test_wycheproof``).
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from verifier.errors import ConfigurationError
from verifier.signatures import base64url, keys
from verifier.signatures.base64url import encode as b64
from verifier.signatures.jws import Algorithm, SigningKey

EC_SIGNING = SigningKey("kid-ec", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
RSA_SIGNING = SigningKey("kid-rsa", Algorithm.RS256, rsa.generate_private_key(65537, 2048))
CURVE_P = 2**256 - 2**224 + 2**192 + 2**96 - 1

OCT: dict[str, Any] = {"kty": "oct", "use": "sig", "alg": "HS256", "kid": "s1", "k": b64(bytes(range(32)))}
EC_JWK: dict[str, Any] = keys.public_jwk(EC_SIGNING.verification_key)
RSA_JWK: dict[str, Any] = keys.public_jwk(RSA_SIGNING.verification_key)


def loads(*jwks: dict[str, Any], symmetric: bool = False) -> bool:
    try:
        keys.load_jwks(json.dumps({"keys": jwks}).encode(), symmetric=symmetric)
    except ConfigurationError:
        return False
    return True


def test_accepts_sets_of_one_kind() -> None:
    assert loads(OCT, OCT | {"kid": "s2"}, symmetric=True)
    assert loads(EC_JWK, RSA_JWK)
    assert loads({name: RSA_JWK[name] for name in ("kty", "n", "e", "alg", "kid")} | {"key_ops": ["verify"]})


def test_rejects_mixed_symmetry_keyset() -> None:
    assert not loads(OCT, EC_JWK)
    assert not loads(OCT, EC_JWK, symmetric=True)


def test_rejects_duplicate_kid() -> None:
    assert not loads(OCT, OCT | {"k": b64(bytes(32))}, symmetric=True)
    assert not loads(EC_JWK, RSA_JWK | {"kid": EC_JWK["kid"]})


@pytest.mark.parametrize("jwk", [EC_JWK, RSA_JWK], ids=["EC", "RSA"])
def test_rejects_wrong_use_and_wrong_key_ops(jwk: dict[str, Any]) -> None:
    assert not loads(jwk | {"use": "enc"})
    assert not loads(jwk | {"key_ops": ["encrypt"]})


@pytest.mark.parametrize(
    "jwk", [RSA_JWK | {"alg": "RSA1_5"}, OCT | {"alg": "A256GCM"}, OCT | {"alg": "A256KW"}]
)
def test_rejects_encryption_keys(jwk: dict[str, Any]) -> None:
    assert not loads(jwk, symmetric=jwk["kty"] == "oct")


@pytest.mark.parametrize(("algorithm", "size"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_accepts_long_and_rejects_short_and_empty_secrets(algorithm: str, size: int) -> None:
    assert loads(OCT | {"alg": algorithm, "k": b64(bytes(size))}, symmetric=True)
    assert loads(OCT | {"alg": algorithm, "k": b64(bytes(65))}, symmetric=True)
    assert not loads(OCT | {"alg": algorithm, "k": b64(bytes(size - 1))}, symmetric=True)
    assert not loads(OCT | {"alg": algorithm, "k": ""}, symmetric=True)


def test_rejects_weak_rsa_keys() -> None:
    """A modulus of 1024 bits, the exponents 1 and 3. ROCA and close primes: ``tests/unit/test_keys.py``."""
    modulus = int.from_bytes(base64url.decode(RSA_JWK["n"]))
    assert not loads(RSA_JWK | {"n": b64((modulus >> 1024 | 1).to_bytes(128))})
    assert not loads(RSA_JWK | {"e": b64(b"\x01")})
    assert not loads(RSA_JWK | {"e": b64(b"\x03")})


@pytest.mark.parametrize(
    "change", [{"alg": "ES521"}, {"alg": "ES224"}, {"alg": "ES384"}, {"crv": "P-384"}, {"kty": "RSA"}]
)
def test_rejects_mismatched_algorithm_curve_and_type(change: dict[str, str]) -> None:
    assert not loads(EC_JWK | change)


def test_rejects_a_point_that_is_not_on_the_curve() -> None:
    y = int.from_bytes(base64url.decode(EC_JWK["y"]))
    assert not loads(EC_JWK | {"y": b64((y ^ 1).to_bytes(32))})
    assert not loads(EC_JWK | {"x": b64(bytes(32)), "y": b64(bytes(32))})
    assert not loads(EC_JWK | {"y": b64(((y + CURVE_P) % 2**256).to_bytes(32))})

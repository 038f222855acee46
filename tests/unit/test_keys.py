from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from math import gcd, prod

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import Code, ConfigurationError
from verifier.signatures import base64url, jws, keys, weak_keys
from verifier.signatures.jws import Algorithm, SigningKey, VerificationKey
from verifier.signatures.sm2 import Sm2PrivateKey, Sm2PublicKey
from verifier.signatures.strict_json import JsonValue

PRIVATE: Mapping[Algorithm, jws.PrivateKey] = {
    Algorithm.ES256: ec.generate_private_key(ec.SECP256R1()),
    Algorithm.ES384: ec.generate_private_key(ec.SECP384R1()),
    Algorithm.ES512: ec.generate_private_key(ec.SECP521R1()),
    Algorithm.EDDSA: Ed25519PrivateKey.generate(),
    Algorithm.RS256: rsa.generate_private_key(65537, 2048),
}
EVERY = sorted(PRIVATE)
SHORT_RSA = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
PRIMES = prod(p for p in range(3, 168) if all(p % d for d in range(2, p)))


def key_of(algorithm: Algorithm) -> VerificationKey:
    return SigningKey("k1", algorithm, PRIVATE[algorithm]).verification_key


def jwk_of(algorithm: Algorithm, **changes: JsonValue) -> dict[str, JsonValue]:
    return {**keys.public_jwk(key_of(algorithm)), **changes}


def refusal(jwk: dict[str, JsonValue], algorithm: Algorithm | None = None, kid: str | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        keys.load_public_jwk(jwk, algorithm, kid)
    assert caught.value.code is Code.KEY_REFUSED
    return caught.value.detail


def public_pem(private: jws.PrivateKey | x25519.X25519PrivateKey | Ed448PrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(
    private: jws.PrivateKey | x25519.X25519PrivateKey, encryption: KeySerializationEncryption | None = None
) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.mark.parametrize("algorithm", EVERY)
def test_a_key_survives_pem_and_jwk(algorithm: Algorithm) -> None:
    key = key_of(algorithm)
    assert keys.load_public_pem(public_pem(PRIVATE[algorithm]), algorithm, "k1") == key
    assert keys.load_public_jwk(jwk_of(algorithm)) == key
    signing = keys.load_private_pem(private_pem(PRIVATE[algorithm]), algorithm, "k1")
    assert signing.verification_key == key


def test_an_encrypted_private_key_opens_with_its_password_only() -> None:
    private = PRIVATE[Algorithm.ES256]
    pem = private_pem(private, BestAvailableEncryption(b"correct"))
    assert keys.load_private_pem(pem, Algorithm.ES256, "k1", password=b"correct").private.public_key() == (
        private.public_key()
    )
    for password in (None, b"wrong"):
        with pytest.raises(ConfigurationError):
            keys.load_private_pem(pem, Algorithm.ES256, "k1", password=password)
    with pytest.raises(ConfigurationError):
        keys.load_private_pem(private_pem(private), Algorithm.ES256, "k1", password=b"unused")


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        public_pem(PRIVATE[Algorithm.ES256]) * 2,
        private_pem(PRIVATE[Algorithm.ES256]),
        public_pem(Ed448PrivateKey.generate()),
        public_pem(x25519.X25519PrivateKey.generate()),
        public_pem(PRIVATE[Algorithm.ES384]),
        public_pem(ec.generate_private_key(ec.SECP256K1())),
        public_pem(SHORT_RSA),
    ],
    ids=count(),
)
def test_a_file_that_is_not_one_fitting_public_key_is_refused(pem: bytes) -> None:
    with pytest.raises(ConfigurationError) as caught:
        keys.load_public_pem(pem, Algorithm.ES256, "k1")
    assert caught.value.code is Code.KEY_REFUSED


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        public_pem(PRIVATE[Algorithm.ES256]),
        private_pem(x25519.X25519PrivateKey.generate()),
        private_pem(PRIVATE[Algorithm.EDDSA]),
        private_pem(SHORT_RSA),
    ],
    ids=count(),
)
def test_a_file_that_is_not_one_fitting_private_key_is_refused(pem: bytes) -> None:
    with pytest.raises(ConfigurationError) as caught:
        keys.load_private_pem(pem, Algorithm.ES256, "k1")
    assert caught.value.code is Code.KEY_REFUSED


def test_an_sm2_key_is_loaded_with_the_id_its_holder_hashes_in() -> None:
    public = Sm2PrivateKey.generate().public_key
    pem = sm2_pem(public.spki())
    assert keys.load_public_pem(pem, Algorithm.SM2, "k1") == VerificationKey("k1", Algorithm.SM2, public)
    with_id = keys.load_public_pem(pem.replace(b"\n", b"\r\n"), Algorithm.SM2, "k1", sm2_id=b"")
    assert with_id.public == Sm2PublicKey(public.point, b"")


def sm2_pem(der: bytes) -> bytes:
    text = base64.encodebytes(der)
    return b"-----BEGIN PUBLIC KEY-----\n" + text + b"-----END PUBLIC KEY-----\n"


SM2_DER = Sm2PrivateKey.generate().public_key.spki()


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        sm2_pem(SM2_DER) * 2,
        sm2_pem(SM2_DER)[:-1] + b"x",
        sm2_pem(SM2_DER[:-1]),
        sm2_pem(SM2_DER + b"\x00"),
        sm2_pem(SM2_DER[:-1] + bytes([SM2_DER[-1] ^ 1])),
        sm2_pem(SM2_DER).replace(b"PUBLIC KEY", b"PRIVATE KEY"),
        sm2_pem(SM2_DER).replace(b"=", b""),
        sm2_pem(SM2_DER).replace(b"A", b"=", 1),
        public_pem(PRIVATE[Algorithm.ES256]),
        public_pem(PRIVATE[Algorithm.RS256]),
        b"-----BEGIN PUBLIC KEY-----\n" + b"A" * 10_000 + b"\n-----END PUBLIC KEY-----\n",
    ],
    ids=count(),
)
def test_a_file_that_is_not_one_public_key_on_the_sm2_curve_is_refused(pem: bytes) -> None:
    with pytest.raises(ConfigurationError) as caught:
        keys.load_public_pem(pem, Algorithm.SM2, "k1")
    assert caught.value.code is Code.KEY_REFUSED


def test_an_sm2_key_is_loaded_as_no_other_and_has_no_jwk() -> None:
    with pytest.raises(ConfigurationError):
        keys.load_public_pem(sm2_pem(SM2_DER), Algorithm.ES256, "k1")
    with pytest.raises(ConfigurationError, match="SM2"):
        keys.public_jwk(keys.load_public_pem(sm2_pem(SM2_DER), Algorithm.SM2, "k1"))
    assert refusal(jwk_of(Algorithm.ES256, alg="SM3withSM2"))


def test_a_key_has_one_subject_public_key_info_whatever_its_kind() -> None:
    assert keys.spki(Sm2PublicKey.from_spki(SM2_DER)) == SM2_DER
    for private in PRIVATE.values():
        public = private.public_key()
        assert keys.spki(public) == public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# Weak keys


def modulus(bits: int) -> int:
    """A number of that many bits without small factors that is no close product and no power of 65537."""
    n = (3 << (bits - 2)) + 1
    while gcd(n, PRIMES) != 1:
        n += 2
    return n


@pytest.mark.parametrize("bits", [2048, 3072, 8192])
def test_a_sound_rsa_key_is_accepted(bits: int) -> None:
    weak_keys.check_rsa(modulus(bits), 65537)
    weak_keys.check_rsa(modulus(bits), 2**32 - 1)


@pytest.mark.parametrize("bits", [512, 1024, 2047, 8193])
def test_an_rsa_key_too_short_or_too_long_is_refused(bits: int) -> None:
    with pytest.raises(ConfigurationError, match="2048 to 8192"):
        weak_keys.check_rsa(modulus(bits), 65537)


@pytest.mark.parametrize("e", [-1, 0, 1, 2, 3, 17, 65535, 65536, 65538, 2**32, 2**32 + 1])
def test_an_rsa_exponent_outside_its_range_is_refused(e: int) -> None:
    with pytest.raises(ConfigurationError, match="exponent"):
        weak_keys.check_rsa(modulus(2048), e)


@pytest.mark.parametrize("factor", [2, 3, 5, 167])
def test_an_rsa_modulus_with_a_small_factor_is_refused(factor: int) -> None:
    with pytest.raises(ConfigurationError, match="small factor"):
        weak_keys.check_rsa(modulus(2048) * factor, 65537)


@pytest.mark.parametrize("distance", [0, 2, 2**100, 2**500], ids=count())
def test_an_rsa_modulus_with_close_primes_is_refused(distance: int) -> None:
    p = modulus(1024)
    q = p + distance
    while gcd(q, PRIMES) != 1:
        q += 2
    with pytest.raises(ConfigurationError, match="close"):
        weak_keys.check_rsa(p * q, 65537)


def faulty_prime(factor: int, exponent: int) -> int:
    low = pow(65537, exponent, PRIMES)
    k = ((factor << 1020) // PRIMES & ~1) + 1 - low % 2
    return PRIMES * k + low


@pytest.mark.parametrize("exponents", [(5, 7), (123_456, 654_321)])
def test_an_rsa_modulus_from_the_faulty_generator_is_refused(exponents: tuple[int, int]) -> None:
    # p = k M + (65537^a mod M), as CVE-2017-15361 describes its primes; whether p is prime changes nothing.
    p, q = (faulty_prime(factor, a) for factor, a in zip((14, 15), exponents, strict=True))
    with pytest.raises(ConfigurationError, match="ROCA"):
        weak_keys.check_rsa(p * q, 65537)


def test_the_refused_ed25519_points_are_those_of_small_order() -> None:
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p

    def double(x: int, y: int) -> tuple[int, int]:
        t = d * x * x * y * y
        return (2 * x * y * pow(1 + t, -1, p) % p, (y * y + x * x) * pow(1 - t, -1, p) % p)

    for y in weak_keys._ED25519_SMALL_ORDER:
        square = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
        x = pow(square, (p + 3) // 8, p)
        x = x if x * x % p == square else x * pow(2, (p - 1) // 4, p) % p
        point = (x, y)
        for _ in range(3):
            point = double(*point)
        assert point == (0, 1)


@pytest.mark.parametrize("y", [*sorted(weak_keys._ED25519_SMALL_ORDER), 2**255 - 19, 2**255 - 18, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_an_ed25519_key_under_which_anyone_can_sign_is_refused(y: int, sign: int) -> None:
    raw = (y | sign << 255).to_bytes(32, "little")
    with pytest.raises(ConfigurationError):
        weak_keys.check_ed25519(raw)
    assert refusal({"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(raw)}, Algorithm.EDDSA, "k1")


def test_the_library_alone_would_accept_a_forgery_under_such_a_key() -> None:
    base_point = bytes.fromhex("58" + "66" * 31)
    neutral = Ed25519PublicKey.from_public_bytes(bytes([1]) + bytes(31))
    neutral.verify(base_point + bytes([1]) + bytes(31), b"whatever an attacker likes")


# JWK


@pytest.mark.parametrize("name", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_public_jwk_with_a_private_part_is_refused(name: str) -> None:
    assert "private" in refusal(jwk_of(Algorithm.RS256, **{name: "AAAA"}))


@pytest.mark.parametrize(
    "changes",
    [
        *({"use": "enc"}, {"use": None}, {"use": ["sig"]}),
        *({"key_ops": ["encrypt"]}, {"key_ops": []}, {"key_ops": "verify"}, {"key_ops": None}),
    ],
)
def test_a_jwk_that_is_not_for_verification_is_refused(changes: dict[str, JsonValue]) -> None:
    assert refusal(jwk_of(Algorithm.ES256, **changes))


def test_a_jwk_that_says_nothing_of_its_use_or_the_right_thing_is_accepted() -> None:
    jwk = jwk_of(Algorithm.ES256, key_ops=["sign", "verify"], unknown={"a": 1})
    assert keys.load_public_jwk(jwk) == key_of(Algorithm.ES256)
    del jwk["use"], jwk["key_ops"]
    assert keys.load_public_jwk(jwk) == key_of(Algorithm.ES256)


@pytest.mark.parametrize("alg", ["ES384", "ES224", "ES521", "A256KW", "none", "", None, 1, ["ES256"]])
def test_a_jwk_whose_algorithm_is_unknown_or_does_not_fit_is_refused(alg: JsonValue) -> None:
    assert refusal(jwk_of(Algorithm.ES256, alg=alg))
    assert refusal(jwk_of(Algorithm.ES256, alg=alg), Algorithm.ES256)


@pytest.mark.parametrize("kid", ["k2", "", None, 1, ["k1"], "x" * 129])
def test_a_jwk_whose_id_is_not_the_registered_one_is_refused(kid: JsonValue) -> None:
    assert refusal(jwk_of(Algorithm.ES256, kid=kid), kid="k1")


def test_algorithm_and_id_must_come_from_somewhere() -> None:
    jwk = jwk_of(Algorithm.ES256)
    del jwk["alg"], jwk["kid"]
    assert keys.load_public_jwk(jwk, Algorithm.ES256, "k1") == key_of(Algorithm.ES256)
    assert "alg" in refusal(jwk, None, "k1")
    assert "kid" in refusal(jwk, Algorithm.ES256, None)


EC_X = str(jwk_of(Algorithm.ES256)["x"])


@pytest.mark.parametrize(
    "changes",
    [
        *({"kty": "RSA"}, {"kty": "oct"}, {"kty": "OKP"}, {"kty": None}, {"kty": ["EC"]}, {"kty": "ec"}),
        *({"crv": "P-384"}, {"crv": "secp256k1"}, {"crv": None}, {"crv": {}}),
        *({"x": EC_X[:-2]}, {"x": EC_X + "="}, {"x": EC_X + "AA"}, {"x": 1}, {"x": None}, {"x": "é"}),
        {"y": EC_X},
    ],
)
def test_an_ec_jwk_of_another_form_is_refused(changes: dict[str, JsonValue]) -> None:
    assert refusal(jwk_of(Algorithm.ES256, **changes))


@pytest.mark.parametrize("changes", [{"crv": "Ed448"}, {"crv": "X25519"}, {"x": "AAAA"}, {"x": EC_X + "A"}])
def test_an_ed25519_jwk_of_another_form_is_refused(changes: dict[str, JsonValue]) -> None:
    assert refusal(jwk_of(Algorithm.EDDSA, **changes))


@pytest.mark.parametrize("changes", [{"e": "AQ"}, {"e": "Aw"}, {"e": "AAEAAQ"}, {"e": ""}, {"n": "AQAB"}])
def test_an_rsa_jwk_of_another_form_or_strength_is_refused(changes: dict[str, JsonValue]) -> None:
    assert refusal(jwk_of(Algorithm.RS256, **changes))


def test_one_rsa_key_may_be_registered_for_either_padding_but_verifies_only_that() -> None:
    jwk = jwk_of(Algorithm.RS256)
    del jwk["alg"]
    assert keys.load_public_jwk(jwk, Algorithm.PS256).algorithm is Algorithm.PS256


SECRET: dict[str, JsonValue] = {
    "kty": "oct",
    "alg": "HS256",
    "kid": "s1",
    "k": base64url.encode(bytes(range(32))),
}


def test_a_symmetric_key_is_loaded_only_where_asked() -> None:
    assert keys.load_secret_jwk(SECRET).public == bytes(range(32))
    assert refusal(SECRET)
    for changes in (
        {"k": "AAAA"},
        {"k": ""},
        {"alg": "HS512"},
        {"alg": "ES256"},
        {"kty": "RSA"},
        {"use": "enc"},
    ):
        with pytest.raises(ConfigurationError):
            keys.load_secret_jwk({**SECRET, **changes})


# Sets


def test_a_set_gives_its_keys_in_order() -> None:
    jwks: dict[str, JsonValue] = {"keys": [jwk_of(name, kid=name.value) for name in EVERY]}
    assert [key.kid for key in keys.load_jwks(json.dumps(jwks).encode())] == EVERY
    assert keys.load_jwks(json.dumps({"keys": [SECRET]}).encode(), symmetric=True)[0].kid == "s1"


@pytest.mark.parametrize(
    "jwks",
    [
        *(None, [], {}, {"keys": {}}, {"keys": []}, {"keys": [1]}),
        {"keys": [jwk_of(Algorithm.ES256), jwk_of(Algorithm.RS256)]},
        {"keys": [jwk_of(Algorithm.ES256), SECRET]},
        {"keys": [jwk_of(Algorithm.ES256), jwk_of(Algorithm.RS256, kid="k2", use="enc")]},
        {"keys": [jwk_of(Algorithm.ES256, kid=f"k{n}") for n in range(101)]},
    ],
)
def test_a_set_with_a_bad_key_a_doubled_id_or_another_form_is_refused(jwks: JsonValue) -> None:
    for symmetric in (False, True):
        with pytest.raises(ConfigurationError) as caught:
            keys.load_jwks(json.dumps(jwks).encode(), symmetric=symmetric)
        assert caught.value.code is Code.KEY_REFUSED


@given(st.binary(max_size=60))
def test_any_bytes_for_a_set_raise_only_configuration_error(raw: bytes) -> None:
    with pytest.raises(ConfigurationError):
        keys.load_jwks(raw)


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "n", "e", "alg", "kid", "use", "key_ops"]),
        st.none()
        | st.integers()
        | st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "ES256", "AQAB", EC_X]),
    )
)
def test_any_jwk_raises_only_configuration_error(changes: dict[str, JsonValue]) -> None:
    for algorithm in EVERY:
        with suppress(ConfigurationError):
            assert keys.load_public_jwk(jwk_of(algorithm, **changes)).algorithm is algorithm


# Thumbprints


def test_the_thumbprints_of_the_standards_are_reproduced() -> None:
    rsa_n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJE"
        "CPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Q"
        "vzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6"
        "WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    rfc_7638: dict[str, JsonValue] = {
        "kty": "RSA",
        "n": rsa_n,
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    }
    assert keys.thumbprint(rfc_7638) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    rfc_8037: dict[str, JsonValue] = {"kty": "OKP", "crv": "Ed25519", "x": x}
    assert keys.thumbprint(rfc_8037) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize("algorithm", EVERY)
def test_a_thumbprint_depends_on_the_key_alone(algorithm: Algorithm) -> None:
    assert keys.thumbprint(jwk_of(algorithm, kid="other", use=None)) == keys.thumbprint(jwk_of(algorithm))


@pytest.mark.parametrize(
    "jwk", [SECRET, {}, {"kty": "EC", "crv": "P-256", "x": EC_X}, {"kty": "OKP", "crv": 1, "x": "A"}]
)
def test_what_is_no_public_key_has_no_thumbprint_and_no_public_form(jwk: dict[str, JsonValue]) -> None:
    with pytest.raises(ConfigurationError):
        keys.thumbprint(jwk)
    with pytest.raises(ConfigurationError):
        keys.public_jwk(keys.load_secret_jwk(SECRET))

from __future__ import annotations

import hmac as std_hmac
import json
from collections.abc import Mapping
from itertools import count

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from verifier.errors import Code, ConfigurationError, SignatureRejected
from verifier.signatures import base64url, hmac, jws, keys
from verifier.signatures.jws import Algorithm, SigningKey, VerificationKey
from verifier.signatures.sm2 import Sm2PrivateKey
from verifier.signatures.strict_json import JsonValue

RSA_PRIVATE = rsa.generate_private_key(65537, 2048)
PRIVATE: Mapping[Algorithm, jws.PrivateKey] = {
    Algorithm.ES256: ec.generate_private_key(ec.SECP256R1()),
    Algorithm.ES384: ec.generate_private_key(ec.SECP384R1()),
    Algorithm.ES512: ec.generate_private_key(ec.SECP521R1()),
    Algorithm.EDDSA: Ed25519PrivateKey.generate(),
    **{name: RSA_PRIVATE for name in Algorithm if name.startswith(("RS", "PS"))},
}
SIGNING = {algorithm: SigningKey("k1", algorithm, private) for algorithm, private in PRIVATE.items()}
ES256 = SIGNING[Algorithm.ES256]
P256_ORDER = ec.SECP256R1().group_order
PAYLOAD = b'{"iss":"https://platform.example"}'
EVERY = sorted(SIGNING)


def part(data: bytes | Mapping[str, JsonValue]) -> str:
    return base64url.encode(data if isinstance(data, bytes) else json.dumps(data).encode())


def token(header: bytes | Mapping[str, JsonValue], payload: bytes = PAYLOAD, key: SigningKey = ES256) -> str:
    """A rightly signed token with whatever header."""
    signed = f"{part(header)}.{part(payload)}"
    return f"{signed}.{part(jws.signature(signed.encode(), key))}"


def good(key: SigningKey = ES256) -> str:
    return jws.sign_compact(PAYLOAD, key, typ="training-certificate+jwt")


def verified(text: str, key: VerificationKey = ES256.verification_key) -> bytes:
    return jws.verify(jws.parse_compact(text), key)


def step(text: str, key: VerificationKey = ES256.verification_key) -> str:
    with pytest.raises(SignatureRejected) as caught:
        verified(text, key)
    return caught.value.step


# RFC 9864 renames it to Ed25519; the library warns, and pytest makes warnings errors.
EDDSA_IS_OLD = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


@EDDSA_IS_OLD
@pytest.mark.parametrize("algorithm", EVERY)
def test_what_we_sign_we_verify_and_so_does_another_library(algorithm: Algorithm) -> None:
    key = SIGNING[algorithm]
    text = jws.sign_compact(PAYLOAD, key, typ="t+jwt", headers={"cty": "张"})
    parsed = jws.parse_compact(text)
    assert (parsed.alg, parsed.kid, parsed.typ) == (algorithm, "k1", "t+jwt")
    assert parsed.header["cty"] == "张"
    assert jws.verify(parsed, key.verification_key) == PAYLOAD
    spki = PRIVATE[algorithm].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    other = joserfc_jws.deserialize_compact(text, joserfc_key(algorithm, spki), algorithms=[algorithm.value])
    assert other.payload == PAYLOAD


def joserfc_key(algorithm: Algorithm, pem: bytes) -> RSAKey | ECKey | OKPKey:
    if algorithm is Algorithm.EDDSA:
        return OKPKey.import_key(pem)
    return ECKey.import_key(pem) if algorithm.startswith("ES") else RSAKey.import_key(pem)


@EDDSA_IS_OLD
@pytest.mark.parametrize("algorithm", EVERY)
def test_what_another_library_signs_we_verify(algorithm: Algorithm) -> None:
    private = PRIVATE[algorithm].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    header = {"alg": algorithm.value, "kid": "k1"}
    other = joserfc_key(algorithm, private)
    text = joserfc_jws.serialize_compact(header, PAYLOAD, other, algorithms=[algorithm.value])
    jwk = json.loads(json.dumps(other.as_dict(private=False)))
    key = keys.load_public_jwk(jwk, algorithm, "k1")
    assert key == SIGNING[algorithm].verification_key
    assert verified(text, key) == PAYLOAD


RFC_PAYLOAD = b'{"iss":"joe",\r\n "exp":1300819380,\r\n "http://example.com/is_root":true}'
RFC_7515_A2 = (
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290"
    "Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujG"
    "bds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN"
    "9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWy"
    "wlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)
RFC_7515_A2_JWK: dict[str, JsonValue] = {
    "kty": "RSA",
    "n": (
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0B"
        "m4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5"
        "z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7"
        "aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
    ),
    "e": "AQAB",
}
RFC_7515_A3 = (
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290"
    "Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
RFC_7515_A3_JWK: dict[str, JsonValue] = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
RFC_8037_A4 = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4k"
    "i4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
RFC_8037_JWK: dict[str, JsonValue] = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}


@pytest.mark.parametrize(
    ("text", "jwk", "algorithm", "payload"),
    [
        (RFC_7515_A2, RFC_7515_A2_JWK, Algorithm.RS256, RFC_PAYLOAD),
        (RFC_7515_A3, RFC_7515_A3_JWK, Algorithm.ES256, RFC_PAYLOAD),
        (RFC_8037_A4, RFC_8037_JWK, Algorithm.EDDSA, b"Example of Ed25519 signing"),
    ],
    ids=["RFC 7515 A.2", "RFC 7515 A.3", "RFC 8037 A.4"],
)
def test_the_examples_of_the_standards_verify(
    text: str, jwk: dict[str, JsonValue], algorithm: Algorithm, payload: bytes
) -> None:
    assert verified(text, keys.load_public_jwk(jwk, algorithm, "k1")) == payload


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "a.b", "a.b.c.d", "a.b.c.d.e"),
        good() + "\n",
        " " + good(),
        good() + "=",
        good() + ".",
        good().rpartition(".")[0] + ".",
        good().replace(".", "．"),
        good().replace(".", ".é", 1),
        good().replace("-", "+").replace("_", "/") + "+",
        json.dumps({"payload": part(PAYLOAD), "protected": part({"alg": "ES256"}), "signature": "AAAA"}),
        "A" + good(),
        "." + good().split(".", 1)[1],
    ],
    ids=count(),
)
def test_a_token_of_another_form_is_malformed(text: str) -> None:
    assert step(text) == "malformed"


@pytest.mark.parametrize(
    "header",
    [
        *(
            b"",
            b"[]",
            b'"ES256"',
            b"null",
            b"{}",
            b"\xff",
            b'{"alg":"ES256"',
            b"\xef\xbb\xbf" + b'{"alg":"ES256"}',
        ),
        b'{"alg":"none","alg":"ES256"}',
        b'{"alg":"ES256","\\u0061lg":"none"}',
        b'{"alg":"ES256","ALG":"none"}',
        b'{"alg":"ES256","a":' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"alg":"ES256","a":' + b"9" * 4301 + b"}",
        *(b'{"alg":null}', b'{"alg":["ES256"]}', b'{"alg":256}', b'{"alg":true}'),
    ],
    ids=count(),
)
def test_a_header_that_is_no_strict_object_with_an_alg_is_malformed(header: bytes) -> None:
    assert step(token(header)) == "malformed"


@pytest.mark.parametrize("kid", ["", "x" * 129, "a\x00b", "鍵", "é", 1, None, ["k1"], {"a": "b"}, True])
def test_a_key_id_that_is_not_short_printable_ascii_is_malformed(kid: JsonValue) -> None:
    assert step(token({"alg": "ES256", "kid": kid})) == "malformed"


@pytest.mark.parametrize("kid", ["x" * 128, "../../dev/null", "' OR 1=1 --"])
def test_a_key_id_is_only_text_to_look_up(kid: str) -> None:
    assert jws.parse_compact(token({"alg": "ES256", "kid": kid})).kid == kid


@pytest.mark.parametrize("typ", [None, 1, ["JWT"]])
def test_a_type_that_is_not_text_is_malformed(typ: JsonValue) -> None:
    assert step(token({"alg": "ES256", "typ": typ})) == "malformed"


def test_a_header_without_kid_and_typ_is_read_as_having_none() -> None:
    parsed = jws.parse_compact(token({"alg": "ES256"}))
    assert (parsed.kid, parsed.typ) == (None, None)


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc"])
@pytest.mark.parametrize("value", [None, "x", ["exp"], {"kty": "oct"}, False])
def test_a_header_that_brings_its_own_key_or_meaning_is_refused(name: str, value: JsonValue) -> None:
    assert step(token({"alg": "ES256", name: value})) == "header_refused"


def test_a_certificate_chain_is_let_through_only_where_asked() -> None:
    text = token({"alg": "ES256", "x5c": ["AAAA"]})
    assert jws.parse_compact(text, allow_x5c=True).header["x5c"] == ["AAAA"]
    refused = token({"alg": "ES256", "x5c": ["AAAA"], "jku": "https://a.example"})
    with pytest.raises(SignatureRejected):
        jws.parse_compact(refused, allow_x5c=True)


def test_the_size_limit_is_exact() -> None:
    text = good()
    jws.parse_compact(text, max_bytes=len(text))
    with pytest.raises(SignatureRejected):
        jws.parse_compact(text, max_bytes=len(text) - 1)
    assert step("A" * 10_000_000) == "malformed"


def test_left_over_bits_of_base64_are_malformed() -> None:
    head, payload, signature = token({"alg": "ES256"}, b"a").split(".")
    assert payload == "YQ"
    assert step(f"{head}.YR.{signature}") == "malformed"


@pytest.mark.parametrize(
    "alg", ["none", "nOnE", "", "HS256", "ES384", "RS256", "PS256", "EdDSA", "es256", "ES256 "]
)
def test_an_algorithm_other_than_the_keys_is_refused(alg: str) -> None:
    assert step(token({"alg": alg})) == "algorithm"


@pytest.mark.parametrize("algorithm", EVERY)
def test_the_public_key_is_never_a_shared_secret(algorithm: Algorithm) -> None:
    key = SIGNING[algorithm].verification_key
    public = PRIVATE[algorithm].public_key()
    jwk = json.dumps(keys.public_jwk(key)).encode()
    for encoding in (Encoding.PEM, Encoding.DER):
        for secret in (public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo), jwk):
            signed = f"{part({'alg': 'HS256'})}.{part(PAYLOAD)}"
            text = f"{signed}.{part(hmac.hmac_sha256(secret, signed.encode()))}"
            assert step(text, key) == "algorithm"


@pytest.mark.parametrize("algorithm", EVERY)
def test_another_key_another_payload_and_another_header_are_refused(algorithm: Algorithm) -> None:
    key = SIGNING[algorithm]
    head, payload, signature = good(key).split(".")
    assert step(f"{head}.{part(b'{}')}.{signature}", key.verification_key) == "signature"
    other_head = part({"alg": algorithm, "kid": "k2"})
    assert step(f"{other_head}.{payload}.{signature}", key.verification_key) == "signature"
    short = part(base64url.decode(signature)[:-1])
    assert step(f"{head}.{payload}.{short}", key.verification_key) == "signature"
    assert (
        step(f"{head}.{payload}.{part(base64url.decode(signature) + bytes(1))}", key.verification_key)
        == "signature"
    )


@pytest.mark.parametrize("r", [0, 1, P256_ORDER - 1, P256_ORDER, 2**256 - 1])
@pytest.mark.parametrize("s", [0, 1, P256_ORDER - 1, P256_ORDER, 2**256 - 1])
def test_degenerate_ecdsa_signatures_are_refused(r: int, s: int) -> None:
    head, payload, _ = good().split(".")
    assert step(f"{head}.{payload}.{part(r.to_bytes(32) + s.to_bytes(32))}") == "signature"


def test_a_der_signature_and_one_with_r_plus_n_are_refused() -> None:
    head, payload, signature = good().split(".")
    raw = base64url.decode(signature)
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    assert step(f"{head}.{payload}.{part(encode_dss_signature(r, s))}") == "signature"
    wide = (r + P256_ORDER).to_bytes(33) + s.to_bytes(33)
    assert step(f"{head}.{payload}.{part(wide)}") == "signature"


def test_an_ecdsa_signature_is_malleable_so_that_token_bytes_identify_nothing() -> None:
    head, payload, signature = good().split(".")
    raw = base64url.decode(signature)
    twin = raw[:32] + (P256_ORDER - int.from_bytes(raw[32:])).to_bytes(32)
    assert verified(f"{head}.{payload}.{part(twin)}") == PAYLOAD


def test_a_shared_secret_verifies_only_under_its_own_algorithm() -> None:
    secret = bytes(range(64))
    for algorithm, name in (("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")):
        key = VerificationKey("k1", Algorithm(algorithm), secret)
        signed = f"{part({'alg': algorithm})}.{part(PAYLOAD)}"
        mac = std_hmac.digest(secret, signed.encode(), name)
        assert verified(f"{signed}.{part(mac)}", key) == PAYLOAD
        assert step(f"{signed}.{part(mac[:-1])}", key) == "signature"


def test_keys_that_do_not_fit_their_algorithm_cannot_be_made() -> None:
    for algorithm in Algorithm:
        for private in {id(one): one for one in PRIVATE.values()}.values():
            if PRIVATE.get(algorithm) is private:
                continue
            with pytest.raises(ConfigurationError) as caught:
                VerificationKey("k1", algorithm, private.public_key())
            assert caught.value.code is Code.KEY_REFUSED
    for size, algorithm in (
        (31, Algorithm.HS256),
        (47, Algorithm.HS384),
        (63, Algorithm.HS512),
        (99, Algorithm.ES256),
    ):
        with pytest.raises(ConfigurationError):
            VerificationKey("k1", algorithm, bytes(size))


@pytest.mark.parametrize("kid", ["", "x" * 129, "鍵", "a\n"])
def test_a_key_with_an_unusable_id_cannot_be_made(kid: str) -> None:
    with pytest.raises(ConfigurationError):
        SigningKey(kid, Algorithm.ES256, PRIVATE[Algorithm.ES256])


def test_no_key_shows_its_material() -> None:
    assert "object" not in repr(ES256)
    assert "x00" not in repr(VerificationKey("k1", Algorithm.HS256, bytes(32)))


@pytest.mark.parametrize("name", ["alg", "kid", "typ", "jwk", "crit", "b64", "zip"])
def test_a_signer_cannot_set_a_header_that_we_would_refuse_or_that_is_ours(name: str) -> None:
    with pytest.raises(ConfigurationError):
        jws.sign_compact(PAYLOAD, ES256, typ="t", headers={name: "x"})


def test_the_register_may_name_four_algorithms_and_no_shared_secret() -> None:
    assert {"ES256", "EdDSA", "RS256", "PS256"} == jws.REGISTERABLE


@pytest.mark.parametrize("alg", ["SM3withSM2", "ES256", "SM2", "EdDSA", "none"])
@pytest.mark.parametrize("encoded", ["raw", "der"])
def test_no_token_is_accepted_under_an_sm2_key_whatever_it_says(alg: str, encoded: str) -> None:
    private = Sm2PrivateKey.generate()
    key = VerificationKey("k1", Algorithm.SM2, private.public_key)
    signed = f"{part({'alg': alg})}.{part(PAYLOAD)}"
    der = private.sign(signed.encode())
    r, s = decode_dss_signature(der)
    signature = der if encoded == "der" else r.to_bytes(32) + s.to_bytes(32)
    assert step(f"{signed}.{part(signature)}", key) == "algorithm"


def test_a_token_that_calls_itself_sm2_is_accepted_under_no_other_key() -> None:
    assert step(token({"alg": "SM3withSM2"})) == "algorithm"
    for algorithm in set(Algorithm) - {Algorithm.SM2}:
        with pytest.raises(ConfigurationError):
            VerificationKey("k1", algorithm, Sm2PrivateKey.generate().public_key)


HEADERS = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "jwk", "x5c", "foo"]),
    st.none()
    | st.booleans()
    | st.text(max_size=6)
    | st.sampled_from(list(Algorithm))
    | st.lists(st.text(max_size=3)),
)


@given(HEADERS, st.binary(max_size=30), st.binary(max_size=70), st.sampled_from(EVERY))
def test_any_header_payload_and_signature_raise_only_signature_rejected(
    header: dict[str, JsonValue], payload: bytes, signature: bytes, algorithm: Algorithm
) -> None:
    text = f"{part(header)}.{part(payload)}.{part(signature)}"
    assert step(text, SIGNING[algorithm].verification_key)


@given(st.text(max_size=60) | st.text(alphabet="eyJ0.-_=", max_size=60))
def test_any_text_raises_only_signature_rejected(text: str) -> None:
    assert step(text) in {"malformed", "header_refused"}


@given(st.data())
def test_any_flipped_bit_of_a_token_is_refused(data: st.DataObject) -> None:
    text = good(SIGNING[Algorithm.EDDSA])
    position = data.draw(st.integers(0, 7 * len(text) - 1))
    flipped = bytearray(text, "ascii")
    flipped[position // 7] ^= 1 << position % 7
    assert step(flipped.decode("ascii"), SIGNING[Algorithm.EDDSA].verification_key)


def test_an_ed448_key_is_no_eddsa_key_here() -> None:
    with pytest.raises(ConfigurationError):
        VerificationKey("k1", Algorithm.EDDSA, Ed448PrivateKey.generate().public_key())  # type: ignore[arg-type]  # what a careless caller could do

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from itertools import count

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import Code, ConfigurationError, SignatureRejected
from verifier.signatures import asymmetric, jws, sm2
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import Algorithm, SigningKey, VerificationKey
from verifier.signatures.sm2 import Sm2PrivateKey, Sm2PublicKey

DATA = "结业证书".encode()
RSA = rsa.generate_private_key(65537, 2048)
EC = {
    Algorithm.ES256: ec.generate_private_key(ec.SECP256R1()),
    Algorithm.ES384: ec.generate_private_key(ec.SECP384R1()),
    Algorithm.ES512: ec.generate_private_key(ec.SECP521R1()),
}
ED25519 = Ed25519PrivateKey.generate()
SM2 = Sm2PrivateKey.generate()
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}

Sign = Callable[[bytes], bytes]


def ec_signer(algorithm: Algorithm) -> Sign:
    return lambda data: EC[algorithm].sign(data, ec.ECDSA(HASHES[algorithm[2:]]))


def rsa_signer(algorithm: Algorithm) -> Sign:
    digest = HASHES[algorithm[2:]]
    if algorithm.startswith("RS"):
        return lambda data: RSA.sign(data, padding.PKCS1v15(), digest)
    pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
    return lambda data: RSA.sign(data, pss, digest)


RSA_NAMES = [one for one in Algorithm if one.startswith(("RS", "PS"))]
SIGNERS: Mapping[Algorithm, tuple[Sign, jws.PublicKey]] = {
    **{one: (ec_signer(one), EC[one].public_key()) for one in EC},
    **{one: (rsa_signer(one), RSA.public_key()) for one in RSA_NAMES},
    Algorithm.EDDSA: (ED25519.sign, ED25519.public_key()),
    Algorithm.SM2: (SM2.sign, SM2.public_key),
}
EVERY = sorted(SIGNERS)
PAIRS = sorted({*EC, Algorithm.SM2})


def key_of(algorithm: Algorithm) -> VerificationKey:
    return VerificationKey("k1", algorithm, SIGNERS[algorithm][1])


def step(act: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(SignatureRejected) as caught:
        act(*arguments)
    return caught.value.step


def text(data: bytes, encoding: SignatureEncoding) -> str:
    return data.hex() if encoding.endswith("hex") else base64.b64encode(data).decode()


def raw(der: bytes, algorithm: Algorithm) -> bytes:
    size = asymmetric._RAW_BYTES[algorithm] // 2
    return b"".join(number.to_bytes(size) for number in decode_dss_signature(der))


@pytest.mark.parametrize("algorithm", EVERY)
def test_a_signature_by_the_keys_algorithm_holds_over_its_data_only(algorithm: Algorithm) -> None:
    sign, key = SIGNERS[algorithm][0], key_of(algorithm)
    signature = sign(DATA)
    asymmetric.verify(key, DATA, signature)
    asymmetric.verify(key, b"", sign(b""))
    for data, other in ((DATA + b" ", signature), (DATA, sign(b"")), (DATA, b""), (DATA, signature[:-1])):
        assert step(asymmetric.verify, key, data, other) == "signature"
    assert step(asymmetric.verify, key, DATA, signature + b"\x00") == "signature"


@pytest.mark.parametrize("algorithm", EVERY)
def test_a_signature_by_another_algorithm_or_key_does_not_hold(algorithm: Algorithm) -> None:
    for other in set(EVERY) - {algorithm}:
        signature = SIGNERS[other][0](DATA)
        assert step(asymmetric.verify, key_of(algorithm), DATA, signature) == ("signature")


def test_the_id_belongs_to_the_key() -> None:
    key = VerificationKey("k1", Algorithm.SM2, Sm2PublicKey(SM2.public_key.point, b""))
    assert step(asymmetric.verify, key, DATA, SM2.sign(DATA)) == "signature"


@pytest.mark.parametrize("algorithm", [Algorithm.HS256, Algorithm.HS384, Algorithm.HS512])
def test_a_shared_secret_verifies_nothing_here(algorithm: Algorithm) -> None:
    key = VerificationKey("k1", algorithm, bytes(64))
    assert step(asymmetric.verify, key, DATA, bytes(32)) == "algorithm"


@pytest.mark.parametrize("algorithm", sorted(EC))
def test_ecdsa_is_der_here_and_a_token_has_r_and_s(algorithm: Algorithm) -> None:
    signing = SigningKey("k1", algorithm, EC[algorithm])
    pair = jws.signature(DATA, signing)
    assert step(asymmetric.verify, key_of(algorithm), DATA, pair) == "signature"
    asymmetric.verify_text(key_of(algorithm), DATA, pair.hex(), SignatureEncoding.RAW_HEX)


def test_a_signature_that_is_no_strict_der_is_refused() -> None:
    key, der = key_of(Algorithm.ES256), SIGNERS[Algorithm.ES256][0](DATA)
    long_form = b"\x30\x81" + der[1:]
    assert step(asymmetric.verify, key, DATA, long_form) == "signature"


def test_a_missing_sm2_is_a_configuration_error_and_no_wrong_signature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> None:
        raise ConfigurationError(Code.CONFIGURATION_INVALID, "none")

    monkeypatch.setattr(sm2, "_libcrypto", missing)
    with pytest.raises(ConfigurationError):
        asymmetric.verify(key_of(Algorithm.SM2), DATA, b"")


# Encodings


@pytest.mark.parametrize("encoding", list(SignatureEncoding))
@pytest.mark.parametrize("algorithm", EVERY)
def test_each_encoding_is_read_as_itself(algorithm: Algorithm, encoding: SignatureEncoding) -> None:
    signature = SIGNERS[algorithm][0](DATA)
    sent = raw(signature, algorithm) if algorithm in PAIRS and encoding.startswith("raw") else signature
    assert asymmetric.decode(text(sent, encoding), encoding, algorithm) == signature
    asymmetric.verify_text(key_of(algorithm), DATA, text(sent, encoding), encoding)
    assert step(asymmetric.verify_text, key_of(algorithm), b"", text(sent, encoding), encoding) == (
        "signature"
    )


@pytest.mark.parametrize("encoding", list(SignatureEncoding))
@pytest.mark.parametrize("algorithm", PAIRS)
def test_no_encoding_is_tried_but_the_registered_one(
    algorithm: Algorithm, encoding: SignatureEncoding
) -> None:
    der = SIGNERS[algorithm][0](DATA)
    for other in set(SignatureEncoding) - {encoding}:
        sent = text(raw(der, algorithm) if other.startswith("raw") else der, other)
        refused = step(asymmetric.verify_text, key_of(algorithm), DATA, sent, encoding)
        assert refused in {"malformed", "signature"}


def test_hexadecimal_digits_are_of_one_case() -> None:
    assert asymmetric.decode("AB0F", SignatureEncoding.DER_HEX, Algorithm.RS256) == b"\xab\x0f"
    assert asymmetric.decode("ab0f", SignatureEncoding.DER_HEX, Algorithm.RS256) == b"\xab\x0f"


@pytest.mark.parametrize(
    "sent", ["", "a", "aB", "AB0f", "0x00", " 00", "00\n", "00 00", "０0", "g0", "00" * 1025], ids=count()
)
@pytest.mark.parametrize("encoding", [SignatureEncoding.DER_HEX, SignatureEncoding.RAW_HEX])
def test_other_hexadecimal_text_is_malformed(sent: str, encoding: SignatureEncoding) -> None:
    assert step(asymmetric.decode, sent, encoding, Algorithm.RS256) == "malformed"


@pytest.mark.parametrize(
    "sent",
    [
        *("", "=", "A", "AA", "AA=", "AB==", "AAB=", "AAAA=", "AAAA====", "AA==AAAA", " AAAA", "AAAA\n"),
        *("AA\nAA", "-_-_", "é", "ＡＡＡＡ", "A" * 1368, "A" * 1372),
    ],
    ids=count(),
)
@pytest.mark.parametrize("encoding", [SignatureEncoding.DER_BASE64, SignatureEncoding.RAW_BASE64])
def test_other_base64_is_malformed(sent: str, encoding: SignatureEncoding) -> None:
    assert step(asymmetric.decode, sent, encoding, Algorithm.RS256) == "malformed"


@pytest.mark.parametrize("encoding", list(SignatureEncoding))
def test_the_signature_of_the_longest_rsa_key_fits(encoding: SignatureEncoding) -> None:
    longest = bytes(1024)
    assert asymmetric.decode(text(longest, encoding), encoding, Algorithm.RS512) == longest


@pytest.mark.parametrize("algorithm", PAIRS)
@pytest.mark.parametrize("change", [-2, -1, 1, 2])
def test_a_pair_of_another_length_is_malformed(algorithm: Algorithm, change: int) -> None:
    sent = bytes(asymmetric._RAW_BYTES[algorithm] + change).hex()
    assert step(asymmetric.decode, sent, SignatureEncoding.RAW_HEX, algorithm) == "malformed"


@pytest.mark.parametrize("algorithm", PAIRS)
def test_numbers_out_of_range_are_refused(algorithm: Algorithm) -> None:
    size = asymmetric._RAW_BYTES[algorithm]
    for sent in (bytes(size), b"\xff" * size, bytes(size - 1) + b"\x01"):
        arguments = (key_of(algorithm), DATA, sent.hex(), SignatureEncoding.RAW_HEX)
        assert step(asymmetric.verify_text, *arguments) == "signature"


def test_r_and_s_are_read_in_their_order() -> None:
    sent = (b"\x00" * 31 + b"\x05" + b"\x00" * 31 + b"\x07").hex()
    read = asymmetric.decode(sent, SignatureEncoding.RAW_HEX, Algorithm.SM2)
    assert read == encode_dss_signature(5, 7)


@given(st.text(max_size=90), st.sampled_from(list(SignatureEncoding)), st.sampled_from(EVERY))
def test_any_text_raises_only_signature_rejected(
    sent: str, encoding: SignatureEncoding, algorithm: Algorithm
) -> None:
    assert step(asymmetric.verify_text, key_of(algorithm), DATA, sent, encoding)


@given(st.binary(max_size=600), st.sampled_from(EVERY))
def test_any_bytes_raise_only_signature_rejected(signature: bytes, algorithm: Algorithm) -> None:
    assert step(asymmetric.verify, key_of(algorithm), DATA, signature) == "signature"

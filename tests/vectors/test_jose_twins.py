"""Every class of case that C2SP/wycheproof has for JWS, built here at run time with fresh keys.

The public vectors themselves are not part of this repository (see ``test_wycheproof``). Each test carries the
vectors' own comments, so that the two can be compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from verifier.errors import SignatureRejected
from verifier.signatures import base64url, hmac, jws, keys
from verifier.signatures.jws import Algorithm, SigningKey, VerificationKey
from verifier.signatures.sm2 import Sm2PublicKey

SECRET = VerificationKey("kid-secret", Algorithm.HS256, bytes(range(32)))
EC_SIGNING = SigningKey("kid-ec", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
RSA_PRIVATE = rsa.generate_private_key(65537, 2048)
N, D = RSA_PRIVATE.public_key().public_numbers().n, RSA_PRIVATE.private_numbers().d
ORDER = ec.SECP256R1().group_order
PAYLOAD = b"foo"


def rsa_key(algorithm: str) -> VerificationKey:
    return VerificationKey("kid-rsa", Algorithm(algorithm), RSA_PRIVATE.public_key())


def b64(data: bytes | dict[str, Any]) -> str:
    return base64url.encode(json.dumps(data).encode() if isinstance(data, dict) else data)


def signed(key: VerificationKey, payload: bytes = PAYLOAD, **header: Any) -> str:
    """The signing input; ``header`` adds to or replaces ``alg`` and ``kid``."""
    return f"{b64({'alg': key.algorithm.value, 'kid': key.kid} | header)}.{b64(payload)}"


def mac(signing_input: str) -> str:
    """A token under the shared secret over any text, well formed or not."""
    return f"{signing_input}.{b64(hmac.hmac_sha256(bytes(range(32)), signing_input.encode()))}"


def rsa_token(
    signing_input: str, scheme: padding.PKCS1v15 | padding.PSS, digest: hashes.HashAlgorithm
) -> str:
    return f"{signing_input}.{b64(RSA_PRIVATE.sign(signing_input.encode(), scheme, digest))}"


def pss(digest: hashes.HashAlgorithm, salt_length: int | None = None) -> padding.PSS:
    return padding.PSS(padding.MGF1(digest), digest.digest_size if salt_length is None else salt_length)


def ec_token(**header: Any) -> str:
    signing_input = signed(EC_SIGNING.verification_key, **header)
    return f"{signing_input}.{b64(jws.signature(signing_input.encode(), EC_SIGNING))}"


def accepts(token: str, key: VerificationKey) -> bool:
    try:
        jws.verify(jws.parse_compact(token), key)
    except SignatureRejected:
        return False
    return True


GENUINE: list[tuple[VerificationKey, str]] = [
    (SECRET, mac(signed(SECRET))),
    (EC_SIGNING.verification_key, ec_token()),
    (rsa_key("RS256"), rsa_token(signed(rsa_key("RS256")), padding.PKCS1v15(), hashes.SHA256())),
    (rsa_key("PS256"), rsa_token(signed(rsa_key("PS256")), pss(hashes.SHA256()), hashes.SHA256())),
]
BY_KEY = pytest.mark.parametrize(("key", "token"), GENUINE, ids=[key.algorithm for key, _ in GENUINE])


@BY_KEY
def test_accepts_valid(key: VerificationKey, token: str) -> None:
    assert accepts(token, key)


@BY_KEY
def test_rejects_modified_header_payload_and_signature(key: VerificationKey, token: str) -> None:
    head, payload, signature = token.split(".")
    flipped = ("X" if signature[0] != "X" else "Y") + signature[1:]
    assert not accepts(f"{head}.{payload}.{flipped}", key)
    assert not accepts(f"{head}.{b64(b'Xoo')}.{signature}", key)
    assert not accepts(f"{signed(key, kid='Xid').split('.')[0]}.{payload}.{signature}", key)


@BY_KEY
def test_rejects_missing_and_extra_parts(key: VerificationKey, token: str) -> None:
    h, p, s = token.split(".")
    for text in (
        *(f"{h}.{p}.", f"{h}.{p}", f"{h}..{s}", f"{h}.{s}", f".{p}.{s}", f"{p}.{s}", f".{p}.", p, ""),
        *(f"{token}.", f"{token}.foo", f".{token}", f"{h}.{p}..{s}"),
    ):
        assert not accepts(text, key)


@BY_KEY
@pytest.mark.parametrize("alg", ["none", "NONE", "nOnE"])
def test_rejects_alg_is_none(key: VerificationKey, token: str, alg: str) -> None:
    for header in ({"alg": alg}, {"alg": alg, "kid": "none"}, {"alg": alg, "kid": key.kid}):
        unsigned = f"{b64(header)}.{b64(PAYLOAD)}."
        assert not accepts(unsigned, key)
        assert not accepts(unsigned + token.rpartition(".")[2], key)


@BY_KEY
def test_rejects_json_serialization(key: VerificationKey, token: str) -> None:
    h, p, s = token.split(".")
    assert not accepts(json.dumps({"payload": p, "signatures": [{"protected": h, "signature": s}]}), key)
    assert not accepts(json.dumps({"payload": p, "protected": h, "signature": s}), key)


def test_rejects_symmetry_confusion_with_the_public_keys_bytes() -> None:
    for key in (EC_SIGNING.verification_key, rsa_key("RS256")):
        assert not isinstance(key.public, bytes | Sm2PublicKey)
        for encoding in (Encoding.DER, Encoding.PEM):
            secret = key.public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
            text = signed(key, alg="HS256")
            assert not accepts(f"{text}.{b64(hmac.hmac_sha256(secret, text.encode()))}", key)


def test_rejects_attacker_provided_embedded_jwk() -> None:
    attacker = SigningKey("kid-ec", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
    text = signed(attacker.verification_key, jwk=keys.public_jwk(attacker.verification_key))
    token = f"{text}.{b64(jws.signature(text.encode(), attacker))}"
    assert not accepts(token, EC_SIGNING.verification_key)
    assert not accepts(token, attacker.verification_key)


# RSA: empty, zero and one-byte payloads; every hash


@pytest.mark.parametrize("size", ["256", "384", "512"])
@pytest.mark.parametrize("payload", [b"", bytes(20), b"a", b"Test", "张".encode()])
def test_accepts_edge_case_payloads(size: str, payload: bytes) -> None:
    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[size]
    for name, scheme in ((f"RS{size}", padding.PKCS1v15()), (f"PS{size}", pss(digest))):
        key = rsa_key(name)
        assert accepts(rsa_token(signed(key, payload), scheme, digest), key)


# RS256: modified PKCS #1 padding. The private key signs what a lenient decoder would take for right.

SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


def raw_rsa(encoded: bytes) -> bytes:
    return pow(int.from_bytes(encoded), D, N).to_bytes(256)


def pkcs1(
    digest_info: bytes, *, start: bytes = b"\x00\x01", fill: bytes = b"\xff", end: bytes = b"\x00"
) -> bytes:
    return start + fill * (256 - len(start) - len(end) - len(digest_info)) + end + digest_info


PKCS1_CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "lengthOfSequenceUsesLongFormEncoding": lambda h: pkcs1(b"\x30\x81" + SHA256_PREFIX[1:] + h),
    "lengthOfSequenceContainsALeading0": lambda h: pkcs1(b"\x30\x82\x00" + SHA256_PREFIX[1:] + h),
    "lengthOfSequenceUses50InsteadOf49": lambda h: pkcs1(b"\x30\x32" + SHA256_PREFIX[2:] + h),
    "lengthOfSequenceUses48InsteadOf49": lambda h: pkcs1(b"\x30\x30" + SHA256_PREFIX[2:] + h),
    "uint32OverflowInLengthOfSequence": lambda h: pkcs1(
        b"\x30\x85\x01\x00\x00\x00\x31" + SHA256_PREFIX[2:] + h
    ),
    "indefiniteLength": lambda h: pkcs1(b"\x30\x80" + SHA256_PREFIX[2:] + h),
    "removingSequence": lambda h: pkcs1(SHA256_PREFIX[2:] + h),
    "appending0sToSequence": lambda h: pkcs1(b"\x30\x33" + SHA256_PREFIX[2:] + h + bytes(2)),
    "removingNullParameter": lambda h: pkcs1(
        bytes.fromhex("302f300b0609608648016503040201") + b"\x04\x20" + h
    ),
    "wrongOid": lambda h: pkcs1(SHA256_PREFIX.replace(b"\x04\x02\x01", b"\x04\x02\x02") + h),
    "noDigestInfo": pkcs1,
    "trailingGarbage": lambda h: (b"\x00\x01" + b"\xff" * 8 + b"\x00" + SHA256_PREFIX + h).ljust(
        256, b"\x00"
    ),
    "shortPaddingInFront": lambda h: (b"\x00\x01\xff\x00" + SHA256_PREFIX + h).ljust(256, b"\xaa"),
    "blockType0": lambda h: pkcs1(SHA256_PREFIX + h, start=b"\x00\x00", fill=b"\x00"),
    "blockType2": lambda h: pkcs1(SHA256_PREFIX + h, start=b"\x00\x02"),
    "fillIsNotFF": lambda h: pkcs1(SHA256_PREFIX + h, fill=b"\xfe"),
    "noSeparator": lambda h: pkcs1(SHA256_PREFIX + h, end=b"\xff"),
    "modifiedDigest": lambda h: pkcs1(SHA256_PREFIX + bytes([h[0] ^ 1]) + h[1:]),
}


def test_the_hand_made_padding_is_right_where_it_is_not_modified() -> None:
    text = signed(rsa_key("RS256"))
    good = raw_rsa(pkcs1(SHA256_PREFIX + hashlib.sha256(text.encode()).digest()))
    assert accepts(f"{text}.{b64(good)}", rsa_key("RS256"))


@pytest.mark.parametrize("change", PKCS1_CHANGES.values(), ids=PKCS1_CHANGES.keys())
def test_rejects_modified_padding(change: Callable[[bytes], bytes]) -> None:
    text = signed(rsa_key("RS256"))
    encoded = change(hashlib.sha256(text.encode()).digest())
    assert len(encoded) == 256
    assert not accepts(f"{text}.{b64(raw_rsa(encoded))}", rsa_key("RS256"))


# PS256: modified encodings and signatures


def mgf1(seed: bytes, length: int) -> bytes:
    return b"".join(hashlib.sha256(seed + n.to_bytes(4)).digest() for n in range(8))[:length]


def pss_encode(
    m_hash: bytes,
    salt: bytes = bytes(32),
    *,
    hash_flip: int = 0,
    ps: bytes = b"\x00",
    one: int = 1,
    trailer: int = 0xBC,
) -> bytes:
    """EMSA-PSS with each part changeable (RFC 8017, section 9.1.1)."""
    h = hashlib.sha256(bytes(8) + m_hash + salt).digest()
    h = bytes([h[0] ^ hash_flip]) + h[1:]
    db = (ps * 223)[: 223 - len(salt) - 1] + bytes([one]) + salt
    masked = bytes(a ^ b for a, b in zip(db, mgf1(h, 223), strict=True))
    return bytes([masked[0] & 0x7F]) + masked[1:] + h + bytes([trailer])


PSS_CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "MhashModified": lambda m: pss_encode(bytes([m[0] ^ 1]) + m[1:]),
    "lastByteOfMhashModified": lambda m: pss_encode(m[:-1] + bytes([m[-1] ^ 1])),
    "SaltLenChanged0": lambda m: pss_encode(m, b""),
    "SaltLenChanged20": lambda m: pss_encode(m, bytes(20)),
    "SaltLenChanged31": lambda m: pss_encode(m, bytes(31)),
    "SaltLenChanged33": lambda m: pss_encode(m, bytes(33)),
    "SaltLenChanged64": lambda m: pss_encode(m, bytes(64)),
    "ZeroPaddingModified": lambda m: pss_encode(m, ps=b"\x00\x01"),
    "PSModified": lambda m: pss_encode(m, one=2),
    "ModifiedHash": lambda m: pss_encode(m, hash_flip=0x80),
    "EmModified": lambda m: pss_encode(m, trailer=0xCC),
}


@pytest.mark.parametrize(
    "salt", [bytes(32), b"\xff" * 32, bytes(range(32))], ids=["saltIsAll0", "saltIsAll1", "salt"]
)
def test_accepts_any_salt_of_the_right_length(salt: bytes) -> None:
    text = signed(rsa_key("PS256"))
    encoded = pss_encode(hashlib.sha256(text.encode()).digest(), salt)
    assert accepts(f"{text}.{b64(raw_rsa(encoded))}", rsa_key("PS256"))


@pytest.mark.parametrize("change", PSS_CHANGES.values(), ids=PSS_CHANGES.keys())
def test_rejects_modified_pss_encoding(change: Callable[[bytes], bytes]) -> None:
    text = signed(rsa_key("PS256"))
    encoded = change(hashlib.sha256(text.encode()).digest())
    assert not accepts(f"{text}.{b64(raw_rsa(encoded))}", rsa_key("PS256"))


@pytest.mark.parametrize("number", [2, 3], ids=["RS256", "PS256"])
def test_rejects_modified_rsa_signature_values(number: int) -> None:
    key, token = GENUINE[number]
    text, _, signature = token.rpartition(".")
    raw = base64url.decode(signature)
    value = int.from_bytes(raw)
    assert accepts(f"{text}.{b64(raw)}", key)
    for changed in (
        *((one % 2**2048).to_bytes(256) for one in (0, 1, N - 1, N, N - value)),
        *(
            (value + N).to_bytes(257),
            bytes(1) + raw,
            bytes(8) + raw,
            raw + bytes(1),
            raw[:-1],
            raw[:20],
            raw * 2,
        ),
    ):
        assert not accepts(f"{text}.{b64(changed)}", key)


@pytest.mark.parametrize("registered", ["PS256", "PS512", "RS256", "RS512"])
@pytest.mark.parametrize("used", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_rejects_wrong_primitive(registered: str, used: str) -> None:
    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[used[2:]]
    scheme = padding.PKCS1v15() if used.startswith("RS") else pss(digest)
    key = rsa_key(registered)
    for named in (registered, used):
        assert accepts(rsa_token(signed(key, alg=named), scheme, digest), key) is (registered == used)


# Base64 and JSON spelling


@pytest.mark.parametrize(
    "change",
    [
        lambda h, p, s: f"{h}.{p}.    {s}",
        lambda h, p, s: f"{h}.{p}.?{s}",
        lambda h, p, s: f"{h}.{p}.{s}?",
        lambda h, p, s: f"{h}.{p}.?{s[1:]}",
        lambda h, p, s: f"{h}.{p}.????{s[4:]}",
        lambda h, p, s: f"{h}.{p}.{s}=",
        lambda h, p, s: f"{h}.{p}.{s}\n",
        lambda h, p, s: f"{h}?.{p}.{s}",
        lambda h, p, s: f"{h}.{p}?.{s}",
    ],
)
def test_rejects_invalid_characters_around_a_valid_mac(change: Callable[[str, str, str], str]) -> None:
    assert not accepts(change(*mac(signed(SECRET)).split(".")), SECRET)


@pytest.mark.parametrize(
    "change",
    [
        lambda h, p: f"{h}    .{p}",
        lambda h, p: f"{h}####.{p}",
        lambda h, p: f"{h}=.{p}",
        lambda h, p: f"{h}==.{p}",
        lambda h, p: f"{h}.    {p}",
        lambda h, p: f"{h}.####{p}",
        lambda h, p: f"{h}.{p}=",
        lambda h, p: f"{h}.?{p}",
        lambda h, _: f"{h}.AB",
        lambda h, _: f"{h}.A",
    ],
)
def test_rejects_invalid_base64_even_where_the_mac_covers_it(change: Callable[[str, str], str]) -> None:
    assert not accepts(mac(change(*signed(SECRET).split("."))), SECRET)


@pytest.mark.parametrize("header", ['{ "kid" : "k" , "alg" : "HS256" }', '{"kid":"k",\r\n\t"alg":"HS256"}\n'])
def test_accepts_white_space_in_the_json_header(header: str) -> None:
    assert accepts(mac(f"{b64(header.encode())}.{b64(PAYLOAD)}"), SECRET)


# ES256: special values


@pytest.mark.parametrize("r", [0, 1, ORDER - 1, ORDER])
@pytest.mark.parametrize("s", [0, 1, ORDER - 1, ORDER])
def test_rejects_psychic_and_other_degenerate_signatures(r: int, s: int) -> None:
    text = signed(EC_SIGNING.verification_key)
    assert not accepts(f"{text}.{b64(r.to_bytes(32) + s.to_bytes(32))}", EC_SIGNING.verification_key)


def test_rejects_signatures_too_long_too_big_or_overflowing() -> None:
    text, _, signature = ec_token().rpartition(".")
    raw = base64url.decode(signature)
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    for changed in (
        raw + bytes(1),
        raw + bytes(64),
        bytes(1) + raw,
        raw[:32] + bytes(1) + raw[32:],
        (r + ORDER).to_bytes(33) + s.to_bytes(33),
        (r + 2**256).to_bytes(33) + s.to_bytes(33),
        ((r + ORDER) % 2**256).to_bytes(32) + raw[32:],
        raw[:32] + ((s + ORDER) % 2**256).to_bytes(32),
        raw * 64,
    ):
        assert not accepts(f"{text}.{b64(changed)}", EC_SIGNING.verification_key)

from __future__ import annotations

import ctypes
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from verifier.errors import Code, ConfigurationError, SignatureRejected
from verifier.signatures import sm2
from verifier.signatures.sm2 import DEFAULT_ID, Sm2PrivateKey, Sm2PublicKey

# GB/T 32918.5, annex A.2.
D = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8
X = 0x09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020
Y = 0xCCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13
R = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
S = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA
MESSAGE = b"message digest"

P, B = sm2._P, sm2._B
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)

Point = tuple[int, int] | None


def encoded(x: int, y: int) -> bytes:
    return b"\x04" + x.to_bytes(32) + y.to_bytes(32)


EXAMPLE = Sm2PublicKey(encoded(X, Y))
PRIVATE = Sm2PrivateKey(D.to_bytes(32), EXAMPLE)
SIGNATURE = encode_dss_signature(R, S)


def accepts(key: Sm2PublicKey, data: bytes, signature: bytes) -> bool:
    try:
        sm2.verify(key, data, signature)
    except SignatureRejected as error:
        return error.step != "signature"
    return True


# The standard's own formulas, in integers.


def add(p: Point, q: Point) -> Point:
    if p is None or q is None:
        return p or q
    if p[0] == q[0] and (p[1] + q[1]) % P == 0:
        return None
    if p == q:
        slope = (3 * p[0] * p[0] - 3) * pow(2 * p[1], -1, P)
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, P)
    x = (slope * slope - p[0] - q[0]) % P
    return x, (slope * (p[0] - x) - p[1]) % P


def times(k: int, p: Point) -> Point:
    total: Point = None
    while k:
        total = add(total, p) if k & 1 else total
        p, k = add(p, p), k >> 1
    return total


def sm3(data: bytes) -> bytes:
    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


def hashed(key: Sm2PublicKey, data: bytes) -> int:
    length = (8 * len(key.distinguishing_id)).to_bytes(2)
    curve = (P - 3).to_bytes(32) + B.to_bytes(32) + encoded(*G)[1:]
    z = sm3(length + key.distinguishing_id + curve + key.point[1:])
    return int.from_bytes(sm3(z + data))


def formula_sign(d: int, key: Sm2PublicKey, data: bytes, k: int) -> bytes:
    point = times(k, G)
    assert point is not None
    r = (hashed(key, data) + point[0]) % N
    return encode_dss_signature(r, pow(1 + d, -1, N) * (k - r * d) % N)


def formula_accepts(key: Sm2PublicKey, data: bytes, signature: bytes) -> bool:
    r, s = decode_dss_signature(signature)
    public = (int.from_bytes(key.point[1:33]), int.from_bytes(key.point[33:]))
    point = add(times(s, G), times((r + s) % N, public))
    assert point is not None
    return (hashed(key, data) + point[0]) % N == r


def test_the_formulas_of_these_tests_give_the_example_of_the_standard() -> None:
    assert times(D, G) == (X, Y)
    k = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
    assert formula_sign(D, EXAMPLE, MESSAGE, k) == SIGNATURE
    assert formula_accepts(EXAMPLE, MESSAGE, SIGNATURE)


IDS = {"usual": DEFAULT_ID, "empty": b"", "text": "昌吉".encode(), "nul": b"\x00", "longest": bytes(8190)}


@settings(max_examples=25)
@given(st.binary(max_size=300), st.sampled_from(sorted(IDS)), st.integers(1, N - 1), st.integers(1, N - 2))
def test_what_the_formulas_sign_is_verified_and_the_other_way_round(
    data: bytes, id_name: str, k: int, d: int
) -> None:
    point = times(d, G)
    assert point is not None
    key = Sm2PublicKey(encoded(*point), IDS[id_name])
    assert accepts(key, data, formula_sign(d, key, data, k))
    assert formula_accepts(key, data, Sm2PrivateKey(d.to_bytes(32), key).sign(data))


def test_the_example_of_the_standard_holds_and_none_of_its_alterations() -> None:
    assert accepts(EXAMPLE, MESSAGE, SIGNATURE)
    assert not accepts(EXAMPLE, b"message digest ", SIGNATURE)
    assert not accepts(EXAMPLE, b"", SIGNATURE)
    for other in (b"", b"1234567812345679", b"123456781234567", DEFAULT_ID + b"\x00"):
        assert not accepts(Sm2PublicKey(EXAMPLE.point, other), MESSAGE, SIGNATURE)
    assert not accepts(Sm2PublicKey(encoded(X, P - Y)), MESSAGE, SIGNATURE)


@pytest.mark.parametrize("r", [0, 1, R, N - R, N - 1, N, R + N], ids=count())
@pytest.mark.parametrize("s", [0, 1, N - S, N - R, N - 1, N, S + N], ids=count())
def test_other_numbers_than_the_signers_are_refused(r: int, s: int) -> None:
    assert not accepts(EXAMPLE, MESSAGE, encode_dss_signature(r, s))


RS = SIGNATURE[2:]


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\x30\x00",
        R.to_bytes(32) + S.to_bytes(32),
        SIGNATURE + b"\x00",
        SIGNATURE[:-1],
        b"\x30\x81" + bytes([len(RS)]) + RS,
        b"\x30\x80" + RS + b"\x00\x00",
        b"\x31" + SIGNATURE[1:],
        b"\x30\x47\x02\x22\x00" + RS[2:],
        b"\x30\x44\x02\x20" + RS[3:35] + b"\x02\x20" + RS[38:],
        SIGNATURE.hex().encode(),
        bytes(100_000),
    ],
    ids=count(),
)
def test_a_signature_in_another_form_than_der_is_refused(signature: bytes) -> None:
    assert not accepts(EXAMPLE, MESSAGE, signature)


@given(st.integers(0, 8 * len(SIGNATURE) - 1))
def test_any_flipped_bit_of_the_signature_is_refused(bit: int) -> None:
    flipped = int.from_bytes(SIGNATURE) ^ (1 << bit)
    assert not accepts(EXAMPLE, MESSAGE, flipped.to_bytes(len(SIGNATURE)))


@given(st.binary(max_size=90))
def test_any_bytes_raise_only_signature_rejected(signature: bytes) -> None:
    assert not accepts(EXAMPLE, MESSAGE, signature)


# Keys


def refused(make: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert caught.value.code is Code.KEY_REFUSED
    return caught.value.detail


def test_a_key_survives_its_subject_public_key_info_and_pickling() -> None:
    key = Sm2PublicKey(EXAMPLE.point, b"\x00id")
    assert Sm2PublicKey.from_spki(key.spki(), b"\x00id") == key
    assert pickle.loads(pickle.dumps(key)) == key  # noqa: S301 - our own bytes
    assert {key: 1}[Sm2PublicKey(EXAMPLE.point, b"\x00id")] == 1
    assert key != EXAMPLE
    assert Sm2PublicKey.from_spki(EXAMPLE.spki()).distinguishing_id == b"1234567812345678"


X_OF_SMALL_POINT = next(x for x in range(100) if pow(x**3 - 3 * x + B, (P - 1) // 2, P) == 1)
Y_OF_SMALL_POINT = pow(X_OF_SMALL_POINT**3 - 3 * X_OF_SMALL_POINT + B, (P + 1) // 4, P)


@pytest.mark.parametrize(
    "point",
    [
        b"",
        b"\x00",
        bytes(65),
        EXAMPLE.point[:-1],
        EXAMPLE.point + b"\x00",
        b"\x03" + X.to_bytes(32),
        b"\x06" + EXAMPLE.point[1:],
        encoded(X, Y ^ 1),
        encoded(Y, X),
        encoded(0, 0),
    ],
    ids=count(),
)
def test_what_is_no_uncompressed_point_of_the_curve_is_refused(point: bytes) -> None:
    assert refused(lambda: Sm2PublicKey(point))


# The point of the curve whose y is 1.
X_OF_Y_1 = 0x9C17043EFFE1A805A74A9A5E70B9D659705D3242094A566DC016F49311178D1F


@pytest.mark.parametrize(
    ("x", "y", "second_x", "second_y"),
    [
        (X_OF_SMALL_POINT, Y_OF_SMALL_POINT, X_OF_SMALL_POINT + P, Y_OF_SMALL_POINT),
        (X_OF_Y_1, 1, X_OF_Y_1, 1 + P),
    ],
    ids=count(),
)
def test_a_coordinate_small_enough_to_be_written_twice_has_one_spelling(
    x: int, y: int, second_x: int, second_y: int
) -> None:
    assert Sm2PublicKey(encoded(x, y)).point == encoded(x, y)
    assert refused(lambda: Sm2PublicKey(encoded(second_x, second_y)))


def test_an_id_longer_than_its_length_field_counts_is_refused() -> None:
    assert "8190" in refused(lambda: Sm2PublicKey(EXAMPLE.point, bytes(8191)))


SPKI = EXAMPLE.spki()


@pytest.mark.parametrize(
    "der",
    [
        b"",
        SPKI[:-1],
        SPKI + b"\x00",
        EXAMPLE.point,
        SPKI.replace(bytes.fromhex("06082a811ccf5501822d"), bytes.fromhex("06082a8648ce3d030107")),
        SPKI.replace(bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0202")),
    ],
    ids=count(),
)
def test_another_subject_public_key_info_is_refused(der: bytes) -> None:
    assert refused(lambda: Sm2PublicKey.from_spki(der))


def test_a_private_key_survives_its_file_and_hides_itself() -> None:
    private = Sm2PrivateKey.generate(b"id")
    assert private != Sm2PrivateKey.generate(b"id")
    assert private.public_key.distinguishing_id == b"id"
    assert Sm2PrivateKey.from_pem(private.pem(), b"id") == private
    assert accepts(private.public_key, MESSAGE, private.sign(MESSAGE))
    assert "private" not in repr(private)


MISMATCHED = Sm2PrivateKey(D.to_bytes(32), Sm2PrivateKey.generate().public_key)


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"\xff",
        PRIVATE.pem()[:-30],
        PRIVATE.pem() * 2,
        PRIVATE.pem().replace(b"PRIVATE", b"PUBLIC"),
        PRIVATE.pem().replace(b"\nMIGH", b"\nMIG"),
        PRIVATE.pem().replace(b"\nMIGH", b"\nMIGI"),
        PRIVATE.pem().replace(b"\nMIGH", b"\nAAAAMIGH"),
        MISMATCHED.pem(),
    ],
    ids=count(),
)
def test_another_private_key_file_is_refused(pem: bytes) -> None:
    assert refused(lambda: Sm2PrivateKey.from_pem(pem))


@pytest.mark.parametrize("d", [0, N - 1, N, 2**256 - 1], ids=count())
def test_a_private_key_outside_its_range_cannot_be_made(d: int) -> None:
    assert "range" in refused(lambda: Sm2PrivateKey(d.to_bytes(32), EXAMPLE))
    assert "range" in refused(lambda: Sm2PrivateKey(b"\x01", EXAMPLE))


# libcrypto


class Library:
    """The real libcrypto, which counts what is called, with some functions replaced."""

    def __init__(self, **replaced: Callable[..., object]) -> None:
        self._real = sm2._libcrypto()
        self._replaced = replaced
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[..., object]:
        function = self._replaced.get(name) or getattr(self._real, name)

        def call(*arguments: Any) -> object:
            self.calls[name] += 1
            return function(*arguments)

        return call


@pytest.fixture
def emptied() -> Iterator[None]:
    """Leaves no handle of a replaced library behind."""
    yield
    sm2._libcrypto.cache_clear()
    sm2._public_handle.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, **replaced: Callable[..., object]) -> Library:
    library = Library(**replaced)
    monkeypatch.setattr(sm2, "_libcrypto", lambda: library)
    sm2._public_handle.cache_clear()
    return library


def unusable(act: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        act()
    assert caught.value.code is Code.CONFIGURATION_INVALID
    return caught.value.detail


def try_verify() -> None:
    sm2.verify(EXAMPLE, MESSAGE, SIGNATURE)


def test_the_installed_library_passes_the_self_test() -> None:
    sm2.self_test()


@pytest.mark.parametrize("result", [0, 1])
@pytest.mark.usefixtures("emptied")
def test_a_library_that_always_gives_one_answer_fails_the_self_test(
    monkeypatch: pytest.MonkeyPatch, result: int
) -> None:
    install(monkeypatch, EVP_DigestVerify=lambda *_: result)
    assert "GB/T 32918.5" in unusable(sm2.self_test)


@pytest.mark.usefixtures("emptied")
def test_a_library_that_ignores_the_id_fails_the_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, EVP_PKEY_CTX_set1_id=lambda *_: 1)
    assert "GB/T 32918.5" in unusable(sm2.self_test)


@pytest.mark.parametrize("names", [(), (None,), ("libno-such-library.so.9", None), ("libc.so.6",)])
@pytest.mark.usefixtures("emptied")
def test_a_missing_library_or_one_without_the_functions_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch, names: tuple[str | None, ...]
) -> None:
    monkeypatch.setattr(sm2, "_names", lambda: names)
    sm2._libcrypto.cache_clear()
    sm2._public_handle.cache_clear()
    for act in (try_verify, sm2.self_test, Sm2PrivateKey.generate, lambda: PRIVATE.sign(MESSAGE)):
        assert "OpenSSL" in unusable(act)


@pytest.mark.usefixtures("emptied")
def test_the_next_library_is_taken_where_the_first_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    names = sm2._names()
    monkeypatch.setattr(sm2, "_names", lambda: ("libno-such-library.so.9", *names))
    sm2._libcrypto.cache_clear()
    try_verify()


@pytest.mark.parametrize(
    ("function", "result"),
    [
        ("EVP_MD_CTX_new", None),
        ("EVP_DigestVerifyInit", 0),
        ("EVP_DigestVerifyInit", -2),
        ("EVP_PKEY_CTX_set1_id", 0),
        ("EVP_PKEY_CTX_set1_id", -2),
        ("d2i_PUBKEY", None),
    ],
)
@pytest.mark.usefixtures("emptied")
def test_a_library_without_sm2_is_a_configuration_error_and_no_wrong_signature(
    monkeypatch: pytest.MonkeyPatch, function: str, result: int | None
) -> None:
    library = install(monkeypatch, **{function: lambda *_: result})
    assert "libcrypto" in unusable(try_verify)
    assert library.calls["EVP_DigestVerify"] == 0
    assert library.calls["EVP_MD_CTX_new"] == library.calls["EVP_MD_CTX_free"]


@pytest.mark.parametrize("result", [0, -1, -2, 2, 256])
@pytest.mark.usefixtures("emptied")
def test_only_the_answer_1_is_a_right_signature(monkeypatch: pytest.MonkeyPatch, result: int) -> None:
    install(monkeypatch, EVP_DigestVerify=lambda *_: result)
    assert not accepts(EXAMPLE, MESSAGE, SIGNATURE)


@pytest.mark.parametrize(
    ("function", "result"),
    [
        ("EVP_DigestSignInit", 0),
        ("EVP_DigestSign", 0),
        ("EVP_DigestSign", -1),
        ("d2i_AutoPrivateKey", None),
        ("EVP_PKEY_CTX_new_from_name", None),
        ("EVP_PKEY_keygen_init", 0),
        ("EVP_PKEY_keygen", 0),
    ],
)
@pytest.mark.usefixtures("emptied")
def test_a_library_that_cannot_sign_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch, function: str, result: int | None
) -> None:
    library = install(monkeypatch, **{function: lambda *_: result})
    assert "libcrypto" in unusable(lambda: Sm2PrivateKey.generate().sign(MESSAGE))
    assert library.calls["EVP_MD_CTX_new"] == library.calls["EVP_MD_CTX_free"]
    assert library.calls["EVP_PKEY_CTX_new_from_name"] == library.calls["EVP_PKEY_CTX_free"]


@pytest.mark.usefixtures("emptied")
def test_everything_is_freed_and_no_error_is_left_for_other_users(monkeypatch: pytest.MonkeyPatch) -> None:
    peek = sm2._libcrypto().ERR_peek_error
    peek.restype, peek.argtypes = ctypes.c_ulong, ()
    library = install(monkeypatch)
    private = Sm2PrivateKey.generate()
    signature = private.sign(MESSAGE)
    for one in (signature, signature, b"", SIGNATURE, signature[:-1]):
        assert accepts(private.public_key, MESSAGE, one) is (one == signature)
        assert peek() == 0
    assert library.calls["d2i_PUBKEY"] == 1
    sm2._public_handle.cache_clear()
    assert library.calls["EVP_MD_CTX_new"] == library.calls["EVP_MD_CTX_free"] == 6
    assert library.calls["EVP_PKEY_CTX_free"] == 1
    made = sum(library.calls[name] for name in ("EVP_PKEY_keygen", "d2i_PUBKEY", "d2i_AutoPrivateKey"))
    assert library.calls["EVP_PKEY_free"] == made


@pytest.mark.usefixtures("emptied")
def test_a_key_that_leaves_the_cache_while_it_serves_is_freed_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = install(monkeypatch)

    def verify_without_cache(*_: object) -> int:
        sm2._public_handle.cache_clear()
        assert library.calls["EVP_PKEY_free"] == 0
        return 1

    library._replaced["EVP_DigestVerify"] = verify_without_cache
    try_verify()
    assert library.calls["EVP_PKEY_free"] == 1


def test_the_cache_of_keys_is_bounded() -> None:
    assert sm2._public_handle.cache_parameters()["maxsize"] == sm2.MAX_CACHED_KEYS == 256


def test_many_threads_may_verify_while_the_cache_is_emptied() -> None:
    keys = [Sm2PrivateKey.generate() for _ in range(4)]
    signed = [(key.public_key, str(n).encode(), key.sign(str(n).encode())) for n, key in enumerate(keys)]

    def work(n: int) -> bool:
        if n % 7 == 0:
            sm2._public_handle.cache_clear()
        key, data, signature = signed[n % 4]
        return accepts(key, data, signature) and not accepts(key, data + b"!", signature)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(400)))

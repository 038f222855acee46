"""Token status lists: the draft's vectors, every position, and what must not unpack."""

from __future__ import annotations

import tracemalloc
import zlib
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifier.errors import SignatureRejected
from verifier.signatures import status_list
from verifier.signatures.status_list import Status

ONE_BIT = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]
TWO_BITS = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]

# The draft's long vector: 2**20 statuses, 1 at these places.
LONG_ONE_BIT = (0, 1993, 25460, 159495, 495669, 554353, 645645, 723232, 854545, 934534, 1000345)
LONG_LST = (
    "eNrt3AENwCAMAEGogklACtKQPg9LugC9k_ACvreiogEAAKkeCQAAAAAAAAAAAAAAAAAAAIBylgQAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAXG9IAAAAAAAAAPwsJAAAAAAAAAAAAAAAvhsSAAAAAAAAAAAA7KpLAAAAAAAAAAAAAAAAAAAA"
    "AJsLCQAAAAAAAAAAADjelAAAAAAAAAAAKjDMAQAAAACAZC8L2AEb"
)

all_bits = st.sampled_from([1, 2, 4, 8])


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def refused(lst: str, bits: int = 1, max_bytes: int = 1024) -> bool:
    with pytest.raises(SignatureRejected) as caught:
        status_list.decode(lst, bits, max_bytes=max_bytes)
    return caught.value.step == "status_list"


@pytest.mark.parametrize(
    ("statuses", "bits", "packed", "lst"),
    [(ONE_BIT, 1, "b9a3", "eNrbuRgAAhcBXQ"), (TWO_BITS, 2, "c944f9", "eNo76fITAAPfAgc")],
)
def test_the_short_examples_of_the_draft_are_ours(
    statuses: list[int], bits: int, packed: str, lst: str
) -> None:
    assert status_list.pack(statuses, bits).hex() == packed
    assert status_list.encode(statuses, bits) == lst
    assert status_list.encode(bytes.fromhex(packed), bits) == lst
    unpacked = status_list.decode(lst, bits, max_bytes=3)
    assert [status_list.get(unpacked, bits, index) for index in range(len(statuses))] == statuses


def test_the_long_vector_of_the_draft_is_read() -> None:
    packed = status_list.decode(LONG_LST, 1, max_bytes=2**17)
    expected = status_list.blank(2**20, 1)
    for index in LONG_ONE_BIT:
        status_list.put(expected, 1, index, 1)
    assert packed == expected


def test_the_statuses_have_the_registered_values() -> None:
    assert [(status.name, status.value) for status in Status] == [
        ("VALID", 0),
        ("INVALID", 1),
        ("SUSPENDED", 2),
        ("SUPERSEDED", 3),
    ]


@given(all_bits, st.data())
def test_any_statuses_survive_encoding_and_decoding(bits: int, data: st.DataObject) -> None:
    statuses = data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=60))
    packed = status_list.decode(status_list.encode(statuses, bits), bits, max_bytes=60)
    assert len(packed) == -(-len(statuses) * bits // 8)
    assert [status_list.get(packed, bits, index) for index in range(len(statuses))] == statuses


@settings(max_examples=200)
@given(all_bits, st.binary(min_size=1, max_size=16), st.data())
def test_setting_one_status_changes_no_other(bits: int, content: bytes, data: st.DataObject) -> None:
    places = len(content) * 8 // bits
    index = data.draw(st.integers(0, places - 1))
    status = data.draw(st.integers(0, 2**bits - 1))
    changed = bytearray(content)
    status_list.put(changed, bits, index, status)
    for place in range(places):
        before = status_list.get(content, bits, place)
        assert status_list.get(changed, bits, place) == (status if place == index else before)


def test_a_blank_list_is_valid_throughout_and_rounded_up_to_bytes() -> None:
    assert status_list.blank(9, 1) == bytes(2)
    assert status_list.blank(4, 2) == bytes(1)
    assert status_list.blank(0, 8) == b""
    assert status_list.get(status_list.blank(5, 2), 2, 4) == Status.VALID


@pytest.mark.parametrize("bits", [-1, 0, 3, 5, 16])
def test_other_widths_are_refused(bits: int) -> None:
    lst = status_list.encode(bytes(4), 1)
    assert refused(lst, bits)
    packed = bytearray(4)
    for use in (
        lambda: status_list.blank(1, bits),
        lambda: status_list.pack([], bits),
        lambda: status_list.encode(packed, bits),
        lambda: status_list.get(packed, bits, 0),
    ):
        with pytest.raises(SignatureRejected):
            use()
    with pytest.raises(SignatureRejected):
        status_list.put(packed, bits, 0, 0)


@pytest.mark.parametrize("index", [-1, 16, 2**70])
def test_an_index_outside_the_list_says_nothing(index: int) -> None:
    packed = bytearray(2)
    with pytest.raises(SignatureRejected):
        status_list.get(packed, 1, index)
    with pytest.raises(SignatureRejected):
        status_list.put(packed, 1, index, 1)


@pytest.mark.parametrize("status", [-1, 4])
def test_a_status_that_does_not_fit_is_refused(status: int) -> None:
    with pytest.raises(SignatureRejected):
        status_list.encode([0, status], 2)


def test_a_list_is_unpacked_up_to_its_limit_and_not_beyond() -> None:
    lst = status_list.encode(bytes(1000), 8)
    assert status_list.decode(lst, 8, max_bytes=1000) == bytes(1000)
    assert refused(lst, 8, 999)


def test_a_bomb_is_refused_without_being_unpacked() -> None:
    bomb = base64url(zlib.compress(bytes(10_000_000), 9))
    tracemalloc.start()
    try:
        assert refused(bomb, 1, 131_072)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_content_that_cannot_be_compressed_is_within_the_limit_of_length() -> None:
    noise = b"".join(bytes([number * 167 % 256, number * 59 % 251]) for number in range(4096))
    for size in (1, 100, len(noise)):
        stored = base64url(zlib.compress(noise[:size], 0))
        assert status_list.decode(stored, 8, max_bytes=size) == noise[:size]


def test_a_stream_padded_with_empty_blocks_is_refused_by_its_length() -> None:
    deflater = zlib.compressobj()
    start = deflater.compress(b"x") + deflater.flush(zlib.Z_FULL_FLUSH)
    padded = start + b"\x00\x00\x00\xff\xff" * 1000 + deflater.flush()
    assert zlib.decompress(padded) == b"x"
    assert refused(base64url(padded), 1, 16)


def test_a_limit_of_nothing_unpacks_nothing() -> None:
    assert refused(status_list.encode(b"", 1), 1, 0)
    assert status_list.decode(status_list.encode(b"", 1), 1, max_bytes=1) == b""


WHOLE = zlib.compress(bytes.fromhex("b9a3"), 9)


@pytest.mark.parametrize(
    "lst",
    [
        "",
        "A",
        "AAAA",
        "eNrbuRgAAhcBXQ==",
        "eNrbuRgAAhcBXR",
        "eNrbuRgAAhcBXQ\n",
        "eNrbuRgAAhcBX+",
        "五",
        base64url(WHOLE[:-1]),
        base64url(WHOLE[:-1] + bytes([WHOLE[-1] ^ 1])),
        base64url(WHOLE + b"\x00"),
        base64url(WHOLE + WHOLE),
        base64url(zlib.compress(b"x", wbits=-15)),
        base64url(zlib.compress(b"x", wbits=31)),
    ],
)
def test_what_is_not_exactly_one_zlib_stream_in_base64url_is_refused(lst: str) -> None:
    assert refused(lst)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_with_the_one_error_or_read(content: bytes) -> None:
    try:
        packed = status_list.decode(base64url(content), 1, max_bytes=64)
    except SignatureRejected as error:
        assert error.step == "status_list"  # noqa: PT017 - most inputs are refused, a few are lists
    else:
        assert zlib.decompress(content) == packed

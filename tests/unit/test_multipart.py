"""``multipart/mixed`` has one reading: what two parsers could take apart differently is refused."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from verifier.errors import AdapterError, Code
from verifier.signatures import multipart
from verifier.signatures.multipart import Part

TYPE = "multipart/mixed; boundary=b1"
HASH = "a" * 64


def body(*parts: bytes, boundary: bytes = b"b1", start: bytes = b"", end: bytes = b"") -> bytes:
    lines = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return start + lines + b"--" + boundary + b"--" + end


def part(content: bytes = b"{}", *headers: bytes) -> bytes:
    return (
        b"".join(line + b"\r\n" for line in headers or (b"Content-Type: application/json",))
        + b"\r\n"
        + content
    )


ATTACHED = part(
    b"a.b.c",
    b"content-type:application/octet-stream",
    b"Content-Transfer-Encoding: binary",
    b"X-Experience-API-Hash:\t" + HASH.encode(),
    b"Content-Length: 5",
)


@pytest.mark.parametrize("start", [b"", b"\r\n"])
@pytest.mark.parametrize("end", [b"", b"\r\n"])
def test_statements_and_an_attachment_are_taken_apart(start: bytes, end: bytes) -> None:
    assert multipart.read(body(part(), ATTACHED, start=start, end=end), TYPE) == (
        Part("application/json", "", is_binary=False, content=b"{}"),
        Part("application/octet-stream", HASH, is_binary=True, content=b"a.b.c"),
    )


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/mixed;boundary=b1", b"b1"),
        ("Multipart/Mixed ;\tBOUNDARY=b1", b"b1"),
        ('multipart/mixed; boundary="b1"', b"b1"),
        ("""multipart/mixed; boundary="abcABC0123'()+_,-./:=?\"""", b"abcABC0123'()+_,-./:=?"),
        ('multipart/mixed; boundary="a b"', b"a b"),
        ("multipart/mixed; boundary=" + "b" * 70, b"b" * 70),
    ],
)
def test_every_boundary_of_the_grammar_is_taken(content_type: str, boundary: bytes) -> None:
    [found] = multipart.read(body(part(), boundary=boundary), content_type)
    assert found.content == b"{}"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/mixed",
        "multipart/mixed; boundary=",
        'multipart/mixed; boundary=""',
        'multipart/mixed; boundary="b1 "',
        'multipart/mixed; boundary="b1',
        "multipart/mixed; boundary=b 1",
        "multipart/mixed; boundary=b:1",
        "multipart/mixed; boundary=b1; charset=utf-8",
        "multipart/mixed; charset=utf-8; boundary=b1",
        "multipart/mixed; boundary=b1; boundary=b2",
        "multipart/mixed; boundary*0=b1",
        "multipart/mixed; boundary=" + "b" * 71,
        "multipart/mixed; boundary=b\u0661",
        "multipart/form-data; boundary=b1",
        "multipart/mixed; boundary=b1\r\n",
    ],
)
def test_no_other_content_type_is(content_type: str) -> None:
    with pytest.raises(AdapterError):
        multipart.read(body(part()), content_type)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\r\n", b"a\r\nb", b"a--b1", b"\r\n--b", b"\x00\xff", b"\r\n\r\n", b"--"]
)
def test_content_is_taken_as_it_stands(content: bytes) -> None:
    [found] = multipart.read(body(part(content)), TYPE)
    assert found.content == content


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4))
@example([b"\r\n--b", b"\r", b"x--b1--"])
def test_whatever_was_packed_comes_out_again(contents: list[bytes]) -> None:
    # A sender chooses a boundary that no line of the content begins with.
    assume(all(b"\r\n--b1" not in b"\r\n" + content for content in contents))
    parts = multipart.read(body(*map(part, contents)), TYPE)
    assert [found.content for found in parts] == contents


def test_a_disposition_changes_nothing() -> None:
    # As the npm package @xapi/xapi sends it with statements.
    named = part(
        b"{}", b"Content-Type: application/json", b'Content-Disposition: form-data; name="statement"'
    )
    assert multipart.read(body(named), TYPE) == multipart.read(
        body(part(b"{}", b"Content-Type: application/json")), TYPE
    )


REFUSED = {
    "empty": b"",
    "no delimiter": b"hello",
    "no part": b"--b1--",
    "only a delimiter": b"--b1\r\n",
    "not closed": body(part()).removesuffix(b"--"),
    "half closed": body(part()).removesuffix(b"-"),
    "a preamble": body(part(), start=b"see below\r\n"),
    "an empty line before": body(part(), start=b"\r\n\r\n"),
    "a bare line feed before": body(part(), start=b"\n"),
    "an epilogue": body(part(), end=b"\r\nbye"),
    "two line ends after": body(part(), end=b"\r\n\r\n"),
    "another delimiter after the end": body(part(), end=b"\r\n--b1--"),
    "bare line feeds": body(part()).replace(b"\r\n", b"\n"),
    "bare carriage returns": body(part()).replace(b"\r\n", b"\r"),
    "padding after a delimiter": body(part()).replace(b"--b1\r\n", b"--b1 \r\n"),
    "padding after the end": body(part(), end=b" "),
    "a longer delimiter": body(part()).replace(b"--b1\r\n", b"--b12\r\n"),
    "a delimiter where the content begins": body(part(b"--b1x")),
    "a delimiter in the content": body(part(b"x\r\n--b1y")),
    "a close delimiter in the middle": body(part(b"x\r\n--b1--\r\n")),
    "no headers": body(b"\r\n{}"),
    "no line between": body(b"{}"),
    "an unknown header": body(part(b"", b"Content-Type: a/b", b"Content-Language: zh")),
    "a doubled header": body(part(b"", b"Content-Type: a/b", b"content-type: a/b")),
    "a folded header": body(part(b"", b"Content-Type: a/b;", b" charset=x")),
    "a space before the colon": body(part(b"", b"Content-Type : a/b")),
    "a header without value": body(part(b"", b"Content-Type:")),
    "a header without colon": body(part(b"", b"Content-Type")),
    "a control character in a header": body(part(b"", b"Content-Type: a\x01b")),
    "a line feed in a header": body(part(b"", b"Content-Type: a/b\nX-Experience-API-Hash: x")),
    "a header beyond ASCII": body(part(b"", b"Content-Type: \xc3\xa9")),
    "base64": body(part(b"e30=", b"Content-Type: a/b", b"Content-Transfer-Encoding: base64")),
    "quoted-printable": body(part(b"x", b"Content-Transfer-Encoding: quoted-printable")),
    "8bit": body(part(b"x", b"Content-Transfer-Encoding: 8bit")),
    "another length": body(part(b"x", b"Content-Length: 2")),
    "a length that is no number": body(part(b"x", b"Content-Length: 01")),
    "parts of parts": body(part(b"x", b"Content-Type: multipart/mixed; boundary=x")),
    "a message": body(part(b"x", b"Content-Type: Message/RFC822")),
    "long headers": body(part(b"x", b"Content-Type: " + b"a" * 1024)),
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED.keys())
def test_what_has_two_readings_has_none(raw: bytes) -> None:
    with pytest.raises(AdapterError) as refused:
        multipart.read(raw, TYPE)
    assert refused.value.code is Code.DELIVERY_UNREADABLE


def test_as_many_parts_as_allowed_are_read_and_not_one_more() -> None:
    many = [part()] * 5
    assert len(multipart.read(body(*many), TYPE, max_parts=5)) == 5
    with pytest.raises(AdapterError):
        multipart.read(body(*many), TYPE, max_parts=4)


def test_headers_of_1024_bytes_are_read_and_not_one_more() -> None:
    line = b"Content-Type: a/"
    for extra, fits in ((0, True), (1, False)):
        # The block is counted with the line end before it and the empty line after it.
        padded = line + b"a" * (1024 - 6 - len(line) + extra)
        try:
            multipart.read(body(part(b"x", padded)), TYPE)
        except AdapterError:
            assert not fits
        else:
            assert fits


@given(st.binary(max_size=200), st.text(max_size=40))
def test_garbage_raises_nothing_else(raw: bytes, content_type: str) -> None:
    for kind in (content_type, TYPE):
        for given_body in (raw, b"--b1\r\n" + raw + b"\r\n--b1--"):
            try:
                multipart.read(given_body, kind)
            except AdapterError as error:
                assert error.code is Code.DELIVERY_UNREADABLE  # noqa: PT017 - nothing is wrong with none

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.callback import Limits, receive
from verifier.errors import Code, RequestRejected, SignatureRejected
from verifier.model.delivery import Accepts, Callback, PlatformSlug

AT = datetime(2021, 3, 1, tzinfo=UTC)
JSON = ("Content-Type", "application/json")
JSON_ONLY = Accepts(frozenset({"application/json"}))
MANY = Accepts(
    frozenset({"application/json", "multipart/mixed", "text/xml"}),
    charsets=frozenset({"utf-8", "gb18030"}),
    routes=frozenset({("POST", ""), ("PUT", "/statements")}),
)


def _receive(**changed: Any) -> Callback:
    request: dict[str, Any] = {
        "platform": PlatformSlug("p"),
        "method": "POST",
        "path": "/v1/callbacks/p",
        "headers": [JSON],
        "body": b"{}",
        "received_at": AT,
        "request_id": "r-1",
        "accepts": JSON_ONLY,
        "limits": Limits(),
    }
    return receive(**(request | changed))


def _refusal(**changed: Any) -> tuple[Code, str]:
    with pytest.raises(RequestRejected) as caught:
        _receive(**changed)
    return caught.value.code, caught.value.pointer


def test_a_request_becomes_a_callback_with_its_bytes_untouched() -> None:
    callback = _receive(
        headers=[(b"CONTENT-Type", b"Application/JSON; Charset=UTF-8"), ("X-A", " 1\t"), ("x-a", "2")],
        body=b' {"a" : 1}\n',
    )
    assert callback.headers.pairs == (
        ("content-type", "Application/JSON; Charset=UTF-8"),
        ("x-a", "1"),
        ("x-a", "2"),
    )
    assert callback.body == b' {"a" : 1}\n'
    assert (callback.platform, callback.method, callback.path) == ("p", "POST", "/v1/callbacks/p")
    assert (callback.received_at, callback.request_id) == (AT, "r-1")
    assert "1}" not in repr(callback)


@pytest.mark.parametrize("method", ["GET", "PUT", "post", "TRACE", ""])
def test_1_only_post_delivers_where_nothing_else_is_declared(method: str) -> None:
    assert _refusal(method=method) == (Code.METHOD_NOT_ALLOWED, "")


@pytest.mark.parametrize(
    ("method", "rest", "taken"),
    [("POST", "", True), ("PUT", "/statements", True), ("PUT", "", False), ("POST", "/statements", False)],
)
def test_1_method_and_rest_of_the_path_are_declared_together(method: str, rest: str, *, taken: bool) -> None:
    request = {"method": method, "rest": rest, "path": f"/v1/callbacks/p{rest}", "query": "a=1"}
    if taken:
        callback = _receive(**request, accepts=MANY)
        assert (callback.path, callback.query) == (f"/v1/callbacks/p{rest}", "a=1")
    else:
        assert _refusal(**request, accepts=MANY) == (Code.METHOD_NOT_ALLOWED, "")


def test_2_a_body_at_its_limit_is_taken_and_one_byte_more_is_not() -> None:
    assert len(_receive(body=b"x" * 1_048_576).body) == 1_048_576
    assert _refusal(body=b"x" * 1_048_577) == (Code.REQUEST_TOO_LARGE, "")
    small = Accepts(JSON_ONLY.content_types, body_bytes=1)
    assert _refusal(body=b"xx", accepts=small) == (Code.REQUEST_TOO_LARGE, "")


def test_3_headers_at_their_limits_are_taken_and_beyond_are_not() -> None:
    many = [JSON, *[("x", "y")] * 63]
    assert len(_receive(headers=many).headers.pairs) == 64
    assert _refusal(headers=[*many, ("x", "y")]) == (Code.HEADERS_INVALID, "")
    room = 16_384 - len("".join(JSON))
    assert _receive(headers=[JSON, ("x", "y" * (room - 1))]).headers.get("x") == "y" * (room - 1)
    assert _refusal(headers=[JSON, ("x", "y" * room)]) == (Code.HEADERS_INVALID, "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "v"),
        ("x y", "v"),
        ("x:", "v"),
        ("x-é", "v"),
        ("x" * 129, "v"),
        ("x", "a\r\nb: c"),
        ("x", "a\nb"),
        ("x", "\0"),
        ("x", "\x1b[31m"),
        (b"x", b"\x7f"),
        ("x", "\ud800"),
    ],
)
def test_4_a_header_that_is_no_token_or_holds_control_characters_is_refused(name: str, value: str) -> None:
    assert _refusal(headers=[JSON, (name, value)]) == (Code.HEADERS_INVALID, "")


@pytest.mark.parametrize(
    "value", ["张三".encode(), "张三", "张三".encode().decode("ascii", "surrogateescape")]
)
def test_4_bytes_beyond_ascii_are_kept_but_prove_nothing(value: bytes | str) -> None:
    headers = _receive(headers=[JSON, ("x-signature", value)]).headers
    assert headers.get("x-signature") == "张三".encode().decode("latin-1")
    with pytest.raises(SignatureRejected):
        headers.one("x-signature")


@pytest.mark.parametrize("coding", ["gzip", "identity", "br", ""])
def test_5_no_content_encoding_is_accepted(coding: str) -> None:
    refusal = _refusal(headers=[JSON, ("Content-Encoding", coding)])
    assert refusal == (Code.CONTENT_ENCODING_UNSUPPORTED, "content-encoding")


@pytest.mark.parametrize(
    "value",
    [
        "application/json",
        "application/json;charset=utf-8",
        "application/json ; charset=UTF-8",
        'application/json; charset="utf-8"',
    ],
)
def test_6_a_declared_content_type_in_utf8_is_accepted(value: str) -> None:
    assert _receive(headers=[("Content-Type", value)]).headers.get("content-type") == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "text/plain",
        "application/json2",
        "application/jsonp, application/json",
        "application/json;",
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        "application/json; charset=gbk",
        "application/json; charset=utf-8; charset=utf-8",
        "application/json; profile=x",
        "multipart/form-data; boundary=x",
        "application/\u017fson",
    ],
)
def test_6_any_other_content_type_is_refused(value: str) -> None:
    assert _refusal(headers=[("content-type", value)]) == (Code.CONTENT_TYPE_UNSUPPORTED, "content-type")


@pytest.mark.parametrize(
    "value",
    [
        "text/xml; charset=GB18030",
        'text/xml;charset="gb18030"',
        "text/xml",
        "multipart/mixed; boundary=abc",
        'multipart/mixed; Boundary="a b+c:d\'e"',
    ],
)
def test_6_declared_charsets_and_the_boundary_of_a_multipart_type_are_accepted(value: str) -> None:
    assert _receive(headers=[("Content-Type", value)], accepts=MANY).headers.get("content-type") == value


@pytest.mark.parametrize(
    "value",
    [
        "text/xml; charset=gbk",
        "text/xml; boundary=abc",
        "multipart/mixed",
        "multipart/mixed; boundary=",
        'multipart/mixed; boundary=""',
        'multipart/mixed; boundary="ends with a space "',
        f"multipart/mixed; boundary={'x' * 71}",
        "multipart/mixed; boundary=a; boundary=b",
        "multipart/mixed; boundary=a; type=x",
        "multipart/mixed; boundary=签",
    ],
)
def test_6_other_charsets_and_boundaries_are_refused(value: str) -> None:
    refusal = _refusal(headers=[("content-type", value)], accepts=MANY)
    assert refusal == (Code.CONTENT_TYPE_UNSUPPORTED, "content-type")


def test_6_content_type_comes_exactly_once() -> None:
    assert _refusal(headers=[]) == (Code.CONTENT_TYPE_UNSUPPORTED, "content-type")
    assert _refusal(headers=[JSON, JSON]) == (Code.HEADERS_INVALID, "content-type")


@given(
    headers=st.lists(st.tuples(st.binary(max_size=8) | st.text(max_size=8), st.binary() | st.text())),
    method=st.sampled_from(["POST", "GET"]),
    body=st.binary(max_size=40),
)
def test_whatever_comes_is_taken_unchanged_or_refused(
    headers: list[tuple[bytes | str, bytes | str]], method: str, body: bytes
) -> None:
    try:
        callback = _receive(headers=[JSON, *headers], method=method, body=body, limits=Limits(3, 64))
    except RequestRejected:
        return
    assert callback.body == body
    assert len(callback.headers.pairs) == len(headers) + 1
    assert all(ord(char) < 256 for _, value in callback.headers.pairs for char in value)

from __future__ import annotations

from typing import Any

import pytest

from verifier.errors import AdapterError, Code
from verifier.signatures import strict_xml
from verifier.signatures.documents import json_object, xml_object


def read(text: str) -> Any:
    return xml_object(strict_xml.parse(text.encode(), max_bytes=1_024, charsets=frozenset({"utf-8"})))


def test_a_strict_json_object_is_a_document() -> None:
    assert json_object(b'{"a": 1}') == {"a": 1}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":1,"a":2}'])
def test_anything_else_is_none(body: bytes) -> None:
    with pytest.raises(AdapterError) as caught:
        json_object(body)
    assert caught.value.code in {Code.DELIVERY_UNREADABLE, Code.FIELD_INVALID}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<r/>", {"": ""}),
        ("<r> x </r>", {"": " x "}),
        ("<r><a> x </a><b/></r>", {"a": " x ", "b": ""}),
        ("<r>\n <a>1</a>\n <b>2</b>\n</r>", {"a": "1", "b": "2"}),
        ("<r><a>1</a><b/><a>2</a></r>", {"a": ["1", "2"], "b": ""}),
        ("<r><a><b>1</b><c><d>2</d></c></a></r>", {"a": {"b": "1", "c": {"d": "2"}}}),
        ("<r>x<a>1</a>y<b>2</b>z</r>", {"a": "1", "b": "2", "": "xyz"}),
        ('<r i="1"><a j="2"/><b k="3">x</b></r>', {"@i": "1", "a": {"@j": "2"}, "b": {"@k": "3", "": "x"}}),
        ("<r><a><![CDATA[<1>]]>&amp;</a></r>", {"a": "<1>&"}),
        ('<r xmlns:p="urn:p"><p:a>1</p:a><a>2</a></r>', {"{urn:p}a": "1", "a": "2"}),
    ],
)
def test_an_xml_document_is_read_as_json_would_hold_it(text: str, found: object) -> None:
    assert read(text) == found

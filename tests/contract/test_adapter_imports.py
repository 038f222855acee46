"""What every adapter says of files: an item means there what it means in a callback, or none may come so."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.deliveries import (
    BY_SLUG,
    EVERY,
    Items,
    accepted,
    each_adapter,
    each_delivery,
    parse,
    some,
)
from tests.platforms.fixtures import Fixture
from tests.platforms.senders import Sender, encode
from tests.unit.test_import_file import lines_of_table
from verifier.errors import AdapterError, Code
from verifier.import_file import Line
from verifier.model.delivery import AuthenticatedCallback, Event, Headers, UnreadableItem
from verifier.ports import Adapter
from verifier.ports.importing import Importable, ImportForm
from verifier.signatures import multipart, strict_xml, xapi
from verifier.signatures.documents import xml_object
from verifier.signatures.sorted_parameters import form_parameters

NAME: Final = "0123456789abcdef" * 4


REFUSED: Final = UnreadableItem("", Code.DELIVERY_UNREADABLE)


def form_of(slug: str) -> ImportForm | None:
    adapter = BY_SLUG[slug]
    assert isinstance(adapter, Importable)
    return adapter.importing


def _as_it_is(authenticated: AuthenticatedCallback) -> Iterator[bytes]:
    yield authenticated.callback.body


def _form(authenticated: AuthenticatedCallback) -> Iterator[bytes]:
    yield encode(dict(form_parameters(authenticated.callback.body)))


def _xml(authenticated: AuthenticatedCallback) -> Iterator[bytes]:
    body = authenticated.callback.body
    root = strict_xml.parse(body, max_bytes=len(body), charsets=strict_xml.CHARSETS, keep_private_use=True)
    items: Any = xml_object(root)["ITEMS"]
    found = items["ITEM"]
    yield from (encode(item) for item in (found if isinstance(found, list) else [found]))


def _statements(authenticated: AuthenticatedCallback) -> Iterator[bytes]:
    callback = authenticated.callback
    content_type = callback.headers.get("content-type") or ""
    if not content_type.startswith("multipart/"):
        yield callback.body
        return
    content, attachments = xapi.unpack(multipart.read(callback.body, content_type))
    statements = json.loads(content)
    for statement in statements if isinstance(statements, list) else [statements]:
        if not isinstance(statement, dict):
            yield encode(statement)
            continue
        names = [one.get("sha2", "") for one in statement.get("attachments", ())]
        beside = [attachments[name].content.decode() for name in names if name in attachments]
        yield encode({"statement": statement, **({"signature": beside[0]} if beside else {})})


LINES: Final[Mapping[str, Callable[[AuthenticatedCallback], Iterator[bytes]]]] = {
    "employment_training": _form,
    "national_personnel": _xml,
    "skill_master": _statements,
}
"""How a platform's callback is written as lines, where its body is no line itself."""


def lines(authenticated: AuthenticatedCallback) -> list[bytes]:
    return list(LINES.get(authenticated.callback.platform, _as_it_is)(authenticated))


def imported(authenticated: AuthenticatedCallback, line: bytes, form: ImportForm) -> Items:
    """What an adapter reads in a line."""
    packed = form.pack(line, NAME)
    headers = Headers((("content-type", packed.content_type),))
    callback = replace(
        authenticated.callback, method="IMPORT", body=packed.body, headers=headers, query="", bearer=None
    )
    return parse(replace(authenticated, callback=callback))


def meaning(items: Sequence[Event | UnreadableItem]) -> list[Event | UnreadableItem]:
    """Items without what depends on the delivery that holds them: their names, places, and what is around."""
    return [
        replace(item, item="", extra={})
        if isinstance(item, Event)
        else replace(item, item="", pointer=item.pointer.rsplit("/", 1)[-1].strip("0123456789"))
        for item in items
    ]


@each_adapter
def test_every_adapter_says_whether_and_how_its_items_stand_in_a_file(adapter: Adapter) -> None:
    assert isinstance(adapter, Importable)
    form = adapter.importing
    if form is not None:
        assert form.required <= form.columns.keys()
        assert all(pointer.startswith("/") for pointer in form.columns.values())
        assert len(set(form.columns.values())) == len(form.columns)


def test_every_platform_that_is_there_can_be_imported() -> None:
    assert all(form_of(adapter.slug) is not None for adapter in EVERY)


@each_delivery
def test_an_item_means_the_same_in_a_file(sender: Sender, fixture: Fixture) -> None:
    form = form_of(sender.slug)
    if form is None:
        return
    authenticated = accepted(sender, fixture)
    found: list[Event | UnreadableItem] = []
    for line in lines(authenticated):
        try:
            found += imported(authenticated, line, form)
        except AdapterError:
            found.append(REFUSED)
    expected = meaning(parse(authenticated))
    assert len(found) == len(expected)
    for one, other in zip(meaning(found), expected, strict=True):
        # A line that is no item at all is refused before it is read, perhaps in other words.
        assert one == other or (one == REFUSED and isinstance(other, UnreadableItem))


@each_delivery
def test_a_row_of_a_table_means_what_its_item_means(sender: Sender, fixture: Fixture) -> None:
    form = form_of(sender.slug)
    if form is None or not form.columns:
        return
    authenticated = accepted(sender, fixture)
    for line in _single(authenticated, form):
        item = json.loads(line)
        cells = {name: _at(item, pointer) for name, pointer in form.columns.items()}
        row = {
            name: cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)
            for name, cell in cells.items()
            if cell is not None
        }
        [read] = lines_of_table([list(row), list(row.values())], replace(form, required=frozenset()))
        assert isinstance(read, Line)
        try:
            expected = imported(authenticated, line, form)
        except AdapterError as error:
            with pytest.raises(AdapterError, match=error.detail):
                imported(authenticated, read.item, form)
        else:
            assert meaning(imported(authenticated, read.item, form)) == meaning(expected)


def _single(authenticated: AuthenticatedCallback, form: ImportForm) -> Iterator[bytes]:
    """Those lines that hold one item, by the members that a table has."""
    for line in lines(authenticated):
        value = json.loads(line)
        items = value.get("items", [value]) if isinstance(value, dict) else []
        for item in items:
            if isinstance(item, dict) and form.required <= item.keys() and _fits(item, form):
                yield encode(item)


def _fits(item: Mapping[str, Any], form: ImportForm) -> bool:
    """Whether an item holds texts alone, and nothing that a table has no column for."""
    known = {pointer.split("/")[1] for pointer in form.columns.values()}
    return item.keys() <= known and all(
        isinstance(value, str) or (name in {"data", "statement"} and isinstance(value, dict))
        for name, value in item.items()
    )


def _at(item: Any, pointer: str) -> Any:
    for name in pointer[1:].split("/"):
        item = item.get(name) if isinstance(item, dict) else None
    return item


@each_adapter
@given(line=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@some
def test_whatever_stands_in_a_line_raises_nothing_but_an_adapter_error(adapter: Adapter, line: bytes) -> None:
    form = form_of(adapter.slug)
    if form is not None:
        with contextlib.suppress(AdapterError):
            form.pack(line, NAME)

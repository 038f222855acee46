"""The contract that every adapter passes, for each of its ways of signing and each of its fixtures.

It finds the adapters by ``ADAPTERS`` and the example profiles alone: a platform cannot be left out, and one
without a sender, a page or fixtures fails. This part holds declaration and reading;
``test_adapter_authenticity`` and ``test_adapter_answers`` hold the rest. What needs HTTP and a store is in
``tests/functional``.
"""

from __future__ import annotations

import gc
import json
import logging
import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import ADAPTERS
from tests.contract.deliveries import (
    BY_SLUG,
    EVERY,
    FIXTURES,
    NOW,
    Items,
    accepted,
    authenticate,
    callback,
    each_adapter,
    each_built_in_adapter,
    each_delivery,
    each_sender,
    events,
    many,
    parse,
    parse_body,
    some,
    some_fixture,
    source,
)
from tests.platforms import fixtures
from tests.platforms.examples import EXAMPLES, PROFILES
from tests.platforms.fixtures import Fixture, normalised, payload_files
from tests.platforms.senders import SENDERS, Sender, encode
from verifier import certificates
from verifier.errors import AdapterError, Code
from verifier.model.certificate import CertificateKind
from verifier.model.delivery import Event, EventKind, PlatformSlug, UnreadableItem
from verifier.ports import Adapter

PAGES: Final = Path(__file__).parents[2] / "docs" / "platforms"


@each_adapter
def test_the_declaration_is_complete(adapter: Adapter) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]{2,62}", adapter.slug)
    assert re.search(r"[\u4e00-\u9fff]", adapter.name)
    assert adapter.accepts.content_types
    assert all(re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", one) for one in adapter.accepts.content_types)
    assert adapter.accepts.routes
    assert adapter.name in source(adapter)


@each_built_in_adapter
def test_the_module_of_a_platform_has_its_slug_for_a_name(adapter: Adapter) -> None:
    assert adapter.slug == type(adapter).__module__.removeprefix("adapters.")


def test_the_file_of_an_example_has_its_slug_for_a_name() -> None:
    assert [adapter.slug for adapter in EXAMPLES] == [path.stem for path in sorted(PROFILES.glob("*.toml"))]
    for adapter in EXAMPLES:
        assert adapter.name.startswith("示例：")
        assert adapter.profile == "assumed"
        assert "不是任何真实平台的格式" in source(adapter)


@each_built_in_adapter
def test_an_assumed_profile_says_so_in_docstring_and_page(adapter: Adapter) -> None:
    page = (PAGES / f"{adapter.slug}.md").read_text(encoding="utf-8")
    assert adapter.name in page
    if adapter.profile == "assumed":
        assert "assumed profile" in source(adapter)
        assert "推定" in page
        assert "assumed" in page


def test_no_two_adapters_share_a_slug_or_a_name() -> None:
    assert len({adapter.slug for adapter in EVERY}) == len(EVERY)
    assert len({adapter.name for adapter in EVERY}) == len(EVERY)


def test_senders_fixtures_and_pages_are_there_for_every_adapter_and_for_nothing_else() -> None:
    assert {sender.slug for sender in SENDERS} == set(BY_SLUG)
    built_in = {adapter.slug for adapter in ADAPTERS}
    assert {path.stem for path in PAGES.glob("*.md")} - {"README"} == built_in
    assert {path.name for path in fixtures.ROOT.iterdir() if any(path.glob("*.json"))} == set(BY_SLUG)


@each_adapter
def test_every_event_has_a_fixture_and_no_fixture_is_an_orphan(adapter: Adapter) -> None:
    payloads = payload_files(adapter.slug)
    expected = set((fixtures.ROOT / adapter.slug).glob("*.expected.json"))
    assert {fixtures.expected_file(path) for path in payloads} == expected
    items = [item for fixture in FIXTURES[adapter.slug] for item in fixture.expected["items"]]
    kinds = set(events(adapter).values()) | {EventKind.UNKNOWN}
    assert kinds >= set(EventKind) - {EventKind.DOCUMENT}
    assert {item["kind"] for item in items if "kind" in item} == kinds
    assert any("code" in item for item in items)
    words = {word for path in payloads for word in re.findall(r'"([^"]*)"', path.read_text(encoding="utf-8"))}
    assert set(events(adapter)) <= words


@each_delivery
def test_the_whole_normalised_output_is_as_expected(sender: Sender, fixture: Fixture) -> None:
    authenticated = accepted(sender, fixture)
    assert normalised(authenticated, parse(authenticated)) == fixture.expected


@each_delivery
def test_certificates_pass_on_as_they_came_and_verify(sender: Sender, fixture: Fixture) -> None:
    request = callback(sender, fixture)
    authenticated = authenticate(sender, request, *sender.keys(0))
    for item, expected in zip(parse(authenticated), fixture.expected["items"], strict=True):
        if not isinstance(item, Event) or item.certificate is None:
            continue
        certificate, said = item.certificate, expected["certificate"]
        if certificate.document:
            certificate = replace(certificate, content=sender.profile.documents[certificate.document])
            said = fixtures.certificate(certificate)
        verified = certificates.verify(
            certificate,
            platform=PlatformSlug(sender.slug),
            register=sender.profile.trust(said["issuer"]),
            first_received_at=NOW,
        )
        certificates.check_stated(item.stated, verified)
        assert (
            verified.number,
            verified.revision,
            verified.document.value,
            verified.holder.id_kind,
        ) == tuple(said[name] for name in ("number", "revision", "document", "id_kind"))


FORBIDDEN: Final = frozenset(
    {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter", "localtime", "gmtime"}
    | {"urandom", "getrandbits", "random", "token_bytes", "uuid4", "socket", "connect", "open"}
)


@pytest.fixture
def calls() -> Iterator[set[str]]:
    """The names of all functions in C that are called; clock, randomness and sockets are such."""
    seen: set[str] = set()

    def profile(_frame: FrameType, what: str, argument: Any) -> None:
        if what == "c_call":
            seen.add(argument.__name__)

    before = sys.getprofile()
    gc.disable()  # Hypothesis times every collection, and that call would be taken for the adapter's
    sys.setprofile(profile)
    yield seen
    sys.setprofile(before)
    gc.enable()


@each_delivery
def test_reading_is_deterministic_without_clock_socket_or_randomness(
    sender: Sender, fixture: Fixture, calls: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    request, keys = callback(sender, fixture), sender.keys(0)
    monkeypatch.setattr(socket, "socket", None)
    calls.clear()
    authenticated = authenticate(sender, request, *keys)
    first, second = parse(authenticated), parse(authenticated)
    seen = set(calls)
    assert first == second
    assert not seen & FORBIDDEN
    assert datetime.now(UTC) > NOW
    assert calls & FORBIDDEN == {"now"}, "the net must catch what it is for"


@each_delivery
def test_a_redelivery_has_the_same_ids(sender: Sender, fixture: Fixture) -> None:
    first = accepted(sender, fixture)
    later = NOW + timedelta(days=1)
    second = authenticate(sender, callback(sender, fixture, at=later, key=1), *sender.keys(1), now=later)
    assert second.delivery_id == first.delivery_id
    # Law 2: whoever lost the answer signs again, and must get the first answer.
    assert (second.content or second.callback.body) == (first.content or first.callback.body)
    assert parse(second) == parse(first)


@each_delivery
def test_no_two_items_share_a_name(sender: Sender, fixture: Fixture) -> None:
    items = parse(accepted(sender, fixture))
    assert len({item.item for item in items}) == len(items) > 0


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value within a payload, but not into what is signed as a certificate."""
    yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in inside:
        if name != "sign":
            yield from paths(member, (*at, name))


def put(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = put(value[at[0]], at[1:], new)
    return copy


def look(value: Any, at: tuple[Any, ...]) -> Any:
    for name in at:
        value = value[name]
    return value


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@each_delivery
@some
@given(data=st.data())
def test_unknown_members_are_kept_and_change_nothing(
    sender: Sender, fixture: Fixture, data: st.DataObject
) -> None:
    payload = fixture.payload
    authenticated = accepted(sender, fixture)
    objects = [(p, value) for p in paths(payload) if isinstance(value := look(payload, p), dict)]
    place = data.draw(st.sampled_from([p for p, value in objects if "sign" not in value]))
    name = f"later_{data.draw(st.integers(0, 9))}"
    more = put(payload, place, {**look(payload, place), name: "a member of a later version"})
    before = parse_body(authenticated, body_of(sender, payload))
    after = parse_body(authenticated, body_of(sender, more))
    assert not isinstance(before, AdapterError)
    assert not isinstance(after, AdapterError)
    assert without_extra(after) == without_extra(before)
    kept = [name in json.dumps(item.extra) for item in after if isinstance(item, Event)]
    # A message's own member stands with each event, an item's with that one, if it could be read at all.
    assert all(kept) if place == () else kept.count(True) == 1 or len(kept) < len(after)


def body_of(sender: Sender, payload: Any) -> bytes:
    return sender.profile.render(fixtures.signed(payload, sender.profile))


UNREADABLE: Final = {
    Code.DELIVERY_UNREADABLE,
    Code.XML_REFUSED,
    Code.CHARSET_REFUSED,
    Code.PRIVATE_USE_CHARACTER,
    Code.TOO_COMPLEX,
}


def without_extra(items: Items) -> list[Event | UnreadableItem]:
    return [bare(item) if isinstance(item, Event) else item for item in items]


def bare(event: Event) -> Event:
    """An event without what all of an item is kept in, known or not."""
    own_id, certificate = event.own_id, event.certificate
    if own_id is not None:
        own_id = replace(own_id, content=b"")
    if certificate is not None and certificate.kind is CertificateKind.XAPI:
        # The statement that was received, to be compared with the one that is in the signature.
        certificate = replace(certificate, content=b"")
    return replace(event, extra={}, own_id=own_id, certificate=certificate)


@each_sender
@many
@given(body=st.binary(max_size=200) | JSON.map(encode))
def test_whatever_is_authentic_is_read_or_refused_as_unreadable(sender: Sender, body: bytes) -> None:
    read = parse_body(accepted(sender, some_fixture(sender)), body)
    if isinstance(read, AdapterError):
        assert read.code in UNREADABLE
    else:
        assert read
        assert all(isinstance(item, Event | UnreadableItem) for item in read)


@each_delivery
@some
@given(data=st.data())
def test_one_value_gone_wrong_costs_its_item_or_the_delivery_and_nothing_leaks(
    sender: Sender, fixture: Fixture, data: st.DataObject
) -> None:
    payload = fixture.payload
    authenticated = accepted(sender, fixture)
    place = data.draw(st.sampled_from([p for p in paths(payload) if "sign" not in p]))
    marked = st.sampled_from([["SENTINEL"], {"SENTINEL": "SENTINEL"}, "SENTINEL" * 4096, " SENTINEL "])
    read = parse_body(authenticated, body_of(sender, put(payload, place, data.draw(JSON | marked))))
    if isinstance(read, AdapterError):
        assert "SENTINEL" not in f"{read} {read.args} {read.pointer} {read.__cause__}"
    else:
        assert all("SENTINEL" not in item.pointer for item in read if isinstance(item, UnreadableItem))


PERSONAL: Final = ("holder_name", "id_number")


@each_delivery
def test_no_personal_data_is_in_any_text_of_a_value_or_in_the_log(
    sender: Sender, fixture: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    authenticated = accepted(sender, fixture)
    items = parse(authenticated)
    personal = set(
        re.findall(
            r"\b9999\d{13}[0-9X]\b|测试.|阿依古丽|买买提", json.dumps(fixture.payload, ensure_ascii=False)
        )
    )
    for item in fixture.expected["items"]:
        said = item.get("certificate") or {}
        personal |= {said[name] for name in PERSONAL if name in said}  # not of a file that comes apart
    assert personal or fixture.name == EventKind.REVOKED
    text = f"{authenticated!r} {items!r} {items} {caplog.text}"
    assert not [value for value in personal if value in text]

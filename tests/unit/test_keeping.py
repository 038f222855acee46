"""Items' own ids, uploaded documents, what waits for one, and reading a stored delivery again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.fake_store import FakeStore
from tests.unit.test_pipeline import CERTIFICATE, NOW, P1, REGISTER, RULEBOOK, FakeAdapter, digest, signed
from verifier import certificates, pipeline, preparing
from verifier.errors import CertificateRejected, Code, Conflict
from verifier.model.delivery import (
    Callback,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    Document,
    Event,
    EventKind,
    Headers,
    ItemOutcome,
    ItemState,
    OwnId,
    UnreadableItem,
    Uploaded,
)
from verifier.preparing import HERE, DocumentItem, Prepared, ProvenItem, Read, WaitingItem

PDF = Uploaded(b"pdf", NOW)
CALLBACK = Callback(P1, "POST", "/v1/callbacks/p1", Headers(()), b"{}", NOW, "r-1")


@pytest.fixture(autouse=True)
def verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Step 3 finds every certificate right whose content is not ``bad``; it has tests of its own."""

    def verify(signed: object, **_named: object) -> object:
        if getattr(signed, "content", b"") == b"bad":
            raise CertificateRejected(Code.DOCUMENT_ALTERED, 1)
        return CERTIFICATE

    monkeypatch.setattr(certificates, "verify", verify)


def read(*parts: Event | UnreadableItem) -> Read:
    return HERE.open(FakeAdapter(parts), CALLBACK, REGISTER, NOW)


def prepared(
    *parts: Event | UnreadableItem, name: str = "d-1", documents: Mapping[str, Uploaded] | None = None
) -> Prepared:
    found = preparing.verify(read(*parts), REGISTER, digest, documents or {})
    authentic = replace(found.claim.authenticated, delivery_id=DeliveryId(name))
    body = digest("delivery", repr((parts, name)).encode())
    return replace(found, claim=replace(found.claim, authenticated=authentic, content_digest=body))


def record(store: FakeStore, *group: Prepared) -> list[DeliveryOutcome]:
    return pipeline.record(store, group, RULEBOOK, NOW, store.new_id)


def again(store: FakeStore, what: Prepared, before: DeliveryOutcome) -> DeliveryOutcome:
    return pipeline.record_again(store, what, before, "operator", RULEBOOK, NOW, store.new_id)


def statement(item: str, own: str, content: bytes, kind: EventKind = EventKind.COMPLETED) -> Event:
    event = signed(kind) if kind is not EventKind.UNKNOWN else Event(kind, item)
    return replace(event, item=item, own_id=OwnId(own, content))


def upload(item: str, content: bytes = b"pdf", name: str = "F1") -> Event:
    return Event(EventKind.DOCUMENT, item, document=Document(name, content))


def naming(item: str, document: str = "F1") -> Event:
    event = signed(EventKind.COMPLETED)
    assert event.certificate is not None
    return replace(event, item=item, certificate=replace(event.certificate, content=b"", document=document))


# Items' own ids


def test_an_own_id_stands_for_one_content_whatever_delivery_brings_it() -> None:
    store = FakeStore()
    [first] = record(store, prepared(statement("1", "S1", b"a")))
    [second] = record(store, prepared(statement("1", "S1", b"a"), statement("2", "S2", b"b"), name="d-2"))
    [third] = record(store, prepared(statement("1", "S1", b"other"), statement("2", "S3", b"c"), name="d-3"))
    assert [item.state for item in first.items] == [ItemState.ACCEPTED]
    assert [item.state for item in second.items] == [ItemState.DUPLICATE, ItemState.DUPLICATE]
    assert third.items[0] == ItemOutcome("1", ItemState.REFUSED, Code.DELIVERY_CONFLICT)
    assert third.items[1].state is ItemState.DUPLICATE
    assert third.state is DeliveryState.ACCEPTED
    assert {own_id for _, own_id in store.own} == {"S1", "S2", "S3"}


def test_an_own_id_given_twice_in_one_group_is_taken_once() -> None:
    store = FakeStore()
    same, other = statement("2", "S1", b"a"), statement("3", "S1", b"b")
    first, second = record(
        store, prepared(statement("1", "S1", b"a"), same, other), prepared(same, name="d-2")
    )
    assert [item.state for item in first.items] == [
        ItemState.ACCEPTED,
        ItemState.DUPLICATE,
        ItemState.REFUSED,
    ]
    assert [item.state for item in second.items] == [ItemState.DUPLICATE]


def test_a_refused_item_leaves_its_own_id_free_to_be_mended() -> None:
    store = FakeStore()
    wrong = replace(statement("1", "S1", b"a"), stated={"number": "N-2"})
    [first] = record(store, prepared(wrong))
    [second] = record(store, prepared(statement("1", "S1", b"mended"), name="d-2"))
    assert first.items[0].code is Code.CERTIFICATE_MISMATCH
    assert second.items[0].state is ItemState.ACCEPTED


def test_an_unknown_event_takes_its_own_id_too() -> None:
    store = FakeStore()
    unknown = statement("1", "S1", b"a", EventKind.UNKNOWN)
    for name in ("d-1", "d-2"):
        [outcome] = record(store, prepared(unknown, name=name))
        assert outcome.items == (ItemOutcome("1", ItemState.RECORDED, Code.EVENT_UNKNOWN),)
    [other] = record(store, prepared(statement("1", "S1", b"b", EventKind.UNKNOWN), name="d-3"))
    assert other.items[0].code is Code.DELIVERY_CONFLICT


def test_an_event_that_became_known_is_taken_in_under_the_id_that_it_took_before() -> None:
    store = FakeStore()
    [before] = record(store, prepared(statement("1", "S1", b"a", EventKind.UNKNOWN)))
    after = again(store, prepared(statement("1", "S1", b"a")), before)
    assert after.items == (ItemOutcome("1", ItemState.ACCEPTED),)
    [redelivered] = record(store, prepared(statement("1", "S1", b"a"), name="d-2"))
    assert redelivered.items[0].state is ItemState.DUPLICATE


# Documents


def test_a_document_may_come_in_the_same_delivery_or_before() -> None:
    together = read(naming("1"), upload("2"))
    assert preparing.documents_wanted(together) == {"F1"}, "one of its id may stand already"
    assert not isinstance(preparing.verify(together, REGISTER, digest, {}).items[0], WaitingItem)
    apart = read(naming("1"))
    assert preparing.documents_wanted(apart) == {"F1"}
    assert isinstance(preparing.verify(apart, REGISTER, digest, {}).items[0], WaitingItem)
    assert not isinstance(preparing.verify(apart, REGISTER, digest, {"F1": PDF}).items[0], WaitingItem)


def test_the_document_that_stands_counts_before_the_one_that_the_delivery_brings() -> None:
    found = preparing.verify(
        read(naming("1"), upload("2", b"bad")), REGISTER, digest, {"F1": Uploaded(b"good", NOW)}
    )
    assert not isinstance(found.items[0], ItemOutcome)
    alone = preparing.verify(read(naming("1"), upload("2", b"bad")), REGISTER, digest, {})
    assert alone.items[0] == ItemOutcome("1", ItemState.REFUSED, Code.DOCUMENT_ALTERED, 1)


@pytest.mark.parametrize(("days", "expected"), [(-1, 0), (0, 0), (1, 1)])
def test_what_came_in_two_parts_was_received_with_the_later_one(
    monkeypatch: pytest.MonkeyPatch, days: int, expected: int
) -> None:
    seen = []

    def verify(_signed: object, **named: object) -> object:
        seen.append(named["first_received_at"])
        return CERTIFICATE

    monkeypatch.setattr(certificates, "verify", verify)
    document = Uploaded(b"pdf", NOW + timedelta(days=days))
    [item] = preparing.verify(read(naming("1")), REGISTER, digest, {"F1": document}).items
    assert seen == [NOW + timedelta(days=expected)]
    assert isinstance(item, ProvenItem)
    assert item.proven.first_received_at == seen[0]


def test_a_document_is_kept_once_and_other_content_under_its_id_is_a_conflict() -> None:
    store = FakeStore()
    first, second = record(store, prepared(upload("1")), prepared(upload("1"), name="d-2"))
    [third] = record(store, prepared(upload("1", b"other"), name="d-3"))
    assert [first.items[0].state, second.items[0].state] == [ItemState.ACCEPTED, ItemState.DUPLICATE]
    assert third.items[0] == ItemOutcome("1", ItemState.REFUSED, Code.DELIVERY_CONFLICT)
    assert store.documents[P1, "F1"].content == b"pdf"
    assert isinstance(prepared(upload("1")).items[0], DocumentItem)


def test_what_waits_for_its_document_goes_on_when_it_is_read_again() -> None:
    store = FakeStore()
    [waiting] = record(store, prepared(naming("1"), signed_item("2")))
    assert waiting.items[0] == ItemOutcome("1", ItemState.WAITING, Code.DOCUMENT_MISSING)
    assert waiting.items[1].state is ItemState.ACCEPTED
    assert store.waiting == [(P1, "F1", "d-1")]
    after = again(store, prepared(naming("1"), signed_item("2"), documents={"F1": PDF}), waiting)
    assert [item.state for item in after.items] == [ItemState.DUPLICATE, ItemState.ACCEPTED]
    assert store.readings == [(P1, after, "operator")]


def signed_item(item: str) -> Event:
    return replace(signed(EventKind.COMPLETED), item=item)


# Reading again


def test_what_was_settled_stays_and_what_was_open_is_read_anew() -> None:
    store = FakeStore()
    bad = replace(signed_item("2"), stated={"number": "N-2"})
    [before] = record(store, prepared(signed_item("1"), bad, Event(EventKind.UNKNOWN, "3")))
    revoked = replace(signed(EventKind.REVOKED), item="3")
    after = again(store, prepared(signed_item("1"), signed_item("2"), revoked), before)
    assert [item.state for item in after.items] == [
        ItemState.ACCEPTED,  # as before, and not a duplicate of itself
        ItemState.DUPLICATE,
        ItemState.ACCEPTED,
    ]
    assert len(store.facts) == 2


def test_a_quarantined_delivery_is_read_whole() -> None:
    store = FakeStore()
    broken = replace(prepared(), code=Code.DELIVERY_UNREADABLE)
    [before] = record(store, broken)
    assert before.state is DeliveryState.QUARANTINED
    after = again(store, prepared(signed_item("1")), before)
    assert (after.state, after.items[0].state) == (DeliveryState.ACCEPTED, ItemState.ACCEPTED)


def test_a_delivery_that_was_read_meanwhile_or_is_in_conflict_is_not_read() -> None:
    store = FakeStore()
    what = prepared(Event(EventKind.UNKNOWN, "1"))
    [before] = record(store, what)
    again(store, prepared(signed_item("1")), before)
    with pytest.raises(Conflict):
        again(store, prepared(signed_item("1")), before)
    beside = DeliveryOutcome(DeliveryId("d-9"), DeliveryState.CONFLICT, code=Code.DELIVERY_CONFLICT)
    store.readings.append((P1, beside, "x"))
    with pytest.raises(Conflict):
        again(store, prepared(signed_item("1"), name="d-9"), beside)


@pytest.mark.parametrize("state", list(ItemState))
def test_only_refused_waiting_and_unknown_items_are_open(state: ItemState) -> None:
    open_anyway = state in {ItemState.REFUSED, ItemState.WAITING}
    assert pipeline.is_open(ItemOutcome("1", state)) is open_anyway
    unknown = ItemOutcome("1", state, Code.EVENT_UNKNOWN)
    assert pipeline.is_open(unknown) is (open_anyway or state is ItemState.RECORDED)

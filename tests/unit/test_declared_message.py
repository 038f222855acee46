"""What a profile makes of a message: items, kinds, names, places, certificates, and what nobody reads."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.declared.places import Place, left
from tests.platforms.profiles import FIELDS, SLUG, Changes, declared
from tests.platforms.senders import START, request
from verifier.errors import AdapterError, Code
from verifier.model.certificate import CertificateKind
from verifier.model.delivery import AuthenticatedCallback, DeliveryId, Event, EventKind, UnreadableItem

NOW: Final = datetime(2021, 6, 1, 4, tzinfo=UTC)
GONE: Final[dict[str, Any]] = {"type": "gone", "issuer": "i", "number": "N-1"}
BATCH: Final[Changes] = {"items": {"form": "batch", "at": "list", "id": "id", "limit": 3}}


def authentic(body: bytes) -> AuthenticatedCallback:
    return AuthenticatedCallback(request(SLUG, body, (), NOW), DeliveryId("d"), "k", NOW)


def parse(changes: Changes, message: Any) -> tuple[Event | UnreadableItem, ...]:
    body = message if isinstance(message, bytes) else json.dumps(message, ensure_ascii=False).encode()
    return declared(changes).parse(authentic(body))


def event(changes: Changes, message: Any) -> Event:
    [item] = parse(changes, message)
    assert isinstance(item, Event), item
    return item


def wrong(changes: Changes, message: Any) -> tuple[Code, str]:
    [item] = parse(changes, message)
    assert isinstance(item, UnreadableItem), item
    return item.code, item.pointer


def unreadable(changes: Changes, message: Any) -> tuple[Code, str]:
    with pytest.raises(AdapterError) as caught:
        parse(changes, message)
    return caught.value.code, caught.value.pointer


# --- single -------------------------------------------------------------------------------------------------


def test_the_message_itself_may_be_the_item() -> None:
    assert event({}, {**GONE, "more": 1}) == Event(
        EventKind.REVOKED, "0", issuer="i", number="N-1", extra={"message": {"more": 1}}
    )
    assert event({}, GONE).extra == {}


def test_an_unknown_word_is_recorded_with_all_that_stands_there() -> None:
    assert event({}, {"type": "later", "a": 1}) == Event(
        EventKind.UNKNOWN, "0", extra={"message": {"type": "later", "a": 1}}
    )
    nested: Changes = {"items.at": "/a/b", "events.scope": "message"}
    for inside in (None, 7, [1], "text", {"x": 1}):
        found = event(nested, {"type": "later", "a": {"b": inside, "c": 2}})
        item = {"item": inside} if inside is not None else {}
        assert found.extra == {"message": {"type": "later", "a": {"c": 2}}, **item}


def test_word_and_time_stand_with_the_item_or_with_the_message() -> None:
    timed: Changes = {"events.occurred_at": "/when/at", "events.occurred_format": "epoch_milliseconds"}
    inside = {**GONE, "when": {"at": 1622520000000}}
    assert event(timed, inside).occurred_at == NOW
    outside: Changes = {**timed, "items.at": "data", "events.scope": "message"}
    message = {"type": "gone", "when": {"at": "1622520000000"}, "data": {"issuer": "i", "number": "N-1"}}
    assert event(outside, message).occurred_at == NOW
    assert event(outside, message).extra == {}
    assert wrong(timed, GONE) == (Code.FIELD_MISSING, "/when/at")
    assert wrong(timed, {**inside, "when": {"at": 1.5}}) == (Code.FIELD_INVALID, "/when/at")
    # What the message lacks, every item lacks.
    assert unreadable(outside, {**message, "type": None}) == (Code.DELIVERY_UNREADABLE, "/type")
    assert wrong(outside, {**message, "data": None}) == (Code.FIELD_MISSING, "/data")


def test_a_platform_that_sends_one_kind_of_event_needs_no_word() -> None:
    always: Changes = {
        "events": {"always": "revoked"},
        "certificate": None,
        "items.numbers_as_text": True,
    }
    assert event(always, {"issuer": "i", "number": 17, "type": "x"}).number == "17"
    assert event(always, {"issuer": "i", "number": 17, "type": "x"}).extra == {"message": {"type": "x"}}


# --- batches ------------------------------------------------------------------------------------------------


def test_a_batch_is_read_item_by_item() -> None:
    items = [{"id": "a", **GONE}, {"id": "b", "type": "later"}, 5]
    first, second, third = parse(BATCH, {"list": items, "sent": "now"})
    assert isinstance(first, Event)
    assert (first.item, first.number, first.extra) == ("a", "N-1", {"message": {"sent": "now"}})
    assert second == Event(
        EventKind.UNKNOWN, "b", extra={"message": {"sent": "now"}, "item": {"type": "later"}}
    )
    assert third == UnreadableItem("#2", Code.FIELD_INVALID, "/list/2")


def test_items_without_ids_are_named_by_position() -> None:
    unnamed: Changes = {**BATCH, "items.id": None}
    assert [item.item for item in parse(unnamed, {"list": [GONE, GONE]})] == ["0", "1"]


@pytest.mark.parametrize("items", [None, [], {}, "x", [1, 2, 3, 4]])
def test_an_array_of_another_length_or_kind_is_unreadable(items: Any) -> None:
    assert unreadable(BATCH, {"list": items}) == (Code.DELIVERY_UNREADABLE, "/list")


@given(
    st.lists(
        st.sampled_from(["a", "b", "a#0", "#1", "", None, 7, "c" * 65, "é", "a b"]), min_size=1, max_size=3
    )
)
def test_no_two_items_ever_share_a_name(ids: list[Any]) -> None:
    names = [item.item for item in parse(BATCH, {"list": [{"id": one, **GONE} for one in ids]})]
    assert len(set(names)) == len(ids)


def test_an_item_without_its_id_is_unreadable_unless_its_event_is_unknown() -> None:
    first, second = parse(BATCH, {"list": [GONE, {"type": "later"}]})
    assert first == UnreadableItem("#0", Code.FIELD_MISSING, "/list/0/id")
    assert isinstance(second, Event)
    assert second.item == "#1"


# --- roots --------------------------------------------------------------------------------------------------

ROOTS: Final[Changes] = {
    "items": {"form": "roots", "limit": 3, "roots": {"gone": "revoked", "/in/gone": "revoked"}},
    "events": {"reason": "why"},
    "certificate": None,
}


def test_the_name_of_the_array_may_say_what_its_items_are() -> None:
    one = {"issuer": "i", "number": "N-1", "why": "w"}
    found = parse(ROOTS, {"gone": [one, {}], "in": {"gone": [one]}, "key": 1})
    first, second, third = found
    assert isinstance(first, Event)
    assert isinstance(third, Event)
    assert (first.kind, first.item, first.reason, first.extra) == (
        EventKind.REVOKED,
        "0",
        "w",
        {"message": {"key": 1}},
    )
    assert second == UnreadableItem("1", Code.FIELD_MISSING, "/gone/1/why")
    assert third.item == "2"


def test_arrays_are_within_the_limit_each_and_together() -> None:
    assert unreadable(ROOTS, {"gone": [{}] * 4}) == (Code.DELIVERY_UNREADABLE, "/gone")
    assert unreadable(ROOTS, {"gone": [{}] * 2, "in": {"gone": [{}] * 2}}) == (Code.DELIVERY_UNREADABLE, "")
    assert unreadable(ROOTS, {"gone": []}) == (Code.DELIVERY_UNREADABLE, "/gone")


def test_a_message_without_any_array_that_is_known_is_an_unknown_event() -> None:
    assert event(ROOTS, {"later": [1]}) == Event(EventKind.UNKNOWN, "0", extra={"message": {"later": [1]}})
    assert event(ROOTS, {}) == Event(EventKind.UNKNOWN, "0")


# --- places -------------------------------------------------------------------------------------------------

RENAMED: Final[Changes] = {"revoked.number": ["number", "certNo", "/cert/no"]}


def test_the_first_name_that_is_there_counts_and_all_of_them_are_known() -> None:
    for said in (
        {"number": "N-1"},
        {"certNo": "N-1"},
        {"cert": {"no": "N-1"}},
        {"number": "", "certNo": "N-1"},
    ):
        found = event(RENAMED, {"type": "gone", "issuer": "i", **said})
        assert (found.number, found.extra) == ("N-1", {})
    same = {"type": "gone", "issuer": "i", "number": "N-1", "cert": {"no": "N-1", "x": 1}}
    assert event(RENAMED, same).extra == {"message": {"cert": {"x": 1}}}


@pytest.mark.parametrize("other", ["N-2", 1, True, ["N-1"]])
def test_two_names_with_two_values_are_unreadable(other: Any) -> None:
    assert wrong(RENAMED, {**GONE, "certNo": other}) == (Code.FIELD_INVALID, "/number")


def test_one_and_true_are_two_values() -> None:
    with pytest.raises(AdapterError):
        Place(("a", "b")).find({"a": 1, "b": True}, "")
    assert Place(("a", "b")).find({"a": 1, "b": 1}, "") == 1
    assert Place(("a",)).find([], "") is None


def test_a_name_with_a_tilde_or_a_slash_is_reached_by_pointer() -> None:
    assert Place(("/a~1b/c~0d",)).find({"a/b": {"c~d": 5}}, "") == 5
    slashed: Changes = {"revoked.number": "/x~1y"}
    assert event(slashed, {"type": "gone", "issuer": "i", "x/y": "N-1"}).number == "N-1"
    assert wrong(slashed, {"type": "gone", "issuer": "i"}) == (Code.FIELD_MISSING, "/x~1y")
    plain: Changes = {"revoked.number": "x~/y"}
    assert wrong(plain, {"type": "gone", "issuer": "i"}) == (Code.FIELD_MISSING, "/x~0~1y")


def test_numbers_are_read_as_text_only_where_the_profile_says_so() -> None:
    assert wrong({}, {**GONE, "number": 17}) == (Code.FIELD_INVALID, "/number")
    numeric: Changes = {"items.numbers_as_text": True}
    assert event(numeric, {**GONE, "number": 17}).number == "17"
    for number in (True, 1.5, [17]):
        assert wrong(numeric, {**GONE, "number": number}) == (Code.FIELD_INVALID, "/number")


@pytest.mark.parametrize("number", [" N-1", "N-1 ", "N\n1", "N" * 65])
def test_a_number_that_only_looks_right_is_unreadable(number: str) -> None:
    assert wrong({}, {**GONE, "number": number}) == (Code.FIELD_INVALID, "/number")


TREE: Final = st.recursive(
    st.integers(0, 3), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8
)


@given(
    st.dictionaries(st.sampled_from("abc"), TREE),
    st.sets(st.sampled_from(["a", "/a/b", "/b/c/a", "c", "/c/c"])),
)
def test_what_is_left_is_all_but_what_is_read(source: dict[str, Any], names: set[str]) -> None:
    before = json.dumps(source)
    rest = left(source, names)
    assert json.dumps(source) == before
    assert all(Place((name,)).find(rest, "") is None for name in names)
    kept = {path: value for path, value in leaves(source) if not any(under(path, name) for name in names)}
    assert dict(leaves(rest)) == kept


def leaves(value: Any, at: str = "") -> Any:
    if not isinstance(value, dict):
        yield at, value
        return
    for name, inner in value.items():
        yield from leaves(inner, f"{at}/{name}")


def under(path: str, name: str) -> bool:
    top = name if name.startswith("/") else f"/{name}"
    return path == top or path.startswith(f"{top}/")


# --- charsets -----------------------------------------------------------------------------------------------

GB: Final[Changes] = {"charset": "gb18030", **BATCH}


def test_a_charset_is_the_declared_one_and_no_other() -> None:
    message = {"list": [{"id": "a", **GONE, "issuer": "示例机构"}]}
    body = json.dumps(message, ensure_ascii=False).encode("gb18030")
    assert event(GB, body).issuer == "示例机构"
    assert unreadable(GB, body + b"\xff") == (Code.CHARSET_REFUSED, f"offset {len(body)}")
    assert unreadable(BATCH, body)[0] is Code.DELIVERY_UNREADABLE


def test_a_character_that_the_charset_made_private_costs_its_item_alone() -> None:
    # U+4DAE in GB 18030 of 2005 and later; the codec of 2000 has no character of its own there.
    items = [{"id": "a", **GONE}, {"id": "b", **GONE, "name": "\ue000"}]
    body = json.dumps({"list": items}, ensure_ascii=False)
    first, second = parse(GB, body.encode("gb18030"))
    assert isinstance(first, Event)
    assert second == UnreadableItem("b", Code.PRIVATE_USE_CHARACTER, "/list/1")
    assert all(isinstance(item, Event) for item in parse(BATCH, body.encode()))


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":1,"a":2}', b"\xff", b"null"])
def test_what_is_no_strict_object_is_unreadable(body: bytes) -> None:
    assert unreadable({}, body)[0] is Code.DELIVERY_UNREADABLE


# --- the delivery -------------------------------------------------------------------------------------------

NUMBERED: Final[Changes] = {
    "delivery": {"id": ["id", "batchNo"], "sequence": "seq"},
    "authenticity": {"scheme": "bearer"},
}


@pytest.mark.parametrize(
    ("sequence", "read"),
    [(0, 0), (12, 12), ("12", 12), ("007", 7), (2**53 - 1, 2**53 - 1), (None, None), ("", None)],
)
def test_a_running_number_may_come_as_number_or_as_digits(sequence: Any, read: int | None) -> None:
    message = {"id": "d", "seq": sequence, **GONE}
    callback = request(SLUG, json.dumps(message).encode(), (), NOW)
    assert declared(NUMBERED).written_sequence(callback) == read
    assert event(NUMBERED, message).extra == {}


@pytest.mark.parametrize("sequence", [-1, 1.0, True, "1.0", "-1", "１", "9" * 17, [1], 2**53 - 1 + 0.0])
def test_a_running_number_that_is_none_makes_the_delivery_unreadable(sequence: Any) -> None:
    message = {"id": "d", "seq": sequence, **GONE}
    callback = request(SLUG, json.dumps(message).encode(), (), NOW)
    assert declared(NUMBERED).written_sequence(callback) is None
    assert unreadable(NUMBERED, message) == (Code.DELIVERY_UNREADABLE, "/seq")


@pytest.mark.parametrize("name", [None, "", 7, "é", "digest:00", "a#b", "a b", "x" * 129])
def test_an_id_that_could_be_taken_for_another_is_none(name: Any) -> None:
    message = {"id": name, **GONE}
    callback = request(SLUG, json.dumps(message).encode(), (), NOW)
    assert declared(NUMBERED).written_id(callback) == ""
    assert unreadable(NUMBERED, message) == (Code.DELIVERY_UNREADABLE, "/id")


def test_a_profile_without_ids_reads_none() -> None:
    callback = request(SLUG, json.dumps(GONE).encode(), (), NOW)
    assert declared({}).written_id(callback) == ""
    assert declared({}).written_sequence(callback) is None


# --- certificates -------------------------------------------------------------------------------------------

DONE: Final[dict[str, Any]] = {"type": "done", "token": "a.b.c"}


def test_a_token_is_passed_on_as_it_came_with_what_repeats_it() -> None:
    said: Changes = {
        "stated": {"number": "no", "holder_name": ["name", "xm"], "id_number": "/who/id"},
        "events.reason": "why",
    }
    found = event(said, {**DONE, "xm": "甲", "who": {"id": "9", "mail": "m"}})
    assert found.certificate is not None
    assert (found.certificate.kind, found.certificate.content) == (CertificateKind.JWS, b"a.b.c")
    assert (found.certificate.signature, found.certificate.chain, found.certificate.known) == ("", (), {})
    assert found.stated == {"holder_name": "甲", "id_number": "9"}
    assert (found.reason, found.extra) == ("", {"message": {"who": {"mail": "m"}}})
    assert event(said, {**DONE, "type": "fixed", "why": "w"}).reason == "w"
    assert wrong(said, {**GONE}) == (Code.FIELD_MISSING, "/why")


@pytest.mark.parametrize("kind", ["jws", "jws+x5c", "open-badge"])
def test_kinds_that_hold_everything_in_one_token(kind: str) -> None:
    found = event({"certificate.kind": kind}, DONE)
    assert found.certificate is not None
    assert found.certificate.kind == kind
    assert wrong({"certificate.kind": kind}, {"type": "done"}) == (Code.FIELD_MISSING, "/token")
    assert wrong(
        {"certificate.kind": kind, "certificate.limit": 256}, {"type": "done", "token": "a" * 257}
    ) == (
        Code.FIELD_INVALID,
        "/token",
    )


def test_a_badge_may_have_values_that_it_holds_as_digests_stated_beside_it() -> None:
    changes: Changes = {
        "certificate.kind": "open-badge",
        "certificate.known": {"nationalIdentityNumber": "/who/id", "name": "name"},
    }
    found = event(changes, {**DONE, "who": {"id": "9"}})
    assert found.certificate is not None
    assert found.certificate.known == {"nationalIdentityNumber": "9"}
    assert found.extra == {}


BESIDE: Final[Changes] = {
    "certificate.kind": "canonical",
    "certificate.signature": "/cert/sign",
    "certificate.content": "/cert/text",
    "certificate.chain": "/cert/chain",
}


@pytest.mark.parametrize("chain", [["AA==", "AB=="], "AA==,AB=="])
def test_a_signature_and_a_chain_may_stand_beside_a_text(chain: Any) -> None:
    found = event(BESIDE, {"type": "done", "cert": {"text": "a=1&b=2", "sign": "s", "chain": chain}})
    assert found.certificate is not None
    assert (found.certificate.content, found.certificate.signature) == (b"a=1&b=2", "s")
    assert found.certificate.chain == ("AA==", "AB==")
    assert found.extra == {}


def test_a_chain_may_be_missing() -> None:
    found = event(BESIDE, {"type": "done", "cert": {"text": "a=1", "sign": "s"}})
    assert found.certificate is not None
    assert found.certificate.chain == ()


@pytest.mark.parametrize("chain", [[], ["A"] * 6, [1], {}, "A" * 8193, ["A", "A" * 8193]])
def test_a_chain_of_another_form_is_unreadable(chain: Any) -> None:
    message = {"type": "done", "cert": {"text": "a=1", "sign": "s", "chain": chain}}
    assert wrong(BESIDE, message) == (Code.FIELD_INVALID, "/cert/chain")


@pytest.mark.parametrize(
    ("encoding", "written"), [("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)]
)
def test_content_may_be_written_in_base64(encoding: str, written: Any) -> None:
    changes: Changes = {
        "certificate.kind": "cms",
        "certificate.signature": "p7s",
        "certificate.encoding": encoding,
    }
    content = b"<CERT>\xff\xfe</CERT>"
    text = written(content).decode()
    found = event(
        changes, {"type": "done", "token": text.rstrip("=") if encoding == "base64url" else text, "p7s": "s"}
    )
    assert found.certificate is not None
    assert found.certificate.content == content
    for bad in ("*", "AAAAA", "é"):
        assert wrong(changes, {"type": "done", "token": bad, "p7s": "s"}) == (Code.FIELD_INVALID, "/token")


JOINED: Final[Changes] = {
    "certificate.kind": "canonical",
    "certificate.content": "cert",
    "certificate.signature": "sign",
    "certificate.joined": True,
    "certificate.other_names": ["key_id"],
    "certificate.fields.revision": "rev",
}
CLAIMS: Final[dict[str, Any]] = {
    **{member: "x" for name, member in FIELDS.items() if not name.endswith("_format")},
    "key_id": "k",
}


def test_what_is_signed_may_be_an_object_whose_members_are_joined() -> None:
    found = event(JOINED, {"type": "done", "sign": "s", "cert": {**CLAIMS, "rev": 2}})
    assert found.certificate is not None
    expected = "&".join(f"{name}={value}" for name, value in sorted({**CLAIMS, "rev": "2"}.items()))
    assert found.certificate.content.decode() == expected
    assert found.extra == {}


LEARNED: Final[Changes] = {
    "certificate.fields.started_at": "begun",
    "certificate.fields.started_format": "rfc3339",
    "certificate.fields.study_minutes": "minutes",
}


@pytest.mark.parametrize("said", [{}, {"begun": "2021-03-01T00:00:00Z"}, {"begun": "x", "minutes": 90}])
def test_of_what_is_joined_the_learned_time_may_be_left_out(said: dict[str, Any]) -> None:
    found = event({**JOINED, **LEARNED}, {"type": "done", "sign": "s", "cert": {**CLAIMS, **said}})
    assert found.certificate is not None
    expected = "&".join(f"{name}={value}" for name, value in sorted({**CLAIMS, **said}.items()))
    assert found.certificate.content.decode() == expected


def test_a_profile_says_where_the_learned_time_stands() -> None:
    found = event(LEARNED, DONE)
    assert found.certificate is not None
    table = found.certificate.fields
    assert (table.started_at, table.started_format, table.study_minutes) == ("begun", "rfc3339", "minutes")


@pytest.mark.parametrize(
    ("cert", "code"),
    [
        (None, Code.FIELD_MISSING),
        ("a=1", Code.FIELD_INVALID),
        ({}, Code.FIELD_INVALID),
        ({**CLAIMS, "later": "x"}, Code.FIELD_INVALID),
        ({**CLAIMS, "no": "a&b=c"}, Code.FIELD_INVALID),
        ({**CLAIMS, "no": None}, Code.FIELD_INVALID),
        ({**CLAIMS, "no": True}, Code.FIELD_INVALID),
    ],
)
def test_an_object_that_could_be_joined_from_another_is_unreadable(cert: Any, code: Code) -> None:
    assert wrong(JOINED, {"type": "done", "sign": "s", "cert": cert}) == (code, "/cert")


def test_the_table_of_fields_is_the_profile_s() -> None:
    changes: Changes = {
        "certificate.fields.document": "/what/kind",
        "certificate.documents": {"proof": "课程培训合格证明", "level": "职业技能等级证书", "": "其他"},
    }
    found = event(changes, DONE)
    assert found.certificate is not None
    table = found.certificate.fields
    assert (table.document, table.revision, dict(table.id_kinds)) == ("/what/kind", "", {"1": "resident_id"})
    assert {word: kind.value for word, kind in table.documents.items()} == changes["certificate.documents"]
    assert START < NOW


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "id", "list", "cert", "token", "number"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from([{}, BATCH, ROOTS, RENAMED, GB, NUMBERED, BESIDE, JOINED]), JSON)
def test_whatever_comes_is_read_or_unreadable(changes: Changes, message: Any) -> None:
    try:
        read = parse(changes, message)
    except AdapterError as error:
        refused = error.code
    else:
        refused = Code.DELIVERY_UNREADABLE
        assert read
        assert len({item.item for item in read}) == len(read)
    assert refused is Code.DELIVERY_UNREADABLE

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.feed_log import LOG_KEY, NAME, NOW, RECORD_KEY, TRUST, Log, signed_record, some, written
from verifier import ledger
from verifier.errors import Code, LedgerRefused
from verifier.following import Cursor, End, Taken, Trust, check, check_cursor, dumped, loaded
from verifier.merkle import Frontier
from verifier.signatures.jws import Algorithm, SigningKey

Lines = list[dict[str, Any]]


def take(cursor: Cursor, lines: Lines, trust: Trust = TRUST) -> tuple[Cursor, list[Taken]]:
    return check(cursor, written(lines), trust, now=NOW)


def refused(cursor: Cursor, lines: Lines, trust: Trust = TRUST) -> str:
    with pytest.raises(LedgerRefused) as error:
        take(cursor, lines, trust)
    assert error.value.code is Code.RECORD_INVALID
    return error.value.detail


@given(
    st.integers(1, 20),
    st.lists(st.integers(1, 6), min_size=1, max_size=12),
    st.sets(st.integers(0, 19)),
    st.data(),
)
def test_whatever_the_pages_each_is_proven_and_they_join_to_the_whole(
    count: int, limits: list[int], hidden: set[int], data: st.DataObject
) -> None:
    log = some(count)
    cursor, found = Cursor(), list[Taken]()
    for limit in limits:
        # The ledger grows between the answers, and never shrinks.
        least = max(cursor.edge.size, cursor.end.size if cursor.end else 0)
        size = data.draw(st.integers(least, len(log.bodies)))
        cursor, taken = take(cursor, log.answer(cursor.next, limit, size=size, hidden=hidden))
        found += taken
        check_cursor(cursor, TRUST)
        assert loaded(json.loads(json.dumps(dumped(cursor)))) == cursor
    assert [one.index for one in found] == list(range(len(found)))
    assert cursor.edge == Frontier().append(log.leaves[: len(found)])[0]
    for one in found:
        assert (one.raw == b"") == (one.index in hidden)
        assert one.leaf == log.leaves[one.index]
        assert (one.claims is not None) == (one.index in log.records and one.index not in hidden)


@given(st.data())
def test_no_single_altered_byte_of_what_counts_passes(data: st.DataObject) -> None:
    log = some()
    lines = written(log.answer(-1, 4))
    row = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[row]) - 1))
    altered = bytearray(lines[row])
    altered[place] ^= 1 << data.draw(st.integers(0, 7))
    cursor, taken = check(Cursor(), lines, TRUST, now=NOW)
    try:
        after, found = check(Cursor(), [*lines[:row], bytes(altered), *lines[row + 1 :]], TRUST, now=NOW)
    except LedgerRefused:
        return
    # Only what nobody relies on was altered: the readable copy of a body, or how something is spelt.
    assert (after.edge, after.next) == (cursor.edge, cursor.next)
    assert [(one.raw, one.claims) for one in found] == [(one.raw, one.claims) for one in taken]


def test_the_whole_of_a_log_is_taken() -> None:
    log = some()
    cursor, taken = take(Cursor(), log.answer(-1, 100))
    assert (cursor.next, cursor.ahead, len(taken)) == (6, "", 7)
    assert taken[1].claims is not None
    assert (taken[1].claims["name"], taken[1].body["record"]) == ("阿依古丽", "rec-1")
    assert take(cursor, log.answer(6, 100)) == (cursor, [])


def test_an_empty_log_is_no_error_until_it_has_been_more() -> None:
    cursor, taken = take(Cursor(), Log().answer(-1, 10))
    assert (cursor.next, taken) == (-1, [])
    check_cursor(cursor, TRUST)
    later, _ = take(cursor, some().answer(-1, 10))
    assert refused(later, [{"next": 6, "size": 0, "checkpoint": "", "proof": []}]).startswith(
        "the ledger is empty"
    )


Change = Callable[[Lines], object]
LIES: dict[str, tuple[Change, str]] = {
    "an entry is missing": (lambda lines: lines.pop(2), "entry 2 is missing"),
    "an entry is doubled": (lambda lines: lines.insert(2, lines[2]), "entry 3 is missing"),
    "two are exchanged": (lambda lines: lines.insert(1, lines.pop(2)), "entry 1 is missing"),
    "the first is missing": (lambda lines: lines.pop(0), "entry 0 is missing"),
    "the last is missing": (lambda lines: lines.pop(-2), "the answer ends at"),
    "a hash is another's": (lambda lines: lines[4].update(leaf_hash="00" * 32), "entry 4 has another body"),
    "a hidden hash is another's": (
        lambda lines: lines.__setitem__(4, {"index": 4, "leaf_hash": "00" * 32}),
        "not the beginning",
    ),
    "a hash is short": (lambda lines: lines[4].update(leaf_hash="00"), "no leaf hash"),
    "a hash is none": (lambda lines: lines[4].update(leaf_hash="zz"), "no leaf hash"),
    "a body is another": (lambda lines: lines[4].update(body_b64="e30="), "entry 4 has another body"),
    "a body is no base64": (lambda lines: lines[4].update(body_b64="e30"), "entry 4 cannot be read"),
    "a body is no JSON": (lambda lines: lines[4].update(body_b64="AAAA"), "entry 4 cannot be read"),
    "a kind is another": (lambda lines: lines[4].update(kind="claim"), "another index or kind"),
    "a body is hidden, its kind is not": (lambda lines: lines[4].pop("body_b64"), "without a body"),
    "a record is left out": (lambda lines: lines[1].pop("record"), "without its record"),
    "a record is put where none is": (lambda lines: lines[4].update(record=lines[1]["record"]), "not of"),
    "a record is another's": (lambda lines: lines[1].update(record=lines[3]["record"]), "does not commit"),
    "a record has another name": (lambda lines: lines[1]["record"].update(id="rec-9"), "another record"),
    "a record is none": (lambda lines: lines[1]["record"].update(sd_jwt="x"), "entry 1"),
    "an index is text": (lambda lines: lines[4].update(index="4"), "entry 4 is not as documented"),
    "next is further": (lambda lines: lines[-1].update(next=7), "the answer ends at 7"),
    "size is another": (lambda lines: lines[-1].update(size=8), "another size"),
    "the proof is too long": (lambda lines: lines[-1].update(proof=["00" * 32]), "not the beginning"),
    "the proof is none": (lambda lines: lines[-1].update(proof=["zz"]), "not the beginning"),
    "the checkpoint is missing": (lambda lines: lines[-1].update(checkpoint=""), "not signed"),
    "the checkpoint is unsigned": (
        lambda lines: lines[-1].update(checkpoint=lines[-1]["checkpoint"].split("\n\n")[0] + "\n"),
        "not signed",
    ),
    "the end is missing": (lambda lines: lines.pop(), "the last line is not as documented"),
    "the end has no proof": (lambda lines: lines[-1].pop("proof"), "the last line is not as documented"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_whatever_is_wrong_is_named_and_nothing_passes(lie: str) -> None:
    change, said = LIES[lie]
    lines = copy.deepcopy(some().answer(-1, 100))
    change(lines)
    assert said in refused(Cursor(), lines)


def test_an_answer_of_no_lines_or_of_an_endless_one_is_refused() -> None:
    for lines in ([], [b" " * (1 << 21)], [b"\xff"]):
        with pytest.raises(LedgerRefused):
            check(Cursor(), lines, TRUST, now=NOW)


def test_another_logs_key_or_name_signs_nothing_here() -> None:
    lines = some().answer(-1, 100)
    stranger = Ed25519PrivateKey.generate()
    assert "not signed" in refused(Cursor(), lines, Trust(NAME, [stranger.public_key()], TRUST.record_keys))
    assert "not signed" in refused(Cursor(), lines, Trust("other/log", TRUST.log_keys, TRUST.record_keys))
    both = Trust(NAME, [stranger.public_key(), LOG_KEY.public_key()], TRUST.record_keys)
    assert take(Cursor(), lines, both)[0].next == 6  # while one key replaces another


def test_another_issuers_record_is_refused_though_its_entry_commits_to_it() -> None:
    lines = some().answer(-1, 100)
    assert "entry 1: the record fails at: key" in refused(Cursor(), lines, Trust(NAME, TRUST.log_keys, []))
    other = SigningKey("record-key", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
    keys = [other.verification_key]
    assert "signature" in refused(Cursor(), lines, Trust(NAME, TRUST.log_keys, keys))


def test_a_record_that_says_it_stands_elsewhere_is_refused() -> None:
    log = some()
    for changes in (
        {"log": {"origin": NAME, "index": 2}},
        {"log": {"origin": "other", "index": 1}},
        {"jti": "rec-9"},
    ):
        lines = log.answer(-1, 100)
        lines[1]["record"]["sd_jwt"] = signed_record(1, "rec-1", RECORD_KEY, **changes)
        assert "does not commit" in refused(Cursor(), lines)


def test_a_ledger_that_shrank_is_found_out_though_it_is_signed() -> None:
    log = some()
    cursor, _ = take(Cursor(), log.answer(-1, 2))  # its checkpoint lies ahead: seven entries
    assert "shrank" in refused(cursor, log.answer(1, 1, size=5))


def test_two_ledgers_signed_by_one_key_are_found_out() -> None:
    honest, forked = some(), some()
    forked.bodies[5] = ledger.entry_body({"v": 1, "kind": "evidence", "index": 5, "root": "11", "count": 1})
    cursor, _ = take(Cursor(), honest.answer(-1, 3))
    assert cursor.ahead == honest.note(7)
    # The fork agrees in all that was pulled, and is signed: only the checkpoint seen before tells.
    forked.records = honest.records
    forked.bodies[:5] = honest.bodies[:5]
    forked.add("evidence", root="22", count=2)
    cursor, _ = take(cursor, forked.answer(2, 2))
    assert "do not belong to one ledger" in refused(cursor, forked.answer(4, 100))
    # One that was seen first is met, and then the newest lies ahead.
    met, _ = take(Cursor(), honest.answer(-1, 3, size=4))
    honest.add("evidence", root="33", count=3)
    met, _ = take(met, honest.answer(2, 2))
    assert (met.next, met.ahead) == (4, honest.note(8))


CURSORS: dict[str, Callable[[dict[str, Any]], object]] = {
    "next": lambda members: members.update(next=3),
    "next and the tree": lambda members: members.update(next=0, frontier=members["frontier"][:1]),
    "a node": lambda members: members["frontier"].__setitem__(0, "00" * 32),
    "a node that is none": lambda members: members["frontier"].__setitem__(0, "zz"),
    "the end": lambda members: members["end"].update(next=1),
    "the end is gone": lambda members: members.update(end=None),
    "the checkpoint": lambda members: members["end"].update(checkpoint="x"),
    "the proof": lambda members: members["end"].update(proof=[]),
    "what lies ahead": lambda members: members.update(ahead="x"),
    "a member": lambda members: members.update(more=1),
    "a type": lambda members: members.update(next="2"),
}


@pytest.mark.parametrize("what", CURSORS)
def test_an_edited_cursor_is_refused_before_anything_is_asked(what: str) -> None:
    cursor, _ = take(Cursor(), some().answer(-1, 3))
    members = dumped(cursor)
    CURSORS[what](members)
    with pytest.raises(LedgerRefused):
        check_cursor(loaded(members), TRUST)


@pytest.mark.parametrize("members", [None, [], "x", 1, {}])
def test_what_is_no_cursor_is_refused(members: object) -> None:
    with pytest.raises(LedgerRefused):
        loaded(members)


def test_a_cursor_that_stands_on_nothing_is_refused() -> None:
    edge, _ = Frontier().append(some().leaves)
    for cursor in (Cursor(edge), Cursor(ahead="x"), Cursor(edge, End(6, 0, "", []))):
        with pytest.raises(LedgerRefused):
            check_cursor(cursor, TRUST)
    check_cursor(Cursor(), TRUST)

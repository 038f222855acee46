"""A revocation list reaches what was accepted before it: completions under a leaf whose key was stolen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import certificates as made
from verifier.keyring import Issuer, IssuerAnchor, KeyState, Register
from verifier.model.certificate import DocumentKind
from verifier.model.delivery import PlatformSlug
from verifier.model.facts import CompletionFact, FactId, Source
from verifier.model.person import LearnerId, PersonName
from verifier.signatures import crl
from verifier.signatures.jws import Algorithm
from verifier.signatures.sm2 import DEFAULT_ID

ROOT, OTHER_ROOT = made.root(), made.root("另一根证书机构")
AUTHORITY = made.intermediate(ROOT)
LEAF, BELOW = made.leaf(ROOT, "甲平台"), made.leaf(AUTHORITY, "乙平台")
START = datetime(2021, 1, 1, tzinfo=UTC)
SINCE = datetime(2021, 5, 1, tzinfo=UTC)
EARLIER = datetime(2021, 4, 1, tzinfo=UTC)
TICK, DAY = timedelta(microseconds=1), timedelta(days=1)
COMPROMISED, SUPERSEDED = 1, 4


def anchor(*crls: bytes, **changed: object) -> IssuerAnchor:
    sound = IssuerAnchor("ca", ROOT.der, Algorithm.ES256, KeyState.ACTIVE, START, crls=crls)
    return replace(sound, **changed)  # type: ignore[arg-type] # members of IssuerAnchor


def register(*anchors: IssuerAnchor) -> Register:
    issuer = Issuer("i", "i", frozenset({PlatformSlug("alpha")}), {}, anchors)
    return Register("0" * 64, {}, {"i": issuer})


def completion(key_id: str, received_at: datetime) -> CompletionFact:
    return CompletionFact(
        FactId("f"),
        LearnerId("l"),
        PlatformSlug("alpha"),
        "i",
        "i",
        "N-1",
        1,
        START,
        START,
        DocumentKind.COURSE_PROOF,
        "K1",
        "课程",
        "机构",
        key_id,
        b"",
        PersonName("某人", "某人", ("某人",)),
        received_at,
        Source("test", "test"),
    )


def falls(*anchors: IssuerAnchor, leaf: made.Issued = LEAF, by: made.Issued = ROOT, at: datetime) -> bool:
    key_id = anchors[0].key_id(by.name, leaf.serial)
    return bool(register(*anchors).doubtful([completion(key_id, at)]))


def listed(*entries: bytes, by: made.Issued = ROOT, **options: object) -> bytes:
    return made.crl(by, entries, **options)  # type: ignore[arg-type] # members of ListOptions


STOLEN = listed(made.revoked(LEAF, SINCE, reason=COMPROMISED))


def test_what_came_under_a_leaf_since_its_key_was_stolen_is_doubtful_and_what_came_before_is_not() -> None:
    assert not falls(anchor(STOLEN), at=SINCE - TICK)
    assert falls(anchor(STOLEN), at=SINCE)


@pytest.mark.parametrize("reason", [None, 0, 1, 2, 10])
def test_a_reason_that_leaves_the_key_to_somebody_else_casts_doubt(reason: int | None) -> None:
    assert falls(anchor(listed(made.revoked(LEAF, SINCE, reason=reason))), at=SINCE)


@pytest.mark.parametrize("reason", [3, 4, 5, 6, 9])
def test_any_other_reason_leaves_alone_what_was_accepted(reason: int) -> None:
    assert not falls(anchor(listed(made.revoked(LEAF, EARLIER, reason=reason))), at=SINCE)


def test_the_date_of_invalidity_counts_where_it_is_earlier() -> None:
    entry = made.revoked(LEAF, SINCE, reason=COMPROMISED, invalid_since=EARLIER)
    assert falls(anchor(listed(entry)), at=EARLIER)
    assert not falls(anchor(listed(entry)), at=EARLIER - TICK)


def test_another_leaf_of_the_same_authority_and_the_same_number_of_another_authority_stand() -> None:
    assert not falls(anchor(STOLEN), leaf=made.leaf(ROOT, "丙平台"), at=SINCE)
    assert not falls(anchor(STOLEN), by=AUTHORITY, at=SINCE)


def test_a_leaf_below_an_authority_between_is_reached_by_that_ones_list() -> None:
    entry = made.revoked(BELOW, SINCE, reason=COMPROMISED)
    assert falls(anchor(listed(entry, by=AUTHORITY)), leaf=BELOW, by=AUTHORITY, at=SINCE)


def test_a_list_in_the_anchors_name_counts_only_by_the_anchors_key() -> None:
    forged = listed(made.revoked(LEAF, SINCE, reason=COMPROMISED), signed_by=OTHER_ROOT.key)
    assert not falls(anchor(forged), at=SINCE)


def test_a_list_that_is_out_of_date_still_says_what_was_stolen() -> None:
    entry = made.revoked(LEAF, EARLIER, reason=COMPROMISED)
    assert falls(anchor(listed(entry, this_update=EARLIER, next_update=EARLIER + DAY)), at=SINCE)


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_lists_that_name_a_leaf_the_newer_counts_in_any_order(*, turned: bool) -> None:
    older = listed(made.revoked(LEAF, EARLIER, reason=None), this_update=EARLIER)
    newer = listed(made.revoked(LEAF, EARLIER, reason=SUPERSEDED), this_update=SINCE)
    lists = [newer, older] if turned else [older, newer]
    assert not falls(anchor(*lists), at=SINCE)


def test_a_newer_list_that_no_longer_names_a_leaf_takes_nothing_back() -> None:
    # Authorities drop what has expired (RFC 5280, section 3.3).
    assert falls(anchor(STOLEN, listed(this_update=SINCE)), at=SINCE)


def test_only_the_anchor_that_a_completion_names_is_asked() -> None:
    other = anchor(STOLEN, anchor_id="other", certificate=OTHER_ROOT.der)
    assert not falls(anchor(), other, at=SINCE)
    assert falls(other, anchor(), at=SINCE)


def test_nothing_falls_where_no_lists_are_published_or_none_can_be_read() -> None:
    for crls in (None, (), (b"junk",)):
        assert not falls(anchor(crls=crls), at=SINCE)


def test_the_anchors_own_compromise_still_reaches_every_leaf() -> None:
    assert falls(anchor(compromised_since=SINCE), at=SINCE)
    assert not falls(anchor(compromised_since=SINCE), at=SINCE - TICK)


def test_what_the_lists_say_is_gathered_once_and_cannot_be_changed() -> None:
    found = anchor(STOLEN).stolen
    assert isinstance(found, MappingProxyType)
    assert list(found.values()) == [SINCE]
    assert anchor(STOLEN) == anchor(STOLEN)


@given(
    st.lists(st.dictionaries(st.integers(1, 5), st.sampled_from([None, 0, 1, 4, 9])), min_size=1, max_size=4)
)
def test_for_any_lists_the_newest_word_on_each_certificate_counts(
    lists: Sequence[Mapping[int, int | None]],
) -> None:
    leaves = {serial: made.Issued(b"", ROOT.key, b"", serial) for serial in range(1, 6)}
    ders = [
        listed(
            *(made.revoked(leaves[n], SINCE, reason=reason) for n, reason in one.items()),
            this_update=EARLIER + place * DAY,
        )
        for place, one in enumerate(lists)
    ]
    newest: dict[int, int | None] = {}
    for one in lists:
        newest |= one
    expected = {n for n, reason in newest.items() if reason in {None, 0, 1}}
    found = crl.stolen(ders, issuer=ROOT.name, spki=ROOT.key.spki, sm2_id=DEFAULT_ID)
    assert found == {(ROOT.name, n): SINCE for n in expected}

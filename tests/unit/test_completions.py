"""Law 3, step 4c: what stands under a certificate's number after everything that came under it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.completions import Numbers, Proven, standing
from verifier.errors import Code
from verifier.identity import person_name
from verifier.model.certificate import DocumentKind, VerifiedCertificate
from verifier.model.delivery import Event, EventKind, ItemState, PlatformSlug
from verifier.model.facts import CompletionFact, FactId, RevocationFact, Source
from verifier.model.person import IdentityClaims, LearnerId

AT = datetime(2021, 7, 1, tzinfo=UTC)
PLATFORM, SOURCE = PlatformSlug("p1"), Source("delivery", "p1/d-1")
LI, WANG = LearnerId("li"), LearnerId("wang")


def certificate(content: str, revision: int = 1, days: int = 0) -> VerifiedCertificate:
    return VerifiedCertificate(
        issuer="i",
        number_scope="s",
        number="N-1",
        revision=revision,
        holder=IdentityClaims("resident_id", "x", "张三"),
        course_code="c",
        course_title=content,
        organisation="o",
        completed_at=AT,
        issued_at=AT + timedelta(days=days),
        document=DocumentKind.COURSE_PROOF,
        key_id="k",
        algorithm="ES256",
        content_digest=sha256(content.encode()).digest(),
    )


def proven(content: str, revision: int = 1, days: int = 0, *, declared: bool = False) -> Proven:
    kind = EventKind.CORRECTED if declared else EventKind.COMPLETED
    found = certificate(content, revision, days)
    digest = sha256(f"{content} {revision} {days}".encode()).digest()
    return Proven(Event(kind, "1"), found, person_name("张三"), digest)


def numbers(facts: tuple[CompletionFact, ...] = ()) -> Numbers:
    ids = count(1)
    return Numbers(lambda: f"id-{next(ids)}", AT, standing(facts), set())


def take(into: Numbers, item: Proven, who: LearnerId = LI) -> tuple[ItemState, Code | None]:
    outcome = into.complete(item, who, PLATFORM, SOURCE)
    return outcome.state, outcome.code


def current(into: Numbers) -> CompletionFact:
    return into.current["i", "s", "N-1"]


def test_the_first_certificate_stands() -> None:
    into = numbers()
    assert take(into, proven("a")) == (ItemState.ACCEPTED, None)
    fact = current(into)
    assert (fact.course_title, fact.revision, fact.supersedes) == ("a", 1, None)
    assert into.affected == {LI}


def test_a_completion_says_what_its_certificate_says_of_learning() -> None:
    into, one = numbers(), proven("a")
    start = AT - timedelta(hours=2)
    said = replace(one, certificate=replace(one.certificate, started_at=start, study_minutes=90))
    take(into, said)
    assert (current(into).started_at, current(into).study_minutes) == (start, 90)


@pytest.mark.parametrize("again", ["the same content", "older content", "other content of the same moment"])
def test_what_a_compromised_key_brought_gives_way_to_anything_proven_now(again: str) -> None:
    before = numbers()
    take(before, proven("a", revision=2))
    fact = replace(current(before), fact_id=FactId("before"))
    into = replace(numbers((fact,)), doubtful=frozenset({fact.fact_id}))
    now = {
        "the same content": proven("a", revision=2),
        "older content": proven("a", revision=1),
        "other content of the same moment": proven("b", revision=2),
    }[again]
    assert take(into, now, WANG) == (ItemState.ACCEPTED, None)
    assert (current(into).supersedes, current(into).learner_id) == (fact.fact_id, WANG)
    assert into.affected == {LI, WANG}
    assert take(into, now, WANG) == (ItemState.DUPLICATE, None)


def test_a_completion_knows_when_its_content_was_first_received() -> None:
    into = numbers()
    take(into, replace(proven("a"), first_received_at=AT - timedelta(days=9)))
    assert (current(into).received_at, current(into).recorded_at) == (AT - timedelta(days=9), AT)
    take(into, proven("b", revision=2))
    assert current(into).received_at == AT


def test_the_same_content_changes_nothing() -> None:
    into = numbers()
    take(into, proven("a"))
    assert take(into, proven("a")) == (ItemState.DUPLICATE, None)
    assert len(into.facts) == 1


def test_a_newer_certificate_supersedes_and_may_name_another_person() -> None:
    into = numbers()
    take(into, proven("a"))
    first = current(into)
    assert take(into, proven("b", revision=2), WANG) == (ItemState.ACCEPTED, None)
    assert (current(into).learner_id, current(into).supersedes) == (WANG, first.fact_id)
    assert into.affected == {LI, WANG}


def test_a_declared_correction_supersedes_without_being_newer() -> None:
    into = numbers()
    take(into, proven("a"))
    assert take(into, proven("b", declared=True)) == (ItemState.ACCEPTED, None)
    assert current(into).course_title == "b"


def test_a_declared_correction_that_is_older_is_out_of_date() -> None:
    into = numbers()
    take(into, proven("b", revision=2))
    assert take(into, proven("a", declared=True)) == (ItemState.RECORDED, None)
    assert current(into).course_title == "b"


def test_an_issuer_that_does_not_count_may_correct_itself_again_and_again() -> None:
    into = numbers()
    for days in range(5):
        assert take(into, proven(f"version {days}", days=days)) == (ItemState.ACCEPTED, None)
    assert current(into).course_title == "version 4"


def test_other_content_of_the_same_revision_and_moment_is_a_question() -> None:
    into = numbers()
    take(into, proven("a"))
    assert take(into, proven("b"), WANG) == (ItemState.IN_REVIEW, Code.COMPLETION_CONFLICT)
    [(who, need)] = into.reviews
    assert (who, need.kind, need.about[0]) == (LI, "completion_conflict", current(into).fact_id)
    assert current(into).course_title == "a"
    assert into.affected == {LI}


def weak(content: str, revision: int = 1, days: int = 0) -> Proven:
    return replace(proven(content, revision, days), weak="phone")


def test_a_completion_that_names_nobody_for_certain_is_kept_for_review() -> None:
    into = numbers()
    assert take(into, weak("a")) == (ItemState.IN_REVIEW, Code.IDENTITY_WEAK)
    assert (current(into).weak, into.affected, into.reviews) == ("phone", {LI}, [])
    assert take(into, weak("a")) == (ItemState.DUPLICATE, None)
    assert take(into, weak("b", revision=2), WANG) == (ItemState.IN_REVIEW, Code.IDENTITY_WEAK)
    assert (current(into).learner_id, into.affected) == (WANG, {LI, WANG})


@pytest.mark.parametrize("declared", [True, False])
def test_a_newer_certificate_that_names_nobody_takes_a_completion_from_nobody(*, declared: bool) -> None:
    into = numbers()
    take(into, proven("a"))
    kind = EventKind.CORRECTED if declared else EventKind.COMPLETED
    newer = weak("b", revision=2)
    newer = replace(newer, event=replace(newer.event, kind=kind))
    assert take(into, newer, WANG) == (ItemState.IN_REVIEW, Code.IDENTITY_WEAK)
    [(who, need)] = into.reviews
    assert (who, need.kind) == (LI, "completion_conflict")
    assert (current(into).course_title, into.affected) == ("a", {LI})


def test_an_older_certificate_that_names_nobody_is_out_of_date() -> None:
    into = numbers()
    take(into, proven("b", revision=2))
    assert take(into, weak("a")) == (ItemState.RECORDED, None)
    assert into.reviews == []


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(1, 3), st.integers(0, 3)), min_size=1, max_size=4, unique=True
    )
)
def test_in_whatever_order_they_come_whoever_is_named_for_certain_stands(
    versions: list[tuple[bool, int, int]],
) -> None:
    certain, revision, days = max(versions)
    for order in permutations(versions):
        into = numbers()
        for named, number, day in order:
            make = proven if named else weak
            take(into, make(f"{named}/{number}/{day}", number, day))
        fact = current(into)
        assert (not fact.weak, fact.revision, fact.issued_at) == (
            certain,
            revision,
            AT + timedelta(days=days),
        )


CERTIFICATES = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3)), min_size=1, max_size=4, unique=True)


@given(CERTIFICATES, st.booleans())
def test_in_whatever_order_they_come_the_newest_stands(versions: list[tuple[int, int]], split: bool) -> None:  # noqa: FBT001 - Hypothesis passes it
    newest = max(versions)
    for order in permutations(versions):
        into = numbers()
        for revision, days in order:
            if split:  # each in a transaction of its own
                into = numbers(tuple(into.current.values()))
            take(into, proven(f"{revision}/{days}", revision, days))
        fact = current(into)
        assert (fact.revision, fact.issued_at) == (newest[0], AT + timedelta(days=newest[1]))


def test_a_revocation_stands_once_and_concerns_whoever_stands() -> None:
    into = numbers()
    take(into, proven("a"))
    into.affected.clear()
    event = Event(EventKind.REVOKED, "1", reason="误发")
    outcomes = [into.revoke(event, ("i", "s", "N-1"), PLATFORM, SOURCE).state for _ in range(2)]
    assert outcomes == [ItemState.ACCEPTED, ItemState.DUPLICATE]
    assert into.affected == {LI}
    [revocation] = [fact for fact in into.facts if isinstance(fact, RevocationFact)]
    assert revocation.reason == "误发"


def test_a_revocation_may_come_before_its_completion() -> None:
    into = numbers()
    event = Event(EventKind.REVOKED, "1")
    assert into.revoke(event, ("i", "s", "N-2"), PLATFORM, SOURCE).state is ItemState.ACCEPTED
    assert into.affected == set()


def test_a_digest_does_not_show_in_a_proven_items_text() -> None:
    item = replace(proven("a"), digest=b"\x01secret")
    assert "secret" not in repr(item)

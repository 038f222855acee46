from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.answers import said
from tests.unit.fake_store import FakeStore
from verifier import enterprises, pipeline
from verifier.errors import Code, Party, RequestRejected
from verifier.identity import person_name, resident_id
from verifier.keyring import Platform, Register
from verifier.model.certificate import DocumentKind
from verifier.model.decision import Holding
from verifier.model.delivery import PlatformSlug
from verifier.model.facts import (
    AdmissionFact,
    Category,
    CompletionFact,
    EmployerChoiceFact,
    EmploymentFact,
    EmploymentMark,
    FactId,
    NameDecisionFact,
    RevocationFact,
    ScopeFact,
    Source,
)
from verifier.model.person import IdentityClaims, LearnerId, Uscc
from verifier.model.standing import PersonStanding, Standing, StatusAnswer
from verifier.model.trust import Recognition
from verifier.pipeline import Rulebook
from verifier.policy import load
from verifier.policy.wording import MISSING
from verifier.roster_rows import RosterRow

POLICY: Final = load(
    (Path(__file__).parents[2] / "verifier/policy/parameters/online-training-month.toml").read_bytes()
)
P1: Final = PlatformSlug("p1")
PLATFORM: Final = Platform(P1, "培训平台一", (Recognition(date(2021, 1, 1), None, "名册"),), ())
RULEBOOK: Final = Rulebook((POLICY,), Register("0" * 64, {P1: PLATFORM}, {}))
OURS: Final = Uscc("91652300MA77555511")
THEIRS: Final = Uscc("91652300MA77666622")
AT: Final = datetime(2021, 7, 1, 2, tzinfo=UTC)
SINCE: Final = date(2021, 1, 1)
SOURCE: Final = Source("test", "test")
WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def number(serial: int) -> str:
    """The id number of nobody: its division does not exist."""
    digits = f"99990219900307{serial:03}"
    total = sum(int(digit) * weight for digit, weight in zip(digits, WEIGHTS, strict=True))
    return digits + "10X98765432"[total % 11]


def digest(purpose: str, data: bytes) -> bytes:
    return hashlib.sha256(purpose.encode() + data).digest()


def row(serial: int = 1, start: date = SINCE, **changes: Any) -> RosterRow:
    identifier = resident_id(number(serial), today=AT.date())
    read = RosterRow(1, identifier, person_name("测试员甲"), start, None, Category.AT_POST, "操作工", None)
    return replace(read, **changes)


def upload(
    store: FakeStore, *rows: RosterRow, uscc: Uscc = OURS, at: datetime = AT
) -> enterprises.UploadResult:
    return enterprises.upload(
        store, uscc, rows, at=at, new_id=store.new_id, digest=digest, client_id="client-1"
    )


def admit(store: FakeStore, uscc: Uscc = OURS, start: date = SINCE, end: date | None = None) -> bool:
    return enterprises.admit(
        store, uscc, "企业", "昌吉市", start, end, at=AT, new_id=store.new_id, operator="operator-1"
    )


def declare(store: FakeStore, start: date = SINCE, end: date | None = None) -> bool:
    return enterprises.declare_scope(
        store, OURS, start, end, at=AT, new_id=store.new_id, client_id="client-1"
    )


def rows_of(store: FakeStore, uscc: Uscc = OURS) -> list[tuple[str, date, date | None, str]]:
    rows = store.employments(uscc, set(store.identifiers.values()))
    return sorted((fact.learner_id, fact.start, fact.end, fact.post) for fact in rows)


# --- uploading a roster


def test_a_roster_becomes_facts_and_everybody_in_it_is_judged_again() -> None:
    store = FakeStore()
    result = upload(store, row(1, category=Category.DISPATCHED, dispatched_by=THEIRS), row(2))
    assert result == enterprises.UploadResult(unchanged=False, rows=2, new=2, changed=0)
    assert store.due == [("learner-1", "roster"), ("learner-2", "roster")]
    fact = store.facts[0]
    assert isinstance(fact, EmploymentFact)
    assert fact == EmploymentFact(
        fact_id=fact.fact_id,
        learner_id=LearnerId("learner-1"),
        uscc=OURS,
        start=SINCE,
        end=None,
        category=Category.DISPATCHED,
        post="操作工",
        dispatched_by=THEIRS,
        name=person_name("测试员甲"),
        recorded_at=AT,
        source=fact.source,
    )
    assert fact.source.kind == "roster"
    assert fact.source == getattr(store.facts[1], "source", None)
    assert [(owner, rows, client) for owner, _, rows, client in store.rosters] == [(OURS, 2, "client-1")]


def test_the_identical_roster_changes_nothing_in_whatever_order_its_rows_stand() -> None:
    store = FakeStore()
    upload(store, row(1), row(2))
    before = (list(store.facts), list(store.rosters), list(store.due), list(store.locked))
    result = upload(store, row(2, row=7), row(1, row=9))
    assert result == enterprises.UploadResult(unchanged=True, rows=2)
    assert (store.facts, store.rosters, store.due, store.locked) == before


def test_an_upload_without_rows_changes_nothing() -> None:
    store = FakeStore()
    upload(store, row(1))
    assert upload(store).unchanged
    assert len(store.rosters) == 1


def test_an_unchanged_row_of_another_roster_changes_nothing_for_its_person() -> None:
    store = FakeStore()
    upload(store, row(1))
    store.due.clear()
    assert upload(store, row(1), row(2)) == enterprises.UploadResult(unchanged=False, rows=2, new=1)
    assert store.due == [("learner-2", "roster")]


@pytest.mark.parametrize(
    "changes",
    [
        {"end": date(2021, 6, 30)},
        {"category": Category.ON_LEAVE},
        {"category": None},
        {"post": "电工"},
        {"dispatched_by": THEIRS},
        {"name": person_name("测试员乙")},
    ],
)
def test_other_content_of_the_same_row_supersedes_it(changes: dict[str, Any]) -> None:
    store = FakeStore()
    upload(store, row())
    result = upload(store, row(**changes))
    assert (result.new, result.changed) == (0, 1)
    first, second = store.facts
    assert getattr(second, "supersedes", None) == first.fact_id
    assert store.current() == [second]
    assert store.due == [("learner-1", "roster")] * 2


def test_another_first_day_is_another_row() -> None:
    store = FakeStore()
    upload(store, row(end=date(2021, 2, 28)))
    assert upload(store, row(start=date(2021, 5, 1))).new == 1
    assert [start for _, start, _, _ in rows_of(store)] == [SINCE, date(2021, 5, 1)]


def test_people_whom_a_later_roster_leaves_out_stay_until_a_row_with_a_last_day() -> None:
    store = FakeStore()
    upload(store, row(1), row(2))
    upload(store, row(2, post="电工"))
    assert [(learner, end) for learner, _, end, _ in rows_of(store)] == [
        ("learner-1", None),
        ("learner-2", None),
    ]
    upload(store, row(1, end=date(2021, 3, 31)))
    assert rows_of(store)[0][2] == date(2021, 3, 31)


def test_an_enterprise_neither_sees_nor_changes_the_rows_of_another() -> None:
    store = FakeStore()
    upload(store, row(1), uscc=THEIRS)
    assert upload(store, row(1)) == enterprises.UploadResult(unchanged=False, rows=1, new=1)
    assert len(store.current()) == 2
    assert enterprises.roster_digest(OURS, [row()], digest) != enterprises.roster_digest(
        THEIRS, [row()], digest
    )


def test_two_identifiers_of_one_person_leave_one_row_standing() -> None:
    store = FakeStore()
    for serial in (1, 2):
        store.identifiers[row(serial).identifier] = LearnerId("merged")
    result = upload(store, row(1, post="a"), row(2, post="b"))
    assert (result.new, result.changed) == (1, 1)
    assert rows_of(store) == [("merged", SINCE, None, "b")]


stated_rows = st.lists(
    st.builds(
        row,
        st.integers(1, 3),
        st.sampled_from([SINCE, date(2021, 5, 1)]),
        post=st.sampled_from(["a", "b"]),
        end=st.sampled_from([None, date(2021, 12, 31)]),
    ),
    unique_by=lambda item: (item.identifier, item.start),
    min_size=1,
)


@given(stated_rows, stated_rows, st.randoms(use_true_random=False), st.integers(1, 3))
def test_slices_in_any_order_leave_the_same_rows_as_the_whole(
    before: list[RosterRow], rows: list[RosterRow], random: Random, size: int
) -> None:
    whole, sliced = FakeStore(), FakeStore()
    for store in (whole, sliced):
        store.learners({row(serial).identifier for serial in (1, 2, 3)}, AT)
        upload(store, *before)
    upload(whole, *rows)
    shuffled = sorted(rows, key=lambda _: random.random())
    for position in range(0, len(rows), size):
        part = shuffled[position : position + size]
        enterprises.take_rows(sliced, OURS, part, "roster-2", at=AT, new_id=sliced.new_id)
    assert rows_of(sliced) == rows_of(whole)
    again = enterprises.take_rows(sliced, OURS, rows, "roster-3", at=AT, new_id=sliced.new_id)
    assert (again.new, again.changed) == (0, 0)


# --- declarations and admissions


def test_a_declaration_makes_everybody_on_the_roster_due_and_stands_once() -> None:
    store = FakeStore()
    upload(store, row(1), row(2))
    upload(store, row(3), uscc=THEIRS)
    store.due.clear()
    assert declare(store, SINCE, date(2021, 12, 31))
    assert store.due == [("learner-1", "scope"), ("learner-2", "scope")]
    fact = store.facts[-1]
    source = Source("declaration", "client-1")
    assert fact == ScopeFact(fact.fact_id, OURS, SINCE, date(2021, 12, 31), AT, source)
    assert not declare(store, SINCE, date(2021, 12, 31))
    assert (store.facts[-1], len(store.due)) == (fact, 2)
    assert declare(store, SINCE, None)


def test_an_admission_makes_everybody_on_the_roster_due_and_stands_once() -> None:
    store = FakeStore()
    upload(store, row(1))
    store.due.clear()
    assert admit(store)
    assert store.due == [("learner-1", "admission")]
    fact = store.facts[-1]
    source = Source("operator", "operator-1")
    assert fact == AdmissionFact(fact.fact_id, OURS, "企业", "昌吉市", SINCE, None, AT, source)
    assert not admit(store)
    assert (store.facts[-1], len(store.due)) == (fact, 1)
    assert admit(store, end=date(2021, 12, 31))


@pytest.mark.parametrize(
    ("name", "office", "end", "pointer"),
    [
        (" ", "昌吉市", None, "/name"),
        ("企" * 201, "昌吉市", None, "/name"),
        ("企业", "", None, "/office"),
        ("企业", "所" * 33, None, "/office"),
        ("企业", "昌吉市", date(2020, 12, 31), "/to"),
    ],
)
def test_an_admission_that_says_nothing_sensible_is_refused(
    name: str, office: str, end: date | None, pointer: str
) -> None:
    store = FakeStore()
    with pytest.raises(RequestRejected) as caught:
        enterprises.admit(store, OURS, name, office, SINCE, end, at=AT, new_id=store.new_id, operator="o")
    assert (caught.value.code, caught.value.pointer) == (Code.SCHEMA_INVALID, pointer)
    assert store.facts == []


def test_a_declaration_ends_after_it_begins() -> None:
    with pytest.raises(RequestRejected):
        declare(FakeStore(), SINCE, SINCE - timedelta(days=1))


# --- asking: the setting


def complete(
    store: FakeStore,
    serial: int = 1,
    *,
    on: date = date(2021, 3, 15),
    name: str = "测试员甲",
    **changes: Any,
) -> CompletionFact:
    """Record a completion; its number is its fact's id."""
    identifier = row(serial).identifier
    fact_id = FactId(store.new_id())
    moment = datetime(on.year, on.month, on.day, 4, tzinfo=UTC)
    fact = CompletionFact(
        fact_id=fact_id,
        learner_id=store.learners({identifier}, AT)[identifier],
        platform=P1,
        issuer="issuer",
        number_scope="all",
        number=fact_id,
        revision=1,
        completed_at=moment,
        issued_at=moment,
        document=DocumentKind.COURSE_PROOF,
        course_code="K1",
        course_title="安全生产",
        organisation="培训机构",
        key_id="k1",
        content_digest=b"",
        holder=person_name(name),
        recorded_at=AT,
        source=SOURCE,
    )
    fact = replace(fact, **changes)
    store.add_facts([fact])
    return fact


def decide(store: FakeStore, at: datetime = AT) -> None:
    pipeline.decide(store, set(store.identifiers.values()), RULEBOOK, at, store.new_id)


def revoke(store: FakeStore, fact: CompletionFact) -> None:
    store.add_facts(
        [RevocationFact(FactId(store.new_id()), P1, fact.issuer, "all", fact.number, "秘密", AT, SOURCE)]
    )


def ask(
    store: FakeStore, *people: IdentityClaims, uscc: Uscc = OURS, at: datetime = AT, first: int = 0
) -> StatusAnswer:
    return enterprises.status(
        store,
        uscc,
        people or (person(),),
        at=at,
        policy=POLICY,
        register=RULEBOOK.register,
        client_id="client-1",
        first=first,
    )


def person(serial: int = 1, name: str = "") -> IdentityClaims:
    return IdentityClaims("resident_id", number(serial), name)


def told(store: FakeStore, uscc: Uscc = OURS) -> PersonStanding:
    return ask(store, uscc=uscc).people[0]


def answers(standing: PersonStanding, position: int = 0) -> dict[str, str]:
    """The clauses that are not met."""
    reasons = standing.completions[position].reasons
    assert len(reasons) == len(POLICY.clauses)
    return {reason.clause: reason.answer for reason in reasons if reason.answer != "met"}


def listed(*rows: RosterRow) -> FakeStore:
    """A store where our enterprise is admitted and has these rows."""
    store = FakeStore()
    admit(store)
    admit(store, THEIRS)
    upload(store, *rows or (row(),))
    return store


# --- asking: what is told


def test_a_grant_is_told_to_its_employer_with_month_and_reasons() -> None:
    store = listed()
    complete(store)
    decide(store, AT - timedelta(hours=1))
    standing = told(store)
    (one,) = standing.completions
    assert (standing.state, standing.mend, one.state) == (Standing.GRANTED_HERE, (), Standing.GRANTED_HERE)
    assert (one.platform, one.platform_name, one.course_title) == ("p1", "培训平台一", "安全生产")
    assert (one.completed_on, one.received_at) == (date(2021, 3, 15), AT)
    assert (one.month, one.decided_at) == (date(2021, 3, 1), AT - timedelta(hours=1))
    assert [reason.clause for reason in one.reasons] == [clause.id for clause in POLICY.clauses]
    assert answers(standing) == {}


def test_nothing_received_says_so_and_who_can_mend_it() -> None:
    standing = told(listed())
    assert (standing.state, standing.completions) == (Standing.NOT_RECEIVED, ())
    assert [mend.party for mend in standing.mend] == [Party.PLATFORM]


def test_what_is_missing_is_told_with_who_can_supply_it() -> None:
    store = listed(row(category=None))
    complete(store)
    decide(store)
    standing = told(store)
    assert (standing.state, answers(standing)) == (Standing.PENDING, {"category-in-scope": "unknown"})
    reason = standing.completions[0].reasons[7]
    assert (reason.missing, reason.party) == ("category", Party.ENTERPRISE)
    assert [(mend.party, mend.what) for mend in standing.mend] == [(Party.ENTERPRISE, "人员类别")]


def test_a_refusal_is_told_with_its_reason() -> None:
    store = listed()
    revoke(store, complete(store))
    decide(store)
    standing = told(store)
    assert (standing.state, answers(standing)) == (Standing.REFUSED, {"course-proof": "not_met"})
    assert (standing.mend, standing.completions[0].month) == ((), None)


def test_what_could_not_change_a_refusal_is_not_asked_for() -> None:
    store = listed(
        row(category=None, end=date(2021, 4, 30)), row(start=date(2021, 5, 1), category=Category.TECHNICAL)
    )
    revoke(store, complete(store))
    complete(store, on=date(2021, 5, 2))
    standing = told(store)
    assert [one.state for one in standing.completions] == [Standing.REFUSED, Standing.PENDING]
    assert "category-in-scope" in answers(standing, 0)
    assert [(mend.party, mend.what) for mend in standing.mend] == [(Party.ENTERPRISE, "扩大范围的声明")]


def test_before_the_decision_is_recorded_nothing_is_called_granted() -> None:
    store = listed()
    complete(store)
    standing = told(store)
    assert (standing.state, answers(standing), standing.mend) == (Standing.PENDING, {}, ())
    assert standing.completions[0].decided_at is None


def test_an_older_decision_does_not_hide_a_row_that_came_since() -> None:
    store = FakeStore()
    admit(store)
    complete(store)
    decide(store)
    upload(store, row())
    standing = told(store)
    assert (standing.state, answers(standing)) == (Standing.PENDING, {})
    decide(store)
    assert told(store).state is Standing.GRANTED_HERE


def test_a_completion_outside_every_roster_is_told_without_its_course() -> None:
    store = listed(row(start=date(2021, 4, 1)))
    complete(store)
    for decided_at in (None, AT):
        standing = told(store)
        (one,) = standing.completions
        assert (standing.state, one.course_title, one.completed_on) == (
            Standing.PENDING, None, date(2021, 3, 15),
        )  # fmt: skip
        assert one.decided_at == decided_at
        assert answers(standing)["employed-by-claimant"] == "unknown"
        assert {mend.party for mend in standing.mend} == {Party.ENTERPRISE}
        decide(store)


def test_a_completion_that_only_another_roster_covers_is_not_told() -> None:
    store = listed(row(start=date(2021, 4, 1)))
    upload(store, row(), uscc=THEIRS)
    complete(store)
    decide(store)
    assert told(store, THEIRS).state is Standing.GRANTED_HERE
    assert told(store) == told(listed())


def test_a_month_that_another_employer_holds_is_only_said_to_be_taken() -> None:
    store = FakeStore()
    admit(store)
    admit(store, THEIRS)
    upload(store, row(end=date(2021, 4, 30)), uscc=THEIRS)
    upload(store, row(start=date(2021, 5, 1)))
    complete(store)
    complete(store, on=date(2021, 5, 2), course_title="消防")
    decide(store)
    standing = told(store)
    assert (standing.state, standing.mend) == (Standing.MONTH_TAKEN, ())
    assert [one.course_title for one in standing.completions] == ["消防"]
    assert answers(standing) == {"one-month": "not_met"}
    text = json.dumps(said(ask(store)), ensure_ascii=False)
    assert THEIRS not in text
    assert "2021-03" not in text


def test_a_second_roster_after_a_grant_is_told_that_the_month_is_taken() -> None:
    store = FakeStore()
    admit(store)
    admit(store, THEIRS)
    upload(store, row(), uscc=THEIRS)
    complete(store)
    decide(store)
    upload(store, row())
    decide(store)
    standing = told(store)
    assert standing.state is Standing.MONTH_TAKEN
    assert answers(standing) == {"employed-by-claimant": "unknown", "one-month": "not_met"}


def test_ones_own_fault_is_told_before_a_taken_month() -> None:
    store = FakeStore()
    admit(store)
    admit(store, THEIRS)
    upload(store, row(end=date(2021, 4, 30)), uscc=THEIRS)
    upload(store, row(start=date(2021, 5, 1)))
    complete(store)
    revoke(store, complete(store, on=date(2021, 5, 2)))
    decide(store)
    standing = told(store)
    assert standing.state is Standing.REFUSED
    assert answers(standing) == {"course-proof": "not_met", "one-month": "not_met"}


def test_a_month_not_given_back_yet_keeps_waiting() -> None:
    store = listed()
    fact = complete(store)
    slot = (fact.learner_id, POLICY.entitlement)
    store.holdings[slot] = Holding("issuer", "all", "another", THEIRS, blocked=True)
    standing = told(store)
    assert (standing.state, answers(standing)) == (Standing.PENDING, {"one-month": "unknown"})
    assert standing.mend[0].party is Party.CLIENT


def test_of_several_completions_the_foremost_speaks_for_the_person() -> None:
    store = listed(row(category=None, end=date(2021, 4, 30)), row(start=date(2021, 5, 1)))
    complete(store, on=date(2021, 4, 1))
    complete(store, on=date(2021, 5, 2))
    revoke(store, complete(store, on=date(2021, 5, 3)))
    complete(store, on=date(2021, 5, 4))
    decide(store)
    standing = told(store)
    assert standing.state is Standing.GRANTED_HERE
    assert standing.mend == ()
    assert [one.state for one in standing.completions] == [
        Standing.MONTH_TAKEN, Standing.GRANTED_HERE, Standing.REFUSED, Standing.MONTH_TAKEN,
    ]  # fmt: skip


def test_of_several_rows_of_ones_own_the_best_one_counts() -> None:
    store = listed(row(category=None), row(start=date(2021, 2, 1)))
    complete(store)
    assert answers(told(store)) == {}


def test_a_platform_that_the_register_does_not_list_is_told_by_its_slug() -> None:
    store = listed()
    complete(store, platform=PlatformSlug("unlisted"))
    standing = told(store)
    assert standing.completions[0].platform_name == "unlisted"
    assert answers(standing) == {"platform-recognised": "unknown"}


categories = st.sampled_from([Category.AT_POST, Category.TECHNICAL, None])
days = st.sampled_from([date(2021, 1, 1), date(2021, 3, 15), date(2021, 3, 16)])
names = st.sampled_from(["测试员甲", "路人"])


@given(
    own=st.builds(row, start=days, category=categories, name=names.map(person_name)),
    other=st.none() | st.builds(row, start=days),
    other_first=st.booleans(),
    admitted=st.booleans(),
    widened=st.booleans(),
    withdrawn=st.booleans(),
    chosen=st.sampled_from([None, OURS, THEIRS, Uscc("gone")]),
    same_person=st.sampled_from([None, True, False]),
    seen=st.booleans(),
    second=st.booleans(),
)
def test_the_clauses_answer_an_enterprise_as_they_answer_a_decision_about_it(
    *,
    own: RosterRow,
    other: RosterRow | None,
    other_first: bool,
    admitted: bool,
    widened: bool,
    withdrawn: bool,
    chosen: Uscc | None,
    same_person: bool | None,
    seen: bool,
    second: bool,
) -> None:
    store = FakeStore()
    admit(store, start=SINCE if admitted else date(2021, 6, 1))
    admit(store, THEIRS)
    facts = [complete(store), *([complete(store, on=date(2021, 3, 20))] if second else [])]
    if other is not None:
        upload(store, other, uscc=THEIRS)
    if other_first:
        decide(store)
    upload(store, own)
    if widened:
        declare(store)
    if withdrawn:
        revoke(store, facts[0])
    who, about = facts[0].learner_id, facts[0].fact_id
    for early, uscc in ((True, THEIRS), (False, chosen)):
        if uscc is not None and chosen is not None:
            said = AT - timedelta(days=1) if early else AT
            choice = EmployerChoiceFact(FactId(store.new_id()), who, about, uscc, "经核实", said, SOURCE)
            store.add_facts([choice])
    if same_person is not None:
        said = AT if seen else AT - timedelta(days=1)
        decision = NameDecisionFact(FactId(store.new_id()), who, about, same_person, "经核实", said, SOURCE)
        store.add_facts([decision])
    decide(store)
    recorded = told(store)
    store.decisions.clear()
    asked = told(store)
    for before, now in zip(recorded.completions, asked.completions, strict=True):
        assert now.reasons == before.reasons
        fits = Standing.PENDING if before.state is Standing.GRANTED_HERE else before.state
        assert (now.state, now.decided_at) == (fits, None)


# --- asking: who is not told


def test_who_is_not_on_the_roster_looks_like_who_was_never_heard_of() -> None:
    store = listed(row(1))
    upload(store, row(2), uscc=THEIRS)
    complete(store, 2)
    complete(store, 3)
    decide(store)
    known = set(store.identifiers.values())
    answer = ask(store, *(person(serial) for serial in (2, 3, 4)))
    assert answer.people == (PersonStanding(Standing.NOT_LISTED),) * 3
    assert store.disclosures == []
    assert set(store.identifiers.values()) == known


def test_until_it_is_admitted_an_enterprise_is_told_nothing_about_people() -> None:
    store = FakeStore()
    upload(store, row())
    complete(store)
    admit(store, start=date(2021, 7, 2))
    answer = ask(store, person(1), person(2))
    assert (answer.admitted, answer.people) == (False, (PersonStanding(Standing.NOT_LISTED),) * 2)
    assert store.disclosures == []
    # The day begins in Beijing.
    assert ask(store, at=datetime(2021, 7, 1, 16, tzinfo=UTC)).admitted


def test_an_admission_that_has_ended_still_lets_an_enterprise_ask() -> None:
    store = FakeStore()
    upload(store, row())
    admit(store, end=date(2021, 3, 31))
    complete(store)
    decide(store)
    assert told(store).state is Standing.GRANTED_HERE


@pytest.mark.parametrize(
    "claims",
    [
        IdentityClaims("resident_id", "1", ""),
        IdentityClaims("passport", number(1), ""),
        IdentityClaims("resident_id", number(1), "甲\x00"),
    ],
)
def test_claims_that_break_a_rule_are_told_so(claims: IdentityClaims) -> None:
    store = listed()
    standing = ask(store, claims).people[0]
    assert (standing.state, standing.completions) == (Standing.INVALID_ID, ())
    assert [mend.party for mend in standing.mend] == [Party.ENTERPRISE]
    assert store.disclosures == []


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("测试员甲", Standing.NOT_RECEIVED),
        ("测 试 员 甲", Standing.NOT_RECEIVED),
        ("路人", Standing.NOT_LISTED),
    ],
)
def test_a_name_unlike_the_roster_s_is_answered_as_nobody(name: str, state: Standing) -> None:
    store = listed()
    assert ask(store, person(1, name)).people[0].state is state
    assert len(store.disclosures) == (state is Standing.NOT_RECEIVED)


def test_everybody_who_was_answered_about_is_logged_once() -> None:
    store = listed(row(1), row(2), row(3))
    answer = ask(store, person(2), person(1), person(9), person(2))
    assert [one.state for one in answer.people] == [
        Standing.NOT_RECEIVED, Standing.NOT_RECEIVED, Standing.NOT_LISTED, Standing.NOT_RECEIVED,
    ]  # fmt: skip
    logged = {store.identifiers[row(serial).identifier] for serial in (1, 2)}
    assert sorted(store.disclosures) == sorted(
        (who, "client-1", "enterprise-status", "status") for who in logged
    )


# --- asking: the form of the answer


def test_the_answer_as_json_is_by_position_and_repeats_no_number_or_name() -> None:
    store = listed(row(1), row(2, category=None))
    complete(store, 1)
    complete(store, 2)
    decide(store)
    people: Sequence[IdentityClaims] = (person(1, "测试员甲"), person(2), person(5))
    shown = said(ask(store, *people, first=200))
    text = json.dumps(shown, ensure_ascii=False)
    assert shown["admitted"] is True
    assert (shown["as_of"], shown["policy"]) == ("2021-07-01T02:00:00Z", "online-training-month@3")
    granted, pending, absent = shown["people"]
    assert absent == {"position": 202, "state": "not_listed", "completions": [], "mend": []}
    assert (granted["position"], granted["state"]) == (200, "granted_here")
    reasons = granted["completions"][0].pop("reasons")
    assert granted["completions"] == [
        {
            "platform": "p1",
            "platform_name": "培训平台一",
            "course_title": "安全生产",
            "completed_on": "2021-03-15",
            "received_at": "2021-07-01T02:00:00Z",
            "state": "granted_here",
            "month": "2021-03",
            "decided_at": "2021-07-01T02:00:00Z",
        }
    ]
    assert reasons[0].keys() == {"clause", "title", "citation", "answer", "why"}
    assert pending["mend"] == [{"party": "enterprise", "what": "人员类别"}]
    assert pending["completions"][0]["reasons"][7] | {"title": "", "citation": ""} == {
        "clause": "category-in-scope",
        "title": "",
        "citation": "",
        "answer": "unknown",
        "why": "花名册未填写人员类别。",
        "missing": "category",
        "party": "enterprise",
    }
    assert "month" not in pending["completions"][0]
    for secret in (number(1), number(2), number(5), "测试员", "learner-", "秘密"):
        assert secret not in text


def test_the_guide_explains_every_word_of_an_answer() -> None:
    text = (Path(__file__).parents[2] / "docs/guides/enterprise.md").read_text("utf-8")
    chinese, _, english = text.partition("## In English")
    words = [*Standing, *Party, *MISSING, "met", "not_met", "unknown"]
    assert not [word for word in words if f"`{word}`" not in chinese]
    assert not [word for word in Standing if f"`{word}`" not in english]


# --- rows that are taken back


def test_a_withdrawn_row_counts_no_longer_and_its_person_is_judged_again() -> None:
    store = FakeStore()
    upload(store, row(1, post="操作工"))
    store.due.clear()
    result = upload(
        store, row(1, post="", name=person_name("测试员"), withdrawn=True), row(1, SINCE.replace(day=2))
    )
    assert result == enterprises.UploadResult(unchanged=False, rows=2, new=1, changed=0, withdrawn=1)
    assert store.due == [("learner-1", "roster")]
    first, taken_back, _ = [fact for fact in store.facts if isinstance(fact, EmploymentFact)]
    # It says what the row said, so that what was taken back can be shown.
    expected = replace(first, fact_id=taken_back.fact_id, supersedes=first.fact_id, withdrawn=True)
    assert replace(taken_back, source=first.source) == expected
    case = store.cases([first.learner_id], POLICY.entitlement, AT)[first.learner_id]
    assert [fact.start for fact in case.employments] == [SINCE.replace(day=2)]


def test_withdrawing_again_changes_nothing_and_listing_again_lists() -> None:
    store = FakeStore()
    upload(store, row(1))
    upload(store, row(1, withdrawn=True))
    again = upload(store, row(1, withdrawn=True, post="别的"))
    assert (again.new, again.changed, again.withdrawn) == (0, 0, 0)
    listed = upload(store, row(1))
    assert (listed.new, listed.changed, listed.withdrawn) == (0, 1, 0)
    assert [fact.withdrawn for fact in store.current() if isinstance(fact, EmploymentFact)] == [False]


def test_only_what_was_once_listed_can_be_withdrawn() -> None:
    store = FakeStore()
    upload(store, row(1), row(2))
    upload(store, row(2, withdrawn=True))
    upload(store, row(4), uscc=THEIRS)
    wanted = [
        row(1, row=1, withdrawn=True),
        row(1, SINCE.replace(day=2), row=2, withdrawn=True),
        row(2, row=3, withdrawn=True),
        row(3, row=4, withdrawn=True),
        row(4, row=5, withdrawn=True),
        row(3, row=6),
    ]
    before = dict(store.identifiers)
    assert enterprises.unfounded(store, OURS, wanted) == {2, 4, 5}
    assert store.identifiers == before  # nobody comes into being by being withdrawn
    nothing = upload(store, row(3, withdrawn=True))
    assert (nothing.new, nothing.withdrawn) == (0, 0)


def test_a_person_whose_rows_are_all_withdrawn_looks_like_nobody() -> None:
    store = FakeStore()
    admit(store)
    upload(store, row(1))
    upload(store, row(1, withdrawn=True))
    assert ask(store, person(1)) == ask(store, person(9))


def test_a_mark_is_stored_and_another_mark_is_other_content() -> None:
    store = FakeStore()
    upload(store, row(1))
    changed = upload(store, row(1, mark=EmploymentMark.RETIRED))
    assert (changed.new, changed.changed) == (0, 1)
    [fact] = [fact for fact in store.current() if isinstance(fact, EmploymentFact)]
    assert fact.mark is EmploymentMark.RETIRED


# --- admissions that end


def test_an_admission_with_the_same_first_day_supersedes_the_earlier_one() -> None:
    store = FakeStore()
    upload(store, row(1))
    assert admit(store)
    assert admit(store, start=date(2021, 5, 1))
    store.due.clear()
    assert admit(store, end=date(2021, 4, 30))
    assert store.due == [("learner-1", "admission")]
    assert not admit(store, end=date(2021, 4, 30))
    standing = sorted((fact.start, fact.end) for fact in store.admissions(OURS))
    assert standing == [(SINCE, date(2021, 4, 30)), (date(2021, 5, 1), None)]


def test_several_admissions_of_one_first_day_are_all_superseded() -> None:
    store = FakeStore()
    for office in ("652301", "652302"):
        fact_id = FactId(store.new_id())
        store.add_facts([AdmissionFact(fact_id, OURS, "企业", office, SINCE, None, AT, SOURCE)])
    assert admit(store, end=SINCE)
    assert {fact.end for fact in store.admissions(OURS)} == {SINCE}


# --- freshness


def test_who_waits_to_be_judged_again_is_said_to_be_evaluated() -> None:
    store = FakeStore()
    admit(store)
    upload(store, row(1), row(2))
    store.due = [(store.identifiers[resident_id(number(1), today=AT.date())], "roster")]
    answer = ask(store, *(person(serial) for serial in (1, 2, 3)))
    assert [one.evaluating for one in answer.people] == [True, False, False]
    shown = said(answer)["people"]
    assert [one.get("evaluating") for one in shown] == [True, None, None]

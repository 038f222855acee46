from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from verifier import eligibility
from verifier.candidates import CaseView
from verifier.eligibility import evaluate, explain, trace
from verifier.errors import Code, ConfigurationError, Party
from verifier.identity import person_name
from verifier.model.certificate import DocumentKind
from verifier.model.decision import (
    Candidate,
    Case,
    ClauseResult,
    Holding,
    Met,
    NotMet,
    State,
    Unknown,
    Verdict,
)
from verifier.model.delivery import PlatformSlug
from verifier.model.facts import (
    AdmissionFact,
    Category,
    CompletionFact,
    EmployerChoiceFact,
    EmploymentFact,
    FactId,
    NameDecisionFact,
    ScopeFact,
    Source,
)
from verifier.model.person import LearnerId, Uscc
from verifier.model.time import BEIJING, beijing_date
from verifier.model.trust import Recognition
from verifier.policy import ClauseFacts, Policy, load, rules
from verifier.policy.parameters import MOST_NAMES

RAW: Final = (
    Path(__file__).parents[2] / "verifier/policy/parameters/online-training-month.toml"
).read_bytes()
POLICY: Final = load(RAW)
PINS: Final = POLICY.pins(register="ab" * 32, normaliser="1")
NOW: Final = datetime(2022, 6, 1, tzinfo=UTC)
LEARNER: Final = LearnerId("p1")
SOURCE: Final = Source("test", "unit")
E1, E2, E3 = Uscc("E1"), Uscc("E2"), Uscc("E3")
P1, P2 = PlatformSlug("p1"), PlatformSlug("p2")
OPEN: Final = (Recognition(date(2021, 1, 1), None, "list"),)


def material(verdict: Verdict) -> bytes:
    """What of a verdict makes another revision."""
    return eligibility.material(trace(verdict))


def done(
    number: str = "C1",
    day: str = "2021-03-15",
    *,
    fact_id: str = "",
    platform: PlatformSlug = P1,
    document: DocumentKind = DocumentKind.COURSE_PROOF,
    issued: str = "",
    name: str = "测试员甲",
) -> CompletionFact:
    def at(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(hour=10, tzinfo=BEIJING).astimezone(UTC)

    return CompletionFact(
        fact_id=FactId(fact_id or number),
        learner_id=LEARNER,
        platform=platform,
        issuer="issuer",
        number_scope="all",
        number=number,
        revision=1,
        completed_at=at(day),
        issued_at=at(issued or day),
        document=document,
        course_code="K1",
        course_title="安全生产",
        organisation="机构",
        key_id="k1",
        content_digest=b"digest",
        holder=person_name(name),
        recorded_at=NOW,
        source=SOURCE,
    )


def employed(
    uscc: Uscc = E1,
    start: date = date(2021, 1, 1),
    *,
    end: date | None = None,
    category: Category | None = Category.AT_POST,
    fact_id: str = "",
    name: str = "测试员甲",
) -> EmploymentFact:
    return EmploymentFact(
        fact_id=FactId(fact_id or f"row-{uscc}-{start}"),
        learner_id=LEARNER,
        uscc=uscc,
        start=start,
        end=end,
        category=category,
        post="操作工",
        dispatched_by=None,
        name=person_name(name),
        recorded_at=NOW,
        source=SOURCE,
    )


def admitted(uscc: Uscc, office: str = "昌吉市", *, at: datetime = NOW, fact_id: str = "") -> AdmissionFact:
    key = FactId(fact_id or f"admission-{uscc}")
    return AdmissionFact(key, uscc, "企业", office, date(2021, 1, 1), None, at, SOURCE)


def widened(uscc: Uscc, start: date = date(2021, 1, 1)) -> ScopeFact:
    return ScopeFact(FactId(f"scope-{uscc}-{start}"), uscc, start, None, NOW, SOURCE)


def chosen(uscc: Uscc, completion: str = "C1", fact_id: str = "choice") -> EmployerChoiceFact:
    return EmployerChoiceFact(FactId(fact_id), LEARNER, FactId(completion), uscc, "已核实", NOW, SOURCE)


def same(completion: str = "C1", *, answer: bool = True, fact_id: str = "name") -> NameDecisionFact:
    return NameDecisionFact(FactId(fact_id), LEARNER, FactId(completion), answer, "已核实", NOW, SOURCE)


CASE: Final = Case(
    learner_id=LEARNER,
    as_of=NOW,
    completions=(done(),),
    revoked={},
    employments=(employed(),),
    admissions=(admitted(E1), admitted(E2), admitted(E3)),
    scopes=(),
    employer_choices=(),
    name_decisions=(),
    recognised={P1: OPEN},
)
HELD: Final = Holding("issuer", "all", "C1", E1)


def judge(case: Case, policy: Policy = POLICY) -> Verdict:
    return evaluate(case, policy, policy.pins(register="ab" * 32, normaliser="1"))


def answers(verdict: Verdict) -> dict[str, ClauseResult]:
    return {result.clause: result for result in verdict.clauses}


def changed(old: str, new: str) -> Policy:
    assert old in RAW.decode()
    return load(RAW.decode().replace(old, new, 1).encode())


# The written order and the holder


def test_a_granted_case_is_stated_in_full() -> None:
    verdict = judge(CASE)
    assert verdict == Verdict(
        state=State.GRANTED,
        entitlement=POLICY.entitlement,
        learner_id=LEARNER,
        as_of=NOW,
        candidate=Candidate(FactId("C1"), FactId("row-E1-2021-01-01"), E1),
        holding=None,
        clauses=verdict.clauses,
        month=date(2021, 3, 1),
        office="昌吉市",
        dispatched_by=None,
        waiting=(),
        not_evaluated=POLICY.not_evaluated_at(date(2021, 3, 15)),
        facts=tuple(map(FactId, ["C1", "admission-E1", "admission-E2", "admission-E3", "row-E1-2021-01-01"])),
        pins=PINS,
    )
    assert [(r.clause, r.revision, r.title, r.citation) for r in verdict.clauses] == [
        (c.id, c.revision, c.title, c.citation) for c in POLICY.clauses
    ]
    assert answers(verdict)["employed-by-claimant"].facts == ("C1", "admission-E1", "row-E1-2021-01-01")
    assert answers(verdict)["within-period"].facts == ("C1",)


@pytest.mark.parametrize(
    ("moment", "state", "month"),
    [
        ("2021-12-31T23:59:59+08:00", State.GRANTED, date(2021, 12, 1)),
        ("2021-12-31T23:59:59.999999+08:00", State.GRANTED, date(2021, 12, 1)),
        ("2022-01-01T00:00:00+08:00", State.REFUSED, None),
        ("2021-01-31T23:59:59+08:00", State.REFUSED, None),
        ("2021-02-01T00:00:00+08:00", State.GRANTED, date(2021, 2, 1)),
    ],
)
def test_the_period_ends_with_the_last_second_of_its_last_day_in_beijing(
    moment: str, state: State, month: date | None
) -> None:
    completion = replace(done(), completed_at=datetime.fromisoformat(moment).astimezone(UTC))
    verdict = judge(replace(CASE, completions=(completion,)))
    assert (verdict.state, verdict.month) == (state, month)


def test_a_correction_keeps_the_month_under_its_number() -> None:
    corrected = (done("C1", "2021-06-01", fact_id="C1-corrected"), done("C0", "2021-03-01"))
    verdict = judge(replace(CASE, completions=corrected, holding=HELD))
    assert verdict.candidate is not None
    assert verdict.candidate.completion == "C1-corrected"
    assert [waiting.completion for waiting in verdict.waiting] == ["C0"]


def test_equal_moments_are_told_apart_by_number_and_not_by_the_random_ids_of_facts() -> None:
    two = (done("C1", fact_id="z"), done("C2", fact_id="a"))
    verdict = judge(replace(CASE, completions=two))
    assert verdict.candidate is not None
    assert verdict.candidate.completion == "z"
    assert [waiting.completion for waiting in verdict.waiting] == ["a"]


def test_a_completion_with_two_good_rows_waits_only_once() -> None:
    rows = (employed(), employed(start=date(2021, 2, 1)))
    verdict = judge(replace(CASE, completions=(done(), done("C2", "2021-04-01")), employments=rows))
    assert [waiting.completion for waiting in verdict.waiting] == ["C2"]


def test_no_completion_at_all_is_refused_without_candidate_or_crash() -> None:
    verdict = judge(replace(CASE, completions=(), holding=HELD))
    assert (verdict.state, verdict.candidate, verdict.clauses) == (State.REFUSED, None, ())
    assert (verdict.month, verdict.office, verdict.holding) == (None, "", HELD)
    assert "✗ 没有可供判断的结业记录。" in explain(trace(verdict))
    assert len(material(verdict)) == 32


def test_whoever_was_merged_is_refused_under_the_old_id_and_told_where_the_person_is_judged() -> None:
    case = replace(CASE, completions=(), employments=(), holding=HELD, merged_into=LearnerId("p9"))
    said = trace(judge(case))
    assert (said["state"], said["merged_into"]) == ("refused", "p9")
    assert "✗ 本编号已并入学员 p9，在该编号下判断。" in explain(said)
    assert material(judge(case)) != material(judge(replace(case, merged_into=None)))


def test_counting_the_names_under_one_number_ends_at_its_bound() -> None:
    letters = [chr(0x4E00 + place) for place in range(60)]
    rows = tuple(
        employed(start=date(2021, 1, 1 + place % 28), name=f"{letters[place]}{letters[59 - place]}")
        for place in range(30)
    )
    case = replace(CASE, employments=rows)
    assert CaseView.of(case, POLICY.entitlement).names == MOST_NAMES == 20
    assert answers(judge(case))["same-person"].outcome.why.startswith("同一证件号码下出现多个互不相干的姓名")


def test_who_waits_is_told_that_the_month_is_taken_and_not_by_whom() -> None:
    waiting = candidates(replace(CASE, completions=(done("C2", "2021-04-01"),)))
    (judged,) = [eligibility._judge(facts, POLICY, HELD) for facts in waiting]
    outcome = judged.clauses[-1].outcome
    assert outcome == NotMet("该人员的1个月补贴资格已由另一结业记录占用。")
    assert judged.state is State.REFUSED


def test_the_office_is_the_one_of_the_newest_admission() -> None:
    admissions = (
        admitted(E1, "甲", at=NOW, fact_id="a2"),
        admitted(E1, "乙", at=NOW - timedelta(1), fact_id="a9"),
    )
    assert judge(replace(CASE, admissions=admissions)).office == "甲"


@pytest.mark.parametrize("wrong", [{"policy": "online-training-month@1"}, {"parameters": "00" * 32}])
def test_pins_of_another_policy_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        evaluate(CASE, POLICY, replace(PINS, **wrong))
    assert (caught.value.code, caught.value.pointer) == (Code.POLICY_INVALID, "pins")


# Parameters that are readings


def test_the_issue_date_counts_where_the_policy_says_so() -> None:
    policy = changed('"completion" #', '"issue" #')
    early = replace(CASE, completions=(done(day="2021-01-20", issued="2021-02-10"),))
    late = replace(CASE, completions=(done(day="2021-12-20", issued="2022-01-10"),))
    assert (judge(early).state, judge(early, policy).state) == (State.REFUSED, State.GRANTED)
    assert (judge(late).state, judge(late, policy).state) == (State.GRANTED, State.REFUSED)
    assert judge(early, policy).month == date(2021, 1, 1)


def test_any_platform_counts_where_the_policy_says_so() -> None:
    policy = changed("value = true", "value = false")
    case = replace(CASE, recognised={})
    assert (judge(case).state, judge(case, policy).state) == (State.PENDING, State.GRANTED)


def test_a_platform_with_no_interval_of_recognition_counts_as_unlisted() -> None:
    outcome = answers(judge(replace(CASE, recognised={P1: ()})))["platform-recognised"].outcome
    assert isinstance(outcome, Unknown)
    assert (outcome.missing, outcome.party) == ("recognition", Party.BUREAU)


def test_all_staff_count_where_the_policy_says_so() -> None:
    policy = changed('"named_groups"', '"all_staff"')
    case = replace(CASE, employments=(employed(category=None),))
    assert (judge(case).state, judge(case, policy).state) == (State.PENDING, State.GRANTED)
    nobody = answers(judge(replace(CASE, employments=()), policy))["category-in-scope"].outcome
    assert isinstance(nobody, Unknown)


# What is missing, and who is asked


@pytest.mark.parametrize(
    ("case", "clause", "missing", "party"),
    [
        (replace(CASE, employments=()), "employed-by-claimant", "roster", Party.ENTERPRISE),
        (replace(CASE, employments=()), "same-person", "roster", Party.ENTERPRISE),
        (replace(CASE, employments=()), "category-in-scope", "roster", Party.ENTERPRISE),
        (
            replace(CASE, employments=(employed(), employed(E2))),
            "employed-by-claimant",
            "employer_choice",
            Party.REVIEWER,
        ),
        (
            replace(CASE, employer_choices=(chosen(E2),)),
            "employed-by-claimant",
            "employer_choice",
            Party.REVIEWER,
        ),
        (replace(CASE, admissions=()), "employed-by-claimant", "admission", Party.BUREAU),
        (replace(CASE, employments=(employed(name="王乙"),)), "same-person", "name_review", Party.REVIEWER),
        (
            replace(CASE, employments=(employed(category=None),)),
            "category-in-scope",
            "category",
            Party.ENTERPRISE,
        ),
        (
            replace(CASE, employments=(employed(category=Category.TECHNICAL),)),
            "category-in-scope",
            "scope_declaration",
            Party.ENTERPRISE,
        ),
        (
            replace(CASE, employments=(employed(category=Category.DISPATCHED),), scopes=(widened(E1),)),
            "category-in-scope",
            "dispatching_company",
            Party.ENTERPRISE,
        ),
        (
            replace(CASE, completions=(done("C2"),), holding=replace(HELD, blocked=True)),
            "one-month",
            "month_returned",
            Party.CLIENT,
        ),
    ],
)
def test_an_unknown_says_what_is_missing_and_who_can_supply_it(
    case: Case, clause: str, missing: str, party: Party
) -> None:
    verdict = judge(case)
    outcome = answers(verdict)[clause].outcome
    assert verdict.state is State.PENDING
    assert isinstance(outcome, Unknown)
    assert (outcome.missing, outcome.party) == (missing, party)


def test_questions_name_the_facts_they_are_about() -> None:
    rows = (employed(name="王乙"), employed(E2))
    asked = judge(replace(CASE, employments=rows)).reviews
    assert [(need.kind, need.about) for need in asked] == [
        ("employer_choice", ("C1", "row-E1-2021-01-01", "row-E2-2021-01-01")),
        ("name_mismatch", ("C1", "row-E1-2021-01-01")),
    ]
    later = judge(replace(CASE, employments=(employed(), employed(E2)), holding=HELD)).reviews
    assert [(need.kind, need.about) for need in later] == [
        ("second_roster", ("C1", "row-E1-2021-01-01", "row-E2-2021-01-01")),
    ]


def test_nothing_is_asked_about_a_completion_whose_answer_changes_nothing_now() -> None:
    """C2 has two employers, but C1 is granted: neither before nor after the grant is anybody asked."""
    two = (done(), done("C2", "2021-05-01"))
    rows = (employed(), employed(E2, date(2021, 4, 1)))
    case = replace(CASE, completions=two, employments=rows)
    assert judge(case).reviews == judge(replace(case, holding=HELD)).reviews == ()


def test_a_reviewers_word_holds_for_the_fact_it_names_and_not_for_a_corrected_one() -> None:
    corrected = (done(fact_id="C1-corrected", name="李丙"),)
    case = replace(CASE, completions=corrected, name_decisions=(same("C1"),))
    assert judge(case).state is State.PENDING
    assert judge(replace(case, name_decisions=(same("C1-corrected"),))).state is State.GRANTED


# What is kept and shown


def test_a_grant_reads_the_same_before_and_after_it_is_held() -> None:
    first = judge(CASE)
    again = judge(replace(CASE, holding=HELD, as_of=NOW + timedelta(days=9)))
    assert first.clauses == again.clauses
    assert material(first) == material(again)


def test_a_second_roster_another_wait_or_another_register_changes_nothing_material() -> None:
    held = replace(CASE, holding=HELD)
    more = replace(
        held,
        completions=(*CASE.completions, done("C2", "2021-05-01")),
        employments=(*CASE.employments, employed(E2)),
    )
    assert material(judge(held)) == material(judge(more))
    assert judge(more).reviews
    other = evaluate(held, POLICY, replace(PINS, register="cd" * 32, normaliser="2"))
    assert material(other) == material(judge(held))


def test_whatever_a_decision_says_is_material() -> None:
    verdict = judge(CASE)
    (first, *rest) = verdict.clauses
    others = [
        replace(verdict, state=State.REFUSED),
        replace(verdict, candidate=None),
        replace(verdict, month=date(2021, 4, 1)),
        replace(verdict, month=None),
        replace(verdict, office="别处"),
        replace(verdict, dispatched_by=E2),
        replace(verdict, clauses=(replace(first, outcome=NotMet("否")), *rest)),
        replace(verdict, clauses=(replace(first, outcome=Met("另述")), *rest)),
        replace(verdict, clauses=(replace(first, revision=1), *rest)),
        replace(verdict, clauses=tuple(rest)),
        replace(verdict, pins=replace(PINS, policy="online-training-month@1")),
        replace(verdict, pins=replace(PINS, parameters="00" * 32)),
    ]
    assert len({material(one) for one in (verdict, *others)}) == len(others) + 1


def test_a_trace_is_canonical_json_without_personal_data() -> None:
    case = replace(
        CASE,
        completions=(done("999901199003070020", fact_id="C1"), done("C2", "2021-05-01")),
        employments=(employed(category=Category.TECHNICAL), employed(E2)),
        revoked={FactId("C2"): FactId("R2")},
        holding=Holding("issuer", "all", "999901199003070020", E3, blocked=True),
    )
    for one in (CASE, case, replace(CASE, completions=(done(), done("C2")), holding=HELD)):
        said = trace(judge(one))
        text = rfc8785.dumps(said).decode()
        assert json.loads(text) == said
        assert "测试员甲" not in text
        assert "999901199003070020" not in text


def test_a_trace_states_every_member_of_its_verdict() -> None:
    rows = (employed(), employed(E2))
    verdict = judge(
        replace(CASE, completions=(done(), done("C2", "2021-02-02")), holding=HELD, employments=rows[:1])
    )
    said = trace(verdict)
    assert said["state"] == "granted"
    assert said["as_of"] == "2022-06-01T00:00:00Z"
    assert said["candidate"] == {"completion": "C1", "employment": "row-E1-2021-01-01", "uscc": "E1"}
    assert said["waiting"] == [{"completion": "C2", "employment": "row-E1-2021-01-01", "uscc": "E1"}]
    assert said["holding"] == {"uscc": "E1", "blocked": False}
    assert said["month"] == "2021-03-01"
    assert said["pins"]["register"] == "ab" * 32
    assert said["clauses"][-1]["outcome"] == {
        "answer": "met",
        "why": "该人员的1个月补贴资格未被其他结业记录占用。",
    }
    # Said only where it applies: whose case it is instead, and what others an exclusive policy stands on.
    assert said.keys() == set(Verdict.__slots__) - {"merged_into", "others"}
    pending = trace(judge(replace(CASE, employments=rows)))
    assert pending["reviews"] == [
        {"kind": "employer_choice", "about": ["C1", "row-E1-2021-01-01", "row-E2-2021-01-01"]}
    ]


def test_a_reader_learns_clause_by_clause_what_is_missing_and_from_whom() -> None:
    case = replace(CASE, employments=(), completions=(done(document=DocumentKind.SKILL_LEVEL),))
    lines = explain(json.loads(rfc8785.dumps(trace(judge(case)))))
    assert lines[0] == "结论：不予（政策 online-training-month@3）"
    assert any(line.startswith("✗ 证明种类为课程培训合格证明：提交的是职业技能等级证书") for line in lines)
    assert any(line.startswith("✓ 取得相应课程培训合格证明") for line in lines)
    assert "？ 结业之日为申领企业职工：没有企业花名册覆盖结业日期（2021-03-15）。" in lines
    assert lines.count("    缺：覆盖结业日期的花名册；由企业补充") == 3
    assert sum("依据：" in line for line in lines) == len(POLICY.clauses)
    assert "－ 未评估：当地现行标准（未配置）" in lines
    granted = explain(trace(judge(CASE)))
    assert granted[0] == "结论：给予（政策 online-training-month@3；补贴月份：2021-03）"


# For all cases

DAYS: Final = ["2021-01-20", "2021-03-15", "2021-03-16", "2021-06-01", "2022-01-05"]
STARTS: Final = [date(2021, 1, 1), date(2021, 3, 16), date(2021, 5, 1)]
ENDS: Final = [None, date(2021, 3, 15), date(2021, 7, 1)]
NAMES: Final = ["测试员甲", "王乙"]
KINDS: Final = [DocumentKind.COURSE_PROOF, DocumentKind.COURSE_PROOF, DocumentKind.OTHER]
CATEGORIES: Final = [Category.AT_POST, Category.TECHNICAL, None]
NUMBERS: Final = ["C1", "C2", "C3"]
USCCS: Final = [E1, E2, E3]

COMPLETIONS = st.lists(
    st.builds(
        done,
        st.sampled_from(NUMBERS),
        st.sampled_from(DAYS),
        platform=st.sampled_from([P1, P2]),
        document=st.sampled_from(KINDS),
        name=st.sampled_from(NAMES),
    ),
    max_size=3,
    unique_by=lambda fact: fact.number,
)
ROWS = st.builds(
    employed,
    st.sampled_from(USCCS),
    st.sampled_from(STARTS),
    end=st.sampled_from(ENDS),
    category=st.sampled_from(CATEGORIES),
    name=st.sampled_from(NAMES),
    fact_id=st.uuids().map(str),
)
CASES = st.builds(
    Case,
    learner_id=st.just(LEARNER),
    as_of=st.just(NOW),
    completions=COMPLETIONS.map(tuple),
    revoked=st.dictionaries(st.sampled_from(NUMBERS).map(FactId), st.just(FactId("R1")), max_size=1),
    employments=st.lists(ROWS, max_size=4).map(tuple),
    admissions=st.lists(st.sampled_from([admitted(uscc) for uscc in USCCS]), unique=True).map(tuple),
    scopes=st.lists(st.sampled_from([widened(uscc) for uscc in USCCS]), unique=True).map(tuple),
    employer_choices=st.lists(st.builds(chosen, st.sampled_from(USCCS)), max_size=1).map(tuple),
    name_decisions=st.lists(st.builds(same, answer=st.booleans()), max_size=1).map(tuple),
    recognised=st.sampled_from([{P1: OPEN}, {P1: OPEN, P2: OPEN}, {}]),
    holding=st.none()
    | st.builds(
        Holding,
        st.just("issuer"),
        st.just("all"),
        st.sampled_from(NUMBERS),
        st.sampled_from(USCCS),
        st.booleans(),
    ),
)


@given(CASES, st.data())
def test_the_order_of_facts_never_changes_the_verdict(case: Case, data: st.DataObject) -> None:
    shuffled = replace(
        case,
        completions=tuple(data.draw(st.permutations(case.completions))),
        employments=tuple(data.draw(st.permutations(case.employments))),
        admissions=tuple(reversed(case.admissions)),
        scopes=tuple(reversed(case.scopes)),
    )
    assert judge(shuffled) == judge(case)


@given(CASES)
def test_a_verdict_combines_its_clauses_and_grants_only_when_all_are_met(case: Case) -> None:
    verdict = judge(case)
    kinds = {type(result.outcome) for result in verdict.clauses}
    expected = State.REFUSED if NotMet in kinds or not kinds else State.GRANTED
    if Unknown in kinds and NotMet not in kinds:
        expected = State.PENDING
    assert verdict.state is expected
    assert (verdict.month is not None) == (verdict.state is State.GRANTED)
    assert len(verdict.clauses) in {0, len(POLICY.clauses)}


@given(CASES)
def test_a_grant_that_takes_the_month_is_found_again_by_the_same_facts(case: Case) -> None:
    """Recording a grant and looking again changes nothing: the same candidate, the same words."""
    first = judge(replace(case, holding=None))
    if first.state is not State.GRANTED or first.candidate is None or first.candidate.uscc is None:
        return
    (number,) = [c.number for c in case.completions if c.fact_id == first.candidate.completion]
    again = judge(replace(case, holding=Holding("issuer", "all", number, first.candidate.uscc)))
    assert (again.candidate, again.waiting, material(again)) == (
        first.candidate,
        first.waiting,
        material(first),
    )


def candidates(case: Case) -> list[ClauseFacts]:
    return CaseView.of(case, POLICY.entitlement).candidates()


def outcomes(case: Case) -> dict[Candidate, tuple[ClauseResult, ...]]:
    found = [eligibility._judge(f, POLICY, case.holding) for f in candidates(case)]
    return {judged.candidate: judged.clauses for judged in found}


def contradicts(case: Case, row: EmploymentFact) -> bool:
    """A roster row contradicts a case when another enterprise's covers one of its completions too."""
    days = [beijing_date(completion.completed_at) for completion in case.completions]
    covered = [day for day in days if row.start <= day and (row.end is None or day <= row.end)]
    return any(
        other.uscc != row.uscc and other.start <= day and (other.end is None or day <= other.end)
        for day in covered
        for other in case.employments
    )


@given(CASES, st.data())
def test_adding_a_fact_that_contradicts_none_never_makes_a_met_clause_unknown(
    case: Case, data: st.DataObject
) -> None:
    """Clause by clause, for each candidate that was there before.

    What contradicts: a row of a second enterprise on a completion's day, a reviewer's word where one was
    given or that passes over the only enterprise listed, a correction, a revocation. Tried here is what does
    not: another completion, admission, scope, recognition, a row beside nobody else's, and a reviewer's
    first word on a completion for an enterprise that lists it.
    """
    more = replace(
        case,
        completions=(*case.completions, done("C9", data.draw(st.sampled_from(DAYS)))),
        admissions=(*case.admissions, admitted(data.draw(st.sampled_from(USCCS)), fact_id="more")),
        scopes=(*case.scopes, widened(data.draw(st.sampled_from(USCCS)), date(2021, 2, 1))),
        recognised={P2: OPEN, **case.recognised},
    )
    row = data.draw(ROWS)
    if not contradicts(more, row):
        more = replace(more, employments=(*more.employments, row))
    listed = [c.uscc for c in outcomes(more) if c.completion == "C2" and c.uscc is not None]
    if listed:
        word = chosen(data.draw(st.sampled_from(listed)), "C2", "choice-C2")
        more = replace(more, employer_choices=(*more.employer_choices, word))
    after = outcomes(more)
    for old, before in outcomes(case).items():
        successors = [new for new in after if new == old]
        if old.employment is None:
            successors = [new for new in after if new.completion == old.completion]
        assert successors
        for new in successors:
            for was, now in zip(before, after[new], strict=True):
                assert not (isinstance(was.outcome, Met) and isinstance(now.outcome, Unknown))


def test_the_first_revision_of_course_proof_still_answers_as_it_was_released() -> None:
    """Decisions pin it: they are replayed by it for as long as they are kept."""
    parameters = cast("Any", None)
    revoked = rules.course_proof(cast("Any", SimpleNamespace(revoked=True)), parameters)
    sound = rules.course_proof(cast("Any", SimpleNamespace(revoked=False, day="2021-03-05")), parameters)
    assert isinstance(revoked, NotMet)
    assert isinstance(sound, Met)

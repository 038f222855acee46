"""Runs the situations of ``*.yaml``: each a Chinese sentence, the facts, and the whole expected answer.

What a situation does not state is: one completion C1 on platform P1 at 2021-03-15 10:00 Beijing time, one
roster row of enterprise E1 from 2021-01-01 with 留岗, every enterprise admitted from 2021-01-01 at office
昌吉市, P1 recognised from 2021-01-01, no widening, no reviewer's word, and nobody holding the month. What is
not listed under 条款 must be 符合; 缺, 复核, 等候, 补贴月份 and 派遣单位 must be exactly as stated, and
absent when not stated.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from verifier.eligibility import evaluate, explain, trace
from verifier.identity import person_name
from verifier.model.certificate import DocumentKind, SkillLevel
from verifier.model.decision import Case, Entitlement, Holding, Met, NotMet, State, Unknown, Verdict
from verifier.model.delivery import PlatformSlug
from verifier.model.facts import (
    AdmissionFact,
    Category,
    CompletionFact,
    ContestFact,
    EmployerChoiceFact,
    EmploymentFact,
    FactId,
    HoldFact,
    NameDecisionFact,
    ObjectionFact,
    ObjectionKind,
    ObjectionState,
    ReleaseFact,
    ScopeFact,
    Source,
    Wish,
)
from verifier.model.person import LearnerId, Uscc
from verifier.model.trust import Recognition
from verifier.policy import Policy, load

HERE: Final = Path(__file__).parent
PARAMETERS: Final = HERE.parents[1] / "verifier/policy/parameters"
POLICY: Final = load((HERE.parents[1] / "verifier/policy/parameters/online-training-month.toml").read_bytes())
PINS: Final = POLICY.pins(register="0" * 64, normaliser="1")
LEARNER: Final = LearnerId("p1")
SOURCE: Final = Source("test", "situation")
STATES: Final = {"给予": State.GRANTED, "不予": State.REFUSED, "待定": State.PENDING}
ANSWERS: Final = {Met: "符合", NotMet: "不符合", Unknown: "未知"}
SINCE: Final = date(2021, 1, 1)
RECORDED: Final = "2022-03-01"

Table = dict[str, Any]


def situations_of(path: Path) -> list[Table]:
    """A file's, read by libyaml where that is there: every test process reads them all first."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: list[Table] = yaml.load(path.read_text("utf-8"), loader)  # noqa: S506 - safe, both of them
    return found


SITUATIONS: Final = [
    pytest.param(situation, id=f"{path.stem}: {situation['情形']}")
    for path in sorted(HERE.glob("*.yaml"))
    for situation in situations_of(path)
]
KEYS: Final = {
    "": {
        "情形",
        "结业",
        "花名册",
        "准入",
        "扩大范围",
        "认可",
        "选定企业",
        "姓名复核",
        "占用",
        "否认列名",
        "放弃",
        "暂缓",
        "异议",
        "期望",
        "其他占用",
        "互斥",
        "综合课程",
    },
    "结业": {"号", "时间", "发证", "平台", "种类", "姓名", "撤销", "失密", "弱身份", "并入", "等级", "课程"},
    "花名册": {"企业", "自", "至", "类别", "派遣单位", "姓名", "录入"},
    "准入": {"企业", "自", "至", "受理机构"},
    "扩大范围": {"企业", "自", "至"},
    "认可": {"平台", "自", "至"},
    "选定企业": {"结业", "企业", "录入"},
    "姓名复核": {"结业", "同一人", "录入"},
    "占用": {"结业", "企业", "未退回", "已申领"},
    "否认列名": {"企业", "属实"},
    "放弃": {"结业", "企业", "意愿", "撤回"},
    "暂缓": {"至", "解除"},
    "异议": {"事由", "提出", "状态"},
    "期望": {"结论", "选定", "条款", "缺", "复核", "等候", "补贴月份", "受理机构", "派遣单位"},
}


def rows(situation: Table, key: str, default: list[Table]) -> list[Table]:
    found: list[Table] = situation.get(key, default)
    for row in found:
        assert row.keys() <= KEYS[key], f"{key}: {row.keys() - KEYS[key]}"
    return found


def moment(text: object) -> datetime:
    return datetime.fromisoformat(str(text)).astimezone(UTC)


def recorded(row: Table) -> datetime:
    return moment(f"{row.get('录入', RECORDED)}T00:00:00+08:00")


def completion(row: Table) -> CompletionFact:
    at = moment(row.get("时间", "2021-03-15T10:00:00+08:00"))
    return CompletionFact(
        fact_id=FactId(row["号"]),
        learner_id=LearnerId("p2") if row.get("并入") else LEARNER,
        weak=row.get("弱身份", ""),
        platform=PlatformSlug(row.get("平台", "P1")),
        issuer="issuer",
        number_scope="all",
        number=row["号"],
        revision=1,
        completed_at=at,
        issued_at=moment(row["发证"]) if "发证" in row else at,
        document=DocumentKind(row.get("种类", "课程培训合格证明")),
        course_code=row.get("课程", "K1"),
        course_title="安全生产",
        organisation="培训机构",
        key_id="k1",
        content_digest=b"",
        holder=person_name(row.get("姓名", "测试员甲")),
        recorded_at=recorded({}),
        source=SOURCE,
        level=SkillLevel(row["等级"]) if "等级" in row else None,
    )


def employment(position: int, row: Table) -> EmploymentFact:
    category = row.get("类别", "留岗")
    return EmploymentFact(
        fact_id=FactId(f"{row['企业']}#{position}"),
        learner_id=LEARNER,
        uscc=Uscc(row["企业"]),
        start=row.get("自", SINCE),
        end=row.get("至"),
        category=Category(category) if category else None,
        post="操作工",
        dispatched_by=Uscc(row["派遣单位"]) if "派遣单位" in row else None,
        name=person_name(row.get("姓名", "测试员甲")),
        recorded_at=recorded(row),
        source=SOURCE,
    )


def acts(situation: Table) -> dict[str, Any]:
    """What people said: workers, employers, reviewers."""
    return {
        "contests": tuple(
            ContestFact(
                FactId(f"否认#{position}"), LEARNER, Uscc(row["企业"]), "非本单位职工", recorded({}), SOURCE,
                row.get("属实"),
            )
            for position, row in enumerate(rows(situation, "否认列名", []), 1)
        ),
        "releases": tuple(
            ReleaseFact(
                FactId(f"放弃#{position}"), LEARNER, POLICY.entitlement, "issuer", "all", row["结业"],
                Uscc(row["企业"]), Wish(row.get("意愿", "employer")), "自愿", recorded({}), SOURCE,
                withdrawn=row.get("撤回", False),
            )
            for position, row in enumerate(rows(situation, "放弃", []), 1)
        ),
        "holds": tuple(
            HoldFact(
                FactId(f"暂缓#{position}"), LEARNER, moment(f"{row['至']}T00:00:00+08:00"), "待查",
                recorded({}), SOURCE, lifted=row.get("解除", False),
            )
            for position, row in enumerate(rows(situation, "暂缓", []), 1)
        ),
        "objections": tuple(
            ObjectionFact(
                FactId(f"异议#{position}"), LEARNER, f"Y{position}", ObjectionKind.OBJECTION, row["事由"], "",
                row.get("提出", "worker"), "reviewer", None, ObjectionState(row.get("状态", "open")),
                "不是我", recorded({}), SOURCE,
            )
            for position, row in enumerate(rows(situation, "异议", []), 1)
        ),
    }  # fmt: skip


def build(situation: Table) -> Case:
    assert situation.keys() <= KEYS[""], situation.keys() - KEYS[""]
    done = rows(situation, "结业", [{"号": "C1"}])
    listed = rows(situation, "花名册", [{"企业": "E1"}])
    admitted = rows(situation, "准入", [{"企业": name} for name in sorted({row["企业"] for row in listed})])
    recognised: dict[PlatformSlug, tuple[Recognition, ...]] = {}
    for row in rows(situation, "认可", [{"平台": "P1"}]):
        slug = PlatformSlug(row["平台"])
        interval = Recognition(row.get("自", SINCE), row.get("至"), "名册")
        recognised[slug] = (*recognised.get(slug, ()), interval)
    holding = situation.get("占用")
    if holding:
        assert holding.keys() <= KEYS["占用"]
    return Case(
        learner_id=LEARNER,
        as_of=datetime(2022, 6, 1, tzinfo=UTC),
        completions=tuple(completion(row) for row in done),
        revoked={FactId(row["号"]): FactId(f"撤销-{row['号']}") for row in done if "撤销" in row},
        employments=tuple(employment(position, row) for position, row in enumerate(listed, 1)),
        admissions=tuple(
            AdmissionFact(
                FactId(f"准入#{position}"), Uscc(row["企业"]), "企业", row.get("受理机构", "昌吉市"),
                row.get("自", SINCE), row.get("至"), recorded({}), SOURCE,
            )
            for position, row in enumerate(admitted, 1)
        ),
        scopes=tuple(
            ScopeFact(
                FactId(f"范围#{position}"), Uscc(row["企业"]), row.get("自", SINCE), row.get("至"),
                recorded({}), SOURCE,
            )
            for position, row in enumerate(rows(situation, "扩大范围", []), 1)
        ),
        employer_choices=tuple(
            EmployerChoiceFact(
                FactId(f"选定#{position}"), LEARNER, FactId(row["结业"]), Uscc(row["企业"]), "经核实",
                recorded(row), SOURCE,
            )
            for position, row in enumerate(rows(situation, "选定企业", []), 1)
        ),
        name_decisions=tuple(
            NameDecisionFact(
                FactId(f"姓名#{position}"), LEARNER, FactId(row["结业"]), row["同一人"], "经核实",
                recorded(row), SOURCE,
            )
            for position, row in enumerate(rows(situation, "姓名复核", []), 1)
        ),
        recognised=recognised,
        holding=Holding(
            "issuer", "all", holding["结业"], Uscc(holding["企业"]), holding.get("未退回", False),
            holding.get("已申领", False),
        )
        if holding
        else None,
        **acts(situation),
        doubtful=frozenset(FactId(row["号"]) for row in done if row.get("失密")),
        others=frozenset(Entitlement(name) for name in situation.get("其他占用", [])),
    )  # fmt: skip


def answer(verdict: Verdict, stated: Table) -> Table:
    """The verdict in the words of the situations; what is optional appears only where it says something."""
    outcomes = {result.clause: result.outcome for result in verdict.clauses}
    candidate = verdict.candidate
    said: Table = {
        "结论": next(word for word, state in STATES.items() if state is verdict.state),
        "条款": {
            name: ANSWERS[type(outcome)] for name, outcome in outcomes.items() if not isinstance(outcome, Met)
        },
        "缺": sorted({outcome.missing for outcome in outcomes.values() if isinstance(outcome, Unknown)}),
        "复核": sorted({need.kind for need in verdict.reviews}),
        "等候": [waiting.completion for waiting in verdict.waiting],
        "补贴月份": verdict.month.strftime("%Y-%m") if verdict.month else None,
        "派遣单位": verdict.dispatched_by,
    }
    said = {key: value for key, value in said.items() if value}
    if "选定" in stated and candidate is not None:
        said["选定"] = [candidate.completion, candidate.uscc]
    if "受理机构" in stated:
        said["受理机构"] = verdict.office
    return said


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_situation_gets_exactly_the_stated_answer(situation: Table) -> None:
    stated = situation["期望"]
    assert stated.keys() <= KEYS["期望"]
    verdict = evaluate(build(situation), POLICY, PINS)
    assert answer(verdict, stated) == stated


@pytest.mark.parametrize("situation", SITUATIONS)
def test_no_text_of_a_situation_names_a_person_or_another_enterprise(situation: Table) -> None:
    verdict = evaluate(build(situation), POLICY, PINS)
    text = "\n".join(explain(trace(verdict)))
    names = {row.get("姓名", "测试员甲") for key in ("结业", "花名册") for row in situation.get(key, [{}])}
    others = {row["企业"] for row in situation.get("花名册", [])}
    reasons = {row["撤销"] for row in situation.get("结业", []) if "撤销" in row}
    assert not [word for word in names | others | reasons if word in text]


def test_every_clause_has_situations_for_every_answer_it_can_give() -> None:
    seen = {
        (result.clause, type(result.outcome))
        for param in SITUATIONS
        for result in evaluate(build(param.values[0]), POLICY, PINS).clauses  # type: ignore[arg-type]  # values are typed as object
    }
    never = {
        ("course-proof", Unknown),  # an unverified certificate is no fact
        ("proof-kind", Unknown),
        ("within-period", Unknown),
        ("category-in-scope", NotMet),  # a category can be filled in, a scope declared
        ("one-month", NotMet),  # said of those who wait; the verdict speaks of the holder
        ("person-identified", NotMet),  # whoever it is, may still be found
        ("not-released", Unknown),
        ("not-suspended", NotMet),  # a hold ends
        ("no-exclusion", NotMet),  # a switch, off here; the further policies have it on in their situations
        ("no-exclusion", Unknown),
    }
    wanted = {(clause.id, kind) for clause in POLICY.clauses for kind in (Met, NotMet, Unknown)}
    assert wanted - seen == never


def test_there_are_at_least_eighty_situations_and_no_name_twice() -> None:
    names = [str(param.id) for param in SITUATIONS]
    assert len(names) >= 80
    assert len(set(names)) == len(names)


# --- further policies: each directory is named like its parameter file


FURTHER: Final = [
    pytest.param(path.parent.name, situation, id=f"{path.parent.name}/{path.stem}: {situation['情形']}")
    for path in sorted(HERE.glob("*/*.yaml"))
    for situation in situations_of(path)
]


def further(name: str, situation: Table) -> Policy:
    """A further policy; with the switches that the situation turns on."""
    text = (PARAMETERS / f"{name}.toml").read_text("utf-8")
    if "互斥" in situation:
        off = "value = [] # 开启互斥"
        assert off in text
        text = text.replace(off, f"value = {json.dumps(situation['互斥'])} #")
    if "综合课程" in situation:
        courses = json.dumps(situation["综合课程"])
        text += (
            f"\n[[parameters.comprehensive_courses]]\nfrom = 1900-01-01\nvalue = {courses}\n"
            'reference = "情形"\nreading = true\n'
        )
    return load(text.encode())


def judged(name: str, situation: Table) -> tuple[Verdict, Policy]:
    policy, case = further(name, situation), build(situation)
    given_up = tuple(replace(one, entitlement=policy.entitlement) for one in case.releases)
    case = replace(case, releases=given_up)
    return evaluate(case, policy, policy.pins(register="0" * 64, normaliser="1")), policy


@pytest.mark.parametrize(("name", "situation"), FURTHER)
def test_a_situation_of_a_further_policy_gets_exactly_the_stated_answer(name: str, situation: Table) -> None:
    stated = dict(situation["期望"])
    amount = stated.pop("金额", None)
    verdict, _ = judged(name, situation)
    assert answer(verdict, stated) == stated
    if amount is not None:
        assert verdict.not_evaluated[0] == amount


@pytest.mark.parametrize(("name", "situation"), FURTHER)
def test_what_other_entitlements_are_held_stands_in_a_trace_only_where_they_exclude(
    name: str, situation: Table
) -> None:
    said = trace(judged(name, situation)[0])
    assert said.get("others") == (sorted(situation.get("其他占用", [])) if "互斥" in situation else None)


def test_every_clause_of_the_further_policies_has_situations_for_every_answer_it_can_give() -> None:
    seen, clauses = set(), dict[str, Policy]()
    for param in FURTHER:
        name, situation = param.values
        verdict, policy = judged(str(name), situation)  # type: ignore[arg-type]  # values are typed as object
        seen |= {(name, result.clause, type(result.outcome)) for result in verdict.clauses}
        clauses[str(name)] = policy
    wanted = {
        (name, clause.id, kind)
        for name, policy in clauses.items()
        for clause in policy.clauses
        for kind in (Met, NotMet, Unknown)
    }
    shared = {
        ("within-campaign", Unknown),
        ("one-grant", NotMet),  # said of those who wait; the verdict speaks of the holder
        ("no-exclusion", Unknown),
        ("person-identified", NotMet),
        ("not-released", Unknown),
        ("not-suspended", NotMet),
    }
    never = {(name, clause, kind) for name in clauses for clause, kind in shared}
    never |= {
        ("skill-upgrade", "skill-level", NotMet),
        ("comprehensive-training", "training-passed", Unknown),
    }
    assert wanted - seen == never
    assert set(clauses) == {"skill-upgrade", "comprehensive-training"}

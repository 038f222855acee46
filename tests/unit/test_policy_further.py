"""Further clauses asked directly, where no verdict shows their answer; and what separates two files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.policy.test_situations import build
from verifier.candidates import CaseView
from verifier.model.decision import Holding, Met, NotMet, Unknown
from verifier.model.person import Uscc
from verifier.policy import CLAUSES, ClauseFacts, Policy, entitlement_of, load, pin_of
from verifier.policy.comparing import differences

PARAMETERS: Final = Path(__file__).parents[2] / "verifier/policy/parameters"
SKILL: Final = (PARAMETERS / "skill-upgrade.toml").read_text(encoding="utf-8")
COMPREHENSIVE: Final = (PARAMETERS / "comprehensive-training.toml").read_text(encoding="utf-8")
POLICY: Final = load(SKILL.encode())


def facts(**situation: Any) -> ClauseFacts:
    return CaseView.of(build({"情形": "", "期望": {}, **situation}), POLICY.entitlement).candidates()[0]


def asked(name: str, about: ClauseFacts) -> Met | NotMet | Unknown:
    return CLAUSES[name, 1].judge(about, POLICY.parameters_at(about.day))


def test_a_course_proof_is_told_by_name_that_it_is_no_skill_certificate() -> None:
    outcome = asked("skill-certificate", facts())
    assert isinstance(outcome, NotMet)
    assert "课程培训合格证明" in outcome.why


def test_whoever_disputes_that_an_entitlement_is_taken_is_answered_first() -> None:
    taken = Holding("issuer", "all", "C9", Uscc("E1"))
    about = replace(facts(), holding=taken)
    assert isinstance(asked("one-grant", about), NotMet)
    disputed = facts(异议=[{"事由": "month"}])
    outcome = asked("one-grant", replace(disputed, holding=taken))
    assert isinstance(outcome, Unknown)
    assert outcome.missing == "month_dispute"


# What separates two files


def changed(old: str, new: str, text: str = SKILL) -> Policy:
    assert old in text
    return load(text.replace(old, new, 1).encode())


@pytest.mark.parametrize(
    ("old", "new", "what", "name", "before", "after"),
    [
        (
            "revision = 1\nentitlement",
            "revision = 2\nentitlement",
            "policy",
            "",
            "skill-upgrade@1",
            "skill-upgrade@2",
        ),
        (
            'concerns = ["职业技能等级证书", "其他"]',
            'concerns = ["职业技能等级证书"]',
            "concerns",
            "",
            ["其他", "职业技能等级证书"],
            ["职业技能等级证书"],
        ),
    ],
)  # fmt: skip
def test_a_single_change_is_the_only_difference(
    old: str, new: str, what: str, name: str, before: object, after: object
) -> None:
    [found] = differences(POLICY, changed(old, new))
    assert (found.what, found.name, found.before, found.after) == (what, name, before, after)


def test_every_kind_of_value_is_said_in_words_that_json_takes() -> None:
    listed = (
        "\n[[parameters.comprehensive_courses]]\nfrom = 2021-02-01\nto = 2021-03-31\n"
        'value = ["p1/b", "p1/a"]\nreference = "x"\nreading = true\n'
    )
    online = load((PARAMETERS / "online-training-month.toml").read_bytes())
    found = {
        (one.name, side)
        for policy in (POLICY, load((COMPREHENSIVE + listed).encode()))
        for one in differences(online, policy)
        if one.what == "parameter"
        for side in (str(one.after),)
    }
    said = " ".join(side for _, side in found)
    for value in (
        "{'first': '2021-02-01', 'last': '2021-03-31'}",
        "{'初级工': '1800.00', '中级工': '1800.00', '高级工': '4000.00', '技师': '5000.00',",
        "['调休不歇班', '留岗']",
        "'value': ['p1/a', 'p1/b']",
        "'to': '2021-03-31'",
        "'500.00'",
    ):
        assert value in said
    staff = next(one for one in differences(online, POLICY) if one.name == "staff_scope")
    assert staff.after is None
    [dated] = staff.before
    assert (dated["value"], dated["to"]) == ("named_groups", None)
    switched = changed("value = [] #", 'value = ["online-training-month"] #')
    [exclusion] = differences(POLICY, switched)
    assert (exclusion.name, exclusion.after[0]["value"]) == ("excluded_by", ["online-training-month"])


def test_clauses_in_another_order_are_a_difference() -> None:
    one, other = '  { id = "skill-level", revision = 1 },\n', '  { id = "within-campaign", revision = 1 },\n'
    [found] = differences(POLICY, changed(one + other, other + one))
    assert (found.what, found.before[1:3]) == ("order", ["skill-level", "within-campaign"])
    assert found.after[1:3] == ["within-campaign", "skill-level"]


def test_numbers_and_switches_stay_what_they_are() -> None:
    [number] = differences(POLICY, changed("value = 3 #", "value = 4 #"))
    assert (number.before[0]["value"], number.after[0]["value"]) == (3, 4)


def test_a_files_heading_is_read_without_the_rest() -> None:
    assert (entitlement_of(SKILL), pin_of(SKILL)) == ("skill-upgrade", "skill-upgrade@1")
    assert (entitlement_of("no toml"), entitlement_of("a = 1")) == ("", "")

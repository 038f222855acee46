from __future__ import annotations

import ast
import hashlib
import inspect
import json
import textwrap
from dataclasses import fields, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, get_args

import pytest

from verifier.errors import Code, ConfigurationError
from verifier.model.certificate import DocumentKind, SkillLevel
from verifier.model.decision import Entitlement
from verifier.model.facts import Category
from verifier.policy import CLAUSES, Clause, ClauseFacts, load, rules, rules_further
from verifier.policy.clauses import Read, clause
from verifier.policy.loader import AMOUNT_MISSING
from verifier.policy.parameters import (
    MOST_DAYS,
    MOST_NAMES,
    Categories,
    Courses,
    OncePer,
    StaffScope,
    SubsidyMonth,
    Window,
    WindowBasis,
    in_force,
)
from verifier.policy.wording import MISSING

ROOT: Final = Path(__file__).parents[2]
RAW: Final = (ROOT / "verifier/policy/parameters/online-training-month.toml").read_bytes()
POLICY: Final = load(RAW)
TEXT: Final = RAW.decode()
NAMES: Final = ("online-training-month", "skill-upgrade", "comprehensive-training")
PACKAGED: Final = [load((ROOT / f"verifier/policy/parameters/{name}.toml").read_bytes()) for name in NAMES]
SKILL: Final = (ROOT / "verifier/policy/parameters/skill-upgrade.toml").read_text(encoding="utf-8")
COMPREHENSIVE: Final = (ROOT / "verifier/policy/parameters/comprehensive-training.toml").read_text(
    encoding="utf-8"
)
MODULES: Final = (rules, rules_further)
DAY: Final = date(2021, 3, 15)
AMOUNT: Final = (
    '\n[[parameters.standard_amount]]\nfrom = {start}\nto = {end}\nvalue = "{yuan}"\nreference = "test"\n'
    "reading = false\n"
)


# The released policy


def test_the_released_policy_names_every_clause_once_in_the_written_order() -> None:
    assert [(one.id, one.revision) for one in POLICY.clauses] == [
        ("course-proof", 2),
        ("proof-kind", 1),
        ("platform-recognised", 1),
        ("within-period", 1),
        ("person-identified", 1),
        ("employed-by-claimant", 2),
        ("same-person", 2),
        ("category-in-scope", 1),
        ("not-released", 1),
        ("not-suspended", 1),
        ("no-exclusion", 1),
        ("one-month", 2),
    ]


def test_every_clause_stands_in_a_policy_that_comes_with_the_service() -> None:
    assert {one.id for policy in PACKAGED for one in policy.clauses} == {name for name, _ in CLAUSES}


def test_the_revision_before_is_still_read_as_it_was_released() -> None:
    raw = (ROOT / "tests/policy/online-training-month-2.toml").read_bytes()
    assert (
        hashlib.sha256(raw).hexdigest() == "edd76dbe462aec760f1052e3966a4fc613e2730f80006d94153f2e83ed84fe0b"
    )
    before = load(raw)
    assert before.pin == "online-training-month@2"
    assert [one.revision for one in before.clauses] == [2, 1, 1, 1, 1, 1, 1, 1]
    assert before.parameters_at(DAY).names_per_number == MOST_NAMES


def test_the_released_values_are_the_documented_readings() -> None:
    values = POLICY.parameters_at(DAY)
    assert values.window == Window(date(2021, 2, 1), date(2021, 12, 31))
    assert values.window_basis is WindowBasis.COMPLETION
    assert values.recognised_platforms_only is True
    assert values.staff_scope is StaffScope.NAMED_GROUPS
    assert values.once_per is OncePer.PERSON
    assert values.subsidy_month is SubsidyMonth.COMPLETION_MONTH
    assert values.standard_amount is None
    assert values.names_per_number == 3
    assert all(dated.reading and dated.reference for dates in POLICY.schedules.values() for dated in dates)


def test_both_numbers_of_the_regional_notice_stand_in_the_basis() -> None:
    basis = "\n".join(POLICY.basis)
    assert all(number in basis for number in ("昌州人社函〔2021〕8号", "〔2021〕17号", "〔2021〕21号"))


def test_a_policy_is_pinned_by_its_name_its_revision_and_its_files_digest() -> None:
    pins = POLICY.pins(register="r", normaliser="n")
    assert POLICY.entitlement == "online-training-month"
    assert (pins.policy, pins.register, pins.normaliser) == ("online-training-month@3", "r", "n")
    assert pins.parameters == POLICY.digest == hashlib.sha256(RAW).hexdigest()


# Released revisions of clauses


def digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()


def test_no_released_revision_of_a_clause_was_edited() -> None:
    """A changed clause needs a new function with the next revision, and a new line in released.json.

    A function that stands under two ids bears both of them in its decorators or beside them.
    """
    found = {
        f"{name}@{revision}": digest("\n".join((inspect.getsource(one.judge), one.title, one.citation)))
        for (name, revision), one in CLAUSES.items()
    }
    assert found == json.loads((ROOT / "tests/policy/released.json").read_text())


def test_clauses_share_no_function_of_their_module_that_could_change_under_them() -> None:
    functions = {
        name
        for module in MODULES
        for name, thing in vars(module).items()
        if inspect.getmodule(thing) is module
    }
    assert functions - {"CLAUSES"} == {one.judge.__name__ for one in CLAUSES.values()}


def looked_at(one: Clause) -> set[str]:
    """Attributes of the facts that a clause's function touches, or another clause's that it builds on."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(one.judge)))
    judges = {other.judge.__name__: other for other in CLAUSES.values()}
    touched = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "facts"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in judges:
            touched |= looked_at(judges[node.func.id])
    return touched


@pytest.mark.parametrize("one", CLAUSES.values(), ids=lambda one: f"{one.id}@{one.revision}")
def test_a_clause_declares_exactly_the_facts_it_looks_at(one: Clause) -> None:
    touched = looked_at(one)
    derived = {
        "day": {"completion"},
        "revoked": {"completion"},
        "doubtful": {"completion"},
        "is_holder": {"completion", "employment"},
        "was_holder": {"completion", "employment"},
        "is_paid_for": {"completion", "employment"},
    }
    needed = set[str]().union(*(derived.get(name, {name}) for name in touched))
    assert needed & set(get_args(Read)) <= set(one.reads)
    assert set(one.reads) <= {"completion"} | needed
    assert set(get_args(Read)) <= {field.name for field in fields(ClauseFacts)}


@pytest.mark.parametrize("one", CLAUSES.values(), ids=lambda one: one.id)
def test_a_clause_declares_exactly_the_parameters_it_asks_for(one: Clause) -> None:
    tree = ast.parse(textwrap.dedent(inspect.getsource(one.judge)))
    asked = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        if isinstance(node.value, ast.Name) and node.value.id == "parameters"
    }
    assert asked == {*one.needs, *one.may}


def test_every_missing_thing_has_chinese_words() -> None:
    said = {
        node.args[1].value
        for module in MODULES
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Unknown"
        if isinstance(node.args[1], ast.Constant)
    }
    assert said == set(MISSING)


def test_a_clause_revision_cannot_be_registered_twice() -> None:
    register = clause("one-month", revision=1, title="", citation="", reads=())
    with pytest.raises(ConfigurationError) as caught:
        register(rules.one_month)
    assert caught.value.code is Code.POLICY_INVALID


# Dated values


def dated(name: str, *spans: str) -> str:
    """The released file with the dates of one parameter replaced, its value repeated for each span."""
    head, _, rest = TEXT.partition(f"[[parameters.{name}]]\nfrom = 1900-01-01\n")
    body = rest.split("\n\n")[0]
    tail = rest[len(body) :]
    return head + "\n\n".join(f"[[parameters.{name}]]\n{span}\n{body}" for span in spans) + tail


def test_a_value_changes_on_the_day_it_says() -> None:
    text = dated("staff_scope", "from = 1900-01-01\nto = 2021-06-30", "from = 2021-07-01")
    head, _, tail = text.rpartition('"named_groups"')
    policy = load((head + '"all_staff"' + tail).encode())
    assert policy.parameters_at(date(2021, 6, 30)).staff_scope is StaffScope.NAMED_GROUPS
    assert policy.parameters_at(date(2021, 7, 1)).staff_scope is StaffScope.ALL_STAFF


def test_what_is_remembered_of_days_is_what_is_in_force_and_stays_bounded() -> None:
    text = dated("staff_scope", "from = 1900-01-01\nto = 2021-06-30", "from = 2021-07-01")
    policy = load(text.encode())
    for number in range(MOST_DAYS + 2):
        day = date(2020, 1, 1) + timedelta(days=number)
        assert policy.parameters_at(day) == policy.parameters_at(day) == in_force(policy.schedules, day)
        assert len(policy._known) <= MOST_DAYS


def test_the_standard_amount_has_no_default_and_holds_only_in_its_days() -> None:
    policy = load((TEXT + AMOUNT.format(start="2021-03-01", end="2021-03-31", yuan="12.30")).encode())
    assert policy.parameters_at(date(2021, 3, 31)).standard_amount == Decimal("12.30")
    assert policy.parameters_at(date(2021, 4, 1)).standard_amount is None
    assert policy.not_evaluated_at(date(2021, 3, 31)) == POLICY.not_evaluated
    assert policy.not_evaluated_at(date(2021, 4, 1)) == (AMOUNT_MISSING, *POLICY.not_evaluated)
    assert AMOUNT_MISSING in POLICY.not_evaluated_at(DAY)


def test_a_value_missing_on_a_day_is_an_error_and_never_a_default() -> None:
    (window,) = POLICY.schedules["window"]
    short = {**POLICY.schedules, "window": (replace(window, start=date(2021, 4, 1)),)}
    for schedules in (short, {**POLICY.schedules, "window": ()}, {}):
        parameters = in_force(schedules, DAY)
        with pytest.raises(ConfigurationError) as caught:
            _ = parameters.window
        assert (caught.value.code, caught.value.pointer) == (Code.POLICY_INVALID, "parameters.window")


# The strict reader: what is changed in the file, and the path of the key that is named

WINDOW: Final = "value = { first = 2021-02-01, last = 2021-12-31 }"
FIRST: Final = '{ id = "course-proof", revision = 2 }'
READ: Final = "reading = true\n"
CHANGED: Final = [
    ("policy = ", "policie = ", "policie"),
    ("revision = 3\nent", "ent", "revision"),
    ('policy = "online-training-month"', 'policy = "Online"', "policy"),
    ('policy = "online-training-month"', "policy = 1", "policy"),
    ('entitlement = "online-training-month"', 'entitlement = " "', "entitlement"),
    ("revision = 3\nent", "revision = 0\nent", "revision"),
    ("revision = 3\nent", "revision = true\nent", "revision"),
    ("revision = 3\nent", 'revision = "1"\nent', "revision"),
    ("basis = [", "basis = [ 1,", "basis.0"),
    (TEXT[TEXT.index("basis = [") : TEXT.index("\n]") + 2], "basis = []", "basis"),
    (TEXT[TEXT.index("basis = [") : TEXT.index("\n]") + 2], 'basis = "x"', "basis"),
    (FIRST, '{ id = "course-proof", revision = 3 }', "clauses.0"),
    (FIRST, '{ id = "no-such", revision = 1 }', "clauses.0"),
    (FIRST, '{ id = "proof-kind", revision = 1 }', "clauses.1.id"),
    (FIRST, '{ id = "course-proof", revision = 1, weight = 1 }', "clauses.0.weight"),
    (FIRST, '"course-proof"', "clauses.0"),
    (WINDOW, "value = { first = 2021-02-01 }", "parameters.window.0.value.last"),
    (WINDOW, "value = { first = 2021-12-31, last = 2021-02-01 }", "parameters.window.0.value.last"),
    (WINDOW, "value = { first = 2021-02-01, last = 2021-12-31T00:00:00Z }", "parameters.window.0.value.last"),
    (WINDOW, 'value = { first = "2021-02-01", last = 2021-12-31 }', "parameters.window.0.value.first"),
    (WINDOW, "value = 1", "parameters.window.0.value"),
    ('"completion" #', '"application" #', "parameters.window_basis.0.value"),
    ('"completion" #', "1 #", "parameters.window_basis.0.value"),
    ('"person"', '"enterprise"', "parameters.once_per.0.value"),
    ("value = true", 'value = "yes"', "parameters.recognised_platforms_only.0.value"),
    ("[[parameters.window]]", "[[parameters.windows]]", "parameters.windows"),
    ("[[parameters.window]]", "[parameters.window]", "parameters.window"),
    ("[[parameters.window]]\nfrom = 1900-01-01", "[[parameters.window]]", "parameters.window.0.from"),
    ("[[parameters.window]]\nfrom", "[[parameters.window]]\nuntil = 1\nfrom", "parameters.window.0.until"),
    (READ, "reading = 1\n", "parameters.window.0.reading"),
    (
        TEXT[TEXT.index("[[parameters.subsidy_month]]") : TEXT.index("[[parameters.names_per_number]]")],
        "",
        "parameters.subsidy_month",
    ),
    ("value = 3 #", "value = 20 #", "parameters.names_per_number.0.value"),
    ("value = 3 #", "value = 0 #", "parameters.names_per_number.0.value"),
]


def refused(text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(text.encode())
    assert caught.value.code is Code.POLICY_INVALID
    return caught.value


@pytest.mark.parametrize(("old", "new", "pointer"), CHANGED)
def test_a_wrong_key_is_refused_with_its_path(old: str, new: str, pointer: str) -> None:
    assert old in TEXT
    assert refused(TEXT.replace(old, new, 1)).pointer == pointer


def test_parameters_must_be_a_table() -> None:
    head = TEXT[: TEXT.index("[[parameters.window]]")]
    assert refused(head + "parameters = 1\n").pointer == "parameters"


@pytest.mark.parametrize(
    ("spans", "key"),
    [
        (("from = 1900-01-01\nto = 2021-06-30", "from = 2021-06-30"), "1.from"),
        (("from = 1900-01-01", "from = 2021-07-01"), "1.from"),
        (("from = 2021-07-01", "from = 1900-01-01\nto = 2021-06-30"), "1.from"),
        (("from = 1900-01-01\nto = 2021-06-30", "from = 2021-07-02"), "1.from"),
        (("from = 1900-01-02",), "0.from"),
        (("from = 1900-01-01\nto = 2022-12-31",), "0.to"),
        (("from = 1900-01-01\nto = 1899-12-31",), "0.to"),
        (('from = "1900-01-01"',), "0.from"),
        (("from = 1900-01-01\nto = 2021-06-30T00:00:00",), "0.to"),
    ],
    ids=["overlap", "open end first", "out of order", "gap", "late", "ends", "backwards", "text", "moment"],
)
def test_a_parameter_without_exactly_one_value_for_every_day_is_refused(
    spans: tuple[str, ...], key: str
) -> None:
    assert refused(dated("window_basis", *spans)).pointer == f"parameters.window_basis.{key}"


@pytest.mark.parametrize("yuan", ["77", "77.3", "-1.00", "1e3", "87654321.00", "７７.00"])
def test_an_amount_is_written_in_yuan_with_two_decimals(yuan: str) -> None:
    text = TEXT + AMOUNT.format(start="2021-03-01", end="2021-03-31", yuan=yuan)
    assert refused(text).pointer == "parameters.standard_amount.0.value"
    assert yuan not in str(refused(text))


def test_an_amount_is_not_a_number_of_toml() -> None:
    text = TEXT + AMOUNT.format(start="2021-03-01", end="2021-03-31", yuan="1.00").replace('"1.00"', "1.00")
    assert refused(text).pointer == "parameters.standard_amount.0.value"


@pytest.mark.parametrize("raw", [b"\xff", b"policy = ", b"policy = 1\npolicy = 2\n"])
def test_what_is_not_toml_in_utf_8_is_refused(raw: bytes) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(raw)
    assert caught.value.code is Code.POLICY_INVALID


# What a policy's parameters are follows from its clauses


def test_a_policy_need_not_have_what_its_clauses_do_not_ask_for() -> None:
    policy = load(SKILL.encode())
    parameters = policy.parameters_at(DAY)
    assert parameters.categories == Categories((Category.SHIFTED_REST, Category.AT_POST))
    assert not parameters.excluded_by.entitlements
    with pytest.raises(ConfigurationError) as caught:
        _ = parameters.staff_scope
    assert caught.value.pointer == "parameters.staff_scope"


@pytest.mark.parametrize("name", ["window", "categories", "excluded_by", "once_per"])
def test_a_policy_must_have_what_its_clauses_need(name: str) -> None:
    head, _, rest = SKILL.partition(f"[[parameters.{name}]]")
    text = head + "".join(rest.partition("[[")[1:])
    assert refused(text).pointer == f"parameters.{name}"


def test_what_no_clause_of_a_policy_asks_for_may_not_stand_in_it() -> None:
    for text, name in (
        (TEXT, "comprehensive_courses"),
        (TEXT, "categories"),
        (SKILL, "staff_scope"),
    ):
        value = f"\n[[parameters.{name}]]\nfrom = 1900-01-01\nvalue = 1\nreference = 'x'\nreading = true\n"
        assert refused(text + value).pointer == f"parameters.{name}"


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (SkillLevel.JUNIOR, "初级工不高于1800.00元"),
        (SkillLevel.INTERMEDIATE, "中级工不高于1800.00元"),
        (SkillLevel.SENIOR, "高级工不高于4000.00元"),
        (SkillLevel.TECHNICIAN, "技师不高于5000.00元"),
        (SkillLevel.SENIOR_TECHNICIAN, "高级技师不高于6000.00元"),
    ],
)
def test_a_ceiling_is_stated_as_one_and_never_as_the_amount(level: SkillLevel, said: str) -> None:
    policy = load(SKILL.encode())
    first, *rest = policy.not_evaluated_at(DAY, level)
    assert first == f"补贴金额：通知规定{said}；当地标准未配置"
    assert tuple(rest) == policy.not_evaluated
    assert said in policy.not_evaluated_at(DAY)[0]
    assert policy.parameters_at(DAY).standard_amount is None


def test_the_ceiling_of_comprehensive_training_is_stated_until_a_standard_is_configured() -> None:
    policy = load(COMPREHENSIVE.encode())
    assert policy.not_evaluated_at(DAY)[0] == "补贴金额：通知规定不超过500.00元；当地标准未配置"
    amount = AMOUNT.format(start="2021-03-01", end="2021-03-31", yuan="300.00")
    assert load((COMPREHENSIVE + amount).encode()).not_evaluated_at(DAY) == policy.not_evaluated


def test_what_the_two_further_policies_read_into_the_notice_is_said_to_be_a_reading() -> None:
    text = {"categories", "ceiling", "ceilings"}
    for policy in (load(SKILL.encode()), load(COMPREHENSIVE.encode())):
        for name, dates in policy.schedules.items():
            assert all(dated.reference and dated.reading is (name not in text) for dated in dates)


def test_a_policy_says_which_documents_are_its_business() -> None:
    kinds = list(DocumentKind)
    assert [POLICY.about(kind) for kind in kinds] == [True, True, True]
    assert [load(SKILL.encode()).about(kind) for kind in kinds] == [False, True, True]
    assert [load(COMPREHENSIVE.encode()).about(kind) for kind in kinds] == [True, False, False]


NOTHING: Final = "value = [] #"
COURSES: Final = (
    "\n[[parameters.comprehensive_courses]]\nfrom = 2021-02-01\nvalue = {value}\nreference = 'x'\n"
    "reading = true\n"
)
FURTHER: Final = [
    (SKILL, NOTHING, "value = 1 #", "parameters.excluded_by.0.value"),
    (SKILL, NOTHING, 'value = ["Online"] #', "parameters.excluded_by.0.value.0"),
    (SKILL, NOTHING, 'value = ["skill-upgrade"] #', "parameters.excluded_by.0.value"),
    (SKILL, '"调休不歇班", "留岗"', '"在岗"', "parameters.categories.0.value.0"),
    (SKILL, '"调休不歇班", "留岗"', "", "parameters.categories.0.value"),
    (SKILL, '"初级工" = "1800.00", ', "", "parameters.ceilings.0.value.初级工"),
    (SKILL, '"高级工" = "4000.00"', '"高级工" = 4000', "parameters.ceilings.0.value.高级工"),
    (SKILL, '"高级工" =', '"特级技师" = "1.00", "高级工" =', "parameters.ceilings.0.value.特级技师"),
    (SKILL, 'concerns = ["职业技能等级证书", "其他"]', 'concerns = ["证书"]', "concerns.0"),
    (SKILL, 'concerns = ["职业技能等级证书", "其他"]', "concerns = []", "concerns"),
    (COMPREHENSIVE, '"500.00"', '"五百"', "parameters.ceiling.0.value"),
]


@pytest.mark.parametrize(("text", "old", "new", "pointer"), FURTHER)
def test_a_wrong_value_of_a_further_policy_is_refused_with_its_path(
    text: str, old: str, new: str, pointer: str
) -> None:
    assert old in text
    assert refused(text.replace(old, new, 1)).pointer == pointer


@pytest.mark.parametrize("value", ['["AQ-01"]', '["p1/"]', '["p1/A B"]', "[1]", "[]"])
def test_a_course_is_named_with_its_platform(value: str) -> None:
    path = "parameters.comprehensive_courses.0.value"
    assert refused(COMPREHENSIVE + COURSES.format(value=value)).pointer.startswith(path)


def test_courses_count_from_the_day_on_which_they_were_listed() -> None:
    policy = load((COMPREHENSIVE + COURSES.format(value='["p1/AQ-01"]')).encode())
    assert policy.parameters_at(date(2021, 1, 31)).comprehensive_courses is None
    assert policy.parameters_at(date(2021, 2, 1)).comprehensive_courses == Courses(frozenset({"p1/AQ-01"}))


def test_one_amount_cannot_be_that_of_five_levels() -> None:
    amount = AMOUNT.format(start="2021-03-01", end="2021-03-31", yuan="1800.00")
    assert refused(SKILL + amount).pointer == "parameters.standard_amount"


def test_exclusion_is_a_switch_and_off() -> None:
    online = Entitlement("online-training-month")
    policy = load(SKILL.encode())
    assert not policy.exclusive
    assert not policy.excluded_by(online)
    switched = load(SKILL.replace(NOTHING, 'value = ["online-training-month"] #').encode())
    assert switched.exclusive
    assert switched.excluded_by(online)
    assert not switched.excluded_by(Entitlement("comprehensive-training"))
    assert not POLICY.exclusive

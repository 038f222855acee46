from __future__ import annotations

import ast
import hashlib
import inspect
import json
import textwrap
from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final, get_args

import pytest

from verifier.errors import Code, ConfigurationError
from verifier.policy import CLAUSES, Clause, ClauseFacts, load, rules
from verifier.policy.clauses import Read, clause
from verifier.policy.loader import AMOUNT_MISSING
from verifier.policy.parameters import (
    MOST_NAMES,
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
        ("one-month", 2),
    ]
    assert {one.id for one in POLICY.clauses} == {name for name, _ in CLAUSES}


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
    """A changed clause needs a new function with the next revision, and a new line in released.json."""
    found = {
        f"{name}@{revision}": digest("\n".join((inspect.getsource(one.judge), one.title, one.citation)))
        for (name, revision), one in CLAUSES.items()
    }
    assert found == json.loads((ROOT / "tests/policy/released.json").read_text())


def test_clauses_share_no_function_of_their_module_that_could_change_under_them() -> None:
    functions = {name for name, thing in vars(rules).items() if inspect.getmodule(thing) is rules}
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


def test_every_missing_thing_has_chinese_words() -> None:
    tree = ast.parse(inspect.getsource(rules))
    said = {
        node.args[1].value
        for node in ast.walk(tree)
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
        with pytest.raises(ConfigurationError) as caught:
            in_force(schedules, DAY)
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

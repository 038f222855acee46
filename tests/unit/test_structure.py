"""What a reviewer would say twice, said once by a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

import pytest

from verifier import errors, outcome
from verifier.model import ledger

ROOT = Path(__file__).parents[2]
MODULES = [
    path
    for package in ("verifier", "adapters")
    for path in sorted((ROOT / package).rglob("*.py"))
    if "migrations" not in path.parts
]


@cache
def trees() -> dict[Path, ast.Module]:
    """Parsed for the first test that asks, not in every process that collects the tests."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}


BROAD = {"verifier/preparing.py", "verifier/web/errors.py"}
"""The two boundaries: an adapter that breaks, and a handler that breaks."""


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's statements, without its docstring and its signature."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_module_has_more_than_400_lines() -> None:
    assert {name(path): lines(path) for path in MODULES if lines(path) > 400} == {}


def test_half_of_the_modules_have_at_most_150_lines() -> None:
    assert median(lines(path) for path in MODULES) <= 150


def test_no_function_has_more_than_40_lines() -> None:
    found = {
        (name(path), node.name)
        for path, tree in trees().items()
        for node in functions(tree)
        if code_lines(node) > 40
    }
    assert found == set()


def test_everything_is_caught_at_two_named_boundaries_only() -> None:
    found = {
        name(path)
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (
            node.type is None
            or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"})
        )
    }
    assert found == BROAD


def test_there_are_few_kinds_of_errors_and_all_stand_in_one_file() -> None:
    defined = [
        (name(path), node.name)
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(
            isinstance(base, ast.Name) and base.id.endswith(("Exception", "Error")) for base in node.bases
        )
    ]
    outside = [one for one in defined if one[0] != "verifier/errors.py"]
    assert outside == [("verifier/store/failing.py", name) for name in ("Restart", "Abandoned")]
    assert len(defined) <= 15


def test_every_code_is_explained_in_both_languages() -> None:
    assert set(errors.CATALOGUE) == set(errors.Code)
    assert all(said.zh and said.en for said in errors.CATALOGUE.values())


@pytest.mark.parametrize("word", ["utils", "helpers", "base", "manager"])
def test_no_module_is_called_by_a_word_that_says_nothing(word: str) -> None:
    assert [name(path) for path in MODULES if path.stem == word] == []


CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "urandom", "token_hex", "token_bytes"}
CORE = [
    path
    for path in MODULES
    if path.parts[-2] in {"verifier", "policy", "signatures", "model", "ports", "adapters"}
    and path.stem
    not in {"app", "parts", "workers", "loops", "kept", "keyfiles", "settings", "supervising", "__main__"}
]


def test_the_core_reads_no_clock_and_draws_no_randomness() -> None:
    called = [
        (name(path), f"{node.func.value.id}.{node.func.attr}")
        for path in CORE
        for node in ast.walk(trees()[path])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"datetime", "date", "time", "os", "secrets", "random", "uuid"}
        and node.func.attr in CLOCKS
    ]
    assert called == []


def test_every_kind_of_entry_that_is_announced_is_in_the_catalogue() -> None:
    announced = {
        kind
        for path in MODULES
        for kind in re.findall(r'(?:announce|_append)\(\s*"([a-z_]+)"', path.read_text(encoding="utf-8"))
    }
    assert announced >= {"record", "claim", "adoption", "evidence", "merge"}
    assert announced | {outcome.KIND} <= ledger.KINDS

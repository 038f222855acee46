"""The documents say what is: commands, settings, codes, routes and links are read from them and tried."""

from __future__ import annotations

import re
import shlex
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from adapters import ADAPTERS
from verifier.cli import parser
from verifier.errors import CATALOGUE, Code
from verifier.policy import CLAUSES
from verifier.settings import PREFIX, Settings
from verifier.web.errors import STATUS
from verifier.web.server import ROUTES

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("keys/*.md")]
    if path.is_file()
)
TEXTS = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}
_BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CALL = re.compile(r"\b(GET|POST|PUT|DELETE) (/[A-Za-z0-9_{}./-]*)")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def block_after(text: str, marker: str) -> list[str]:
    found = _BLOCK.search(text, text.index(f"<!-- {marker} -->"))
    assert found is not None
    return [line for line in found.group(1).splitlines() if line.strip()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXTS[path]):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def commands() -> list[tuple[str, str]]:
    return [
        (name(path), line.removeprefix(".venv/bin/python -m ").strip())
        for path, text in TEXTS.items()
        for block in _BLOCK.findall(text)
        for line in block.splitlines()
        if re.match(r"(\.venv/bin/python -m )?verifier [a-z]", line)
    ]


@pytest.mark.parametrize(("where", "command"), commands())
def test_every_command_in_a_document_is_one_that_the_command_line_takes(where: str, command: str) -> None:
    arguments = parser().parse_args(shlex.split(command)[1:])
    assert callable(arguments.run), where


def test_every_command_is_in_a_document() -> None:
    written = {" ".join(shlex.split(command)[1:3]) for _, command in commands()}
    assert {"keys init", "doctor", "serve", "enterprises admit", "clients add", "clients revoke"} <= written
    assert {"review list", "review close", "ledger fsck", "learner show"} <= written


def test_the_readme_names_two_commands_and_make_knows_them() -> None:
    make = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = block_after(TEXTS[ROOT / "README.md"], "commands")
    assert lines == ["make demo", "make test"]
    for line in lines:
        assert re.search(rf"^{line.removeprefix('make ')}:", make, re.MULTILINE)


def test_the_readme_shows_the_flow_in_eight_lines_of_files_that_exist() -> None:
    lines = block_after(TEXTS[ROOT / "README.md"], "flow")
    assert len(lines) == 8
    for line in lines:
        for file in re.findall(r"(?:verifier|adapters)/[a-z_/]*(?:\.py)?", line):
            assert (ROOT / file).exists(), file


def test_every_call_in_a_document_is_a_route() -> None:
    known = {(route.method, re.sub(r"\{[^}]+\}", "{}", route.path)) for route in ROUTES}
    wanted = {
        (name(path), method, called)
        for path, text in TEXTS.items()
        if "adr" not in path.parts
        for method, called in _CALL.findall(text)
    }
    slugs = "|".join(adapter.slug for adapter in ADAPTERS)
    missing = []
    for where, method, called in sorted(wanted):
        plain = re.sub(rf"/(?:{slugs}|[0-9A-HJ-NPQRTUWXY]{{18}})(?=/|$)", "/{}", called)
        # A guide may make up a platform of its own.
        plain = re.sub(r"^(/v1/callbacks)/[a-z][a-z0-9_]+", r"\1/{}", plain)
        # What stands behind a platform's address is its own resource.
        plain = re.sub(r"^(/v1/(?:callbacks|sandbox)/\{\})/[a-z]+$", r"\1/{}", plain)
        shape = re.sub(r"\{[^}]+\}", "{}", plain)
        variants = {
            shape,
            shape.replace("/claim/paid", "/claim/{}"),
            shape.replace("/claim/release", "/claim/{}"),
        }
        variants |= {shape.replace("/claim/returned", "/claim/{}")}
        if not any((method, variant) in known for variant in variants):
            missing.append((where, method, called))
    assert missing == []


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(VERIFIER_[A-Z_]+)` \| ([^|]*) \|", text, re.MULTILINE))
    assert set(rows) == {PREFIX + item.name.upper() for item in fields(Settings)}
    for item in fields(Settings):
        if item.default is not MISSING and item.default not in {"", Path()}:
            assert f"`{item.default}`" in rows[PREFIX + item.name.upper()], item.name


def error_rows() -> str:
    lines = []
    for code in Code:
        said = CATALOGUE[code]
        lines.append(f"| `{code}` | {STATUS[code]} | {said.party} | {said.zh} | {said.en} |")
    return "\n".join(lines)


def test_every_clause_stands_in_the_notices_tables_in_both_languages() -> None:
    chinese, _, english = TEXTS[ROOT / "docs" / "notice.md"].partition("## In English")
    for clause in {name for name, _ in CLAUSES}:
        assert f"| `{clause}` |" in chinese, clause
        assert f"| `{clause}` |" in english, clause


def test_every_error_code_is_documented() -> None:
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert error_rows() in text


def test_every_platform_has_its_page_in_both_languages() -> None:
    for adapter in ADAPTERS:
        text = (ROOT / "docs" / "platforms" / f"{adapter.slug}.md").read_text(encoding="utf-8")
        assert adapter.name in text
        assert adapter.profile != "assumed" or ("推定" in text and "assumed" in text)


def test_the_attacks_are_numbered_without_a_gap() -> None:
    text = (ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]
    assert numbers == list(range(1, max(88, len(numbers)) + 1))


def test_the_laws_name_tests_that_exist() -> None:
    text = (ROOT / "docs" / "laws.md").read_text(encoding="utf-8")
    assert "to be filled" not in text
    for file in re.findall(r"`((?:tests|verifier|adapters)/[A-Za-z0-9_/.]+\.py)`", text):
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize("lock", ["requirements.lock", "tests/requirements.lock"])
def test_lock_files_pin_hashes_and_name_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    pinned = re.findall(r"^[a-z0-9][a-z0-9._-]*==", text, re.MULTILINE)
    assert pinned
    assert len(pinned) <= text.count("--hash=sha256:")

"""Signed files on the command line: the feed and claims out, steps in, and what is no such file."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.functional.process import CLIENT_JWK, CLIENT_KEY, environment
from tests.functional.world import BASE_URL, BUREAU, FACTORY, Installation, over
from verifier import accounts, claim_files, keyfiles, ledger, signed_file
from verifier.claims import Asked
from verifier.cli import files, main
from verifier.cli.simulator import person
from verifier.errors import Unavailable, VerifierError
from verifier.merkle import Frontier, leaf_hash
from verifier.settings import from_environment
from verifier.signatures.jws import SigningKey
from verifier.sources import standards
from verifier.store.engine import Database
from verifier.store.schema import upgrade

LI, WANG = person(1, "阿依古丽·买买提"), person(2, "王小明")
MONTH = ("--month", "2021-03", "--office", "652301")
TABLE = """
revision = 1
[[standard]]
entitlement = "online-training-month"
from = "2021-01"
amount_fen = 51000
currency = "CNY"
reference = "测试文号"
"""


async def happened(directory: Path, installation: Installation) -> list[str]:
    """Two grants, of which one is claimed under a reference that a spreadsheet would take for a formula."""
    url = f"sqlite+aiosqlite:///{directory / 'verifier.db'}"
    database = Database(url)
    await database.write(upgrade)
    await database.close()
    world = await over(url, installation)
    for name, role, scope in (
        ("bureau", "subsidy", {"offices": "652301"}),
        ("audit", "auditor", {}),
        ("factory", "enterprise", {"enterprises": FACTORY}),
    ):
        await world.operations.add_client({"client": name, "role": role, "jwk": CLIENT_JWK, **scope})
    await world.employ(FACTORY, LI, WANG, category="留岗")
    await world.complete("N-1", LI)
    await world.complete("N-2", WANG)
    await world.issue()
    records = [record.record_id for record in await world.records()]
    await world.claims.claim(BUREAU, records[0], Asked("=1+1"))
    await world.issue()
    (directory / "checkpoint.txt").write_bytes(world.kept.note)
    await world.store.database.close()
    return records


@dataclass
class Console:
    """Runs commands in this process, on a copy of the database."""

    capsys: pytest.CaptureFixture[str]
    directory: Path
    installation: Installation
    records: list[str]

    def run(self, *arguments: object) -> tuple[int, dict[str, Any]]:
        status = main([*map(str, arguments), "--json"])
        shown = self.capsys.readouterr()
        answer: dict[str, Any] = json.loads(shown.err if status == 2 else shown.out)
        return status, answer

    def lines(self, name: str) -> list[Any]:
        return [json.loads(line) for line in (self.directory / name).read_bytes().splitlines()]

    def signed(self, name: str, kind: str) -> dict[str, Any]:
        """The claims of a file's signature, which is the record key's."""
        path = self.directory / name
        token = path.with_name(name + ".jws").read_text().strip()
        key = keyfiles.load_issuer_keys(self.installation.secrets_dir).record.verification_key
        found = signed_file.contents([path.read_bytes()])
        return signed_file.check(token, found, [key], kind=kind, issuer=BASE_URL, name=name)

    def steps(self, *rows: Mapping[str, Any] | bytes, name: str = "steps.ndjson") -> Path:
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        path = self.directory / name
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        self.sign(path)
        return path

    def sign(self, path: Path, key: SigningKey = CLIENT_KEY, **changes: Any) -> None:
        """As a subsidy system does."""
        members = {
            "kind": "claim-steps",
            "name": path.name,
            "issuer": "bureau",
            "audience": BASE_URL,
            "jti": "j-1",
            "at": datetime.now(UTC),
            **changes,
        }
        token = signed_file.make(signed_file.contents([path.read_bytes()]), key, **members)
        path.with_name(path.name + ".jws").write_text(token + "\n")

    def take(self, path: Path, client: str = "bureau") -> tuple[int, dict[str, Any]]:
        signature = path.with_name(path.name + ".jws")
        return self.run("claims", "take", path, "--client", client, "--signature", signature)

    def sql(self, statement: str) -> list[Any]:
        with closing(sqlite3.connect(self.directory / "verifier.db")) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, installation: Installation) -> tuple[Path, list[str]]:
    directory = tmp_path_factory.mktemp("history")
    return directory, asyncio.run(happened(directory, installation))


@pytest.fixture
def console(
    past: tuple[Path, list[str]],
    tmp_path: Path,
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Console:
    directory = tmp_path / "data"
    shutil.copytree(past[0], directory)
    for name, value in environment(directory, installation).items():
        monkeypatch.setenv(name, value)
    return Console(capsys, directory, installation, past[1])


def feed_file(console: Console, *more: object) -> tuple[int, dict[str, Any]]:
    return console.run("feed", "export", "--client", "bureau", "--to", console.directory / "f.ndjson", *more)


# The feed


def test_a_feed_file_is_what_the_client_would_pull_and_whom_it_shows_is_logged(console: Console) -> None:
    status, answer = feed_file(console)
    assert status == 0
    *entries, end = console.lines("f.ndjson")
    assert [entry["index"] for entry in entries] == list(range(answer["entries"]))
    assert [end["next"], end["size"], end["proof"]] == [answer["next"], answer["next"] + 1, []]
    shown = {entry["record"]["id"] for entry in entries if "record" in entry}
    assert shown == set(console.records)
    assert {entry["kind"] for entry in entries if "body" in entry} >= {"record", "claim", "evidence"}
    # Its leaf hashes make the root that the checkpoint in it signs.
    frontier, _ = Frontier().append([bytes.fromhex(entry["leaf_hash"]) for entry in entries])
    [key] = keyfiles.checkpoint_keys(console.installation.secrets_dir)
    origin = end["checkpoint"].split("\n")[0]
    text = ledger.verify_note(end["checkpoint"].encode(), {origin: key})
    assert ledger.parse_checkpoint(text).root == frontier.root()
    said = console.signed("f.ndjson", "feed")
    assert (said["client"], said["after"], said["next"]) == ("bureau", -1, end["next"])
    logged = console.sql("select distinct client_id, purpose, what from disclosures")
    assert logged == [("bureau", "subsidy", "feed")]
    assert not (console.directory / "f.ndjson.part").exists()


def test_the_next_file_begins_where_the_last_one_ended(console: Console) -> None:
    _, first = feed_file(console)
    status, second = feed_file(console, "--after", "2")
    assert (status, second["entries"]) == (0, first["next"] - 2)
    assert console.lines("f.ndjson")[0]["index"] == 3
    _, nothing_new = feed_file(console, "--after", str(second["next"]))
    assert nothing_new["entries"] == 0


def test_more_than_a_page_is_written_page_by_page(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PAGE", 2)
    _, answer = feed_file(console)
    entries = console.lines("f.ndjson")[:-1]
    assert [entry["index"] for entry in entries] == list(range(answer["entries"]))


def test_an_auditors_file_discloses_nothing_and_logs_nothing(console: Console) -> None:
    to = console.directory / "f.ndjson"
    assert console.run("feed", "export", "--client", "audit", "--to", to)[0] == 0
    entries = console.lines("f.ndjson")[:-1]
    assert all("body" in entry for entry in entries)
    assert all(leaf_hash(entry_body(entry)).hex() == entry["leaf_hash"] for entry in entries)
    assert {entry["record"]["sd_jwt"].count("~") for entry in entries if "record" in entry} == {1}
    assert console.sql("select count(*) from disclosures") == [(0,)]


def entry_body(entry: Mapping[str, Any]) -> bytes:
    return ledger.entry_body(dict(entry["body"]))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (["--after", "100000"], "configuration_invalid"),
        (["--after", "-2"], "configuration_invalid"),
        (["--to", "f.txt"], "configuration_invalid"),
        (["--to", "/nonexistent/f.ndjson"], "configuration_invalid"),
        (["--client", "nobody"], "not_found"),
        (["--client", "factory"], "scope_insufficient"),
    ],
)
def test_a_feed_file_that_cannot_be_made_says_why(console: Console, change: Sequence[str], code: str) -> None:
    status, answer = feed_file(console, *change)
    assert (status, answer["code"]) == (2, code)


# Claims out


def test_claims_of_a_month_are_listed_with_their_totals(console: Console) -> None:
    to = console.directory / "c.ndjson"
    status, answer = console.run("claims", "export", *MONTH, "--to", to)
    assert (status, answer["claims"]) == (0, 1)
    claim, subsidy, account = console.lines("c.ndjson")
    assert (claim["payment_reference"], claim["state"], claim["uscc"]) == ("=1+1", "claimed", FACTORY)
    assert subsidy["totals"]["rows"][0]["granted"] == 2
    assert account["totals"]["rows"][0]["claimed"] == 1
    said = console.signed("c.ndjson", "claims")
    assert said["account_totals_sha256"] == account["totals"]["totals_sha256"]
    assert (said["month"], said["office"]) == ("2021-03", "652301")


def test_many_claims_are_listed_page_by_page(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "MOST_ROWS", 1)
    to = console.directory / "c.ndjson"
    assert console.run("claims", "export", *MONTH, "--to", to)[1]["claims"] == 1


def test_a_workbook_shows_every_text_as_text(console: Console) -> None:
    to = console.directory / "c.xlsx"
    more = ("--entitlement", "online-training-month")
    assert console.run("claims", "export", *MONTH, "--to", to, *more)[0] == 0
    book = openpyxl.load_workbook(io.BytesIO(to.read_bytes()))
    sheet, summary = book["申领明细"], book["对账合计"]
    header = [cell.value for cell in sheet[1]]
    cell = sheet.cell(2, header.index("支付编号") + 1)
    assert (cell.value, cell.data_type) == ("=1+1", "s")
    row = dict(zip(header, [cell.value for cell in sheet[2]], strict=True))
    assert (row["状态"], row["领取单位"], row["金额（分）"]) == ("已申领", "用工单位", None)
    totals = dict(zip([cell.value for cell in summary[1]], [cell.value for cell in summary[2]], strict=True))
    assert (totals["准予"], totals["已申领未支付"], totals["未定金额笔数"]) == (2, 1, 1)
    assert console.signed("c.xlsx", "claims")["size"] == len(to.read_bytes())


@pytest.mark.parametrize(
    ("change", "code"), [(["--to", "c.csv"], "configuration_invalid"), (["--month", "3"], "schema_invalid")]
)
def test_claims_that_cannot_be_listed_say_why(console: Console, change: list[str], code: str) -> None:
    to = console.directory / "c.ndjson"
    status, answer = console.run("claims", "export", *MONTH, "--to", to, *change)
    assert (status, answer["code"]) == (2, code)
    assert not to.exists()


# Steps in


def test_a_file_of_steps_is_taken_row_by_row_and_taken_again_changes_nothing(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_ROWS", 2)
    first, second = console.records
    path = console.steps(
        {"step": "claim", "record": second, "payment_reference": "F-1", "payee": "employer"},
        {"step": "paid", "record": second, "payment_reference": "F-1", "reason": "线下支付"},
        {"step": "release", "record": first, "payment_reference": "=1+1", "reason": "填错"},
        {"step": "claim", "record": first, "payment_reference": "F-2", "settled_in": "2021-04"},
        {"step": "claim", "record": "none", "payment_reference": "F-3"},
        {"step": "burn", "record": first, "payment_reference": "F-4"},
        {"step": "paid", "record": first, "payment_reference": "F-4"},
        {"step": "paid", "record": second, "payment_reference": "F-1", "reason": "别的"},
        b"",
        b"\xff",
        b'"' + b"x" * 9000 + b'"',
    )
    status, answer = console.take(path)
    assert (status, answer["rows"], answer["done"], answer["refused"]) == (1, 11, 3, 8)
    *results, end = console.lines("steps.results.ndjson")
    assert [one["line"] for one in results] == list(range(1, 12))
    codes = [one.get("code", one["result"]) for one in results]
    assert codes == [
        "done", "done", "done", "schema_invalid", "not_found", "schema_invalid", "schema_invalid",
        "claim_differs", "json_invalid", "json_invalid", "json_invalid",
    ]  # fmt: skip
    assert results[7]["recorded"]["state"] == "paid"
    assert end["of_sha256"] == sha256(path.read_bytes()).hexdigest()
    assert console.signed("steps.results.ndjson", "claim-results")["of_sha256"] == end["of_sha256"]
    taken = console.sql("select count(*) from claims")
    assert console.take(path)[1]["done"] == 3
    assert console.sql("select count(*) from claims") == taken
    again = console.lines("steps.results.ndjson")
    assert [one.get("code", one["result"]) for one in again[:-1]] == codes
    assert again[1] == results[1]


@pytest.mark.untraced
def test_a_file_without_a_row_and_one_without_fault_are_all_right(console: Console) -> None:
    assert console.take(console.steps())[1]["rows"] == 0
    row = {"step": "claim", "record": console.records[1], "payment_reference": "F-1"}
    path = console.steps(row)
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    console.sign(path)
    assert console.take(path)[0] == 0


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"kind": "claims"}, "kind"),
        ({"issuer": "other"}, "iss"),
        ({"audience": "https://elsewhere.invalid"}, "aud"),
        ({"audience": ""}, "aud"),
        ({"name": "other.ndjson"}, "name"),
        ({"key": replace(CLIENT_KEY, kid="another")}, "kid"),
    ],
)
def test_a_file_that_is_not_signed_for_this_is_refused_whole(
    console: Console, change: dict[str, Any], pointer: str
) -> None:
    row = {"step": "claim", "record": console.records[1], "payment_reference": "F-1"}
    path = console.steps(row)
    console.sign(path, **change)
    status, answer = console.take(path)
    assert (status, answer["code"], answer["pointer"]) == (2, "signed_file_refused", pointer)
    assert console.sql("select count(*) from claims") == [(1,)]


def test_a_file_that_was_changed_after_signing_is_refused_whole(console: Console) -> None:
    path = console.steps({"step": "claim", "record": console.records[1], "payment_reference": "F-1"})
    path.write_bytes(path.read_bytes().replace(b"F-1", b"F-2"))
    assert console.take(path)[1]["pointer"] == "sha256"


@pytest.mark.parametrize(
    ("client", "code"),
    [("nobody", "not_found"), ("audit", "scope_insufficient"), ("factory", "scope_insufficient")],
)
def test_only_an_active_subsidy_systems_file_is_taken(console: Console, client: str, code: str) -> None:
    path = console.steps()
    assert console.take(path, client)[1]["code"] == code


def test_a_revoked_client_may_send_no_file(console: Console) -> None:
    assert main(["clients", "revoke", "bureau"]) == 0
    console.capsys.readouterr()
    assert console.take(console.steps())[1]["code"] == "not_found"


# Operations behind the commands


@pytest.mark.parametrize(
    ("name", "parameters", "code"),
    [
        ("claims take", {"client": "bureau", "rows": "{"}, "schema_invalid"),
        ("claims take", {"client": "bureau", "rows": "{}"}, "schema_invalid"),
        ("claims take", {"client": "audit", "rows": "[]"}, "not_found"),
        ("feed disclose", {"client": "bureau", "learners": "["}, "schema_invalid"),
        ("feed disclose", {"client": "bureau", "learners": "1"}, "schema_invalid"),
    ],
)
def test_what_the_commands_never_send_is_refused(
    console: Console, name: str, parameters: dict[str, str], code: str
) -> None:
    with pytest.raises(VerifierError) as refused:
        asyncio.run(files.asked(from_environment(os.environ), name, parameters))
    assert refused.value.code == code
    del console


def test_what_a_running_service_refuses_is_refused_here(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses(*_: object) -> tuple[int, dict[str, Any]]:
        return 2, {"code": "overloaded", "detail": "busy", "pointer": ""}

    monkeypatch.setattr(files, "ask", refuses)
    path = console.steps({"step": "claim", "record": console.records[1], "payment_reference": "F-1"})
    status, answer = console.take(path)
    assert (status, answer["code"]) == (2, "overloaded")
    assert not (console.directory / "steps.results.ndjson").exists()


async def test_a_line_that_was_not_decided_is_no_refused_line() -> None:
    async def busy(_: object) -> dict[str, Any]:
        raise Unavailable

    with pytest.raises(Unavailable):
        await claim_files.result(busy, lambda _: {})


# Standards on the command line


@pytest.mark.untraced
def test_standards_are_tried_and_adopted_on_the_command_line(console: Console) -> None:
    table = console.directory / "standards.toml"
    table.write_text(TABLE)
    assert console.run("standards", "adopt", table)[1]["adopted"] is False
    assert console.run("standards", "adopt", table, "--apply")[1]["adopted"] is True
    assert console.run("standards", "show")[1]["standards"][0]["amount_fen"] == 51000
    table.write_text(TABLE.replace("51000", "99900"))
    status, answer = console.run("standards", "adopt", table, "--apply")
    assert (status, answer["pointer"]) == (2, "revision")
    status, answer = console.run("claims", "freeze", *MONTH)
    assert (status, answer["frozen"], answer["freezes"][0]["granted"]) == (0, 0, 2)
    assert console.run("claims", "totals", *MONTH, "--by", "account")[1]["rows"][0]["claimed"] == 1


def test_the_settings_table_counts_only_while_none_was_adopted(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = console.directory / "standards.toml"
    table.write_text(TABLE)
    monkeypatch.setenv("VERIFIER_STANDARDS", str(table))
    [form] = standards(from_environment(os.environ))
    assert form.said == {"revision": 1}
    assert console.run("standards", "show")[1]["adopted"] is False
    assert console.run("standards", "adopt", table, "--apply")[0] == 0
    assert "standards" not in console.run("doctor")[1]
    table.write_text(TABLE.replace("revision = 1", "revision = 2"))
    assert "已采纳者为准" in console.run("doctor")[1]["standards"]
    table.write_bytes(b"\xff")
    assert "configuration_invalid" in console.run("doctor")[1]["adopted"]

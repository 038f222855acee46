"""The command line: each command, its exit status (0 done, 1 found wanting, 2 could not run), its answers."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import shutil
import sqlite3
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.functional.process import CLIENT_JWK, CLIENT_KEY, environment, running, settings
from tests.functional.world import FACTORY, WORKSHOP, Installation, World, over, row
from verifier import ledger, offline
from verifier.cli import checking, main, parser
from verifier.cli.simulator import person
from verifier.errors import CATALOGUE, Code, LedgerRefused
from verifier.merkle import Frontier, inclusion_proof, leaf_hash
from verifier.operations import Operations
from verifier.settings import Settings, from_environment
from verifier.signatures import jws, keys, status_list, strict_json
from verifier.store.engine import Database, FileLock
from verifier.store.schema import upgrade

LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")
ZHAO = person(3, "赵大海")
UNKNOWN = person(4, "从未听说")


@dataclass(frozen=True)
class History:
    """A directory with a past: a grant, a revoked grant, and a question for a reviewer.

    Attributes:
        stale: a status list token of two days ago.
    """

    directory: Path
    good: str
    revoked: str
    revocation: str
    status: str
    stale: str
    jwks: str
    bodies: tuple[bytes, ...]
    checkpoint: bytes


async def happened(directory: Path, installation: Installation) -> History:
    url = f"sqlite+aiosqlite:///{directory / 'verifier.db'}"
    database = Database(url)
    await database.write(upgrade)
    await database.close()
    world = await over(url, installation)
    world.now = datetime.now(UTC) - timedelta(days=2)
    await world.employ(FACTORY, LI, WANG, category="留岗")
    await world.roster(FACTORY, [row(ZHAO, name="完全不同")])
    await world.complete("N-1", LI)
    await world.complete("N-2", WANG)
    await world.complete("N-3", ZHAO)
    await world.settle()
    stale = await world.store.status_token(0)
    world.now = datetime.now(UTC)
    await world.revoke("N-1")
    await world.settle()
    return await kept(world, directory, stale or "")


async def kept(world: World, directory: Path, stale: str) -> History:
    (directory / "checkpoint.txt").write_bytes(world.kept.note)
    learner, status = await world.learner(LI), await world.store.status_token(0)
    records = await world.records()
    revoked, revocation = (record.sd_jwt for record in records if record.learner_id == learner)
    [good] = [record.sd_jwt for record in records if record.learner_id != learner]
    keys_ = (world.issuer_keys.record, world.issuer_keys.status)
    published = [dict(keys.public_jwk(key.verification_key)) for key in keys_]
    entries, _ = await world.store.feed(-1, 1000)
    await world.store.database.close()
    return History(
        directory,
        good,
        revoked,
        revocation,
        status or "",
        stale,
        json.dumps({"keys": published}),
        tuple(entry.body for entry in entries),
        world.kept.note,
    )


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, installation: Installation) -> History:
    return asyncio.run(happened(tmp_path_factory.mktemp("history"), installation))


@pytest.fixture
def history(
    past: History, tmp_path: Path, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> History:
    """A copy of it that a test may change, and the environment to work in it."""
    directory = tmp_path / "data"
    shutil.copytree(past.directory, directory)
    for name, value in environment(directory, installation).items():
        monkeypatch.setenv(name, value)
    return replace(past, directory=directory)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory that does not exist yet, with everything by default in it."""
    monkeypatch.setenv("VERIFIER_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


class Console:
    """Runs commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def run(self, *arguments: object) -> tuple[int, str, str]:
        """Exit status, standard output, standard error."""
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            status = int(ended.code or 0)
        shown = self._capsys.readouterr()
        return status, shown.out, shown.err

    def json(self, *arguments: object) -> dict[str, Any]:
        """The answer of a command that succeeds."""
        status, out, err = self.run(*arguments, "--json")
        assert (status, err) == (0, "")
        answer: dict[str, Any] = json.loads(out)
        return answer

    def refusal(self, *arguments: object) -> tuple[str, str]:
        """Code and pointer of a command that cannot run, the same for people and for machines."""
        status, out, err = self.run(*arguments, "--json")
        assert (status, out) == (2, "")
        told = json.loads(err)
        said = CATALOGUE[Code(told["code"])]
        assert (told["message"], told["message_en"], told["party"]) == (said.zh, said.en, said.party.value)
        status, out, err = self.run(*arguments)
        assert (status, out) == (2, "")
        assert said.zh in err
        assert told["code"] in err
        return told["code"], told["pointer"]


@pytest.fixture
def console(capsys: pytest.CaptureFixture[str]) -> Console:
    return Console(capsys)


# --- the form of every command


def leaves(node: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group by its words."""
    yield path
    for action in node._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from leaves(below, (*path, name))


COMMANDS = list(leaves(parser()))


def test_the_commands_are_those_that_the_documents_know() -> None:
    wanted = (
        "serve, demo, keys init, enterprises admit, clients add, clients revoke, review list, review close,"
        " learner show, explain, ledger fsck, verify, db upgrade, db check, doctor"
    )
    assert {" ".join(path) for path in COMMANDS} >= set(wanted.split(", "))


@pytest.mark.untraced
@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...], console: Console) -> None:
    status, out, err = console.run(*path, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(" ".join(["usage: verifier", *path]))


@pytest.mark.parametrize(
    "arguments", [[], ["ledger"], ["nothing"], ["verify"], ["serve", "--loud"], ["clients", "add", "x"]]
)
def test_a_command_that_is_none_cannot_run(arguments: list[str], console: Console) -> None:
    status, out, err = console.run(*arguments)
    assert (status, out) == (2, "")
    assert "usage: verifier" in err


def test_an_interrupted_command_says_so_by_its_status(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(_settings: Settings, _arguments: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(checking, "check_schema", interrupted)
    assert console.run("db", "check")[0] == 130


# --- settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VERIFIER_COLOUR", "blue"),
        ("VERIFIER_PORT", ""),
        ("VERIFIER_PORT", "-1"),
        ("VERIFIER_PORT", "65536"),
        ("VERIFIER_PORT", "８０"),
        ("VERIFIER_BASE_URL", "ftp://test.invalid"),
        ("VERIFIER_BASE_URL", "https://"),
        ("VERIFIER_BASE_URL", "https://test.invalid/"),
        ("VERIFIER_DATABASE_URL", "no address"),
        ("VERIFIER_DATABASE_URL", "mysql://test.invalid/x"),
        ("VERIFIER_DATABASE_URL", "sqlite+aiosqlite://"),
    ],
)
def test_a_setting_that_is_wrong_or_unknown_is_named(
    history: History, console: Console, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    del history
    monkeypatch.setenv(name, value)
    code, pointer = console.refusal("ledger", "fsck")
    assert (code, pointer.removeprefix("VERIFIER_").lower()) == (
        "configuration_invalid",
        name.removeprefix("VERIFIER_").lower(),
    )


def test_settings_have_defaults_in_the_data_directory() -> None:
    made = from_environment({"VERIFIER_DATA_DIR": "d", "VERIFIER_PORT": "0", "HOME": "elsewhere"})
    assert made.database_url == "sqlite+aiosqlite:///d/verifier.db"
    assert (made.secrets_dir, made.port, made.hosts) == (Path("d/secrets"), 0, frozenset())
    named = from_environment({"VERIFIER_ALLOWED_HOSTS": " A.example, b.example:8080,,"})
    assert named.hosts == {"a.example", "b.example:8080"}


# --- keys, schema, installation


def test_keys_are_made_once_for_their_owner_alone(fresh: Path, console: Console) -> None:
    status, out, _ = console.run("keys", "init")
    assert (status, str(fresh / "secrets") in out) == (0, True)
    made = {path.name: path.read_bytes() for path in (fresh / "secrets").iterdir()}
    assert set(made) == {"record.pem", "status.pem", "checkpoint.pem", "fields.json"}
    assert {stat.S_IMODE((fresh / "secrets" / name).stat().st_mode) for name in made} == {0o600}
    assert stat.S_IMODE((fresh / "secrets").stat().st_mode) == 0o700
    status, out, err = console.run("keys", "init")
    assert (status, out) == (2, "")
    assert "key_refused [record.pem]" in err
    assert {path.name: path.read_bytes() for path in (fresh / "secrets").iterdir()} == made


def test_the_schema_is_brought_up_to_date_as_often_as_one_likes(fresh: Path, console: Console) -> None:
    for _ in range(2):
        assert console.run("db", "upgrade")[0] == 0
    with closing(sqlite3.connect(fresh / "verifier.db")) as database:
        assert database.execute("select count(*) from entries").fetchall() == [(0,)]
    held = FileLock(fresh / "verifier.db.lock")
    status, _, err = console.run("db", "upgrade")
    held.close()
    assert (status, "store_locked" in err) == (2, True)


def test_migrations_that_do_not_make_the_tables_are_found(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert console.run("db", "check")[0] == 0
    monkeypatch.setattr(checking, "differences", lambda _connection: ["a table is missing"])
    assert console.run("db", "check")[:2] == (1, "a table is missing\n1 differences\n")


def test_the_doctor_finds_nothing_in_a_whole_installation(history: History, console: Console) -> None:
    del history
    found = console.json("doctor")
    assert {found[name] for name in ("service keys", "policy and register", "database")} == {"ok"}
    status, out, _ = console.run("doctor")
    assert (status, "database: ok" in out) == (0, True)


def test_the_doctor_finds_everything_wrong_at_once(fresh: Path, console: Console) -> None:
    status, out, _ = console.run("doctor", "--json")
    found = json.loads(out)
    assert status == 1
    assert found["service keys"].startswith("key_refused [fields.json]")
    assert found["database"].startswith("key_refused")
    assert console.run("keys", "init")[0] == 0
    assert "there is no database yet" in console.run("doctor")[1]
    with closing(sqlite3.connect(fresh / "verifier.db")) as database:
        database.execute("create table somebody (elses text)")
    assert "run `db upgrade`" in console.run("doctor")[1]


# --- ledger fsck


def test_an_untouched_database_is_as_it_was_signed(history: History, console: Console) -> None:
    assert console.json("ledger", "fsck") == {"findings": []}
    assert console.run("ledger", "fsck")[:2] == (0, "0 处 · findings: 与签发时一致 · as it was signed\n")
    (history.directory / "checkpoint.txt").unlink()
    assert console.run("ledger", "fsck")[0] == 0


def test_an_altered_row_is_found_by_table_and_key(history: History, console: Console) -> None:
    with closing(sqlite3.connect(history.directory / "verifier.db")) as database:
        [(fact,)] = database.execute("select fact_id from facts where kind = 'revocation'").fetchall()
        database.execute("update facts set source_reference = 'nobody' where fact_id = ?", (fact,))
        database.commit()
    status, out, _ = console.run("ledger", "fsck", "--json")
    assert (status, json.loads(out)) == (
        1,
        {"findings": [{"kind": "row_altered", "where": f'facts ["{fact}"]'}]},
    )
    status, out, _ = console.run("ledger", "fsck")
    assert (status, out.splitlines()[0]) == (1, f'row_altered: facts ["{fact}"]')
    assert "NOT as it was signed" in out


def test_without_a_database_or_with_another_programs_nothing_can_be_checked(
    fresh: Path, console: Console
) -> None:
    assert console.run("keys", "init")[0] == 0
    assert console.refusal("ledger", "fsck") == ("configuration_invalid", "database_url")
    assert not (fresh / "verifier.db").exists()
    with closing(sqlite3.connect(fresh / "verifier.db")) as database:
        database.execute("create table entries (position integer)")
    assert console.refusal("ledger", "fsck")[0] == "configuration_invalid"
    (fresh / "verifier.db").write_bytes(b"not a database at all" * 100)
    assert console.refusal("ledger", "fsck") == ("configuration_invalid", "database_url")


def test_without_keys_nothing_can_be_checked(fresh: Path, console: Console) -> None:
    assert console.refusal("ledger", "fsck") == ("key_refused", "checkpoint.pem")
    assert not fresh.exists()


# --- verify


@dataclass(frozen=True)
class Evidence:
    """What somebody who checks a record holds in files."""

    console: Console
    directory: Path

    def verify(self, record: str, jwks: str, status: str | None = None) -> tuple[int, dict[str, Any]]:
        self.directory.mkdir(exist_ok=True)
        given = {"record": record, "jwks": jwks, "status": status}
        files = {name: self.directory / f"{name}.txt" for name in given}
        for name, text in given.items():
            files[name].write_text((text or "") + "\n", encoding="utf-8")
        more = [] if status is None else ["--status", files["status"]]
        code, out, err = self.console.run("verify", files["record"], "--jwks", files["jwks"], *more, "--json")
        if code == 2:
            return code, json.loads(err)
        assert err == ""
        assert self.console.run("verify", files["record"], "--jwks", files["jwks"], *more)[0] == code
        return code, json.loads(out)


@pytest.fixture
def evidence(console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evidence:
    monkeypatch.chdir(tmp_path)  # far from any installation: nothing but the files given counts
    return Evidence(console, tmp_path / "evidence")


def test_a_good_record_verifies_and_what_was_not_checked_is_said(past: History, evidence: Evidence) -> None:
    code, told = evidence.verify(past.good, past.jwks, past.status)
    assert (code, told["verdict"]) == (0, "valid")
    assert told["says"]["decision"]["result"] == "granted"
    assert told["not_checked"] == ["inclusion"]
    code, told = evidence.verify(past.good, past.jwks)
    assert (code, told["verdict"]) == (0, "signature_valid")
    assert told["not_checked"] == ["status", "inclusion"]


def test_a_revoked_grant_may_not_be_relied_on(past: History, evidence: Evidence) -> None:
    code, told = evidence.verify(past.revoked, past.jwks, past.status)
    assert (code, told["verdict"]) == (1, "invalid")
    code, told = evidence.verify(past.revocation, past.jwks, past.status)
    assert (code, told["verdict"], told["says"]["decision"]["result"]) == (0, "valid", "revoked")


def test_a_stale_status_is_no_status(past: History, evidence: Evidence) -> None:
    code, told = evidence.verify(past.good, past.jwks, past.stale)
    assert (code, told["reason"]) == (1, "the status list is another one, or stale")


@pytest.mark.parametrize("status", ["", "a.b.c", "no token"])
def test_a_status_that_cannot_be_read_is_no_status(past: History, evidence: Evidence, status: str) -> None:
    code, told = evidence.verify(past.good, past.jwks, status)
    assert (code, told["reason"]) == (1, "the status list does not check out")


def spoilt(record: str) -> dict[str, str]:
    signed, *disclosures = record.removesuffix("~").split("~")
    header, payload, signature = signed.split(".")
    changed = ("A" if signature[0] != "A" else "B") + signature[1:]
    return {
        "signature": "~".join([f"{header}.{payload}.{changed}", *disclosures, ""]),
        "disclosure": "~".join([signed, disclosures[0][:-2], ""]),
        "one more disclosure": "~".join([signed, *disclosures, disclosures[0], ""]),
        "form": "no record",
        "empty": "",
        "not text": "\ud800",
    }


@pytest.mark.parametrize("part", ["signature", "disclosure", "one more disclosure"])
def test_a_tampered_record_is_invalid(past: History, evidence: Evidence, part: str) -> None:
    code, told = evidence.verify(spoilt(past.good)[part], past.jwks, past.status)
    assert (code, told["verdict"]) == (1, "invalid")
    assert told["reason"].startswith("the record fails at: ")


def test_a_status_list_is_no_record(past: History, evidence: Evidence) -> None:
    assert evidence.verify(f"{past.status}~", past.jwks)[0] == 1


def test_under_other_keys_a_record_is_invalid(past: History, evidence: Evidence) -> None:
    code, told = evidence.verify(past.good, f'{{"keys": [{CLIENT_JWK}]}}', past.status)
    assert (code, told["reason"]) == (1, "the record fails at: key")


@pytest.mark.parametrize("jwks", ["", "{}", '{"keys": []}', '{"keys": [1]}', '{"keys": [{"kty": "oct"}]}'])
def test_without_usable_keys_nothing_can_be_checked(past: History, evidence: Evidence, jwks: str) -> None:
    code, told = evidence.verify(past.good, jwks)
    assert (code, told["code"]) == (2, "key_refused")


def test_a_file_that_is_not_there_cannot_be_checked(console: Console, tmp_path: Path) -> None:
    there = tmp_path / "there.txt"
    there.write_text("x", encoding="utf-8")
    for record, jwks in ((there, tmp_path / "no.txt"),):
        assert console.refusal("verify", record, "--jwks", jwks) == ("configuration_invalid", "no.txt")


# --- offline: the parts of a check that the command line does not offer yet

ORIGIN = "test.invalid/ledger"


def issued(payload: Mapping[str, Any], typ: str = "dc+sd-jwt") -> str:
    return jws.sign_compact(strict_json.canonical(dict(payload)), CLIENT_KEY, typ=typ)


def refusal_of(record: str, status: str | None = None) -> str:
    with pytest.raises(LedgerRefused) as refused:
        offline.check(record, [CLIENT_KEY.verification_key], status_token=status, now=datetime.now(UTC))
    assert refused.value.code is Code.RECORD_INVALID
    return refused.value.detail


def test_only_our_type_of_record_is_one() -> None:
    assert refusal_of(issued({"vct": "urn:other"}) + "~") == "the record is of another type"
    assert refusal_of(issued({"vct": "x"}, typ="JWT") + "~") == "the record fails at: typ"
    assert refusal_of(jws.sign_compact(b"[]", CLIENT_KEY, typ="dc+sd-jwt") + "~").startswith(
        "the record fails"
    )


@pytest.mark.parametrize("change", [{"sub": "https://elsewhere"}, {"exp": 0}, {"iat": 1 << 40}])
def test_a_status_list_of_another_address_or_time_is_refused(change: dict[str, Any]) -> None:
    record, listed = with_status()
    assert "another one, or stale" in refusal_of(record, issued(listed | change, "statuslist+jwt"))


@pytest.mark.parametrize("change", [{"exp": None}, {"iat": None}, {"status_list": {"bits": 2, "lst": "!"}}])
def test_a_status_list_with_a_member_amiss_is_refused(change: dict[str, Any]) -> None:
    record, listed = with_status()
    members = {name: value for name, value in (listed | change).items() if value is not None}
    assert "does not check out" in refusal_of(record, issued(members, "statuslist+jwt"))


def with_status() -> tuple[str, dict[str, Any]]:
    place = {"uri": "https://test.invalid/status-lists/0", "idx": 1}
    payload = {"vct": "urn:training-verifier:eligibility:1", "status": {"status_list": place}}
    now = int(datetime.now(UTC).timestamp())
    lst = status_list.encode([0, 3], 2)
    listed = {"sub": place["uri"], "iat": now, "exp": now + 60, "status_list": {"bits": 2, "lst": lst}}
    return issued(payload) + "~", listed


def test_a_superseded_record_is_told_as_such() -> None:
    record, listed = with_status()
    token = issued(listed, "statuslist+jwt")
    checked = offline.check(record, [CLIENT_KEY.verification_key], status_token=token, now=datetime.now(UTC))
    assert (checked.status, checked.good) == ("superseded", False)


def test_a_record_is_shown_to_be_in_the_ledger(past: History, installation: Installation) -> None:
    del installation
    leaves_ = [leaf_hash(body) for body in past.bodies]
    tree, nodes = Frontier().append(leaves_)
    stored = {(node.level, node.index): node.hash for node in nodes}
    text = past.checkpoint.rpartition(b"\n\n")[0] + b"\n"
    checkpoint = ledger.parse_checkpoint(text)
    assert (checkpoint.size, checkpoint.root) == (tree.size, tree.root())
    token = past.good.partition("~")[0]
    index = json.loads(jws.parse_compact(token, max_bytes=1 << 20).payload)["log"]["index"]
    proof = inclusion_proof(index, tree.size, lambda level, place: stored[level, place])
    offline.check_inclusion(past.good, past.bodies[index], proof, checkpoint)
    with pytest.raises(LedgerRefused):
        offline.check_inclusion(past.good, past.bodies[index], proof[1:], checkpoint)
    for record, body in ((past.revoked, past.bodies[index]), (past.good, b"{}")):
        with pytest.raises(LedgerRefused) as refused:
            offline.check_inclusion(record, body, proof, checkpoint)
        assert refused.value.detail == "the entry does not commit to this record"


def test_a_checkpoint_is_believed_under_its_own_key_and_name() -> None:
    key = Ed25519PrivateKey.generate()
    text = ledger.checkpoint_body(ORIGIN, 3, b"r" * 32)
    note = ledger.sign_note(text, ORIGIN, key)
    assert offline.check_checkpoint(note, ORIGIN, key.public_key()).size == 3
    for origin, public in (("other", key.public_key()), (ORIGIN, Ed25519PrivateKey.generate().public_key())):
        with pytest.raises(LedgerRefused):
            offline.check_checkpoint(note, origin, public)
    elsewhere = ledger.sign_note(ledger.checkpoint_body("other", 3, b"r" * 32), ORIGIN, key)
    with pytest.raises(LedgerRefused) as refused:
        offline.check_checkpoint(elsewhere, ORIGIN, key.public_key())
    assert refused.value.code is Code.RECORD_INVALID


# --- operations


@pytest.mark.untraced
def test_an_enterprise_may_be_admitted_before_the_service_ever_ran(
    tmp_path: Path, installation: Installation, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "not" / "there"
    for name, value in environment(directory, installation).items():
        monkeypatch.setenv(name, value)
    scope = ["--name", "沙箱企业", "--office", "652301", "--from", "2021-01-01", "--to", "2021-12-31"]
    answer = console.json("enterprises", "admit", WORKSHOP, *scope)
    assert answer == {"uscc": WORKSHOP, "office": "652301", "changed": True}
    status, out, _ = console.run("enterprises", "admit", WORKSHOP, *scope)
    assert (status, "changed: False" in out) == (0, True)
    assert console.refusal("enterprises", "admit", "91", *scope)[0] == "uscc_invalid"
    bad = [*scope[:-1], "tomorrow"]
    assert console.refusal("enterprises", "admit", WORKSHOP, *bad) == ("schema_invalid", "to")


@pytest.mark.untraced
def test_a_system_is_registered_from_its_public_key_and_revoked(
    history: History, console: Console, tmp_path: Path
) -> None:
    del history
    file = tmp_path / "client.json"
    file.write_text(CLIENT_JWK, encoding="utf-8")
    added = console.json(
        "clients", "add", "hr", "--role", "enterprise", "--enterprises", FACTORY, "--jwk", file
    )
    assert (added["client"], added["role"]) == ("hr", "enterprise")
    again = ["clients", "add", "hr", "--role", "auditor", "--jwk", file]
    assert console.refusal(*again) == ("schema_invalid", "client")
    assert console.refusal("clients", "add", "x", "--role", "king", "--jwk", file) == (
        "schema_invalid",
        "role",
    )
    assert console.json("clients", "revoke", "hr") == {"client": "hr", "state": "revoked"}
    assert console.refusal("clients", "revoke", "nobody") == ("not_found", "client")


def test_a_platforms_secret_is_shown_once_and_replaced(history: History, console: Console) -> None:
    del history
    add = ["clients", "add", "lms", "--role", "platform", "--platform", "new_occupation", "--secret"]
    first = console.json(*add)["client_secret"]
    second = console.json("clients", "rotate-secret", "lms")["client_secret"]
    assert (len(first), len(second), first == second) == (43, 43, False)
    assert console.refusal("clients", "rotate-secret", "lms") == ("schema_invalid", "client")
    assert console.json("clients", "drop-secret", "lms") == {"client": "lms", "secrets": 1}


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"{}", b'{"kty": "oct", "k": "AAAA"}'])
def test_a_key_file_that_holds_no_public_key_registers_nobody(
    history: History, console: Console, tmp_path: Path, content: bytes | None
) -> None:
    del history
    file = tmp_path / "client.json"
    if content is not None:
        file.write_bytes(content)
    code, _ = console.refusal("clients", "add", "hr", "--role", "auditor", "--jwk", file)
    assert code in {"configuration_invalid", "key_refused"}
    assert console.refusal("clients", "revoke", "hr") == ("not_found", "client")


@pytest.mark.untraced
def test_a_question_is_listed_until_it_is_answered(history: History, console: Console) -> None:
    del history
    [question] = console.json("review", "list")["reviews"]
    assert question["kind"] == "name_mismatch"
    status, out, _ = console.run("review", "list")
    assert (status, question["review_id"] in out) == (0, True)
    close = ["review", "close", question["review_id"], "--reason", "核实", "--outcome"]
    assert console.refusal(*close, "keep") == ("review_state_refused", "outcome")
    assert console.json(*close, "same") == {"review": question["review_id"], "outcome": "same"}
    assert console.json("review", "list") == {"reviews": []}
    assert console.refusal(*close, "same") == ("review_state_refused", "review")


# --- learner show, explain


def look(console: Console, monkeypatch: pytest.MonkeyPatch, number: str, *more: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{number}\n"))
    monkeypatch.setattr("getpass.getuser", lambda: "zhao")
    return console.run("learner", "show", "--purpose", "本人查询，已核验身份证", *more)


def test_a_learner_is_shown_everything_and_who_looked_this_time_too(
    history: History, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    del history
    status, out, _ = look(console, monkeypatch, LI.id_number, "--json")
    assert status == 0
    shown = json.loads(out)
    assert LI.id_number not in out
    assert shown["id_number"] == f"{LI.id_number[:6]}********{LI.id_number[-4:]}"
    facts = {fact["kind"]: fact for fact in shown["facts"]}
    assert set(facts) == {"completion", "employment", "revocation"}
    assert facts["completion"]["holder"] == LI.name
    assert facts["completion"]["source"].startswith("delivery:china_vocational_training/")
    assert facts["employment"]["start"] == "2021-01-01"
    assert not {"content_digest", "learner_id"} & set(facts["completion"])
    assert [decision["state"] for decision in shown["decisions"]] == ["granted", "refused"]
    assert [len(decision["records"]) for decision in shown["decisions"]] == [1, 1]
    [seen] = shown["shown_to"]
    assert (seen["client_id"], seen["purpose"]) == ("clerk:zhao", "本人查询，已核验身份证")
    assert seen["recorded_at"] == shown["as_of"]
    status, out, _ = look(console, monkeypatch, LI.id_number)
    assert (status, out.count("clerk:zhao")) == (0, 2)


def test_of_an_unknown_number_nothing_is_told_and_nothing_is_logged(
    history: History, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, code in ((UNKNOWN.id_number, "not_found"), ("999901", "identifier_invalid")):
        status, out, err = look(console, monkeypatch, number, "--json")
        assert (status, out, json.loads(err)["code"]) == (2, "", code)
        assert number not in err
    with closing(sqlite3.connect(history.directory / "verifier.db")) as database:
        assert database.execute("select count(*) from disclosures").fetchall() == [(0,)]


def test_an_id_number_is_never_an_argument(
    history: History, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    del history
    assert "id_number" not in console.run("learner", "show", "--help")[1]
    assert look(console, monkeypatch, "", LI.id_number)[0] == 2
    assert look(console, monkeypatch, "", f"--id_number={LI.id_number}")[0] == 2


def test_a_decision_is_explained_clause_by_clause(
    history: History, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    del history
    _, out, _ = look(console, monkeypatch, WANG.id_number, "--json")
    [decision] = json.loads(out)["decisions"]
    [record] = decision["records"]
    explained = console.json("explain", record)
    assert (explained["decision"], explained["state"]) == (decision["decision"], "granted")
    assert {clause["outcome"]["answer"] for clause in explained["trace"]["clauses"]} == {"met"}
    status, text, _ = console.run("explain", decision["decision"])
    assert status == 0
    assert all(line in text for line in explained["explanation"])
    assert console.refusal("explain", "nothing") == ("not_found", "id")


# --- through the admin socket of a service in this process


async def test_a_failing_service_is_told_from_a_refusal(
    history: History,
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def broken(_self: Operations, _name: str, _parameters: Mapping[str, str]) -> dict[str, Any]:
        raise ValueError("999901199003070017")

    async with running(settings(history.directory, installation)):
        assert await asyncio.to_thread(main, ["review", "list"]) == 0
        monkeypatch.setattr(Operations, "run", broken)
        assert await asyncio.to_thread(main, ["review", "list", "--json"]) == 2
    assert json.loads(capsys.readouterr().err)["code"] == "internal"


@pytest.mark.parametrize(
    "call",
    ["", "[]", "{}", '{"operation": 1, "parameters": {}}', '{"operation": "x", "parameters": {"a": 1}}'],
)
async def test_the_socket_takes_only_named_operations_with_texts(
    history: History, installation: Installation, call: str
) -> None:
    chosen = settings(history.directory, installation)
    async with (
        running(chosen),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(chosen.admin_socket))) as session,
        session.post("http://admin/", data=call) as response,
    ):
        assert response.status == 400
        assert (await response.json())["code"] in {"json_invalid", "schema_invalid"}


def test_a_database_in_a_directory_that_is_not_there_is_refused(
    fresh: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert console.run("keys", "init")[0] == 0
    monkeypatch.setenv("VERIFIER_DATABASE_URL", f"sqlite+aiosqlite:///{fresh / 'no' / 'verifier.db'}")
    for arguments in (["db", "upgrade"], ["serve"]):
        status, out, err = console.run(*arguments)
        assert (status, out) == (2, "")
        assert "configuration_invalid" in err

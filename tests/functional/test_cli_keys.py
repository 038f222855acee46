"""``verifier keys`` and ``verifier register``, as an operator calls them."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import tomllib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests import certificates as made
from tests.functional.process import environment, running
from tests.functional.test_adoption import EARLY, LATE, SINCE, lived, source_files
from tests.functional.test_cli import Console
from tests.functional.world import Installation, World, over
from verifier.cli import entries, keys, previewing
from verifier.cli.sandbox import CVT, CVT_ISSUER, XZY
from verifier.model.decision import Entitlement, State
from verifier.model.person import LearnerId
from verifier.settings import from_environment
from verifier.store.engine import Database
from verifier.store.schema import upgrade
from verifier.store.store import Store

STOLEN = ("keys", "compromise", "cvt-2021", "--issuer", CVT_ISSUER, "--since", SINCE.isoformat())


@dataclass(frozen=True)
class Office:
    """An installation whose register may be changed.

    Attributes:
        learners: our ids of two people: one's completion came just before ``SINCE``, the other's at it.
    """

    directory: Path
    console: Console
    variables: dict[str, str]
    learners: tuple[str, str]

    @property
    def register(self) -> Path:
        return self.directory / "keys" / "trust.toml"

    def entry(self, table: str, holder: str, kind: str, name: str) -> dict[str, Any]:
        """One entry of the source form."""
        names = {"key": "kid", "anchor": "id", "transport": "key_id"}
        document = tomllib.loads(self.register.read_text(encoding="utf-8"))
        found = [
            one
            for each in document[table]
            if holder in {each.get("id"), each.get("slug")}
            for one in each.get(kind, [])
            if one[names[kind]] == name
        ]
        assert len(found) == 1
        return dict(found[0])

    def rows(self) -> dict[str, int]:
        """How many rows each table has."""
        with closing(sqlite3.connect(self.directory / "data" / "verifier.db")) as database:
            names = [
                name for (name,) in database.execute("select name from sqlite_master where type = 'table'")
            ]
            return {
                name: database.execute(f"select count(*) from {name}").fetchone()[0]  # noqa: S608 - our own names
                for name in names
            }

    def tree(self) -> dict[str, bytes]:
        """Every file beside the register."""
        keys = self.directory / "keys"
        return {
            path.relative_to(keys).as_posix(): path.read_bytes() for path in keys.rglob("*") if path.is_file()
        }

    def public_key(self, name: str = "new.pem") -> Path:
        """A file with a new key."""
        public = ec.generate_private_key(ec.SECP256R1()).public_key()
        file = self.directory / name
        file.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return file


async def live(directory: Path, installation: Installation) -> tuple[str, str]:
    database_url = f"sqlite+aiosqlite:///{directory}/verifier.db"
    database = Database(database_url)
    await database.write(upgrade)
    await database.close()
    world: World = await over(database_url, installation)
    try:
        await lived(world)
        (directory / "checkpoint.txt").write_bytes(world.kept.note)
        return await world.learner(EARLY), await world.learner(LATE)
    finally:
        await world.store.database.close()


@pytest.fixture(scope="module")
def past(
    tmp_path_factory: pytest.TempPathFactory, installation: Installation
) -> tuple[Path, tuple[str, str]]:
    """A database with two decisions, to be copied."""
    directory = tmp_path_factory.mktemp("past")
    learners = asyncio.run(live(directory, installation))
    return directory, learners


@pytest.fixture
def office(
    tmp_path: Path,
    past: tuple[Path, tuple[str, str]],
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Office:
    shutil.copytree(past[0], tmp_path / "data")
    shutil.copytree(installation.secrets_dir, tmp_path / "secrets")
    (tmp_path / "keys" / "issuers").mkdir(parents=True)
    for name, content in source_files(installation).items():
        (tmp_path / "keys" / name).write_bytes(content)
    variables = environment(tmp_path / "data", installation)
    variables["VERIFIER_REGISTER"] = str(tmp_path / "keys" / "trust.toml")
    variables["VERIFIER_SECRETS_DIR"] = str(tmp_path / "secrets")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Office(tmp_path, Console(capsys), variables, past[1])


# --- list


def test_every_key_is_listed_with_state_and_fingerprint(office: Office) -> None:
    found = office.console.json("keys", "list")
    cvt = next(one for one in found["issuers"] if one["issuer"] == CVT_ISSUER)
    assert [(key["key"], key["state"]) for key in cvt["keys"]] == [
        ("cvt-2019", "retired"),
        ("cvt-2021", "active"),
    ]
    status, out, err = office.console.run("keys", "list")
    assert (status, err) == (0, "")
    assert cvt["keys"][1]["spki_sha256"] in out
    assert "cvt-hmac  secret  active" in out


def test_a_register_that_cannot_be_read_lists_nothing(office: Office) -> None:
    office.register.write_text("[[platform]]\n", encoding="utf-8")
    assert office.console.refusal("keys", "list") == ("configuration_invalid", "platform[0].recognised")


# --- a dry run of any of them


def dry_runs(office: Office) -> dict[str, tuple[object, ...]]:
    new = office.public_key()
    issuer, platform = ("--issuer", CVT_ISSUER), ("--platform", CVT)
    moment = "2021-06-01T00:00:00+08:00"
    return {
        "enrol": ("keys", "enrol", "n", *issuer, "--algorithm", "ES256", "--file", new),
        "rotate": (
            *("keys", "rotate", "cvt-2021", *issuer, "--new", "n", "--file", new),
            *("--old-until", moment, "--from", moment),
        ),
        "retire": ("keys", "retire", "cvt-hmac", *platform, "--at", moment),
        "compromise": STOLEN,
        "adopt": ("register", "adopt"),
    }


@pytest.mark.parametrize("command", ["enrol", "rotate", "retire", "compromise", "adopt"])
def test_without_apply_nothing_is_written_anywhere(office: Office, command: str) -> None:
    rows, tree = office.rows(), office.tree()
    data = sorted(path.name for path in (office.directory / "data").iterdir())
    arguments = dry_runs(office)[command]
    answer = office.console.json(*arguments)
    assert answer["applied"] is False
    assert answer["dry_run"]["judged"] == 2
    status, out, err = office.console.run(*arguments)
    assert (status, err) == (0, "")
    assert "nothing was written" in out
    assert (office.rows(), office.tree()) == (rows, tree)
    after = {path.name for path in (office.directory / "data").iterdir()}
    assert after - set(data) <= {"verifier.db-shm", "verifier.db-wal"}


def test_a_compromise_is_tried_on_everyone_and_lists_whom_it_reaches(office: Office) -> None:
    answer = office.console.json(*STOLEN)
    tried = answer["dry_run"]
    assert list(tried)[:3] == ["judged", "would_change", "changes"]
    assert (tried["judged"], tried["would_change"], tried["changes"]) == (2, 1, {"granted -> refused": 1})
    [change] = tried["decisions"]
    assert (change["learner"], change["from"], change["to"]) == (office.learners[1], "granted", "refused")
    assert [line for line in answer["source_form"] if line[0] in "+-"] == [
        '-state = "active"',
        '+state = "compromised"',
        "+compromised_since = 2021-07-02T04:00:00Z",
    ]
    assert answer["key"]["state"] == "compromised"
    status, out, _ = office.console.run(*STOLEN)
    assert f"{change['decision']}  {change['learner']}  granted -> refused" in out
    assert "granted -> refused: 1" in out
    for secret in (EARLY.name, LATE.name, EARLY.id_number, LATE.id_number):
        assert secret not in out + json.dumps(answer, ensure_ascii=False)
    assert status == 0


def test_a_long_list_is_cut_short_for_people_only(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previewing, "SHOWN", 0)
    status, out, _ = office.console.run(*STOLEN)
    assert (status, "--json" in out, office.learners[1] in out) == (0, True, False)
    assert len(office.console.json(*STOLEN)["dry_run"]["decisions"]) == 1


def test_a_terminal_is_shown_how_far_it_is(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    _, _, err = office.console.run(*STOLEN)
    assert "试算 · tried on 2" in err
    del capsys


def test_before_there_is_a_database_nobody_is_reached(office: Office) -> None:
    data = office.directory / "data"
    for path in data.iterdir():
        if path.name.startswith("verifier.db"):
            path.unlink()
    answer = office.console.json(*STOLEN)
    assert (answer["dry_run"]["judged"], answer["dry_run"]["in_force"]) == (0, None)
    assert not (data / "verifier.db").exists()


def test_before_anything_was_adopted_the_policy_is_read_from_its_file(office: Office) -> None:
    with closing(sqlite3.connect(office.directory / "data" / "verifier.db")) as database:
        database.execute("delete from adoptions")
        database.commit()
    tried = office.console.json("register", "adopt")["dry_run"]
    assert (tried["judged"], tried["would_change"], tried["in_force"]) == (2, 0, None)


# --- writing the source form


@pytest.mark.untraced
def test_a_compromise_is_written_and_counts_once_it_is_adopted(office: Office) -> None:
    written = office.console.json(*STOLEN, "--apply")
    assert written["applied"] is True
    assert "dry_run" not in written
    entry = office.entry("issuer", CVT_ISSUER, "key", "cvt-2021")
    assert (entry["state"], entry["compromised_since"]) == ("compromised", SINCE)
    tried = office.console.json("register", "adopt")["dry_run"]
    assert tried["register"] != tried["in_force"]
    assert [one["learner"] for one in tried["decisions"]] == [office.learners[1]]
    adopted = office.console.json("register", "adopt", "--apply")
    assert (adopted["adopted"], adopted["register"]) == (True, tried["register"])
    status, out, _ = office.console.run("register", "adopt", "--apply")
    assert (status, "adopted: False" in out) == (0, True)
    assert office.console.json("register", "adopt")["dry_run"]["in_force"] == tried["register"]


def test_a_running_service_takes_it_up_through_its_socket(office: Office) -> None:
    settings = from_environment(office.variables)

    async def scenario() -> None:
        async with running(settings) as (service, _):
            status, out, err = await asyncio.to_thread(office.console.run, *STOLEN, "--apply")
            assert (status, err) == (0, "")
            assert "verifier register adopt" in out
            before = service.rules.register.digest
            status, out, err = await asyncio.to_thread(
                office.console.run, "register", "adopt", "--apply", "--json"
            )
            assert (status, err) == (0, "")
            answer = json.loads(out)
            assert (answer["before"], answer["register"]) == (before, service.rules.register.digest)
            assert before != service.rules.register.digest
            await judged(service.store)

    async def judged(store: Store) -> None:
        late = LearnerId(office.learners[1])
        for _ in range(500):
            found = await store.previewing(lambda tx: tx.latest({late}, Entitlement("online-training-month")))
            if found[late].state is State.REFUSED:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("nobody was judged again")

    asyncio.run(scenario())


def test_a_service_that_reads_another_register_does_not_adopt_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = from_environment(office.variables)
    other = office.directory / "other"
    (other / "issuers").mkdir(parents=True)
    for name, content in office.tree().items():
        (other / name).write_bytes(content + b"\n" if name == "trust.toml" else content)
    monkeypatch.setenv("VERIFIER_REGISTER", str(other / "trust.toml"))

    async def scenario() -> None:
        async with running(settings):
            status, out, err = await asyncio.to_thread(
                office.console.run, "register", "adopt", "--apply", "--json"
            )
            assert (status, out) == (2, "")
            assert json.loads(err)["pointer"] == "register"

    asyncio.run(scenario())


@pytest.mark.untraced
def test_a_key_is_enrolled_with_its_file(office: Office) -> None:
    new = office.public_key()
    moment = "2021-06-01T00:00:00+08:00"
    answer = office.console.json(
        *("keys", "enrol", "cvt-2022", "--issuer", CVT_ISSUER, "--algorithm", "ES256", "--file", new),
        *("--from", moment, "--encoding", "raw+base64", "--apply"),
    )
    assert office.entry("issuer", CVT_ISSUER, "key", "cvt-2022") == {
        "kid": "cvt-2022",
        "algorithm": "ES256",
        "encoding": "raw+base64",
        "file": "new.pem",
        "state": "active",
        "not_before": datetime.fromisoformat(moment),
    }
    assert (office.directory / "keys" / "issuers" / "new.pem").read_bytes() == new.read_bytes()
    assert answer["files"] == ["issuers/new.pem"]
    assert answer["key"]["spki_sha256"] in office.console.run("keys", "list")[1]


def test_a_new_issuer_is_enrolled_with_its_first_anchor(office: Office) -> None:
    root = made.root()
    certificate, revocations = office.directory / "root.pem", office.directory / "root.crl"
    certificate.write_bytes(root.pem)
    revocations.write_bytes(made.crl(root))
    office.console.json(
        *("keys", "enrol", "ca-1", "--issuer", "urn:new", "--anchor", "--number-scope", "new numbers"),
        *("--platforms", f"{CVT}, {XZY}", "--algorithm", "ES256", "--file", certificate),
        *("--crl", revocations, "--leaf-subject", "CN=甲,C=CN", "--until", "2099-01-01T00:00:00Z", "--apply"),
    )
    entry = office.entry("issuer", "urn:new", "anchor", "ca-1")
    assert (entry["crls"], entry["leaf_subject"], entry["state"]) == (["root.crl"], "CN=甲,C=CN", "retiring")
    [*_, issuer] = office.console.json("keys", "list")["issuers"]
    assert (issuer["number_scope"], issuer["platforms"]) == ("new numbers", [CVT, XZY])
    assert issuer["anchors"][0]["certificate_sha256"].replace(" ", "") == sha256(root.der).hexdigest()


def test_an_anchor_is_rotated_with_its_subject_and_the_word_on_its_lists(office: Office) -> None:
    for name, kind in (("one", made.Kind.P256), ("two", made.Kind.SM2)):
        (office.directory / f"{name}.pem").write_bytes(made.root(name, kind=kind).pem)
    anchor = ("--issuer", CVT_ISSUER, "--anchor")
    office.console.json(
        *("keys", "enrol", "ca-1", *anchor, "--algorithm", "ES256", "--file", office.directory / "one.pem"),
        *("--unpublished", "--leaf-subject", "CN=甲", "--apply"),
    )
    office.console.json(
        *("keys", "rotate", "ca-1", *anchor, "--new", "ca-2", "--file", office.directory / "two.pem"),
        *("--algorithm", "SM3withSM2", "--sm2-id", "empty", "--old-until", "2099-01-01T00:00:00Z", "--apply"),
    )
    fresh = office.entry("issuer", CVT_ISSUER, "anchor", "ca-2")
    assert (fresh["leaf_subject"], fresh["revocation"], fresh["sm2_id"]) == ("CN=甲", "unpublished", "empty")
    assert office.entry("issuer", CVT_ISSUER, "anchor", "ca-1")["state"] == "retiring"


def test_a_key_is_rotated_with_an_end_for_the_old_one(office: Office) -> None:
    office.console.json(
        *("keys", "rotate", "cvt-2021", "--issuer", CVT_ISSUER, "--new", "cvt-2022"),
        *("--file", office.public_key(), "--old-until", "2021-06-01T00:00:00+08:00", "--apply"),
    )
    old, new = (office.entry("issuer", CVT_ISSUER, "key", name) for name in ("cvt-2021", "cvt-2022"))
    assert (old["state"], old["not_after"]) == ("retired", datetime(2021, 5, 31, 16, tzinfo=UTC))
    assert (new["state"], new["algorithm"]) == ("active", "ES256")
    assert abs(new["not_before"] - datetime.now(UTC)) < timedelta(minutes=5)


def test_a_transport_secret_is_enrolled_and_rotated_by_name(office: Office) -> None:
    for number in (1, 2):
        file = office.directory / "secrets" / f"fresh-{number}"
        file.write_bytes(sha256(b"%d" % number).hexdigest().encode())
        file.chmod(0o600)
    platform = ("--platform", CVT)
    answer = office.console.json(
        "keys", "enrol", "x-1", *platform, "--secret", "fresh-1", "--legacy", "MD5", "--apply"
    )
    assert (answer["key"]["kind"], answer["key"]["legacy"]) == ("secret", "MD5")
    office.console.json(
        *("keys", "rotate", "x-1", *platform, "--new", "x-2", "--secret", "fresh-2"),
        *("--old-until", "2099-01-01T00:00:00Z", "--apply"),
    )
    assert office.entry("platform", CVT, "transport", "x-2")["legacy"] == "MD5"
    assert "not_after" in office.entry("platform", CVT, "transport", "x-1")
    office.console.json("keys", "retire", "x-2", *platform, "--at", "2099-01-01T00:00:00Z", "--apply")
    assert "state" not in office.entry("platform", CVT, "transport", "x-2")


def test_a_transport_key_is_rotated_to_a_public_one(office: Office) -> None:
    office.console.json(
        *("keys", "rotate", "cvt-ed25519", "--platform", CVT, "--new", "x", "--file", office.public_key()),
        *("--algorithm", "ES256", "--old-until", "2099-01-01T00:00:00Z", "--until", "2099-02-01T00:00:00Z"),
        "--apply",
    )
    entry = office.entry("platform", CVT, "transport", "x")
    assert (entry["public_key"], entry["algorithm"]) == ("new.pem", "ES256")
    assert entry["not_after"] == datetime(2099, 2, 1, tzinfo=UTC)


def test_a_file_that_stands_there_already_is_used_and_never_replaced(office: Office) -> None:
    there = office.directory / "keys" / "issuers" / "new.pem"
    new = office.public_key()
    there.write_bytes(new.read_bytes())
    enrol = ("keys", "enrol", "n", "--issuer", CVT_ISSUER, "--algorithm", "ES256", "--file")
    assert office.console.json(*enrol, there)["files"] == []
    assert office.console.json(*enrol, new)["files"] == []
    assert office.console.refusal(*enrol, office.public_key()) == ("configuration_invalid", "file")
    spaced = office.public_key("a key.pem")
    assert office.console.refusal(*enrol, spaced) == ("configuration_invalid", "file")
    assert office.console.refusal(*enrol, office.directory / "none.pem")[0] == "configuration_invalid"


ISSUER = ("--issuer", CVT_ISSUER)


@pytest.mark.parametrize(
    ("arguments", "code", "pointer"),
    [
        (("retire", "nobody", *ISSUER), "configuration_invalid", "kid"),
        (("retire", "cvt-2021", "--issuer", "nobody"), "configuration_invalid", "kid"),
        (("retire", "cvt-2021", *ISSUER, "--at", "2021-01-01"), "configuration_invalid", "at"),
        (("retire", "cvt-2021", *ISSUER, "--at", "soon"), "configuration_invalid", "at"),
        (("retire", "cvt-2021", *ISSUER, "--at", "2020-01-01T00:00:00Z"), "configuration_invalid", ""),
        (("retire", "cvt-hmac", "--platform", CVT, "--anchor"), "configuration_invalid", "anchor"),
        (("compromise", "cvt-hmac", "--platform", CVT, "--since", "2021-01-01T00:00:00Z"), "", "platform"),
        (("compromise", "cvt-2021", *ISSUER, "--since", "2999-01-01T00:00:00Z"), "", "since"),
        (("enrol", "n", "--platform", CVT, "--number-scope", "x"), "configuration_invalid", "platform"),
        (("enrol", "n", "--issuer", "urn:new", "--number-scope", "x"), "configuration_invalid", ""),
        (("enrol", "n", "--issuer", "urn:new", "--platforms", CVT), "configuration_invalid", ""),
        (("enrol", "n", *ISSUER), "configuration_invalid", ""),
        (("rotate", "n", *ISSUER, "--new", "m", "--old-until", "2021-01-01T00:00:00Z"), "", "key"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    office: Office, arguments: tuple[str, ...], code: str, pointer: str
) -> None:
    tree = office.tree()
    found = office.console.refusal("keys", *arguments)
    assert found[0] == (code or "configuration_invalid")
    assert not pointer or found[1] == pointer
    assert office.console.run("keys", *arguments, "--apply")[0] == 2
    assert office.tree() == tree


def test_two_people_do_not_undo_each_others_changes(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    original: Callable[..., None] = entries.compromise

    def meanwhile(*arguments: Any) -> None:
        original(*arguments)
        office.register.write_bytes(office.register.read_bytes() + b"# somebody else\n")

    command = keys.change

    async def change(settings: Any, arguments: Any) -> int:
        arguments.edit = meanwhile
        return await command(settings, arguments)

    monkeypatch.setattr(keys, "change", change)
    status, _, err = office.console.run(*STOLEN, "--apply")
    assert (status, "somebody else changed" in err) == (2, True)
    assert office.entry("issuer", CVT_ISSUER, "key", "cvt-2021")["state"] == "active"


def test_a_directory_that_cannot_be_written_to_is_said(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("verifier.kept.replace", fails)
    assert office.console.run(*STOLEN, "--apply")[0] == 2
    assert office.entry("issuer", CVT_ISSUER, "key", "cvt-2021")["state"] == "active"

"""An audit pack is checked by a script that knows nothing of the service; what is edited in it is found."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import random
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.functional import packs
from tests.functional.packs import CHECKER, Opened, Trust, check, history, pack, run, trust
from tests.functional.world import BY_SLUG, FACTORY, ORIGIN, WORKSHOP, Installation, World, over
from verifier import ledger
from verifier.errors import Code, RequestRejected, Unavailable
from verifier.originals import Originals
from verifier.pack_plan import Part
from verifier.preparing import HERE
from verifier.store.access import Access
from verifier.store.packing import Packing


@dataclass(frozen=True)
class Case:
    """A pack of a whole ledger, one of an enterprise, and what the auditor knows from elsewhere.

    Attributes:
        database: to be copied by whoever changes something.
    """

    database: Path
    whole: bytes
    narrowed: bytes
    trust: Trust
    newest: bytes


@pytest.fixture(scope="module")
def case(sqlite_pattern: Path, installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Case:
    path = tmp_path_factory.mktemp("pack") / "history.db"
    shutil.copyfile(sqlite_pattern, path)

    async def write() -> Case:
        world = await over(f"sqlite+aiosqlite:///{path}", installation)
        earlier = await history(world)
        last = await packs.size(world) - 1
        made = Case(
            path,
            await pack(world),
            await pack(world, Part(0, last, enterprise=WORKSHOP)),
            trust(world, earlier),
            world.kept.note,
        )
        await world.store.database.close()
        return made

    return asyncio.run(write())


@pytest.fixture
async def again(case: Case, installation: Installation, tmp_path: Path) -> AsyncIterator[World]:
    """The same history in a database of its own."""
    copy = tmp_path / "again.db"
    shutil.copyfile(case.database, copy)
    world = await over(f"sqlite+aiosqlite:///{copy}", installation)
    yield world
    await world.store.database.close()


def test_a_pack_checks_out_and_says_what_it_could_not_check(case: Case, tmp_path: Path) -> None:
    answer = check(tmp_path, case.whole, case.trust)
    assert answer.told["findings"] == []
    assert answer.status == 0
    assert answer.told["narrowed"] is False
    assert answer.told["checked"]["record"] == 9
    assert answer.told["checked"]["payment"] == 7
    assert answer.told["checked"]["outcome"] == 1
    assert answer.told["checked"]["certificate jws"] >= 5
    assert answer.told["not_checked"] == {
        "encrypted_member": 0,
        "certificate jws+x5c": 1,
        "certificate pdf": 1,
    }
    assert answer.told["rosters_as_stated"]["listed"] >= 4
    assert answer.told["rosters_as_stated"]["withdrawn"] == 1


def test_without_the_auditors_key_the_encrypted_part_counts_as_not_checked(
    case: Case, tmp_path: Path
) -> None:
    answer = check(tmp_path, case.whole, case.trust, private=False)
    assert (answer.status, answer.told["findings"]) == (0, [])
    assert answer.told["not_checked"] == {"encrypted_member": 1}
    assert "payment" not in answer.told["checked"]


def test_a_pack_of_one_enterprise_shows_of_the_rest_only_hashes(case: Case, tmp_path: Path) -> None:
    answer = check(tmp_path, case.narrowed, case.trust)
    assert (answer.status, answer.told["findings"]) == (0, [])
    assert answer.told["narrowed"] is True
    assert answer.told["not_checked"]["entry_as_hash_alone"] > 10
    assert answer.told["checked"]["record"] == 2
    opened = Opened.of(case.narrowed)
    everything = json.dumps(opened.sealed, ensure_ascii=False) + opened.members["evidence.ndjson"].decode()
    assert packs.SUN.name in _disclosed(opened)
    assert packs.LI.name not in _disclosed(opened)
    assert FACTORY not in everything


def _disclosed(opened: Opened) -> str:
    found = [text for one in opened.sealed if one["is"] == "disclosures" for text in one["disclosures"]]
    return "".join(base64.urlsafe_b64decode(text + "==").decode() for text in found)


def test_nothing_personal_stands_outside_the_encrypted_part(case: Case) -> None:
    opened = Opened.of(case.whole)
    for name, content in opened.members.items():
        for one in packs.PEOPLE:
            assert one.name.encode() not in content, name
            assert one.id_number.encode() not in content, name
        assert b"N-1" not in content, name
        assert b"pay-" not in content, name


# --- trust from outside


@pytest.mark.parametrize(
    "lacking",
    [{"ledger_key": ""}, {"record_keys": ()}, {"checkpoint": b""}],
    ids=["ledger", "records", "checkpoint"],
)
def test_without_trust_from_outside_nothing_is_ever_said_to_be_right(
    case: Case, tmp_path: Path, lacking: dict[str, Any]
) -> None:
    answer = check(tmp_path, case.whole, replace(case.trust, **lacking))
    assert (answer.status, answer.told) == (2, {})
    assert "from outside" in answer.stderr


def test_a_witness_stands_in_for_an_earlier_checkpoint(case: Case, tmp_path: Path) -> None:
    witness = Ed25519PrivateKey.generate()
    vkey = _witness_key("witness.invalid/w", witness)
    given = replace(case.trust, checkpoint=b"")
    bare = check(tmp_path, case.whole, given, "--witness", vkey)
    assert (bare.status, bare.kinds) == (1, {"not_witnessed"})
    opened = Opened.of(case.whole)
    opened.members["checkpoint.txt"] += _cosigned(
        opened.members["checkpoint.txt"], "witness.invalid/w", witness
    )
    assert check(tmp_path, opened.together(), given, "--witness", vkey).kinds == set()
    other = _witness_key("witness.invalid/w", Ed25519PrivateKey.generate())
    assert check(tmp_path, opened.together(), given, "--witness", other).kinds == {"not_witnessed"}


def _witness_key(name: str, key: Ed25519PrivateKey) -> str:
    raw = b"\x04" + key.public_key().public_bytes_raw()
    key_id = sha256(f"{name}\n".encode() + raw).digest()[:4].hex()
    return f"{name}+{key_id}+{base64.b64encode(raw).decode()}"


def _cosigned(note: bytes, name: str, key: Ed25519PrivateKey) -> bytes:
    text = note.rpartition(b"\n\n")[0] + b"\n"
    moment = 1_700_000_000
    signature = key.sign(f"cosignature/v1\ntime {moment}\n".encode() + text)
    raw = bytes.fromhex(_witness_key(name, key).split("+")[1]) + moment.to_bytes(8) + signature
    return f"— {name} {base64.b64encode(raw).decode()}\n".encode()


def test_a_wrong_fingerprint_is_a_finding(case: Case, tmp_path: Path) -> None:
    stranger = ledger.verifier_key(ORIGIN, Ed25519PrivateKey.generate().public_key())
    answer = check(tmp_path, case.whole, replace(case.trust, ledger_key=stranger))
    assert answer.status == 1
    assert {"checkpoint_not_signed", "checkpoint_differs"} <= answer.kinds
    answer = check(tmp_path, case.whole, replace(case.trust, record_keys=("00" * 32,)))
    assert (answer.status, "key_not_trusted" in answer.kinds) == (1, True)


def test_a_checkpoint_that_the_log_does_not_continue_is_a_finding(case: Case, tmp_path: Path) -> None:
    other = ledger.checkpoint_body(ORIGIN, 5, b"r" * 32)
    note = ledger.sign_note(other, ORIGIN, Ed25519PrivateKey.generate())
    answer = check(tmp_path, case.whole, replace(case.trust, checkpoint=note))
    assert (answer.status, answer.kinds) == (1, {"checkpoint_differs"})


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_pack_is_not_said_to_be_right(case: Case, tmp_path: Path, content: bytes) -> None:
    assert check(tmp_path, content, case.trust).status in {1, 2}


def test_a_file_that_is_not_there_cannot_be_checked(tmp_path: Path) -> None:
    arguments = ["--ledger-key", "a+b+c", "--record-key", "x", "--checkpoint", str(tmp_path / "none")]
    assert run([str(tmp_path / "none.zip"), *arguments]).status == 2
    assert run([]).status == 2


# --- whatever is edited


def entries(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[Opened], None]:
    return lambda opened: opened.edit("entries.ndjson", change)


def signed(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[Opened], None]:
    return lambda opened: opened.edit("signed.ndjson", change)


def evidence(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[Opened], None]:
    return lambda opened: opened.edit("evidence.ndjson", change)


def sealed(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[Opened], None]:
    return lambda opened: opened.edit("sealed", change)


def first(lines: list[dict[str, Any]], **members: Any) -> dict[str, Any]:
    return next(one for one in lines if members.items() <= one.items())


def without(**members: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda lines: lines.remove(first(lines, **members))


def setting(of: dict[str, Any], **members: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda lines: first(lines, **of).update(members)


def swapped_certificates(lines: list[dict[str, Any]]) -> None:
    one, other = [line for line in lines if line["is"] == "certificate" and line.get("kind") == "jws"][:2]
    one["jws"], other["jws"] = other["jws"], one["jws"]


def swapped_disclosures(lines: list[dict[str, Any]]) -> None:
    one, other = [line for line in lines if line["is"] == "disclosures"][:2]
    one["disclosures"], other["disclosures"] = other["disclosures"], one["disclosures"]


def back_dated(lines: list[dict[str, Any]]) -> None:
    row = first(lines, table="facts")["row"]
    row["recorded_at"] -= 86_400_000_000


def hidden_member(opened: Opened) -> None:
    del opened.members["signed.ndjson"]


def shorter_log(opened: Opened) -> None:
    opened.members["leaves.bin"] = opened.members["leaves.bin"][:-32]


def broken_signature(lines: list[dict[str, Any]]) -> None:
    record = first(lines, **{"is": "record"})
    head, _, signature = record["jws"].rpartition(".")
    record["jws"] = f"{head}.{signature[:-20]}{'A' * 20}"


EDITS: dict[str, tuple[Callable[[Opened], None], set[str]]] = {
    "an entry edited": (entries(setting({"kind": "record"}, office="652302")), {"entry_altered"}),
    "an entry left out": (entries(without(kind="evidence")), {"entry_missing"}),
    "a claim left out": (entries(without(kind="claim", step="claim")), {"entry_missing"}),
    "a clawback left out": (entries(without(kind="clawback")), {"entry_missing", "clawback_missing"}),
    "a record left out": (signed(without(**{"is": "record"})), {"record_missing"}),
    "an outcome left out": (signed(without(**{"is": "outcome"})), {"record_missing"}),
    "an outcome for a record": (signed(setting({"is": "outcome"}, **{"is": "record"})), {"key_not_trusted"}),
    "a record's signature edited": (signed(broken_signature), {"signature_invalid"}),
    "the status lists left out": (signed(without(**{"is": "status"})), {"malformed"}),
    "a row edited": (sealed(back_dated), {"row_altered"}),
    "a row left out": (sealed(without(**{"is": "row", "table": "facts"})), {"row_missing", "fact_missing"}),
    "a decision left out": (evidence(without(**{"is": "row", "table": "decisions"})), {"row_missing"}),
    "a digest left out": (
        evidence(lambda lines: first(lines, **{"is": "root"})["digests"].pop()),
        {"evidence_altered"},
    ),
    "certificates swapped": (sealed(swapped_certificates), {"certificate_disagrees"}),
    "a certificate left out": (sealed(without(**{"is": "certificate"})), {"malformed"}),
    "disclosures of somebody else": (
        sealed(swapped_disclosures),
        {"disclosure_altered"},
    ),
    "a payment of another reference": (
        sealed(setting({"is": "payment"}, payment_reference="pay-else")),
        {"payment_disagrees"},
    ),
    "a payment left out": (sealed(without(**{"is": "payment"})), {"malformed"}),
    "a member left out": (hidden_member, {"malformed", "record_missing"}),
    "leaf hashes left out": (shorter_log, {"leaf_hashes_missing", "checkpoint_differs"}),
    "the range shortened past the log": (
        lambda opened: opened.manifest.update(last=10_000),
        {"range_invalid"},
    ),
}


@pytest.mark.untraced
@pytest.mark.parametrize("what", EDITS)
def test_an_edit_inside_a_rebuilt_pack_is_found(case: Case, tmp_path: Path, what: str) -> None:
    edit, expected = EDITS[what]
    opened = Opened.of(case.whole)
    edit(opened)
    answer = check(tmp_path, opened.together(), case.trust)
    assert answer.status == 1
    assert expected <= answer.kinds
    for one in packs.PEOPLE:
        assert one.id_number not in json.dumps(answer.told)


def test_a_pack_put_together_again_unedited_has_no_findings(case: Case, tmp_path: Path) -> None:
    assert check(tmp_path, Opened.of(case.whole).together(), case.trust).kinds == set()


def test_a_forged_log_signed_by_another_key_is_found(case: Case, tmp_path: Path) -> None:
    """Everything is in order, and the checkpoint bears the ledger's name, but another key's signature."""
    opened = Opened.of(case.whole)
    text = opened.members["checkpoint.txt"].rpartition(b"\n\n")[0] + b"\n"
    opened.members["checkpoint.txt"] = ledger.sign_note(text, ORIGIN, Ed25519PrivateKey.generate())
    answer = check(tmp_path, opened.together(), case.trust)
    assert (answer.status, "checkpoint_not_signed" in answer.kinds) == (1, True)


@pytest.mark.untraced
async def test_a_history_written_anew_under_the_same_keys_does_not_continue_the_checkpoint(
    case: Case, world: World, tmp_path: Path
) -> None:
    earlier = await history(world)
    anew = await pack(world)
    assert check(tmp_path, anew, trust(world, earlier)).kinds == set()
    answer = check(tmp_path, anew, trust(world, case.newest))
    assert (answer.status, answer.kinds) == (1, {"checkpoint_differs"})


@pytest.mark.untraced
async def test_a_month_claimed_twice_and_a_payment_without_a_claim_are_found(
    case: Case, again: World, tmp_path: Path
) -> None:
    """A service that was made to lie signs what it should have refused; its own entries convict it."""
    record = (await packs.granted(again))["N-5"]
    for claim, step in (("f" * 32, "claim"), ("e" * 32, "paid")):
        said = {"claim": claim, "step": step, "record": record, "office": "652301", "month": "2021-03"}
        await again.store.operating(partial(_announced, said, again.now))
    await again.settle()
    answer = check(tmp_path, await pack(again), case.trust, private=False)
    assert {"month_claimed_twice", "claim_step_refused"} <= answer.kinds


def _announced(said: dict[str, str], at: datetime, tx: Access) -> None:
    tx.announce("claim", said["claim"], said, at)


async def test_what_retention_emptied_is_counted_and_is_no_finding(
    case: Case, again: World, tmp_path: Path
) -> None:
    await again.sql("update documents set sealed_content = null")
    answer = check(tmp_path, await pack(again), case.trust)
    assert answer.told["findings"] == []
    assert answer.told["not_checked"]["certificate document_emptied"] == 1
    await again.sql("update deliveries set sealed_body = null")
    answer = check(tmp_path, await pack(again), case.trust)
    assert answer.told["findings"] == []
    assert answer.told["not_checked"]["certificate delivery_emptied"] >= 7
    assert "certificate jws" not in answer.told["checked"]


async def test_what_was_erased_is_counted_and_is_no_finding(case: Case, again: World, tmp_path: Path) -> None:
    who = await again.learner(packs.SUN)
    await again.sql("update learners set sealed_key = null where learner_id = :who", who=who)
    raw = await pack(again)
    assert Opened.of(raw).manifest["counts"]["missing"] == {"disclosures_erased": 1}
    answer = check(tmp_path, raw, case.trust)
    assert answer.told["findings"] == []
    assert answer.told["not_checked"]["certificate of_somebody_erased"] == 1


async def test_a_status_that_the_ledger_contradicts_is_found(
    case: Case, again: World, tmp_path: Path
) -> None:
    """A revoked record is shown valid, by a status list that the service signed."""
    await again.sql("update status_entries set status = 0")
    again.now += packs.LONGER_THAN_A_LIST
    await again.issue()
    answer = check(tmp_path, await pack(again), case.trust, private=False)
    assert answer.kinds == {"status_disagrees"}


async def test_a_row_removed_from_the_database_shows_in_the_pack(
    case: Case, again: World, tmp_path: Path
) -> None:
    await again.sql("delete from reviews")
    await again.sql("delete from rosters")
    assert check(tmp_path, await pack(again), case.trust).kinds == {"row_missing"}


async def test_a_part_of_the_ledger_brings_along_what_its_payments_stand_on(
    case: Case, again: World, tmp_path: Path
) -> None:
    """Claims and payments alone, whose records, decisions and facts came before."""
    size = await packs.size(again)
    first = next(entry["index"] for entry in await again.entries("claim"))
    raw = await pack(again, Part(first, size - 1))
    answer = check(tmp_path, raw, case.trust)
    assert (answer.told["findings"], answer.told["first"]) == ([], first)
    assert answer.told["checked"]["payment"] == 7
    assert answer.told["checked"]["certificate jws"] >= 4


async def test_a_pack_is_not_made_while_the_issuer_is_behind(again: World) -> None:
    await again.sql("update evidence set position = null where source_table = 'decisions'")
    with pytest.raises(Unavailable) as refused:
        await packs.plan(again, Part(0, 5))
    assert refused.value.code is Code.OVERLOADED


async def test_a_checkpoint_and_status_lists_that_never_belong_together_are_not_taken(
    again: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter(range(1000))
    monkeypatch.setattr(Packing, "_checkpoint", lambda _: b"%d" % next(moments))
    with pytest.raises(Unavailable) as refused:
        await packs.plan(again, Part(0, 5))
    assert refused.value.code is Code.OVERLOADED


async def test_of_an_empty_ledger_there_is_no_pack(small_world: World) -> None:
    with pytest.raises(RequestRejected):
        await packs.plan(small_world, Part(0, 0))


async def test_a_certificate_that_cannot_be_found_any_more_is_counted_with_its_reason(
    case: Case, again: World, tmp_path: Path
) -> None:
    unread = Originals({}, HERE.read, again.keys.digest)
    other = Originals(BY_SLUG, HERE.read, lambda _purpose, _data: b"another key's")
    for found, reason in ((unread, "platform_unknown"), (other, "not_in_delivery")):
        answer = check(tmp_path, await pack(again, found=found), case.trust)
        assert answer.told["findings"] == []
        assert answer.told["not_checked"][f"certificate {reason}"] >= 7


# --- the script itself


def test_a_cryptography_that_is_too_old_is_told_and_is_no_finding(case: Case, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.modules['cryptography.hazmat.primitives.hpke'] = None\n"
    )
    pack_file, private = tmp_path / "pack.zip", tmp_path / "private.pem"
    pack_file.write_bytes(case.whole)
    private.write_bytes(b"not looked at")
    outside = ["--ledger-key", case.trust.ledger_key, "--record-key", case.trust.record_keys[0]]
    done = subprocess.run(
        [sys.executable, CHECKER, pack_file, *outside, "--witness", "x", "--private-key", private],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "ModuleNotFoundError" in done.stderr


def test_the_checker_stays_short_and_knows_nothing_of_the_service() -> None:
    source = CHECKER.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 300
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add((node.module or "").partition(".")[0])
    standard = {
        "__future__", "argparse", "base64", "collections", "datetime", "functools", "hashlib", "itertools",
        "json", "pathlib", "tomllib", "typing", "zipfile", "zlib",
    }  # fmt: skip
    assert found == standard | {"cryptography"}


def test_a_random_edit_of_what_the_pack_carries_is_found(case: Case, tmp_path: Path) -> None:
    """One character of one value, somewhere, in a pack that is put together again."""
    seed = random.randrange(1 << 32)  # noqa: S311 - to be printed, not to be secret
    drawn = random.Random(seed)  # noqa: S311 - to be drawn again, not to be secret
    for number in range(packs.RANDOM_EDITS):
        opened = Opened.of(case.whole)
        where = packs.edit_somewhere(opened, drawn)
        found = packs.inspected(tmp_path, opened.together(), case.trust)
        assert found, f"seed {seed}, edit {number}: {where} was not found"

"""``verify FILE``: every kind by its content, every option, every nonsense; no better than what was given."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.functional.world import FACTORY, ORIGIN, Installation, over
from verifier import cosigning, keyfiles, ledger, merkle, notes, signed_file, verifying
from verifier.cli import main
from verifier.cli.simulator import person
from verifier.errors import CATALOGUE, Code
from verifier.signatures import jws, keys, sdjwt
from verifier.signatures.strict_json import canonical
from verifier.verifying.verdict import VALUES, Value

LI, WANG = person(1, "阿依古丽·买买提"), person(2, "王小明")
WITNESS = Ed25519PrivateKey.generate()
WITNESS_NAME = "witness.test.invalid/1"


@dataclass(frozen=True)
class Files:
    """What the service handed out, as files: each by its name."""

    directory: Path
    vkey: str
    register: Path
    secrets_dir: Path

    def __getitem__(self, name: str) -> Path:
        return self.directory / name

    def add(self, name: str, content: str | bytes) -> Path:
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


def line(position: int, kind: str, body: bytes, sd_jwt: str | None) -> dict[str, Any]:
    """An entry as the feed's documentation has it."""
    shown: dict[str, Any] = {"index": position, "leaf_hash": merkle.leaf_hash(body).hex(), "kind": kind}
    shown |= {"body": json.loads(body), "body_b64": base64.b64encode(body).decode()}
    return shown | ({"record": {"id": "r", "sd_jwt": sd_jwt}} if sd_jwt else {})


def ndjson(lines: Sequence[dict[str, Any]], last: int, size: int) -> bytes:
    every = [*lines, {"next": last, "size": size}]
    return b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in every)


async def written(path: Path, directory: Path, installation: Installation) -> Files:
    world = await over(f"sqlite+aiosqlite:///{path}", installation)
    world.now = datetime.now(UTC)
    await world.employ(FACTORY, LI, WANG, category="留岗")
    await world.complete("N-1", LI)
    await world.settle()
    earlier = world.kept.note
    await world.complete("N-2", WANG)
    await world.revoke("N-1")
    await world.settle()
    public = ledger.public_of(world.issuer_keys.checkpoint)
    files = Files(
        directory,
        ledger.verifier_key(ORIGIN, public),
        installation.sandbox.register,
        installation.secrets_dir,
    )
    text, _ = notes.split_note(world.kept.note)
    cosigned = cosigning.cosign(text, WITNESS_NAME, WITNESS, int(world.now.timestamp()))
    files.add("checkpoint", world.kept.note)
    files.add("cosigned", world.kept.note + cosigned)
    files.add("earlier", earlier)
    published = (world.issuer_keys.record, world.issuer_keys.status)
    jwks = {"keys": [dict(keys.public_jwk(key.verification_key)) for key in published]}
    files.add("jwks", json.dumps(jwks))
    files.add("status", (await world.store.status_token(0)) or "")
    entries, size = await world.store.feed(-1, 1000)
    lines = [
        line(one.position, one.kind, one.body, one.record.sd_jwt if one.record else None) for one in entries
    ]
    files.add("dump", ndjson(lines, size - 1, size))
    files.add("page", json.dumps({"entries": lines, "next": size - 1, "size": size}, ensure_ascii=False))
    records = [one for one in entries if one.record is not None]
    granted = [one for one in records if json.loads(one.body)["result"] == "granted"]
    revoked, good = granted[0], granted[-1]
    files.add("record", lines[good.position]["record"]["sd_jwt"])
    files.add("revoked", lines[revoked.position]["record"]["sd_jwt"])
    files.add("entry", good.body)
    files.add("entry.line", json.dumps(lines[good.position], ensure_ascii=False))
    proofs(files, [merkle.leaf_hash(one.body) for one in entries], good.position, earlier)
    claims: dict[str, Any] = {
        "iss": "x",
        "iat": int(world.now.timestamp()),
        "jti": "j",
        "kind": "claims",
        "name": "list.ndjson",
    }
    signed = b'{"claim":1}\n'
    claims |= {"sha256": sha256(signed).hexdigest(), "size": len(signed)}
    sidecar = jws.sign_compact(canonical(claims), world.issuer_keys.record, typ="signed-file+jwt")
    files.add("list.ndjson", signed)
    files.add("list.ndjson.jws", sidecar)
    files.add("alone.jws", sidecar)
    files.add("certificate", world.cvt.completed(world.course("C-1", LI))["data"]["certificate"])
    await world.store.database.close()
    return files


def proofs(files: Files, leaves: Sequence[bytes], index: int, earlier: bytes) -> None:
    tree, nodes = merkle.Frontier().append(leaves)
    stored = {(node.level, node.index): node.hash for node in nodes}

    def node(level: int, place: int) -> bytes:
        return stored[level, place]

    inclusion = {
        "origin": ORIGIN,
        "index": index,
        "size": tree.size,
        "leaf_hash": leaves[index].hex(),
        "root": tree.root().hex(),
        "proof": [step.hex() for step in merkle.inclusion_proof(index, tree.size, node)],
    }
    files.add("inclusion", json.dumps(inclusion))
    old = ledger.parse_checkpoint(notes.split_note(earlier)[0])
    consistency = {
        "origin": ORIGIN,
        "from": old.size,
        "to": tree.size,
        "from_root": old.root.hex(),
        "to_root": tree.root().hex(),
        "proof": [step.hex() for step in merkle.consistency_proof(old.size, tree.size, node)],
    }
    files.add("consistency", json.dumps(consistency))


@pytest.fixture(scope="module")
def files(
    sqlite_pattern: Path, installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Files:
    directory = tmp_path_factory.mktemp("verify")
    shutil.copyfile(sqlite_pattern, directory / "verifier.db")
    return asyncio.run(written(directory / "verifier.db", directory, installation))


Verify = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verify:
    """Runs the command far from any installation; the same status for people as for machines."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, dict[str, Any]]:
        given = [str(argument) for argument in arguments]
        status = main(["verify", *given, "--json"])
        told = capsys.readouterr()
        answer: dict[str, Any] = json.loads(told.out or told.err)
        assert main(["verify", *given]) == status
        shown = capsys.readouterr()
        said = shown.out + shown.err
        assert said_of(answer) in said
        for secret in (LI.id_number, LI.name, WANG.id_number, WANG.name):
            assert secret not in said + told.out + told.err
        return status, answer

    return run


def said_of(answer: dict[str, Any]) -> str:
    """The sentence that people are told for an answer."""
    if "verdict" in answer:
        return VALUES[Value(answer["verdict"])]
    return CATALOGUE[Code(answer["code"])].zh


# --- records


def test_a_record_is_as_good_as_what_is_given_to_check_it_by(files: Files, verify: Verify) -> None:
    status, told = verify(files["record"])
    assert (status, told["kind"], told["verdict"], told["checked"]) == (2, "record", "not_checked", [])
    status, told = verify(files["record"], "--jwks", files["jwks"])
    assert (status, told["verdict"]) == (0, "signature_valid")
    assert told["not_checked"] == ["status", "inclusion"]
    status, told = verify(files["record"], "--jwks", files["jwks"], "--status", files["status"])
    assert (status, told["verdict"], told["not_checked"]) == (0, "valid", ["inclusion"])
    assert told["says"]["disclosed"] == ["name", "id_number", "employer"]
    ledgered = ("--vkey", files.vkey, "--checkpoint", files["checkpoint"], "--proof", files["inclusion"])
    for entry in ("entry", "entry.line"):
        status, told = verify(
            files["record"],
            "--jwks",
            files["jwks"],
            "--status",
            files["status"],
            *ledgered,
            "--entry",
            files[entry],
        )
        assert (status, told["verdict"], told["not_checked"]) == (0, "valid", [])
    status, told = verify(files["revoked"], "--jwks", files["jwks"], *ledgered, "--entry", files["entry"])
    assert (status, told["reason"]) == (1, "the entry does not commit to this record")
    status, told = verify(files["record"], "--jwks", files["jwks"], *ledgered, "--entry", files["jwks"])
    assert (status, told["reason"]) == (1, "the entry is not the one that the proof is about")
    wrong = ("--proof", files["consistency"])
    status, told = verify(
        files["record"], "--jwks", files["jwks"], *ledgered, *wrong, "--entry", files["entry"]
    )
    assert (status, told["not_checked"]) == (0, ["status", "inclusion"])


def test_a_record_that_was_revoked_or_whose_status_is_stale_is_never_valid(
    files: Files, verify: Verify
) -> None:
    status, told = verify(files["revoked"], "--jwks", files["jwks"], "--status", files["status"])
    assert (status, told["verdict"]) == (1, "invalid")
    late = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    status, told = verify(files["record"], "--jwks", files["jwks"], "--status", files["status"], "--at", late)
    assert (status, told["verdict"]) == (1, "invalid")
    assert "stale" in told["reason"]


def test_an_altered_record_is_invalid(files: Files, verify: Verify) -> None:
    token, *rest = files["record"].read_text().split("~")
    header, payload, signature = token.split(".")
    other = ("A" if signature[0] != "A" else "B") + signature[1:]
    altered = files.add("altered", "~".join([f"{header}.{payload}.{other}", *rest]))
    status, told = verify(altered, "--jwks", files["jwks"])
    assert (status, told["verdict"], told["checked"]) == (1, "invalid", [])


# --- lists, outcomes, signed files


def test_a_status_list_is_valid_while_it_lasts(files: Files, verify: Verify) -> None:
    status, told = verify(files["status"])
    assert (status, told["kind"], told["verdict"]) == (2, "status_list", "not_checked")
    status, told = verify(files["status"], "--jwks", files["jwks"])
    assert (status, told["verdict"], told["checked"]) == (0, "valid", ["signature", "time"])
    status, told = verify(files["status"], "--jwks", files["jwks"], "--at", "2020-01-01T00:00:00Z")
    assert (status, told["verdict"], told["checked"]) == (1, "invalid", ["signature"])
    header, payload, signature = files["status"].read_text().split(".")
    broken = files.add(
        "broken", f"{header}.{payload[:-2]}{'AA' if payload[-2:] != 'AA' else 'BB'}.{signature}"
    )
    assert verify(broken, "--jwks", files["jwks"])[0] == 1


def test_a_signed_file_is_checked_with_the_file_beside_it(files: Files, verify: Verify) -> None:
    for name in ("list.ndjson.jws", "list.ndjson"):
        status, told = verify(files[name], "--jwks", files["jwks"])
        assert (status, told["kind"], told["verdict"]) == (0, "signed_file", "valid")
        assert told["says"]["file"] == "claims"
    status, told = verify(files["list.ndjson"])
    assert (status, told["verdict"]) == (2, "not_checked")
    status, told = verify(files["alone.jws"], "--jwks", files["jwks"])
    assert (status, told["verdict"], told["not_checked"]) == (0, "signature_valid", ["file"])
    original = files["list.ndjson"].read_bytes()
    files.add("list.ndjson", original + b"\n")
    status, told = verify(files["list.ndjson"], "--jwks", files["jwks"])
    assert (status, told["verdict"]) == (1, "invalid")
    files.add("list.ndjson", original)


def test_a_dump_with_its_signature_beside_it_is_checked_as_both(files: Files, verify: Verify) -> None:
    original = files["dump"].read_bytes()
    files.add("signed.ndjson", original)
    key = keyfiles.load_issuer_keys(files.secrets_dir).record
    found = signed_file.contents([original])
    token = signed_file.make(
        found, key, kind="feed", name="signed.ndjson", issuer="x", jti="j", at=datetime.now(UTC)
    )
    files.add("signed.ndjson.jws", token)
    status, told = verify(files["signed.ndjson"], "--jwks", files["jwks"])
    assert (status, told["kind"], told["verdict"]) == (0, "feed_dump", "signature_valid")
    assert {"signature", "file", "order", "records"} <= set(told["checked"])
    assert (told["says"]["file"], told["says"]["first"]) == ("feed", 0)
    under = ("--vkey", files.vkey, "--checkpoint", files["checkpoint"])
    assert verify(files["signed.ndjson"], "--jwks", files["jwks"], *under)[1]["verdict"] == "valid"
    assert verify(files["signed.ndjson"])[0] == 2
    files.add("signed.ndjson", original[:-1])
    assert verify(files["signed.ndjson"], "--jwks", files["jwks"])[0] == 1


# --- proofs and checkpoints


def test_a_proof_is_valid_only_under_a_checkpoint_of_the_log(files: Files, verify: Verify) -> None:
    status, told = verify(files["inclusion"])
    assert (status, told["kind"], told["verdict"]) == (2, "inclusion_proof", "not_checked")
    assert (told["checked"], told["not_checked"]) == (["arithmetic"], ["log_signature", "entry"])
    under = ("--vkey", files.vkey, "--checkpoint", files["checkpoint"])
    status, told = verify(files["inclusion"], *under)
    assert (status, told["verdict"], told["not_checked"]) == (0, "valid", ["entry"])
    status, told = verify(files["inclusion"], *under, "--entry", files["entry"])
    assert (status, told["verdict"], told["not_checked"]) == (0, "valid", [])
    status, told = verify(files["inclusion"], "--vkey", files.vkey, "--checkpoint", files["earlier"])
    assert (status, told["reason"]) == (1, "the proof is about another tree than the checkpoint")
    status, told = verify(files["consistency"], *under)
    assert (status, told["not_checked"]) == (2, ["earlier_signature"])
    status, told = verify(files["consistency"], *under, "--earlier", files["earlier"])
    assert (status, told["verdict"], told["not_checked"]) == (0, "valid", [])


@pytest.mark.parametrize(("name", "member"), [("inclusion", "leaf_hash"), ("consistency", "to_root")])
def test_an_edited_proof_is_invalid(files: Files, verify: Verify, name: str, member: str) -> None:
    members = json.loads(files[name].read_text())
    edited = files.add(f"edited.{name}", json.dumps(members | {member: "00" * 32}))
    status, told = verify(edited, "--vkey", files.vkey, "--checkpoint", files["checkpoint"])
    assert (status, told["verdict"]) == (1, "invalid")
    for wrong in (
        {member: "00"},
        {member: 5},
        {"proof": 1},
        {"proof": ["zz"]},
        {"origin": 1},
        {"to": -1, "size": True},
    ):
        broken = files.add(f"broken.{name}", json.dumps(members | wrong))
        status, told = verify(broken)
        assert status in {1, 2}


def test_a_checkpoint_is_checked_by_the_logs_key_and_against_an_earlier_one(
    files: Files, verify: Verify
) -> None:
    status, told = verify(files["checkpoint"])
    assert (status, told["verdict"], told["says"]["origin"]) == (2, "not_checked", ORIGIN)
    status, told = verify(files["checkpoint"], "--vkey", files.vkey)
    assert (status, told["verdict"]) == (0, "valid")
    assert told["not_checked"] == ["cosignatures", "consistency"]
    vkey = files.add("vkey", files.vkey + "\n")
    earlier = ("--vkey", vkey, "--earlier", files["earlier"])
    status, told = verify(files["checkpoint"], *earlier)
    assert (status, told["not_checked"]) == (0, ["cosignatures", "consistency"])
    status, told = verify(files["checkpoint"], *earlier, "--proof", files["consistency"])
    assert (status, told["checked"]) == (0, ["signature", "consistency"])
    status, told = verify(files["checkpoint"], *earlier, "--proof", files["inclusion"])
    assert (status, told["reason"]) == (1, "the proof given is no consistency proof")
    status, told = verify(files["earlier"], "--vkey", vkey, "--earlier", files["checkpoint"])
    assert (status, told["verdict"]) == (1, "invalid")
    status, told = verify(files["earlier"], "--vkey", vkey, "--earlier", files["earlier"])
    assert (status, told["checked"]) == (0, ["signature", "consistency"])
    other = ledger.verifier_key(ORIGIN, Ed25519PrivateKey.generate().public_key())
    assert verify(files["checkpoint"], "--vkey", other)[0] == 1


def test_a_fork_of_equal_size_is_found(files: Files, verify: Verify, installation: Installation) -> None:
    key = keyfiles.load_issuer_keys(installation.secrets_dir).checkpoint
    found = ledger.parse_checkpoint(notes.split_note(files["checkpoint"].read_bytes())[0])
    forked = ledger.sign_note(ledger.checkpoint_body(ORIGIN, found.size, b"f" * 32), ORIGIN, key)
    status, told = verify(files.add("forked", forked), "--vkey", files.vkey, "--earlier", files["checkpoint"])
    assert (status, told["verdict"]) == (1, "invalid")
    elsewhere = ledger.sign_note(ledger.checkpoint_body("other", 3, b"f" * 32), "other", key)
    both = ("--vkey", files.vkey, "--vkey", ledger.verifier_key("other", ledger.public_of(key)))
    status, told = verify(files.add("other", elsewhere), *both, "--earlier", files["checkpoint"])
    assert (status, told["reason"]) == (1, "the earlier checkpoint is another log's")
    misnamed = ledger.sign_note(ledger.checkpoint_body("other", 3, b"f" * 32), ORIGIN, key)
    status, told = verify(files.add("misnamed", misnamed), "--vkey", files.vkey)
    assert (status, told["reason"]) == (1, "the checkpoint is another log's")


def test_cosignatures_are_checked_by_the_witnesses_keys(files: Files, verify: Verify) -> None:
    status, told = verify(files["cosigned"], "--vkey", files.vkey)
    assert (status, told["not_checked"]) == (0, ["cosignatures", "other_signatures", "consistency"])
    witness = cosigning.cosigner_key(WITNESS_NAME, WITNESS.public_key())
    status, told = verify(files["cosigned"], "--vkey", files.vkey, "--vkey", witness)
    assert (status, told["checked"]) == (0, ["signature", "cosignatures"])
    assert list(told["says"]["witnesses"]) == [WITNESS_NAME]
    text, _ = notes.split_note(files["checkpoint"].read_bytes())
    wrong = notes.NoteSignature(
        WITNESS_NAME, cosigning.cosigner_id(WITNESS_NAME, WITNESS.public_key()), b"x" * 72
    )
    bad = files.add(
        "bad", text + b"\n" + notes.split_note(files["checkpoint"].read_bytes())[1][0].line + wrong.line
    )
    status, told = verify(bad, "--vkey", files.vkey, "--vkey", witness)
    assert (status, told["reason"]) == (1, "a witness's cosignature is wrong")
    assert verify(files["cosigned"], "--vkey", "nonsense+00+AAAA")[1]["code"] == "key_refused"


# --- dumps


@pytest.mark.parametrize("name", ["dump", "page"])
def test_a_whole_dump_is_the_tree_of_a_checkpoint(files: Files, verify: Verify, name: str) -> None:
    status, told = verify(files[name])
    assert (status, told["kind"], told["verdict"]) == (2, "feed_dump", "not_checked")
    assert told["checked"] == ["order", "leaf_hashes"]
    status, told = verify(files[name], "--jwks", files["jwks"])
    assert (status, told["verdict"]) == (0, "signature_valid")
    assert told["not_checked"] == ["record_status", "whole"]
    under = ("--jwks", files["jwks"], "--vkey", files.vkey, "--checkpoint")
    status, told = verify(files[name], *under, files["checkpoint"])
    assert (status, told["verdict"], told["not_checked"]) == (0, "valid", ["record_status"])
    status, told = verify(files[name], *under, files["earlier"])
    assert (status, told["verdict"]) == (0, "signature_valid")
    assert "behind the checkpoint" in told["reason"]


def ended(files: Files, **changes: object) -> dict[str, Any]:
    """The last line with a checkpoint, and the proof that the first four entries are its beginning."""
    lines = [json.loads(one) for one in files["dump"].read_text().splitlines()]
    tree, nodes = merkle.Frontier().append([bytes.fromhex(one["leaf_hash"]) for one in lines[:-1]])
    stored = {(node.level, node.index): node.hash for node in nodes}
    proof = merkle.consistency_proof(4, tree.size, lambda level, place: stored[level, place])
    last = {"next": 3, "size": tree.size, "checkpoint": files["checkpoint"].read_text()}
    return last | {"proof": [step.hex() for step in proof]} | changes


def test_a_dump_that_brings_its_checkpoint_is_proven_by_the_logs_key(files: Files, verify: Verify) -> None:
    lines = [json.loads(one) for one in files["dump"].read_text().splitlines()][:4]

    def with_end(**changes: object) -> Path:
        every = [*lines, ended(files, **changes)]
        return files.add("proven.dump", b"".join(json.dumps(one).encode() + b"\n" for one in every))

    status, told = verify(with_end(), "--vkey", files.vkey)
    assert (status, told["verdict"], "whole" in told["checked"]) == (0, "valid", True)
    assert verify(with_end())[0] == 2
    wrong: tuple[dict[str, object], ...] = (
        {"proof": []},
        {"proof": [5]},
        {"checkpoint": files["earlier"].read_text()},
        {"checkpoint": "x"},
    )
    for change in wrong:
        assert verify(with_end(**change), "--vkey", files.vkey)[0] == 1
    page = {"entries": lines, **ended(files)}
    status, told = verify(files.add("proven.page", json.dumps(page)), "--vkey", files.vkey)
    assert (status, told["verdict"]) == (0, "valid")


def edited(files: Files, change: Callable[[list[dict[str, Any]]], object]) -> Path:
    lines = [json.loads(one) for one in files["dump"].read_text().splitlines()]
    change(lines)
    return files.add("edited.dump", b"".join(json.dumps(one).encode() + b"\n" for one in lines))


EDITS: dict[str, Callable[[list[dict[str, Any]]], object]] = {
    "an entry removed": lambda lines: lines.pop(1),
    "an entry doubled": lambda lines: lines.insert(1, lines[0]),
    "entries exchanged": lambda lines: lines.insert(0, lines.pop(1)),
    "cut off": lambda lines: lines.pop(),
    "cut off before the end": lambda lines: lines.pop(-2),
    "a body exchanged": lambda lines: lines[0].update(body_b64=lines[1]["body_b64"]),
    "a body that is not base64": lambda lines: lines[0].update(body_b64="*"),
    "a body that is no text": lambda lines: lines[0].update(body_b64=5),
    "another body beside it": lambda lines: lines[0].update(body={"v": 2}),
    "another kind": lambda lines: lines[0].update(kind="other"),
    "an index that is none": lambda lines: lines[0].update(index=True),
    "a hash that is none": lambda lines: lines[0].update(leaf_hash="00"),
    "a hash that is no text": lambda lines: lines[0].update(leaf_hash=5),
    "indices shifted": lambda lines: [one.update(index=one["index"] + 1) for one in lines[:-1]],
    "no object": lambda lines: lines.insert(1, []),  # type: ignore[arg-type] # that is the point
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edited_dump_is_invalid(files: Files, verify: Verify, what: str) -> None:
    status, told = verify(edited(files, EDITS[what]), "--jwks", files["jwks"])
    assert (status, told["verdict"]) == (1, "invalid")
    assert told["reason"].startswith("line ")


def test_a_dump_with_a_made_up_entry_is_not_that_of_the_checkpoint(files: Files, verify: Verify) -> None:
    body = ledger.entry_body({"v": 1, "kind": "claim", "index": 0})

    def exchange(lines: list[dict[str, Any]]) -> None:
        lines[0] = line(0, "claim", body, None)

    path = edited(files, exchange)
    under = ("--vkey", files.vkey, "--checkpoint", files["checkpoint"])
    status, told = verify(path, *under)
    assert (status, told["verdict"]) == (1, "invalid")
    assert "not those of the checkpoint" in told["reason"]


def test_records_of_a_dump_are_those_of_their_entries(files: Files, verify: Verify) -> None:
    def exchange(lines: list[dict[str, Any]]) -> None:
        found = [one for one in lines if "record" in one]
        found[0]["record"], found[1]["record"] = found[1]["record"], found[0]["record"]

    status, told = verify(edited(files, exchange))
    assert (status, "commits to" in told["reason"]) == (1, True)

    def disclose(lines: list[dict[str, Any]]) -> None:
        found = next(one for one in lines if "record" in one)["record"]
        found["sd_jwt"] += sdjwt.new_disclosure("name", "other", os.urandom).encoded + "~"

    status, told = verify(edited(files, disclose), "--jwks", files["jwks"])
    assert (status, "fails at: disclosure" in told["reason"]) == (1, True)


def test_a_page_without_entries_says_so(files: Files, verify: Verify) -> None:
    empty = files.add("empty.page", '{"entries": [], "next": -1, "size": 0}')
    status, told = verify(empty)
    assert (status, told["says"]) == (2, {"entries": 0})
    assert verify(files.add("empty.dump", '{"next": -1, "size": 0}\n'))[1]["says"] == {"entries": 0}
    broken = files.add("broken.page", '{"entries": [1], "next": -1, "size": 0}')
    assert verify(broken)[0] == 1


def test_a_dump_is_read_line_by_line_whatever_its_size(
    files: Files, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "MAX_BYTES", 16)
    status, told = verify(files["dump"], "--jwks", files["jwks"])
    assert (status, told["verdict"]) == (0, "signature_valid")
    assert verify(files["page"])[1]["code"] == "request_too_large"


# --- platform certificates


def test_a_platforms_certificate_is_checked_against_a_register_at_its_own_dates(
    files: Files, verify: Verify
) -> None:
    status, told = verify(files["certificate"])
    assert (status, told["kind"], told["verdict"]) == (2, "platform_certificate", "not_checked")
    status, told = verify(files["certificate"], "--register", files.register)
    assert (status, told["verdict"]) == (0, "valid")
    assert told["says"]["number"] == "C-1"
    assert told["not_checked"] == ["delivery"]
    status, told = verify(files["certificate"], "--register", files.register, "--at", "2021-01-01T00:00:00Z")
    assert (status, told["verdict"]) == (1, "invalid")
    text = files.register.read_text()
    later = files.add("trust.toml", text.replace("2021-01-01", "2021-12-01"))
    shutil.copytree(files.register.parent / "issuers", files.directory / "issuers", dirs_exist_ok=True)
    status, told = verify(files["certificate"], "--register", later)
    assert (status, told["verdict"]) == (1, "invalid")


def test_a_pdf_cannot_be_checked_by_itself(files: Files, verify: Verify) -> None:
    status, told = verify(files.add("some.pdf", b"%PDF-1.7\n"), "--register", files.register)
    assert (status, told["kind"], told["verdict"]) == (2, "platform_certificate", "not_checked")


# --- nonsense

NONSENSE: dict[str, bytes] = {
    "nothing": b"",
    "white space": b" \n\n\t",
    "a word": b"nonsense",
    "binary": bytes(range(256)) * 10,
    "a zip": b"PK\x03\x04" + b"\0" * 100,
    "three dots": b"a.b.c",
    "a token of another type": b"eyJhbGciOiJFUzI1NiIsInR5cCI6Im90aGVyIn0.e30.AAAA",
    "an object": b"{}",
    "an object of no kind": b'{"a": 1}',
    "half an object": b'{"index": 1, "leaf_',
    "deep JSON": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "a list": b"[1, 2]",
    "numbers": b"1" * 10_000,
    "a note without end": b"origin\n5\n\n",
    "a proof that is none": b'{"index": "x", "leaf_hash": 1, "proof": {}}',
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_told_as_such(files: Files, verify: Verify, what: str) -> None:
    path = files.add("nonsense", NONSENSE[what])
    status, told = verify(path, "--jwks", files["jwks"], "--register", files.register, "--vkey", files.vkey)
    assert (status, told["code"]) == (2, "kind_unknown")


def test_a_note_of_nothing_is_invalid(files: Files, verify: Verify) -> None:
    path = files.add("note", "x\n\n— a AAAAAAAA\n")
    assert verify(path, "--vkey", files.vkey)[0] == 1
    assert verify(path)[0] == 1


def test_what_is_no_file_or_too_large_cannot_be_checked(files: Files, verify: Verify, tmp_path: Path) -> None:
    assert verify(tmp_path)[1]["code"] == "configuration_invalid"
    assert verify(tmp_path / "no")[1]["code"] == "configuration_invalid"
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(100_000_000)
    assert verify(large)[1]["code"] == "request_too_large"
    os.mkfifo(tmp_path / "pipe")
    assert verify(tmp_path / "pipe")[1]["code"] == "configuration_invalid"
    assert verify(files["record"], "--jwks", tmp_path / "no")[1]["code"] == "configuration_invalid"
    assert verify(files["record"], "--at", "yesterday")[1]["code"] == "configuration_invalid"

"""A ledger with everything that an audit pack holds, packs of it, and the checker as an auditor runs it."""

from __future__ import annotations

import argparse
import io
import json
import random
import runpy
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.functional.test_mohrss_training_files import Completion, send
from tests.functional.test_objections import answered, raised
from tests.functional.world import BUREAU, BY_SLUG, FACTORY, ORIGIN, WORKSHOP, World, row
from verifier import keyfiles, ledger, pack_plan, packing
from verifier.claims import Asked
from verifier.cli.simulator import person
from verifier.originals import Originals
from verifier.pack_file import SUITE, PackWriter, info
from verifier.pack_plan import Part, Plan
from verifier.packing import About
from verifier.preparing import HERE
from verifier.signatures import keys

CHECKER = Path(__file__).parents[2] / "verifier" / "check_pack.py"
LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")
ZHAO = person(3, "赵大海")
QIAN = person(4, "钱多多")
SUN = person(5, "孙小美")
ZHOU = person(6, "周大福")
WU = person(7, "吴无岗")
PEOPLE = (LI, WANG, ZHAO, QIAN, SUN, ZHOU, WU)
AUDITOR = X25519PrivateKey.generate()
PACK_ID = "ab" * 16
LONGER_THAN_A_LIST = timedelta(minutes=16)
"""After which the issuer signs status lists anew."""
RANDOM_EDITS = 100
NO_VALUE = {"is", "id", "table", "kind", "chain", "document", "signature", "content"}
"""Members of lines that say where something belongs, or belong to certificates that cannot be checked."""


async def history(world: World) -> bytes:
    """Two enterprises, three kinds of proof; refused, claimed, paid, given up, called back.

    Returns:
        The checkpoint that an auditor took home in between.
    """
    await world.adopt()
    await world.employ(FACTORY, LI, WANG, ZHAO, QIAN, ZHOU)
    await world.employ(WORKSHOP, SUN, WU)
    for number, one in (("N-1", LI), ("N-2", WANG), ("N-3", ZHAO), ("N-5", SUN)):
        await world.complete(number, one)
    await world.complete("N-7", WU, document="职业技能等级证书")
    await world.complete_elsewhere("X-4", QIAN)
    pdf = Completion(world, world.course("P-6", ZHOU))
    await send(world, "B-1", fileList=[pdf.upload], graduationList=[pdf.record])
    await world.settle()
    earlier = world.kept.note
    await _ask_for_money(world)
    return earlier


async def _ask_for_money(world: World) -> None:
    records = await granted(world)
    for number, record in records.items():
        await world.claims.claim(BUREAU, record, Asked(f"pay-{number}"))
    for number in ("N-1", "N-2", "P-6"):
        await world.claims.step(BUREAU, records[number], "paid", f"pay-{number}", "已付款")
    await world.claims.step(BUREAU, records["N-3"], "release", "pay-N-3", "放弃")
    await world.claims.claim(BUREAU, records["N-3"], Asked("pay-N-3-again"))
    await world.revoke("N-2")
    await world.settle()
    await world.claims.step(BUREAU, records["N-2"], "returned", "pay-N-2", "已退回")
    number = (await raised(world, ZHAO))["number"]
    await answered(world, number)
    # The enterprise takes a row back for which money was paid: an auditor is told.
    await world.roster(FACTORY, [{**row(LI), "withdrawn": True}])  # type: ignore[dict-item] # JSON
    await world.settle()


async def granted(world: World) -> dict[str, str]:
    """The record of each certificate number that holds a month."""
    rows = await world.sql(
        "select slots.number, records.record_id from slots"
        " join records on records.decision_id = slots.decision_id where records.kind = 'granted'"
    )
    return {number: record for number, record in sorted(rows)}  # noqa: C416 - rows are not plain tuples


@dataclass(frozen=True)
class Trust:
    """What an auditor has from outside."""

    ledger_key: str
    record_keys: tuple[str, ...]
    checkpoint: bytes


def trust(world: World, checkpoint: bytes) -> Trust:
    [checkpoint_key, *_] = keyfiles.checkpoint_keys(world.installation.secrets_dir)
    return Trust(
        ledger.verifier_key(ORIGIN, checkpoint_key),
        tuple(sha256(spki).hexdigest() for spki in published(world).values()),
        checkpoint,
    )


def published(world: World) -> dict[str, bytes]:
    found = keyfiles.published_keys(world.installation.secrets_dir)
    return {key.kid: keys.spki(key.public) for key in found if not isinstance(key.public, bytes)}


async def size(world: World) -> int:
    _, found = await world.store.feed(-1, 1)
    return found


async def plan(world: World, asked: Part) -> Plan:
    return await world.store.packing(lambda tx: pack_plan.make(tx, asked))


async def pack(world: World, asked: Part | None = None, found: Originals | None = None) -> bytes:
    """A pack of the whole ledger, or of a part."""
    planned = await plan(world, asked or Part(0, await size(world) - 1))
    about = About("cheng", "年度审计", world.now, {}, published(world))
    originals = found or Originals(BY_SLUG, HERE.read, world.keys.digest)
    file = io.BytesIO()

    def write(tx: Any) -> dict[str, Any]:
        return packing.write(tx, planned, about, originals, PackWriter(file, AUDITOR.public_key(), PACK_ID))

    await world.store.packing(write)
    return file.getvalue()


@dataclass
class Opened:
    """A pack taken apart by whoever holds the auditor's key, to be put together again as it suits them."""

    manifest: dict[str, Any]
    members: dict[str, bytes]
    sealed: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, raw: bytes) -> Opened:
        with zipfile.ZipFile(io.BytesIO(raw)) as file:
            members = {name: file.read(name) for name in file.namelist()}
        found = cls(json.loads(members.pop("manifest.json")), members)
        for name in sorted(name for name in members if name.startswith("sealed/")):
            plain = SUITE.decrypt(members.pop(name), AUDITOR, info(PACK_ID, name))
            found.sealed += map(json.loads, plain.splitlines())
        return found

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(one) for one in self.members[name].splitlines()]

    def edit(self, name: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
        """Change the lines of a member; of ``sealed`` the encrypted ones."""
        found = self.sealed if name == "sealed" else self.lines(name)
        change(found)
        if name != "sealed":
            self.members[name] = b"".join(_line(one) for one in found)

    def together(self) -> bytes:
        """The pack again, with a manifest that fits."""
        file = io.BytesIO()
        out = PackWriter(file, AUDITOR.public_key(), PACK_ID)
        for name, content in self.members.items():
            out.write(name, [content])
        out.seal_lines(_line(one)[:-1] for one in self.sealed)
        said = {
            name: value for name, value in self.manifest.items() if name not in {"format", "pack", "members"}
        }
        out.close(said)
        return file.getvalue()


def _line(members: Mapping[str, Any]) -> bytes:
    """As entries are written, which must stay the same bytes."""
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode() + b"\n"


@dataclass(frozen=True)
class Answer:
    status: int
    told: dict[str, Any]
    stderr: str

    @property
    def kinds(self) -> set[str]:
        return {one["kind"] for one in self.told.get("findings", ())}


def check(directory: Path, raw: bytes, given: Trust, *extra: str, private: bool = True) -> Answer:
    """Run the checker as an auditor does: a script alone, in isolated mode."""
    path, earlier, key = directory / "pack.zip", directory / "earlier.txt", directory / "auditor.pem"
    path.write_bytes(raw)
    arguments = ["--ledger-key", given.ledger_key] if given.ledger_key else []
    for one in given.record_keys:
        arguments += ["--record-key", one]
    if given.checkpoint:
        earlier.write_bytes(given.checkpoint)
        arguments += ["--checkpoint", str(earlier)]
    if private:
        key.write_bytes(AUDITOR.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        arguments += ["--private-key", str(key)]
    return run([str(path), "--json", *arguments, *extra])


def inspected(directory: Path, raw: bytes, given: Trust) -> list[tuple[str, str]]:
    """The findings of a checker in this process: a hundred processes would take long."""
    earlier = directory / "earlier.txt"
    earlier.write_bytes(given.checkpoint)
    trust = argparse.Namespace(
        ledger_key=[given.ledger_key],
        record_key=list(given.record_keys),
        checkpoint=[earlier],
        witness=[],
        private_key=AUDITOR,
    )
    checker = runpy.run_path(str(CHECKER))["_Check"]
    findings: list[tuple[str, str]] = checker(zipfile.ZipFile(io.BytesIO(raw)), trust).findings
    return findings


def run(arguments: Iterable[str]) -> Answer:
    done = subprocess.run(
        [sys.executable, "-I", str(CHECKER), *arguments], capture_output=True, text=True, check=False, env={}
    )
    return Answer(done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr)


def edit_somewhere(opened: Opened, drawn: random.Random) -> str:
    """Change one character of one value of one line that is checked; say where."""
    name = drawn.choice(
        ["entries.ndjson", "evidence.ndjson", "signed.ndjson", "sealed", "leaves.bin", "adopted"]
    )
    if name in {"leaves.bin", "adopted"}:
        name = drawn.choice([one for one in opened.members if one.startswith(name) and opened.members[one]])
        content = bytearray(opened.members[name])
        place = drawn.randrange(len(content))
        content[place] ^= 1 << drawn.randrange(8)
        opened.members[name] = bytes(content)
        return f"{name} byte {place}"
    found = opened.sealed if name == "sealed" else opened.lines(name)
    line = drawn.choice([one for one in found if _checked(one)])
    path = _edited(line, drawn)
    opened.edit(name, lambda lines: lines.__setitem__(slice(None), found))
    return f"{name} {line.get('is')} {path}"


def _checked(line: dict[str, Any]) -> bool:
    """Whether the checker judges a line: a certificate of another kind and the cross-match it only counts."""
    return line.get("is") != "cross_match" and (line.get("is") != "certificate" or "jws" in line)


def _edited(line: dict[str, Any], drawn: random.Random) -> str:
    path, holder = "", line
    while True:
        names = [one for one in holder if holder[one] not in (None, "", [], {}) and one not in NO_VALUE]
        name = drawn.choice(names)
        path, value = f"{path}/{name}", holder[name]
        if isinstance(value, dict):
            holder = value
            continue
        holder[name] = _changed(value, drawn)
        return path


def _changed(value: Any, drawn: random.Random) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + drawn.choice([1, -1, 86_400_000_000])
        case str():
            # The last character of base64 may hold bits that mean nothing.
            place = drawn.randrange(max(1, len(value) - 1))
            other = "b" if value[place] != "b" else "c"
            return f"{value[:place]}{other}{value[place + 1 :]}"
        case list():
            return value[:-1]
        case _:
            raise AssertionError

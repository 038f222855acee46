"""Tools that are not ours open what the service hands out, and refuse it once it is altered.

Node packages are looked for on NODE_PATH (``npm install jose @sd-jwt/core @sd-jwt/crypto-nodejs
@sd-jwt/jwt-status-list`` somewhere else); Go's are those of Debian's golang-golang-x-mod-dev. The status list
is also read by a decoder that stands here, written after the draft's section 4 alone.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwcrypto.jwk import JWK  # type: ignore[import-untyped] # no stubs; sd-jwt takes its keys as these
from jwcrypto.jws import InvalidJWSSignature  # type: ignore[import-untyped] # no stubs
from sd_jwt.verifier import SDJWTVerifier

from tests.functional.world import FACTORY, ORIGIN, Installation, over
from verifier import cosigning, ledger, merkle, notes
from verifier.cli.simulator import person
from verifier.signatures import keys

LI, WANG = person(1, "阿依古丽·买买提"), person(2, "王小明")
WITNESS: Final = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
GO_SOURCES: Final = Path("/usr/share/gocode")


def installed(*packages: str) -> bool:
    places = [Path(place) for place in os.environ.get("NODE_PATH", "").split(os.pathsep) if place]
    found = all(any((place / one / "package.json").is_file() for place in places) for one in packages)
    return found and shutil.which("node") is not None


@dataclass(frozen=True)
class Handed:
    """What the service handed out: a grant, one that was revoked, keys, the status list, the ledger."""

    good: str
    revoked: str
    record_jwk: dict[str, str]
    status_jwk: dict[str, str]
    status: str
    bodies: tuple[bytes, ...]
    note: bytes
    earlier: bytes
    vkey: str


async def hand_out(path: Path, installation: Installation) -> Handed:
    world = await over(f"sqlite+aiosqlite:///{path}", installation)
    await world.employ(FACTORY, LI, WANG)
    await world.complete("N-1", LI)
    await world.settle()
    earlier = world.kept.note
    await world.complete("N-2", WANG)
    await world.revoke("N-1")
    await world.settle()
    entries, _ = await world.store.feed(-1, 1000)
    granted = [one.sd_jwt for one in await world.records() if one.kind == "granted"]
    signing = world.issuer_keys
    made = Handed(
        granted[-1],
        granted[0],
        dict(keys.public_jwk(signing.record.verification_key)),
        dict(keys.public_jwk(signing.status.verification_key)),
        (await world.store.status_token(0)) or "",
        tuple(one.body for one in entries),
        world.kept.note,
        earlier,
        ledger.verifier_key(ORIGIN, ledger.public_of(signing.checkpoint)),
    )
    await world.store.database.close()
    return made


@pytest.fixture(scope="module")
def handed(
    sqlite_pattern: Path, installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Handed:
    path = tmp_path_factory.mktemp("outside") / "verifier.db"
    shutil.copyfile(sqlite_pattern, path)
    return asyncio.run(hand_out(path, installation))


def altered(sd_jwt: str) -> dict[str, str]:
    """The same record with another claim, another signature, another disclosure."""
    token, *disclosures, end = sd_jwt.split("~")
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["decision"]["result"] = "revoked"
    other = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    made_up = base64.urlsafe_b64encode(b'["c2FsdA","name","x"]').rstrip(b"=").decode()
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    return {
        "claim": "~".join([f"{header}.{other}.{signature}", *disclosures, end]),
        "signature": "~".join([f"{header}.{payload}.{flipped}", *disclosures, end]),
        "disclosure": "~".join([token, made_up, *disclosures[1:], end]),
    }


def place(sd_jwt: str) -> dict[str, Any]:
    payload = sd_jwt.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))["status"]["status_list"]
    return found


# --- sd-jwt for Python


def by_python(sd_jwt: str, jwk: dict[str, str]) -> dict[str, Any]:
    key = JWK(**{name: jwk[name] for name in ("kty", "crv", "x", "y")})
    checked = SDJWTVerifier(sd_jwt, lambda _issuer, _header: key)
    claims: dict[str, Any] = checked.get_verified_payload()
    return claims


def test_the_python_package_accepts_a_record_and_refuses_an_altered_one(handed: Handed) -> None:
    assert by_python(handed.good, handed.record_jwk)["id_number"] == WANG.id_number
    for what in ("claim", "signature"):
        with pytest.raises(InvalidJWSSignature):
            by_python(altered(handed.good)[what], handed.record_jwk)
    # A disclosure that nothing refers to is left out of its claims (its own way of refusing it).
    try:
        claims = by_python(altered(handed.good)["disclosure"], handed.record_jwk)
    except ValueError:
        claims = {}
    assert claims.get("name") != "x"


# --- a status list decoder after the draft


def status_at(token: str, index: int) -> int:
    """Section 4.1 and 4.2 of the draft, and nothing else."""
    payload = token.split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(payload + "=="))["status_list"]
    packed = zlib.decompress(base64.urlsafe_b64decode(said["lst"] + "=="))
    per_byte = 8 // said["bits"]
    status: int = packed[index // per_byte] >> (index % per_byte * said["bits"]) & ((1 << said["bits"]) - 1)
    return status


def test_another_decoder_reads_the_status_list(handed: Handed) -> None:
    assert status_at(handed.status, place(handed.good)["idx"]) == 0
    assert status_at(handed.status, place(handed.revoked)["idx"]) == 1


# --- node

LOADING: Final = """
const { pathToFileURL } = require("node:url");
const load = async (name) => {
  const found = await import(pathToFileURL(require.resolve(name)));
  return { ...(found.default ?? {}), ...found };
};
const task = JSON.parse(require("node:fs").readFileSync(0, "utf-8"));
"""
VERIFYING: Final = """
(async () => {
  const jose = await load("jose");
  const { SDJwtInstance } = await load("@sd-jwt/core");
  const { digest, ES256 } = await load("@sd-jwt/crypto-nodejs");
  const key = await jose.importJWK(task.jwk, "ES256");
  const answers = [];
  for (const record of task.records) {
    let sdjwt = null, signed = false;
    try {
      const verifier = await ES256.getVerifier(task.jwk);
      const instance = new SDJwtInstance({ hasher: digest, hashAlg: "sha-256", verifier });
      await instance.verify(record);
      sdjwt = await instance.getClaims(record);
    } catch {}
    try {
      await jose.compactVerify(record.split("~")[0], key);
      signed = true;
    } catch {}
    answers.push({ sdjwt, signed });
  }
  console.log(JSON.stringify(answers));
})();
"""
LISTING: Final = """
(async () => {
  const jose = await load("jose");
  const { getListFromStatusListJWT } = await load("@sd-jwt/jwt-status-list");
  await jose.compactVerify(task.token, await jose.importJWK(task.jwk, "ES256"));
  const list = getListFromStatusListJWT(task.token);
  console.log(JSON.stringify(task.places.map((place) => list.getStatus(place))));
})();
"""


def node(script: str, **task: Any) -> Any:
    done = subprocess.run(
        ["node", "-e", LOADING + script],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.needs_system("node")
@pytest.mark.skipif(
    not installed("jose", "@sd-jwt/core", "@sd-jwt/crypto-nodejs"),
    reason="node with jose, @sd-jwt/core and @sd-jwt/crypto-nodejs on NODE_PATH is not there",
)
def test_the_npm_packages_accept_a_record_and_refuse_an_altered_one(handed: Handed) -> None:
    changed = altered(handed.good)
    records = [handed.good, changed["claim"], changed["signature"], changed["disclosure"]]
    answers = node(VERIFYING, records=records, jwk=handed.record_jwk)
    assert answers[0]["sdjwt"]["id_number"] == WANG.id_number
    assert [one["signed"] for one in answers] == [True, False, False, True]
    assert answers[1]["sdjwt"] is None
    assert answers[2]["sdjwt"] is None
    assert (answers[3]["sdjwt"] or {}).get("name") != "x"


@pytest.mark.needs_system("node")
@pytest.mark.skipif(
    not installed("jose", "@sd-jwt/jwt-status-list"),
    reason="node with jose and @sd-jwt/jwt-status-list on NODE_PATH is not there",
)
def test_the_npm_package_reads_the_status_list(handed: Handed) -> None:
    places = [place(handed.good)["idx"], place(handed.revoked)["idx"]]
    assert node(LISTING, token=handed.status, jwk=handed.status_jwk, places=places) == [0, 1]


# --- Go

CHECKING: Final = """
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type proof struct {
	Old, New, Index int64
	OldRoot, Root, Leaf string
	Path []string
}

func hash(text string) tlog.Hash {
	found, err := tlog.ParseHash(text)
	if err != nil {
		panic(err)
	}
	return found
}

func main() {
	var task struct {
		Vkey   string
		Notes  []string
		Proofs []proof
	}
	if err := json.NewDecoder(os.Stdin).Decode(&task); err != nil {
		panic(err)
	}
	verifier, err := note.NewVerifier(task.Vkey)
	if err != nil {
		panic(err)
	}
	opened, proven := []string{}, []bool{}
	for _, one := range task.Notes {
		text := ""
		if found, err := note.Open([]byte(one), note.VerifierList(verifier)); err == nil {
			text = found.Text
		}
		opened = append(opened, text)
	}
	for _, one := range task.Proofs {
		path := []tlog.Hash{}
		for _, step := range one.Path {
			path = append(path, hash(step))
		}
		if one.Leaf != "" {
			err = tlog.CheckRecord(path, one.New, hash(one.Root), one.Index, hash(one.Leaf))
		} else {
			err = tlog.CheckTree(path, one.New, hash(one.Root), one.Old, hash(one.OldRoot))
		}
		proven = append(proven, err == nil)
	}
	answer, _ := json.Marshal(map[string]any{"opened": opened, "proven": proven})
	fmt.Println(string(answer))
}
"""


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def proofs(bodies: Sequence[bytes]) -> list[dict[str, Any]]:
    """Inclusion of every entry in every tree, and consistency of every two."""
    leaves = [merkle.leaf_hash(body) for body in bodies]
    roots = [merkle.Frontier().append(leaves[:size])[0].root() for size in range(len(leaves) + 1)]
    _, nodes = merkle.Frontier().append(leaves)
    stored = {(node.level, node.index): node.hash for node in nodes}

    def reader(level: int, index: int) -> bytes:
        return stored[level, index]

    made: list[dict[str, Any]] = []
    for size in range(1, len(leaves) + 1):
        for index in range(size):
            path = [b64(step) for step in merkle.inclusion_proof(index, size, reader)]
            leaf = {"Index": index, "New": size, "Leaf": b64(leaves[index])}
            made.append({**leaf, "Root": b64(roots[size]), "Path": path})
        for old in range(1, size + 1):
            path = [b64(step) for step in merkle.consistency_proof(old, size, reader)]
            made.append(
                {"Old": old, "New": size, "OldRoot": b64(roots[old]), "Root": b64(roots[size]), "Path": path}
            )
    return made


def go(directory: Path, **task: Any) -> Any:
    (directory / "main.go").write_text(CHECKING)
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": str(GO_SOURCES),
        "GOCACHE": str(directory / "cache"),
        "GOFLAGS": "",
    }
    done = subprocess.run(
        ["go", "run", "main.go"],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=directory,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.needs_system("go")
@pytest.mark.skipif(
    not (GO_SOURCES / "src/golang.org/x/mod/sumdb/tlog").is_dir(),
    reason="golang.org/x/mod (Debian's golang-golang-x-mod-dev) is not there",
)
def test_go_opens_the_checkpoint_and_checks_the_proofs(handed: Handed, tmp_path: Path) -> None:
    every = proofs(handed.bodies)
    wrong = [{**one, "Root": b64(b"x" * 32)} for one in every]
    text, _ = notes.split_note(handed.note)
    witness = cosigning.cosign(text, "witness.test.invalid", WITNESS, 1_700_000_000)
    given = [handed.note, handed.earlier, handed.note + witness, handed.note.replace(b"\n\n", b"0\n\n", 1)]
    answer = go(tmp_path, Vkey=handed.vkey, Notes=[note.decode() for note in given], Proofs=[*every, *wrong])
    assert answer["opened"] == [
        text.decode(),
        notes.split_note(handed.earlier)[0].decode(),
        text.decode(),
        "",
    ]
    assert answer["proven"] == [True] * len(every) + [False] * len(wrong)

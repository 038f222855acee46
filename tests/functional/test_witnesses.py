"""Witnesses over real HTTP: ours as a client, ours as a witness, and an auditor who watches."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.functional.web_fakes import NOW, serving
from tests.functional.world import ORIGIN, World
from verifier import asking, cosigning, ledger, merkle, notes, posting, witness, witnesses, witnessing
from verifier.cli import checking, main
from verifier.cli import witness as commands
from verifier.cli.simulator import person
from verifier.errors import Code, ConfigurationError, Unavailable
from verifier.ports.witnessing import Answered, Cosigned
from verifier.settings import Settings
from verifier.web.metrics import Metrics
from verifier.witnesses import Witness, WitnessWorker

LI = person(1, "阿依古丽·买买提")
NAME = "audit.test.invalid/w1"


@dataclass
class Watched:
    """A worker over a world, what it told, and a clock of its own that goes on when told."""

    world: World
    worker: WitnessWorker
    alarms: list[tuple[str, str]]
    measures: dict[str, tuple[float | None, int]]

    async def round(self, later: timedelta = witnesses.LONGEST) -> list[Cosigned]:
        """One step, after every wait is over."""
        self.world.now += later
        assert await self.worker.step() == 0
        return list(await self.world.store.cosignatures())


def watched(world: World, *asked: Witness, ask: Any = posting.post) -> Watched:
    made = Watched(world, None, [], {})  # type: ignore[arg-type] # set below

    def alarm(*, code: str, witness: str) -> None:
        made.alarms.append((code, witness))

    def measured(name: str, seconds: float | None, behind: int) -> None:
        made.measures[name] = (seconds, behind)

    made.worker = WitnessWorker(world.store, asked, ask, world.clock, alarm, measured)
    return made


def log_key(world: World) -> str:
    return ledger.verifier_key(ORIGIN, ledger.public_of(world.issuer_keys.checkpoint))


@asynccontextmanager
async def a_witness(directory: Path, world: World, name: str = NAME) -> AsyncIterator[Witness]:
    """A witness that listens, by the world's clock."""
    witness.create(directory, name, [log_key(world)])
    with witness.opened(directory, lambda: int(world.now.timestamp())) as service:
        runner = await commands.listening(service, "127.0.0.1", 0)
        try:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield Witness(url, cosigning.parse_key(service.identity.vkey))
        finally:
            await runner.cleanup()


async def grow(world: World, number: str) -> None:
    await world.complete(number, LI, title=f"课程 {number}")
    await world.settle()


async def test_a_checkpoint_is_cosigned_over_http_and_served_with_it(world: World, tmp_path: Path) -> None:
    await grow(world, "N-1")
    async with a_witness(tmp_path / "w", world) as one, a_witness(tmp_path / "v", world, "second") as two:
        made = watched(world, one, two)
        kept = await made.round()
        assert [found.witness for found in kept] == [NAME, "second"]
        note = await world.store.checkpoint()
        served = witnesses.under(note, kept)
        keys = [one.key, two.key]
        assert {found.witness for found in cosigning.cosignatures(served, keys)} == {NAME, "second"}
        assert made.measures[NAME] == (0.0, 0)
        first = note
        await grow(world, "N-2")
        # The newest checkpoint is not cosigned yet: the one before it still is, under its own address.
        note = await world.store.checkpoint()
        assert witnesses.under(note, kept) == note
        assert witnesses.newest_witnessed(kept).startswith(first)
        await made.round(timedelta(0))
        assert made.measures[NAME][1] > 0  # not its turn yet
        kept = await made.round()
        assert {found.checkpoint for found in kept} == {note}
        assert made.alarms == []
        assert await world.fsck() == []


async def test_the_witness_answers_a_monitor(small_world: World, tmp_path: Path) -> None:
    world = small_world
    await grow(world, "N-1")
    async with a_witness(tmp_path / "w", world) as one:
        address = f"{one.url}/{sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
        assert (await posting.get(address)) == Answered(404, b"nothing cosigned yet\n")
        kept = await watched(world, one).round()
        answer = await posting.get(address)
        assert answer == Answered(200, witnesses.newest_witnessed(kept))
        assert (await posting.get(f"{one.url}/{'0' * 64}/checkpoint")) == Answered(
            404, b"nothing cosigned yet\n"
        )
        assert (await posting.get(f"{one.url}/x/checkpoint")) == Answered(404, b"nothing cosigned yet\n")
        wrong = await posting.post(f"{one.url}/add-checkpoint", b"nonsense")
        assert wrong is not None
        assert wrong.status == 400
        large = await posting.post(f"{one.url}/add-checkpoint", b"x" * (witnessing.MAX_BYTES + 1))
        assert large is None or large.status == 413
        other = await posting.get(f"{one.url}/add-checkpoint")
        assert other is not None
        assert other.status == 405


async def test_a_witness_that_knows_more_or_otherwise_than_we_say_is_asked_once_more(
    small_world: World, tmp_path: Path
) -> None:
    world = small_world
    await grow(world, "N-1")
    async with a_witness(tmp_path / "w", world) as one:
        await watched(world, one).round()
        await grow(world, "N-2")
        # Our own note of what it cosigned is lost: it says itself from where the proof is to begin.
        await world.sql("delete from cosignatures")
        made = watched(world, one)
        [kept] = await made.round()
        assert kept.checkpoint == await world.store.checkpoint()
        assert made.alarms == []


async def test_a_fork_is_not_cosigned_and_alarms(small_world: World, tmp_path: Path) -> None:
    world = small_world
    await grow(world, "N-1")
    key = world.issuer_keys.checkpoint
    async with a_witness(tmp_path / "w", world) as one:
        forked = ledger.sign_note(ledger.checkpoint_body(ORIGIN, 1, b"f" * 32), ORIGIN, key)
        answer = await posting.post(f"{one.url}/add-checkpoint", witnessing.request(0, (), forked))
        assert answer is not None
        assert answer.status == 200
        made = watched(world, one)
        assert await made.round() == []
        assert made.alarms == [("witness_disagrees", NAME)]
    async with a_witness(tmp_path / "v", world, "second") as two:
        # It has seen a ledger that is larger than this database.
        larger = ledger.sign_note(ledger.checkpoint_body(ORIGIN, 10_000, b"f" * 32), ORIGIN, key)
        await posting.post(f"{two.url}/add-checkpoint", witnessing.request(0, (), larger))
        made = watched(world, two)
        assert await made.round() == []
        assert made.alarms == [("witness_ahead", "second")]
        assert made.measures["second"] == (None, (await world.store.feed(-1, 1))[1])


NONE = Witness(
    "http://127.0.0.1:9",
    cosigning.parse_key(
        cosigning.cosigner_key(NAME, Ed25519PrivateKey.from_private_bytes(b"1" * 32).public_key())
    ),
)


@pytest.mark.untraced
async def test_a_witness_that_does_not_answer_is_asked_later_and_later(small_world: World) -> None:
    world = small_world
    await grow(world, "N-1")
    asked: list[str] = []

    async def silent(url: str, body: bytes) -> Answered | None:
        asked.append(url)
        assert body.startswith(b"old 0\n\n")
        return None

    made = watched(world, NONE, ask=silent)
    for _ in range(1000):
        await made.round(timedelta(seconds=5))
    # 10, 20, 40 … 600 seconds apart, in 5,000 seconds.
    assert 10 < len(asked) < 16
    assert set(asked) == {"http://127.0.0.1:9/add-checkpoint"}
    world.now -= timedelta(days=1)
    await made.round(timedelta(0))  # a clock that is set back does not silence it
    assert len(asked) < 17


@pytest.mark.parametrize(
    "answer",
    [
        Answered(200, b""),
        Answered(200, b"nonsense"),
        Answered(200, cosigning.cosign(b"x\n", NAME, Ed25519PrivateKey.from_private_bytes(b"2" * 32), 5)),
        Answered(409, b""),
        Answered(409, b"many\n"),
        Answered(409, b"0\n"),
        Answered(403, b""),
        Answered(404, b""),
        Answered(500, b""),
    ],
)
async def test_whatever_else_a_witness_answers_is_no_cosignature(
    small_world: World, answer: Answered
) -> None:
    world = small_world
    await grow(world, "N-1")

    async def ask(_url: str, _body: bytes) -> Answered | None:
        return answer

    made = watched(world, NONE, ask=ask)
    assert await made.round() == []
    assert made.alarms == []


async def test_a_cosignature_of_the_future_is_none(small_world: World) -> None:
    world, key = small_world, Ed25519PrivateKey.from_private_bytes(b"3" * 32)
    await grow(world, "N-1")
    text, _ = notes.split_note(await world.store.checkpoint())

    async def ask(_url: str, _body: bytes) -> Answered | None:
        late = int(world.now.timestamp()) + 301
        return Answered(200, cosigning.cosign(text, NAME, key, late))

    made = watched(
        world,
        Witness("http://x", cosigning.parse_key(cosigning.cosigner_key(NAME, key.public_key()))),
        ask=ask,
    )
    assert await made.round() == []


async def test_without_a_checkpoint_or_with_a_tree_that_lacks_nodes_nobody_is_asked(
    small_world: World,
) -> None:
    async def ask(_url: str, _body: bytes) -> Answered | None:
        raise AssertionError

    made = watched(small_world, NONE, ask=ask)
    assert await made.round() == []
    await grow(small_world, "N-1")
    await small_world.store.keep_cosignature(
        Cosigned(NAME, 1, await small_world.store.checkpoint(), b"", small_world.now)
    )
    await small_world.sql("delete from nodes")
    assert [kept.size for kept in await made.round()] == [1]


async def test_an_older_cosignature_never_takes_a_newer_ones_place(world: World) -> None:
    newer = Cosigned(NAME, 7, b"a\n\n", b"line", world.now)
    await world.store.keep_cosignature(newer)
    await world.store.keep_cosignature(Cosigned(NAME, 6, b"b\n\n", b"other", world.now))
    assert await world.store.cosignatures() == [newer]


async def test_the_web_serves_the_newest_checkpoint_and_the_newest_that_is_witnessed() -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"4" * 32)
    async with serving() as served:
        note = served.reading.note
        status, _, _ = await served.call("GET", "/ledger/checkpoint/witnessed")
        assert status == 404
        text = note.rpartition(b"\n\n")[0] + b"\n"
        line = cosigning.cosign(text, NAME, key, 5)
        served.reading.cosigned = [Cosigned(NAME, 300, note, line, NOW)]
        for path in ("/ledger/checkpoint", "/ledger/checkpoint/witnessed"):
            status, _, body = await served.call("GET", path)
            assert (status, body) == (200, note + line)
        served.reading.grow(301)
        assert (await served.call("GET", "/ledger/checkpoint"))[2] == served.reading.note
        assert (await served.call("GET", "/ledger/checkpoint/witnessed"))[2] == note + line


# --- what a witness remembers


def submission(world: World, size: int, root: bytes, old: int = 0) -> bytes:
    note = ledger.sign_note(ledger.checkpoint_body(ORIGIN, size, root), ORIGIN, world.issuer_keys.checkpoint)
    return witnessing.request(old, (), note)


async def test_nothing_is_signed_that_is_not_remembered_first(small_world: World, tmp_path: Path) -> None:
    world, directory = small_world, tmp_path / "w"
    witness.create(directory, NAME, [log_key(world)])
    with witness.opened(directory, lambda: 5) as service:
        kept = service.keep

        def full(_state: Mapping[str, bytes]) -> None:
            raise OSError(28, "no space")

        service.keep = full
        with pytest.raises(Unavailable):
            service.add(submission(world, 3, b"a" * 32))
        service.keep = kept
        # It did not sign the first, so another tree of the same size is as good.
        assert isinstance(service.add(submission(world, 3, b"b" * 32)), bytes)
    with witness.opened(directory, lambda: 5) as service:
        refusal = service.add(submission(world, 3, b"a" * 32, old=3))
        assert isinstance(refusal, witnessing.Refusal)
        assert refusal.status == 422


async def test_a_full_disk_is_told_and_nothing_is_signed(small_world: World, tmp_path: Path) -> None:
    witness.create(tmp_path / "w", NAME, [log_key(small_world)])
    with witness.opened(tmp_path / "w", lambda: 5) as service:

        def full(_state: Mapping[str, bytes]) -> None:
            raise OSError(28, "no space")

        service.keep = full
        runner = await commands.listening(service, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/add-checkpoint"
        answer = await posting.post(url, submission(small_world, 3, b"a" * 32))
        await runner.cleanup()
        assert answer is not None
        assert answer.status == 503


async def test_two_processes_are_never_one_witness(small_world: World, tmp_path: Path) -> None:
    directory = tmp_path / "w"
    witness.create(directory, NAME, [log_key(small_world)])
    with witness.opened(directory, lambda: 5):
        with pytest.raises(ConfigurationError) as refused, witness.opened(directory, lambda: 5):
            pass
        assert refused.value.code is Code.STORE_LOCKED


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (witness.STATE, None),
        (witness.STATE, b"{"),
        (witness.STATE, b"[]"),
        (witness.STATE, b'{"x": "y"}'),
        (
            witness.STATE,
            json.dumps(
                {
                    "x": ledger.sign_note(
                        ledger.checkpoint_body("y", 1, b"r" * 32),
                        "y",
                        Ed25519PrivateKey.from_private_bytes(b"5" * 32),
                    ).decode()
                }
            ).encode(),
        ),
        (witness.IDENTITY, b"{}"),
        (witness.IDENTITY, b'{"name": "x", "key": "AAAA"}'),
        (witness.LOGS, b"nonsense\n"),
    ],
)
async def test_a_witness_without_its_memory_or_key_does_not_start(
    small_world: World, tmp_path: Path, name: str, content: bytes | None
) -> None:
    directory = tmp_path / "w"
    witness.create(directory, NAME, [log_key(small_world)])
    (directory / name).unlink()
    if content is not None:
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o600)
    with pytest.raises(ConfigurationError), witness.opened(directory, lambda: 5):
        pass


async def test_a_witnesss_key_that_others_may_read_is_refused(small_world: World, tmp_path: Path) -> None:
    directory = tmp_path / "w"
    witness.create(directory, NAME, [log_key(small_world)])
    (directory / witness.IDENTITY).chmod(0o644)
    with pytest.raises(ConfigurationError) as refused:
        witness.load_identity(directory)
    assert refused.value.code is Code.KEY_REFUSED


# --- the command line


def cli(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    status = main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    return status, shown.out + shown.err


def test_a_witness_is_made_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vkey = ledger.verifier_key(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"6" * 32).public_key())
    here = ("--directory", tmp_path / "w")
    status, made = cli(capsys, "witness", "init", "--name", NAME, "--log", vkey, *here)
    assert status == 0
    assert cosigning.parse_key(made).name == NAME
    assert (tmp_path / "w" / witness.IDENTITY).stat().st_mode & 0o777 == 0o600
    status, shown = cli(capsys, "witness", "show", *here)
    assert shown.splitlines() == [made.strip(), f"{ORIGIN}: 尚未签过 · nothing cosigned yet"]
    text = ledger.checkpoint_body(ORIGIN, 3, b"r" * 32)
    note = ledger.sign_note(text, ORIGIN, Ed25519PrivateKey.from_private_bytes(b"7" * 32)).decode()
    (tmp_path / "w" / witness.STATE).write_text(json.dumps({ORIGIN: note}))
    assert f"{ORIGIN}: 3 {(b'r' * 32).hex()}" in cli(capsys, "witness", "show", *here)[1]
    assert cli(capsys, "witness", "init", "--name", NAME, "--log", vkey, *here)[0] == 2
    for name, log_, place in (("a b", vkey, "x"), (NAME, made.strip(), "y"), (NAME, "nonsense", "z")):
        wrong = ("--name", name, "--log", log_, "--directory", tmp_path / place)
        assert cli(capsys, "witness", "init", *wrong)[0] == 2
    assert cli(capsys, "witness", "show", "--directory", tmp_path / "none")[0] == 2
    status, _ = cli(capsys, "witness", "serve", *here, "--host", "no.such.host.invalid", "--port", "0")
    assert status == 2


async def started(directory: Path) -> tuple[asyncio.subprocess.Process, str]:
    command = ("witness", "serve", "--directory", str(directory), "--port", "0")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "verifier",
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    return process, (await process.stdout.readline()).decode().split()[-1]


async def test_a_witness_that_is_killed_remembers_what_it_signed(small_world: World, tmp_path: Path) -> None:
    directory = tmp_path / "w"
    witness.create(directory, NAME, [log_key(small_world)])
    process, url = await started(directory)
    answer = await posting.post(f"{url}/add-checkpoint", submission(small_world, 3, b"a" * 32))
    assert answer is not None
    assert answer.status == 200
    process.kill()
    await process.wait()
    process, url = await started(directory)
    answer = await posting.post(f"{url}/add-checkpoint", submission(small_world, 3, b"b" * 32))
    assert answer == Answered(409, b"3\n")
    process.terminate()
    assert await process.wait() == 0


# --- watching


@dataclass
class Served:
    """A log's two addresses, which answer whatever a test says."""

    note: bytes = b""
    proof: bytes = b""
    seen: list[str] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        async def checkpoint(request: web.Request) -> web.Response:
            self.seen.append(request.path_qs)
            return web.Response(body=self.note, status=200 if self.note else 404)

        async def proof(request: web.Request) -> web.Response:
            self.seen.append(request.path_qs)
            return web.Response(body=self.proof)

        app = web.Application()
        app.router.add_get("/ledger/checkpoint", checkpoint)
        app.router.add_get("/ledger/checkpoint/witnessed", checkpoint)
        app.router.add_get("/ledger/proof", proof)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield
        await runner.cleanup()


LOG, WITNESS = (
    Ed25519PrivateKey.from_private_bytes(b"8" * 32),
    Ed25519PrivateKey.from_private_bytes(b"9" * 32),
)
LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(9)]


def signed(size: int, leaves: list[bytes] = LEAVES, origin: str = ORIGIN) -> bytes:
    root = merkle.Frontier().append(leaves[:size])[0].root()
    return ledger.sign_note(ledger.checkpoint_body(origin, size, root), origin, LOG)


def proven(old: int, new: int) -> bytes:
    tree, nodes = merkle.Frontier().append(LEAVES[:new])
    stored = {(node.level, node.index): node.hash for node in nodes}
    path = merkle.consistency_proof(old, new, lambda level, index: stored[level, index])
    roots = {
        "from_root": merkle.Frontier().append(LEAVES[:old])[0].root().hex(),
        "to_root": tree.root().hex(),
    }
    members = {"origin": ORIGIN, "from": old, "to": new, **roots, "proof": [step.hex() for step in path]}
    return json.dumps(members).encode()


Watch = Callable[..., Any]


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    made = Served()
    async with made.listening():
        yield made


@pytest.fixture
def watch(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Watch:
    vkey = ledger.verifier_key(ORIGIN, LOG.public_key())

    async def run(*more: object) -> tuple[int, dict[str, Any]]:
        given = [
            str(one)
            for one in ("ledger", "watch", served.url, "--vkey", vkey, "--keep", tmp_path / "kept", *more)
        ]
        status = await asyncio.to_thread(main, [*given, "--json"])
        shown = capsys.readouterr()
        return status, json.loads(shown.out or shown.err)

    return run


async def test_a_ledger_that_grows_is_kept_step_by_step(served: Served, watch: Watch, tmp_path: Path) -> None:
    served.note = signed(3)
    assert (await watch())[0] == 0
    served.note, served.proof = signed(7), proven(3, 7)
    status, told = await watch()
    assert (status, told["result"], told["continues"], told["size"]) == (0, "kept", 3, 7)
    assert (tmp_path / "kept").read_bytes() == signed(7)
    assert served.seen[-1] == "/ledger/proof?from=3&to=7"
    assert (await watch())[0] == 0


FORKS: dict[str, tuple[bytes, bytes]] = {
    "another root": (signed(3, [b"x" * 32] * 9), b""),
    "another history": (signed(7, [b"x" * 32] * 9), proven(3, 7)),
    "no proof": (signed(7), b"{}"),
    "the proof of something else": (signed(7), proven(2, 7)),
    "an inclusion proof": (
        signed(7),
        b'{"origin":"x","index":0,"size":1,"leaf_hash":"","root":"","proof":[]}',
    ),
    "a smaller tree": (signed(2), b""),
    "another log": (signed(7, origin="other"), b""),
    "no note": (b"nonsense", b""),
}


@pytest.mark.parametrize("what", FORKS)
async def test_a_ledger_that_does_not_continue_is_kept_as_evidence(
    served: Served, watch: Watch, tmp_path: Path, what: str
) -> None:
    served.note = signed(3)
    assert (await watch())[0] == 0
    served.note, served.proof = FORKS[what]
    status, told = await watch()
    assert (status, told["result"]) == (1, "inconsistent")
    evidence = Path(told["evidence"])
    assert (evidence / "earlier").read_bytes() == signed(3)
    assert (evidence / "later").read_bytes() == served.note
    assert (tmp_path / "kept").read_bytes() == signed(3)


async def test_another_log_of_the_same_hands_is_another(served: Served, watch: Watch) -> None:
    other = ledger.verifier_key("other", LOG.public_key())
    served.note = signed(3)
    assert (await watch())[0] == 0
    served.note, served.proof = signed(7, origin="other"), proven(3, 7)
    status, told = await watch("--vkey", other)
    assert (status, told["reason"]) == (1, "it is another log's")


async def test_a_quorum_of_witnesses_can_be_asked_for(served: Served, watch: Watch) -> None:
    name = cosigning.cosigner_key(NAME, WITNESS.public_key())
    served.note = signed(3)
    status, _ = await watch("--vkey", name, "--quorum", 1)
    assert status == 1
    assert served.seen[-1] == "/ledger/checkpoint/witnessed"
    text, _ = notes.split_note(served.note)
    served.note += cosigning.cosign(text, NAME, WITNESS, 1_700_000_000)
    status, told = await watch("--vkey", name, "--quorum", 1)
    assert (status, told["witnesses"]) == (0, {NAME: "2023-11-14T22:13:20Z"})


async def test_where_nothing_can_be_fetched_nothing_is_said(
    served: Served, watch: Watch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, told = await watch()
    assert (status, told["code"]) == (2, "store_unavailable")
    served.note = signed(3)
    vkey = cosigning.cosigner_key(NAME, WITNESS.public_key())
    given = ["ledger", "watch", served.url, "--vkey", vkey, "--keep", str(tmp_path / "kept")]
    assert await asyncio.to_thread(main, given) == 2
    assert "key_refused" in capsys.readouterr().err
    given[4] = ledger.verifier_key(ORIGIN, LOG.public_key())
    assert await asyncio.to_thread(main, given) == 0
    assert "与上次保存的一致" in capsys.readouterr().out


async def test_an_answer_without_end_or_from_nowhere_is_none(served: Served) -> None:
    served.note = b"x" * (posting.MOST_BYTES + 1)
    assert await posting.get(f"{served.url}/ledger/checkpoint") is None
    assert await posting.get("http://127.0.0.1:9/") is None
    assert await posting.get("nonsense") is None


# --- settings and doctor

GOOD = cosigning.cosigner_key(NAME, WITNESS.public_key())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", Code.CONFIGURATION_INVALID),
        ("[[witness]]\n", Code.CONFIGURATION_INVALID),
        (f'[[witness]]\nurl = "ftp://x"\nvkey = "{GOOD}"\n', Code.CONFIGURATION_INVALID),
        ('[[witness]]\nurl = "https://x"\nvkey = "x"\n', Code.KEY_REFUSED),
        (
            f'[[witness]]\nurl = "https://x"\nvkey = "{ledger.verifier_key("x", LOG.public_key())}"\n',
            Code.KEY_REFUSED,
        ),
        (f'[[witness]]\nurl = "https://x"\nvkey = "{GOOD}"\n' * 2, Code.CONFIGURATION_INVALID),
        (f'[[witness]]\nurl = "https://x"\nvkey = "{GOOD}"\nmore = 1\n', Code.CONFIGURATION_INVALID),
    ],
)
def test_a_list_of_witnesses_that_is_wrong_is_refused(text: str, code: Code) -> None:
    with pytest.raises(ConfigurationError) as refused:
        witnesses.read(text.encode())
    assert refused.value.code is code


async def test_the_service_asks_those_that_the_file_names_and_doctor_says_how_old_they_are(
    small_world: World, tmp_path: Path
) -> None:
    world, file = small_world, tmp_path / "witnesses.toml"
    file.write_text(f'[[witness]]\nurl = "https://x/"\nvkey = "{GOOD}"\n')
    settings = Settings(data_dir=tmp_path, witnesses=file)
    assert asking.named(Settings(data_dir=tmp_path)) == ()
    assert asking.witness_worker(Settings(data_dir=tmp_path), world.store, world.clock, Metrics()) is None
    metrics = Metrics()
    worker = asking.witness_worker(settings, world.store, world.clock, metrics)
    assert worker is not None
    assert [one.url for one in worker.witnesses] == ["https://x"]
    worker.measured(NAME, None, 7)
    assert f'witness_entries_behind{{witness="{NAME}"}} 7.0'.encode() in metrics.text()
    worker.measured(NAME, 3.0, 7)
    assert f'witness_seconds_since_cosignature{{witness="{NAME}"}} 3.0'.encode() in metrics.text()
    assert await checking.cosigned(settings, world.store) == {
        f"witness {NAME}": "尚无见证签名 · has cosigned nothing yet"
    }
    await grow(world, "N-1")
    note = await world.store.checkpoint()
    await world.store.keep_cosignature(Cosigned(NAME, 1, note, b"line", world.now))
    [said] = (await checking.cosigned(settings, world.store)).values()
    assert said.startswith("1/")

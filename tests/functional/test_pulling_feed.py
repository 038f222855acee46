"""``verifier pull`` against the real service, and against one that answers whatever a test tells it to."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.functional.process import CLIENT_JWK, CLIENT_KEY, eventually, running, settings
from tests.functional.world import BASE_URL, FACTORY, ORIGIN, Installation, over
from tests.unit.feed_log import LOG_KEY, NAME, RECORD_KEY, Log, some, written
from verifier import following as core
from verifier.app import Service
from verifier.cli import feed_client, following, parser
from verifier.cli.feed_client import address
from verifier.cli.simulator import person
from verifier.cosigning import cosigner_key
from verifier.errors import Code, ConfigurationError, Unavailable, VerifierError
from verifier.keyfiles import checkpoint_keys, pem, write_secret
from verifier.ledger import verifier_key
from verifier.settings import Settings
from verifier.signatures import jws, keys, sdjwt

LI, WANG = person(1, "阿依古丽·买买提"), person(2, "王伟")


def write_key(path: Path) -> Path:
    key = CLIENT_KEY.private
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    write_secret(path, pem(key))
    return path


async def pull(base: str, directory: Path, target: str, *further: str) -> int:
    """Run the command as its own arguments say."""
    arguments = parser().parse_args(
        [
            "pull", "--from", base, "--client", "bureau", "--key", str(directory / "client.pem"),
            "--vkey", str(directory / "vkey"), "--jwks", str(directory / "jwks.json"), "--to", target,
            *further,
        ]
    )  # fmt: skip
    status: int = await arguments.run(Settings(), arguments)
    return status


# --- the real service ---------------------------------------------------------------------------------------


@pytest.fixture
async def service(sqlite: str, tmp_path: Path, installation: Installation) -> AsyncIterator[str]:
    """A service with two records, and what a subsidy system needs to pull them."""
    world = await over(sqlite, installation)
    await world.employ(FACTORY, LI, WANG)
    await world.complete("N-1", LI)
    await world.complete("N-2", WANG)
    client = {"client": "bureau", "role": "subsidy", "offices": "652301", "jwk": CLIENT_JWK}
    await world.operations.add_client(client)
    await world.issue()
    (tmp_path / "checkpoint.txt").write_bytes(world.kept.note)
    await world.store.database.close()
    write_key(tmp_path / "client.pem")
    async with running(settings(tmp_path, installation)) as (_, base), aiohttp.ClientSession() as session:
        for path, name in (("/ledger/key", "vkey"), ("/.well-known/jwks.json", "jwks.json")):
            async with session.get(base + path) as answer:
                (tmp_path / name).write_bytes(await answer.read())
        yield base


@pytest.mark.untraced
@pytest.mark.parametrize("kind", ["sqlite", "directory"])
async def test_a_subsidy_system_pulls_all_and_then_nothing(
    service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    target = f"sqlite:{tmp_path}/copy.db" if kind == "sqlite" else str(tmp_path / "copy")
    further = ("--audience", BASE_URL, "--page", "2", "--json")
    assert await pull(service, tmp_path, target, *further) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["result"], first["records"]) == ("ok", 2)
    assert first["entries"] == first["size"] == first["next"] + 1
    # That records were shown is evidence, of which an entry may have come meanwhile; of records none.
    assert await pull(service, tmp_path, target, *further) == 0
    later = json.loads(capsys.readouterr().out)
    assert (later["records"], later["next"]) == (0, first["next"] + later["entries"])
    if kind == "sqlite":
        with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
            rows = copy.execute("select kind, status, sd_jwt from records").fetchall()
        assert [(row[0], row[1]) for row in rows] == [("granted", "current")] * 2
        names = {sdjwt.parse_disclosure(part).value for row in rows for part in row[2].split("~")[1:-1]}
        assert {LI.name, WANG.name} <= names


async def test_who_follows_hears_of_a_new_entry_at_once(
    service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, further = str(tmp_path / "copy"), ("--audience", BASE_URL, "--follow")
    task = asyncio.create_task(pull(service, tmp_path, target, *further))
    try:
        for _ in range(500):
            kept = tmp_path / "copy" / "cursor.json"
            # The last entry is the evidence that the records were shown: it came while the call waited.
            if kept.exists() and json.loads(kept.read_text())["next"] >= 6:
                break
            await asyncio.sleep(0.02)
        else:
            raise AssertionError(capsys.readouterr().err)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert "checked and kept" in capsys.readouterr().err


async def test_another_key_is_another_log(
    service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = (tmp_path / "vkey").read_text().split("+")[0]
    (tmp_path / "vkey").write_text(verifier_key(name, Ed25519PrivateKey.generate().public_key()))
    assert await pull(service, tmp_path, str(tmp_path / "copy"), "--audience", BASE_URL) == 1
    assert "reason: the checkpoint is not signed by the log's key" in capsys.readouterr().out
    assert list((tmp_path / "copy").glob("*.ndjson")) == []


async def test_a_client_that_is_unknown_could_not_run(service: str, tmp_path: Path) -> None:
    (tmp_path / "client.pem").unlink()
    write_secret(tmp_path / "client.pem", pem(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(VerifierError) as refused:
        await pull(service, tmp_path, str(tmp_path / "copy"), "--audience", BASE_URL)
    assert refused.value.code is Code.CLIENT_ASSERTION_REFUSED


async def test_a_cursor_of_another_log_stops_at_a_finding(
    service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, further = str(tmp_path / "copy"), ("--audience", BASE_URL, "--json")
    assert await pull(service, tmp_path, target, *further) == 0
    path = tmp_path / "copy" / "cursor.json"
    members = json.loads(path.read_text())
    path.write_text(json.dumps(members | {"next": 1, "frontier": members["frontier"][:1]}))
    capsys.readouterr()
    assert await pull(service, tmp_path, target, *further) == 1
    assert json.loads(capsys.readouterr().out)["result"] == "refused"


@pytest.mark.untraced
async def test_a_backup_that_was_restored_is_found_out_at_once_and_also_when_it_has_grown_past_the_cursor(
    sqlite: str, tmp_path: Path, installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    database, further = tmp_path / "verifier.db", ("--audience", BASE_URL, "--json")
    world = await over(sqlite, installation)
    await world.employ(FACTORY, LI, WANG)
    await world.operations.add_client({"client": "bureau", "role": "auditor", "jwk": CLIENT_JWK})
    await world.store.database.close()
    write_key(tmp_path / "client.pem")
    [log_key] = checkpoint_keys(installation.secrets_dir)
    (tmp_path / "vkey").write_text(verifier_key(ORIGIN, log_key))
    write_jwks(tmp_path, world.issuer_keys.record.verification_key)
    backup = database.read_bytes()
    found = []
    for people in ((LI, WANG), (), (WANG, LI, *(person(serial, "王伟") for serial in range(3, 12)))):
        database.write_bytes(backup)
        world = await over(sqlite, installation)
        for place, somebody in enumerate(people):
            await world.complete(f"N-{place}", somebody)
        await world.issue()
        # What is kept beside the database was restored with it: the service itself cannot know.
        (tmp_path / "checkpoint.txt").write_bytes(world.kept.note)
        await world.store.database.close()
        async with running(settings(tmp_path, installation)) as (service, base):
            await eventually(partial(_issued, service), "all is issued")
            status = await pull(base, tmp_path, str(tmp_path / "copy"), *further)
        found.append((status, json.loads(capsys.readouterr().out)))
    assert [status for status, _ in found] == [0, 1, 1]
    assert found[1][1]["code"] == "cursor_ahead"
    assert "not the beginning" in found[2][1]["reason"]


async def _issued(service: Service) -> bool:
    return not await service.store.issuing(lambda tx: bool(tx.pending(1) or tx.unrooted(1)), write=False)


# --- a service that answers what it is told to --------------------------------------------------------------


@dataclass
class Told:
    """Answers of the feed in order, the last one again and again; of the token likewise."""

    base: str = ""
    log: Log = field(default_factory=some)
    feed: list[web.Response | str] = field(default_factory=list)
    tokens: list[web.Response] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    bearers: list[str] = field(default_factory=list)
    lasts: int = 300

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        parsed = jws.parse_compact(str(form["client_assertion"]))
        jws.verify(parsed, keys.load_public_jwk(json.loads(CLIENT_JWK)))
        if self.tokens:
            return self.tokens.pop(0)
        self.bearers.append(f"token-{len(self.bearers)}")
        return web.json_response({"access_token": self.bearers[-1], "expires_in": self.lasts})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query) | {"bearer": request.headers["Authorization"].split()[1]})
        told = self.feed.pop(0) if self.feed else ""
        if isinstance(told, web.Response):
            return told
        lines = written(self.log.answer(int(request.query["after"]), int(request.query["limit"])))
        body = b"\n".join([*lines, b""])
        if told == "cut":
            response = web.StreamResponse(headers={"Content-Length": str(len(body))})
            await response.prepare(request)
            await response.write(body[:100])
            assert request.transport is not None
            request.transport.abort()
            return response
        return web.Response(body=body[:-1] if told == "no end" else body)


@asynccontextmanager
async def telling(directory: Path) -> AsyncIterator[Told]:
    told = Told()
    app = web.Application()
    app.router.add_post("/oauth/token", told.token)
    app.router.add_get("/v1/feed", told.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    if not (directory / "client.pem").exists():
        write_key(directory / "client.pem")
        (directory / "vkey").write_text(verifier_key(NAME, LOG_KEY.public_key()) + "\n")
        write_jwks(directory)
    yield told
    await runner.cleanup()


def write_jwks(directory: Path, *known: jws.VerificationKey) -> None:
    published = [keys.public_jwk(key) for key in known or (RECORD_KEY.verification_key,)]
    (directory / "jwks.json").write_text(json.dumps({"keys": published}))


@pytest.fixture
async def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Told]:
    monkeypatch.setattr(following, "_LONGEST_PAUSE", 0.01)
    async with telling(tmp_path) as made:
        yield made


def problem(status: int, code: str, **headers: str) -> web.Response:
    body = json.dumps({"code": code, "pointer": "?after"})
    return web.Response(status=status, body=body.encode(), headers=headers)


async def test_what_passes_is_tried_again(
    told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told.feed = [
        problem(503, "overloaded", **{"Retry-After": "1"}),
        problem(429, "quota_exceeded", **{"Retry-After": "soon"}),
        "cut",
        "no end",
    ]
    told.tokens = [problem(503, "overloaded")]
    assert await pull(told.base, tmp_path, str(tmp_path / "copy"), "--page", "3") == 0
    assert [one["after"] for one in told.asked] == ["-1"] * 5 + ["2", "5"]
    assert "trying again" in capsys.readouterr().err


async def test_who_does_not_follow_gives_up_after_a_while(told: Told, tmp_path: Path) -> None:
    told.feed = [problem(503, "overloaded") for _ in range(20)]
    with pytest.raises(Unavailable):
        await pull(told.base, tmp_path, str(tmp_path / "copy"))
    assert len(told.asked) == following.ATTEMPTS


async def test_nobody_at_home_is_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_LONGEST_PAUSE", 0.01)
    async with telling(tmp_path) as told:
        base = told.base
    with pytest.raises(Unavailable):
        await pull(base, tmp_path, str(tmp_path / "copy"))


async def test_a_token_is_renewed_before_it_ends_and_when_it_is_refused(told: Told, tmp_path: Path) -> None:
    told.feed = ["", problem(401, "token_refused"), ""]
    assert await pull(told.base, tmp_path, str(tmp_path / "copy"), "--page", "3") == 0
    assert [one["bearer"] for one in told.asked] == ["token-0", "token-0", "token-1", "token-1"]
    told.lasts = 60
    told.asked.clear()
    assert await pull(told.base, tmp_path, str(tmp_path / "other"), "--page", "6") == 0
    assert [one["bearer"] for one in told.asked] == ["token-2", "token-2"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda: problem(401, "token_refused"), Code.TOKEN_REFUSED),
        (lambda: problem(403, "scope_insufficient"), Code.SCOPE_INSUFFICIENT),
        (lambda: problem(422, "schema_invalid"), Code.SCHEMA_INVALID),
        (lambda: problem(404, "who knows"), Code.INTERNAL),
        (lambda: web.Response(status=500, body=b"<html>"), Code.INTERNAL),
        (lambda: web.Response(status=302, headers={"Location": "https://elsewhere.invalid/"}), Code.INTERNAL),
    ],
)
async def test_what_the_service_refuses_could_not_run(
    told: Told, tmp_path: Path, answer: Callable[[], web.Response], code: Code
) -> None:
    told.feed = [answer(), answer()]
    with pytest.raises(VerifierError) as refused:
        await pull(told.base, tmp_path, str(tmp_path / "copy"))
    assert refused.value.code is code
    assert "elsewhere" not in str(refused.value)


@pytest.mark.parametrize(
    "body", [b"[]", b"x", b'{"access_token":1,"expires_in":300}', b'{"access_token":"x"}']
)
async def test_a_token_that_is_none_could_not_run(told: Told, tmp_path: Path, body: bytes) -> None:
    told.tokens = [web.Response(body=body)]
    with pytest.raises(VerifierError) as refused:
        await pull(told.base, tmp_path, str(tmp_path / "copy"))
    assert refused.value.code is Code.INTERNAL


async def test_a_ledger_that_ends_before_the_cursor_is_a_finding(
    told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await pull(told.base, tmp_path, str(tmp_path / "copy")) == 0
    told.feed = [problem(409, "cursor_ahead")]
    assert await pull(told.base, tmp_path, str(tmp_path / "copy")) == 1
    said = capsys.readouterr().out
    assert "code: cursor_ahead" in said
    assert "暂停付款" in said


async def test_a_lie_stops_it_and_what_was_kept_stays(
    told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await pull(told.base, tmp_path, str(tmp_path / "copy")) == 0
    before = (tmp_path / "copy" / "cursor.json").read_bytes()
    told.log.add("claim")
    told.log.bodies[2] = told.log.bodies[2].replace(b"2021-06", b"2021-07")
    assert await pull(told.base, tmp_path, str(tmp_path / "copy"), "--json") == 1
    assert "not the beginning" in capsys.readouterr().out
    assert (tmp_path / "copy" / "cursor.json").read_bytes() == before


async def test_an_endless_answer_is_not_read_to_its_end(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_client, "MAX_ANSWER_BYTES", 500)
    with pytest.raises(VerifierError) as refused:
        await pull(told.base, tmp_path, str(tmp_path / "copy"))
    assert refused.value.code is Code.REQUEST_TOO_LARGE


async def test_new_keys_of_records_are_read_while_it_runs(told: Told, tmp_path: Path) -> None:
    other = jws.SigningKey("other", jws.Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
    write_jwks(tmp_path, other.verification_key)
    really = core.check

    def replaced(*arguments: Any, **options: Any) -> Any:
        try:
            return really(*arguments, **options)
        finally:
            write_jwks(tmp_path, other.verification_key, RECORD_KEY.verification_key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "check", replaced)
        assert await pull(told.base, tmp_path, str(tmp_path / "copy")) == 0


async def test_less_may_be_asked_for(told: Told, tmp_path: Path) -> None:
    further = ("--kinds", "record,claim", "--offices", "650100")
    assert await pull(told.base, tmp_path, str(tmp_path / "copy"), *further) == 0
    assert (told.asked[0]["kinds"], told.asked[0]["offices"], told.asked[0]["wait"]) == (
        "record,claim",
        "650100",
        "0",
    )


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())]
)
async def test_a_key_of_another_kind_is_refused(told: Told, tmp_path: Path, key: Any) -> None:
    (tmp_path / "client.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(ConfigurationError) as refused:
        await pull(told.base, tmp_path, str(tmp_path / "copy"))
    assert refused.value.code is Code.KEY_REFUSED


@pytest.mark.parametrize(
    "content", ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
async def test_a_key_that_is_none_is_refused(told: Told, tmp_path: Path, content: str) -> None:
    (tmp_path / "client.pem").write_text(content)
    with pytest.raises(ConfigurationError):
        await pull(told.base, tmp_path, str(tmp_path / "copy"))


async def test_an_ed25519_key_proves_a_client_too(tmp_path: Path) -> None:
    write_secret(tmp_path / "key.pem", pem(Ed25519PrivateKey.generate()))
    assert following._key(tmp_path / "key.pem").algorithm is jws.Algorithm.EDDSA


async def test_a_log_has_one_name_and_perhaps_several_keys(told: Told, tmp_path: Path) -> None:
    new = verifier_key(NAME, Ed25519PrivateKey.generate().public_key())
    assert await pull(told.base, tmp_path, str(tmp_path / "copy"), "--vkey", new) == 0
    stranger = verifier_key("other", LOG_KEY.public_key())
    witness = cosigner_key(NAME, LOG_KEY.public_key())
    for wrong in (stranger, witness, str(tmp_path / "no-such-file")):
        with pytest.raises(ConfigurationError):
            await pull(told.base, tmp_path, str(tmp_path / "copy"), "--vkey", wrong)


async def test_authorities_are_read_from_a_file_or_refused(told: Told, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        await pull(told.base, tmp_path, str(tmp_path / "copy"), "--ca", str(tmp_path / "vkey"))
    assert refused.value.pointer == "ca"


async def test_a_service_without_the_certificate_that_is_asked_for_is_no_service(
    told: Told, tmp_path: Path
) -> None:
    with pytest.raises((Unavailable, ConfigurationError)):
        await pull(told.base.replace("http:", "https:"), tmp_path, str(tmp_path / "copy"))


@pytest.mark.parametrize(
    "text",
    [
        "http://verifier.example", "ftp://127.0.0.1", "127.0.0.1:8080", "", "https://", "https://a@b",
        "https://x/?q=1", "https://x/#f", "https://x\\y", "https://[::1", "https://x:0", "http://192.0.2.1",
        "http://localhost.example", "https://例子.example", "https://x:99999",
    ],
)  # fmt: skip
def test_an_address_that_others_could_read_along_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        address(text)
    assert refused.value.pointer == "from"


@pytest.mark.parametrize(
    "text", ["https://verifier.example/", "http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:1"]
)
def test_an_address_is_https_or_this_machine(text: str) -> None:
    assert address(text) == text.rstrip("/")


@pytest.mark.parametrize("page", ["0", "-1", "x", "100001", "１"])
def test_a_page_has_a_number_of_entries(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["pull", "--page", page])
    assert "--page" in capsys.readouterr().err

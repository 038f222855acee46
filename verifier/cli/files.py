"""Signed files for isolated networks: the feed and claims out, steps of claims in.

Ours are signed with the record key in this very process, which is the operator's; the web never signs one.
"""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from verifier import claim_files, keyfiles, ledger, signed_file
from verifier.accounts import MOST_ROWS
from verifier.app import new_id, now
from verifier.cli.checking import stored
from verifier.cli.operating import ask, tell
from verifier.errors import AccessDenied, Code, ConfigurationError, VerifierError
from verifier.model.access import Client, ClientState, Role
from verifier.settings import Settings
from verifier.signatures import keys
from verifier.signatures.jws import VerificationKey
from verifier.signatures.strict_json import JsonValue
from verifier.signed_file import Contents
from verifier.store.store import Store
from verifier.totals import By
from verifier.web.feed import Sight, members

PAGE: Final = 500
FEED, CLAIMS, STEPS, RESULTS = "feed", "claims", "claim-steps", "claim-results"
"""Kinds of files."""


def declare(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    claims: argparse._SubParsersAction[argparse.ArgumentParser],
) -> None:
    """Declare the commands."""
    feed = commands.add_parser("feed", help="数据流文件 · the feed as a signed file")
    export = feed.add_subparsers(required=True, metavar="ACTION").add_parser(
        "export", help="写出某补贴系统可见的账本条目 · what a subsidy system would pull, signed"
    )
    export.add_argument("--client", required=True, help="补贴系统 · the subsidy system")
    export.add_argument("--after", type=int, default=-1, help="上次的 next · the last file's next")
    export.add_argument("--to", type=Path, required=True, help="文件 · the file, .ndjson")
    export.set_defaults(run=export_feed)
    listed = claims.add_parser(
        "export", help="写出某月申领与合计 · claims of a month and their totals, signed"
    )
    listed.add_argument("--month", required=True, help="月份 · YYYY-MM")
    listed.add_argument("--office", required=True, help="受理机构代码 · acceptance office")
    listed.add_argument("--entitlement", default="", help="只计此补贴资格 · only this one")
    listed.add_argument("--to", type=Path, required=True, help="文件 · the file, .ndjson or .xlsx")
    listed.set_defaults(run=export_claims)
    take = claims.add_parser(
        "take", help="收下补贴系统签名的申领文件，逐行答复 · take a signed file of steps in, row by row"
    )
    take.add_argument("file", type=Path, help="文件 · the file, .ndjson")
    take.add_argument("--client", required=True, help="补贴系统 · the subsidy system")
    take.add_argument("--signature", type=Path, required=True, help="签名 · its signature, .jws")
    take.add_argument("--result", type=Path, help="结果文件 · where the results go")
    take.set_defaults(run=take_claims)
    for command in (export, listed, take):
        command.add_argument("--json", action="store_true", help="机器可读 · for machines")


# Writing and signing


class _File:
    """A file that is written whole or not at all, and then its signature.

    Every method raises ConfigurationError where the file cannot be written or the record key cannot be read.
    """

    def __init__(self, settings: Settings, path: Path) -> None:
        self._settings, self._path = settings, path
        self._key = keyfiles.load_issuer_keys(settings.secrets_dir).record
        self._beside = path.with_name(path.name + ".part")
        self._digest, self._size = sha256(), 0
        with _writable():
            self._beside.write_bytes(b"")

    def add(self, *pieces: bytes) -> None:
        """Write behind what is there."""
        with _writable(), self._beside.open("ab") as file:
            for piece in pieces:
                file.write(piece)
                self._digest.update(piece)
                self._size += len(piece)

    def lines(self, said: Iterable[Mapping[str, Any]]) -> None:
        """Write lines of JSON."""
        self.add(*(msgspec.json.encode(one) + b"\n" for one in said))

    def sign(self, kind: str, adds: Mapping[str, JsonValue]) -> dict[str, Any]:
        """Put it in its place with its signature; what there is to be said of both."""
        found = Contents(self._digest.hexdigest(), self._size)
        token = signed_file.make(
            found,
            self._key,
            kind=kind,
            name=self._path.name,
            issuer=self._settings.base_url,
            jti=new_id(),
            at=now(),
            adds=adds,
        )
        signature = self._path.with_name(self._path.name + signed_file.SUFFIX)
        with _writable():
            signature.unlink(missing_ok=True)
            self._beside.replace(self._path)
            signature.write_text(token + "\n")
        places = {"file": str(self._path), "signature": str(signature)}
        return {**places, "kind": kind, "sha256": found.sha256, "size": found.size}


@contextmanager
def _writable() -> Iterator[None]:
    try:
        yield
    except OSError:
        detail = "the file cannot be written"
        raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="to") from None


async def asked(settings: Settings, name: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Run an operation; whatever refused it is raised here too."""
    status, answer = await ask(settings, name, parameters)
    if status:
        raise VerifierError(Code(answer["code"]), answer["detail"], pointer=answer["pointer"])
    return answer


# The feed


async def export_feed(settings: Settings, arguments: argparse.Namespace) -> int:
    """Write what a client may see of the ledger; whom it shows is in the access log first."""
    if arguments.to.suffix != ".ndjson" or arguments.after < -1:
        raise _wrong("a name that ends in .ndjson and an index from -1 on are needed", "to")
    async with stored(settings) as store:
        client = await _client(store, arguments.client)
        note = await store.checkpoint()
        size = ledger.parse_checkpoint(note.partition(b"\n\n")[0] + b"\n").size if note else 0
        after = arguments.after
        if after >= size:
            raise _wrong("the ledger does not reach as far", "after")
        file = _File(settings, arguments.to)
        while after < size - 1:
            page, learners = await _page(store, client, after, min(PAGE, size - 1 - after))
            if learners and client.role is Role.SUBSIDY:
                who = {"client": client.client_id, "learners": json.dumps(sorted(learners))}
                await asked(settings, "feed disclose", who)
            file.lines(page)
            after += len(page)
    signed = note.decode()
    # To the end of what the checkpoint covers, so that nothing is left to prove of what is behind.
    file.lines([{"next": after, "size": size, "checkpoint": signed, "proof": []}])
    written = file.sign(
        FEED,
        {
            "client": client.client_id,
            "after": arguments.after,
            "next": after,
            "ledger_size": size,
            "checkpoint": signed,
        },
    )
    entries = {"after": arguments.after, "next": after, "entries": after - arguments.after}
    tell(0, {**written, **entries}, as_json=arguments.json)
    return 0


async def _page(
    store: Store, client: Client, after: int, limit: int
) -> tuple[list[dict[str, Any]], set[str]]:
    """Entries as the client sees them, and the learners who are shown."""
    sight = Sight(client)
    whole = client.role is Role.SUBSIDY
    entries, _ = await store.feed(after, limit, sight.shows, disclosed=whole)
    learners = {
        str(entry.record.learner_id)
        for entry in entries
        if entry.record is not None and sight.shows(entry.kind, entry.office)
    }
    return [members(sight, entry) for entry in entries], learners


async def _client(store: Store, client_id: str) -> Client:
    found = await store.client(client_id)
    if found is None or found.state is not ClientState.ACTIVE:
        raise AccessDenied(Code.NOT_FOUND, "no such client", pointer="client")
    if found.role not in {Role.SUBSIDY, Role.AUDITOR}:
        raise AccessDenied(Code.SCOPE_INSUFFICIENT, "not a client that pulls the feed", pointer="client")
    return found


# Claims


async def export_claims(settings: Settings, arguments: argparse.Namespace) -> int:
    """Write claims of a month and their totals: lines for systems, a workbook for people."""
    path: Path = arguments.to
    if path.suffix not in {".ndjson", ".xlsx"}:
        raise _wrong("the name ends in .ndjson or .xlsx", "to")
    about = {"month": arguments.month, "office": arguments.office, "entitlement": arguments.entitlement}
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        answer = await asked(settings, "claims page", {**about, "after": after})
        found += answer["claims"]
        after = answer["next"]
        if not after:
            break
    totals = {by: await asked(settings, "claims totals", {**about, "by": by.value}) for by in By}
    file = _File(settings, path)
    if path.suffix == ".xlsx":
        file.add(claim_files.workbook(found, totals[By.SUBSIDY]))
    else:
        file.lines([*found, *({"totals": one} for one in totals.values())])
    digests = {f"{by}_totals_sha256": one["totals_sha256"] for by, one in totals.items()}
    written = file.sign(CLAIMS, {"month": arguments.month, "office": arguments.office, **digests})
    tell(0, {**written, "claims": len(found), **digests}, as_json=arguments.json)
    return 0


async def take_claims(settings: Settings, arguments: argparse.Namespace) -> int:
    """Take a file of steps in; 1 if any row was refused."""
    async with stored(settings) as store:
        client = await _client(store, arguments.client)
    if client.role is not Role.SUBSIDY:
        raise AccessDenied(Code.SCOPE_INSUFFICIENT, "not a subsidy system", pointer="client")
    raw = keyfiles.read_public(arguments.file)
    found = signed_file.contents([raw])
    token = keyfiles.read_public(arguments.signature).decode("utf-8", "replace").strip()
    signed_file.check(
        token,
        found,
        _keys_of(client),
        kind=STEPS,
        issuer=client.client_id,
        audience=settings.base_url,
        name=arguments.file.name,
    )
    lines = raw.removesuffix(b"\n").split(b"\n") if raw else []
    results: list[dict[str, Any]] = []
    for start in range(0, len(lines), MOST_ROWS):
        part = lines[start : start + MOST_ROWS]
        taken = await _take(settings, client, part)
        results += [{"line": start + place, **one} for place, one in enumerate(taken, 1)]
    done = sum(one["result"] == "done" for one in results)
    end = {"rows": len(results), "done": done, "refused": len(results) - done, "of_sha256": found.sha256}
    path = arguments.result or arguments.file.with_suffix(".results.ndjson")
    file = _File(settings, path)
    file.lines([*results, end])
    written = file.sign(RESULTS, {"of_sha256": found.sha256, "client": client.client_id})
    refused = [one for one in results if one["result"] == "refused"]
    tell(0, {**written, **end, "refused_rows": refused[:MOST_ROWS]}, as_json=arguments.json)
    return 1 if refused else 0


async def _take(settings: Settings, client: Client, part: Sequence[bytes]) -> list[dict[str, Any]]:
    """Send lines that can be read; those that cannot are refused here."""
    texts = [_text(line) for line in part]
    rows = json.dumps([text for text in texts if text is not None])
    parameters = {"client": client.client_id, "rows": rows, "operator": getpass.getuser()}
    answer = await asked(settings, "claims take", parameters)
    taken = iter(answer["results"])
    unread = {"result": "refused", "code": Code.JSON_INVALID.value, "pointer": ""}
    return [unread if text is None else next(taken) for text in texts]


def _text(line: bytes) -> str | None:
    if len(line) > claim_files.MAX_LINE:
        return None
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None


def _keys_of(client: Client) -> list[VerificationKey]:
    """The key that a client is registered with."""
    return [keys.load_public_jwk(client.jwk)]


def _wrong(detail: str, pointer: str) -> ConfigurationError:
    return ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer=pointer)

"""``verifier pull``: how a subsidy system, or an auditor, takes the feed over and checks all it takes."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from verifier import copying, cosigning, following, keyfiles
from verifier.app import now
from verifier.cli.authorities import trusted_authorities
from verifier.cli.feed_client import Account, Busy, FeedClient, address
from verifier.errors import CATALOGUE, Code, ConfigurationError, LedgerRefused, Unavailable
from verifier.following import Cursor, Trust
from verifier.settings import Settings
from verifier.signatures import keys
from verifier.signatures.jws import Algorithm, SigningKey
from verifier.web.feed import MOST_LINES

WAIT: Final = 25
"""Seconds that a call waits for an entry while following."""
ATTEMPTS: Final = 8
"""In a row without an answer, but for following, which never gives up."""
_LONGEST_PAUSE: Final = 30.0
_TELL_SECONDS: Final = 2.0


@dataclass(slots=True)
class Tally:
    """What was done so far, for whoever watches.

    Attributes:
        size: of the ledger, as last heard.
    """

    entries: int = 0
    shown: int = 0
    records: int = 0
    size: int = 0
    told: float = 0.0

    def tell(self, cursor: Cursor) -> None:
        """Say how far it is, at times."""
        moment = time.monotonic()
        if moment - self.told >= _TELL_SECONDS:
            self.told = moment
            done = f"{cursor.edge.size:,} / {self.size:,}"
            print(f"已核验并保存 · checked and kept: {done}", file=sys.stderr, flush=True)


def declare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    command = commands.add_parser(
        "pull", help="拉取、核验并保存数据流 · take the feed over, checked entry by entry"
    )
    command.add_argument("--from", dest="source", required=True, help="服务地址 · the service's address")
    command.add_argument("--client", required=True, help="客户端名 · client id")
    command.add_argument("--key", type=Path, required=True, help="本系统私钥（PEM，0600） · own private key")
    command.add_argument(
        "--vkey",
        action="append",
        required=True,
        help="检查点公钥或其文件，须由库外渠道取得；可多次 · the log's key or a file of it, got another way",
    )
    command.add_argument("--jwks", type=Path, required=True, help="记录公钥 JWKS 文件 · keys of records")
    command.add_argument("--to", required=True, help="目录，或 sqlite:文件 · a directory, or sqlite:FILE")
    command.add_argument(
        "--follow", action="store_true", help="不断等待新条目 · wait for more until interrupted"
    )
    command.add_argument("--kinds", default="", help="只看这些种类 · only these kinds, comma-separated")
    command.add_argument("--offices", default="", help="只看这些受理机构 · only these offices")
    command.add_argument("--page", type=_page, default=2000, help="每次的条数 · entries of one answer")
    command.add_argument(
        "--audience", default="", help="服务自称的地址，缺省同 --from · what the service calls itself"
    )
    command.add_argument(
        "--ca", type=Path, help="根证书 PEM · authorities to believe instead of the system's"
    )
    command.add_argument("--json", action="store_true", help="机器可读 · for machines")
    command.set_defaults(run=pull)


def _page(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= MOST_LINES:
        raise argparse.ArgumentTypeError(f"1 .. {MOST_LINES}")
    return int(text)


async def pull(_: Settings, arguments: argparse.Namespace) -> int:
    """Take over what there is; 1 if anything does not check out, and then nothing of it was kept."""
    base = address(arguments.source)
    account = Account(base, arguments.client, _key(arguments.key), arguments.audience or base)
    trust, trusted, tally = _trust(arguments), trusted_authorities(arguments.ca), Tally()
    try:
        with closing(copying.opened(arguments.to)) as copy:
            cursor = copy.cursor()
            following.check_cursor(cursor, trust)
            async with aiohttp.ClientSession(auto_decompress=False) as session:
                client = FeedClient(session, account, now, trusted)
                cursor = await _pulled(client, copy, cursor, trust, arguments, tally)
    except LedgerRefused as error:
        _say({"result": "refused", "code": error.code.value, "reason": error.detail}, as_json=arguments.json)
        if not arguments.json:
            print(CATALOGUE[error.code].zh)
        return 1
    root = cursor.edge.root().hex()
    counted = {"entries": tally.entries, "shown": tally.shown, "records": tally.records}
    _say(
        {"result": "ok", "next": cursor.next, "size": tally.size, **counted, "root": root},
        as_json=arguments.json,
    )
    return 0


async def _pulled(
    client: FeedClient,
    copy: copying.Copy,
    cursor: Cursor,
    trust: Trust,
    arguments: argparse.Namespace,
    tally: Tally,
) -> Cursor:
    """Answer by answer until there is no more, or for ever."""
    while True:
        lines = await _asked(client, cursor, arguments)
        try:
            after, taken = following.check(cursor, lines, trust, now=now())
        except LedgerRefused:
            # Keys change over the years: whoever follows need not stop, once the new ones are in the files.
            before, trust = trust, _trust(arguments)
            if trust == before:
                raise
            after, taken = following.check(cursor, lines, trust, now=now())
        if taken:
            copy.take(cursor, after, taken, lines)
            cursor = after
            tally.entries += len(taken)
            tally.shown += sum(bool(one.kind) for one in taken)
            tally.records += sum(one.claims is not None for one in taken)
        tally.size = after.end.size if after.end is not None else 0
        tally.tell(cursor)
        if not arguments.follow and cursor.edge.size >= tally.size:
            return cursor


async def _asked(client: FeedClient, cursor: Cursor, arguments: argparse.Namespace) -> list[bytes]:
    query: dict[str, str | int] = {"after": cursor.next, "limit": arguments.page}
    query |= {name: value for name in ("kinds", "offices") if (value := getattr(arguments, name))}
    attempt = 0
    while True:
        try:
            return await client.page(query, WAIT if arguments.follow else 0)
        except Busy as busy:
            attempt += 1
            if attempt >= ATTEMPTS and not arguments.follow:
                raise Unavailable(Code.OVERLOADED, busy.detail) from None
            longest = min(0.25 * 2 ** min(attempt, 10), _LONGEST_PAUSE)
            # Jitter keeps those that were cut off together from coming back together.
            pause = max(random.uniform(longest / 2, longest), min(busy.seconds, _LONGEST_PAUSE))  # noqa: S311 - not for secrecy
            print(f"{busy.detail}；{pause:.1f} 秒后重试 · trying again", file=sys.stderr, flush=True)
            await asyncio.sleep(pause)


def _key(path: Path) -> SigningKey:
    """The client's own key; its algorithm follows from its kind."""
    content = keyfiles.read_secret(path)
    try:
        private = load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if isinstance(private, Ed25519PrivateKey):
        return keys.load_private_pem(content, Algorithm.EDDSA, "client")
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return keys.load_private_pem(content, Algorithm.ES256, "client")
    raise ConfigurationError(
        Code.KEY_REFUSED, "neither a P-256 nor an Ed25519 private key in PEM", pointer="key"
    )


def _trust(arguments: argparse.Namespace) -> Trust:
    found = [cosigning.parse_key(line) for given in arguments.vkey for line in _texts(given)]
    origins = {key.name for key in found}
    if len(origins) != 1 or any(key.kind != cosigning.LOG for key in found):
        raise ConfigurationError(Code.KEY_REFUSED, "keys of one log are needed", pointer="vkey")
    published = keys.load_jwks(keyfiles.read_public(arguments.jwks))
    return Trust(origins.pop(), [key.public for key in found], published)


def _texts(given: str) -> Sequence[str]:
    """A key as it stands, or the lines of a file of keys."""
    if "+" in given and not Path(given).is_file():
        return (given,)
    content = keyfiles.read_public(Path(given)).decode("utf-8", "replace")
    return [line for line in content.splitlines() if line.strip()]


def _say(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer, ensure_ascii=False))
        return
    for name, value in answer.items():
        print(f"{name}: {value}")

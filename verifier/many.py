"""One service in several processes: webs that share a port, and one that does all the background work.

A web has no key of the issuer: it is started without, and the public ones that it gives out stand in a file
that the background writes (law 8). Keys of the web's own are made by the parent and never written down.

What a process keeps in memory and an operator may change, and how the others hear of it:

=========================  ==================================================================================
policies and register      ``verifier.uptake``: in each deciding transaction, once a second, and when told
transport secrets          with an adoption by this machine's background: read anew when told
public keys of the issuer  ``published.json`` in the data directory, looked at once a second and when told
field keys, rotations      each transaction reads the phase; keys that came later are read when they are met
profiles, offices          read once by the parent; a change needs a restart, as with one process
clients, admissions, ...   not kept: each call reads the database
=========================  ==================================================================================
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from aiohttp import web
from aiohttp.web_runner import AppRunner
from typing_extensions import override

from verifier import keyfiles, sides
from verifier.errors import Code, ConfigurationError, Unavailable, VerifierError
from verifier.ground import Files, Ground, ground, prepare, read_files, stand
from verifier.kept import CheckpointFile
from verifier.loops import collect_seldom
from verifier.operations import Operations
from verifier.parts import WebKeys, now, web_keys
from verifier.published import Published, PublishedKey, read
from verifier.published import write as written
from verifier.settings import Settings
from verifier.store.engine import is_sqlite
from verifier.supervising import LATER, WANTING, Child, Supervisor
from verifier.web import admin, metrics, server
from verifier.web.ledger import BACKGROUND_DOWN
from verifier.web.metrics import Metrics
from verifier.web.waiting import Growth
from verifier.wires import ADOPTED, BACKGROUND, CHANGED, GREW, State, Wires, listen

ADOPTING: Final = frozenset({"register adopt", "policy adopt"})


def serve(settings: Settings, workers: int, complain: Callable[[VerifierError], None]) -> int:
    """Run the service in so many web processes and one of background work; the exit status.

    Called on the main thread of a process without any other thread or loop.

    Args:
        settings: of the installation.
        workers: web processes, at least one.
        complain: tells the operator why a child cannot start.

    Raises:
        ConfigurationError: the database admits one process only, a file is missing or wrong, or the address
            cannot be listened on.
    """
    if is_sqlite(settings.database_url):
        detail = "SQLite has one process; several need PostgreSQL: see `db copy`"
        raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="workers")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    files = read_files(settings)
    places = reserve(settings.host, settings.port)
    shutil.rmtree(settings.counters, ignore_errors=True)
    settings.counters.mkdir(mode=0o700)
    metrics.count_together(settings.counters)
    installation = Installation(settings, files, web_keys(), Wires(workers), places)
    webs = [
        Child(slot, f"web {slot}", partial(run, installation.web, slot, complain=complain))
        for slot in range(1, workers + 1)
    ]
    background = Child(BACKGROUND, "background", partial(run, installation.background, complain=complain))
    address = f"http://{settings.host}:{places[0].getsockname()[1]}"
    supervisor = Supervisor(
        installation.wires,
        background,
        webs,
        listening=lambda: print(f"listening on {address}", flush=True),  # noqa: T201 - the parent says so once
        ended=partial(metrics.ended, settings.counters),
    )
    collect_seldom()  # what is there by now is shared with the children, and stays
    try:
        return supervisor.run()
    finally:
        installation.wires.close()
        for place in places:
            place.close()
        shutil.rmtree(settings.counters, ignore_errors=True)


def reserve(host: str, port: int) -> list[socket.socket]:
    """Addresses for webs to share, bound and not listened on.

    Raises:
        ConfigurationError: they cannot be bound, or somebody listens there.
    """
    places: list[socket.socket] = []
    try:
        for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            wanted = (address[0], places[0].getsockname()[1] if places else address[1], *address[2:])
            # First alone: who shares a port with another service of the same user would take its requests.
            _bound(family, wanted, shared=False).close()
            places.append(_bound(family, wanted, shared=True))
    except OSError:
        detail = "host and port cannot be listened on"
        raise ConfigurationError(Code.CONFIGURATION_INVALID, detail) from None
    return places


def _bound(family: int, address: Any, *, shared: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def run(
    life: Callable[..., Coroutine[Any, Any, None]],
    *arguments: int,
    complain: Callable[[VerifierError], None],
) -> int:
    """A child's whole life; its exit status."""
    try:
        asyncio.run(life(*arguments))
    except VerifierError as error:
        complain(error)
        return WANTING if isinstance(error, ConfigurationError) else LATER
    return 0


class GivenOut(Published):
    """Public keys of the background, which webs read from a file."""

    def __init__(self, keys: Sequence[PublishedKey], origin: str, file: CheckpointFile) -> None:
        super().__init__(keys, origin, now)
        self._file = file
        self.take_up(keys)

    @override
    def take_up(self, published: Sequence[PublishedKey]) -> None:
        """Give out these from now on, in every process."""
        super().take_up(published)
        self._file.write(written(published))


@dataclass(slots=True)
class News:
    """What a web looks at once a second, and when it is told.

    Attributes:
        anew: whether what is adopted is to be read in any case.
    """

    base: Ground
    file: CheckpointFile
    given_out: Published
    anew: bool = False
    _last: bytes = b""

    async def step(self) -> int:
        """Look; a worker's step. Raises Unavailable: the database does not answer."""
        content = self.file.read()
        if content and content != self._last:
            self.given_out.take_up(read(content))
            self._last = content
        anew, self.anew = self.anew, False
        try:
            return await self.base.uptake.step(self.base.store, anew=anew)
        except Unavailable:
            self.anew = self.anew or anew
            raise


@dataclass(frozen=True, slots=True)
class Telling:
    """An operator's operations, of which the webs hear."""

    operations: Operations
    wires: Wires

    async def run(self, name: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Run one; errors as ``Operations.run``."""
        try:
            return await self.operations.run(name, parameters)
        finally:
            self.wires.tell_webs(ADOPTED if name in ADOPTING else CHANGED)


@dataclass(frozen=True, slots=True)
class Installation:
    """What every child inherits from the parent."""

    settings: Settings
    files: Files
    keys: WebKeys = field(repr=False)
    wires: Wires
    places: Sequence[socket.socket]

    async def web(self, slot: int) -> None:
        """A web's life.

        Raises:
            VerifierError: it cannot start.
        """
        told, growth, wires = self._told(), Growth(), self.wires
        file = CheckpointFile(self.settings.given_out)
        given_out = Published(read(file.read()), self.settings.origin, now)
        base = ground(self.settings, self.files, on_commit=lambda: wires.wake.send(b"w"))
        news = News(base, file, given_out)
        base.crew.add("news", news.step)
        try:
            services = replace(
                sides.hearing(base, self.keys, given_out, growth, Metrics(self.settings.counters)),
                failed=lambda: (*base.crew.failed(), *base.uptake.failures(), *_background(wires)),
            )
            await prepare(base)
            await stand(base)

            def heard(said: bytes) -> None:
                if GREW in said:
                    growth.appended()
                if CHANGED in said or ADOPTED in said:
                    news.anew = news.anew or ADOPTED in said
                    base.crew.wake()

            await self._work(base, server.runner(server.build(services)))
            listen(wires.news[slot - 1], heard)
            wires.ready(slot)
            await told.wait()
        finally:
            await base.stack.aclose()

    async def _work(self, base: Ground, runner: AppRunner) -> None:
        base.crew.start()
        base.stack.push_async_callback(base.crew.stop)
        await runner.setup()
        base.stack.push_async_callback(runner.cleanup)
        for place in self.places:
            shared = _bound(place.family, place.getsockname(), shared=True)
            await web.SockSite(runner, shared).start()
        collect_seldom()

    async def background(self) -> None:
        """The life of the process that does the background's work.

        Raises:
            VerifierError: it cannot start.
        """
        told, settings, wires = self._told(), self.settings, self.wires
        keys = keyfiles.load_issuer_keys(settings.secrets_dir)
        every = keyfiles.every_published(settings.secrets_dir)
        given_out = GivenOut(every, settings.origin, CheckpointFile(settings.given_out))
        base = ground(settings, self.files)
        try:
            work = sides.working(base, keys, given_out, Metrics(settings.counters), self._heard)
            base.crew.add("rules", partial(base.uptake.step, base.store), woken=False)
            base.crew.add("state", partial(self._state, base))
            await prepare(base)
            fresh = await stand(base)
            await work.operations.adopt([*fresh, *self.files.at_start])
            await work.issuer.start()
            base.crew.start()
            base.stack.push_async_callback(base.crew.stop)
            await self._admit(base, work.operations)
            listen(wires.wake, lambda _: base.crew.wake(pressed=True))
            collect_seldom()
            wires.background = State.WORKS
            wires.ready(BACKGROUND)
            await told.wait()
        finally:
            await base.stack.aclose()

    async def _admit(self, base: Ground, operations: Operations) -> None:
        """Listen to the command line."""
        path = self.settings.admin_socket
        try:
            path.unlink(missing_ok=True)
            local = await admin.listen(admin.build(Telling(operations, self.wires)), path)
        except OSError:
            detail = "the admin socket cannot be listened on"
            raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="data_dir") from None
        base.stack.push_async_callback(local.cleanup)

    def _heard(self, step: Callable[[], Awaitable[int]]) -> Callable[[], Coroutine[Any, Any, int]]:
        """A step of the issuer, of which those who wait in the webs hear."""

        async def stepped() -> int:
            appended = await step()
            if appended:
                self.wires.tell_webs(GREW)
            return appended

        return stepped

    async def _state(self, base: Ground) -> int:
        """Say whether everything works; a worker's step."""
        failed = base.crew.failed() or base.uptake.failures()
        self.wires.background = State.STOPPED if failed else State.WORKS
        return 0

    def _told(self) -> asyncio.Event:
        """Set when the process is told to end, or its parent is gone."""
        told = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
        listen(self.wires.life, lambda _: told.set())
        return told


def _background(wires: Wires) -> tuple[str, ...]:
    return () if wires.background is State.WORKS else (BACKGROUND_DOWN,)

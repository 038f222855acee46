"""The composition root: the only place where the parts meet.

Embedded mode runs every role (web, evaluator, issuer) in this one process. The web part is handed neither the
store's internals nor the issuer: it gets ports, and keys of its own that live as long as the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial

from aiohttp import web

from verifier import keyfiles, sides
from verifier.adoption import Rulebooks
from verifier.errors import Code, ConfigurationError
from verifier.ground import Ground, ground, prepare, read_files, stand
from verifier.issuer import Issuer
from verifier.operations import Operations, SourceForm
from verifier.parts import new_id, now, open_database, profiles, read_apart, reading_store, web_keys
from verifier.pipeline import Rulebook
from verifier.published import Published
from verifier.settings import Settings
from verifier.store.store import Store
from verifier.web import admin, server
from verifier.web.metrics import Metrics
from verifier.web.services import Services
from verifier.web.waiting import Growth
from verifier.workers import Crew

__all__ = ["Service", "compose", "new_id", "now", "open_database", "profiles", "read_apart", "reading_store"]


@dataclass(slots=True)
class Service:
    """Everything of one process, put together."""

    base: Ground
    issuer: Issuer
    operations: Operations
    services: Services
    sources: Sequence[SourceForm]

    @property
    def settings(self) -> Settings:
        """Of the installation."""
        return self.base.settings

    @property
    def store(self) -> Store:
        """Where everything is kept."""
        return self.base.store

    @property
    def rulebooks(self) -> Rulebooks:
        """Whom everybody who decides asks."""
        return self.base.rulebooks

    @property
    def crew(self) -> Crew:
        """The background work."""
        return self.base.crew

    @property
    def stack(self) -> AsyncExitStack:
        """What is to be closed."""
        return self.base.stack

    @property
    def rules(self) -> Rulebook:
        """The rulebook in force."""
        return self.rulebooks()

    async def prepare(self) -> None:
        """Bring the schema up to date, or refuse another version's; errors as ``ground.prepare``."""
        await prepare(self.base)

    async def stand(self) -> None:
        """Put in force what was adopted, whatever the files say by now; errors as ``ground.stand``."""
        self.sources = await stand(self.base)

    async def start(self) -> str:
        """Bring the schema up to date, adopt what never was, take over the ledger, listen.

        Returns:
            The address that is listened on.

        Raises:
            ConfigurationError: the schema is not this version's, or the address cannot be listened on.
            LedgerRefused: the database does not continue the ledger that was signed.
            Unavailable: the database does not answer.
        """
        await self.prepare()
        await self.stand()
        await self.operations.adopt([*self.sources, *self.base.files.at_start])
        await self.issuer.start()
        self.crew.start()
        self.stack.push_async_callback(self.crew.stop)
        try:
            port = await self._listen()
        except OSError:
            raise ConfigurationError(
                Code.CONFIGURATION_INVALID, "host and port, or the admin socket, cannot be listened on"
            ) from None
        return f"http://{self.settings.host}:{port}"

    async def _listen(self) -> int:
        self.settings.admin_socket.unlink(missing_ok=True)
        local = await admin.listen(admin.build(self.operations), self.settings.admin_socket)
        self.stack.push_async_callback(local.cleanup)
        runner = server.runner(server.build(self.services))
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, self.settings.host, self.settings.port).start()
        port: int = runner.addresses[0][1]
        return port

    async def close(self) -> None:
        """Stop listening, let the workers finish their step, close the database."""
        await self.stack.aclose()


def compose(settings: Settings) -> Service:
    """Put the parts together; nothing runs yet, but on SQLite the database is held.

    Raises:
        ConfigurationError: a key, file or parameter is missing or wrong, or the database is held.
    """
    files = read_files(settings)
    published = Published(keyfiles.every_published(settings.secrets_dir), settings.origin, now)
    issuer_keys = keyfiles.load_issuer_keys(settings.secrets_dir)
    base, growth, metrics = ground(settings, files), Growth(), Metrics()
    work = sides.working(base, issuer_keys, published, metrics, growth.heard)
    services = sides.hearing(base, web_keys(), published, growth, metrics)
    if base.store.database.dialect != "sqlite":  # where no other process could adopt anything
        base.crew.add("rules", partial(base.uptake.step, base.store), woken=False)
    services = replace(services, failed=lambda: (*base.crew.failed(), *base.uptake.failures()))
    return Service(base, work.issuer, work.operations, services, files.forms)

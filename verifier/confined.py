"""Reads what platforms wrote in processes of their own, under limits of time and memory.

XML and PDF are formats in which a few bytes can ask for hours or gigabytes. The readers here have caps of
their own; this is what holds where one of them is missing: a worker that takes too long is killed, one that
asks for too much memory dies, and the service goes on. What was found authentic before that is kept.

A worker holds adapters and register, and is asked by plain values over a pipe, so that no key crosses it. It
is started when it is first needed, and anew when the rules have changed. Every call here blocks: callers are
on threads of their own.
"""

from __future__ import annotations

import multiprocessing
import queue
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from verifier.errors import CertificateRejected, Code, SignatureRejected, Unavailable
from verifier.keyring import Register
from verifier.model.certificate import SignedCertificate, VerifiedCertificate
from verifier.model.delivery import AuthenticatedCallback, Callback, PlatformSlug
from verifier.ports import Adapter
from verifier.preparing import HERE, Read
from verifier.signatures.steps import Step

SECONDS: Final = 5.0
"""For each answer of a worker; the largest honest document takes a tenth of it."""
START_SECONDS: Final = 60.0
"""For a new process to import what it needs, on a busy machine."""
MEMORY_BYTES: Final = 2**30
WORKERS: Final = 2

Target = Callable[..., None]
"""A worker's main function: takes the pipe, then the arguments. Spawned, so that it must have a name."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What workers are started with.

    Attributes:
        version: workers that were started with another one are replaced.
        arguments: for the target, besides the pipe; they can be pickled.
    """

    version: str
    arguments: tuple[Any, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An error as a value: exceptions lose their members on the way through a pipe."""

    code: Code
    step: str | int
    detail: str


# The worker's side


def serve(
    connection: Connection, adapters: Mapping[str, Adapter], register: Register, memory_bytes: int
) -> None:
    """A worker's whole life: set the limits, then answer until the pipe ends.

    Args:
        connection: to the service.
        adapters: by slug.
        register: the adopted one.
        memory_bytes: address space that the process may use.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = _Answers(connection, adapters, register)
    connection.send(None)
    while True:
        try:
            question, *arguments = connection.recv()
        except EOFError:
            return
        getattr(answers, question)(*arguments)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What a worker can be asked; it sends a value for each stage that ends."""

    connection: Connection
    adapters: Mapping[str, Adapter]
    register: Register

    def open(self, slug: str, callback: Callback, now: datetime) -> None:
        adapter = self.adapters[slug]
        platform = self.register.platforms.get(adapter.slug)
        keys = platform.transport_at(now) if platform is not None else ()
        try:
            authenticated = adapter.authenticate(callback, keys, now)
        except SignatureRejected as error:
            self.connection.send(_Refusal(error.code, error.step, ""))
            return
        self.connection.send(authenticated)
        self.read(slug, authenticated)

    def read(self, slug: str, authenticated: AuthenticatedCallback) -> None:
        self.connection.send(HERE.read(self.adapters[slug], authenticated))

    def verify(self, signed: SignedCertificate, platform: PlatformSlug, at: datetime) -> None:
        (result,) = HERE.verify([signed], platform, self.register, at)
        if isinstance(result, CertificateRejected):
            self.connection.send(_Refusal(result.code, result.step, result.detail))
        else:
            self.connection.send(result)


# The service's side


class _Worker:
    """One worker process, started when it is asked for."""

    def __init__(self, target: Target, seconds: float) -> None:
        self._target, self._seconds = target, seconds
        self._version = ""
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def ask(self, rules: Rules, *question: Any) -> None:
        """Put a question; the answers are fetched by ``answer``."""
        if self._process is not None and self._version != rules.version:
            self.stop()
        if self._process is None:
            self._start(rules)
        assert self._pipe is not None
        try:
            self._pipe.send(question)
        except OSError:
            self.kill()
            raise TimeoutError from None

    def _start(self, rules: Rules) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=self._target, args=(other, *rules.arguments), daemon=True)
        self._version = rules.version
        self._process.start()
        other.close()
        self._receive(START_SECONDS)

    def answer(self) -> Any:
        """The next value of the worker."""
        return self._receive(self._seconds)

    def _receive(self, seconds: float) -> Any:
        assert self._pipe is not None
        try:
            if self._pipe.poll(seconds):
                return self._pipe.recv()
        except (EOFError, OSError):
            pass  # it died
        self.kill()
        raise TimeoutError

    def kill(self) -> None:
        """End it, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
        self.stop()

    def stop(self) -> None:
        """Let it end."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.join()
        self._process = self._pipe = None


class Confined:
    """A ``Reader`` that asks workers; what they cannot do within their limits is ``too_complex``."""

    def __init__(
        self,
        target: Target,
        rules: Callable[[], Rules],
        *,
        workers: int = WORKERS,
        seconds: float = SECONDS,
    ) -> None:
        """Prepare; no process is started.

        Args:
            target: a worker's main function; it ends in ``serve``.
            rules: what a worker is started with, at the moment.
            workers: processes at once; further callers wait, and are told to come again if it takes long.
            seconds: for each answer.
        """
        self._rules = rules
        self._patience = 2 * seconds
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._all = [_Worker(target, seconds) for _ in range(workers)]
        for worker in self._all:
            self._idle.put(worker)

    def _free(self) -> _Worker:
        try:
            return self._idle.get(timeout=self._patience)
        except queue.Empty:
            raise Unavailable(Code.OVERLOADED, "every reading process is busy") from None

    def open(
        self,
        adapter: Adapter,
        callback: Callback,
        register: Register,  # noqa: ARG002 - the worker has its own, of the same rules
        now: datetime,
    ) -> Read:
        """Step 2.

        Raises:
            SignatureRejected: not authentic, or not found so within the limits.
            Unavailable: every worker is busy.
        """
        worker = self._free()
        try:
            worker.ask(self._rules(), "open", adapter.slug, callback, now)
            authenticated = worker.answer()
            if isinstance(authenticated, _Refusal):
                raise SignatureRejected(str(authenticated.step))
            return self._second_half(worker, replace(authenticated, callback=callback))
        except TimeoutError:
            raise SignatureRejected(Step.TOO_COMPLEX) from None
        finally:
            self._idle.put(worker)

    def read(self, adapter: Adapter, authenticated: AuthenticatedCallback) -> Read:
        """The second half of step 2, for what was authentic before."""
        worker = self._free()
        try:
            worker.ask(self._rules(), "read", adapter.slug, authenticated)
            return self._second_half(worker, authenticated)
        except TimeoutError:
            return Read(authenticated, (), Code.TOO_COMPLEX)
        finally:
            self._idle.put(worker)

    @staticmethod
    def _second_half(worker: _Worker, authenticated: AuthenticatedCallback) -> Read:
        try:
            read = worker.answer()
        except TimeoutError:
            return Read(authenticated, (), Code.TOO_COMPLEX)
        assert isinstance(read, Read)
        return replace(read, authenticated=authenticated)

    def verify(
        self,
        signed: Sequence[SignedCertificate],
        platform: PlatformSlug,
        register: Register,  # noqa: ARG002 - as in ``open``
        first_received_at: datetime,
    ) -> Sequence[VerifiedCertificate | CertificateRejected]:
        """Step 3 for each certificate; one beyond the limits costs none of the others."""
        return [self._verify(one, platform, first_received_at) for one in signed]

    def _verify(
        self, signed: SignedCertificate, platform: PlatformSlug, at: datetime
    ) -> VerifiedCertificate | CertificateRejected:
        worker = self._free()
        try:
            worker.ask(self._rules(), "verify", signed, platform, at)
            result = worker.answer()
        except TimeoutError:
            return CertificateRejected(Code.TOO_COMPLEX, 1, "not read within the limits of time and memory")
        finally:
            self._idle.put(worker)
        if isinstance(result, _Refusal):
            return CertificateRejected(result.code, int(result.step), result.detail)
        assert isinstance(result, VerifiedCertificate)
        return result

    def close(self) -> None:
        """Let every worker end; called when nothing is asked any more."""
        for worker in self._all:
            worker.stop()

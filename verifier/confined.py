"""Reads what platforms wrote in processes of their own, under limits of time and memory.

XML and PDF are formats in which a few bytes can ask for hours or gigabytes. The readers here have caps of
their own; this is what holds where one of them is missing: a worker that takes too long is killed, one that
asks for too much memory dies, and the service goes on. What was found authentic before that is kept.

A worker holds adapters and register, and is started anew when the rules have changed. What workers are, and
how they are ended: ``verifier.confinement``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from multiprocessing.connection import Connection

from verifier.confinement import MEMORY_BYTES, SECONDS, WORKERS, Rules, Target, Worker, Workers, answer, limit
from verifier.errors import CertificateRejected, Code, SignatureRejected
from verifier.keyring import Register
from verifier.model.certificate import SignedCertificate, VerifiedCertificate
from verifier.model.delivery import AuthenticatedCallback, Callback, PlatformSlug
from verifier.ports import Adapter
from verifier.preparing import HERE, Read
from verifier.signatures.steps import Step

__all__ = ["MEMORY_BYTES", "Confined", "Rules", "serve"]


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
    limit(memory_bytes)
    answers = _Answers(connection, adapters, register)
    answer(connection, lambda question, *arguments: getattr(answers, question)(*arguments))


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
        self._workers = Workers(target, rules, workers=workers, seconds=seconds)

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
        with self._workers.free() as worker:
            try:
                worker.ask(self._workers.rules(), "open", adapter.slug, callback, now)
                authenticated = worker.answer()
            except TimeoutError:
                raise SignatureRejected(Step.TOO_COMPLEX) from None
            if isinstance(authenticated, _Refusal):
                raise SignatureRejected(str(authenticated.step))
            return self._second_half(worker, replace(authenticated, callback=callback))

    def read(self, adapter: Adapter, authenticated: AuthenticatedCallback) -> Read:
        """The second half of step 2, for what was authentic before."""
        with self._workers.free() as worker:
            try:
                worker.ask(self._workers.rules(), "read", adapter.slug, authenticated)
            except TimeoutError:
                return Read(authenticated, (), Code.TOO_COMPLEX)
            return self._second_half(worker, authenticated)

    @staticmethod
    def _second_half(worker: Worker, authenticated: AuthenticatedCallback) -> Read:
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
        with self._workers.free() as worker:
            try:
                worker.ask(self._workers.rules(), "verify", signed, platform, at)
                result = worker.answer()
            except TimeoutError:
                detail = "not read within the limits of time and memory"
                return CertificateRejected(Code.TOO_COMPLEX, 1, detail)
        if isinstance(result, _Refusal):
            return CertificateRejected(result.code, int(result.step), result.detail)
        assert isinstance(result, VerifiedCertificate)
        return result

    def close(self) -> None:
        """Let every worker end; called when nothing is asked any more."""
        self._workers.close()

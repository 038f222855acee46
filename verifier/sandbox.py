"""The sandbox tenant: what would become of a callback, under keys that count for nothing. Pure.

A platform that is being connected posts to it as it will post in production, signed with keys of the
sandbox's own register, and is told what production never tells: the step at which authenticity failed, and
what became of each item and why. Steps 1 to 4b are run, the same code as in production; nothing is written,
so that duplicates, corrections and conflicts are not known here, a document of another delivery is never
there, and nothing is decided.

That is safe because the two registers share nothing: ``separate`` refuses a sandbox register that names a
key, secret or certificate of the real one. Whoever learns here how a check is passed has learned it for keys
that open nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from verifier import preparing
from verifier.errors import Code, ConfigurationError, RequestRejected, SignatureRejected
from verifier.keyring import Register
from verifier.model.delivery import (
    Acknowledgment,
    Callback,
    DeliveryOutcome,
    DeliveryState,
    Event,
    EventKind,
    ItemOutcome,
    ItemState,
)
from verifier.ports import Adapter, Clock, Digest
from verifier.preparing import HERE, Item, ProvenItem, Reader, WaitingItem, item_name
from verifier.signatures import keys, x509_form

STEPS: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: "form",
        2: "header",
        3: "issuer",
        4: "platform",
        5: "key",
        6: "algorithm",
        7: "signature",
        8: "claims",
        9: "key_at_issue",
        10: "compromise",
        11: "time",
        12: "message",
    }
)
"""The numbered steps of ``verifier.certificates``, by name."""

RECEIVE: Final = "receive"
"""Where a request failed that was refused before anybody asked who sent it."""

_WITHOUT_NUMBER: Final[Mapping[Code, str]] = MappingProxyType(
    {
        Code.IDENTIFIER_INVALID: "identity",
        Code.NAME_INVALID: "identity",
        Code.ISSUER_UNKNOWN: STEPS[3],
        Code.ISSUER_NOT_ALLOWED: STEPS[4],
    }
)
"""Where an item failed that was refused before or after the certificate's steps."""


@dataclass(slots=True)
class Tenant:
    """The sandbox of one installation.

    Attributes:
        register: its own.
        real: the register in force in production, which may change while the sandbox stands.
        confined: reads for the platforms that ask for it.
    """

    register: Register
    real: Callable[[], Register]
    digest: Digest
    clock: Clock
    confined: Reader = HERE
    _separate_from: Register | None = None

    def attempt(self, adapter: Adapter, callback: Callback) -> Trial:
        """What would become of a callback.

        Raises:
            ConfigurationError: KEY_REFUSED, the register in force names something of the sandbox's.
        """
        real = self.real()
        if real is not self._separate_from:
            separate(self.register, real)
            self._separate_from = real
        reader = self.confined if adapter.accepts.confined else HERE
        return attempt(adapter, callback, self.register, self.digest, self.clock(), reader)


@dataclass(frozen=True, slots=True)
class TriedItem:
    """What would become of one item.

    Attributes:
        kind: what the item says; None where it cannot be read.
        failed_step: name of the step at which it failed; empty if none did.
    """

    outcome: ItemOutcome
    kind: EventKind | None
    failed_step: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What would become of a callback.

    Attributes:
        failed_step: which check of authenticity failed; empty if none did.
        delivery_id: empty where authenticity failed.
        code: why the whole delivery would be refused or quarantined.
        answer: what production would have answered.
        pointer: where, if it was the request's form; never a value.
    """

    failed_step: str
    delivery_id: str
    code: Code | None
    items: tuple[TriedItem, ...]
    answer: Acknowledgment = field(repr=False)
    pointer: str = ""

    @property
    def authentic(self) -> bool:
        """Whether the sender would have been believed."""
        return not self.failed_step


def refused(adapter: Adapter, error: RequestRejected | SignatureRejected) -> Trial:
    """What would become of a request that is refused before its adapter sees it."""
    step = error.step if isinstance(error, SignatureRejected) else RECEIVE
    return Trial(step, "", error.code, (), adapter.refuse(error.code), error.pointer)


def attempt(
    adapter: Adapter,
    callback: Callback,
    register: Register,
    digest: Digest,
    now: datetime,
    reader: Reader = HERE,
) -> Trial:
    """Steps 2 to 4b for a callback, and what would be answered.

    Args:
        adapter: the platform's.
        callback: after step 1.
        register: the sandbox's own.
        digest: keyed digest.
        now: aware UTC.
        reader: runs what looks into the platform's bytes.
    """
    try:
        read = reader.open(adapter, callback, register, now)
    except SignatureRejected as error:
        return refused(adapter, error)
    prepared = preparing.verify(read, register, digest, {}, reader)
    items = tuple(
        _tried(item, part.kind if isinstance(part, Event) else None)
        for item, part in zip(prepared.items, read.parts, strict=True)
    )
    state = DeliveryState.QUARANTINED if prepared.code else DeliveryState.ACCEPTED
    delivery_id = prepared.claim.authenticated.delivery_id
    outcome = DeliveryOutcome(delivery_id, state, tuple(item.outcome for item in items), prepared.code)
    return Trial("", delivery_id, prepared.code, items, adapter.acknowledge(outcome))


def _tried(item: Item, kind: EventKind | None) -> TriedItem:
    if isinstance(item, ItemOutcome):
        refused = item.state is ItemState.REFUSED
        return TriedItem(item, kind, _step(item) if refused else "")
    if isinstance(item, WaitingItem):
        return TriedItem(ItemOutcome(item_name(item), ItemState.WAITING, Code.DOCUMENT_MISSING), kind, "")
    if isinstance(item, ProvenItem) and item.proven.weak:
        return TriedItem(ItemOutcome(item_name(item), ItemState.IN_REVIEW, Code.IDENTITY_WEAK), kind, "")
    return TriedItem(ItemOutcome(item_name(item), ItemState.ACCEPTED), kind, "")


def _step(refused: ItemOutcome) -> str:
    if refused.step:
        return STEPS[refused.step]
    return _WITHOUT_NUMBER.get(refused.code, "fields") if refused.code else "fields"


def separate(sandbox: Register, real: Register) -> None:
    """Refuse a sandbox register that shares anything with the real one.

    Raises:
        ConfigurationError: KEY_REFUSED; which key it is stands in neither message nor log.
    """
    if not set(_material(sandbox)).isdisjoint(_material(real)):
        raise ConfigurationError(
            Code.KEY_REFUSED,
            "a key, secret or certificate of the sandbox's register stands in the real one",
            pointer="sandbox_register",
        )


def _material(register: Register) -> Iterator[bytes]:
    """Everything of a register that proves something, each in one form."""
    for platform in register.platforms.values():
        for transport in platform.transport:
            if transport.secret is not None:
                yield transport.secret
            if transport.public_key is not None:
                yield keys.spki(transport.public_key)
    for issuer in register.issuers.values():
        for registered in issuer.keys.values():
            assert not isinstance(registered.key.public, bytes)
            yield keys.spki(registered.key.public)
        for anchor in issuer.anchors:
            # Its key, so that another certificate of the same authority is found as well.
            yield x509_form.read(anchor.certificate).spki

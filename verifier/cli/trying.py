"""What a profile makes of a sample request: the sandbox's steps, and what they read.

Without a register there is nobody to believe: the sender is not proven, and a certificate is read (steps 1, 2
and 8 of ``verifier.certificates``) but not verified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Final

from adapters.declared import DeclaredPlatform
from verifier import callback, certificates, learner, sandbox
from verifier.certificates import reading
from verifier.cli.samples import Sample
from verifier.errors import CertificateRejected, Code, ConfigurationError, IdentityRejected, RequestRejected
from verifier.keyring import Issuer, Register
from verifier.model.certificate import SignedCertificate, VerifiedCertificate
from verifier.model.delivery import (
    Acknowledgment,
    AuthenticatedCallback,
    Bearer,
    Callback,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    Event,
    ItemOutcome,
    ItemState,
    PlatformSlug,
)
from verifier.model.time import beijing_date
from verifier.ports import Adapter
from verifier.preparing import HERE, Part, Read
from verifier.sandbox import TriedItem

ADDRESS: Final = "/v1/callbacks/"
_NOBODY: Final = Register("", {}, {})
_ANYBODY: Final = Issuer("", "", frozenset(), {})
_SOMEBODY: Final = "sample"


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a sample.

    Attributes:
        proven: whether the sender was to be proven; an access token is in no sample.
        registered: whether certificates were to be verified.
        failed_step: where the request, or the proof of its sender, failed; empty if it did not.
        code: why the whole delivery would be refused or quarantined.
        authenticated: None where it failed.
        parts: what was read.
        outcomes: what would become of each of them; accepted where it can be told no further.
        answer: what the platform would be answered.
    """

    platform: DeclaredPlatform
    proven: bool
    registered: bool
    failed_step: str
    code: Code | None
    pointer: str
    authenticated: AuthenticatedCallback | None
    parts: tuple[Part, ...]
    outcomes: tuple[TriedItem, ...]
    answer: Acknowledgment = field(repr=False)

    @property
    def good(self) -> bool:
        """Whether nothing was refused."""
        states = {item.outcome.state for item in self.outcomes}
        return not self.failed_step and self.code is None and ItemState.REFUSED not in states


def attempt(platform: DeclaredPlatform, sample: Sample, register: Register | None, at: datetime) -> Tried:
    """Try a sample.

    Args:
        platform: made of the profile.
        sample: the request.
        register: proves the sender and the certificates; None to do without.
        at: the moment it is taken to arrive, aware UTC.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID, the request is not for this platform's address.
    """
    looking = _Looking(platform, prove=register is not None and not platform.accepts.bearer)
    try:
        request = _received(platform, sample, at)
    except RequestRejected as error:
        trial = sandbox.refused(platform, error)
    else:
        trial = sandbox.attempt(platform, request, register or _NOBODY, _digest, at, looking)
    parts = looking.seen.parts if looking.seen else ()
    items, answer = trial.items, trial.answer
    if register is None and looking.seen is not None:
        items = tuple(_as_far(item, part, at) for item, part in zip(items, parts, strict=True))
        answer = _answer(platform, trial.delivery_id, items, trial.code)
    return Tried(
        platform,
        looking.prove,
        register is not None,
        trial.failed_step,
        trial.code,
        trial.pointer,
        looking.seen.authenticated if looking.seen else None,
        parts,
        items,
        answer,
    )


def _digest(_purpose: str, data: bytes) -> bytes:
    """Nothing is stored, so nothing is keyed."""
    return sha256(data).digest()


def _received(platform: DeclaredPlatform, sample: Sample, at: datetime) -> Callback:
    address = ADDRESS + platform.slug
    rest = sample.path.removeprefix(address)
    if rest == sample.path or not (rest == "" or rest.startswith("/")):
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "the sample is not for this platform's address", pointer="sample:1"
        )
    return callback.receive(
        platform=platform.slug,
        method=sample.method,
        path=sample.path,
        rest=rest,
        query=sample.query,
        headers=sample.headers,
        body=sample.body,
        received_at=at,
        request_id=_SOMEBODY,
        accepts=platform.accepts,
        limits=callback.Limits(),
        bearer=Bearer(_SOMEBODY, _SOMEBODY, at) if platform.accepts.bearer else None,
    )


@dataclass(slots=True)
class _Looking:
    """Reads as production does, and keeps what was read; proves the sender only where it is asked to."""

    platform: DeclaredPlatform
    prove: bool
    seen: Read | None = None

    def open(self, adapter: Adapter, request: Callback, register: Register, now: datetime) -> Read:
        """Step 2. Raises SignatureRejected where the sender is to be proven, and is not."""
        if self.prove:
            self.seen = HERE.open(adapter, request, register, now)
        else:
            delivery_id = DeliveryId(self.platform.written_id(request))
            sequence = self.platform.written_sequence(request)
            self.seen = self.read(adapter, AuthenticatedCallback(request, delivery_id, "", now, sequence))
        return self.seen

    def read(self, adapter: Adapter, authenticated: AuthenticatedCallback) -> Read:
        """The second half of step 2."""
        return HERE.read(adapter, authenticated)

    def verify(
        self,
        signed: Sequence[SignedCertificate],
        platform: PlatformSlug,
        register: Register,
        first_received_at: datetime,
    ) -> Sequence[VerifiedCertificate | CertificateRejected]:
        """Step 3."""
        return HERE.verify(signed, platform, register, first_received_at)


def _as_far(item: TriedItem, part: Part, at: datetime) -> TriedItem:
    """An item that failed only because nobody is registered, as far as it can be told."""
    if item.outcome.code is not Code.ISSUER_UNKNOWN:
        return item
    accepted = replace(item.outcome, state=ItemState.ACCEPTED, code=None, step=0)
    if not isinstance(part, Event) or part.certificate is None:
        return TriedItem(accepted, item.kind, "")
    try:
        unverified = certificates.FORMS[part.certificate.kind](part.certificate)
        read = reading.read(unverified, part.certificate.fields, _ANYBODY, "", "")
        certificates.check_stated(part.stated, read)
        reference = (read.issuer, read.number_scope, read.number)
        who = learner.holder(read.holder, reference, "", beijing_date(at))
    except CertificateRejected as error:
        refused = replace(accepted, state=ItemState.REFUSED, code=error.code, step=error.step)
        return TriedItem(refused, item.kind, sandbox.STEPS[error.step])
    except IdentityRejected as error:
        refused = replace(accepted, state=ItemState.REFUSED, code=error.code, pointer=error.pointer)
        return TriedItem(refused, item.kind, "identity")
    if who.weak:
        accepted = replace(accepted, state=ItemState.IN_REVIEW, code=Code.IDENTITY_WEAK)
    return TriedItem(accepted, item.kind, "")


def _answer(
    platform: DeclaredPlatform, delivery_id: str, items: Sequence[TriedItem], code: Code | None
) -> Acknowledgment:
    """What would be answered if sender and certificates are what they say."""
    state = DeliveryState.QUARANTINED if code else DeliveryState.ACCEPTED
    outcomes: tuple[ItemOutcome, ...] = tuple(item.outcome for item in items)
    return platform.acknowledge(DeliveryOutcome(DeliveryId(delivery_id), state, outcomes, code))

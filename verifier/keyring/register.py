"""The register as decisions pin it: issuers with their keys and anchors, and what they say of a moment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from verifier.model.decision import Case
from verifier.model.delivery import PlatformSlug
from verifier.model.facts import CompletionFact, FactId
from verifier.model.time import iso
from verifier.model.trust import Recognition
from verifier.signatures import crl, x509_form
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.signatures.sm2 import DEFAULT_ID
from verifier.signatures.transport import TransportKey

LEAF: Final = ":"
"""Between an anchor's id and the leaf's name in a completion's key id."""


class KeyState(StrEnum):
    """Where an issuer's key or anchor is in its life. The times decide; the state says what they mean."""

    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"
    COMPROMISED = "compromised"


@dataclass(frozen=True, slots=True)
class Platform:
    """Who delivers.

    Attributes:
        silence_hours: after how many hours without a delivery its silence is an alarm; None for never.
    """

    slug: PlatformSlug
    name: str
    recognised: tuple[Recognition, ...]
    transport: tuple[TransportKey, ...]
    silence_hours: int | None = None

    def transport_at(self, moment: datetime) -> tuple[TransportKey, ...]:
        """The transport keys accepted at a moment."""
        return tuple(key for key in self.transport if key.valid_at(moment))


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A key of an issuer.

    Attributes:
        not_before: first moment at which it may sign, aware UTC.
        not_after: first moment at which it may no longer sign; None while that is open.
        compromised_since: the earliest moment at which somebody else may have held it.
        encoding: how its signatures are written where they stand beside what is signed.
    """

    key: VerificationKey
    state: KeyState
    not_before: datetime
    not_after: datetime | None = None
    compromised_since: datetime | None = None
    encoding: SignatureEncoding = SignatureEncoding.DER_BASE64

    def valid_at(self, moment: datetime) -> bool:
        """Whether the key might sign at a moment; what it signed then stays good after it is retired."""
        return _covers(self.not_before, self.not_after, moment)

    def doubtful_at(self, moment: datetime) -> bool:
        """Whether what was first received at a moment may be somebody else's, whatever date it bears."""
        return _since(self.compromised_since, moment)


@dataclass(frozen=True, slots=True)
class IssuerAnchor:
    """An authority whose certificates speak for an issuer.

    Attributes:
        certificate: the authority's own, DER. It is trusted as it stands: nobody signs for it.
        algorithm: the only one that a leaf's key verifies.
        not_before: first moment at which a leaf under it may sign for the issuer, aware UTC.
        not_after: first moment at which none may any longer; None while that is open.
        compromised_since: the earliest moment at which somebody else may have held the authority's key.
        crls: revocation lists, DER; None where the register says that the authority publishes none.
        sm2_id: the distinguishing id of SM2 signatures.
        encoding: how the leaf's signatures are written where they stand beside what is signed.
        leaf_subject: the subject that a leaf must have (RFC 4514); empty where every leaf signs for the
            issuer.
        stolen: since when somebody else may have the key of a leaf, by the name that ``key_id`` gives it:
            what the lists say, gathered once. A compromised authority between anchor and leaf is not in it:
            what was accepted under that one is reached by the anchor's own ``compromised_since``.
    """

    anchor_id: str
    certificate: bytes = field(repr=False)
    algorithm: Algorithm
    state: KeyState
    not_before: datetime
    not_after: datetime | None = None
    compromised_since: datetime | None = None
    crls: tuple[bytes, ...] | None = field(default=None, repr=False)
    sm2_id: bytes = DEFAULT_ID
    encoding: SignatureEncoding = SignatureEncoding.DER_BASE64
    leaf_subject: str = ""
    stolen: Mapping[str, datetime] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # The one way to give a frozen object what follows from its other parts.
        object.__setattr__(self, "stolen", MappingProxyType(_stolen(self.certificate, self.crls or ())))

    def valid_at(self, moment: datetime) -> bool:
        """Whether a leaf under it might sign for the issuer at a moment."""
        return _covers(self.not_before, self.not_after, moment)

    def doubtful_at(self, moment: datetime) -> bool:
        """Whether what was first received at a moment may be somebody else's, whatever date it bears."""
        return _since(self.compromised_since, moment)

    def key_id(self, issuer: bytes, serial: int) -> str:
        """What a completion names as its key: this anchor, and the leaf as revocation lists name it.

        Args:
            issuer: name of the leaf's own authority, DER.
            serial: the leaf's number within it.
        """
        return f"{self.anchor_id}{LEAF}{_leaf_name(issuer, serial)}"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs certificates.

    Attributes:
        number_scope: within what its certificate numbers are unique.
        platforms: who may carry its certificates.
        keys: by key id.
        anchors: in the register's order.
    """

    issuer_id: str
    number_scope: str
    platforms: frozenset[PlatformSlug]
    keys: Mapping[str, IssuerKey]
    anchors: tuple[IssuerAnchor, ...] = ()

    @property
    def signers(self) -> tuple[tuple[str, IssuerKey | IssuerAnchor], ...]:
        """Every key and anchor, each with its id."""
        return (*self.keys.items(), *((anchor.anchor_id, anchor) for anchor in self.anchors))

    def doubts(self, key_id: str, moment: datetime) -> bool:
        """Whether what was first received at a moment under the key that a completion names is doubtful."""
        if key_id in self.keys:
            return self.keys[key_id].doubtful_at(moment)
        name, separator, leaf = key_id.partition(LEAF)
        return any(
            anchor.doubtful_at(moment) or _since(anchor.stolen.get(leaf), moment)
            for anchor in self.anchors
            if separator and anchor.anchor_id == name
        )


@dataclass(frozen=True, slots=True)
class Register:
    """The register as a decision pins it.

    Attributes:
        digest: SHA-256, hexadecimal, over the source form and the public files that it names. Secrets are
            not in it: it is published.
        packed: its files in one text, where it was read to be adopted: for processes that read it again.
    """

    digest: str
    platforms: Mapping[PlatformSlug, Platform]
    issuers: Mapping[str, Issuer]
    packed: str = field(default="", repr=False, compare=False)

    @property
    def recognised(self) -> Mapping[PlatformSlug, tuple[Recognition, ...]]:
        """When each platform is recognised."""
        return MappingProxyType({slug: platform.recognised for slug, platform in self.platforms.items()})

    @property
    def compromised(self) -> list[dict[str, str]]:
        """The keys and anchors that somebody else may have held, as a ledger entry says it."""
        return [
            {"issuer": issuer.issuer_id, "key": name, "since": iso(signer.compromised_since)}
            for issuer in self.issuers.values()
            for name, signer in issuer.signers
            if signer.compromised_since is not None
        ]

    def doubtful(self, completions: Iterable[CompletionFact]) -> frozenset[FactId]:
        """The completions whose key was perhaps somebody else's when they were first received.

        Says so for a key: the register itself; for a leaf: also a revocation list, whenever it was made.

        A key that the register does not name is no longer spoken of, and casts no doubt: an entry is never
        removed, it changes state.
        """
        return frozenset(fact.fact_id for fact in completions if self._doubts(fact))

    def _doubts(self, fact: CompletionFact) -> bool:
        issuer = self.issuers.get(fact.issuer)
        return issuer is not None and issuer.doubts(fact.key_id, fact.received_at)

    def applied_to(self, case: Case) -> Case:
        """A case with all that the register has to say of it."""
        return replace(case, recognised=self.recognised, doubtful=self.doubtful(case.completions))


def _covers(start: datetime, end: datetime | None, moment: datetime) -> bool:
    return start <= moment and (end is None or moment < end)


def _since(start: datetime | None, moment: datetime) -> bool:
    return start is not None and start <= moment


_ISSUER_DIGITS: Final = 16


def _leaf_name(issuer: bytes, serial: int) -> str:
    # Distinct within one anchor's authorities, and short enough for a key id with any serial number.
    return f"{sha256(issuer).hexdigest()[:_ISSUER_DIGITS]}.{serial:x}"


def _stolen(certificate: bytes, crls: Iterable[bytes]) -> dict[str, datetime]:
    """The lists' word on compromised keys, by the names that key ids have."""
    anchor = x509_form.read(certificate)
    found = crl.stolen(crls, issuer=anchor.subject, spki=anchor.spki, sm2_id=DEFAULT_ID)
    return {_leaf_name(issuer, serial): since for (issuer, serial), since in found.items()}

"""Certificate revocation lists (RFC 5280, sections 5 and 6.3): what an authority says of its certificates.

Only complete lists that an authority signs with the key of its certificates are read: no delta, indirect or
partitioned lists, which all say so by critical extensions. Lists are configuration, fetched and registered by
the operator; nothing here opens a connection.

A list says whether a certificate stands only if it is *current*: its next update is not before the moment of
asking, and it was made before the certificate expired, since authorities drop expired certificates from their
lists (section 3.3), unless it says that it keeps them (``expiredCertsOnCRL``, X.509 section 9.5.2.7).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from cryptography.hazmat import asn1

from verifier.errors import Code, ConfigurationError, SignatureRejected
from verifier.signatures import authority, der
from verifier.signatures.authority import Statement
from verifier.signatures.steps import Step

MAX_CRL_BYTES: Final = 4 * 1024 * 1024
"""Some 90,000 entries; reading them takes half a second, once in a process."""
MAX_CACHED_CRLS: Final = 32

_REASON: Final = "2.5.29.21"
_INVALIDITY_DATE: Final = "2.5.29.24"
_DELTA: Final = "2.5.29.27"
_DISTRIBUTION_POINT: Final = "2.5.29.28"
_EXPIRED_CERTIFICATES: Final = "2.5.29.60"

_COMPROMISING: Final[Mapping[int, bool]] = MappingProxyType(
    {0: True, 1: True, 2: True, 3: False, 4: False, 5: False, 6: False, 9: False, 10: True},
)
"""Reasons (RFC 5280, section 5.3.1), and whether somebody else may have the key: where none is given,
somebody may. ``removeFromCRL`` (8) occurs in deltas only."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """Since when a certificate does not stand.

    Attributes:
        since: the invalidity date or the date of revocation, whichever is earlier; aware, UTC.
        compromised: whether somebody else may have the key, so that a date in a document proves nothing.
    """

    since: datetime
    compromised: bool


@dataclass(frozen=True, slots=True)
class _List:
    issuer: bytes
    this_update: datetime
    next_update: datetime | None
    expired_since: datetime
    entries: Mapping[int, Revocation] = field(repr=False)
    statement: Statement = field(repr=False)


def _extensions(extensions: list[der.Extension] | None) -> dict[str, der.Extension]:
    """By id; a critical one is refused, whatever it is: none that is followed here is ever critical."""
    found = der.by_id(extensions)
    if any(one.critical for one in found.values()):
        raise der.malformed()
    return found


def _reason(extension: der.Extension | None) -> int:
    if extension is None:
        return 0
    # ENUMERATED of one byte
    if len(extension.value) != 3 or not extension.value.startswith(b"\x0a\x01"):  # noqa: PLR2004
        raise der.malformed()
    return extension.value[2]


def _entry(entry: der.RevokedCertificate) -> Revocation:
    since = der.moment(entry.date)
    if entry.extensions is None:
        return Revocation(since, compromised=True)
    extensions = _extensions(entry.extensions)
    reason = _reason(extensions.get(_REASON))
    if reason not in _COMPROMISING:
        raise der.malformed()
    invalid = extensions.get(_INVALIDITY_DATE)
    if invalid is not None:
        since = min(since, der.decode(asn1.GeneralizedTime, invalid.value).as_datetime())
    return Revocation(since, compromised=_COMPROMISING[reason])


def _parsed(data: bytes) -> _List:
    if len(data) > MAX_CRL_BYTES:
        raise der.malformed()
    statement = authority.statement(data)
    tbs = der.decode(der.TbsCertList, statement.tbs)
    extensions = _extensions(tbs.extensions)
    if der.encode(tbs.signature) != statement.identifier or tbs.version not in {None, 1}:
        raise der.malformed()
    if _DELTA in extensions or _DISTRIBUTION_POINT in extensions:
        raise der.malformed()
    entries = {entry.serial: _entry(entry) for entry in tbs.revoked or ()}
    if len(entries) != len(tbs.revoked or ()):
        raise der.malformed()
    expired = extensions.get(_EXPIRED_CERTIFICATES)
    this_update = der.moment(tbs.this_update)
    return _List(
        issuer=der.encode(tbs.issuer),
        this_update=this_update,
        next_update=None if tbs.next_update is None else der.moment(tbs.next_update),
        expired_since=(
            this_update if expired is None else der.decode(asn1.GeneralizedTime, expired.value).as_datetime()
        ),
        entries=MappingProxyType(entries),
        statement=statement,
    )


@lru_cache(maxsize=MAX_CACHED_CRLS)
def _read(data: bytes) -> _List | None:
    """The list, or None: what cannot be read is remembered too, since reading it again may be long."""
    try:
        return _parsed(data)
    except SignatureRejected:
        return None


@dataclass(frozen=True, slots=True)
class Crl:
    """A revocation list that can be used, whoever it is from.

    Attributes:
        der: the list.

    Raises:
        ConfigurationError: ``key_refused``: over 4 MiB, malformed, delta, indirect, partitioned, or with
            another critical extension.
    """

    der: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if _read(self.der) is None:
            raise ConfigurationError(Code.KEY_REFUSED, "a revocation list cannot be read or is not complete")

    @classmethod
    def load(cls, data: bytes) -> Crl:
        """From a file: DER, or one PEM block.

        Raises:
            ConfigurationError: ``key_refused``.
        """
        return cls(authority.unwrapped(data, "X509 CRL"))

    @property
    def this_update(self) -> datetime:
        """When the authority made it, aware UTC. Whoever registers a list checks that it is not to come."""
        return self._list.this_update

    @property
    def next_update(self) -> datetime | None:
        """Until when it is current, aware UTC; without it, it never is."""
        return self._list.next_update

    @property
    def _list(self) -> _List:
        found = _read(self.der)
        assert found is not None  # as seen when this was made
        return found


def _signed(found: _List, spki: bytes, sm2_id: bytes) -> bool:
    try:
        authority.check_signed_by(found.statement, spki, sm2_id)
    except SignatureRejected:
        return False
    return True


def stolen(
    crls: Iterable[bytes], *, issuer: bytes, spki: bytes, sm2_id: bytes
) -> dict[tuple[bytes, int], datetime]:
    """The certificates whose keys somebody else may have, by any list, current or not.

    What a list says of a compromise stays true when the list is out of date. Of several that name a
    certificate the newest counts: an authority may correct a date, and drops what has expired.

    Args:
        crls: lists of any authorities, DER; those that cannot be used say nothing.
        issuer: name of the one authority whose key is at hand, DER: lists in this name must be signed by it.
            Certificates of the others come with documents, so that whoever registers their lists answers for
            them.
        spki: its key.
        sm2_id: what it hashes in, if that is an SM2 key.

    Returns:
        Since when, aware UTC, by the issuer's name in DER and the certificate's number within it.

    Raises:
        ConfigurationError: ``configuration_invalid``: an SM2 key, and libcrypto has no SM2.
    """
    lists = [found for found in map(_read, crls) if found is not None]
    heard = [found for found in lists if found.issuer != issuer or _signed(found, spki, sm2_id)]
    said = {
        (found.issuer, serial): revocation
        for found in sorted(heard, key=lambda found: found.this_update)
        for serial, revocation in found.entries.items()
    }
    return {named: revocation.since for named, revocation in said.items() if revocation.compromised}


def standing(
    serial: int,
    not_after: datetime,
    *,
    issuer: bytes,
    spki: bytes,
    sm2_id: bytes,
    crls: Iterable[bytes],
    seen_at: datetime,
    now: datetime,
) -> Revocation | None:
    """What the newest current list of an authority says of one of its certificates.

    Args:
        serial: the certificate's number.
        not_after: when it expires.
        issuer: the authority's name, DER.
        spki: the authority's key.
        sm2_id: what it hashes in, if that is an SM2 key.
        crls: lists of any authorities, DER; those that cannot be used say nothing.
        seen_at: when the document was first received; a list that is to be updated before says nothing.
        now: no list is used that was made later.

    Returns:
        None, if the certificate stands.

    Raises:
        SignatureRejected: ``revocation_unknown``: no list is current.
        ConfigurationError: ``configuration_invalid``: an SM2 key, and libcrypto has no SM2.
    """
    current = [
        found
        for found in map(_read, crls)
        if found is not None
        and found.issuer == issuer
        and found.this_update <= now
        and found.next_update is not None
        and found.next_update >= seen_at
        and min(found.this_update, found.expired_since) <= not_after
        and _signed(found, spki, sm2_id)
    ]
    if not current:
        raise SignatureRejected(Step.REVOCATION_UNKNOWN)
    return max(current, key=lambda found: found.this_update).entries.get(serial)

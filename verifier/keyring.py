"""The trust register: who may deliver, whose certificates they carry, under which keys, from when to when.

``load_register`` reads the source form (``keys/trust.toml``; its comments and ``keys/README.md`` explain
every field) and refuses it whole when anything in it is unknown, contradictory or weak: what decides on trust
is never half read. It opens no file: two callables hand over the public keys and the transport secrets.

What it settles once, so that nobody has to ask again:

- a public key or secret serves one holder under one id. The same key for two issuers would let either sign
  for the other; the same key under two ids would survive its own compromise.
- algorithms come from here, never from a token.
- a platform carries the certificates of exactly the issuers that name it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from hashlib import sha256
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from verifier.errors import Code, ConfigurationError
from verifier.model.delivery import PlatformSlug
from verifier.model.trust import Platform, Recognition, TransportKey
from verifier.signatures import keys, webhooks
from verifier.signatures.jws import REGISTERABLE, Algorithm, VerificationKey

MIN_SECRET_BYTES: Final = webhooks.MIN_SECRET_BYTES
"""Least length of a transport secret: 24 bytes."""
MIN_RSA_BITS: Final = 3072
"""Least size of a registered RSA key: certificates are relied on for years (NIST SP 800-57, 128 bits)."""

_SLUG: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TEXT: Final = re.compile(r"[^\s\x00-\x1f\x7f-\x9f](?:[^\x00-\x1f\x7f-\x9f]{0,198}[^\s\x00-\x1f\x7f-\x9f])?")
_KEY_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
# No separator and no leading dot: a name in the register never leaves its directory.
_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SECRET: Final = re.compile(rb"[\x21-\x7e]{1,256}")
_SAMPLE: Final = re.compile(rb"change.?me|example|sample|default|passw|placeholder|12345678|abcdefgh")
_FEWEST_DISTINCT: Final = 8
_ALGORITHMS: Final = MappingProxyType({algorithm.value: algorithm for algorithm in REGISTERABLE})


class KeyState(StrEnum):
    """Where an issuer's key is in its life. The times decide; the state says what the times mean."""

    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"
    COMPROMISED = "compromised"


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """A key of an issuer.

    Attributes:
        not_before: first moment at which it may sign, aware UTC.
        not_after: first moment at which it may no longer sign; None while that is open.
        compromised_since: the earliest moment at which somebody else may have held it.
    """

    key: VerificationKey
    state: KeyState
    not_before: datetime
    not_after: datetime | None = None
    compromised_since: datetime | None = None

    def valid_at(self, moment: datetime) -> bool:
        """Whether the key might sign at a moment; what it signed then stays good after it is retired."""
        return self.not_before <= moment and (self.not_after is None or moment < self.not_after)

    def doubtful_at(self, moment: datetime) -> bool:
        """Whether what was first received at a moment may be somebody else's, whatever date it bears."""
        return self.compromised_since is not None and self.compromised_since <= moment


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs certificates.

    Attributes:
        number_scope: within what its certificate numbers are unique.
        platforms: who may carry its certificates.
        keys: by key id.
    """

    issuer_id: str
    number_scope: str
    platforms: frozenset[PlatformSlug]
    keys: Mapping[str, IssuerKey]


@dataclass(frozen=True, slots=True)
class Register:
    """The register as a decision pins it.

    Attributes:
        digest: SHA-256, hexadecimal, over the source form and the public key files that it names. Secrets are
            not in it: it is published.
    """

    digest: str
    platforms: Mapping[PlatformSlug, Platform]
    issuers: Mapping[str, Issuer]


def load_register(
    raw: bytes, read_key: Callable[[str], bytes], read_secret: Callable[[str], bytes]
) -> Register:
    """Read the source form.

    Args:
        raw: the TOML document.
        read_key: the bytes of a public key file, by its name within ``keys/issuers``.
        read_secret: the bytes of a secret kept outside the repository, by its reference name. One line of
            printable ASCII: ``whsec_`` and base64, or else the secret itself.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID or KEY_REFUSED; the pointer is the path in the document.
    """
    try:
        document = _Table(tomllib.loads(raw.decode("utf-8")), "")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(Code.CONFIGURATION_INVALID, "the register is not TOML") from error
    document.allow("platform", "issuer")
    material = _Material(read_key, read_secret)
    platforms: dict[PlatformSlug, Platform] = {}
    for table in document.tables("platform", least=1):
        platform = _platform(table, material)
        if platform.slug in platforms:
            raise table.invalid("slug", "a platform stands twice")
        platforms[platform.slug] = platform
    issuers: dict[str, Issuer] = {}
    for table in document.tables("issuer"):
        issuer = _issuer(table, material, platforms)
        if issuer.issuer_id in issuers:
            raise table.invalid("id", "an issuer stands twice")
        issuers[issuer.issuer_id] = issuer
    digest = _digest(raw, material.files)
    return Register(digest, MappingProxyType(platforms), MappingProxyType(issuers))


def _digest(raw: bytes, files: Mapping[str, bytes]) -> str:
    # Each part is preceded by its length, so that no two registers share one sequence of bytes.
    parts = [raw, *(part for name in sorted(files) for part in (name.encode("ascii"), files[name]))]
    return sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()


@dataclass(frozen=True, slots=True)
class _Table:
    """A TOML table that is read strictly: every key is known, every value of its one type."""

    values: Mapping[str, Any] = field(repr=False)
    path: str

    def pointer(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def invalid(self, name: str, detail: str) -> ConfigurationError:
        return ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer=self.pointer(name))

    def refused(self, name: str, detail: str) -> ConfigurationError:
        return ConfigurationError(Code.KEY_REFUSED, detail, pointer=self.pointer(name))

    def allow(self, *names: str) -> None:
        if not self.values.keys() <= set(names):
            # Not named: what stands where no key belongs may be a secret.
            raise ConfigurationError(Code.CONFIGURATION_INVALID, "unknown key", pointer=self.path or "/")

    def text(self, name: str, form: re.Pattern[str] = _TEXT) -> str:
        value = self.values.get(name)
        if not isinstance(value, str) or form.fullmatch(value) is None:
            raise self.invalid(name, "missing, or not text of the expected form")
        return value

    def day(self, name: str) -> date:
        value = self.values.get(name)
        if isinstance(value, datetime) or not isinstance(value, date):
            raise self.invalid(name, "missing, or not a date")
        return value

    def moment(self, name: str) -> datetime:
        value = self.values.get(name)
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise self.invalid(name, "missing, or not a date and time with its offset")
        try:
            return value.astimezone(UTC)
        except OverflowError as error:
            raise self.invalid(name, "out of range") from error

    def interval(self) -> tuple[datetime, datetime | None]:
        start = self.moment("not_before")
        end = self.moment("not_after") if "not_after" in self.values else None
        if end is not None and end <= start:
            raise self.invalid("not_after", "the interval is empty")
        return start, end

    def tables(self, name: str, *, least: int = 0) -> Iterator[_Table]:
        value = self.values.get(name, [])
        if not isinstance(value, list) or len(value) < least or not all(isinstance(v, dict) for v in value):
            raise self.invalid(name, "missing, or not an array of tables")
        return (_Table(entry, f"{self.pointer(name)}[{n}]") for n, entry in enumerate(value))


@dataclass(frozen=True, slots=True)
class _Material:
    """Keys and secrets as the register names them, each of which may serve once."""

    read_key: Callable[[str], bytes]
    read_secret: Callable[[str], bytes]
    files: dict[str, bytes] = field(default_factory=dict)
    _served: set[bytes] = field(default_factory=set)

    def public_key(self, table: _Table, name: str, algorithm: Algorithm, kid: str) -> VerificationKey:
        pem = _read(table, name, self.read_key)
        try:
            key = keys.load_public_pem(pem, algorithm, kid)
        except ConfigurationError as error:
            raise table.refused(name, error.detail) from error
        assert not isinstance(key.public, bytes)
        if isinstance(key.public, RSAPublicKey) and key.public.key_size < MIN_RSA_BITS:
            raise table.refused(name, "an RSA key has fewer than 3072 bits")
        self._serve(table, name, key.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        self.files[table.text(name, _FILE)] = pem
        return key

    def secret(self, table: _Table, name: str) -> bytes:
        line = _read(table, name, self.read_secret).removesuffix(b"\n").removesuffix(b"\r")
        if _SECRET.fullmatch(line) is None:
            raise table.refused(name, "a secret is not one line of 1 to 256 printable ASCII characters")
        secret = line
        if line.startswith(b"whsec_"):
            try:
                secret = webhooks.decode_secret(line.decode("ascii"))
            except ConfigurationError as error:
                raise table.refused(name, error.detail) from error
        if len(secret) < MIN_SECRET_BYTES:
            raise table.refused(name, "a secret has fewer than 24 bytes")
        if len(set(secret)) < _FEWEST_DISTINCT or any(_SAMPLE.search(s.lower()) for s in (line, secret)):
            raise table.refused(name, "a secret looks like a sample")
        self._serve(table, name, secret)
        return secret

    def _serve(self, table: _Table, name: str, material: bytes) -> None:
        mark = sha256(material).digest()
        if mark in self._served:
            raise table.refused(name, "a key or secret stands in the register twice")
        self._served.add(mark)


def _read(table: _Table, name: str, read: Callable[[str], bytes]) -> bytes:
    reference = table.text(name, _FILE)
    try:
        return read(reference)
    except (OSError, LookupError) as error:
        raise table.refused(name, "a key or secret cannot be read") from error


def _platform(table: _Table, material: _Material) -> Platform:
    table.allow("slug", "name", "recognised", "transport")
    recognised = tuple(_recognition(entry) for entry in table.tables("recognised", least=1))
    _refuse_overlap(table, recognised)
    transport = tuple(_transport_key(entry, material) for entry in table.tables("transport"))
    if len({key.key_id for key in transport}) != len(transport):
        raise table.invalid("transport", "a key id stands twice")
    return Platform(PlatformSlug(table.text("slug", _SLUG)), table.text("name"), recognised, transport)


def _recognition(table: _Table) -> Recognition:
    table.allow("from", "to", "reference")
    start, end = table.day("from"), table.day("to") if "to" in table.values else None
    if end is not None and end < start:
        raise table.invalid("to", "the interval is empty")
    return Recognition(start, end, table.text("reference"))


def _refuse_overlap(table: _Table, intervals: Sequence[Recognition]) -> None:
    for earlier, later in pairwise(sorted(intervals, key=lambda interval: interval.start)):
        if earlier.end is None or later.start <= earlier.end:
            raise table.invalid("recognised", "two intervals overlap")


def _transport_key(table: _Table, material: _Material) -> TransportKey:
    table.allow("key_id", "not_before", "not_after", "secret", "public_key")
    key_id = table.text("key_id", _KEY_ID)
    start, end = table.interval()
    if ("secret" in table.values) == ("public_key" in table.values):
        raise table.invalid("secret", "exactly one of secret and public_key is needed")
    if "secret" in table.values:
        return TransportKey(key_id, start, end, secret=material.secret(table, "secret"))
    public = material.public_key(table, "public_key", Algorithm.EDDSA, key_id).public
    assert isinstance(public, Ed25519PublicKey)
    return TransportKey(key_id, start, end, public_key=public)


def _issuer(table: _Table, material: _Material, platforms: Mapping[PlatformSlug, Platform]) -> Issuer:
    table.allow("id", "number_scope", "platforms", "key")
    named = table.values.get("platforms")
    if not isinstance(named, list) or not named or not all(isinstance(slug, str) for slug in named):
        raise table.invalid("platforms", "missing, or not a list of platforms")
    carriers = frozenset(PlatformSlug(slug) for slug in named)
    if len(carriers) != len(named) or not carriers <= platforms.keys():
        raise table.invalid("platforms", "a platform is unknown or stands twice")
    issuer_keys: dict[str, IssuerKey] = {}
    for entry in table.tables("key"):
        issuer_key = _issuer_key(entry, material)
        if issuer_key.key.kid in issuer_keys:
            raise entry.invalid("kid", "a key id stands twice")
        issuer_keys[issuer_key.key.kid] = issuer_key
    return Issuer(table.text("id"), table.text("number_scope"), carriers, MappingProxyType(issuer_keys))


def _issuer_key(table: _Table, material: _Material) -> IssuerKey:
    table.allow("kid", "algorithm", "file", "state", "not_before", "not_after", "compromised_since")
    kid, written = table.text("kid", _KEY_ID), table.text("state")
    if written not in set(KeyState):
        raise table.invalid("state", "not a state of a key")
    state = KeyState(written)
    start, end = table.interval()
    if end is None and state in {KeyState.RETIRING, KeyState.RETIRED}:
        raise table.invalid("not_after", "a key that is or will be retired needs its end")
    if (state is KeyState.COMPROMISED) != ("compromised_since" in table.values):
        raise table.invalid("compromised_since", "belongs to compromised keys, and to all of them")
    since = table.moment("compromised_since") if state is KeyState.COMPROMISED else None
    algorithm = _ALGORITHMS.get(table.text("algorithm"))
    if algorithm is None:
        raise table.refused("algorithm", "not an algorithm that may be registered")
    return IssuerKey(material.public_key(table, "file", algorithm, kid), state, start, end, since)

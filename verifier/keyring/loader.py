"""Reads the register's source form; ``keys/README.md`` explains every field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from types import MappingProxyType
from typing import Final, NamedTuple

from verifier.keyring.material import MIN_RSA_BITS, MIN_TRANSPORT_RSA_BITS, Material
from verifier.keyring.register import (
    LEAF,
    Issuer,
    IssuerAnchor,
    IssuerKey,
    KeyState,
    Platform,
    Register,
)
from verifier.model.delivery import PlatformSlug
from verifier.model.trust import Recognition
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import REGISTERABLE, Algorithm
from verifier.signatures.sm2 import DEFAULT_ID
from verifier.signatures.transport import TransportKey
from verifier.toml_tables import Table, document

SLUG: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
KEY_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
# With the leaf's name behind it, it is still a key id.
_ANCHOR_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
_SM2_ID: Final = re.compile(r"default|empty|text:[^\x00-\x1f\x7f-\x9f]{1,200}")
# As ``distinguished_name`` writes names: compared exactly, so that other spellings are refused here already.
_RELATIVE: Final = (
    r"(?:CN|C|L|ST|STREET|O|OU|UID|DC|[0-9]+(?:\.[0-9]+)+)"
    r"=(?![ #])(?:[^,+\"\\<>;\x00-\x1f\x7f-\x9f]|\\.)+"
)
_SUBJECT: Final = re.compile(rf"{_RELATIVE}(?:[,+]{_RELATIVE})*")
_UNPUBLISHED: Final = re.compile("unpublished")
_MD5: Final = re.compile("MD5")
_RSA_2048: Final = re.compile("RSA-2048")
_LONGEST_SILENCE: Final = 8760
"""Hours: a year."""

ALGORITHMS: Final = MappingProxyType(
    {algorithm.value: algorithm for algorithm in (*sorted(REGISTERABLE), Algorithm.SM2)}
)
"""What an issuer's key or leaf may be registered for."""
TRANSPORT_ALGORITHMS: Final = MappingProxyType(
    {
        "EdDSA": Algorithm.EDDSA,
        "RS256": Algorithm.RS256,
        "ES256": Algorithm.ES256,
        "SM3withSM2": Algorithm.SM2,
        # A private RSA operation on a bare digest (``verifier.signatures.raw_rsa``), by an ordinary RSA key.
        "raw-RSA": Algorithm.RS256,
    }
)
"""What a platform's public key may prove deliveries by, with the kind of key it takes."""


class Life(NamedTuple):
    """When a key or anchor may sign, and since when it is doubtful."""

    state: KeyState
    not_before: datetime
    not_after: datetime | None
    compromised_since: datetime | None


def load_register(
    raw: bytes, read_key: Callable[[str], bytes], read_secret: Callable[[str], bytes]
) -> Register:
    """Read the source form.

    Args:
        raw: the TOML document.
        read_key: the bytes of a public file, by its name within ``keys/issuers``: a key, a certificate, a
            revocation list.
        read_secret: the bytes of a secret kept outside the repository, by its reference name. One line of
            printable ASCII: ``whsec_`` and base64, or else the secret itself.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID or KEY_REFUSED; the pointer is the path in the document.
    """
    source = document(raw, "the register")
    source.allow("platform", "issuer")
    material = Material(read_key, read_secret)
    platforms: dict[PlatformSlug, Platform] = {}
    for table in source.tables("platform", least=1):
        platform = _platform(table, material)
        if platform.slug in platforms:
            raise table.invalid("slug", "a platform stands twice")
        platforms[platform.slug] = platform
    issuers: dict[str, Issuer] = {}
    for table in source.tables("issuer"):
        issuer = _issuer(table, material, platforms)
        if issuer.issuer_id in issuers:
            raise table.invalid("id", "an issuer stands twice")
        issuers[issuer.issuer_id] = issuer
    digest = sha256(digested_bytes(raw, material.files)).hexdigest()
    return Register(digest, MappingProxyType(platforms), MappingProxyType(issuers))


def digested_bytes(raw: bytes, files: Mapping[str, bytes]) -> bytes:
    """What a register's digest is of: its document, then name and content of each of its files.

    Each part is preceded by its length in eight bytes, so that no two registers share one sequence of bytes.
    """
    parts = [raw, *(part for name in sorted(files) for part in (name.encode("ascii"), files[name]))]
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


# --- platforms ----------------------------------------------------------------------------------------------


def _platform(table: Table, material: Material) -> Platform:
    table.allow("slug", "name", "silence_hours", "recognised", "transport")
    recognised = tuple(_recognition(entry) for entry in table.tables("recognised", least=1))
    _refuse_overlap(table, recognised)
    transport = tuple(_transport_key(entry, material) for entry in table.tables("transport"))
    if len({key.key_id for key in transport}) != len(transport):
        raise table.invalid("transport", "a key id stands twice")
    return Platform(
        PlatformSlug(table.text("slug", SLUG)),
        table.text("name"),
        recognised,
        transport,
        table.optional_count("silence_hours", _LONGEST_SILENCE),
    )


def _recognition(table: Table) -> Recognition:
    table.allow("from", "to", "reference")
    start, end = table.day("from"), table.day("to") if "to" in table else None
    if end is not None and end < start:
        raise table.invalid("to", "the interval is empty")
    return Recognition(start, end, table.text("reference"))


def _refuse_overlap(table: Table, intervals: Sequence[Recognition]) -> None:
    for earlier, later in pairwise(sorted(intervals, key=lambda interval: interval.start)):
        if earlier.end is None or later.start <= earlier.end:
            raise table.invalid("recognised", "two intervals overlap")


def _transport_key(table: Table, material: Material) -> TransportKey:
    key_id = table.text("key_id", KEY_ID)
    start, end = table.interval()
    always = ("key_id", "not_before", "not_after")
    if table.exactly_one(("secret", "public_key")) == "secret":
        table.allow(*always, "secret", "legacy")
        secret, legacy = material.secret(table, "secret"), table.optional_text("legacy", _MD5)
        return TransportKey(key_id, start, end, secret=secret, legacy=legacy)
    table.allow(*always, "public_key", "algorithm", "sm2_id", "encoding")
    name = table.text("algorithm") if "algorithm" in table else Algorithm.EDDSA.value
    if name not in TRANSPORT_ALGORITHMS:
        raise table.refused("algorithm", "not an algorithm that may be registered")
    algorithm = TRANSPORT_ALGORITHMS[name]
    sm2_id = _sm2_id(table, algorithm)
    public = material.public_key(
        table, "public_key", algorithm, key_id, min_rsa_bits=MIN_TRANSPORT_RSA_BITS, sm2_id=sm2_id
    ).public
    assert not isinstance(public, bytes)
    return TransportKey(key_id, start, end, public_key=public, algorithm=name, encoding=_encoding(table))


# --- issuers ------------------------------------------------------------------------------------------------


def _issuer(table: Table, material: Material, platforms: Mapping[PlatformSlug, Platform]) -> Issuer:
    table.allow("id", "number_scope", "platforms", "key", "anchor")
    carriers = frozenset(PlatformSlug(slug) for slug in table.texts("platforms", SLUG))
    if not carriers <= platforms.keys():
        raise table.invalid("platforms", "a platform is unknown")
    anchors: dict[str, IssuerAnchor] = {}
    for entry in table.tables("anchor"):
        anchor = _issuer_anchor(entry, material)
        if anchor.anchor_id in anchors:
            raise entry.invalid("id", "an anchor stands twice")
        anchors[anchor.anchor_id] = anchor
    issuer_keys: dict[str, IssuerKey] = {}
    for entry in table.tables("key"):
        issuer_key = _issuer_key(entry, material)
        if issuer_key.key.kid in issuer_keys:
            raise entry.invalid("kid", "a key id stands twice")
        if issuer_key.key.kid.partition(LEAF)[0] in anchors:
            raise entry.invalid("kid", "a key id begins as those of an anchor's leaves do")
        issuer_keys[issuer_key.key.kid] = issuer_key
    return Issuer(
        table.text("id"),
        table.text("number_scope"),
        carriers,
        MappingProxyType(issuer_keys),
        tuple(anchors.values()),
    )


_LIFE: Final = ("state", "not_before", "not_after", "compromised_since")


def _issuer_key(table: Table, material: Material) -> IssuerKey:
    table.allow("kid", "algorithm", "file", "sm2_id", "encoding", *_LIFE)
    kid, life, algorithm = table.text("kid", KEY_ID), _life(table), _algorithm(table)
    key = material.public_key(table, "file", algorithm, kid, sm2_id=_sm2_id(table, algorithm))
    return IssuerKey(key, *life, encoding=_encoding(table))


def _issuer_anchor(table: Table, material: Material) -> IssuerAnchor:
    table.allow(
        *("id", "algorithm", "file", "crls", "revocation", "leaf_subject", "sm2_id", "encoding", "legacy"),
        *_LIFE,
    )
    anchor_id, life, algorithm = table.text("id", _ANCHOR_ID), _life(table), _algorithm(table)
    least = MIN_TRANSPORT_RSA_BITS if table.optional_text("legacy", _RSA_2048) else MIN_RSA_BITS
    certificate = material.authority(table, "file", min_rsa_bits=least)
    crls: tuple[bytes, ...] | None = None
    if table.exactly_one(("crls", "revocation")) == "crls":
        crls = material.crls(table, "crls")
    else:
        table.text("revocation", _UNPUBLISHED)
    return IssuerAnchor(
        anchor_id,
        certificate,
        algorithm,
        *life,
        crls=crls,
        sm2_id=_sm2_id(table, algorithm),
        encoding=_encoding(table),
        leaf_subject=table.optional_text("leaf_subject", _SUBJECT),
    )


def _life(table: Table) -> Life:
    state = table.word("state", KeyState)
    start, end = table.interval()
    if end is None and state in {KeyState.RETIRING, KeyState.RETIRED}:
        raise table.invalid("not_after", "a key that is or will be retired needs its end")
    if (state is KeyState.COMPROMISED) != ("compromised_since" in table):
        raise table.invalid("compromised_since", "belongs to compromised keys, and to all of them")
    since = table.moment("compromised_since") if state is KeyState.COMPROMISED else None
    return Life(state, start, end, since)


def _algorithm(table: Table) -> Algorithm:
    algorithm = ALGORITHMS.get(table.text("algorithm"))
    if algorithm is None:
        raise table.refused("algorithm", "not an algorithm that may be registered")
    return algorithm


def _sm2_id(table: Table, algorithm: Algorithm) -> bytes:
    if "sm2_id" not in table:
        return DEFAULT_ID
    if algorithm is not Algorithm.SM2:
        raise table.invalid("sm2_id", "belongs to SM2 keys alone")
    said = table.text("sm2_id", _SM2_ID)
    return {"default": DEFAULT_ID, "empty": b""}.get(said, said.removeprefix("text:").encode())


def _encoding(table: Table) -> SignatureEncoding:
    return table.word("encoding", SignatureEncoding) if "encoding" in table else SignatureEncoding.DER_BASE64

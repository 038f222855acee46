"""Public keys of records, status lists and checkpoints with their times: ``published.json``; pure.

A key is published before it signs anything, so that everybody has it by then, and stays published once it
signs no more: what it signed has to verify for years. The file holds public keys alone, so that whoever only
publishes or checks needs no other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from verifier import ledger
from verifier.errors import Code, ConfigurationError, RequestRejected
from verifier.model.time import TimeFormat, iso, parse_moment
from verifier.ports import Clock
from verifier.signatures import keys, strict_json
from verifier.signatures.jws import Algorithm, VerificationKey

FILE: Final = "published.json"
MAX_BYTES: Final = 262_144
STATUS_KEPT: Final = timedelta(hours=24)
"""How long a retired key of status lists is given out: longer than any list that it signed is valid.

A status list says something about today. If its key were given out for good, whoever got hold of it could go
on saying "valid"; a record's retired key is needed for as long as its records are.
"""


class Purpose(StrEnum):
    """What a key signs."""

    RECORD = "record"
    STATUS = "status"
    CHECKPOINT = "checkpoint"


ALGORITHMS: Final[Mapping[Purpose, Algorithm]] = {
    Purpose.RECORD: Algorithm.ES256,
    Purpose.STATUS: Algorithm.ES256,
    Purpose.CHECKPOINT: Algorithm.EDDSA,
}


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A public key and its times, which are aware UTC.

    Attributes:
        published_at: since when others can have it; None for one that was there before this file.
        signs_from: when it was put in force; None for one that is to come, or was there before this file.
        signed_until: when the next one took its place; None as long as it signs.
    """

    purpose: Purpose
    key: VerificationKey
    published_at: datetime | None = None
    signs_from: datetime | None = None
    signed_until: datetime | None = None

    @property
    def kid(self) -> str:
        """The key's id."""
        return self.key.kid

    @property
    def to_come(self) -> bool:
        """Whether it was published and has not signed yet."""
        return self.published_at is not None and self.signs_from is None and self.signed_until is None


def jwk(published: PublishedKey) -> dict[str, Any]:
    """The public JWK; of a key that signs no more with ``exp``, the time from which it did not.

    ``exp`` is what OpenID Federation 1.0 (8.7, historical keys) calls it; who does not know it ignores it
    (RFC 7517, section 4).
    """
    shape: dict[str, Any] = dict(keys.public_jwk(published.key))
    if published.signed_until is not None:
        shape["exp"] = int(published.signed_until.timestamp())
    return shape


def write(published: Sequence[PublishedKey]) -> bytes:
    """The file's content."""
    members = [
        {
            "purpose": one.purpose.value,
            "published_at": iso(one.published_at) if one.published_at else None,
            "signs_from": iso(one.signs_from) if one.signs_from else None,
            "signed_until": iso(one.signed_until) if one.signed_until else None,
            "jwk": keys.public_jwk(one.key),
        }
        for one in published
    ]
    return json.dumps({"keys": members}, indent=1).encode()


def read(content: bytes) -> list[PublishedKey]:
    """Read the file's content.

    Raises:
        ConfigurationError: KEY_REFUSED, it is malformed, or a key is of another kind than its purpose asks.
    """
    try:
        parsed: Any = strict_json.loads(content, max_bytes=MAX_BYTES)
        found = [_one(member) for member in parsed["keys"]]
    except (RequestRejected, ValueError, KeyError, TypeError, AttributeError):
        raise _malformed() from None
    if len({(one.purpose, one.kid) for one in found}) != len(found):
        raise _malformed()
    return found


def _one(member: Mapping[str, Any]) -> PublishedKey:
    purpose = Purpose(member["purpose"])
    key = keys.load_public_jwk(member["jwk"], ALGORITHMS[purpose])
    if key.kid != keys.thumbprint(keys.public_jwk(key)):
        raise _malformed()
    times = [
        None if member[name] is None else parse_moment(member[name], TimeFormat.RFC3339)
        for name in ("published_at", "signs_from", "signed_until")
    ]
    return PublishedKey(purpose, key, *times)


def beginning(
    known: Sequence[PublishedKey], current: Mapping[Purpose, VerificationKey]
) -> list[PublishedKey]:
    """What is known, and the keys in force if they are not in it: those that were there before the file."""
    named = {(one.purpose, one.kid) for one in known}
    missing = [PublishedKey(of, key) for of, key in current.items() if (of, key.kid) not in named]
    return [*missing, *known]


def announced(
    known: Sequence[PublishedKey], purpose: Purpose, key: VerificationKey, at: datetime
) -> list[PublishedKey]:
    """With a key that is to come; one that was published already keeps its time."""
    if any(one.purpose is purpose and one.kid == key.kid for one in known):
        return list(known)
    return [*known, PublishedKey(purpose, key, published_at=at)]


def put_in_force(
    known: Sequence[PublishedKey], purpose: Purpose, kid: str, at: datetime
) -> list[PublishedKey]:
    """With one key in force from now on, and whichever signed until now retired.

    What is in force already is not touched, so that a step that is repeated changes no time.
    """
    changed = []
    for one in known:
        if one.purpose is purpose and one.kid == kid:
            begun = one.signs_from or (at if one.to_come else None)
            changed.append(replace(one, signs_from=begun))
        elif one.purpose is purpose and not one.to_come and one.signed_until is None:
            changed.append(replace(one, signed_until=at))
        else:
            changed.append(one)
    return changed


class Published:
    """What is given out now: public keys alone. Replaced as a whole when keys change."""

    def __init__(self, published: Sequence[PublishedKey], origin: str, clock: Clock) -> None:
        self._published = tuple(published)
        self._origin = origin
        self._clock = clock

    def take_up(self, published: Sequence[PublishedKey]) -> None:
        """Give out these from now on."""
        self._published = tuple(published)

    def signing(self) -> list[PublishedKey]:
        """Keys of records, all that ever signed, and of status lists as long as one of them may be valid."""
        earliest = self._clock() - STATUS_KEPT
        return [
            one
            for one in self._published
            if one.purpose is Purpose.RECORD
            or (one.purpose is Purpose.STATUS and (one.signed_until is None or one.signed_until > earliest))
        ]

    def verifier_keys(self) -> list[str]:
        """Keys that sign checkpoints, in force first and then to come, in the form of C2SP signed-note."""
        return [
            ledger.verifier_key(self._origin, one.key.public)
            for one in self._published
            if isinstance(one.key.public, Ed25519PublicKey) and one.signed_until is None
        ]


def _malformed() -> ConfigurationError:
    return ConfigurationError(Code.KEY_REFUSED, "the published keys are malformed", pointer=FILE)

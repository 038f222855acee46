"""Rotates the keys that sign records, status lists and checkpoints.

1. ``prepare``: a new key is made in ``<purpose>.next.pem``, and its public half is published;
2. the overlap: everybody has time to fetch it; checkpoints bear both signatures meanwhile;
3. ``promote``: it takes the place of the old one, whose private half is gone with that: what cannot sign any
   more cannot leak. Its public half stays published;
4. the running service takes it up (``SigningDesk``), or whichever starts next;
5. ``settle``: the times are written down, so that they never claim more than was so.

Cut off anywhere and begun again, it goes on where it was.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from verifier import keyfiles, published
from verifier.errors import Code, ConfigurationError
from verifier.issuer import IssuerKeys
from verifier.model.time import iso
from verifier.published import Published, PublishedKey, Purpose


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the rotation of one key stands.

    Attributes:
        in_force: the key that signs.
        coming: the one that is published and will sign; None where none is.
        retired: those that signed before.
        unsettled: whether the times of the last rotation are still to be written.
    """

    in_force: PublishedKey
    coming: PublishedKey | None
    retired: tuple[PublishedKey, ...]
    unsettled: bool

    def ready_at(self, overlap: timedelta) -> datetime | None:
        """When the key that is to come may sign."""
        if self.coming is None or self.coming.published_at is None:
            return None
        return self.coming.published_at + overlap

    def described(self, overlap: timedelta) -> dict[str, Any]:
        """As the command line shows it."""
        ready = self.ready_at(overlap)
        return {
            "in_force": self.in_force.kid,
            "since": iso(self.in_force.signs_from) if self.in_force.signs_from else None,
            "next": self.coming.kid if self.coming else None,
            "next_may_sign_from": iso(ready) if ready else None,
            "retired": [
                {"kid": one.kid, "signed_until": iso(one.signed_until)}
                for one in self.retired
                if one.signed_until is not None
            ],
        }


def standing(directory: Path, purpose: Purpose) -> Standing:
    """Where a key's rotation stands.

    Raises:
        ConfigurationError: KEY_REFUSED.
    """
    signer = keyfiles.load_signer(directory / keyfiles.key_file(purpose), purpose)
    every = [one for one in keyfiles.every_published(directory) if one.purpose is purpose]
    [in_force] = [one for one in every if one.kid == signer.kid]
    beside = directory / keyfiles.next_file(purpose)
    next_kid = keyfiles.load_signer(beside, purpose).kid if beside.exists() else ""
    return Standing(
        in_force,
        next((one for one in every if one.kid == next_kid), None),
        tuple(one for one in every if one.signed_until is not None),
        unsettled=in_force.to_come,
    )


def prepare(directory: Path, purpose: Purpose, at: datetime) -> None:
    """Make the key that is to come, unless there is one, and publish it.

    Raises:
        ConfigurationError: KEY_REFUSED.
    """
    with keyfiles.alone(directory) as handle:
        path = directory / keyfiles.next_file(purpose)
        if not path.exists():
            keyfiles.put(handle, path, keyfiles.pem(_new(purpose)))
        key = keyfiles.load_signer(path, purpose).verification_key
        known = keyfiles.every_published(directory)
        content = published.write(published.announced(known, purpose, key, at))
        keyfiles.put(handle, directory / published.FILE, content)


def _new(purpose: Purpose) -> keyfiles.PrivateKey:
    if purpose is Purpose.CHECKPOINT:
        return Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def promote(directory: Path, purpose: Purpose) -> None:
    """Let the key that is to come take its place; the old one's private half is gone with that.

    Raises:
        ConfigurationError: KEY_REFUSED, there is none, or it was not published.
    """
    with keyfiles.alone(directory) as handle:
        if standing(directory, purpose).coming is None:
            raise ConfigurationError(Code.KEY_REFUSED, "no key was published to come", pointer=purpose.value)
        (directory / keyfiles.next_file(purpose)).replace(directory / keyfiles.key_file(purpose))
        os.fsync(handle)


def settle(directory: Path, purpose: Purpose, at: datetime) -> None:
    """Write down since when the key in force signs, and until when the one before it did.

    Args:
        directory: of the secrets.
        purpose: which key.
        at: a moment after the service took the key up.
    """
    with keyfiles.alone(directory) as handle:
        kid = standing(directory, purpose).in_force.kid
        known = keyfiles.every_published(directory)
        content = published.write(published.put_in_force(known, purpose, kid, at))
        keyfiles.put(handle, directory / published.FILE, content)


class Signing(Protocol):
    """Whoever signs."""

    def take_up(self, keys: IssuerKeys) -> None:
        """Sign with these from the next step on."""
        ...


@dataclass(frozen=True, slots=True)
class SigningDesk:
    """Where a running service is told that its signing keys changed."""

    directory: Path
    issuer: Signing
    published: Published

    def table(self) -> Mapping[str, Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]]]:
        """The operation by its name."""
        return {"secrets take-up": self.take_up}

    async def take_up(self, _: Mapping[str, str]) -> dict[str, Any]:
        """Read the signing keys anew: publish all of them, sign with those in force.

        Raises:
            ConfigurationError: KEY_REFUSED; nothing changed.
        """
        keys = await asyncio.to_thread(keyfiles.load_issuer_keys, self.directory)
        self.published.take_up(await asyncio.to_thread(keyfiles.every_published, self.directory))
        self.issuer.take_up(keys)
        return {"record": keys.record.kid, "status": keys.status.kid, "checkpoint": keys.checkpoint.kid}

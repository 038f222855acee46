"""The service's own keys as files in one directory outside the repository; the only place that reads them.

==================  ==========================================================================
``record.pem``      ES256, signs records; only the issuer holds it
``status.pem``      ES256, signs status lists; only the issuer holds it
``checkpoint.pem``  Ed25519, signs checkpoints; only the issuer holds it
``*.next.pem``      will take the place of one of these (``verifier.key_rotation``)
``published.json``  public keys of all of them, and of those before them (``verifier.published``)
``fields.json``     master keys and peppers by version, and the digest key (``sealing.FieldKeys``)
==================  ==========================================================================

Files that anybody but their owner can read are refused: a key that was readable is a key that was read.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from verifier import published
from verifier.errors import Code, ConfigurationError
from verifier.issuer import IssuerKeys
from verifier.model.rotation import Rotated
from verifier.ports import RandomBytes
from verifier.published import PublishedKey, Purpose
from verifier.sealing import KEY_BYTES, FieldKeys
from verifier.signatures import jws, keys
from verifier.signatures.jws import Algorithm, SigningKey, VerificationKey

PrivateKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey
_FIELDS: Final = "fields.json"
_MEMBERS: Final = {
    Rotated.PEPPER: ("peppers", "pepper_version"),
    Rotated.MASTER: ("master_keys", "master_version"),
}
"""Keys by version, and the version that a new database begins with."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class FileSigner:
    """Signs with a key that a file held (port ``Signer``); it stays in this process's memory.

    Attributes:
        verification_key: the public half.
    """

    verification_key: VerificationKey
    _key: SigningKey = field(repr=False)

    @property
    def kid(self) -> str:
        """The key's id."""
        return self.verification_key.kid

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm that it signs by."""
        return self.verification_key.algorithm

    def sign(self, data: bytes) -> bytes:
        """The signature of these bytes."""
        return jws.signature(data, self._key)


def pem(key: PrivateKey) -> bytes:
    """A private key as unencrypted PKCS #8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_secret(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may read.

    Raises:
        ConfigurationError: KEY_REFUSED, there is a file already; keys are never overwritten.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(
            Code.KEY_REFUSED, "a key file is never overwritten", pointer=path.name
        ) from None
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def read_secret(path: Path) -> bytes:
    """Read a file that only its owner may read.

    Raises:
        ConfigurationError: KEY_REFUSED, it is missing, unreadable, or readable by others.
    """
    try:
        if path.stat().st_mode & _OTHERS:
            raise ConfigurationError(
                Code.KEY_REFUSED, "others may read this key file: chmod 600", pointer=path.name
            )
        return path.read_bytes()
    except OSError:
        raise ConfigurationError(Code.KEY_REFUSED, "the key file cannot be read", pointer=path.name) from None


def read_public(path: Path) -> bytes:
    """Read a file that anybody may read.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID, it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError:
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "the file cannot be read", pointer=path.name
        ) from None


def create(directory: Path, randbytes: RandomBytes) -> None:
    """Make every key that the service needs, in an empty directory.

    Raises:
        ConfigurationError: KEY_REFUSED, one of the files is there already.
    """
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    for name in ("record.pem", "status.pem"):
        write_secret(directory / name, pem(ec.generate_private_key(ec.SECP256R1())))
    write_secret(directory / "checkpoint.pem", pem(Ed25519PrivateKey.generate()))
    fields = {
        "master_version": 1,
        "master_keys": {"1": _b64(randbytes(KEY_BYTES))},
        "pepper_version": 1,
        "peppers": {"1": _b64(randbytes(KEY_BYTES))},
        "digest_key": _b64(randbytes(KEY_BYTES)),
    }
    write_secret(directory / _FIELDS, json.dumps(fields, indent=1).encode())


def load_fields(directory: Path) -> FieldKeys:
    """The keys for data at rest.

    Raises:
        ConfigurationError: KEY_REFUSED.
    """
    return _fields(read_secret(directory / _FIELDS))


def add_version(directory: Path, name: Rotated, randbytes: RandomBytes) -> int:
    """Add a new random key under the next version; the older ones stay. Returns the version.

    Raises:
        ConfigurationError: KEY_REFUSED, the file is wrong, or somebody else is changing it.
    """
    keys, _ = _MEMBERS[name]
    added = 0

    def add(parsed: dict[str, Any]) -> None:
        nonlocal added
        added = max(int(version) for version in parsed[keys]) + 1
        parsed[keys][str(added)] = _b64(randbytes(KEY_BYTES))

    _change(directory, add)
    return added


def put_in_force(directory: Path, name: Rotated, version: int) -> None:
    """Say which version a new database begins with; errors as for ``add_version``."""
    _, current = _MEMBERS[name]
    _change(directory, lambda parsed: parsed.update({current: version}))


def _change(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Replace the field keys in one go: whenever the power fails, the old file is there, or the new one."""
    with alone(directory) as handle:
        before = read_secret(directory / _FIELDS)
        _fields(before)
        parsed = json.loads(before)
        change(parsed)
        content = json.dumps(parsed, indent=1).encode()
        _fields(content)
        put(handle, directory / _FIELDS, content)


def put(handle: int, path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, in the place of one that may be there, durably.

    Args:
        handle: of the directory, from ``alone``.
        path: of the file.
        content: all of it.
    """
    beside = path.with_name(f"{path.name}.new")
    # Left by somebody who was cut off before it counted: nothing was sealed or signed with what is in it.
    beside.unlink(missing_ok=True)
    write_secret(beside, content)
    _to_disk(beside)
    beside.replace(path)
    os.fsync(handle)


@contextmanager
def alone(directory: Path) -> Iterator[int]:
    """Nobody else changes the keys in this directory meanwhile; its handle.

    Raises:
        ConfigurationError: KEY_REFUSED, somebody else does, or it cannot be opened.
    """
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise ConfigurationError(Code.KEY_REFUSED, "the secrets directory cannot be opened") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield handle
    except BlockingIOError:
        raise ConfigurationError(
            Code.KEY_REFUSED, "somebody else is changing the keys", pointer=directory.name
        ) from None
    finally:
        os.close(handle)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _fields(content: bytes) -> FieldKeys:
    try:
        parsed: dict[str, Any] = json.loads(content)
        return FieldKeys(
            master_keys={int(version): _raw(key) for version, key in parsed["master_keys"].items()},
            master_version=parsed["master_version"],
            peppers={int(version): _raw(key) for version, key in parsed["peppers"].items()},
            pepper_version=parsed["pepper_version"],
            digest_key=_raw(parsed["digest_key"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise ConfigurationError(Code.KEY_REFUSED, "the field keys are malformed", pointer=_FIELDS) from None


def key_file(purpose: Purpose) -> str:
    """Name of the file with the private key that signs."""
    return f"{purpose}.pem"


def next_file(purpose: Purpose) -> str:
    """Name of the file with the private key that is to come."""
    return f"{purpose}.next.pem"


def load_issuer_keys(directory: Path) -> IssuerKeys:
    """The keys that only the issuer holds.

    Raises:
        ConfigurationError: KEY_REFUSED; also for a key that was retired: nothing is signed with it again.
    """
    signers = {
        purpose: load_signer(directory / key_file(purpose), purpose)
        for purpose in (Purpose.CHECKPOINT, Purpose.RECORD, Purpose.STATUS)
    }
    known = published.beginning(read_published(directory), _public(signers))
    for purpose, signer in signers.items():
        [own] = [one for one in known if (one.purpose, one.kid) == (purpose, signer.kid)]
        if own.signed_until is not None:
            raise ConfigurationError(Code.KEY_REFUSED, "this key was retired", pointer=key_file(purpose))
    beside = directory / next_file(Purpose.CHECKPOINT)
    coming = load_signer(beside, Purpose.CHECKPOINT) if beside.exists() else None
    # Whoever was cut off between making a key and publishing it has not begun the overlap.
    if coming is not None and coming.kid not in {one.kid for one in known}:
        coming = None
    signing = {signers[Purpose.CHECKPOINT].kid, coming.kid if coming else ""}
    return IssuerKeys(
        record=signers[Purpose.RECORD],
        status=signers[Purpose.STATUS],
        checkpoint=signers[Purpose.CHECKPOINT],
        coming=coming,
        former=tuple(_ed25519(one) for one in known if _notes(one) and one.kid not in signing),
    )


def load_signer(path: Path, purpose: Purpose) -> FileSigner:
    """A private key from its file.

    Raises:
        ConfigurationError: KEY_REFUSED, it is missing, readable by others, or of another kind.
    """
    content = read_secret(path)
    try:
        unnamed = keys.load_private_pem(content, published.ALGORITHMS[purpose], "unnamed")
    except ConfigurationError as error:
        raise ConfigurationError(error.code, error.detail, pointer=path.name) from None
    kid = keys.thumbprint(keys.public_jwk(unnamed.verification_key))
    named = SigningKey(kid, unnamed.algorithm, unnamed.private)
    return FileSigner(named.verification_key, named)


def read_published(directory: Path) -> list[PublishedKey]:
    """What ``published.json`` says; nothing where no key was ever rotated.

    Raises:
        ConfigurationError: KEY_REFUSED, it is unreadable, readable by others, or malformed.
    """
    path = directory / published.FILE
    return published.read(read_secret(path)) if path.exists() else []


def every_published(directory: Path) -> list[PublishedKey]:
    """Every public key of ours: in force, to come, and retired; errors as for ``load_issuer_keys``."""
    current = {
        purpose: load_signer(directory / key_file(purpose), purpose)
        for purpose in (Purpose.CHECKPOINT, Purpose.RECORD, Purpose.STATUS)
    }
    known = published.beginning(read_published(directory), _public(current))
    in_force = {signer.kid for signer in current.values()}
    return sorted(known, key=lambda one: one.kid not in in_force)


def published_keys(directory: Path) -> list[VerificationKey]:
    """Keys of records and status lists, those in force first, retired ones and those to come included.

    Raises:
        ConfigurationError: KEY_REFUSED.
    """
    return [one.key for one in every_published(directory) if not _notes(one)]


def checkpoint_keys(directory: Path) -> list[Ed25519PublicKey]:
    """Keys of checkpoints, the one in force first; errors as for ``published_keys``."""
    return [_ed25519(one) for one in every_published(directory) if _notes(one)]


def _public(signers: Mapping[Purpose, FileSigner]) -> dict[Purpose, VerificationKey]:
    return {purpose: signer.verification_key for purpose, signer in signers.items()}


def _notes(one: PublishedKey) -> bool:
    return one.purpose is Purpose.CHECKPOINT


def _ed25519(one: PublishedKey) -> Ed25519PublicKey:
    public = one.key.public
    if not isinstance(
        public, Ed25519PublicKey
    ):  # pragma: no cover - `published.read` and `load_signer` saw to it
        raise ConfigurationError(Code.KEY_REFUSED, "not an Ed25519 key", pointer=published.FILE)
    return public


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _raw(text: str) -> bytes:
    return base64.b64decode(text, validate=True)

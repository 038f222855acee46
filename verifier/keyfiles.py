"""The service's own keys as files in one directory outside the repository; the only place that reads them.

==================  ==========================================================================
``record.pem``      ES256, signs records; only the issuer holds it
``status.pem``      ES256, signs status lists; only the issuer holds it
``checkpoint.pem``  Ed25519, signs checkpoints; only the issuer holds it
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from verifier.errors import Code, ConfigurationError
from verifier.issuer import IssuerKeys
from verifier.model.rotation import Rotated
from verifier.ports import RandomBytes
from verifier.sealing import KEY_BYTES, FieldKeys
from verifier.signatures import keys
from verifier.signatures.jws import Algorithm, SigningKey

PrivateKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey
_FIELDS: Final = "fields.json"
_BESIDE: Final = "fields.json.new"
_MEMBERS: Final = {
    Rotated.PEPPER: ("peppers", "pepper_version"),
    Rotated.MASTER: ("master_keys", "master_version"),
}
"""Keys by version, and the version that a new database begins with."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


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
    with _alone(directory) as handle:
        before = read_secret(directory / _FIELDS)
        _fields(before)
        parsed = json.loads(before)
        change(parsed)
        content = json.dumps(parsed, indent=1).encode()
        _fields(content)
        beside = directory / _BESIDE
        # Left by somebody who was cut off before it counted: nothing was ever sealed with what is in it.
        beside.unlink(missing_ok=True)
        write_secret(beside, content)
        _to_disk(beside)
        beside.replace(directory / _FIELDS)
        os.fsync(handle)


@contextmanager
def _alone(directory: Path) -> Iterator[int]:
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise ConfigurationError(Code.KEY_REFUSED, "the secrets directory cannot be opened") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield handle
    except BlockingIOError:
        raise ConfigurationError(
            Code.KEY_REFUSED, "somebody else is changing the field keys", pointer=_FIELDS
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


def load_issuer_keys(directory: Path) -> IssuerKeys:
    """The keys that only the issuer holds.

    Raises:
        ConfigurationError: KEY_REFUSED.
    """
    try:
        checkpoint = load_pem_private_key(read_secret(directory / "checkpoint.pem"), None)
    except (ValueError, TypeError):
        checkpoint = None
    if not isinstance(checkpoint, Ed25519PrivateKey):
        raise ConfigurationError(Code.KEY_REFUSED, "not an Ed25519 private key", pointer="checkpoint.pem")
    return IssuerKeys(
        record=_signing_key(directory / "record.pem"),
        status=_signing_key(directory / "status.pem"),
        checkpoint=checkpoint,
    )


def _signing_key(path: Path) -> SigningKey:
    content = read_secret(path)
    unnamed = keys.load_private_pem(content, Algorithm.ES256, "unnamed")
    return keys.load_private_pem(content, Algorithm.ES256, name_of(unnamed))


def name_of(key: SigningKey) -> str:
    """A key's id: the thumbprint (RFC 7638) of its public JWK."""
    return keys.thumbprint(keys.public_jwk(key.verification_key))


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _raw(text: str) -> bytes:
    return base64.b64decode(text, validate=True)

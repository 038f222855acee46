"""The file of an audit pack: a ZIP without compression, part of it encrypted to the auditor.

- Members stand in a fixed order and bear no time; each is written piece by piece, whatever its size.
- What is personal stands in members ``sealed/000000.hpke`` onwards, each one message of HPKE (RFC 9180, base
  mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM) with the pack's id and the member's name as
  ``info``: no part can be put in another's place, or into another pack.
- ``manifest.json`` comes last, with the SHA-256 of every other member.

HPKE draws its own ephemeral key, as every signature here draws its nonce.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, BinaryIO, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from verifier.errors import Code, ConfigurationError

FORMAT: Final = "training-verifier audit pack 1"
MANIFEST: Final = "manifest.json"
SEALED_BYTES: Final = 1 << 20
"""Plaintext after which another encrypted member begins."""
SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)


def load_auditor_key(pem: bytes) -> X25519PublicKey:
    """An auditor's public key.

    Raises:
        ConfigurationError: KEY_REFUSED, it is no X25519 public key in PEM.
    """
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, X25519PublicKey):
        raise ConfigurationError(Code.KEY_REFUSED, "not an X25519 public key in PEM", pointer="auditor-key")
    return key


def info(pack_id: str, name: str) -> bytes:
    """What an encrypted member is bound to."""
    return f"{FORMAT}\n{pack_id}\n{name}\n".encode()


def line(members: Mapping[str, Any]) -> bytes:
    """One line of a member that holds lines of JSON."""
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()


class PackWriter:
    """Writes the members one after another."""

    def __init__(self, file: BinaryIO, auditor: X25519PublicKey, pack_id: str) -> None:
        """Begin.

        Args:
            file: where to.
            auditor: to whom the personal part is encrypted.
            pack_id: random.
        """
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
        self._auditor = auditor
        self._pack_id = pack_id
        self._members: dict[str, str] = {}
        self._sealed = 0

    def write(self, name: str, pieces: Iterable[bytes], end: bytes = b"") -> None:
        """Write a member piece by piece, each followed by ``end``."""
        digest = sha256()
        with self._zip.open(zipfile.ZipInfo(name, _NO_TIME), "w", force_zip64=True) as member:
            for piece in pieces:
                member.write(piece + end)
                digest.update(piece + end)
        self._members[name] = digest.hexdigest()

    def write_lines(self, name: str, lines: Iterable[bytes]) -> None:
        """Write a member of lines."""
        self.write(name, lines, b"\n")

    def seal_lines(self, lines: Iterable[bytes]) -> None:
        """Encrypt lines to the auditor, in as many members as they need."""
        waiting, size = list[bytes](), 0
        for one in lines:
            waiting.append(one + b"\n")
            size += len(one) + 1
            if size >= SEALED_BYTES:
                self._seal(b"".join(waiting))
                waiting, size = [], 0
        if waiting:
            self._seal(b"".join(waiting))

    def _seal(self, plain: bytes) -> None:
        name = f"sealed/{self._sealed:06d}.hpke"
        self._sealed += 1
        self.write(name, [SUITE.encrypt(plain, self._auditor, info(self._pack_id, name))])

    def close(self, said: Mapping[str, Any]) -> None:
        """Write the manifest, and end the file."""
        manifest = {"format": FORMAT, "pack": self._pack_id, **said, "members": self._members}
        self._zip.writestr(
            zipfile.ZipInfo(MANIFEST, _NO_TIME), json.dumps(manifest, ensure_ascii=False, indent=1)
        )
        self._zip.close()

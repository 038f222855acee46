"""The issuer's last checkpoint, in a file outside the database."""

from __future__ import annotations

import os
from pathlib import Path


class CheckpointFile:
    """One small file, replaced atomically and durably."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes:
        """The signed note; empty if none was ever kept."""
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return b""

    def write(self, note: bytes) -> None:
        """Replace it; after return it survives a power failure."""
        fresh = self._path.with_name(self._path.name + ".new")
        with fresh.open("wb") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

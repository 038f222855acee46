"""Files that are replaced atomically and durably; of these, the issuer's last checkpoint."""

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
        replace(self._path, note)


def replace(path: Path, content: bytes) -> None:
    """Replace a file as a whole: whoever reads it meets the old content or the new, also after a crash.

    After return it survives a power failure.

    Raises:
        OSError: the directory cannot be written to.
    """
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

"""The file of an import and the side file of what was wrong with it, on this machine's disks.

The file is read three times: for its digest before anything begins, line by line, and for its digest again
at the end. In between, its size and time are looked at before every commit.

The side file holds line numbers and reasons, and no word of the lines. It is locked while the import runs, so
that no second process of this machine takes the same file in at the same time.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

from verifier import import_file, import_sheet
from verifier.errors import Code, ConfigurationError, Conflict
from verifier.import_file import Lines
from verifier.ports.importing import ImportForm

SUFFIX: Final = ".errors.ndjson"
_PIECE: Final = 1024 * 1024
_Mark = tuple[int, int, int, int]


def _refuse(detail: str, pointer: str = "file") -> ConfigurationError:
    return ConfigurationError(Code.IMPORT_FILE_UNREADABLE, detail, pointer=pointer)


@dataclass(slots=True)
class BackLogFile:
    """A platform's back-log.

    Attributes:
        form: the platform's.
        longest: greatest number of bytes of an item.
        charset: of a CSV file.
        digest: hex SHA-256.
        total: about how many lines or rows there are; 0 if unknown.
    """

    path: Path
    form: ImportForm
    longest: int
    charset: str
    digest: str
    total: int
    _file: IO[bytes] = field(repr=False)
    _mark: _Mark
    _stack: ExitStack

    @property
    def kind(self) -> str:
        """How the file's name ends."""
        return self.path.suffix.lower()

    def lines(self) -> Lines:
        """Its lines from the first on; errors as ``import_file.opened``."""
        self._file.seek(0)
        return import_file.opened(
            self.kind,
            self._file,
            self.form,
            longest=self.longest,
            charset=self.charset,
            scratch=self._scratch,
        )

    def _scratch(self) -> IO[bytes]:
        # Beside the file, whose texts it holds; it has no name, and is gone with the process.
        try:
            return self._stack.enter_context(tempfile.TemporaryFile(dir=self.path.parent))
        except OSError:
            raise _refuse("its directory may not be written, which a workbook needs") from None

    def require_unchanged(self, *, whole: bool) -> None:
        """Raise ConfigurationError, IMPORT_FILE_CHANGED, if the file is not what it was."""
        if _mark(self._file) != self._mark or (whole and _digest(self._file)[0] != self.digest):
            raise ConfigurationError(
                Code.IMPORT_FILE_CHANGED, "its size, time or content is another", pointer="file"
            )


def _mark(file: IO[bytes]) -> _Mark:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _digest(file: IO[bytes]) -> tuple[str, int]:
    """Hex SHA-256, and the number of line ends."""
    file.seek(0)
    digest, lines = sha256(), 0
    while piece := file.read(_PIECE):
        digest.update(piece)
        lines += piece.count(b"\n")
    return digest.hexdigest(), lines


@contextmanager
def opened(path: Path, form: ImportForm, longest: int, charset: str) -> Iterator[BackLogFile]:
    """Open a file, and read it once for its digest.

    Args:
        path: where it is.
        form: the platform's.
        longest: greatest number of bytes of an item.
        charset: of a CSV file.

    Raises:
        ConfigurationError: IMPORT_FILE_UNREADABLE: not there, no regular file, empty, or not to be read.
    """
    try:
        # Without waiting: a named pipe would have nobody at its other end.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        raise _refuse("it is not there, or may not be read") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _refuse("it is no regular file")
    with open(handle, "rb") as file, ExitStack() as scratch:  # noqa: PTH123 - of a handle, not of a path
        mark = _mark(file)
        try:
            digest, total = _digest(file)
        except OSError:
            raise _refuse("it may not be read") from None
        if file.tell() == 0:
            raise _refuse("it is empty")
        if path.suffix.lower() == ".xlsx":
            total = import_sheet.count(file)
        yield BackLogFile(path, form, longest, charset, digest, total, file, mark, scratch)


class ErrorsFile:
    """The side file, held by this process."""

    def __init__(self, path: Path) -> None:
        """Open and lock it.

        Raises:
            ConfigurationError: IMPORT_FILE_UNREADABLE.
            Conflict: STATE_REFUSED, another process holds it.
        """
        self.path = path
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            raise _refuse("the side file of errors may not be written", "errors") from None
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise Conflict(
                Code.STATE_REFUSED, "another process writes this side file", pointer="errors"
            ) from None

    def length(self) -> int:
        """Bytes that are there."""
        return os.fstat(self._handle).st_size

    def put(self, at: int, content: bytes) -> None:
        """Let the file end in this content, from this place on, durably.

        Raises:
            ConfigurationError: IMPORT_FILE_UNREADABLE.
        """
        length = self.length()
        if not content and length == at:
            return
        try:
            if length < at:
                raise _refuse("somebody cut the side file of errors", "errors")
            os.ftruncate(self._handle, at)
            view = memoryview(content)
            while view:
                written = os.pwrite(self._handle, view, at)
                at, view = at + written, view[written:]
            os.fsync(self._handle)
        except OSError:
            raise _refuse("the side file of errors cannot be written: is the disk full?", "errors") from None

    def close(self) -> bool:
        """Let go of it; an empty one is removed. Whether it is there."""
        kept = self.length() > 0
        if not kept:
            self.path.unlink(missing_ok=True)
        os.close(self._handle)
        return kept

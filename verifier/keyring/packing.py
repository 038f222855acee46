"""A register's files in one text: as it is adopted, and read again by whoever replays a decision.

The text is a JSON object from the name within the source directory (``trust.toml``, ``issuers/x.pem``) to the
file's text. What is not text (a revocation list in DER) stands as ``base64:`` and its bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Final

from verifier.errors import Code, ConfigurationError
from verifier.keyring.loader import digested_bytes, load_register
from verifier.keyring.register import Register

SOURCE: Final = "trust.toml"
PUBLIC: Final = "issuers/"
_BINARY: Final = "base64:"


def pack(files: Mapping[str, bytes]) -> str:
    """One text of a register's files."""
    return json.dumps({name: _text(content) for name, content in files.items()}, ensure_ascii=False)


def _text(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = _BINARY
    if text.startswith(_BINARY):
        return _BINARY + base64.b64encode(content).decode()
    return text


def unpack(content: str) -> dict[str, bytes]:
    """The files of a packed register.

    Raises:
        ConfigurationError: CONFIGURATION_INVALID, it is none.
    """
    try:
        return {name: _bytes(text) for name, text in json.loads(content).items()}
    except (ValueError, AttributeError, binascii.Error):
        raise _unreadable() from None


def _bytes(text: str) -> bytes:
    if text.startswith(_BINARY):
        return base64.b64decode(text.removeprefix(_BINARY), validate=True)
    return text.encode()


def load_packed(content: str, read_secret: Callable[[str], bytes]) -> Register:
    """Read a packed register; arguments and errors as ``load_register``."""
    files = unpack(content)
    if SOURCE not in files:
        raise _unreadable()
    return load_register(files[SOURCE], lambda name: files[PUBLIC + name], read_secret)


def digested(content: str) -> bytes:
    """The bytes that a packed register's digest is of (``loader.digested_bytes``).

    Raises:
        ConfigurationError: CONFIGURATION_INVALID, it is no packed register.
    """
    files = unpack(content)
    if SOURCE not in files:
        raise _unreadable()
    named = {name.removeprefix(PUBLIC): raw for name, raw in files.items() if name.startswith(PUBLIC)}
    return digested_bytes(files[SOURCE], named)


def _unreadable() -> ConfigurationError:
    return ConfigurationError(
        Code.CONFIGURATION_INVALID, "the adopted register cannot be read", pointer="adoptions"
    )

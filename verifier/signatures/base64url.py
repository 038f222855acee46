from __future__ import annotations

import binascii
from typing import Final

_PADDING: Final = (b"", b"!", b"==", b"=")
"""By the length modulo 4; one character alone encodes no byte."""
_ENDINGS: Final = ("", "", "AQgw", "AEIMQUYcgkosw048")
"""The last characters that leave no bit over: 4 bits of it are used, or 2 are not."""
_PIECE: Final = 3 << 16
"""A multiple of three bytes: only the last piece has bits left over."""
_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
"""To the alphabet that the decoder knows; what is foreign to base64url becomes foreign to it too."""


def encode(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    if len(data) > _PIECE:
        # Of a long text no step may hold up every other thread for its whole length.
        return "".join(encode(data[start : start + _PIECE]) for start in range(0, len(data), _PIECE))
    # Two searches for what is seldom there take a third of the time of a table's look-up for each character.
    standard = binascii.b2a_base64(data, newline=False)
    return standard.replace(b"+", b"-").replace(b"/", b"_").rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Decodes the one canonical spelling of some bytes.

    Python's decoder by default skips foreign characters and ignores left-over bits, so that many texts stand
    for the same bytes. Here exactly one does: no padding, no foreign character, no set bit after the last
    byte (RFC 4648, sections 3.2, 3.3 and 3.5).

    Raises:
        ValueError: the text is not canonical base64url.
    """
    left = len(text) % 4
    if not text.isascii() or (left and text[-1] not in _ENDINGS[left]):
        raise ValueError("not canonical base64url")
    # What it raises, binascii.Error, is a ValueError.
    return binascii.a2b_base64(text.encode("ascii").translate(_STANDARD) + _PADDING[left], strict_mode=True)

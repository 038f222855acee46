from __future__ import annotations

import base64


def encode(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Decodes the one canonical spelling of some bytes.

    Python's decoder skips foreign characters and ignores left-over bits, so that many texts stand for the
    same bytes. Encoding again and comparing leaves exactly one: no padding, no foreign character, no set bit
    after the last byte (RFC 4648, sections 3.2, 3.3 and 3.5).

    Raises:
        ValueError: the text is not canonical base64url.
    """
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError("not canonical base64url")
    return data

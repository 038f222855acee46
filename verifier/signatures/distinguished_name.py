"""Names of certificates as text (RFC 4514), for the register to compare and people to read.

The cryptography library writes the same text, but warns of every name over 64 bytes: 22 Chinese characters.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from cryptography.hazmat import asn1

from verifier.signatures import der

_ATTRIBUTES: Final = MappingProxyType(
    {
        "2.5.4.3": "CN",
        "2.5.4.6": "C",
        "2.5.4.7": "L",
        "2.5.4.8": "ST",
        "2.5.4.9": "STREET",
        "2.5.4.10": "O",
        "2.5.4.11": "OU",
        "0.9.2342.19200300.100.1.1": "UID",
        "0.9.2342.19200300.100.1.25": "DC",
    },
)
"""RFC 4514, section 3; every other attribute is written by its dotted id."""

_CHARSETS: Final = MappingProxyType(
    {b"\x0c": "utf-8", b"\x12": "ascii", b"\x13": "ascii", b"\x16": "ascii", b"\x1e": "utf-16-be"},
)
"""UTF8String, NumericString, PrintableString, IA5String, BMPString. In a TeletexString nobody knows what is
meant, least of all where it was written in GBK."""

_ESCAPED: Final = str.maketrans(
    {**{character: f"\\{character}" for character in '\\"+,;<>'}, "\0": "\\00"},
)


def _value(value: asn1.TLV) -> str:
    charset = _CHARSETS.get(value.tag_bytes)
    if charset is None:
        raise der.malformed()
    try:
        text = bytes(value.data).decode(charset)
    except UnicodeDecodeError as error:
        raise der.malformed() from error
    text = text.translate(_ESCAPED)
    # RFC 4514, section 2.4: a number sign or a space that leads, a space that trails.
    if text.startswith("#") or (text.startswith(" ") and text != " "):
        text = f"\\{text}"
    if text.endswith(" "):
        text = f"{text[:-1]}\\ "
    return text


def text(name: bytes) -> str:
    """A name as RFC 4514 writes it: the most particular part first.

    Args:
        name: DER.

    Raises:
        SignatureRejected: ``malformed``: not a name, or a value is no text.
    """
    return ",".join(
        "+".join(
            f"{_ATTRIBUTES.get(one.type.dotted_string, one.type.dotted_string)}={_value(one.value)}"
            for one in relative
        )
        for relative in reversed(der.name(name))
    )

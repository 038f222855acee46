"""Token Status List (draft-ietf-oauth-status-list-21): many records' statuses in one compressed array; pure.

Each status takes 1, 2, 4 or 8 bits; index 0 stands in the lowest bits of byte 0 (section 4.1). The array,
compressed with zlib and written in base64url, is the member ``lst`` of a status list token; ``bits`` stands
beside it. Signing and reading that token is done elsewhere (``typ: statuslist+jwt``).

Every failure is a ``SignatureRejected`` with step ``status_list``: a list that cannot be read, or that is too
short for the index a record names, says nothing about the record, least of all that it is valid.
"""

from __future__ import annotations

import zlib
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from verifier.errors import SignatureRejected
from verifier.signatures import base64url

if TYPE_CHECKING:
    from collections.abc import Sequence

_BITS: Final = frozenset({1, 2, 4, 8})
_BYTE: Final = 8
BEST: Final = 9
"""The highest level of compression (section 4.1 recommends it)."""


class Status(IntEnum):
    """What a status list says of a record (section 7.1). All but the first two take 2 bits or more."""

    VALID = 0x00
    INVALID = 0x01
    """Revoked, for good."""
    SUSPENDED = 0x02
    """Not valid for the time being."""
    SUPERSEDED = 0x03
    """A later record stands in its place; 0x03 is reserved for such application-specific meanings."""


def pack(statuses: Sequence[int], bits: int) -> bytearray:
    """The uncompressed array, to be changed with ``put``; rounded up to whole bytes with status 0.

    Args:
        statuses: status of index 0, 1, ...
        bits: per status: 1, 2, 4 or 8.

    Raises:
        SignatureRejected: step ``status_list``, if a status does not fit.
    """
    packed = blank(len(statuses), bits)
    for index, status in enumerate(statuses):
        put(packed, bits, index, status)
    return packed


def blank(capacity: int, bits: int) -> bytearray:
    """An array for ``capacity`` statuses, all ``VALID``, rounded up to whole bytes.

    Raises:
        SignatureRejected: step ``status_list``, if ``bits`` is not 1, 2, 4 or 8.
    """
    _require_bits(bits)
    return bytearray((capacity * bits + _BYTE - 1) // _BYTE)


def get(packed: bytes | bytearray, bits: int, index: int) -> int:
    """The status at an index, 0 to 2**bits - 1.

    An int and not a ``Status``, since a list of others may hold values that have no name here.

    Raises:
        SignatureRejected: step ``status_list``, if the index lies outside the list.
    """
    place, shift = _position(packed, bits, index)
    return packed[place] >> shift & _mask(bits)


def put(packed: bytearray, bits: int, index: int, status: int) -> None:
    """Set the status at an index, in place.

    Raises:
        SignatureRejected: step ``status_list``, if the index lies outside the list or the status does not
            fit.
    """
    place, shift = _position(packed, bits, index)
    if not 0 <= status <= _mask(bits):
        raise _refused()
    packed[place] = packed[place] & ~(_mask(bits) << shift) | status << shift


def encode(statuses: bytes | bytearray | Sequence[int], bits: int, *, level: int = BEST) -> str:
    """The member ``lst``: zlib, base64url without padding (sections 4.1 and 4.2).

    Args:
        statuses: the packed array if bytes, else one status an index.
        bits: per status: 1, 2, 4 or 8.
        level: of compression; the highest is recommended, and takes long for a well-filled list.

    Raises:
        SignatureRejected: step ``status_list``, if a status does not fit.
    """
    _require_bits(bits)
    packed = statuses if isinstance(statuses, bytes | bytearray) else pack(statuses, bits)
    return base64url.encode(zlib.compress(packed, level=level))


def decode(lst: str, bits: int, *, max_bytes: int) -> bytes:
    """The packed array of a member ``lst``; never more than ``max_bytes`` are unpacked.

    Args:
        lst: base64url without padding.
        bits: as the list states it.
        max_bytes: longest array accepted, from 1.

    Raises:
        SignatureRejected: step ``status_list``: not canonical base64url, not exactly one whole zlib stream,
            or longer than allowed.
    """
    _require_bits(bits)
    # zlib grows what it cannot compress by less than 1 in 1,000 and a few bytes; base64 by 4 in 3. What is
    # still longer is padded with empty blocks.
    if max_bytes < 1 or len(lst) > (max_bytes + max_bytes // 1000 + 64) * 4 // 3:
        raise _refused()
    inflater = zlib.decompressobj()
    try:
        packed = inflater.decompress(base64url.decode(lst), max_bytes + 1)
    except (ValueError, zlib.error):
        raise _refused() from None
    if len(packed) > max_bytes or not inflater.eof or inflater.unused_data:
        raise _refused()
    return packed


def _position(packed: bytes | bytearray, bits: int, index: int) -> tuple[int, int]:
    """Byte and shift of an index."""
    _require_bits(bits)
    place, slot = divmod(index, _BYTE // bits)
    if index < 0 or place >= len(packed):
        raise _refused()
    return place, slot * bits


def _mask(bits: int) -> int:
    return (1 << bits) - 1


def _require_bits(bits: int) -> None:
    if bits not in _BITS:
        raise _refused()


def _refused() -> SignatureRejected:
    return SignatureRejected("status_list")

"""Decoding the two kinds of stream that say where objects lie (ISO 32000-1, 7.4.4, 7.5.7, 7.5.8)."""

from __future__ import annotations

import zlib
from itertools import accumulate
from typing import Final

from verifier.signatures.pdf_syntax import Budget, PdfObject, is_count, refuse

MAX_INFLATED: Final = 1024 * 1024
"""Bytes that one stream may be inflated to: several thousand objects."""
MAX_COLUMNS: Final = 32
"""Bytes in a row of a cross-reference stream: three fields of at most 8."""
_MAX_WIDTH: Final = 8
_FIELDS: Final = 3


def decode(raw: bytes, filter_name: PdfObject, parameters: PdfObject, budget: Budget) -> bytes:
    """The data of a stream that is plain or deflated.

    Args:
        raw: the stream as it stands in the file.
        filter_name: its one filter, or None.
        parameters: the filter's parameters, or None.
        budget: pays for it.

    Raises:
        SignatureRejected: ``malformed``: another filter, more than ``MAX_INFLATED``, or broken data.
    """
    if filter_name is None:
        return raw
    if filter_name != "FlateDecode":
        refuse()
    decompressor = zlib.decompressobj()
    try:
        data = decompressor.decompress(raw, MAX_INFLATED)
    except zlib.error:
        refuse()
    if not decompressor.eof:
        refuse()
    budget.spend_bytes(len(data))
    return data if parameters is None else _unpredict(data, parameters, budget)


def _unpredict(data: bytes, parameters: PdfObject, budget: Budget) -> bytes:
    """Takes back the PNG predictors None, Sub and Up of one-byte samples (7.4.4.4; RFC 2083, section 6)."""
    if not isinstance(parameters, dict) or not parameters.keys() <= {"Predictor", "Columns"}:
        refuse()
    predictor, columns = parameters.get("Predictor", 1), parameters.get("Columns", 1)
    if predictor == 1:
        return data
    if predictor not in range(10, 16) or not is_count(columns) or not 0 < columns <= MAX_COLUMNS:
        refuse()
    row, rows = bytes(columns), []
    for start in range(0, len(data), columns + 1):
        budget.spend(1 + columns // 4)
        row = _row(data[start], data[start + 1 : start + 1 + columns], row)
        rows.append(row)
    return b"".join(rows)


def _row(kind: int, samples: bytes, above: bytes) -> bytes:
    if kind not in {0, 1, 2} or len(samples) != len(above):
        refuse()
    if kind == 1:
        return bytes(total & 0xFF for total in accumulate(samples))
    if kind == 0:
        return samples
    return bytes((a + b) & 0xFF for a, b in zip(samples, above, strict=True))


class Rows:
    """The rows of a cross-reference stream, one after another.

    Args:
        data: decoded.
        widths: ``/W``, the bytes of each field.

    Raises:
        SignatureRejected: ``malformed``; nothing else, here and in the methods.
    """

    __slots__ = ("_data", "_position", "_widths")

    def __init__(self, data: bytes, widths: PdfObject) -> None:
        if not isinstance(widths, list) or len(widths) != _FIELDS:
            refuse()
        self._widths = [w if is_count(w) and w <= _MAX_WIDTH else refuse() for w in widths]
        self._data = data
        self._position = 0

    def _field(self, column: int) -> int | None:
        start, self._position = self._position, self._position + self._widths[column]
        return int.from_bytes(self._data[start : self._position]) if self._widths[column] else None

    def location(self) -> int | tuple[int, int] | None:
        """The place that the next row gives: see ``pdf_file.Location`` (tables 17 and 18)."""
        kind, second, third = (self._field(column) for column in range(_FIELDS))
        # A row without a second field is legal in theory, and lets a few bytes declare a million objects.
        if second is None:
            refuse()
        if kind == 0:
            return None
        if kind == 2:  # noqa: PLR2004 - in an object stream
            return second, third or 0
        return second if kind in {None, 1} and not third else refuse()

    def end(self) -> None:
        """Asserts that the rows given are those that were there."""
        if self._position != len(self._data):
            refuse()

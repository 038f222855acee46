"""Writes a signed PDF for the simulator: one page, its form's text fields, one signature over all of it.

ISO 32000-1: 7.5 for the file, 12.7 for the form, 12.8 for the signature, which covers every byte but its own
hexadecimal text. What the fields hold is drawn by the viewer, in a font of its own for Chinese. Real
platforms use a library; this is no more than the simulator needs.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from verifier.model.time import BEIJING

ROOM: Final = 4096
"""Bytes for the signature with its certificates; what it does not need stays zeros."""
_RANGE: Final = b"[0 %010d %010d %010d]"
_TOP, _LINE, _LEFT, _MIDDLE, _RIGHT = 780, 24, 56, 180, 540
"""Points from the page's lower left corner, and from line to line."""


def write(
    values: Mapping[str, str], *, signed_at: datetime, sign: Callable[[bytes], bytes], room: int = ROOM
) -> bytes:
    """A signed file.

    Args:
        values: the fields' texts by their names, which are ASCII letters and digits.
        signed_at: what the signature says of its time, aware.
        sign: a detached CMS signature, DER of at most ``room`` bytes, over what it is given.
        room: bytes.
    """
    empty = b"<" + b"00" * room + b">"
    data = _file([*_document(values), _signature(signed_at, empty), *_fields(values)])
    gap = data.index(empty)
    resume = gap + len(empty)
    covered = _RANGE % (gap, resume, len(data) - resume)
    data = data.replace(_RANGE % (0, 0, 0), covered)
    signature = sign(data[:gap] + data[resume:]).hex().encode("ascii")
    return data[:gap] + b"<" + signature.ljust(2 * room, b"0") + b">" + data[resume:]


_FIRST_FIELD: Final = 8
"""Number of the first text field's object; those before it are fixed."""


def _document(values: Mapping[str, str]) -> list[bytes]:
    """Objects 1 to 6: catalog, pages, page, what stands on it, its font, the signature's field."""
    numbers = (6, *range(_FIRST_FIELD, _FIRST_FIELD + len(values)))
    fields = b" ".join(b"%d 0 R" % number for number in numbers)
    names = b"".join(
        b"1 0 0 1 %d %d Tm (%b) Tj " % (_LEFT, _TOP - line * _LINE, name.encode("ascii"))
        for line, name in enumerate(values)
    )
    content = b"BT /Helv 10 Tf " + names + b"ET"
    form = b"<</Fields[%b]/SigFlags 3/DA(/Helv 10 Tf 0 g)/DR<</Font<</Helv 5 0 R>>>>>>" % fields
    return [
        b"<</Type/Catalog/Pages 2 0 R/AcroForm%b>>" % form,
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</Helv 5 0 R>>>>"
        b"/Contents 4 0 R/Annots[%b]>>" % fields,
        b"<</Length %d>>stream\n%b\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        b"<</FT/Sig/T(Signature)/V 7 0 R/Type/Annot/Subtype/Widget/F 132/P 3 0 R/Rect[0 0 0 0]>>",
    ]


def _signature(signed_at: datetime, empty: bytes) -> bytes:
    """Object 7."""
    moment = signed_at.astimezone(BEIJING).strftime("D:%Y%m%d%H%M%S+08'00'").encode("ascii")
    entries = b"/ByteRange%b/Contents%b/M(%b)" % (_RANGE % (0, 0, 0), empty, moment)
    return b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/adbe.pkcs7.detached%b>>" % entries


def _fields(values: Mapping[str, str]) -> list[bytes]:
    """The text fields, which nobody may change."""
    made = []
    for line, (name, value) in enumerate(values.items()):
        bottom = _TOP - line * _LINE - 6
        corners = b"%d %d %d %d" % (_MIDDLE, bottom, _RIGHT, bottom + _LINE - 4)
        text = (codecs.BOM_UTF16_BE + value.encode("utf-16-be")).hex().encode("ascii")
        widget = b"/Type/Annot/Subtype/Widget/F 4/P 3 0 R/Rect[%b]" % corners
        made.append(b"<</FT/Tx/Ff 1/T(%b)/V<%b>%b>>" % (name.encode("ascii"), text, widget))
    return made


def _file(objects: list[bytes]) -> bytes:
    # Bytes above 127 in a comment say that the file is not text (7.5.2).
    data, offsets = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size, start = len(objects) + 1, len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, table)
    data += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, start)
    return bytes(data)

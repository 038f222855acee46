"""The fields of a PDF form, as values; what a page shows is no concern of this module (ISO 32000-1, 12.7)."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from verifier.signatures.pdf_file import PdfFile
from verifier.signatures.pdf_syntax import PdfObject, Reference, refuse

MAX_FIELDS: Final = 256
MAX_FIELD_DEPTH: Final = 8
MAX_NAME_CHARACTERS: Final = 128
MAX_TEXT_BYTES: Final = 4096

_PDF_DOC: Final[Mapping[int, str]] = {
    **dict(zip(range(0x18, 0x20), "\u02d8\u02c7\u02c6\u02d9\u02dd\u02db\u02da\u02dc", strict=True)),
    **dict(
        zip(
            range(0x80, 0x9F),
            "\u2022\u2020\u2021\u2026\u2014\u2013\u0192\u2044\u2039\u203a\u2212\u2030\u201e\u201c\u201d\u2018"
            "\u2019\u201a\u2122\ufb01\ufb02\u0141\u0152\u0160\u0178\u017d\u0131\u0142\u0153\u0161\u017e",
            strict=True,
        ),
    ),
    0xA0: "\u20ac",
    0xAD: "\x00",
}
"""Where PDFDocEncoding differs from Latin-1 (annex D.2); what it leaves undefined is a control character."""
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""All but tab and line breaks: U+001B starts a language code (7.9.2.2)."""


@dataclass(frozen=True, slots=True)
class Field:
    """A terminal field.

    Attributes:
        name: fully qualified (12.7.3.2).
        kind: ``/FT``, own or inherited: Tx, Sig, Btn, Ch; or None.
        value: ``/V``, own or inherited, not followed if it is a reference.
    """

    name: str
    kind: PdfObject
    value: PdfObject = field(repr=False)


def text(value: PdfObject) -> str:
    """A text string (7.9.2.2): UTF-16BE or UTF-8 with their marks, else PDFDocEncoding.

    Raises:
        SignatureRejected: ``malformed``: not a string, too long, wrongly encoded, or with a control
            character other than tab and line breaks.
    """
    if not isinstance(value, bytes) or len(value) > MAX_TEXT_BYTES or value.startswith(codecs.BOM_UTF16_LE):
        refuse()
    try:
        if value.startswith(codecs.BOM_UTF16_BE):
            decoded = value[2:].decode("utf-16-be")
        elif value.startswith(codecs.BOM_UTF8):
            decoded = value[3:].decode("utf-8")
        else:
            decoded = value.decode("latin-1").translate(_PDF_DOC)
    except UnicodeDecodeError:
        refuse()
    return decoded if _CONTROL.search(decoded) is None else refuse()


def _dictionary(file: PdfFile, value: PdfObject) -> Mapping[str, PdfObject]:
    resolved = file.resolve(value)
    return resolved if isinstance(resolved, dict) else refuse()


def _array(file: PdfFile, value: PdfObject) -> list[PdfObject]:
    resolved = file.resolve(value)
    return resolved if isinstance(resolved, list) else refuse()


def catalog(file: PdfFile) -> Mapping[str, PdfObject]:
    """The document catalog (7.7.2); errors as in ``fields``."""
    root = file.trailer.get("Root")
    return _dictionary(file, root) if isinstance(root, Reference) else refuse()


def form(file: PdfFile) -> Mapping[str, PdfObject]:
    """The interactive form of the catalog (12.7.2); errors as in ``fields``."""
    return _dictionary(file, catalog(file).get("AcroForm"))


def fields(file: PdfFile) -> dict[str, Field]:
    """The terminal fields of the form, by fully qualified name.

    Raises:
        SignatureRejected: ``malformed``: no form, a broken one, two fields of one name, or too many.
    """
    found: dict[str, Field] = {}
    seen: set[int] = set()
    for item in _array(file, form(file).get("Fields")):
        for one in _terminal(file, item, Field("", None, None), seen):
            if one.name in found or len(found) == MAX_FIELDS:
                refuse()
            found[one.name] = one
    return found


def _terminal(file: PdfFile, item: PdfObject, parent: Field, seen: set[int]) -> Iterator[Field]:
    """The terminal fields from one node of the tree on, which is at most ``MAX_FIELD_DEPTH`` deep."""
    if isinstance(item, Reference):
        if item.number in seen:
            refuse()
        seen.add(item.number)
    dictionary = _dictionary(file, item)
    partial = text(dictionary.get("T"))
    # 12.7.3.2: a period separates the parts of the full name, so that none may hold one.
    if not partial or "." in partial:
        refuse()
    name = f"{parent.name}.{partial}" if parent.name else partial
    if len(name) > MAX_NAME_CHARACTERS or name.count(".") >= MAX_FIELD_DEPTH:
        refuse()
    kind = file.resolve(dictionary.get("FT", parent.kind))
    node = Field(name, kind, dictionary.get("V", parent.value))
    kids = _array(file, dictionary.get("Kids", []))
    if len(kids) > MAX_FIELDS:
        refuse()
    named = [kid for kid in kids if "T" in _dictionary(file, kid)]
    if not named:
        # Kids without a name are the widgets of this field (12.5.6.19), and have no value of their own.
        if any("V" in _dictionary(file, kid) for kid in kids):
            refuse()
        yield node
    elif len(named) != len(kids):
        refuse()
    for kid in named:
        yield from _terminal(file, kid, node, seen)


def texts(file: PdfFile, form_fields: Mapping[str, Field]) -> dict[str, str]:
    """The values of the text fields that have one, by name; errors as in ``fields``."""
    return {
        one.name: text(value)
        for one in form_fields.values()
        if one.kind == "Tx" and (value := file.resolve(one.value)) is not None
    }

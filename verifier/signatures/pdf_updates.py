"""What may be appended to a signed PDF: long-term validation data alone (ISO 32000-2, 12.8.4, 12.8.5).

Years after signing, an archive adds the certificates and revocation lists that the signature needs
(``/DSS``) and document timestamps. Neither is believed here, and nothing is read from them; they are told
from every other update, because any other means that what people see is not what was signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from verifier.signatures import pdf_form
from verifier.signatures.pdf_file import PdfFile
from verifier.signatures.pdf_syntax import PdfObject, Reference, Stream, refuse

MAX_REWRITTEN: Final = 64
"""Pages and arrays that an update may write anew; each is compared in full."""
_CATALOG_KEYS: Final = frozenset({"DSS", "AcroForm", "Extensions"})
_FORM_KEYS: Final = frozenset({"Fields", "SigFlags"})
_PAGE_KEYS: Final = frozenset({"Annots"})
TIMESTAMP: Final = "ETSI.RFC3161"
"""The ``/SubFilter`` of a document timestamp."""


def check(signed: PdfFile, whole: PdfFile, end: int) -> None:
    """Compares a file with its signed revision.

    Args:
        signed: the first ``end`` bytes, as a file.
        whole: all of it.
        end: where the signed bytes end.

    Raises:
        SignatureRejected: ``malformed``: something else than validation data and timestamps was appended.
    """
    if whole.sections[-len(signed.sections) :] != signed.sections:
        refuse()
    if whole.trailer.get("Root") != signed.trailer.get("Root"):
        refuse()
    changed = {n for n, place in whole.entries.items() if place != signed.entries.get(n)}
    for number in changed:
        place = whole.entries[number]
        start = whole.entries.get(place[0]) if isinstance(place, tuple) else place
        # Nothing is freed, and no signed bytes are read again under another number.
        if not isinstance(start, int) or start < end:
            refuse()
    stamps = _added_timestamps(signed, whole)
    _equal_but(pdf_form.catalog(signed), pdf_form.catalog(whole), _CATALOG_KEYS)
    compared = {_number(signed.trailer, "Root"), _number(signed.trailer, "Info"),
                _number(pdf_form.catalog(signed), "AcroForm")}  # fmt: skip
    rewritten = {n for n in changed - compared if signed.entries.get(n) is not None}
    if len(rewritten) > MAX_REWRITTEN:
        refuse()
    for number in rewritten:
        _check_rewritten(number, signed, whole, stamps)


def _number(dictionary: Mapping[str, PdfObject], key: str) -> int | None:
    value = dictionary.get(key)
    return value.number if isinstance(value, Reference) else None


def _equal_but(old: Mapping[str, PdfObject], new: Mapping[str, PdfObject], keys: AbstractSet[str]) -> None:
    if any(old.get(key) != new.get(key) for key in (old.keys() | new.keys()) - keys):
        refuse()


def _added(old: PdfObject, new: PdfObject) -> list[PdfObject]:
    """What an array has more than the array it replaces."""
    if not isinstance(old, list) or not isinstance(new, list) or new[: len(old)] != old:
        refuse()
    return new[len(old) :]


def _added_timestamps(signed: PdfFile, whole: PdfFile) -> list[PdfObject]:
    """References to the fields that were appended to the form: all are timestamps, and none can be seen."""
    old, new = pdf_form.form(signed), pdf_form.form(whole)
    _equal_but(old, new, _FORM_KEYS)
    added = _added(signed.resolve(old.get("Fields")), whole.resolve(new.get("Fields")))
    for item in added:
        field = whole.resolve(item)
        if not isinstance(item, Reference) or not isinstance(field, dict) or item.number in signed.entries:
            refuse()
        stamp, corners = whole.resolve(field.get("V")), field.get("Rect", [0, 0, 0, 0])
        if field.get("FT") != "Sig" or not isinstance(stamp, dict) or "Kids" in field:
            refuse()
        if stamp.get("SubFilter") != TIMESTAMP or not isinstance(corners, list) or corners[:2] != corners[2:]:
            refuse()
    return added


def _check_rewritten(number: int, signed: PdfFile, whole: PdfFile, stamps: list[PdfObject]) -> None:
    """An object that the update wrote anew: a page, or an array of fields or annotations, with timestamps."""
    old, new = signed.get(number), whole.get(number)
    if isinstance(old, Stream) and number == _number(pdf_form.catalog(signed), "Metadata"):
        # XMP, which says when the file was last written, and is never shown (14.3.2).
        added: list[PdfObject] = [] if isinstance(new, Stream) else refuse()
    elif isinstance(old, dict) and isinstance(new, dict) and old.get("Type") == "Page":
        _equal_but(old, new, _PAGE_KEYS)
        added = _added(signed.resolve(old.get("Annots", [])), whole.resolve(new.get("Annots", [])))
    else:
        added = _added(old, new)
    if any(item not in stamps for item in added):
        refuse()

"""What a certificate has no need of, and an attack has: scripts, files, actions (ISO 32000-1, 12.6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from verifier.signatures.pdf_file import PdfFile
from verifier.signatures.pdf_syntax import Name, PdfObject, Reference, Stream, refuse

REFUSED_KEYS: Final = frozenset({
    "JS", "JavaScript",  # scripts (12.6.4.16)
    "AA",  # actions that run by themselves (12.6.3)
    "EF", "EmbeddedFiles", "AF", "Collection",  # files within the file (7.11.4)
    "XFA",  # a second form, whose values need not be those of the first (12.7.8)
    "RichMediaContent", "3DD", "Movie",  # what runs when looked at (13)
    "FFilter",  # a stream whose bytes are in another file (7.3.8.2)
})  # fmt: skip
REFUSED_ACTIONS: Final = frozenset({
    "JavaScript", "Launch", "SubmitForm", "ImportData", "ResetForm", "GoToR", "GoToE", "GoToDp", "Thread",
    "Rendition", "Movie", "Sound", "Hide", "SetOCGState", "RichMediaExecute", "GoTo3DView", "Trans",
})  # fmt: skip
"""Values of ``/S``: all actions (table 198) but going to a place in the file, to a web address, or to a page
by name."""
REFUSED_ANNOTATIONS: Final = frozenset({"FileAttachment", "RichMedia", "Screen", "Movie", "Sound", "3D"})
"""Values of ``/Subtype`` (table 169)."""


def check(file: PdfFile) -> None:
    """Goes through everything that can be reached from the catalog and the document information.

    Raises:
        SignatureRejected: ``malformed``: active or embedded content, an action on opening, or a reference to
            nothing.
    """
    pending: list[PdfObject] = [file.trailer.get("Root"), file.trailer.get("Info")]
    seen: set[int] = set()
    while pending:
        value = pending.pop()
        if isinstance(value, Reference):
            if value.number in seen:
                continue
            seen.add(value.number)
            value = file.get(value.number)
        pending.extend(_children(file, value))


def _children(file: PdfFile, value: PdfObject) -> Iterator[PdfObject]:
    if isinstance(value, list):
        yield from value
        return
    dictionary = value.dictionary if isinstance(value, Stream) else value
    if not isinstance(dictionary, dict):
        return
    if not REFUSED_KEYS.isdisjoint(dictionary) or (isinstance(value, Stream) and "F" in dictionary):
        refuse()
    for key, refused in (("Subtype", REFUSED_ANNOTATIONS), ("S", REFUSED_ACTIONS)):
        named = file.resolve(dictionary.get(key))
        if isinstance(named, Name) and named in refused:
            refuse()
    # To open at a place in the file is harmless and common; to act on opening is not.
    opening = file.resolve(dictionary.get("OpenAction"))
    if isinstance(opening, dict) and (opening.get("S") != "GoTo" or "Next" in opening):
        refuse()
    yield from dictionary.values()

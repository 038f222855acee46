"""Signed PDF certificates (ISO 32000-1, 12.8; PAdES, ETSI EN 319 142-1), strictly: open, then verify.

1. ``open_pdf`` reads the file without repairing anything, finds its one signature, and demands that this
   covers every byte but its own hexadecimal text. After it there may be nothing, or what an archive adds
   (``pdf_updates``). The values come from the signed revision alone: the bytes up to the end of what is
   signed, read as a file of their own, so that no update can reach them.
2. The caller picks the key by what it has registered, with the chain that the signature brings.
3. ``verify`` checks the signature over the covered bytes.

The caller still owes the chain, its revocation, and what the values mean. Whether a page *shows* what the
fields hold is not judged: a signer who lets them differ deceives whoever looks, not this service, which takes
the values. Document timestamps and validation data are tolerated, never used.

``pdf_syntax.Budget`` and the caps of these modules bound the work without a clock: no file, whatever it
holds, costs more, nor raises anything but ``SignatureRejected``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, NoReturn

from verifier.errors import SignatureRejected
from verifier.signatures import cms, pdf_active, pdf_form, pdf_updates
from verifier.signatures.jws import VerificationKey
from verifier.signatures.pdf_file import MAX_BYTES, PdfFile
from verifier.signatures.pdf_syntax import Budget, Name, PdfObject, Reference, is_count, refuse
from verifier.signatures.steps import Step

__all__ = ["MAX_BYTES", "UnverifiedPdf", "open_pdf", "verify"]

SUBFILTERS: Final = frozenset({"adbe.pkcs7.detached", "ETSI.CAdES.detached"})
"""The forms of signature that are read: a detached CMS over the covered bytes."""
_HEX: Final = re.compile(rb"<(?:[0-9A-Fa-f]{2})++>")
_DATE: Final = re.compile(
    r"D:(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:(Z)(?:00'00'?)?|([+-])(\d\d)'(\d\d)'?)",
    re.ASCII,
)
_LONG_FORM: Final = 0x80


@dataclass(frozen=True, slots=True)
class UnverifiedPdf:
    """A file whose form is right; nothing in it is believed yet. It can be pickled.

    Attributes:
        fields: the text fields that have a value, by fully qualified name.
        cms: the signature, with the signer's certificates.
        content: the bytes that the signature covers.
        signing_time: when the signer claims to have signed, or None; nobody vouches for it.
    """

    fields: Mapping[str, str] = field(repr=False)
    cms: cms.UnverifiedCms = field(repr=False)
    content: bytes = field(repr=False)
    signing_time: datetime | None


def open_pdf(data: bytes) -> UnverifiedPdf:
    """Takes a signed PDF apart without believing it.

    Args:
        data: the whole file, at most ``MAX_BYTES``.

    Raises:
        SignatureRejected: ``malformed``; ``altered``: it was signed, but not like this; or what
            ``cms.open_detached`` says of the signature; nothing else, whatever the bytes.
    """
    budget = Budget()
    signed = whole = PdfFile(data, budget)
    fields = pdf_form.fields(whole)
    number = _signature_number(whole, fields)
    gap, resume, end = covered = _byte_range(whole, number)
    if end > len(data):
        _altered()
    if end < len(data):
        signed, fields, number = _signed_revision(whole, data[:end], covered, budget)
    pdf_active.check(signed)
    contents = _contents(signed, number, data, gap, resume)
    opened = cms.open_detached(_without_padding(contents))
    return UnverifiedPdf(
        fields=pdf_form.texts(signed, fields),
        cms=opened,
        content=data[:gap] + data[resume:end],
        signing_time=opened.signing_time or _date(signed.resolve(_signature(signed, number).get("M"))),
    )


def _altered() -> NoReturn:
    raise SignatureRejected(Step.ALTERED)


def _signed_revision(
    whole: PdfFile, data: bytes, covered: tuple[int, int, int], budget: Budget
) -> tuple[PdfFile, dict[str, pdf_form.Field], int]:
    """The file as it was signed, its fields and its signature, if only an archive has added to it since."""
    try:
        signed = PdfFile(data, budget)
        fields = pdf_form.fields(signed)
        number = _signature_number(signed, fields)
        if _byte_range(signed, number) != covered:
            _altered()
        pdf_updates.check(signed, whole, len(data))
        pdf_active.check(whole)
    except SignatureRejected:
        # What follows is at fault, whichever way it shows.
        _altered()
    return signed, fields, number


def verify(unverified: UnverifiedPdf, key: VerificationKey) -> None:
    """Verifies the signature of an opened file with one key.

    Raises:
        SignatureRejected: as ``cms.verify``; nothing else.
    """
    cms.verify(unverified.cms, unverified.content, key)


def _signature(file: PdfFile, number: int) -> Mapping[str, PdfObject]:
    value = file.get(number)
    return value if isinstance(value, dict) else refuse()


def _signature_number(file: PdfFile, fields: Mapping[str, pdf_form.Field]) -> int:
    """The object number of the one signature; timestamps do not count, any other kind is refused."""
    found: list[int] = []
    for one in fields.values():
        if one.kind != "Sig" or one.value is None:
            continue
        if not isinstance(one.value, Reference):
            refuse()
        subfilter = _signature(file, one.value.number).get("SubFilter")
        if not isinstance(subfilter, Name):
            refuse()
        if subfilter in SUBFILTERS:
            found.append(one.value.number)
        elif subfilter != pdf_updates.TIMESTAMP:
            refuse()
    # 12.8.2: a certification stands under /DocMDP; usage rights (/UR3) are signatures without a field.
    permissions = file.resolve(pdf_form.catalog(file).get("Perms"))
    if len(found) != 1 or permissions not in (None, {"DocMDP": Reference(found[0])}):
        refuse()
    return found[0]


def _byte_range(file: PdfFile, number: int) -> tuple[int, int, int]:
    """Where the gap begins, where it ends, and where the covered bytes end (12.8.1)."""
    values = file.resolve(_signature(file, number).get("ByteRange"))
    if not isinstance(values, list) or len(values) != 4:  # noqa: PLR2004 - two pairs
        refuse()
    start, gap, resume, rest = (value if is_count(value) else refuse() for value in values)
    return (gap, resume, resume + rest) if start == 0 else _altered()


def _contents(file: PdfFile, number: int, data: bytes, gap: int, resume: int) -> bytes:
    """What fills the gap: the text of ``/Contents``, all of it and nothing else."""
    first, last = file.span(number)
    text = _HEX.fullmatch(data, gap, resume)
    if text is None or not first < gap < resume < last:
        _altered()
    contents = bytes.fromhex(text.group()[1:-1].decode("ascii"))
    return contents if _signature(file, number).get("Contents") == contents else refuse()


def _without_padding(contents: bytes) -> bytes:
    """The element at the beginning of what must otherwise be zeros; whether it is DER, ``cms`` finds out."""
    if len(contents) < 2:  # noqa: PLR2004 - a tag, a length
        refuse()
    octets = max(0, contents[1] - _LONG_FORM)
    length = int.from_bytes(contents[2 : 2 + octets]) if octets else contents[1]
    end = 2 + octets + length
    return refuse() if contents[end:].strip(b"\x00") else contents[:end]


def _date(value: PdfObject) -> datetime | None:
    """A date (7.9.4) with its zone; without one it names no moment, and counts as absent."""
    if value is None:
        return None
    match = _DATE.fullmatch(pdf_form.text(value))
    if match is None:
        return None
    hours, minutes = int(match[9] or 0), int(match[10] or 0)
    offset = timedelta(hours=hours, minutes=minutes)
    try:
        zone = timezone(-offset if match[8] == "-" else offset)
        year, month, day, hour, minute, second = map(int, match.groups()[:6])
        return datetime(year, month, day, hour, minute, second, tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        refuse()

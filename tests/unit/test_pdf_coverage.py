"""What a PDF's signature covers: the twins in which a byte, the range or the end is another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils import generic as typed_generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from tests import pdfs
from tests.pdfs import PLACEHOLDER, Draft, Signer
from verifier.errors import SignatureRejected
from verifier.signatures import pdf
from verifier.signatures.steps import Step

generic: Any = typed_generic  # typed in part only

SIGNERS = {"P-256": pdfs.p256, "RSA-3072": pdfs.rsa_3072, "SM2": pdfs.sm2}


def refused(data: bytes, step: Step = Step.MALFORMED) -> None:
    with pytest.raises(SignatureRejected) as caught:
        pdf.open_pdf(data)
    assert caught.value.step == step


def accepted(data: bytes, signer: Signer | None = None) -> pdf.UnverifiedPdf:
    opened = pdf.open_pdf(data)
    pdf.verify(opened, (signer or pdfs.p256()).key)
    return opened


# -- twins: bytes


@pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS.keys())
@pytest.mark.parametrize("place", [b"/V(A)", b"%%EOF", b"%PDF-1.7"])
def test_a_byte_altered_in_what_is_covered_is_refused(signer: Callable[[], Signer], place: bytes) -> None:
    data = Draft().sign(signer())
    at = data.index(place) + len(place) - 2
    altered = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
    with pytest.raises(SignatureRejected):
        accepted(altered, signer())


def test_an_altered_value_opens_and_does_not_verify() -> None:
    opened = pdf.open_pdf(Draft().sign().replace(b"/V(A)", b"/V(B)"))
    with pytest.raises(SignatureRejected) as caught:
        pdf.verify(opened, pdfs.p256().key)
    assert caught.value.step == Step.SIGNATURE


def test_an_altered_byte_of_the_signature_is_refused() -> None:
    data = Draft().sign()
    last = data.index(b"0000000", data.index(b"/Contents <3")) - 1
    altered = data[:last] + (b"0" if data[last : last + 1] != b"0" else b"1") + data[last + 1 :]
    with pytest.raises(SignatureRejected):
        accepted(altered)


def test_padding_that_is_not_zero_is_refused() -> None:
    data = Draft().sign()
    at = data.index(b">", data.index(b"/Contents <")) - 1
    refused(data[:at] + b"1" + data[at + 1 :])


def test_a_key_of_another_algorithm_is_refused() -> None:
    with pytest.raises(SignatureRejected) as caught:
        pdf.verify(pdf.open_pdf(Draft().sign()), pdfs.sm2().key)
    assert caught.value.step == Step.ALGORITHM


_GENUINE = Draft().sign()
_READ = pdf.open_pdf(_GENUINE)


@given(st.integers(0, len(_GENUINE) - 1), st.integers(1, 255))
@settings(max_examples=300)
def test_no_altered_byte_changes_what_is_accepted(position: int, difference: int) -> None:
    altered = bytearray(_GENUINE)
    altered[position] ^= difference
    try:
        opened = accepted(bytes(altered))
    except SignatureRejected:
        return
    # Left: the case of a hexadecimal digit, and certificates that are enclosed but not the signer's.
    assert (opened.fields, opened.content) == (_READ.fields, _READ.content)


@given(st.data())
@settings(max_examples=300)
def test_whatever_the_bytes_only_a_rejection_is_raised(data: st.DataObject) -> None:
    mangled = bytearray(_GENUINE)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(mangled)))
        stop = data.draw(st.integers(start, min(len(mangled), start + 40)))
        mangled[start:stop] = data.draw(
            st.binary(max_size=40) | st.sampled_from([b"<<", b"[", b"5 0 R", b"("])
        )
    try:
        pdf.open_pdf(bytes(mangled))
    except SignatureRejected:
        return
    assert mangled


# -- twins: what is covered


def _covering(
    change: Callable[[int, int, int], tuple[int, int, int, int]], draft: Draft | None = None
) -> bytes:
    data = (draft or Draft()).write()
    gap = data.index(b"<0000")
    resume = data.index(b">", gap) + 1
    return pdfs.fill(data, pdfs.p256(), change(gap, resume, len(data) - resume))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda gap, resume, rest: (1, gap, resume, rest), id="not from the beginning"),
        pytest.param(lambda gap, resume, rest: (1, gap - 1, resume, rest), id="a length from elsewhere"),
        pytest.param(lambda gap, resume, rest: (0, gap, resume, rest - 5), id="not to the end"),
        pytest.param(lambda gap, resume, rest: (0, gap, resume, rest + 5), id="beyond the end"),
        pytest.param(lambda gap, _, rest: (0, gap, gap - 4, rest), id="overlapping"),
        pytest.param(lambda gap, resume, rest: (0, resume, gap, rest), id="crossed"),
        pytest.param(lambda gap, resume, rest: (0, gap - 9, resume, rest), id="gap begins early"),
        pytest.param(lambda gap, resume, rest: (0, gap, resume + 2, rest - 2), id="gap ends late"),
        pytest.param(lambda gap, resume, rest: (0, gap + 1, resume - 1, rest + 1), id="gap without brackets"),
        pytest.param(lambda gap, _, rest: (0, gap, gap, rest), id="no gap"),
        pytest.param(lambda gap, resume, _: (0, gap, resume, 0), id="a prefix only"),
    ],
)
def test_a_signature_that_does_not_cover_all_but_itself_is_refused(
    change: Callable[[int, int, int], tuple[int, int, int, int]],
) -> None:
    refused(_covering(change), Step.ALTERED)


@pytest.mark.parametrize(
    "entry", [b"[0 1 2]", b"[0 1 2 3 4]", b"[0 -1 2 3]", b"[0 1.0 2 3]", b"[true 1 2 3]", b"7", b"null"]
)
def test_a_byte_range_of_another_form_is_refused(entry: bytes) -> None:
    draft = Draft().replace(5, PLACEHOLDER, b"/ByteRange " + entry + b"/Contents <30>")
    refused(draft.write())


def test_numbers_that_are_right_but_not_whole_are_refused() -> None:
    gap = Draft().write().index(b"<0000")
    right, wrong = b"[0 %010d " % gap, b"[0 %08d.0 " % gap
    refused(Draft().sign().replace(right, wrong))


def _beside(other: bytes) -> bytes:
    """A signature whose gap is not its /Contents, but another string of the same dictionary."""
    draft = Draft().replace(5, b">>>", b">/Contents " + other + b">>")
    return pdfs.fill(draft.write(), pdfs.p256()).replace(b"/Contents", b"/Contentz", 1)


def test_contents_that_are_not_what_fills_the_gap_are_refused() -> None:
    refused(_beside(b"<30030201" + b"00" * 5000 + b">"))
    refused(_beside(b"(text)"))


def test_contents_longer_than_the_gap_are_refused() -> None:
    data = Draft().sign()
    end = data.index(b">", data.index(b"/Contents <"))
    refused(data[:end] + b"00" + data[end:])
    refused(data[:end] + b" " + data[end:])


def test_a_gap_outside_the_signature_is_refused() -> None:
    # The same text stands twice: as /Contents, and in another object, where the gap is.
    draft = Draft().replace(5, PLACEHOLDER, PLACEHOLDER.replace(b"/Contents <", b"/Contents  <"))
    draft.objects[6] = b"<</FT/Tx/T(name)/V(A)/Contents <" + b"0" * 8192 + b">>>"
    data = pdfs.fill(draft.write(), pdfs.p256())
    start = data.index(b"/Contents <") + len(b"/Contents <")
    text = data[start : data.index(b">", start)]
    refused(data.replace(b"/Contents  <" + b"0" * 8192, b"/Contents  <" + text), Step.ALTERED)


def test_contents_that_are_no_hexadecimal_text_are_refused() -> None:
    refused(Draft().sign().replace(b"00>>>", b"0 >>>"), Step.ALTERED)


def test_contents_of_a_single_byte_are_refused() -> None:
    draft = Draft().replace(5, b"0" * 8192, b"30")
    data = draft.write()
    gap = data.index(b"<30>")
    numbers = b"[0 %010d %010d %010d]" % (gap, gap + 4, len(data) - gap - 4)
    refused(data.replace(b"[0 0000000000 0000000000 0000000000]", numbers))


@pytest.mark.parametrize(
    "contents", [b"31", b"30", b"3080", b"3003", b"30820001", b"3003020101ff", b"30847fffffff"]
)
def test_contents_that_are_not_one_der_element_and_zeros_are_refused(contents: bytes) -> None:
    data = Draft().write()
    gap = data.index(b"<0000")
    resume = data.index(b">", gap) + 1
    data = data.replace(
        b"[0 0000000000 0000000000 0000000000]", b"[0 %010d %010d %010d]" % (gap, resume, len(data) - resume)
    )
    refused(data[: gap + 1] + contents + data[gap + 1 + len(contents) :])


# -- twins: what follows the signature


def _annotate(out: IncrementalPdfFileWriter) -> None:
    note = generic.DictionaryObject(
        {
            generic.NameObject("/Type"): generic.NameObject("/Annot"),
            generic.NameObject("/Subtype"): generic.NameObject("/FreeText"),
            generic.NameObject("/Rect"): generic.ArrayObject(map(generic.NumberObject, (10, 10, 90, 30))),
            generic.NameObject("/Contents"): generic.pdf_string("another name"),
        }
    )
    page: Any = out.root["/Pages"]["/Kids"][0]
    page["/Annots"].append(out.add_object(note))
    out.update_container(page["/Annots"])
    out.update_container(page)


def _change_field(out: IncrementalPdfFileWriter) -> None:
    item: Any = out.root["/AcroForm"]["/Fields"][0]
    item[generic.NameObject("/V")] = generic.pdf_string("another name")
    out.update_container(item)


def _change_page(out: IncrementalPdfFileWriter) -> None:
    page: Any = out.root["/Pages"]["/Kids"][0]
    page[generic.NameObject("/Contents")] = out.add_object(generic.StreamObject(stream_data=b"BT ET"))
    out.update_container(page)


@pytest.mark.parametrize("change", [_annotate, _change_field, _change_page])
@pytest.mark.parametrize("stream_xrefs", [True, False])
def test_an_update_after_the_signature_is_refused(
    change: Callable[[IncrementalPdfFileWriter], None], *, stream_xrefs: bool
) -> None:
    refused(pdfs.update(pdfs.foreign(pdfs.p256(), stream_xrefs=stream_xrefs), change), Step.ALTERED)


def test_two_signatures_are_refused() -> None:
    refused(pdfs.sign(pdfs.foreign(pdfs.p256()), pdfs.p256(), name="Signature2"))


@pytest.mark.parametrize("rest", [b"\n", b" ", b"\0", b"%%EOF\n", b"\r\n<html>", b"PK\x03\x04"])
def test_whatever_follows_the_end_of_file_mark_is_refused(rest: bytes) -> None:
    refused(Draft().sign() + rest)
    refused(Draft(tail=rest).sign())


@pytest.mark.parametrize("before", [b"\n", b"\xef\xbb\xbf", b"GIF89a", b"\0" * 100])
def test_whatever_precedes_the_header_is_refused(before: bytes) -> None:
    refused(before + Draft().sign())
    refused(Draft(head=before + b"%PDF-1.7\n").sign())


@pytest.mark.parametrize("size", [0, 1, 8, 100, 1000, 8000, len(_GENUINE) - 7, len(_GENUINE) - 2])
def test_a_truncated_file_is_refused(size: int) -> None:
    refused(_GENUINE[:size])

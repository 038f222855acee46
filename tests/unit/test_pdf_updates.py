"""What may follow a signature, byte by byte: each genuine addition with the twins that are refused."""

from __future__ import annotations

import pytest

from tests.pdfs import Draft
from verifier.errors import SignatureRejected
from verifier.signatures import pdf, pdf_updates
from verifier.signatures.pdf_file import PdfFile
from verifier.signatures.pdf_syntax import Budget
from verifier.signatures.pdf_updates import MAX_REWRITTEN

CATALOG = b"<</Type/Catalog/Pages 2 0 R/AcroForm 10 0 R/Metadata 11 0 R>>"
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Annots[4 0 R 6 0 R]>>"
FORM = b"<</Fields[4 0 R 6 0 R]/SigFlags 3>>"
METADATA = b"<</Type/Metadata/Length 1>>stream\nA\nendstream"
STAMP = b"<</Type/DocTimeStamp/SubFilter/ETSI.RFC3161/ByteRange[0 1 2 3]/Contents<00>>>"
STAMP_FIELD = b"<</FT/Sig/T(Stamp)/V 21 0 R/Rect[0 0 0 0]>>"
INFO = b"<</Producer(old)>>"


def signed(changes: dict[int, bytes] | None = None) -> bytes:
    draft = Draft(trailer=b"/Info 13 0 R")
    draft.objects |= {
        1: CATALOG,
        3: PAGE,
        10: FORM,
        11: METADATA,
        12: b"[4 0 R 6 0 R]",
        13: INFO,
        14: b"[12 0 R]",
    }
    draft.objects |= changes or {}
    draft.replace(6, b"/FT", b"/Other 14 0 R/FT")
    return draft.sign()


def append(
    data: bytes,
    objects: dict[int, bytes],
    *,
    trailer: bytes = b"/Root 1 0 R/Info 13 0 R",
    entries: bytes = b"",
) -> bytes:
    """An incremental update with these objects."""
    previous = int(data.split(b"startxref\n")[-1].split()[0])
    table = b"xref\n" + entries
    for number, body in objects.items():
        table += b"%d 1\n%010d 00000 n \n" % (number, len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    size = max((21, *objects)) + 1
    tail = b"trailer\n<</Size %d/Prev %d%b>>\nstartxref\n%d\n%%%%EOF\n" % (size, previous, trailer, len(data))
    return data + table + tail


STAMPED = {
    1: CATALOG.replace(b"/Pages", b"/DSS<</Certs[]>>/Extensions<<>>/Pages"),
    3: PAGE.replace(b"6 0 R]", b"6 0 R 20 0 R]"),
    10: FORM.replace(b"6 0 R]", b"6 0 R 20 0 R]"),
    20: STAMP_FIELD,
    21: STAMP,
}


def accepted(data: bytes) -> None:
    assert pdf.open_pdf(data).fields == {"name": "A"}


def refused(data: bytes) -> None:
    with pytest.raises(SignatureRejected):
        pdf.open_pdf(data)


def test_the_file_that_all_others_are_made_from_is_accepted() -> None:
    accepted(signed())


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param({}, id="nothing"),
        pytest.param(STAMPED, id="validation data and a timestamp"),
        pytest.param({30: b"(unused)"}, id="an object that nothing leads to"),
        pytest.param({3: PAGE, 12: b"[4 0 R 6 0 R]"}, id="objects written again as they were"),
        pytest.param({11: METADATA.replace(b"A", b"B")}, id="metadata"),
        pytest.param({13: INFO.replace(b"old", b"new")}, id="document information"),
        pytest.param({10: FORM.replace(b"3", b"1")}, id="flags of the form"),
    ],
)
def test_an_update_for_long_term_validation_is_accepted(objects: dict[int, bytes]) -> None:
    accepted(append(signed(), objects))


def test_updates_may_follow_each_other() -> None:
    once = append(signed(), STAMPED)
    accepted(append(once, {21: STAMP.replace(b"00", b"01"), 30: b"(unused)"}))


def test_an_indirect_array_of_annotations_may_grow_by_a_timestamp() -> None:
    page = PAGE.replace(b"[4 0 R 6 0 R]", b" 12 0 R")
    changed = {**STAMPED, 12: b"[4 0 R 6 0 R 20 0 R]"}
    del changed[3]
    accepted(append(signed({3: page}), changed))
    refused(append(signed({3: page}), {**changed, 12: b"[4 0 R 6 0 R 5 0 R]"}))
    refused(append(signed({3: page}), {**changed, 12: b"[6 0 R 4 0 R 20 0 R]"}))
    refused(append(signed({3: page}), {**changed, 12: b"7"}))
    refused(append(signed({14: b"[12 0 R 15 0 R]", 15: b"7"}), {15: b"[]"}))


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param({6: b"<</FT/Tx/T(name)/V(B)>>"}, id="a value"),
        pytest.param({5: b"<<>>"}, id="the signature"),
        pytest.param({2: b"<</Type/Pages/Kids[3 0 R 3 0 R]/Count 2>>"}, id="the pages"),
        pytest.param({3: PAGE.replace(b"0 0 9 9", b"0 0 8 8")}, id="a page"),
        pytest.param(
            {3: PAGE.replace(b"6 0 R]", b"6 0 R 30 0 R]"), 30: b"<</Subtype/FreeText>>"}, id="a note"
        ),
        pytest.param({3: PAGE.replace(b"6 0 R]", b"]")}, id="an annotation less"),
        pytest.param({3: b"(text)"}, id="a page made a string"),
        pytest.param({1: CATALOG.replace(b"/Pages", b"/Lang(zh)/Pages")}, id="the catalog"),
        pytest.param({1: CATALOG.replace(b"/Metadata 11 0 R", b"")}, id="the catalog, less"),
        pytest.param({11: b"(text)"}, id="metadata that is no stream"),
        pytest.param({10: FORM.replace(b"/Sig", b"/NeedAppearances true/Sig")}, id="the form"),
        pytest.param({10: FORM.replace(b"4 0 R 6 0 R", b"6 0 R 4 0 R")}, id="the order of fields"),
        pytest.param({10: FORM.replace(b"6 0 R]", b"]")}, id="a field less"),
        pytest.param({13: b"<</Producer 99 0 R>>"}, id="a reference to nothing"),
        pytest.param({13: b"<</AA<<>>>>"}, id="a script"),
    ],
)
def test_any_other_update_is_refused(objects: dict[int, bytes]) -> None:
    refused(append(signed(), objects))


@pytest.mark.parametrize(
    ("number", "old", "new"),
    [
        pytest.param(20, b"[0 0 0 0]", b"[0 0 9 9]", id="that can be seen"),
        pytest.param(20, b"[0 0 0 0]", b" 7", id="without a place"),
        pytest.param(20, STAMP_FIELD, b"(text)", id="that is no field"),
        pytest.param(20, b"/FT/Sig", b"/FT/Tx", id="that is a text field"),
        pytest.param(20, b"/V 21 0 R", b"", id="without a value"),
        pytest.param(20, b"/V 21", b"/Kids[]/V 21", id="with kids"),
        pytest.param(21, b"/ETSI.RFC3161", b"/adbe.pkcs7.detached", id="that is a signature"),
        pytest.param(21, b"/ETSI.RFC3161", b"/Other", id="of another kind"),
    ],
)
def test_a_timestamp_that_is_none_is_refused(number: int, old: bytes, new: bytes) -> None:
    assert old in STAMPED[number]
    refused(append(signed(), {**STAMPED, number: STAMPED[number].replace(old, new)}))


@pytest.mark.parametrize(
    "changes",
    [
        {21: STAMP.replace(b"/ETSI.RFC3161", b"/adbe.pkcs7.detached")},
        {21: STAMP.replace(b"/ETSI.RFC3161", b"/Other")},
        {20: b"(text)"},
    ],
)
def test_what_is_no_timestamp_is_refused_whoever_asks(changes: dict[int, bytes]) -> None:
    data, budget = signed(), Budget()
    whole = append(data, {**STAMPED, **changes})
    with pytest.raises(SignatureRejected):
        pdf_updates.check(PdfFile(data, budget), PdfFile(whole, budget), len(data))


def test_a_field_that_is_no_timestamp_is_refused_though_it_holds_one() -> None:
    direct = {**STAMPED, 10: FORM.replace(b"6 0 R]", b"6 0 R" + STAMP_FIELD + b"]")}
    refused(append(signed(), direct))
    old = signed({20: b"<<>>", 14: b"[12 0 R 20 0 R]"})
    refused(append(old, STAMPED))


def test_a_field_that_was_there_before_is_no_new_timestamp() -> None:
    refused(append(signed({20: STAMP_FIELD, 21: STAMP}), {1: STAMPED[1], 3: STAMPED[3], 10: STAMPED[10]}))


@pytest.mark.parametrize("trailer", [b"/Root 2 0 R", b"/Root 30 0 R", b""])
def test_another_root_is_refused(trailer: bytes) -> None:
    refused(append(signed(), {30: CATALOG}, trailer=trailer))


def test_an_object_that_is_freed_is_refused() -> None:
    refused(append(signed(), {}, entries=b"11 1\n0000000000 00000 f \n"))


def test_signed_bytes_that_are_read_under_another_number_are_refused() -> None:
    data = signed()
    refused(append(data, {}, entries=b"12 1\n%010d 00000 n \n" % data.index(b"14 0 obj")))
    refused(append(data, {}, entries=b"19 1\n%010d 00000 n \n" % data.index(b"14 0 obj")))


def test_an_update_that_does_not_build_on_the_signed_revision_is_refused() -> None:
    data = signed()
    start = int(data.split(b"startxref\n")[-1].split()[0])
    alone = append(data, {}).replace(b"/Prev %d" % start, b"/Perv %d" % start)
    refused(alone)
    # The same table, read from one byte before: another chain, though all its entries agree.
    refused(append(data, {}).replace(b"/Prev %d" % start, b"/Prev %d" % (start - 1)))


def test_an_update_that_moves_the_signature_is_refused() -> None:
    data = signed()
    body = data[data.index(b"<</Type/Sig/") : data.index(b">>\nendobj", data.index(b"/Contents <")) + 2]
    refused(append(data, {5: body}))
    refused(append(data, {4: b"<</FT/Sig/T(Signature1)/V 30 0 R>>", 30: body}))


def test_the_signed_revision_must_say_itself_what_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever the rules on updates say: an update that moves the end of what is signed moves nothing.
    data = append(signed(), {})
    body = data[data.index(b"<</Type/Sig/") : data.index(b">>\nendobj", data.index(b"/Contents <")) + 2]
    numbers = body[body.index(b"[0 ") : body.index(b"]")]
    _, gap, resume, _ = map(int, numbers[1:].split())
    moved = body.replace(numbers, b"[0 %010d %010d %010d" % (gap, resume, len(data) - resume))
    monkeypatch.setattr(pdf_updates, "check", lambda *_: None)
    accepted(data)
    refused(append(data, {5: moved}))


def test_more_rewritten_objects_than_an_archive_needs_are_refused() -> None:
    def rewritten(count: int) -> bytes:
        arrays = dict.fromkeys(range(100, 100 + count), b"[]")
        data = signed({**arrays, 14: b"[12 0 R %b]" % b" ".join(b"%d 0 R" % n for n in arrays)})
        return append(data, arrays)

    accepted(rewritten(MAX_REWRITTEN))
    refused(rewritten(MAX_REWRITTEN + 1))

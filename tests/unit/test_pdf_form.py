"""The values of a form, and the content that a certificate may not have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyhanko.pdf_utils.generic import TextStringEncoding

from tests.pdfs import Draft
from verifier.errors import SignatureRejected
from verifier.signatures import pdf, pdf_active, pdf_form
from verifier.signatures.pdf_file import PdfFile
from verifier.signatures.pdf_form import MAX_FIELD_DEPTH, MAX_FIELDS, MAX_NAME_CHARACTERS, MAX_TEXT_BYTES
from verifier.signatures.pdf_syntax import Budget, PdfObject

# -- text strings


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"", ""),
        (b"Welding (1)\t\r\n", "Welding (1)\t\r\n"),
        (b"\x80\xa0\xe9\x18", "\u2022\u20ac\u00e9\u02d8"),
        (b"\xfe\xff\x53\xe4\x4e\x3d\x00\xb7", "古丽·"),
        (b"\xfe\xff\xd8\x40\xdc\x00", "\U00020000"),
        (b"\xef\xbb\xbf" + "古丽".encode(), "古丽"),
    ],
)
def test_a_text_string_is_read_in_its_encoding(value: bytes, text: str) -> None:
    assert pdf_form.text(value) == text


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        [],
        b"\x00",
        b"\x17",
        b"\x7f",
        b"\x9f",
        b"\xad",
        b"\xff\xfe\xe4\x53",
        b"\xfe\xff\x53",
        b"\xfe\xff\xd8\x40",
        b"\xfe\xff\x00\x1b\x00z\x00h",
        b"\xfe\xff\x00\x00",
        b"\xfe\xff\x00\x85",
        b"\xef\xbb\xbf\xc0\x80",
        b"a" * (MAX_TEXT_BYTES + 1),
    ],
)
def test_what_is_no_text_string_is_refused(value: PdfObject) -> None:
    with pytest.raises(SignatureRejected):
        pdf_form.text(value)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=60))
def test_utf_16_is_read_back_whatever_the_text(text: str) -> None:
    assert pdf_form.text(b"\xfe\xff" + text.encode("utf-16-be")) == text


@given(st.binary(max_size=60))
def test_one_byte_text_is_read_as_another_program_reads_it(value: bytes) -> None:
    try:
        text = pdf_form.text(value)
    except SignatureRejected:
        return
    # The other program has no white space in this encoding, which annex D.2 does have.
    if not value.startswith((b"\xfe\xff", b"\xef\xbb\xbf")) and not set(value) & set(b"\t\n\r"):
        assert text == TextStringEncoding.PDF_DOC.decode(value)


# -- fields


def read(*fields: bytes, more: dict[int, bytes] | None = None) -> dict[str, str]:
    """The values of a form of these fields, objects 6 and following, beside the signature."""
    draft = Draft()
    draft.objects |= {6 + n: one for n, one in enumerate(fields)} | (more or {})
    references = b" ".join(b"%d 0 R" % n for n in (4, *range(6, 6 + len(fields))))
    draft.replace(1, b"[4 0 R 6 0 R]", b"[" + references + b"]")
    return dict(pdf.open_pdf(draft.sign()).fields)


def refused(*fields: bytes, more: dict[int, bytes] | None = None) -> None:
    with pytest.raises(SignatureRejected):
        read(*fields, more=more)


def test_text_fields_with_a_value_are_read_and_others_are_not() -> None:
    assert read(
        b"<</FT/Tx/T(a)/V(1)>>",
        b"<</FT/Tx/T(b)/V()>>",
        b"<</FT/Tx/T(c)>>",
        b"<</FT/Tx/T(d)/V null>>",
        b"<</FT/Btn/T(e)/V/Yes>>",
        b"<</FT/Ch/T(f)/V(1)>>",
        b"<</T(g)/V(1)>>",
        b"<</FT 20 0 R/T(h)/V 21 0 R>>",
        more={20: b"/Tx", 21: b"(8)"},
    ) == {"a": "1", "b": "", "h": "8"}


def test_kids_inherit_and_carry_the_name_of_their_parent() -> None:
    more = {
        20: b"<</T(x)/V(1)/Parent 6 0 R>>",
        21: b"<</T(y)/Parent 6 0 R/Kids[22 0 R]>>",
        22: b"<</Subtype/Widget>>",
    }
    assert read(b"<</FT/Tx/T(p)/V(0)/Kids[20 0 R 21 0 R<</T(z)/V(2)>>]>>", more=more) == {
        "p.x": "1",
        "p.y": "0",
        "p.z": "2",
    }


@pytest.mark.parametrize(
    "field",
    [
        b"<</FT/Tx/V(1)>>",
        b"<</FT/Tx/T()/V(1)>>",
        b"<</FT/Tx/T(a.b)/V(1)>>",
        b"<</FT/Tx/T/a/V(1)>>",
        b"<</FT/Tx/T(a)/V/Name>>",
        b"<</FT/Tx/T(a)/V 7>>",
        b"<</FT/Tx/T(a)/V 20 0 R>>",
        b"<</FT/Tx/T(a)/V 99 0 R>>",
        b"<</FT/Tx/T(a)/V(\x01)>>",
        b"<</FT/Tx/T(" + b"a" * (MAX_NAME_CHARACTERS + 1) + b")/V(1)>>",
        b"<</FT/Tx/T(a)/Kids 7>>",
        b"<</FT/Tx/T(a)/Kids[7]>>",
        b"<</FT/Tx/T(a)/Kids[6 0 R]>>",
        b"<</FT/Tx/T(a)/Kids[<</T(b)>><<>>]>>",
        b"<</FT/Tx/T(a)/V(1)/Kids[<</V(2)>>]>>",
        b"<</FT/Tx/T(a)/Kids[" + b"<<>>" * (MAX_FIELDS + 1) + b"]>>",
        b"[]",
        b"(text)",
    ],
)
def test_a_field_of_another_form_is_refused(field: bytes) -> None:
    refused(field, more={20: b"<</Length 1>>stream\nA\nendstream"})


def test_two_fields_of_one_name_are_refused() -> None:
    refused(b"<</FT/Tx/T(a)/V(1)>>", b"<</FT/Tx/T(a)/V(2)>>")
    refused(b"<</FT/Tx/T(a)/V(1)>>", b"<</FT/Tx/T(\xfe\xff\x00a)/V(2)>>")
    refused(b"<</T(a)/Kids[<</T(b)>>]>>", b"<</T(a)/Kids[<</T(b)>>]>>")


def test_a_field_that_stands_in_two_places_is_refused() -> None:
    refused(b"<</T(a)/Kids[20 0 R]>>", b"<</T(b)/Kids[20 0 R]>>", more={20: b"<</FT/Tx/T(c)/V(1)>>"})


def test_as_many_fields_as_are_allowed_are_read_and_no_more() -> None:
    fields = [b"<</FT/Tx/T(%d)/V(1)>>" % n for n in range(MAX_FIELDS)]
    assert len(read(*fields[1:])) == MAX_FIELDS - 1
    refused(*fields)


def test_the_deepest_field_is_read_and_a_deeper_one_is_not() -> None:
    def nested(depth: int) -> bytes:
        return b"<</T(a)/Kids[" * (depth - 1) + b"<</FT/Tx/T(a)/V(1)>>" + b"]>>" * (depth - 1)

    assert len(read(nested(MAX_FIELD_DEPTH))) == 1
    refused(nested(MAX_FIELD_DEPTH + 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"/AcroForm<<", b"/AcroForx<<"),
        (b"/AcroForm<</Fields[4 0 R 6 0 R]>>", b"/AcroForm[]"),
        (b"/Fields[4 0 R 6 0 R]", b"/Fields 7"),
        (b"/Fields[", b"/Fieldx["),
    ],
)
def test_a_file_without_a_form_is_refused(old: bytes, new: bytes) -> None:
    with pytest.raises(SignatureRejected):
        pdf.open_pdf(Draft().replace(1, old, new).sign())


@pytest.mark.parametrize("root", [b"/Root 2 0 R", b"/Root 5 0 R", b"/Roof 1 0 R"])
def test_a_root_that_is_no_catalog_is_refused(root: bytes) -> None:
    with pytest.raises(SignatureRejected):
        pdf.open_pdf(Draft().sign().replace(b"/Root 1 0 R", root))


def test_a_root_that_is_no_object_of_its_own_is_refused() -> None:
    data = Draft().write().replace(b"/Root 1 0 R", b"/Root<</AcroForm<</Fields[]>>>>")
    with pytest.raises(SignatureRejected):
        pdf_form.catalog(PdfFile(data, Budget()))


# -- active content


def check(body: bytes, more: dict[int, bytes] | None = None) -> None:
    draft = Draft()
    draft.objects |= {6: b"<</FT/Tx/T(name)/V(A)/X " + body + b">>"} | (more or {})
    pdf_active.check(PdfFile(draft.write(), Budget()))


@pytest.mark.parametrize(
    "body",
    [
        b"<</S/JavaScript>>",
        b"<</JS(app.alert)>>",
        b"[[<</S/Launch>>]]",
        b"<</S/SubmitForm>>",
        b"<</S/ImportData>>",
        b"<</S/GoToE>>",
        b"<</S/SetOCGState>>",
        b"<</S 20 0 R>>",
        b"<</AA<<>>>>",
        b"<</XFA[]>>",
        b"<</EF<<>>>>",
        b"<</EmbeddedFiles<<>>>>",
        b"<</AF[]>>",
        b"<</Subtype/FileAttachment>>",
        b"<</Subtype/RichMedia>>",
        b"<</Open#41ction<</S/URI>>>>",
        b"<</OpenAction<</S/GoTo/Next<</S/URI>>>>>>",
        b"<</OpenAction 21 0 R>>",
        b"22 0 R",
        b"23 0 R",
        b"99 0 R",
    ],
)
def test_active_or_embedded_content_is_refused(body: bytes) -> None:
    more = {
        20: b"/Launch",
        21: b"<</S/Named>>",
        22: b"<</Length 1/F(other)>>stream\nA\nendstream",
        23: b"<</Length 1/AA<<>>>>stream\nA\nendstream",
    }
    with pytest.raises(SignatureRejected):
        check(body, more)


@pytest.mark.parametrize(
    "body",
    [
        b"<</S/URI/URI(https://example.org)>>",
        b"<</S/Transparency>>",
        b"<</S[/Launch]>>",
        b"<</S(Launch)>>",
        b"<</Subtype/Widget>>",
        b"<</OpenAction[3 0 R/XYZ]>>",
        b"<</OpenAction<</S/GoTo/D[3 0 R/Fit]>>>>",
        b"<</F 4>>",
        b"20 0 R",
        b"/JavaScript",
    ],
)
def test_what_only_leads_to_a_place_or_looks_alike_is_accepted(body: bytes) -> None:
    check(body, {20: b"<</Length 1>>stream\nA\nendstream"})


@pytest.mark.parametrize("key", sorted(pdf_active.REFUSED_KEYS))
def test_every_refused_key_is_refused(key: str) -> None:
    with pytest.raises(SignatureRejected):
        check(b"<</%b null>>" % key.encode())


def test_a_certificate_with_a_script_is_refused_and_its_twin_is_not() -> None:
    twin = Draft().replace(1, b"/Pages", b"/OpenAction<</S/GoTo/D[3 0 R/Fit]>>/Pages").sign()
    assert pdf.open_pdf(twin).fields == {"name": "A"}
    with pytest.raises(SignatureRejected):
        pdf.open_pdf(Draft().replace(1, b"/Pages", b"/OpenAction<</S/JavaScript/JS(1)>>/Pages").sign())

"""Signed PDFs: what is accepted, and the twins of it that differ in one thing and are not."""

from __future__ import annotations

import asyncio
import io
import pickle
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pyhanko.pdf_utils import generic as typed_generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import fields as foreign_fields
from pyhanko.sign.signers import SimpleSigner
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from tests import pdfs
from tests.pdfs import Draft, Signer
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


# -- what is accepted


@pytest.mark.parametrize("signer", [pdfs.p256, pdfs.rsa_3072])
@pytest.mark.parametrize("stream_xrefs", [True, False])
def test_a_certificate_that_another_program_signed_is_read_and_verified(
    signer: Callable[[], Signer], *, stream_xrefs: bool
) -> None:
    data = pdfs.foreign(signer(), stream_xrefs=stream_xrefs)
    opened = accepted(data, signer())
    assert opened.fields == pdfs.FIELDS
    assert opened.cms.chain == signer().chain
    assert len(opened.content) + data.count(b"0", data.index(b"/Contents <")) < len(data)
    assert opened.signing_time is not None
    assert abs(opened.signing_time - datetime.now(UTC)).total_seconds() < 3600


def test_an_sm2_certificate_is_read_and_verified() -> None:
    opened = accepted(Draft().sign(pdfs.sm2()), pdfs.sm2())
    assert opened.fields == {"name": "A"}
    assert opened.cms.chain == pdfs.sm2().chain


def test_a_certification_signature_is_accepted() -> None:
    assert accepted(pdfs.foreign(pdfs.p256(), certify=True)).fields == pdfs.FIELDS


def test_validation_data_and_a_timestamp_may_follow_and_change_nothing_that_is_read() -> None:
    before = pdfs.foreign(pdfs.p256())
    after = pdfs.archived(before)
    assert len(after) > len(before)
    assert accepted(after) == accepted(before)


def test_revisions_before_the_signature_are_covered_and_the_last_counts() -> None:
    def correct(out: IncrementalPdfFileWriter) -> None:
        item: Any = out.root["/AcroForm"]["/Fields"][0]
        item[generic.NameObject("/V")] = generic.pdf_string("new")
        out.update_container(item)

    data = pdfs.sign(pdfs.update(pdfs.unsigned(), correct), pdfs.p256())
    assert accepted(data).fields == {**pdfs.FIELDS, "name": "new"}


def test_an_empty_signature_field_is_no_second_signature() -> None:
    data = Draft().replace(6, b"<</FT/Tx/T(name)/V(A)>>", b"<</FT/Sig/T(later)>>").sign()
    assert accepted(data).fields == {}


def test_what_is_opened_can_be_sent_to_another_process() -> None:
    opened = pdf.open_pdf(Draft().sign())
    assert pickle.loads(pickle.dumps(opened)) == opened  # noqa: S301 - our own bytes


def test_nothing_that_a_person_is_named_by_appears_in_the_representation() -> None:
    assert pdfs.NAME not in repr(pdf.open_pdf(pdfs.foreign(pdfs.p256())))


# -- what pyHanko says of the same files


def _foreign_verdict(data: bytes, signer: Signer) -> bool:
    certificate = SimpleSigner.load_pkcs12_data(signer.pkcs12, [])
    roots = [c for c in certificate.cert_registry if c.self_issued]
    (signature,) = PdfFileReader(io.BytesIO(data)).embedded_regular_signatures
    context = ValidationContext(trust_roots=roots, allow_fetching=False)
    status = asyncio.run(async_validate_pdf_signature(signature, context))
    return bool(status.bottom_line)


@pytest.mark.parametrize("archived", [True, False])
def test_pyhanko_accepts_what_is_accepted_here(*, archived: bool) -> None:
    data = pdfs.foreign(pdfs.p256())
    assert _foreign_verdict(pdfs.archived(data) if archived else data, pdfs.p256())


def test_pyhanko_accepts_the_file_that_the_twins_below_are_made_from() -> None:
    assert _foreign_verdict(Draft().sign(), pdfs.p256())
    assert accepted(Draft().sign()).fields == {"name": "A"}


# -- twins: the signature's form


@pytest.mark.parametrize(
    "subfilter",
    [b"/adbe.x509.rsa_sha1", b"/adbe.pkcs7.sha1", b"/ETSI.RFC3161", b"(adbe.pkcs7.detached)", b"[]"],
)
def test_another_form_of_signature_is_refused(subfilter: bytes) -> None:
    refused(Draft().replace(5, b"/adbe.pkcs7.detached", subfilter).sign())


def test_another_form_of_signature_beside_a_right_one_is_refused() -> None:
    draft = Draft().replace(6, b"/Tx/T(name)/V(A)", b"/Sig/T(Other)/V 7 0 R")
    draft.objects[7] = b"<</Type/Sig/SubFilter/adbe.pkcs7.sha1>>"
    refused(draft.sign())
    draft.objects[7] = b"<</Type/DocTimeStamp/SubFilter/ETSI.RFC3161>>"
    accepted(draft.sign())


def test_no_signature_is_refused() -> None:
    refused(pdfs.unsigned())


def test_a_signature_within_its_field_is_refused() -> None:
    draft = Draft()
    draft.objects[4] = draft.objects[4].replace(b"5 0 R", draft.objects.pop(5))
    refused(draft.sign())


@pytest.mark.parametrize("value", [b"(text)", b"[]"])
def test_a_signature_that_is_no_dictionary_is_refused(value: bytes) -> None:
    draft = Draft()
    draft.objects[5] = value
    refused(draft.write())


@pytest.mark.parametrize(
    "permissions", [b"<</UR3 5 0 R>>", b"<</DocMDP 6 0 R>>", b"<</DocMDP 5 0 R/UR3 5 0 R>>"]
)
def test_permissions_by_another_signature_are_refused(permissions: bytes) -> None:
    refused(Draft().replace(1, b"/Pages", b"/Perms " + permissions + b"/Pages").sign())


def test_an_algorithm_that_is_not_accepted_is_named() -> None:
    sha384 = bytes.fromhex("2a8648ce3d040303")
    signer = pdfs.p256()
    other = Signer(signer.key, signer.chain, lambda c: _last_replaced(signer.cms(c), sha384))
    refused(Draft().sign(other), Step.ALGORITHM)


def _last_replaced(cms: bytes, new: bytes) -> bytes:
    at = cms.rindex(bytes.fromhex("2a8648ce3d040302"))
    return cms[:at] + new + cms[at + len(new) :]


# -- the claimed time


def _time(entry: bytes) -> datetime | None:
    return pdf.open_pdf(
        Draft().replace(5, b"/Type/Sig", b"/Type/Sig/M" + entry).sign(pdfs.sm2())
    ).signing_time


@pytest.mark.parametrize(
    "entry",
    [
        b"(D:20210601120000+08'00')",
        b"(D:20210601120000+08'00)",
        b"(D:20210601040000Z)",
        b"(D:20210601013000-02'30')",
    ],
)
def test_the_claimed_time_is_a_moment(entry: bytes) -> None:
    assert _time(entry) == pdfs.ISSUED


@pytest.mark.parametrize("entry", [b"(D:20210601120000)", b"(D:2021)", b"(yesterday)", b"()", b" null"])
def test_a_time_without_a_zone_names_no_moment(entry: bytes) -> None:
    assert _time(entry) is None


@pytest.mark.parametrize(
    "entry",
    [b"(D:20211301120000Z)", b"(D:20210601120000+24'00')", b"(D:00010101000000+08'00')", b"7", b"(\x01)"],
)
def test_a_time_that_is_none_is_refused(entry: bytes) -> None:
    refused(Draft().replace(5, b"/Type/Sig", b"/Type/Sig/M " + entry).sign(pdfs.sm2()))


# -- what costs more than it is worth


def _stuffed(body: bytes, more: bytes = b"null") -> bytes:
    draft = Draft()
    draft.objects[7] = more
    draft.objects[6] = draft.objects[6].replace(b"<<", b"<</X " + body, 1)
    return draft.sign()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" + b"0 " * 1_500_000 + b"]", id="numbers"),
        pytest.param(b"(" * 1_000_000 + b")" * 1_000_000, id="parentheses"),
        pytest.param(b"(" + rb"\n" * 1_000_000 + b")", id="escapes"),
        pytest.param(b"[" * 1_000_000 + b"]" * 1_000_000, id="depth"),
        pytest.param(b"[" + b"<<>>" * 500_000 + b"]", id="dictionaries"),
        pytest.param(b"[" + (b"1" + b" " * 300) * 10_000 + b"]", id="spaces"),
        pytest.param(b"/" + b"#41" * 1_000_000, id="a name"),
    ],
)
def test_a_flood_is_refused_early(body: bytes) -> None:
    refused(_stuffed(body))


def test_a_hundred_thousand_objects_are_refused() -> None:
    draft = Draft()
    draft.objects |= dict.fromkeys(range(7, 100_000), b"[]")
    refused(draft.write())


def test_a_file_of_more_than_four_mebibytes_is_refused() -> None:
    def padded(size: int) -> bytes:
        return _stuffed(b"7 0 R", pdfs.stream(b"", b"0" * size))

    most = pdf.MAX_BYTES - len(padded(1_000_000)) + 1_000_000
    assert len(padded(most)) == pdf.MAX_BYTES
    accepted(padded(most))
    refused(padded(most + 1))


def _packed(padding: bytes) -> bytes:
    draft = Draft(pack=lambda data: pdfs.deflated(data + padding))
    draft.packed[6] = draft.objects.pop(6)
    return draft.sign()


def test_a_bomb_where_objects_are_packed_is_refused() -> None:
    assert accepted(_packed(b" " * 100_000)).fields == {"name": "A"}
    refused(_packed(b" " * 20_000_000))


def test_a_bomb_on_a_page_never_goes_off() -> None:
    bomb = zlib.compress(b" " * 50_000_000, 9)
    draft = Draft().replace(3, b"/Parent", b"/Contents 7 0 R/Parent")
    draft.objects[7] = b"<</Filter/FlateDecode/Length %d>>stream\n%b\nendstream" % (len(bomb), bomb)
    assert accepted(draft.sign()).fields == {"name": "A"}


def test_an_encrypted_file_is_refused() -> None:
    out = pdfs.writer.copy_into_new_writer(PdfFileReader(io.BytesIO(pdfs.unsigned())))
    out.encrypt("owner", "user")
    buffer = io.BytesIO()
    out.write(buffer)
    refused(buffer.getvalue())


def test_the_foreign_form_field_types_are_the_ones_that_are_known() -> None:
    assert {s.value for s in foreign_fields.SigSeedSubFilter if "RFC3161" not in s.value} >= {
        f"/{name}" for name in pdf.SUBFILTERS
    }

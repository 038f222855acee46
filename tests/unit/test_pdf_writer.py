"""The simulator's PDFs are what another program takes for a signed PDF, and what this one reads."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.signers import SimpleSigner
from pyhanko.sign.validation import SignatureCoverageLevel, async_validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from tests import certificates as made
from tests import pdf_certificates
from tests.certificates import Kind
from verifier.cli import pdf_writer
from verifier.errors import SignatureRejected
from verifier.signatures import cms, pdf

AT: Final = datetime(2021, 6, 1, 4, 0, 5, tzinfo=UTC)
VALUES: Final = {"certNo": "N-1", "name": "阿依古丽·买买提", "courseName": "Welding (1) \\ 𠮷"}
ROOT: Final = made.root()
LEAF: Final = made.leaf(ROOT)
RSA_LEAF: Final = made.leaf(ROOT, kind=Kind.RSA)


def written(leaf: made.Issued = LEAF, values: dict[str, str] | None = None) -> bytes:
    private: Any = leaf.key.private
    return pdf_writer.write(
        VALUES if values is None else values,
        signed_at=AT,
        sign=lambda content: cms.sign_detached(content, private, [leaf.der]),
    )


async def _verdict(data: bytes) -> Any:
    (signature,) = PdfFileReader(io.BytesIO(data), strict=True).embedded_regular_signatures
    known = SimpleSigner.load_pkcs12_data(pdf_certificates.signer(LEAF, ROOT, ROOT).pkcs12, [])
    assert isinstance(known, SimpleSigner)
    roots = [certificate for certificate in known.cert_registry if certificate.self_issued]
    context = ValidationContext(trust_roots=roots, allow_fetching=False, moment=AT)
    return await async_validate_pdf_signature(signature, context)


@pytest.mark.parametrize("leaf", [LEAF, RSA_LEAF], ids=["P-256", "RSA"])
def test_another_program_finds_the_signature_sound_and_over_all_of_the_file(leaf: made.Issued) -> None:
    status = asyncio.run(_verdict(written(leaf)))
    assert status.bottom_line
    assert status.coverage is SignatureCoverageLevel.ENTIRE_FILE
    assert status.docmdp_ok is not False
    assert status.signer_reported_dt == AT


def test_another_program_finds_an_altered_file_out() -> None:
    data = written()
    altered = data.replace("N-1".encode("utf-16-be").hex().encode(), "N-2".encode("utf-16-be").hex().encode())
    assert altered != data
    assert not asyncio.run(_verdict(altered)).bottom_line


def test_another_program_reads_the_same_fields() -> None:
    reader = PdfFileReader(io.BytesIO(written()))
    form: Any = reader.root["/AcroForm"]
    fields = [reference.get_object() for reference in form["/Fields"]]
    found = {str(field["/T"]): str(field["/V"]) for field in fields if field["/FT"] == "/Tx"}
    assert found == VALUES


def test_it_is_read_and_verified_here() -> None:
    opened = pdf.open_pdf(written())
    assert (opened.fields, opened.signing_time, opened.cms.chain) == (VALUES, AT, (LEAF.der,))
    pdf.verify(opened, pdf_certificates.signer(LEAF, ROOT, ROOT).key)
    with pytest.raises(SignatureRejected):
        pdf.verify(opened, pdf_certificates.signer(made.leaf(ROOT, "another"), ROOT, ROOT).key)


@pytest.mark.parametrize("count", [0, 1, 30])
def test_any_number_of_fields_is_written(count: int) -> None:
    values = {f"field{number}": f"值 {number}" for number in range(count)}
    assert pdf.open_pdf(written(values=values)).fields == values

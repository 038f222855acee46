"""A signed PDF with a detached e-signature over the file, by a chain to an anchor, and its twins."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from adapters.mohrss_training.message import CERTIFICATE_FIELDS as FIELDS
from tests import certificates as made
from tests import pdf_certificates, pdfs
from tests.certificates import Kind
from verifier.certificates import pdf as form
from verifier.certificates import verify
from verifier.errors import CertificateRejected, Code
from verifier.keyring import Issuer, IssuerAnchor, KeyState, Register
from verifier.model.certificate import (
    CertificateKind,
    DocumentKind,
    SignedCertificate,
    VerifiedCertificate,
)
from verifier.model.delivery import PlatformSlug
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import Algorithm
from verifier.signatures.pdf import MAX_BYTES
from verifier.signatures.sm2 import DEFAULT_ID

PLATFORM: Final = PlatformSlug("alpha")
CLAIMS: Final[Mapping[str, str]] = {
    "issuerId": "issuer",
    "certNo": "N-1",
    "name": "阿依古丽·买买提",
    "idType": "居民身份证",
    "idNo": "999901199003070025",
    "courseCode": "PX0107",
    "courseName": "电工作业安全",
    "orgName": "示例培训机构",
    "completeTime": "2021-04-20 20:15:00",
    "issueTime": "2021-04-21 08:30:00",
    "certType": "课程培训合格证明",
    "version": "3",
}
START, AT = datetime(2021, 1, 1, tzinfo=UTC), datetime(2021, 6, 1, tzinfo=UTC)
ISSUED_AT: Final = datetime(2021, 4, 21, 0, 30, tzinfo=UTC)
ALGORITHMS: Final = pdf_certificates.ALGORITHMS
each_kind = pytest.mark.parametrize("kind", ALGORITHMS)


class Authority:
    """A root, an authority below it and a signer, all of one kind of key."""

    def __init__(self, kind: Kind, **leaf: Any) -> None:
        self.kind = kind
        self.root = made.root(f"根 {kind}", kind=kind)
        self.above = made.intermediate(self.root, f"中级 {kind}", kind=kind)
        self.leaf = made.leaf(self.above, f"签发 {kind}", kind=kind, **leaf)

    @property
    def signer(self) -> pdfs.Signer:
        return pdf_certificates.signer(self.leaf, self.above, self.root)

    def file(self, **change: str) -> bytes:
        return pdf_certificates.file(self.signer, {**CLAIMS, **change})

    def esign(self, file: bytes) -> str:
        return pdf_certificates.signature(self.leaf, file)

    def certificate(self, file: bytes | None = None, **change: str) -> SignedCertificate:
        content = self.file(**change) if file is None else file
        return certificate(content, self.esign(content))

    def anchor(self, algorithm: Algorithm | None = None, **change: Any) -> IssuerAnchor:
        lists = {"crls": (made.crl(self.root), made.crl(self.above))}
        pinned = algorithm or ALGORITHMS[self.kind]
        return IssuerAnchor("a", self.root.der, pinned, KeyState.ACTIVE, START, **{**lists, **change})


@lru_cache
def authority(kind: Kind) -> Authority:
    return Authority(kind)


@lru_cache
def genuine(kind: Kind) -> SignedCertificate:
    return authority(kind).certificate()


def certificate(content: bytes, signature: str) -> SignedCertificate:
    return SignedCertificate(CertificateKind.PDF, content, FIELDS, signature=signature, document="F-1")


def register(*anchors: IssuerAnchor) -> Register:
    return Register("0" * 64, {}, {"issuer": Issuer("issuer", "all", frozenset({PLATFORM}), {}, anchors)})


def check(signed: SignedCertificate, *anchors: IssuerAnchor, at: datetime = AT) -> VerifiedCertificate:
    return verify(signed, platform=PLATFORM, register=register(*anchors), first_received_at=at)


def refusal(signed: SignedCertificate, *anchors: IssuerAnchor, at: datetime = AT) -> tuple[Code, int]:
    with pytest.raises(CertificateRejected) as caught:
        check(signed, *anchors, at=at)
    return caught.value.code, caught.value.step


SIGNATURE: Final = (Code.CERTIFICATE_SIGNATURE_INVALID, 7)
CHAIN: Final = (Code.CERTIFICATE_CHAIN_REFUSED, 5)


# --- what is accepted ---------------------------------------------------------------------------------------


@each_kind
def test_a_signed_file_is_read_completely(kind: Kind) -> None:
    found = check(genuine(kind), authority(kind).anchor())
    assert (found.issuer, found.number, found.revision, found.algorithm) == (
        "issuer",
        "N-1",
        3,
        ALGORITHMS[kind],
    )
    assert (found.holder.id_kind, found.holder.id_number, found.holder.name) == (
        "resident_id",
        "999901199003070025",
        "阿依古丽·买买提",
    )
    assert (found.course_code, found.course_title, found.organisation) == (
        "PX0107",
        "电工作业安全",
        "示例培训机构",
    )
    assert (found.completed_at, found.issued_at) == (datetime(2021, 4, 20, 12, 15, tzinfo=UTC), ISSUED_AT)
    assert found.document is DocumentKind.COURSE_PROOF
    assert found.key_id.startswith("a:")


def test_the_same_claims_have_one_digest_in_whatever_file() -> None:
    one = authority(Kind.P256)
    drawn = one.certificate(pdf_certificates.draft(CLAIMS).sign(one.signer))
    assert drawn.content != genuine(Kind.P256).content
    found = check(drawn, one.anchor())
    assert found.content_digest == check(genuine(Kind.P256), one.anchor()).content_digest


@each_kind
def test_validation_data_that_was_there_when_the_file_was_e_signed_changes_nothing(kind: Kind) -> None:
    one = authority(kind)
    archived = pdfs.archived(genuine(kind).content)
    assert check(one.certificate(archived), one.anchor()).number == "N-1"
    assert refusal(replace(genuine(kind), content=archived), one.anchor()) == SIGNATURE


def test_a_revision_is_written_in_digits_and_may_be_missing() -> None:
    one = authority(Kind.P256)
    without = {name: value for name, value in CLAIMS.items() if name != "version"}
    assert check(one.certificate(pdfs.foreign(one.signer, without)), one.anchor()).revision == 1
    for bad in ("", "0", "-1", "1.0", "１", "01"):
        assert refusal(one.certificate(version=bad), one.anchor()) == (Code.CERTIFICATE_CLAIMS_INVALID, 8)


@pytest.mark.parametrize("kind", [Kind.P256, Kind.SM2])
def test_the_e_signature_is_written_as_it_is_registered(kind: Kind) -> None:
    one, content = authority(kind), genuine(kind).content
    der = base64.b64decode(one.esign(content))
    r, s = decode_dss_signature(der)
    raw = r.to_bytes(32) + s.to_bytes(32)
    written = {
        SignatureEncoding.DER_BASE64: base64.b64encode(der).decode(),
        SignatureEncoding.DER_HEX: der.hex(),
        SignatureEncoding.RAW_BASE64: base64.b64encode(raw).decode(),
        SignatureEncoding.RAW_HEX: raw.hex().upper(),
    }
    for registered in SignatureEncoding:
        anchor = one.anchor(encoding=registered)
        for encoding, text in written.items():
            if encoding is registered:
                assert check(certificate(content, text), anchor).number == "N-1"
            else:
                assert refusal(certificate(content, text), anchor) == SIGNATURE


# --- twins: the file ----------------------------------------------------------------------------------------


@each_kind
def test_an_altered_file_is_refused(kind: Kind) -> None:
    one, content = authority(kind), pdf_certificates.draft(CLAIMS).sign(authority(kind).signer)
    number = "N-1".encode("utf-16-be").hex().encode()
    altered = content.replace(number, "N-2".encode("utf-16-be").hex().encode())
    assert altered != content
    # Though the signer's own key says that this is the file.
    assert refusal(one.certificate(altered), one.anchor()) == SIGNATURE


@given(data=st.data())
@settings(max_examples=60)
def test_no_changed_byte_of_the_file_is_ever_accepted(data: st.DataObject) -> None:
    signed = genuine(Kind.P256)
    at = data.draw(st.integers(0, len(signed.content) - 1))
    changed = bytearray(signed.content)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CertificateRejected):
        check(replace(signed, content=bytes(changed)), authority(Kind.P256).anchor())


def _rename(out: IncrementalPdfFileWriter) -> None:
    item: Any = out.root["/AcroForm"]["/Fields"][2]
    item["/V"] = pdfs.generic.pdf_string("another name")
    out.update_container(item)


@each_kind
def test_an_update_after_signing_is_refused_by_name_though_it_is_e_signed(kind: Kind) -> None:
    one = authority(kind)
    updated = pdfs.update(genuine(kind).content, _rename)
    assert refusal(one.certificate(updated), one.anchor()) == (Code.DOCUMENT_ALTERED, 2)


@each_kind
def test_a_signature_that_does_not_cover_the_whole_file_is_refused_by_name(kind: Kind) -> None:
    one = authority(kind)
    data = pdf_certificates.draft(CLAIMS).write()
    gap = data.index(b"<0000")
    resume = data.index(b">", gap) + 1
    part = pdfs.fill(data, one.signer, (0, gap - 9, resume, len(data) - resume))
    assert refusal(one.certificate(part), one.anchor()) == (Code.DOCUMENT_ALTERED, 2)


def test_what_is_no_signed_pdf_is_malformed() -> None:
    one = authority(Kind.P256)
    content = genuine(Kind.P256).content
    unsigned = pdfs.unsigned(CLAIMS)
    for wrong in (b"", b"%PDF-", b"{}", unsigned, content + b"\n", b"\n" + content, b" " * (MAX_BYTES + 1)):
        assert refusal(one.certificate(wrong), one.anchor()) == (Code.CERTIFICATE_MALFORMED, 1)


def test_an_algorithm_that_nobody_may_register_is_refused_by_name() -> None:
    one = authority(Kind.P256)
    sha384 = bytes.fromhex("0609608648016503040202")
    draft = pdf_certificates.draft(CLAIMS)
    signer = one.signer
    other = replace(
        signer,
        cms=lambda content: signer.cms(content).replace(bytes.fromhex("0609608648016503040201"), sha384),
    )
    assert refusal(one.certificate(draft.sign(other)), one.anchor()) == (Code.ALGORITHM_REFUSED, 2)


def test_a_signer_that_names_another_certificate_is_refused() -> None:
    one = authority(Kind.P256)
    signed = pdfs.foreign(one.signer, CLAIMS)
    attribute = "060b2a864886f70d010910022f"  # signing-certificate-v2 (RFC 5035)
    digest = signed.index(b"0420", signed.lower().index(attribute.encode())) + 4
    # A flipped digit of the hash by which the signer says which certificate is meant.
    flipped = signed[:digest] + (b"0" if signed[digest : digest + 1] != b"0" else b"1") + signed[digest + 1 :]
    assert refusal(one.certificate(flipped), one.anchor()) == (Code.CERTIFICATE_HEADER_REFUSED, 2)


# --- twins: the e-signature ---------------------------------------------------------------------------------


@each_kind
def test_the_e_signature_of_another_file_is_refused(kind: Kind) -> None:
    one = authority(kind)
    other = one.file(certNo="N-2")
    assert refusal(certificate(genuine(kind).content, one.esign(other)), one.anchor()) == SIGNATURE
    # Nor does it lend itself to the other file.
    assert refusal(certificate(other, genuine(kind).signature), one.anchor()) == SIGNATURE


@each_kind
def test_an_e_signature_by_another_key_is_refused(kind: Kind) -> None:
    one, content = authority(kind), genuine(kind).content
    # By another leaf of the same authority, by the authority itself, by a key of another kind.
    sibling = made.leaf(one.above, "另一签发", kind=kind)
    others = [sibling, one.above]
    others += [authority(other).leaf for other in ALGORITHMS if other is not kind]
    for other in others:
        signature = pdf_certificates.signature(other, content)
        assert refusal(certificate(content, signature), one.anchor()) == SIGNATURE


@each_kind
@pytest.mark.parametrize("text", ["", "AAAA", "签名", "====", " ", "A" * 2_000])
def test_what_is_no_e_signature_is_refused(kind: Kind, text: str) -> None:
    one = authority(kind)
    assert refusal(replace(genuine(kind), signature=text), one.anchor()) == SIGNATURE


# --- twins: the chain ---------------------------------------------------------------------------------------


@each_kind
def test_a_leaf_that_had_expired_at_issue_is_refused_and_one_that_expired_since_is_not(kind: Kind) -> None:
    expired = Authority(kind, not_after=ISSUED_AT - timedelta(seconds=1))
    assert refusal(expired.certificate(), expired.anchor()) == CHAIN
    since = Authority(kind, not_after=ISSUED_AT)
    # A list that was made later need not name it any more.
    assert check(since.certificate(), since.anchor(crls=None)).number == "N-1"


@each_kind
def test_a_revoked_leaf_is_refused(kind: Kind) -> None:
    one = authority(kind)

    def anchor(**options: Any) -> IssuerAnchor:
        entry = made.revoked(one.leaf, **options)
        return one.anchor(crls=(made.crl(one.root), made.crl(one.above, [entry])))

    before, after = ISSUED_AT - timedelta(days=1), ISSUED_AT + timedelta(days=1)
    assert refusal(genuine(kind), anchor(at=before)) == (Code.KEY_NOT_VALID_AT_ISSUE, 9)
    assert refusal(genuine(kind), anchor(at=after, reason=1)) == (Code.KEY_COMPROMISED, 10)
    assert check(genuine(kind), anchor(at=after, reason=4)).number == "N-1"


@each_kind
def test_without_a_current_list_nothing_is_known(kind: Kind) -> None:
    one = authority(kind)
    only_root = one.anchor(crls=(made.crl(one.root),))
    assert refusal(genuine(kind), only_root) == (Code.REVOCATION_UNKNOWN, 10)
    assert check(genuine(kind), one.anchor(crls=None)).number == "N-1"


@each_kind
def test_a_chain_that_leads_elsewhere_is_refused(kind: Kind) -> None:
    # Another root of the same name, by another key.
    stranger = made.root(f"根 {kind}", key=made.key(kind, "another"))
    elsewhere = IssuerAnchor("a", stranger.der, ALGORITHMS[kind], KeyState.ACTIVE, START)
    assert refusal(genuine(kind), elsewhere) == CHAIN
    other = authority(kind).anchor(leaf_subject="CN=other,C=CN")
    assert refusal(genuine(kind), other) == CHAIN
    assert refusal(genuine(kind)) == CHAIN


@each_kind
def test_the_file_of_another_issuer_is_refused(kind: Kind) -> None:
    one = authority(kind)
    unknown = one.certificate(issuerId="somebody")
    assert refusal(unknown, one.anchor()) == (Code.ISSUER_UNKNOWN, 3)
    # It says that it is somebody's whose anchor its chain does not lead to.
    foreign = Issuer("other", "all", frozenset({PLATFORM}), {}, ())
    known = Register("0" * 64, {}, {**register(one.anchor()).issuers, "other": foreign})
    with pytest.raises(CertificateRejected) as caught:
        verify(one.certificate(issuerId="other"), platform=PLATFORM, register=known, first_received_at=AT)
    assert (caught.value.code, caught.value.step) == CHAIN


@each_kind
def test_an_algorithm_that_is_not_pinned_is_refused(kind: Kind) -> None:
    others = {*ALGORITHMS.values(), Algorithm.PS256} - {ALGORITHMS[kind]}
    for algorithm in others:
        assert refusal(genuine(kind), authority(kind).anchor(algorithm)) == (Code.ALGORITHM_REFUSED, 6)


def test_an_sm2_signature_under_another_distinguishing_id_is_refused() -> None:
    one = authority(Kind.SM2)
    assert check(genuine(Kind.SM2), one.anchor(sm2_id=DEFAULT_ID)).number == "N-1"
    assert refusal(genuine(Kind.SM2), one.anchor(sm2_id=b"")) == SIGNATURE


def test_nothing_that_a_person_is_named_by_is_in_a_refusal() -> None:
    with pytest.raises(CertificateRejected) as caught:
        form.open_document(certificate(genuine(Kind.P256).content + b"\n", ""))
    assert caught.value.__cause__ is None
    assert not [value for value in CLAIMS.values() if len(value) > 1 and value in str(caught.value)]

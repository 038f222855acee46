"""A small XML document with a detached CMS signature, by a chain to a registered anchor, and its twins."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import certificates as made
from tests import cms_messages
from tests.certificates import Kind
from verifier.certificates import cms as form
from verifier.certificates import verify
from verifier.errors import CertificateRejected, Code
from verifier.keyring import Issuer, IssuerAnchor, KeyState, Register
from verifier.model.certificate import (
    CertificateFields,
    CertificateKind,
    DocumentKind,
    SignedCertificate,
    VerifiedCertificate,
)
from verifier.model.delivery import PlatformSlug
from verifier.model.time import TimeFormat
from verifier.signatures.jws import Algorithm
from verifier.signatures.sm2 import DEFAULT_ID
from verifier.signatures.x509 import Anchor

PLATFORM: Final = PlatformSlug("alpha")
FIELDS: Final = CertificateFields(
    issuer="FZJG",
    number="ZSBH",
    holder_name="AAC003",
    id_kind="AAC058",
    id_number="AAC044",
    course_code="KCDM",
    course_title="KCMC",
    organisation="PXJGMC",
    completed_at="JYSJ",
    issued_at="FZSJ",
    document="ZSLX",
    revision="BBH",
    completed_format=TimeFormat.COMPACT_BEIJING,
    issued_format=TimeFormat.COMPACT_BEIJING,
    documents={"课程培训合格证明": DocumentKind.COURSE_PROOF},
    id_kinds={"01": "resident_id"},
)
CLAIMS: Final[Mapping[str, str]] = {
    "FZJG": "issuer",
    "ZSBH": "N-1",
    "AAC003": "阿依古丽·买买提",
    "AAC058": "01",
    "AAC044": "999901199003070025",
    "KCDM": "RS0107",
    "KCMC": "信息安全",
    "PXJGMC": "示例培训机构",
    "JYSJ": "20210420201500",
    "FZSJ": "20210421083000",
    "ZSLX": "课程培训合格证明",
    "BBH": "3",
}
START, AT = datetime(2021, 1, 1, tzinfo=UTC), datetime(2021, 6, 1, tzinfo=UTC)
ISSUED_AT: Final = datetime(2021, 4, 21, 0, 30, tzinfo=UTC)
ALGORITHMS: Final = {Kind.RSA: Algorithm.RS256, Kind.P256: Algorithm.ES256, Kind.SM2: Algorithm.SM2}
each_kind = pytest.mark.parametrize("kind", ALGORITHMS)


def content(claims: Mapping[str, str] = CLAIMS, charset: str = "GB18030", **change: str) -> bytes:
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in {**claims, **change}.items())
    return f'<?xml version="1.0" encoding="{charset}"?><CERT>{inside}</CERT>'.encode(charset)


CONTENT: Final = content()


class Authority:
    """A root, an authority below it and a signer, all of one kind of key."""

    def __init__(self, kind: Kind, **leaf: Any) -> None:
        self.kind = kind
        self.root = made.root(f"根 {kind}", kind=kind)
        self.above = made.intermediate(self.root, f"中级 {kind}", kind=kind)
        self.leaf = made.leaf(self.above, f"签发 {kind}", kind=kind, **leaf)

    def sign(self, signed: bytes = CONTENT, **options: Any) -> bytes:
        merged = {"enclosed": [self.leaf.der, self.above.der], "gm": self.kind is Kind.SM2, **options}
        return cms_messages.cms(self.leaf, signed, issuer=self.above, **merged)

    def certificate(self, signed: bytes = CONTENT, **options: Any) -> SignedCertificate:
        return certificate(signed, self.sign(signed, **options))

    def anchor(self, algorithm: Algorithm | None = None, **change: Any) -> IssuerAnchor:
        lists = {"crls": (made.crl(self.root), made.crl(self.above))}
        pinned = algorithm or ALGORITHMS[self.kind]
        return IssuerAnchor("a", self.root.der, pinned, KeyState.ACTIVE, START, **{**lists, **change})


def certificate(signed: bytes, signature: bytes | str) -> SignedCertificate:
    text = signature if isinstance(signature, str) else base64.b64encode(signature).decode()
    return SignedCertificate(CertificateKind.CMS, signed, FIELDS, signature=text)


def register(*anchors: IssuerAnchor) -> Register:
    return Register("0" * 64, {}, {"issuer": Issuer("issuer", "all", frozenset({PLATFORM}), {}, anchors)})


def check(signed: SignedCertificate, *anchors: IssuerAnchor, at: datetime = AT) -> VerifiedCertificate:
    return verify(signed, platform=PLATFORM, register=register(*anchors), first_received_at=at)


def refusal(signed: SignedCertificate, *anchors: IssuerAnchor, at: datetime = AT) -> tuple[Code, int]:
    with pytest.raises(CertificateRejected) as caught:
        check(signed, *anchors, at=at)
    return caught.value.code, caught.value.step


def malformed(signed: bytes = CONTENT, signature: bytes | str = b"") -> tuple[Code, int]:
    with pytest.raises(CertificateRejected) as caught:
        form.open_detached(certificate(signed, signature))
    return caught.value.code, caught.value.step


# --- what is accepted ---------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("attributes", ["signed attributes", "none"])
def test_a_signed_document_is_read_completely(kind: Kind, attributes: str) -> None:
    authority = Authority(kind)
    plain: dict[str, Any] = {"attributes": None} if attributes == "none" else {}
    found = check(authority.certificate(**plain), authority.anchor())
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
        "RS0107",
        "信息安全",
        "示例培训机构",
    )
    assert (found.completed_at, found.issued_at) == (datetime(2021, 4, 20, 12, 15, tzinfo=UTC), ISSUED_AT)
    assert found.document is DocumentKind.COURSE_PROOF
    assert found.key_id.startswith("a:")


@pytest.mark.parametrize("charset", ["GB18030", "gbk", "UTF-8"])
def test_the_same_claims_have_one_digest_in_whatever_charset(charset: str) -> None:
    authority = Authority(Kind.P256)
    found = check(authority.certificate(content(charset=charset)), authority.anchor())
    assert found.content_digest == check(authority.certificate(), authority.anchor()).content_digest


def test_white_space_may_stand_between_claims_and_counts_within_them() -> None:
    spaced = CONTENT.replace(b"><", b">\n  <").replace(b"N-1", b" N-1")
    claims = form.open_detached(Authority(Kind.P256).certificate(spaced)).claims
    assert claims == {**CLAIMS, "ZSBH": " N-1"}


def test_the_root_may_be_enclosed_and_the_signature_may_enclose_the_content() -> None:
    authority = Authority(Kind.P256)
    chain = [authority.leaf.der, authority.above.der, authority.root.der]
    assert check(authority.certificate(enclosed=chain, embedded=CONTENT), authority.anchor()).number == "N-1"


def test_a_revision_is_written_in_digits_and_may_be_missing() -> None:
    authority = Authority(Kind.P256)
    without = content({name: value for name, value in CLAIMS.items() if name != "BBH"})
    assert check(authority.certificate(without), authority.anchor()).revision == 1
    for bad in ("", "0", "-1", "1.0", "１", "01", "9" * 11):
        wrong = authority.certificate(content(BBH=bad))
        assert refusal(wrong, authority.anchor()) == (Code.CERTIFICATE_CLAIMS_INVALID, 8)


# --- twins that are refused ---------------------------------------------------------------------------------


@each_kind
def test_an_altered_document_is_refused(kind: Kind) -> None:
    authority = Authority(kind)
    for altered in (CONTENT.replace(b"N-1", b"N-2"), CONTENT + b"\n", content(charset="UTF-8")):
        twin = certificate(altered, authority.sign())
        assert refusal(twin, authority.anchor()) == (Code.CERTIFICATE_SIGNATURE_INVALID, 7)


@given(data=st.data())
def test_no_changed_byte_of_what_is_signed_is_ever_accepted(data: st.DataObject) -> None:
    authority = Authority(Kind.P256)
    at, change = data.draw(st.integers(0, len(CONTENT) - 1)), data.draw(st.integers(1, 255))
    altered = CONTENT[:at] + bytes([CONTENT[at] ^ change]) + CONTENT[at + 1 :]
    with pytest.raises(CertificateRejected):
        check(certificate(altered, authority.sign()), authority.anchor())


@each_kind
def test_a_leaf_that_had_expired_at_issue_is_refused_and_one_that_expired_since_is_not(kind: Kind) -> None:
    expired = Authority(kind, not_after=ISSUED_AT - timedelta(seconds=1))
    assert refusal(expired.certificate(), expired.anchor()) == (Code.CERTIFICATE_CHAIN_REFUSED, 5)
    since = Authority(kind, not_after=ISSUED_AT)
    # A list that was made later need not name it any more.
    assert check(since.certificate(), since.anchor(crls=None)).number == "N-1"


@each_kind
def test_a_revoked_leaf_is_refused(kind: Kind) -> None:
    authority = Authority(kind)

    def anchor(**options: Any) -> IssuerAnchor:
        entry = made.revoked(authority.leaf, **options)
        return authority.anchor(crls=(made.crl(authority.root), made.crl(authority.above, [entry])))

    before, after = ISSUED_AT - timedelta(days=1), ISSUED_AT + timedelta(days=1)
    assert refusal(authority.certificate(), anchor(at=before)) == (Code.KEY_NOT_VALID_AT_ISSUE, 9)
    assert refusal(authority.certificate(), anchor(at=after, reason=1)) == (Code.KEY_COMPROMISED, 10)
    assert check(authority.certificate(), anchor(at=after, reason=4)).number == "N-1"


@each_kind
def test_without_a_current_list_nothing_is_known(kind: Kind) -> None:
    authority = Authority(kind)
    only_root = authority.anchor(crls=(made.crl(authority.root),))
    assert refusal(authority.certificate(), only_root) == (Code.REVOCATION_UNKNOWN, 10)
    assert check(authority.certificate(), authority.anchor(crls=None)).number == "N-1"


@each_kind
def test_a_chain_that_leads_elsewhere_is_refused(kind: Kind) -> None:
    authority = Authority(kind)
    # Another root of the same name, by another key.
    stranger = made.root(f"根 {kind}", key=made.key(kind, "another"))
    elsewhere = IssuerAnchor("a", stranger.der, ALGORITHMS[kind], KeyState.ACTIVE, START)
    assert refusal(authority.certificate(), elsewhere) == (Code.CERTIFICATE_CHAIN_REFUSED, 5)
    broken = authority.certificate(enclosed=[authority.leaf.der])
    assert refusal(broken, authority.anchor()) == (Code.CERTIFICATE_CHAIN_REFUSED, 5)
    other = authority.anchor(leaf_subject="CN=other,C=CN")
    assert refusal(authority.certificate(), other) == (Code.CERTIFICATE_CHAIN_REFUSED, 5)


def test_a_signer_without_its_certificate_is_malformed() -> None:
    authority = Authority(Kind.P256)
    for enclosed in ([], [authority.above.der]):
        assert malformed(signature=authority.sign(enclosed=enclosed)) == (Code.CERTIFICATE_MALFORMED, 1)


@each_kind
def test_the_document_of_another_issuer_is_refused(kind: Kind) -> None:
    authority = Authority(kind)
    unknown = authority.certificate(content(FZJG="somebody"))
    assert refusal(unknown, authority.anchor()) == (Code.ISSUER_UNKNOWN, 3)
    other = Authority(kind)
    foreign = Issuer("other", "all", frozenset({PLATFORM}), {}, ())
    known = Register("0" * 64, {}, {**register(other.anchor()).issuers, "other": foreign})
    with pytest.raises(CertificateRejected) as caught:
        verify(
            authority.certificate(content(FZJG="other")),
            platform=PLATFORM,
            register=known,
            first_received_at=AT,
        )
    assert (caught.value.code, caught.value.step) == (Code.CERTIFICATE_CHAIN_REFUSED, 5)


@each_kind
def test_an_algorithm_that_is_not_pinned_is_refused(kind: Kind) -> None:
    authority = Authority(kind)
    for algorithm in set(ALGORITHMS.values()) - {ALGORITHMS[kind]}:
        pinned = authority.anchor(algorithm)
        assert refusal(authority.certificate(), pinned) == (Code.ALGORITHM_REFUSED, 6)


def test_a_signature_in_another_way_than_the_pinned_one_is_refused() -> None:
    authority = Authority(Kind.RSA)
    pinned = authority.anchor(Algorithm.PS256)
    assert refusal(authority.certificate(), pinned) == (Code.ALGORITHM_REFUSED, 6)


def test_an_sm2_signature_under_another_distinguishing_id_is_refused() -> None:
    authority = Authority(Kind.SM2)
    assert check(authority.certificate(), authority.anchor(sm2_id=DEFAULT_ID)).number == "N-1"
    wrong = authority.anchor(sm2_id=b"")
    assert refusal(authority.certificate(), wrong) == (Code.CERTIFICATE_SIGNATURE_INVALID, 7)


# --- the form -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signed", "code", "step"),
    [
        (b"", Code.CERTIFICATE_MALFORMED, 1),
        (b"{}", Code.CERTIFICATE_MALFORMED, 1),
        (b"<CERT><A>1</A></CERT", Code.CERTIFICATE_MALFORMED, 1),
        (b"<CERT><A>1</A><A>1</A></CERT>", Code.CERTIFICATE_MALFORMED, 1),
        (b"<CERT>x<A>1</A></CERT>", Code.CERTIFICATE_MALFORMED, 1),
        (b"<CERT><A>1</A>x</CERT>", Code.CERTIFICATE_MALFORMED, 1),
        (b"<CERT><A><B>1</B></A></CERT>", Code.CERTIFICATE_MALFORMED, 1),
        (b'<CERT><A b="1">1</A></CERT>', Code.CERTIFICATE_MALFORMED, 1),
        (b'<CERT><A xmlns="urn:a">1</A></CERT>', Code.CERTIFICATE_MALFORMED, 1),
        (b"<!DOCTYPE CERT><CERT/>", Code.CERTIFICATE_MALFORMED, 1),
        (b"<CERT><!-- --></CERT>", Code.CERTIFICATE_MALFORMED, 1),
        (b"<CERT><A>" + b"x" * 1_025 + b"</A></CERT>", Code.CERTIFICATE_MALFORMED, 1),
        (b"<CERT>" + b" " * form.MAX_CONTENT_BYTES + b"</CERT>", Code.CERTIFICATE_MALFORMED, 1),
        (b"<CERT>" + b"".join(b"<A%d/>" % n for n in range(64)) + b"</CERT>", Code.CERTIFICATE_MALFORMED, 1),
        (content(charset="UTF-16"), Code.CHARSET_REFUSED, 1),
        (CONTENT.replace(b"GB18030", b"GB2312"), Code.CHARSET_REFUSED, 1),
        (CONTENT.replace(b"GB18030", b"UTF-8"), Code.CHARSET_REFUSED, 1),
        (content(AAC003="测\ue863"), Code.PRIVATE_USE_CHARACTER, 1),
        (content(AAC003="测&#xF0000;"), Code.PRIVATE_USE_CHARACTER, 1),
        (b"<MESSAGE><A>1</A></MESSAGE>", Code.CERTIFICATE_HEADER_REFUSED, 2),
        (b"<cert><A>1</A></cert>", Code.CERTIFICATE_HEADER_REFUSED, 2),
    ],
)
def test_only_a_flat_document_of_this_name_is_a_certificate(signed: bytes, code: Code, step: int) -> None:
    # However well it is signed.
    assert malformed(signed, Authority(Kind.P256).sign(signed)) == (code, step)


def test_a_character_that_stands_for_an_unknown_one_is_no_private_use() -> None:
    claims = form.open_detached(Authority(Kind.P256).certificate(content(AAC003="王▀\u4dae"))).claims
    assert claims["AAC003"] == "王▀\u4dae"


@pytest.mark.parametrize("signature", ["", "*", "QUJ", "ＱＵＪＤ", "MAA=\n", "MAA="])
def test_what_is_no_cms_in_base64_is_malformed(signature: str) -> None:
    assert malformed(signature=signature) == (Code.CERTIFICATE_MALFORMED, 1)


def test_an_algorithm_that_nobody_may_register_is_refused() -> None:
    # SHA-384
    strange = made.sequence(made.oid("2.16.840.1.101.3.4.2.2"))
    signature = Authority(Kind.P256).sign(digest=strange, digests=[strange])
    assert malformed(signature=signature) == (Code.ALGORITHM_REFUSED, 2)


def test_a_signer_that_names_another_certificate_by_its_hash_is_refused() -> None:
    named = made.sequence(made.sequence(made.sequence(made.octets(bytes(32)))))
    attribute = cms_messages.attribute("1.2.840.113549.1.9.16.2.47", named)
    signature = Authority(Kind.P256).sign(more_attributes=[attribute])
    assert malformed(signature=signature) == (Code.CERTIFICATE_HEADER_REFUSED, 2)


@given(signed=st.binary(max_size=64), signature=st.binary(max_size=64).map(base64.b64encode))
def test_whatever_comes_only_the_declared_error_is_raised(signed: bytes, signature: bytes) -> None:
    with pytest.raises(CertificateRejected):
        form.open_detached(certificate(signed, signature.decode()))


# --- made by the openssl command ----------------------------------------------------------------------------

_CONFIGURATION: Final = """
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
[leaf]
basicConstraints = CA:false
keyUsage = critical, digitalSignature, nonRepudiation
"""
_NEW_KEY: Final[Mapping[Kind, Sequence[str]]] = {
    Kind.RSA: ["-newkey", "rsa:3072"],
    Kind.P256: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
}


def openssl(path: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=path, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.needs_system("openssl")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="the program openssl is not installed")
@pytest.mark.parametrize("kind", _NEW_KEY)
def test_what_the_openssl_command_signs_is_verified_and_its_twin_is_refused(
    kind: Kind, tmp_path: Path
) -> None:
    (tmp_path / "openssl.cnf").write_text(_CONFIGURATION, encoding="utf-8")
    new = ["req", "-new", *_NEW_KEY[kind], "-noenc", "-config", "openssl.cnf", "-sha256"]
    root = ["-x509", "-extensions", "root", "-subj", "/C=CN/CN=root", "-keyout", "root.key"]
    openssl(tmp_path, *new, *root, "-out", "root.pem")
    openssl(tmp_path, *new, "-subj", "/C=CN/CN=leaf", "-keyout", "leaf.key", "-out", "leaf.csr")
    signer = ["-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-extfile", "openssl.cnf"]
    files = ["-in", "leaf.csr", "-out", "leaf.pem"]
    openssl(tmp_path, "x509", "-req", "-extensions", "leaf", "-sha256", *files, *signer)
    now = datetime.now(UTC)
    stamp = (now + timedelta(hours=8)).strftime("%Y%m%d%H%M%S")
    signed = content(JYSJ=stamp, FZSJ=stamp)
    (tmp_path / "content").write_bytes(signed)
    files = ["-in", "content", "-signer", "leaf.pem", "-inkey", "leaf.key", "-certfile", "root.pem"]
    openssl(tmp_path, "cms", "-sign", "-binary", "-md", "sha256", "-outform", "DER", "-out", "p7s", *files)
    der = Anchor.load((tmp_path / "root.pem").read_bytes()).der
    anchor = IssuerAnchor("a", der, ALGORITHMS[kind], KeyState.ACTIVE, START)
    genuine = certificate(signed, (tmp_path / "p7s").read_bytes())
    later = now + timedelta(minutes=1)
    assert check(genuine, anchor, at=later).number == "N-1"
    twin = replace(genuine, content=signed.replace(b"N-1", b"N-2"))
    assert refusal(twin, anchor, at=later) == (Code.CERTIFICATE_SIGNATURE_INVALID, 7)

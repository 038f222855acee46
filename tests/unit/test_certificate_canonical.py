"""A certificate as joined parameters: sound under a registered key or a chain, and each defect alone."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import certificates as made
from tests.certificates import Issued, Kind
from verifier.certificates import canonical, verify
from verifier.errors import CertificateRejected, Code
from verifier.keyring import Issuer, IssuerAnchor, IssuerKey, KeyState, Register
from verifier.model.certificate import (
    CertificateFields,
    CertificateKind,
    DocumentKind,
    SignedCertificate,
    VerifiedCertificate,
)
from verifier.model.delivery import PlatformSlug
from verifier.model.time import TimeFormat
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.signatures.sm2 import DEFAULT_ID, Sm2PrivateKey, Sm2PublicKey

ALPHA: Final = PlatformSlug("alpha")
START: Final = datetime(2021, 1, 1, tzinfo=UTC)
AT: Final = made.ISSUED
FIELDS: Final = CertificateFields(
    issuer="iss",
    number="no",
    holder_name="xm",
    id_kind="zjlx",
    id_number="zjhm",
    course_code="kcdm",
    course_title="kcmc",
    organisation="jg",
    completed_at="jysj",
    issued_at="fzsj",
    document="lx",
    revision="bb",
    completed_format=TimeFormat.SPACED_BEIJING,
    issued_format=TimeFormat.SPACED_BEIJING,
    documents={"培训合格证明": DocumentKind.COURSE_PROOF},
    id_kinds={"01": "resident_id"},
)
CONTENT: Final = (
    "bb=2&fzsj=2021-03-02 09:00:00&iss=issuer&jg=某培训机构&jysj=2021-03-01 12:00:00&kcdm=C-1&kcmc=安全生产"
    "&lx=培训合格证明&no=X-1&xm=测试·学员&zjhm=999901199001010010&zjlx=01"
).encode()
NAMED: Final = CONTENT.replace(b"&lx=", b"&key_id=sm2-2021&lx=")

BARE: Final = Sm2PrivateKey.generate()
ROOT: Final = made.root(kind=Kind.SM2)
AUTHORITY: Final = made.intermediate(ROOT, kind=Kind.SM2)
LEAF: Final = made.leaf(AUTHORITY, kind=Kind.SM2)
KEY: Final = IssuerKey(
    VerificationKey("sm2-2021", Algorithm.SM2, BARE.public_key),
    KeyState.ACTIVE,
    START,
    encoding=SignatureEncoding.RAW_HEX,
)
ANCHOR: Final = IssuerAnchor(
    "root",
    ROOT.der,
    Algorithm.SM2,
    KeyState.ACTIVE,
    START,
    crls=(made.crl(ROOT), made.crl(AUTHORITY)),
    leaf_subject="CN=某培训平台,C=CN",
)


def register(key: IssuerKey = KEY, anchor: IssuerAnchor = ANCHOR) -> Register:
    issuer = Issuer("issuer", "scope", frozenset({ALPHA}), {key.key.kid: key}, (anchor,))
    return Register("d" * 64, {}, {"issuer": issuer})


def raw_hex(der: bytes) -> str:
    """r || s of a DER signature whose integers are shorter than 128 bytes."""
    r, s = der[4 : 4 + der[3]], der[6 + der[3] :]
    return "".join(f"{int.from_bytes(number):064x}" for number in (r, s))


def bare(content: bytes = NAMED, private: Sm2PrivateKey = BARE, **changed: Any) -> SignedCertificate:
    """By a registered key that the content names."""
    signed = SignedCertificate(
        CertificateKind.CANONICAL, content, FIELDS, signature=raw_hex(private.sign(content))
    )
    return replace(signed, **changed)


def texts(*chain: Issued) -> tuple[str, ...]:
    return tuple(base64.b64encode(one.der).decode() for one in chain)


def chained(content: bytes = CONTENT, leaf: Issued = LEAF, **changed: Any) -> SignedCertificate:
    """By a leaf whose chain stands beside the content."""
    signature = base64.b64encode(leaf.key.sign(content)).decode()
    signed = SignedCertificate(
        CertificateKind.CANONICAL, content, FIELDS, signature=signature, chain=texts(leaf, AUTHORITY)
    )
    return replace(signed, **changed)


def check(
    signed: SignedCertificate, trusted: Register | None = None, at: datetime = AT
) -> VerifiedCertificate:
    return verify(signed, platform=ALPHA, register=trusted or register(), first_received_at=at)


def refusal(
    signed: SignedCertificate, trusted: Register | None = None, at: datetime = AT
) -> tuple[Code, int]:
    with pytest.raises(CertificateRejected) as refused:
        check(signed, trusted, at)
    return refused.value.code, refused.value.step


@pytest.mark.parametrize("signed", [bare(), chained()], ids=["bare", "chained"])
def test_a_sound_one_is_read_completely(signed: SignedCertificate) -> None:
    verified = check(signed)
    assert (verified.issuer, verified.number, verified.revision) == ("issuer", "X-1", 2)
    assert verified.holder.id_number == "999901199001010010"
    assert (verified.holder.id_kind, verified.holder.name) == ("resident_id", "测试·学员")
    assert (verified.course_code, verified.course_title) == ("C-1", "安全生产")
    assert (verified.organisation, verified.document) == ("某培训机构", DocumentKind.COURSE_PROOF)
    assert verified.completed_at == datetime(2021, 3, 1, 4, tzinfo=UTC)
    assert verified.issued_at == datetime(2021, 3, 2, 1, tzinfo=UTC)
    assert verified.algorithm == "SM3withSM2"


def test_the_key_is_named_by_its_id_or_by_anchor_and_leaf() -> None:
    assert check(bare()).key_id == "sm2-2021"
    assert check(chained()).key_id.startswith("root:")


# Twins: one thing is wrong, and all else is as above.


@pytest.mark.parametrize("signed", [bare(), chained()], ids=["bare", "chained"])
def test_an_altered_one_is_refused(signed: SignedCertificate) -> None:
    altered = replace(signed, content=signed.content.replace(b"X-1", b"X-2"))
    assert refusal(altered) == (Code.CERTIFICATE_SIGNATURE_INVALID, 7)


def test_a_signature_by_somebody_else_is_refused() -> None:
    invalid = (Code.CERTIFICATE_SIGNATURE_INVALID, 7)
    assert refusal(bare(private=Sm2PrivateKey.generate())) == invalid
    assert refusal(chained(signature=chained(leaf=AUTHORITY).signature)) == invalid


def test_a_leaf_that_had_expired_or_had_not_begun_at_issue_is_refused() -> None:
    key = LEAF.key
    for start, end in ((START, datetime(2021, 3, 1, tzinfo=UTC)), (AT, made.NOT_AFTER)):
        leaf = made.leaf(AUTHORITY, key=key, not_before=start, not_after=end)
        assert refusal(chained(leaf=leaf)) == (Code.CERTIFICATE_CHAIN_REFUSED, 5)
    # Expired since, it stays good: the moment of issue counts, and the list is from before.
    leaf = made.leaf(AUTHORITY, key=key, not_after=datetime(2021, 6, 1, tzinfo=UTC))
    assert check(chained(leaf=leaf)).number == "X-1"


def revoking(at: datetime, **options: Any) -> Register:
    lists = (made.crl(ROOT), made.crl(AUTHORITY, [made.revoked(LEAF, at, **options)]))
    return register(anchor=replace(ANCHOR, crls=lists))


def test_a_leaf_revoked_before_issue_is_refused_and_one_superseded_afterwards_is_not() -> None:
    before, after = datetime(2021, 3, 1, tzinfo=UTC), datetime(2021, 3, 10, tzinfo=UTC)
    assert refusal(chained(), revoking(before, reason=4)) == (Code.KEY_NOT_VALID_AT_ISSUE, 9)
    assert check(chained(), revoking(after, reason=4)).number == "X-1"
    assert refusal(chained(), revoking(after, reason=1)) == (Code.KEY_COMPROMISED, 10)


def test_without_a_current_list_nothing_is_known_of_revocation() -> None:
    stale = register(anchor=replace(ANCHOR, crls=(made.crl(ROOT),)))
    assert refusal(chained(), stale) == (Code.REVOCATION_UNKNOWN, 10)
    unpublished = register(anchor=replace(ANCHOR, crls=None))
    assert check(chained(), unpublished).number == "X-1"


def test_a_chain_that_leads_elsewhere_or_has_a_gap_or_another_subject_is_refused() -> None:
    refused = (Code.CERTIFICATE_CHAIN_REFUSED, 5)
    other_root = made.root("别的根", kind=Kind.SM2)
    stranger = made.leaf(other_root, kind=Kind.SM2, key=LEAF.key)
    other = made.leaf(AUTHORITY, "别的平台", kind=Kind.SM2)
    assert refusal(chained(chain=texts(stranger, other_root))) == refused
    assert refusal(chained(chain=texts(LEAF))) == refused
    assert refusal(chained(chain=texts(AUTHORITY, LEAF))) == refused
    assert refusal(chained(chain=("AAAA",))) == refused
    assert refusal(chained(leaf=other)) == refused


@pytest.mark.parametrize(
    ("signer", "registered"), [(DEFAULT_ID, b""), (b"", DEFAULT_ID), (DEFAULT_ID, b"ALICE"), (b"", b"ALICE")]
)
def test_another_distinguishing_id_than_the_registered_one_is_refused(
    signer: bytes, registered: bytes
) -> None:
    private = Sm2PrivateKey(BARE.private, Sm2PublicKey(BARE.public_key.point, signer))

    def trusting(distinguishing_id: bytes) -> Register:
        public = Sm2PublicKey(BARE.public_key.point, distinguishing_id)
        key = replace(KEY, key=VerificationKey("sm2-2021", Algorithm.SM2, public))
        return register(key, replace(ANCHOR, sm2_id=distinguishing_id))

    leaf = made.leaf(AUTHORITY, key=made.key(Kind.SM2, f"id {signer!r}", signer))
    for signed in (bare(private=private), chained(leaf=leaf)):
        assert refusal(signed, trusting(registered)) == (Code.CERTIFICATE_SIGNATURE_INVALID, 7)
        assert check(signed, trusting(signer)).number == "X-1"


@pytest.mark.parametrize("encoding", SignatureEncoding)
def test_a_signature_in_another_encoding_than_the_registered_one_is_refused(
    encoding: SignatureEncoding,
) -> None:
    der = BARE.sign(NAMED)
    raw = bytes.fromhex(raw_hex(der))
    written = {
        SignatureEncoding.DER_BASE64: base64.b64encode(der).decode(),
        SignatureEncoding.DER_HEX: der.hex(),
        SignatureEncoding.RAW_BASE64: base64.b64encode(raw).decode(),
        SignatureEncoding.RAW_HEX: raw.hex(),
    }
    trusted = register(replace(KEY, encoding=encoding))
    for one, text in written.items():
        if one is encoding:
            assert check(bare(signature=text), trusted).number == "X-1"
        else:
            assert refusal(bare(signature=text), trusted) == (Code.CERTIFICATE_SIGNATURE_INVALID, 7)


def test_a_leaf_with_a_key_of_another_kind_than_the_anchor_pins_is_refused() -> None:
    leaf = made.leaf(AUTHORITY, kind=Kind.P256)
    assert refusal(chained(leaf=leaf)) == (Code.ALGORITHM_REFUSED, 6)
    pinned = register(anchor=replace(ANCHOR, algorithm=Algorithm.ES256))
    assert check(chained(leaf=leaf), pinned).algorithm == "ES256"
    assert refusal(chained(), pinned) == (Code.ALGORITHM_REFUSED, 6)


def test_an_unknown_key_or_none_is_refused() -> None:
    unknown = (Code.KEY_UNKNOWN, 5)
    assert refusal(bare(NAMED.replace(b"sm2-2021", b"sm2-2020"))) == unknown
    assert refusal(bare(CONTENT)) == unknown


def test_naming_a_key_beside_a_chain_is_refused() -> None:
    assert refusal(chained(NAMED)) == (Code.CERTIFICATE_HEADER_REFUSED, 2)


def test_what_is_dated_in_the_future_is_refused() -> None:
    issued = datetime(2021, 3, 2, 1, tzinfo=UTC)
    assert refusal(bare(), at=issued - timedelta(minutes=6)) == (Code.CERTIFICATE_NOT_YET_VALID, 11)


@pytest.mark.parametrize("revision", ["0", "02", "+1", "1.0", "２", "x", "4294967296"])
def test_a_revision_is_digits_without_a_leading_zero(revision: str) -> None:
    content = NAMED.replace(b"bb=2", f"bb={revision}".encode())
    assert refusal(bare(content)) == (Code.CERTIFICATE_CLAIMS_INVALID, 8)


@pytest.mark.parametrize(("written", "read"), [("0", 0), ("090", 90)])
def test_minutes_of_study_are_digits_here_and_may_be_left_out(written: str, read: int) -> None:
    content = NAMED.replace(b"&zjhm", f"&xs={written}&zjhm".encode())
    assert check(with_minutes(bare(content))).study_minutes == read
    assert check(with_minutes(bare())).study_minutes is None


@pytest.mark.parametrize("written", ["-1", "1.5", "９", "x", "12345678"])
def test_other_minutes_of_study_are_refused(written: str) -> None:
    content = NAMED.replace(b"&zjhm", f"&xs={written}&zjhm".encode())
    assert refusal(with_minutes(bare(content))) == (Code.CERTIFICATE_CLAIMS_INVALID, 8)


def with_minutes(signed: SignedCertificate) -> SignedCertificate:
    return replace(signed, fields=replace(signed.fields, study_minutes="xs"))


# Form


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"a", b"a=", b"=1", b"&", b"a=1&", b"&a=1", b"a=1&&b=2", b"a=1;b=2", b"a==1", b"a=1=2"),
        *(b"b=1&a=2", b"a=1&a=1", b"a=1&a=2", b"a=1&B=2", b"a=1&b=2&a=3"),
        *(b"a b=1", b"\xc3\xa4=1", b"\xef\xbb\xbfa=1", b"a%20=1", b"a" * 65 + b"=1"),
        *(b"a=1\n", b"a=\x00", b"a=\x7f", b"a=\xff", "a=结".encode("gbk")),
        b"&".join(b"n%02d=1" % n for n in range(65)),
        b"a=" + b"1" * canonical.MAX_BYTES,
    ],
    ids=count(),
)
def test_content_that_is_not_strictly_joined_is_malformed(content: bytes) -> None:
    with pytest.raises(CertificateRejected) as refused:
        canonical.open_canonical(bare(content, signature="00"))
    assert (refused.value.code, refused.value.step) == (Code.CERTIFICATE_MALFORMED, 1)


def test_sixty_four_parameters_and_8192_bytes_are_taken() -> None:
    content = b"&".join(b"n%02d=1" % n for n in range(64))
    assert len(canonical.open_canonical(bare(content)).claims) == 64
    longest = b"a=" + b"1" * (canonical.MAX_BYTES - 2)
    assert len(str(canonical.open_canonical(bare(longest)).claims["a"])) == canonical.MAX_BYTES - 2


@pytest.mark.parametrize(
    "chain", [("*",), ("证",), ("A",), ("AA",), ("AAAA", "AA-_"), ("AAAA",) * 6], ids=count()
)
def test_a_chain_that_is_no_list_of_base64_is_refused(chain: tuple[str, ...]) -> None:
    assert refusal(chained(chain=chain)) == (Code.CERTIFICATE_HEADER_REFUSED, 2)


NAMES: Final = st.text("ab.-_Z0", min_size=1, max_size=3)
VALUES: Final = st.text(
    st.characters(exclude_characters="&=\x7f", min_codepoint=32, exclude_categories=["Cs"]), min_size=1
)


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=6))
def test_what_is_joined_as_documented_is_read_as_it_was(parameters: dict[str, str]) -> None:
    content = "&".join(f"{name}={parameters[name]}" for name in sorted(parameters)).encode()
    assert canonical.open_canonical(bare(content)).claims == parameters


@given(st.binary(max_size=40) | st.text("ab=&\x00结", max_size=12).map(str.encode), st.text(max_size=8))
def test_garbage_is_refused_with_a_step_and_nothing_else(content: bytes, text: str) -> None:
    for signed in (bare(content, signature=text), chained(chain=(text,)), bare(signature=text)):
        with pytest.raises(CertificateRejected):
            check(signed)

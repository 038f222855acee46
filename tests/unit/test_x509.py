from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from cryptography import x509 as library
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import certificates as made
from tests.certificates import ISSUED, NOT_AFTER, NOT_BEFORE, Issued, Kind, Options
from verifier.errors import Code, ConfigurationError, SignatureRejected
from verifier.signatures import authority, distinguished_name, keys, x509, x509_form
from verifier.signatures.sm2 import DEFAULT_ID, Sm2PublicKey
from verifier.signatures.steps import Step
from verifier.signatures.x509 import Anchor, Leaf

ROOT = made.root()
AUTHORITY = made.intermediate(ROOT)
LEAF = made.leaf(AUTHORITY)
CHAIN = [LEAF.der, AUTHORITY.der]
SECOND = timedelta(seconds=1)
UNKNOWN = made.extension("1.2.3.4", b"\x05\x00", critical=True)


def build(chain: Sequence[bytes], root: Issued = ROOT, *, max_depth: int = 3) -> Leaf:
    return x509.build(chain, [Anchor(root.der)], at=ISSUED, crls=None, seen_at=ISSUED, max_depth=max_depth)


def step(chain: Sequence[bytes], root: Issued = ROOT, *, max_depth: int = 3) -> str:
    with pytest.raises(SignatureRejected) as caught:
        build(chain, root, max_depth=max_depth)
    return caught.value.step


def accepts(chain: Sequence[bytes], root: Issued = ROOT, *, max_depth: int = 3) -> bool:
    try:
        return build(chain, root, max_depth=max_depth).der == chain[0]
    except SignatureRejected:
        return False


@pytest.mark.parametrize("kind", Kind)
def test_a_chain_of_every_kind_of_key_leads_to_its_anchor(kind: Kind) -> None:
    root = made.root(kind=kind)
    above = made.intermediate(root, kind=kind)
    leaf = made.leaf(above, "某培训平台", kind=kind, serial=4711)
    found = build([leaf.der, above.der], root)
    assert found == Leaf(
        der=leaf.der,
        fingerprint=hashlib.sha256(leaf.der).hexdigest(),
        issuer=above.name,
        serial=4711,
        subject="CN=某培训平台,C=CN",
        public=found.public,
        not_before=NOT_BEFORE,
        not_after=NOT_AFTER,
        revoked=None,
        anchor=Anchor(root.der),
    )
    assert keys.spki(found.public) == leaf.key.spki


def test_kinds_of_keys_may_follow_each_other() -> None:
    root = made.root(kind=Kind.RSA)
    above = made.intermediate(root, kind=Kind.SM2)
    found = build([made.leaf(above, kind=Kind.ED25519).der, above.der], root)
    assert found.subject == "CN=某培训平台,C=CN"


def test_the_anchor_may_stand_in_the_chain_and_what_stands_above_it_is_not_looked_at() -> None:
    assert build([*CHAIN, ROOT.der]) == build(CHAIN)
    assert build([*CHAIN, ROOT.der], AUTHORITY).anchor == Anchor(AUTHORITY.der)
    direct = made.leaf(ROOT)
    assert build([direct.der]).der == build([direct.der, made.root("别的机构").der]).der == direct.der


def test_any_of_several_anchors_will_do_and_the_result_says_which() -> None:
    other, same_name = made.root("别的机构"), made.root(key=made.key(Kind.P256, "再生"))
    anchors = [Anchor(other.der), Anchor(same_name.der), Anchor(ROOT.der)]
    found = x509.build(CHAIN, anchors, at=ISSUED, crls=None, seen_at=ISSUED)
    assert found.anchor == anchors[2]
    with pytest.raises(SignatureRejected, match="chain"):
        x509.build(CHAIN, [], at=ISSUED, crls=None, seen_at=ISSUED)


def test_validity_at_the_moment_of_issue_includes_both_boundaries() -> None:
    root = made.root(not_before=NOT_BEFORE - SECOND, not_after=NOT_AFTER + 40 * 365 * timedelta(days=1))
    chain = [made.leaf(root).der]
    anchors = [Anchor(root.der)]
    for at in (NOT_BEFORE, NOT_AFTER):
        assert x509.build(chain, anchors, at=at, crls=None, seen_at=at).not_after == NOT_AFTER
    for at in (NOT_BEFORE - SECOND, NOT_AFTER + SECOND):
        with pytest.raises(SignatureRejected, match="chain"):
            x509.build(chain, anchors, at=at, crls=None, seen_at=at)


def under(**options: object) -> Callable[[], list[bytes]]:
    """A sound leaf under an authority with a defect."""

    def chain() -> list[bytes]:
        merged: Options = {**options}  # type: ignore[typeddict-item]  # the table below is typed by its use
        above = made.intermediate(ROOT, "有缺陷的机构", **merged)
        return [made.leaf(above).der, above.der]

    return chain


def defective(**options: object) -> Callable[[], list[bytes]]:
    """A leaf with a defect under a sound authority."""

    def chain() -> list[bytes]:
        merged: Options = {**options}  # type: ignore[typeddict-item]  # the table below is typed by its use
        return [made.leaf(AUTHORITY, **merged).der, AUTHORITY.der]

    return chain


def self_signed() -> list[bytes]:
    return [made.leaf(None).der]


def self_signed_in_the_anchors_name() -> list[bytes]:
    return [made.leaf(None, subject=ROOT.name).der]


def signed_by_a_leaf() -> list[bytes]:
    return [made.leaf(LEAF, "冒名").der, *CHAIN]


def too_long_for_the_path_length() -> list[bytes]:
    first = made.intermediate(ROOT, "一", path_length=0)
    second = made.intermediate(first, "二")
    return [made.leaf(second).der, second.der, first.der]


def self_issued_in_excess() -> list[bytes]:
    first = made.intermediate(ROOT, "一", path_length=0)
    again = made.intermediate(first, "一", key=made.key(Kind.P256, "新"))
    return [made.leaf(again).der, again.der, first.der]


def four_authorities_above() -> list[bytes]:
    first = made.intermediate(ROOT, "一")
    second = made.intermediate(first, "二")
    third = made.intermediate(second, "三")
    return [made.leaf(third).der, third.der, second.der, first.der]


def another_authority_of_the_same_name() -> list[bytes]:
    other = made.intermediate(ROOT, key=made.key(Kind.P256, "别人"))
    return [LEAF.der, other.der]


def disordered() -> list[bytes]:
    return CHAIN[::-1]


def without_the_intermediate() -> list[bytes]:
    return CHAIN[:1]


def of_another_root() -> list[bytes]:
    other = made.root("别的机构")
    return [made.leaf(other).der, other.der]


WEAK = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 - to be refused
WEAK_SPKI = keys.spki(WEAK)
AGREEMENT_SPKI = (
    X25519PrivateKey.generate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)
ZERO_POINT = Sm2PublicKey(made.key(Kind.SM2, "零").spki[-65:]).spki()[:-64] + bytes(64)

BROKEN_CHAINS = {
    "a self-signed leaf": self_signed,
    "a self-signed leaf in the anchor's name": self_signed_in_the_anchors_name,
    "a leaf used as an authority": signed_by_a_leaf,
    "a path longer than an authority's path length": too_long_for_the_path_length,
    "a self-issued authority beyond the path length": self_issued_in_excess,
    "more authorities than allowed": four_authorities_above,
    "an authority of the same name with another key": another_authority_of_the_same_name,
    "the wrong order": disordered,
    "the intermediate missing": without_the_intermediate,
    "another root": of_another_root,
    "an authority without basic constraints": under(authority=None),
    "an authority that says it is none": under(authority=False),
    "an authority without key usage": under(usage=None),
    "an authority that may not sign certificates": under(usage=made.CRL_SIGN | made.DIGITAL_SIGNATURE),
    "an authority with an empty key usage": under(usage=0),
    "an authority expired at issue": under(not_after=ISSUED - SECOND),
    "an authority not yet valid at issue": under(not_before=ISSUED + SECOND),
    "an authority with an unknown critical extension": under(extensions=[UNKNOWN]),
    "an authority for servers only": under(purposes=["1.3.6.1.5.5.7.3.1"]),
    "an authority with name constraints": under(extensions=[made.extension("2.5.29.30", b"\x30\0")]),
    "an authority in another issuer's name": under(issuer_name=made.name("别的机构")),
    "an authority signed by another key": under(signed_by=made.key(Kind.P256, "别人")),
    "a leaf that is an authority": defective(authority=True, usage=0xFF),
    "a leaf without key usage": defective(usage=None),
    "a leaf that may not sign": defective(usage=0x20),
    "a leaf expired at issue": defective(not_after=ISSUED - SECOND),
    "a leaf not yet valid at issue": defective(not_before=ISSUED + SECOND),
    "a leaf with an unknown critical extension": defective(extensions=[UNKNOWN]),
    "a leaf for servers only": defective(purposes=["1.3.6.1.5.5.7.3.1"]),
    "a leaf for code only": defective(purposes=["1.3.6.1.5.5.7.3.3"]),
    "a leaf with no purpose": defective(purposes=[]),
    "a leaf in another issuer's name": defective(issuer_name=made.name("别的机构")),
    "a leaf whose issuer's name is written otherwise": defective(issuer_name=made.name("中级证书机构", 0x1E)),
    "a leaf signed by another key": defective(signed_by=made.key(Kind.P256, "别人")),
    "a leaf signed by SHA-1": defective(identifier=made.sequence(made.oid("1.2.840.10045.4.1"))),
    "a leaf signed by an algorithm that does not fit": defective(identifier=made.IDENTIFIERS[Kind.RSA]),
    "a leaf signed by the right curve's algorithm with NULL": defective(
        identifier=made.sequence(made.oid("1.2.840.10045.4.3.2"), made.NULL)
    ),
    "a leaf whose RSA key is weak": defective(spki=WEAK_SPKI),
    "a leaf whose key is no point of its curve": defective(spki=ZERO_POINT),
    "a leaf whose key is for key agreement": defective(spki=AGREEMENT_SPKI),
    "a leaf whose key is of an unknown kind": defective(spki=made.sequence(made.sequence(made.oid("1.2.3")))),
}


@pytest.mark.parametrize("name", BROKEN_CHAINS)
def test_a_chain_is_refused_with(name: str) -> None:
    chain = BROKEN_CHAINS[name]()
    assert step(chain) == Step.CHAIN
    assert step([*chain, ROOT.der]) == Step.CHAIN


def test_what_makes_those_chains_broken_is_the_defect_alone() -> None:
    for chain in (under(), defective(), under(path_length=0), defective(purposes=["1.3.6.1.5.5.7.3.36"])):
        assert accepts(chain())


MALFORMED = {
    "version 1": defective(version=0),
    "a negative serial number": defective(serial=-5),
    "a serial number of 21 octets": defective(serial=1 << 160),
    "no subject": defective(subject=made.sequence()),
    "no issuer": defective(issuer_name=made.sequence()),
    "two algorithms": defective(inner_identifier=made.IDENTIFIERS[Kind.RSA]),
    "an extension twice": defective(extensions=[UNKNOWN, UNKNOWN]),
    "a path length below zero": under(path_length=-1),
    "a path length without authority": defective(authority=False, path_length=0),
    "basic constraints that are none": defective(extensions=[made.extension("2.5.29.19", b"\x02\x01\0")]),
    "false written out": defective(extensions=[made.extension("2.5.29.19", b"\x30\x03\x01\x01\0")]),
    "key usage that is none": defective(usage=None, extensions=[made.extension("2.5.29.15", b"\x04\0")]),
    "a key identifier that is none": defective(extensions=[made.extension("2.5.29.14", b"\x02\x01\0")]),
    "a subject in teletex": defective(subject=made.name("a", 0x14)),
    "a subject that is no UTF-8": defective(subject=made.name("a").replace(b"\x01a", b"\x01\xff")),
    "more than 8 KiB": defective(extensions=[made.extension("1.2.3", bytes(8192))]),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_certificate_is_malformed_with(name: str) -> None:
    assert step(MALFORMED[name]()) == Step.MALFORMED


def test_a_chain_has_one_to_five_certificates() -> None:
    assert step([]) == Step.MALFORMED
    assert step([LEAF.der] * 6) == Step.MALFORMED
    assert accepts([*CHAIN, ROOT.der, ROOT.der, ROOT.der])


def test_the_signature_is_of_whole_bytes() -> None:
    outer = made.sequence(
        *(part for part in authority_parts(LEAF)[:2]), made.tlv(0x03, b"\x01", LEAF.der[-8:-1] + b"\0")
    )
    assert step([outer, AUTHORITY.der]) == Step.MALFORMED


def authority_parts(certificate: Issued) -> tuple[bytes, bytes]:
    parts = authority.statement(certificate.der)
    return parts.tbs, parts.identifier


def test_how_many_authorities_may_stand_above_is_a_parameter() -> None:
    assert accepts(CHAIN, max_depth=2)
    assert step(CHAIN, max_depth=1) == Step.CHAIN
    assert accepts(four_authorities_above(), max_depth=4)


def test_the_ids_of_authorities_and_signers_on_the_sm2_curve_are_settings_of_their_own() -> None:
    chain_id, own_id = b"", b"platform"
    root = made.root(key=made.key(Kind.SM2, "root", chain_id))
    leaf = made.leaf(root, key=made.key(Kind.SM2, "leaf", own_id))
    anchor = Anchor(root.der, chain_id)
    found = x509.build([leaf.der], [anchor], at=ISSUED, crls=None, seen_at=ISSUED, sm2_id=own_id)
    assert found.public == Sm2PublicKey(leaf.key.spki[-65:], own_id)
    usual = x509.build([leaf.der], [anchor], at=ISSUED, crls=None, seen_at=ISSUED)
    assert isinstance(usual.public, Sm2PublicKey)
    assert usual.public.distinguishing_id == DEFAULT_ID
    assert step([leaf.der], root) == Step.CHAIN


def test_a_library_without_sm2_is_our_fault_and_not_the_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object) -> None:
        raise ConfigurationError(Code.CONFIGURATION_INVALID, "no SM2")

    root = made.root(kind=Kind.SM2)
    fresh = made.leaf(root, serial=1)
    monkeypatch.setattr("verifier.signatures.sm2.verify", lacking)
    with pytest.raises(ConfigurationError):
        build([fresh.der], root)


BAD_ANCHORS = {
    "garbage": b"garbage",
    "a leaf": LEAF.der,
    "an authority that may not sign certificates": made.root(usage=made.CRL_SIGN).der,
    "an authority with a weak key": made.root(spki=WEAK_SPKI, signed_by=made.key(Kind.P256, "x")).der,
    "an authority with an unknown critical extension": made.root(extensions=[UNKNOWN]).der,
}


@pytest.mark.parametrize("name", BAD_ANCHORS)
def test_no_anchor_is(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Anchor(BAD_ANCHORS[name])
    assert caught.value.code is Code.KEY_REFUSED


def test_an_anchors_own_signature_and_key_usage_may_be_missing() -> None:
    root = made.root(usage=None, signed_by=made.key(Kind.P256, "cross"))
    assert build([made.leaf(root).der], root).anchor.subject == "CN=根证书机构,C=CN"


def test_an_anchor_is_itself_valid_at_issue_and_keeps_its_path_length() -> None:
    expired = made.root(not_after=ISSUED - SECOND)
    assert step([made.leaf(expired).der], expired) == Step.CHAIN
    short = made.root(path_length=0)
    above = made.intermediate(short)
    assert accepts([made.leaf(short).der], short)
    assert step([made.leaf(above).der, above.der], short) == Step.CHAIN


def test_an_anchor_is_loaded_from_pem_or_der() -> None:
    assert Anchor.load(ROOT.pem) == Anchor.load(ROOT.der) == Anchor(ROOT.der)
    assert Anchor.load(b"\n" + ROOT.pem.replace(b"\n", b"\r\n"), b"id") == Anchor(ROOT.der, b"id")


@pytest.mark.parametrize(
    "data",
    [
        ROOT.pem * 2,
        made.pem(ROOT.der, "PUBLIC KEY"),
        b"-----BEGIN CERTIFICATE-----\nMA=A\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\nMAB=\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----",
    ],
    ids=["two blocks", "another label", "broken base64", "left-over bits", "no end"],
)
def test_a_pem_file_is_one_block_of_its_kind(data: bytes) -> None:
    with pytest.raises(ConfigurationError):
        Anchor.load(data)


def test_results_go_from_process_to_process() -> None:
    found = build(CHAIN)
    again = pickle.loads(pickle.dumps((found.anchor, found.revoked, found.subject)))  # noqa: S301 - our own
    assert again == (found.anchor, found.revoked, found.subject)


@given(st.sampled_from(["leaf", "authority"]), st.integers(0), st.integers(1, 255))
def test_any_flipped_bit_of_any_certificate_is_refused(which: str, position: int, mask: int) -> None:
    chain = [bytearray(one) for one in CHAIN]
    target = chain[0 if which == "leaf" else 1]
    target[position % len(target)] ^= mask
    assert step([bytes(one) for one in chain]) in {Step.MALFORMED, Step.CHAIN}


@given(st.lists(st.binary(max_size=64) | st.just(LEAF.der), max_size=6))
def test_garbage_is_refused_and_raises_nothing_else(chain: list[bytes]) -> None:
    assert step(chain) in {Step.MALFORMED, Step.CHAIN}


@given(st.data())
def test_rearranged_certificates_are_refused_and_raise_nothing_else(data: st.DataObject) -> None:
    """Whole values of the leaf are replaced by others, lengths in order, the signature made anew."""
    pieces = [
        made.NULL,
        made.integer(1),
        made.sequence(),
        made.octets(b"x"),
        made.tlv(0x31),
        made.tlv(0x17, b"2"),
    ]
    tbs = [
        made.tlv(0xA0, made.integer(2)),
        made.integer(5),
        made.IDENTIFIERS[Kind.P256],
        AUTHORITY.name,
        made.sequence(made.time(NOT_BEFORE), made.time(NOT_AFTER)),
        LEAF.name,
        LEAF.key.spki,
        made.tlv(0xA3, made.sequence(data.draw(st.sampled_from(pieces)))),
    ]
    tbs[data.draw(st.integers(0, len(tbs) - 1))] = data.draw(st.sampled_from(pieces))
    signed = made.sequence(*tbs)
    der = made.sequence(signed, made.IDENTIFIERS[Kind.P256], made.bits(AUTHORITY.key.sign(signed)))
    assert step([der, AUTHORITY.der]) in {Step.MALFORMED, Step.CHAIN}


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=16)


@given(TEXTS | st.sampled_from([" ", "  ", "#", " a ", "a\\ ", "a,b+c", '"', "\0", "\\"]))
def test_a_name_is_written_as_the_library_writes_it(text: str) -> None:
    der = made.name(text)
    assert distinguished_name.text(der) == library.Name.from_bytes(der).rfc4514_string()


def test_a_name_of_more_than_64_bytes_is_written_and_of_other_alphabets_too() -> None:
    long = "新疆维吾尔自治区昌吉回族自治州职业技能在线培训平台"
    assert distinguished_name.text(made.name(long)) == f"CN={long},C=CN"
    wide = made.sequence(
        made.tlv(
            0x31,
            made.sequence(made.oid("2.5.4.97"), made.tlv(0x1E, "平台".encode("utf-16-be"))),
            made.sequence(made.oid("0.9.2342.19200300.100.1.25"), made.tlv(0x16, b"cn")),
        )
    )
    assert distinguished_name.text(wide) == "2.5.4.97=平台+DC=cn"


# Against the library's own path validation, wherever both apply.

DEFECTS: list[Options] = [
    {},
    {},
    {"not_after": ISSUED - SECOND},
    {"not_before": ISSUED + SECOND},
    {"not_after": ISSUED},
    {"authority": None},
    {"authority": False},
    {"authority": True},
    {"path_length": 0, "authority": True},
    {"path_length": 1, "authority": True},
    {"usage": None},
    {"usage": made.KEY_CERT_SIGN},
    {"usage": made.DIGITAL_SIGNATURE},
    {"usage": made.NON_REPUDIATION},
    {"extensions": [UNKNOWN]},
    {"extensions": [made.extension("1.2.3.4", b"\x05\x00")]},
    {"issuer_name": made.name("别的机构")},
    {"signed_by": made.key(Kind.P256, "别人")},
    {"version": 0},
    {"inner_identifier": made.IDENTIFIERS[Kind.RSA]},
]


def _ca_usage(_: Policy, __: library.Certificate, usage: library.KeyUsage) -> None:
    if not usage.key_cert_sign:
        raise ValueError


def _leaf_usage(_: Policy, __: library.Certificate, usage: library.KeyUsage) -> None:
    if not (usage.digital_signature or usage.content_commitment):
        raise ValueError


def _no_authority(_: Policy, __: library.Certificate, constraints: library.BasicConstraints | None) -> None:
    if constraints is not None and constraints.ca:
        raise ValueError


CA_POLICY = (
    ExtensionPolicy.permit_all()
    .require_present(library.BasicConstraints, Criticality.AGNOSTIC, None)
    .require_present(library.KeyUsage, Criticality.AGNOSTIC, _ca_usage)
)
LEAF_POLICY = (
    ExtensionPolicy.permit_all()
    .may_be_present(library.BasicConstraints, Criticality.AGNOSTIC, _no_authority)
    .require_present(library.KeyUsage, Criticality.AGNOSTIC, _leaf_usage)
)


def library_accepts(chain: list[bytes], root: bytes) -> bool:
    try:
        verifier = (
            PolicyBuilder()
            .store(Store([library.load_der_x509_certificate(root)]))
            .time(ISSUED)
            .max_chain_depth(2)
            .extension_policies(ca_policy=CA_POLICY, ee_policy=LEAF_POLICY)
            .build_client_verifier()
        )
        first, *others = map(library.load_der_x509_certificate, chain)
        verifier.verify(first, others)
    except (VerificationError, ValueError, library.DuplicateExtension):
        return False
    return True


@settings(max_examples=200)
@given(st.data(), st.sampled_from([Kind.RSA, Kind.P256, Kind.P384]))
def test_what_the_library_decides_is_decided_here(data: st.DataObject, kind: Kind) -> None:
    defects = st.sampled_from(DEFECTS)
    root = made.root(kind=kind, path_length=data.draw(st.none() | st.integers(0, 2)))
    chain: list[bytes] = []
    above = root
    for number in range(data.draw(st.integers(0, 3))):
        options: Options = {"kind": Kind.P256, **data.draw(defects)}
        above = made.intermediate(above, f"机构{number}", **options)
        chain.insert(0, above.der)
    options = {"kind": Kind.P256, **data.draw(defects)}
    chain.insert(0, made.leaf(above, **options).der)
    assert accepts(chain, root) == library_accepts(chain, root.der)


def test_reading_the_same_certificate_again_is_remembered_and_a_broken_one_is_not() -> None:
    x509_form.read.cache_clear()
    build(CHAIN)
    build(CHAIN)
    kept = x509_form.read.cache_info().currsize
    assert step([b"garbage"]) == Step.MALFORMED
    assert x509_form.read.cache_info().currsize == kept == 3

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from tests import certificates as made
from tests import cms_messages
from tests.certificates import ISSUED, SHA256, SM3, Issued, Kind
from tests.cms_messages import (
    CONTENT_TYPE,
    GM_DATA,
    GM_SIGNED,
    MESSAGE_DIGEST,
    PKCS_DATA,
    SIGNING_TIME,
    CmsOptions,
    attribute,
    usual_attributes,
)
from verifier.errors import SignatureRejected
from verifier.signatures import cms, x509
from verifier.signatures.cms import UnverifiedCms
from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.signatures.steps import Step
from verifier.signatures.x509 import Anchor

ROOT = made.root()
AUTHORITY = made.intermediate(ROOT)
KEY_ID = b"\x01\x02\x03"
LEAF = made.leaf(AUTHORITY, extensions=[made.extension("2.5.29.14", made.octets(KEY_ID))])
RSA_LEAF = made.leaf(AUTHORITY, "RSA", kind=Kind.RSA)
PSS_LEAF = made.leaf(AUTHORITY, "PSS", kind=Kind.RSA_PSS)
SM2_LEAF = made.leaf(AUTHORITY, "SM2", kind=Kind.SM2)
LEAVES = {
    Algorithm.ES256: LEAF,
    Algorithm.RS256: RSA_LEAF,
    Algorithm.PS256: PSS_LEAF,
    Algorithm.SM2: SM2_LEAF,
}
CHAIN = [LEAF.der, AUTHORITY.der, ROOT.der]
CONTENT = "结业证书 999901".encode()


def message(signer: Issued = LEAF, content: bytes = CONTENT, **options: object) -> bytes:
    merged: CmsOptions = {"enclosed": [signer.der, AUTHORITY.der], **options}  # type: ignore[typeddict-item]  # passed on
    return cms_messages.cms(signer, content, issuer=AUTHORITY, **merged)


def key_of(unverified: UnverifiedCms) -> VerificationKey:
    leaf = x509.build(unverified.chain, [Anchor(ROOT.der)], at=ISSUED, crls=None, seen_at=ISSUED)
    return VerificationKey("leaf", unverified.algorithm, leaf.public)


def check(data: bytes, content: bytes = CONTENT) -> UnverifiedCms:
    unverified = cms.open_detached(data)
    cms.verify(unverified, content, key_of(unverified))
    return unverified


def step(data: bytes, content: bytes = CONTENT) -> str:
    with pytest.raises(SignatureRejected) as caught:
        check(data, content)
    return caught.value.step


@pytest.mark.parametrize("algorithm", LEAVES)
@pytest.mark.parametrize("attributes", ["signed attributes", "none"])
def test_every_algorithm_is_verified_with_and_without_signed_attributes(
    algorithm: Algorithm, attributes: str
) -> None:
    signer = LEAVES[algorithm]
    plain = attributes == "none"
    found = check(message(signer, attributes=None) if plain else message(signer))
    assert found == UnverifiedCms(
        chain=(signer.der, AUTHORITY.der),
        algorithm=algorithm,
        digest_algorithm="SM3" if algorithm is Algorithm.SM2 else "SHA-256",
        message_digest=None if plain else cms_messages.digest(signer, CONTENT),
        signed_attributes=None if plain else made.set_of(*usual_attributes(signer, CONTENT)),
        signature=found.signature,
        signing_time=None if plain else ISSUED,
        content=None,
    )
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own


SM2_SIGN = made.sequence(made.oid("1.2.156.10197.1.301.1"))
GM_ATTRIBUTES = usual_attributes(SM2_LEAF, CONTENT, GM_DATA)
SM2_WITH_SM3 = made.sequence(made.oid("1.2.156.10197.1.501"), made.NULL)


@pytest.mark.parametrize("identifier", [SM2_SIGN, SM2_WITH_SM3], ids=["SM2", "SM2 with SM3"])
@pytest.mark.parametrize("attributes", [None, GM_ATTRIBUTES], ids=["none", "some"])
def test_signatures_of_gm_t_0010_are_verified(identifier: bytes, attributes: list[bytes] | None) -> None:
    found = check(message(SM2_LEAF, gm=True, identifier=identifier, attributes=attributes))
    assert (found.algorithm, found.digest_algorithm) == (Algorithm.SM2, "SM3")


@pytest.mark.parametrize(
    ("options", "leaf"),
    [
        ({"identifier": made.sequence(made.oid("1.2.840.113549.1.1.1"), made.NULL)}, RSA_LEAF),
        ({"named": made.tlv(0x80, KEY_ID), "version": 3, "data_version": 3}, LEAF),
        ({"embedded": CONTENT}, LEAF),
        ({"digests": [SHA256, made.sequence(made.oid("2.16.840.1.101.3.4.2.3"))]}, LEAF),
        ({"digest": made.sequence(made.oid("2.16.840.1.101.3.4.2.1")), "digests": [SHA256]}, LEAF),
        ({"unsigned": [attribute("1.2.3", made.NULL)], "crls": [made.crl(ROOT)]}, LEAF),
        ({"more_attributes": [attribute("1.2.3", made.NULL, made.integer(1))]}, LEAF),
    ],
    ids=[
        "the key's id as algorithm",
        "named by key identifier",
        "content enclosed",
        "more digests than needed",
        "a digest without NULL",
        "unsigned attributes and lists",
        "unknown attributes",
    ],
)
def test_other_ways_of_writing_are_accepted(options: CmsOptions, leaf: Issued) -> None:
    assert check(message(leaf, **options)).chain[0] == leaf.der


def test_the_chain_is_put_in_order_and_what_does_not_belong_to_it_left_out() -> None:
    enclosed = [made.root("别的机构").der, ROOT.der, RSA_LEAF.der, LEAF.der, AUTHORITY.der]
    assert check(message(enclosed=enclosed)).chain == tuple(CHAIN)
    assert check(message(enclosed=[*CHAIN, *CHAIN])).chain == tuple(CHAIN)
    assert cms.open_detached(message(enclosed=[LEAF.der])).chain == (LEAF.der,)


def test_the_signing_time_is_the_signers_word_in_either_form() -> None:
    late = datetime(2051, 1, 1, tzinfo=UTC)
    attributes = [*usual_attributes(LEAF, CONTENT)[::2], attribute(SIGNING_TIME, made.time(late))]
    assert check(message(attributes=attributes)).signing_time == late
    assert check(message(attributes=attributes[:2])).signing_time is None


SAME_NAMES = made.leaf(AUTHORITY, key=made.key(Kind.P256, "别人"), serial=LEAF.serial)
TWO_ROOTS = [*CHAIN, made.root(key=made.key(Kind.P256, "别的根")).der]
ONE = usual_attributes(LEAF, CONTENT)
TYPE, TIME, DIGEST = ONE
SIGNING_CERTIFICATE, PROTECTION = "1.2.840.113549.1.9.16.2.47", "1.2.840.113549.1.9.52"


def signing_certificate(*parts: bytes) -> bytes:
    return attribute(SIGNING_CERTIFICATE, made.sequence(made.sequence(*parts)))


def certificate_id(hashed: bytes, *algorithm: bytes) -> bytes:
    return made.sequence(*algorithm, made.octets(hashed))


def indefinite(data: bytes) -> bytes:
    """The outer sequence in BER."""
    content = data[4:]
    return b"\x30\x80" + content + b"\x00\x00"


MALFORMED: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "something behind": lambda: message() + b"\0",
    "an indefinite length": lambda: indefinite(message()),
    "no signer": lambda: message(copies=0),
    "two signers": lambda: message(copies=2),
    "no certificate": lambda: message(enclosed=[]),
    "another's certificates only": lambda: message(enclosed=[AUTHORITY.der, RSA_LEAF.der]),
    "two certificates of the name and number": lambda: message(enclosed=[*CHAIN, SAME_NAMES.der]),
    "two authorities of the name": lambda: message(enclosed=TWO_ROOTS),
    "six certificates": lambda: message(enclosed=[*CHAIN, *(made.root(name).der for name in "甲乙丙")]),
    "a certificate that is none": lambda: message(enclosed=[LEAF.der, made.sequence()]),
    "a key identifier that no certificate has": lambda: message(named=made.tlv(0x80, b"?"), version=3),
    "a key identifier in version 1": lambda: message(named=made.tlv(0x80, KEY_ID)),
    "issuer and number in version 3": lambda: message(version=3),
    "an unknown version": lambda: message(data_version=5),
    "another number": lambda: message(named=made.sequence(AUTHORITY.name, made.integer(1))),
    "another issuer": lambda: message(named=made.sequence(ROOT.name, made.integer(LEAF.serial))),
    "another content type": lambda: message(data_type="1.2.840.113549.1.9.16.1.4"),
    "types of two standards": lambda: message(signed_type=GM_SIGNED),
    "another type outside": lambda: message(signed_type=PKCS_DATA),
    "no signed attribute": lambda: message(attributes=[]),
    "signed attributes out of order": lambda: message(
        attributes=sorted(ONE, reverse=True), sorted_attributes=False
    ),
    "no message digest": lambda: message(attributes=[TYPE, TIME]),
    "no content type": lambda: message(attributes=[TIME, DIGEST]),
    "another content type signed": lambda: message(
        attributes=[attribute(CONTENT_TYPE, made.oid(GM_DATA)), TIME, DIGEST]
    ),
    "a message digest twice": lambda: message(attributes=[*ONE, DIGEST]),
    "a message digest of two values": lambda: message(
        attributes=[TYPE, attribute(MESSAGE_DIGEST, made.octets(b"1"), made.octets(b"2"))]
    ),
    "a message digest without value": lambda: message(attributes=[TYPE, attribute(MESSAGE_DIGEST)]),
    "a message digest that is none": lambda: message(
        attributes=[TYPE, attribute(MESSAGE_DIGEST, made.integer(1))]
    ),
    "a signing time that is none": lambda: message(
        attributes=[TYPE, DIGEST, attribute(SIGNING_TIME, made.integer(1))]
    ),
    "a signing certificate that is none": lambda: message(
        more_attributes=[attribute(SIGNING_CERTIFICATE, made.integer(1))]
    ),
    "a signing certificate of no value": lambda: message(more_attributes=[signing_certificate()]),
    "more than 64 KiB": lambda: message(unsigned=[made.octets(bytes(65536))]),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_message_is_malformed_with(name: str) -> None:
    assert step(MALFORMED[name]()) == Step.MALFORMED


SHA512 = made.sequence(made.oid("2.16.840.1.101.3.4.2.3"), made.NULL)
SHA1 = made.sequence(made.oid("1.3.14.3.2.26"), made.NULL)
PSS_OTHER_SALT = made.IDENTIFIERS[Kind.RSA_PSS].replace(b"\x02\x01\x20", b"\x02\x01\x00")
WRONG_ALGORITHMS: dict[str, Callable[[], bytes]] = {
    "SHA-1": lambda: message(digest=SHA1),
    "SHA-512": lambda: message(digest=SHA512),
    "SM3 with ECDSA": lambda: message(digest=SM3),
    "SHA-256 with SM2": lambda: message(SM2_LEAF, digest=SHA256),
    "a digest that was not announced": lambda: message(digests=[SHA512]),
    "no digest announced": lambda: message(digests=[]),
    "PSS with another salt": lambda: message(PSS_LEAF, identifier=PSS_OTHER_SALT),
    "ECDSA with SHA-1": lambda: message(identifier=made.sequence(made.oid("1.2.840.10045.4.1"))),
    "Ed25519": lambda: message(identifier=made.IDENTIFIERS[Kind.ED25519]),
    "RSA by the object ids of GM/T 0010": lambda: message(RSA_LEAF, gm=True),
    "a signing certificate hashed by SHA-1": lambda: message(
        more_attributes=[signing_certificate(certificate_id(b"", SHA1))]
    ),
    "another digest meant": lambda: message(
        more_attributes=[attribute(PROTECTION, made.sequence(SHA512, protected(made.IDENTIFIERS[Kind.P256])))]
    ),
    "another signature algorithm meant": lambda: message(
        more_attributes=[attribute(PROTECTION, made.sequence(SHA256, protected(made.IDENTIFIERS[Kind.RSA])))]
    ),
    "no signature algorithm meant": lambda: message(
        more_attributes=[attribute(PROTECTION, made.sequence(SHA256))]
    ),
}


def protected(identifier: bytes) -> bytes:
    """SEQUENCE becomes [1]."""
    return b"\xa1" + identifier[1:]


@pytest.mark.parametrize("name", WRONG_ALGORITHMS)
def test_an_algorithm_is_refused(name: str) -> None:
    assert step(WRONG_ALGORITHMS[name]()) == Step.ALGORITHM


def test_a_key_verifies_by_its_own_algorithm_only() -> None:
    unverified = cms.open_detached(message(RSA_LEAF))
    key = VerificationKey("leaf", Algorithm.PS256, key_of(unverified).public)
    with pytest.raises(SignatureRejected, match="algorithm"):
        cms.verify(unverified, CONTENT, key)


@pytest.mark.parametrize("signer", [LEAF, SM2_LEAF], ids=["SHA-256", "SM3"])
def test_a_signer_may_name_certificate_and_algorithms_among_what_is_signed(signer: Issued) -> None:
    hashed = cms_messages.digest(signer, signer.der)
    digest = SM3 if signer is SM2_LEAF else SHA256
    meant = made.sequence(digest, protected(made.IDENTIFIERS[signer.key.kind]))
    for named in ([certificate_id(hashed, digest)], [certificate_id(hashed, digest), certificate_id(b"")]):
        data = message(signer, more_attributes=[signing_certificate(*named), attribute(PROTECTION, meant)])
        assert check(data).chain[0] == signer.der


def test_a_certificate_named_without_its_hash_algorithm_is_named_by_sha_256() -> None:
    named = signing_certificate(certificate_id(cms_messages.digest(LEAF, LEAF.der)))
    assert check(message(more_attributes=[named])).chain[0] == LEAF.der


def test_another_certificate_in_place_of_the_named_one_is_refused() -> None:
    named = signing_certificate(certificate_id(cms_messages.digest(LEAF, LEAF.der)))
    again = made.leaf(AUTHORITY, serial=LEAF.serial, purposes=["2.5.29.37.0"])
    assert step(message(more_attributes=[named], enclosed=[again.der, AUTHORITY.der])) == Step.SIGNATURE


def raw(signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return r.to_bytes(32) + s.to_bytes(32)


def test_a_signature_in_raw_form_is_refused() -> None:
    for signer in (LEAF, SM2_LEAF):
        signature = raw(signer.key.sign(CONTENT))
        assert step(message(signer, attributes=None, signature=signature)) == Step.SIGNATURE


def test_content_is_what_was_signed_and_what_is_enclosed() -> None:
    assert step(message(), b"another") == Step.SIGNATURE
    assert step(message(attributes=None), b"another") == Step.SIGNATURE
    assert step(message(embedded=b"another")) == Step.SIGNATURE
    assert step(message(embedded=b"another"), b"another") == Step.SIGNATURE


def test_a_signature_over_content_is_none_over_attributes() -> None:
    """The digest fits, but what is signed is the content and not the attributes."""
    assert step(message(signature=LEAF.key.sign(CONTENT))) == Step.SIGNATURE


@pytest.mark.parametrize("signer", [LEAF, SM2_LEAF], ids=["ECDSA", "SM2"])
def test_signed_attributes_do_not_pass_for_content(signer: Issued) -> None:
    """Taken from a sound message, with their signature, they would otherwise be a message of their own."""
    signed = made.set_of(*usual_attributes(signer, CONTENT))
    assert step(message(signer, signed, attributes=None), signed) == Step.SIGNATURE
    for harmless in (b"1 is 0x31, as is SET", b"", made.set_of(made.integer(1)), made.set_of(signed)):
        assert check(message(signer, harmless, attributes=None), harmless).signed_attributes is None


def test_another_holders_signature_is_refused() -> None:
    other = made.leaf(AUTHORITY, "别的平台")
    stolen = cms_messages.cms(other, CONTENT, named=cms_messages.issuer_and_serial(LEAF, AUTHORITY.name))
    assert step(stolen.replace(other.der, LEAF.der)) in {Step.SIGNATURE, Step.MALFORMED}
    assert step(message(signature=other.key.sign(made.set_of(*ONE)))) == Step.SIGNATURE


SOUND = {algorithm: message(leaf) for algorithm, leaf in LEAVES.items()} | {
    "without attributes": message(SM2_LEAF, attributes=None, gm=True)
}


@given(st.sampled_from(sorted(SOUND)), st.integers(0), st.integers(1, 255))
def test_any_flipped_bit_of_the_content_is_refused(which: str, position: int, mask: int) -> None:
    content = bytearray(CONTENT)
    content[position % len(content)] ^= mask
    assert step(SOUND[which], bytes(content)) == Step.SIGNATURE


@given(st.sampled_from(sorted(SOUND)), st.integers(0), st.integers(1, 255))
def test_any_flipped_bit_of_the_message_is_refused_or_changes_nothing_that_counts(
    which: str, position: int, mask: int
) -> None:
    """What the signature does not cover says how to read it, or stands there twice."""
    data = bytearray(SOUND[which])
    sound = check(bytes(data))
    data[position % len(data)] ^= mask
    try:
        found = check(bytes(data))
    except SignatureRejected:
        return
    assert found == sound


@given(st.sampled_from(sorted(SOUND)), st.integers(0), st.integers(1, 255))
def test_any_flipped_bit_of_the_signature_is_refused(which: str, position: int, mask: int) -> None:
    signature = bytearray(check(SOUND[which]).signature)
    at = SOUND[which].index(bytes(signature))
    data = bytearray(SOUND[which])
    data[at + position % len(signature)] ^= mask
    assert step(bytes(data)) in {Step.SIGNATURE, Step.MALFORMED}


@given(st.binary(max_size=300))
def test_garbage_is_malformed(data: bytes) -> None:
    assert step(data) == Step.MALFORMED


@given(st.data())
def test_messages_of_wrong_values_are_refused_and_raise_nothing_else(data: st.DataObject) -> None:
    """Any one value of the message is replaced by another, lengths in order."""
    pieces = [
        made.NULL,
        made.integer(7),
        made.sequence(),
        made.octets(b"x"),
        made.set_of(),
        made.oid("1.2.3"),
    ]
    info = [
        made.integer(1),
        cms_messages.issuer_and_serial(LEAF, AUTHORITY.name),
        SHA256,
        made.tlv(0xA0, *sorted(ONE)),
        made.IDENTIFIERS[Kind.P256],
        made.octets(LEAF.key.sign(made.set_of(*ONE))),
    ]
    content = made.sequence(made.oid(PKCS_DATA))
    signed = [made.integer(1), made.set_of(SHA256), content, made.tlv(0xA0, LEAF.der, AUTHORITY.der)]
    part = data.draw(st.sampled_from([info, signed]))
    part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.sampled_from(pieces))
    body = made.sequence(*signed, made.set_of(made.sequence(*info)))
    der = made.sequence(made.oid(cms_messages.PKCS_SIGNED), made.tlv(0xA0, body))
    assert step(der) in {Step.MALFORMED, Step.ALGORITHM, Step.SIGNATURE}


@pytest.mark.parametrize(("signer", "algorithm"), [(LEAF, Algorithm.ES256), (RSA_LEAF, Algorithm.RS256)])
def test_what_the_simulator_signs_is_verified_here(signer: Issued, algorithm: Algorithm) -> None:
    private = signer.key.private
    assert isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    data = cms.sign_detached(CONTENT, private, [signer.der, AUTHORITY.der])
    found = check(data)
    assert (found.algorithm, found.content) == (algorithm, None)
    assert found.chain == (signer.der, AUTHORITY.der)
    assert step(data, CONTENT + b" ") == Step.SIGNATURE

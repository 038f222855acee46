"""The other half of these tests is signxml: it signs what is verified here, and verifies what was."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, XMLVerifier

from verifier.errors import RequestRejected, SignatureRejected
from verifier.signatures import strict_xml, xmldsig
from verifier.signatures.jws import Algorithm, PrivateKey, SigningKey, VerificationKey
from verifier.signatures.steps import Step
from verifier.signatures.strict_xml import StrictRoot

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PRIVATE: dict[Algorithm, Any] = {Algorithm.RS256: RSA_KEY, Algorithm.ES256: EC_KEY}
METHODS = {Algorithm.RS256: "rsa-sha256", Algorithm.ES256: "ecdsa-sha256"}

DOCUMENT = (
    '<r:batch xmlns:r="urn:example:batch" xmlns:u="urn:example:unused" Id="b1" n="1">'
    "\n <r:item><name>阿依古丽·买买提</name><id>999901&lt;</id></r:item>\n <empty/>tail</r:batch>"
)
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"


def key(algorithm: Algorithm, private: PrivateKey | None = None) -> VerificationKey:
    return VerificationKey("k", algorithm, (private or PRIVATE[algorithm]).public_key())


def sign(
    document: str = DOCUMENT,
    algorithm: Algorithm = Algorithm.ES256,
    c14n: str = EXCLUSIVE,
    **options: Any,
) -> str:
    root = etree.fromstring(document)
    signer = XMLSigner(signature_algorithm=METHODS[algorithm], c14n_algorithm=c14n)
    signed = signer.sign(root, key=PRIVATE[algorithm], always_add_key_value=True, **options)
    return etree.tostring(signed, encoding="unicode")


@cache
def signed() -> str:
    return sign()


def parse(text: str) -> StrictRoot:
    return strict_xml.parse(text.encode(), max_bytes=1_048_576, charsets=frozenset({"utf-8"}))


def opened(text: str, position: int = -1) -> xmldsig.UnverifiedXml:
    return xmldsig.open_enveloped(parse(text), position=position)


def canonical(root: etree._Element, *, exclusive: bool = True) -> bytes:
    return etree.tostring(root, method="c14n", exclusive=exclusive)


def step(text: str, algorithm: Algorithm = Algorithm.ES256, position: int = -1) -> str:
    with pytest.raises(SignatureRejected) as caught:
        xmldsig.verify(opened(text, position), key(algorithm))
    return caught.value.step


def replaced(old: str, new: str, text: str | None = None) -> str:
    text = signed() if text is None else text
    assert text.count(old) == 1
    return text.replace(old, new)


def signature_of(text: str) -> str:
    found = re.search("<ds:Signature .*</ds:Signature>", text)
    assert found is not None
    return found[0]


def certificate(private: Any) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signer")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, private.public_key(), 1, now, now + timedelta(1))
    return builder.sign(private, hashes.SHA256())


@pytest.mark.parametrize("algorithm", METHODS)
@pytest.mark.parametrize("c14n", xmldsig.CANONICALIZATIONS)
def test_what_another_library_signs_is_returned_as_it_was_signed(algorithm: Algorithm, c14n: str) -> None:
    exclusive = xmldsig.CANONICALIZATIONS[c14n]
    text = sign(algorithm=algorithm, c14n=c14n)
    root = xmldsig.verify(opened(text), key(algorithm))
    assert canonical(root, exclusive=exclusive) == canonical(etree.fromstring(DOCUMENT), exclusive=exclusive)
    XMLVerifier().verify(
        text.encode(),
        x509_cert=certificate(PRIVATE[algorithm]),
        expect_config=SignatureConfiguration(location="./", ignore_ambiguous_key_info=True),
    )


def test_the_reference_may_be_the_empty_one_and_key_info_may_be_missing() -> None:
    text = sign(DOCUMENT.replace(' Id="b1"', ""))
    assert 'URI=""' in text
    assert xmldsig.verify(opened(text), key(Algorithm.ES256)).get("n") == "1"
    without = re.sub("<ds:KeyInfo>.*</ds:KeyInfo>", "", signed())
    assert xmldsig.verify(opened(without), key(Algorithm.ES256)).get("n") == "1"


@pytest.mark.parametrize("name", ["Id", "ID", "id"])
def test_the_reference_may_name_the_root_by_its_id(name: str) -> None:
    text = sign(DOCUMENT.replace("Id=", f"{name}="), reference_uri="#b1", id_attribute=name)
    assert 'URI="#b1"' in text
    assert xmldsig.verify(opened(text), key(Algorithm.ES256)).get(name) == "b1"


def test_the_place_is_the_profiles_and_no_other() -> None:
    signature = signature_of(signed())
    text = replaced(signature, "").replace("<r:item>", f"{signature}<r:item>")
    root = xmldsig.verify(opened(text, 0), key(Algorithm.ES256))
    assert canonical(root) == canonical(etree.fromstring(DOCUMENT))
    for position in (-1, 1, 2, 3, -4):
        assert step(text, position=position) == Step.MALFORMED
    assert step("<r/>") == Step.MALFORMED


@pytest.mark.parametrize(
    ("document", "placed"),
    [
        ("<r/>", "<r>SIGNATURE</r>"),
        ("<r>ab</r>", "<r>SIGNATUREab</r>"),
        ("<r>ab</r>", "<r>aSIGNATUREb</r>"),
        ("<r>ab</r>", "<r>abSIGNATURE</r>"),
        ("<r><x/>ab</r>", "<r><x/>SIGNATUREab</r>"),
        ("<r><x/>ab</r>", "<r><x/>aSIGNATUREb</r>"),
    ],
)
def test_text_around_the_signature_is_signed_text(document: str, placed: str) -> None:
    text = placed.replace("SIGNATURE", signature_of(sign(document)))
    root = xmldsig.verify(opened(text), key(Algorithm.ES256))
    assert canonical(root) == canonical(etree.fromstring(document))
    assert step(replaced("</ds:Signature>", "</ds:Signature>c", text)) == Step.SIGNATURE


def test_the_key_and_its_algorithm_are_the_registers_alone() -> None:
    rsa_text = sign(algorithm=Algorithm.RS256)
    assert step(signed(), Algorithm.RS256) == Step.ALGORITHM
    assert step(rsa_text, Algorithm.ES256) == Step.ALGORITHM
    other = ec.generate_private_key(ec.SECP256R1())
    # The document brings the key that it was signed by; nothing looks at it.
    assert "KeyValue" in signed()
    for text, wrong, expected in (
        (signed(), key(Algorithm.ES256, other), Step.SIGNATURE),
        (signed(), key(Algorithm.EDDSA, Ed25519PrivateKey.generate()), Step.ALGORITHM),
        (signed(), VerificationKey("k", Algorithm.HS256, bytes(32)), Step.ALGORITHM),
        (rsa_text, VerificationKey("k", Algorithm.PS256, RSA_KEY.public_key()), Step.ALGORITHM),
    ):
        with pytest.raises(SignatureRejected) as caught:
            xmldsig.verify(opened(text), wrong)
        assert caught.value.step == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("xmldsig-more#ecdsa-sha256", "xmldsig-more#ecdsa-sha1"),
        ("xmldsig-more#ecdsa-sha256", "xmldsig-more#hmac-sha256"),
        ("xmldsig-more#ecdsa-sha256", "xmldsig-more#ecdsa-sha384"),
        ("2001/04/xmldsig-more#ecdsa-sha256", "2007/05/xmldsig-more#sha256-rsa-MGF1"),
        ("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", ""),
        ("http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2000/09/xmldsig#sha1"),
        ("http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmlenc#sha512"),
    ],
)
def test_any_other_algorithm_is_refused_before_a_key_is_used(old: str, new: str) -> None:
    with pytest.raises(SignatureRejected) as caught:
        opened(replaced(old, new))
    assert caught.value.step == Step.ALGORITHM


TRANSFORM = f'<ds:Transform Algorithm="{EXCLUSIVE}"/>'
ENVELOPED = f'<ds:Transform Algorithm="{xmldsig.ENVELOPED}"/>'
METHOD = '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"/>'
CANONICALIZATION = f'<ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}"/>'
DIGEST_METHOD = '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
PREFIXES = f'<e:InclusiveNamespaces xmlns:e="{EXCLUSIVE}" PrefixList="r"/>'
XPATH = "<ds:XPath>ancestor-or-self::r:item</ds:XPath>"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ENVELOPED, ""),
        (TRANSFORM, ""),
        (ENVELOPED + TRANSFORM, TRANSFORM + ENVELOPED),
        (ENVELOPED + TRANSFORM, ENVELOPED + TRANSFORM + TRANSFORM),
        (TRANSFORM, ENVELOPED),
        (TRANSFORM, TRANSFORM.replace("c14n#", "c14n#WithComments")),
        (TRANSFORM, TRANSFORM.replace("/>", f">{PREFIXES}</ds:Transform>")),
        (TRANSFORM, TRANSFORM.replace("/>", ">x</ds:Transform>")),
        (TRANSFORM, TRANSFORM.replace(EXCLUSIVE, "http://www.w3.org/TR/1999/REC-xslt-19991116")),
        (ENVELOPED, f'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116">{XPATH}</ds:Transform>'),
        (ENVELOPED, '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#base64"/>'),
        (CANONICALIZATION, CANONICALIZATION.replace("c14n#", "c14n#WithComments")),
        (CANONICALIZATION, CANONICALIZATION.replace("/>", f">{PREFIXES}</ds:CanonicalizationMethod>")),
        (CANONICALIZATION, ""),
        (METHOD, METHOD.replace("/>", "><ds:HMACOutputLength>8</ds:HMACOutputLength></ds:SignatureMethod>")),
        (METHOD, METHOD.replace("/>", ' x="1"/>')),
        (METHOD, METHOD + METHOD),
        (METHOD, f"{METHOD}x"),
        (DIGEST_METHOD, DIGEST_METHOD.replace(" Algorithm", " algorithm")),
        ("<ds:SignedInfo>", '<ds:SignedInfo Id="s">'),
        ("<ds:SignedInfo>", "<ds:SignedInfo>x"),
        ("<ds:SignatureValue>", '<ds:SignatureValue Id="s">'),
        ("<ds:SignatureValue>", "<ds:SignatureValue><x/>"),
        ("<ds:DigestValue>", "<ds:DigestValue>A"),
        ("<ds:DigestValue>", "<ds:DigestValue>AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ('URI="#b1"', 'URI="#b2"'),
        ('URI="#b1"', 'URI="b1"'),
        ('URI="#b1"', 'URI="#"'),
        ('URI="#b1"', 'URI="#xpointer(/)"'),
        ('URI="#b1"', 'URI="file:///etc/hostname"'),
        ('URI="#b1"', 'URI="http://127.0.0.1:9/"'),
        (' URI="#b1"', ""),
        ('URI="#b1"', 'URI="#b1" Type="urn:x"'),
        ("</ds:Signature>", "<ds:Object>x</ds:Object></ds:Signature>"),
        ("</ds:Signature>", "<ds:KeyInfo/></ds:Signature>"),
        ("</ds:Signature>", "x</ds:Signature>"),
        ("</ds:Reference>", "</ds:Reference><ds:Reference/>"),
        ("<ds:KeyInfo>", "<ds:KeyInfo/><ds:KeyInfo>"),
        ("<ds:KeyInfo>", f'<ds:KeyInfo><ds:Signature xmlns:ds="{xmldsig.NAMESPACE}"/>'),
        ("<empty/>", f'<ds:Signature xmlns:ds="{xmldsig.NAMESPACE}"/>'),
        ("</ds:Signature>", "</ds:Signature><more/>"),
        ("<ds:Signature ", '<ds:Signature Id="s" '),
    ],
)  # fmt: skip
def test_any_other_form_is_malformed_even_where_the_standard_has_it(old: str, new: str) -> None:
    with pytest.raises(SignatureRejected) as caught:
        opened(replaced(old, new))
    assert caught.value.step == Step.MALFORMED


def test_another_namespace_or_an_empty_signature_is_malformed() -> None:
    for text in (
        signed().replace(xmldsig.NAMESPACE + '">', 'urn:other">'),
        f'<r><Signature xmlns="{xmldsig.NAMESPACE}"/></r>',
        f'<r><Signature xmlns="{xmldsig.NAMESPACE}"><KeyInfo/></Signature></r>',
    ):
        with pytest.raises(SignatureRejected) as caught:
            opened(text)
        assert caught.value.step == Step.MALFORMED


def test_a_relative_namespace_has_no_canonical_form() -> None:
    assert step(replaced("<empty/>", '<empty xmlns="relative"/>')) == Step.MALFORMED


def value(text: str, name: str) -> str:
    found = re.search(f"<ds:{name}>([^<]*)</ds:{name}>", text)
    assert found is not None
    return found[1]


def test_signature_and_digest_have_one_spelling_but_for_white_space() -> None:
    signature, digest = value(signed(), "SignatureValue"), value(signed(), "DigestValue")
    wrapped = signature[:40] + "\r\n\t " + signature[40:]
    assert xmldsig.verify(opened(replaced(signature, wrapped)), key(Algorithm.ES256)) is not None
    raw = base64.b64decode(signature)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for wrong in (
        "",
        "!",
        signature.rstrip("="),
        f"\u3000{signature}",
        f"*{signature}",
        base64.urlsafe_b64encode(b"\xff" * 64).decode(),
        base64.b64encode(raw[:-1]).decode(),
        base64.b64encode(raw + b"\0").decode(),
        signature[:-3] + alphabet[alphabet.index(signature[-3]) ^ 1] + "==",
    ):
        assert step(replaced(signature, wrong)) == Step.MALFORMED
    for wrong_raw in (bytes(64), raw[32:] + raw[:32], raw[:-1] + bytes([raw[-1] ^ 1])):
        assert step(replaced(signature, base64.b64encode(wrong_raw).decode())) == Step.SIGNATURE
    unused_bit = alphabet[alphabet.index(digest[-2]) ^ 1]
    for wrong in ("", digest[:-2] + unused_bit + "=", digest[:-1], "A" + digest):
        assert step(replaced(digest, wrong)) == Step.MALFORMED
    assert step(replaced(digest, base64.b64encode(bytes(32)).decode())) == Step.SIGNATURE


def test_inclusive_canonicalisation_of_what_is_signed_takes_in_the_namespaces_around_it() -> None:
    info = (
        '<CanonicalizationMethod Algorithm="http://www.w3.org/2006/12/xml-c14n11"/>'
        f'<SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/><Reference URI="">'
        f'<Transforms><Transform Algorithm="{xmldsig.ENVELOPED}"/><Transform Algorithm="{EXCLUSIVE}"/>'
        f'</Transforms><DigestMethod Algorithm="{xmldsig.SHA256}"/><DigestValue>{"A" * 43}=</DigestValue>'
        "</Reference>"
    )
    text = (
        '<r xmlns="urn:r" xmlns:z="urn:z"><Signature xmlns:b="urn:b" xmlns="http://www.w3.org/2000/09/xmldsig#">'
        f"<SignedInfo >{info}</SignedInfo><SignatureValue/></Signature></r>"
    )
    # By the letter of Canonical XML 1.1: default namespace first, then prefixes in order, no empty tags.
    written = re.sub(r"<(\w+)([^>]*)/>", r"<\1\2></\1>", info)
    assert opened(text).signed_info.decode() == (
        '<SignedInfo xmlns="http://www.w3.org/2000/09/xmldsig#" xmlns:b="urn:b" xmlns:z="urn:z">'
        f"{written}</SignedInfo>"
    )


def test_der_is_not_the_form_of_ecdsa_in_xml() -> None:
    der = base64.b64encode(EC_KEY.sign(opened(signed()).signed_info, ec.ECDSA(hashes.SHA256()))).decode()
    assert step(replaced(value(signed(), "SignatureValue"), der)) == Step.MALFORMED


def test_a_signature_that_holds_does_not_save_a_digest_that_does_not() -> None:
    text = replaced("阿依古丽", "阿依古里")
    assert opened(text).signed_info == opened(signed()).signed_info
    assert step(text) == Step.SIGNATURE


def test_only_what_was_signed_is_returned() -> None:
    hidden = replaced("<ds:KeyInfo>", "<ds:KeyInfo><name>evil</name>")
    root = xmldsig.verify(opened(hidden), key(Algorithm.ES256))
    assert canonical(root) == canonical(etree.fromstring(DOCUMENT))
    assert root.getroottree().getroot() is root


@given(data=st.data())
def test_any_one_changed_character_is_refused_or_changes_nothing(data: st.DataObject) -> None:
    text = signed()
    index = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.sampled_from("<>&;\"'/=!?:# \n\tAaZz09张·\ue000"))
    cut = data.draw(st.sampled_from([0, 1, 1, 1, 2]))
    altered = text[:index] + character + text[index + cut :]
    try:
        root = xmldsig.verify(opened(altered), key(Algorithm.ES256))
    except (RequestRejected, SignatureRejected):
        return
    assert canonical(root) == canonical(etree.fromstring(DOCUMENT))


TEXTS = [
    found.span() for found in re.finditer('(?<=<name>)[^<]+|(?<=<id>)[0-9]+|(?<=>)tail|(?<=n=")1', DOCUMENT)
]


@given(span=st.sampled_from(TEXTS), data=st.data())
@example(span=TEXTS[0], data=None)
def test_any_changed_character_of_signed_text_is_refused(
    span: tuple[int, int], data: st.DataObject | None
) -> None:
    text, old = signed(), DOCUMENT[slice(*span)]
    start = text.index(DOCUMENT[span[0] - 6 : span[1]]) + 6
    assert text[start : start + len(old)] == old
    index = start + (0 if data is None else data.draw(st.integers(0, len(old) - 1)))
    letters = st.characters(min_codepoint=0x30, max_codepoint=0x9FFF, categories=["L", "Nd"])
    new = "x" if data is None else data.draw(letters.filter(lambda c: c != text[index]))
    assert step(text[:index] + new + text[index + 1 :]) == Step.SIGNATURE


tags = st.sampled_from(
    [
        *(
            "SignedInfo",
            "SignatureValue",
            "KeyInfo",
            "CanonicalizationMethod",
            "SignatureMethod",
            "Reference",
        ),
        *("Transforms", "Transform", "DigestMethod", "DigestValue", "Signature", "Object"),
    ]
)
attributes = st.sampled_from(["", ' URI=""', f' Algorithm="{EXCLUSIVE}"', f' Algorithm="{xmldsig.SHA256}"'])
trees = st.recursive(
    st.sampled_from(["", "x", "AAAA", " "]),
    lambda inner: st.lists(st.tuples(tags, attributes, inner), max_size=4).map(
        lambda parts: "".join(f"<{tag}{given}>{inside}</{tag}>" for tag, given, inside in parts)
    ),
    max_leaves=20,
)


@given(inside=trees, position=st.integers(-3, 3))
def test_whatever_stands_in_a_signature_is_refused_by_the_declared_error_alone(
    inside: str, position: int
) -> None:
    text = f'<r><Signature xmlns="{xmldsig.NAMESPACE}">{inside}</Signature></r>'
    with pytest.raises(SignatureRejected):
        xmldsig.verify(opened(text, position), key(Algorithm.ES256))


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_what_the_simulator_signs_is_verified_here_and_by_signxml(algorithm: Algorithm) -> None:
    text = xmldsig.sign_enveloped(DOCUMENT.encode(), SigningKey("k", algorithm, PRIVATE[algorithm]))
    verified = xmldsig.verify(opened(text), key(algorithm))
    assert canonical(verified) == canonical(etree.fromstring(DOCUMENT))
    XMLVerifier().verify(
        text.encode(),
        x509_cert=certificate(PRIVATE[algorithm]),
        expect_config=SignatureConfiguration(location="./"),
    )
    assert step(text.replace("999901", "999902"), algorithm) == Step.SIGNATURE

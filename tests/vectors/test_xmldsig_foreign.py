"""Documents signed, and verified again, by the program xmlsec1: only libxml2 is common to both."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from verifier.errors import SignatureRejected
from verifier.signatures import strict_xml, xmldsig
from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.signatures.steps import Step

XMLSEC1 = shutil.which("xmlsec1")
pytestmark = pytest.mark.needs_system("xmlsec1")

INCLUSIVE, INCLUSIVE_11, EXCLUSIVE = xmldsig.CANONICALIZATIONS
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
PRIVATE: dict[Algorithm, Any] = {
    Algorithm.RS256: rsa.generate_private_key(65537, 2048),
    Algorithm.ES256: ec.generate_private_key(ec.SECP256R1()),
}
METHODS = {Algorithm.RS256: f"{MORE}rsa-sha256", Algorithm.ES256: f"{MORE}ecdsa-sha256"}
NAME = "阿依古丽·买买提"

TRANSFORMS = f'<Transform Algorithm="{xmldsig.ENVELOPED}"/><Transform Algorithm="{{c14n}}"/>'
REFERENCE = (
    '<Reference URI="{uri}"><Transforms>{transforms}</Transforms>'
    f'<DigestMethod Algorithm="{xmldsig.SHA256}"/><DigestValue/></Reference>'
)


def template(
    *,
    algorithm: Algorithm = Algorithm.ES256,
    info: str = EXCLUSIVE,
    c14n: str = EXCLUSIVE,
    uri: str = "",
    charset: str = "UTF-8",
    transforms: str = TRANSFORMS,
    more: str = "",
) -> bytes:
    """What xmlsec1 fills in. The document tries canonicalisation: prefixes, defaults, order, CDATA, CRLF."""
    reference = REFERENCE.format(uri=uri, transforms=transforms.format(c14n=c14n))
    return (
        f'<?xml version="1.0" encoding="{charset}"?>\r\n'
        '<r xmlns="urn:example:r" xmlns:z="urn:example:z" xmlns:a="urn:example:a"'
        ' z:b="2" a:b="1"\n b="3" Id="r1">'
        f"\r\n  <z:name>{NAME}</z:name><code xmlns=''><![CDATA[<&>]]>&#13;&gt;\"</code>\r\n"
        "  <e   a='&#9;\"'/>"
        f'<Signature xmlns="{xmldsig.NAMESPACE}">\n<SignedInfo><CanonicalizationMethod Algorithm="{info}"/>'
        f'<SignatureMethod Algorithm="{METHODS[algorithm]}"/>{reference}{more}</SignedInfo>'
        "<SignatureValue/></Signature>\r\n  tail </r>\n"
    ).encode(charset)


def xmlsec1(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    assert XMLSEC1 is not None
    version = subprocess.run([XMLSEC1, "--version"], capture_output=True, check=True).stdout
    found = re.search(rb"(\d+)\.(\d+)", version)
    assert found is not None
    # From 1.3 on a key that the document does not name is used only when that is asked for.
    lax = ["--lax-key-search"] if (int(found[1]), int(found[2])) >= (1, 3) else []
    command = [XMLSEC1, arguments[0], *lax, "--id-attr:Id", "urn:example:r:r", *arguments[1:]]
    return subprocess.run(command, capture_output=True, check=False)


def signed(tmp_path: Path, document: bytes, algorithm: Algorithm = Algorithm.ES256) -> bytes:
    key, source = tmp_path / "key.pem", tmp_path / "template.xml"
    key.write_bytes(
        PRIVATE[algorithm].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    source.write_bytes(document)
    done = xmlsec1("--sign", "--privkey-pem", key, source)
    assert done.returncode == 0, done.stderr
    return done.stdout


def accepts(tmp_path: Path, document: bytes, algorithm: Algorithm = Algorithm.ES256) -> bool:
    """Whether xmlsec1 itself takes the document under the same public key."""
    key, source = tmp_path / "public.pem", tmp_path / "signed.xml"
    key.write_bytes(
        PRIVATE[algorithm]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    source.write_bytes(document)
    return xmlsec1("--verify", "--pubkey-pem", key, source).returncode == 0


def verify(document: bytes, algorithm: Algorithm = Algorithm.ES256) -> xmldsig.SignedRoot:
    root = strict_xml.parse(document, max_bytes=65_536, charsets=strict_xml.CHARSETS)
    key = VerificationKey("k", algorithm, PRIVATE[algorithm].public_key())
    return xmldsig.verify(xmldsig.open_enveloped(root), key)


@pytest.mark.parametrize("algorithm", METHODS)
@pytest.mark.parametrize("info", [INCLUSIVE, INCLUSIVE_11, EXCLUSIVE])
@pytest.mark.parametrize(
    ("c14n", "uri", "charset"),
    [(INCLUSIVE, "", "UTF-8"), (INCLUSIVE_11, "#r1", "GBK"), (EXCLUSIVE, "#r1", "GB18030")],
)
def test_what_the_program_signs_is_verified(
    tmp_path: Path, algorithm: Algorithm, info: str, c14n: str, uri: str, charset: str
) -> None:
    unsigned = template(algorithm=algorithm, info=info, c14n=c14n, uri=uri, charset=charset)
    document = signed(tmp_path, unsigned, algorithm)
    root = verify(document, algorithm)
    assert root.findtext("{urn:example:z}name") == NAME
    assert root.findtext("code") == '<&>\r>"'
    assert root[-1].tail == "\n  tail "
    altered = document.replace(NAME.encode(charset), NAME[1:].encode(charset))
    assert altered != document
    with pytest.raises(SignatureRejected) as caught:
        verify(altered, algorithm)
    assert caught.value.step == Step.SIGNATURE


def test_a_rare_character_of_names_survives_from_gb_18030(tmp_path: Path) -> None:
    document = signed(
        tmp_path, template(charset="GB18030").replace(NAME.encode("GB18030"), "𠮷".encode("GB18030"))
    )
    assert verify(document).findtext("{urn:example:z}name") == "𠮷"


TWO_REFERENCES = REFERENCE.format(uri="#r1", transforms=TRANSFORMS.format(c14n=EXCLUSIVE))
XPATH = (
    '<Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116">'
    '<XPath xmlns:r="urn:example:r">not(ancestor-or-self::r:e)</XPath></Transform>'
)
PREFIXES = f'<InclusiveNamespaces xmlns="{EXCLUSIVE}" PrefixList="a"/>'


@pytest.mark.parametrize(
    "document",
    [
        template(more=TWO_REFERENCES),
        template(transforms=TRANSFORMS + XPATH),
        template(c14n=EXCLUSIVE + "WithComments"),
        template(info=INCLUSIVE + "#WithComments"),
        template(uri="#xpointer(/)"),
        template(transforms=f'<Transform Algorithm="{xmldsig.ENVELOPED}"/>'),
        template().replace(
            f'<Transform Algorithm="{EXCLUSIVE}"/>'.encode(),
            f'<Transform Algorithm="{EXCLUSIVE}">{PREFIXES}</Transform>'.encode(),
        ),
        template().replace(b"<SignatureValue/>", b"<SignatureValue/><KeyInfo/><Object>x</Object>"),
    ],
)
def test_what_the_program_takes_beyond_the_fixed_form_is_malformed_here(
    tmp_path: Path, document: bytes
) -> None:
    written = signed(tmp_path, document)
    assert accepts(tmp_path, written)
    with pytest.raises(SignatureRejected) as caught:
        verify(written)
    assert caught.value.step == Step.MALFORMED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\n  tail ", b"\n tail "),
        (b'b="3"', b'b="4"'),
        (b'"1"', b'"2"'),
        (b"urn:example:a", b"urn:example:c"),
        (b"<e ", b"<f "),
        (b"<![CDATA[<&>]]>", b"<![CDATA[<&]]>"),
        (b"</SignedInfo>", b"\n</SignedInfo>"),
        # These mean the same, and stay accepted by both.
        (b"\r\n  tail ", b"\n  tail "),
        (b"<e   a", b"<e a"),
        (b"<![CDATA[<&>]]>", b"&lt;&amp;>"),
        (b"</SignatureValue>", b"\n</SignatureValue>"),
    ],
)
def test_both_decide_alike_on_what_is_altered(tmp_path: Path, old: bytes, new: bytes) -> None:
    document = signed(tmp_path, template(c14n=INCLUSIVE))
    altered = document.replace(old, new, 1)
    try:
        verify(altered)
    except SignatureRejected:
        assert not accepts(tmp_path, altered)
    else:
        assert accepts(tmp_path, altered)

"""Certificates as signed PDFs for tests: by pyHanko where it knows the algorithm, else byte by byte.

signer = pdf_certificates.signer(leaf, authority, root)
file = pdf_certificates.file(signer, {"certNo": "N-1"})
signature = pdf_certificates.signature(leaf, file)
"""

from __future__ import annotations

import base64
import codecs
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

from tests import cms_messages, pdfs
from tests.certificates import Issued, Kind
from tests.pdfs import Draft, Signer
from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.signatures.sm2 import Sm2PrivateKey

ALGORITHMS: Mapping[Kind, Algorithm] = {
    Kind.RSA: Algorithm.RS256,
    Kind.P256: Algorithm.ES256,
    Kind.SM2: Algorithm.SM2,
}


def signer(leaf: Issued, authority: Issued, root: Issued) -> Signer:
    """A signer of PDFs with a leaf of an authority's; the root is enclosed by pyHanko alone."""
    private, kind = leaf.key.private, leaf.key.kind

    def cms(content: bytes) -> bytes:
        enclosed = [leaf.der, authority.der]
        return cms_messages.cms(leaf, content, issuer=authority, enclosed=enclosed, gm=kind is Kind.SM2)

    assert isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Sm2PrivateKey)
    packed = b""
    if isinstance(private, Sm2PrivateKey):
        public = VerificationKey("leaf", ALGORITHMS[kind], private.public_key)
    else:
        public = VerificationKey("leaf", ALGORITHMS[kind], private.public_key())
        above = [authority.parsed, root.parsed]
        packed = pkcs12.serialize_key_and_certificates(None, private, leaf.parsed, above, NoEncryption())
    return Signer(public, (leaf.der, authority.der), cms, packed)


def draft(values: Mapping[str, str]) -> Draft:
    """The file with its fields, not signed yet."""
    made = Draft()
    numbers = range(6, 6 + len(values))
    references = b" ".join(b"%d 0 R" % number for number in (4, *numbers))
    for number in (1, 3):
        made.replace(number, b"4 0 R 6 0 R", references)
    for number, (name, value) in zip(numbers, values.items(), strict=True):
        text = (codecs.BOM_UTF16_BE + value.encode("utf-16-be")).hex().encode()
        made.objects[number] = b"<</FT/Tx/T(%b)/V<%b>/Subtype/Widget/Rect[0 0 9 9]>>" % (name.encode(), text)
    return made


def file(by: Signer, values: Mapping[str, str]) -> bytes:
    """A signed PDF: by the foreign program, unless it does not know the algorithm."""
    return pdfs.foreign(by, values) if by.pkcs12 else draft(values).sign(by)


def signature(leaf: Issued, content: bytes) -> str:
    """The detached e-signature over a file, in base64."""
    return base64.b64encode(leaf.key.sign(content)).decode("ascii")

"""A certificate as a small XML document with a detached CMS/PKCS#7 signature (of GM/T 0010 if it is by SM2).

``content`` is the document that was signed, byte for byte; ``signature`` is the CMS in base64. It holds the
signer's certificate and those above it: no key is registered bare, and none is looked for elsewhere.

The document is flat: one root of a fixed name, whose children are the claims, each with a name of its own and
a text. So every value is a text, a revision too.
"""

from __future__ import annotations

import binascii
from typing import Final

from verifier.certificates.form import Claims, Unverified, header_refused, malformed
from verifier.errors import CertificateRejected, Code, RequestRejected, SignatureRejected
from verifier.model.certificate import SignedCertificate
from verifier.signatures import cms, strict_xml
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.cms import UnverifiedCms
from verifier.signatures.jws import VerificationKey
from verifier.signatures.steps import Step
from verifier.signatures.strict_xml import Limits

MAX_CONTENT_BYTES: Final = 16_384
ROOT: Final = "CERT"
"""The signer's key signs other documents as well; only one of this name is a certificate."""
LIMITS: Final = Limits(depth=2, elements=64, namespaces=0, attributes=0, all_attributes=64, text=1_024)

_NAMED: Final = frozenset({Code.CHARSET_REFUSED, Code.PRIVATE_USE_CHARACTER})
"""What is said by its own code: the sender can mend it, and a name is the likeliest cause."""


def open_detached(signed: SignedCertificate) -> Unverified:
    """Steps 1 and 2 of a document with its signature beside it."""
    claims = _claims(signed.content)
    try:
        data = binascii.a2b_base64(signed.signature, strict_mode=True)
    except ValueError:
        raise malformed("the signature is not base64") from None
    try:
        unverified = cms.open_detached(data)
    except SignatureRejected as error:
        raise _refused(error) from None
    return Unverified(claims, _Check(unverified, signed.content), chain=unverified.chain, texts=True)


def _claims(content: bytes) -> Claims:
    try:
        root = strict_xml.parse(
            content, max_bytes=MAX_CONTENT_BYTES, charsets=strict_xml.CHARSETS, limits=LIMITS
        )
    except RequestRejected as error:
        code = error.code if error.code in _NAMED else Code.CERTIFICATE_MALFORMED
        raise malformed("the content is not strict XML", code) from None
    if root.tag != ROOT:
        raise header_refused("the content is another kind of document")
    claims: dict[str, str] = {str(child.tag): child.text or "" for child in root}
    between = [root.text, *(child.tail for child in root)]
    if len(claims) != len(root) or any(text and text.strip() for text in between):
        raise malformed("a claim stands twice, or a text outside of the claims")
    return claims


def _refused(error: SignatureRejected) -> CertificateRejected:
    if error.step == Step.MALFORMED:
        return malformed("not a strict CMS signature by one signer whose certificate is enclosed")
    if error.step == Step.ALGORITHM:
        detail = "an algorithm that is not accepted"
        return CertificateRejected(Code.ALGORITHM_REFUSED, 2, detail)
    return header_refused("the signer names another certificate")


class _Check:
    """CMS writes its signature in its own form, whatever encoding is registered for others."""

    __slots__ = ("_content", "_unverified")

    def __init__(self, unverified: UnverifiedCms, content: bytes) -> None:
        self._unverified, self._content = unverified, content

    def __call__(self, key: VerificationKey, _encoding: SignatureEncoding) -> None:
        cms.verify(self._unverified, self._content, key)

"""A certificate as a signed PDF (PAdES, ETSI EN 319 142-1) with a detached e-signature over the whole file.

``content`` is the file as it was uploaded; ``signature`` stands in the message that names it. Both signatures
must hold, and by one key: the one inside covers the file but for its own text, the one beside it covers every
byte. So the message says, by the signer's own hand, which file it means, whatever id that was uploaded under.

The claims are the text fields of the form, as they were when the file was signed; so every value is a text, a
revision too. The chain is the one inside. The signature beside the file is written in the encoding that is
registered with the anchor: for RSA the bytes of PKCS #1, for ECDSA and SM2 as X.509 has them.
"""

from __future__ import annotations

from verifier.certificates.form import Unverified, header_refused, malformed
from verifier.errors import CertificateRejected, Code, SignatureRejected
from verifier.model.certificate import SignedCertificate
from verifier.signatures import asymmetric, pdf
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import VerificationKey
from verifier.signatures.pdf import UnverifiedPdf
from verifier.signatures.steps import Step


def open_document(signed: SignedCertificate) -> Unverified:
    """Steps 1 and 2 of a signed PDF."""
    try:
        unverified = pdf.open_pdf(signed.content)
    except SignatureRejected as error:
        raise _refused(error) from None
    return Unverified(
        {**unverified.fields},
        _Check(unverified, signed.content, signed.signature),
        chain=unverified.cms.chain,
        texts=True,
    )


def _refused(error: SignatureRejected) -> CertificateRejected:
    if error.step == Step.MALFORMED:
        return malformed("not a strict PDF with one signature by one signer whose certificate is enclosed")
    if error.step == Step.ALTERED:
        detail = "changed after it was signed, or not all of it is"
        return CertificateRejected(Code.DOCUMENT_ALTERED, 2, detail)
    if error.step == Step.ALGORITHM:
        detail = "an algorithm that is not accepted"
        return CertificateRejected(Code.ALGORITHM_REFUSED, 2, detail)
    return header_refused("the signer names another certificate")


class _Check:
    """The signature inside first: it is the one that the claims stand under."""

    __slots__ = ("_content", "_signature", "_unverified")

    def __init__(self, unverified: UnverifiedPdf, content: bytes, signature: str) -> None:
        self._unverified, self._content, self._signature = unverified, content, signature

    def __call__(self, key: VerificationKey, encoding: SignatureEncoding) -> None:
        pdf.verify(self._unverified, key)
        asymmetric.verify_text(key, self._content, self._signature, encoding)

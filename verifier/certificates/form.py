"""What every kind of certificate is opened to, before anything in it is believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from verifier.errors import CertificateRejected, Code
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import VerificationKey
from verifier.signatures.strict_json import JsonValue

Claims: TypeAlias = Mapping[str, JsonValue]
Check: TypeAlias = Callable[[VerificationKey, SignatureEncoding], None]
"""Steps 6 and 7 for one key; a signature beside its content is written in the registered encoding.

Raises SignatureRejected: ``algorithm`` for step 6, any other for step 7.
"""


@dataclass(frozen=True, slots=True)
class Unverified:
    """A certificate that has its form (steps 1 and 2); all of it is still the sender's word.

    Attributes:
        claims: the signed content as members; read first to find keys, and again once it is verified.
        check: verifies the signature over exactly that content.
        key_id: what the certificate calls its key; None where it brings a chain, or names no key.
        chain: DER certificates that it brings, the signer's first; empty where keys are registered bare.
        texts: whether the form knows no other values than texts, so that numbers are texts too.
    """

    claims: Claims = field(repr=False)
    check: Check = field(repr=False)
    key_id: str | None = None
    chain: tuple[bytes, ...] = field(default=(), repr=False)
    texts: bool = False


def malformed(detail: str, code: Code = Code.CERTIFICATE_MALFORMED) -> CertificateRejected:
    """Step 1 failed."""
    return CertificateRejected(code, 1, detail)


def header_refused(detail: str) -> CertificateRejected:
    """Step 2 failed."""
    return CertificateRejected(Code.CERTIFICATE_HEADER_REFUSED, 2, detail)

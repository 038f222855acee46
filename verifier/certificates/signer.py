"""Step 5: whose key signs for the issuer, by a registered id or by a chain to a registered anchor."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from verifier.certificates.form import Unverified
from verifier.certificates.reading import Reader
from verifier.errors import CertificateRejected, Code, ConfigurationError, SignatureRejected
from verifier.keyring import Issuer, IssuerAnchor, IssuerKey
from verifier.model.certificate import CertificateFields
from verifier.signatures import x509
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.crl import Revocation
from verifier.signatures.jws import VerificationKey
from verifier.signatures.sm2 import DEFAULT_ID
from verifier.signatures.steps import Step

_EVER: Final = datetime.max.replace(tzinfo=UTC)
"""The lists of the adopted register are what is known, also about what was received before they were made."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed, if the signature holds.

    Attributes:
        key: with the one algorithm that is registered.
        entry: what the register says of the key, or of the anchor above it.
        revocation: of the signer's certificate or of one above it, if any is revoked.
        unknown: whether no current list says if they are.
    """

    key: VerificationKey
    entry: IssuerKey | IssuerAnchor
    revocation: Revocation | None = None
    unknown: bool = False

    @property
    def encoding(self) -> SignatureEncoding:
        """How its signatures are written where they stand beside what is signed."""
        return self.entry.encoding

    def might_sign_at(self, moment: datetime) -> bool:
        """Step 9; that a chain was valid then is part of step 5."""
        revoked = self.revocation is not None and self.revocation.since <= moment
        return self.entry.valid_at(moment) and not revoked

    def doubtful_at(self, moment: datetime) -> bool:
        """Step 10: whether what was first received at a moment may be somebody else's."""
        revocation = self.revocation
        stolen = revocation is not None and revocation.compromised and revocation.since <= moment
        return self.entry.doubtful_at(moment) or stolen


def find(
    unverified: Unverified, fields: CertificateFields, issuer: Issuer, first_received_at: datetime
) -> Signer:
    """Step 5.

    Args:
        unverified: names a key or brings a chain, never both.
        fields: where the moment of issue stands: at it the chain must have been valid.
        issuer: who is said to have signed.
        first_received_at: aware UTC.

    Raises:
        CertificateRejected: KEY_UNKNOWN or CERTIFICATE_CHAIN_REFUSED, step 5; ALGORITHM_REFUSED, step 6, a
            chain's key is not one for the anchor's algorithm; CERTIFICATE_CLAIMS_INVALID, step 8, a chain
            cannot be judged without a moment of issue.
    """
    if not unverified.chain:
        key = issuer.keys.get(unverified.key_id) if unverified.key_id is not None else None
        if key is None:
            raise CertificateRejected(Code.KEY_UNKNOWN, 5, "the issuer has no key of this id")
        return Signer(key.key, key)
    at = Reader(unverified.claims).moment(fields.issued_at, fields.issued_format)
    for anchor in issuer.anchors:
        try:
            leaf, unknown = _leaf(unverified.chain, anchor, at, first_received_at)
        except SignatureRejected:
            continue
        if anchor.leaf_subject in {"", leaf.subject}:
            return Signer(_pinned(leaf, anchor), anchor, leaf.revoked, unknown)
    detail = "the chain leads to no anchor of this issuer at the time of issue"
    raise CertificateRejected(Code.CERTIFICATE_CHAIN_REFUSED, 5, detail)


def _leaf(
    chain: tuple[bytes, ...], anchor: IssuerAnchor, at: datetime, seen_at: datetime
) -> tuple[x509.Leaf, bool]:
    """The signer's certificate, and whether nothing is known of its revocation."""
    anchors = (_anchor(anchor.certificate, DEFAULT_ID),)
    try:
        found = x509.build(
            chain, anchors, at=at, crls=anchor.crls, seen_at=seen_at, now=_EVER, sm2_id=anchor.sm2_id
        )
    except SignatureRejected as error:
        if error.step != Step.REVOCATION_UNKNOWN:
            raise
        # Said in step 10, where it belongs: first it must be the signer's at all.
        return x509.build(chain, anchors, at=at, crls=None, seen_at=seen_at, sm2_id=anchor.sm2_id), True
    return found, False


@lru_cache(maxsize=256)
def _anchor(certificate: bytes, sm2_id: bytes) -> x509.Anchor:
    return x509.Anchor(certificate, sm2_id)


def _pinned(leaf: x509.Leaf, anchor: IssuerAnchor) -> VerificationKey:
    try:
        return VerificationKey(anchor.key_id(leaf.issuer, leaf.serial), anchor.algorithm, leaf.public)
    except ConfigurationError:
        raise CertificateRejected(
            Code.ALGORITHM_REFUSED, 6, "the key is not one for the anchor's algorithm"
        ) from None

"""Certificate chains to registered anchors (RFC 5280, section 6), the same for RSA, EC, Ed25519 and SM2 keys.

1. ``x509_form.read`` settles a certificate's form and believes nothing.
2. The path goes from the leaf up and ends with the first certificate that a registered anchor signed; what a
   chain holds above is not looked at.
3. From the anchor down every link is checked: the issuer's name byte for byte, the signature, the validity at
   the moment of issue, the right to certify, the length of the path. No critical extension goes unread.
4. Where the authorities publish revocation lists, each certificate of the path must stand by a current one.

Stricter than RFC 5280 where that costs nobody anything: every authority says by key usage that it certifies,
the leaf that it signs, and is no authority; self-issued certificates count in path lengths; name constraints
are refused rather than evaluated. Nothing is fetched: neither certificates nor lists nor OCSP.

The caller still owes what ``Leaf`` says: whether the subject may speak for the issuer, the state of the
anchor in the register, and what a revocation means for this document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from verifier.errors import Code, ConfigurationError, SignatureRejected
from verifier.signatures import authority, crl, der, distinguished_name
from verifier.signatures.crl import Revocation
from verifier.signatures.jws import PublicKey
from verifier.signatures.sm2 import DEFAULT_ID
from verifier.signatures.steps import Step
from verifier.signatures.x509_form import Certificate, read

MAX_CERTIFICATES: Final = 5

_DIGITAL_SIGNATURE: Final = 0x80
_NON_REPUDIATION: Final = 0x40
_KEY_CERT_SIGN: Final = 0x04
_CRL_SIGN: Final = 0x02
_ANY_USAGE: Final = 0xFF


@dataclass(frozen=True, slots=True)
class Anchor:
    """An authority's certificate that the register trusts; its own signature proves nothing and is not read.

    Attributes:
        der: the certificate.
        chain_sm2_id: what this and all authorities below hash in when they sign by SM2 keys.

    Raises:
        ConfigurationError: ``key_refused``: malformed, no authority, its key weak or of no known kind, or not
            for certifying documents' signers.
    """

    der: bytes = field(repr=False)
    chain_sm2_id: bytes = DEFAULT_ID

    def __post_init__(self) -> None:
        try:
            certificate = read(self.der)
            # RFC 5280, section 6.1.1 (d): an anchor is a name and a key; its usage may go without saying.
            _check_authority(certificate, intermediates=0, usage=_ANY_USAGE)
            authority.public_key(certificate.spki, self.chain_sm2_id)
        except SignatureRejected as error:
            raise ConfigurationError(Code.KEY_REFUSED, "an anchor is no certificate to certify by") from error

    @classmethod
    def load(cls, data: bytes, chain_sm2_id: bytes = DEFAULT_ID) -> Anchor:
        """From a file: DER, or one PEM block.

        Raises:
            ConfigurationError: ``key_refused``.
        """
        return cls(authority.unwrapped(data, "CERTIFICATE"), chain_sm2_id)

    @property
    def subject(self) -> str:
        """The authority's name as RFC 4514 writes it."""
        return distinguished_name.text(read(self.der).subject)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A signer's certificate that leads to an anchor.

    Attributes:
        der: the certificate.
        fingerprint: SHA-256 of it, lower-case hex.
        issuer: name of who certified it, DER.
        serial: number within its issuer.
        subject: as RFC 4514 writes it; which subject may sign for whom is the caller's to say.
        public: the signer's key.
        not_before: aware, UTC.
        not_after: aware, UTC.
        revoked: None if every certificate of the path stands, or no lists are published. Of several
            revocations, of the leaf or an authority above it, the earliest date and the worst reason: what it
            means for the document is the caller's to say.
        anchor: to which it leads.
    """

    der: bytes = field(repr=False)
    fingerprint: str
    issuer: bytes = field(repr=False)
    serial: int
    subject: str
    public: PublicKey = field(repr=False)
    not_before: datetime
    not_after: datetime
    revoked: Revocation | None
    anchor: Anchor


def _refuse_unless(condition: object) -> None:
    if not condition:
        raise SignatureRejected(Step.CHAIN)


def _allows(certificate: Certificate, usage: int, default: int = 0) -> bool:
    stated = default if certificate.usage is None else certificate.usage
    return bool(stated & usage)


def _check_authority(certificate: Certificate, *, intermediates: int, usage: int = 0) -> None:
    """Whether it may certify, with so many authorities below it; ``usage`` is what silence means."""
    _refuse_unless(certificate.authority and certificate.signs_documents and not certificate.unsupported)
    _refuse_unless(_allows(certificate, _KEY_CERT_SIGN, usage))
    _refuse_unless(certificate.path_length is None or intermediates <= certificate.path_length)


def _check_leaf(certificate: Certificate) -> None:
    _refuse_unless(not certificate.authority and certificate.signs_documents and not certificate.unsupported)
    _refuse_unless(_allows(certificate, _DIGITAL_SIGNATURE | _NON_REPUDIATION))


def _is_link(certificate: Certificate, issuer: Certificate, sm2_id: bytes) -> bool:
    if certificate.issuer != issuer.subject:
        return False
    try:
        authority.check_signed_by(certificate.statement, issuer.spki, sm2_id)
    except SignatureRejected:
        return False
    return True


def _path(chain: Sequence[Certificate], anchors: Sequence[Anchor]) -> tuple[Sequence[Certificate], Anchor]:
    """The chain up to the first certificate that an anchor signed, and that anchor."""
    for index, certificate in enumerate(chain):
        for anchor in anchors:
            if _is_link(certificate, read(anchor.der), anchor.chain_sm2_id):
                return chain[: index + 1], anchor
    raise SignatureRejected(Step.CHAIN)


def _check_path(path: Sequence[Certificate], anchor: Anchor, at: datetime) -> None:
    """From the anchor down, so that no key is used before it is certified."""
    top = read(anchor.der)
    _check_authority(top, intermediates=len(path) - 1, usage=_ANY_USAGE)
    _refuse_unless(top.not_before <= at <= top.not_after)
    issuer = top
    for below in range(len(path) - 1, -1, -1):
        certificate = path[below]
        _refuse_unless(_is_link(certificate, issuer, anchor.chain_sm2_id))
        _refuse_unless(certificate.not_before <= at <= certificate.not_after)
        if below:
            _check_authority(certificate, intermediates=below - 1)
        issuer = certificate
    _check_leaf(issuer)


def _revoked(
    path: Sequence[Certificate], anchor: Anchor, crls: Sequence[bytes], seen_at: datetime, now: datetime
) -> Revocation | None:
    found = []
    for certificate, issuer in zip(path, [*path[1:], read(anchor.der)], strict=True):
        # RFC 5280, section 6.3.3 (f): only who may sign lists is heard.
        heard = crls if _allows(issuer, _CRL_SIGN, _ANY_USAGE) else ()
        found.append(
            crl.standing(
                certificate.serial,
                certificate.not_after,
                issuer=issuer.subject,
                spki=issuer.spki,
                sm2_id=anchor.chain_sm2_id,
                crls=heard,
                seen_at=seen_at,
                now=now,
            )
        )
    revoked = [one for one in found if one is not None]
    if not revoked:
        return None
    return Revocation(min(one.since for one in revoked), any(one.compromised for one in revoked))


def build(
    chain: Sequence[bytes],
    anchors: Sequence[Anchor],
    *,
    at: datetime,
    crls: Sequence[bytes] | None,
    seen_at: datetime,
    now: datetime | None = None,
    max_depth: int = 3,
    sm2_id: bytes = DEFAULT_ID,
) -> Leaf:
    """Leads a signer's certificate to a registered anchor.

    Args:
        chain: DER, the leaf first, each certified by the next; with or without the anchor.
        anchors: any of which will do.
        at: the moment of issue of the document, at which every certificate must be valid; aware.
        crls: lists of all authorities, DER; None if the register says that they publish none.
        seen_at: when the document was first received, aware: no list counts that was to be updated before.
        now: no list counts that was made later; aware. ``seen_at``, unless a document is judged again by
            lists that came after it.
        max_depth: how many authorities may stand above the leaf, the anchor included.
        sm2_id: what the signer hashes in, if its key is an SM2 key.

    Raises:
        SignatureRejected: ``malformed``, ``chain`` or ``revocation_unknown``.
        ConfigurationError: ``configuration_invalid``: an SM2 key, and libcrypto has no SM2.
    """
    if not 1 <= len(chain) <= MAX_CERTIFICATES:
        raise der.malformed()
    certificates = [read(data) for data in chain]
    path, anchor = _path(certificates, anchors)
    _refuse_unless(len(path) <= max_depth)
    _check_path(path, anchor, at)
    leaf = path[0]
    public = authority.public_key(leaf.spki, sm2_id)
    revoked = None if crls is None else _revoked(path, anchor, crls, seen_at, now or seen_at)
    return Leaf(
        der=leaf.der,
        fingerprint=hashlib.sha256(leaf.der).hexdigest(),
        issuer=leaf.issuer,
        serial=leaf.serial,
        subject=distinguished_name.text(leaf.subject),
        public=public,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        revoked=revoked,
        anchor=anchor,
    )

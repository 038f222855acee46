"""A course's qualification proof (相应课程培训合格证明): as signed, and as verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from verifier.model.person import IdentityClaims
from verifier.model.time import TimeFormat


class CertificateKind(StrEnum):
    """How a certificate is signed."""

    JWS = "jws"


class DocumentKind(StrEnum):
    """What a certificate certifies. People present the second by mistake; it is refused by name."""

    COURSE_PROOF = "课程培训合格证明"
    SKILL_LEVEL = "职业技能等级证书"
    OTHER = "其他"


@dataclass(frozen=True, slots=True)
class CertificateFields:
    """Where a platform's certificate keeps each thing: names of the signed object's members.

    ``documents`` maps the platform's own words for the kind of document to ours; an unmapped word is OTHER.
    ``id_kinds`` maps the platform's code of an identifier's kind to ours.
    """

    issuer: str
    number: str
    holder_name: str
    id_kind: str
    id_number: str
    course_code: str
    course_title: str
    organisation: str
    completed_at: str
    issued_at: str
    document: str
    revision: str
    completed_format: TimeFormat
    issued_format: TimeFormat
    documents: Mapping[str, DocumentKind]
    id_kinds: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SignedCertificate:
    """A certificate as it came; nothing in it is believed yet."""

    kind: CertificateKind
    token: str = field(repr=False)
    fields: CertificateFields = field(repr=False)


@dataclass(frozen=True, slots=True)
class VerifiedCertificate:
    """A certificate that passed every step of ``verifier.certificates``, which alone makes one.

    Attributes:
        number_scope: within what the number is unique, from the trust register.
        revision: the issuer's own revision, 1 where it has none.
        completed_at: aware UTC.
        issued_at: aware UTC; the signing key was judged at this moment.
        content_digest: SHA-256 of the canonical signed content, to tell the same from a corrected one.
            Never stored or shown as it is: it covers personal data.
    """

    issuer: str
    number_scope: str
    number: str
    revision: int
    holder: IdentityClaims
    course_code: str
    course_title: str
    organisation: str
    completed_at: datetime
    issued_at: datetime
    document: DocumentKind
    key_id: str
    algorithm: str
    content_digest: bytes = field(repr=False)

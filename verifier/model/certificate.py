"""A course's qualification proof (相应课程培训合格证明): as signed, and as verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from verifier.model.person import IdentityClaims
from verifier.model.time import TimeFormat


class CertificateKind(StrEnum):
    """How a certificate is signed; ``verifier.certificates`` has a form for each.

    JWS: compact, by a registered key. JWS_X5C: compact, with a certificate chain to a registered anchor.
    CANONICAL: parameters joined to one text, signed beside it. CMS: content with a detached CMS/PKCS#7
    signature. XAPI: a signed statement. OPEN_BADGE: an Open Badges 3.0 credential as JWT. PDF: a signed
    document that was uploaded.
    """

    JWS = "jws"
    JWS_X5C = "jws+x5c"
    CANONICAL = "canonical"
    CMS = "cms"
    XAPI = "xapi"
    OPEN_BADGE = "open-badge"
    PDF = "pdf"


class DocumentKind(StrEnum):
    """What a certificate certifies. People present the second by mistake; it is refused by name."""

    COURSE_PROOF = "课程培训合格证明"
    SKILL_LEVEL = "职业技能等级证书"
    OTHER = "其他"


class SkillLevel(StrEnum):
    """The five levels of a skill-level certificate, in the words of clause 一(一)."""

    JUNIOR = "初级工"
    INTERMEDIATE = "中级工"
    SENIOR = "高级工"
    TECHNICIAN = "技师"
    SENIOR_TECHNICIAN = "高级技师"


@dataclass(frozen=True, slots=True)
class CertificateFields:
    """Where a platform's certificate keeps each thing.

    Each is the name of a member of the signed object, or a JSON pointer into it (RFC 6901) where it begins
    with a slash. An empty ``document`` or ``revision`` means that the form has none: every certificate of it
    is then a course proof, of revision 1.

    ``id_country`` is where a passport's issuing country stands; it may be missing from a certificate, and
    counts for passports alone.

    ``documents`` maps the platform's own words for the kind of document to ours; an unmapped word is OTHER.
    ``id_kinds`` maps the platform's code of an identifier's kind to ours.
    ``level`` is where a skill-level certificate states its level, empty where the form has none; ``levels``
    maps the platform's words or numbers for it to ours, and an unmapped one is not known.

    ``started_at`` (written in ``started_format``) and ``study_minutes`` say when learning began and how long
    it took; empty where the form has none. What a certificate leaves out of them is no error.
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
    level: str = ""
    levels: Mapping[str, SkillLevel] = field(default_factory=dict)
    started_at: str = ""
    started_format: TimeFormat | None = None
    study_minutes: str = ""
    id_country: str = ""


@dataclass(frozen=True, slots=True)
class SignedCertificate:
    """A certificate as it came; nothing in it is believed yet.

    Attributes:
        content: what is signed, in the kind's own form; for a JWS the whole token in ASCII. Empty for a
            document that was uploaded apart, until it is found.
        signature: where it stands beside the content: as the message writes it.
        chain: certificates that stand beside it: DER in base64, the signer's first.
        document: id of the uploaded document that is the content.
        known: plain values that the message states for identifiers which the content holds only as digests,
            by the content's own word for their type. They count once the digest is theirs.
    """

    kind: CertificateKind
    content: bytes = field(repr=False)
    fields: CertificateFields = field(repr=False)
    signature: str = field(default="", repr=False)
    chain: tuple[str, ...] = field(default=(), repr=False)
    document: str = ""
    known: Mapping[str, str] = field(default_factory=dict, repr=False)


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
        level: the skill level that it states, if it states one that the profile knows.
        started_at: when learning began, aware UTC; None where the certificate does not say.
        study_minutes: how long was learned, in whole minutes; None where the certificate does not say.
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
    level: SkillLevel | None = None
    started_at: datetime | None = None
    study_minutes: int | None = None

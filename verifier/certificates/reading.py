"""Step 8: the content's members by the platform's table of fields. A detail never holds a value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from verifier.certificates.form import Claims, Unverified
from verifier.errors import CertificateRejected, Code
from verifier.keyring import Issuer
from verifier.model.certificate import CertificateFields, DocumentKind, SkillLevel, VerifiedCertificate
from verifier.model.person import IdentityClaims
from verifier.model.time import TimeFormat, parse_moment
from verifier.signatures import strict_json
from verifier.signatures.strict_json import JsonValue

_MAX_REVISION: Final = 2**31 - 1
_MOST_MINUTES: Final = 9_999_999
"""Nineteen years: whatever is more is no time of study in minutes."""
_LONGEST: Final = 200
_DIGITS: Final = re.compile(r"[1-9][0-9]{0,9}")
_MINUTES: Final = re.compile(r"[0-9]{1,7}")
_NUMBER: Final = re.compile(r"[0-9A-Za-z\u4e00-\u9fff\u3014\u3015\uff08\uff09()\[\]._/:#-]{1,64}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def read(
    unverified: Unverified, fields: CertificateFields, issuer: Issuer, key_id: str, algorithm: str
) -> VerifiedCertificate:
    """The certificate as its issuer signed it.

    Args:
        unverified: whose signature holds.
        fields: where each thing is.
        issuer: who signed it.
        key_id: the registered id of the key that did.
        algorithm: under which.

    Raises:
        CertificateRejected: CERTIFICATE_CLAIMS_INVALID, step 8.
    """
    reader = Reader(unverified.claims, unverified.texts)
    id_kind = reader.text(fields.id_kind)
    return VerifiedCertificate(
        issuer=issuer.issuer_id,
        number_scope=issuer.number_scope,
        number=reader.number(fields.number),
        revision=reader.revision(fields.revision),
        holder=IdentityClaims(
            id_kind=fields.id_kinds.get(id_kind, id_kind),
            id_number=reader.text(fields.id_number),
            name=reader.text(fields.holder_name),
            country=reader.optional(fields.id_country),
        ),
        course_code=reader.text(fields.course_code),
        course_title=reader.text(fields.course_title),
        organisation=reader.text(fields.organisation),
        completed_at=reader.moment(fields.completed_at, fields.completed_format),
        issued_at=reader.moment(fields.issued_at, fields.issued_format),
        document=_document(reader, fields),
        key_id=key_id,
        algorithm=algorithm,
        content_digest=sha256(strict_json.canonical(dict(unverified.claims))).digest(),
        level=_level(unverified.claims, fields),
        started_at=reader.optional_moment(fields.started_at, fields.started_format),
        study_minutes=reader.minutes(fields.study_minutes),
    )


def _document(reader: Reader, fields: CertificateFields) -> DocumentKind:
    if not fields.document:
        return DocumentKind.COURSE_PROOF
    return fields.documents.get(reader.text(fields.document), DocumentKind.OTHER)


def _level(claims: Claims, fields: CertificateFields) -> SkillLevel | None:
    """What cannot be read as a level is not known: nothing else about the certificate hangs on it."""
    found = value(claims, fields.level) if fields.level else None
    if isinstance(found, bool) or not isinstance(found, str | int):
        return None
    return fields.levels.get(str(found))


def value(claims: Claims, name: str) -> JsonValue:
    """A member by its name, or by its JSON pointer (RFC 6901); None where there is none."""
    if not name.startswith("/"):
        return claims.get(name)
    found: JsonValue = dict(claims)
    for token in name[1:].split("/"):
        part = token.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(part)
        elif isinstance(found, list) and part.isascii() and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads members one by one.

    Attributes:
        texts: whether a number is written as a text.
    """

    claims: Claims
    texts: bool = False

    def text(self, name: str) -> str:
        """A text of 1 to 200 characters without control characters."""
        found = value(self.claims, name)
        if not isinstance(found, str) or not found.strip() or len(found) > _LONGEST or _CONTROL.search(found):
            raise invalid("a text is missing, empty, too long or holds control characters")
        return found

    def optional(self, name: str) -> str:
        """A text as ``text``; empty where the form, or this certificate, has none."""
        found = value(self.claims, name) if name else None
        return "" if found is None or found == "" else self.text(name)

    def number(self, name: str) -> str:
        """A certificate's number."""
        found = self.text(name)
        if _NUMBER.fullmatch(found) is None:
            raise invalid("the number is longer than 64 or holds other than letters, digits and ()[]._/:#-")
        return found

    def revision(self, name: str) -> int:
        """The issuer's revision; 1 where it has none."""
        found = value(self.claims, name) if name else None
        if found is None and (not name or name.startswith("/") or name not in self.claims):
            return 1
        if self.texts and isinstance(found, str) and _DIGITS.fullmatch(found):
            found = int(found)
        if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= _MAX_REVISION:
            raise invalid("the revision is not an integer from 1")
        return found

    def minutes(self, name: str) -> int | None:
        """A whole number of minutes; None where the form has none, or this certificate leaves it out."""
        found = self._optional(name)
        if self.texts and isinstance(found, str) and _MINUTES.fullmatch(found):
            found = int(found)
        if found is None:
            return None
        if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= _MOST_MINUTES:
            raise invalid("the minutes of study are not a whole number from 0")
        return found

    def optional_moment(self, name: str, form: TimeFormat | None) -> datetime | None:
        """A time as ``moment`` reads it; None where the form has none, or this certificate leaves it out."""
        return None if form is None or self._optional(name) is None else self.moment(name, form)

    def _optional(self, name: str) -> JsonValue:
        """A member that may be left out; an empty text leaves it out too."""
        found = value(self.claims, name) if name else None
        return None if found == "" else found

    def moment(self, name: str, form: TimeFormat) -> datetime:
        """A time in exactly its declared format."""
        try:
            return parse_moment(value(self.claims, name), form)
        except ValueError:
            raise invalid("a time is missing or not of the declared format") from None


def invalid(detail: str) -> CertificateRejected:
    """Step 8 failed."""
    return CertificateRejected(Code.CERTIFICATE_CLAIMS_INVALID, 8, detail)

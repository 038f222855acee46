"""Its checks: what needs no database."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_BEIJING: Final = timezone(timedelta(hours=8))
FIRST, LAST = date(2021, 2, 1), date(2021, 12, 31)
PROOF: Final = "课程培训合格证明"
IN_SCOPE: Final = frozenset({"在岗", "at_post", "留岗", "就地过年", "在企休假", "调休不歇班"})


class Data(BaseModel):
    """The data of a completion."""

    certificate_number: str = Field(min_length=1, max_length=64)
    certificate: str = Field(max_length=16_384)


class Message(BaseModel):
    """A webhook's message."""

    type: str
    timestamp: AwareDatetime
    data: Data


class Claims(BaseModel):
    """The claims of a certificate."""

    model_config = ConfigDict(extra="ignore")

    iss: str
    certificate_number: str = Field(min_length=1, max_length=64)
    holder_name: str = Field(min_length=1, max_length=100)
    id_type: str
    id_number: str = Field(pattern=r"^[0-9]{17}[0-9X]$")
    course_code: str
    course_title: str
    training_organisation: str
    completed_at: AwareDatetime
    issued_at: AwareDatetime
    document_type: str
    revision: int = 1


class Row(BaseModel):
    """A roster's row."""

    id_number: str = Field(pattern=r"^[0-9]{17}[0-9X]$")
    uscc: str = Field(min_length=18, max_length=18)
    start: date
    category: str


@dataclass(frozen=True, slots=True)
class Keys:
    """Every key that it needs."""

    webhook_secret: str
    issuers: Mapping[str, Mapping[str, ec.EllipticCurvePublicKey]]
    index: bytes
    fields: bytes
    record: ec.EllipticCurvePrivateKey

    def index_of(self, id_number: str) -> bytes:
        """The keyed index of an id number."""
        return hmac.digest(self.index, id_number.encode(), "sha256")

    def seal(self, value: bytes, what: bytes) -> bytes:
        """Encrypt a personal column."""
        nonce = os.urandom(12)
        return nonce + AESGCM(self.fields).encrypt(nonce, value, what)


class Refused(Exception):
    """The delivery is authentic, and its completion is not taken."""


def certificate(token: str, keys: Keys) -> Claims:
    """Verify a certificate by its issuer's registered key, and read it."""
    unverified: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    by_kid = keys.issuers.get(str(unverified.get("iss")))
    key = by_kid.get(jwt.get_unverified_header(token).get("kid", "")) if by_kid else None
    if key is None:
        raise Refused("issuer_unknown")
    try:
        verified = jwt.decode(token, key, algorithms=["ES256"], options={"require": ["iss"]})
    except jwt.InvalidTokenError:
        raise Refused("certificate_invalid") from None
    claims = Claims.model_validate(verified)
    total = sum(int(digit) * weight for digit, weight in zip(claims.id_number[:17], _WEIGHTS, strict=True))
    if "10X98765432"[total % 11] != claims.id_number[17]:
        raise Refused("id_number_invalid")
    if claims.document_type != PROOF:
        raise Refused("document_refused")
    return claims


def reasons(day: date, employers: Sequence[str], *, taken: bool) -> tuple[str, list[dict[str, str]]]:
    """The clauses, one by one; the state that follows."""
    clauses = [
        ("course-proof", "met"),
        ("platform-recognised", "met"),
        ("within-period", "met" if FIRST <= day <= LAST else "not_met"),
        ("employed-by-claimant", "met" if len(employers) == 1 else "unknown"),
        ("category-in-scope", "met" if employers else "unknown"),
        ("one-month", "not_met" if taken else "met"),
    ]
    answers = {answer for _, answer in clauses}
    state = "refused" if "not_met" in answers else "pending" if "unknown" in answers else "granted"
    return state, [{"clause": clause, "answer": answer} for clause, answer in clauses]


def record(keys: Keys, state: str, clauses: Sequence[Mapping[str, str]], day: date, at: datetime) -> str:
    """The signed record of a decision."""
    claims = {
        "iss": "http://127.0.0.1",
        "iat": int(at.timestamp()),
        "result": state,
        "month": day.strftime("%Y-%m"),
        "clauses": list(clauses),
    }
    return jwt.encode(claims, keys.record, algorithm="ES256", headers={"kid": "record"})


def beijing(moment: datetime) -> date:
    """The day of a moment in Beijing."""
    return moment.astimezone(_BEIJING).date()


def digest(body: bytes) -> bytes:
    """Digest of a body."""
    return hashlib.sha256(body).digest()


def dumps(value: object) -> str:
    """A value as JSON text."""
    return json.dumps(value, ensure_ascii=False)

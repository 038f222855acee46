"""技能大师在线培训, simulated: xAPI statements that it signs, and Open Badges that it issues.

What proves the sender is an access token, which whoever posts the delivery has to get first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from verifier.cli.sandbox import SKM, SKM_ISSUER, Sandbox
from verifier.cli.simulator import Course, Delivery
from verifier.model.time import BEIJING
from verifier.signatures import jws

COMPLETED: Final = "http://adlnet.gov/expapi/verbs/completed"
VOIDED: Final = "http://adlnet.gov/expapi/verbs/voided"
CORRECTED: Final = "https://skill-master.invalid/xapi/verbs/corrected"
_EXTENSIONS: Final = "https://skill-master.invalid/xapi/extensions/"
_BADGE_CONTEXTS: Final = (
    "https://www.w3.org/ns/credentials/v2",
    "https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json",
)
_BOUNDARY: Final = "statements-and-signatures"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, and the JWS that is attached to it, if there is one."""

    members: Mapping[str, Any] = field(repr=False)
    signature: str = field(default="", repr=False)


class SkillMaster:
    """Sends as 技能大师在线培训 is assumed to."""

    slug = SKM
    issuer = SKM_ISSUER

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def completed(
        self, course: Course, statement_id: str, *, verb: str = COMPLETED, kid: str = "skm-2021"
    ) -> Statement:
        """A signed statement of a completion, or of a correction with ``CORRECTED``."""
        said = {
            "issuer": self.issuer,
            "certificate-number": course.number,
            "id-type": "居民身份证",
            "id-number": course.learner.id_number,
            "training-organisation": course.organisation,
            "completed-at": _moment(course.completed_at),
            "issued-at": _moment(course.issued_at),
            "document-type": course.document,
            "revision": course.revision,
        }
        plain = _statement(statement_id, course, verb, said)
        signature = jws.sign_compact(_json(plain), self._sandbox.certificate_keys[kid], typ="JWT")
        attachment = {
            "usageType": "http://adlnet.gov/expapi/attachments/signature",
            "display": {"zh-CN": "签名"},
            "contentType": "application/octet-stream",
            "length": len(signature),
            "sha2": hashlib.sha256(signature.encode()).hexdigest(),
        }
        return Statement({**plain, "attachments": [attachment]}, signature)

    def badge(self, course: Course, *, kid: str = "skm-2021") -> str:
        """An Open Badges credential as JWT; the course's number is its id, a URI."""
        subject = {
            "id": f"{self.issuer}:learner",
            "type": ["AchievementSubject"],
            "activityEndDate": _moment(course.completed_at),
            "identifier": [
                _identity("name", course.learner.name),
                _identity("nationalIdentityNumber", course.learner.id_number),
            ],
            "achievement": {
                "id": _activity(course),
                "type": ["Achievement"],
                "achievementType": "CertificateOfCompletion",
                "name": course.title,
                "description": course.title,
                "criteria": {"narrative": "学满学时并考试合格"},
            },
        }
        credential = {
            "@context": _BADGE_CONTEXTS,
            "id": course.number,
            "type": ["VerifiableCredential", "OpenBadgeCredential"],
            "issuer": {"id": self.issuer, "type": ["Profile"], "name": course.organisation},
            "validFrom": course.issued_at.astimezone(UTC).isoformat(timespec="seconds"),
            "credentialSubject": subject,
        }
        claims = {
            "iss": self.issuer,
            "sub": subject["id"],
            "jti": course.number,
            "nbf": int(course.issued_at.timestamp()),
        }
        return jws.sign_compact(
            _json({**credential, **claims}), self._sandbox.certificate_keys[kid], typ="JWT"
        )

    def badged(self, course: Course, statement_id: str, *, badge: str | None = None) -> Statement:
        """A statement of a completion that carries the badge."""
        return Statement(
            _statement(statement_id, course, COMPLETED, {"open-badge": badge or self.badge(course)})
        )

    def voided(self, number: str, reason: str, at: datetime, statement_id: str, voided_id: str) -> Statement:
        """A statement that voids another, and revokes its certificate."""
        said = {"issuer": self.issuer, "certificate-number": number, "reason": reason}
        return Statement(
            {
                "id": statement_id,
                "actor": _agent("系统", "system"),
                "verb": {"id": VOIDED},
                "object": {"objectType": "StatementRef", "id": voided_id},
                "context": {"extensions": _extensions(said)},
                "timestamp": _moment(at),
            }
        )

    def delivery(self, statements: Statement | Sequence[Statement], token: str) -> Delivery:
        """One statement or a batch, packed with the signatures, if there are any."""
        single = isinstance(statements, Statement)
        listed = [statements] if isinstance(statements, Statement) else list(statements)
        members = [one.members for one in listed]
        body, signatures = _json(members[0] if single else members), [one.signature for one in listed]
        content_type = "application/json"
        if any(signatures):
            body = _packed(body, [one.encode() for one in signatures if one])
            content_type = f"multipart/mixed; boundary={_BOUNDARY}"
        headers = {
            "Content-Type": content_type,
            "X-Experience-API-Version": "1.0.3",
            "Authorization": f"Bearer {token}",
        }
        return Delivery(self.slug, headers, body, rest="/statements")


def _statement(statement_id: str, course: Course, verb: str, extensions: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": statement_id,
        "actor": _agent(course.learner.name, course.number),
        "verb": {"id": verb},
        "object": {"id": _activity(course), "definition": {"name": {"zh-CN": course.title}}},
        "context": {"extensions": _extensions(extensions)},
        "timestamp": _moment(course.issued_at),
    }


def _activity(course: Course) -> str:
    return f"https://skill-master.invalid/courses/{course.code}"


def _agent(name: str, account: str) -> dict[str, Any]:
    return {"name": name, "account": {"homePage": "https://skill-master.invalid", "name": account}}


def _extensions(said: Mapping[str, Any]) -> dict[str, Any]:
    return {_EXTENSIONS + name: value for name, value in said.items()}


def _identity(kind: str, value: str) -> dict[str, Any]:
    return {"type": "IdentityObject", "identityType": kind, "identityHash": value, "hashed": False}


def _packed(statements: bytes, signatures: Sequence[bytes]) -> bytes:
    parts = [b"Content-Type: application/json\r\n\r\n" + statements]
    for signature in signatures:
        headers = (
            "Content-Type: application/octet-stream",
            "Content-Transfer-Encoding: binary",
            f"X-Experience-API-Hash: {hashlib.sha256(signature).hexdigest()}",
        )
        parts.append("\r\n".join([*headers, "", ""]).encode() + signature)
    delimiter = f"--{_BOUNDARY}".encode()
    return b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts) + delimiter + b"--\r\n"


def _moment(moment: datetime) -> str:
    return moment.astimezone(BEIJING).isoformat(timespec="seconds")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

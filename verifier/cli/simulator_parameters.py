"""就业创业和职业培训在线, simulated: a form, its parameters sorted, joined and signed by SM2."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from verifier.cli.sandbox import JC, JC_ISSUER, Sandbox
from verifier.cli.simulator import Course, Delivery
from verifier.model.time import BEIJING
from verifier.signatures import base64url


class EmploymentTraining:
    """Sends as 就业创业和职业培训在线 is assumed to: one event a delivery, as a form."""

    slug = JC
    issuer = JC_ISSUER

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def certificate(self, course: Course, *, kid: str = "jc-2021") -> dict[str, str]:
        """The qualification proof: the joined text that is signed, and its signature in hexadecimal."""
        content = _joined(
            {
                "cert_no": course.number,
                "cert_type": course.document,
                "course_code": course.code,
                "course_name": course.title,
                "finish_time": _spaced(course.completed_at),
                "id_no": course.learner.id_number,
                "id_type": "1",
                "issue_time": _spaced(course.issued_at),
                "issuer_id": self.issuer,
                "key_id": kid,
                "org_name": course.organisation,
                "revision": str(course.revision),
                "user_name": course.learner.name,
            }
        )
        signature = self._sandbox.sm2_keys[kid].sign(content)
        return {"cert_data": base64url.encode(content), "cert_sign": signature.hex()}

    def completed(
        self,
        course: Course,
        *,
        certificate: Mapping[str, str] | None = None,
        event: str = "TRAINING_FINISHED",
    ) -> dict[str, str]:
        """The message of a completion, or of a correction with ``TRAINING_CORRECTED``."""
        return {
            "event_type": event,
            "event_time": _spaced(course.issued_at),
            "cert_no": course.number,
            **(certificate or self.certificate(course)),
        }

    def revoked(self, number: str, reason: str, at: datetime) -> dict[str, str]:
        """The message of a revocation."""
        return {
            "event_type": "TRAINING_REVOKED",
            "event_time": _spaced(at),
            "issuer_id": self.issuer,
            "cert_no": number,
            "reason": reason,
        }

    def delivery(self, message: Mapping[str, str], delivery_id: str, at: datetime) -> Delivery:
        """Sign a message. Signed again later it has the same body, and another query."""
        parameters = {**message, "notify_id": delivery_id}
        query = {
            "app_id": "jc-sm2",
            "nonce": f"{at.timestamp():.6f}",
            "sign_type": "SM3withSM2",
            "timestamp": at.astimezone(BEIJING).strftime("%Y%m%d%H%M%S"),
        }
        signature = self._sandbox.sm2_keys["jc-sm2"].sign(_joined(parameters | query))
        r, s = decode_dss_signature(signature)
        return Delivery(
            self.slug,
            {"Content-Type": "application/x-www-form-urlencoded"},
            urlencode(parameters).encode("ascii"),
            query=urlencode({**query, "sign": f"{r:064x}{s:064x}"}),
        )


def _joined(parameters: Mapping[str, str]) -> bytes:
    return "&".join(f"{name}={parameters[name]}" for name in sorted(parameters)).encode()


def _spaced(moment: datetime) -> str:
    return moment.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")

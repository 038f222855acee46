"""人力资源社会保障部培训网, simulated: JSON with a raw RSA signature in the query, certificates as PDFs."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from verifier.cli import pdf_writer
from verifier.cli.sandbox import MPX, MPX_ISSUER, MPX_USER, Sandbox
from verifier.cli.simulator import Course, Delivery
from verifier.model.time import BEIJING
from verifier.signatures import cms, raw_rsa


class MohrssTraining:
    """Sends as 人力资源社会保障部培训网 is assumed to: batches of lists, each named by what it holds."""

    slug = MPX
    issuer = MPX_ISSUER

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def certificate(self, course: Course, *, kid: str = "mpx-2021") -> bytes:
        """The qualification proof: a PDF that its signer has signed inside."""
        values = {
            "issuerId": self.issuer,
            "certNo": course.number,
            "name": course.learner.name,
            "idType": "居民身份证",
            "idNo": course.learner.id_number,
            "courseCode": course.code,
            "courseName": course.title,
            "orgName": course.organisation,
            "completeTime": _spaced(course.completed_at),
            "issueTime": _spaced(course.issued_at),
            "certType": course.document,
            "version": str(course.revision),
        }
        chain, private = self._sandbox.chains[kid], self._private(kid)
        return pdf_writer.write(
            values,
            signed_at=course.issued_at,
            sign=lambda content: cms.sign_detached(content, private, chain),
        )

    def uploaded(self, course: Course, certificate: bytes) -> dict[str, Any]:
        """An element of ``fileList``."""
        return {
            "fileId": file_id(course),
            "fileName": f"{course.number}.pdf",
            "content": base64.b64encode(certificate).decode("ascii"),
        }

    def completed(
        self, course: Course, item: str, certificate: bytes, *, kid: str = "mpx-2021"
    ) -> dict[str, Any]:
        """An element of ``graduationList``, or of ``amendList``: it names the file and signs all of it."""
        signature = self._private(kid).sign(certificate, ec.ECDSA(hashes.SHA256()))
        return {
            "itemId": item,
            "eventTime": _milliseconds(course.issued_at),
            "certNo": course.number,
            "fileId": file_id(course),
            "esign": base64.b64encode(signature).decode("ascii"),
        }

    def revoked(self, number: str, reason: str, at: datetime, item: str) -> dict[str, Any]:
        """An element of ``cancelList``."""
        return {
            "itemId": item,
            "eventTime": _milliseconds(at),
            "issuerId": self.issuer,
            "certNo": number,
            "reason": reason,
        }

    def delivery(
        self,
        lists: Mapping[str, Sequence[Mapping[str, Any]]],
        delivery_id: str,
        at: datetime,
        sequence: int | None = None,
    ) -> Delivery:
        """Sign a batch.

        Args:
            lists: its items by the names of their lists, as ``{"graduationList": [...]}``.
            delivery_id: its id.
            at: when it is sent.
            sequence: its running number, if it has one.
        """
        message = {"batchNo": delivery_id, "sendTime": _milliseconds(at), **lists}
        message |= {} if sequence is None else {"seq": sequence}
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        stamp = str(_milliseconds(at))
        signature = raw_rsa.sign(body=body, timestamp=stamp, private_key=self._sandbox.raw_rsa_key)
        query = urlencode({"v": "1.0.0.e1", "ts": stamp, "sign": signature, "user": MPX_USER})
        return Delivery(self.slug, {"Content-Type": "application/json"}, body, query=query)

    def _private(self, kid: str) -> ec.EllipticCurvePrivateKey:
        private = self._sandbox.certificate_keys[kid].private
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        return private


def file_id(course: Course) -> str:
    """Under which id the file of a certificate is uploaded: never again under the same for another."""
    return f"F-{course.number}-{course.revision}"


def _spaced(moment: datetime) -> str:
    return moment.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)

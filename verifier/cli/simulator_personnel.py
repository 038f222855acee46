"""中国国家人事人才培训网, simulated: XML in GB 18030, signed as a whole; certificates signed as CMS."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from verifier.cli.sandbox import NPT, NPT_ISSUER, Sandbox
from verifier.cli.simulator import Course, Delivery
from verifier.model.time import BEIJING
from verifier.signatures import cms, xmldsig

_DECLARATION: Final = '<?xml version="1.0" encoding="GB18030"?>'


class NationalPersonnel:
    """Sends as 中国国家人事人才培训网 is assumed to: batches of items, each a mapping of element to text."""

    slug = NPT
    issuer = NPT_ISSUER

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def certificate(self, course: Course, *, kid: str = "npt-2021") -> dict[str, str]:
        """The qualification proof: the document that is signed, and its detached CMS signature."""
        claims = {
            "FZJG": self.issuer,
            "ZSBH": course.number,
            "AAC003": course.learner.name,
            "AAC058": "01",
            "AAC044": course.learner.id_number,
            "KCDM": course.code,
            "KCMC": course.title,
            "PXJGMC": course.organisation,
            "JYSJ": _stamp(course.completed_at),
            "FZSJ": _stamp(course.issued_at),
            "ZSLX": course.document,
            "BBH": str(course.revision),
        }
        content = (_DECLARATION + _element("CERT", _elements(claims))).encode("gb18030")
        private = self._sandbox.certificate_keys[kid].private
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        signature = cms.sign_detached(content, private, self._sandbox.chains[kid])
        return {
            name: base64.b64encode(data).decode() for name, data in (("CERT", content), ("P7S", signature))
        }

    def completed(
        self, course: Course, item: str, *, certificate: Mapping[str, str] | None = None, event: str = "JY"
    ) -> dict[str, str]:
        """The item of a completion, or of a correction with ``GZ``."""
        return {
            "ITEMID": item,
            "EVENT": event,
            "EVENTTIME": _stamp(course.issued_at),
            "ZSBH": course.number,
            **(certificate or self.certificate(course)),
        }

    def revoked(self, number: str, reason: str, at: datetime, item: str) -> dict[str, str]:
        """The item of a revocation."""
        return {
            "ITEMID": item,
            "EVENT": "CX",
            "EVENTTIME": _stamp(at),
            "FZJG": self.issuer,
            "ZSBH": number,
            "REASON": reason,
        }

    def delivery(self, items: Sequence[Mapping[str, str]], delivery_id: str, at: datetime) -> Delivery:
        """Sign a batch."""
        key = self._sandbox.document_key
        head = _elements({"MSGID": delivery_id, "KEYID": key.kid, "SENDTIME": _stamp(at)})
        batch = _element("ITEMS", "".join(_element("ITEM", _elements(item)) for item in items))
        signed = xmldsig.sign_enveloped(_element("MESSAGE", head + batch).encode(), key)
        headers = {"Content-Type": "application/xml; charset=gb18030"}
        return Delivery(self.slug, headers, (_DECLARATION + signed).encode("gb18030"))


def _stamp(moment: datetime) -> str:
    return moment.astimezone(BEIJING).strftime("%Y%m%d%H%M%S")


def _element(name: str, inside: str) -> str:
    return f"<{name}>{inside}</{name}>"


def _elements(texts: Mapping[str, str]) -> str:
    return "".join(_element(name, html.escape(text, quote=False)) for name, text in texts.items())

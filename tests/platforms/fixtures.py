"""The fixtures of every platform: ``<slug>/<name>.json`` and, beside it, ``<name>.expected.json``.

In a payload ``{"sign": {…claims…}}`` stands for a certificate: it is signed when the test runs, with a fresh
key, as the platform signs. What is expected is the whole normalised output, certificates by our own names.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.platforms.senders import Profile
from verifier import certificates
from verifier.certificates import reading
from verifier.model.certificate import CertificateFields, DocumentKind, SignedCertificate
from verifier.model.delivery import AuthenticatedCallback, Event, UnreadableItem
from verifier.model.time import TimeFormat, iso, parse_moment

ROOT: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Fixture:
    slug: str
    name: str
    payload: Any
    expected: Any

    @property
    def delivery_id(self) -> str:
        value = self.expected["delivery_id"]
        assert isinstance(value, str)
        return value

    def body(self, profile: Profile) -> bytes:
        """The delivery's body, its certificates signed."""
        return profile.render(signed(self.payload, profile))


def payload_files(slug: str) -> list[Path]:
    return sorted(p for p in (ROOT / slug).glob("*.json") if not p.name.endswith(".expected.json"))


def expected_file(payload: Path) -> Path:
    return payload.with_name(f"{payload.stem}.expected.json")


def load(slug: str) -> list[Fixture]:
    return [Fixture(slug, path.stem, _read(path), _read(expected_file(path))) for path in payload_files(slug)]


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def signed(value: Any, profile: Profile) -> Any:
    """A payload with a certificate wherever it asks for one."""
    if isinstance(value, list):
        return [signed(element, profile) for element in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"sign"}:
        return profile.certify(value["sign"])
    return {name: signed(member, profile) for name, member in value.items()}


def normalised(authenticated: AuthenticatedCallback, items: Sequence[Event | UnreadableItem]) -> Any:
    """All that an adapter made of a delivery, in the form of the ``.expected.json`` files."""
    return {"delivery_id": authenticated.delivery_id, "items": [_item(item) for item in items]}


def _item(item: Event | UnreadableItem) -> Any:
    values = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    if isinstance(item, Event):
        # Few profiles have them: they stand in the expectation only where there is one.
        document, own_id = values.pop("document"), values.pop("own_id")
        values |= {"document": document.document_id} if document else {}
        values |= {"own_id": own_id.value} if own_id else {}
        values["certificate"] = None if item.certificate is None else certificate(item.certificate)
        values["occurred_at"] = None if item.occurred_at is None else iso(item.occurred_at)
    return json.loads(json.dumps(values))


def certificate(signed_certificate: SignedCertificate) -> Any:
    if not signed_certificate.content:
        return {"kind": signed_certificate.kind, "document": signed_certificate.document}
    claims, table = (
        certificates.FORMS[signed_certificate.kind](signed_certificate).claims,
        signed_certificate.fields,
    )
    said: dict[str, Any] = {
        name: _value(claims, place)
        for name in _MEMBERS
        if (place := getattr(table, name)) or name not in _FEW
    }
    said["completed_at"] = _moment(said["completed_at"], table.completed_format)
    said["issued_at"] = _moment(said["issued_at"], table.issued_format)
    said["document"] = table.documents.get(said["document"], DocumentKind.OTHER)
    if said["id_country"] is None:
        del said["id_country"]
    said["id_kind"] = table.id_kinds.get(said["id_kind"], said["id_kind"])
    return {"kind": signed_certificate.kind, **said, "revision": int(said["revision"] or 1)}


def _value(claims: Any, name: str) -> Any:
    return reading.value(claims, name) if name else None


def _moment(value: object, form: TimeFormat) -> str:
    return iso(parse_moment(value, form))


_MEMBERS: Final = [
    field.name
    for field in dataclasses.fields(CertificateFields)
    if field.name
    not in {"completed_format", "issued_format", "documents", "id_kinds", "levels", "started_format"}
]
_FEW: Final = {"level", "started_at", "study_minutes"}
"""What few forms have stands in the expectation only where there is one."""

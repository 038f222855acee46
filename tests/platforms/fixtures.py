"""The fixtures of every platform: ``<slug>/<name>.json`` and, beside it, ``<name>.expected.json``.

In a payload ``{"sign": {…claims…}}`` stands for a certificate: it is signed when the test runs, with a fresh
key. What is expected is the whole normalised output, certificates by our own names.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from verifier.model.certificate import CertificateFields, DocumentKind, SignedCertificate
from verifier.model.delivery import AuthenticatedCallback, Event, UnreadableItem
from verifier.model.time import TimeFormat, iso, parse_moment

ROOT: Final = Path(__file__).parent
KID: Final = "certificates-2021"


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

    def body(self, key: Ed25519PrivateKey) -> bytes:
        """The delivery's body, its certificates signed."""
        return encode(signed(self.payload, key))


def payload_files(slug: str) -> list[Path]:
    return sorted(p for p in (ROOT / slug).glob("*.json") if not p.name.endswith(".expected.json"))


def expected_file(payload: Path) -> Path:
    return payload.with_name(f"{payload.stem}.expected.json")


def load(slug: str) -> list[Fixture]:
    return [Fixture(slug, path.stem, _read(path), _read(expected_file(path))) for path in payload_files(slug)]


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8")


def signed(value: Any, key: Ed25519PrivateKey) -> Any:
    """A payload with a compact JWS wherever it asks for one."""
    if isinstance(value, list):
        return [signed(element, key) for element in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"sign"}:
        return certificate(value["sign"], key)
    return {name: signed(member, key) for name, member in value.items()}


def certificate(claims: Any, key: Ed25519PrivateKey, *, kid: str = KID) -> str:
    """A compact JWS over claims, by EdDSA (RFC 7515, RFC 8037)."""
    header = {"alg": "EdDSA", "kid": kid, "typ": "JWT"}
    parts = [_base64url(encode(header)), _base64url(encode(claims))]
    signature = key.sign(".".join(parts).encode("ascii"))
    return ".".join([*parts, _base64url(signature)])


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def claims_of(token: str) -> Any:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def normalised(authenticated: AuthenticatedCallback, items: Sequence[Event | UnreadableItem]) -> Any:
    """All that an adapter made of a delivery, in the form of the ``.expected.json`` files."""
    return {"delivery_id": authenticated.delivery_id, "items": [_item(item) for item in items]}


def _item(item: Event | UnreadableItem) -> Any:
    values = {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    if isinstance(item, Event):
        values["certificate"] = None if item.certificate is None else _certificate(item.certificate)
        values["occurred_at"] = None if item.occurred_at is None else iso(item.occurred_at)
    return json.loads(json.dumps(values))


def _certificate(signed_certificate: SignedCertificate) -> Any:
    claims, table = claims_of(signed_certificate.token), signed_certificate.fields
    said = {name: claims.get(getattr(table, name)) for name in _MEMBERS}
    said["completed_at"] = _moment(said["completed_at"], table.completed_format)
    said["issued_at"] = _moment(said["issued_at"], table.issued_format)
    said["document"] = table.documents.get(said["document"], DocumentKind.OTHER)
    said["id_kind"] = table.id_kinds.get(said["id_kind"], said["id_kind"])
    return {"kind": signed_certificate.kind, **said, "revision": said["revision"] or 1}


def _moment(value: object, form: TimeFormat) -> str:
    return iso(parse_moment(value, form))


_MEMBERS: Final = [
    field.name
    for field in dataclasses.fields(CertificateFields)
    if field.name not in {"completed_format", "issued_format", "documents", "id_kinds"}
]

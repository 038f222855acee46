"""就业创业和职业培训在线: an **assumed profile**.

No interface, signature scheme or certificate format of this platform is published. This profile assumes what
commercial open platforms in China do: one event a delivery as a form, its parameters sorted, joined and
signed by SM3withSM2, HMAC-SHA256 or, where the register calls a key legacy, MD5; the certificate is a joined
text of its own, signed by SM2; and the delivery is sent again until the literal ``SUCCESS`` comes back. A
real format replaces these tables. The page for senders is ``docs/platforms/employment_training.md``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal
from urllib.parse import quote, urlencode

from verifier.errors import CATALOGUE, AdapterError, Code, ConfigurationError, SignatureRejected
from verifier.model import envelope, fields
from verifier.model.certificate import (
    CertificateFields,
    CertificateKind,
    DocumentKind,
    SignedCertificate,
)
from verifier.model.delivery import (
    Accepts,
    Acknowledgment,
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    DeliveryOutcome,
    Event,
    EventKind,
    PlatformSlug,
    UnreadableItem,
)
from verifier.model.fields import IDENTIFIER, EventFields, MomentField, TextField
from verifier.model.time import TimeFormat
from verifier.ports.importing import ImportBody, ImportForm
from verifier.signatures import base64url, sorted_parameters
from verifier.signatures.documents import json_object
from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.signatures.sm2 import Sm2PublicKey
from verifier.signatures.sorted_parameters import Canonical, Keyed, Parameters, Signed, form_parameters
from verifier.signatures.steps import Step
from verifier.signatures.transport import TransportKey

TOLERANCE_SECONDS: Final = 300
"""As such platforms commonly have it."""

# What changes with every attempt stands in the query, what happened in the body: so a delivery that is sent
# again has the same body, byte for byte, though it is signed anew.
APP_ID: Final = "app_id"
SIGN_TYPE: Final = "sign_type"
TIMESTAMP: Final = "timestamp"
NONCE: Final = "nonce"
SIGN: Final = "sign"
QUERY: Final = frozenset({APP_ID, SIGN_TYPE, TIMESTAMP, NONCE, SIGN})
# The platform's id of the delivery: signed, and the same whenever it is sent again. The nonce is not.
NOTIFY_ID: Final = "notify_id"
_NOTIFY_ID_FORM: Final = re.compile(r"[A-Za-z0-9_\-.]{1,128}")

EVENTS: Final[Mapping[str, EventKind]] = {
    "TRAINING_FINISHED": EventKind.COMPLETED,
    "TRAINING_CORRECTED": EventKind.CORRECTED,
    "TRAINING_REVOKED": EventKind.REVOKED,
}
EVENT_TYPE: Final = TextField("event_type", 64)
# When it happened; ``timestamp`` is when it was sent.
OCCURRED_AT: Final = MomentField("event_time", TimeFormat.SPACED_BEIJING)
ITEM: Final = "0"
"""A delivery holds one event; its name is its position."""

CERTIFICATE_FIELDS: Final = CertificateFields(
    issuer="issuer_id",
    number="cert_no",
    holder_name="user_name",
    id_kind="id_type",
    id_number="id_no",
    course_code="course_code",
    course_title="course_name",
    organisation="org_name",
    completed_at="finish_time",
    issued_at="issue_time",
    document="cert_type",
    revision="revision",
    completed_format=TimeFormat.SPACED_BEIJING,
    issued_format=TimeFormat.SPACED_BEIJING,
    documents={
        "课程培训合格证明": DocumentKind.COURSE_PROOF,
        "职业技能等级证书": DocumentKind.SKILL_LEVEL,
    },
    id_kinds={"1": "resident_id"},
)
FIELDS: Final = EventFields(
    certificate=TextField("cert_data", 11_264),
    certificate_fields=CERTIFICATE_FIELDS,
    stated={
        "number": TextField("cert_no", 64, required=False),
        "holder_name": TextField("user_name", 100, required=False),
        "id_number": TextField("id_no", 64, required=False),
    },
    issuer=TextField("issuer_id", 256, form=IDENTIFIER),
    number=TextField("cert_no", 64, form=IDENTIFIER),
    reason=TextField("reason", 500),
    kind=CertificateKind.CANONICAL,
)
# Base64's padding would be a "=" within a value. Hexadecimal digits have none.
CERTIFICATE_SIGNATURE: Final = TextField("cert_sign", 2048)
CERTIFICATE_CHAIN: Final = TextField("cert_chain", 32_768, required=False)

CANONICAL: Final = Canonical(
    names=QUERY | {NOTIFY_ID},
    required=frozenset({APP_ID, SIGN_TYPE, NONCE, NOTIFY_ID}),
    time_name=TIMESTAMP,
    time_format=TimeFormat.COMPACT_BEIJING,
    excluded=frozenset({SIGN}),
    # Were they dropped, anybody could add some to what is signed.
    drop_empty=False,
)
"""With the names that a delivery has besides: what a later version adds is signed like everything else."""
IMPORT_COLUMNS: Final[Mapping[str, str]] = {
    name: f"/{name}"
    for name in (
        EVENT_TYPE.member,
        OCCURRED_AT.member,
        FIELDS.certificate.member,
        CERTIFICATE_SIGNATURE.member,
        CERTIFICATE_CHAIN.member,
        *("cert_no", "user_name", "id_no", "issuer_id", "reason"),
    )
}


def _import_body(item: bytes, _name: str) -> ImportBody:
    """The form of a delivery, from an object of its parameters."""
    parameters = json_object(item)
    if not all(isinstance(value, str) for value in parameters.values()):
        raise AdapterError(Code.FIELD_INVALID, "a parameter of a form is a text")
    body = urlencode(list(parameters.items()), quote_via=quote, safe="")
    return ImportBody("application/x-www-form-urlencoded", body.encode("ascii"))


class EmploymentTraining:
    """就业创业和职业培训在线 (jc.mohrss.gov.cn)."""

    slug: PlatformSlug = PlatformSlug("employment_training")
    name: str = "就业创业和职业培训在线"
    profile: Literal["assumed", "confirmed"] = "assumed"
    accepts: Accepts = Accepts(frozenset({"application/x-www-form-urlencoded"}), body_bytes=131_072)
    importing: ImportForm | None = ImportForm(
        _import_body, IMPORT_COLUMNS, frozenset({EVENT_TYPE.member, OCCURRED_AT.member})
    )

    def authenticate(
        self, callback: Callback, keys: Sequence[TransportKey], now: datetime
    ) -> AuthenticatedCallback:
        """Verify the signature over query and body, by the one scheme that the key is registered for.

        Raises:
            SignatureRejected: for whatever reason that is the sender's.
            ConfigurationError: ``configuration_invalid``: an SM2 key, and libcrypto has no SM2.
        """
        query = _query(callback.query)
        key = next((key for key in keys if key.key_id == query[APP_ID] and key.valid_at(now)), None)
        if key is None:
            raise SignatureRejected(Step.NO_KEY)
        signed = _verify([*query.items(), *form_parameters(callback.body)], query, key, now)
        notify_id = signed.parameters[NOTIFY_ID]
        if _NOTIFY_ID_FORM.fullmatch(notify_id) is None:
            raise SignatureRejected(Step.MALFORMED)
        return AuthenticatedCallback(callback, DeliveryId(notify_id), key.key_id, signed.signed_at)

    def parse(self, authenticated: AuthenticatedCallback) -> tuple[Event | UnreadableItem, ...]:
        """Read the one event.

        Raises:
            AdapterError: the body is no form, a parameter is doubled, or there is no ``event_type``.
        """
        try:
            message = _form(authenticated.callback.body)
            word = fields.text(message, EVENT_TYPE, "")
        except AdapterError as error:
            raise fields.whole(error) from None
        try:
            return (_event(EVENTS.get(word, EventKind.UNKNOWN), message),)
        except AdapterError as error:
            return (UnreadableItem(ITEM, error.code, error.pointer),)

    def acknowledge(self, outcome: DeliveryOutcome) -> Acknowledgment:
        """``SUCCESS``, or why the delivery failed."""
        status, code = envelope.result(outcome, single=True)
        return _answer(status, code)

    def refuse(self, code: Code) -> Acknowledgment:
        """The answer to a request of which nothing was kept."""
        return _answer(envelope.status(code), code)


def _query(query: str) -> Mapping[str, str]:
    """The five parameters of the query. What cannot be a byte of one is malformed as "?" too."""
    pairs = form_parameters(query.encode("utf-8", "replace"))
    found = dict(pairs)
    if len(pairs) != len(found) or found.keys() != QUERY:
        raise SignatureRejected(Step.MALFORMED)
    return found


def _verify(parameters: Parameters, query: Mapping[str, str], key: TransportKey, now: datetime) -> Signed:
    """The parameters, if the key signed them. ``sign_type`` only repeats what the register says of it."""
    try:
        canonical = replace(CANONICAL, names=CANONICAL.names | {name for name, _ in parameters})
    except ConfigurationError as error:
        raise SignatureRejected(Step.MALFORMED) from error
    if key.secret is not None:
        scheme = Keyed.MD5 if key.legacy == Keyed.MD5 else Keyed.HMAC_SHA256
        _check_sign_type(query, scheme)
        return sorted_parameters.verify_keyed(
            canonical,
            parameters,
            query[SIGN],
            secret=key.secret,
            scheme=scheme,
            now=now,
            tolerance_seconds=TOLERANCE_SECONDS,
        )
    if not isinstance(key.public_key, Sm2PublicKey):
        raise SignatureRejected(Step.NO_KEY)
    _check_sign_type(query, Algorithm.SM2)
    return sorted_parameters.verify_public(
        canonical,
        parameters,
        query[SIGN],
        key=VerificationKey(key.key_id, Algorithm.SM2, key.public_key),
        encoding=key.encoding,
        now=now,
        tolerance_seconds=TOLERANCE_SECONDS,
    )


def _check_sign_type(query: Mapping[str, str], registered: str) -> None:
    if query[SIGN_TYPE] != registered:
        raise SignatureRejected(Step.ALGORITHM)


def _form(body: bytes) -> Mapping[str, str]:
    try:
        pairs = form_parameters(body)
    except SignatureRejected:
        raise AdapterError(detail="the body is no form") from None
    found = dict(pairs)
    if len(found) != len(pairs):
        raise AdapterError(detail="a parameter is doubled")
    return found


def _event(kind: EventKind, message: Mapping[str, str]) -> Event:
    occurred_at = fields.moment(message, OCCURRED_AT, "")
    own = {NOTIFY_ID, OCCURRED_AT.member, *fields.known(kind, FIELDS)}
    if kind is not EventKind.UNKNOWN:
        own.add(EVENT_TYPE.member)
    if kind in {EventKind.COMPLETED, EventKind.CORRECTED}:
        own |= {CERTIFICATE_SIGNATURE.member, CERTIFICATE_CHAIN.member}
    extra = fields.unknown(message, own, None, ())
    event = fields.event(kind, ITEM, message, FIELDS, "", occurred_at=occurred_at, extra=extra)
    if event.certificate is None:
        return event
    return replace(event, certificate=_certificate(message))


def _certificate(message: Mapping[str, str]) -> SignedCertificate:
    chain = fields.text(message, CERTIFICATE_CHAIN, "")
    return SignedCertificate(
        CertificateKind.CANONICAL,
        _decoded(fields.text(message, FIELDS.certificate, ""), FIELDS.certificate),
        CERTIFICATE_FIELDS,
        signature=fields.text(message, CERTIFICATE_SIGNATURE, ""),
        chain=tuple(
            base64.b64encode(_decoded(one, CERTIFICATE_CHAIN)).decode("ascii")
            for one in (chain.split(",") if chain else ())
        ),
    )


def _decoded(text: str, field: TextField) -> bytes:
    try:
        return base64url.decode(text)
    except ValueError:
        raise AdapterError(
            Code.FIELD_INVALID, "not base64url without padding", pointer=f"/{field.member}"
        ) from None


def _answer(status: int, code: Code | None) -> Acknowledgment:
    """One line: the platform compares it with ``SUCCESS``, and shows any other to its own people."""
    text = "SUCCESS" if code is None else f"FAIL:{code.value} {CATALOGUE[code].zh}"
    return Acknowledgment(status, "text/plain; charset=utf-8", text.encode())

"""人力资源社会保障部培训网: an **assumed profile**.

No interface, signature scheme or certificate format of this platform is published. This profile assumes what
two regulators in China ask of training platforms: batches as JSON with times in epoch milliseconds, whose
root keys say what they hold, answered by ``{"c":0,"msg":…,"ctt":[]}`` in HTTP 200; proven either by a raw RSA
signature in the query (driver-training hours) or by a secret in the body (Shanghai's online training). The
certificate is a signed PDF that is uploaded before or after the record which names it, with a detached
e-signature over the file. A real format replaces these tables. The page for senders is
``docs/platforms/mohrss_training.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from adapters.mohrss_training import answers, message, proof
from verifier.errors import Code
from verifier.model.delivery import (
    Accepts,
    Acknowledgment,
    AuthenticatedCallback,
    Callback,
    DeliveryOutcome,
    Event,
    PlatformSlug,
    UnreadableItem,
)
from verifier.ports.importing import ImportBody, ImportForm
from verifier.signatures.transport import TransportKey

EVENTS: Final = message.EVENTS
OCCURRED_AT: Final = message.OCCURRED_AT
FIELDS: Final = message.FIELDS
MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""A PDF of 4 MiB is 5.6 MB in base64."""


def _import_body(item: bytes, _name: str) -> ImportBody:
    """A batch as it is: its root keys alone say what its items are, and it may bring the files they name."""
    return ImportBody("application/json", item)


class MohrssTraining:
    """人力资源社会保障部培训网."""

    slug: PlatformSlug = PlatformSlug("mohrss_training")
    name: str = "人力资源社会保障部培训网"
    profile: Literal["assumed", "confirmed"] = "assumed"
    accepts: Accepts = Accepts(frozenset({"application/json"}), body_bytes=MAX_BODY_BYTES, confined=True)
    # No columns: a PDF fits into no cell.
    importing: ImportForm | None = ImportForm(_import_body)

    def authenticate(
        self, callback: Callback, keys: Sequence[TransportKey], now: datetime
    ) -> AuthenticatedCallback:
        """Verify the signature that the query brings; without a query, the secret that the body holds.

        Each registered key proves deliveries in its own way only: leaving the query away gains nobody
        anything, as it takes a secret that is registered.

        Raises:
            SignatureRejected: for whatever reason.
        """
        prove = proof.by_signature if callback.query else proof.by_secret
        key_id, at = prove(callback, keys, now)
        known = message.identity(callback.body)
        return AuthenticatedCallback(callback, known.batch_id, key_id, at, known.sequence, known.content)

    def parse(self, authenticated: AuthenticatedCallback) -> tuple[Event | UnreadableItem, ...]:
        """Read the batch, item by item, in the order of the message.

        Raises:
            AdapterError: it cannot be read as a whole.
        """
        return message.read(authenticated.callback.body)

    def acknowledge(self, outcome: DeliveryOutcome) -> Acknowledgment:
        """The answer to a batch, item by item; HTTP 200 whatever came of it."""
        return answers.acknowledgment(outcome)

    def refuse(self, code: Code) -> Acknowledgment:
        """The answer to a request of which nothing was kept."""
        return answers.refusal(code)

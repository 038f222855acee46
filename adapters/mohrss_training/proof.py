"""Who sent a request: by the signature in its query, or by the secret in its body."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from verifier.errors import AdapterError, SignatureRejected
from verifier.model import fields
from verifier.model.delivery import Callback
from verifier.model.fields import MomentField, TextField
from verifier.model.time import TimeFormat
from verifier.signatures import freshness, hmac, raw_rsa
from verifier.signatures.documents import json_object
from verifier.signatures.sorted_parameters import form_parameters
from verifier.signatures.steps import Step
from verifier.signatures.transport import TransportKey

# The query of a signed request; ``user`` is the serial number of the certificate, which is the key's id.
VERSION: Final = "v"
TIMESTAMP: Final = "ts"
SIGNATURE: Final = "sign"
USER: Final = "user"
QUERY: Final = frozenset({VERSION, TIMESTAMP, SIGNATURE, USER})
SPOKEN_VERSION: Final = "1.0.0.e1"
RAW_RSA: Final = "raw-RSA"
TOLERANCE_SECONDS: Final = 300
# Where the secret stands in the body, nothing is signed: whoever has it writes any time. The window only ends
# the repetition of what somebody overheard.
SECRET: Final = TextField("privateKey", 256)
SENT_AT: Final = MomentField("sendTime", TimeFormat.EPOCH_MILLISECONDS)


def by_signature(callback: Callback, keys: Sequence[TransportKey], now: datetime) -> tuple[str, datetime]:
    """The id of the key that signed, and when.

    Raises:
        SignatureRejected: for whatever reason.
    """
    try:
        pairs = form_parameters(callback.query.encode("ascii"))
    except UnicodeEncodeError:
        raise SignatureRejected(Step.MALFORMED) from None
    query = dict(pairs)
    # Nothing else may stand there: the signature covers the body and the time alone.
    if len(pairs) != len(QUERY) or query.keys() != QUERY or query[VERSION] != SPOKEN_VERSION:
        raise SignatureRejected(Step.MALFORMED)
    for key in keys:
        named = key.key_id == query[USER] and key.algorithm == RAW_RSA and key.valid_at(now)
        if named and isinstance(key.public_key, RSAPublicKey):
            return key.key_id, raw_rsa.verify(
                body=callback.body,
                timestamp=query[TIMESTAMP],
                signature_hex=query[SIGNATURE],
                public_key=key.public_key,
                now=now,
                tolerance_seconds=TOLERANCE_SECONDS,
            )
    raise SignatureRejected(Step.NO_KEY)


def by_secret(callback: Callback, keys: Sequence[TransportKey], now: datetime) -> tuple[str, datetime]:
    """The id of the key whose secret the body holds, and when it says it was sent.

    Raises:
        SignatureRejected: for whatever reason.
    """
    usable = [(key.key_id, key.secret) for key in keys if key.secret and key.valid_at(now)]
    if not usable:
        raise SignatureRejected(Step.NO_KEY)
    try:
        message = json_object(callback.body)
        given = fields.text(message, SECRET, "").encode()
        sent_at = fields.moment(message, SENT_AT, "")
    except AdapterError:
        raise SignatureRejected(Step.MALFORMED) from None
    # Compared with every one, so that the time taken does not say which was nearly right.
    held = [key_id for key_id, secret in usable if hmac.equal(secret, given)]
    if not held:
        raise SignatureRejected(Step.SIGNATURE)
    freshness.check(sent_at, now=now, tolerance_seconds=TOLERANCE_SECONDS)
    return held[0], sent_at

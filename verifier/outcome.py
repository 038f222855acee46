"""The signed outcome of a correction, objection or appeal, and what the ledger says of it. Pure.

A compact JWS of the record key with a type of its own, so that nobody takes it for a record. It holds no
personal data: what was answered is a salted digest (``verifier.objections``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

TYP: Final = "objection-outcome+jwt"
KIND: Final = "objection"
"""Of the outbox item, of the ledger entry and of the stored statement."""

_SAID: Final = ("number", "topic", "about", "outcome", "decided_at", "text_sha256")
_ENTERED: Final = ("number", "of", "topic", "outcome", "decided_at")


def claims(
    body: Mapping[str, Any], *, statement_id: str, issuer: str, origin: str, position: int, at: datetime
) -> dict[str, Any]:
    """What is signed.

    Args:
        body: of the outbox item, as ``verifier.objections`` announced it.
        statement_id: random id.
        issuer: our ``iss``.
        origin: the ledger's name.
        position: the index that the entry will have.
        at: moment of signing, aware UTC.
    """
    return {
        "iss": issuer,
        "iat": int(at.timestamp()),
        "jti": statement_id,
        "kind": body["of"],
        **{name: body[name] or None for name in _SAID},
        "log": {"origin": origin, "index": position},
    }


def entry(body: Mapping[str, Any], signing_input_digest: bytes) -> dict[str, Any]:
    """What the ledger says of it."""
    return {
        **{name: body[name] for name in _ENTERED},
        "office": body["office"] or None,
        "signing_input_sha256": signing_input_digest.hex(),
    }

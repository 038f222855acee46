"""Who may call: clients, their roles and scopes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from verifier.model.person import Uscc


class Role(StrEnum):
    """What a client is; each call belongs to roles."""

    PLATFORM = "platform"
    ENTERPRISE = "enterprise"
    SUBSIDY = "subsidy"
    AUDITOR = "auditor"


class ClientState(StrEnum):
    """Whether a client may get and use tokens."""

    ACTIVE = "active"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Client:
    """A registered system.

    Attributes:
        version: rises with every change; a token bears it and is refused once it is not the latest.
        enterprises: for an enterprise: whose roster and status it may touch.
        offices: for a subsidy system: acceptance offices whose records it may see; empty means none.
        platform: for a platform: its slug, else empty.
        jwk: its public key, as a JWK.
    """

    client_id: str
    version: int
    role: Role
    state: ClientState
    jwk: Mapping[str, Any] = field(repr=False)
    enterprises: frozenset[Uscc] = frozenset()
    offices: frozenset[str] = frozenset()
    platform: str = ""

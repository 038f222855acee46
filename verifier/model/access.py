"""Who may call: clients, their roles and scopes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from verifier.model.person import Uscc


class Role(StrEnum):
    """What a client is; each call belongs to roles."""

    PLATFORM = "platform"
    ENTERPRISE = "enterprise"
    SUBSIDY = "subsidy"
    AUDITOR = "auditor"


class Scope(StrEnum):
    """What an access token opens (RFC 6749, section 3.3).

    CALLBACK opens the address of the client's own platform, where the platform proves its deliveries by a
    token; each other scope opens the calls of a role.
    """

    CALLBACK = "callback"
    DELIVERIES = "deliveries"
    ENTERPRISE = "enterprise"
    SUBSIDY = "subsidy"
    AUDITOR = "auditor"


CALLS: Final[Mapping[Role, Scope]] = MappingProxyType(
    {
        Role.PLATFORM: Scope.DELIVERIES,
        Role.ENTERPRISE: Scope.ENTERPRISE,
        Role.SUBSIDY: Scope.SUBSIDY,
        Role.AUDITOR: Scope.AUDITOR,
    }
)
"""The scope that a token needs for the calls of each role."""


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
        kinds: for a subsidy system or an auditor: kinds of ledger entries whose body it may see, of those
            that its role sees; empty means all of these.
        platform: for a platform: its slug, else empty.
        jwk: its public key, as a JWK; empty for a client that has secrets.
        secrets: for a platform whose senders know only a secret: what is stored of it
            (``verifier.signatures.client_secret``), of two while one replaces the other, newest first.
    """

    client_id: str
    version: int
    role: Role
    state: ClientState
    jwk: Mapping[str, Any] = field(repr=False)
    enterprises: frozenset[Uscc] = frozenset()
    offices: frozenset[str] = frozenset()
    platform: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    kinds: frozenset[str] = frozenset()

    def may_see(self, kind: str) -> bool:
        """Whether its registration leaves it entries of this kind."""
        return not self.kinds or kind in self.kinds

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """All that its tokens may open.

        Whoever reads a secret once holds it for good, and every sender knows it: it opens nothing that shows
        what others sent.
        """
        if self.role is not Role.PLATFORM:
            return (CALLS[self.role],)
        return (Scope.CALLBACK,) if self.secrets else (Scope.CALLBACK, Scope.DELIVERIES)

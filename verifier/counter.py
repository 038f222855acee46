"""Every desk at which an operator is served, put together: their operations by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from verifier import objecting
from verifier.accounts import AccountDesk
from verifier.admissions import AdmissionDesk
from verifier.adoption import AdoptionDesk, Rulebooks
from verifier.asked import Parameters
from verifier.identities import IdentityDesk
from verifier.keyring import Register
from verifier.listing import ListingDesk
from verifier.operations import Operations, SourceForm
from verifier.packing import PackDesk
from verifier.platforms import PlatformDesk
from verifier.ports import Adapter, Clock, NewId, RandomBytes
from verifier.rereading import Rereading
from verifier.rotation import RotationDesk
from verifier.signalling import SignalDesk
from verifier.store.store import Store


class Desk(Protocol):
    """Some operations by their names."""

    def table(self) -> Mapping[str, Callable[[Parameters], Awaitable[dict[str, Any]]]]:
        """Every operation by its name on the command line."""
        ...


@dataclass(frozen=True, slots=True)
class Counter:
    """What the desks need.

    Attributes:
        adapters: built-in and declared.
        offices: the table of acceptance offices as its file says it.
        register: reads the trust register's source form as it stands.
    """

    store: Store
    adapters: Sequence[Adapter]
    rulebooks: Rulebooks
    offices: SourceForm
    rereading: Rereading
    register: Callable[[], Awaitable[tuple[Register, SourceForm]]]
    clock: Clock
    new_id: NewId
    randbytes: RandomBytes
    said: objecting.Register

    def operations(self, *further: Desk) -> Operations:
        """All that an operator may do, at these desks too."""
        store, clock, new_id = self.store, self.clock, self.new_id
        operations = Operations(store, clock, new_id, self.randbytes)
        desks: tuple[Desk, ...] = (
            AdoptionDesk(operations, self.rulebooks, self.register),
            PlatformDesk(store, self.adapters, lambda: self.rulebooks().register, clock),
            self.rereading,
            AdmissionDesk(store, self.offices, self.rulebooks, clock, new_id),
            AccountDesk(store, operations, self.rulebooks, clock, new_id),
            ListingDesk(store, clock),
            IdentityDesk(store, self.rulebooks, clock, new_id),
            RotationDesk(store, clock),
            SignalDesk(store, clock),
            PackDesk(store),
            *objecting.desks(self.said),
            *further,
        )
        return replace(
            operations, further={name: run for desk in desks for name, run in desk.table().items()}
        )

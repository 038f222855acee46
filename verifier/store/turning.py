"""The rows that say where a rotation stands: each transaction that they concern reads and holds them."""

from __future__ import annotations

from sqlalchemy import Connection, select

from verifier.errors import Code, ConfigurationError
from verifier.model.rotation import Phase, Rotated, Turn, Turns
from verifier.sealing import FieldKeys, wrapped_version
from verifier.store import tables

_ROWS = tables.rotations.c
_HELD = (
    select(_ROWS.name, _ROWS.phase, _ROWS.from_version, _ROWS.to_version)
    .where(_ROWS.name.in_([name.value for name in Rotated]))
    .order_by(_ROWS.name)
    .with_for_update(read=True)
)


def hold(connection: Connection, keys: FieldKeys) -> Turns:
    """Read both rows, and keep them from changing until this transaction ends.

    PostgreSQL: a shared row lock. Transactions share it among each other; whoever moves a phase on updates
    the row, and so waits until every transaction that read the phase before has ended. All transactions in
    flight thus saw the same phase, and READ COMMITTED suffices: without the lock one that saw ``done`` could
    insert a person under the old version alone, and commit when everything had been filled in, switched and
    dropped; whoever looked that person up by the new version would find nobody, and make the person a second
    time.

    SQLite: nothing is locked. Writers are serial, and a reader has one snapshot for all it reads.

    Raises:
        ConfigurationError: KEY_REFUSED, a version that is needed is not among the keys; rows are missing.
    """
    found = {name: Turn(Phase(phase), old, new) for name, phase, old, new in connection.execute(_HELD)}
    if found.keys() != set(Rotated):
        raise ConfigurationError(Code.KEY_REFUSED, "the rows that say which keys are in force are missing")
    pepper, master = found[Rotated.PEPPER], found[Rotated.MASTER]
    if not pepper.new:
        pepper = _unmoved(_first_pepper(connection, keys))
    if not master.new:
        master = _unmoved(_first_master(connection, keys))
    if not set(pepper.present) <= keys.peppers.keys() or master.new not in keys.master_keys:
        raise ConfigurationError(Code.KEY_REFUSED, "a key version that the database names is not configured")
    return Turns(pepper, master)


def _unmoved(version: int) -> Turn:
    return Turn(Phase.DONE, version, version)


def _first_pepper(connection: Connection, keys: FieldKeys) -> int:
    """The version of a database that never saw a rotation.

    It may have been restored beside keys that are newer than it, so what it holds says more than they do.
    """
    if len(keys.peppers) == 1:
        return keys.pepper_version
    found = connection.execute(select(tables.identifiers.c.pepper_version).limit(1)).scalar_one_or_none()
    return keys.pepper_version if found is None else found


def _first_master(connection: Connection, keys: FieldKeys) -> int:
    if len(keys.master_keys) == 1:
        return keys.master_version
    sealed = tables.learners.c.sealed_key
    found = connection.execute(select(sealed).where(sealed.is_not(None)).limit(1)).scalar_one_or_none()
    return keys.master_version if found is None else wrapped_version(bytes(found))

"""The schema: bring a database up to date, tell whether it is, and whether migrations match the tables.

A revision is four digits, ``0021``; or, where the code of an earlier revision goes on working beside it,
``0021_since_0018``: the schema was only expanded since 0018. So the database itself says which older code it
bears, and processes can be changed one by one (see ``docs/adr/0016-when-the-database-is-ill.md``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from verifier.errors import Code, ConfigurationError
from verifier.store.tables import metadata

REVISION: Final = re.compile(r"(\d{4})(?:_since_(\d{4}))?", re.ASCII)
_LOCK: Final = text("update alembic_version set version_num = version_num")


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


COPYING = "copying-"
"""In place of the revision while a copy into a database is not finished; what follows tells copies apart."""


def wanted(connection: Connection) -> str:
    """The revision of this version's schema."""
    return str(ScriptDirectory.from_config(_config(connection)).get_current_head())


def recorded(connection: Connection) -> str:
    """What stands in place of the revision; empty if the database has no schema."""
    return MigrationContext.configure(connection).get_current_revision() or ""


def found(connection: Connection) -> str:
    """The revision of the database's schema; empty if it has none.

    Raises:
        ConfigurationError: COPY_REFUSED, a copy into it was not finished.
    """
    revision = recorded(connection)
    if revision.startswith(COPYING):
        detail = "a copy into this database was not finished: `db copy --restart`"
        raise ConfigurationError(Code.COPY_REFUSED, detail, pointer="database_url")
    return revision


def bears(revision: str, code: str) -> bool:
    """Whether code that knows the revision ``code`` works on a database of ``revision``, by what that says.

    Code never works on an older schema, and on a newer one only if every step since then expanded it.
    """
    if revision == code:
        return True
    newer, known = REVISION.fullmatch(revision), REVISION.fullmatch(code)
    if newer is None or known is None or newer[2] is None:
        return False
    return newer[2] <= known[1] < newer[1]


def upgrade(connection: Connection) -> None:
    """Run every migration that the database lacks; two who do it at once do it one after the other.

    Raises:
        ConfigurationError: COPY_REFUSED, a copy into it was not finished; or the database is a later
            version's, which this code cannot change.
    """
    if inspect(connection).has_table("alembic_version"):
        # Held to the end of the transaction: whoever comes second looks once the first is done.
        connection.execute(_LOCK)
    revision = found(connection)
    scripts = ScriptDirectory.from_config(_config(connection))
    if revision and revision not in {one.revision for one in scripts.walk_revisions()}:
        if bears(revision, wanted(connection)):
            return
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID,
            "the database's schema is a later version's, or none of ours",
            pointer="database_url",
        )
    command.upgrade(_config(connection), "head")


def differences(connection: Connection) -> list[str]:
    """What separates an upgraded database from the tables in code; empty when migrations are complete."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return [str(difference) for difference in compare_metadata(context, metadata)]


def require_same(connection: Connection) -> None:
    """Refuse a database of any other schema: what this code does not know of would be left behind.

    Raises:
        ConfigurationError: the schema is not this version's.
    """
    if found(connection) != wanted(connection):
        raise _another()


def require_current(connection: Connection) -> None:
    """Refuse to work on a database whose schema this code does not know, or is not known to bear.

    Raises:
        ConfigurationError: ``verifier db upgrade`` has to run first, or the code is older than the database.
    """
    if not bears(found(connection), wanted(connection)):
        raise _another()


def _another() -> ConfigurationError:
    detail = "the database's schema is not this version's: run `db upgrade`"
    return ConfigurationError(Code.CONFIGURATION_INVALID, detail)

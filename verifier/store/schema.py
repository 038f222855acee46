"""The schema: bring a database up to date, tell whether it is, and whether migrations match the tables."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from verifier.errors import Code, ConfigurationError
from verifier.store.tables import metadata


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


def upgrade(connection: Connection) -> None:
    """Run every migration that the database lacks.

    Raises:
        ConfigurationError: COPY_REFUSED, a copy into it was not finished.
    """
    found(connection)
    command.upgrade(_config(connection), "head")


def differences(connection: Connection) -> list[str]:
    """What separates an upgraded database from the tables in code; empty when migrations are complete."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return [str(difference) for difference in compare_metadata(context, metadata)]


def require_current(connection: Connection) -> None:
    """Refuse to work on a database whose schema is not the one this code knows.

    Raises:
        ConfigurationError: ``verifier db upgrade`` has to run first, or the code is older than the database.
    """
    if found(connection) != wanted(connection):
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "the database's schema is not this version's: run `db upgrade`"
        )

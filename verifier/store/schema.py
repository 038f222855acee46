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


def upgrade(connection: Connection) -> None:
    """Run every migration that the database lacks."""
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
    wanted = ScriptDirectory.from_config(_config(connection)).get_current_head()
    found = MigrationContext.configure(connection).get_current_revision()
    if found != wanted:
        raise ConfigurationError(
            Code.CONFIGURATION_INVALID, "the database's schema is not this version's: run `db upgrade`"
        )

"""How many connections a database server lets in; only looked at by whoever checks an installation."""

from __future__ import annotations

from sqlalchemy import Connection, text

_KEPT_BACK = frozenset({"superuser_reserved_connections", "reserved_connections"})


def connections_allowed(connection: Connection) -> int | None:
    """Connections that ordinary users may have in all; None where there is no bound, or nobody tells it."""
    if connection.dialect.name == "sqlite":
        return None
    found = connection.execute(text("select name, setting from pg_settings where name like '%connections'"))
    told = {row.name: int(row.setting) for row in found if row.setting.isdecimal()}
    most = told.get("max_connections")
    return None if most is None else most - sum(told.get(name, 0) for name in _KEPT_BACK)

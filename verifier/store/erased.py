"""Whether what is gone went lawfully: the ledger, or what waits for it, says of each erasure and emptying."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, Connection, func, select

from verifier.store import tables
from verifier.store.tables_erasing import erasures

_KINDS = ("erasure", "retention")


def gone_without_word(connection: Connection) -> Iterator[str]:
    """Destroyed keys that belong to no erasure, and more emptied bodies than the ledger counts.

    What is gone is read first and what was said of it last, so that an erasure in between is no finding.
    """
    learners = tables.learners.c
    gone = connection.execute(select(learners.learner_id).where(learners.sealed_key.is_(None)))
    keys = sorted(gone.scalars())
    emptied = {
        "deliveries": _empty(connection, tables.deliveries.c.sealed_body),
        "documents": _empty(connection, tables.documents.c.sealed_content),
    }
    by = {row.learner_id: row.erasure_id for row in connection.execute(select(erasures))}
    of = Counter(by.values())
    said = _said(connection)
    entered = {body.get("erasure"): body.get("learners") for body in said}
    for learner in keys:
        erasure = by.get(learner)
        if erasure is None or entered.get(erasure) != of[erasure]:
            yield f"learners {learner}"
    for name, count in emptied.items():
        lawful = sum(body[name] for body in said if isinstance(body.get(name), int))
        if count > lawful:
            yield f"{name}: {count} emptied, {lawful} in the ledger"


def _empty(connection: Connection, column: Column[Any]) -> int:
    statement = select(func.count()).select_from(column.table).where(column.is_(None))
    return connection.execute(statement).scalar_one()


def _said(connection: Connection) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for table in (tables.outbox, tables.entries):
        for body in connection.execute(select(table.c.body).where(table.c.kind.in_(_KINDS))).scalars():
            try:
                members = json.loads(body)
            except ValueError:
                continue  # an altered entry, which is a finding of its own
            if isinstance(members, dict):
                found.append(members)
    return found

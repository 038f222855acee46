"""Rows of an append-only table that differ in two ids alone, thousands at once, as the access log has them.

What ``Session.append`` does row by row is done here once for all: values are bound, and canonical JSON is
written, with the ids left open. Rows and evidence are the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Table

from verifier.store import tables
from verifier.store.session import SALT_BYTES, Session

_AS_IT_IS: Final = re.compile(r"[0-9A-Za-z_-]*", re.ASCII)
"""What no JSON escapes."""


def append(
    session: Session, table: Table, key: str, other: str, common: Mapping[str, Any], ids: Sequence[str]
) -> None:
    """Insert a row for each id, each with a fresh primary key, together with their evidence.

    Args:
        session: of the transaction.
        table: an append-only one.
        key: its primary key, one column, whose name sorts before ``other``.
        other: the column in which the ids go.
        common: every other column's value.
        ids: one a row.
    """
    vault = session.vault
    fresh = [vault.new_id() for _ in ids]
    form, of_evidence = session.form_of(table), session.form_of(tables.evidence)
    bound, values = form.values({**common, key: "", other: ""})
    at_key, at_other = form.names.index(key), form.names.index(other)
    covered = [values[place] for place in form.covered]
    places = (form.covered.index(at_key), form.covered.index(at_other))
    pieces = form.digests.between(covered, places)
    if pieces is None or not (_AS_IT_IS.fullmatch("".join(ids)) and _AS_IT_IS.fullmatch("".join(fresh))):
        session.append(table, [{**common, key: new, other: one} for new, one in zip(fresh, ids, strict=True)])
        return
    before, between, behind = pieces
    salts, name, row = vault.randbytes(SALT_BYTES * len(ids)), str(table.name), list(bound)
    written, evidence = [], []
    for number, (new, one) in enumerate(zip(fresh, ids, strict=True)):
        row[at_key], row[at_other] = new, one
        written.append(tuple(row))
        salt = salts[number * SALT_BYTES : (number + 1) * SALT_BYTES]
        digest = sha256(b"".join((salt, before, new.encode(), between, one.encode(), behind))).digest()
        evidence.append((vault.new_id(), name, f'["{new}"]', salt, digest, None))
    if written:
        session.connection.exec_driver_sql(form.insert, written)
        session.connection.exec_driver_sql(of_evidence.insert, evidence)

"""An installation before its service starts: the schema, admitted enterprises, people whom they list."""

from __future__ import annotations

import asyncio
import os
import shutil
from datetime import date
from functools import partial
from typing import Final

from sqlalchemy import Connection, delete, text

from benchmarks import filling
from benchmarks.filling import AT
from benchmarks.sending import OF_ONE_EMPLOYER
from verifier import enterprises, keyfiles, ledger
from verifier.issuer import IssuerKeys
from verifier.kept import CheckpointFile
from verifier.merkle import Frontier, coordinates, leaf_hash
from verifier.model.person import Uscc
from verifier.model.time import iso
from verifier.parts import issuing, new_id, now, open_database
from verifier.ports.issuing import Batch, Head, IssuingTransaction, NewEntry
from verifier.settings import Settings
from verifier.store.schema import upgrade
from verifier.store.store import Store
from verifier.store.tables_signals import signal_cursor

OFFICE: Final = "652301"
SHARE_OF_DISK: Final = 0.8
"""Of what is free, so much may be filled; the databases' logs and what the run sends need the rest."""


class DiskTooSmall(Exception):
    """So many learners do not fit on this disk."""


async def found(settings: Settings) -> None:
    """Bring an empty database to this version's schema."""
    database = open_database(settings)
    await database.write(upgrade)
    await database.close()


def require_room(settings: Settings, each: int, more: int) -> None:
    """Refuse what does not fit.

    Args:
        settings: where the database is.
        each: bytes that a learner takes up, told by those who are there.
        more: learners that are to come.

    Raises:
        DiskTooSmall: as many as are wanted would not fit.
    """
    free = shutil.disk_usage(settings.data_dir).free
    if each * more > free * SHARE_OF_DISK:
        raise DiskTooSmall(
            f"{more:,} more learners need some {each * more / 1e9:,.1f} GB at {each:,} bytes each,"
            f" of which {SHARE_OF_DISK:.0%} of {free / 1e9:,.1f} GB free may be filled"
        )


async def fill(settings: Settings, span: range, processes: int) -> None:
    """List these people: their enterprises admitted, and the evidence of everything under the ledger.

    No service may run over the database.
    """
    keys = keyfiles.load_issuer_keys(settings.secrets_dir)
    store = _store(settings)
    issuer = issuing(settings, store, keys)
    await issuer.start()
    for code in filling.employers(span):
        await _admit(store, code)
    while await issuer.step():
        pass
    head = await store.issuing(lambda tx: tx.head(), write=False)
    await store.database.close()
    work = filling.pieces(settings.database_url, settings.secrets_dir, span, head.size)
    roots = await asyncio.to_thread(lambda: list(filling.fill(work, processes)))
    store = _store(settings)
    batch = await store.issuing(lambda tx: _roots(tx, head, roots, settings, keys), write=False)
    await store.issuing(lambda tx: tx.commit(batch), write=True)
    CheckpointFile(settings.kept_checkpoint).write(batch.after.checkpoint)
    await store.database.write(partial(_looked_at, position=batch.after.size - 1))
    await store.database.write(_analyze)
    await store.database.close()


def _store(settings: Settings) -> Store:
    fields = keyfiles.load_fields(settings.secrets_dir)
    return Store(open_database(settings), fields, clock=now, randbytes=os.urandom, new_id=new_id)


async def _admit(store: Store, code: str) -> None:
    """Admit an enterprise, and record the upload that lists its people."""
    uscc, name = Uscc(code), f"测试企业{code}"
    await store.rosters(
        lambda tx: enterprises.admit(
            tx, uscc, name, OFFICE, date(2021, 1, 1), None, at=AT, new_id=new_id, operator="bench"
        )
    )
    await store.rosters(
        lambda tx: (
            tx.add_roster(filling.roster_id(code), uscc, os.urandom(32), OF_ONE_EMPLOYER, "bench", AT)
            if tx.last_roster(uscc) is None
            else None
        )
    )


def _roots(
    tx: IssuingTransaction, head: Head, roots: list[tuple[bytes, int]], settings: Settings, keys: IssuerKeys
) -> Batch:
    """The evidence roots of what was filled, as the issuer's own batch would bring them."""
    nodes = tx.nodes(coordinates(lambda node: Frontier.read(head.size, node)))
    frontier = Frontier.read(head.size, lambda level, index: nodes[level, index])
    at, entries = now(), []
    for position, (root, count) in enumerate(roots, head.size):
        body = {"root": root.hex(), "count": count}
        members = {"v": 1, "kind": "evidence", "index": position, "at": iso(at), **body}
        raw = ledger.entry_body(members)
        entries.append(NewEntry(position, "evidence", raw, leaf_hash(raw)))
    after, made = frontier.append([entry.leaf_hash for entry in entries])
    text_of_head = ledger.checkpoint_body(settings.origin, after.size, after.root())
    return Batch(
        before=head,
        after=Head(
            head.epoch, after.size, ledger.sign_note(text_of_head, settings.origin, *keys.checkpoints)
        ),
        entries=entries,
        nodes=[(node.level, node.index, node.hash) for node in made],
        records=(),
        outbox=(),
        evidence=(),
        evidence_position=None,
        lists=(),
        at=at,
    )


def _looked_at(connection: Connection, position: int) -> None:
    """What was filled has been looked at for signals, as in a service that has run for long."""
    # Behind every piece of evidence under that root: ids are hexadecimal.
    cursor = {"name": "facts", "position": position, "evidence_id": "~"}
    connection.execute(delete(signal_cursor))
    connection.execute(signal_cursor.insert(), [cursor])


def _analyze(connection: Connection) -> None:
    """What a server that runs for long has done by itself; SQLite does nothing by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("analyze"))

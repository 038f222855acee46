"""Taking in a file: its progress, beside what intake does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select, update

from verifier.errors import Code, Conflict
from verifier.ports.importing import Counts, ImportSource, Progress
from verifier.store import tables
from verifier.store.intake import Intake
from verifier.store.tables_importing import COUNTED

_TABLE = tables.import_progress


def _this(source: ImportSource) -> ColumnElement[bool]:
    return and_(_TABLE.c.platform == source.platform, _TABLE.c.file_digest == source.file_digest)


def _values(progress: Progress) -> dict[str, Any]:
    return {
        "position": progress.position,
        "errors_bytes": progress.errors_bytes,
        **asdict(progress.counts),
    }


class Importing(Intake):
    """One transaction of an import."""

    def hold_adopted(self, digests: Mapping[str, str]) -> bool:
        """Let no adoption commit before this transaction ends; False where another rulebook is in force."""
        table = tables.in_force
        rows = self.connection.execute(select(table).order_by(table.c.name).with_for_update(read=True)).all()
        return all(digests.get(row.name, row.digest) == row.digest for row in rows)

    def import_progress(self, source: ImportSource) -> Progress | None:
        """How far an unfinished import of this file has come; None if there is none."""
        row = self.connection.execute(select(_TABLE).where(_this(source))).mappings().one_or_none()
        if row is None:
            return None
        return Progress(row["position"], row["errors_bytes"], Counts(**{name: row[name] for name in COUNTED}))

    def begin_import(self, source: ImportSource) -> None:
        """Begin, or begin again, at the first line."""
        self.connection.execute(delete(_TABLE).where(_this(source)))
        row = {"platform": source.platform, "file_digest": source.file_digest, **_values(Progress())}
        self.connection.execute(_TABLE.insert(), row)

    def advance_import(self, source: ImportSource, before: Progress, after: Progress) -> None:
        """Move on; STATE_REFUSED where somebody else did meanwhile."""
        moved = self.connection.execute(
            update(_TABLE)
            .where(
                _this(source),
                _TABLE.c.position == before.position,
                _TABLE.c.errors_bytes == before.errors_bytes,
            )
            .values(_values(after))
        )
        self._require_alone(moved.rowcount)

    def finish_import(self, source: ImportSource, progress: Progress, import_id: str, at: datetime) -> None:
        """Record that the file was taken in; its progress is no longer needed."""
        done = self.connection.execute(
            delete(_TABLE).where(_this(source), _TABLE.c.position == progress.position)
        )
        self._require_alone(done.rowcount)
        row = {
            "import_id": import_id,
            "platform": source.platform,
            "file_digest": source.file_digest,
            "operator": source.operator[:64],
            **asdict(progress.counts),
            "recorded_at": at,
        }
        self.append(tables.imports, [row])

    @staticmethod
    def _require_alone(changed: int) -> None:
        if changed != 1:
            detail = "another process is importing the same file"
            raise Conflict(Code.STATE_REFUSED, detail, pointer="file")

"""What is watched of the platforms: failures to authenticate, what came last, what did not come."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import and_, delete, func, or_, select

from verifier.model.delivery import PlatformSlug
from verifier.ports.watching import KEPT_FAILURES, SHOWN_GAPS, Failure, Gap, Tally
from verifier.store import tables
from verifier.store.columns import metadata
from verifier.store.session import Session

_STEP_LENGTH = 64


class Watching(Session):
    """One transaction that watches."""

    def keep_failures(self, failures: Mapping[str, Sequence[Failure]]) -> None:
        """Write failures by platform, and forget all but the newest of each."""
        table = tables.failures
        # Sorted, so that two processes that write at once take turns.
        for platform in sorted(failures):
            rows = [
                {
                    "platform": platform,
                    "request_id": failure.request_id,
                    "at": failure.at,
                    "step": failure.step[:_STEP_LENGTH],
                }
                for failure in sorted(failures[platform], key=lambda failure: failure.request_id)
            ]
            self.insert_missing(table, rows)
            oldest = self.connection.execute(
                select(table.c.at, table.c.request_id)
                .where(table.c.platform == platform)
                .order_by(table.c.at.desc(), table.c.request_id.desc())
                .offset(KEPT_FAILURES - 1)
                .limit(1)
            ).one_or_none()
            if oldest is not None:
                older = or_(
                    table.c.at < oldest.at,
                    and_(table.c.at == oldest.at, table.c.request_id < oldest.request_id),
                )
                self.connection.execute(delete(table).where(table.c.platform == platform, older))

    def failures(self, platform: str) -> Sequence[Failure]:
        """The newest failures of a platform, newest first."""
        table = tables.failures
        rows = self.connection.execute(
            select(table.c.at, table.c.request_id, table.c.step)
            .where(table.c.platform == platform)
            .order_by(table.c.at.desc(), table.c.request_id.desc())
            .limit(KEPT_FAILURES)
        )
        return [Failure(row.at, row.request_id, row.step) for row in rows]

    def gaps(self, platform: str) -> Sequence[Gap]:
        """The lowest missing sequence numbers between a platform's smallest and largest."""
        table = tables.deliveries
        mine = and_(table.c.platform == platform, table.c.sequence.is_not(None))
        known = select(
            table.c.sequence, func.lead(table.c.sequence).over(order_by=table.c.sequence).label("following")
        )
        followed = known.where(mine).subquery()
        rows = self.connection.execute(
            select(followed)
            .where(followed.c.following > followed.c.sequence + 1)
            .order_by(followed.c.sequence)
            .limit(SHOWN_GAPS)
        )
        return [Gap(row.sequence + 1, row.following - 1) for row in rows]

    def last_deliveries(self, platforms: Collection[PlatformSlug]) -> Mapping[PlatformSlug, datetime]:
        """When each platform's newest authentic delivery was received, for those that sent any."""
        table = tables.deliveries
        found: dict[PlatformSlug, datetime] = {}
        for platform in platforms:
            # Once for each value of ``attention``: so the index answers, without a look at the rows.
            newest = [
                self.connection.execute(
                    select(func.max(table.c.received_at)).where(
                        table.c.platform == platform, table.c.attention == attention
                    )
                ).scalar_one()
                for attention in (0, 1)
            ]
            if received := [moment for moment in newest if moment is not None]:
                found[platform] = max(received)
        return found

    def entries(self) -> int:
        """How many entries the ledger has."""
        return self.connection.execute(select(tables.ledger_head.c.size)).scalar() or 0

    def analyse(self) -> None:
        """Have the database look at how each table of ours is filled; SQLite does without."""
        if self.connection.dialect.name != "sqlite":
            for name in sorted(metadata.tables):
                self.connection.exec_driver_sql(f'ANALYZE "{name}"')

    def tally(self, platform: str) -> Tally:
        """How many deliveries are kept of a platform."""
        table = tables.deliveries
        rows = self.connection.execute(
            select(table.c.state, func.count(), func.sum(table.c.attention))
            .where(table.c.platform == platform)
            .group_by(table.c.state)
        ).all()
        return Tally({state: count for state, count, _ in rows}, sum(int(wrong) for _, _, wrong in rows))

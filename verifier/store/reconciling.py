"""What is held under the numbers of a platform's manifest: ``ReconcileTransaction``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import exists, select, tuple_

from verifier.model.delivery import PlatformSlug
from verifier.model.facts import CompletionFact, FactKind
from verifier.model.person import LearnerId
from verifier.ports.reconciling import Held, Reference
from verifier.store import codec, tables
from verifier.store.intake import Intake
from verifier.store.session import chunks

PIECE = 2_000


class Reconciling(Intake):
    """One reading transaction of a comparison."""

    def held(
        self, references: Collection[Reference], named: Collection[Reference]
    ) -> Mapping[Reference, Held]:
        """The completion that stands under each number; the holder's name is opened for ``named`` alone."""
        table = tables.facts
        later = table.alias("later")
        texts = {codec.certificate_reference(*reference): reference for reference in references}
        found: dict[Reference, Held] = {}
        for chunk in chunks(texts):
            rows = (
                self.connection.execute(
                    select(table).where(
                        table.c.reference.in_(chunk),
                        table.c.kind == FactKind.COMPLETION.value,
                        ~exists().where(later.c.supersedes == table.c.fact_id),
                    )
                )
                .mappings()
                .all()
            )
            self.learner_keys({row["learner_id"] for row in rows})
            for row in rows:
                reference = texts[row["reference"]]
                found[reference] = self._held(row, named=reference in named)
        return found

    def _held(self, row: Mapping[Any, Any], *, named: bool) -> Held:
        erased = self.vault.erased(row["learner_id"])
        fact = self.opened(row) if named else codec.fact(row, None)
        assert isinstance(fact, CompletionFact)
        name = fact.holder if named and not erased else None
        return Held(LearnerId(row["learner_id"]), fact.completed_at, fact.revision, name, erased)

    def revoked(self, references: Collection[Reference]) -> Collection[Reference]:
        """Those of the numbers that are revoked."""
        table = tables.facts
        texts = {codec.certificate_reference(*reference): reference for reference in references}
        found: set[Reference] = set()
        for chunk in chunks(texts):
            rows = self.connection.execute(
                select(table.c.reference).where(
                    table.c.reference.in_(chunk), table.c.kind == FactKind.REVOCATION.value
                )
            ).scalars()
            found |= {texts[text] for text in rows if text is not None}
        return found

    def brought(
        self, platform: PlatformSlug, issuer: str, number_scope: str, since: datetime
    ) -> Iterator[tuple[str, datetime]]:
        """Numbers of an issuer that a platform brought and that stand, with when they were completed."""
        table, numbers = tables.facts, tables.completions
        later = table.alias("later")
        wanted = (
            select(numbers.c.number, table)
            .join(table, table.c.fact_id == numbers.c.fact_id)
            .where(
                numbers.c.issuer == issuer,
                numbers.c.number_scope == number_scope,
                table.c.recorded_at >= since,
                ~exists().where(later.c.supersedes == table.c.fact_id),
            )
            .order_by(numbers.c.number, table.c.fact_id)
            .limit(PIECE)
        )
        behind = wanted
        while True:
            rows = self.connection.execute(behind).mappings().all()
            for row in rows:
                fact = codec.fact(row, None)
                assert isinstance(fact, CompletionFact)
                if fact.platform == platform:
                    yield fact.number, fact.completed_at
            if len(rows) < PIECE:
                return
            last = (rows[-1]["number"], rows[-1]["fact_id"])
            behind = wanted.where(tuple_(numbers.c.number, table.c.fact_id) > tuple_(*last))

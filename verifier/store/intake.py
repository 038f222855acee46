"""Deliveries, learners, completions and rosters: what intake and roster transactions promise."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import and_, bindparam, func, select, tuple_

from verifier.errors import Code, Conflict
from verifier.model.delivery import DeliveryId, DeliveryOutcome, PlatformSlug
from verifier.model.facts import (
    AdmissionFact,
    AnyFact,
    CompletionFact,
    EmploymentFact,
    FactKind,
    ReviewClosedFact,
    ScopeFact,
)
from verifier.model.person import Identifier, LearnerId, Trait, Uscc
from verifier.ports.intake import DeliveryClaim, KnownDelivery
from verifier.signatures.strict_json import MAX_SAFE_INTEGER
from verifier.store import codec, tables
from verifier.store.engine import Restart
from verifier.store.keeping import Keeping, needs_attention
from verifier.store.keys import KEYS
from verifier.store.session import chunks

_KEPT, _IDENTIFIERS, _OF_TRAITS = tables.deliveries.c, tables.identifiers.c, tables.traits.c
_NUMBER = (tables.completions.c.issuer, tables.completions.c.number_scope, tables.completions.c.number)
_DELIVERIES = select(_KEPT.platform, _KEPT.delivery_id, _KEPT.content_digest, _KEPT.outcome).where(
    tuple_(_KEPT.platform, _KEPT.delivery_id).in_(KEYS)
)
_KNOWN = select(_IDENTIFIERS.blind_index, _IDENTIFIERS.learner_id).where(
    _IDENTIFIERS.kind == bindparam("kind"),
    _IDENTIFIERS.pepper_version == bindparam("version"),
    _IDENTIFIERS.blind_index.in_(KEYS),
)
_TRAITS = select(_OF_TRAITS.kind, _OF_TRAITS.blind_index, _OF_TRAITS.learner_id).where(
    _OF_TRAITS.learner_id.in_(KEYS), _OF_TRAITS.pepper_version == bindparam("version")
)
_COUNTS = select(*_NUMBER, func.count()).where(tuple_(*_NUMBER).in_(KEYS)).group_by(*_NUMBER)


def _countable(sequence: int | None) -> int | None:
    """A sequence number that evidence can cover; for another one nothing authentic is turned away."""
    return sequence if sequence is not None and 0 <= sequence <= MAX_SAFE_INTEGER else None


class Intake(Keeping):
    """One transaction of the callback pipeline."""

    def known_deliveries(
        self, keys: Collection[tuple[PlatformSlug, DeliveryId]]
    ) -> Mapping[tuple[PlatformSlug, DeliveryId], KnownDelivery]:
        """What stands under these ids already."""
        return {
            (platform, delivery_id): KnownDelivery(
                bytes(digest), msgspec.json.decode(outcome, type=DeliveryOutcome)
            )
            for platform, delivery_id, digest, outcome in self.among(_DELIVERIES, keys)
        }

    def insert_deliveries(self, claims: Sequence[DeliveryClaim], outcomes: Sequence[DeliveryOutcome]) -> None:
        """Keep each delivery raw (sealed) with its answer; on a doubled id the transaction starts again."""
        rows = []
        for claim, outcome in zip(claims, outcomes, strict=True):
            callback = claim.authenticated.callback
            key = f"{callback.platform}/{claim.authenticated.delivery_id}"
            rows.append(
                {
                    "platform": callback.platform,
                    "delivery_id": claim.authenticated.delivery_id,
                    "request_id": callback.request_id,
                    "key_id": claim.authenticated.key_id,
                    "signed_at": claim.authenticated.signed_at,
                    "received_at": callback.received_at,
                    "body_digest": claim.body_digest,
                    "content_digest": claim.content_digest,
                    "state": outcome.state.value,
                    "attention": int(needs_attention(outcome)),
                    "outcome": msgspec.json.encode(outcome).decode(),
                    "sequence": _countable(claim.authenticated.sequence),
                    "method": callback.method,
                    "target": f"{callback.path}?{callback.query}" if callback.query else callback.path,
                    "content_type": callback.headers.get("content-type") or "",
                    "sealed_body": self.vault.seal(None, "deliveries.sealed_body", key, callback.body),
                }
            )
        self.append(tables.deliveries, rows)

    def learners(
        self, identifiers: Collection[Identifier], at: datetime, besides: Collection[LearnerId] = ()
    ) -> Mapping[Identifier, LearnerId]:
        """The learner of each identifier, created where there is none.

        Their rows, and those of the learners ``besides``, are touched together in sorted order: in a rotation
        the rows of both versions, because one of them may be there already, or still.
        """
        turn = self.turns.pepper
        keys = self._keys(identifiers, turn.lookup)
        known = self._known(keys)
        fresh = [key for key in sorted(keys) if key not in known]
        if fresh:
            self._create(fresh, keys, at)
            known = self._known(keys)
        every = {key for version in turn.present for key in self._keys(identifiers, version)}
        self.touch_rows(tables.identifiers, sorted({*every, *self.keys_of(besides)}))
        if self.keyless_among(set(known.values())) and self._known(keys) != known:
            # Erased while this transaction waited for the rows: whoever comes now is a new learner.
            raise Restart
        return {item: known[key] for key, item in keys.items()}

    def known_learners(self, identifiers: Collection[Identifier]) -> Mapping[Identifier, LearnerId]:
        """The learner of each identifier that has one; none is created, no row is touched."""
        keys = self._keys(identifiers, self.turns.pepper.lookup)
        return {keys[key]: learner for key, learner in self._known(keys).items()}

    def _keys(
        self, identifiers: Collection[Identifier], version: int
    ) -> dict[tuple[str, int, bytes], Identifier]:
        return {
            (item.kind.value, version, self.vault.blind_index(item, version)): item for item in identifiers
        }

    def _known(self, keys: Collection[tuple[str, int, bytes]]) -> dict[tuple[str, int, bytes], LearnerId]:
        indices: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        for kind, version, index in keys:
            indices[kind, version].append(index)
        found: dict[tuple[str, int, bytes], LearnerId] = {}
        for (kind, version), values in indices.items():
            rows = self.among(_KNOWN, values, kind=kind, version=version)
            found.update({(kind, version, bytes(index)): LearnerId(learner) for index, learner in rows})
        return found

    def _create(
        self,
        fresh: Sequence[tuple[str, int, bytes]],
        items: Mapping[tuple[str, int, bytes], Identifier],
        at: datetime,
    ) -> None:
        born: dict[tuple[str, int, bytes], str] = {}
        rows = []
        for key in fresh:
            learner = self.vault.new_id()
            self.vault.create_key(learner)
            born[key] = learner
            value = self.vault.seal(learner, "identifiers.sealed_value", learner, items[key].value.encode())
            rows += [
                {
                    "kind": items[key].kind.value,
                    "pepper_version": version,
                    "blind_index": self.vault.blind_index(items[key], version),
                    "learner_id": learner,
                    "sealed_value": value,
                    "touched": 0,
                }
                for version in self.turns.pepper.written
            ]
        # In one order for everybody, so that who is first with one version is first with the other.
        rows.sort(key=lambda row: (row["kind"], row["pepper_version"], row["blind_index"]))
        self.insert_missing(tables.identifiers, rows)
        # Another transaction may have been first with some of them: only ours that stand are learners.
        ours = self._known(fresh)
        self.append(
            tables.learners,
            [
                {"learner_id": learner, "sealed_key": self.vault.sealed_key(learner), "created_at": at}
                for key, learner in born.items()
                if ours[key] == learner
            ],
        )

    def add_traits(self, traits: Iterable[tuple[LearnerId, Trait]]) -> None:
        """Note what learners, whose rows are touched, are known by besides an identifier; once each."""
        table, turn = tables.traits, self.turns.pepper
        wanted = {
            (trait.kind.value, self.vault.blind_index(trait, turn.lookup), learner): trait
            for learner, trait in traits
        }
        # By learner: a placeholder is shared by thousands of them.
        people = {learner for *_, learner in wanted}
        for kind, index, learner in self.among(_TRAITS, people, version=turn.lookup):
            wanted.pop((kind, bytes(index), learner), None)
        self.learner_keys({learner for *_, learner in wanted})
        rows = []
        for (kind, _, learner), trait in wanted.items():
            if not self.vault.erased(learner):
                # Under two versions it is the same sealed value: by that a rotation knows twins.
                sealed = self.vault.seal(learner, "traits.sealed_value", learner, trait.value.encode())
                keys = [(kind, one, self.vault.blind_index(trait, one), learner) for one in turn.written]
                rows += [dict(zip(table.c.keys(), (*key, sealed), strict=True)) for key in keys]
        rows.sort(key=lambda row: (row["kind"], row["pepper_version"], row["blind_index"], row["learner_id"]))
        self.insert_missing(table, rows)

    def completions(self, references: Collection[tuple[str, str, str]]) -> Sequence[CompletionFact]:
        """Current completions under (issuer, number scope, number), whoever's they are.

        The numbers' own rows are touched first, in sorted order, so that two transactions that bring the
        same number for different people take turns.
        """
        ordered = sorted(references)
        names = ("issuer", "number_scope", "number")
        self.insert_missing(
            tables.certificates, [dict(zip(names, item, strict=True), touched=0) for item in ordered]
        )
        self.touch_rows(tables.certificates, ordered)
        facts = self.facts_under(ordered, FactKind.COMPLETION)
        return [fact for fact in facts if isinstance(fact, CompletionFact)]

    def add_facts(self, facts: Sequence[AnyFact]) -> None:
        """Append facts and their evidence; a completion also takes its unique key.

        Raises:
            Conflict: REVIEW_STATE_REFUSED, a review would be closed that was closed meanwhile.
        """
        self.learner_keys({learner for fact in facts if (learner := getattr(fact, "learner_id", None))})
        self._require_open({fact.review_id for fact in facts if isinstance(fact, ReviewClosedFact)})
        self.touch_enterprises({fact.uscc for fact in facts if isinstance(fact, EmploymentFact)})
        rows: list[dict[str, Any]] = []
        for fact in facts:
            row, personal = codec.columns(fact)
            if personal is not None:
                row |= self._sealed(row["learner_id"], row["fact_id"], personal)
            rows.append(row)
        self._count([fact for fact in facts if isinstance(fact, CompletionFact)])
        self.append(tables.facts, rows)

    def _sealed(self, learner: str | None, fact_id: str, personal: bytes) -> dict[str, bytes]:
        if learner is not None:
            return {"sealed": self.vault.seal(learner, "facts.sealed", fact_id, personal)}
        key, sealed = self.vault.seal_apart("facts.sealed_key", "facts.sealed", fact_id, personal)
        return {"sealed": sealed, "sealed_key": key}

    def _count(self, facts: Sequence[CompletionFact]) -> None:
        """Take each completion's unique key. Its revision is our own count under the number.

        An issuer need not count, and may sign again what it signed before.
        """
        counts: Counter[tuple[str, str, str]] = Counter()
        # One that supersedes none is the first under its number: there is nothing to be counted.
        again = [fact for fact in facts if fact.supersedes is not None]
        numbers = {(fact.issuer, fact.number_scope, fact.number) for fact in again}
        for issuer, scope, value, count in self.among(_COUNTS, numbers):
            counts[issuer, scope, value] = count
        rows = []
        for fact in facts:
            counts[fact.issuer, fact.number_scope, fact.number] += 1
            names = ("issuer", "number_scope", "number", "learner_id", "fact_id")
            revision = counts[fact.issuer, fact.number_scope, fact.number]
            rows.append({**{name: getattr(fact, name) for name in names}, "revision": revision})
        if rows:
            self.connection.execute(tables.completions.insert(), rows)

    def _require_open(self, reviews: Collection[str]) -> None:
        if not reviews:
            return
        table = tables.facts
        closed = select(table.c.reference).where(
            table.c.reference.in_(sorted(reviews)), table.c.kind == FactKind.REVIEW_CLOSED.value
        )
        if self.connection.execute(closed).first() is not None:
            raise Conflict(Code.REVIEW_STATE_REFUSED, "the review is closed already", pointer="review")

    def touch_enterprises(self, uscc: Collection[Uscc]) -> None:
        """Touch the enterprises' rows in sorted order.

        A roster that names somebody and an admission of the enterprise thus take turns, and the later one
        knows of the earlier: otherwise nobody would put that person on the due list.
        """
        ordered = sorted(uscc)
        self.insert_missing(tables.enterprises, [{"uscc": code, "touched": 0} for code in ordered])
        self.touch_rows(tables.enterprises, [(code,) for code in ordered])


class Roster(Intake):
    """One transaction of a roster upload or of an operator's act about enterprises."""

    def employments(self, uscc: Uscc, learners: Collection[LearnerId]) -> Sequence[EmploymentFact]:
        """Current rows of one enterprise's roster for these learners."""
        found: list[EmploymentFact] = []
        for chunk in chunks(learners):
            facts = self.facts_where(
                and_(
                    tables.facts.c.learner_id.in_(chunk),
                    tables.facts.c.uscc == uscc,
                    tables.facts.c.kind == FactKind.EMPLOYMENT.value,
                )
            )
            found += [fact for fact in facts if isinstance(fact, EmploymentFact)]
        return found

    def admissions(self, uscc: Uscc) -> Sequence[AdmissionFact]:
        """Current admissions of an enterprise."""
        return [fact for fact in self._of(uscc, FactKind.ADMISSION) if isinstance(fact, AdmissionFact)]

    def scopes(self, uscc: Uscc) -> Sequence[ScopeFact]:
        """Scope declarations of an enterprise."""
        return [fact for fact in self._of(uscc, FactKind.SCOPE) if isinstance(fact, ScopeFact)]

    def _of(self, uscc: Uscc, kind: FactKind) -> list[AnyFact]:
        return self.facts_where(and_(tables.facts.c.uscc == uscc, tables.facts.c.kind == kind.value))

    def listed(self, uscc: Uscc) -> Collection[LearnerId]:
        """Everyone any row of an enterprise's roster names, after touching the enterprise's row."""
        self.touch_enterprises({uscc})
        table = tables.facts
        rows = self.connection.execute(
            select(table.c.learner_id)
            .where(table.c.uscc == uscc, table.c.kind == FactKind.EMPLOYMENT.value)
            .distinct()
        ).scalars()
        return {LearnerId(learner) for learner in rows if learner is not None}

    def last_roster(self, uscc: Uscc) -> bytes | None:
        """Content digest of the enterprise's newest roster upload."""
        table = tables.rosters
        digest = self.connection.execute(
            select(table.c.content_digest)
            .where(table.c.uscc == uscc)
            .order_by(table.c.recorded_at.desc(), table.c.roster_id.desc())
            .limit(1)
        ).scalar_one_or_none()
        return None if digest is None else bytes(digest)

    def add_roster(
        self, roster_id: str, uscc: Uscc, digest: bytes, rows: int, client_id: str, at: datetime
    ) -> None:
        """Record an upload."""
        self.append(
            tables.rosters,
            [
                {
                    "roster_id": roster_id,
                    "uscc": uscc,
                    "content_digest": digest,
                    "rows": rows,
                    "uploaded_by": client_id,
                    "recorded_at": at,
                }
            ],
        )

"""Clients, single use of assertions, adoptions, and the log of who learned what of whom."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, bindparam, delete, select, update

from verifier.model.access import Client
from verifier.model.facts import AnyFact, FactId
from verifier.model.person import LearnerId
from verifier.policy import entitlement_of
from verifier.ports.operating import Adoption
from verifier.store import alike, tables
from verifier.store.columns import microseconds, plainly
from verifier.store.keys import KEYS
from verifier.store.outlines import Outlines

_DUE = select(tables.due.c.learner_id).where(
    tables.due.c.not_before.is_(None)
    | (plainly(tables.due.c.not_before) <= bindparam("at", type_=BigInteger)),
    tables.due.c.learner_id.in_(KEYS),
)


class Access(Outlines):
    """One transaction of an operator's act or of an access check."""

    def put_client(self, client: Client, at: datetime) -> None:
        """Append a version of a client; a doubled version makes the transaction start again."""
        scope = {
            "enterprises": sorted(client.enterprises),
            "offices": sorted(client.offices),
            "platform": client.platform,
            "kinds": sorted(client.kinds),
        }
        row = {
            "client_id": client.client_id,
            "version": client.version,
            "role": client.role.value,
            "scope": json.dumps(scope),
            "jwk": json.dumps(dict(client.jwk)),
            "secrets": json.dumps(client.secrets),
            "state": client.state.value,
            "recorded_at": at,
        }
        self.append(tables.clients, [row])

    def facts_by_id(self, facts: Sequence[FactId]) -> Sequence[AnyFact]:
        """Current facts among these."""
        return self.facts_where(tables.facts.c.fact_id.in_(sorted(facts)))

    def use_assertion(self, client_id: str, jti: str, expires_at: datetime, now: datetime) -> bool:
        """Claim a ``jti`` once; False if it was used before. Forgets the expired."""
        table = tables.assertions
        self.connection.execute(delete(table).where(table.c.expires_at < now))
        mine = (table.c.client_id == client_id, table.c.jti == jti)
        if self.connection.execute(select(table.c.jti).where(*mine)).one_or_none() is not None:
            return False
        # Of two at once on PostgreSQL the second fails on the key, starts again, and finds the first.
        self.connection.execute(
            table.insert(), {"client_id": client_id, "jti": jti, "expires_at": expires_at}
        )
        return True

    def log_disclosures(
        self, learners: Collection[LearnerId], client_id: str, purpose: str, what: str, at: datetime
    ) -> None:
        """Record that a client learned something of these learners."""
        said = {"client_id": client_id, "purpose": purpose, "what": what, "recorded_at": at}
        alike.append(self, tables.disclosures, "disclosure_id", "learner_id", said, sorted(learners))

    def due_among(self, learners: Collection[LearnerId], at: datetime) -> Collection[LearnerId]:
        """Those of the learners who wait to be judged again, and not for a later moment."""
        return {LearnerId(who) for (who,) in self.among(_DUE, learners, at=microseconds(at))}

    def adopt(self, kind: str, digest: str, content: str, body: Mapping[str, Any], at: datetime) -> bool:
        """Adopt a source form: a row and a ledger entry; False if this content stands adopted already."""
        about = entitlement_of(content) if kind == "policy" else ""
        standing = [
            one for one in self.adoptions(kind) if kind != "policy" or entitlement_of(one.content) == about
        ]
        if standing and standing[-1].digest == digest:
            return False
        adoption = self.vault.new_id()
        row = {
            "adoption_id": adoption,
            "kind": kind,
            "digest": digest,
            "content": content,
            "adopted_at": at,
        }
        self.append(tables.adoptions, [row])
        self._put_in_force(f"{kind}/{about}" if about else kind, digest)
        self.announce("adoption", adoption, {"adopts": kind, "digest": digest, **body}, at)
        return True

    def _put_in_force(self, name: str, digest: str) -> None:
        """From here on nobody decides by another one; whoever is deciding by it is waited for."""
        table = tables.in_force
        self.insert_missing(table, [{"name": name, "digest": digest}])
        self.connection.execute(update(table).where(table.c.name == name).values(digest=digest))

    def adoptions(self, kind: str) -> Sequence[Adoption]:
        """Everything of a kind that was ever adopted, oldest first."""
        table = tables.adoptions
        rows = self.connection.execute(
            select(table.c.digest, table.c.content, table.c.adopted_at)
            .where(table.c.kind == kind)
            .order_by(table.c.adopted_at, table.c.adoption_id)
        )
        return [Adoption(row.digest, row.content, row.adopted_at) for row in rows]

    def in_force(self) -> Mapping[str, str]:
        """Digests of what decisions go by, by name."""
        table = tables.in_force
        return {row.name: row.digest for row in self.connection.execute(select(table))}

    def newest_adoption(self, kind: str) -> tuple[str, str] | None:
        """Digest and content of what was adopted last."""
        last = self.adoptions(kind)[-1:]
        return (last[0].digest, last[0].content) if last else None

    def adopted(self, kind: str, digest: str) -> str | None:
        """The content adopted under a digest."""
        table = tables.adoptions
        return self.connection.execute(
            select(table.c.content).where(table.c.kind == kind, table.c.digest == digest).limit(1)
        ).scalar_one_or_none()

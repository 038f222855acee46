"""The pure middle of an issuer's step: records signed, entries built, for the indices that they will have.

Nothing here reads or stores. What comes out counts only once ``IssuingTransaction.commit`` has taken it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from verifier import ledger, outcome, record
from verifier.merkle import leaf_hash
from verifier.model.time import iso
from verifier.ports import NewId, RandomBytes
from verifier.ports.issuing import Issuable, IssuedRecord, NewEntry, NewRecord, NewStatement, OutboxItem
from verifier.ports.signing import Signer
from verifier.signatures import jws
from verifier.signatures.strict_json import canonical


@dataclass(frozen=True, slots=True)
class Pen:
    """What records are written with.

    Attributes:
        signer: of records.
        origin: the ledger's name.
        base_url: our ``iss``.
    """

    signer: Signer = field(repr=False)
    origin: str
    base_url: str
    randbytes: RandomBytes = field(repr=False)
    new_id: NewId = field(repr=False)

    def status_uri(self, list_id: int) -> str:
        """Address of a status list."""
        return f"{self.base_url}/status-lists/{list_id}"

    def outcome(self, body: Mapping[str, Any], position: int, now: datetime) -> NewStatement:
        """Sign the outcome of an objection for the index it will have."""
        statement_id = self.new_id()
        said = outcome.claims(
            body,
            statement_id=statement_id,
            issuer=self.base_url,
            origin=self.origin,
            position=position,
            at=now,
        )
        token = jws.sign_compact(canonical(said), self.signer, typ=outcome.TYP)
        return NewStatement(statement_id, outcome.KIND, body["number"], body["learner"], position, token)

    def record(
        self, issuable: Issuable, issued: str, position: int, place: tuple[int, int], now: datetime
    ) -> NewRecord:
        """Sign the record of one decision for the index it will have.

        Args:
            issuable: the decision.
            issued: from ``record.kind``.
            position: index of its entry.
            place: number and place of its status list.
            now: moment of issue.
        """
        record_id = self.new_id()
        list_id, status_index = place
        visible = record.claims(
            issuable,
            record_id=record_id,
            issued=issued,
            issuer=self.base_url,
            origin=self.origin,
            position=position,
            status_uri=self.status_uri(list_id),
            status_index=status_index,
            at=now,
        )
        hidden = record.disclosures(issuable, self.randbytes)
        payload, encoded = record.payload(visible, hidden)
        token = jws.sign_compact(payload, self.signer, typ=record.TYP)
        last = issuable.previous.kind if issuable.previous else None
        status, previous_status = record.statuses(issued, last)
        return NewRecord(
            record_id=record_id,
            issuable=issuable,
            kind=issued,
            position=position,
            jws=token,
            disclosures=tuple(encoded),
            status_list=list_id,
            status_index=status_index,
            status=status,
            previous_status=previous_status,
        )


class Builder:
    """The entries of one batch, in the order of their causes."""

    def __init__(
        self,
        pen: Pen,
        size: int,
        issuable: Mapping[str, Issuable],
        places: Sequence[tuple[int, int]],
        now: datetime,
    ) -> None:
        """Begin a batch.

        Args:
            pen: what it is written with.
            size: entries that the ledger has.
            issuable: decisions by id.
            places: as many places in status lists as there are decisions.
            now: moment of issue.
        """
        self._pen = pen
        self._issuable = issuable
        self._size = size
        self._places: Iterator[tuple[int, int]] = iter(places)
        self._now = now
        self._at = iso(now)
        self._issued: dict[tuple[str, str], NewRecord] = {}
        self.entries: list[NewEntry] = []
        self.records: list[NewRecord] = []
        self.statements: list[NewStatement] = []
        self.evidence_position: int | None = None

    @property
    def position(self) -> int:
        """Index of the next entry."""
        return self._size + len(self.entries)

    def add(self, item: OutboxItem) -> None:
        """Append the entry that an item causes, if any."""
        if item.kind == outcome.KIND:
            self._add_outcome(item.body)
            return
        if item.kind != "decision":
            self._append(item.kind, dict(item.body), office=str(item.body.get("office", "")))
            return
        issuable = self._after_batch(self._issuable[item.reference])
        last = issuable.previous.kind if issuable.previous else None
        issued = record.kind(issuable.state, last)
        if issued is None:
            return
        issuable = record.about(issuable, issued)
        new = self._pen.record(issuable, issued, self.position, next(self._places), self._now)
        self._issued[issuable.learner_id, issuable.entitlement] = new
        self.records.append(new)
        body = record.entry(issuable, new.record_id, issued, _signed(new.jws))
        self._append("record", body, office=issuable.office, record_id=new.record_id)
        self._tell_former_office(issuable, new)

    def _add_outcome(self, body: Mapping[str, Any]) -> None:
        new = self._pen.outcome(body, self.position, self._now)
        self.statements.append(new)
        self._append(outcome.KIND, outcome.entry(body, _signed(new.jws)), office=body["office"])

    def _tell_former_office(self, issuable: Issuable, new: NewRecord) -> None:
        """An office whose grant now counts at another one would see of the new record only a leaf hash."""
        before = issuable.previous
        if before is not None and before.kind == record.GRANTED and before.office != issuable.office:
            body = {"supersedes": before.record_id, "by": new.record_id, "office": before.office}
            self._append("superseded", body, office=before.office)

    def _after_batch(self, issuable: Issuable) -> Issuable:
        """With the record before it, where that one is issued in this same batch."""
        before = self._issued.get((issuable.learner_id, issuable.entitlement))
        if before is None:
            return issuable
        return replace(
            issuable,
            previous=IssuedRecord(
                before.record_id,
                before.kind,
                before.status_list,
                before.status_index,
                before.issuable.office,
                before.issuable.month,
                before.issuable.uscc,
            ),
        )

    def add_evidence_root(self, evidence: Sequence[tuple[str, bytes]]) -> None:
        """Append the root over everything else that was recorded since the last one."""
        if not evidence:
            return
        self.evidence_position = self.position
        root = ledger.evidence_root([digest for _, digest in evidence])
        self._append("evidence", {"root": root.hex(), "count": len(evidence)})

    def _append(
        self, kind: str, body: dict[str, Any], *, office: str = "", record_id: str | None = None
    ) -> None:
        members = {"v": 1, "kind": kind, "index": self.position, "at": self._at, **body}
        raw = ledger.entry_body(members)
        self.entries.append(NewEntry(self.position, kind, raw, leaf_hash(raw), office, record_id))


def _signed(token: str) -> bytes:
    """Digest of what was signed: header and payload of a compact JWS."""
    return sha256(token.rpartition(".")[0].encode("ascii")).digest()

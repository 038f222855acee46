"""Step 6: which record a decision issues, what it shows and what it hides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier import record
from verifier.model.decision import DecisionId, Entitlement, State
from verifier.model.person import LearnerId, Uscc
from verifier.ports.issuing import Issuable, IssuedRecord
from verifier.signatures.status_list import Status

NOW = datetime(2021, 7, 1, 4, tzinfo=UTC)
MONTH, FORMER = date(2021, 2, 1), Uscc("91650000MA0000001H")
DISCLOSED = {"employer": "某企业", "name": "张三", "id_number": "999901199001010014"}
CLAUSE = {
    "clause": "course-proof",
    "revision": 1,
    "title": "t",
    "citation": "一（三）",
    "outcome": {"answer": "met", "why": "w"},
    "facts": ["f-1"],
}


def issuable(
    previous: str | None = None, month: date | None = date(2021, 3, 1), office: str = "652301"
) -> Issuable:
    trace: Mapping[str, Any] = {"clauses": [CLAUSE], "pins": {"policy": "p@1"}, "not_evaluated": ["金额"]}
    return Issuable(
        decision_id=DecisionId("d-1"),
        learner_id=LearnerId("l-1"),
        entitlement=Entitlement("online-training-month"),
        revision=2,
        state=State.GRANTED,
        decided_at=NOW,
        office=office,
        month=month,
        uscc=Uscc("91650000MA0000000K"),
        dispatched_by=None,
        trace=trace,
        disclosures=DISCLOSED,
        previous=IssuedRecord("r-0", previous, 0, 7, "652302", MONTH, FORMER) if previous else None,
    )


@pytest.mark.parametrize(
    ("state", "last", "issued", "becomes"),
    [
        (State.GRANTED, None, "granted", None),
        (State.GRANTED, "refused", "granted", Status.SUPERSEDED),
        (State.GRANTED, "revoked", "granted", Status.SUPERSEDED),
        (State.GRANTED, "granted", "granted", Status.SUPERSEDED),
        (State.REFUSED, "granted", "revoked", Status.INVALID),
        (State.REFUSED, None, "refused", None),
        (State.REFUSED, "refused", "refused", Status.SUPERSEDED),
        (State.REFUSED, "revoked", "refused", Status.SUPERSEDED),
        (State.PENDING, "granted", "revoked", Status.INVALID),
        (State.PENDING, None, None, None),
        (State.PENDING, "refused", None, None),
        (State.PENDING, "revoked", None, None),
    ],
)
def test_what_a_decision_issues_depends_on_what_was_issued_before(
    state: State, last: str | None, issued: str | None, becomes: Status | None
) -> None:
    assert record.kind(state, last) == issued
    if issued is not None:
        assert record.statuses(issued, last) == (Status.VALID, becomes)


@given(st.lists(st.sampled_from(State), max_size=10))
def test_a_grant_never_stays_valid_once_the_decision_is_another(states: list[State]) -> None:
    last: str | None = None
    valid: list[str] = []
    for state in states:
        issued = record.kind(state, last)
        if issued is not None:
            _, becomes = record.statuses(issued, last)
            if becomes is not None:
                valid.pop()
            valid.append(issued)
            last = issued
        assert len(valid) <= 1
        assert ("granted" in valid) == (state is State.GRANTED)


def visible(item: Issuable) -> dict[str, Any]:
    return record.claims(
        item,
        record_id="r-1",
        issued="granted",
        issuer="https://test.invalid",
        origin="test.invalid/ledger",
        position=5,
        status_uri="https://test.invalid/status-lists/0",
        status_index=9,
        at=NOW,
    )


def test_the_visible_claims_hold_nothing_personal() -> None:
    claims = visible(issuable("granted"))
    assert claims["decision"] == {
        "id": "d-1",
        "revision": 2,
        "result": "granted",
        "entitlement": "online-training-month",
        "month": "2021-03",
        "office": "652301",
    }
    assert claims["clauses"] == [
        {name: CLAUSE[name] for name in ("clause", "revision", "citation", "outcome")}
    ]
    assert (claims["supersedes"], claims["vct"]) == ("r-0", record.VCT)
    assert claims["log"] == {"origin": "test.invalid/ledger", "index": 5}
    assert not any(value in str(claims) for value in DISCLOSED.values())


def test_what_there_is_none_of_is_said_to_be_none() -> None:
    claims = visible(issuable(month=None, office=""))
    assert (claims["decision"]["month"], claims["decision"]["office"], claims["supersedes"]) == (
        None,
        None,
        None,
    )
    entry = record.entry(issuable(month=None, office=""), "r-1", "refused", bytes(32))
    assert (entry["month"], entry["office"], entry["supersedes"]) == (None, None, None)


def test_the_entry_commits_to_the_signing_input_and_names_no_person() -> None:
    entry = record.entry(issuable("granted"), "r-1", "granted", b"\xab" * 32)
    assert entry["signing_input_sha256"] == "ab" * 32
    assert (entry["record"], entry["supersedes"], entry["month"]) == ("r-1", "r-0", "2021-03")
    assert not any(value in str(entry) for value in DISCLOSED.values())


def test_personal_claims_are_disclosures_in_a_fixed_order_each_with_its_salt() -> None:
    salts = iter(bytes([number]) * 16 for number in range(1, 9))
    hidden = record.disclosures(issuable(), lambda _: next(salts))
    assert [part.name for part in hidden] == ["name", "id_number", "employer"]
    assert len({part.encoded for part in hidden}) == 3
    written, encoded = record.payload(visible(issuable()), hidden)
    payload = json.loads(written)
    assert encoded == [part.encoded for part in hidden]
    assert len(payload["_sd"]) == 3
    assert not any(value in str(payload) for value in DISCLOSED.values())


def test_only_a_revocation_is_about_the_record_before_it() -> None:
    other = issuable("granted")
    assert record.about(other, "granted") is other
    alone = issuable()
    assert record.about(alone, "revoked") is alone
    revoked = record.about(other, "revoked")
    assert (revoked.office, revoked.month, revoked.uscc) == ("652302", MONTH, FORMER)


def test_a_revocation_names_no_employer_that_the_grant_did_not_name() -> None:
    revoked = record.about(issuable("granted"), "revoked")
    assert set(revoked.disclosures) == {"name", "id_number"}
    same = replace(issuable("granted"), uscc=FORMER, dispatched_by=FORMER)
    assert record.about(same, "revoked").disclosures == DISCLOSED
    assert record.about(same, "revoked").dispatched_by == FORMER

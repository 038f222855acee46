"""What is told of recorded decisions is what their traces say, however often the same was said before."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from tests.answers import written
from verifier.errors import Party
from verifier.model.decision import State
from verifier.model.delivery import PlatformSlug
from verifier.model.standing import (
    CompletionStanding,
    Mend,
    PersonStanding,
    Reason,
    Recorded,
    Standing,
    StatusAnswer,
)
from verifier.signatures.strict_json import canonical
from verifier.standing_recorded import said

AT = datetime(2021, 7, 1, 4, tzinfo=UTC)

texts = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from(['"facts":["x"],', '\\"facts":["x"],', '"facts":[', "],", "\\"]),
)
ids = st.text("0123456789abcdef", min_size=1, max_size=32)
outcomes = st.one_of(
    st.fixed_dictionaries({"answer": st.sampled_from(["met", "not_met"]), "why": texts}),
    st.fixed_dictionaries(
        {
            "answer": st.just("unknown"),
            "why": texts,
            "missing": st.sampled_from(["roster", "admission"]),
            "party": st.sampled_from([one.value for one in Party]),
        }
    ),
)
clauses = st.lists(
    st.fixed_dictionaries(
        {
            "clause": texts,
            "revision": st.integers(1, 3),
            "title": texts,
            "citation": texts,
            "outcome": outcomes,
            "facts": st.lists(ids, max_size=3),
        }
    ),
    max_size=3,
)
candidates = st.none() | st.fixed_dictionaries(
    {"completion": ids, "employment": st.none() | ids, "uscc": st.none() | ids}
)
months = st.none() | st.dates().map(date.isoformat)
traces = st.fixed_dictionaries({"candidate": candidates, "clauses": clauses, "month": months, "as_of": texts})


def reason(clause: dict[str, Any]) -> Reason:
    outcome = clause["outcome"]
    return Reason(
        clause["clause"],
        clause["title"],
        clause["citation"],
        outcome["answer"],
        outcome["why"],
        outcome.get("missing", ""),
        Party(outcome["party"]) if "party" in outcome else None,
    )


MET = {"answer": "met", "why": "w"}
ALIKE = {
    "clause": "c",
    "revision": 1,
    "title": "t",
    "citation": "z",
    "outcome": MET,
}


@given(st.lists(traces, min_size=1, max_size=4))
@example([{"candidate": None, "month": None, "clauses": [ALIKE | {"facts": [one]}]} for one in "ab"])
def test_every_trace_is_told_as_it_stands(drawn: list[dict[str, Any]]) -> None:
    for trace in drawn:
        told = said(Recorded(State.GRANTED, AT, canonical(trace).decode()))
        assert told.found.reasons == tuple(map(reason, trace["clauses"]))
        assert told.found.month == (date.fromisoformat(trace["month"]) if trace["month"] else None)
        assert (told.found.state, told.found.decided_at) == (Standing.GRANTED_HERE, AT)
        candidate = trace["candidate"]
        assert told.candidate == (candidate and (candidate["completion"], candidate["uscc"]))


reasons = st.builds(
    Reason,
    texts,
    texts,
    texts,
    texts,
    texts,
    st.sampled_from(["", "roster"]),
    st.none() | st.sampled_from(Party),
)
completions = st.builds(
    CompletionStanding,
    st.just(PlatformSlug("p")),
    texts,
    st.none() | texts,
    st.dates(),
    st.datetimes(timezones=st.just(UTC)),
    st.sampled_from(Standing),
    st.none() | st.dates(min_value=date(1000, 1, 1)),
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.lists(reasons, max_size=2).map(tuple),
)
people = st.builds(
    PersonStanding,
    st.sampled_from(Standing),
    st.lists(completions, max_size=2).map(tuple),
    st.lists(st.builds(Mend, st.sampled_from(Party), texts), max_size=2).map(tuple),
    st.booleans(),
)


def as_members(answer: StatusAnswer) -> dict[str, Any]:
    """An answer as JSON members, the plain way."""
    return {
        "admitted": answer.admitted,
        "as_of": answer.as_of.isoformat().replace("+00:00", "Z"),
        "policy": answer.policy,
        "people": [
            {
                "position": position,
                "state": person.state.value,
                "completions": [completion_members(one) for one in person.completions],
                "mend": [{"party": mend.party.value, "what": mend.what} for mend in person.mend],
                **({"evaluating": True} if person.evaluating else {}),
            }
            for position, person in enumerate(answer.people, answer.first)
        ],
    }


def completion_members(one: CompletionStanding) -> dict[str, Any]:
    members = {
        "platform": one.platform,
        "platform_name": one.platform_name,
        "course_title": one.course_title,
        "completed_on": one.completed_on.isoformat(),
        "received_at": one.received_at.isoformat().replace("+00:00", "Z"),
        "state": one.state.value,
        "month": one.month.strftime("%Y-%m") if one.month else None,
        "decided_at": one.decided_at.isoformat().replace("+00:00", "Z") if one.decided_at else None,
        "reasons": [reason_members(one) for one in one.reasons],
    }
    return {name: value for name, value in members.items() if value is not None}


def reason_members(one: Reason) -> dict[str, Any]:
    members = {name: getattr(one, name) for name in ("clause", "title", "citation", "answer", "why")}
    if one.missing:
        members["missing"] = one.missing
    if one.party is not None:
        members["party"] = one.party.value
    return members


@given(st.lists(people, min_size=1, max_size=4), st.integers(1, 4), st.booleans())
def test_every_answer_is_written_alike_whole_or_in_slices(
    drawn: list[PersonStanding],
    size: int,
    admitted: bool,  # noqa: FBT001 - drawn
) -> None:
    whole = StatusAnswer(admitted, AT, "policy@1", 0, tuple(drawn))
    slices = [
        StatusAnswer(admitted, AT, "policy@1", first, tuple(drawn[first : first + size]))
        for first in range(0, len(drawn), size)
    ]
    members = as_members(whole)
    assert written(whole) == written(*slices) == msgspec.json.encode(members)
    assert written(whole, canonical=True) == written(*slices, canonical=True) == canonical(members)
    assert json.loads(written(whole)) == members

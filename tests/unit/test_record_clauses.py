"""What a record says of clauses is the same whether they were written once for many, or for it alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.test_standing_recorded import MET, clauses
from verifier import record
from verifier.errors import SignatureRejected
from verifier.signatures.sdjwt import new_disclosure
from verifier.signatures.strict_json import canonical
from verifier.traces import without_facts

VISIBLE = {"jti": "r", "decision": {"id": "d", "note": '"clauses":[]'}, "log": {"index": 3}, "standard": None}


def salt(count: int) -> bytes:
    return b"s" * count


@given(clauses, st.sampled_from([(), ("name",), ("name", "id_number")]))
@example([{"clause": '"clauses":[]', "title": "", "citation": "", "outcome": MET, "facts": []}], ("name",))
def test_every_payload_is_the_same_bytes(trace: list[dict[str, Any]], disclosed: tuple[str, ...]) -> None:
    kept = [{name: one[name] for name in one if name not in {"title", "facts"}} for one in trace]
    hidden = [new_disclosure(name, "张三", salt) for name in disclosed]
    written = record.clauses(without_facts(canonical(trace)))
    assert written.written == canonical(kept)
    quick = record.payload({**VISIBLE, "clauses": written}, hidden)
    assert quick == record.payload({**VISIBLE, "clauses": kept}, hidden)
    assert msgspec.json.decode(quick[0])["clauses"] == kept


@given(clauses)
def test_without_the_facts_every_clause_says_what_it_said(trace: list[dict[str, Any]]) -> None:
    rest = msgspec.json.decode(without_facts(canonical(trace)))
    assert rest == [{name: one[name] for name in one if name != "facts"} for one in trace]


def test_a_reserved_name_among_the_clauses_is_refused() -> None:
    trace = [{"clause": "c", "revision": 1, "citation": "z", "outcome": {**MET, "_sd": ["x"]}}]
    with pytest.raises(SignatureRejected):
        record.clauses(canonical(trace))

"""The totals' worked example in the guide, and their form."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import rfc8785

from verifier import totals
from verifier.ports.claims import StateCount
from verifier.totals import By

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "subsidy.md").read_text(encoding="utf-8")
MARCH, FACTORY = date(2021, 3, 1), "91650000MA0000000K"


def test_the_guides_example_is_what_is_computed() -> None:
    shown = re.search(r"```json\n(\{\"by\":\"account\".*?)```", GUIDE, re.DOTALL)
    digest = re.search(r"`totals_sha256` = `([0-9a-f]{64})`", GUIDE)
    assert shown is not None
    assert digest is not None
    counts = [
        StateCount(MARCH, FACTORY, "online-training-month", step, count, amount, having)
        for step, count, amount, having in (
            ("claim", 3, 102000, 2),
            ("paid", 2, 102000, 2),
            ("release", 1, 0, 0),
        )
    ]
    found = totals.document("652301", MARCH, By.ACCOUNT, "", counts)
    assert found == json.loads(shown[1])
    assert totals.digest(found) == digest[1]


def test_what_is_not_counted_leaves_no_trace_and_the_rest_is_in_order() -> None:
    counts = [
        StateCount(MARCH, uscc, name, state, 1, 0, 0)
        for uscc, name, state in (
            ("B", "x", "granted"),
            ("A", "x", "claimed"),
            ("A", "w", "released"),
            ("A", "v", "paid"),
        )
    ]
    every = totals.document("1", MARCH, By.SUBSIDY, "", counts)
    assert [(row["uscc"], row["entitlement"]) for row in every["rows"]] == [
        ("A", "v"),
        ("A", "x"),
        ("B", "x"),
    ]
    one = totals.document("1", MARCH, By.SUBSIDY, "v", counts)
    assert (one["entitlement"], len(one["rows"])) == ("v", 1)
    assert totals.digest(one) != totals.digest({**one, "entitlement": None})
    assert rfc8785.dumps(one) == json.dumps(one, sort_keys=True, separators=(",", ":")).encode()

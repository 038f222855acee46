"""Answers of ``verifier.standing`` as they are read by whoever asked."""

from __future__ import annotations

import json
from typing import Any

from verifier.model.standing import StatusAnswer
from verifier.standing_written import Writer


def said(*slices: StatusAnswer, canonical: bool = False) -> Any:
    """What is written of an answer in slices."""
    return json.loads(written(*slices, canonical=canonical))


def written(*slices: StatusAnswer, canonical: bool = False) -> bytes:
    writer = Writer(canonical)
    for one in slices:
        writer.add(one)
    return b"".join(writer.pieces())

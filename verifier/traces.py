"""A recorded decision's trace as stored text, of which most is the same for most people. Pure."""

from __future__ import annotations

import re
from typing import Final

_FACTS: Final = re.compile(rb'"facts":\[[^\]]*\],')


def without_facts(clauses: bytes) -> bytes:
    """The clauses of a trace without the facts on which each rests: alike for all of whom the same is said.

    Args:
        clauses: the member of that name of a trace as it is stored, in canonical JSON. Within a text the
            quotes around the name would be escaped, and no fact's id holds a bracket: nothing else is taken.
    """
    return _FACTS.sub(b"", clauses)

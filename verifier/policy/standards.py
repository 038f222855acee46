"""What a granted month is paid with, and to whom: a dated table, adopted as policies are. Pure.

The notice states no amount, and does not say whether a dispatched worker's money goes to the employer
(用工单位) or to the dispatcher (派遣单位). Both are somebody's decision: nothing comes with the service, and
what no row says is *not configured*. A row that names an office counts before one for all offices. An amount
that differs by skill level cannot be said here; leave it out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from hashlib import sha256
from itertools import combinations
from typing import Final, TypeVar

from verifier.model.standards import CURRENCY, Payee, PayeeRule, Standard, Standards
from verifier.model.time import covers, parse_month
from verifier.toml_tables import Table, document

KIND: Final = "standards"
"""The kind of source form."""
GREATEST_FEN: Final = 100_000_000
"""A million yuan: more for one month of one person is a slip of the pen."""

_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}", re.ASCII)
_SLUG: Final = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)
_MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}", re.ASCII)
_GREATEST_REVISION: Final = 9_999

R = TypeVar("R", Standard, PayeeRule)


@lru_cache(maxsize=8)
def standards_of(content: str) -> Standards:
    """A table as it was adopted; errors as ``load_standards``."""
    return load_standards(content.encode())


def load_standards(raw: bytes) -> Standards:
    """Read a table.

    Args:
        raw: TOML.

    Raises:
        ConfigurationError: it is not as it should be; where is said.
    """
    table = document(raw, "the table of standards")
    table.allow("revision", "standard", "payee")
    revision = table.optional_count("revision", _GREATEST_REVISION)
    if revision is None:
        raise table.invalid("revision", "missing")
    standards = tuple(_standard(row) for row in table.tables("standard"))
    payees = tuple(_payee(row) for row in table.tables("payee"))
    for name in {row.entitlement for row in standards}:
        _check_apart(table, "standard", [row for row in standards if row.entitlement == name])
    _check_apart(table, "payee", payees)
    return Standards(sha256(raw).hexdigest(), revision, standards, payees)


def _standard(table: Table) -> Standard:
    table.allow("entitlement", "office", "from", "to", "amount_fen", "currency", "reference")
    amount = table.optional_count("amount_fen", GREATEST_FEN)
    if amount is None:
        raise table.invalid("amount_fen", "missing")
    if table.text("currency") != CURRENCY:
        raise table.invalid("currency", "amounts are in CNY")
    entitlement = table.text("entitlement", _SLUG)
    return Standard(entitlement, *_scope(table), amount, table.text("reference"))


def _payee(table: Table) -> PayeeRule:
    table.allow("office", "from", "to", "payee", "reference")
    return PayeeRule(*_scope(table), table.word("payee", Payee), table.text("reference"))


def _scope(table: Table) -> tuple[str, date, date | None]:
    start = _month(table, "from")
    end = _month(table, "to") if "to" in table else None
    if end is not None and end < start:
        raise table.invalid("to", "ends before it begins")
    return table.optional_text("office", _CODE), start, end


def _month(table: Table, name: str) -> date:
    try:
        return parse_month(table.text(name, _MONTH))
    except ValueError:
        raise table.invalid(name, "not a month as 2021-03") from None


def _check_apart(table: Table, name: str, rows: Sequence[R]) -> None:
    for one, other in combinations(rows, 2):
        earlier, later = (one, other) if one.start <= other.start else (other, one)
        if one.office == other.office and covers(earlier.start, earlier.end, later.start):
            raise table.invalid(name, "two rows say something of one month")

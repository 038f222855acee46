"""Traits: what is weaker than an identifier. They find nobody; they only let a reviewer see who it might be.

T1. A phone number: full-width signs become ASCII; spaces and hyphens between digits are removed; a prefix of
    +86, 86 or 0086 before 11 digits that begin with 1 is removed. 5 to 20 digits must be left, perhaps behind
    a plus sign.
T2. An account is a platform's: the platform's slug with the account's name as it came, width of ASCII folded.
T3. The number of a passport whose country nobody said: rules 13 and 14 of ``verifier.identity``.
T4. A name with a birth date: the first component of the folded name (名, which 父名 and 祖父名 may follow or
    not) without spaces, and the day. A day is written with four digits for the year, with ``-``, ``/``, ``.``
    or 年月日 between, or as eight digits.
T5. What does not fit its rule makes no trait. Nothing is refused for it: a certificate that names its holder
    by such a thing waits for a reviewer all the same, who sees what it says.
T6. A value that more than ``MOST_PEOPLE`` people share, or that more than ``MOST_UNIDENTIFIED`` learners bear
    whom nobody has identified, is a placeholder, or a number that an office lends: it proposes nobody, and
    the reviewer is told that it is shared.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from verifier import identity
from verifier.errors import IdentityRejected
from verifier.model.person import (
    ClaimedKind,
    Identifier,
    IdentityClaims,
    PersonName,
    Trait,
    TraitKind,
)

MOST_PEOPLE: Final = 3
"""T6: our own choice; a household may share a phone, and namesakes a birthday."""
MOST_UNIDENTIFIED: Final = 20
"""T6: our own choice; one person may hold many certificates that name nobody for certain."""

WEAK: Final = frozenset({ClaimedKind.PHONE, ClaimedKind.PLATFORM_ACCOUNT, ClaimedKind.BIRTH_DATE})
"""Claimed kinds that never name anybody for certain."""

_FOLD: Final = {0xFF01 + n: chr(0x21 + n) for n in range(94)} | {0x3000: " "}
_BETWEEN_DIGITS: Final = re.compile("(?<=[0-9])[ -](?=[0-9])")
_MAINLAND: Final = re.compile(r"(?:\+86|0086|86)(1[0-9]{10})")
_PHONE: Final = re.compile(r"\+?[0-9]{5,20}")
_DAY: Final = re.compile("([0-9]{4})(?:([0-9]{2})([0-9]{2})|[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日?)")


def is_shared(people: int, unidentified: int) -> bool:
    """Whether a value proposes nobody any more (T6)."""
    return people > MOST_PEOPLE or unidentified > MOST_UNIDENTIFIED


def of_identified(identifier: Identifier, name: PersonName) -> tuple[Trait, ...]:
    """What is known of somebody with a strong identifier, for reviewers of weaker certificates (T4).

    Args:
        identifier: by which the person is known.
        name: the name that came with it.
    """
    born = identity.birth_date(identifier)
    return (_name_birth(name, born),) if born is not None else ()


def of_claims(claims: IdentityClaims, name: PersonName, platform: str) -> tuple[Trait, ...]:
    """What weak claims say of their holder, as far as it fits a rule (T1 to T5).

    Args:
        claims: of a weak kind, or of a passport without its country.
        name: as read.
        platform: whose account it is, if it is one.
    """
    text = claims.id_number.translate(_FOLD).strip()
    match claims.id_kind:
        case ClaimedKind.PHONE:
            digits = _BETWEEN_DIGITS.sub("", text)
            found = _MAINLAND.fullmatch(digits)
            digits = found[1] if found else digits
            return (Trait(TraitKind.PHONE, digits),) if _PHONE.fullmatch(digits) else ()
        case ClaimedKind.PLATFORM_ACCOUNT:
            return (Trait(TraitKind.PLATFORM_ACCOUNT, f"{platform}/{text}"),)
        case ClaimedKind.BIRTH_DATE:
            born = _day(text)
            return (_name_birth(name, born),) if born is not None else ()
        case _:
            return _passport(claims.id_number)


def covered(said: str) -> str:
    """What a weak certificate says of its holder, as a reviewer is shown it: its end alone."""
    shown = min(4, len(said) // 2)
    return "*" * (len(said) - shown) + said[len(said) - shown :]


def _passport(raw: str) -> tuple[Trait, ...]:
    try:
        return (Trait(TraitKind.PASSPORT_NUMBER, identity.passport_number(raw)),)
    except IdentityRejected:
        return ()


def _day(text: str) -> date | None:
    match = _DAY.fullmatch(text)
    if match is None:
        return None
    year, *rest = (int(part) for part in match.groups() if part is not None)
    try:
        return date(year, *rest)
    except ValueError:
        return None


def _name_birth(name: PersonName, born: date) -> Trait:
    first = name.components[0].replace(" ", "")
    return Trait(TraitKind.NAME_BIRTH, f"{first}/{born.isoformat()}")

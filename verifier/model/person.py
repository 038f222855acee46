"""People and enterprises: identifiers and names, as claimed and as read by the written rules.

No value of a person appears in a ``repr``: those end up in logs and tracebacks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NewType

LearnerId = NewType("LearnerId", str)
"""Our own random id of a learner; says nothing about the person."""

Uscc = NewType("Uscc", str)
"""A unified social credit code (GB 32100-2015) in canonical form, made only by ``verifier.identity.uscc``."""

PRIVATE_USE: Final = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
"""Unicode's private-use ranges, as the inside of a character class."""

_PRIVATE_USE = re.compile(f"[{PRIVATE_USE}]")


class ClaimedKind(StrEnum):
    """How a certificate, a roster or a clerk says by what it names somebody."""

    RESIDENT_ID = "resident_id"
    HMT_PERMIT = "hmt_permit"
    """港澳台居民居住证: a number of the same space as resident numbers."""
    FOREIGN_CARD = "foreign_card"
    """外国人永久居留身份证, of the form of 2021 or of 2023."""
    PASSPORT = "passport"
    """Together with the country that issued it; without one it is weak."""
    PHONE = "phone"
    PLATFORM_ACCOUNT = "platform_account"
    BIRTH_DATE = "birth_date"
    """With the name. These last three are weak: they name nobody for certain."""


class IdentifierKind(StrEnum):
    """By what a learner is known. The value is stored and indexed: never change one."""

    RESIDENT_ID = "resident_id"
    """Every number of 18 digits: of residents, of permits, of foreigners' cards of 2023."""
    FOREIGN_CARD = "foreign_card"
    """A foreigner's card of 2021: three letters and twelve digits."""
    PASSPORT = "passport"
    """Country and number: the same number of two countries is two people."""
    PROVISIONAL = "provisional"
    """No identifier of a person: the certificate's own number, for whoever it names by less than one."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """A strong identifier in canonical form, made only by ``verifier.identity``.

    Attributes:
        kind: which rule it passed.
        value: the canonical text; equal values of a kind are the same person.
    """

    kind: IdentifierKind
    value: str = field(repr=False)


class TraitKind(StrEnum):
    """What is weaker than an identifier and still found again. The word is stored and indexed."""

    PHONE = "phone"
    PLATFORM_ACCOUNT = "platform_account"
    PASSPORT_NUMBER = "passport_number"
    """Of a passport whose country nobody said."""
    NAME_BIRTH = "name_birth"
    """The first component of a name with a birth date."""


@dataclass(frozen=True, slots=True)
class Trait:
    """Something known of a person that finds nobody: it only lets a reviewer be shown who it might be.

    Attributes:
        value: the canonical text, made only by ``verifier.traits``.
    """

    kind: TraitKind
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PersonName:
    """A name that passed the rules of ``verifier.names``.

    Attributes:
        raw: exactly as it came.
        folded: the form that is compared: separators are U+00B7, width is unified.
        components: the folded name split at its separators: 名, 父名, 祖父名.
    """

    raw: str = field(repr=False)
    folded: str = field(repr=False)
    components: tuple[str, ...] = field(repr=False)

    @property
    def has_private_use(self) -> bool:
        """Whether a character has only a private code point.

        Older GB 18030 mappings put rare Han characters there, so what it shows depends on the sender's font.
        """
        return _PRIVATE_USE.search(self.raw) is not None


@dataclass(frozen=True, slots=True)
class IdentityClaims:
    """Who a certificate or a roster says somebody is, as it came; nothing is checked yet.

    Attributes:
        id_kind: a value of ``ClaimedKind``, or a word we do not know.
        id_number: the identifier as written by the sender.
        name: the name as written by the sender.
        country: who issued a passport, as written by the sender; empty for other kinds.
    """

    # The kind is hidden as well: a sender that shifts its columns puts the number there.
    id_kind: str = field(repr=False)
    id_number: str = field(repr=False)
    name: str = field(repr=False)
    country: str = field(default="", repr=False)


class NameRelation(StrEnum):
    """How two names that came with the same strong identifier relate."""

    SAME = "same"
    VARIANT = "variant"
    DIFFERENT = "different"

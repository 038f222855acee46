"""Identifiers: the written rules by which they are read, checked, indexed and shown.

Version ``identity-1``. Every decision pins ``NORMALISER``: a rule that changes gets a new version. What a
rule does not name is refused, never repaired; a platform that pads or spaces its fields declares that in
its profile, and its adapter undoes it before this module sees the text. Rules 11 to 17 were added within the
version: they take what had been refused, and nothing that was taken before reads differently.

Resident identity number (GB 11643-1999; the same form serves residence permits of people from Hong Kong,
Macao and Taiwan, and foreigners' permanent residence cards since December 2023):

1.  Full-width digits (U+FF10 to U+FF19) become ASCII digits; full-width X and x (U+FF38, U+FF58) and
    lower-case x become X. Nothing else is folded and nothing is stripped: spaces, also at the ends,
    zero-width characters, hyphens and digits of other scripts are refused.
2.  It then is 17 digits and a digit or X, or the 15 digits of the older form. Fifteen become eighteen: 19
    is inserted after the sixth digit and the check character is appended. Both forms are thus one
    identifier.
3.  The check character is that of ISO 7064 MOD 11-2.
4.  Digits 7 to 14 are a day of the calendar, from 1900-01-01 to the day of the check, both included.
5.  The first six digits are never judged: divisions are renamed, merged and abolished, and lists of them
    are incomplete. Nor are digits 15 to 17.

Unified social credit code (GB 32100-2015):

6.  Full-width digits and letters become ASCII; lower-case letters become upper-case. Nothing is stripped.
7.  It then has 18 characters of the standard's 31 (no I, O, S, V, Z), of which the third to the eighth, a
    division, are digits. The first two are not judged (A, N and Y are in use), nor is the division.
8.  The last character is the check modulo 31. The organisation code's own inner check is not judged.

Index and display:

9.  A person's identifier is looked up by HMAC-SHA256 under a secret pepper, over a label, the kind and
    the value, each preceded by its length, so that no two different inputs share one text.
10. For publicity a resident number shows its first six and last four characters; the birth date is
    covered.

Other documents:

11. Numbers of 18 digits are one space, in which no two people share a number, so they are one kind of
    identifier, whatever the document is called: a wrong label must never make a second person. A label is
    held against the number only where it says something: a residence permit (港澳台居民居住证) begins with
    810000, 820000 or 830000 and has 18 digits; a permanent residence card (外国人永久居留身份证) has the
    form of rule 12, or 18 digits beginning with 9. A resident number has rules 1 to 5 and no other.
12. A permanent residence card of 2021 has three letters and twelve digits. Its check digit is not judged: we
    have not read how it is made.
13. A passport is its issuing country and its number: three letters (the form of ISO 3166-1 alpha-3, which
    is not held against a list, since lists change), and 5 to 15 letters and digits, at least one of them a
    digit. That length is our own reading: the machine-readable zone of ICAO Doc 9303 has nine places.
14. In rules 12 and 13 full-width letters and digits become ASCII and lower-case letters upper-case. Nothing
    is stripped.
15. A passport without a country is no identifier, but a weak name for somebody, as a phone number is.
16. For publicity a card of 2021 shows its three letters and last two digits, a passport its country and last
    two characters. What names nobody for certain is covered whole.

17. Where a list does not say which document a number is on: with a slash it is a passport, its country in
    front; of 15 signs of which the first is a letter it is a card of 2021; otherwise it is a number of rules
    1 to 5.

The rules for names, N1 to N10, are in ``verifier.names``, those for what is weaker than an identifier, T1 to
T6, in ``verifier.traits``; the functions for names are offered here too.
"""

from __future__ import annotations

import hmac
import json
import re
from datetime import date
from functools import cache
from operator import mul
from typing import Final

from verifier.errors import Code, ConfigurationError, IdentityRejected
from verifier.model.person import Identifier, IdentifierKind, Trait, Uscc
from verifier.names import compare_names, masked_name, person_name

__all__ = [
    "COMPARED_ALIKE",
    "NORMALISER",
    "any_document",
    "birth_date",
    "blind_index",
    "compare_names",
    "foreign_card",
    "hmt_permit",
    "keyed_index",
    "masked",
    "masked_name",
    "passport",
    "passport_number",
    "person_name",
    "provisional",
    "resident_id",
    "uscc",
]

NORMALISER: Final = "identity-1"
"""Version of the rules of this module and of ``verifier.names``."""
COMPARED_ALIKE: Final = frozenset({NORMALISER})
"""Versions whose rules N1 to N9 are this one's.

A decision computes with no other rules, so what was decided under any of these is replayed the same.
"""

_WIDE_DIGITS = {0xFF10 + n: str(n) for n in range(10)}
_RESIDENT_FOLD = _WIDE_DIGITS | {ord(x): "X" for x in "x\uff38\uff58"}
_RESIDENT_FORM = re.compile(r"[0-9]{15}|[0-9]{17}[0-9X]")
_RESIDENT_OLD_LENGTH = 15
_RESIDENT_LENGTHS = frozenset({_RESIDENT_OLD_LENGTH, 18})
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_RESIDENT_ZERO = ord("0") * sum(_RESIDENT_WEIGHTS)
_RESIDENT_CHECKS = "10X98765432"
_EARLIEST_BIRTH = date(1900, 1, 1)

_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_VALUES = {character: value for value, character in enumerate(_USCC_ALPHABET)}
_FOLD = (
    _WIDE_DIGITS
    | {ord("a") + n: chr(ord("A") + n) for n in range(26)}
    | {0xFF21 + n: chr(ord("A") + n) for n in range(26)}
    | {0xFF41 + n: chr(ord("A") + n) for n in range(26)}
)
_USCC_FORM = re.compile(rf"[{_USCC_ALPHABET}]{{2}}[0-9]{{6}}[{_USCC_ALPHABET}]{{10}}")
_USCC_LENGTH = 18
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)

_PERMIT_PREFIXES = ("810000", "820000", "830000")
_CARD_FORM = re.compile(r"[A-Z]{3}[0-9]{12}")
_CARD_LENGTH = 15
_CARD_PREFIX = "9"
_COUNTRY_FORM = re.compile(r"[A-Z]{3}")
_PASSPORT_FORM = re.compile(r"(?=[A-Z]*[0-9])[A-Z0-9]{5,15}")

_INDEX_LABEL = b"training-verifier/blind-index"
_PEPPER_BYTES = 32

_SHOWN = {
    IdentifierKind.RESIDENT_ID: (6, 4),
    IdentifierKind.FOREIGN_CARD: (3, 2),
    IdentifierKind.PASSPORT: (4, 2),
    IdentifierKind.PROVISIONAL: (0, 0),
}


def resident_id(raw: str, *, today: date) -> Identifier:
    """Read a resident identity number by rules 1 to 5 (GB 11643-1999).

    Args:
        raw: the number as it came.
        today: the Beijing day of the check; nobody is born after it.

    Returns:
        The identifier with its 18-character value, also for a number of 15 digits.

    Raises:
        IdentityRejected: IDENTIFIER_INVALID, with the rule that is broken.
    """
    if len(raw) not in _RESIDENT_LENGTHS:
        raise IdentityRejected(Code.IDENTIFIER_INVALID, "rule 2: length")
    number = raw.translate(_RESIDENT_FOLD)
    if not _RESIDENT_FORM.fullmatch(number):
        raise IdentityRejected(Code.IDENTIFIER_INVALID, "rules 1 and 2: characters")
    if len(number) == _RESIDENT_OLD_LENGTH:
        number = number[:6] + "19" + number[6:]
        number += _resident_check(number)
    if _resident_check(number) != number[-1]:
        raise IdentityRejected(Code.IDENTIFIER_INVALID, "rule 3: check character")
    if not _is_birth_date(number[6:14], today):
        raise IdentityRejected(Code.IDENTIFIER_INVALID, "rule 4: birth date")
    return Identifier(IdentifierKind.RESIDENT_ID, number)


def hmt_permit(raw: str, *, today: date) -> Identifier:
    """Read the number of a residence permit of people from Hong Kong, Macao or Taiwan by rule 11.

    Arguments and errors as for ``resident_id``, whose kind of identifier it is.
    """
    identifier = resident_id(raw, today=today)
    if len(raw) == _RESIDENT_OLD_LENGTH or not identifier.value.startswith(_PERMIT_PREFIXES):
        raise IdentityRejected(Code.IDENTIFIER_INVALID, "rule 11: not the number of a permit")
    return identifier


def foreign_card(raw: str, *, today: date) -> Identifier:
    """Read the number of a foreigner's permanent residence card, of either form, by rules 11, 12 and 14.

    Arguments and errors as for ``resident_id``.
    """
    if len(raw) != _CARD_LENGTH:
        identifier = resident_id(raw, today=today)
        if not identifier.value.startswith(_CARD_PREFIX):
            raise IdentityRejected(Code.IDENTIFIER_INVALID, "rule 11: not the number of a card")
        return identifier
    number = raw.translate(_FOLD)
    if not _CARD_FORM.fullmatch(number):
        raise IdentityRejected(Code.IDENTIFIER_INVALID, "rule 12: three letters and twelve digits")
    return Identifier(IdentifierKind.FOREIGN_CARD, number)


def passport(raw: str, country: str) -> Identifier:
    """Read a passport by rules 13 and 14.

    Args:
        raw: its number as it came.
        country: who issued it, as it came.

    Raises:
        IdentityRejected: IDENTIFIER_INVALID; the pointer is ``id_country`` where it is the country's fault.
    """
    issued_by = country.translate(_FOLD)
    if not _COUNTRY_FORM.fullmatch(issued_by):
        raise IdentityRejected(
            Code.IDENTIFIER_INVALID, "rule 13: the country is not three letters", pointer="id_country"
        )
    return Identifier(IdentifierKind.PASSPORT, f"{issued_by}/{passport_number(raw)}")


def passport_number(raw: str) -> str:
    """The number of a passport, without its country, by rules 13 and 14; errors as for ``passport``."""
    number = raw.translate(_FOLD)
    if not _PASSPORT_FORM.fullmatch(number):
        raise IdentityRejected(Code.IDENTIFIER_INVALID, "rule 13: the form of a passport's number")
    return number


def any_document(raw: str, *, today: date) -> Identifier:
    """Read a number by its form alone, by rule 17; arguments and errors as for ``resident_id``."""
    country, slash, number = raw.partition("/")
    if slash:
        return passport(number, country)
    if len(raw) == _CARD_LENGTH and raw[0].translate(_FOLD).isalpha():
        return foreign_card(raw, today=today)
    return resident_id(raw, today=today)


def provisional(*said: str) -> Identifier:
    """The key of a provisional learner.

    Args:
        said: a certificate's issuer, number scope and number, and all that it says of its holder. Whoever is
            named otherwise by a later certificate of the number is somebody else until a person says so.
    """
    return Identifier(IdentifierKind.PROVISIONAL, json.dumps(said, ensure_ascii=False))


def birth_date(identifier: Identifier) -> date | None:
    """The birth date that a number of 18 digits states; None for other kinds."""
    if identifier.kind is not IdentifierKind.RESIDENT_ID:
        return None
    digits = identifier.value[6:14]
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))


def _resident_check(number: str) -> str:
    # Of ASCII digits, by their codes: each is 48 above its digit.
    total = sum(map(mul, number.encode("ascii"), _RESIDENT_WEIGHTS)) - _RESIDENT_ZERO
    return _RESIDENT_CHECKS[total % 11]


def _is_birth_date(digits: str, today: date) -> bool:
    try:
        born = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return _EARLIEST_BIRTH <= born <= today


def uscc(raw: str) -> Uscc:
    """Read a unified social credit code by rules 6 to 8 (GB 32100-2015).

    Args:
        raw: the code as it came.

    Returns:
        The code in its 18 upper-case ASCII characters.

    Raises:
        IdentityRejected: USCC_INVALID, with the rule that is broken.
    """
    if len(raw) != _USCC_LENGTH:
        raise IdentityRejected(Code.USCC_INVALID, "rule 7: length")
    code = raw.translate(_FOLD)
    if not _USCC_FORM.fullmatch(code):
        raise IdentityRejected(Code.USCC_INVALID, "rules 6 and 7: characters")
    total = sum(
        _USCC_VALUES[character] * weight for character, weight in zip(code[:-1], _USCC_WEIGHTS, strict=True)
    )
    if _USCC_ALPHABET[-total % 31] != code[-1]:
        raise IdentityRejected(Code.USCC_INVALID, "rule 8: check character")
    return Uscc(code)


def blind_index(identifier: Identifier | Trait, pepper: bytes) -> bytes:
    """The keyed index under which an identifier, or what is weaker than one, is found again, by rule 9.

    Args:
        identifier: in canonical form.
        pepper: the secret of one pepper version, at least 32 bytes. Without it the index can be neither
            computed nor searched by trying every number.

    Returns:
        32 bytes.

    Raises:
        ConfigurationError: KEY_REFUSED, the pepper is too short.
    """
    return keyed_index(identifier.kind.value, identifier.value, pepper)


def keyed_index(kind: str, value: str, pepper: bytes) -> bytes:
    """The same of a stored kind and canonical text, not read by the rules again; errors likewise."""
    if len(pepper) < _PEPPER_BYTES:
        raise ConfigurationError(Code.KEY_REFUSED, "the pepper has fewer than 32 bytes")
    text = value.encode()
    return hmac.digest(pepper, b"".join((_labelled(kind), len(text).to_bytes(4, "big"), text)), "sha256")


@cache
def _labelled(kind: str) -> bytes:
    """The label and a kind, each after its length; of kinds there are few."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in (_INDEX_LABEL, kind.encode()))


def masked(identifier: Identifier) -> str:
    """An identifier as lists for publicity show it, by rules 10 and 16: ``999901********1234``.

    It is for people to recognise themselves; with the covered part guessable, it is still personal data.
    """
    head, tail = _SHOWN[identifier.kind]
    value = identifier.value
    return value[:head] + "*" * (len(value) - head - tail) + value[len(value) - tail :]

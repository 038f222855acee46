"""Names of people: the written rules by which they are folded and compared.

Part of ``verifier.identity`` and of its version. A name never merges or parts people: the strong
identifier does. Comparing names only tells what may pass and what a person must look at.

N1. The raw name is kept as it came. It has 1 to 100 code points (the field holds at least 50 characters
    by 民委发〔2016〕33号; the rest is room for spaces and separators).
N2. Refused: control characters (C0, DEL, C1), lone surrogates, noncharacters, U+FFFD (text that was lost
    on the way), and what cannot be seen: zero-width, joining, direction, filler, line-separator,
    variation-selector and tag characters.
N3. Width: full-width forms U+FF01 to U+FF5E become ASCII. Every space of Unicode becomes U+0020.
N4. Separators: U+2219, U+2022, U+30FB, U+FF65, U+25CF, U+22C5, U+2027, U+FF0E and the full stop become
    U+00B7, the separator of 民委发〔2016〕33号; a run of separators and spaces becomes one separator.
    NFKC would not do this.
N5. Spaces between two Han characters are removed; elsewhere a run of spaces becomes one. Separators and
    spaces at either end are removed. Something must be left.
N6. U+2580 stands for one character that a police system could not encode. A private-use code point stands
    for one character that only its sender can read. Both are kept, and count as Han in N5.
N7. Two names are the SAME when they are folded alike.
N8. One is a VARIANT of the other when its letters, without separators and spaces, are those of the
    other's first component or components (名, 名·父名 and 名·父名·祖父名 are one person's). A character
    of N6 may stand for any one letter, but at least one letter must be legible in both and equal.
N9. All else is DIFFERENT. Letter case is a difference.
N10. For publicity the first letter of a name is shown, every other one is covered, separators stay; a
     name of one letter is covered whole.

The tables are written out here rather than taken from the interpreter's Unicode database, so that a
decision reads the same under every version of it.
"""

from __future__ import annotations

import re
from typing import Final

from verifier.errors import Code, IdentityRejected
from verifier.model.person import PRIVATE_USE, NameRelation, PersonName

SEPARATOR: Final = "\u00b7"
UNKNOWN: Final = "\u2580"

_LONGEST = 100

_REFUSED = re.compile(
    "["
    "\u0000-\u001f\u007f-\u009f"  # C0, DEL, C1
    "\ud800-\udfff"  # lone surrogates
    "\ufdd0-\ufdef\ufffe\uffff"  # noncharacters; those of the other planes follow below
    "\ufffd"  # the mark of text lost in decoding; it may stand for any number of characters
    "\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible
    "\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # letters and signs that draw nothing
    "\ufe00-\ufe0f\U000e0000-\U000e0fff"  # variation selectors, tags
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(1, 17))
    + "]"
)
_SPACES = (
    "\u0020\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
)
_SEPARATORS = "\u2219\u2022\u30fb\uff65\u25cf\u22c5\u2027\uff0e."
_FOLD = str.maketrans(
    {chr(0xFF01 + n): chr(0x21 + n) for n in range(94)}
    | dict.fromkeys(_SPACES, " ")
    | dict.fromkeys(_SEPARATORS, SEPARATOR)
)
_HAN = f"\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd{UNKNOWN}{PRIVATE_USE}"
_SEPARATOR_RUN = re.compile(f" *{SEPARATOR}[ {SEPARATOR}]*")
_SPACE_RUN = re.compile(" +")
_SPACE_IN_HAN = re.compile(f"(?<=[{_HAN}]) (?=[{_HAN}])")
_ILLEGIBLE = re.compile(f"[{UNKNOWN}{PRIVATE_USE}]")
_HAN_LETTERS = re.compile(f"[{_HAN} {SEPARATOR}]*")
_LETTER = re.compile(f"[^ {SEPARATOR}]")


def person_name(raw: str) -> PersonName:
    """Read a name by rules N1 to N6.

    Args:
        raw: the name as it came.

    Returns:
        The raw name with its folded form.

    Raises:
        IdentityRejected: NAME_INVALID, with the rule that is broken.
    """
    if not 1 <= len(raw) <= _LONGEST:
        raise IdentityRejected(Code.NAME_INVALID, "rule N1: length")
    if _REFUSED.search(raw):
        raise IdentityRejected(Code.NAME_INVALID, "rule N2: characters")
    folded = _folded(raw)
    if not folded:
        raise IdentityRejected(Code.NAME_INVALID, "rule N5: no letter")
    return PersonName(raw, folded, tuple(folded.split(SEPARATOR)))


def _folded(raw: str) -> str:
    text = _SEPARATOR_RUN.sub(SEPARATOR, raw.translate(_FOLD))
    return _SPACE_IN_HAN.sub("", _SPACE_RUN.sub(" ", text)).strip(f" {SEPARATOR}")


def compare_names(a: PersonName, b: PersonName) -> NameRelation:
    """How two names under the same strong identifier relate, by rules N7 to N9.

    Symmetric, not transitive: 王▀ is a variant of 王一 and of 王二. Compare with what is on record,
    never in a chain.
    """
    if a.folded == b.folded:
        return NameRelation.SAME
    if _is_beginning(a, b) or _is_beginning(b, a):
        return NameRelation.VARIANT
    return NameRelation.DIFFERENT


def _is_beginning(short: PersonName, whole: PersonName) -> bool:
    letters = _letters(short.components)
    return any(
        _could_be(letters, _letters(whole.components[:count]))
        for count in range(1, len(whole.components) + 1)
    )


def _letters(components: tuple[str, ...]) -> str:
    return "".join(components).replace(" ", "")


def _could_be(a: str, b: str) -> bool:
    if len(a) != len(b):
        return False
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if not _ILLEGIBLE.match(x) and not _ILLEGIBLE.match(y)]
    return bool(pairs) and all(x == y for x, y in pairs)


def is_illegible(name: PersonName) -> bool:
    """Whether a character of N6 stands in a name."""
    return _ILLEGIBLE.search(name.folded) is not None


def is_han(name: PersonName) -> bool:
    """Whether a name's letters are Han characters, or those of N6, and no others."""
    return _HAN_LETTERS.fullmatch(name.folded) is not None


def masked_name(name: PersonName) -> str:
    """A name as lists for publicity show it: 张三丰 as 张**, 阿依古丽·买买提 as 阿***·***."""
    letters = len(_LETTER.findall(name.folded))
    shown = name.folded[:1] if letters > 1 else ""
    return shown + _LETTER.sub("*", name.folded[len(shown) :])

"""By which form a name is written: for a report on how long people wait, never for a decision. Pure.

The form is worked out when it is asked for, and stored nowhere: of a person it would say something about
their ethnicity. A single 名 that comes without a separator looks like any Han name, and is counted as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from verifier.model.person import PersonName
from verifier.names import is_han, is_illegible


class NameForm(StrEnum):
    """The forms, from the one that is told apart first."""

    ILLEGIBLE = "illegible"
    """With ▀ or a private-use character."""
    OTHER_LETTERS = "other_letters"
    """Latin or other letters than Han."""
    THREE_COMPONENTS = "three_components"
    """名·父名·祖父名, or more."""
    TWO_COMPONENTS = "two_components"
    """名·父名."""
    HAN = "han"
    """Han characters without a separator."""


_COMPONENTS: Final = {1: NameForm.HAN, 2: NameForm.TWO_COMPONENTS}


def form_of(names: Iterable[PersonName]) -> NameForm:
    """The form of a person's name: of several, the one that is told apart first."""
    order = list(NameForm)
    return min((_form(name) for name in names), key=order.index)


def _form(name: PersonName) -> NameForm:
    if is_illegible(name):
        return NameForm.ILLEGIBLE
    if not is_han(name):
        return NameForm.OTHER_LETTERS
    return _COMPONENTS.get(len(name.components), NameForm.THREE_COMPONENTS)

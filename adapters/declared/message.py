"""Reading a declared platform's message: which items it holds, and what each of them says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from adapters.declared import body, places
from adapters.declared.certificates import Certificate
from adapters.declared.places import Moment, Place, Text
from verifier.errors import AdapterError, Code
from verifier.model import fields
from verifier.model.delivery import Event, EventKind, UnreadableItem

REASON_LIMIT: Final = 500
ONLY: Final = "0"
"""The name of a delivery's one item, where it has none of its own: its position."""


class Scope(StrEnum):
    """Where a word or time stands that says something of an item."""

    ITEM = "item"
    MESSAGE = "message"


class ItemsForm(StrEnum):
    """How items stand in a message."""

    SINGLE = "single"
    BATCH = "batch"
    ROOTS = "roots"


@dataclass(frozen=True, slots=True)
class Items:
    """Where the items stand.

    Attributes:
        at: the one item, or the array; empty where the message itself is the item.
        roots: arrays of which each says what its items are.
        limit: greatest number of items, in all.
        item_id: their own names, where they have any.
    """

    form: ItemsForm
    at: str
    roots: Mapping[str, EventKind]
    limit: int
    item_id: Text | None

    @property
    def names(self) -> tuple[str, ...]:
        """The members of the message that hold items."""
        return tuple(self.roots) if self.roots else ((self.at,) if self.at else ())


@dataclass(frozen=True, slots=True)
class Words:
    """What says of which kind an item is, and when it happened.

    Attributes:
        always: the kind of every item, where nothing says it.
        word: where a word says it; None where the root or ``always`` does.
        kinds: each word's meaning; any other is an unknown event.
        scope: where word and time stand.
        occurred_at: when it happened; None where nothing says it.
    """

    always: EventKind | None
    word: Text | None
    kinds: Mapping[str, EventKind]
    scope: Scope
    occurred_at: Moment | None

    def names(self, kind: EventKind) -> tuple[str, ...]:
        """The members that are read for a kind of event; an unknown word is kept."""
        word = self.word.place.names if self.word and kind is not EventKind.UNKNOWN else ()
        return word + (self.occurred_at.place.names if self.occurred_at else ())


@dataclass(frozen=True, slots=True)
class Revocation:
    """Where a revocation names a certificate."""

    issuer: Text
    number: Text


@dataclass(frozen=True, slots=True)
class Found:
    """An item as it stands in the message.

    Attributes:
        kind: what its root says of it; None where the root says nothing.
    """

    value: Any
    pointer: str
    kind: EventKind | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a message or an item says of itself.

    Attributes:
        kind: None where the root says it.
        occurred_at: None where nothing says it.
    """

    kind: EventKind | None
    occurred_at: datetime | None


@dataclass(frozen=True, slots=True)
class Mapped:
    """The tables of one profile.

    Attributes:
        own: members of the message that are read elsewhere: the delivery's id and number.
        reason: the platform's own words; asked for in a revocation where the profile has them.
        stated: what repeats the certificate, by our names.
        certificate: None where only revocations are sent.
        revoked: None where none are.
        private_use: whether private-use characters may be in an item; not where the charset, and not the
            sender, may have made them.
    """

    own: tuple[str, ...]
    items: Items
    words: Words
    reason: Place | None
    stated: Mapping[str, Text]
    certificate: Certificate | None
    revoked: Revocation | None
    private_use: bool = True

    def read(self, message: Mapping[str, Any]) -> tuple[Event | UnreadableItem, ...]:
        """Every item, in the order of the message.

        Raises:
            AdapterError: the message as a whole cannot be read.
        """
        said = self._said(message, "") if self.words.scope is Scope.MESSAGE else None
        found = self._found(message)
        if not found:
            # No root that is known: a message of a kind that the profile does not have.
            rest = places.left(message, self.own)
            return (Event(EventKind.UNKNOWN, ONLY, extra={"message": rest} if rest else {}),)
        names = self._item_names(found)
        return tuple(self._item(message, one, name, said) for one, name in zip(found, names, strict=True))

    def _found(self, message: Mapping[str, Any]) -> Sequence[Found]:
        items = self.items
        if items.form is ItemsForm.SINGLE:
            return (Found(places.value(message, items.at), places.pointer("", items.at)),)
        found = [
            Found(value, f"{pointer}/{position}", kind)
            for pointer, array, kind in self._arrays(message)
            for position, value in enumerate(array)
        ]
        if len(found) > items.limit:
            raise AdapterError(Code.FIELD_INVALID, "the arrays together hold too many items")
        return found

    def _arrays(self, message: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[Any], EventKind | None]]:
        items = self.items
        arrays: Mapping[str, EventKind | None] = dict(items.roots) or {items.at: None}
        for name, kind in arrays.items():
            value, pointer = places.value(message, name), places.pointer("", name)
            if value is not None or not items.roots:
                yield pointer, fields.elements(value, pointer, limit=items.limit), kind

    def _item_names(self, found: Sequence[Found]) -> Sequence[str]:
        item_id = self.items.item_id
        if item_id is None:
            return [str(position) for position in range(len(found))]
        return fields.distinct([_read_or_empty(item_id, one.value) for one in found])

    def _said(self, source: Any, pointer: str) -> Said:
        words = self.words
        kind = words.always
        if words.word is not None:
            kind = words.kinds.get(words.word.read(source, pointer), EventKind.UNKNOWN)
        return Said(kind, words.occurred_at.read(source, pointer) if words.occurred_at else None)

    def _item(
        self, message: Mapping[str, Any], found: Found, name: str, said: Said | None
    ) -> Event | UnreadableItem:
        if not self.private_use and body.has_private_use(found.value):
            return UnreadableItem(name, Code.PRIVATE_USE_CHARACTER, found.pointer)
        try:
            if said is None:
                said = self._said(fields.members(found.value, found.pointer), found.pointer)
            kind = found.kind or said.kind
            assert kind is not None
            event = Event(
                kind,
                name,
                occurred_at=said.occurred_at,
                extra=self._extra(message, found.value, kind),
            )
            return event if kind is EventKind.UNKNOWN else self._filled(event, found)
        except AdapterError as error:
            return UnreadableItem(name, error.code, error.pointer)

    def _filled(self, event: Event, found: Found) -> Event:
        """An event of a known kind, with what its item holds."""
        source, at = fields.members(found.value, found.pointer), found.pointer
        if self.items.item_id is not None:
            self.items.item_id.read(source, at)
        event = replace(event, reason=self._reason(source, at, event.kind))
        if event.kind is EventKind.REVOKED:
            assert self.revoked is not None
            issuer, number = self.revoked.issuer.read(source, at), self.revoked.number.read(source, at)
            return replace(event, issuer=issuer, number=number)
        assert self.certificate is not None
        stated = {ours: text.read(source, at) for ours, text in self.stated.items()}
        return replace(
            event,
            certificate=self.certificate.read(source, at),
            stated={ours: value for ours, value in stated.items() if value},
        )

    def _reason(self, source: Any, at: str, kind: EventKind) -> str:
        if self.reason is None:
            return ""
        rule = fields.TextField("", REASON_LIMIT, required=kind is EventKind.REVOKED)
        return Text(self.reason, rule).read(source, at)

    def _extra(self, message: Mapping[str, Any], source: Any, kind: EventKind) -> Mapping[str, Any]:
        """What nobody reads, of the message and of the item."""
        of_item, of_message = [*self._members(kind)], [*self.own, *self.items.names]
        (of_message if self.words.scope is Scope.MESSAGE else of_item).extend(self.words.names(kind))
        if self.items.form is ItemsForm.SINGLE and not self.items.at:
            # The message is the item.
            rest = places.left(message, [*of_item, *of_message])
            return {"message": rest} if rest else {}
        around = places.left(message, of_message)
        item = places.left(source, of_item) if isinstance(source, dict) else source
        return {name: value for name, value in (("message", around), ("item", item)) if value}

    def _members(self, kind: EventKind) -> Iterator[str]:
        """The members of an item that are read for a kind of event."""
        if self.items.item_id is not None:
            yield from self.items.item_id.place.names
        if kind is EventKind.UNKNOWN:
            return
        yield from self.reason.names if self.reason else ()
        if kind is EventKind.REVOKED:
            assert self.revoked is not None
            yield from self.revoked.issuer.place.names
            yield from self.revoked.number.place.names
            return
        assert self.certificate is not None
        yield from self.certificate.names
        for text in self.stated.values():
            yield from text.place.names


def _read_or_empty(text: Text, source: Any) -> str:
    try:
        return text.read(source, "")
    except AdapterError:
        return ""

"""Reading a platform's message by its table of fields.

A table says which member holds what; these functions read one object by it and believe nothing else. What
cannot be read raises ``AdapterError`` with ``field_missing`` or ``field_invalid`` and a JSON pointer (RFC
6901) made only of the table's names and of positions, never of anything that the platform wrote. ``null``
and the empty text count as missing. Texts are kept exactly as they came.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from verifier.errors import AdapterError, Code
from verifier.model.certificate import CertificateFields, CertificateKind, SignedCertificate
from verifier.model.delivery import Event, EventKind
from verifier.model.time import TimeFormat, parse_moment

# White space at either end would make an identifier that looks right and matches nothing.
IDENTIFIER: Final = re.compile(r"\S(?:[^\t\n\r]*\S)?")
"""The form of a number or an id that another system wrote: anything without white space around it."""


@dataclass(frozen=True, slots=True)
class TextField:
    """A member that holds a text.

    Attributes:
        member: its name in the platform's object.
        limit: greatest length, in code points.
        required: whether an object without it is unreadable.
        form: what the whole text must match, if anything.
    """

    member: str
    limit: int
    required: bool = True
    form: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class MomentField:
    """A member that holds a moment, in exactly one format; always required."""

    member: str
    form: TimeFormat


@dataclass(frozen=True, slots=True)
class EventFields:
    """Where an item keeps each thing.

    Attributes:
        certificate: for a completion or a correction: the signed certificate.
        certificate_fields: how that certificate is read, once it is verified.
        stated: what repeats the certificate, by our names (those that ``verifier.certificates`` compares).
        issuer: for a revocation: who issued the certificate.
        number: for a revocation: the certificate's number.
        reason: the platform's own words; a revocation must have them.
        kind: how certificates are signed.
    """

    certificate: TextField
    certificate_fields: CertificateFields
    stated: Mapping[str, TextField]
    issuer: TextField
    number: TextField
    reason: TextField
    kind: CertificateKind = CertificateKind.JWS


def _missing(pointer: str) -> AdapterError:
    return AdapterError(Code.FIELD_MISSING, "a required member is missing", pointer=pointer)


def _invalid(pointer: str) -> AdapterError:
    return AdapterError(Code.FIELD_INVALID, "a member breaks its rule", pointer=pointer)


def _at(pointer: str, member: str) -> str:
    """Where a member stands (RFC 6901, section 3)."""
    return f"{pointer}/{member.replace('~', '~0').replace('/', '~1')}"


def whole(error: AdapterError) -> AdapterError:
    """The same error about the delivery as a whole: it is ``delivery_unreadable``, and no item's."""
    return AdapterError(detail=error.detail, pointer=error.pointer)


def members(value: Any, pointer: str) -> Mapping[str, Any]:
    """A value that has to be an object.

    Args:
        value: anything that strict JSON holds.
        pointer: where it stands.

    Raises:
        AdapterError: ``field_missing`` or ``field_invalid``.
    """
    if value is None:
        raise _missing(pointer)
    if not isinstance(value, dict):
        raise _invalid(pointer)
    return value


def elements(value: Any, pointer: str, *, limit: int) -> Sequence[Any]:
    """A value that has to be an array of 1 to ``limit`` elements. Errors as for ``members``."""
    if value is None:
        raise _missing(pointer)
    if not isinstance(value, list) or not 1 <= len(value) <= limit:
        raise _invalid(pointer)
    return value


def text(source: Mapping[str, Any], field: TextField, pointer: str) -> str:
    """One text, as it came; empty when it is optional and missing.

    Args:
        source: the object.
        field: which member, and its rule.
        pointer: where the object stands.

    Raises:
        AdapterError: ``field_missing`` or ``field_invalid``.
    """
    value, at = source.get(field.member), _at(pointer, field.member)
    if value is None or value == "":
        if field.required:
            raise _missing(at)
        return ""
    # No coercion: a number in place of a text may have lost leading zeros on its way.
    if not isinstance(value, str) or len(value) > field.limit:
        raise _invalid(at)
    if field.form is not None and field.form.fullmatch(value) is None:
        raise _invalid(at)
    return value


def moment(source: Mapping[str, Any], field: MomentField, pointer: str) -> datetime:
    """One moment as aware UTC. Errors as for ``text``."""
    value, at = source.get(field.member), _at(pointer, field.member)
    if value is None or value == "":
        raise _missing(at)
    try:
        return parse_moment(value, field.form)
    except ValueError:
        raise _invalid(at) from None


def distinct(ids: Sequence[str]) -> list[str]:
    """A name for each item of a batch: its id, with its position where that is empty or not the only one.

    Args:
        ids: in the batch's order; no form of id may have ``#`` in it, so that no two names are alike.
    """
    count = Counter(ids)
    return [name if name and count[name] == 1 else f"{name}#{position}" for position, name in enumerate(ids)]


def unknown(
    message: Mapping[str, Any],
    known_message: Collection[str],
    item: Any,
    known_item: Collection[str],
) -> Mapping[str, Any]:
    """What the profile does not know, for ``Event.extra``: under ``message`` and ``item``, if there is any.

    Args:
        message: the message's outermost object.
        known_message: its members that the profile reads.
        item: the item; kept whole if it is no object.
        known_item: its members that the profile reads.
    """
    around = {name: value for name, value in message.items() if name not in known_message}
    if isinstance(item, dict):
        item = {name: value for name, value in item.items() if name not in known_item}
    return {name: value for name, value in (("message", around), ("item", item)) if value}


def known(kind: EventKind, fields: EventFields) -> frozenset[str]:
    """The members that ``event`` reads for a kind of event; for an unknown one it reads none."""
    if kind is EventKind.UNKNOWN:
        return frozenset()
    if kind is EventKind.REVOKED:
        return frozenset({fields.issuer.member, fields.number.member, fields.reason.member})
    stated = {field.member for field in fields.stated.values()}
    return frozenset({fields.certificate.member, fields.reason.member, *stated})


def event(
    kind: EventKind,
    item: str,
    source: Mapping[str, Any],
    fields: EventFields,
    pointer: str,
    *,
    occurred_at: datetime,
    extra: Mapping[str, Any],
) -> Event:
    """One item as an event. Of an unknown kind nothing is read: all of it is in ``extra``.

    Args:
        kind: what the item says.
        item: the item's name within its delivery.
        source: the object that holds the item's members.
        fields: where they are.
        pointer: where the object stands.
        occurred_at: when the platform says it happened, aware UTC.
        extra: what the profile does not know.

    Raises:
        AdapterError: ``field_missing`` or ``field_invalid``: this item cannot be read.
    """
    if kind is EventKind.UNKNOWN:
        return Event(kind, item, occurred_at=occurred_at, extra=extra)
    if kind is EventKind.REVOKED:
        return Event(
            kind,
            item,
            issuer=text(source, fields.issuer, pointer),
            number=text(source, fields.number, pointer),
            reason=text(source, fields.reason, pointer),
            occurred_at=occurred_at,
            extra=extra,
        )
    token = text(source, fields.certificate, pointer)
    return Event(
        kind,
        item,
        certificate=SignedCertificate(fields.kind, token.encode(), fields.certificate_fields),
        stated=_stated(source, fields, pointer),
        reason=text(source, _optional(fields.reason), pointer),
        occurred_at=occurred_at,
        extra=extra,
    )


def _stated(source: Mapping[str, Any], fields: EventFields, pointer: str) -> Mapping[str, str]:
    said = {name: text(source, field, pointer) for name, field in fields.stated.items()}
    return {name: value for name, value in said.items() if value}


def _optional(field: TextField) -> TextField:
    return TextField(field.member, field.limit, required=False, form=field.form)

"""What each command of ``keys`` does to one entry of the register's source form."""

from __future__ import annotations

import argparse
from datetime import datetime

from verifier.app import now
from verifier.cli.proposing import Proposal, wrong
from verifier.keyring import KeyState
from verifier.keyring.editing import Entry, Kind, Value
from verifier.model.time import BEIJING


def enrol(proposal: Proposal, arguments: argparse.Namespace, entry: Entry) -> None:
    """A new key; and its issuer, where that is new."""
    if arguments.number_scope is not None or arguments.platforms is not None:
        if entry.kind is Kind.TRANSPORT:
            raise wrong("a platform is added by hand, with the document that recognises it", "platform")
        carriers = [slug.strip() for slug in (arguments.platforms or "").split(",")]
        proposal.source.add_issuer(entry.holder, arguments.number_scope or entry.holder, carriers)
    proposal.source.add(entry, _values(proposal, arguments, entry.kind, {}))


def rotate(proposal: Proposal, arguments: argparse.Namespace, entry: Entry) -> None:
    """A new key beside the old one, whose end is set; what is not given is taken from the old one."""
    old = proposal.source.get(entry)
    if old is None:
        raise wrong("the register has no such entry", "key")
    end = _moment(arguments.old_until, "old-until")
    proposal.source.change(entry, _ended(entry.kind, end))
    kept = ("algorithm", "encoding", "sm2_id", "legacy", "leaf_subject", "crls", "revocation")
    inherited = {name: old[name] for name in kept if name in old}
    fresh = Entry(entry.kind, entry.holder, arguments.new)
    proposal.source.add(fresh, _values(proposal, arguments, entry.kind, inherited))


def retire(proposal: Proposal, arguments: argparse.Namespace, entry: Entry) -> None:
    """An end for a key; what it signed before stays good."""
    proposal.source.change(entry, _ended(entry.kind, _moment(arguments.at, "at")))


def compromise(proposal: Proposal, arguments: argparse.Namespace, entry: Entry) -> None:
    """Since when somebody else may have held it: whatever was first received from then on falls."""
    if entry.kind is Kind.TRANSPORT:
        raise wrong("what a delivery carries is signed by itself: retire the transport key", "platform")
    since = _moment(arguments.since, "since")
    if since > now():
        raise wrong("a key is not compromised in the future", "since")
    proposal.source.change(entry, {"state": KeyState.COMPROMISED.value, "compromised_since": since})


def _ended(kind: Kind, end: datetime) -> dict[str, Value]:
    if kind is Kind.TRANSPORT:
        return {"not_after": end}
    return {"state": (KeyState.RETIRING if end > now() else KeyState.RETIRED).value, "not_after": end}


def _values(
    proposal: Proposal, arguments: argparse.Namespace, kind: Kind, inherited: dict[str, Value]
) -> dict[str, Value]:
    """The members of a new entry, in the order in which the others are written."""
    values: dict[str, Value] = {}
    for name in ("algorithm", "sm2_id", "encoding", "legacy", "leaf_subject"):
        given = getattr(arguments, name)
        if given is not None or name in inherited:
            values[name] = inherited[name] if given is None else given
    if arguments.file is not None:
        values["public_key" if kind is Kind.TRANSPORT else "file"] = proposal.public_file(arguments.file)
    if arguments.secret is not None:
        values["secret"] = arguments.secret
        values.pop("algorithm", None)
    if arguments.crl:
        values["crls"] = [proposal.public_file(path) for path in arguments.crl]
    elif arguments.unpublished:
        values["revocation"] = "unpublished"
    else:
        values |= {name: inherited[name] for name in ("crls", "revocation") if name in inherited}
    if kind is not Kind.TRANSPORT:
        values["state"] = KeyState.ACTIVE.value
    values["not_before"] = _moment(arguments.start, "from")
    if arguments.until is not None:
        values["not_after"] = _moment(arguments.until, "until")
        if kind is not Kind.TRANSPORT:
            values["state"] = KeyState.RETIRING.value
    return values


def _moment(text: str | None, name: str) -> datetime:
    if text is None:
        return now().astimezone(BEIJING).replace(microsecond=0)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise wrong("a date and time with its offset is needed", name)
    return moment

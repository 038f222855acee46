"""What was kept is read again: after a mended register or profile, and when its document comes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
from sqlalchemy import func, select, update

from adapters.china_vocational_training import CERTIFICATE_FIELDS
from tests.functional.world import BY_SLUG, World
from verifier import pipeline, preparing
from verifier.cli.simulator import person
from verifier.errors import AccessDenied, AdapterError, Code, Conflict
from verifier.model.certificate import CertificateKind, SignedCertificate
from verifier.model.delivery import (
    Accepts,
    Acknowledgment,
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    Document,
    Event,
    EventKind,
    Headers,
    ItemState,
    PlatformSlug,
    UnreadableItem,
)
from verifier.pipeline import Rulebook
from verifier.rereading import Rereading
from verifier.signatures.transport import TransportKey
from verifier.store import tables

CVT = PlatformSlug("china_vocational_training")
LI = person(1, "阿依古丽·买买提")


@dataclass
class Apart:
    """中国职业培训在线's certificates, uploaded apart from the completions that name them."""

    broken: bool = False
    slug: PlatformSlug = CVT
    name: str = "平台"
    profile: Literal["assumed", "confirmed"] = "assumed"
    accepts: Accepts = BY_SLUG[CVT].accepts

    def authenticate(
        self, callback: Callback, keys: Sequence[TransportKey], now: datetime
    ) -> AuthenticatedCallback:
        assert keys is not None
        return AuthenticatedCallback(callback, DeliveryId(json.loads(callback.body)["id"]), "key", now)

    def parse(self, authenticated: AuthenticatedCallback) -> tuple[Event | UnreadableItem, ...]:
        if self.broken:
            raise AdapterError
        return tuple(
            _part(n, part) for n, part in enumerate(json.loads(authenticated.callback.body)["parts"])
        )

    def acknowledge(self, outcome: DeliveryOutcome) -> Acknowledgment:
        raise NotImplementedError

    def refuse(self, code: Code) -> Acknowledgment:
        raise NotImplementedError


def _part(n: int, part: dict[str, str]) -> Event:
    if "file" in part:
        return Event(EventKind.DOCUMENT, str(n), document=Document(part["name"], part["file"].encode()))
    certificate = SignedCertificate(CertificateKind.JWS, b"", CERTIFICATE_FIELDS, document=part["name"])
    return Event(EventKind.COMPLETED, str(n), certificate=certificate)


def rereading(world: World, adapter: Apart | None = None) -> Rereading:
    return Rereading(
        world.store,
        lambda: {**BY_SLUG, **({adapter.slug: adapter} if adapter else {})},
        lambda: world.rulebook,
        world.keys.digest,
        world.clock,
        world.new_id,
    )


async def send(world: World, adapter: Apart, delivery_id: str, *parts: dict[str, str]) -> DeliveryOutcome:
    body = json.dumps({"id": delivery_id, "parts": parts}).encode()
    callback = Callback(
        CVT, "POST", "/v1/callbacks/x", Headers((("content-type", "application/json"),)), body, world.now, "r"
    )
    read = preparing.HERE.open(adapter, callback, world.register, world.now)
    documents = await world.store.documents(CVT, preparing.documents_wanted(read))
    prepared = preparing.verify(read, world.register, world.keys.digest, documents)
    [outcome] = await world.commit([prepared])
    return outcome


def ask(**parameters: str) -> dict[str, str]:
    return {"platform": CVT, **parameters}


async def rows(world: World, name: str) -> int:
    table = tables.metadata.tables[name]
    count = await world.store.database.read(
        lambda connection: connection.execute(select(func.count()).select_from(table)).scalar_one()
    )
    assert isinstance(count, int)
    return count


# After a fix


async def unknown_issuer(world: World) -> Rulebook:
    """A completion comes while its issuer is not registered; returns the rulebook in which it is."""
    known = world.rulebook
    world.register = replace(world.register, issuers={})
    world.rulebook = Rulebook(known.policies, world.register)
    outcome = await world.complete("N-1", LI)
    assert outcome.items[0].code is Code.ISSUER_UNKNOWN
    return known


async def test_a_refused_completion_is_read_again_once_its_issuer_is_registered(world: World) -> None:
    world.rulebook = await unknown_issuer(world)
    world.now += timedelta(days=3)
    tried = await rereading(world).read_again(ask())
    assert (tried["applied"], tried["read"], tried["changed"]) == (False, 1, 1)
    assert tried["deliveries"][0]["items"][0]["state"] == "accepted"
    assert (await rows(world, "readings"), await world.states(LI)) == (0, [])
    done = await rereading(world).read_again(ask(apply="yes", operator="赵"))
    assert (done["applied"], done["changed"]) == (True, 1)
    assert await world.states(LI) == ["pending"]
    assert (await rereading(world).listing(ask()))["deliveries"] == []
    assert await world.store.deliveries(CVT, attention=True, limit=10) == []
    [shown] = await world.store.deliveries(CVT, attention=False, limit=10)
    assert shown.outcome.items[0].state is ItemState.ACCEPTED


async def test_what_stays_refused_stays_listed_with_its_reason(world: World) -> None:
    await unknown_issuer(world)
    done = await rereading(world).read_again(ask(apply="yes"))
    assert (done["read"], done["changed"]) == (1, 0)
    [listed] = (await rereading(world).listing(ask()))["deliveries"]
    assert listed["items"][0]["code"] == "issuer_unknown"
    [shown] = await world.store.deliveries(CVT, attention=True, limit=10)
    assert shown.outcome.items[0].code is Code.ISSUER_UNKNOWN


async def test_a_redelivery_is_still_given_the_first_answer(world: World) -> None:
    known = world.rulebook
    message = world.cvt.completed(world.course("N-1", LI))
    sent = world.cvt.delivery(message, "d-1", world.now)
    world.register = replace(world.register, issuers={})
    world.rulebook = Rulebook(known.policies, world.register)
    [first] = await world.post(sent)
    world.rulebook = known
    await rereading(world).read_again(ask(apply="yes"))
    [again] = await world.post(sent)
    assert again == replace(first, replayed=True)


async def test_the_moment_of_first_receipt_is_what_counts_for_a_compromised_key(world: World) -> None:
    known = await unknown_issuer(world)
    [issuer] = [one for one in known.register.issuers.values() if CVT in one.platforms]
    since = world.now + timedelta(days=1)
    keys = {kid: replace(key, compromised_since=since) for kid, key in issuer.keys.items()}
    register = replace(known.register, issuers={issuer.issuer_id: replace(issuer, keys=keys)})
    world.rulebook = Rulebook(known.policies, register)
    world.now += timedelta(days=9)
    done = await rereading(world).read_again(ask(apply="yes"))
    assert done["deliveries"][0]["items"][0]["state"] == "accepted"


async def test_a_quarantined_delivery_is_read_once_its_profile_is_mended(world: World) -> None:
    adapter = Apart(broken=True)
    token = world.cvt.certificate(world.course("N-1", LI))
    parts = ({"name": "F1", "file": token}, {"name": "F1"})
    first = await send(world, adapter, "d-1", *parts)
    assert first.state is DeliveryState.QUARANTINED
    mended = rereading(world, Apart())
    assert (await mended.read_again(ask(delivery="d-1")))["deliveries"][0]["items"][1]["state"] == "accepted"
    assert await world.states(LI) == []
    await mended.read_again(ask(delivery="d-1", apply="yes"))
    assert await world.states(LI) == ["pending"]


# Documents


@pytest.mark.parametrize("order", ["before", "after", "together"])
async def test_a_document_may_come_before_after_or_with_the_completion(world: World, order: str) -> None:
    adapter, desk = Apart(), rereading(world, Apart())
    file = {"name": "F1", "file": world.cvt.certificate(world.course("N-1", LI))}
    if order == "before":
        await send(world, adapter, "d-1", file)
        outcome = await send(world, adapter, "d-2", {"name": "F1"})
    elif order == "together":
        outcome = await send(world, adapter, "d-1", {"name": "F1"}, file)
    else:
        outcome = await send(world, adapter, "d-1", {"name": "F1"})
        assert outcome.items[0].code is Code.DOCUMENT_MISSING
        assert await desk.step() == 0
        [shown] = await world.store.deliveries(CVT, attention=True, limit=10)
        assert shown.outcome.items[0].state is ItemState.WAITING
        await send(world, adapter, "d-2", file)
        assert await desk.step() == 1
    assert await desk.step() == 0
    assert await world.states(LI) == ["pending"]
    assert await world.store.deliveries(CVT, attention=True, limit=10) == []
    assert await rows(world, "waiting") == 0


async def test_what_waits_for_two_documents_goes_on_with_each(world: World) -> None:
    adapter, desk = Apart(), rereading(world, Apart())
    wang = person(2, "王小明")
    files = [
        {"name": f"F{n}", "file": world.cvt.certificate(world.course(f"N-{n}", who))}
        for n, who in ((1, LI), (2, wang))
    ]
    await send(world, adapter, "d-1", {"name": "F1"}, {"name": "F2"})
    await send(world, adapter, "d-2", files[0])
    assert await desk.step() == 1
    assert (await world.states(LI), await world.states(wang)) == (["pending"], [])
    await send(world, adapter, "d-3", files[1])
    assert await desk.step() == 1
    assert await world.states(wang) == ["pending"]
    assert await rows(world, "readings") == 2


async def test_a_delivery_that_is_no_longer_kept_waits_no_longer(world: World) -> None:
    adapter, desk = Apart(), rereading(world, Apart())
    await send(world, adapter, "d-1", {"name": "F1"})
    await send(world, adapter, "d-2", {"name": "F1", "file": "no certificate"})
    table = tables.deliveries
    await world.store.database.write(
        lambda connection: connection.execute(
            update(table).where(table.c.delivery_id == "d-1").values(sealed_body=None)
        )
    )
    assert await desk.step() == 1
    assert (await desk.step(), await rows(world, "waiting")) == (0, 0)
    # The delivery itself is still told of, and cannot be read.
    with pytest.raises(AccessDenied):
        await desk.read_again(ask(delivery="d-1"))
    assert (await desk.read_again(ask()))["skipped"] == 1


# Bad input


async def test_other_content_under_a_known_id_is_not_read_again(world: World) -> None:
    adapter, desk = Apart(), rereading(world, Apart())
    await send(world, adapter, "d-1", {"name": "F1"})
    outcome = await send(world, adapter, "d-1", {"name": "F2"})
    assert outcome.state is DeliveryState.CONFLICT
    beside = next(name for name in await desk.unsettled(CVT) if "#" in name)
    for apply in ("", "yes"):
        with pytest.raises(Conflict):
            await desk.read_again(ask(delivery=beside, apply=apply))
    assert beside in {one["delivery"] for one in (await desk.listing(ask()))["deliveries"]}
    assert (await desk.read_again(ask()))["skipped"] == 1


@pytest.mark.parametrize(
    "parameters", [{}, {"platform": "nobody"}, {"platform": CVT, "delivery": "none"}, {"platform": ""}]
)
async def test_unknown_platforms_and_deliveries_are_not_found(
    small_world: World, parameters: dict[str, Any]
) -> None:
    with pytest.raises(AccessDenied):
        await rereading(small_world).read_again(parameters)


async def test_two_who_read_the_same_delivery_do_it_once(world: World) -> None:
    world.rulebook = await unknown_issuer(world)
    desk = rereading(world)
    stored = await world.store.rereading(
        lambda tx: tx.stored_delivery(CVT, tx.unsettled(CVT, 1)[0]), write=False
    )
    assert stored is not None
    await desk.read_again(ask(apply="yes"))
    read = preparing.HERE.read(BY_SLUG[CVT], stored.authenticated)
    prepared = preparing.verify(read, world.rulebook.register, world.keys.digest, {})
    with pytest.raises(Conflict):
        await world.store.rereading(
            lambda tx: pipeline.record_again(
                tx, prepared, stored.outcome, "x", world.rulebook, world.now, world.new_id
            ),
            write=True,
        )


async def test_an_exchanged_document_is_found_out(world: World) -> None:
    adapter = Apart()
    await send(world, adapter, "d-1", {"name": "F1", "file": "one"}, {"name": "F2", "file": "two"})
    await world.settle()
    assert await world.fsck() == []
    table = tables.documents
    await world.store.database.write(
        lambda connection: connection.execute(
            update(table).where(table.c.document_id == "F1").values(sealed_content=b"x" * 100)
        )
    )
    assert [finding.kind for finding in await world.fsck()] == ["document_altered"]
    await world.store.database.write(
        lambda connection: connection.execute(update(table).values(sealed_content=None))
    )
    # What is gone was not altered; that nobody said that it would go is another matter.
    assert [finding.kind for finding in await world.fsck()] == ["emptied_unlawfully"]


async def test_readings_are_evidence(world: World) -> None:
    world.rulebook = await unknown_issuer(world)
    await rereading(world).read_again(ask(apply="yes"))
    await world.settle()
    assert await world.fsck() == []
    table = tables.readings
    await world.store.database.write(
        lambda connection: connection.execute(update(table).values(cause="nobody"))
    )
    assert await world.fsck() != []

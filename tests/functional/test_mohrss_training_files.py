"""A signed PDF is uploaded before, with or after the record that names it, over a real store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests import pdfs
from tests.functional.world import BY_SLUG, World
from verifier import preparing
from verifier.callback import Limits, receive
from verifier.cli.simulator import Course, Delivery, person
from verifier.cli.simulator_documents import MohrssTraining
from verifier.errors import Code
from verifier.model.delivery import DeliveryId, DeliveryOutcome, DeliveryState, PlatformSlug
from verifier.rereading import Rereading
from verifier.signatures.transport import TransportKey
from verifier.store import tables

pytestmark = pytest.mark.untraced

MPX = PlatformSlug("mohrss_training")
LI = person(1, "阿依古丽·买买提")


def desk(world: World) -> Rereading:
    return Rereading(
        world.store, lambda: BY_SLUG, lambda: world.rulebook, world.keys.digest, world.clock, world.new_id
    )


def platform(world: World) -> MohrssTraining:
    return MohrssTraining(world.installation.sandbox)


async def send(
    world: World, delivery_id: str, sequence: int | None = None, **lists: Sequence[Mapping[str, Any]]
) -> DeliveryOutcome:
    return await post(world, platform(world).delivery(lists, delivery_id, world.now, sequence))


async def post(world: World, delivery: Delivery) -> DeliveryOutcome:
    adapter = BY_SLUG[MPX]
    callback = receive(
        platform=MPX,
        method="POST",
        path=delivery.path,
        query=delivery.query,
        headers=delivery.headers.items(),
        body=delivery.body,
        received_at=world.now,
        request_id=world.new_id(),
        accepts=adapter.accepts,
        limits=Limits(),
    )
    read = preparing.HERE.open(adapter, callback, world.register, world.now)
    documents = await world.store.documents(MPX, preparing.documents_wanted(read))
    [outcome] = await world.commit([preparing.verify(read, world.register, world.keys.digest, documents)])
    return outcome


class Completion:
    """A completion: the file, what uploads it, and what names it."""

    def __init__(self, world: World, course: Course | None = None) -> None:
        self.course = course or world.course("N-1", LI)
        sender = platform(world)
        self.file = sender.certificate(self.course)
        self.upload = sender.uploaded(self.course, self.file)
        self.record = sender.completed(self.course, "I1", self.file)


def items(outcome: DeliveryOutcome) -> list[tuple[str, Code | None, int]]:
    return [(item.state.value, item.code, item.step) for item in outcome.items]


@pytest.mark.parametrize("order", ["before", "after", "together"])
async def test_the_file_may_come_before_after_or_with_the_record(world: World, order: str) -> None:
    made = Completion(world)
    if order == "before":
        assert items(await send(world, "d-1", fileList=[made.upload])) == [("accepted", None, 0)]
        outcome = await send(world, "d-2", graduationList=[made.record])
        assert items(outcome) == [("accepted", None, 0)]
    elif order == "together":
        outcome = await send(world, "d-1", graduationList=[made.record], fileList=[made.upload])
        assert items(outcome) == [("accepted", None, 0)] * 2
    else:
        outcome = await send(world, "d-1", graduationList=[made.record])
        assert items(outcome) == [("waiting", Code.DOCUMENT_MISSING, 0)]
        assert await world.states(LI) == []
        await send(world, "d-2", fileList=[made.upload])
        assert await desk(world).step() == 1
    assert await world.states(LI) == ["pending"]
    assert await world.store.deliveries(MPX, attention=True, limit=10) == []
    await world.settle()
    assert await world.fsck() == []


async def test_another_file_under_a_known_id_is_refused_and_the_first_stays(world: World) -> None:
    made = Completion(world)
    other = Completion(world, replace(made.course, learner=person(2, "王小明")))
    await send(world, "d-1", fileList=[made.upload])
    assert other.upload["fileId"] == made.upload["fileId"]
    again = await send(world, "d-2", fileList=[made.upload])
    assert items(again) == [("duplicate", None, 0)]
    refused = await send(world, "d-3", fileList=[other.upload])
    assert items(refused) == [("refused", Code.DELIVERY_CONFLICT, 0)]
    # The record says by its e-signature which file it means, and that is not the one that stands there.
    meant = await send(world, "d-4", graduationList=[other.record])
    assert items(meant) == [("refused", Code.CERTIFICATE_SIGNATURE_INVALID, 7)]
    assert items(await send(world, "d-5", graduationList=[made.record])) == [("accepted", None, 0)]


async def test_a_wrong_file_that_came_first_is_mended_by_another_id(world: World) -> None:
    made = Completion(world)
    wrong = Completion(world, world.course("N-2", LI))
    waiting = await send(world, "d-1", graduationList=[made.record])
    assert items(waiting) == [("waiting", Code.DOCUMENT_MISSING, 0)]
    await send(world, "d-2", fileList=[{**wrong.upload, "fileId": made.upload["fileId"]}])
    assert await desk(world).step() == 1
    [shown] = await world.store.deliveries(MPX, attention=True, limit=10)
    assert items(shown.outcome) == [("refused", Code.CERTIFICATE_SIGNATURE_INVALID, 7)]
    mended = await send(
        world,
        "d-3",
        fileList=[{**made.upload, "fileId": "F-mended"}],
        graduationList=[{**made.record, "fileId": "F-mended"}],
    )
    assert items(mended) == [("accepted", None, 0)] * 2
    assert await world.states(LI) == ["pending"]


async def test_a_file_that_was_changed_after_signing_is_refused_by_name(world: World) -> None:
    made = Completion(world)
    changed = pdfs.update(made.file, _rename)
    record = platform(world).completed(made.course, "I1", changed)
    upload = platform(world).uploaded(made.course, changed)
    outcome = await send(world, "d-1", fileList=[upload], graduationList=[record])
    assert items(outcome) == [("accepted", None, 0), ("refused", Code.DOCUMENT_ALTERED, 2)]


def _rename(out: Any) -> None:
    field = out.root["/AcroForm"]["/Fields"][3].get_object()
    field["/V"] = pdfs.generic.pdf_string("another name")
    out.update_container(field)


async def test_a_batch_that_is_signed_anew_is_given_the_first_answer_and_a_missing_one_shows(
    world: World,
) -> None:
    made = Completion(world)
    first = await send(world, "d-1", 1, graduationList=[made.record])
    world.now += timedelta(hours=1)
    assert await send(world, "d-1", 1, graduationList=[made.record]) == replace(first, replayed=True)
    other = await send(world, "d-1", 1, graduationList=[{**made.record, "itemId": "I2"}])
    assert (other.state, other.code) == (DeliveryState.CONFLICT, Code.DELIVERY_CONFLICT)
    await send(world, "d-3", 3, fileList=[made.upload])
    assert [(gap.first, gap.last) for gap in await world.store.gaps(MPX)] == [(2, 2)]


async def test_the_secret_in_the_body_is_sealed_with_it(world: World) -> None:
    secret = "a bearer secret, as it stands in a body"
    key = TransportKey("mpx-secret", datetime(2021, 1, 1, tzinfo=UTC), secret=secret.encode())
    known = world.register.platforms[MPX]
    world.register = replace(
        world.register, platforms={**world.register.platforms, MPX: replace(known, transport=(key,))}
    )
    made = Completion(world)
    plain = platform(world).delivery({"graduationList": [made.record]}, "d-1", world.now)
    body = json.dumps({"privateKey": secret, **json.loads(plain.body)}).encode()
    outcome = await post(world, replace(plain, body=body, query=""))
    assert items(outcome) == [("waiting", Code.DOCUMENT_MISSING, 0)]
    kept = await world.store.database.read(
        lambda connection: [
            connection.execute(select(table)).all() for table in tables.metadata.sorted_tables
        ]
    )
    assert secret not in str(kept)
    assert secret[:12] not in str(kept)
    # What is kept is what came, for those who hold the key.
    stored = await world.store.rereading(lambda tx: tx.stored_delivery(MPX, DeliveryId("d-1")), write=False)
    assert stored is not None
    assert stored.authenticated.callback.body == body


async def test_a_certificate_is_revoked_by_its_number(world: World) -> None:
    made = Completion(world)
    await send(world, "d-1", fileList=[made.upload], graduationList=[made.record])
    revoked = platform(world).revoked(made.course.number, "误发", world.now, "I1")
    assert items(await send(world, "d-2", cancelList=[revoked])) == [("accepted", None, 0)]
    assert await world.states(LI) == ["pending", "refused"]

"""A revocation list that is adopted reaches what was accepted: whoever came under a stolen leaf falls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from tests import certificates as made
from tests.functional.test_adoption import (
    EARLY,
    LATE,
    SINCE,
    adopt,
    form_of,
    policy_form,
    replayed,
    source_files,
    take_up,
    tried,
)
from tests.functional.world import FACTORY, Installation, World
from verifier import adoption
from verifier.cli.sandbox import XZY_SUBJECT
from verifier.cli.simulator import NewOccupation
from verifier.errors import Code
from verifier.keyring import Register, load_packed, pack
from verifier.model.decision import Entitlement, State
from verifier.model.delivery import ItemState
from verifier.operations import SourceForm
from verifier.signatures.jws import Algorithm, SigningKey

pytestmark = pytest.mark.untraced

COMPROMISED, SUPERSEDED = 1, 4
LEAF: Final = "xzy-2021"
END: Final = datetime(2049, 12, 31, tzinfo=UTC)


@dataclass(frozen=True)
class Authority:
    """The sandbox's, as whoever holds its directory has it."""

    installation: Installation
    root: made.Issued
    leaf: made.Issued

    def listing(self, reason: int) -> tuple[Register, SourceForm]:
        """The sandbox's register with a newer list, which revokes the platform's certificate."""
        entry = made.revoked(self.leaf, SINCE, reason=reason)
        made_at = SINCE + timedelta(hours=1)
        return self.register(made.crl(self.root, [entry], this_update=made_at, next_update=END))

    def register(self, crl: bytes | None = None) -> tuple[Register, SourceForm]:
        files = source_files(self.installation)
        if crl is not None:
            files["issuers/xzy-root.crl"] = crl
        secrets = self.installation.secrets_dir
        register = load_packed(pack(files), lambda name: (secrets / name).read_bytes())
        return register, form_of(register, files)

    def renewed(self) -> NewOccupation:
        """The platform with a new certificate of the same subject."""
        leaf = made.leaf(self.root, XZY_SUBJECT, kind=made.Kind.ED25519, not_after=END)
        assert isinstance(leaf.key.private, Ed25519PrivateKey)
        sandbox = self.installation.sandbox
        keys = {LEAF: SigningKey(LEAF, Algorithm.EDDSA, leaf.key.private)}
        return NewOccupation(replace(sandbox, certificate_keys=keys, chains={LEAF: (leaf.der,)}))


@pytest.fixture
def authority(installation: Installation) -> Authority:
    directory = installation.sandbox.register.parent
    private = load_pem_private_key((directory / "private" / "xzy-root.pem").read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    key = made.Key(made.Kind.P256, private)
    root = x509.load_pem_x509_certificate((directory / "issuers" / "xzy-root.pem").read_bytes())
    [leaf] = installation.sandbox.chains[LEAF]
    return Authority(installation, _issued(root, key), _issued(x509.load_der_x509_certificate(leaf), key))


def _issued(certificate: x509.Certificate, key: made.Key) -> made.Issued:
    der, name = certificate.public_bytes(Encoding.DER), certificate.subject.public_bytes()
    return made.Issued(der, key, name, certificate.serial_number)


async def lived(world: World, authority: Authority) -> None:
    """One completion was received just before the moment of the theft, one at it; their dates agree."""
    register, form = authority.register()
    await world.operations.adopt([policy_form(world), form])
    take_up(world, register)
    await world.employ(FACTORY, EARLY, LATE)
    world.now = SINCE - timedelta(microseconds=1)
    await world.complete_elsewhere("X-1", EARLY)
    world.now = SINCE
    await world.complete_elsewhere("X-2", LATE)
    await world.issue()
    assert await world.states(EARLY) == await world.states(LATE) == ["granted"]


async def test_what_was_first_received_since_a_leafs_key_was_stolen_falls_once_a_list_says_so(
    world: World, authority: Authority
) -> None:
    await lived(world, authority)
    await adopt(world, *authority.listing(COMPROMISED))
    assert await world.states(EARLY) == ["granted"]
    assert await world.states(LATE) == ["granted", "refused"]
    [*_, record] = await world.records()
    assert (record.learner_id, record.kind) == (await world.learner(LATE), "revoked")
    assert await replayed(world) == [True, True, True]
    assert await world.fsck() == []


async def test_a_leaf_that_was_only_superseded_keeps_what_it_signed(
    small_world: World, authority: Authority
) -> None:
    await lived(small_world, authority)
    await adopt(small_world, *authority.listing(SUPERSEDED))
    assert await small_world.states(EARLY) == await small_world.states(LATE) == ["granted"]


async def test_trying_a_list_out_names_the_decision_that_would_fall(
    small_world: World, authority: Authority
) -> None:
    world = small_world
    await lived(world, authority)
    [(decision,)] = await world.sql(
        "select decision_id from decisions where learner_id = :who", who=await world.learner(LATE)
    )
    month = Entitlement("online-training-month")
    changes = [adoption.Change(decision, await world.learner(LATE), State.GRANTED, State.REFUSED, month)]
    assert await tried(world, authority.listing(COMPROMISED)[0]) == (2, changes)
    assert await tried(world, authority.listing(SUPERSEDED)[0]) == (2, [])


async def test_the_platform_mends_it_with_a_new_certificate_and_no_new_registration(
    small_world: World, authority: Authority
) -> None:
    world = small_world
    await lived(world, authority)
    await adopt(world, *authority.listing(COMPROMISED))
    course = world.course("X-2", LATE)
    refused, accepted = [
        (await world.post(sender.delivery([sender.completed(course, "1")], world.new_id(), world.now)))[0]
        for sender in (world.xzy, authority.renewed())
    ]
    await world.settle()
    [item] = refused.items
    assert (item.state, item.code, item.step) == (ItemState.REFUSED, Code.KEY_COMPROMISED, 10)
    assert [one.state for one in accepted.items] == [ItemState.ACCEPTED]
    assert await world.states(LATE) == ["granted", "refused", "granted"]
    assert await replayed(world) == [True] * 4


async def test_a_register_without_the_list_grants_again(small_world: World, authority: Authority) -> None:
    await lived(small_world, authority)
    await adopt(small_world, *authority.listing(COMPROMISED))
    await adopt(small_world, *authority.register())
    assert await small_world.states(LATE) == ["granted", "refused", "granted"]

"""What the simulated 中国国家人事人才培训网 sends is what its adapter accepts, by the sandbox's register."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters import national_personnel as npt
from verifier import certificates
from verifier.cli import sandbox, simulator
from verifier.cli.simulator_personnel import NationalPersonnel
from verifier.errors import SignatureRejected
from verifier.keyring import load_register
from verifier.model.delivery import Callback, Event, Headers, PlatformSlug

NOW = datetime(2021, 3, 10, 4, tzinfo=UTC)
ADAPTER = npt.NationalPersonnel()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[sandbox.Sandbox, Path]:
    path = tmp_path_factory.mktemp("sandbox")
    return sandbox.create(path, path / "secrets", lambda count: bytes(range(count))), path


def test_a_simulated_batch_is_accepted_verified_and_told_from_an_altered_one(
    made: tuple[sandbox.Sandbox, Path],
) -> None:
    box, path = made
    register = load_register(
        box.register.read_bytes(),
        lambda name: (path / "issuers" / name).read_bytes(),
        lambda name: (path / "secrets" / name).read_bytes(),
    )
    platform = NationalPersonnel(box)
    learner = simulator.person(1, "阿依古丽·买买提 <&>")
    course = simulator.Course("NPT-1", learner, NOW - timedelta(days=2), NOW - timedelta(days=1))
    items = [platform.completed(course, "I1"), platform.revoked("NPT-0", "误发", NOW, "I2")]
    delivery = platform.delivery(items, "R1", NOW)
    callback = Callback(
        platform=PlatformSlug(platform.slug),
        method="POST",
        path=delivery.path,
        headers=Headers(tuple((name.lower(), value) for name, value in delivery.headers.items())),
        body=delivery.body,
        received_at=NOW,
        request_id="req-1",
    )
    keys = register.platforms[callback.platform].transport_at(NOW)
    authenticated = ADAPTER.authenticate(callback, keys, NOW)
    completed, revoked = ADAPTER.parse(authenticated)
    assert isinstance(completed, Event)
    assert completed.certificate is not None
    verified = certificates.verify(
        completed.certificate, platform=callback.platform, register=register, first_received_at=NOW
    )
    certificates.check_stated(completed.stated, verified)
    assert (verified.holder.name, verified.algorithm) == (learner.name, "ES256")
    assert isinstance(revoked, Event)
    assert (revoked.issuer, revoked.number, revoked.reason) == (platform.issuer, "NPT-0", "误发")
    altered = replace(callback, body=callback.body.replace(b"NPT-0", b"NPT-2"))
    with pytest.raises(SignatureRejected):
        ADAPTER.authenticate(altered, keys, NOW)

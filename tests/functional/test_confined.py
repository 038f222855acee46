"""Real worker processes that hang, eat memory, die and are replaced: the service is none the worse."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Literal

import pytest

from verifier import confined
from verifier.confined import Confined, Rules
from verifier.errors import CertificateRejected, Code, SignatureRejected, Unavailable
from verifier.keyring import Register
from verifier.model.certificate import CertificateFields, CertificateKind, SignedCertificate
from verifier.model.delivery import (
    Accepts,
    Acknowledgment,
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    DeliveryOutcome,
    Event,
    EventKind,
    Headers,
    PlatformSlug,
    UnreadableItem,
)
from verifier.model.time import TimeFormat
from verifier.signatures.transport import TransportKey

NOW = datetime(2021, 6, 1, tzinfo=UTC)
SLUG = PlatformSlug("hostile")
REGISTER = Register("0" * 64, {}, {})
FIELDS = CertificateFields(
    *("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"),
    completed_format=TimeFormat.RFC3339,
    issued_format=TimeFormat.RFC3339,
    documents={},
    id_kinds={},
)


class Hostile:
    """Does what the body says, when the body says it."""

    slug: PlatformSlug = SLUG
    name: str = "平台"
    profile: Literal["assumed", "confirmed"] = "assumed"
    accepts: Accepts = Accepts(frozenset({"text/xml"}), confined=True)

    def authenticate(
        self, callback: Callback, keys: Sequence[TransportKey], now: datetime
    ) -> AuthenticatedCallback:
        assert not keys
        _obey(callback.body, b"authenticate")
        if callback.body == b"forged":
            raise SignatureRejected("signature")
        return AuthenticatedCallback(callback, DeliveryId("d-1"), str(os.getpid()), now)

    def parse(self, authenticated: AuthenticatedCallback) -> tuple[Event | UnreadableItem, ...]:
        _obey(authenticated.callback.body, b"parse")
        return (Event(EventKind.UNKNOWN, "1"),)

    def acknowledge(self, outcome: DeliveryOutcome) -> Acknowledgment:
        raise NotImplementedError

    def refuse(self, code: Code) -> Acknowledgment:
        raise NotImplementedError


def _obey(body: bytes, stage: bytes) -> None:
    if body == stage + b" hangs":
        time.sleep(600)
    if body == stage + b" eats":
        list(range(10**9))
    if body == stage + b" dies":
        os._exit(1)


def target(connection: Connection) -> None:
    """A worker of these tests."""
    confined.serve(connection, {SLUG: Hostile()}, REGISTER, confined.MEMORY_BYTES)


@pytest.fixture(scope="module")
def version() -> list[str]:
    return ["1"]


@pytest.fixture(scope="module")
def reader(version: list[str]) -> Iterator[Confined]:
    found = Confined(target, lambda: Rules(version[0], ()), workers=1, seconds=1.0)
    yield found
    found.close()


def callback(body: bytes) -> Callback:
    return Callback(SLUG, "POST", "/v1/callbacks/hostile", Headers(()), body, NOW, "r-1")


def test_an_honest_delivery_is_read_in_another_process(reader: Confined) -> None:
    request = callback(b"honest")
    read = reader.open(Hostile(), request, REGISTER, NOW)
    assert read.authenticated.callback is request
    assert int(read.authenticated.key_id) != os.getpid()
    assert (len(read.parts), read.code) == (1, None)
    assert reader.read(Hostile(), read.authenticated).parts == read.parts


def test_a_forged_one_is_refused_with_its_step(reader: Confined) -> None:
    with pytest.raises(SignatureRejected) as caught:
        reader.open(Hostile(), callback(b"forged"), REGISTER, NOW)
    assert caught.value.step == "signature"


@pytest.mark.parametrize("act", [b"hangs", b"dies"])
def test_whoever_breaks_the_worker_before_it_is_proven_is_not_believed(reader: Confined, act: bytes) -> None:
    with pytest.raises(SignatureRejected) as caught:
        reader.open(Hostile(), callback(b"authenticate " + act), REGISTER, NOW)
    assert caught.value.step == "too_complex"
    assert reader.open(Hostile(), callback(b"honest"), REGISTER, NOW).code is None


@pytest.mark.parametrize("act", [b"hangs", b"dies"])
def test_what_was_authentic_before_it_broke_the_worker_is_kept(reader: Confined, act: bytes) -> None:
    request = callback(b"parse " + act)
    read = reader.open(Hostile(), request, REGISTER, NOW)
    assert (read.authenticated.callback, read.parts, read.code) == (request, (), Code.TOO_COMPLEX)
    assert reader.read(Hostile(), read.authenticated).code is Code.TOO_COMPLEX
    assert reader.open(Hostile(), callback(b"honest"), REGISTER, NOW).code is None


def test_a_worker_that_wants_too_much_memory_is_refused_it(reader: Confined) -> None:
    read = reader.open(Hostile(), callback(b"parse eats"), REGISTER, NOW)
    # It is the adapter's failure, or the end of the process: the delivery is kept in either case.
    assert read.code in {Code.INTERNAL, Code.TOO_COMPLEX}
    assert reader.open(Hostile(), callback(b"honest"), REGISTER, NOW).code is None


def test_when_every_worker_is_busy_the_caller_is_told_to_come_again() -> None:
    busy = Confined(target, lambda: Rules("1", ()), workers=0, seconds=0.01)
    with pytest.raises(Unavailable):
        busy.open(Hostile(), callback(b"honest"), REGISTER, NOW)


def test_each_certificate_is_judged_for_itself(reader: Confined) -> None:
    bad = SignedCertificate(CertificateKind.JWS, b"no token", FIELDS)
    results = reader.verify([bad, bad], SLUG, REGISTER, NOW)
    for result in results:
        assert isinstance(result, CertificateRejected)
        assert (result.code, result.step) == (Code.CERTIFICATE_MALFORMED, 1)
    assert len(results) == 2


def test_new_rules_are_for_new_workers(reader: Confined, version: list[str]) -> None:
    before = reader.open(Hostile(), callback(b"honest"), REGISTER, NOW).authenticated.key_id
    assert reader.open(Hostile(), callback(b"honest"), REGISTER, NOW).authenticated.key_id == before
    version[0] = "2"
    assert reader.open(Hostile(), callback(b"honest"), REGISTER, NOW).authenticated.key_id != before

"""What names a delivery whose protocol has no id: a keyed digest of all that is kept of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

import pytest

from verifier import preparing, sandbox
from verifier.errors import AdapterError, Code
from verifier.keyring import Register
from verifier.model.delivery import (
    Accepts,
    Acknowledgment,
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    DeliveryOutcome,
    Event,
    Headers,
    PlatformSlug,
    UnreadableItem,
)
from verifier.preparing import HERE
from verifier.signatures.transport import TransportKey

NOW = datetime(2021, 7, 1, 4, tzinfo=UTC)
P1 = PlatformSlug("p1")
REGISTER = Register("0" * 64, {}, {})
JSON_ONLY = Accepts(frozenset({"application/json"}))
CALLBACK = Callback(
    P1,
    "PUT",
    "/v1/callbacks/p1/x",
    Headers((("content-type", "application/json"), ("x-version", "1"))),
    b'{"name":"x"}',
    NOW,
    "r-1",
    query="a=1",
)


def digest(purpose: str, data: bytes) -> bytes:
    return sha256(b"a secret" + purpose.encode() + data).digest()


@dataclass
class FakeAdapter:
    """Believes everybody, and reads nothing; without an id of deliveries unless told one."""

    delivery_id: str = ""
    code: Code | None = None
    slug: PlatformSlug = P1
    name: str = "平台"
    profile: Literal["assumed", "confirmed"] = "assumed"
    accepts: Accepts = JSON_ONLY

    def authenticate(
        self, callback: Callback, keys: Sequence[TransportKey], now: datetime
    ) -> AuthenticatedCallback:
        assert keys == ()
        return AuthenticatedCallback(callback, DeliveryId(self.delivery_id), "key", now)

    def parse(self, authenticated: AuthenticatedCallback) -> tuple[Event | UnreadableItem, ...]:
        assert authenticated.delivery_id == self.delivery_id
        if self.code is not None:
            raise AdapterError(self.code)
        return ()

    def acknowledge(self, outcome: DeliveryOutcome) -> Acknowledgment:
        return Acknowledgment(200, "text/plain", outcome.delivery_id.encode())

    def refuse(self, code: Code) -> Acknowledgment:
        raise NotImplementedError(code)


def name_of(callback: Callback = CALLBACK, **members: Any) -> str:
    prepared = preparing.verify(
        HERE.open(FakeAdapter(**members), callback, REGISTER, NOW), REGISTER, digest, {}
    )
    return prepared.claim.authenticated.delivery_id


def test_an_id_of_the_platforms_own_is_kept() -> None:
    assert name_of(delivery_id="d-1") == "d-1"


def test_the_name_begins_with_the_method_and_is_the_same_for_the_same() -> None:
    assert re.fullmatch(r"put:[0-9a-f]{64}", name_of())
    assert name_of(replace(CALLBACK, method="POST")).startswith("post:")
    again = replace(CALLBACK, request_id="r-2", received_at=datetime(2022, 1, 1, tzinfo=UTC))
    assert name_of(again) == name_of()


@pytest.mark.parametrize(
    "change",
    [
        {"method": "POST"},
        {"path": "/v1/callbacks/p1/y"},
        {"query": "a=2"},
        {"query": ""},
        {"headers": Headers((("content-type", "multipart/mixed; boundary=b"),))},
        {"headers": Headers(())},
        {"body": b"{}"},
    ],
    ids=str,
)
def test_whatever_is_kept_of_it_tells_deliveries_apart(change: dict[str, Any]) -> None:
    assert name_of(replace(CALLBACK, **change))[-64:] != name_of()[-64:]


def test_headers_that_are_not_kept_do_not_unless_for_their_sake_it_cannot_be_read() -> None:
    other = replace(CALLBACK, headers=Headers((("content-type", "application/json"),)))
    assert name_of(other) == name_of()
    names = {name_of(code=code) for code in (None, Code.FIELD_MISSING, Code.FIELD_INVALID)}
    assert len(names) == 3


def test_what_is_read_again_keeps_the_name_that_it_was_given() -> None:
    name = DeliveryId(name_of(code=Code.FIELD_MISSING))
    adapter = FakeAdapter(name)
    read = HERE.read(adapter, AuthenticatedCallback(CALLBACK, name, "key", NOW))
    assert preparing.verify(read, REGISTER, digest, {}).claim.authenticated.delivery_id == name


def test_a_callback_from_beyond_unicode_has_a_name_too() -> None:
    assert name_of(replace(CALLBACK, query="\udcff")) != name_of()


def test_the_sandbox_answers_with_that_name() -> None:
    trial = sandbox.attempt(FakeAdapter(), CALLBACK, REGISTER, digest, NOW)
    assert trial.delivery_id == name_of()
    assert trial.answer.body == name_of().encode()

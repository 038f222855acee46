"""What the contract's tests share: every adapter, sender and fixture, and the way through an adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, settings

from adapters import ADAPTERS
from tests.platforms import fixtures
from tests.platforms.fixtures import Fixture
from tests.platforms.senders import SENDERS, Sender
from verifier.errors import AdapterError
from verifier.model.delivery import AuthenticatedCallback, Callback, Event, EventKind, UnreadableItem
from verifier.model.trust import TransportKey
from verifier.ports import Adapter

Items = tuple[Event | UnreadableItem, ...]

NOW: Final = datetime(2021, 6, 1, 4, 0, 0, tzinfo=UTC)
CERTIFICATE_KEY: Final = Ed25519PrivateKey.generate()
BY_SLUG: Final[Mapping[str, Adapter]] = {adapter.slug: adapter for adapter in ADAPTERS}
FIXTURES: Final[Mapping[str, list[Fixture]]] = {slug: fixtures.load(slug) for slug in BY_SLUG}

each_adapter = pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.slug)
each_sender = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: f"{sender.slug}-{sender.scheme}")
each_delivery = pytest.mark.parametrize(
    ("sender", "fixture"),
    [
        pytest.param(sender, fixture, id=f"{sender.slug}-{sender.scheme}-{fixture.name}")
        for sender in SENDERS
        for fixture in FIXTURES[sender.slug]
    ],
)
# Parameters are values here, so examples may share them.
many = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
some = settings(parent=many, max_examples=20)


def some_fixture(sender: Sender) -> Fixture:
    return next(f for f in FIXTURES[sender.slug] if f.name == EventKind.COMPLETED)


def callback(sender: Sender, fixture: Fixture, *, at: datetime = NOW, key: int = 0) -> Callback:
    return sender.callback(fixture.body(CERTIFICATE_KEY), fixture.delivery_id, at, key=key)


def authenticate(
    sender: Sender, request: Callback, *keys: TransportKey, now: datetime = NOW
) -> AuthenticatedCallback:
    return BY_SLUG[sender.slug].authenticate(request, keys, now)


def accepted(sender: Sender, fixture: Fixture) -> AuthenticatedCallback:
    return authenticate(sender, callback(sender, fixture), sender.register(0))


def parse(authenticated: AuthenticatedCallback) -> Items:
    return BY_SLUG[authenticated.callback.platform].parse(authenticated)


def parse_body(authenticated: AuthenticatedCallback, body: bytes) -> Items | AdapterError:
    """What another body would have been read as."""
    try:
        return parse(replace(authenticated, callback=replace(authenticated.callback, body=body)))
    except AdapterError as error:
        return error

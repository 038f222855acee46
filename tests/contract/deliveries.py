"""What the contract's tests share: every adapter, sender and fixture, and the way through an adapter.

The example profiles pass the same contract as the platforms that are built in.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from adapters import ADAPTERS
from adapters.declared import DeclaredPlatform
from tests.platforms import fixtures
from tests.platforms.examples import EXAMPLES
from tests.platforms.fixtures import Fixture
from tests.platforms.senders import SENDERS, Sender
from verifier.errors import AdapterError
from verifier.model.delivery import AuthenticatedCallback, Callback, Event, EventKind, UnreadableItem
from verifier.ports import Adapter
from verifier.signatures.transport import TransportKey

Items = tuple[Event | UnreadableItem, ...]

NOW: Final = datetime(2021, 6, 1, 4, 0, 0, tzinfo=UTC)
EVERY: Final[tuple[Adapter, ...]] = (*ADAPTERS, *EXAMPLES)
BY_SLUG: Final[Mapping[str, Adapter]] = {adapter.slug: adapter for adapter in EVERY}
FIXTURES: Final[Mapping[str, list[Fixture]]] = {slug: fixtures.load(slug) for slug in BY_SLUG}

each_adapter = pytest.mark.parametrize("adapter", EVERY, ids=lambda adapter: adapter.slug)
each_built_in_adapter = pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.slug)


def _senders(*having: str) -> pytest.MarkDecorator:
    some = [sender for sender in SENDERS if all(getattr(sender, name) for name in having)]
    return pytest.mark.parametrize("sender", some, ids=lambda sender: f"{sender.slug}-{sender.scheme}")


each_sender = _senders()
each_keyed_sender = _senders("register")
each_timed_sender = _senders("register", "tolerance")
each_raw_sender = _senders("register", "raw")
each_stamped_sender = _senders("register", "timestamp")
each_marked_sender = _senders("register", "signature")
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


def source(adapter: Adapter) -> str:
    """What the source says of itself: a module's docstring, a profile's text."""
    if isinstance(adapter, DeclaredPlatform):
        return adapter.declaration.content
    return sys.modules[type(adapter).__module__].__doc__ or ""


def events(adapter: Adapter) -> Mapping[str, EventKind]:
    """The platform's words for events, and what each of them says."""
    if isinstance(adapter, DeclaredPlatform):
        return adapter.events
    words: Mapping[str, EventKind] = sys.modules[type(adapter).__module__].EVENTS
    return words


def some_fixture(sender: Sender) -> Fixture:
    return next(f for f in FIXTURES[sender.slug] if f.name == EventKind.COMPLETED)


def callback(sender: Sender, fixture: Fixture, *, at: datetime = NOW, key: int = 0) -> Callback:
    return sender.callback(fixture.body(sender.profile), fixture.delivery_id, at, key=key)


def authenticate(
    sender: Sender, request: Callback, *keys: TransportKey, now: datetime = NOW
) -> AuthenticatedCallback:
    return BY_SLUG[sender.slug].authenticate(request, keys, now)


def accepted(sender: Sender, fixture: Fixture) -> AuthenticatedCallback:
    return authenticate(sender, callback(sender, fixture), *sender.keys(0))


def parse(authenticated: AuthenticatedCallback) -> Items:
    return BY_SLUG[authenticated.callback.platform].parse(authenticated)


def parse_body(authenticated: AuthenticatedCallback, body: bytes) -> Items | AdapterError:
    """What another body would have been read as."""
    try:
        return parse(replace(authenticated, callback=replace(authenticated.callback, body=body)))
    except AdapterError as error:
        return error

"""Where in a request something stands on which authenticity depends: a header, a query, a form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import parse_qsl, quote

from typing_extensions import override

from verifier.model.delivery import Callback, Headers


class Place(Protocol):
    """One named value of a request that can be read, replaced, doubled and taken away."""

    def get(self, request: Callback) -> str: ...

    def put(self, request: Callback, *values: str) -> Callback: ...


@dataclass(frozen=True, slots=True)
class Header:
    name: str

    def get(self, request: Callback) -> str:
        return request.headers.one(self.name)

    def put(self, request: Callback, *values: str) -> Callback:
        pairs: list[tuple[str, str]] = []
        for pair in request.headers.pairs:
            pairs.extend([(self.name, value) for value in values] if pair[0] == self.name else [pair])
        return replace(request, headers=Headers(tuple(pairs)))


def _get(text: str, name: str) -> str:
    return dict(parse_qsl(text, keep_blank_values=True))[name]


def _put(text: str, name: str, values: Sequence[str]) -> str:
    pairs: list[tuple[str, str]] = []
    for pair in parse_qsl(text, keep_blank_values=True):
        pairs.extend([(name, value) for value in values] if pair[0] == name else [pair])
    # Surrogates cannot be sent at all; what would be sent in their place is the replacement character.
    return "&".join(f"{quote(n, safe='')}={quote(v, safe='', errors='replace')}" for n, v in pairs)


@dataclass(frozen=True, slots=True)
class Query:
    name: str

    def get(self, request: Callback) -> str:
        return _get(request.query, self.name)

    def put(self, request: Callback, *values: str) -> Callback:
        return replace(request, query=_put(request.query, self.name, values))


@dataclass(frozen=True, slots=True)
class Form:
    """A field of a form in UTF-8."""

    name: str

    def get(self, request: Callback) -> str:
        return _get(request.body.decode(), self.name)

    def put(self, request: Callback, *values: str) -> Callback:
        return replace(request, body=_put(request.body.decode(), self.name, values).encode())


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a JSON object; another value is always a text."""

    name: str

    def get(self, request: Callback) -> str:
        return str(json.loads(request.body)[self.name])

    def put(self, request: Callback, *values: str) -> Callback:
        pairs: list[tuple[str, object]] = []
        for name, value in json.loads(request.body).items():
            pairs.extend([(name, one) for one in values] if name == self.name else [(name, value)])
        # By hand, since no dictionary holds a name twice.
        written = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in pairs)
        return replace(request, body=f"{{{written}}}".encode())


@dataclass(frozen=True, slots=True)
class Attribute:
    """``method`` or ``path`` of the request line."""

    name: str

    def get(self, request: Callback) -> str:
        value = getattr(request, self.name)
        assert isinstance(value, str)
        return value

    def put(self, request: Callback, *values: str) -> Callback:
        return replace(request, **{self.name: "".join(values)})  # type: ignore[arg-type] # a text attribute

    @override
    def __repr__(self) -> str:
        return self.name

"""How a call is declared: the router, the checks and the OpenAPI document are all made of its ``Route``."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiohttp import web

from verifier.errors import AccessDenied, Code, RequestRejected
from verifier.model.access import Client, Role
from verifier.model.delivery import Acknowledgment
from verifier.web.bodies import JSON
from verifier.web.errors import REQUEST_ID
from verifier.web.services import Services

Schema = Mapping[str, Any]
Envelope = Callable[[Code], Acknowledgment]

OBJECT: Final[Schema] = {"type": "object"}
TEXT: Final[Schema] = {"type": "string"}

_NUMBER: Final = re.compile(r"-1|0|[1-9][0-9]{0,14}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number in the query.

    Attributes:
        default: when it is left out; None leaves it out.
    """

    name: str
    meaning: str
    least: int = 0
    most: int = 10**15 - 1
    default: int | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """One of a few words in the query; the first is the default."""

    name: str
    meaning: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A text of one form in the query; without a default it must be there."""

    name: str
    meaning: str
    form: re.Pattern[str]
    default: str | None = None


Parameter = Number | Word | Text


@dataclass(frozen=True, slots=True)
class Call:
    """A request as a handler gets it: admitted, its caller known, its query read."""

    request: web.Request
    services: Services
    client: Client | None
    numbers: Mapping[str, int]
    words: Mapping[str, str]

    @property
    def caller(self) -> Client:
        """Who calls; only for routes that name roles."""
        assert self.client is not None
        return self.client

    @property
    def request_id(self) -> str:
        """Our name for the request."""
        return self.request[REQUEST_ID]

    def name(self, part: str) -> str:
        """A part of the path that names something of ours.

        Raises:
            AccessDenied: NOT_FOUND, it has not the form of a name, so that there can be no such thing.
        """
        value = self.request.match_info[part]
        if _NAME.fullmatch(value) is None:
            raise AccessDenied(Code.NOT_FOUND)
        return value


@dataclass(frozen=True, slots=True)
class Route:
    """One call.

    Attributes:
        summary: what it is for, in Chinese and English.
        roles: who may call; empty for anyone.
        parameters: of the query; any other is refused.
        takes: schema of the body by media type.
        gives: schema of the answer by media type.
        envelope: the form of its errors, where it is not a problem document.
        any_query: whether the query is somebody else's, and is left to the handler as it came.
    """

    method: str
    path: str
    handler: Callable[[Call], Awaitable[web.StreamResponse]]
    summary: str
    roles: tuple[Role, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    takes: Mapping[str, Schema] = field(default_factory=dict)
    gives: Mapping[str, Schema] = field(default_factory=lambda: {JSON: OBJECT})
    envelope: Callable[[web.Request, Services], Envelope | None] | None = None
    any_query: bool = False


def answer(body: object, *, media_type: str = JSON, max_age: int = 0) -> web.Response:
    """A JSON answer.

    Args:
        body: JSON values.
        media_type: where it is a kind of JSON of its own.
        max_age: seconds anyone may keep it; 0 for not at all.
    """
    return raw(msgspec.json.encode(body), media_type, max_age=max_age)


def raw(body: bytes, media_type: str, *, max_age: int = 0) -> web.Response:
    """An answer of bytes; arguments as ``answer``."""
    response = web.Response(body=body, headers={"Content-Type": media_type})
    if max_age:
        response.headers["Cache-Control"] = f"public, max-age={max_age}"
    return response


def wants(request: web.Request, media_type: str) -> bool:
    """Whether ``Accept`` names exactly this media type."""
    accepted = ",".join(request.headers.getall("Accept", [])).split(",")
    return media_type in {part.partition(";")[0].strip().lower() for part in accepted}


def query(request: web.Request, parameters: tuple[Parameter, ...]) -> tuple[dict[str, int], dict[str, str]]:
    """Read the query: numbers and words by name.

    Raises:
        RequestRejected: SCHEMA_INVALID: one is unknown, doubled, or not of its form.
    """
    given = request.query
    if set(given) - {parameter.name for parameter in parameters}:
        raise RequestRejected(Code.SCHEMA_INVALID, "unknown parameter", pointer="?")
    numbers: dict[str, int] = {}
    words: dict[str, str] = {}
    for parameter in parameters:
        values = given.getall(parameter.name, [])
        if len(values) > 1:
            raise _refused(parameter.name)
        if isinstance(parameter, Word):
            words[parameter.name] = _word(parameter, values[0] if values else parameter.words[0])
        elif isinstance(parameter, Text):
            words[parameter.name] = _text(parameter, values)
        elif values:
            numbers[parameter.name] = _number(parameter, values[0])
        elif parameter.default is not None:
            numbers[parameter.name] = parameter.default
    return numbers, words


def _word(parameter: Word, value: str) -> str:
    if value not in parameter.words:
        raise _refused(parameter.name)
    return value


def _text(parameter: Text, values: Sequence[str]) -> str:
    if not values and parameter.default is not None:
        return parameter.default
    if not values or parameter.form.fullmatch(values[0]) is None:
        raise _refused(parameter.name)
    return values[0]


def _number(parameter: Number, text: str) -> int:
    if _NUMBER.fullmatch(text) is None or not parameter.least <= (value := int(text)) <= parameter.most:
        raise _refused(parameter.name)
    return value


def _refused(name: str) -> RequestRejected:
    return RequestRejected(Code.SCHEMA_INVALID, "a parameter is not as documented", pointer=f"?{name}")

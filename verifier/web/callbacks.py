"""Platforms: their callbacks, the sandbox, and their own list of what came. 2xx only after the commit."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from verifier import callback, sandbox
from verifier.errors import CATALOGUE, AccessDenied, Code, RequestRejected, SignatureRejected, Unavailable
from verifier.model.access import Role
from verifier.model.delivery import (
    Acknowledgment,
    Callback,
    DeliveryOutcome,
    DeliveryState,
    ItemOutcome,
)
from verifier.model.time import iso
from verifier.ports import Adapter
from verifier.ports.reading import DeliverySummary
from verifier.ports.watching import KEPT_FAILURES, Failure
from verifier.sandbox import TriedItem
from verifier.web import bodies, oauth
from verifier.web.errors import acknowledged, audit
from verifier.web.routes import Call, Envelope, Number, Route, Word, answer
from verifier.web.services import Services

_ITEMS: Final = {"type": "array", "items": {"type": "object"}}


async def receive(call: Call) -> web.StreamResponse:
    """``POST /v1/callbacks/{platform}``: steps 1 to 5, answered in the platform's own envelope."""
    services = call.services
    adapter = _adapter(call)
    deliveries = services.metrics.deliveries
    try:
        outcome = await services.submit(adapter, await _callback(call, adapter))
    except SignatureRejected as error:
        failure = Failure(services.clock(), call.request_id, error.step)
        services.failures.note(adapter.slug, failure)
        services.metrics.auth_failures.labels(adapter.slug).inc()
        deliveries.labels(adapter.slug, "not_authentic").inc()
        raise
    except (RequestRejected, Unavailable) as error:
        deliveries.labels(adapter.slug, error.code.value).inc()
        raise
    if outcome.state is DeliveryState.CONFLICT:
        audit("alarm", code=Code.DELIVERY_CONFLICT.value, platform=adapter.slug, request_id=call.request_id)
    deliveries.labels(adapter.slug, "replayed" if outcome.replayed else outcome.state.value).inc()
    return acknowledged(adapter.acknowledge(outcome))


def _adapter(call: Call) -> Adapter:
    adapter = call.services.adapters.get(call.request.match_info["platform"])
    if adapter is None:
        raise AccessDenied(Code.NOT_FOUND)
    return adapter


async def _callback(call: Call, adapter: Adapter) -> Callback:
    request, limits = call.request, call.services.limits
    # Before the body: nobody who cannot prove himself is listened to any longer.
    bearer = await oauth.bearer_of(request, call.services, adapter.slug) if adapter.accepts.bearer else None
    body = await bodies.read(request, limits, adapter.accepts.body_bytes)
    return callback.receive(
        platform=adapter.slug,
        method=request.method,
        path=request.raw_path.partition("?")[0],
        rest=_rest(request),
        query=request.raw_path.partition("?")[2],
        headers=request.raw_headers,
        body=body,
        received_at=call.services.clock(),
        request_id=call.request_id,
        accepts=adapter.accepts,
        limits=limits.callback,
        bearer=bearer,
    )


def _rest(request: web.Request) -> str:
    resource = request.match_info.get("resource", "")
    return f"/{resource}" if resource else ""


def _envelope(request: web.Request, services: Services) -> Envelope | None:
    """Errors in the platform's own words; an unknown platform has none."""
    adapter = services.adapters.get(request.match_info["platform"])
    return None if adapter is None else adapter.refuse


async def try_out(call: Call) -> web.StreamResponse:
    """``POST /v1/sandbox/{platform}``: what would become of a callback, by the sandbox's own keys."""
    attempt, adapter = call.services.try_out, _adapter(call)
    if attempt is None:
        raise AccessDenied(Code.NOT_FOUND)
    try:
        trial = await attempt(adapter, await _callback(call, adapter))
    except (RequestRejected, SignatureRejected) as error:
        trial = sandbox.refused(adapter, error)
    return answer(
        {
            "sandbox": True,
            "authentic": trial.authentic,
            "failed_step": trial.failed_step or None,
            "pointer": trial.pointer,
            **_reason(trial.code),
            "delivery_id": trial.delivery_id or None,
            "items": [_tried(item) for item in trial.items],
            "answer": _answered(trial.answer),
        }
    )


def _tried(item: TriedItem) -> dict[str, Any]:
    kind = item.kind.value if item.kind else None
    return {**_item(item.outcome), "kind": kind, "failed_step": item.failed_step or None}


def _answered(given: Acknowledgment) -> dict[str, Any]:
    try:
        body, encoding = given.body.decode("utf-8"), "text"
    except UnicodeDecodeError:
        body, encoding = base64.b64encode(given.body).decode("ascii"), "base64"
    return {
        "status": given.status,
        "content_type": given.content_type,
        "body": body,
        "body_encoding": encoding,
    }


async def deliveries(call: Call) -> web.StreamResponse:
    """``GET /v1/platforms/{platform}/deliveries``: the platform's own deliveries, with reasons, no bodies."""
    slug = call.request.match_info["platform"]
    if slug != call.caller.platform:
        raise AccessDenied(Code.NOT_FOUND)
    services = call.services
    found = await services.reading.deliveries(
        slug, attention=call.words["state"] == "attention", limit=call.numbers["limit"]
    )
    return answer(
        {
            "deliveries": [_summary(one) for one in found],
            "authentication_failures": [
                {"at": iso(failure.at), "request_id": failure.request_id, "step": failure.step}
                for failure in await _failures(services, slug)
            ],
            "missing_sequences": [
                {"from": gap.first, "to": gap.last} for gap in await services.arrivals.gaps(slug)
            ],
        }
    )


async def _failures(services: Services, slug: str) -> Sequence[Failure]:
    """Those of every process, and those of this one that wait to be written; newest first."""
    # First what waits: what is written in between is then found twice, and not lost.
    waiting = services.failures.of(slug)
    written = await services.arrivals.failures(slug)
    newest = sorted({*waiting, *written}, key=lambda failure: (failure.at, failure.request_id), reverse=True)
    return newest[:KEPT_FAILURES]


def _summary(found: DeliverySummary) -> dict[str, Any]:
    outcome: DeliveryOutcome = found.outcome
    return {
        "delivery_id": found.delivery_id,
        "received_at": iso(found.received_at),
        "state": outcome.state.value,
        **_reason(outcome.code),
        "items": [_item(item) for item in outcome.items],
    }


def _item(item: ItemOutcome) -> dict[str, Any]:
    return {
        "item": item.item,
        "state": item.state.value,
        "step": item.step,
        "pointer": item.pointer,
        **_reason(item.code),
    }


def _reason(code: Code | None) -> dict[str, str | None]:
    if code is None:
        return {"code": None}
    explanation = CATALOGUE[code]
    return {
        "code": code.value,
        "title": explanation.zh,
        "detail_en": explanation.en,
        "party": explanation.party.value,
    }


def _delivering(method: str, path: str) -> Route:
    return Route(
        method,
        path,
        receive,
        "平台推送结业信息 · A platform delivers completions, in its own format",
        takes={"*/*": {"type": "string", "contentMediaType": "application/octet-stream"}},
        gives={"application/json": {"type": "object"}},
        envelope=_envelope,
    )


def _trying(method: str, path: str) -> Route:
    return Route(
        method,
        path,
        try_out,
        "沙箱：试投并逐步说明结果，不留存 · The sandbox: what would become of a callback; nothing is kept",
        takes={"*/*": {"type": "string", "contentMediaType": "application/octet-stream"}},
        gives={
            "application/json": {
                "type": "object",
                "required": ["sandbox", "authentic", "failed_step", "delivery_id", "items", "answer"],
                "properties": {
                    "sandbox": {"const": True},
                    "authentic": {"type": "boolean"},
                    "items": _ITEMS,
                    "answer": {"type": "object"},
                },
            }
        },
        any_query=True,
    )


ROUTES: Final = (
    _delivering("POST", "/v1/callbacks/{platform}"),
    # Where a protocol of the platform's names its own resource, as xAPI does with /statements.
    _delivering("POST", "/v1/callbacks/{platform}/{resource}"),
    _delivering("PUT", "/v1/callbacks/{platform}/{resource}"),
    _trying("POST", "/v1/sandbox/{platform}"),
    _trying("POST", "/v1/sandbox/{platform}/{resource}"),
    _trying("PUT", "/v1/sandbox/{platform}/{resource}"),
    Route(
        "GET",
        "/v1/platforms/{platform}/deliveries",
        deliveries,
        "平台查询自己的投递及原因 · A platform's own deliveries, with reasons",
        roles=(Role.PLATFORM,),
        parameters=(
            Word("state", "只看待处理的，或全部 · what needs attention, or all", ("attention", "all")),
            Number("limit", "最多条数 · at most this many, newest first", least=1, most=500, default=100),
        ),
        gives={
            "application/json": {
                "type": "object",
                "required": ["deliveries", "authentication_failures", "missing_sequences"],
                "properties": {
                    "deliveries": _ITEMS,
                    "authentication_failures": _ITEMS,
                    "missing_sequences": _ITEMS,
                },
            }
        },
    ),
)

"""Platforms: their callbacks, and their own list of what went wrong. 2xx only after the commit."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from verifier import callback
from verifier.errors import CATALOGUE, AccessDenied, Code, RequestRejected, SignatureRejected, Unavailable
from verifier.model.access import Role
from verifier.model.delivery import Callback, DeliveryOutcome, DeliveryState, ItemOutcome
from verifier.model.time import iso
from verifier.ports import Adapter
from verifier.ports.reading import DeliverySummary
from verifier.web import bodies
from verifier.web.errors import acknowledged, audit
from verifier.web.routes import Call, Envelope, Number, Route, Word, answer
from verifier.web.services import Failure, Services

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
    body = await bodies.read(request, limits, limits.callback.body_bytes)
    return callback.receive(
        platform=adapter.slug,
        method=request.method,
        path=request.raw_path.partition("?")[0],
        headers=request.raw_headers,
        body=body,
        received_at=call.services.clock(),
        request_id=call.request_id,
        content_types=adapter.content_types,
        limits=limits.callback,
    )


def _envelope(request: web.Request, services: Services) -> Envelope | None:
    """Errors in the platform's own words; an unknown platform has none."""
    adapter = services.adapters.get(request.match_info["platform"])
    return None if adapter is None else adapter.refuse


async def deliveries(call: Call) -> web.StreamResponse:
    """``GET /v1/platforms/{platform}/deliveries``: the platform's own deliveries, with reasons, no bodies."""
    slug = call.request.match_info["platform"]
    if slug != call.caller.platform:
        raise AccessDenied(Code.NOT_FOUND)
    services = call.services
    found = await services.reading.deliveries(
        slug, attention=call.words["state"] == "attention", limit=call.numbers["limit"]
    )
    failures = [
        {"at": iso(failure.at), "request_id": failure.request_id, "step": failure.step}
        for failure in reversed(services.failures.of(slug))
    ]
    return answer({"deliveries": [_summary(one) for one in found], "authentication_failures": failures})


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


ROUTES: Final = (
    Route(
        "POST",
        "/v1/callbacks/{platform}",
        receive,
        "平台推送结业信息 · A platform delivers completions, in its own format",
        takes={"*/*": {"type": "string", "contentMediaType": "application/octet-stream"}},
        gives={"application/json": {"type": "object"}},
        envelope=_envelope,
    ),
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
                "required": ["deliveries", "authentication_failures"],
                "properties": {"deliveries": _ITEMS, "authentication_failures": _ITEMS},
            }
        },
    ),
)

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from tests.functional.web_fakes import Web, assert_problem, serving
from verifier.errors import CATALOGUE, Code, LedgerRefused, VerifierError
from verifier.model import envelope
from verifier.web import connections, errors, openapi, server
from verifier.web.routes import Call


@pytest.fixture
async def served() -> AsyncIterator[Web]:
    async with serving() as made:
        yield made


def test_every_code_has_a_status() -> None:
    assert set(errors.STATUS) == set(Code)
    assert all(400 <= status <= 503 for status in errors.STATUS.values())


def test_platforms_and_other_clients_get_the_same_status_for_what_stops_any_request() -> None:
    assert {code: errors.STATUS[code] for code in envelope.STATUS} == dict(envelope.STATUS)


@pytest.mark.parametrize("code", list(Code))
def test_a_problem_says_what_and_who_must_act_and_never_distinguishes_causes_of_distrust(code: Code) -> None:
    response = errors.problem(VerifierError(code, "a fixed reason", pointer="/x"), "request-1")
    errors.seal(response, "request-1")
    assert isinstance(response.body, bytes)
    problem = assert_problem(errors.STATUS[code], response.headers, response.body, code)
    silent = response.status in {401, 404, 500}
    assert (problem["reason"], problem["pointer"]) == (("", "") if silent else ("a fixed reason", "/x"))
    assert ("Retry-After" in response.headers) == (response.status in {429, 503})
    challenged = {Code.TOKEN_REFUSED, Code.CLIENT_ASSERTION_REFUSED}
    assert ("WWW-Authenticate" in response.headers) == (code in challenged)


async def test_an_error_of_our_own_says_nothing_of_its_cause(served: Web) -> None:
    served.enterprises.error = LedgerRefused(Code.RECORD_INVALID, "the proof of 阿依古丽")
    status, headers, body = await served.call(
        "POST",
        "/v1/enterprises/91650100MA0000000X/status",
        client="ent",
        data=b"[]",
        headers={"Content-Type": "application/json"},
    )
    assert status == 500
    assert_problem(status, headers, body, Code.RECORD_INVALID)
    assert "阿依古丽" not in body.decode()


@pytest.mark.parametrize(
    "error", [web.HTTPForbidden(text="secret"), RuntimeError("secret"), TimeoutError("secret")]
)
async def test_the_boundary_lets_nothing_unforeseen_through(
    served: Web, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    async def fails(_: str) -> None:
        raise error

    monkeypatch.setattr(served.reading, "record", fails)
    status, headers, body = await served.call("GET", "/v1/records/rec-1", client="sub")
    assert status == 500
    assert_problem(status, headers, body, Code.INTERNAL)
    assert b"secret" not in body
    assert "secret" not in caplog.text
    assert type(error).__name__ in caplog.text


async def _unused(_: web.BaseRequest) -> web.StreamResponse:
    raise NotImplementedError


async def test_aiohttps_last_resort_is_ours_too(served: Web, caplog: pytest.LogCaptureFixture) -> None:
    request = make_mocked_request("GET", "/secret")
    request.writer.output_size = 0
    loop = asyncio.get_running_loop()
    made = web.Server(errors.outermost(served.services, _unused))
    connection = connections.Connection(made, served.services, loop=loop)
    response = connection.handle_error(request, 500, RuntimeError("secret"))
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    assert json.loads(response.body)["code"] == "internal"
    assert b"secret" not in response.body
    request.writer.output_size = 1
    with pytest.raises(ConnectionError):
        connection.handle_error(request, 500, RuntimeError("secret"))
    connection.log_exception("Unhandled %s", "secret", exc_info=RuntimeError("secret"))
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_a_call_without_roles_has_no_caller(served: Web) -> None:
    call = Call(make_mocked_request("GET", "/"), served.services, None, {}, {})
    with pytest.raises(AssertionError):
        _ = call.caller


# The description


async def test_the_description_names_every_route_and_no_other(served: Web) -> None:
    status, headers, body = await served.call("GET", "/openapi.json")
    assert (status, headers["Cache-Control"]) == (200, "public, max-age=300")
    document = json.loads(body)
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    routed = {
        (route.method, openapi.path_of(route.resource.canonical))
        for route in server.build(served.services).router.routes()
        if route.resource is not None
    }
    assert described == routed
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": "https://verifier.example"}]


async def test_the_description_names_every_code_and_every_operation_once(served: Web) -> None:
    document = json.loads((await served.call("GET", "/openapi.json"))[2])
    problem = document["components"]["schemas"]["Problem"]
    assert set(problem["properties"]["code"]["enum"]) == {code.value for code in Code}
    assert all(f"`{code.value}`" in document["info"]["description"] for code in CATALOGUE)
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    for operation in operations:
        assert operation["summary"]
        assert operation["responses"]["200"]["content"]


async def test_the_description_says_who_may_call(served: Web) -> None:
    paths = json.loads((await served.call("GET", "/openapi.json"))[2])["paths"]
    assert paths["/v1/feed"]["get"]["security"] == [{"token": ["subsidy"]}, {"token": ["auditor"]}]
    assert "security" not in paths["/ledger/tile/{tile}"]["get"]
    assert paths["/ledger/tile/{tile}"]["get"]["parameters"][0]["name"] == "tile"
    claim = paths["/v1/records/{record_id}/claim"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    assert claim["additionalProperties"] is False
    assert claim["required"] == ["payment_reference"]

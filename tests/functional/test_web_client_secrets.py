"""A platform whose senders know only a secret: how it is given, what it opens, and all else refused."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict
from typing_extensions import override

from tests.functional.web_fakes import (
    NOW,
    TOKEN_KEY,
    FakeAdapter,
    Web,
    assert_problem,
    later,
    serving,
    signed,
)
from verifier.errors import CATALOGUE, Code, SignatureRejected
from verifier.model.access import Client, ClientState, Role
from verifier.model.delivery import (
    Accepts,
    Acknowledgment,
    Bearer,
    DeliveryOutcome,
    DeliveryState,
    PlatformSlug,
)
from verifier.signatures import client_secret, jws
from verifier.web import oauth

SECRET = "c2VjcmV0LXdpdGgtMzItYnl0ZXMtb2YtcmFuZG9tbmVz"
OLDER = "b2xkZXItc2VjcmV0LXdpdGgtMzItYnl0ZXMtb2YtcmFu"
NAME = "lms:push"
SLUG = PlatformSlug("fake_platform")
REFUSED = {
    "error": "invalid_client",
    "error_description": CATALOGUE[Code.CLIENT_ASSERTION_REFUSED].en,
    "code": "client_assertion_refused",
    "title": CATALOGUE[Code.CLIENT_ASSERTION_REFUSED].zh,
}


@pytest.fixture
async def served() -> AsyncIterator[Web]:
    async with serving() as made:
        made.reading.clients[NAME] = Client(
            NAME,
            3,
            Role.PLATFORM,
            ClientState.ACTIVE,
            {},
            platform=SLUG,
            secrets=(client_secret.stored(SECRET, b"new salt"), client_secret.stored(OLDER, b"old salt")),
        )
        yield made


def basic(client_id: str = NAME, secret: str = SECRET) -> str:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


async def ask(served: Web, authorization: str | None = None, **fields: str) -> tuple[int, Any, Any]:
    headers = {} if authorization is None else {"Authorization": authorization}
    form = {"grant_type": "client_credentials", **fields}
    status, got, body = await served.call("POST", "/oauth/token", data=form, headers=headers)
    return status, got, json.loads(body)


async def test_a_secret_in_the_header_becomes_a_token_for_callbacks(served: Web) -> None:
    status, headers, answer = await ask(served, basic())
    assert (status, headers["Cache-Control"], headers["Pragma"]) == (200, "no-store", "no-cache")
    assert (answer["scope"], answer["expires_in"]) == ("callback", 300)
    claims = json.loads(jws.verify(jws.parse_compact(answer["access_token"]), TOKEN_KEY.verification_key))
    assert (claims["client_id"], claims["scope"], claims["role"], claims["ver"]) == (
        NAME,
        "callback",
        "platform",
        3,
    )
    assert claims["exp"] - claims["iat"] == 300


@pytest.mark.parametrize("secret", [SECRET, OLDER])
async def test_a_secret_in_the_form_does_too_and_so_does_the_older_one(served: Web, secret: str) -> None:
    status, _, answer = await ask(served, client_id=NAME, client_secret=secret)
    assert (status, answer["scope"]) == (200, "callback")


async def test_the_form_may_repeat_the_client_id_and_the_scheme_has_any_case(served: Web) -> None:
    assert (await ask(served, basic().replace("Basic", "bAsIc"), client_id=NAME))[0] == 200


@pytest.mark.parametrize(
    "authorization",
    [
        basic(secret=SECRET[:-1]),
        basic(secret=SECRET + "x"),
        basic(secret=""),
        basic(client_id="nobody"),
        basic(client_id="a'; --"),
        basic(client_id=""),
        basic(client_id="plat"),  # has a key, and no secret
        basic(client_id="plat", secret=""),
        "Basic",
        "Basic ",
        "Basic ====",
        "Basic ab=d",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(f"lms:push:{SECRET}".encode()).decode(),  # the colon is not encoded
        "Basic " + base64.b64encode(f"lms%3push:{SECRET}".encode()).decode(),
        "Basic " + base64.b64encode(f"lms%3Apush:{SECRET}%ff".encode()).decode(),
        "Basic " + base64.b64encode(f"lms%3Apush:{SECRET}\xff".encode("latin-1")).decode(),
        "Basic " + base64.b64encode(f"lms%3Apush:{SECRET}\x00".encode()).decode(),
        "Basic " + "A" * 2000,
        "Bearer abc",
        "Digest " + basic()[6:],
    ],
)
async def test_attack_on_the_header_has_one_answer(served: Web, authorization: str) -> None:
    before = counted(served)
    status, headers, answer = await ask(served, authorization)
    assert (status, answer) == (401, REFUSED)
    assert headers["WWW-Authenticate"] == 'Basic realm="oauth"'
    assert counted(served) == before + 1


@pytest.mark.parametrize(
    "fields",
    [
        {"client_id": NAME, "client_secret": ""},
        {"client_id": NAME, "client_secret": SECRET[1:]},
        {"client_id": NAME, "client_secret": "密"},
        {"client_secret": SECRET},
        {"client_id": "nobody", "client_secret": SECRET},
        {"client_id": "sub", "client_secret": SECRET},
        {"client_id": NAME},
        {},
    ],
)
async def test_attack_on_the_form_has_the_same_answer(served: Web, fields: dict[str, str]) -> None:
    before = counted(served)
    status, _, answer = await ask(served, **fields)
    assert (status, answer) == (401, REFUSED)
    assert counted(served) == before + 1


def counted(served: Web) -> float:
    return float(served.services.metrics.auth_failures.labels("assertion")._value.get())


@pytest.mark.parametrize("change", ["revoked", "dropped", "damaged", "other-id-in-the-form"])
async def test_a_client_that_may_not_gets_the_same_answer(served: Web, change: str) -> None:
    known = served.reading.clients[NAME]
    fields = {}
    if change == "revoked":
        served.reading.clients[NAME] = replace(known, state=ClientState.REVOKED)
    elif change == "dropped":
        served.reading.clients[NAME] = replace(known, secrets=known.secrets[1:])
    elif change == "damaged":
        served.reading.clients[NAME] = replace(known, secrets=("x",))
    else:
        fields = {"client_id": "plat"}
    status, _, answer = await ask(served, basic(), **fields)
    assert (status, answer) == (401, REFUSED)


async def test_two_headers_are_no_authentication(served: Web) -> None:
    line = f"Authorization: {basic()}\r\n".encode()
    body = b"grant_type=client_credentials"
    answer = await served.raw(
        b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n"
        + f"Content-Length: {len(body)}\r\n".encode()
        + line * 2
        + b"\r\n"
        + body
    )
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_exactly_one_way_of_authentication_is_used(served: Web) -> None:
    assertion = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": served.assertion("sub"),
    }
    secret = {"client_id": NAME, "client_secret": SECRET}
    for authorization, fields in [
        (basic(), secret),
        (basic(), assertion),
        (basic(), {"client_assertion": ""}),
        (None, {**secret, **assertion}),
        (basic(), {**secret, **assertion}),
    ]:
        status, _, answer = await ask(served, authorization, **fields)
        assert (status, answer["error"]) == (400, "invalid_request")
    assert served.assertions.used == {}


async def test_a_key_is_no_secret_and_a_secret_no_key(served: Web) -> None:
    now = int(NOW.timestamp())
    claims = {"iss": NAME, "sub": NAME, "aud": served.services.issuer}
    times = {"iat": now, "exp": now + 300, "jti": "j"}
    status, _, answer = await served.token(signed({**claims, **times}, TOKEN_KEY, "JWT"))
    assert (status, answer) == (401, REFUSED)


# Scope


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        (None, "callback deliveries"),
        ("callback", "callback"),
        ("deliveries", "deliveries"),
        ("deliveries callback", "callback deliveries"),
        ("callback callback", "callback"),
    ],
)
async def test_a_platform_with_a_key_gets_all_or_what_it_asks_for(
    served: Web, wanted: str | None, given: str
) -> None:
    status, _, answer = await served.token(served.assertion("plat"), scope=wanted)
    assert (status, answer["scope"]) == (200, given)


@pytest.mark.parametrize(
    "wanted", ["", "subsidy", "callback subsidy", "callback  deliveries", "Callback", " "]
)
async def test_nobody_gets_more_than_they_may(served: Web, wanted: str) -> None:
    status, _, answer = await served.token(served.assertion("plat"), scope=wanted)
    assert (status, answer["error"]) == (400, "invalid_scope")


async def test_a_secret_never_gets_more_than_callbacks(served: Web) -> None:
    status, _, answer = await ask(served, basic(), scope="deliveries")
    assert (status, answer["error"]) == (400, "invalid_scope")
    assert (await ask(served, basic(), scope="callback"))[2]["scope"] == "callback"


async def given_token(served: Web) -> str:
    token: str = (await ask(served, basic()))[2]["access_token"]
    return token


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/platforms/fake_platform/deliveries"),
        ("GET", "/v1/feed"),
        ("GET", "/v1/records/rec-1"),
        ("PUT", "/v1/enterprises/91650100MA0000000X/roster"),
    ],
)
async def test_a_token_for_callbacks_opens_no_other_call(served: Web, method: str, path: str) -> None:
    headers = {"Authorization": f"Bearer {await given_token(served)}"}
    status, got, body = await served.call(method, path, headers=headers)
    assert status == 403
    assert_problem(status, got, body, Code.SCOPE_INSUFFICIENT)


async def test_a_narrowed_token_opens_only_what_it_was_narrowed_to(served: Web) -> None:
    path = "/v1/platforms/fake_platform/deliveries"
    for scope, expected in (("callback", 403), ("deliveries", 200), ("callback deliveries", 200)):
        headers = {"Authorization": f"Bearer {served.access_token('plat', scope=scope)}"}
        assert (await served.call("GET", path, headers=headers))[0] == expected


# What a callback's route asks for


async def borne(served: Web, token: str, slug: str = SLUG) -> Bearer:
    headers: Mapping[str, str] = CIMultiDict({"Authorization": f"Bearer {token}"})
    request = make_mocked_request("POST", f"/v1/callbacks/{slug}", headers=headers)
    return await oauth.bearer_of(request, served.services, PlatformSlug(slug))


async def test_a_callback_bears_whose_token_it_is(served: Web) -> None:
    token = await given_token(served)
    claims = json.loads(jws.verify(jws.parse_compact(token), TOKEN_KEY.verification_key))
    assert await borne(served, token) == Bearer(NAME, claims["jti"], NOW)
    assert (await borne(served, served.access_token("plat"))).client_id == "plat"


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "deliveries"},
        {"scope": ""},
        {"scope": "callbacks"},
        {"scope": None},
        {"jti": None},
        {"ver": 2},
        {"exp": int(NOW.timestamp())},
        {"client_id": "sub", "scope": "callback", "ver": 1},
    ],
)
async def test_a_token_that_does_not_open_callbacks_is_no_signature(
    served: Web, changes: dict[str, Any]
) -> None:
    assert (await borne(served, served.access_token(NAME))).client_id == NAME
    with pytest.raises(SignatureRejected):
        await borne(served, served.access_token(NAME, **changes))


async def test_a_token_is_good_for_its_own_platform_alone(served: Web) -> None:
    with pytest.raises(SignatureRejected) as refused:
        await borne(served, await given_token(served), "other_platform")
    assert refused.value.step == "client"


async def test_a_rotation_and_the_time_end_a_token(served: Web) -> None:
    token = await given_token(served)
    served.now = later(NOW, 299)
    await borne(served, token)
    served.now = later(NOW, 300)
    with pytest.raises(SignatureRejected):
        await borne(served, token)
    served.now = NOW
    served.reading.clients[NAME] = replace(served.reading.clients[NAME], version=4)
    with pytest.raises(SignatureRejected):
        await borne(served, token)


async def test_no_token_and_two_tokens_are_no_signature(served: Web) -> None:
    token = f"Bearer {await given_token(served)}"
    for values in ([], [token, token], ["Basic abcd"]):
        headers = CIMultiDict([("Authorization", value) for value in values])
        request = make_mocked_request("POST", "/v1/callbacks/fake_platform", headers=headers)
        with pytest.raises(SignatureRejected):
            await oauth.bearer_of(request, served.services, SLUG)


# A platform that is proven by its token, over HTTP


class Proven(FakeAdapter):
    accepts = Accepts(
        frozenset({"application/json"}), routes=frozenset({("PUT", "/statements")}), bearer=True
    )

    @override
    def acknowledge(self, outcome: DeliveryOutcome) -> Acknowledgment:
        assert outcome.state is DeliveryState.ACCEPTED
        return Acknowledgment(204, "", b"", (("X-Experience-API-Version", "1.0.3"),))

    @override
    def refuse(self, code: Code) -> Acknowledgment:
        return Acknowledgment(401, "text/plain", code.value.encode(), (("WWW-Authenticate", "Bearer"),))


PROVEN_PATH = "/v1/callbacks/fake_platform/statements?statementId=a"


@pytest.fixture
async def proving() -> AsyncIterator[Web]:
    async with serving(adapters={SLUG: Proven()}) as made:
        yield made


async def test_a_callback_with_a_token_is_handed_on_with_its_client(proving: Web) -> None:
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {proving.access_token('plat', jti='t-1')}",
    }
    status, got, body = await proving.call("PUT", PROVEN_PATH, data=b"{}", headers=headers)
    assert (status, body, got["X-Experience-API-Version"]) == (204, b"", "1.0.3")
    assert "Content-Type" not in got
    [callback] = proving.submissions.callbacks
    assert (callback.bearer, callback.query) == (Bearer("plat", "t-1", NOW), "statementId=a")
    assert (callback.method, callback.path) == ("PUT", PROVEN_PATH.partition("?")[0])


@pytest.mark.parametrize("authorization", [None, "Bearer x", "other"])
async def test_without_one_it_is_no_signature_and_its_body_is_not_read(
    proving: Web, authorization: str | None
) -> None:
    if authorization == "other":
        authorization = f"Bearer {proving.access_token('sub')}"
    headers = {} if authorization is None else {"Authorization": authorization}
    status, got, body = await proving.call("PUT", PROVEN_PATH, data=b"x" * 2_000_000, headers=headers)
    assert (status, body, got["WWW-Authenticate"]) == (401, b"signature_rejected", "Bearer")
    assert proving.submissions.callbacks == []
    assert [failure.request_id for failure in proving.services.failures.of(SLUG)] == [got["Request-Id"]]
    counted = proving.services.metrics.deliveries.labels(SLUG, "not_authentic")._value.get()
    assert counted == 1


async def test_no_other_platform_is_asked_for_a_token(served: Web) -> None:
    headers = {"Content-Type": "application/json"}
    assert (await served.call("POST", f"/v1/callbacks/{SLUG}", data=b"{}", headers=headers))[0] == 200
    assert served.submissions.callbacks[0].bearer is None

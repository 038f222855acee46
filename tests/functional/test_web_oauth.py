from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from tests.functional.web_fakes import (
    ANSWER_KEY,
    CLIENT_KEYS,
    ISSUER,
    NOW,
    RECORD_KEY,
    TOKEN_KEY,
    Web,
    assert_problem,
    later,
    serving,
    signed,
    signing_key,
)
from verifier import record
from verifier.errors import CATALOGUE, Code, Unavailable
from verifier.model.access import ClientState, Role
from verifier.signatures import base64url, hmac, jws, keys
from verifier.web import enterprises, oauth


@pytest.fixture
async def served() -> AsyncIterator[Web]:
    async with serving() as made:
        yield made


INVALID_CLIENT = {
    "error": "invalid_client",
    "error_description": CATALOGUE[Code.CLIENT_ASSERTION_REFUSED].en,
    "code": "client_assertion_refused",
    "title": CATALOGUE[Code.CLIENT_ASSERTION_REFUSED].zh,
}


def token_of(header: dict[str, Any], payload: bytes, signature: bytes = b"s" * 64) -> str:
    parts = (json.dumps(header).encode(), payload, signature)
    return ".".join(map(base64url.encode, parts))


def with_header(claims: dict[str, Any], **members: Any) -> str:
    """Genuinely signed by the client, but for what the header says besides."""
    header = {"alg": "ES256", "kid": "sub-key", "typ": "JWT", **members}
    payload = json.dumps(claims).encode()
    signing_input = f"{base64url.encode(json.dumps(header).encode())}.{base64url.encode(payload)}"
    signature = jws.signature(signing_input.encode(), CLIENT_KEYS["sub"])
    return f"{signing_input}.{base64url.encode(signature)}"


def with_payload(payload: bytes) -> str:
    return jws.sign_compact(payload, CLIENT_KEYS["sub"], typ="JWT")


def keyed_with_public(claims: dict[str, Any], secret: bytes) -> str:
    header = base64url.encode(b'{"alg":"HS256","kid":"sub-key","typ":"JWT"}')
    signing_input = f"{header}.{base64url.encode(json.dumps(claims).encode())}"
    return f"{signing_input}.{base64url.encode(hmac.hmac_sha256(secret, signing_input.encode()))}"


def public_pem() -> bytes:
    return (
        CLIENT_KEYS["sub"]
        .private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


async def test_an_assertion_becomes_a_token_that_opens_the_feed(served: Web) -> None:
    status, headers, answer = await served.token(served.assertion("sub"))
    assert (status, headers["Cache-Control"], headers["Pragma"]) == (200, "no-store", "no-cache")
    assert (answer["token_type"], answer["expires_in"], answer["scope"]) == ("Bearer", 300, "subsidy")
    token = jws.parse_compact(answer["access_token"])
    claims = json.loads(jws.verify(token, TOKEN_KEY.verification_key))
    now = int(NOW.timestamp())
    assert token.typ == "at+jwt"
    assert claims == {
        "iss": ISSUER,
        "sub": "sub",
        "client_id": "sub",
        "aud": f"{ISSUER}/v1",
        "iat": now,
        "exp": now + 300,
        "jti": claims["jti"],
        "role": "subsidy",
        "scope": "subsidy",
        "ver": 1,
    }
    bearer = {"Authorization": f"Bearer {answer['access_token']}"}
    status, _, _ = await served.call("GET", "/v1/feed", headers=bearer)
    assert status == 200


@pytest.mark.parametrize("typ", ["JWT", "client-authentication+jwt"])
async def test_the_documented_types_are_taken(served: Web, typ: str) -> None:
    status, _, _ = await served.token(signed(served.assertion_claims(), CLIENT_KEYS["sub"], typ))
    assert status == 200


async def test_an_assertion_may_leave_type_and_kid_out_and_repeat_the_client_id(served: Web) -> None:
    header = base64url.encode(b'{"alg":"ES256"}')
    payload = base64url.encode(json.dumps(served.assertion_claims()).encode())
    signature = jws.signature(f"{header}.{payload}".encode(), CLIENT_KEYS["sub"])
    assertion = f"{header}.{payload}.{base64url.encode(signature)}"
    assert (await served.token(assertion, client_id="sub"))[0] == 200


def without(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda claims: with_header({key: value for key, value in claims.items() if key != name})


FORGED: dict[str, Callable[[dict[str, Any]], str]] = {
    "20-alg-none": lambda c: token_of({"alg": "none", "typ": "JWT"}, json.dumps(c).encode()),
    "20-alg-nOnE": lambda c: token_of({"alg": "nOnE", "typ": "JWT"}, json.dumps(c).encode()),
    "20-empty-signature": lambda c: with_header(c).rpartition(".")[0] + ".",
    "21-hs256-with-pem": lambda c: keyed_with_public(c, public_pem()),
    "21-hs256-with-respaced-pem": lambda c: keyed_with_public(c, public_pem().replace(b"\n", b"\r\n")),
    "21-hs256-with-der": lambda c: keyed_with_public(
        c, base64.b64decode(b"".join(public_pem().split(b"\n")[1:-2]))
    ),
    "21-hs256-with-jwk": lambda c: keyed_with_public(
        c, json.dumps(keys.public_jwk(CLIENT_KEYS["sub"].verification_key)).encode()
    ),
    "22-rs256-named": lambda c: with_header(c, alg="RS256"),
    "22-es384-named": lambda c: with_header(c, alg="ES384"),
    "23-own-jwk": lambda c: with_header(c, jwk=keys.public_jwk(CLIENT_KEYS["sub"].verification_key)),
    "24-jku": lambda c: with_header(c, jku="http://169.254.169.254/keys"),
    "24-x5u": lambda c: with_header(c, x5u="file:///etc/passwd"),
    "25-x5c": lambda c: with_header(c, x5c=["AAAA"]),
    "26-kid-path": lambda c: with_header(c, kid="../../dev/null"),
    "26-kid-nul": lambda c: with_header(c, kid="\0"),
    "26-kid-long": lambda c: with_header(c, kid="k" * 1_000),
    "26-kid-number": lambda c: with_header(c, kid=1),
    "26-kid-list": lambda c: with_header(c, kid=["sub-key"]),
    "26-kid-null": lambda c: with_header(c, kid=None),
    "27-r-s-zero": lambda c: token_of({"alg": "ES256"}, json.dumps(c).encode(), bytes(64)),
    "29-crit": lambda c: with_header(c, crit=["exp"]),
    "29-crit-empty": lambda c: with_header(c, crit=[]),
    "29-b64": lambda c: with_header(c, b64=False),
    **{f"30-no-{name}": without(name) for name in ("iss", "sub", "aud", "exp", "iat", "jti")},
    "31-exp-text": lambda c: with_header({**c, "exp": str(c["exp"])}),
    "31-exp-bool": lambda c: with_header({**c, "exp": True}),
    "31-exp-fraction": lambda c: with_header({**c, "exp": c["exp"] - 0.5}),
    "31-exp-nan": lambda c: with_header({**c, "exp": float("nan")}),
    "31-exp-1e400": lambda c: with_payload(json.dumps(c).replace(str(c["exp"]), "1e400").encode()),
    "31-exp-huge": lambda c: with_payload(json.dumps(c).replace(str(c["exp"]), "9" * 4001).encode()),
    "31-iat-text": lambda c: with_header({**c, "iat": str(c["iat"])}),
    "31-nbf-text": lambda c: with_header({**c, "nbf": "0"}),
    "31-nbf-null": lambda c: with_header({**c, "nbf": None}),
    "32-exp-ten-years": lambda c: with_header({**c, "exp": c["exp"] + 315_360_000}),
    "32-iat-61s-ahead": lambda c: with_header({**c, "iat": c["iat"] + 61}),
    "32-nbf-61s-ahead": lambda c: with_header({**c, "nbf": c["iat"] + 61}),
    "32-expired": lambda c: with_header({**c, "iat": c["iat"] - 300, "exp": c["iat"]}),
    "33-aud-list": lambda c: with_header({**c, "aud": [ISSUER, "https://other.example"]}),
    "33-aud-list-of-one": lambda c: with_header({**c, "aud": [ISSUER]}),
    "33-aud-token-endpoint": lambda c: with_header({**c, "aud": f"{ISSUER}/oauth/token"}),
    "33-aud-with-slash": lambda c: with_header({**c, "aud": f"{ISSUER}/"}),
    "34-typ-access-token": lambda c: with_header(c, typ="at+jwt"),
    "34-typ-record": lambda c: with_header(c, typ="dc+sd-jwt"),
    "34-typ-null": lambda c: with_header(c, typ=None),
    "35-payload-list": lambda c: with_payload(json.dumps([c]).encode()),
    "35-payload-deep": lambda _: with_payload(b"[" * 3_000 + b"]" * 3_000),
    "35-payload-number": lambda c: with_payload(json.dumps({**c, "x": 0})[:-2].encode() + b"1" * 4301 + b"}"),
    "35-payload-no-json": lambda _: with_payload(b"{"),
    "35-payload-doubled-key": lambda c: with_payload(json.dumps(c)[:-1].encode() + b',"sub":"ent"}'),
    "35-token-9-KB": lambda c: with_header({**c, "x": "y" * 9_000}),
    "36-five-parts": lambda c: with_header(c) + ".a.b",
    "36-zip": lambda c: with_header(c, zip="DEF"),
    "36-json-serialisation": lambda c: json.dumps({"payload": base64url.encode(json.dumps(c).encode())}),
    "36-enc": lambda c: with_header(c, enc="A256GCM", alg="PBES2-HS256+A128KW", p2c=10**9),
    "37-lifetime-301s": lambda c: with_header({**c, "exp": c["iat"] + 301}),
    "37-iss-is-not-sub": lambda c: with_header({**c, "sub": "ent"}),
    "37-iss-unknown": lambda c: with_header({**c, "iss": "nobody", "sub": "nobody"}),
    "37-iss-of-another": lambda c: with_header({**c, "iss": "ent", "sub": "ent"}),
    "37-iss-number": lambda c: with_header({**c, "iss": 7}),
    "37-iss-odd": lambda c: with_header({**c, "iss": "a'; --"}),
    "37-jti-empty": lambda c: with_header({**c, "jti": ""}),
    "37-jti-number": lambda c: with_header({**c, "jti": 7}),
    "other-key": lambda c: signed(c, signing_key("sub-key"), "JWT"),
    "garbage": lambda _: "x",
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
async def test_attack_on_assertions_has_one_answer(
    served: Web, forge: Callable[[dict[str, Any]], str]
) -> None:
    claims = served.assertion_claims()
    status, headers, answer = await served.token(forge(claims))
    assert (status, answer) == (401, INVALID_CLIENT)
    assert headers["Content-Type"] == "application/json"
    # What is refused uses nothing up: the genuine one still works.
    assert served.assertions.used == {}
    assert (await served.token(signed(claims, CLIENT_KEYS["sub"], "JWT")))[0] == 200


async def test_attack_37_a_jti_is_good_once_even_at_the_same_moment(served: Web) -> None:
    assertion = served.assertion("sub")
    answers = await asyncio.gather(*(served.token(assertion) for _ in range(8)))
    assert sorted(status for status, _, _ in answers) == [200] + [401] * 7
    [expires_at] = served.assertions.used.values()
    assert expires_at == later(NOW, 300)


@pytest.mark.parametrize(
    "change", ["revoked", "unusable-key", "other-client-id", "no-assertion", "other-type"]
)
async def test_a_client_that_may_not_gets_the_same_answer(served: Web, change: str) -> None:
    known = served.reading.clients["sub"]
    fields: dict[str, str | None] = {}
    if change == "revoked":
        served.reading.clients["sub"] = replace(known, state=ClientState.REVOKED)
    elif change == "unusable-key":
        served.reading.clients["sub"] = replace(known, jwk={"kty": "oct", "k": "AAAA"})
    elif change == "other-client-id":
        fields = {"client_id": "ent"}
    elif change == "no-assertion":
        fields = {"client_assertion": None}
    else:
        fields = {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}
    status, _, answer = await served.token(served.assertion("sub"), **fields)
    assert (status, answer) == (401, INVALID_CLIENT)


@pytest.mark.parametrize(
    ("body", "status", "error", "code"),
    [
        (b"", 400, "invalid_request", "schema_invalid"),
        (b"grant_type=password", 400, "unsupported_grant_type", "schema_invalid"),
        (b"grant_type=client_credentials&grant_type=x", 400, "invalid_request", "schema_invalid"),
        (b"a=1&" * 20, 400, "invalid_request", "schema_invalid"),
        (b"grant_type=%ff", 400, "invalid_request", "schema_invalid"),
        (b"grant_type=\xff", 400, "invalid_request", "schema_invalid"),
        (b"x=1", 400, "invalid_request", "schema_invalid"),
        (b"x" * 20_000, 413, "invalid_request", "request_too_large"),
    ],
)
async def test_a_malformed_form_is_refused_as_rfc_6749_says(
    served: Web, body: bytes, status: int, error: str, code: str
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    got, _, answer = await served.call("POST", "/oauth/token", data=body, headers=headers)
    assert (got, json.loads(answer)["error"], json.loads(answer)["code"]) == (status, error, code)


async def test_another_content_type_is_refused(served: Web) -> None:
    status, _, answer = await served.call("POST", "/oauth/token", json={"grant_type": "client_credentials"})
    assert (status, json.loads(answer)["error"]) == (415, "invalid_request")


async def test_a_database_that_is_away_is_not_the_clients_fault(
    served: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: str) -> None:
        raise Unavailable(Code.STORE_UNAVAILABLE)

    monkeypatch.setattr(served.reading, "client", away)
    status, headers, answer = await served.token(served.assertion("sub"))
    assert (status, headers["Retry-After"], answer["error"]) == (503, "1", "server_error")


# Access tokens


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def feed(served: Web, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    status, got, body = await served.call("GET", "/v1/feed", headers=headers)
    problem = assert_problem(status, got, body, Code(json.loads(body)["code"])) if status != 200 else {}
    if status == 401:
        assert got["WWW-Authenticate"] == "Bearer"
    return status, problem


CLAIM_CHANGES: dict[str, dict[str, Any]] = {
    **{f"30-no-{name}": {name: None} for name in ("iss", "aud", "exp", "iat", "jti")},
    **{f"30-no-{name}": {name: None} for name in ("client_id", "scope", "ver")},
    "31-exp-text": {"exp": "9999999999"},
    "31-exp-bool": {"exp": True},
    "32-long-lived": {"exp": int(NOW.timestamp()) + 301},
    "32-iat-ahead": {"iat": int(NOW.timestamp()) + 61},
    "32-expired": {"exp": int(NOW.timestamp())},
    "33-aud-list": {"aud": [f"{ISSUER}/v1", "x"]},
    "33-aud-issuer": {"aud": ISSUER},
    "34-other-issuer": {"iss": "https://other.example"},
    "81-older-version": {"ver": 0},
    "81-version-true": {"ver": "1"},
    "unknown-client": {"client_id": "nobody"},
    "scope-is-a-list": {"scope": ["subsidy"]},
}


@pytest.mark.parametrize("changes", CLAIM_CHANGES.values(), ids=CLAIM_CHANGES.keys())
async def test_attack_on_token_claims_is_refused(served: Web, changes: dict[str, Any]) -> None:
    assert (await feed(served, bearer(served.access_token("sub"))))[0] == 200
    status, problem = await feed(served, bearer(served.access_token("sub", **changes)))
    assert (status, problem["code"]) == (401, "token_refused")


async def test_every_401_has_one_body(served: Web) -> None:
    claims = served.assertion_claims()
    good = served.access_token("sub")
    payload = json.loads(base64url.decode(good.split(".")[1]))
    wrong = {
        "none": {},
        "basic": {"Authorization": "Basic c3ViOnN1Yg=="},
        "empty": {"Authorization": "Bearer "},
        "34-assertion": bearer(signed(claims, CLIENT_KEYS["sub"], "JWT")),
        "34-record": bearer(served.reading.records["rec-1"].sd_jwt.split("~")[0]),
        "34-answer": bearer(signed(payload, ANSWER_KEY, "status-answer+jwt")),
        "34-record-key": bearer(signed(payload, RECORD_KEY, "at+jwt")),
        "34-own-key-other-typ": bearer(signed(payload, TOKEN_KEY, "JWT")),
        "34-key-of-that-name": bearer(signed(payload, signing_key("token-key"), "at+jwt")),
        "20-none": bearer(token_of({"alg": "none", "typ": "at+jwt", "kid": "token-key"}, b"{}")),
        "35-list": bearer(jws.sign_compact(b"[]", TOKEN_KEY, typ="at+jwt")),
        "35-no-json": bearer(jws.sign_compact(b"{]", TOKEN_KEY, typ="at+jwt")),
        "flipped": bearer(good[:-2] + ("AA" if good[-2:] != "AA" else "BA")),
    }
    answers = {json.dumps((await feed(served, headers))[1]) for headers in wrong.values()}
    assert len(answers) == 1
    assert json.loads(answers.pop())["status"] == 401


async def test_a_doubled_authorization_header_is_refused(served: Web) -> None:
    token = served.access_token("sub")
    line = f"Authorization: Bearer {token}\r\n".encode()
    answer = await served.raw(
        b"GET /v1/feed HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + line * 2 + b"\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_attack_81_a_change_of_the_client_ends_its_tokens_at_once(served: Web) -> None:
    token = served.access_token("sub")
    known = served.reading.clients["sub"]
    assert (await feed(served, bearer(token)))[0] == 200
    served.reading.clients["sub"] = replace(known, version=2, role=Role.AUDITOR)
    assert (await feed(served, bearer(token)))[0] == 401
    served.reading.clients["sub"] = replace(known, state=ClientState.REVOKED)
    assert (await feed(served, bearer(token)))[0] == 401


async def test_a_token_ends_with_its_time(served: Web) -> None:
    token = served.access_token("sub")
    served.now = later(NOW, 299)
    assert (await feed(served, bearer(token)))[0] == 200
    served.now = later(NOW, 300)
    assert (await feed(served, bearer(token)))[0] == 401


CALLS = [
    ("GET", "/v1/feed", {"sub", "aud"}),
    ("GET", "/v1/records/rec-1", {"sub"}),
    ("POST", "/v1/records/rec-1/claim", {"sub"}),
    ("POST", "/v1/records/rec-1/claim/paid", {"sub"}),
    ("PUT", "/v1/enterprises/91650100MA0000000X/roster", {"ent"}),
    ("POST", "/v1/enterprises/91650100MA0000000X/status", {"ent"}),
    ("POST", "/v1/enterprises/91650100MA0000000X/scope-declarations", {"ent"}),
    ("GET", "/v1/platforms/fake_platform/deliveries", {"plat"}),
]


@pytest.mark.parametrize("name", ["plat", "ent", "sub", "aud"])
@pytest.mark.parametrize(("method", "path", "allowed"), CALLS, ids=[path for _, path, _ in CALLS])
async def test_attacks_80_and_82_each_call_is_for_its_roles_alone(
    served: Web, method: str, path: str, allowed: set[str], name: str
) -> None:
    status, headers, body = await served.call(method, path, client=name)
    if name in allowed:
        assert status in {200, 415}  # let in; a body was not sent
    else:
        assert_problem(status, headers, body, Code.SCOPE_INSUFFICIENT)
        assert status == 403


def test_attack_34_each_kind_of_token_has_its_own_type() -> None:
    kinds = [oauth.TOKEN_TYPE, enterprises.ANSWER_TYPE, record.TYP, "JWT", "client-authentication+jwt"]
    assert len(set(kinds)) == len(kinds)

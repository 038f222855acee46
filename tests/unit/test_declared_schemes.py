"""Every scheme that a profile can declare: genuine deliveries are accepted, nothing else ever is.

Signing is written out here, without the code under test, but for SM2 and raw RSA.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from adapters.declared import DeclaredPlatform, load
from tests.platforms.profiles import SLUG, Changes, declared, text
from tests.platforms.senders import START, compact_jws, request, with_body
from verifier.errors import AdapterError, Code, ConfigurationError, SignatureRejected
from verifier.model.delivery import (
    AuthenticatedCallback,
    Bearer,
    Callback,
    DeliveryId,
    Event,
    Headers,
    UnreadableItem,
)
from verifier.signatures import raw_rsa
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.sm2 import Sm2PrivateKey
from verifier.signatures.transport import TransportKey

NOW: Final = datetime(2021, 6, 1, 4, tzinfo=UTC)
SECONDS: Final = str(int(NOW.timestamp()))
SECRET: Final = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
OTHER: Final = "9f1e2d3c4b5a69788796a5b4c3d2e1f0"
BODY: Final[Mapping[str, Any]] = {"id": "d-1", "seq": 7, "type": "gone", "issuer": "i", "number": "N-1"}
DELIVERY: Final[Changes] = {
    "delivery": {"id": "id", "sequence": "seq"},
    "certificate": None,
    "events.words": {"gone": "revoked"},
}

RSA_KEY: Final = rsa.generate_private_key(65537, 2048)
ED_KEY: Final = Ed25519PrivateKey.generate()
EC_KEY: Final = ec.generate_private_key(ec.SECP256R1())
SM2_KEY: Final = Sm2PrivateKey.generate()


def shared(key_id: str = "k1", secret: str = SECRET, **others: Any) -> TransportKey:
    return TransportKey(key_id, START, secret=secret.encode(), **others)


def public(key: Any, algorithm: str, key_id: str = "k1", **others: Any) -> TransportKey:
    return TransportKey(key_id, START, public_key=key, algorithm=algorithm, **others)


def encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


@dataclass(frozen=True)
class Case:
    """One scheme as one profile declares it.

    Attributes:
        send: a genuine request.
        altered: requests that differ in what is signed, or in who signs.
        timed: whether it says when it was signed.
        whole: whether the body is signed.
    """

    name: str
    changes: Changes
    key: TransportKey
    send: Callable[[datetime], Callback]
    altered: Callable[[Callback], list[Callback]]
    timed: bool = True
    whole: bool = True

    @property
    def platform(self) -> DeclaredPlatform:
        return declared({**DELIVERY, **self.changes})


def header(callback: Callback, name: str, *values: str) -> Callback:
    pairs = [pair for pair in callback.headers.pairs if pair[0] != name]
    return replace(callback, headers=Headers((*pairs, *((name, value) for value in values))))


def seconds(at: datetime) -> str:
    return str(int(at.timestamp()))


# --- a gateway's HMAC ---------------------------------------------------------------------------------------

GATEWAY: Final[Changes] = {
    "authenticity": {
        "scheme": "gateway-hmac",
        "key_header": "x-key",
        "timestamp_header": "x-time",
        "timestamp_format": "epoch_seconds",
        "nonce_header": "x-nonce",
        "signature_header": "x-sign",
        "signed": ["method", "path", "query", "key-id", "timestamp", "nonce", "body-sha256"],
        "ends_with_separator": True,
        "signature_form": "base64",
    }
}


def gateway(at: datetime) -> Callback:
    body = encode(BODY)
    path, query, digest = f"/v1/callbacks/{SLUG}", "a=1", hashlib.sha256(body).hexdigest()
    lines = "\n".join(["POST", path, query, "k1", seconds(at), "n-1", digest, ""])
    sign = base64.b64encode(hmac.digest(SECRET.encode(), lines.encode(), "sha256")).decode()
    headers = (("x-key", "k1"), ("x-time", seconds(at)), ("x-nonce", "n-1"), ("x-sign", sign))
    return request(SLUG, body, headers, at, query=query)


def gateway_altered(callback: Callback) -> list[Callback]:
    return [
        replace(callback, method="PUT"),
        replace(callback, path=callback.path + "x"),
        replace(callback, path=callback.path + "\n"),
        replace(callback, query="a=2"),
        with_body(callback, callback.body + b" "),
        header(callback, "x-key", "k2"),
        header(callback, "x-key"),
        header(callback, "x-time", str(int(callback.headers.one("x-time")) + 1)),
        header(callback, "x-time", "now"),
        header(callback, "x-nonce", "n-2"),
        header(callback, "x-nonce", "n-1", "n-1"),
        header(callback, "x-sign", callback.headers.one("x-sign").lower()),
        header(callback, "x-sign", "签名"),
    ]


DATED: Final[Changes] = {
    "authenticity": {
        "scheme": "gateway-hmac",
        "timestamp_header": "date",
        "timestamp_format": "http_date",
        "signature_header": "x-sign",
        "signed": ["timestamp", "body"],
        "separator": "|",
        "signature_form": "HEX",
        "tolerance_seconds": 90,
    }
}


def dated(at: datetime) -> Callback:
    body, date = encode(BODY), at.strftime("%a, %d %b %Y %H:%M:%S GMT")
    sign = hmac.digest(SECRET.encode(), f"{date}|".encode() + body, "sha256").hex().upper()
    return request(SLUG, body, (("date", date), ("x-sign", sign)), at)


def dated_altered(callback: Callback) -> list[Callback]:
    sign = callback.headers.one("x-sign")
    return [
        with_body(callback, callback.body[1:]),
        header(callback, "date", "Tue, 01 Jun 2021 04:00:01 GMT"),
        header(callback, "x-sign", sign.lower()),
        header(callback, "x-sign", sign, sign),
    ]


BARE: Final[Changes] = {
    "authenticity": {
        "scheme": "gateway-hmac",
        "key_header": "rid",
        "timestamp_header": "rtime",
        "timestamp_format": "epoch_milliseconds",
        "signature_header": "sign",
        "signed": ["key-id", "timestamp"],
        "separator": "",
        "body_unsigned": True,
        "signature_form": "hex",
    }
}


def bare(at: datetime) -> Callback:
    time = f"{seconds(at)}000"
    sign = hmac.digest(SECRET.encode(), f"k1{time}".encode(), "sha256").hex()
    return request(SLUG, encode(BODY), (("rid", "k1"), ("rtime", time), ("sign", sign)), at)


def bare_altered(callback: Callback) -> list[Callback]:
    return [header(callback, "rtime", "1622520000001"), header(callback, "sign", "0" * 64)]


# --- sorted parameters --------------------------------------------------------------------------------------

SORTED: Final[Mapping[str, Any]] = {
    "scheme": "sorted-parameters",
    "parameters": "form",
    "algorithm": "HMAC-SHA256",
    "required": ["id", "timestamp"],
    "time_name": "timestamp",
    "time_format": "yyyyMMddHHmmss+08:00",
    "suffix_name": "key",
    "key_name": "app_id",
    "payload": "data",
}
FORM: Final[Changes] = {
    "content_types": ["application/x-www-form-urlencoded"],
    "items.at": "data",
    "authenticity": SORTED,
}


def compact(at: datetime) -> str:
    return (at + timedelta(hours=8)).strftime("%Y%m%d%H%M%S")


def parameters(at: datetime, **others: str) -> dict[str, str]:
    data = json.dumps({"type": "gone", "issuer": "i", "number": "N-1", "名": "字"}, ensure_ascii=False)
    return {
        "timestamp": compact(at),
        "id": "d-1",
        "seq": "7",
        "data": data,
        "empty": "",
        "app_id": "k1",
        **others,
    }


def joined(values: Mapping[str, str]) -> str:
    return "&".join(f"{name}={value}" for name, value in sorted(values.items()) if value and name != "sign")


def form(at: datetime, sign: Callable[[str], str], **others: str) -> Callback:
    values = parameters(at, **others)
    body = urlencode({**values, "sign": sign(joined(values))}).encode()
    return request(SLUG, body, (), at, content_type="application/x-www-form-urlencoded")


def by_hmac(string: str) -> str:
    return hmac.digest(SECRET.encode(), f"{string}&key={SECRET}".encode(), "sha256").hex().upper()


def by_md5(string: str) -> str:
    return hashlib.md5(f"{string}&key={SECRET}".encode()).hexdigest().upper()  # noqa: S324 - what the scheme says


def by_sm2(string: str) -> str:
    return base64.b64encode(SM2_KEY.sign(string.encode())).decode()


def by_rsa(string: str) -> str:
    return RSA_KEY.sign(string.encode(), padding.PKCS1v15(), hashes.SHA256()).hex()


def form_altered(callback: Callback) -> list[Callback]:
    body = callback.body
    return [
        with_body(callback, body.replace(b"id=d-1", b"id=d-2")),
        with_body(callback, body.replace(b"id=d-1", b"id=d-1&id=d-1")),
        with_body(callback, body.replace(b"id=d-1&", b"")),
        with_body(callback, body + b"&more=1"),
        with_body(callback, body + b"&key=1"),
        with_body(callback, body.replace(b"app_id=k1", b"app_id=k2")),
        with_body(callback, body.replace(b"app_id=k1", b"")),
        with_body(callback, body + b"&a"),
        with_body(callback, body + b"&=1"),
        with_body(callback, body + b"".join(b"&a%d=1" % n for n in range(60))),
        with_body(callback, b""),
    ]


JSON_PARAMETERS: Final[Changes] = {
    "authenticity": {
        **{
            name: value
            for name, value in SORTED.items()
            if name not in {"key_name", "suffix_name", "payload"}
        },
        "parameters": "json",
        "upper_hex": False,
        "excluded": ["sign", "trace"],
    }
}


def json_parameters(at: datetime) -> Callback:
    values = {**BODY, "timestamp": compact(at)}
    string = joined({name: str(value) for name, value in values.items()})
    sign = hmac.digest(SECRET.encode(), string.encode(), "sha256").hex()
    return request(SLUG, encode({**values, "sign": sign, "trace": "unsigned"}), (), at)


def json_altered(callback: Callback) -> list[Callback]:
    said = json.loads(callback.body)
    return [
        with_body(callback, encode({**said, "number": "N-2"})),
        with_body(callback, encode({**said, "number": True})),
        with_body(callback, encode({**said, "number": {"a": 1}})),
        with_body(callback, encode({**said, "timestamp": "yesterday"})),
        with_body(callback, b"[]"),
        with_body(callback, b"\xff"),
    ]


QUERIED: Final[Changes] = {**FORM, "authenticity": {**SORTED, "parameters": "query+form"}}


def queried(at: datetime) -> Callback:
    values = parameters(at)
    sign = by_hmac(joined(values))
    before = {name: values.pop(name) for name in ("app_id", "timestamp")}
    query = urlencode({**before, "sign": sign})
    body = urlencode(values).encode()
    return request(SLUG, body, (), at, content_type="application/x-www-form-urlencoded", query=query)


def queried_altered(callback: Callback) -> list[Callback]:
    return [
        replace(callback, query=callback.query + "&id=d-1"),
        replace(callback, query=callback.query + "&a=é"),
        replace(callback, query=callback.query + "&a=\ud800"),
        replace(callback, query=""),
        with_body(callback, callback.body + b"&sign=1"),
    ]


# --- others -------------------------------------------------------------------------------------------------


def secret_in_header(at: datetime) -> Callback:
    return request(SLUG, encode(BODY), (("x-secret", f"Token {SECRET}"),), at)


def secret_in_header_altered(callback: Callback) -> list[Callback]:
    return [
        header(callback, "x-secret", *values)
        for values in [(), (SECRET,), (f"Token {OTHER}",), ("Token ",), (f"Token {SECRET} ", "x")]
    ]


def secret_in_body(at: datetime) -> Callback:
    return request(SLUG, encode({**BODY, "auth": {"privateKey": SECRET}}), (), at)


def secret_in_body_altered(callback: Callback) -> list[Callback]:
    bodies = [
        b"[]",
        b"\xff",
        encode(BODY),
        *(encode({**BODY, "auth": {"privateKey": bad}}) for bad in (OTHER, 1, None, "", "密", [SECRET])),
    ]
    return [with_body(callback, body) for body in bodies]


def webhook(at: datetime) -> Callback:
    body = encode(BODY)
    signature = ED_KEY.sign(f"d-1.{seconds(at)}.".encode() + body)
    headers = (
        ("svix-id", "d-1"),
        ("svix-timestamp", seconds(at)),
        ("svix-signature", f"v1a,{base64.b64encode(signature).decode()}"),
    )
    return request(SLUG, body, headers, at)


def webhook_altered(callback: Callback) -> list[Callback]:
    return [with_body(callback, b"{}"), header(callback, "svix-id", "d-2"), header(callback, "svix-id")]


def raw_rsa_query(at: datetime) -> Callback:
    body, time = encode(BODY), f"{seconds(at)}000"
    sign = raw_rsa.sign(body=body, timestamp=time, private_key=RSA_KEY)
    return request(SLUG, body, (), at, query=f"v=1.0.0.e1&ts={time}&sign={sign}&user=k1")


def raw_rsa_altered(callback: Callback) -> list[Callback]:
    query = callback.query
    return [
        with_body(callback, callback.body + b"\n"),
        *(
            replace(callback, query=changed)
            for changed in (
                "",
                query + "&user=k1",
                query + "&x=1",
                query.replace("user=k1", "user=k2"),
                query.replace("ts=", "ts=0"),
                query.replace("&user=k1", ""),
                query.lower(),
                query + "\ud800",
            )
        ),
    ]


def token(at: datetime, *, kid: str = "k1", key: Ed25519PrivateKey = ED_KEY, **others: Any) -> str:
    return compact_jws({**BODY, "iat": int(at.timestamp()), **others}, kid=kid, key=key)


def jws_body(at: datetime) -> Callback:
    return request(SLUG, token(at).encode(), (), at, content_type="application/jose")


def jws_altered(callback: Callback) -> list[Callback]:
    head, payload, sign = callback.body.decode().split(".")
    untyped = base64.urlsafe_b64encode(b'{"alg":"EdDSA","kid":"k1"}').rstrip(b"=").decode()
    unnamed = base64.urlsafe_b64encode(b'{"alg":"EdDSA","typ":"JWT"}').rstrip(b"=").decode()
    bodies = [
        f"{head}.{payload}.{sign[::-1]}",
        f"{head}.{base64.urlsafe_b64encode(b'{}').decode().rstrip('=')}.{sign}",
        f"{head}.{base64.urlsafe_b64encode(b'[]').decode().rstrip('=')}.{sign}",
        f"{untyped}.{payload}.{sign}",
        f"{unnamed}.{payload}.{sign}",
        token(NOW, kid="k2"),
        token(NOW, key=Ed25519PrivateKey.generate()),
        token(NOW, iat="now"),
        "",
        "{}",
        "\xff",
    ]
    return [with_body(callback, body.encode()) for body in bodies]


JWS: Final[Mapping[str, Any]] = {
    "scheme": "jws-body",
    "time": "iat",
    "time_format": "epoch_seconds",
}


def jws_member(at: datetime) -> Callback:
    return request(SLUG, encode({"token": token(at)}), (), at)


def jws_member_altered(callback: Callback) -> list[Callback]:
    return [
        with_body(callback, body)
        for body in (b"", b"{}", b'{"token": 1}', b'{"token": "a.b.c"}', token(NOW).encode())
    ]


CASES: Final = (
    Case("gateway", GATEWAY, shared(), gateway, gateway_altered),
    Case("gateway dated", DATED, shared(), dated, dated_altered),
    Case("gateway bare", BARE, shared(), bare, bare_altered, whole=False),
    Case("form HMAC", FORM, shared(), lambda at: form(at, by_hmac), form_altered),
    Case(
        "form MD5",
        {**FORM, "authenticity": {**SORTED, "algorithm": "MD5"}},
        shared(legacy="MD5"),
        lambda at: form(at, by_md5),
        form_altered,
    ),
    Case(
        "form SM2",
        {**FORM, "authenticity": {**SORTED, "algorithm": "SM3withSM2", "suffix_name": ""}},
        public(SM2_KEY.public_key, "SM3withSM2"),
        lambda at: form(at, by_sm2),
        form_altered,
    ),
    Case(
        "form RSA",
        {**FORM, "authenticity": {**SORTED, "algorithm": "SHA256withRSA", "suffix_name": ""}},
        public(RSA_KEY.public_key(), "RS256", encoding=SignatureEncoding.DER_HEX),
        lambda at: form(at, by_rsa),
        form_altered,
    ),
    Case("query and form", QUERIED, shared(), queried, queried_altered),
    Case("JSON parameters", JSON_PARAMETERS, shared(), json_parameters, json_altered),
    Case(
        "secret in header",
        {"authenticity": {"scheme": "secret-in-header", "header": "x-secret", "prefix": "Token "}},
        shared(),
        secret_in_header,
        secret_in_header_altered,
        timed=False,
        whole=False,
    ),
    Case(
        "secret in body",
        {"authenticity": {"scheme": "secret-in-body", "secret": "/auth/privateKey"}},
        shared(),
        secret_in_body,
        secret_in_body_altered,
        timed=False,
    ),
    Case(
        "webhooks",
        {
            "authenticity": {
                "scheme": "standard-webhooks",
                "id_header": "svix-id",
                "timestamp_header": "svix-timestamp",
                "signature_header": "svix-signature",
            },
            "delivery.id": None,
        },
        public(ED_KEY.public_key(), "EdDSA"),
        webhook,
        webhook_altered,
    ),
    Case(
        "raw RSA",
        {"authenticity": {"scheme": "raw-rsa-query", "other_names": ["v"]}},
        public(RSA_KEY.public_key(), "raw-RSA"),
        raw_rsa_query,
        raw_rsa_altered,
    ),
    Case(
        "JWS",
        {"authenticity": JWS, "content_types": ["application/jose"]},
        public(ED_KEY.public_key(), "EdDSA"),
        jws_body,
        jws_altered,
    ),
    Case(
        "JWS member",
        {"authenticity": {**JWS, "member": "token"}},
        public(ED_KEY.public_key(), "EdDSA"),
        jws_member,
        jws_member_altered,
    ),
)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def accepted(
    case: Case, callback: Callback, *keys: TransportKey, now: datetime = NOW
) -> AuthenticatedCallback:
    return case.platform.authenticate(callback, keys or (case.key,), now)


def assert_refused(case: Case, callback: Callback, *keys: TransportKey, now: datetime = NOW) -> None:
    with pytest.raises(SignatureRejected):
        case.platform.authenticate(callback, keys, now)


@each_case
def test_what_is_signed_anew_and_sent_again_is_the_same_delivery(case: Case) -> None:
    later = NOW + timedelta(days=1)
    first, second = accepted(case, case.send(NOW)), accepted(case, case.send(later), now=later)
    assert second.delivery_id == first.delivery_id
    assert (second.content or second.callback.body) == (first.content or first.callback.body)


@each_case
def test_a_genuine_delivery_is_accepted_named_and_read(case: Case) -> None:
    callback = case.send(NOW)
    authenticated = accepted(case, callback)
    content = authenticated.content
    assert authenticated == AuthenticatedCallback(callback, DeliveryId("d-1"), "k1", NOW, 7, content)
    assert authenticated.delivery_id == "d-1"
    [event] = case.platform.parse(authenticated)
    assert isinstance(event, Event)
    assert (event.issuer, event.number) == ("i", "N-1")
    assert SECRET not in repr(event.extra)
    assert case.platform.written_id(callback) == "d-1"


@each_case
def test_nothing_that_is_altered_is_accepted(case: Case) -> None:
    callback = case.send(NOW)
    for altered in case.altered(callback):
        assert altered != callback
        assert_refused(case, altered, case.key)


@each_case
def test_no_usable_key_is_never_acceptance(case: Case) -> None:
    callback = case.send(NOW)
    bare = TransportKey("k1", START)
    every = [replace(other.key, key_id="k1") for other in CASES if not proves(other.key, case.key)]
    late = replace(case.key, not_before=NOW + timedelta(seconds=1))
    early = replace(case.key, not_after=NOW)
    strangers = [
        shared(secret=OTHER),
        public(EC_KEY.public_key(), "ES256"),
        replace(bare, secret=b""),
        late,
        early,
    ]
    for key in (bare, *strangers, *every):
        assert_refused(case, callback, key)
    assert_refused(case, callback)
    assert_refused(case, callback, bare, *strangers)


def proves(key: TransportKey, other: TransportKey) -> bool:
    """Whether a key proves what the other does."""
    return (key.secret, key.public_key, key.algorithm) == (
        other.secret,
        other.public_key,
        other.algorithm,
    ) and (not other.legacy or key.legacy == other.legacy)


@each_case
def test_in_rotation_the_key_that_proves_it_is_named(case: Case) -> None:
    callback = case.send(NOW)
    stranger = shared("k0", OTHER)
    for keys in ((stranger, case.key), (case.key, stranger)):
        assert accepted(case, callback, *keys).key_id == "k1"


@each_case
def test_the_window_includes_its_boundaries_and_nothing_beyond(case: Case) -> None:
    callback, instant = case.send(NOW), timedelta(microseconds=1)
    window = timedelta(seconds=90 if case.name == "gateway dated" else 300)
    if not case.timed:
        assert accepted(case, callback, now=NOW + timedelta(days=99)).signed_at == callback.received_at
        return
    for now in (NOW - window, NOW + window):
        assert accepted(case, callback, now=now).signed_at == NOW
    for now in (NOW - window - instant, NOW + window + instant):
        assert_refused(case, callback, case.key, now=now)


@each_case
@given(body=st.binary(max_size=80), query=st.text(max_size=30))
def test_whatever_comes_is_refused_by_one_kind_of_error(case: Case, body: bytes, query: str) -> None:
    request = replace(case.send(NOW), body=body, query=query)
    if case.whole:
        assert_refused(case, request, case.key)
    else:
        assert accepted(case, request).callback == request


RAW: Final = [
    case for case in CASES if case.name in {"gateway", "gateway dated", "webhooks", "raw RSA", "JWS"}
]


@pytest.mark.parametrize("case", RAW, ids=lambda case: case.name)
@given(data=st.data())
def test_any_flipped_bit_of_a_body_that_is_signed_as_it_is_is_refused(
    case: Case, data: st.DataObject
) -> None:
    callback = case.send(NOW)
    at = data.draw(st.integers(0, len(callback.body) - 1))
    changed = bytearray(callback.body)
    changed[at] ^= data.draw(st.integers(1, 255))
    assert_refused(case, with_body(callback, bytes(changed)), case.key)


def test_a_secret_that_is_too_short_is_no_secret() -> None:
    for case in CASES:
        if case.key.secret is not None:
            assert_refused(case, case.send(NOW), replace(case.key, secret=b"short"))


def test_md5_counts_only_where_the_register_calls_the_key_legacy() -> None:
    by_digest = next(case for case in CASES if case.name == "form MD5")
    assert_refused(by_digest, by_digest.send(NOW), shared())
    by_mac = next(case for case in CASES if case.name == "form HMAC")
    assert accepted(by_mac, by_mac.send(NOW), shared(legacy="MD5")).key_id == "k1"


def test_a_key_registered_for_another_algorithm_is_no_key() -> None:
    case = next(case for case in CASES if case.name == "form RSA")
    for algorithm in ("raw-RSA", "ES256", "SM3withSM2", ""):
        assert_refused(case, case.send(NOW), replace(case.key, algorithm=algorithm))
    assert_refused(case, case.send(NOW), replace(case.key, public_key=EC_KEY.public_key()))
    case = next(case for case in CASES if case.name == "JWS")
    assert_refused(case, case.send(NOW), replace(case.key, algorithm="raw-RSA"))
    assert_refused(case, case.send(NOW), replace(case.key, algorithm="ES256"))
    case = next(case for case in CASES if case.name == "raw RSA")
    assert_refused(case, case.send(NOW), replace(case.key, public_key=EC_KEY.public_key()))


def test_parameters_without_the_name_of_a_key_are_tried_under_each() -> None:
    case = next(case for case in CASES if case.name == "form HMAC")
    changes = {**case.changes, "authenticity": {**SORTED, "key_name": None}}
    changes["authenticity"] = {name: value for name, value in SORTED.items() if name != "key_name"}
    anyone = replace(case, changes=changes)
    late = replace(case.key, key_id="k9", not_before=NOW + timedelta(seconds=1))
    assert accepted(anyone, case.send(NOW), late, shared("k0", OTHER), case.key).key_id == "k1"
    assert_refused(anyone, case.send(NOW), late)


def test_what_is_not_signed_is_not_read() -> None:
    case = next(case for case in CASES if case.name == "JSON parameters")
    [event] = case.platform.parse(accepted(case, case.send(NOW)))
    assert isinstance(event, Event)
    assert "unsigned" not in repr(event.extra)


BEARER: Final = declared({**DELIVERY, "authenticity": {"scheme": "bearer"}})


def test_an_access_token_that_was_checked_is_what_proves_a_bearer() -> None:
    callback = replace(request(SLUG, encode(BODY), (), NOW), bearer=Bearer("client", "token-1", NOW))
    assert BEARER.authenticate(callback, (), NOW) == AuthenticatedCallback(callback, "d-1", "client", NOW, 7)  # type: ignore[arg-type] # equal
    with pytest.raises(SignatureRejected):
        BEARER.authenticate(replace(callback, bearer=None), [shared()], NOW)
    unnamed = with_body(callback, b"{}")
    first = BEARER.authenticate(unnamed, (), NOW).delivery_id
    assert re.fullmatch("digest:[0-9a-f]{64}", first)
    assert BEARER.authenticate(with_body(callback, b"{ }"), (), NOW).delivery_id != first


@each_case
def test_an_authentic_delivery_that_cannot_be_read_is_kept_under_a_name_of_ours(case: Case) -> None:
    platform = declared(
        {**DELIVERY, **case.changes, **({} if case.name == "webhooks" else {"delivery.id": "/no/such"})}
    )
    authenticated = platform.authenticate(case.send(NOW), [case.key], NOW)
    if case.name == "webhooks":
        assert authenticated.delivery_id == "d-1"
        return
    assert re.fullmatch("digest:[0-9a-f]{64}", authenticated.delivery_id)
    with pytest.raises(AdapterError) as caught:
        platform.parse(authenticated)
    assert (caught.value.code, caught.value.pointer) == (Code.DELIVERY_UNREADABLE, "/no/such")


def test_what_a_scheme_carries_is_unreadable_where_it_is_not_what_was_declared() -> None:
    """As when a delivery is read again under a profile that has changed since."""
    for case in CASES:
        authenticated = accepted(case, case.send(NOW))
        for body in (b"", b"\xff", b"[1]", b"a=1", b"{}"):
            other = replace(authenticated, callback=replace(authenticated.callback, body=body, query=""))
            try:
                read = case.platform.parse(other)
            except AdapterError as error:
                code = error.code
            else:
                [item] = read
                assert isinstance(item, UnreadableItem)
                code = item.code
            assert code in {Code.DELIVERY_UNREADABLE, Code.FIELD_MISSING}


# --- what may not be declared -------------------------------------------------------------------------------

PUBLIC: Final = {name: value for name, value in SORTED.items() if name != "suffix_name"}
BY_RSA: Final = {**SORTED, "algorithm": "SHA256withRSA"}
REFUSED: Final[list[tuple[Changes, str]]] = [
    ({"authenticity": {"scheme": "standard-webhooks"}, "delivery.id": "id"}, "delivery.id"),
    ({"authenticity": {"scheme": "bearer"}}, "delivery.id"),
    ({"authenticity": {"scheme": "raw-rsa-query"}}, "delivery.id"),
    ({"authenticity": JWS}, "delivery.id"),
    ({"authenticity": JWS, "charset": "gbk", "delivery.id": "id"}, "charset"),
    ({**FORM, "authenticity": {**PUBLIC, "algorithm": "SM3withSM2"}}, "delivery.id"),
    ({**FORM, "content_types": ["text/plain"]}, "content_types"),
    ({**FORM, "content_types": ["application/x-www-form-urlencoded", "text/plain"]}, "content_types"),
    ({**FORM, "authenticity": {**SORTED, "parameters": "json"}}, "content_types"),
    ({**FORM, "authenticity": {**SORTED, "required": ["timestamp"]}}, "authenticity.required"),
    ({**FORM, "authenticity": {**SORTED, "excluded": ["trace"]}}, "authenticity.excluded"),
    ({**FORM, "authenticity": {**SORTED, "excluded": ["sign", "timestamp"]}}, "authenticity.excluded"),
    ({**FORM, "authenticity": {**SORTED, "excluded": ["sign", "id"]}}, "authenticity.excluded"),
    ({**FORM, "authenticity": {**SORTED, "excluded": ["sign", "data"]}}, "authenticity.excluded"),
    ({**FORM, "authenticity": {**SORTED, "suffix_name": "id"}}, "authenticity.suffix_name"),
    ({**FORM, "authenticity": {**PUBLIC, "algorithm": "MD5"}}, "authenticity.suffix_name"),
    ({**FORM, "authenticity": BY_RSA, "delivery.id": "id"}, "authenticity.suffix_name"),
    ({**GATEWAY, "authenticity.signed": ["method", "body", "key-id", "nonce"]}, "authenticity.signed"),
    ({**GATEWAY, "authenticity.signed": ["timestamp", "key-id", "nonce"]}, "authenticity.body_unsigned"),
    ({**GATEWAY, "authenticity.body_unsigned": True}, "authenticity.body_unsigned"),
    ({**GATEWAY, "authenticity.key_header": None}, "authenticity.key_header"),
    ({**GATEWAY, "authenticity.nonce_header": None}, "authenticity.nonce_header"),
    ({**GATEWAY, "authenticity.signed": ["timestamp", "body", "key-id"]}, "authenticity.nonce_header"),
    ({**GATEWAY, "authenticity.signed": ["timestamp", "body", "timestamp"]}, "authenticity.signed"),
    ({**GATEWAY, "authenticity.separator": ""}, "authenticity.separator"),
    ({**GATEWAY, "authenticity.separator": "/"}, "authenticity.separator"),
    ({**GATEWAY, "authenticity.separator": "&"}, "authenticity.separator"),
    ({**GATEWAY, "authenticity.separator": "::: "}, "authenticity.separator"),
    ({**DATED, "authenticity.separator": ":"}, "authenticity.separator"),
    ({**DATED, "authenticity.separator": ","}, "authenticity.separator"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "path"), REFUSED, ids=str)
def test_a_scheme_that_contradicts_itself_or_proves_too_little_is_refused(
    changes: Changes, path: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(text(changes).encode(), taken=())
    assert caught.value.pointer == path
    assert len(caught.value.detail.splitlines()) == 1


def test_what_cannot_be_read_is_told_from_its_repetition_by_its_body() -> None:
    case = CASES[0]
    changing = replace(case.platform.declaration, changing=frozenset({"nonce"}))
    unreadable = replace(case.send(NOW), body=b"no message")
    assert DeclaredPlatform(changing)._content(unreadable) == b""
    readable = DeclaredPlatform(changing)._content(case.send(NOW))
    assert readable == DeclaredPlatform(changing)._content(case.send(NOW + timedelta(days=1)))
    assert readable

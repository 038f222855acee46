"""How 就业创业和职业培训在线 sends, by each of its three schemes; its certificates have an SM2 chain."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from tests import certificates as made
from tests.certificates import Kind
from tests.platforms.places import Form, Query
from tests.platforms.senders import START, Profile, Sender, request, secret, trust
from verifier.keyring import IssuerAnchor, KeyState, Register
from verifier.model.delivery import Callback
from verifier.model.time import BEIJING
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import Algorithm
from verifier.signatures.sm2 import DEFAULT_ID, Sm2PrivateKey
from verifier.signatures.transport import TransportKey

SLUG: Final = "employment_training"
FORM: Final = "application/x-www-form-urlencoded"

ROOT: Final = made.root("沙盒商密根证书", kind=Kind.SM2)
AUTHORITY: Final = made.intermediate(ROOT, "沙盒商密运营证书", kind=Kind.SM2)
# The certifying authorities hash in the usual id, this signer the empty one: the register says so.
SIGNER_ID: Final = b""
LEAF: Final = made.leaf(AUTHORITY, "职业培训平台", key=made.key(Kind.SM2, "职业培训平台", SIGNER_ID))


def joined(parameters: Mapping[str, str]) -> str:
    """``a=1&b=2``, sorted by name."""
    return "&".join(f"{name}={parameters[name]}" for name in sorted(parameters))


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


CHAIN: Final = ",".join(base64url(one.der) for one in (LEAF, AUTHORITY))


def certify(claims: Any) -> dict[str, str]:
    """A certificate by the leaf, as the three parameters of a delivery."""
    content = joined(claims).encode()
    return {"cert_data": base64url(content), "cert_sign": _signature(content), "cert_chain": CHAIN}


@cache
def _signature(content: bytes) -> str:
    """Made once: every SM2 signature is another, and what is sent again is the same."""
    return LEAF.key.sign(content).hex()


def trusting(issuer: str) -> Register:
    """The register for certificates by ``certify``."""
    anchor = IssuerAnchor(
        "sm2-root",
        ROOT.der,
        Algorithm.SM2,
        KeyState.ACTIVE,
        START,
        crls=(made.crl(ROOT), made.crl(AUTHORITY)),
        sm2_id=SIGNER_ID,
        encoding=SignatureEncoding.DER_HEX,
        leaf_subject="CN=职业培训平台,C=CN",
    )
    return trust(SLUG, issuer, anchors=(anchor,))


def render(payload: Any) -> bytes:
    """A payload as a form; a member that is an object stands for the parameters in it."""
    if not isinstance(payload, dict):
        payload = {"payload": payload}
    flat: dict[str, Any] = {}
    for name, value in payload.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return urlencode({name: _text(value) for name, value in flat.items()}).encode("ascii")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@cache
def private_key(number: int) -> Sm2PrivateKey:  # noqa: ARG001 - for the cache
    return Sm2PrivateKey.generate(DEFAULT_ID)


def _sm2_key(number: int) -> TransportKey:
    return TransportKey(
        f"jc-sm2-{number}", START, public_key=private_key(number).public_key, algorithm="SM3withSM2"
    )


def _secret_key(number: int) -> TransportKey:
    return TransportKey(f"jc-hmac-{number}", START, secret=secret("jc", number))


def _legacy_key(number: int) -> TransportKey:
    return TransportKey(f"jc-md5-{number}", START, secret=secret("jc-legacy", number), legacy="MD5")


def send(
    body: bytes, app_id: str, sign_type: str, at: datetime, sign: Any, *, nonce: str = "6f1c0a"
) -> Callback:
    """A request whose signature ``sign`` makes of the joined parameters."""
    query = {
        "app_id": app_id,
        "sign_type": sign_type,
        "timestamp": at.astimezone(BEIJING).strftime("%Y%m%d%H%M%S"),
        "nonce": nonce,
    }
    parameters = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True))
    query["sign"] = sign(joined(parameters | query).encode())
    return request(SLUG, body, (), at, content_type=FORM, query=urlencode(query))


@cache
def _transport_signature(number: int, text: bytes) -> str:
    """Made once, as the certificate's: Hypothesis takes a part of it that is another each time for a flaw."""
    return base64.b64encode(private_key(number).sign(text)).decode("ascii")


def by_sm2(number: int, body: bytes, _delivery_id: str, at: datetime) -> Callback:
    def sign(text: bytes) -> str:
        return _transport_signature(number, text)

    return send(body, f"jc-sm2-{number}", "SM3withSM2", at, sign)


def by_hmac(number: int, body: bytes, _delivery_id: str, at: datetime) -> Callback:
    def sign(text: bytes) -> str:
        key = secret("jc", number)
        return hmac.new(key, text + b"&key=" + key, hashlib.sha256).hexdigest().upper()

    return send(body, f"jc-hmac-{number}", "HMAC-SHA256", at, sign)


def by_md5(number: int, body: bytes, _delivery_id: str, at: datetime) -> Callback:
    def sign(text: bytes) -> str:
        # What legacy platforms send; it proves little, and is accepted only where the register says so.
        return hashlib.md5(text + b"&key=" + secret("jc-legacy", number)).hexdigest().upper()  # noqa: S324

    return send(body, f"jc-md5-{number}", "MD5", at, sign)


_PROFILE: Final = Profile(render, certify, trusting)
_QUERY: Final = tuple(map(Query, ("app_id", "sign_type", "timestamp", "nonce", "sign")))
_SCHEMES: Final = (
    ("sm2", by_sm2, _sm2_key),
    ("hmac", by_hmac, _secret_key),
    ("md5-legacy", by_md5, _legacy_key),
)

EMPLOYMENT_TRAINING: Final[tuple[Sender, ...]] = tuple(
    Sender(
        slug=SLUG,
        scheme=scheme,
        profile=_PROFILE,
        send=by,
        register=register,
        tolerance=timedelta(seconds=300),
        required=(*_QUERY, Form("notify_id")),
        timestamp=Query("timestamp"),
        signature=Query("sign"),
        covered=tuple(map(Form, ("event_type", "event_time", "cert_data", "cert_sign", "cert_chain"))),
        raw=False,
    )
    for scheme, by, register in _SCHEMES
)

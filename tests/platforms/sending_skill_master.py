"""How 技能大师在线培训 sends: statements of xAPI with an access token, signed ones with their signatures.

A signature's attachment stands in a fixture with the JWS itself in ``jws``; packing takes it out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import datetime
from typing import Any, Final

from joserfc import jws as jose
from joserfc.jwk import RSAKey

from tests.platforms.senders import (
    CERTIFICATE_KEY,
    KID,
    START,
    Profile,
    Sender,
    compact_jws,
    encode,
    request,
    trust,
)
from verifier.keyring import IssuerKey, KeyState, Register
from verifier.model.delivery import Bearer, Callback
from verifier.signatures import keys
from verifier.signatures.jws import Algorithm, VerificationKey

SLUG: Final = "skill_master"
BOUNDARY: Final = "statements+signatures"
STATEMENT_KID: Final = "statements-2021"
STATEMENT_KEY: Final = RSAKey.generate_key(3072, {"kid": STATEMENT_KID, "alg": "RS256"}, private=True)
"""The specification asks for RS256, 384 or 512."""


def certify(claims: Any) -> Any:
    """A badge as its token; of a statement, the attachment that signs it."""
    if "@context" in claims:
        return compact_jws(claims)
    header = {"alg": "RS256", "kid": STATEMENT_KID}
    return attachment(jose.serialize_compact(header, encode(claims), STATEMENT_KEY))


def attachment(jws: str, **members: Any) -> dict[str, Any]:
    described = {
        "usageType": "http://adlnet.gov/expapi/attachments/signature",
        "display": {"zh-CN": "签名"},
        "contentType": "application/octet-stream",
        "length": len(jws),
        "sha2": hashlib.sha256(jws.encode()).hexdigest(),
        "jws": jws,
    }
    return described | members


def render(payload: Any) -> bytes:
    """JSON alone where nothing is attached, else ``multipart/mixed``."""
    attached: list[bytes] = []
    statements = encode(_detached(payload, attached))
    if not attached:
        return statements
    parts = [b"Content-Type: application/json\r\n\r\n" + statements, *map(_part, attached)]
    return b"".join(b"--%s\r\n%s\r\n" % (BOUNDARY.encode(), part) for part in parts) + (
        b"--%s--\r\n" % BOUNDARY.encode()
    )


def _part(content: bytes) -> bytes:
    head = (
        "Content-Type: application/octet-stream",
        "Content-Transfer-Encoding: binary",
        f"X-Experience-API-Hash: {hashlib.sha256(content).hexdigest()}",
    )
    return "\r\n".join([*head, "", ""]).encode() + content


def _detached(value: Any, attached: list[bytes]) -> Any:
    if isinstance(value, list):
        return [_detached(one, attached) for one in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("jws"), str):
        attached.append(value["jws"].encode())
        value = {name: member for name, member in value.items() if name != "jws"}
    return {name: _detached(member, attached) for name, member in value.items()}


def content_type(body: bytes) -> str:
    packed = body.startswith(b"--" + BOUNDARY.encode())
    return f'multipart/mixed; boundary="{BOUNDARY}"' if packed else "application/json"


def send(
    body: bytes, at: datetime, *, client: str = "skill-master-0", method: str = "POST", query: str = ""
) -> Callback:
    """A request whose token was found good."""
    headers = (("x-experience-api-version", "1.0.3"),)
    plain = request(
        SLUG,
        body,
        headers,
        at,
        content_type=content_type(body),
        method=method,
        rest="/statements",
        query=query,
    )
    return dataclasses.replace(plain, bearer=Bearer(client, "token-1", at))


def trusting(issuer: str) -> Register:
    """The register for statements and badges by ``certify``."""
    public = keys.load_public_jwk(json.loads(json.dumps(STATEMENT_KEY.as_dict(private=False))))
    badges = VerificationKey(KID, Algorithm.EDDSA, CERTIFICATE_KEY.public_key())
    return trust(SLUG, issuer, *(IssuerKey(key, KeyState.ACTIVE, START) for key in (public, badges)))


SKILL_MASTER: Final[tuple[Sender, ...]] = (
    Sender(
        slug=SLUG,
        scheme="bearer",
        profile=Profile(render, certify, trusting),
        send=lambda number, body, _delivery_id, at: send(body, at, client=f"skill-master-{number}"),
        register=None,
        tolerance=None,
    ),
)

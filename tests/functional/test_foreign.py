"""Parts that are not ours, end to end over HTTP: others' libraries sign what goes in, check what comes out.

Only documented formats are used here; nothing of ours signs, verifies or parses what stands in an assertion.
"""

from __future__ import annotations

import base64
import hmac
import json
import time
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from joserfc import jws as jose
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from jwcrypto.jwk import JWK  # type: ignore[import-untyped] # no stubs; sd-jwt takes its keys as these
from sd_jwt.verifier import SDJWTVerifier
from standardwebhooks.webhooks import Webhook

from tests.functional.process import eventually, running, settings
from tests.functional.world import BASE_URL, FACTORY, Installation
from verifier.app import Service
from verifier.cli.simulator import Person, person

pytestmark = pytest.mark.untraced

LI = person(1, "阿依古丽·买买提")
WANG = person(2, "王小明")
CVT, XZY = "china_vocational_training", "new_occupation"
CVT_ISSUER, XZY_ISSUER = "urn:sandbox:china-vocational-training", "urn:sandbox:new-occupation"

CLIENT_KEY = ECKey.generate_key("P-256", {"kid": "theirs", "alg": "ES256"}, private=True)
"""Held by the enterprise and by the subsidy system of these tests."""


def compact(header: Mapping[str, Any], claims: Mapping[str, Any], key: ECKey | OKPKey | RSAKey) -> str:
    """A JWS in compact form (RFC 7515) by joserfc."""
    payload = json.dumps(claims, ensure_ascii=False)
    return jose.serialize_compact(dict(header), payload, key, algorithms=[header["alg"]])


@dataclass
class Outside:
    """Everybody who talks to the service, with an HTTP client and nothing of ours."""

    service: Service
    address: str
    session: aiohttp.ClientSession
    installation: Installation
    serial: int = 0

    def certificate_key(self, kid: str, kind: type[ECKey | OKPKey | RSAKey]) -> Any:
        path = self.installation.sandbox.register.parent / "private" / f"{kid}.pem"
        return kind.import_key(path.read_bytes())

    def certificate(self, name: str) -> str:
        """As ``x5c`` has it: a PEM file's base64 in one line."""
        path = self.installation.sandbox.register.parent / "private" / f"{name}.crt"
        return "".join(path.read_text(encoding="ascii").split("-----")[2].split())

    async def json(self, method: str, path: str, client: str = "", **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {await self.token(client)}"} if client else {}
        async with self.session.request(method, self.address + path, headers=headers, **options) as response:
            assert response.status == 200, await response.text()
            return await response.json(content_type=None)

    async def text(self, path: str) -> str:
        async with self.session.get(self.address + path) as response:
            assert response.status == 200
            return await response.text()

    async def token(self, client: str) -> str:
        """RFC 7523 by joserfc."""
        now, self.serial = int(time.time()), self.serial + 1
        claims = {"iss": client, "sub": client, "aud": BASE_URL, "iat": now, "exp": now + 60}
        header = {"alg": "ES256", "kid": "theirs", "typ": "JWT"}
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": compact(header, claims | {"jti": f"{now}-{self.serial}"}, CLIENT_KEY),
        }
        answer = await self.json("POST", "/oauth/token", data=form)
        assert answer["token_type"] == "Bearer"
        return str(answer["access_token"])

    async def enrol(self) -> None:
        """What an operator does, and a roster by the enterprise itself."""
        jwk = json.dumps(CLIENT_KEY.as_dict(private=False))
        for client, role, scope in (
            ("factory", "enterprise", {"enterprises": FACTORY}),
            ("bureau", "subsidy", {"offices": "652301"}),
        ):
            await self.service.operations.run(
                "clients add", {"client": client, "role": role, "jwk": jwk, **scope}
            )
        where = {"uscc": FACTORY, "name": "沙箱企业", "office": "652301", "from": "2021-01-01"}
        await self.service.operations.run("enterprises admit", where)
        rows = [
            {"id_number": one.id_number, "name": one.name, "from": "2021-01-01", "category": "留岗"}
            for one in (LI, WANG)
        ]
        path = f"/v1/enterprises/{FACTORY}/roster"
        assert (await self.json("PUT", path, "factory", json={"rows": rows}))["taken"]

    async def feed(self) -> list[dict[str, Any]]:
        return list((await self.json("GET", "/v1/feed?after=-1&limit=1000", "bureau"))["entries"])

    async def records(self, wanted: int) -> list[dict[str, Any]]:
        """Records as the feed shows them, once there are as many."""
        found: list[dict[str, Any]] = []

        async def there() -> bool:
            found[:] = [entry for entry in await self.feed() if "record" in entry]
            return len(found) >= wanted

        await eventually(there, "the records are in the feed")
        return found

    async def webhook(self, message: Mapping[str, Any], delivery_id: str) -> dict[str, Any]:
        """中国职业培训在线's push by the standardwebhooks package."""
        secret = (self.installation.secrets_dir / "cvt-hmac").read_text(encoding="ascii")
        body, now = json.dumps(message, ensure_ascii=False), datetime.now(UTC)
        headers = {
            "webhook-id": delivery_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign(delivery_id, now, body),
            "Content-Type": "application/json",
        }
        return await self.push(f"/v1/callbacks/{CVT}", body.encode(), headers)

    async def push(self, path: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        async with self.session.post(self.address + path, data=body, headers=headers) as response:
            [item] = (await response.json())["data"]["items"]
            # 中国职业培训在线's deliveries hold one item, so that theirs is the status of the whole.
            assert response.status == (422 if item["state"] == "refused" else 200)
            return dict(item)

    def cvt_certificate(self, number: str, who: Person, header: Mapping[str, Any], key: Any) -> str:
        """As docs/platforms says, by joserfc."""
        claims = {
            "iss": CVT_ISSUER,
            "certificate_number": number,
            "holder_name": who.name,
            "id_type": "居民身份证",
            "id_number": who.id_number,
            "course_code": "KC-0001",
            "course_title": "安全生产",
            "training_organisation": "示例培训机构",
            "completed_at": "2021-03-05T10:00:00+08:00",
            "issued_at": "2021-03-05T11:00:00+08:00",
            "document_type": "课程培训合格证明",
        }
        return compact(header, claims, key)

    async def complete(self, number: str, who: Person) -> dict[str, Any]:
        header = {"alg": "ES256", "kid": "cvt-2021", "typ": "JWT"}
        certificate = self.cvt_certificate(number, who, header, self.certificate_key("cvt-2021", ECKey))
        message = {
            "type": "completion.created",
            "timestamp": "2021-03-05T11:00:05+08:00",
            "data": {"certificate": certificate},
        }
        return await self.webhook(message, f"msg_{number}")


@pytest.fixture
async def outside(sqlite: str, tmp_path: Path, installation: Installation) -> AsyncIterator[Outside]:
    chosen = settings(tmp_path, installation)
    assert chosen.database_url == sqlite
    async with running(chosen) as (service, address), aiohttp.ClientSession() as session:
        made = Outside(service, address, session, installation)
        await made.enrol()
        yield made


async def test_a_webhook_signed_by_standardwebhooks_with_a_certificate_by_joserfc_is_granted(
    outside: Outside,
) -> None:
    assert (await outside.complete("N-1", LI))["state"] == "accepted"
    [granted] = await outside.records(1)
    assert granted["body"]["result"] == "granted"


async def test_a_certificate_altered_after_joserfc_signed_it_is_refused(outside: Outside) -> None:
    key = outside.certificate_key("cvt-2021", ECKey)
    header = {"alg": "ES256", "kid": "cvt-2021", "typ": "JWT"}
    signed = outside.cvt_certificate("N-1", LI, header, key).split(".")
    other = outside.cvt_certificate("N-2", LI, header, key).split(".")
    message = {
        "type": "completion.created",
        "timestamp": "2021-03-05T11:00:05+08:00",
        "data": {"certificate": ".".join([*signed[:2], other[2]])},
    }
    item = await outside.webhook(message, "msg_altered")
    assert (item["state"], item["code"], item["step"]) == ("refused", "certificate_signature_invalid", 7)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # renamed by RFC 9864; registers still say EdDSA
async def test_every_registered_algorithm_is_understood_as_joserfc_signs_it(outside: Outside) -> None:
    # EdDSA: 新职业学习平台, with its certificate; its gateway's HMAC by the standard library.
    claims = {
        "fzjg": XZY_ISSUER,
        "zsbh": "X-1",
        "xm": WANG.name,
        "zjlx": "01",
        "zjhm": WANG.id_number,
        "kcdm": "KC-0002",
        "kcmc": "网络安全",
        "pxjgmc": "示例培训机构",
        "jysj": "20210305100000",
        "fzsj": "20210305110000",
        "zslx": "课程培训合格证明",
    }
    header = {"alg": "EdDSA", "typ": "JWT", "x5c": [outside.certificate("xzy-2021")]}
    item = {
        "itemId": "1",
        "eventType": "FINISH",
        "eventTime": "20210305110000",
        "certificate": compact(header, claims, outside.certificate_key("xzy-2021", OKPKey)),
    }
    body = json.dumps({"messageId": "B-1", "items": [item]}, ensure_ascii=False).encode()
    path, now = f"/v1/callbacks/{XZY}", str(int(time.time()))
    secret = (outside.installation.secrets_dir / "xzy-gateway").read_bytes()
    text = f"POST\n{path}\n{now}\n{sha256(body).hexdigest()}".encode()
    headers = {
        "Content-Type": "application/json",
        "x-xzy-appid": "xzy-gateway",
        "x-xzy-timestamp": now,
        "x-xzy-signature": hmac.new(secret, text, "sha256").hexdigest(),
    }
    assert (await outside.push(path, body, headers))["state"] == "accepted"

    # RS256: its key was retired before the certificate was issued, which is looked at after the signature.
    retired = {"alg": "RS256", "kid": "cvt-2019", "typ": "JWT"}
    certificate = outside.cvt_certificate("N-9", LI, retired, outside.certificate_key("cvt-2019", RSAKey))
    message = {
        "type": "completion.created",
        "timestamp": "2021-03-05T11:00:05+08:00",
        "data": {"certificate": certificate},
    }
    refused = await outside.webhook(message, "msg_retired")
    assert (refused["code"], refused["step"]) == ("key_not_valid_at_issue", 9)


async def published(outside: Outside) -> dict[str, dict[str, Any]]:
    keys = (await outside.json("GET", "/.well-known/jwks.json"))["keys"]
    return {key["kid"]: key for key in keys}


async def test_a_record_from_the_feed_is_verified_by_the_sd_jwt_package_with_its_disclosures(
    outside: Outside,
) -> None:
    await outside.complete("N-1", LI)
    [entry] = await outside.records(1)
    keys = await published(outside)
    asked: list[str] = []

    def issuer_key(issuer: str, header: Mapping[str, Any]) -> JWK:
        asked.append(issuer)
        return JWK(**keys[header["kid"]])

    record = entry["record"]["sd_jwt"]
    claims = SDJWTVerifier(record, issuer_key).get_verified_payload()
    assert asked == [BASE_URL]
    assert (claims["name"], claims["id_number"]) == (LI.name, LI.id_number)
    assert claims["employer"] is not None
    assert claims["decision"]["result"] == "granted"
    assert claims["log"]["index"] == entry["index"]
    assert "_sd" not in claims
    bare = SDJWTVerifier(record.partition("~")[0] + "~", issuer_key).get_verified_payload()
    assert not {"name", "id_number", "employer"} & set(bare)
    assert LI.id_number not in json.dumps(bare)


async def test_the_status_list_is_verified_by_joserfc_and_follows_a_revocation(outside: Outside) -> None:
    await outside.complete("N-1", LI)
    [entry] = await outside.records(1)
    keys = KeySet.import_key_set({"keys": list((await published(outside)).values())})

    async def status() -> int:
        payload = jose.deserialize_compact(entry["record"]["sd_jwt"].partition("~")[0], keys).payload
        place = json.loads(payload)["status"]["status_list"]
        token = await outside.text(place["uri"].removeprefix(BASE_URL))
        signed = jose.deserialize_compact(token, keys, algorithms=["ES256"])
        claims = json.loads(signed.payload)
        assert signed.headers()["typ"] == "statuslist+jwt"
        assert (claims["sub"], claims["iat"] <= time.time() < claims["exp"]) == (place["uri"], True)
        bits, text = claims["status_list"]["bits"], claims["status_list"]["lst"]
        packed = zlib.decompress(base64.urlsafe_b64decode(text + "=="))
        index = place["idx"] * bits
        return int(packed[index // 8] >> index % 8 & (1 << bits) - 1)

    assert await status() == 0  # VALID (draft-ietf-oauth-status-list, 7.1)
    message = {
        "type": "completion.revoked",
        "timestamp": "2021-03-06T11:00:05+08:00",
        "data": {"issuer": CVT_ISSUER, "certificate_number": "N-1", "reason": "误发"},
    }
    assert (await outside.webhook(message, "msg_revoked"))["state"] == "accepted"

    async def invalid() -> bool:
        return await status() == 1

    await eventually(invalid, "the record is INVALID in the status list")


def root_from(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that an inclusion path leads to (RFC 9162, section 2.1.3.2, over RFC 6962's hashes)."""
    computed, last = sha256(b"\x00" + leaf).digest(), size - 1
    for step in path:
        if index % 2 or index == last:
            computed = sha256(b"\x01" + step + computed).digest()
            while not index % 2 and index:
                index, last = index // 2, last // 2
        else:
            computed = sha256(b"\x01" + computed + step).digest()
        index, last = index // 2, last // 2
    assert last == 0
    return computed


async def test_an_inclusion_proof_is_checked_in_ten_lines_against_the_signed_checkpoint(
    outside: Outside,
) -> None:
    for serial, who in enumerate((LI, WANG, LI, WANG)):
        await outside.complete(f"N-{serial}", who)
    await outside.records(2)
    note = await outside.text("/ledger/checkpoint")
    _, size_line, root_line = note.splitlines()[:3]
    size, root = int(size_line), base64.b64decode(root_line)
    assert size > 3
    entries = [entry for entry in await outside.feed() if entry["index"] < size and "body_b64" in entry]
    assert len(entries) > 2
    for entry in entries:
        index = entry["index"]
        proof = await outside.json("GET", f"/ledger/proof?index={index}&size={size}")
        path = [bytes.fromhex(step) for step in proof["proof"]]
        leaf = base64.b64decode(entry["body_b64"])
        assert root_from(leaf, index, size, path) == root
        assert root_from(leaf + b" ", index, size, path) != root


async def test_the_checkpoint_is_verified_as_c2sp_signed_note_by_joserfcs_key(outside: Outside) -> None:
    note, vkey = await outside.text("/ledger/checkpoint"), (await outside.text("/ledger/key")).strip()
    name, key_hash, encoded = vkey.split("+", 2)
    raw = base64.b64decode(encoded)
    assert raw[0] == 1  # Ed25519 (C2SP signed-note)
    assert sha256(f"{name}\n".encode() + raw).digest()[:4].hex() == key_hash
    text, _, signatures = note.partition("\n\n")
    [line] = signatures.splitlines()
    dash, signer, signature = line.split(" ")
    stamped = base64.b64decode(signature)
    assert (dash, signer, stamped[:4].hex()) == ("—", name, key_hash)
    public = OKPKey.import_key(
        {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(raw[1:]).rstrip(b"=").decode()}
    )
    public.public_key.verify(stamped[4:], f"{text}\n".encode())  # type: ignore[union-attr] # Ed25519

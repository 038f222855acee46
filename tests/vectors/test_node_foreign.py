"""Certificates signed by the npm package jose and webhooks by standardwebhooks, verified here.

Neither is installed by this project. NODE_PATH names a directory that holds them, as ``node_modules`` after
``npm install jose standardwebhooks`` somewhere else.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import serialization

from adapters import china_vocational_training as cvt
from tests import certificates as made
from tests.certificates import Kind
from tests.platforms.senders import START, request, trust
from verifier import certificates
from verifier.errors import CertificateRejected, Code, SignatureRejected
from verifier.keyring import IssuerAnchor, IssuerKey, KeyState, Register
from verifier.model.certificate import CertificateKind, SignedCertificate
from verifier.model.delivery import Callback
from verifier.signatures import keys
from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.signatures.sm2 import Sm2PrivateKey
from verifier.signatures.transport import TransportKey


def _installed(*packages: str) -> bool:
    places = [Path(place) for place in os.environ.get("NODE_PATH", "").split(os.pathsep) if place]
    found = all(any((place / one / "package.json").is_file() for place in places) for one in packages)
    return found and shutil.which("node") is not None


pytestmark = [
    pytest.mark.needs_system("node"),
    pytest.mark.skipif(
        not _installed("jose", "standardwebhooks"),
        reason="node with jose and standardwebhooks on NODE_PATH is not there",
    ),
]

SLUG: Final = cvt.ChinaVocationalTraining.slug
NOW: Final = datetime(2021, 6, 1, 12, tzinfo=UTC)
CLAIMS: Final = {
    "iss": "node-issuer",
    "certificate_number": "N-1",
    "holder_name": "阿依古丽·买买提",
    "id_type": "居民身份证",
    "id_number": "999901199003070025",
    "course_code": "032",
    "course_title": "电工安全操作",
    "training_organisation": "示例培训机构",
    "completed_at": "2021-03-05T10:00:00+08:00",
    "issued_at": "2021-03-05T11:00:00+08:00",
    "document_type": "课程培训合格证明",
}
# jose is an ES module, which import() finds by its file alone.
LOADING: Final = """
const { pathToFileURL } = require("node:url");
const load = (name) => import(pathToFileURL(require.resolve(name)));
const task = JSON.parse(process.argv[1]);
"""
SIGNING: Final = """
(async () => {
  const jose = await load("jose");
  const sign = (header, key) =>
    new jose.CompactSign(new TextEncoder().encode(task.payload)).setProtectedHeader(header).sign(key);
  if (task.pem) {
    const key = await jose.importPKCS8(task.pem, task.alg);
    console.log(JSON.stringify({ token: await sign({ alg: task.alg, typ: "JWT", x5c: task.x5c }, key) }));
  } else {
    const pair = await jose.generateKeyPair(task.alg, { extractable: true, modulusLength: 3072 });
    const jwk = { ...(await jose.exportJWK(pair.publicKey)), kid: "node-1", alg: task.alg };
    const token = await sign({ alg: task.alg, typ: "JWT", kid: jwk.kid }, pair.privateKey);
    console.log(JSON.stringify({ token, jwk }));
  }
})();
"""
PUSHING: Final = """
const { Webhook } = require("standardwebhooks");
const signature = new Webhook(task.secret).sign(task.id, new Date(task.seconds * 1000), task.body);
console.log(JSON.stringify({ signature }));
"""
ALGORITHMS: Final = {"ES256": Kind.P256, "EdDSA": Kind.ED25519, "RS256": Kind.RSA}


def node(script: str, **task: Any) -> Any:
    done = subprocess.run(
        ["node", "-e", LOADING + script, json.dumps(task)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def verify(kind: CertificateKind, token: str, register: Register) -> str:
    """The number of a certificate that holds."""
    signed = SignedCertificate(kind, token.encode(), cvt.CERTIFICATE_FIELDS)
    verified = certificates.verify(signed, platform=SLUG, register=register, first_received_at=NOW)
    assert verified.holder.name == CLAIMS["holder_name"]
    return verified.number


def assert_altered_is_refused(kind: CertificateKind, token: str, register: Register) -> None:
    header, payload, signature = token.split(".")
    other = base64.urlsafe_b64encode(json.dumps({**CLAIMS, "revision": 2}).encode()).rstrip(b"=").decode()
    assert other != payload
    with pytest.raises(CertificateRejected) as refused:
        verify(kind, f"{header}.{other}.{signature}", register)
    assert refused.value.code is Code.CERTIFICATE_SIGNATURE_INVALID


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_certificate_that_jose_signs_with_a_key_of_its_own_verifies(algorithm: str) -> None:
    said = node(SIGNING, alg=algorithm, payload=json.dumps(CLAIMS, ensure_ascii=False))
    public = keys.load_public_jwk(said["jwk"])
    assert isinstance(public, VerificationKey)
    register = trust(SLUG, CLAIMS["iss"], IssuerKey(public, KeyState.ACTIVE, START))
    assert verify(CertificateKind.JWS, said["token"], register) == "N-1"
    assert_altered_is_refused(CertificateKind.JWS, said["token"], register)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_certificate_that_jose_signs_with_a_chain_verifies(algorithm: str) -> None:
    root = made.root()
    authority = made.intermediate(root)
    leaf = made.leaf(authority, kind=ALGORITHMS[algorithm])
    private = leaf.key.private
    assert not isinstance(private, Sm2PrivateKey)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    x5c = [base64.b64encode(one.der).decode() for one in (leaf, authority)]
    payload = json.dumps(CLAIMS, ensure_ascii=False)
    said = node(SIGNING, alg=algorithm, payload=payload, pem=pem.decode(), x5c=x5c)
    crls = tuple(made.crl(one, next_update=made.NOT_AFTER) for one in (root, authority))
    anchor = IssuerAnchor("root", root.der, Algorithm(algorithm), KeyState.ACTIVE, START, crls=crls)
    register = trust(SLUG, CLAIMS["iss"], anchors=(anchor,))
    assert verify(CertificateKind.JWS_X5C, said["token"], register) == "N-1"
    assert_altered_is_refused(CertificateKind.JWS_X5C, said["token"], register)


def webhook(signature: str, body: str) -> Callback:
    headers = (
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", str(int(NOW.timestamp()))),
        ("webhook-signature", signature),
    )
    return request(SLUG, body.encode(), headers, NOW)


def test_a_webhook_that_standardwebhooks_signs_is_authentic() -> None:
    secret, body = bytes(range(32)), '{"type":"completion.created","data":{"课程":"电工"}}'
    written = f"whsec_{base64.b64encode(secret).decode()}"
    said = node(PUSHING, secret=written, id="msg_1", seconds=int(NOW.timestamp()), body=body)
    key = TransportKey("cvt-node", START, secret=secret)
    adapter = cvt.ChinaVocationalTraining()
    genuine = webhook(said["signature"], body)
    assert adapter.authenticate(genuine, [key], NOW).key_id == "cvt-node"
    with pytest.raises(SignatureRejected):
        adapter.authenticate(replace(genuine, body=genuine.body + b" "), [key], NOW)

"""Open Badges and xAPI statements whose token another implementation of JOSE signed: genuine, and altered."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws as jose
from joserfc.jwk import ECKey, RSAKey

from tests.unit import test_certificates_xapi as statements
from tests.unit import test_open_badge as badges
from verifier.certificates import verify
from verifier.errors import CertificateRejected, Code
from verifier.signatures.jws import Algorithm, SigningKey

FORMS: Final[Any] = {
    "badge": (badges, {"rs": badges.RS, "ec": badges.EC}),
    "statement": (statements, {"rs": statements.KEYS["rs"], "ec": statements.KEYS["ec"]}),
}
each = pytest.mark.parametrize("form", FORMS)
by = pytest.mark.parametrize("name", ["rs", "ec"])


def signed(key: SigningKey, payload: Any) -> str:
    pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    kind = ECKey if key.algorithm is Algorithm.ES256 else RSAKey
    header = {"alg": key.algorithm.value, "kid": key.kid, "typ": "JWT"}
    body = json.dumps(payload).encode()
    return jose.serialize_compact(header, body, kind.import_key(pem), algorithms=[key.algorithm.value])


def judged(form: str, token: str) -> Any:
    module, _ = FORMS[form]
    content = token.encode() if form == "badge" else token
    return verify(
        module.certificate(content),
        platform=module.PLATFORM,
        register=module.REGISTER,
        first_received_at=module.AT,
    )


def payload(form: str) -> Any:
    return badges.payload() if form == "badge" else statements.STATEMENT


@each
@by
def test_what_another_implementation_signed_is_verified(form: str, name: str) -> None:
    key = FORMS[form][1][name]
    found = judged(form, signed(key, payload(form)))
    assert (found.key_id, found.holder.id_number) == (key.kid, "999901199001010010")


@each
@by
def test_its_altered_twin_is_refused(form: str, name: str) -> None:
    key = FORMS[form][1][name]
    head, body, signature = signed(key, payload(form)).split(".")
    other = signed(key, {**payload(form), "more": 1}).split(".")[2]
    assert other != signature
    with pytest.raises(CertificateRejected) as refused:
        judged(form, f"{head}.{body}.{other}")
    assert (refused.value.code, refused.value.step) == (Code.CERTIFICATE_SIGNATURE_INVALID, 7)

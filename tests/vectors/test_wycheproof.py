"""Every public JWS and JWK vector of C2SP/wycheproof, decided by this project's own code.

The vectors are not part of this repository. WYCHEPROOF_DIR names a directory that holds
``json_web_signature_test.json`` and ``json_web_key_test.json`` (``testvectors_v1`` of a checkout).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from verifier.errors import ConfigurationError, SignatureRejected
from verifier.signatures import jws, keys
from verifier.signatures.jws import Algorithm, VerificationKey

pytestmark = pytest.mark.skipif(
    "WYCHEPROOF_DIR" not in os.environ,
    reason="WYCHEPROOF_DIR is not set: it names the testvectors_v1 directory of a C2SP/wycheproof checkout",
)

SIGNATURES, KEYS = "json_web_signature_test.json", "json_web_key_test.json"

REFUSED_ON_PURPOSE: dict[tuple[str, int], str] = {
    (SIGNATURES, 346): "the JWK says PS256, the token PS384: a key verifies its one algorithm only",
    (SIGNATURES, 350): "the JWK says PS256, the token PS384: a key verifies its one algorithm only",
    (SIGNATURES, 347): "the JWK says ES521, which no standard knows: an unknown algorithm is refused",
    (SIGNATURES, 351): "the JWK says ES521, which no standard knows: an unknown algorithm is refused",
    (SIGNATURES, 372): "a '?' stands in the header, which RFC 7515 forbids and the MAC does not cover",
    (SIGNATURES, 373): "a '?' stands in the payload, which RFC 7515 forbids and the MAC does not cover",
}
"""Cases that the vectors call valid and this project refuses, each with its reason."""

SAME_TOKEN_AS_A_VALID_CASE = {(SIGNATURES, 367): 357, (SIGNATURES, 370): 357}
"""Cases called invalid ("invalidBase64Padding") whose key and token are, byte for byte, those of a case
called valid: the padding that they are about is not in the file. No verifier can decide both as said; tokens
that do hold padding are in ``test_jose_twins``."""

ALGORITHM_WHERE_THE_KEY_NAMES_NONE = {"RSA": Algorithm.RS256, "EC": Algorithm.ES256}


def load(group: dict[str, Any]) -> list[VerificationKey]:
    """The group's keys as the register would load them: public where there is a public form."""
    jwk = group.get("public", group["private"])
    if "keys" in jwk:
        symmetric = all(one["kty"] == "oct" for one in jwk["keys"])
        return list(keys.load_jwks(json.dumps(jwk).encode(), symmetric=symmetric))
    if jwk["kty"] == "oct":
        return [keys.load_secret_jwk(jwk)]
    algorithm = None if "alg" in jwk else ALGORITHM_WHERE_THE_KEY_NAMES_NONE[jwk["kty"]]
    return [keys.load_public_jwk(jwk, algorithm)]


def accepts(group: dict[str, Any], token: str) -> bool:
    try:
        parsed = jws.parse_compact(token)
        for key in load(group):
            if key.kid == parsed.kid:
                jws.verify(parsed, key)
                return True
    except (SignatureRejected, ConfigurationError):
        return False
    return False


@pytest.mark.parametrize(("name", "count"), [(SIGNATURES, 401), (KEYS, 26)])
def test_every_case_is_decided_as_the_vectors_say_or_refused_for_a_reason_written_here(
    name: str, count: int
) -> None:
    document = json.loads((Path(os.environ["WYCHEPROOF_DIR"]) / name).read_text("utf-8"))
    cases = [(group, test) for group in document["testGroups"] for test in group["tests"]]
    assert len(cases) >= count
    accepted = {test["tcId"] for group, test in cases if accepts(group, test["jws"])}
    valid = {test["tcId"] for _, test in cases if test["result"] == "valid"}
    said = {test["tcId"]: (group["private"], test["jws"]) for group, test in cases}
    contradicted = {
        number: twin for (file, number), twin in SAME_TOKEN_AS_A_VALID_CASE.items() if file == name
    }
    assert all(said[number] == said[twin] and twin in valid for number, twin in contradicted.items())
    assert accepted - valid == set(contradicted)
    assert valid - accepted == {number for file, number in REFUSED_ON_PURPOSE if file == name}

"""The signed statement that the xAPI specification gives as its example, read by this project's own code.

The example is not part of this repository. XAPI_SPEC_DIR names a directory that holds ``xAPI-Data.md``
(a checkout of adlnet/xAPI-Spec, version 1.0.3).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pytest

from verifier.signatures import jws, strict_json, xapi
from verifier.signatures.multipart import Part

pytestmark = pytest.mark.skipif(
    "XAPI_SPEC_DIR" not in os.environ,
    reason="XAPI_SPEC_DIR is not set: it names a checkout of adlnet/xAPI-Spec",
)


def test_the_example_of_a_signed_statement_is_found_and_says_what_was_signed() -> None:
    text = (Path(os.environ["XAPI_SPEC_DIR"]) / "xAPI-Data.md").read_text(encoding="utf-8")
    appendix = text[text.rindex("Example Signed Statement") :]
    [token] = re.findall(r"^[\w-]+\.[\w-]+\.[\w-]+$", appendix, re.MULTILINE)
    statement = json.loads(appendix[appendix.index("Signed Statement\n```") :].split("```")[1])
    part = Part("", hashlib.sha256(token.encode()).hexdigest(), is_binary=True, content=token.encode())
    _, attachments = xapi.unpack([Part("application/json", "", is_binary=False, content=b""), part])
    assert xapi.signature_of(statement, attachments, "") == token
    unverified = jws.parse_compact(token, allow_x5c=True)
    signed = strict_json.loads(unverified.payload, max_bytes=8192)
    assert isinstance(signed, dict)
    assert xapi.equivalent(signed, statement)
    assert not xapi.equivalent(signed | {"actor": {"mbox": "mailto:other@example.com"}}, statement)

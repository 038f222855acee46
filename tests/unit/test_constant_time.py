from __future__ import annotations

import ast
from pathlib import Path

import pytest

from verifier.signatures import hmac

ROOT = Path(__file__).parents[2]
ALLOWED = ROOT / "verifier" / "signatures" / "hmac.py"
FORBIDDEN = {"compare_digest", "bytes_eq"}


def comparisons(source: str) -> list[int]:
    """Lines that name a constant-time comparison: as a name, an attribute, an import or for getattr."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case (
                ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) | ast.Constant(value=name)
            ):
                if name in FORBIDDEN:
                    found.append(node.lineno)
            case _:
                pass
    return found


def test_secrets_are_compared_in_one_place_only() -> None:
    sources = [path for part in ("verifier", "adapters") for path in (ROOT / part).rglob("*.py")]
    assert ALLOWED in sources
    offenders = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources
        if path != ALLOWED
        for line in comparisons(path.read_text("utf-8"))
    ]
    assert offenders == []
    assert len(comparisons(ALLOWED.read_text("utf-8"))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import hmac\nhmac.compare_digest(a, b)",
        "from hmac import compare_digest as same",
        "from secrets import compare_digest",
        "from cryptography.hazmat.primitives.constant_time import bytes_eq",
        "getattr(hmac, 'compare_digest')(a, b)",
    ],
)
def test_every_way_around_is_seen(source: str) -> None:
    assert comparisons(source)


def test_equal_compares_bytes_of_any_length_and_value() -> None:
    assert hmac.equal(b"", b"")
    assert hmac.equal(b"\xff\x00", b"\xff\x00")
    assert not hmac.equal(b"\xff\x00", b"\xff\x01")
    assert not hmac.equal(b"\xff", b"\xff\x00")


def test_hmac_sha256_gives_the_published_value() -> None:
    # RFC 4231, test case 2.
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac.hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex() == expected
    assert hmac.digest(b"Jefe", b"what do ya want for nothing?", "sha256").hex() == expected

"""Every inclusion and consistency probe of transparency-dev/merkle, decided as its file says.

The probes are not part of this repository. MERKLE_VECTORS_DIR names the ``testdata`` directory of a checkout.
"""

from __future__ import annotations

import base64
import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from verifier.errors import LedgerRefused
from verifier.merkle import verify_consistency, verify_inclusion

pytestmark = pytest.mark.skipif(
    "MERKLE_VECTORS_DIR" not in os.environ,
    reason="MERKLE_VECTORS_DIR is not set: it names the testdata of a transparency-dev/merkle checkout",
)

REFUSED_ON_PURPOSE = {
    "additional/sizes-are-equal-one-and-proof-is-empty.json": "its roots have 12 bytes: no SHA-256 hashes",
}
"""Probes that are called good and that this project refuses, each with its reason."""


def raw(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def decided(probe: Mapping[str, Any]) -> bool:
    """Whether it is accepted."""
    path = [raw(step) for step in probe["proof"] or ()]
    try:
        if "leafIdx" in probe:
            leaf, root = raw(probe["leafHash"]), raw(probe["root"])
            verify_inclusion(leaf, probe["leafIdx"], probe["treeSize"], path, root)
        else:
            roots = raw(probe["root1"]), raw(probe["root2"])
            verify_consistency(probe["size1"], probe["size2"], *roots, path)
    except LedgerRefused:
        return False
    return True


@pytest.mark.parametrize(("kind", "least"), [("inclusion", 90), ("consistency", 90)])
def test_every_probe_is_decided_as_its_file_says(kind: str, least: int) -> None:
    counted: Counter[bool] = Counter()
    wrong = []
    for path in sorted((Path(os.environ["MERKLE_VECTORS_DIR"]) / kind).rglob("*.json")):
        probe = json.loads(path.read_text("utf-8"))
        counted[decided(probe)] += 1
        if decided(probe) == probe["wantErr"]:
            wrong.append(f"{path.parent.name}/{path.name}")
    assert set(wrong) <= REFUSED_ON_PURPOSE.keys()
    assert counted.total() >= least
    assert min(counted[True], counted[False]) > 0

"""Starts it: ``python -m benchmarks.usual.serve PORT URL KEYS.json [WORKERS]``."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from fastapi import FastAPI

from benchmarks.usual.app import create
from benchmarks.usual.checks import Keys


def keys_of(path: Path) -> Keys:
    """The keys that ``benchmarks.places`` wrote."""
    said: dict[str, Any] = json.loads(path.read_text())
    record = load_pem_private_key(said["record"].encode(), None)
    assert isinstance(record, ec.EllipticCurvePrivateKey)
    issuers: dict[str, dict[str, ec.EllipticCurvePublicKey]] = {}
    for issuer, by_kid in said["issuers"].items():
        for kid, text in by_kid.items():
            public = load_pem_public_key(text.encode())
            assert isinstance(public, ec.EllipticCurvePublicKey)
            issuers.setdefault(issuer, {})[kid] = public
    return Keys(
        said["webhook_secret"],
        issuers,
        base64.b64decode(said["index"]),
        base64.b64decode(said["fields"]),
        record,
    )


def application() -> FastAPI:
    """For uvicorn's workers."""
    return create(sys.argv[2], keys_of(Path(sys.argv[3])))


if __name__ == "__main__":
    workers = int(sys.argv[4]) if len(sys.argv) > 4 else 1  # noqa: PLR2004 - the last argument
    uvicorn.run(
        "benchmarks.usual.serve:application",
        factory=True,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        workers=workers,
        log_level="warning",
        access_log=False,
        # Under load a worker answers its parent's question whether it is there late, and would be killed.
        timeout_worker_healthcheck=60,
    )

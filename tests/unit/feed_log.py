"""A ledger in memory that answers like the feed, and may be told to lie."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from verifier import record
from verifier.following import Trust
from verifier.ledger import checkpoint_body, entry_body, sign_note
from verifier.merkle import Frontier, consistency_proof, leaf_hash
from verifier.signatures import jws, sdjwt, strict_json
from verifier.signatures.jws import Algorithm, SigningKey

NAME: Final = "log.example/ledger"
NOW: Final = datetime(2021, 7, 1, 4, tzinfo=UTC)
LOG_KEY: Final = Ed25519PrivateKey.generate()
RECORD_KEY: Final = SigningKey("record-key", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
TRUST: Final = Trust(NAME, [LOG_KEY.public_key()], [RECORD_KEY.verification_key])


def signed_record(index: int, record_id: str, key: SigningKey = RECORD_KEY, **changes: Any) -> str:
    """A record as the issuer signs it, with a disclosed name."""
    name = sdjwt.new_disclosure("name", "阿依古丽", os.urandom)
    claims = {"vct": record.VCT, "jti": record_id, "log": {"origin": NAME, "index": index}, **changes}
    payload = sdjwt.payload_with(claims, [name])
    token = jws.sign_compact(strict_json.canonical(payload), key, typ=record.TYP)
    return sdjwt.compose(token, [name.encoded])


@dataclass
class Log:
    """Entries, each with its record if it has one."""

    bodies: list[bytes] = field(default_factory=list)
    records: dict[int, tuple[str, str]] = field(default_factory=dict)

    def add(self, kind: str = "claim", **members: Any) -> None:
        self.bodies.append(entry_body({"v": 1, "kind": kind, "index": len(self.bodies), **members}))

    def add_record(self, record_id: str, result: str = "granted", supersedes: str | None = None) -> None:
        index = len(self.bodies)
        sd_jwt = signed_record(index, record_id)
        digest = sha256(sdjwt.split(sd_jwt)[0].rpartition(".")[0].encode()).hexdigest()
        said = {"record": record_id, "result": result, "supersedes": supersedes, "month": "2021-06"}
        self.records[index] = record_id, sd_jwt
        self.add("record", **said, office="650100", signing_input_sha256=digest)

    @property
    def leaves(self) -> list[bytes]:
        return [leaf_hash(body) for body in self.bodies]

    def line(self, index: int) -> dict[str, Any]:
        body = self.bodies[index]
        shown: dict[str, Any] = {
            "index": index,
            "leaf_hash": leaf_hash(body).hex(),
            "kind": json.loads(body)["kind"],
            "body": json.loads(body),
            "body_b64": base64.b64encode(body).decode(),
        }
        if index in self.records:
            record_id, sd_jwt = self.records[index]
            shown["record"] = {"id": record_id, "sd_jwt": sd_jwt}
        return shown

    def note(self, size: int, key: Ed25519PrivateKey = LOG_KEY, name: str = NAME) -> str:
        edge, _ = Frontier().append(self.leaves[:size])
        return sign_note(checkpoint_body(name, size, edge.root()), name, key).decode()

    def end(self, last: int, size: int) -> dict[str, Any]:
        _, nodes = Frontier().append(self.leaves[:size])
        tree = {(node.level, node.index): node.hash for node in nodes}
        proof = consistency_proof(last + 1, size, lambda level, index: tree[level, index])
        steps = [step.hex() for step in proof]
        return {"next": last, "size": size, "checkpoint": self.note(size) if size else "", "proof": steps}

    def answer(
        self, after: int, limit: int, *, size: int | None = None, hidden: Collection[int] = ()
    ) -> list[dict[str, Any]]:
        size = len(self.bodies) if size is None else size
        last = min(after + limit, size - 1)
        lines = [self.line(index) for index in range(after + 1, last + 1)]
        shown = [
            {name: one[name] for name in ("index", "leaf_hash")} if one["index"] in hidden else one
            for one in lines
        ]
        return [*shown, self.end(last, size)]


def written(lines: Sequence[dict[str, Any]]) -> list[bytes]:
    """An answer's lines as they go over the wire."""
    return [json.dumps(line, ensure_ascii=False).encode() for line in lines]


def some(count: int = 7) -> Log:
    """A log with a bit of everything."""
    log = Log()
    log.add("adoption", adopts="policy")
    log.add_record("rec-1")
    log.add("claim", office="650100", record="rec-1", month="2021-06")
    log.add_record("rec-2", "revoked", supersedes="rec-1")
    while len(log.bodies) < count:
        log.add("evidence", root="00", count=1)
    return log

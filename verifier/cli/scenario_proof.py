"""What the demonstration shows at its end: that all it pulled can be checked by anybody, without the service.

1. the feed is pulled once more from its beginning, each record's signature checked on arrival;
2. each record's status is looked up in the published status list;
3. each record's entry is proven to be in the ledger, under the signed checkpoint;
4. the ledger is computed again from the stored values and compared (``ledger fsck``).
"""

from __future__ import annotations

import base64
import sqlite3
from collections import Counter
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from verifier import audit, offline
from verifier.app import now
from verifier.cli.checking import findings_of
from verifier.cli.scenario_stage import Pulled, Stage
from verifier.errors import LedgerRefused
from verifier.model.ledger import Checkpoint
from verifier.settings import Settings
from verifier.signatures import sdjwt
from verifier.signatures.jws import VerificationKey


@dataclass(frozen=True, slots=True)
class Proof:
    """What the final check found.

    Attributes:
        entries: of the ledger, that were pulled.
        records: among them.
        statuses: how many records have which status.
        included: how many records are proven to be in the ledger.
        failures: what does not check out, in our words.
        audited: entries that the auditor sees.
        disclosed: how many personal disclosures the auditor was sent.
        findings: of the ledger's check.
    """

    entries: int
    records: int
    statuses: Counter[str] = field(default_factory=Counter)
    included: int = 0
    failures: tuple[str, ...] = ()
    audited: int = 0
    disclosed: int = 0
    findings: tuple[audit.Finding, ...] = ()

    @property
    def good(self) -> bool:
        """Whether every record was proven, nobody saw too much, and the ledger is as it was signed."""
        return (
            0 < self.records == self.included == self.statuses.total()
            and not self.failures
            and self.audited >= self.entries
            and not self.disclosed
            and not self.findings
        )


async def prove(stage: Stage) -> Proof:
    """Pull everything again, and check it."""
    await stage.settle()
    stage.records, stage.cursor = [], -1
    await stage.pull()
    trusted, checkpoint = await stage.published(), await _checkpoint(stage)
    statuses: Counter[str] = Counter()
    failures: list[str] = []
    included = 0
    for record in stage.records:
        try:
            statuses[await _status(stage, record, trusted)] += 1
            await _include(stage, record, checkpoint)
            included += 1
        except LedgerRefused as error:
            failures.append(f"{record.index}: {error.detail}")
    entries = stage.cursor + 1
    seen = (await stage.call("auditor", "GET", "/v1/feed?limit=1000")).json["entries"]
    disclosed = sum(len(sdjwt.split(one["record"]["sd_jwt"])[1]) for one in seen if "record" in one)
    await stage.settle()
    return Proof(
        entries=entries,
        records=len(stage.records),
        statuses=statuses,
        included=included,
        failures=tuple(failures),
        audited=sum("body" in one for one in seen),
        disclosed=disclosed,
        findings=tuple(await findings_of(stage.service.settings)),
    )


async def _checkpoint(stage: Stage) -> Checkpoint:
    origin, keys = "", []
    for line in (await stage.get("/ledger/key")).body.decode().splitlines():
        origin, _, material = line.split("+", 2)
        # The vkey's form: one byte for the algorithm, then the key (C2SP signed-note).
        keys.append(Ed25519PublicKey.from_public_bytes(base64.b64decode(material)[1:]))
    return offline.check_checkpoint((await stage.get("/ledger/checkpoint")).body, origin, keys)


async def _status(stage: Stage, record: Pulled, trusted: Collection[VerificationKey]) -> str:
    token = await stage.status_token(record)
    return offline.check(record.sd_jwt, trusted, status_token=token, now=now()).status


async def _include(stage: Stage, record: Pulled, checkpoint: Checkpoint) -> None:
    answer = await stage.get(f"/ledger/proof?index={record.index}&size={checkpoint.size}")
    path = [bytes.fromhex(step) for step in answer.json["proof"]]
    offline.check_inclusion(record.sd_jwt, record.body, path, checkpoint)


def altered_copy(settings: Settings) -> Settings:
    """Copy the SQLite database, and turn one refusal into a grant in the copy, by plain SQL.

    Returns:
        Settings under which the copy is the database.
    """
    original = settings.data_dir / "verifier.db"
    copy = settings.data_dir / "altered.db"
    with (
        closing(sqlite3.connect(f"file:{quote(str(original))}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
        target.execute(
            "UPDATE decisions SET state = 'granted' WHERE decision_id ="
            " (SELECT min(decision_id) FROM decisions WHERE state = 'refused')"
        )
        target.commit()
    return replace(settings, database_url=f"sqlite+aiosqlite:///{copy}")

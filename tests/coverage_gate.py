"""Fails unless every branch of the core, and 95 % of all branches and lines, were run by the tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path

CORE = {
    "callback", "certificates", "completions", "learner", "eligibility", "record", "ledger", "merkle",
    "pipeline", "batching", "issuer", "identity", "names", "policy", "traits",
}  # fmt: skip
OVERALL = 95.0


def main(report: Path) -> int:
    data = json.loads(report.read_text())
    wanting = []
    for name, file in sorted(data["files"].items()):
        parts = Path(name).with_suffix("").parts
        if parts[0] == "adapters" or (parts[0] == "verifier" and parts[1] in CORE):
            summary = file["summary"]
            if summary["missing_lines"] or summary.get("missing_branches", 0):
                wanting.append(f"{name}: lines {file['missing_lines']} branches {file['missing_branches']}")
    overall = data["totals"]["percent_covered"]
    for line in wanting:
        print("core not covered:", line)
    print(f"coverage {overall:.1f} % of lines and branches, at least {OVERALL} % asked; core 100 % asked")
    return 1 if wanting or overall < OVERALL else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

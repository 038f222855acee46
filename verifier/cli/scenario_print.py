"""How the demonstration is shown: on a terminal, or as text 100 columns wide."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.box import HORIZONTALS
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from verifier import identity
from verifier.app import now
from verifier.cli.scenario import Row
from verifier.cli.scenario_proof import Proof
from verifier.cli.simulator import Person
from verifier.model.time import beijing_date

WIDTH: Final = 100
ARRIVED: Final = 26
_PIECES: Final = re.compile(r"\n|[（“〔《]*(?:第[0-9]+步|[!-~]+|[^\n])[）”〕》，；：。、]* *")


def console() -> Console:
    """Where everything is printed; width and colours are the terminal's, if there is one."""
    return Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False, markup=False, emoji=False)


def shown(person: Person) -> str:
    """Somebody with a masked id number."""
    identifier = identity.resident_id(person.id_number, today=beijing_date(now()))
    return f"{person.name}（{identity.masked(identifier)}）"


def wrapped(text: str, width: int) -> str:
    """Break a text into lines of a width in terminal columns, as Chinese is set.

    A line may end after any Chinese character, but not within a word or number in Latin letters, nor before a
    closing or after an opening mark.
    """
    lines = [""]
    for piece in _PIECES.findall(text):
        if piece == "\n" or (lines[-1] and cell_len(lines[-1] + piece.rstrip(" ")) > width):
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return "\n".join(line.rstrip() for line in lines)


def _parts(text: str, width: int) -> str:
    return wrapped(text.replace("；", "\n").replace(" → ", "\n→ "), width)


def print_results(out: Console, results: Sequence[tuple[Row, str]]) -> None:
    """The table: what arrived, what was expected, what came of it."""
    came = max(20, (out.width - ARRIVED - 9) // 2)  # 9: number, mark, and the blanks between columns
    table = Table(box=HORIZONTALS, show_lines=True, padding=0)
    table.add_column("", justify="right", width=2)
    for title, width in (("到达 arrived", ARRIVED), ("预期 expected", came), ("实得 got", came)):
        table.add_column(title, width=width, overflow="fold")
    table.add_column("", width=1)
    for number, (row, got) in enumerate(results, 1):
        good = got == row.expected
        cells = (wrapped(row.arrived, ARRIVED), _parts(row.expected, came), _parts(got, came))
        table.add_row(str(number), *cells, "✓" if good else "✗", style="" if good else "bold red")
    out.print(table)
    count = sum(got == row.expected for row, got in results)
    out.print(f"{count}/{len(results)} 与预期相符 · as expected", style="bold")


def print_trace(out: Console, person: Person, explained: Mapping[str, Any]) -> None:
    """One decision, clause by clause."""
    out.rule("一项决定的逐条说明 · one decision, clause by clause")
    out.print(f"{shown(person)}  决定 {explained['decision']}  第{explained['revision']}次")
    for line in explained["explanation"]:
        indent = " " * (len(line) - len(line.lstrip()) or 2 * (line[1] == " "))
        broken = wrapped(line.strip(), out.width - len(indent)).split("\n")
        out.print(("" if line[0] != " " else indent) + f"\n{indent}".join(broken))


def print_proof(out: Console, proof: Proof) -> None:
    """What was pulled, and what of it could be checked without the service."""
    out.rule("拉取与离线核验 · pulled, and checked without the service")
    statuses = "、".join(f"{status} {count}" for status, count in sorted(proof.statuses.items()))
    out.print(
        f"补贴系统拉取账本条目 {proof.entries} 条，其中资格记录 {proof.records} 条 · entries, records\n"
        f"签名、披露与状态逐条离线核验：{statuses} · signatures, disclosures, status\n"
        f"在签名检查点下证明包含于账本：{proof.included}/{proof.records} · inclusion proofs\n"
        f"审计方可见条目 {proof.audited} 条，收到的个人信息披露 {proof.disclosed} 项 · auditor: disclosures\n"
        f"账本复核（ledger fsck）：{len(proof.findings)} 处不一致 · findings"
    )
    for failure in (*proof.failures, *(f"{found.kind}: {found.where}" for found in proof.findings)):
        out.print(f"✗ {failure}", style="bold red")
    out.print("✓ 全部核验通过" if proof.good else "✗ 核验未通过", style="bold")


def print_address(out: Console, address: str, directory: Path, record_id: str) -> None:
    """Where the service stays up, and what to try."""
    command = f"VERIFIER_DATA_DIR={directory} {_python()} -m verifier"
    out.rule("服务仍在运行，Ctrl-C 结束 · the service stays up until Ctrl-C")
    for line in (
        f"{address}/openapi.json",
        f"curl {address}/ledger/checkpoint",
        f"{command} review list",
        f"{command} explain {record_id}",
        f"{command} ledger fsck",
    ):
        out.print(line, soft_wrap=True)


def _python() -> str:
    program = Path(sys.executable)
    here = Path.cwd()
    return str(program.relative_to(here) if program.is_relative_to(here) else program)

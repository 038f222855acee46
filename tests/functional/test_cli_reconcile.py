"""``reconcile`` and ``platforms list`` on the command line: status, formats, and beside a running service."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from aiohttp import web
from typing_extensions import override

from tests.functional import test_pulling
from tests.functional.process import environment, process
from tests.functional.test_pulling import Pulling, authority
from tests.functional.world import Installation, over
from verifier.cli import main, reconciling
from verifier.cli.simulator import person
from verifier.ports.pull import PullRequest
from verifier.signatures.transport import TransportKey

CVT = "china_vocational_training"
LI, WANG = person(1, "阿依古丽·买买提"), person(2, "王小明")
DAYS = ("--from", "2021-03-01", "--to", "2021-03-31")


@dataclass
class Console:
    """Runs commands in this process, beside a database that holds N-1 of LI and N-2 of WANG."""

    capsys: pytest.CaptureFixture[str]
    directory: Path

    def run(self, *arguments: object) -> tuple[int, str, str]:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            status = int(ended.code or 0)
        shown = self.capsys.readouterr()
        return status, shown.out, shown.err

    def file(self, name: str, content: bytes | str) -> Path:
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def reconcile(self, file: Path, *options: object) -> tuple[int, dict[str, Any]]:
        """Exit status and answer for machines; for people the status is the same."""
        status, out, err = self.run("reconcile", CVT, file, "--json", *options)
        assert (out == "") is (status == 2)
        assert self.run("reconcile", CVT, file, *options)[0] == status
        answer: dict[str, Any] = json.loads(err if status == 2 else out)
        return status, answer


async def happened(url: str, installation: Installation) -> None:
    world = await over(url, installation)
    await world.complete("N-1", LI)
    await world.complete("N-2", WANG)
    await world.store.database.close()


@pytest.fixture
def console(
    sqlite: str,
    tmp_path: Path,
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Console:
    asyncio.run(happened(sqlite, installation))
    for name, value in environment(tmp_path, installation).items():
        monkeypatch.setenv(name, value)
    return Console(capsys, tmp_path)


SAME = (
    f"证书编号,证件号码,姓名,结业时间\nN-1,{LI.id_number},{LI.name},2021-03-05\nN-2,,{WANG.name},2021/3/5\n"
)


def workbook(*rows: Sequence[Any]) -> bytes:
    made = openpyxl.Workbook()
    for row in rows:
        made.worksheets[0].append(list(row))
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


@pytest.mark.untraced
def test_where_nothing_differs_the_status_is_0_whatever_the_format(console: Console) -> None:
    rows = [line.split(",") for line in SAME.splitlines()]
    lines = [
        {"certificate_number": "N-1", "id_number": LI.id_number, "completed_at": "2021-03-05T10:00:00+08:00"},
        {"certificate_number": "N-2", "name": WANG.name, "completed_at": "2021-03-05"},
    ]
    files = [
        (console.file("a.csv", SAME), ()),
        (console.file("b.csv", b"\xef\xbb\xbf" + SAME.encode()), ("--charset", "utf-8")),
        (console.file("c.CSV", SAME.encode("gb18030")), ("--charset", "gb18030")),
        (console.file("d.xlsx", workbook(*rows)), ()),
        (console.file("e.ndjson", "\n".join(json.dumps(line) for line in lines)), ()),
    ]
    for file, options in files:
        status, answer = console.reconcile(file, *options)
        assert (status, answer["rows"], answer["period"]["from"]) == (0, 2, "2021-03-05"), file
    status, out, err = console.run("reconcile", CVT, files[0][0])
    assert (status, err, "一致 · the same" in out) == (0, "", True)


def test_differences_give_status_1_and_are_told_by_number_and_column(console: Console) -> None:
    text = f"certificate_number,name,completed_at\nN-1,{WANG.name},2021-03-05\nN-9,{LI.name},2021-03-06\n"
    status, answer = console.reconcile(console.file("a.csv", text))
    assert status == 1
    assert [one["certificate_number"] for one in answer["missing"]] == ["N-9"]
    assert [one["certificate_number"] for one in answer["unknown"]] == ["N-2"]
    [difference] = answer["differing"]
    assert (difference["certificate_number"], difference["columns"]) == ("N-1", ["name"])
    _, out, _ = console.run("reconcile", CVT, console.directory / "a.csv")
    assert "N-1  (name)" in out
    assert WANG.name not in out


def test_without_completions_or_days_it_is_said_that_nothing_was_called_unknown(console: Console) -> None:
    file = console.file("a.csv", "certificate_number\nN-1\n")
    status, out, _ = console.run("reconcile", CVT, file)
    assert (status, "no period" in out) == (0, True)
    status, answer = console.reconcile(file, *DAYS)
    assert (status, [one["certificate_number"] for one in answer["unknown"]]) == (1, ["N-2"])


def test_bad_rows_give_status_2_one_line_each_and_nothing_is_compared(console: Console) -> None:
    text = f"certificate_number,id_number\nN-1,{LI.id_number}\nN-2\n,1\nN-3,999901199001010011\nN-1,\n"
    status, answer = console.reconcile(console.file("a.csv", text))
    assert (status, answer["compared"]) == (2, False)
    assert [(one["row"], one["column"], one["code"]) for one in answer["problems"]] == [
        (2, "", "roster_row_invalid"),
        (3, "certificate_number", "field_missing"),
        (4, "id_number", "identifier_invalid"),
        (5, "certificate_number", "field_invalid"),
    ]
    status, out, err = console.run("reconcile", CVT, console.directory / "a.csv")
    assert (status, out, len(err.splitlines())) == (2, "", 5)
    assert "第 4 行 · row 4 [id_number]" in err
    assert "999901199001010011" not in err


def test_what_only_the_register_knows_is_told_the_same_way(console: Console) -> None:
    file = console.file("a.csv", "certificate_number,issuer\nN-1,urn:nobody\n")
    status, answer = console.reconcile(file)
    assert (status, answer["problems"][0]["code"]) == (2, "issuer_unknown")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", "x", "configuration_invalid [file]"),
        ("a.csv", "", "schema_invalid [column 1]"),
        ("a.xlsx", "x", "schema_invalid"),
        ("a.csv", b"certificate_number\n\xff", "charset_refused [line 2]"),
    ],
)
def test_a_file_that_cannot_be_read_gives_status_2(
    console: Console, name: str, content: bytes | str, told: str
) -> None:
    status, out, err = console.run("reconcile", CVT, console.file(name, content))
    assert (status, out) == (2, "")
    assert err.startswith(told)


@pytest.mark.parametrize(
    "arguments",
    [
        [CVT],
        [CVT, "a.csv", "--pull", "https://x.invalid"],
        [CVT, "a.csv", "--from", "yesterday"],
        [CVT, "a.csv", "--charset", "utf-16"],
    ],
)
def test_arguments_that_are_none_give_status_2(console: Console, arguments: list[str]) -> None:
    status, out, err = console.run("reconcile", *arguments)
    assert (status, out) == (2, "")
    assert "usage: verifier" in err


def test_a_platform_or_period_that_is_none_gives_status_2(console: Console) -> None:
    file = console.file("a.csv", SAME)
    status, _, err = console.run("reconcile", "nobody", file)
    assert (status, err.startswith("not_found [platform]")) == (2, True)
    status, _, err = console.run("reconcile", CVT, file, "--from", "2021-03-01")
    assert (status, err.startswith("schema_invalid [to]")) == (2, True)
    status, _, err = console.run("reconcile", CVT, console.directory / "none.csv")
    assert (status, err.startswith("configuration_invalid [none.csv]")) == (2, True)


def test_beside_a_running_service_both_commands_go_through_it(
    console: Console, installation: Installation
) -> None:
    variables = environment(console.directory, installation)
    text = SAME + "".join(f"M-{serial},,,2021-03-05\n" for serial in range(5_000))
    file = console.file("a.csv", text)
    with process(console.directory, variables) as service:
        service.address()
        status, answer = console.reconcile(file)
        assert (status, answer["rows"], len(answer["missing"])) == (1, 5_002, 5_000)
        status, out, _ = console.run("platforms", "list", "--json")
        status, answer = console.reconcile(console.file("b.csv", "certificate_number,issuer\nN-1,x\n"))
        assert (status, answer["problems"][0]["column"]) == (2, "issuer")
        status, _, err = console.run("reconcile", "nobody", file)
        assert (status, "not_found" in err) == (2, True)
    [listed] = [one for one in json.loads(out)["platforms"] if one["platform"] == CVT]
    assert (listed["deliveries"], listed["silent"]) == ({"accepted": 2}, False)


def test_platforms_are_listed_for_people_and_machines(console: Console) -> None:
    status, out, _ = console.run("platforms", "list")
    assert (status, "中国职业培训在线" in out) == (0, True)
    status, out, _ = console.run("platforms", "list", "--json")
    assert {one["platform"] for one in json.loads(out)["platforms"]} >= {CVT, "new_occupation"}


# --- pulled


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], tuple[str, Path]]]:
    """Starts a platform's HTTPS server in a thread of its own: the command runs in this one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runners: list[web.AppRunner] = []

    async def begin(page: dict[str, Any]) -> tuple[str, Path]:
        context, ca = authority(tmp_path)
        app = web.Application()

        async def answer(_: web.Request) -> web.Response:
            return web.json_response(page)

        app.router.add_get("/issued", answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        return f"https://127.0.0.1:{runner.addresses[0][1]}", ca

    yield lambda page: asyncio.run_coroutine_threadsafe(begin(page), loop).result(10)
    for runner in runners:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


class Registered(Pulling):
    """Asks with whatever the register's secret is."""

    @override
    def pull(self, start: date, end: date, keys: Sequence[TransportKey], now: datetime) -> PullRequest:
        assert (start, end) == (date(2021, 3, 1), date(2021, 3, 31))
        assert [key.key_id for key in keys] == ["cvt-hmac", "cvt-ed25519"]
        return super().pull(start, end, keys, now)


def test_an_adapter_may_offer_its_list_and_the_same_command_compares_it(
    console: Console,
    serving: Callable[[dict[str, Any]], tuple[str, Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconciling, "ADAPTERS", (Registered(),))
    address, ca = serving(test_pulling.page("N-1", "N-9"))
    call = ("reconcile", CVT, "--pull", address, *DAYS, "--ca", ca, "--json")
    status, out, _ = console.run(*call)
    answer = json.loads(out)
    assert (status, answer["rows"]) == (1, 2)
    assert [one["certificate_number"] for one in answer["missing"]] == ["N-9"]
    # Whatever the platform brought in these days and does not list is unknown.
    assert [one["certificate_number"] for one in answer["unknown"]] == ["N-2"]


def test_pulling_needs_days_and_an_adapter_that_offers_it(console: Console) -> None:
    status, _, err = console.run("reconcile", CVT, "--pull", "https://127.0.0.1:1")
    assert (status, err.startswith("configuration_invalid [from]")) == (2, True)
    backwards = ("--from", "2021-03-31", "--to", "2021-03-01")
    assert console.run("reconcile", CVT, "--pull", "https://127.0.0.1:1", *backwards)[0] == 2
    status, _, err = console.run("reconcile", "nobody", "--pull", "https://127.0.0.1:1", *DAYS)
    assert (status, err.startswith("configuration_invalid [platform]")) == (2, True)


def test_a_platform_that_does_not_answer_gives_status_2(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "ADAPTERS", (Registered(),))
    status, _, err = console.run("reconcile", CVT, "--pull", "https://127.0.0.1:1", *DAYS)
    assert (status, err.startswith("platform_unavailable")) == (2, True)


def test_of_a_platform_that_no_register_names_there_is_no_key_to_ask_with(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unregistered(Pulling):
        slug = "unregistered"  # type: ignore[assignment] # a plain text serves as the name

    monkeypatch.setattr(reconciling, "ADAPTERS", (Unregistered(),))
    status, _, err = console.run("reconcile", "unregistered", "--pull", "https://127.0.0.1:1", *DAYS)
    assert (status, err.startswith("platform_unavailable"), "no_key" in err) == (2, True, True)

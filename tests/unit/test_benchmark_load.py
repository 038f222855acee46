"""The load generator counts what a user waits; the books find what is lost or double."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import figures, founding, plots, profiling, programs
from benchmarks.books import Books, Found, compare
from benchmarks.figures import Figure, Goal, ratio
from benchmarks.founding import DiskTooSmall
from benchmarks.load import BROKEN, Closed, Outcome, Run, request
from benchmarks.programs import Cpu, Running
from benchmarks.report import Report
from benchmarks.sending import MOST_PEOPLE, People, Sent, somebody
from verifier.settings import Settings


class Service:
    """One at a time, by a clock that only moves when somebody waits; it stalls once."""

    def __init__(self, run: Run, takes: float, stall: tuple[float, float]) -> None:
        self.run = run
        self.takes = takes
        self.stall = stall
        self.busy: list[tuple[float, int, float]] = []

    def send(self, place: int, due: float) -> None:
        begins = max([self.run.clock(), *(until for until, _, _ in self.busy)])
        start, end = self.stall
        ready = begins + self.takes
        self.busy.append((end + self.takes if start <= begins < end else ready, place, due))


class Time:
    """A clock; whoever sleeps moves it, and what was due to be answered by then is answered on the way."""

    def __init__(self) -> None:
        self.now = 0.0
        self.service: Service | None = None

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pass_until(self.now + seconds)

    def pass_until(self, moment: float) -> None:
        assert self.service is not None
        while self.service.busy and min(self.service.busy)[0] <= moment:
            answered = min(self.service.busy)
            self.service.busy.remove(answered)
            self.now, place, due = answered
            self.service.run.answered(self.service, place, 200, due)
        self.now = max(self.now, moment)


def stalled(rate: float, count: int, stall: tuple[float, float]) -> Outcome:
    """An open load over one connection to a service that takes a millisecond, and stalls once."""
    time = Time()
    run = Run([b""] * count, time)
    time.service = Service(run, 0.001, stall)
    run.free.append(time.service)
    asyncio.run(run.paced(0.0, rate, time.sleep))
    time.pass_until(1e6)
    assert run.done.is_set()
    return run.outcome


def test_a_latency_counts_from_the_due_moment_also_for_what_waited_for_a_connection() -> None:
    # 100 requests a second for 2 s; from 1.0 s to 1.5 s nothing is answered.
    outcome = stalled(100, 200, (1.0, 1.5))
    waits = sorted(outcome.latencies)
    assert len(waits) == 200
    # Whoever came in the stall waited for its end: 50 requests, the first for all of it, the next less.
    late = [wait for wait in waits if wait > 0.01]
    assert 48 <= len(late) <= 60
    assert waits[-1] == pytest.approx(0.501)
    assert outcome.latency(0.5) == pytest.approx(1.0)
    # A generator that had waited for the answer before it sent the next would have counted one slow request.
    assert outcome.latency(0.99) > 450
    assert outcome.latency(0.9) > 200


def test_without_a_stall_nobody_waits() -> None:
    outcome = stalled(100, 200, (9.0, 9.0))
    assert max(outcome.latencies) == pytest.approx(0.001)
    assert outcome.acknowledged == list(range(200))


def test_the_closed_loop_sends_the_next_request_when_an_answer_has_come() -> None:
    time = Time()
    run = Closed([b""] * 5, time)
    time.service = Service(run, 0.5, (9.0, 9.0))
    run.free.append(time.service)
    run.idle()
    time.pass_until(10)
    assert run.done.is_set()
    assert run.outcome.latencies == pytest.approx([0.5] * 5)


def test_what_is_not_2xx_or_breaks_off_is_not_acknowledged() -> None:
    run = Run([b""] * 3, lambda: 1.0)
    sender = Service(run, 0.0, (9.0, 9.0))
    run.answered(sender, 0, 200, 0.5)
    run.answered(sender, 1, 503, 0.5)
    run.lost()
    assert run.outcome.acknowledged == [0]
    assert run.outcome.statuses == Counter({200: 1, 503: 1, BROKEN: 1})
    assert run.done.is_set()
    assert Run([], lambda: 0.0).done.is_set()


def test_a_rate_is_of_acknowledged_requests() -> None:
    assert Outcome(2.0, [0.1] * 4, Counter({200: 3, 503: 1}), [0, 1, 2]).rate == 1.5
    assert Outcome().rate == 0.0
    assert Outcome().latency(0.99) == 0.0


def test_a_request_has_a_length_where_it_has_a_body() -> None:
    assert request("POST", "/x", [("A", "b")], b"12").endswith(b"A: b\r\nContent-Length: 2\r\n\r\n12")
    assert b"Content-Length" not in request("GET", "/x", [], b"")


# --- the books


def entered(count: int = 4) -> Books:
    books = Books()
    sent = [Sent(b"", "p", f"d{n}", (f"n{n}",)) for n in range(count + 1)]
    books.enter(sent, Outcome(acknowledged=list(range(count))))
    return books


def whole(count: int = 4) -> Found:
    numbers = Counter({f"n{n}": 1 for n in range(count)})
    return Found(Counter({("p", f"d{n}"): 1 for n in range(count)}), numbers, numbers, numbers)


def test_what_is_there_exactly_once_is_right_and_the_unanswered_may_be_there_or_not() -> None:
    assert compare(entered(), whole()) == []
    assert compare(entered(), whole(5)) == []


@pytest.mark.parametrize("part", ["completions", "months", "records"])
def test_a_loss_a_double_and_a_stranger_are_found_in_every_part(part: str) -> None:
    have = dict(getattr(whole(), part))
    [lost] = compare(entered(), replace(whole(), **{part: {k: v for k, v in have.items() if k != "n2"}}))
    assert "acknowledged and lost: n2" in lost
    [double] = compare(entered(), replace(whole(), **{part: have | {"n1": 2}}))
    assert "more than once: n1" in double
    [strange] = compare(entered(), replace(whole(), **{part: have | {"n9": 1}}))
    assert "never sent: n9" in strange


def test_a_lost_and_a_double_delivery_are_found() -> None:
    deliveries = {("p", "d0"): 2, ("p", "d1"): 1, ("p", "d2"): 1}
    lost, double = compare(entered(), replace(whole(), deliveries=deliveries))
    assert "1 × delivery acknowledged and lost: ('p', 'd3')" in lost
    assert "1 × delivery there more than once: ('p', 'd0')" in double


def test_what_an_import_took_in_is_in_the_books() -> None:
    books = Books()
    books.enter_imported(["n0", "n1"])
    assert any("lost: n0, n1" in one for one in compare(books, Found({}, {}, {}, {})))


# --- what it takes


def test_what_a_program_spent_is_counted_by_itself_and_its_server_apart() -> None:
    spent = Cpu(3.0, 0.5) - Cpu(1.0, 0.25)
    assert spent.each(1000) == (2000.0, 250.0)
    assert Cpu(1.0).each(10) == (100_000.0,)
    assert Running(os.getsid(0), 0).cpu().program > 0


# --- people


@given(st.integers(1, 3_000), st.data())
def test_nobody_is_taken_twice_though_the_store_grows(count: int, data: st.DataObject) -> None:
    people = People(count)
    first = people.take(data.draw(st.integers(0, count)))
    people.grow(2 * count)
    taken = first + people.take(2 * count - len(first))
    assert sorted(taken) == list(range(2 * count))
    with pytest.raises(ValueError, match="fewer"):
        people.take(1)


@given(st.sets(st.integers(0, MOST_PEOPLE - 1), min_size=2, max_size=2))
def test_two_serials_are_two_people(serials: set[int]) -> None:
    one, other = (somebody(serial) for serial in serials)
    assert one.id_number != other.id_number
    assert one.name != other.name
    assert 999901 <= int(one.id_number[:6]) <= 999999


# --- figures


def figure(value: float | None, **further: object) -> Figure:
    return replace(Figure("ours", "a", value), **further)  # type: ignore[arg-type] # members of Figure


def test_a_goal_that_is_missed_is_shown_and_one_that_was_not_measured_is_not_missed() -> None:
    assert figure(5, goal=Goal("≥", 6)).missed
    assert not figure(6, goal=Goal("≥", 6)).missed
    assert figure(6.5, goal=Goal("≤", 6)).missed
    assert not figure(None, goal=Goal("≥", 6)).missed
    assert (
        figure(5, goal=Goal("≥", 6000), statuses={200: 3, 503: 1}).remark
        == "≥ 6,000 missed; 3 × 200, 1 × 503"
    )
    assert figure(None).shown == "not measured"


def test_a_ratio_needs_both_sides() -> None:
    assert ratio("r", figure(6), figure(3)).value == 2
    assert ratio("r", figure(6), figure(None)).value is None
    assert ratio("r", figure(None), figure(3)).note != ""


def test_markdown_and_json_say_the_same(tmp_path: Path) -> None:
    growth = [
        Figure("growth", f"callbacks, one completion each, {n} connections", 5.0 * n, learners=10**n)
        for n in (1, 2)
    ]
    due = [
        Figure(
            "ours",
            f"callbacks, {rate:,}/s due",
            rate,
            store="sqlite",
            latency_ms={"p50": 1, "p99": 2, "p99.9": 3},
        )
        for rate in (500, 1000)
    ]
    report = Report(
        {"p50": 1.0}, "made up", figures=[figure(7, goal=Goal("≥", 8)), *due, *growth], wrong=["lost"]
    )
    files = {path.name for path in report.write(tmp_path)}
    assert files == {"bench.json", "tables.md", "latency.png", "growth.png"}
    text = (tmp_path / "tables.md").read_text(encoding="utf-8")
    assert "| a |  | 7/s |" in text
    assert "books kept outside: lost" in text
    assert len(report.missed) == 1
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    assert figures.markdown([]) == "\n"


def test_a_run_writes_into_its_page_between_the_marks_and_again(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("before\n<!-- run -->\nold\n<!-- /run -->\nafter\n", encoding="utf-8")
    due = figure(5, name="callbacks, one completion each")
    for _ in range(2):
        assert page in Report({}, "made up", figures=[due]).write(tmp_path / "performance")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- run -->\n")
    assert text.endswith("<!-- /run -->\nafter\n")
    assert "old" not in text
    assert text.count("| callbacks, one completion each |  | 5/s |") == 1
    assert "![rates](performance/rates.png)" in text
    page.write_text("no marks", encoding="utf-8")
    assert page not in Report({}, "made up").write(tmp_path / "performance")


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    assert plots.draw([], tmp_path) == []


def test_more_learners_than_fit_on_the_disk_are_refused(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    founding.require_room(settings, 1, 1)
    with pytest.raises(DiskTooSmall, match="GB free"):
        founding.require_room(settings, 10**9, 10**9)


# --- the profile


def test_of_a_profile_the_start_is_taken_off_and_the_heaviest_come_first() -> None:
    idle = {("a.py", 1, "starts"): (1, 1, 2.0, 3.0, None), ("a.py", 2, "both"): (1, 1, 1.0, 1.0, None)}
    timings = idle | {
        ("a.py", 2, "both"): (11, 11, 3.0, 5.0, None),
        ("~", 0, "<built-in>"): (10, 10, 6.0, 6.0, None),
    }
    rows = profiling.heaviest(profiling.without(timings, idle), 10, 5)
    assert [row.where for row in rows] == ["<built-in>", "a.py:2 both"]
    assert rows[0] == profiling.Row("<built-in>", 0.75, 1.0, 600_000.0, 600_000.0)
    assert rows[1] == profiling.Row("a.py:2 both", 0.25, 1.0, 200_000.0, 400_000.0)
    assert profiling._where(str(programs.ROOT / "verifier" / "x.py"), 3, "f") == "verifier/x.py:3 f"

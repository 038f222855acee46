"""The parent of several processes, with children that do nothing but die or refuse to."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from tests.functional.process import PATIENCE_SECONDS, Process, process

SCRIPT = """
import logging, os, signal, sys, time
from verifier import supervising
from verifier.supervising import Child, Supervisor
from verifier.wires import Wires

logging.basicConfig()
supervising.GRACE_SECONDS, supervising.FIRST_SECONDS = 0.3, 0.01
wires = Wires(1)

def stubborn():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wires.ready(0)
    while True:
        time.sleep(60)

def dies():
    wires.ready(1)
    return 3

def fails():
    raise ValueError

def wanting():
    return 2

fork, forked = os.fork, []

def no_memory_at_first():
    forked.append(None)
    if len(forked) == 2:
        raise OSError(12, "no memory")
    return fork()

os.fork = no_memory_at_first
web = {"dies": dies, "fails": fails, "wanting": wanting}[sys.argv[1]]
said = lambda: print("listening on nothing", flush=True)
sys.exit(Supervisor(wires, Child(0, "background", stubborn), [Child(1, "web 1", web)], said).run())
"""


def started_again(service: Process) -> list[float]:
    return [
        float(found) for found in re.findall(r"web 1 ended \(3\); started again in ([0-9.]+) s", service.said)
    ]


def test_a_child_that_keeps_dying_is_started_ever_later_and_one_that_stays_is_killed_in_the_end(
    tmp_path: Path,
) -> None:
    with process(tmp_path, {}, ("-c", SCRIPT, "dies")) as service:
        service.address()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(started_again(service)) < 6:
            assert time.monotonic() < deadline, service.said
            time.sleep(0.02)
        assert service.told(signal.SIGTERM) == 0
        assert started_again(service)[:6] == [0.0, 0.0, 0.1, 0.2, 0.3, 0.6]
        assert "background did not end in time and is killed" in service.said
        assert service.said.count("web 1 cannot be forked: no memory") == 1
        assert service.said.count("listening") == 1


@pytest.mark.parametrize(
    ("how", "status", "said"), [("fails", 1, "ValueError"), ("wanting", 2, "cannot start (2)")]
)
def test_one_that_cannot_start_ends_all(tmp_path: Path, how: str, status: int, said: str) -> None:
    with process(tmp_path, {}, ("-c", SCRIPT, how)) as service:
        assert service.wait() == status
        assert said in service.said
        assert "listening" not in service.said

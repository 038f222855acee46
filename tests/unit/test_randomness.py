"""Randomness that is drawn ahead is given out once, in whichever thread or process."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.queues import SimpleQueue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier import randomness
from verifier.errors import Code, ConfigurationError
from verifier.parts import new_id
from verifier.randomness import AHEAD, Reserve


@given(st.lists(st.integers(0, 3 * AHEAD), max_size=20))
def test_every_byte_of_the_source_is_given_out_once_and_in_its_order(counts: list[int]) -> None:
    numbers = itertools.count()
    drawn: list[bytes] = []

    def source(count: int) -> bytes:
        drawn.append(b"".join(next(numbers).to_bytes(4, "big") for _ in range(count))[:count])
        return drawn[-1]

    reserve = Reserve(source)
    pieces = [reserve(count) for count in counts]
    assert [len(piece) for piece in pieces] == counts
    rest = b"".join(drawn)
    for piece in pieces:
        place = rest.index(piece)  # what is skipped is the end of a draw, and is never given out later
        rest = rest[place + len(piece) :]


@pytest.mark.parametrize("wrong", [-1, 1])
def test_a_source_that_gives_too_little_or_too_much_is_refused(wrong: int) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Reserve(lambda count: bytes(count + wrong))(16)
    assert refused.value.code is Code.KEY_REFUSED


def test_what_was_drawn_is_forgotten() -> None:
    reserve = Reserve(os.urandom)
    first = reserve(8)
    reserve.forget()
    assert reserve(8) != first


def test_no_id_is_made_twice_by_several_threads() -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: new_id(), range(4_000)))
    assert len({*made}) == len(made)
    assert {len(one) for one in made} == {32}


def _tell(answers: SimpleQueue[bytes]) -> None:
    answers.put(randomness.randbytes(16))


def test_a_forked_process_gives_out_other_bytes_than_its_parent() -> None:
    randomness.randbytes(16)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=_tell, args=(answers,))
    child.start()
    theirs = answers.get()
    child.join()
    assert randomness.randbytes(16) != theirs

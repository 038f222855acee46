"""Which code works on which schema: by what the database's revision says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verifier.store.schema import REVISION, bears

numbers = st.integers(0, 9_999)


@given(numbers, numbers, numbers)
def test_an_expanded_schema_bears_the_code_since_when_it_was_only_expanded(
    revision: int, since: int, code: int
) -> None:
    assert bears(f"{revision:04}_since_{since:04}", f"{code:04}") == (since <= code < revision)


@given(numbers, numbers)
def test_any_other_schema_bears_its_own_code_alone(revision: int, code: int) -> None:
    assert bears(f"{revision:04}", f"{code:04}") == (revision == code)


@given(numbers, numbers)
def test_an_expanded_schema_bears_its_own_code(revision: int, since: int) -> None:
    name = f"{revision:04}_since_{since:04}"
    assert bears(name, name)
    assert len(name) <= 32
    assert REVISION.fullmatch(name)


@given(st.text(max_size=20), numbers)
def test_what_is_no_revision_of_ours_bears_nothing(other: str, code: int) -> None:
    if not REVISION.fullmatch(other):
        assert not bears(other, f"{code:04}")
    assert not bears("", f"{code:04}")
    assert not bears(f"copying-{other}", f"{code:04}")

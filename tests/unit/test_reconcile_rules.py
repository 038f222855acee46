"""Comparing: what is missing, differing, unknown, by the written rules; over a transaction made up."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from verifier import identity
from verifier.cli.simulator import Person, person
from verifier.manifest_rows import ManifestRow
from verifier.model.delivery import PlatformSlug
from verifier.model.person import Identifier, LearnerId
from verifier.ports.pull import Column
from verifier.ports.reconciling import Held, Reference
from verifier.reconcile import Difference, Findings, Period, compare, period_of

SLUG = PlatformSlug("new_occupation")
ISSUER, OTHER = "urn:a", "urn:b"
SCOPES = {ISSUER: "scope-a", OTHER: "scope-b"}
DONE = datetime(2021, 3, 5, 2, tzinfo=UTC)
DAY = date(2021, 3, 5)
LI, WANG = person(1, "阿依古丽·买买提"), person(2, "王小明")
LEARNERS = {identity.resident_id(one.id_number, today=DAY): LearnerId(one.name) for one in (LI, WANG)}


@dataclass
class Store:
    """What is held, by number of ``ISSUER``, and what was asked."""

    completions: dict[str, Held] = field(default_factory=dict)
    revocations: set[str] = field(default_factory=set)
    elsewhere: dict[str, datetime] = field(default_factory=dict)
    named: list[str] = field(default_factory=list)
    since: list[datetime] = field(default_factory=list)

    def held(
        self, references: Collection[Reference], named: Collection[Reference]
    ) -> Mapping[Reference, Held]:
        self.named = sorted(number for _, _, number in named)
        found = {ref: self.completions[ref[2]] for ref in references if ref[2] in self.completions}
        return {ref: held if ref in named else replace(held, name=None) for ref, held in found.items()}

    def revoked(self, references: Collection[Reference]) -> Collection[Reference]:
        return {reference for reference in references if reference[2] in self.revocations}

    def known_learners(self, identifiers: Collection[Identifier]) -> Mapping[Identifier, LearnerId]:
        return {one: LEARNERS[one] for one in identifiers if one in LEARNERS}

    def brought(
        self, platform: PlatformSlug, issuer: str, number_scope: str, since: datetime
    ) -> Iterator[tuple[str, datetime]]:
        assert (platform, number_scope) == (SLUG, SCOPES[issuer])
        self.since.append(since)
        if issuer == OTHER:
            yield from self.elsewhere.items()
        else:
            yield from ((number, held.completed_at) for number, held in self.completions.items())


def holding(learner: Person = LI, completed_at: datetime = DONE, revision: int = 1) -> Held:
    return Held(LearnerId(learner.name), completed_at, revision, identity.person_name(learner.name))


def row(number: str = "N-1", issuer: str = ISSUER, *, who: Person | None = None, **said: Any) -> ManifestRow:
    members = dict(said)
    if who is not None:
        members["identifier"] = identity.resident_id(who.id_number, today=DAY)
        members["name"] = identity.person_name(who.name)
    return ManifestRow(1, issuer, number, **members)


def found(store: Store, *rows: ManifestRow, period: Period | None = None, whole: bool = False) -> Findings:
    return compare(store, rows, platform=SLUG, scopes=SCOPES, period=period, whole=whole)


def test_where_both_say_the_same_nothing_is_found() -> None:
    store = Store({"N-1": holding(revision=2)})
    said = row(who=LI, completed=DAY, revoked=False, revision=2)
    result = found(store, said)
    assert (result.any, result.period) == (False, Period(DAY, DAY))
    assert result.compared == {LearnerId(LI.name)}
    assert not found(store, row(completed=DONE)).any


@pytest.mark.parametrize(
    ("said", "column"),
    [
        ({"completed": date(2021, 3, 6)}, Column.COMPLETED_AT),
        ({"completed": DONE + timedelta(seconds=1)}, Column.COMPLETED_AT),
        ({"name": identity.person_name("阿依古丽")}, Column.NAME),
        ({"identifier": identity.resident_id(WANG.id_number, today=DAY)}, Column.ID_NUMBER),
        ({"identifier": identity.resident_id(person(9, "x").id_number, today=DAY)}, Column.ID_NUMBER),
        ({"revision": 2}, Column.REVISION),
        ({"revoked": True}, Column.STATUS),
    ],
)
def test_each_thing_that_differs_is_named_by_its_column(said: dict[str, Any], column: Column) -> None:
    result = found(Store({"N-1": holding()}), row(**said))
    assert result.differing == (Difference(ISSUER, "N-1", (column,)),)
    assert (result.missing, result.unknown) == ((), ())


def test_all_that_differs_is_named_in_the_order_of_the_columns() -> None:
    store = Store({"N-1": holding()}, {"N-1"})
    [difference] = found(
        store, row(who=WANG, completed=date(2020, 1, 1), revision=9, revoked=False)
    ).differing
    assert difference.columns == tuple(
        column for column in Column if column not in {Column.NUMBER, Column.ISSUER}
    )


def test_a_day_is_one_of_beijings_calendar() -> None:
    late = Store({"N-1": holding(completed_at=datetime(2021, 3, 4, 16, tzinfo=UTC))})
    assert not found(late, row(completed=DAY)).any
    assert found(late, row(completed=date(2021, 3, 4))).any


def test_a_name_is_compared_as_folded() -> None:
    written = Person(LI.id_number, "阿依古丽．买买提")
    assert not found(Store({"N-1": holding()}), row(who=written)).any


def test_names_are_opened_for_the_rows_alone_that_have_one() -> None:
    store = Store({"N-1": holding(), "N-2": holding(WANG), "N-3": holding()})
    result = found(store, row("N-1", who=LI), row("N-2"), row("N-3", revision=1))
    assert store.named == ["N-1"]
    assert result.compared == {LearnerId(LI.name)}


def test_of_an_erased_learner_nothing_personal_is_compared() -> None:
    store = Store({"N-1": replace(holding(), name=None, erased=True)})
    assert not found(store, row(who=WANG)).any


def test_what_did_not_come_is_missing() -> None:
    result = found(Store(), row("N-2"), row("N-1"), row("N-1", OTHER))
    assert result.missing == ((ISSUER, "N-1"), (ISSUER, "N-2"), (OTHER, "N-1"))


@pytest.mark.parametrize(("status", "missing"), [(True, False), (False, True), (None, True)])
def test_a_revocation_without_its_completion_is_all_that_a_revoked_certificate_needs(
    status: bool | None,  # noqa: FBT001 - a parameter of the test
    missing: bool,  # noqa: FBT001 - same
) -> None:
    assert bool(found(Store(revocations={"N-1"}), row(revoked=status)).missing) is missing
    assert found(Store(), row(revoked=status)).missing


def days(first: int, last: int) -> Period:
    return Period(date(2021, 3, first), date(2021, 3, last))


def test_what_the_manifest_does_not_list_is_unknown_within_its_period_alone() -> None:
    store = Store({f"N-{day}": holding(completed_at=DONE.replace(day=day)) for day in (4, 5, 6, 7)})
    listed = [row("N-5", completed=DAY), row("N-9", completed=DONE.replace(day=6))]
    assert found(store, *listed).unknown == ((ISSUER, "N-6"),)
    assert found(store, *listed, period=days(1, 4)).unknown == ((ISSUER, "N-4"),)
    assert found(store, row("N-5")).unknown == ()
    assert found(store, row("N-5")).period is None
    assert found(store, row("N-5"), period=days(4, 7)).unknown == tuple(
        (ISSUER, f"N-{day}") for day in (4, 6, 7)
    )


def test_the_period_holds_its_first_and_last_day_in_beijing() -> None:
    midnight = datetime(2021, 3, 4, 16, tzinfo=UTC)
    moments = [midnight - timedelta(seconds=1), midnight, midnight + timedelta(hours=23, minutes=59)]
    store = Store({f"N-{n}": holding(completed_at=moment) for n, moment in enumerate(moments)})
    assert found(store, row("N-9"), period=Period(DAY, DAY)).unknown == ((ISSUER, "N-1"), (ISSUER, "N-2"))
    # What was recorded before the period began cannot have been completed in it, but for the clocks.
    assert store.since == [midnight - timedelta(minutes=5)]


def test_issuers_are_those_of_the_rows_unless_the_list_is_whole() -> None:
    store = Store(elsewhere={"B-1": DONE})
    assert found(store, row("N-1"), period=days(1, 31)).unknown == ()
    assert found(store, row("N-1"), period=days(1, 31), whole=True).unknown == ((OTHER, "B-1"),)
    assert found(store, period=days(1, 31), whole=True).unknown == ((OTHER, "B-1"),)
    assert not found(store, period=days(1, 31)).any


def test_a_period_goes_from_the_first_to_the_last_completion_told_of() -> None:
    assert period_of([row(), row("N-2", completed=DONE), row("N-3", completed=date(2021, 3, 1))]) == days(
        1, 5
    )
    assert period_of([row()]) is None

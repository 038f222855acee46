"""Traits, rules T1 to T6: they let a reviewer be shown who it might be, and find nobody."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_identity import NUMBERS, TODAY
from verifier import learner, traits
from verifier.identity import passport, person_name, resident_id
from verifier.model.person import IdentifierKind, IdentityClaims, Trait, TraitKind

CERTIFICATE = ("issuer", "scope", "N-1")


def found(kind: str, raw: str, name: str = "张三", platform: str = "p1") -> tuple[Trait, ...]:
    return traits.of_claims(IdentityClaims(kind, raw, name), person_name(name), platform)


@pytest.mark.parametrize(
    "raw",
    [
        *("13800000000", "+8613800000000", "8613800000000", "008613800000000"),
        *("138 0000 0000", "138-0000-0000", "１３８００００００００", "+86 138 0000 0000"),
    ],
)
def test_one_phone_number_is_one_value_however_it_is_written(raw: str) -> None:
    assert found("phone", raw) == (Trait(TraitKind.PHONE, "13800000000"),)


def test_a_number_of_another_country_keeps_its_prefix() -> None:
    assert found("phone", "+77012345678") == (Trait(TraitKind.PHONE, "+77012345678"),)


@pytest.mark.parametrize("raw", ["138****0000", "", "无", "1234", "1" * 21, "+"])
def test_a_phone_number_that_is_none_makes_no_trait(raw: str) -> None:
    assert found("phone", raw) == ()


def test_the_same_account_of_two_platforms_is_two_values() -> None:
    assert found("platform_account", "u1", platform="p1") != found("platform_account", "u1", platform="p2")


@pytest.mark.parametrize("raw", ["1990-03-07", "1990/3/7", "1990.03.07", "19900307", "1990年3月7日"])
def test_a_birth_date_is_one_value_however_it_is_written(raw: str) -> None:
    assert found("birth_date", raw) == (Trait(TraitKind.NAME_BIRTH, "张三/1990-03-07"),)


@pytest.mark.parametrize("raw", ["1990", "1990-13-01", "199037", "90-03-07", "1990年3月", ""])
def test_a_birth_date_that_is_none_makes_no_trait(raw: str) -> None:
    assert found("birth_date", raw) == ()


def test_a_passport_without_its_country_is_its_number() -> None:
    assert found("passport", "n1234567") == (Trait(TraitKind.PASSPORT_NUMBER, "N1234567"),)
    assert found("passport", "n-1") == ()


@given(NUMBERS, st.sampled_from(["阿依古丽", "阿依古丽·买买提", "阿依古丽 • 买买提·吐尔逊"]))
def test_all_forms_of_a_name_with_its_birth_date_are_one_value(number: str, name: str) -> None:
    who = resident_id(number, today=TODAY)
    [trait] = traits.of_identified(who, person_name(name))
    born = f"{number[6:10]}-{number[10:12]}-{number[12:14]}"
    assert found("birth_date", born, "阿依古丽·买买提") == (trait,)


def test_an_identifier_that_tells_no_birth_date_makes_no_trait() -> None:
    assert traits.of_identified(passport("N1234567", "KAZ"), person_name("张三")) == ()


def test_a_value_is_shared_once_more_people_bear_it_than_one_household() -> None:
    assert not traits.is_shared(traits.MOST_PEOPLE, traits.MOST_UNIDENTIFIED)
    assert traits.is_shared(traits.MOST_PEOPLE + 1, 0)
    assert traits.is_shared(0, traits.MOST_UNIDENTIFIED + 1)


@given(
    st.sampled_from(["phone", "platform_account", "birth_date", "passport"]),
    st.text(max_size=30) | st.dates(date(1, 1, 1)).map(str),
)
def test_weak_claims_are_always_taken_and_never_name_anybody(kind: str, raw: str) -> None:
    claims = IdentityClaims(kind, raw, "张三")
    assert learner.is_weak(claims)
    who = learner.holder(claims, CERTIFICATE, "p1", TODAY)
    assert (who.identifier.kind, who.weak) == (IdentifierKind.PROVISIONAL, kind)
    assert "张三" not in repr(who)
    assert who == learner.holder(claims, CERTIFICATE, "p1", TODAY)


def test_a_later_certificate_of_the_number_that_names_somebody_else_is_another_learner() -> None:
    first, second = (
        learner.holder(IdentityClaims("phone", "13800000000", name), CERTIFICATE, "p1", TODAY)
        for name in ("张三", "李四")
    )
    assert first.identifier != second.identifier


def test_a_passport_with_its_country_is_an_identifier() -> None:
    claims = IdentityClaims("passport", "N1234567", "张三", "KAZ")
    assert not learner.is_weak(claims)
    assert learner.holder(claims, CERTIFICATE, "p1", TODAY).identifier.kind is IdentifierKind.PASSPORT
    assert learner.strong("passport", "N1234567", "KAZ", TODAY).value == "KAZ/N1234567"

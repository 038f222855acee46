"""The order of the steps, over a store in memory; what needs a real one is in tests/functional."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Literal

import pytest

from tests.unit.fake_store import FakeStore
from verifier import certificates, eligibility, pipeline, preparing
from verifier.cli.simulator import person
from verifier.errors import AdapterError, Code, ConfigurationError, SignatureRejected
from verifier.identity import person_name
from verifier.keyring import Platform, Register
from verifier.model.certificate import (
    CertificateFields,
    CertificateKind,
    DocumentKind,
    SignedCertificate,
    VerifiedCertificate,
)
from verifier.model.decision import Case, Entitlement, Holding, Pins, State, Verdict
from verifier.model.delivery import (
    Accepts,
    Acknowledgment,
    AuthenticatedCallback,
    Callback,
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    Event,
    EventKind,
    Headers,
    ItemOutcome,
    ItemState,
    PlatformSlug,
    UnreadableItem,
)
from verifier.model.facts import AdmissionFact, Category, EmploymentFact, FactId, Source
from verifier.model.person import (
    IdentifierKind,
    IdentityClaims,
    LearnerId,
    Trait,
    TraitKind,
    Uscc,
)
from verifier.model.trust import Recognition
from verifier.pipeline import Rulebook
from verifier.policy import Policy, load
from verifier.ports.intake import NewDecision
from verifier.preparing import HERE, Prepared, ProvenItem, RevokedItem
from verifier.settings import Settings
from verifier.signatures.transport import TransportKey

NOW = datetime(2021, 7, 1, 4, tzinfo=UTC)
P1 = PlatformSlug("p1")
US, THEM = Uscc("91650000MA0000000K"), Uscc("91650100MA0000001U")
POLICY = load(Settings().policy.read_bytes())
REGISTER = Register(
    "0" * 64, {P1: Platform(P1, "平台", (Recognition(date(2021, 1, 1), None, "册"),), ())}, {}
)
RULEBOOK = Rulebook((POLICY,), REGISTER)
NUMBER = person(1, "张三").id_number
CERTIFICATE = VerifiedCertificate(
    issuer="i",
    number_scope="s",
    number="N-1",
    revision=1,
    holder=IdentityClaims("resident_id", NUMBER, "张三"),
    course_code="c",
    course_title="课程",
    organisation="o",
    completed_at=datetime(2021, 3, 5, 2, tzinfo=UTC),
    issued_at=datetime(2021, 3, 5, 3, tzinfo=UTC),
    document=DocumentKind.COURSE_PROOF,
    key_id="k",
    algorithm="ES256",
    content_digest=bytes(32),
)


JSON_ONLY = Accepts(frozenset({"application/json"}))


def digest(purpose: str, data: bytes) -> bytes:
    return sha256(purpose.encode() + data).digest()


@dataclass
class FakeAdapter:
    """Believes everybody and reads what it is told to."""

    parts: tuple[Event | UnreadableItem, ...] = ()
    failure: Exception | None = None
    slug: PlatformSlug = P1
    name: str = "平台"
    profile: Literal["assumed", "confirmed"] = "assumed"
    accepts: Accepts = JSON_ONLY
    keys: Sequence[TransportKey] | None = None

    def authenticate(
        self, callback: Callback, keys: Sequence[TransportKey], now: datetime
    ) -> AuthenticatedCallback:
        self.keys = keys
        if isinstance(self.failure, SignatureRejected):
            raise self.failure
        return AuthenticatedCallback(callback, DeliveryId("d-1"), "key", now)

    def parse(self, authenticated: AuthenticatedCallback) -> tuple[Event | UnreadableItem, ...]:
        assert authenticated.delivery_id == "d-1"
        if self.failure is not None:
            raise self.failure
        return self.parts

    def acknowledge(self, outcome: DeliveryOutcome) -> Acknowledgment:
        raise NotImplementedError

    def refuse(self, code: Code) -> Acknowledgment:
        raise NotImplementedError


def prepared(adapter: FakeAdapter, body: bytes = b"{}", delivery_id: str = "d-1") -> Prepared:
    callback = Callback(P1, "POST", "/v1/callbacks/p1", Headers(()), body, NOW, "r-1")
    found = preparing.verify(HERE.open(adapter, callback, REGISTER, NOW), REGISTER, digest, {})
    authentic = replace(found.claim.authenticated, delivery_id=DeliveryId(delivery_id))
    return replace(found, claim=replace(found.claim, authenticated=authentic))


def signed(kind: EventKind, **members: str) -> Event:
    fields = CertificateFields.__new__(CertificateFields)  # nobody looks into it
    certificate = SignedCertificate(CertificateKind.JWS, b"signed", fields)
    return Event(kind, "1", certificate=certificate, **members)  # type: ignore[arg-type] # texts only


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Step 3 finds every certificate right: it has tests of its own."""
    monkeypatch.setattr(certificates, "verify", lambda *_args, **_named: CERTIFICATE)


# Before any transaction


def test_what_is_not_authentic_is_not_prepared() -> None:
    with pytest.raises(SignatureRejected):
        prepared(FakeAdapter(failure=SignatureRejected("signature")))


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (AdapterError(Code.DELIVERY_UNREADABLE), Code.DELIVERY_UNREADABLE),
        (RuntimeError("999901199001010014"), Code.INTERNAL),
    ],
)
def test_what_an_adapter_cannot_read_is_kept_with_its_reason(
    failure: Exception, code: Code, caplog: pytest.LogCaptureFixture
) -> None:
    found = prepared(FakeAdapter(failure=failure))
    assert (found.items, found.code) == ((), code)
    assert "999901199001010014" not in caplog.text
    store = FakeStore()
    [outcome] = pipeline.record(store, [found], RULEBOOK, NOW, store.new_id)
    assert (outcome.state, outcome.code) == (DeliveryState.QUARANTINED, code)
    assert len(store.deliveries) == 1


def test_an_unreadable_item_and_an_unknown_event_are_answered_without_transaction() -> None:
    parts = (UnreadableItem("1", Code.FIELD_MISSING, "/a"), Event(EventKind.UNKNOWN, "2"))
    assert prepared(FakeAdapter(parts)).items == (
        ItemOutcome("1", ItemState.REFUSED, Code.FIELD_MISSING, pointer="/a"),
        ItemOutcome("2", ItemState.RECORDED, Code.EVENT_UNKNOWN),
    )


def test_a_revocation_by_number_needs_a_known_issuer() -> None:
    [item] = prepared(FakeAdapter((Event(EventKind.REVOKED, "1", issuer="i", number="N-1"),))).items
    assert item == ItemOutcome("1", ItemState.REFUSED, Code.ISSUER_UNKNOWN)


@pytest.mark.usefixtures("verified")
def test_a_signed_revocation_is_for_the_number_of_the_certificate_it_shows() -> None:
    [item] = prepared(FakeAdapter((signed(EventKind.REVOKED),))).items
    assert isinstance(item, RevokedItem)
    assert item.reference == ("i", "s", "N-1")


@pytest.mark.usefixtures("verified")
def test_a_completion_is_prepared_with_whom_it_names() -> None:
    [item] = prepared(FakeAdapter((signed(EventKind.COMPLETED),))).items
    assert isinstance(item, ProvenItem)
    assert item.identifier.value == NUMBER


@pytest.mark.usefixtures("verified")
@pytest.mark.parametrize(
    ("holder", "pointer"),
    [
        (IdentityClaims("军官证", "E1", "张三"), "id_kind"),
        (IdentityClaims("passport", "E1234567", "张三", "哈萨克斯坦"), "id_country"),
        (IdentityClaims("resident_id", "1", "张三"), ""),
    ],
)
def test_whoever_has_no_readable_identifier_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, holder: IdentityClaims, pointer: str
) -> None:
    monkeypatch.setattr(certificates, "verify", lambda *_args, **_named: replace(CERTIFICATE, holder=holder))
    [item] = prepared(FakeAdapter((signed(EventKind.COMPLETED),))).items
    assert isinstance(item, ItemOutcome)
    assert (item.state, item.code) == (ItemState.REFUSED, Code.IDENTIFIER_INVALID)
    assert item.pointer == pointer or not pointer


@pytest.mark.usefixtures("verified")
def test_whoever_is_named_by_less_than_an_identifier_gets_a_learner_for_this_certificate_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    holder = IdentityClaims("phone", "13800000000", "张三")
    monkeypatch.setattr(certificates, "verify", lambda *_args, **_named: replace(CERTIFICATE, holder=holder))
    [item] = prepared(FakeAdapter((signed(EventKind.COMPLETED),))).items
    assert isinstance(item, ProvenItem)
    assert (item.proven.weak, item.identifier.kind) == ("phone", IdentifierKind.PROVISIONAL)
    assert item.traits == (Trait(TraitKind.PHONE, "13800000000"),)


@pytest.mark.usefixtures("verified")
def test_a_message_that_contradicts_its_certificate_is_refused() -> None:
    part = replace(signed(EventKind.COMPLETED), stated={"number": "N-2"})
    [item] = prepared(FakeAdapter((part,))).items
    assert item == ItemOutcome("1", ItemState.REFUSED, Code.CERTIFICATE_MISMATCH, 12)


# In the transaction


@pytest.mark.usefixtures("verified")
def test_a_group_is_answered_in_its_order() -> None:
    store = FakeStore()
    adapter = FakeAdapter((signed(EventKind.COMPLETED),))
    group = [prepared(adapter, b"1", "a"), prepared(adapter, b"2", "b"), prepared(adapter, b"3", "a")]
    first, second, third = pipeline.record(store, group, RULEBOOK, NOW, store.new_id)
    assert (first.items[0].state, second.items[0].state) == (ItemState.ACCEPTED, ItemState.DUPLICATE)
    assert (third.state, third.code) == (DeliveryState.CONFLICT, Code.DELIVERY_CONFLICT)
    [again] = pipeline.record(store, [group[0]], RULEBOOK, NOW, store.new_id)
    assert again == replace(first, replayed=True)


def test_a_group_of_nothing_does_nothing() -> None:
    store = FakeStore()
    assert pipeline.record(store, [], RULEBOOK, NOW, store.new_id) == []


# Deciding


def employed(store: FakeStore, learner: LearnerId) -> None:
    """An admitted enterprise lists the learner since the year began."""
    source, start = Source("test", "test"), date(2021, 1, 1)
    admitted, listed = FactId(store.new_id()), FactId(store.new_id())
    name = person_name("张三")
    store.add_facts(
        [
            AdmissionFact(admitted, US, "企业", "652301", start, None, NOW, source),
            EmploymentFact(listed, learner, US, start, None, Category.AT_POST, "", None, name, NOW, source),
        ]
    )


def granted() -> tuple[FakeStore, LearnerId]:
    store = FakeStore()
    adapter = FakeAdapter((signed(EventKind.COMPLETED),))
    pipeline.record(store, [prepared(adapter)], RULEBOOK, NOW, store.new_id)
    learner = next(iter(store.identifiers.values()))
    employed(store, learner)
    pipeline.decide(store, [learner], RULEBOOK, NOW, store.new_id)
    return store, learner


def again(store: FakeStore, learner: LearnerId) -> list[NewDecision]:
    return pipeline.decide(store, [learner], RULEBOOK, NOW, store.new_id)


@pytest.mark.usefixtures("verified")
def test_a_decision_is_appended_only_where_something_changed() -> None:
    store, learner = granted()
    assert [new.state for new in store.decisions] == [State.PENDING, State.GRANTED]
    assert [new.revision for new in store.decisions] == [1, 2]
    assert again(store, learner) == []


@pytest.mark.usefixtures("verified")
def test_nothing_is_decided_about_somebody_without_completion_and_decision() -> None:
    store = FakeStore()
    employed(store, LearnerId("nobody"))
    assert again(store, LearnerId("nobody")) == []


@pytest.mark.usefixtures("verified")
def test_a_month_that_was_given_back_is_taken_anew_by_the_grant_that_still_stands() -> None:
    store, learner = granted()
    store.holdings.clear()
    [new] = again(store, learner)
    assert (new.state, new.revision) == (State.GRANTED, 3)
    assert again(store, learner) == []


@pytest.mark.usefixtures("verified")
@pytest.mark.parametrize(
    ("holder", "state"),
    [
        (Holding("i", "s", "N-1", US, owed=True), None),
        (Holding("i", "s", "N-0", US, owed=True), State.PENDING),
        (Holding("i", "s", "N-1", THEM, owed=True), State.PENDING),
        (Holding("i", "s", "N-0", US), None),
    ],
)
def test_a_month_that_money_was_asked_for_is_not_simply_passed_on(
    holder: Holding, state: State | None
) -> None:
    store, learner = granted()
    store.holdings[learner, Entitlement("online-training-month")] = holder
    new = again(store, learner)
    assert [one.state for one in new] == ([state] if state else [])


def test_a_case_is_judged_with_the_registers_recognitions(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Case] = []
    monkeypatch.setattr(certificates, "verify", lambda *_args, **_named: CERTIFICATE)
    real = eligibility.evaluate

    def evaluate(case: Case, policy: Policy, pins: Pins) -> Verdict:
        seen.append(case)
        return real(case, policy, pins)

    monkeypatch.setattr(eligibility, "evaluate", evaluate)
    granted()
    assert all(case.recognised == {P1: REGISTER.platforms[P1].recognised} for case in seen)
    assert seen


# Several policies

WRITTEN = Settings().policy.read_text(encoding="utf-8")
OTHER = load(WRITTEN.replace('"online-training-month"', '"another-subsidy"').encode())


@pytest.mark.usefixtures("verified")
def test_everyone_is_decided_under_each_policy_and_each_decision_pins_its_own() -> None:
    store, both = FakeStore(), Rulebook((POLICY, OTHER), REGISTER)
    pipeline.record(store, [prepared(FakeAdapter((signed(EventKind.COMPLETED),)))], both, NOW, store.new_id)
    said = [(new.entitlement, new.revision, new.trace["pins"]["parameters"]) for new in store.decisions]
    assert said == [
        (POLICY.entitlement, 1, POLICY.digest),
        (OTHER.entitlement, 1, OTHER.digest),
    ]


def test_a_rulebook_names_its_policy_about_an_entitlement_and_the_first_where_none_is_named() -> None:
    both = Rulebook((POLICY, OTHER), REGISTER)
    assert [both.about(name) for name in ("", POLICY.entitlement, "another-subsidy", "unheard-of")] == [
        POLICY,
        POLICY,
        OTHER,
        None,
    ]
    assert both.policy is POLICY


@pytest.mark.parametrize("policies", [(), (POLICY, POLICY)])
def test_a_rulebook_has_a_policy_and_no_two_about_one_entitlement(policies: tuple[Policy, ...]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Rulebook(policies, REGISTER)
    assert refused.value.code is Code.POLICY_INVALID


# Exclusion between entitlements


def exclusive(name: str, *others: str) -> Policy:
    """The main policy under another name, not granted beside others."""
    text = WRITTEN.replace('"online-training-month"', f'"{name}"')
    off, listed = "value = [] #", ", ".join(f'"{other}"' for other in others)
    assert off in text
    return load(text.replace(off, f"value = [{listed}] #").encode())


def decided(store: FakeStore, *policies: Policy) -> list[tuple[str, State]]:
    """What is newly decided about the one learner, in the order of its being appended."""
    learner = next(iter(store.identifiers.values()))
    rulebook = Rulebook(policies, REGISTER)
    found = pipeline.decide(store, [learner], rulebook, NOW, store.new_id)
    assert pipeline.decide(store, [learner], rulebook, NOW, store.new_id) == []
    return [(new.entitlement, new.state) for new in found]


@pytest.mark.usefixtures("verified")
def test_beside_what_is_granted_already_an_exclusive_entitlement_is_refused() -> None:
    store, _ = granted()
    assert decided(store, POLICY, exclusive("b", POLICY.entitlement)) == [("b", State.REFUSED)]
    [outcome] = [
        clause["outcome"]
        for clause in store.decisions[-1].trace["clauses"]
        if clause["clause"] == "no-exclusion"
    ]
    assert outcome["answer"] == "not_met"
    assert store.decisions[-1].trace["others"] == [POLICY.entitlement]


@pytest.mark.usefixtures("verified")
def test_with_the_switch_off_both_are_granted_and_no_trace_speaks_of_the_other() -> None:
    store, _ = granted()
    assert decided(store, POLICY, exclusive("b")) == [("b", State.GRANTED)]
    assert not any("others" in new.trace for new in store.decisions)


@pytest.mark.usefixtures("verified")
def test_of_two_that_exclude_each_other_the_first_in_the_rulebooks_order_is_granted() -> None:
    store, learner = granted()
    store.decisions.clear()
    store.holdings.clear()
    assert decided(store, exclusive("a", "b"), exclusive("b", "a")) == [
        ("a", State.GRANTED),
        ("b", State.REFUSED),
    ]
    assert set(store.holdings) == {(learner, "a")}


@pytest.mark.usefixtures("verified")
def test_what_was_granted_first_stays_when_the_other_excludes_it_or_the_switch_is_turned_on() -> None:
    store, learner = granted()
    decided(store, POLICY, exclusive("b"))
    # Both hold; now each excludes the other. Nobody loses what they have by a switch.
    late = exclusive(POLICY.entitlement, "b")
    assert decided(store, late, exclusive("b", POLICY.entitlement)) == [
        (POLICY.entitlement, State.GRANTED),
        ("b", State.GRANTED),
    ]
    assert len([owner for owner, _ in store.holdings if owner == learner]) == 2


@pytest.mark.usefixtures("verified")
def test_once_the_other_falls_the_excluded_one_is_granted_in_the_same_transaction() -> None:
    store, _ = granted()
    first, second = exclusive("b", POLICY.entitlement), POLICY
    assert decided(store, first, second) == [("b", State.REFUSED)]
    # A main policy whose window is over: its grant falls, after the other one was asked.
    over = load(
        WRITTEN.replace(
            "first = 2021-02-01, last = 2021-12-31", "first = 2021-02-01, last = 2021-02-28"
        ).encode()
    )
    assert decided(store, first, over) == [
        (POLICY.entitlement, State.REFUSED),
        ("b", State.GRANTED),
    ]


@pytest.mark.usefixtures("verified")
def test_three_that_exclude_each_other_in_a_ring_come_to_an_end() -> None:
    store, learner = granted()
    store.decisions.clear()
    store.holdings.clear()
    ring = (exclusive("a", "c"), exclusive("b", "a"), exclusive("c", "b"))
    assert decided(store, *ring) == [("a", State.GRANTED), ("b", State.REFUSED), ("c", State.GRANTED)]
    assert set(store.holdings) == {(learner, "a"), (learner, "c")}


@pytest.mark.usefixtures("verified")
def test_what_is_none_of_a_policys_business_is_not_decided_under_it() -> None:
    store, learner = granted()
    parameters = Settings().policy.parent
    skill = load((parameters / "skill-upgrade.toml").read_bytes())
    comprehensive = load((parameters / "comprehensive-training.toml").read_bytes())
    assert decided(store, POLICY, skill, comprehensive) == [(comprehensive.entitlement, State.REFUSED)]
    assert (learner, skill.entitlement) not in store.holdings

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from adapters import ADAPTERS, named
from adapters.declared import DeclaredPlatform
from tests.platforms.profiles import declared
from tests.platforms.senders import CERTIFICATE_KEY, KID, START, compact_jws, encode, trust
from tests.unit.test_declared_schemes import BEARER
from verifier.cli.simulator import person
from verifier.errors import CATALOGUE, AdapterError, Code
from verifier.import_file import BadLine, Line
from verifier.importing import METHOD, Preparer, Problem, Readied, counted, problems
from verifier.keyring import IssuerKey, KeyState
from verifier.model.delivery import (
    DeliveryId,
    DeliveryOutcome,
    DeliveryState,
    ItemOutcome,
    ItemState,
)
from verifier.ports.importing import Counts, Importable, ImportSource
from verifier.preparing import ProvenItem, RevokedItem
from verifier.signatures.jws import Algorithm, VerificationKey

CVT: Final = ADAPTERS[0]
ISSUER: Final = "urn:test:issuer"
NOW: Final = datetime(2021, 6, 1, 4, tzinfo=UTC)
PUBLIC: Final = VerificationKey(KID, Algorithm.EDDSA, CERTIFICATE_KEY.public_key())
CLAIMS: Final = {
    "iss": ISSUER,
    "certificate_number": "N-1",
    "holder_name": "测试学员",
    "id_type": "居民身份证",
    "id_number": "999901199001010001",
    "course_code": "KC-1",
    "course_title": "网络安全",
    "training_organisation": "机构",
    "completed_at": "2021-05-01T10:00:00+08:00",
    "issued_at": "2021-05-01T11:00:00+08:00",
    "document_type": "课程培训合格证明",
    "revision": 1,
}


def digest(purpose: str, data: bytes) -> bytes:
    return hashlib.sha256(purpose.encode() + b"\n" + data).digest()


def preparer(**key: Any) -> Preparer:
    register = trust(CVT.slug, ISSUER, replace(IssuerKey(PUBLIC, KeyState.ACTIVE, START), **key))
    assert CVT.importing is not None  # type: ignore[attr-defined] # what ``Importable`` asks for
    source = ImportSource(CVT.slug, "f" * 64, "op")
    return Preparer(CVT, CVT.importing, register, digest, source)  # type: ignore[attr-defined] # as above


def valid(id_number: str = "") -> dict[str, Any]:
    return {**CLAIMS, "id_number": id_number or person(1, "测试学员").id_number}


def line(certificate: str, **data: str) -> Line:
    body = {
        "type": "completion.created",
        "timestamp": "2021-05-01T11:00:00+08:00",
        "data": {"certificate": certificate, **data},
    }
    return Line(7, encode(body))


def ready(given: Line | BadLine, by: Preparer | None = None) -> Readied:
    return (by or preparer()).ready(given, {}, NOW)


def rejected(found: Readied) -> Code:
    assert found.prepared is None
    [problem] = found.problems
    assert (problem.line, problem.state) == (found.line, "rejected")
    return problem.code


def test_a_genuine_line_becomes_a_delivery_that_says_where_it_came_from() -> None:
    found = ready(line(compact_jws(valid())))
    assert found.prepared is not None
    authenticated = found.prepared.claim.authenticated
    callback = authenticated.callback
    assert (callback.method, callback.path) == (METHOD, f"/import/{'f' * 64}/7")
    assert (authenticated.key_id, authenticated.signed_at, callback.received_at) == ("operator:op", NOW, NOW)
    assert authenticated.delivery_id.startswith("import:")
    assert found.last == found.line == 7
    [item] = found.prepared.items
    assert isinstance(item, ProvenItem)
    # What was verified crosses to another process without the certificate, which stands in the body.
    assert item.event.certificate is not None
    assert item.event.certificate.content == b""


def test_the_same_line_is_the_same_delivery_in_whatever_file_and_another_is_another() -> None:
    one = line(compact_jws(valid()))
    ids = set()
    for given, by in (
        (one, preparer()),
        (replace(one, number=9), replace(preparer(), source=ImportSource(CVT.slug, "0" * 64, "me"))),
        (line(compact_jws(valid()), holder_name="测试学员"), preparer()),
    ):
        found = by.ready(given, {}, NOW + timedelta(days=1))
        assert found.prepared is not None
        ids.add(found.prepared.claim.authenticated.delivery_id)
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (Line(1, b"{"), Code.DELIVERY_UNREADABLE),
        (Line(1, b'{"a":1', whole=False), Code.IMPORT_LINE_TRUNCATED),
        (Line(1, b'{"a":"\xff"}'), Code.CHARSET_REFUSED),
        (Line(1, b'{"a":"\x00"}'), Code.CHARSET_REFUSED),
        (Line(1, b"[]"), Code.DELIVERY_UNREADABLE),
        (Line(1, b" " * 2_000_000), Code.REQUEST_TOO_LARGE),
        (BadLine(1, Code.REQUEST_TOO_LARGE), Code.REQUEST_TOO_LARGE),
        (line(compact_jws(valid(), kid="unknown")), Code.KEY_UNKNOWN),
        (line(compact_jws(valid())[:-8] + "AAAAAAAA"), Code.CERTIFICATE_SIGNATURE_INVALID),
        (line("no certificate"), Code.CERTIFICATE_MALFORMED),
        (line(""), Code.FIELD_MISSING),
        (line(compact_jws({**valid(), "iss": "urn:test:stranger"})), Code.ISSUER_UNKNOWN),
    ],
)
def test_of_what_nothing_proves_nothing_is_kept_but_the_line_and_the_reason(
    given: Line | BadLine, code: Code
) -> None:
    assert rejected(ready(given)) is code


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (line(compact_jws(valid("999901199001010000"))), Code.IDENTIFIER_INVALID),
        (line(compact_jws({**valid(), "holder_name": "李\u200b"})), Code.NAME_INVALID),
        (line(compact_jws(valid()), certificate_number="N-2"), Code.CERTIFICATE_MISMATCH),
        (
            line(compact_jws({**valid(), "issued_at": "2031-05-01T11:00:00+08:00"})),
            Code.CERTIFICATE_NOT_YET_VALID,
        ),
        (line(compact_jws({**valid(), "course_code": 7})), Code.CERTIFICATE_CLAIMS_INVALID),
    ],
)
def test_what_is_genuine_is_kept_whatever_is_wrong_with_it(given: Line, code: Code) -> None:
    found = ready(given)
    assert found.prepared is not None
    [item] = found.prepared.items
    assert isinstance(item, ItemOutcome)
    assert (item.state, item.code) == (ItemState.REFUSED, code)
    assert found.problems == ()  # the pipeline's answer says it


def test_by_a_compromised_key_nothing_is_proven() -> None:
    by = preparer(state=KeyState.COMPROMISED, compromised_since=START)
    assert rejected(ready(line(compact_jws(valid())), by)) is Code.KEY_COMPROMISED


def revoked(issuer: str) -> Line:
    body = {
        "type": "completion.revoked",
        "timestamp": "2021-05-01T11:00:00+08:00",
        "data": {"issuer": issuer, "certificate_number": "N-1", "reason": "误发"},
    }
    return Line(7, encode(body))


def test_a_revocation_counts_by_the_operators_word_where_its_platform_may_speak() -> None:
    found = ready(revoked(ISSUER))
    assert found.prepared is not None
    assert isinstance(found.prepared.items[0], RevokedItem)
    assert rejected(ready(revoked("urn:test:stranger"))) is Code.ISSUER_UNKNOWN


def test_an_unknown_event_is_nobodys_word() -> None:
    body = {"type": "course.opened", "timestamp": "2021-05-01T11:00:00+08:00", "data": {}}
    assert rejected(ready(Line(1, encode(body)))) is Code.EVENT_UNKNOWN


# what became of it


def answer(*items: ItemOutcome, replayed: bool = False) -> DeliveryOutcome:
    return DeliveryOutcome(DeliveryId("import:x"), DeliveryState.ACCEPTED, items, replayed=replayed)


def item(state: ItemState, code: Code | None = None) -> ItemOutcome:
    return ItemOutcome("0", state, code)


def test_every_item_is_counted_once_and_what_was_answered_before_is_unchanged() -> None:
    rejected_lines = Readied(1, None, (Problem(1, Code.JSON_INVALID, "rejected"),))
    lines = [rejected_lines, *(Readied(number) for number in range(2, 9))]
    outcomes = {
        2: answer(item(ItemState.ACCEPTED), item(ItemState.RECORDED)),
        3: answer(item(ItemState.DUPLICATE)),
        4: answer(item(ItemState.IN_REVIEW, Code.COMPLETION_CONFLICT)),
        5: answer(item(ItemState.WAITING, Code.DOCUMENT_MISSING)),
        6: answer(item(ItemState.REFUSED, Code.NAME_INVALID)),
        7: answer(item(ItemState.ACCEPTED), replayed=True),
        8: answer(item(ItemState.REFUSED, Code.NAME_INVALID), replayed=True),
    }
    counts = counted(Counts(taken=10), lines, outcomes)
    assert counts == Counts(taken=12, unchanged=2, review=1, waiting=1, refused=2, rejected=1)
    assert not counts.clean
    assert Counts(taken=1, unchanged=1, review=1, waiting=1).clean
    said = [(one.line, one.state, one.code) for one in problems(lines, outcomes)]
    assert said == [
        (1, "rejected", Code.JSON_INVALID),
        (4, "in_review", Code.COMPLETION_CONFLICT),
        (5, "waiting", Code.DOCUMENT_MISSING),
        (6, "refused", Code.NAME_INVALID),
        (8, "refused", Code.NAME_INVALID),
    ]


def test_the_side_file_says_who_must_mend_what_in_both_languages_and_nothing_of_the_line() -> None:
    said = Problem(3, Code.NAME_INVALID, "refused", 2, "/items/1", 11, 4).members()
    explained = CATALOGUE[Code.NAME_INVALID]
    assert said == {
        "line": 3,
        "state": "refused",
        "code": "name_invalid",
        "item": 2,
        "pointer": "/items/1",
        "step": 11,
        "to_line": 4,
        "party": "platform",
        "zh": explained.zh,
        "en": explained.en,
    }
    assert "pointer" not in Problem(3, Code.NAME_INVALID, "refused").members()


def test_of_a_line_with_several_items_the_place_of_each_is_said() -> None:
    several = answer(item(ItemState.ACCEPTED), item(ItemState.REFUSED, Code.NAME_INVALID))
    assert [one.item for one in problems([Readied(1)], {1: several})] == [2]


def test_a_line_that_swallowed_others_reaches_to_the_last_of_them() -> None:
    assert ready(BadLine(3, Code.SCHEMA_INVALID, last=9)).last == 9


# adapters


@pytest.mark.parametrize(
    ("slug", "given"),
    [
        ("employment_training", {"cert_no": 7}),
        ("national_personnel", {"ZSBH": 7}),
        ("national_personnel", {"a b": "x"}),
        ("skill_master", {"statement": {}, "signature": 7}),
        ("skill_master", {"statement": 7}),
    ],
)
def test_what_a_body_could_not_hold_is_refused_before_it_is_read(slug: str, given: dict[str, Any]) -> None:
    adapter = named(ADAPTERS)[slug]
    assert isinstance(adapter, Importable)
    assert adapter.importing is not None
    with pytest.raises(AdapterError):
        adapter.importing.pack(encode(given), "x")


def tokens() -> DeclaredPlatform:
    """A platform whose body is a token, which says nothing without its proof."""
    said = {"scheme": "jws-body", "typ": "t", "time": "iat", "time_format": "epoch_seconds"}
    return declared({"delivery.id": "id", "authenticity": {**said, "tolerance_seconds": 60}})


def test_a_declared_platform_whose_body_is_no_json_cannot_be_imported() -> None:
    assert tokens().importing is None


def test_a_line_is_in_utf_8_whatever_charset_a_declared_platform_sends_in() -> None:
    form = declared({"charset": "gb18030"}).importing
    assert form is not None
    packed = form.pack(encode({"name": "䶮"}), "x")
    assert json.loads(packed.body.decode("gb18030")) == {"name": "䶮"}
    with pytest.raises(AdapterError):
        form.pack(b"\xff", "x")
    plain = BEARER.importing
    assert plain is not None
    assert plain.pack(b"{}", "x").body == b"{}"

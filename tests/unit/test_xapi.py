"""Signed xAPI statements: how a signature is found, and when a received statement is the signed one."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import AdapterError, Code
from verifier.signatures import xapi
from verifier.signatures.multipart import Part

TOKEN = b"aaa.bbb.ccc"
SHA = hashlib.sha256(TOKEN).hexdigest()
STATEMENTS = Part("application/json", "", is_binary=False, content=b"[]")


def attached(content: bytes = TOKEN, **changed: Any) -> Part:
    members: dict[str, Any] = {
        "content_type": "application/octet-stream",
        "content_hash": hashlib.sha256(content).hexdigest(),
        "is_binary": True,
        "content": content,
    }
    return Part(**(members | changed))


def described(**changed: Any) -> dict[str, Any]:
    return {
        "usageType": xapi.USAGE,
        "display": {"zh": "签名"},
        "contentType": "application/octet-stream",
        "length": len(TOKEN),
        "sha2": SHA,
    } | changed


# How they are packed


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
def test_attachments_are_found_by_their_digest(name: str) -> None:
    digest = hashlib.new(name, TOKEN).hexdigest()
    part = attached(content_hash=digest.upper())
    assert xapi.unpack([STATEMENTS, part]) == (b"[]", {digest: part})


def test_statements_without_attachments_are_statements() -> None:
    assert xapi.unpack([STATEMENTS]) == (b"[]", {})


@pytest.mark.parametrize("content_hash", ["0" * 64, "x", hashlib.sha1(TOKEN).hexdigest()])  # noqa: S324 - refused
def test_data_with_another_digest_than_it_declares_is_no_attachment(content_hash: str) -> None:
    assert xapi.unpack([STATEMENTS, attached(content_hash=content_hash)]) == (b"[]", {})


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", 'APPLICATION/JSON;charset="UTF-8"', "application/json"],
)
def test_the_first_part_is_json(content_type: str) -> None:
    assert xapi.unpack([Part(content_type, "", is_binary=True, content=b"{}")])[0] == b"{}"


@pytest.mark.parametrize(
    "parts",
    [
        [attached()],
        [Part("", "", is_binary=False, content=b"[]")],
        [Part("application/json; charset=gbk", "", is_binary=False, content=b"[]")],
        [Part("application/json", SHA, is_binary=False, content=b"[]")],
        [STATEMENTS, attached(is_binary=False)],
        [STATEMENTS, attached(content_hash="")],
    ],
)
def test_other_packages_cannot_be_read(parts: list[Part]) -> None:
    with pytest.raises(AdapterError) as refused:
        xapi.unpack(parts)
    assert refused.value.code is Code.DELIVERY_UNREADABLE


def signature(*attachments: Any, part: Part | None = None) -> str:
    found = part or attached()
    return xapi.signature_of({"attachments": list(attachments)}, {SHA: found}, "/3")


def test_the_signature_is_the_attachment_with_its_usage() -> None:
    other = described(usageType="http://id.tincanapi.com/attachment/certificate-of-completion", sha2="0" * 64)
    assert signature(other, described(sha2=SHA.upper())) == TOKEN.decode()
    assert signature(described(), part=attached(content_type="")) == TOKEN.decode()


def test_data_that_is_no_text_is_no_signature_and_no_error() -> None:
    assert signature(described(), part=attached(b"\xff.\xfe")) == "\ufffd.\ufffd"


@pytest.mark.parametrize(
    ("attachments", "part", "code", "pointer"),
    [
        ([], None, Code.FIELD_MISSING, "/3/attachments"),
        ([{}, 1, None, described(usageType="x")], None, Code.FIELD_MISSING, "/3/attachments"),
        ([described(), described()], None, Code.FIELD_INVALID, "/3/attachments"),
        ([{}, described(sha2="0" * 64)], None, Code.FIELD_MISSING, "/3/attachments/1/sha2"),
        ([described(sha2=7)], None, Code.FIELD_MISSING, "/3/attachments/0/sha2"),
        ([described(contentType="text/plain")], None, Code.FIELD_INVALID, "/3/attachments/0/contentType"),
        (
            [described()],
            attached(content_type="text/plain"),
            Code.FIELD_INVALID,
            "/3/attachments/0/contentType",
        ),
    ],
)
def test_a_statement_without_exactly_one_signature_says_where(
    attachments: list[Any], part: Part | None, code: Code, pointer: str
) -> None:
    with pytest.raises(AdapterError) as refused:
        signature(*attachments, part=part)
    assert (refused.value.code, refused.value.pointer) == (code, pointer)


@pytest.mark.parametrize("statement", [{}, {"attachments": None}, {"attachments": {"0": described()}}])
def test_a_statement_without_a_list_of_attachments_is_not_signed(statement: dict[str, Any]) -> None:
    with pytest.raises(AdapterError) as refused:
        xapi.signature_of(statement, {SHA: attached()}, "")
    assert (refused.value.code, refused.value.pointer) == (Code.FIELD_MISSING, "/attachments")


# When two say the same

AGENT = {"mbox": "mailto:li@Example.com", "name": "李"}
STATEMENT: dict[str, Any] = {
    "id": "33CFF416-e331-4c9d-969e-5373a1756120",
    "version": "1.0.3",
    "timestamp": "2021-03-15T18:30:00+08:00",
    "actor": {"objectType": "Agent", "account": {"homePage": "https://x.example", "name": "n"}},
    "verb": {"id": "http://adlnet.gov/expapi/verbs/completed", "display": {"zh": "完成"}},
    "object": {"id": "https://x.example/course/1", "definition": {"name": {"zh": "课程"}}},
    "result": {"completion": True, "score": {"raw": 90}, "duration": "PT1H"},
    "context": {
        "registration": "AAAAAAAA-0000-4000-8000-000000000000",
        "language": "zh-Hans",
        "instructor": AGENT,
        "team": {"objectType": "Group", "member": [AGENT, {"mbox": "mailto:b@x.example"}]},
        "statement": {"objectType": "StatementRef", "id": "BBBBBBBB-0000-4000-8000-000000000000"},
        "contextActivities": {
            "grouping": [{"id": "https://x.example/g", "definition": {"type": "t"}}],
            "parent": {"id": "https://x.example/p", "definition": {"type": "t"}},
        },
    },
}


def changed(**members: Any) -> dict[str, Any]:
    """The statement with members replaced; a name with ``__`` goes deeper, ``...`` removes."""
    made = copy.deepcopy(STATEMENT)
    for path, value in members.items():
        *way, last = path.split("__")
        place = made
        for name in way:
            place = place[name]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return made


SAME: dict[str, dict[str, Any]] = {
    "itself": {},
    "authority and stored": {"authority": AGENT, "stored": "2021-03-15T10:30:01Z"},
    "no id": {"id": ...},
    "no version": {"version": ...},
    "no timestamp": {"timestamp": ...},
    "id in other case": {"id": "33cff416-E331-4c9d-969e-5373a1756120"},
    "the same moment": {"timestamp": "2021-03-15T10:30:00.000Z"},
    "an attachment": {"attachments": [described()]},
    "another display": {"verb__display": {"en": "completed"}},
    "no display": {"verb__display": ...},
    "another definition": {"object__definition": {"name": {"en": "course"}}},
    "no definition": {"object__definition": ...},
    "activities without definition": {
        "context__contextActivities": {
            "grouping": [{"id": "https://x.example/g"}],
            "parent": {"id": "https://x.example/p"},
        }
    },
    "registration in other case": {"context__registration": "aaaaaaaa-0000-4000-8000-000000000000"},
    "language in other case": {"context__language": "zh-hans"},
    "reference in other case": {"context__statement__id": "bbbbbbbb-0000-4000-8000-000000000000"},
    "domain in other case": {"context__instructor__mbox": "mailto:li@example.COM"},
    "members in other order": {
        "context__team__member": [
            {"mbox": "mailto:b@X.example"},
            {"mbox": "mailto:li@example.com", "name": "李"},
        ]
    },
    "a number in other form": {"result__score__raw": 90.0},
}
OTHER: dict[str, dict[str, Any]] = {
    "another id": {"id": "33cff416-e331-4c9d-969e-5373a1756121"},
    "another version": {"version": "1.0.2"},
    "another moment": {"timestamp": "2021-03-15T18:30:01+08:00"},
    "another learner": {"actor__account__name": "m"},
    "another verb": {"verb__id": "http://adlnet.gov/expapi/verbs/attempted"},
    "another course": {"object__id": "https://x.example/course/2"},
    "the course's kind spelled out": {"object__objectType": "Activity"},
    "another score": {"result__score__raw": 91},
    "true for one": {"result__completion": 1},
    "a number as text": {"result__score__raw": "90"},
    "another form of the duration": {"result__duration": "PT60M"},
    "no result": {"result": ...},
    "something more": {"result__extensions": {"https://x.example/e": 1}},
    "another registration": {"context__registration": "aaaaaaaa-0000-4000-8000-000000000001"},
    "another instructor": {"context__instructor__mbox": "mailto:LI@example.com"},
    "one member less": {"context__team__member": [AGENT]},
    "another group": {"context__contextActivities": {"grouping": [{"id": "https://x.example/h"}]}},
    "one activity in a list": {
        "context__contextActivities__parent": [{"id": "https://x.example/p"}],
    },
}


@pytest.mark.parametrize("members", SAME.values(), ids=SAME.keys())
def test_what_a_record_store_may_change_changes_nothing(members: dict[str, Any]) -> None:
    assert xapi.equivalent(STATEMENT, changed(**members))
    assert xapi.equivalent(changed(**members), STATEMENT)


@pytest.mark.parametrize("members", OTHER.values(), ids=OTHER.keys())
def test_whatever_else_differs_is_another_statement(members: dict[str, Any]) -> None:
    assert not xapi.equivalent(STATEMENT, changed(**members))
    assert not xapi.equivalent(changed(**members), STATEMENT)


SUB = {
    "objectType": "SubStatement",
    "actor": AGENT,
    "verb": STATEMENT["verb"],
    "object": STATEMENT["object"],
    "timestamp": "2021-03-15T18:30:00+08:00",
}


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (SUB, {**SUB, "verb": {"id": STATEMENT["verb"]["id"]}, "timestamp": "2021-03-15T10:30:00Z"}, True),
        (SUB, {**SUB, "timestamp": "2021-03-15T10:30:01Z"}, False),
        (SUB, {name: value for name, value in SUB.items() if name != "timestamp"}, False),
        (SUB, {**SUB, "object": {"id": "https://x.example/course/2"}}, False),
        ({"objectType": "StatementRef", "id": "A" * 8}, {"objectType": "StatementRef", "id": "a" * 8}, False),
        (
            {"objectType": "StatementRef", "id": "AAAAAAAA-0000-4000-8000-000000000000"},
            {"objectType": "StatementRef", "id": "aaaaaaaa-0000-4000-8000-000000000000"},
            True,
        ),
        (
            {"objectType": "Agent", "mbox": "mailto:x@Y.example"},
            {"objectType": "Agent", "mbox": "mailto:x@y.example"},
            True,
        ),
        ({"objectType": "Agent", "definition": 1}, {"objectType": "Agent"}, False),
        ({"objectType": "Group", "member": [1, 2]}, {"objectType": "Group", "member": [2, 1]}, True),
        ({"objectType": "Group", "member": [1, 1]}, {"objectType": "Group", "member": [1]}, False),
    ],
)
def test_other_kinds_of_objects_have_their_own_rules(one: Any, two: Any, same: bool) -> None:  # noqa: FBT001 - a case
    assert xapi.equivalent(changed(object=one), changed(object=two)) is same


def test_members_of_any_type_are_compared() -> None:
    for value in (None, 1, "x", [1]):
        assert xapi.equivalent(changed(actor=value, context=value), changed(actor=value, context=value))
        assert not xapi.equivalent(changed(actor=value), changed())
        assert not xapi.equivalent(changed(context__instructor={"mbox": value}), changed())
        assert not xapi.equivalent(changed(context__contextActivities=value), changed())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(st.characters(codec="utf-8"), max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["actor", "verb", "object", "context", "member", "mbox", "objectType", "id"])
            | st.sampled_from(["contextActivities", "statement", "timestamp", "definition", "attachments"]),
            inner | st.sampled_from(["SubStatement", "StatementRef", "Agent", "Group"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_statement_is_compared_without_an_error_and_equals_itself(value: Any) -> None:
    statement = value if isinstance(value, dict) else {"object": value, "actor": value, "context": value}
    assert xapi.equivalent(statement, copy.deepcopy(statement))
    assert not xapi.equivalent(statement, {**statement, "more": 1})


@given(JSON, JSON)
def test_what_an_id_stands_for_is_equal_for_equivalent_statements_alone(one: Any, two: Any) -> None:
    first, second = ({"object": value, "timestamp": "2021-03-01T12:00:00+08:00"} for value in (one, two))
    assert (xapi.comparable(first) == xapi.comparable(second)) is xapi.equivalent(first, second)


def test_what_an_id_stands_for_has_a_moment_and_not_its_id() -> None:
    statement = changed(timestamp="2021-03-01T12:00:00+08:00")
    same = {"id": "x", "timestamp": "2021-03-01T04:00:00Z", "stored": "x", "version": "1.0.0"}
    for name, value in same.items():
        assert xapi.comparable({**statement, name: value}) == xapi.comparable(statement), name
    assert xapi.comparable({**statement, "timestamp": "2021-03-01T04:00:01Z"}) != xapi.comparable(statement)
    assert xapi.comparable({**statement, "more": 1}) != xapi.comparable(statement)


@pytest.mark.parametrize("listed", [None, "x", [], {}, [None], [{"usageType": "http://x.example"}]])
def test_a_statement_is_signed_if_it_says_so(listed: Any) -> None:
    assert not xapi.is_signed({"attachments": listed})
    assert xapi.is_signed({"attachments": [*(listed if isinstance(listed, list) else []), described()]})


@given(JSON)
def test_any_list_of_attachments_is_looked_through_without_another_error(value: Any) -> None:
    with pytest.raises(AdapterError):
        xapi.signature_of({"attachments": value}, {}, "")

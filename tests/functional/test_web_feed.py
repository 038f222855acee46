from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tests.functional.web_fakes import (
    CHECKPOINT_KEY,
    DISCLOSURES,
    NOW,
    OFFICE,
    OTHER_OFFICE,
    USCC,
    Web,
    assert_problem,
    entry,
    serving,
)
from verifier.claims import Asked
from verifier.errors import Code, Conflict, Unavailable
from verifier.ledger import parse_checkpoint, verify_note
from verifier.merkle import Frontier, leaf_hash, verify_consistency
from verifier.model.facts import FactId, FactKind
from verifier.model.person import LearnerId
from verifier.model.standards import Payee
from verifier.model.time import iso
from verifier.ports.reading import Explanation, FactSource
from verifier.signatures import sdjwt
from verifier.totals import By

CLAIM = "/v1/records/rec-1/claim"
REFERENCE = b'{"payment_reference":"2021-07-0001"}'
PAID = b'{"payment_reference":"2021-07-0001","reason":"x"}'


@pytest.fixture
async def served() -> AsyncIterator[Web]:
    async with serving() as made:
        made.reading.publish()
        yield made


async def pull(served: Web, query: str = "", *, client: str = "sub") -> dict[str, Any]:
    status, _, body = await served.call("GET", f"/v1/feed{query}", client=client)
    assert status == 200
    answer: dict[str, Any] = json.loads(body)
    return answer


async def test_a_subsidy_system_sees_its_offices_entries_and_hashes_of_the_others(served: Web) -> None:
    answer = await pull(served)
    assert (answer["next"], answer["size"]) == (4, 5)
    assert [one["index"] for one in answer["entries"]] == [0, 1, 2, 3, 4]
    for one, stored in zip(answer["entries"], served.reading.entries, strict=True):
        assert one["leaf_hash"] == leaf_hash(stored.body).hex()
    shown = {one["index"]: one for one in answer["entries"] if "body" in one}
    # 2 is another office's; 4 concerns nobody's office and is no kind for all.
    assert set(shown) == {0, 1, 3}
    assert set(answer["entries"][2]) == set(answer["entries"][4]) == {"index", "leaf_hash"}
    for index, one in shown.items():
        raw = served.reading.entries[index].body
        assert base64.b64decode(one["body_b64"]) == raw
        assert (one["body"], one["kind"]) == (json.loads(raw), served.reading.entries[index].kind)
    assert shown[1]["record"] == {"id": "rec-1", "sd_jwt": served.reading.records["rec-1"].sd_jwt}
    assert "record" not in shown[3]


async def test_what_is_disclosed_is_recorded_first(served: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    await pull(served)
    assert served.disclosed == [({"learner-rec-1"}, "sub", "subsidy", "feed")]
    await served.call("GET", "/v1/records/rec-1", client="sub")
    assert served.disclosed[1:] == [({"learner-rec-1"}, "sub", "subsidy", "record")]

    async def fails(*_: object) -> None:
        raise Unavailable(Code.STORE_UNAVAILABLE)

    monkeypatch.setattr(Web, "disclose", fails)
    async with serving() as other:
        other.reading.publish()
        status, _, body = await other.call("GET", "/v1/feed", client="sub")
        assert status == 503
        assert DISCLOSURES[0].encode() not in body


async def test_an_auditor_sees_every_body_and_no_disclosure(served: Web) -> None:
    answer = await pull(served, client="aud")
    assert all("body" in one for one in answer["entries"])
    for one in answer["entries"][1:3]:
        stored = served.reading.records[one["record"]["id"]].sd_jwt
        assert one["record"]["sd_jwt"] == sdjwt.redact(stored, ()) == stored.split("~")[0] + "~"
    assert not any(disclosure in json.dumps(answer) for disclosure in DISCLOSURES)
    assert served.disclosed == []


async def test_what_belongs_to_no_office_is_shown_only_where_its_kind_is_for_all(served: Web) -> None:
    served.reading.entries.append(entry(5, "evidence", ""))
    served.reading.publish()
    answer = await pull(served, "?after=2")
    assert [one["index"] for one in answer["entries"] if "body" in one] == [3, 5]


@pytest.mark.parametrize(
    ("query", "indices", "last"),
    [
        ("?after=-1&limit=2", [0, 1], 1),
        ("?after=1&limit=1", [2], 2),
        ("?after=3", [4], 4),
        ("?after=4", [], 4),
    ],
)
async def test_pages_join_without_gap_and_next_is_the_last_index_scanned(
    served: Web, query: str, indices: list[int], last: int
) -> None:
    answer = await pull(served, query)
    assert ([one["index"] for one in answer["entries"]], answer["next"]) == (indices, last)


async def test_ndjson_is_the_same_line_by_line(served: Web) -> None:
    served.reading.entries = [entry(index, "evidence", "") for index in range(120)]
    served.reading.publish()
    status, headers, body = await served.call(
        "GET", "/v1/feed?limit=120", client="sub", headers={"Accept": "application/x-ndjson"}
    )
    assert (status, headers["Content-Type"]) == (200, "application/x-ndjson")
    lines = [json.loads(line) for line in body.decode().splitlines()]
    assert body.endswith(b"\n")
    whole = await pull(served, "?limit=120")
    assert lines[:-1] == whole.pop("entries")
    assert lines[-1] == whole
    assert (whole["next"], whole["size"], whole["proof"]) == (119, 120, [])
    assert whole["checkpoint"].encode() == served.reading.note


@pytest.mark.parametrize("in_lines", [False, True])
@pytest.mark.parametrize(("after", "limit"), [(-1, 1), (-1, 2), (0, 3), (2, 1), (3, 1), (4, 1)])
async def test_every_answer_is_proven_by_itself(
    served: Web, after: int, limit: int, *, in_lines: bool
) -> None:
    headers = {"Accept": "application/x-ndjson"} if in_lines else {}
    query = f"?after={after}&limit={limit}"
    _, _, body = await served.call("GET", f"/v1/feed{query}", client="sub", headers=headers)
    end = json.loads(body.splitlines()[-1])
    assert end["next"] == min(after + limit, 4)
    known = [one.leaf_hash for one in served.reading.entries[: end["next"] + 1]]
    edge, _ = Frontier().append(known)
    note = verify_note(end["checkpoint"].encode(), {"log.example": CHECKPOINT_KEY.public_key()})
    checkpoint = parse_checkpoint(note)
    assert checkpoint.size == end["size"] == 5
    proof = [bytes.fromhex(step) for step in end["proof"]]
    verify_consistency(edge.size, checkpoint.size, edge.root(), checkpoint.root, proof)


@pytest.mark.parametrize("after", [5, 900, 10**15 - 1])
@pytest.mark.parametrize("query", ["", "&wait=30", "&limit=1000"])
async def test_a_cursor_beyond_the_ledger_is_told_so_and_never_answered_with_an_empty_page(
    served: Web, after: int, query: str
) -> None:
    status, headers, body = await served.call("GET", f"/v1/feed?after={after}{query}", client="sub")
    problem = assert_problem(status, headers, body, Code.CURSOR_AHEAD)
    assert (status, problem["pointer"], served.disclosed) == (409, "?after", [])


async def test_an_empty_ledger_has_an_empty_feed(served: Web) -> None:
    served.reading.entries, served.reading.note = [], b""
    assert await pull(served) == {"entries": [], "next": -1, "size": 0, "checkpoint": "", "proof": []}
    status, _, _ = await served.call("GET", "/v1/feed?after=0", client="sub")
    assert status == 409


@pytest.mark.parametrize(
    ("client", "query", "shown"),
    [
        ("sub", "?kinds=record", {1}),
        ("sub", "?kinds=claim,adoption", {0, 3}),
        ("sub", f"?offices={OFFICE}", {0, 1, 3}),
        ("sub", f"?kinds=claim&offices={OFFICE}", {3}),
        ("aud", "?kinds=record", {1, 2}),
        ("aud", f"?offices={OTHER_OFFICE}", {0, 2, 4}),
        ("aud", "?kinds=clawback", {4}),
        ("aud", "?offices=nowhere&kinds=record", set()),
    ],
)
async def test_a_call_may_ask_for_less_and_sees_the_rest_as_hashes(
    served: Web, client: str, query: str, shown: set[int]
) -> None:
    entries = (await pull(served, query, client=client))["entries"]
    assert [one["index"] for one in entries] == [0, 1, 2, 3, 4]
    assert {one["index"] for one in entries if "body" in one} == shown
    assert all(set(one) == {"index", "leaf_hash"} for one in entries if one["index"] not in shown)
    told = [({"learner-rec-1"}, "sub", "subsidy", "feed")]
    assert served.disclosed == (told if client == "sub" and 1 in shown else [])


async def test_a_registration_may_leave_a_client_fewer_kinds(served: Web) -> None:
    whole = served.reading.clients["sub"]
    served.reading.clients["sub"] = replace(whole, kinds=frozenset({"claim", "clawback"}))
    entries = (await pull(served))["entries"]
    assert {one["index"] for one in entries if "body" in one} == {3}
    for path in ("rec-1", "rec-1/explanation"):
        status, _, _ = await served.call("GET", f"/v1/records/{path}", client="sub")
        assert status == 404
    assert served.disclosed == []
    status, got, body = await served.call("GET", "/v1/feed?kinds=record", client="sub")
    assert assert_problem(status, got, body, Code.SCOPE_INSUFFICIENT)["pointer"] == "?kinds"


@pytest.mark.parametrize(
    ("query", "code", "pointer"),
    [
        ("?kinds=recrod", Code.SCHEMA_INVALID, "?kinds"),
        ("?kinds=record,,claim", Code.SCHEMA_INVALID, "?kinds"),
        ("?kinds=record&kinds=claim", Code.SCHEMA_INVALID, "?kinds"),
        ("?kinds=" + "record," * 64 + "claim", Code.SCHEMA_INVALID, "?kinds"),
        ("?offices=%27", Code.SCHEMA_INVALID, "?offices"),
        (f"?offices={OFFICE},{OTHER_OFFICE}", Code.SCOPE_INSUFFICIENT, "?offices"),
        ("?after=1&after=1", Code.SCHEMA_INVALID, "?after"),
        ("?after=1&after=2", Code.SCHEMA_INVALID, "?after"),
        ("?after=%EF%BC%91", Code.SCHEMA_INVALID, "?after"),
        ("?after=+1", Code.SCHEMA_INVALID, "?after"),
        ("?after=-0", Code.SCHEMA_INVALID, "?after"),
        ("?after=1.0", Code.SCHEMA_INVALID, "?after"),
        ("?after=", Code.SCHEMA_INVALID, "?after"),
        ("?wait=31", Code.SCHEMA_INVALID, "?wait"),
        ("?wait=-1", Code.SCHEMA_INVALID, "?wait"),
        ("?limit=1001", Code.SCHEMA_INVALID, "?limit"),
        ("?limit=100001", Code.SCHEMA_INVALID, "?limit"),
        ("?cursor=1", Code.SCHEMA_INVALID, "?"),
    ],
)
async def test_a_forged_cursor_or_scope_is_a_clear_problem_and_changes_nothing(
    served: Web, query: str, code: Code, pointer: str
) -> None:
    status, got, body = await served.call("GET", f"/v1/feed{query}", client="sub")
    assert assert_problem(status, got, body, code)["pointer"] == pointer
    assert (served.disclosed, served.reading.pages) == ([], [])


@pytest.mark.parametrize(
    "query",
    ["?after=-2", "?after=1e3", "?limit=1001", "?limit=0", "?after=--1", "?after=01", "?after=" + "9" * 400],
)
async def test_attack_60_a_number_out_of_form_or_range_is_refused(served: Web, query: str) -> None:
    status, headers, body = await served.call("GET", f"/v1/feed{query}", client="sub")
    assert status == 422
    assert_problem(status, headers, body, Code.SCHEMA_INVALID)


async def test_a_record_is_shown_whole_to_its_office(served: Web) -> None:
    status, _, body = await served.call("GET", "/v1/records/rec-1", client="sub")
    assert status == 200
    assert json.loads(body) == {
        "id": "rec-1",
        "kind": "granted",
        "index": 1,
        "office": OFFICE,
        "month": "2021-06",
        "current": True,
        "sd_jwt": served.reading.records["rec-1"].sd_jwt,
    }


def explanation(record_id: str) -> Explanation:
    pins = {"policy": "online-training-month@3"}
    trace = {"state": "granted", "month": "2021-06-01", "candidate": {}, "clauses": [], "not_evaluated": []}
    fact = FactSource(FactId("f1"), FactKind.SCOPE, "declaration", "acme", NOW, {"uscc": USCC, "end": None})
    return Explanation(
        "dec-1", LearnerId("learner-1"), 2, "granted", NOW, {**trace, "pins": pins}, [record_id], [fact]
    )


@pytest.mark.parametrize(("client", "record_id"), [("sub", "rec-1"), ("aud", "rec-1"), ("aud", "rec-2")])
async def test_whoever_sees_a_record_is_told_why_and_the_telling_is_recorded(
    served: Web, client: str, record_id: str
) -> None:
    served.reading.explained = {record_id: explanation(record_id)}
    status, _, body = await served.call("GET", f"/v1/records/{record_id}/explanation", client=client)
    said = json.loads(body)
    assert (status, said["decision"], said["revision"], said["records"]) == (200, "dec-1", 2, [record_id])
    assert said["facts"] == [
        {
            "fact": "f1", "kind": "scope", "source": "declaration:acme", "recorded_at": iso(NOW),
            "uscc": USCC,
        }
    ]  # fmt: skip
    assert said["explanation"][-1] == f"· 扩大范围声明 f1：{USCC}；来源 declaration:acme，录入 {iso(NOW)}"
    role = {"sub": "subsidy", "aud": "auditor"}[client]
    assert served.disclosed == [({"learner-1"}, client, role, "explanation")]


@pytest.mark.parametrize(("client", "record_id"), [("sub", "rec-2"), ("sub", "rec-9"), ("aud", "rec-9")])
async def test_another_offices_explanation_and_none_are_the_same(
    served: Web, client: str, record_id: str
) -> None:
    served.reading.explained = {"rec-2": explanation("rec-2")}
    status, got, body = await served.call("GET", f"/v1/records/{record_id}/explanation", client=client)
    assert_problem(status, got, body, Code.NOT_FOUND)
    assert served.disclosed == []


@pytest.mark.parametrize("record_id", ["rec-2", "rec-9", "%27%3B--", "%00", "..%2Frec-1", "r" * 65, "é"])
@pytest.mark.parametrize("suffix", ["", "/claim", "/claim/paid", "/claim/release", "/claim/returned"])
async def test_another_offices_record_and_none_are_the_same(served: Web, record_id: str, suffix: str) -> None:
    method, body = ("POST", REFERENCE) if suffix else ("GET", None)
    headers = {"Content-Type": "application/json"}
    status, got, answer = await served.call(
        method, f"/v1/records/{record_id}{suffix}", client="sub", data=body, headers=headers
    )
    assert status == 404
    problem = assert_problem(status, got, answer, Code.NOT_FOUND)
    assert (problem["reason"], problem["pointer"]) == ("", "")
    assert (served.claims.calls, served.disclosed) == ([], [])


async def test_a_claim_names_the_payment(served: Web) -> None:
    status, answer = await served.post_json(CLAIM, REFERENCE, client="sub")
    assert (status, answer) == (200, {"state": "claim"})
    assert served.claims.calls == [("claim", "sub", "rec-1", Asked("2021-07-0001"))]


@pytest.mark.parametrize("step", ["release", "paid", "returned"])
async def test_what_follows_a_claim_names_its_payment_and_a_reason(served: Web, step: str) -> None:
    body = '{"payment_reference":"p","reason":"更正"}'.encode()
    status, answer = await served.post_json(f"{CLAIM}/{step}", body, client="sub")
    assert (status, answer) == (200, {"state": step})
    assert served.claims.calls == [(step, "sub", "rec-1", "p", "更正")]


async def test_a_claim_may_say_its_payee_and_its_account_month(served: Web) -> None:
    body = b'{"payment_reference":"p","payee":"dispatcher","settled_in":"2021-04"}'
    assert (await served.post_json(CLAIM, body, client="sub"))[0] == 200
    assert served.claims.calls == [("claim", "sub", "rec-1", Asked("p", Payee.DISPATCHER, date(2021, 4, 1)))]


@pytest.mark.parametrize(
    "member",
    [
        '"payee":"bank"',
        '"payee":null',
        '"settled_in":"2021-13"',
        '"settled_in":"2021-04\\n"',
        '"settled_in":202104',
        '"settled_in":"2021-4"',
    ],
)
async def test_a_claims_nonsense_is_refused(served: Web, member: str) -> None:
    body = f'{{"payment_reference":"p",{member}}}'.encode()
    status, answer = await served.post_json(CLAIM, body, client="sub")
    assert (status, answer["code"]) == (422, "schema_invalid")
    assert served.claims.calls == []


async def test_a_step_without_its_payment_reference_is_refused(served: Web) -> None:
    status, answer = await served.post_json(f"{CLAIM}/paid", b'{"reason":"x"}', client="sub")
    assert (status, answer["code"]) == (422, "schema_invalid")


async def test_what_is_recorded_is_answered_to_whom_it_belongs(served: Web) -> None:
    served.claims.error = Conflict(Code.CLAIM_DIFFERS, "other", recorded={"claim": "c-1"})
    status, answer = await served.post_json(CLAIM, REFERENCE, client="sub")
    assert (status, answer["recorded"]) == (409, {"claim": "c-1"})


async def test_totals_are_asked_for_by_month_and_office(served: Web) -> None:
    for client in ("sub", "aud"):
        status, _, _ = await served.call("GET", "/v1/totals?month=2021-03&office=652301", client=client)
        assert status == 200
    query = "month=2021-03&office=652301&by=account&entitlement=skill-upgrade"
    assert (await served.call("GET", f"/v1/totals?{query}", client="sub"))[0] == 200
    month = date(2021, 3, 1)
    assert served.claims.calls == [
        ("totals", "sub", "652301", month, By.SUBSIDY, ""),
        ("totals", "aud", "652301", month, By.SUBSIDY, ""),
        ("totals", "sub", "652301", month, By.ACCOUNT, "skill-upgrade"),
    ]


@pytest.mark.parametrize(
    "query", ["", "month=2021-03", "office=1", "month=2021-3&office=1", "month=2021-03%0A&office=1",
              "month=2021-03&office=1&by=year", "month=2021-03&office=1&x=1", "month=9999-03&office=1"]
)  # fmt: skip
async def test_totals_of_nonsense_are_refused(served: Web, query: str) -> None:
    status, got, body = await served.call("GET", f"/v1/totals?{query}", client="sub")
    assert status == 422
    assert_problem(status, got, body, Code.SCHEMA_INVALID)


async def test_a_step_that_there_is_not_is_not_found(served: Web) -> None:
    assert (await served.post_json(f"{CLAIM}/double", b"{}", client="sub"))[0] == 404


async def test_attack_83_a_claim_out_of_order_is_a_conflict(served: Web) -> None:
    served.claims.error = Conflict(Code.CLAIM_STATE_REFUSED, "no claim")
    status, answer = await served.post_json(f"{CLAIM}/paid", PAID, client="sub")
    assert (status, answer["code"], answer["reason"]) == (409, "claim_state_refused", "no claim")


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE claims;--",
        "*)(uid=*",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "%s{0.__class__}",
        "=cmd|'/c'!A1",
        "a\nb",
    ],
)
async def test_attack_68_any_text_is_passed_on_as_text(served: Web, text: str) -> None:
    body = json.dumps({"payment_reference": text}).encode()
    assert (await served.post_json(CLAIM, body, client="sub"))[0] == 200
    assert served.claims.calls == [("claim", "sub", "rec-1", Asked(text))]


NOT_JSON = {
    "59-doubled": b'{"payment_reference":"a","payment_reference":"b"}',
    "59-escaped": b'{"payment_reference":"a","payment\\u005freference":"b"}',
    "59-case": b'{"payment_reference":"a","Payment_Reference":"b"}',
    "59-nfkc": '{"payment_reference":"a","ｐayment_reference":"b"}'.encode(),
    "60-nan": b'{"payment_reference":NaN}',
    "60-infinity": b'{"payment_reference":-Infinity}',
    "60-1e999": b'{"payment_reference":1e999}',
    "60-minus-zero": b'{"payment_reference":-0}',
    "60-tiny": b'{"payment_reference":0.1e-400}',
    "60-2^53+1": b'{"payment_reference":9007199254740993}',
    "60-10^400": b'{"payment_reference":1' + b"0" * 400 + b"}",
    "61-arrays": b"[" * 100_000,
    "61-objects": b'{"a":' * 100_000,
    "61-deep": b"[" * 17 + b"]" * 17,
    "62-surrogate": b'{"payment_reference":"\\ud800"}',
    "62-nul": b'{"payment_reference":"\\u0000"}',
    "62-c1": '{"payment_reference":"\x85"}'.encode(),
    "62-bom": b"\xef\xbb\xbf" + REFERENCE,
    "62-overlong": b'{"payment_reference":"\xc0\xaf"}',
    "62-utf-16": REFERENCE.decode().encode("utf-16"),
    "62-utf-32": REFERENCE.decode().encode("utf-32"),
    "63-trailing": REFERENCE + b"x",
    "63-second": REFERENCE + REFERENCE,
    "63-comment": b"/* */" + REFERENCE,
    "63-single-quotes": b"{'payment_reference':'a'}",
    "empty": b"",
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
async def test_attack_on_json_is_refused(served: Web, body: bytes) -> None:
    status, answer = await served.post_json(CLAIM, body, client="sub")
    assert (status, answer["code"]) == (400, "json_invalid")
    assert served.claims.calls == []


NOT_OF_THE_SHAPE = {
    "64-number": (b'{"payment_reference":1}', "/payment_reference"),
    "64-true": (b'{"payment_reference":true}', "/payment_reference"),
    "64-list": (b'{"payment_reference":["a"]}', "/payment_reference"),
    "64-null": (b'{"payment_reference":null}', "/payment_reference"),
    "64-empty": (b'{"payment_reference":""}', "/payment_reference"),
    "64-long": (b'{"payment_reference":"' + b"x" * 129 + b'"}', "/payment_reference"),
    "64-missing": (b"{}", ""),
    "64-no-object": (b'["secret"]', ""),
    "65-verified": (b'{"payment_reference":"a","verified":true}', ""),
    "65-status": (b'{"payment_reference":"a","status":"paid"}', ""),
    "65-tenant": (b'{"payment_reference":"a","secret":"x"}', ""),
}


@pytest.mark.parametrize(("body", "pointer"), NOT_OF_THE_SHAPE.values(), ids=NOT_OF_THE_SHAPE.keys())
async def test_attack_on_types_is_refused_without_echo(served: Web, body: bytes, pointer: str) -> None:
    status, answer = await served.post_json(CLAIM, body, client="sub")
    assert (status, answer["code"], answer["pointer"]) == (422, "schema_invalid", pointer)
    assert "secret" not in json.dumps(answer)
    assert served.claims.calls == []

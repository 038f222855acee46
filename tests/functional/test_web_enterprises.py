from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tests.functional.web_fakes import ANSWER_KEY, ISSUER, NOW, USCC, Web, assert_problem, serving
from verifier import roster_template
from verifier.errors import Code, IdentityRejected, VerifierError
from verifier.signatures import jws
from verifier.web import enterprises
from verifier.web.enterprises import XLSX

ROSTER = f"/v1/enterprises/{USCC}/roster"
STATUS = f"/v1/enterprises/{USCC}/status"
SCOPE = f"/v1/enterprises/{USCC}/scope-declarations"
JSON = {"Content-Type": "application/json"}
ROWS = '[{"姓名":"阿依古丽"}]'.encode()


@pytest.fixture
async def served() -> AsyncIterator[Web]:
    async with serving() as made:
        yield made


@pytest.mark.parametrize(
    ("content_type", "query", "expected"),
    [
        ("application/json", "", ("application/json", False)),
        ("application/json; charset=utf-8", "?partial=0", ("application/json", False)),
        ("TEXT/CSV;charset=UTF-8", "?partial=1", ("text/csv", True)),
        (XLSX, "", (XLSX, False)),
    ],
)
async def test_a_roster_reaches_the_service_as_it_came(
    served: Web, content_type: str, query: str, expected: tuple[str, bool]
) -> None:
    status, _, body = await served.call(
        "PUT", ROSTER + query, client="ent", data=ROWS, headers={"Content-Type": content_type}
    )
    assert (status, json.loads(body)) == (200, {"done": "roster", "名": "好"})
    assert served.enterprises.calls == [("roster", "ent", USCC, ROWS, *expected)]


async def test_a_declaration_of_scope_reaches_the_service(served: Web) -> None:
    status, _, body = await served.call("POST", SCOPE, client="ent", data=ROWS, headers=JSON)
    assert (status, json.loads(body)["done"]) == (200, "scope")
    assert served.enterprises.calls == [("scope", "ent", USCC, ROWS)]


async def test_the_status_is_answered_as_json(served: Web) -> None:
    status, headers, body = await served.call("POST", STATUS, client="ent", data=ROWS, headers=JSON)
    assert (status, headers["Content-Type"], json.loads(body)["done"]) == (200, "application/json", "status")
    assert headers["Cache-Control"] == "no-store"


async def test_the_status_is_asked_for_under_one_entitlement(served: Web) -> None:
    path = f"{STATUS}?entitlement=skill-upgrade"
    status, _, _ = await served.call("POST", path, client="ent", data=ROWS, headers=JSON)
    assert status == 200
    assert served.enterprises.calls == [("status", "ent", USCC, ROWS, "skill-upgrade")]
    for wrong in ("", "Skill", "a b", "a&entitlement=b"):
        status, headers, body = await served.call(
            "POST", f"{STATUS}?entitlement={wrong}", client="ent", data=ROWS, headers=JSON
        )
        assert_problem(status, headers, body, Code.SCHEMA_INVALID)
        assert status == 422


async def test_a_long_status_is_sent_in_pieces_and_is_the_same(
    served: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole, body = await served.call("POST", STATUS, client="ent", data=ROWS, headers=JSON)
    monkeypatch.setattr(enterprises, "WHOLE_BYTES", 4)
    status, headers, again = await served.call("POST", STATUS, client="ent", data=ROWS, headers=JSON)
    assert (status, again) == (200, body)
    told = ("Content-Type", "Content-Length", "Cache-Control", "X-Content-Type-Options", "Server")
    assert [headers[name] for name in told] == [whole[name] for name in told]
    assert "Transfer-Encoding" not in headers


@pytest.mark.parametrize("accept", ["application/jwt", "text/html, APPLICATION/JWT;q=0.9"])
async def test_the_same_status_is_signed_on_request(served: Web, accept: str) -> None:
    status, headers, body = await served.call(
        "POST", STATUS, client="ent", data=ROWS, headers={**JSON, "Accept": accept}
    )
    assert (status, headers["Content-Type"]) == (200, "application/jwt")
    token = jws.parse_compact(body.decode())
    assert token.typ == "status-answer+jwt"
    assert json.loads(jws.verify(token, ANSWER_KEY.verification_key)) == {
        "iss": ISSUER,
        "aud": "ent",
        "iat": int(NOW.timestamp()),
        "jti": headers["Request-Id"],
        "answer": {"done": "status", "名": "好"},
    }


@pytest.mark.parametrize("uscc", ["91650200MA0000000X", "none", USCC.lower(), "%00", "x" * 200])
@pytest.mark.parametrize(
    ("method", "call"), [("PUT", "roster"), ("POST", "status"), ("POST", "scope-declarations")]
)
async def test_attack_78_another_enterprise_and_none_are_the_same(
    served: Web, method: str, call: str, uscc: str
) -> None:
    path = f"/v1/enterprises/{uscc}/{call}"
    status, headers, body = await served.call(method, path, client="ent", data=ROWS, headers=JSON)
    assert status == 404
    problem = assert_problem(status, headers, body, Code.NOT_FOUND)
    assert (problem["reason"], problem["pointer"]) == ("", "")
    assert served.enterprises.calls == []


async def test_an_enterprise_withdrawn_from_the_client_is_gone_at_once(served: Web) -> None:
    known = served.reading.clients["ent"]
    served.reading.clients["ent"] = replace(known, enterprises=frozenset())
    status, _, _ = await served.call("POST", STATUS, client="ent", data=ROWS, headers=JSON)
    assert status == 404


@pytest.mark.parametrize(
    ("method", "path", "content_type"),
    [
        ("PUT", ROSTER, "text/plain"),
        ("PUT", ROSTER, "multipart/form-data; boundary=x"),
        ("PUT", ROSTER, "application/json; charset=utf-16"),
        ("PUT", ROSTER, "application/json; version=1"),
        ("POST", STATUS, "text/csv"),
        ("POST", STATUS, "application/json; charset=utf-7"),
        ("POST", SCOPE, "application/json, text/csv"),
        ("POST", SCOPE, "/"),
    ],
)
async def test_attack_57_another_content_type_is_refused(
    served: Web, method: str, path: str, content_type: str
) -> None:
    status, headers, body = await served.call(
        method, path, client="ent", data=ROWS, headers={"Content-Type": content_type}
    )
    assert status == 415
    assert_problem(status, headers, body, Code.CONTENT_TYPE_UNSUPPORTED)
    assert served.enterprises.calls == []


async def test_attack_57_a_missing_content_type_is_refused(served: Web) -> None:
    token = served.access_token("ent")
    head = (
        f"POST {STATUS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 2\r\n\r\n[]"
    )
    assert (await served.raw(head.encode())).startswith(b"HTTP/1.1 415 ")


ERRORS: list[tuple[VerifierError, int]] = [
    (IdentityRejected(Code.USCC_INVALID, "rule 7: length", pointer="/rows/3"), 422),
    (VerifierError(Code.QUOTA_EXCEEDED, "too many people"), 429),
]


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=["schema", "79-quota"])
async def test_the_services_errors_become_problems(served: Web, error: VerifierError, status: int) -> None:
    served.enterprises.error = error
    got, headers, body = await served.call("POST", STATUS, client="ent", data=ROWS, headers=JSON)
    problem: dict[str, Any] = assert_problem(got, headers, body, error.code)
    assert (got, problem["reason"], problem["pointer"]) == (status, error.detail, error.pointer)
    assert headers.get("Retry-After") == ("3600" if status == 429 else None)


async def test_a_roster_over_its_limit_is_refused_and_a_status_sooner(served: Web) -> None:
    three_megabytes = b"x" * 3_000_000
    status, _, _ = await served.call(
        "PUT", ROSTER, client="ent", data=three_megabytes, headers={"Content-Type": "text/csv"}
    )
    assert status == 200
    status, headers, body = await served.call(
        "POST", STATUS, client="ent", data=three_megabytes, headers=JSON
    )
    assert status == 413
    assert_problem(status, headers, body, Code.REQUEST_TOO_LARGE)


async def test_the_template_is_a_workbook_for_any_enterprise_and_nobody_else(served: Web) -> None:
    status, headers, body = await served.call("GET", "/v1/enterprises/roster-template", client="ent")
    assert (status, headers["Content-Type"]) == (200, XLSX)
    assert headers["Content-Disposition"] == 'attachment; filename="roster-template.xlsx"'
    assert body == roster_template.workbook()
    status, _, _ = await served.call("GET", "/v1/enterprises/roster-template", client="sub")
    assert status == 403


@pytest.mark.parametrize(("query", "limit"), [("", 100), ("?limit=1", 1), ("?limit=1000", 1000)])
async def test_uploads_are_listed_up_to_a_limit(served: Web, query: str, limit: int) -> None:
    status, _, body = await served.call("GET", f"/v1/enterprises/{USCC}/rosters{query}", client="ent")
    assert (status, json.loads(body)["done"]) == (200, "uploads")
    assert served.enterprises.calls == [("uploads", USCC, limit)]


async def test_a_claim_list_is_a_workbook_or_json_as_asked(served: Web) -> None:
    path = f"/v1/enterprises/{USCC}/claim-list?month=2021-03"
    status, headers, body = await served.call("GET", path, client="ent")
    assert (status, headers["Content-Type"], body) == (200, XLSX, b"a workbook")
    assert headers["Content-Disposition"] == 'attachment; filename="claim-list-2021-03.xlsx"'
    status, headers, body = await served.call(
        "GET", f"{path}&entitlement=skill-upgrade", client="ent", headers={"Accept": "application/json"}
    )
    assert (status, json.loads(body)["done"]) == (200, "claim-list")
    month = date(2021, 3, 1)
    assert served.enterprises.calls == [
        ("claim-sheet", "ent", USCC, month, ""),
        ("claim-list", "ent", USCC, month, "skill-upgrade"),
    ]


@pytest.mark.parametrize(
    "query",
    ["", "?month=", "?month=2021-13", "?month=2021-3", "?month=2021-03-01", "?month=2021-03&month=2021-04"],
)
async def test_a_claim_list_needs_one_month(served: Web, query: str) -> None:
    status, headers, body = await served.call(
        "GET", f"/v1/enterprises/{USCC}/claim-list{query}", client="ent"
    )
    assert assert_problem(status, headers, body, Code.SCHEMA_INVALID)["pointer"] == "?month"
    assert served.enterprises.calls == []


@pytest.mark.parametrize("call", ["rosters", "claim-list?month=2021-03"])
async def test_attack_78_lists_of_another_enterprise_do_not_exist(served: Web, call: str) -> None:
    status, _, _ = await served.call("GET", f"/v1/enterprises/91650200MA0000000X/{call}", client="ent")
    assert (status, served.enterprises.calls) == (404, [])


async def test_the_document_describes_the_month(served: Web) -> None:
    _, _, body = await served.call("GET", "/openapi.json")
    [_, month, _] = json.loads(body)["paths"]["/v1/enterprises/{uscc}/claim-list"]["get"]["parameters"]
    assert (month["name"], month["required"]) == ("month", True)
    assert re.search(month["schema"]["pattern"], "2021-12")
    assert not re.search(month["schema"]["pattern"], "2021-13")

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from tests.functional.web_fakes import ANSWER_KEY, NOTE_KEY, RECORD_KEY, Web, assert_problem, serving
from verifier.errors import Code, Unavailable
from verifier.ledger import entry_bundle, verifier_key
from verifier.merkle import EMPTY_ROOT, Frontier, leaf_hash, verify_consistency, verify_inclusion
from verifier.signatures import keys
from verifier.web import ledger


@pytest.fixture
async def served() -> AsyncIterator[Web]:
    async with serving() as made:
        yield made


async def get(served: Web, path: str, *, client: str = "") -> tuple[int, str, bytes]:
    status, headers, body = await served.call("GET", path, client=client)
    if status >= 400:
        assert_problem(status, headers, body, Code(json.loads(body)["code"]))
    assert headers["X-Content-Type-Options"] == "nosniff"
    return status, headers["Cache-Control"], body


def root(size: int) -> bytes:
    return Frontier().append([leaf_hash(b"%d" % index) for index in range(size)])[0].root()


async def test_the_checkpoint_is_served_as_signed_and_never_cached(served: Web) -> None:
    assert await get(served, "/ledger/checkpoint") == (200, "no-store", served.reading.note)
    vkey = f"{verifier_key('log.example', NOTE_KEY)}\n".encode()
    assert await get(served, "/ledger/key") == (200, "public, max-age=300", vkey)


async def test_an_empty_ledger_has_no_checkpoint_tile_or_leaf(served: Web) -> None:
    served.reading.note = b""
    for path in ("checkpoint", "tile/0/000.p/1", "proof?index=0&size=1"):
        assert (await get(served, f"/ledger/{path}"))[0] == 404
    status, _, body = await get(served, "/ledger/proof?from=0")
    assert (status, json.loads(body)["to_root"]) == (200, EMPTY_ROOT.hex())


async def test_a_full_tile_is_its_256_hashes_for_ever(served: Web) -> None:
    status, cache, body = await get(served, "/ledger/tile/0/000")
    assert (status, cache) == (200, "public, max-age=31536000")
    assert body == b"".join(leaf_hash(b"%d" % index) for index in range(256))
    _, _, above = await get(served, "/ledger/tile/1/000.p/1")
    assert above == root(256)


async def test_a_partial_tile_is_served_up_to_the_trees_size(served: Web) -> None:
    _, _, body = await get(served, "/ledger/tile/0/001.p/44")
    assert body == b"".join(leaf_hash(b"%d" % index) for index in range(256, 300))
    assert (await get(served, "/ledger/tile/0/001.p/45"))[0] == 404


@pytest.mark.parametrize(
    "tile",
    [
        "0/001", "0/002", "0/000.p/0", "0/000.p/256", "0/0", "0/000/", "00/000", "-1/000", "63/000", "64/000",
        "0/x000/000", "0/000.p/01", "..%2fcheckpoint", "0/０００", "0/000?x=1%00", "x", "0/000%0A",
    ],
)  # fmt: skip
async def test_a_tile_that_is_not_there_or_is_spelt_otherwise_is_not_found(served: Web, tile: str) -> None:
    assert (await get(served, f"/ledger/tile/{tile}"))[0] in {404, 422}


@pytest.mark.parametrize("client", ["", "sub", "ent", "plat"])
async def test_entries_do_not_exist_for_anyone_but_auditors(served: Web, client: str) -> None:
    assert (await get(served, "/ledger/tile/entries/000", client=client))[0] == 404


async def test_an_auditor_reads_bundles_of_entries(served: Web) -> None:
    status, cache, body = await get(served, "/ledger/tile/entries/001.p/44", client="aud")
    assert (status, cache) == (200, "no-store")
    assert body == entry_bundle([b"%d" % index for index in range(256, 300)])
    assert (await get(served, "/ledger/tile/entries/001.p/45", client="aud"))[0] == 404


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 300), (299, 300), (5, 7), (255, 256), (256, 257)])
async def test_an_inclusion_proof_verifies(served: Web, index: int, size: int) -> None:
    status, _, body = await get(served, f"/ledger/proof?index={index}&size={size}")
    answer = json.loads(body)
    assert (status, answer["origin"], answer["index"], answer["size"]) == (200, "log.example", index, size)
    assert answer["root"] == root(size).hex()
    path = [bytes.fromhex(step) for step in answer["proof"]]
    assert bytes.fromhex(answer["leaf_hash"]) == leaf_hash(b"%d" % index)
    verify_inclusion(leaf_hash(b"%d" % index), index, size, path, root(size))


async def test_a_proof_without_size_is_for_the_newest_tree(served: Web) -> None:
    assert json.loads((await get(served, "/ledger/proof?index=3"))[2])["size"] == 300
    assert json.loads((await get(served, "/ledger/proof?from=3"))[2])["to"] == 300


@pytest.mark.parametrize(("old", "new"), [(0, 300), (1, 300), (128, 256), (7, 13), (300, 300)])
async def test_a_consistency_proof_verifies(served: Web, old: int, new: int) -> None:
    status, _, body = await get(served, f"/ledger/proof?from={old}&to={new}")
    answer = json.loads(body)
    assert (status, answer["from"], answer["to"]) == (200, old, new)
    path = [bytes.fromhex(step) for step in answer["proof"]]
    old_root, new_root = bytes.fromhex(answer["from_root"]), bytes.fromhex(answer["to_root"])
    assert new_root == root(new)
    verify_consistency(old, new, old_root, new_root, path)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 422),
        ("size=3", 422),
        ("to=3", 422),
        ("index=1&from=1", 422),
        ("index=1&to=2", 422),
        ("index=1&size=0", 422),
        ("index=-1", 422),
        ("index=300", 404),
        ("index=3&size=3", 404),
        ("index=3&size=301", 404),
        ("from=4&to=3", 404),
        ("from=1&to=301", 404),
        ("index=" + "9" * 15, 404),
    ],
)
async def test_a_proof_that_cannot_be_is_refused(served: Web, query: str, status: int) -> None:
    assert (await get(served, f"/ledger/proof?{query}"))[0] == status


async def test_a_tree_with_a_node_missing_is_unavailable_not_wrong(served: Web) -> None:
    del served.reading.tree[8, 0]
    assert (await get(served, "/ledger/proof?index=299"))[0] == 503


async def test_the_key_set_holds_public_keys_alone(served: Web) -> None:
    status, cache, body = await get(served, "/.well-known/jwks.json")
    assert (status, cache) == (200, "public, max-age=300")
    published = [RECORD_KEY.verification_key, ANSWER_KEY.verification_key]
    assert json.loads(body) == {"keys": [keys.public_jwk(key) for key in published]}
    assert [key.kid for key in keys.load_jwks(body)] == ["record-key", "answer-key"]


@pytest.mark.parametrize(("number", "status"), [("3", 200), ("4", 404), ("03", 404), ("x", 404), ("９", 404),
                                               ("9" * 40, 404), ("-1", 404)])  # fmt: skip
async def test_a_status_list_is_served_as_signed(served: Web, number: str, status: int) -> None:
    got, cache, body = await get(served, f"/status-lists/{number}")
    assert got == status
    if status == 200:
        assert (body, cache) == (b"a.b.c", "public, max-age=60")


async def test_alive_and_ready_are_two_things(served: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await get(served, "/readyz"))[0] == 200
    served.reading.is_ready = False
    assert (await get(served, "/readyz"))[0] == 503
    served.reading.fails = Unavailable(Code.STORE_UNAVAILABLE)
    assert (await get(served, "/readyz"))[0] == 503
    monkeypatch.setattr(ledger, "READY_SECONDS", 0.05)
    served.reading.delay = 5.0
    assert (await get(served, "/readyz"))[0] == 503
    assert (await get(served, "/healthz"))[0] == 200


async def test_a_worker_that_stopped_for_good_makes_the_process_unready_and_nothing_says_which() -> None:
    stopped: list[str] = []
    async with serving(failed=lambda: stopped) as served:
        assert (await get(served, "/readyz"))[0] == 200
        stopped.append("issuer: ledger_fork_refused")
        status, headers, body = await served.call("GET", "/readyz")
        assert assert_problem(status, headers, body, Code.INTERNAL)["reason"] == ""
        assert (status, headers["Retry-After"], b"issuer" in body) == (503, "1", False)
        assert (await get(served, "/healthz"))[0] == 200


async def test_counters_name_routes_by_template_and_nothing_a_caller_chose(served: Web) -> None:
    await served.call("GET", "/v1/records/650100197001010001", client="sub")
    await served.call("GET", "/no/such/650100197001010001")
    await served.call("GET", "/v1/feed", headers={"Authorization": "Bearer x"})
    _, _, body = await get(served, "/metrics")
    text = body.decode()
    assert 'request_duration_seconds_count{route="/v1/records/{record_id}",status="404"} 1.0' in text
    assert 'request_duration_seconds_count{route="-",status="404"} 1.0' in text
    assert 'auth_failures_total{where="token"} 1.0' in text
    assert "650100" not in text

"""Checking a record without the service: what nobody gave is not checked, and what is wrong is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from verifier import ledger, merkle, offline, record
from verifier.errors import Code, LedgerRefused
from verifier.signatures import jws, sdjwt, status_list
from verifier.signatures.jws import Algorithm, SigningKey
from verifier.signatures.status_list import Status
from verifier.signatures.strict_json import canonical

NOW = datetime(2021, 7, 1, 4, tzinfo=UTC)
ORIGIN = "test.invalid/ledger"
URI = "https://test.invalid/status-lists/0"
KEY = SigningKey("record", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
OTHER = SigningKey("other", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
KEYS = [KEY.verification_key]
NOTE_KEY = Ed25519PrivateKey.generate()
CLAIMS: dict[str, Any] = {
    "vct": record.VCT,
    "jti": "r-1",
    "log": {"origin": ORIGIN, "index": 1},
    "status": {"status_list": {"uri": URI, "idx": 3}},
}
NAME = sdjwt.new_disclosure("name", "张三", bytes)


def issued(typ: str = record.TYP, key: SigningKey = KEY, **changes: Any) -> str:
    payload = sdjwt.payload_with({**CLAIMS, **changes}, [NAME])
    return sdjwt.compose(jws.sign_compact(canonical(payload), key, typ=typ), [NAME.encoded])


def listed(
    status: Status = Status.VALID, key: SigningKey = KEY, typ: str = offline.STATUS_TYP, **changes: Any
) -> str:
    packed = status_list.blank(16, 2)
    status_list.put(packed, 2, 3, status)
    claims: dict[str, Any] = {
        "sub": URI,
        "iat": int(NOW.timestamp()),
        "exp": int((NOW + timedelta(hours=12)).timestamp()),
        "ttl": 900,
        "status_list": {"bits": 2, "lst": status_list.encode(packed, 2)},
    }
    return jws.sign_compact(canonical({**claims, **changes}), key, typ=typ)


def check(sd_jwt: str, status_token: str | None = None, now: datetime = NOW) -> offline.Checked:
    return offline.check(sd_jwt, KEYS, status_token=status_token, now=now)


def test_a_record_alone_is_good_as_far_as_it_was_checked() -> None:
    checked = check(issued())
    assert checked.good
    assert (checked.status, checked.not_checked) == ("not_checked", ("inclusion in the ledger", "status"))
    assert checked.claims["name"] == "张三"
    assert "张三" not in repr(checked)


@pytest.mark.parametrize(
    ("status", "good"),
    [(Status.VALID, True), (Status.INVALID, False), (Status.SUSPENDED, False), (Status.SUPERSEDED, False)],
)
def test_a_status_list_says_whether_it_still_stands(status: Status, good: bool) -> None:  # noqa: FBT001 - a table's column
    checked = check(issued(), listed(status))
    assert (checked.status, checked.good) == (status.name.lower(), good)
    assert checked.not_checked == ("inclusion in the ledger",)


@pytest.mark.parametrize(
    "sd_jwt",
    [
        "",
        "a.b.c~",
        issued().replace("~", "~~", 1),
        issued(key=OTHER),
        issued(typ="JWT"),
        issued(vct="urn:something:else"),
        issued() + "WyJzYWx0IiwibmFtZSIsIueOiyJd~",
        issued()[:40] + ("A" if issued()[40] != "A" else "B") + issued()[41:],
        sdjwt.compose(jws.sign_compact(b"[]", KEY, typ=record.TYP), []),
    ],
)
def test_a_record_that_does_not_check_out_is_refused(sd_jwt: str) -> None:
    with pytest.raises(LedgerRefused) as refused:
        check(sd_jwt)
    assert refused.value.code is Code.RECORD_INVALID


STALE = int((NOW - timedelta(seconds=1)).timestamp())
WRONG_LISTS = {
    "another address": listed(sub=URI + "0"),
    "expired": listed(exp=STALE),
    "not yet issued": listed(iat=int((NOW + timedelta(minutes=6)).timestamp())),
    "another key": listed(key=OTHER),
    "a record for a list": listed(typ=record.TYP),
    "no list": listed(status_list={"bits": 2}),
    "bits that are none": listed(status_list={"bits": 3, "lst": "eNoDAAAAAAE"}),
    "a list that does not unpack": listed(status_list={"bits": 2, "lst": "AAAA"}),
    "a time that is none": listed(exp="tomorrow"),
    "a time to live that is none": listed(ttl="long"),
    "no time to live": listed(ttl=None),
    "no JWS": "nonsense",
}


@pytest.mark.parametrize("wrong", WRONG_LISTS)
def test_an_unknown_or_stale_status_is_never_valid(wrong: str) -> None:
    with pytest.raises(LedgerRefused) as refused:
        check(issued(), WRONG_LISTS[wrong])
    assert refused.value.code is Code.RECORD_INVALID


@pytest.mark.parametrize(
    ("later", "status", "accepted"),
    [
        (timedelta(seconds=899), Status.VALID, True),
        (timedelta(seconds=900), Status.VALID, False),
        (timedelta(hours=12) - timedelta(seconds=1), Status.INVALID, True),
        (timedelta(hours=12), Status.INVALID, False),
        (timedelta(minutes=-5), Status.VALID, True),
        (timedelta(minutes=-5, seconds=-1), Status.VALID, False),
    ],
)
def test_a_list_is_believed_as_long_as_it_says_and_valid_only_while_it_is_fresh(
    later: timedelta,
    status: Status,
    accepted: bool,  # noqa: FBT001 - a table's column
) -> None:
    if accepted:
        assert check(issued(), listed(status), NOW + later).status == status.name.lower()
    else:
        with pytest.raises(LedgerRefused):
            check(issued(), listed(status), NOW + later)


@pytest.mark.parametrize("place", [16, -1, 1 << 20, "3", None, 3.5])
def test_a_place_outside_the_list_says_nothing(place: object) -> None:
    with pytest.raises(LedgerRefused):
        check(issued(status={"status_list": {"uri": URI, "idx": place}}), listed())


def test_a_record_without_a_place_in_a_list_has_no_status() -> None:
    with pytest.raises(LedgerRefused):
        check(issued(status={}), listed())


# Inclusion


def ledger_with(sd_jwt: str, **changes: Any) -> tuple[bytes, list[bytes], bytes]:
    """A ledger of three entries whose second is the record's: its body, proof and checkpoint."""
    signed = sha256(sd_jwt.partition("~")[0].rpartition(".")[0].encode()).hexdigest()
    entry = {"record": "r-1", "index": 1, "signing_input_sha256": signed, **changes}
    bodies = [b"{}", ledger.entry_body(entry), b"{}"]
    leaves = [merkle.leaf_hash(body) for body in bodies]
    tree, nodes = merkle.Frontier().append(leaves)
    known = {(node.level, node.index): node.hash for node in nodes}
    proof = merkle.inclusion_proof(1, 3, lambda level, index: known[level, index])
    note = ledger.sign_note(ledger.checkpoint_body(ORIGIN, 3, tree.root()), ORIGIN, NOTE_KEY)
    return bodies[1], proof, note


def test_an_included_record_proves_it() -> None:
    sd_jwt = issued()
    body, proof, note = ledger_with(sd_jwt)
    checkpoint = offline.check_checkpoint(note, ORIGIN, NOTE_KEY.public_key())
    offline.check_inclusion(sd_jwt, body, proof, checkpoint)


def test_a_checkpoint_of_another_log_or_key_is_refused() -> None:
    _, _, note = ledger_with(issued())
    with pytest.raises(LedgerRefused):
        offline.check_checkpoint(note, "other.invalid/ledger", NOTE_KEY.public_key())
    with pytest.raises(LedgerRefused):
        offline.check_checkpoint(note, ORIGIN, Ed25519PrivateKey.generate().public_key())
    foreign = ledger.sign_note(ledger.checkpoint_body("other.invalid/ledger", 3, bytes(32)), ORIGIN, NOTE_KEY)
    with pytest.raises(LedgerRefused):
        offline.check_checkpoint(foreign, ORIGIN, NOTE_KEY.public_key())


@pytest.mark.parametrize("changes", [{"record": "r-2"}, {"index": 0}, {"signing_input_sha256": "00" * 32}])
def test_an_entry_that_commits_to_another_record_is_refused(changes: dict[str, Any]) -> None:
    sd_jwt = issued()
    body, proof, note = ledger_with(sd_jwt, **changes)
    checkpoint = offline.check_checkpoint(note, ORIGIN, NOTE_KEY.public_key())
    with pytest.raises(LedgerRefused):
        offline.check_inclusion(sd_jwt, body, proof, checkpoint)


def test_a_record_that_names_another_log_or_no_index_is_refused() -> None:
    for log in ({"origin": "other.invalid/ledger", "index": 1}, {"origin": ORIGIN}):
        sd_jwt = issued(log=log)
        body, proof, note = ledger_with(sd_jwt)
        checkpoint = offline.check_checkpoint(note, ORIGIN, NOTE_KEY.public_key())
        with pytest.raises(LedgerRefused):
            offline.check_inclusion(sd_jwt, body, proof, checkpoint)


def test_a_proof_against_another_tree_is_refused() -> None:
    sd_jwt = issued()
    body, proof, note = ledger_with(sd_jwt)
    checkpoint = offline.check_checkpoint(note, ORIGIN, NOTE_KEY.public_key())
    with pytest.raises(LedgerRefused):
        offline.check_inclusion(sd_jwt, body, proof, replace(checkpoint, root=bytes(32)))
    with pytest.raises(LedgerRefused):
        offline.check_inclusion(sd_jwt, json.dumps({"index": 1}).encode(), proof, checkpoint)

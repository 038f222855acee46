"""What a witness makes of a submission: exactly the answers of C2SP tlog-witness."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from verifier import cosigning, ledger, merkle, notes, witnessing
from verifier.errors import RequestRejected
from verifier.model.ledger import Checkpoint

LOG, OTHER = Ed25519PrivateKey.from_private_bytes(b"1" * 32), Ed25519PrivateKey.from_private_bytes(b"2" * 32)
ORIGIN = "log.test.invalid"
KEY = cosigning.parse_key(ledger.verifier_key(ORIGIN, LOG.public_key()))
SECOND = cosigning.parse_key(ledger.verifier_key(ORIGIN, OTHER.public_key()))
WITNESS = cosigning.parse_key(cosigning.cosigner_key(ORIGIN, LOG.public_key()))

LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(40)]


def tree(size: int, leaves: Sequence[bytes] = LEAVES) -> Checkpoint:
    return Checkpoint(ORIGIN, size, merkle.Frontier().append(leaves[:size])[0].root())


def path(old: int, new: int) -> list[bytes]:
    _, nodes = merkle.Frontier().append(LEAVES[:new])
    stored = {(node.level, node.index): node.hash for node in nodes}
    return merkle.consistency_proof(old, new, lambda level, index: stored[level, index])


def submission(
    old: int,
    new: int,
    *,
    proof: Sequence[bytes] | None = None,
    found: Checkpoint | None = None,
    key: Ed25519PrivateKey = LOG,
) -> witnessing.Submission:
    of = found or tree(new)
    note = ledger.sign_note(ledger.checkpoint_body(of.origin, of.size, of.root), of.origin, key)
    steps = path(old, new) if proof is None else proof
    return witnessing.read(witnessing.request(old, steps, note))


def status(given_: witnessing.Submission, last: Checkpoint | None) -> int:
    refusal = witnessing.judge(given_, [KEY, WITNESS], last)
    return 200 if refusal is None else refusal.status


@given(st.integers(0, 40), st.integers(0, 40))
def test_every_tree_that_continues_the_last_is_cosigned_and_no_other(first: int, second: int) -> None:
    old, new = sorted((first, second))
    last = tree(old) if old else None
    assert status(submission(old, new), last) == 200
    forked = Checkpoint(ORIGIN, new, b"f" * 32)
    if old or new == 0:
        assert status(submission(old, new, found=forked), last) == 422


def test_another_old_size_is_told_in_the_form_of_the_protocol() -> None:
    refusal = witnessing.judge(submission(3, 9), [KEY], tree(5))
    assert refusal == witnessing.Refusal(409, b"5\n", "text/x.tlog.size")
    assert witnessing.judge(submission(3, 9), [KEY], None) == witnessing.Refusal(
        409, b"0\n", "text/x.tlog.size"
    )


def test_a_log_that_is_not_known_is_not_found() -> None:
    assert status(submission(0, 3, found=Checkpoint("other", 3, b"r" * 32)), None) == 404
    # The key of a witness is no log's, whatever its name.
    refusal = witnessing.judge(submission(0, 3), [WITNESS], None)
    assert refusal is not None
    assert refusal.status == 404


def test_what_the_log_did_not_sign_is_forbidden() -> None:
    assert status(submission(0, 3, key=OTHER), None) == 403
    good = submission(0, 3)
    text, signatures = notes.split_note(good.note)
    wrong = notes.NoteSignature(ORIGIN, KEY.key_id, b"x" * 64).line
    for lines in (wrong, signatures[0].line + wrong):
        read = witnessing.read(witnessing.request(0, (), text + b"\n" + lines))
        assert status(read, None) == 403


def test_either_of_two_keys_of_a_log_will_do() -> None:
    for key in (LOG, OTHER):
        assert witnessing.judge(submission(0, 3, key=key), [KEY, SECOND], None) is None


def test_an_old_size_beyond_the_checkpoint_is_a_bad_request() -> None:
    assert status(submission(5, 3, proof=()), tree(5)) == 400


def test_a_proof_that_is_wrong_or_where_none_belongs_is_not_processed() -> None:
    assert status(submission(3, 9, proof=()), tree(3)) == 422
    assert status(submission(3, 9, proof=path(3, 9)[::-1]), tree(3)) == 422
    assert status(submission(0, 9, proof=[b"x" * 32]), None) == 422
    assert status(submission(0, 0, proof=[b"x" * 32]), None) == 422
    assert status(submission(9, 9, proof=[b"x" * 32]), tree(9)) == 422


NOTE = ledger.sign_note(ledger.checkpoint_body(ORIGIN, 3, tree(3).root), ORIGIN, LOG)
STEP = b"A" * 43 + b"=\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"old 0\n",
        b"old 0\n\n",
        b"old 0\n" + NOTE,
        b"old 00\n\n" + NOTE,
        b"old -1\n\n" + NOTE,
        b"old  0\n\n" + NOTE,
        b"new 0\n\n" + NOTE,
        b"old 0\nAAAA\n\n" + NOTE,
        b"old 0\n*\n\n" + NOTE,
        b"old 0\n" + STEP * 64 + b"\n" + NOTE,
        b"old 0\n\n" + NOTE[:-1],
        b"old 0\n\n" + ledger.sign_note(b"no checkpoint\n", ORIGIN, LOG),
        b"old 0\n\n" + b"x" * witnessing.MAX_BYTES,
    ],
)
def test_a_request_of_another_form_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestRejected):
        witnessing.read(raw)


@given(st.binary(max_size=300))
def test_noise_is_refused_and_breaks_nothing(raw: bytes) -> None:
    with pytest.raises(RequestRejected):
        witnessing.read(raw)


def test_as_many_steps_as_the_protocol_allows_are_read() -> None:
    read = witnessing.read(b"old 0\n" + STEP * 63 + b"\n" + NOTE)
    assert len(read.proof) == 63

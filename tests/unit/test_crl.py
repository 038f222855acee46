from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import certificates as made
from tests.certificates import ISSUED, NOT_AFTER, NOT_BEFORE, Kind, extension, generalized_time, revoked
from verifier.errors import Code, ConfigurationError, SignatureRejected
from verifier.signatures import crl, x509
from verifier.signatures.crl import Crl, Revocation
from verifier.signatures.steps import Step
from verifier.signatures.x509 import Anchor

ROOT = made.root()
AUTHORITY = made.intermediate(ROOT)
LEAF = made.leaf(AUTHORITY)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
SINCE = datetime.fromisoformat("2021-03-01T00:00:00+00:00")
EARLIER = datetime.fromisoformat("2021-02-01T00:00:00+00:00")
STANDS = made.crl(ROOT)
"""The root's: the intermediate authority stands."""


def standing(
    *crls: bytes, seen_at: datetime = ISSUED, now: datetime | None = None, root_says: bytes = STANDS
) -> Revocation | None:
    """What the authority's lists say of the leaf, with a sound list of the root's."""
    leaf = x509.build(
        [LEAF.der, AUTHORITY.der],
        [Anchor(ROOT.der)],
        at=ISSUED,
        crls=[*crls, root_says],
        seen_at=seen_at,
        now=now,
    )
    return leaf.revoked


def assert_unknown(*crls: bytes, seen_at: datetime = ISSUED, root_says: bytes = STANDS) -> None:
    with pytest.raises(SignatureRejected) as caught:
        standing(*crls, seen_at=seen_at, root_says=root_says)
    assert caught.value.step == Step.REVOCATION_UNKNOWN


def test_a_certificate_that_no_list_names_stands() -> None:
    other = made.leaf(AUTHORITY, "别的平台")
    assert standing(made.crl(AUTHORITY)) is None
    assert standing(made.crl(AUTHORITY, [revoked(other)])) is None


@pytest.mark.parametrize("kind", Kind)
def test_lists_are_signed_by_every_kind_of_key(kind: Kind) -> None:
    root = made.root(kind=kind)
    leaf = made.leaf(root)
    lists = [made.crl(root, [revoked(leaf)])]
    found = x509.build([leaf.der], [Anchor(root.der)], at=ISSUED, crls=lists, seen_at=ISSUED)
    assert found.revoked == Revocation(SINCE, compromised=True)


def test_where_no_lists_are_published_nothing_is_known_and_nothing_is_asked() -> None:
    found = x509.build([LEAF.der, AUTHORITY.der], [Anchor(ROOT.der)], at=ISSUED, crls=None, seen_at=ISSUED)
    assert found.revoked is None


@pytest.mark.parametrize(
    ("reason", "compromised"),
    [
        (None, True),
        (0, True),
        (1, True),
        (2, True),
        (3, False),
        (4, False),
        (5, False),
        (6, False),
        (9, False),
        (10, True),
    ],
)
def test_a_reason_says_whether_somebody_else_may_have_the_key(reason: int | None, compromised: bool) -> None:  # noqa: FBT001 - a column
    found = standing(made.crl(AUTHORITY, [revoked(LEAF, reason=reason)]))
    assert found == Revocation(SINCE, compromised)


def test_a_certificate_does_not_stand_from_the_earlier_of_two_dates() -> None:
    early = made.crl(AUTHORITY, [revoked(LEAF, reason=1, invalid_since=EARLIER)])
    late = made.crl(AUTHORITY, [revoked(LEAF, EARLIER, reason=4, invalid_since=SINCE)])
    assert standing(early) == Revocation(EARLIER, compromised=True)
    assert standing(late) == Revocation(EARLIER, compromised=False)


def test_a_revoked_authority_revokes_what_it_issued() -> None:
    root_says = made.crl(ROOT, [revoked(AUTHORITY, EARLIER, reason=4)])
    assert standing(made.crl(AUTHORITY), root_says=root_says) == Revocation(EARLIER, compromised=False)
    both = standing(made.crl(AUTHORITY, [revoked(LEAF, reason=1)]), root_says=root_says)
    assert both == Revocation(EARLIER, compromised=True)


def test_every_certificate_below_the_anchor_needs_a_list() -> None:
    assert_unknown()
    assert_unknown(root_says=made.crl(AUTHORITY))
    assert_unknown(made.crl(AUTHORITY), root_says=b"")
    other = made.root("别的机构")
    assert_unknown(made.crl(AUTHORITY), root_says=made.crl(other))


def test_a_list_is_current_to_the_very_moment_of_its_next_update() -> None:
    until = ISSUED + 7 * DAY
    lists = made.crl(AUTHORITY, next_update=until)
    root_says = made.crl(ROOT, next_update=until)
    assert standing(lists, seen_at=until, root_says=root_says) is None
    assert_unknown(lists, seen_at=until + SECOND, root_says=root_says)


def test_a_list_is_used_from_the_very_moment_it_was_made() -> None:
    lists = made.crl(AUTHORITY, this_update=ISSUED)
    assert standing(lists) is None
    assert_unknown(lists, seen_at=ISSUED - SECOND)


def test_what_is_judged_again_may_be_judged_by_a_list_that_came_later() -> None:
    lists = made.crl(AUTHORITY, this_update=ISSUED + DAY)
    assert standing(lists, now=ISSUED + DAY) is None
    with pytest.raises(SignatureRejected, match="revocation_unknown"):
        standing(lists, now=ISSUED + DAY - SECOND)


def test_of_several_current_lists_the_newest_counts() -> None:
    held = made.crl(AUTHORITY, [revoked(LEAF, reason=6)], this_update=ISSUED - 2 * DAY)
    released = made.crl(AUTHORITY, this_update=ISSUED - DAY)
    assert standing(held) == Revocation(SINCE, compromised=False)
    assert standing(held, released) is None
    assert standing(released, held) is None


UNKNOWN = extension("1.2.3.4", b"\x05\x00", critical=True)
OUT_OF_USE = {
    "of another authority of the same name": made.crl(AUTHORITY, signed_by=made.key(Kind.P256, "别人")),
    "in another authority's name": made.crl(AUTHORITY, issuer_name=made.name("别的机构")),
    "without a next update": made.crl(AUTHORITY, next_update=None),
    "with an unknown critical extension": made.crl(AUTHORITY, extensions=[UNKNOWN]),
    "that is a delta": made.crl(
        AUTHORITY, extensions=[extension("2.5.29.27", made.integer(1), critical=True)]
    ),
    "that calls itself a delta without insisting": made.crl(
        AUTHORITY, extensions=[extension("2.5.29.27", made.integer(1))]
    ),
    "that is indirect or partitioned": made.crl(
        AUTHORITY, extensions=[extension("2.5.29.28", made.sequence(b"\x84\x01\xff"), critical=True)]
    ),
    "that calls itself partitioned without insisting": made.crl(
        AUTHORITY, extensions=[extension("2.5.29.28", made.sequence())]
    ),
    "with an entry of another issuer": made.crl(
        AUTHORITY, [revoked(LEAF, extensions=[extension("2.5.29.29", made.sequence(), critical=True)])]
    ),
    "with an unknown critical extension in any entry": made.crl(
        AUTHORITY, [revoked(ROOT, extensions=[UNKNOWN])]
    ),
    "with an entry to be removed": made.crl(AUTHORITY, [revoked(LEAF, reason=8)]),
    "with a reason that does not exist": made.crl(AUTHORITY, [revoked(LEAF, reason=7)]),
    "with a reason that is none": made.crl(
        AUTHORITY, [revoked(LEAF, extensions=[extension(made.REASON, made.integer(1))])]
    ),
    "with an invalidity date that is none": made.crl(
        AUTHORITY, [revoked(LEAF, extensions=[extension(made.INVALIDITY_DATE, made.time(SINCE))])]
    ),
    "with an entry twice": made.crl(AUTHORITY, [revoked(LEAF), revoked(LEAF)]),
    "with an extension twice": made.crl(AUTHORITY, extensions=[extension("1.2.3", b"")] * 2),
    "of an unknown version": made.crl(AUTHORITY, version=2),
    "with two algorithms": made.crl(AUTHORITY, inner_identifier=made.IDENTIFIERS[Kind.RSA]),
    "signed by SHA-1": made.crl(AUTHORITY, identifier=made.sequence(made.oid("1.2.840.10045.4.1"))),
    "that is garbage": b"garbage",
    "of more than 4 MiB": made.crl(AUTHORITY, extensions=[extension("1.2.3", bytes(crl.MAX_CRL_BYTES))]),
}
SIGNED_WRONG = {
    "of another authority of the same name",
    "in another authority's name",
    "without a next update",
    "signed by SHA-1",
}
"""Readable lists: that they cannot be used shows only with an authority at hand."""


@pytest.mark.parametrize("name", OUT_OF_USE)
def test_nothing_is_known_from_a_list(name: str) -> None:
    assert_unknown(OUT_OF_USE[name])
    assert standing(OUT_OF_USE[name], made.crl(AUTHORITY)) is None


@pytest.mark.parametrize("name", sorted(OUT_OF_USE.keys() - SIGNED_WRONG))
def test_not_to_be_registered_is_a_list(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Crl(OUT_OF_USE[name])
    assert caught.value.code is Code.KEY_REFUSED


def test_a_list_of_version_1_without_extensions_is_read() -> None:
    assert standing(made.crl(AUTHORITY, [revoked(LEAF)], version=None, extensions=[])) is not None


def test_an_authority_that_may_not_sign_lists_is_not_heard() -> None:
    above = made.intermediate(ROOT, usage=made.KEY_CERT_SIGN)
    leaf = made.leaf(above)
    with pytest.raises(SignatureRejected, match="revocation_unknown"):
        x509.build(
            [leaf.der, above.der],
            [Anchor(ROOT.der)],
            at=ISSUED,
            crls=[STANDS, made.crl(above)],
            seen_at=ISSUED,
        )


def standing_of_a_short_lived_leaf(lists: Sequence[bytes], seen_at: datetime) -> Revocation | None:
    """The leaf expired the moment after ``ISSUED``, the root says nothing of its keys' usage."""
    root = made.root(usage=None)
    leaf = made.leaf(root, not_after=ISSUED)
    return x509.build([leaf.der], [Anchor(root.der)], at=ISSUED, crls=lists, seen_at=seen_at).revoked


def test_a_list_made_after_a_certificate_expired_may_have_dropped_it() -> None:
    last = made.crl(ROOT, this_update=ISSUED, next_update=ISSUED + 2 * DAY)
    later = made.crl(ROOT, this_update=ISSUED + SECOND)
    assert standing_of_a_short_lived_leaf([last], ISSUED + DAY) is None
    with pytest.raises(SignatureRejected, match="revocation_unknown"):
        standing_of_a_short_lived_leaf([later], ISSUED + DAY)


def test_a_list_may_say_that_it_keeps_expired_certificates() -> None:
    def keeping(since: datetime) -> bytes:
        kept = extension("2.5.29.60", generalized_time(since))
        return made.crl(ROOT, this_update=ISSUED + SECOND, extensions=[kept])

    assert standing_of_a_short_lived_leaf([keeping(ISSUED)], ISSUED + DAY) is None
    with pytest.raises(SignatureRejected, match="revocation_unknown"):
        standing_of_a_short_lived_leaf([keeping(ISSUED + SECOND)], ISSUED + DAY)


def test_a_list_to_be_registered_says_its_dates() -> None:
    data = made.crl(AUTHORITY, this_update=NOT_BEFORE, next_update=NOT_AFTER)
    for loaded in (Crl(data), Crl.load(data), Crl.load(made.pem(data, "X509 CRL"))):
        assert (loaded.der, loaded.this_update, loaded.next_update) == (data, NOT_BEFORE, NOT_AFTER)
    assert Crl(made.crl(AUTHORITY, next_update=None)).next_update is None


@given(st.integers(0), st.integers(1, 255))
def test_from_a_list_with_any_flipped_bit_nothing_is_known(position: int, mask: int) -> None:
    data = bytearray(made.crl(AUTHORITY, [revoked(LEAF)]))
    data[position % len(data)] ^= mask
    assert_unknown(bytes(data))


@given(st.binary(max_size=200))
def test_from_garbage_nothing_is_known(data: bytes) -> None:
    assert_unknown(data)

"""A JWS that brings its certificate chain, with a twin for everything that must not pass.

The numbers in the tests' names are the steps of ``verifier.certificates``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from tests import certificates as made
from tests.certificates import Issued, Kind
from tests.unit.test_certificates import CLAIMS, EXPECTED, FIELDS
from verifier.certificates import verify
from verifier.errors import CertificateRejected, Code
from verifier.keyring import Issuer, IssuerAnchor, IssuerKey, KeyState, Register
from verifier.model.certificate import CertificateKind, SignedCertificate, VerifiedCertificate
from verifier.model.delivery import PlatformSlug
from verifier.signatures import base64url, keys
from verifier.signatures.jws import Algorithm

ALPHA, BETA = PlatformSlug("alpha"), PlatformSlug("beta")
TICK, SECOND, DAY = timedelta(microseconds=1), timedelta(seconds=1), timedelta(days=1)
ISSUED: Final = EXPECTED.issued_at
RECEIVED: Final = datetime(2021, 3, 10, 4, tzinfo=UTC)
START: Final = datetime(2021, 1, 1, tzinfo=UTC)
COMPROMISED, SUPERSEDED = 1, 4

ROOT, OTHER_ROOT = made.root(), made.root("另一根证书机构")
BETWEEN = made.intermediate(ROOT)
LEAF = made.leaf(BETWEEN, "某培训平台", kind=Kind.ED25519)
STRANGER = made.key(Kind.ED25519, "别人")


def crl(
    authority: Issued, *entries: bytes, made_at: datetime = ISSUED, until: datetime | None = None
) -> bytes:
    return made.crl(authority, entries, this_update=made_at, next_update=until or RECEIVED)


LISTS: Final = (crl(ROOT), crl(BETWEEN))


def anchor(**changed: Any) -> IssuerAnchor:
    sound = IssuerAnchor("ca", ROOT.der, Algorithm.EDDSA, KeyState.ACTIVE, START, crls=LISTS)
    return replace(sound, **changed)


def register(*anchors: IssuerAnchor, bare: Issued | None = None) -> Register:
    """An issuer with anchors whose certificates ``alpha`` carries, and one of ``beta`` with another root."""
    bare_keys = {}
    if bare is not None:
        public = keys.load_public_pem(made.pem(bare.key.spki, "PUBLIC KEY"), Algorithm.EDDSA, "bare")
        bare_keys["bare"] = IssuerKey(public, KeyState.ACTIVE, START)
    ours = Issuer("https://issuer.invalid", "scope", frozenset({ALPHA}), bare_keys, anchors)
    other = anchor(anchor_id="other", certificate=OTHER_ROOT.der, crls=None)
    theirs = Issuer("other", "other", frozenset({BETA}), {}, (other,))
    return Register("0" * 64, {}, {one.issuer_id: one for one in (ours, theirs)})


REGISTER: Final = register(anchor())


def x5c(*chain: Issued) -> list[str]:
    return [base64.b64encode(one.der).decode() for one in chain]


CHAIN: Final = x5c(LEAF, BETWEEN)
HEADER: Final[dict[str, Any]] = {"alg": "EdDSA", "typ": "JWT", "x5c": CHAIN}


def token(
    chain: Sequence[object] = CHAIN, key: made.Key = LEAF.key, alg: str = "EdDSA", /, **changed: Any
) -> str:
    """A token whose claims are changed, genuinely signed."""
    return signed({**HEADER, "alg": alg, "x5c": chain}, key, **changed)


def signed(header: dict[str, Any], key: made.Key = LEAF.key, /, **changed: Any) -> str:
    claims = {name: value for name, value in (CLAIMS | changed).items() if value is not ...}
    content = ".".join(base64url.encode(json.dumps(part).encode()) for part in (header, claims))
    signature = key.sign(content.encode())
    if key.kind is Kind.P256:
        r, s = decode_dss_signature(signature)
        signature = r.to_bytes(32) + s.to_bytes(32)
    return f"{content}.{base64url.encode(signature)}"


def check(
    written: str,
    *,
    by: Register = REGISTER,
    at: datetime = RECEIVED,
    platform: PlatformSlug = ALPHA,
    kind: CertificateKind = CertificateKind.JWS_X5C,
) -> VerifiedCertificate:
    certificate = SignedCertificate(kind, written.encode(), FIELDS)
    return verify(certificate, platform=platform, register=by, first_received_at=at)


def refusal(written: str, **options: Any) -> tuple[int, Code]:
    with pytest.raises(CertificateRejected) as caught:
        check(written, **options)
    assert caught.value.detail
    return caught.value.step, caught.value.code


CHAIN_REFUSED = (5, Code.CERTIFICATE_CHAIN_REFUSED)
NOT_VALID = (9, Code.KEY_NOT_VALID_AT_ISSUE)
STOLEN = (10, Code.KEY_COMPROMISED)
UNKNOWN = (10, Code.REVOCATION_UNKNOWN)


def test_a_genuine_certificate_is_read_completely_and_names_anchor_and_leaf() -> None:
    assert check(token()) == replace(EXPECTED, key_id=anchor().key_id(BETWEEN.name, LEAF.serial))


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        (Algorithm.ES256, Kind.P256),
        (Algorithm.EDDSA, Kind.ED25519),
        (Algorithm.RS256, Kind.RSA),
        (Algorithm.PS256, Kind.RSA_PSS),
    ],
)
def test_each_registrable_algorithm_verifies_under_a_root_of_any_kind(
    algorithm: Algorithm, kind: Kind
) -> None:
    for above in (Kind.RSA, Kind.P256, Kind.ED25519, Kind.SM2):
        root = made.root(kind=above)
        leaf = made.leaf(root, kind=kind)
        registered = anchor(certificate=root.der, algorithm=algorithm, crls=(crl(root),))
        found = check(token(x5c(leaf), leaf.key, algorithm.value), by=register(registered))
        assert found.algorithm == algorithm


@pytest.mark.parametrize("chain", [(LEAF, BETWEEN), (LEAF, BETWEEN, ROOT)], ids=len)
def test_the_chain_may_end_below_the_root_or_with_it(chain: tuple[Issued, ...]) -> None:
    assert check(token(x5c(*chain))).number == EXPECTED.number


def test_a_key_id_beside_a_chain_has_no_effect_even_if_it_names_a_registered_key() -> None:
    by = register(anchor(), bare=made.leaf(None, "裸钥", kind=Kind.ED25519))
    assert check(signed(HEADER | {"kid": "bare"}), by=by) == check(token())


# 1, 2 form and header


@given(st.data())
def test_no_byte_of_a_token_can_be_another_one(data: st.DataObject) -> None:
    genuine = token()
    place = data.draw(st.integers(0, len(genuine) - 1))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
    other = data.draw(st.sampled_from(alphabet.replace(genuine[place], "")))
    with pytest.raises(CertificateRejected):
        check(genuine[:place] + other + genuine[place + 1 :])


@pytest.mark.parametrize(
    "chain",
    [
        None,
        "",
        CHAIN[0],
        [],
        [*CHAIN, *CHAIN, *CHAIN],
        [None],
        [""],
        [{}],
        ["!"],
        [CHAIN[0][:-1]],
        [CHAIN[0] + "\n"],
        [base64.urlsafe_b64encode(b"\xff\xff\xff").decode()],
    ],
)
def test_2_a_chain_is_a_list_of_1_to_5_certificates_in_base64(chain: Any) -> None:
    assert refusal(token(chain)) == (2, Code.CERTIFICATE_HEADER_REFUSED)


def test_2_without_a_chain_no_registered_key_is_asked() -> None:
    bare = made.leaf(None, "裸钥", kind=Kind.ED25519)
    header = {"alg": "EdDSA", "typ": "JWT", "kid": "bare"}
    by = register(anchor(), bare=bare)
    assert check(signed(header, bare.key), by=by, kind=CertificateKind.JWS).key_id == "bare"
    assert refusal(signed(header, bare.key), by=by) == (2, Code.CERTIFICATE_HEADER_REFUSED)


def test_2_a_platform_whose_keys_are_registered_bare_takes_no_chain() -> None:
    assert refusal(token(), kind=CertificateKind.JWS) == (2, Code.CERTIFICATE_HEADER_REFUSED)


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "crit", "b64", "zip", "enc"])
def test_2_what_brings_another_key_beside_the_chain_is_refused(name: str) -> None:
    assert refusal(signed(HEADER | {name: "x"})) == (2, Code.CERTIFICATE_HEADER_REFUSED)


# 3, 4 wrongly addressed


def test_3_an_issuer_that_is_not_registered_is_unknown_whatever_its_chain() -> None:
    assert refusal(token(iss="nobody")) == (3, Code.ISSUER_UNKNOWN)


def test_4_the_issuer_of_another_platform_is_not_carried() -> None:
    leaf = made.leaf(OTHER_ROOT, "别的平台", kind=Kind.ED25519)
    theirs = token(x5c(leaf), leaf.key, iss="other")
    assert check(theirs, platform=BETA).issuer == "other"
    assert refusal(theirs) == (4, Code.ISSUER_NOT_ALLOWED)
    assert refusal(token(), platform=BETA) == (4, Code.ISSUER_NOT_ALLOWED)


def test_5_one_issuers_certificate_signs_nothing_for_another() -> None:
    leaf = made.leaf(OTHER_ROOT, "别的平台", kind=Kind.ED25519)
    assert refusal(token(x5c(leaf), leaf.key)) == CHAIN_REFUSED
    assert refusal(token(iss="other"), platform=BETA) == CHAIN_REFUSED


# 5 wrongly chained


def _forged() -> Issued:
    """By an authority that calls itself like ours, with a key of its own."""
    return made.leaf(made.intermediate(OTHER_ROOT, key=STRANGER), "某培训平台", kind=Kind.ED25519)


def _short_of(**changed: Any) -> list[str]:
    return x5c(made.leaf(BETWEEN, "某培训平台", kind=Kind.ED25519, **changed), BETWEEN)


@pytest.mark.parametrize(
    "chain",
    [
        pytest.param(x5c(LEAF), id="without the authority between"),
        pytest.param(x5c(LEAF, ROOT), id="a link left out"),
        pytest.param(x5c(LEAF, made.intermediate(ROOT, "别的中级机构")), id="another authority between"),
        pytest.param(x5c(BETWEEN, LEAF), id="upside down"),
        pytest.param(x5c(made.leaf(None, kind=Kind.ED25519)), id="self-signed"),
        pytest.param(x5c(_forged(), BETWEEN), id="an authority of the same name"),
        pytest.param(x5c(_forged(), made.intermediate(OTHER_ROOT, key=STRANGER)), id="another root"),
        pytest.param(
            x5c(_forged(), made.intermediate(OTHER_ROOT, key=STRANGER), OTHER_ROOT), id="which comes along"
        ),
        pytest.param(x5c(ROOT), id="the root itself"),
        pytest.param(_short_of(authority=True), id="the signer an authority"),
        pytest.param(_short_of(usage=made.KEY_CERT_SIGN), id="the signer's key not for documents"),
        pytest.param(_short_of(purposes=["1.3.6.1.5.5.7.3.1"]), id="the signer a web server"),
        pytest.param(
            _short_of(extensions=[made.extension("1.2.3", b"", critical=True)]), id="an unknown duty"
        ),
        pytest.param(_short_of(not_after=ISSUED - SECOND), id="expired at issue"),
        pytest.param(_short_of(not_before=ISSUED + SECOND), id="not yet valid at issue"),
        pytest.param([base64.b64encode(b"junk").decode()], id="no certificate"),
    ],
)
def test_5_a_chain_that_does_not_lead_to_the_anchor_at_issue_is_refused(chain: list[str]) -> None:
    # Before the signature: whose key is it?
    assert refusal(token(chain)) == CHAIN_REFUSED
    assert refusal(token(chain, STRANGER)) == CHAIN_REFUSED


@pytest.mark.parametrize("at_issue", [{"not_after": ISSUED}, {"not_before": ISSUED}], ids=str)
def test_5_the_moment_of_issue_may_be_the_first_or_the_last(at_issue: dict[str, datetime]) -> None:
    assert check(token(_short_of(**at_issue))).issued_at == ISSUED


def test_5_an_authority_that_had_expired_at_issue_certifies_nobody() -> None:
    between = made.intermediate(ROOT, not_after=ISSUED - SECOND)
    assert refusal(token(x5c(LEAF, between))) == CHAIN_REFUSED


def test_5_three_authorities_may_stand_above_the_signer_and_no_more() -> None:
    second = made.intermediate(BETWEEN, "下级机构")
    third = made.intermediate(second, "更下级机构")
    by = register(anchor(crls=None))
    for above in ([second, BETWEEN], [third, second, BETWEEN]):
        leaf = made.leaf(above[0], kind=Kind.ED25519)
        written = token(x5c(leaf, *above), leaf.key)
        if len(above) == 2:
            assert check(written, by=by).number == EXPECTED.number
        else:
            assert refusal(written, by=by) == CHAIN_REFUSED


@pytest.mark.parametrize(
    ("subject", "allowed"),
    [
        ("", True),
        ("CN=某培训平台,C=CN", True),
        ("CN=别的平台,C=CN", False),
        ("CN=某培训平台", False),
        ("C=CN,CN=某培训平台", False),
    ],
)
def test_5_where_a_subject_is_registered_only_its_certificate_signs(subject: str, *, allowed: bool) -> None:
    by = register(anchor(leaf_subject=subject))
    if allowed:
        assert check(token(), by=by).number == EXPECTED.number
    else:
        assert refusal(token(), by=by) == CHAIN_REFUSED


def test_5_of_two_anchors_the_one_to_which_the_chain_leads_is_meant() -> None:
    other = anchor(anchor_id="other", certificate=OTHER_ROOT.der, algorithm=Algorithm.ES256)
    for anchors in ((anchor(), other), (other, anchor())):
        assert check(token(), by=register(*anchors)).key_id.startswith("ca:")
    assert refusal(token(), by=register(other)) == CHAIN_REFUSED
    assert refusal(token(), by=register()) == CHAIN_REFUSED


def test_5_an_anchor_for_another_subject_leaves_the_certificate_to_the_next() -> None:
    elsewhere = anchor(anchor_id="other", leaf_subject="CN=别的平台,C=CN")
    direct = anchor(certificate=BETWEEN.der, crls=(crl(BETWEEN),))
    assert check(token(), by=register(elsewhere, direct)).key_id.startswith("ca:")


# 6 algorithm


def test_6_a_key_that_is_not_for_the_anchors_algorithm_is_refused_before_its_signature() -> None:
    by = register(anchor(algorithm=Algorithm.ES256))
    for key in (LEAF.key, STRANGER):
        for alg in ("EdDSA", "ES256"):
            assert refusal(token(CHAIN, key, alg), by=by) == (6, Code.ALGORITHM_REFUSED)


@pytest.mark.parametrize("alg", ["PS256", "RS384", "HS256", "none", "rs256", ""])
def test_6_a_token_says_the_anchors_algorithm_and_no_other_that_the_key_could(alg: str) -> None:
    leaf = made.leaf(ROOT, kind=Kind.RSA)
    by = register(anchor(algorithm=Algorithm.RS256))
    assert check(token(x5c(leaf), leaf.key, "RS256"), by=by).algorithm == "RS256"
    assert refusal(token(x5c(leaf), leaf.key, alg), by=by) == (6, Code.ALGORITHM_REFUSED)


# 7 signature


def test_7_only_the_signers_key_signs_and_nobody_elses_in_the_chain() -> None:
    invalid = (7, Code.CERTIFICATE_SIGNATURE_INVALID)
    assert refusal(token(CHAIN, STRANGER)) == invalid
    assert refusal(token(CHAIN, BETWEEN.key)) == invalid
    genuine, other = token().split("."), token(no="N-2").split(".")
    assert refusal(".".join([*genuine[:2], other[2]])) == invalid
    assert refusal(".".join([genuine[0], other[1], genuine[2]])) == invalid


def test_7_a_renewed_certificate_of_the_same_key_does_not_fit_under_an_old_signature() -> None:
    renewed = made.leaf(BETWEEN, "某培训平台", key=LEAF.key, serial=4711)
    header, payload, signature = token().split(".")
    other = token(x5c(renewed, BETWEEN)).split(".")[0]
    assert header != other
    assert refusal(f"{other}.{payload}.{signature}") == (7, Code.CERTIFICATE_SIGNATURE_INVALID)


# 8 claims


@pytest.mark.parametrize("issued", [..., None, "", 1, "20210302090000"])
def test_8_a_chain_cannot_be_judged_without_a_moment_of_issue(issued: object) -> None:
    assert refusal(token(fzsj=issued)) == (8, Code.CERTIFICATE_CLAIMS_INVALID)


# 9, 10 revocation


def listed(since: datetime, reason: int | None, *, authority: bool = False) -> Register:
    """The register with lists on which the signer, or the authority above it, is revoked."""
    if authority:
        lists = (crl(ROOT, made.revoked(BETWEEN, since, reason=reason)), crl(BETWEEN))
    else:
        lists = (crl(ROOT), crl(BETWEEN, made.revoked(LEAF, since, reason=reason)))
    return register(anchor(crls=lists))


@pytest.mark.parametrize("authority", [False, True], ids=["signer", "authority"])
@pytest.mark.parametrize("reason", [None, COMPROMISED, SUPERSEDED])
def test_9_what_was_issued_since_the_revocation_is_refused(reason: int | None, *, authority: bool) -> None:
    for since in (ISSUED - DAY, ISSUED):
        assert refusal(token(), by=listed(since, reason, authority=authority)) == NOT_VALID


@pytest.mark.parametrize("authority", [False, True], ids=["signer", "authority"])
def test_9_what_was_issued_before_a_certificate_was_superseded_stays_good(*, authority: bool) -> None:
    by = listed(ISSUED + SECOND, SUPERSEDED, authority=authority)
    assert check(token(), by=by).number == EXPECTED.number


@pytest.mark.parametrize("authority", [False, True], ids=["signer", "authority"])
@pytest.mark.parametrize("reason", [None, COMPROMISED])
def test_10_what_was_first_received_since_the_key_was_stolen_is_refused_whatever_date_it_bears(
    reason: int | None, *, authority: bool
) -> None:
    since = RECEIVED - DAY
    by = listed(since, reason, authority=authority)
    assert since > ISSUED
    assert refusal(token(), by=by) == STOLEN
    assert refusal(token(), by=by, at=since) == STOLEN
    assert check(token(), by=by, at=since - TICK).number == EXPECTED.number


def test_10_a_list_that_was_made_later_counts_for_what_is_read_again() -> None:
    entry = made.revoked(LEAF, RECEIVED - DAY, reason=COMPROMISED)
    later = crl(BETWEEN, entry, made_at=RECEIVED + DAY, until=RECEIVED + 9 * DAY)
    assert refusal(token(), by=register(anchor(crls=(*LISTS, later)))) == STOLEN


OUT_OF_DATE = (crl(ROOT), crl(BETWEEN, until=RECEIVED - SECOND))


@pytest.mark.parametrize(
    "crls",
    [
        pytest.param((), id="none at all"),
        pytest.param(LISTS[:1], id="none of the authority between"),
        pytest.param(LISTS[1:], id="none of the root"),
        pytest.param(OUT_OF_DATE, id="one out of date"),
        pytest.param(
            (crl(ROOT), made.crl(BETWEEN, this_update=ISSUED, next_update=RECEIVED, signed_by=STRANGER)),
            id="one by a stranger",
        ),
        pytest.param((crl(ROOT), b"junk"), id="one that cannot be read"),
    ],
)
def test_10_without_a_current_list_of_every_authority_nothing_is_accepted(crls: tuple[bytes, ...]) -> None:
    assert refusal(token(), by=register(anchor(crls=crls))) == UNKNOWN


def test_10_a_list_is_current_up_to_its_next_update() -> None:
    by = register(anchor(crls=LISTS))
    assert check(token(), by=by, at=RECEIVED).number == EXPECTED.number
    assert refusal(token(), by=by, at=RECEIVED + TICK) == UNKNOWN


def test_10_that_revocation_is_unknown_is_said_only_of_what_the_signer_signed() -> None:
    by = register(anchor(crls=OUT_OF_DATE))
    assert refusal(token(CHAIN, STRANGER), by=by) == (7, Code.CERTIFICATE_SIGNATURE_INVALID)
    assert refusal(token(no=""), by=by) == (8, Code.CERTIFICATE_CLAIMS_INVALID)
    assert refusal(token(x5c(_forged(), BETWEEN), STRANGER), by=by) == CHAIN_REFUSED


def test_10_an_authority_that_publishes_no_lists_must_be_registered_so() -> None:
    assert check(token(), by=register(anchor(crls=None))).number == EXPECTED.number


def test_9_10_the_anchors_own_interval_and_compromise_count_as_a_keys_do() -> None:
    assert check(token(), by=register(anchor(not_before=ISSUED))).number == EXPECTED.number
    assert refusal(token(), by=register(anchor(not_before=ISSUED + TICK))) == NOT_VALID
    assert refusal(token(), by=register(anchor(not_after=ISSUED))) == NOT_VALID
    stolen = register(anchor(state=KeyState.COMPROMISED, compromised_since=RECEIVED))
    assert refusal(token(), by=stolen) == STOLEN
    assert check(token(), by=stolen, at=RECEIVED - TICK).number == EXPECTED.number


def test_11_a_certificate_from_the_future_is_refused_though_its_chain_is_valid_then() -> None:
    by = register(anchor(crls=None))
    assert refusal(token(fzsj="2022-01-01T00:00:00+08:00"), by=by) == (11, Code.CERTIFICATE_NOT_YET_VALID)

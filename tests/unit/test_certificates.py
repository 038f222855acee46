from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as jose
from joserfc.jwk import ECKey, OKPKey, RSAKey

from verifier import certificates
from verifier.certificates import check_stated, compact, matches, reading, verify
from verifier.errors import CertificateRejected, Code
from verifier.keyring import Issuer, IssuerKey, KeyState, Register
from verifier.model.certificate import (
    CertificateFields,
    CertificateKind,
    DocumentKind,
    SignedCertificate,
    SkillLevel,
    VerifiedCertificate,
)
from verifier.model.delivery import PlatformSlug
from verifier.model.person import IdentityClaims
from verifier.model.time import TimeFormat
from verifier.signatures import base64url, jws
from verifier.signatures.jws import Algorithm, SigningKey
from verifier.signatures.strict_json import JsonValue

ALPHA, BETA = PlatformSlug("alpha"), PlatformSlug("beta")
AT = datetime(2021, 3, 10, 4, tzinfo=UTC)
SECOND = timedelta(microseconds=1)

FIELDS = CertificateFields(
    issuer="iss",
    number="no",
    holder_name="xm",
    id_kind="zjlx",
    id_number="zjhm",
    course_code="kcbm",
    course_title="kcmc",
    organisation="jg",
    completed_at="jysj",
    issued_at="fzsj",
    document="lx",
    revision="bb",
    completed_format=TimeFormat.COMPACT_BEIJING,
    issued_format=TimeFormat.RFC3339,
    documents={"培训合格证明": DocumentKind.COURSE_PROOF, "等级证书": DocumentKind.SKILL_LEVEL},
    id_kinds={"01": "resident_id"},
)
CLAIMS: dict[str, Any] = {
    "iss": "https://issuer.invalid",
    "no": "新培证（2021）第001号",
    "xm": "测试·学员",
    "zjlx": "01",
    "zjhm": "999901199001010010",
    "kcbm": "C-1",
    "kcmc": "安全生产",
    "jg": "某培训机构",
    "jysj": "20210301120000",
    "fzsj": "2021-03-02T09:00:00+08:00",
    "lx": "培训合格证明",
    "bb": 2,
    "other": [1, {"a": None}],
}
EXPECTED = VerifiedCertificate(
    issuer="https://issuer.invalid",
    number_scope="scope",
    number="新培证（2021）第001号",
    revision=2,
    holder=IdentityClaims("resident_id", "999901199001010010", "测试·学员"),
    course_code="C-1",
    course_title="安全生产",
    organisation="某培训机构",
    completed_at=datetime(2021, 3, 1, 4, tzinfo=UTC),
    issued_at=datetime(2021, 3, 2, 1, tzinfo=UTC),
    document=DocumentKind.COURSE_PROOF,
    key_id="ed",
    algorithm="EdDSA",
    content_digest=sha256(
        json.dumps(CLAIMS, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    ).digest(),
)

ED = SigningKey("ed", Algorithm.EDDSA, Ed25519PrivateKey.generate())
EC = SigningKey("ec", Algorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
_RSA = rsa.generate_private_key(65537, 2048)
RS = SigningKey("rs", Algorithm.RS256, _RSA)
PS = SigningKey("ps", Algorithm.PS256, _RSA)
STRANGER = SigningKey("ed", Algorithm.EDDSA, Ed25519PrivateKey.generate())
START, END = datetime(2021, 1, 1, tzinfo=UTC), datetime(2022, 1, 1, tzinfo=UTC)


def _register(**changed: Any) -> Register:
    """A register with one issuer; ``changed`` replaces parts of its key ``ed``."""
    entries = {
        key.kid: IssuerKey(key.verification_key, KeyState.ACTIVE, START, END) for key in (ED, EC, RS, PS)
    }
    entries["ed"] = replace(entries["ed"], **changed)
    other = IssuerKey(
        SigningKey("theirs", Algorithm.EDDSA, STRANGER.private).verification_key, KeyState.ACTIVE, START
    )
    issuers = {
        "https://issuer.invalid": Issuer("https://issuer.invalid", "scope", frozenset({ALPHA}), entries),
        "other": Issuer("other", "other", frozenset({ALPHA, BETA}), {"theirs": other}),
    }
    return Register("d" * 64, {}, issuers)


REGISTER = _register()


def _payload(**changed: Any) -> bytes:
    kept = {name: value for name, value in (CLAIMS | changed).items() if value is not ...}
    return json.dumps(kept, ensure_ascii=False).encode()


def _token(key: SigningKey = ED, payload: bytes | None = None, /, **changed: Any) -> str:
    return jws.sign_compact(_payload(**changed) if payload is None else payload, key, typ="JWT")


def _raw(header: object, payload: bytes | None = None, key: SigningKey = ED) -> str:
    """A token with any header at all, genuinely signed."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    signed = f"{base64url.encode(raw)}.{base64url.encode(_payload() if payload is None else payload)}"
    return f"{signed}.{base64url.encode(jws.signature(signed.encode(), key))}"


HEADER = {"alg": "EdDSA", "kid": "ed", "typ": "JWT"}


def _verify(
    token: str,
    *,
    platform: PlatformSlug = ALPHA,
    register: Register = REGISTER,
    at: datetime = AT,
    fields: CertificateFields = FIELDS,
) -> VerifiedCertificate:
    signed = SignedCertificate(CertificateKind.JWS, token.encode("latin-1", "replace"), fields)
    return verify(signed, platform=platform, register=register, first_received_at=at)


def _refusal(token: str, **kwargs: Any) -> tuple[int, Code]:
    with pytest.raises(CertificateRejected) as caught:
        _verify(token, **kwargs)
    assert caught.value.detail
    return caught.value.step, caught.value.code


def test_a_genuine_certificate_is_read_completely() -> None:
    assert _verify(_token()) == EXPECTED


def test_every_kind_of_certificate_has_a_verifier() -> None:
    assert set(certificates.FORMS) == set(CertificateKind)


@pytest.mark.parametrize("key", [EC, RS, PS])
def test_each_registrable_algorithm_verifies(key: SigningKey) -> None:
    assert _verify(_token(key)) == replace(EXPECTED, key_id=key.kid, algorithm=key.algorithm.value)


def _jose_key(key: SigningKey) -> ECKey | OKPKey | RSAKey:
    pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    classes: Mapping[Algorithm, type[ECKey | OKPKey | RSAKey]] = {
        Algorithm.ES256: ECKey,
        Algorithm.EDDSA: OKPKey,
    }
    return classes.get(key.algorithm, RSAKey).import_key(pem)


def _jose_token(key: SigningKey, header: Mapping[str, Any], payload: bytes) -> str:
    """Signed by another implementation."""
    protected = {"alg": key.algorithm.value, "kid": key.kid, **header}
    return jose.serialize_compact(protected, payload, _jose_key(key), algorithms=[key.algorithm.value])


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # it warns of EdDSA's name (RFC 9864)
@pytest.mark.parametrize("key", [ED, EC, RS, PS])
def test_certificates_signed_by_another_implementation_verify(key: SigningKey) -> None:
    token = _jose_token(key, {"typ": "JWT"}, _payload())
    assert _verify(token) == replace(EXPECTED, key_id=key.kid, algorithm=key.algorithm.value)
    assert _refusal(token[:-8] + ("A" if token[-8] != "A" else "B") + token[-7:])[0] == 7


# 1 form


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b",
        "..",
        _token() + ".",
        _token() + "=",
        " " + _token(),
        _token() + "\n",
        _token().replace(".", "..", 1),
        _token().rpartition(".")[0] + ".",
        "e30." + _token().partition(".")[2],
        "[]." + _token().partition(".")[2],
        "\ud800",
        "证书",
        "a.b.c.d.e",
        '{"payload": ""}',
        _raw(b'{"alg":"EdDSA","alg":"EdDSA","kid":"ed","typ":"JWT"}'),
        _raw({"alg": "EdDSA", "kid": ["ed"], "typ": "JWT"}),
        _raw({"alg": "EdDSA", "kid": "ed\0", "typ": "JWT"}),
        _raw({"alg": "EdDSA", "kid": "x" * 129, "typ": "JWT"}),
    ],
)
def test_1_what_is_no_strict_compact_jws_is_malformed(token: str) -> None:
    assert _refusal(token) == (1, Code.CERTIFICATE_MALFORMED)


def test_1_a_token_of_8192_bytes_is_read_and_a_longer_one_is_not() -> None:
    fitting = next(
        token
        for size in range(5800, 4000, -1)
        if len(token := _token(other="x" * size)) <= compact.MAX_TOKEN_BYTES
    )
    assert len(fitting) >= 8190
    assert _verify(fitting).number == EXPECTED.number
    assert _refusal(_token(other="x" * 6000)) == (1, Code.CERTIFICATE_MALFORMED)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"\xff",
        b"{" * 3000,
        b'{"a":' * 900 + b"1" + b"}" * 900,
        _payload()[:-1] + b', "no": "2"}',
        _payload()[:-1] + b', "\\u006eo": "2"}',
        _payload()[:-1] + b', "x": NaN}',
        _payload()[:-1] + b', "x": 1' + b"0" * 4301 + b"}",
        _payload() + b"{}",
        "\ufeff".encode() + _payload(),
    ],
)
def test_1_a_payload_that_is_no_strict_json_object_is_malformed(payload: bytes) -> None:
    assert _refusal(_token(ED, payload)) == (1, Code.CERTIFICATE_MALFORMED)


# 2 header


@pytest.mark.parametrize(
    "extra",
    [{"jwk": jws_key} for jws_key in ({}, {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"})]
    + [
        {"jku": "http://169.254.169.254/"},
        {"x5u": "file:///etc/passwd"},
        {"x5c": ["AAAA"]},
        {"crit": []},
        {"crit": ["exp"]},
        {"b64": False},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"typ": "jwt"},
        {"typ": "at+jwt"},
        {"typ": "dc+sd-jwt"},
        {"typ": ""},
    ],
)
def test_2_a_header_that_brings_its_own_key_or_another_kind_is_refused(extra: dict[str, object]) -> None:
    assert _refusal(_raw(HEADER | extra)) == (2, Code.CERTIFICATE_HEADER_REFUSED)


def test_2_typ_is_required_and_unknown_header_parameters_change_nothing() -> None:
    assert _refusal(_raw({"alg": "EdDSA", "kid": "ed"})) == (2, Code.CERTIFICATE_HEADER_REFUSED)
    assert _verify(_raw(HEADER | {"cty": "x"})) == EXPECTED


# 3 issuer, 4 platform


@pytest.mark.parametrize(
    "issuer", [..., None, 1, ["https://issuer.invalid"], {}, "", "HTTPS://issuer.invalid"]
)
def test_3_an_issuer_the_register_does_not_know_is_refused(issuer: object) -> None:
    assert _refusal(_token(iss=issuer)) == (3, Code.ISSUER_UNKNOWN)


def test_4_a_platform_that_may_not_carry_the_issuers_certificates_is_refused() -> None:
    assert _refusal(_token(), platform=BETA) == (4, Code.ISSUER_NOT_ALLOWED)


# 5 key, 6 algorithm, 7 signature


@pytest.mark.parametrize("kid", ["ED", "ed ", "../../dev/null", "' OR 1=1", "theirs"])
def test_5_a_key_id_that_the_issuer_does_not_have_is_refused(kid: str) -> None:
    assert _refusal(_raw(HEADER | {"kid": kid})) == (5, Code.KEY_UNKNOWN)


def test_5_a_key_must_be_named_even_where_there_is_one() -> None:
    assert _refusal(_raw({"alg": "EdDSA", "typ": "JWT"})) == (5, Code.KEY_UNKNOWN)


def test_5_another_issuers_key_does_not_sign_for_this_one() -> None:
    theirs = SigningKey("theirs", Algorithm.EDDSA, STRANGER.private)
    assert _refusal(_token(theirs)) == (5, Code.KEY_UNKNOWN)
    assert _verify(_token(theirs, iss="other")).issuer == "other"


@pytest.mark.parametrize(
    ("kid", "alg"),
    [
        ("ed", "none"),
        ("ed", "nOnE"),
        ("ed", ""),
        ("ed", "HS256"),
        ("ed", "ES256"),
        ("ec", "ES384"),
        ("rs", "PS256"),
        ("ps", "RS256"),
        ("rs", "HS256"),
    ],
)
def test_6_the_algorithm_is_the_registered_one_whatever_the_token_says(kid: str, alg: str) -> None:
    assert _refusal(_raw({"alg": alg, "kid": kid, "typ": "JWT"})) == (6, Code.ALGORITHM_REFUSED)


def test_7_a_strangers_signature_and_an_altered_payload_are_refused() -> None:
    assert _refusal(_token(STRANGER)) == (7, Code.CERTIFICATE_SIGNATURE_INVALID)
    header, _, signature = _token().split(".")
    altered = f"{header}.{base64url.encode(_payload(xm='另一人'))}.{signature}"
    assert _refusal(altered) == (7, Code.CERTIFICATE_SIGNATURE_INVALID)


@pytest.mark.parametrize("signature", [b"\0" * 64, b"\xff" * 64, b"\0", b"x" * 63, b"x" * 65])
def test_7_signatures_of_no_value_are_refused(signature: bytes) -> None:
    for key in (ED, EC):
        token = _token(key).rpartition(".")[0] + "." + base64url.encode(signature)
        assert _refusal(token) == (7, Code.CERTIFICATE_SIGNATURE_INVALID)


def test_7_a_malleable_twin_of_an_es256_signature_is_the_same_certificate() -> None:
    token = _token(EC)
    signed, _, signature = token.rpartition(".")
    raw = base64url.decode(signature)
    twin = raw[:32] + (ec.SECP256R1().group_order - int.from_bytes(raw[32:])).to_bytes(32)
    assert _verify(f"{signed}.{base64url.encode(twin)}") == _verify(token)


# 8 claims


@pytest.mark.parametrize("member", sorted(set(CLAIMS) - {"iss", "bb", "other"}))
@pytest.mark.parametrize("value", [..., None, "", " ", True, 1.5, [], {}, "x\ty", "x" * 201])
def test_8_each_claim_is_there_and_of_its_type(member: str, value: object) -> None:
    assert _refusal(_token(**{member: value})) == (8, Code.CERTIFICATE_CLAIMS_INVALID)


@pytest.mark.parametrize(
    "member",
    [
        *("issuer", "number", "holder_name", "id_kind", "id_number", "course_code", "course_title"),
        *("organisation", "completed_at", "issued_at", "document", "revision"),
    ],
)
def test_8_the_table_of_fields_decides_where_each_claim_stands(member: str) -> None:
    changes: dict[str, Any] = {member: "elsewhere"}
    claim = getattr(FIELDS, member)
    moved = _token(**{claim: ..., "elsewhere": CLAIMS[claim]})
    found = _verify(moved, fields=replace(FIELDS, **changes))
    assert replace(found, content_digest=b"") == replace(EXPECTED, content_digest=b"")


def test_8_texts_of_200_characters_are_taken() -> None:
    assert _verify(_token(kcmc="课" * 200)).course_title == "课" * 200
    assert _refusal(_token(kcmc="课" * 201)) == (8, Code.CERTIFICATE_CLAIMS_INVALID)


@pytest.mark.parametrize("number", ["A", "0" * 64, "XJ-2021_03/001.2:3#4", "〔2021〕号", "(1)[2]"])
def test_8_numbers_of_the_usual_characters_are_taken(number: str) -> None:
    assert _verify(_token(no=number)).number == number


@pytest.mark.parametrize("number", ["0" * 65, "1 2", " 1", "1\u200b", "１", "1;2", "=1", 1, "\u0661"])
def test_8_numbers_that_could_pass_for_others_are_refused(number: object) -> None:
    assert _refusal(_token(no=number)) == (8, Code.CERTIFICATE_CLAIMS_INVALID)


@pytest.mark.parametrize(("written", "read"), [(..., 1), (1, 1), (2**31 - 1, 2**31 - 1)])
def test_8_a_revision_is_an_integer_from_1_and_absent_means_1(written: object, read: int) -> None:
    assert _verify(_token(bb=written)).revision == read


@pytest.mark.parametrize("revision", [0, -1, 2**31, True, "1", 1.0, None])
def test_8_any_other_revision_is_refused(revision: object) -> None:
    assert _refusal(_token(bb=revision)) == (8, Code.CERTIFICATE_CLAIMS_INVALID)


def test_8_a_platform_without_revisions_has_only_the_first() -> None:
    token = _token(ED, _payload()[:-1] + b', "": 7}')
    assert _verify(token, fields=replace(FIELDS, revision="")).revision == 1


LEARNED = replace(
    FIELDS, started_at="kssj", started_format=TimeFormat.COMPACT_BEIJING, study_minutes="/xs/fz"
)


def test_8_when_learning_began_and_how_long_it_took_are_read_where_the_form_has_them() -> None:
    token = _token(kssj="20210301083000", xs={"fz": 90})
    found = _verify(token, fields=LEARNED)
    assert (found.started_at, found.study_minutes) == (datetime(2021, 3, 1, 0, 30, tzinfo=UTC), 90)
    unread = _verify(token)
    assert (unread.started_at, unread.study_minutes) == (None, None)


@pytest.mark.parametrize(
    "left_out", [{}, {"kssj": None, "xs": None}, {"kssj": "", "xs": {"fz": ""}}, {"xs": []}]
)
def test_8_what_a_certificate_leaves_out_of_them_is_no_error(left_out: dict[str, Any]) -> None:
    found = _verify(_token(**left_out), fields=LEARNED)
    assert (found.started_at, found.study_minutes) == (None, None)


MINUTES: list[object] = [-1, 1.5, True, "90", [90], 10_000_000]
MOMENTS: list[object] = ["2021-03-01", 20210301083000.0, 7, True, "20210230083000", []]


@pytest.mark.parametrize(
    "wrong", [*({"xs": {"fz": one}} for one in MINUTES), *({"kssj": one} for one in MOMENTS)], ids=str
)
def test_8_one_that_is_there_and_malformed_is_refused(wrong: dict[str, Any]) -> None:
    assert _refusal(_token(**wrong), fields=LEARNED) == (8, Code.CERTIFICATE_CLAIMS_INVALID)


@pytest.mark.parametrize(
    "moment", ["20210230120000", "2021-03-01T12:00:00Z", 20210301120000.0, "２０210301120000"]
)
def test_8_a_time_of_another_format_is_refused(moment: object) -> None:
    assert _refusal(_token(jysj=moment)) == (8, Code.CERTIFICATE_CLAIMS_INVALID)


def test_8_words_for_documents_are_mapped_and_unknown_ones_are_other() -> None:
    assert _verify(_token(lx="等级证书")).document is DocumentKind.SKILL_LEVEL
    assert _verify(_token(lx="奖状")).document is DocumentKind.OTHER


LEVELS = {"3": SkillLevel.SENIOR, "二级": SkillLevel.TECHNICIAN}


@pytest.mark.parametrize(
    ("stated", "level"),
    [
        ("二级", SkillLevel.TECHNICIAN),
        ("3", SkillLevel.SENIOR),
        (3, SkillLevel.SENIOR),
        ("三级", None),
        (True, None),
        (None, None),
        (["3"], None),
    ],
)
def test_8_a_level_is_mapped_and_what_is_not_one_is_not_known(
    stated: object, level: SkillLevel | None
) -> None:
    fields = replace(FIELDS, level="dj", levels=LEVELS)
    assert _verify(_token(dj=stated), fields=fields).level is level


def test_8_a_form_without_a_level_or_a_certificate_without_it_states_none() -> None:
    assert _verify(_token(dj="二级")).level is None
    assert _verify(_token(), fields=replace(FIELDS, level="dj", levels=LEVELS)).level is None


def test_8_an_unknown_kind_of_identifier_is_kept_as_it_came() -> None:
    assert _verify(_token(zjlx="99")).holder.id_kind == "99"


def test_8_the_digest_is_of_the_content_and_not_of_its_spelling() -> None:
    respelt = json.dumps(dict(reversed(CLAIMS.items())), ensure_ascii=True, indent=2).encode()
    assert _verify(_token(ED, respelt)).content_digest == EXPECTED.content_digest
    assert _verify(_token(other=[])).content_digest != EXPECTED.content_digest


# 9 key at issue


@pytest.mark.parametrize(("before", "valid"), [(-SECOND, True), (timedelta(0), True), (SECOND, False)])
def test_9_a_key_signs_from_its_first_moment(before: timedelta, valid: bool) -> None:  # noqa: FBT001 - a table's column
    register = _register(not_before=EXPECTED.issued_at + before)
    if valid:
        assert _verify(_token(), register=register) == EXPECTED
    else:
        assert _refusal(_token(), register=register) == (9, Code.KEY_NOT_VALID_AT_ISSUE)


@pytest.mark.parametrize("state", [KeyState.ACTIVE, KeyState.RETIRING, KeyState.RETIRED])
def test_9_a_retired_key_keeps_what_it_signed_while_valid_and_nothing_later(state: KeyState) -> None:
    good = _register(state=state, not_after=EXPECTED.issued_at + SECOND)
    assert _verify(_token(), register=good) == EXPECTED
    late = _register(state=state, not_after=EXPECTED.issued_at)
    assert _refusal(_token(), register=late) == (9, Code.KEY_NOT_VALID_AT_ISSUE)


# 10 compromise


def test_10_what_was_first_received_before_the_compromise_stands_and_the_rest_falls() -> None:
    register = _register(state=KeyState.COMPROMISED, compromised_since=AT)
    assert _verify(_token(), register=register, at=AT - SECOND) == EXPECTED
    for at in (AT, AT + SECOND, AT + timedelta(days=900)):
        assert _refusal(_token(), register=register, at=at) == (10, Code.KEY_COMPROMISED)


def test_10_an_early_date_does_not_help_a_thief() -> None:
    register = _register(state=KeyState.COMPROMISED, compromised_since=AT)
    early = _token(fzsj="2021-01-03T00:00:00Z", jysj="20210102000000")
    assert _verify(early, register=register, at=AT - SECOND).issued_at < EXPECTED.issued_at
    assert _refusal(early, register=register, at=AT) == (10, Code.KEY_COMPROMISED)


# 11 time


def test_11_five_minutes_ahead_is_accepted_and_more_is_not() -> None:
    limit = EXPECTED.issued_at - timedelta(minutes=5)
    assert _verify(_token(), at=limit) == EXPECTED
    assert _refusal(_token(), at=limit - SECOND) == (11, Code.CERTIFICATE_NOT_YET_VALID)


def test_11_a_completion_in_the_future_is_refused_whenever_it_was_issued() -> None:
    assert _refusal(_token(jysj="20210310130000")) == (11, Code.CERTIFICATE_NOT_YET_VALID)


def test_11_nothing_is_issued_before_it_was_completed() -> None:
    assert _verify(_token(jysj="20210302090500")).completed_at > EXPECTED.issued_at
    assert _refusal(_token(jysj="20210302090501")) == (11, Code.CERTIFICATE_CLAIMS_INVALID)


def test_11_a_certificate_does_not_expire() -> None:
    assert _verify(_token(exp=1), at=AT + timedelta(days=3650)).number == EXPECTED.number


# 12 message


@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"number": EXPECTED.number},
        {"number": f" {EXPECTED.number}\t", "holder_name": "测试·学员", "id_number": "999901199001010010"},
    ],
)
def test_12_a_message_that_repeats_the_certificate_passes(stated: dict[str, str]) -> None:
    assert matches(stated, EXPECTED)
    check_stated(stated, EXPECTED)


@pytest.mark.parametrize(
    "stated",
    [
        {"number": "2"},
        {"number": ""},
        {"number": EXPECTED.number, "holder_name": "测试学员"},
        {"id_number": "99990119900101001X"},
        {"unheard_of": "x"},
    ],
)
def test_12_a_message_that_differs_or_cannot_be_compared_is_refused(stated: dict[str, str]) -> None:
    assert not matches(stated, EXPECTED)
    with pytest.raises(CertificateRejected) as caught:
        check_stated(stated, EXPECTED)
    assert (caught.value.step, caught.value.code) == (12, Code.CERTIFICATE_MISMATCH)


# for all


_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TOKENS = [_token(key) for key in (ED, EC, PS)]


@given(
    token=st.sampled_from(_TOKENS),
    where=st.floats(0, 1, exclude_max=True),
    char=st.sampled_from(_ALPHABET) | st.characters(),
)
def test_a_flipped_character_never_verifies(token: str, where: float, char: str) -> None:
    at = int(where * len(token))
    if token[at] == char:
        assert _verify(token).number == EXPECTED.number
        return
    step, _ = _refusal(token[:at] + char + token[at + 1 :])
    assert 1 <= step <= 7


@given(token=st.text() | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", fullmatch=True))
def test_no_text_gives_anything_but_a_numbered_refusal(token: str) -> None:
    assert _refusal(token)[0] in {1, 2}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(changed=st.dictionaries(st.sampled_from(sorted(CLAIMS)), _JSON, max_size=3))
def test_whatever_a_genuine_issuer_signs_is_read_or_refused_by_number(changed: dict[str, Any]) -> None:
    payload = json.dumps(CLAIMS | changed).encode()
    with suppress(CertificateRejected):
        assert _verify(_token(ED, payload)).issuer == CLAIMS["iss"]


@given(changed=st.dictionaries(st.sampled_from(sorted(CLAIMS)), st.text(min_size=1, max_size=20), max_size=3))
def test_no_message_repeats_what_was_sent(changed: dict[str, str]) -> None:
    sentinel = "9999019ZZ"
    with pytest.raises(CertificateRejected) as caught:
        _verify(_token(**(changed | {"jysj": sentinel, "xm": sentinel})))
    assert sentinel not in str(caught.value)


def test_a_member_is_found_by_its_name_or_by_its_pointer() -> None:
    claims: dict[str, JsonValue] = {"a/b": "1", "list": ["x", {"y": "2"}], "plain": "3"}
    expected = {
        "plain": "3",
        "/a~1b": "1",
        "/list/0": "x",
        "/list/1/y": "2",
        "/list/2": None,
        "/list/-": None,
        "/plain/0": None,
        "/none/at/all": None,
        "none": None,
    }
    assert {name: reading.value(claims, name) for name in expected} == expected

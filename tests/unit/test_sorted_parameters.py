from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, permutations
from urllib.parse import parse_qsl, urlencode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import Code, ConfigurationError, SignatureRejected
from verifier.model.time import TimeFormat
from verifier.signatures import sorted_parameters
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import Algorithm, VerificationKey
from verifier.signatures.sm2 import Sm2PrivateKey
from verifier.signatures.sorted_parameters import Canonical, Keyed, Parameters, form_parameters

SECRET = b"0123456789abcdef"
NOW = datetime(2025, 6, 1, 4, 30, tzinfo=UTC)
TIME = "20250601123000"  # the same moment in Beijing

CANONICAL = Canonical(
    names=frozenset({"appId", "timestamp", "nonce", "data", "remark", "sign", "sign_type"}),
    required=frozenset({"appId", "nonce"}),
    time_name="timestamp",
    time_format=TimeFormat.COMPACT_BEIJING,
    excluded=frozenset({"sign", "sign_type"}),
)
PARAMETERS = [
    ("timestamp", TIME),
    ("nonce", "n1"),
    ("data", "结业"),
    ("remark", ""),
    ("appId", "a1"),
    ("sign_type", "whatever"),
]
STRING = f"appId=a1&data=结业&nonce=n1&timestamp={TIME}"
SM2 = Sm2PrivateKey.generate()
SM2_KEY = VerificationKey("k1", Algorithm.SM2, SM2.public_key)
RSA = rsa.generate_private_key(65537, 2048)
RSA_KEY = VerificationKey("k2", Algorithm.RS256, RSA.public_key())


def changed(**changes: str) -> list[tuple[str, str]]:
    return list({**dict(PARAMETERS), **changes}.items())


def signature(
    parameters: Parameters = PARAMETERS, canonical: Canonical = CANONICAL, scheme: Keyed = Keyed.HMAC_SHA256
) -> str:
    return sorted_parameters.sign_keyed(canonical, parameters, secret=SECRET, scheme=scheme)


def verify(
    parameters: Parameters = PARAMETERS,
    sign: str | None = None,
    *,
    canonical: Canonical = CANONICAL,
    secret: bytes = SECRET,
    scheme: Keyed = Keyed.HMAC_SHA256,
    now: datetime = NOW,
) -> sorted_parameters.Signed:
    sign = signature(parameters, canonical, scheme) if sign is None else sign
    return sorted_parameters.verify_keyed(
        canonical, parameters, sign, secret=secret, scheme=scheme, now=now, tolerance_seconds=300
    )


def verify_public(
    parameters: Parameters, sign: str, key: VerificationKey, encoding: SignatureEncoding, now: datetime = NOW
) -> sorted_parameters.Signed:
    return sorted_parameters.verify_public(
        CANONICAL, parameters, sign, key=key, encoding=encoding, now=now, tolerance_seconds=300
    )


def step(act: Callable[..., object], *arguments: object, **named: object) -> str:
    with pytest.raises(SignatureRejected) as caught:
        act(*arguments, **named)
    return caught.value.step


# The string


@pytest.mark.parametrize("order", list(permutations(PARAMETERS[:3])), ids=count())
def test_the_string_is_sorted_whatever_the_order_of_arrival(order: Parameters) -> None:
    assert CANONICAL.canonical_string([*order, *PARAMETERS[3:]]) == STRING
    assert CANONICAL.canonical_string([*PARAMETERS[3:], *order]) == STRING


def test_the_order_is_that_of_bytes_so_that_capitals_come_first() -> None:
    canonical = replace(CANONICAL, names=CANONICAL.names | {"Z", "a"})
    assert canonical.canonical_string(changed(Z="1", a="2")).startswith("Z=1&a=2&appId=")


def test_each_variant_gives_the_string_that_it_declares() -> None:
    kept = replace(CANONICAL, drop_empty=False)
    assert kept.canonical_string(PARAMETERS) == STRING.replace("&timestamp", "&remark=&timestamp")
    encoded = replace(CANONICAL, percent_encoded=True)
    sent = changed(data="a b&c=结~*")
    assert encoded.canonical_string(sent) == STRING.replace("结业", "a%20b%26c%3D%E7%BB%93~%2A")
    gbk = replace(encoded, charset="gbk")
    assert gbk.canonical_string(changed(data="结")) == STRING.replace("结业", "%BD%E1")
    assert replace(CANONICAL, charset="gbk").canonical_string(PARAMETERS) == STRING


@pytest.mark.parametrize(
    "parameters",
    [
        *([], PARAMETERS[1:], PARAMETERS[:1]),
        [*PARAMETERS, ("nonce", "n1")],
        [*PARAMETERS, ("sign_type", "")],
        [*PARAMETERS, ("unknown", "")],
        [*PARAMETERS, ("key", "x")],
        [*PARAMETERS, ("Nonce", "n1")],
        *(changed(nonce=""), changed(timestamp="")),
        *(changed(data="1&appId=2"), changed(data="a=b"), changed(data="a\nb"), changed(data="a\x00")),
        changed(data="\udc80"),
    ],
    ids=count(),
)
def test_what_is_missing_doubled_unknown_or_ambiguous_is_malformed(parameters: Parameters) -> None:
    assert step(lambda: CANONICAL.canonical_string(parameters)) == "malformed"
    assert step(lambda: verify(parameters, "0" * 64)) == "malformed"
    assert step(lambda: verify_public(parameters, "00", RSA_KEY, SignatureEncoding.DER_HEX)) == "malformed"


def test_a_character_that_the_charset_does_not_have_is_malformed() -> None:
    gbk = replace(CANONICAL, charset="gbk")
    assert step(lambda: gbk.canonical_string(changed(data="䶮"))) == "malformed"


VALUES = st.text(max_size=6) | st.sampled_from(["1", "&", "=", "&nonce=", "%26"])
SETS = st.fixed_dictionaries({"appId": VALUES, "nonce": VALUES, "data": VALUES, "remark": VALUES})


@given(one=SETS, other=SETS, drop_empty=st.booleans(), percent_encoded=st.booleans())
def test_no_two_messages_give_one_string(
    one: dict[str, str], other: dict[str, str], *, drop_empty: bool, percent_encoded: bool
) -> None:
    canonical = replace(CANONICAL, drop_empty=drop_empty, percent_encoded=percent_encoded)

    def read(values: dict[str, str]) -> tuple[str, dict[str, str]] | None:
        parameters = changed(**values)
        try:
            return canonical.canonical_string(parameters), dict(canonical.signed_parameters(parameters))
        except SignatureRejected:
            return None

    first, second = read(one), read(other)
    if first is not None and second is not None:
        assert (first[0] == second[0]) == (first[1] == second[1])


def test_the_known_trap_is_refused_and_would_be_none_where_values_are_encoded() -> None:
    assert step(lambda: CANONICAL.canonical_string(changed(data="1&nonce=2"))) == "malformed"
    encoded = replace(CANONICAL, percent_encoded=True)
    assert "data=1%26nonce%3D2&nonce=n1" in encoded.canonical_string(changed(data="1&nonce=2"))


@pytest.mark.parametrize(
    "changes",
    [
        {"names": frozenset({"timestamp", "nonce", "appId"})},
        {"names": CANONICAL.names | {"a b"}},
        {"names": CANONICAL.names | {""}},
        {"names": CANONICAL.names | {"é"}},
        {"names": CANONICAL.names | {"key"}},
        {"names": CANONICAL.names | {f"p{n}" for n in range(58)}},
        {"suffix_name": "a=b"},
        {"required": frozenset({"other"})},
        {"required": frozenset({"sign"})},
        {"time_name": "other"},
        {"time_name": "sign_type"},
        {"excluded": frozenset({"other"})},
        {"excluded": CANONICAL.excluded | {"nonce"}},
        {"charset": "utf-16"},
    ],
    ids=count(),
)
def test_a_declaration_that_cannot_be_meant_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        replace(CANONICAL, **changes)  # type: ignore[arg-type]  # the table is of several types
    assert caught.value.code is Code.CONFIGURATION_INVALID


def test_sixty_four_names_are_allowed() -> None:
    assert len(replace(CANONICAL, names=CANONICAL.names | {f"p{n}" for n in range(57)}).names) == 64


# Shared secrets


def test_the_signature_is_the_documented_one_made_by_hand() -> None:
    text = f"{STRING}&key={SECRET.decode()}".encode()
    assert hmac.new(SECRET, text, "sha256").hexdigest().upper() == signature()
    assert hashlib.md5(text).hexdigest().upper() == signature(scheme=Keyed.MD5)  # noqa: S324 - the legacy form
    bare = replace(CANONICAL, suffix_name="", upper_hex=False)
    assert hmac.new(SECRET, STRING.encode(), "sha256").hexdigest() == signature(canonical=bare)


@pytest.mark.parametrize("scheme", list(Keyed))
@pytest.mark.parametrize("upper_hex", [True, False])
def test_what_is_verified_is_what_was_signed_and_nothing_more(scheme: Keyed, *, upper_hex: bool) -> None:
    canonical = replace(CANONICAL, upper_hex=upper_hex)
    found = verify(scheme=scheme, canonical=canonical)
    assert found.signed_at == NOW
    assert found.parameters == {"appId": "a1", "data": "结业", "nonce": "n1", "timestamp": TIME}
    assert list(found.parameters) == sorted(found.parameters)


def test_what_anybody_can_add_is_not_among_the_signed() -> None:
    sign = signature()
    added = [*changed(sign_type="MD5"), ("sign", sign)]
    assert verify(added, sign).parameters == verify().parameters


@pytest.mark.parametrize("scheme", list(Keyed))
def test_every_signed_parameter_is_signed(scheme: Keyed) -> None:
    sign = signature(scheme=scheme)
    for changes in ({"appId": "a2"}, {"nonce": "n2"}, {"data": "x"}, {"data": ""}, {"remark": "x"}):
        assert step(verify, changed(**changes), sign, scheme=scheme) == "signature"
    assert step(lambda: verify(changed(timestamp="20250601123001"), sign, scheme=scheme)) == "signature"
    assert step(lambda: verify(PARAMETERS, sign, scheme=scheme, secret=bytes(16))) == "signature"


def test_neither_scheme_passes_for_the_other() -> None:
    for scheme, other in ((Keyed.MD5, Keyed.HMAC_SHA256), (Keyed.HMAC_SHA256, Keyed.MD5)):
        sign = signature(scheme=scheme)
        assert step(verify, sign=sign, scheme=other) == "signature"


def test_an_md5_without_the_secret_in_it_proves_nothing() -> None:
    bare = replace(CANONICAL, suffix_name="")
    digest = hashlib.md5(STRING.encode()).hexdigest().upper()  # noqa: S324 - what anybody could compute
    assert step(lambda: verify(sign=digest, canonical=bare, scheme=Keyed.MD5)) == "algorithm"


@given(st.integers(0, 255))
def test_any_flipped_bit_of_the_signature_is_refused(bit: int) -> None:
    flipped = f"{int(signature(), 16) ^ (1 << bit):064X}"
    assert step(lambda: verify(sign=flipped)) == "signature"


@pytest.mark.parametrize(
    "sign",
    ["", signature().lower(), signature()[:-1], signature() + "0", signature() + "\n", "０" * 64, "A" * 48],
    ids=count(),
)
def test_a_signature_of_another_form_is_malformed(sign: str) -> None:
    assert step(lambda: verify(sign=sign)) == "malformed"


@pytest.mark.parametrize("secret", [b"", bytes(15)])
def test_no_secret_is_never_acceptance(secret: bytes) -> None:
    sign = hmac.new(secret, f"{STRING}&key=".encode() + secret, "sha256").hexdigest().upper()
    assert step(lambda: verify(sign=sign, secret=secret)) == "no_key"


@pytest.mark.parametrize("seconds", [300, -300])
def test_a_time_at_the_boundary_is_accepted_in_both_directions(seconds: int) -> None:
    assert verify(now=NOW + timedelta(seconds=seconds)).signed_at == NOW


@pytest.mark.parametrize("seconds", [301, -301, 300.000001, -300.000001])
def test_a_time_beyond_the_boundary_is_refused_in_both_directions(seconds: float) -> None:
    assert step(lambda: verify(now=NOW + timedelta(seconds=seconds))) == "timestamp"


@pytest.mark.parametrize(
    "time", ["2025-06-01 12:30:00", "1748752200000", "20250631123000", "２0250601123000"]
)
def test_a_time_of_another_form_is_malformed(time: str) -> None:
    assert step(lambda: verify(changed(timestamp=time))) == "malformed"


def test_the_form_of_the_time_is_declared() -> None:
    millis = replace(CANONICAL, time_format=TimeFormat.EPOCH_MILLISECONDS)
    assert verify(changed(timestamp="1748752200123"), canonical=millis).signed_at == NOW + timedelta(
        milliseconds=123
    )


# Public keys


def test_sm2_and_rsa_sign_the_string_without_a_secret() -> None:
    data = STRING.encode()
    found = verify_public(PARAMETERS, SM2.sign(data).hex(), SM2_KEY, SignatureEncoding.DER_HEX)
    assert found == verify()
    by_rsa = RSA.sign(data, padding.PKCS1v15(), hashes.SHA256()).hex()
    assert verify_public(PARAMETERS, by_rsa, RSA_KEY, SignatureEncoding.RAW_HEX) == found
    assert step(lambda: verify_public(PARAMETERS, by_rsa, SM2_KEY, SignatureEncoding.DER_HEX)) == "signature"
    other = changed(nonce="n2")
    assert step(lambda: verify_public(other, by_rsa, RSA_KEY, SignatureEncoding.RAW_HEX)) == "signature"
    assert step(lambda: verify_public(PARAMETERS, "zz", RSA_KEY, SignatureEncoding.RAW_HEX)) == "malformed"
    late = NOW + timedelta(seconds=301)
    assert step(lambda: verify_public(PARAMETERS, by_rsa, RSA_KEY, SignatureEncoding.RAW_HEX, late)) == (
        "timestamp"
    )


# Forms


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=8))
def test_what_a_serialiser_writes_is_read_back(pairs: list[tuple[str, str]]) -> None:
    pairs = [(name.encode("utf-8", "replace").decode(), value) for name, value in pairs]
    for charset in ("utf-8", "gb18030"):
        form = urlencode(pairs, encoding=charset).encode()
        assert form_parameters(form, charset=charset) == tuple(pairs)
        assert list(form_parameters(form, charset=charset)) == parse_qsl(
            form.decode(), keep_blank_values=True, encoding=charset
        )


def test_order_doubles_and_empty_values_are_kept() -> None:
    assert form_parameters(b"b=2&a=1&b=&=x") == (("b", "2"), ("a", "1"), ("b", ""), ("", "x"))
    assert form_parameters(b"") == ()
    assert form_parameters(b"a=%e7%bb%93+%2B/:,") == (("a", "结 +/:,"),)


@pytest.mark.parametrize(
    "form",
    [
        *(b"a", b"&", b"a=1&", b"&a=1", b"a=1&&b=2", b"a=b=c", b"a=1;b", b"a==", b"a=%", b"a=%4", b"a=%zz"),
        *(b"a=%u7ed3", b"a=\xe7\xbb\x93", b"a= b", b"a=1\n", b"a=\x00", b"a=%ff", b"a=%ed%a0%80", b"%80=1"),
        b"&".join([b"a=1"] * 65),
    ],
    ids=count(),
)
def test_another_form_is_malformed(form: bytes) -> None:
    assert step(lambda: form_parameters(form)) == "malformed"


def test_sixty_four_parameters_are_read() -> None:
    assert len(form_parameters(b"&".join([b"a=1"] * 64))) == 64


@given(st.binary(max_size=40))
def test_any_form_is_read_or_raises_only_signature_rejected(form: bytes) -> None:
    try:
        parameters = form_parameters(form, charset="gbk")
    except SignatureRejected:
        return
    assert len(parameters) == form.count(b"&") + bool(form)


@given(
    st.lists(st.tuples(st.sampled_from(sorted(CANONICAL.names)), st.text(max_size=5))), st.text(max_size=70)
)
def test_any_parameters_raise_only_signature_rejected(parameters: Parameters, sign: str) -> None:
    assert step(lambda: verify(parameters, sign))

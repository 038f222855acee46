"""The register's many kinds of keys: SM2, transport algorithms, anchors with their revocation lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests import certificates as made
from tests.certificates import Kind
from verifier.errors import Code, ConfigurationError
from verifier.keyring import (
    IssuerAnchor,
    KeyState,
    Platform,
    Register,
    load_packed,
    load_register,
    pack,
)
from verifier.keyring.listing import listing
from verifier.model.certificate import DocumentKind
from verifier.model.delivery import PlatformSlug
from verifier.model.facts import CompletionFact, FactId, Source
from verifier.model.person import LearnerId, PersonName
from verifier.signatures import keys
from verifier.signatures.asymmetric import SignatureEncoding
from verifier.signatures.jws import Algorithm, PublicKey, VerificationKey
from verifier.signatures.sm2 import DEFAULT_ID, Sm2PrivateKey, Sm2PublicKey


def pem(public: PublicKey) -> bytes:
    return made.pem(keys.spki(public), "PUBLIC KEY")


ROOT = made.root()
RSA_2048 = made.root("RSA", kind=Kind.RSA)
SM2_ROOT = made.root("SM2", kind=Kind.SM2)
SM2 = Sm2PrivateKey.generate()
LIST = made.crl(ROOT)
OTHER_LIST = made.crl(made.intermediate(ROOT))
FILES = {
    "ec.pem": pem(ec.generate_private_key(ec.SECP256R1()).public_key()),
    "ed.pem": pem(Ed25519PrivateKey.generate().public_key()),
    "rsa.pem": pem(rsa.generate_private_key(65537, 2048).public_key()),
    "sm2.pem": pem(SM2.public_key),
    "spare.pem": pem(Ed25519PrivateKey.generate().public_key()),
    "root.pem": ROOT.pem,
    "root.der": ROOT.der,
    "root-key.pem": made.pem(ROOT.key.spki, "PUBLIC KEY"),
    "renewed.pem": made.root(not_after=datetime(2040, 1, 1, tzinfo=UTC)).pem,
    "rsa-root.pem": RSA_2048.pem,
    "sm2-root.pem": SM2_ROOT.pem,
    "leaf.pem": made.leaf(ROOT).pem,
    "a.crl": made.pem(LIST, "X509 CRL"),
    "b.crl": OTHER_LIST,
    "junk.crl": b"junk",
}
SECRETS = {"s": b"k3JvQ9sX2mWz7RtYb5NcLd8f"}

PLATFORM = """
[[platform]]
slug = "alpha"
name = "甲平台"
[[platform.recognised]]
from = 2021-02-01
reference = "ref"
"""
TRANSPORT = """
[[platform.transport]]
key_id = "t"
not_before = 2021-01-01T00:00:00Z
"""
ISSUER = """
[[issuer]]
id = "i"
number_scope = "i"
platforms = ["alpha"]
"""
KEY = """
[[issuer.key]]
kid = "k"
state = "active"
not_before = 2021-01-01T00:00:00Z
"""
ANCHOR = """
[[issuer.anchor]]
id = "a"
file = "root.pem"
algorithm = "ES256"
state = "active"
not_before = 2021-01-01T00:00:00Z
"""
UNPUBLISHED = 'revocation = "unpublished"\n'


def load(source: str, files: Mapping[str, bytes] = FILES) -> Register:
    return load_register(source.encode(), files.__getitem__, SECRETS.__getitem__)


def refusal(source: str) -> tuple[Code, str]:
    with pytest.raises(ConfigurationError) as refused:
        load(source)
    return refused.value.code, refused.value.pointer


def anchored(more: str = UNPUBLISHED, anchor: str = ANCHOR) -> Register:
    return load(PLATFORM + ISSUER + anchor + more)


def anchor_of(register: Register) -> IssuerAnchor:
    [anchor] = register.issuers["i"].anchors
    return anchor


# --- platforms


def test_a_platform_may_say_after_how_many_hours_its_silence_is_an_alarm() -> None:
    def hours(said: str) -> int | None:
        source = PLATFORM.replace('name = "甲平台"\n', f'name = "甲平台"\n{said}\n')
        platform: Platform = load(source).platforms[PlatformSlug("alpha")]
        return platform.silence_hours

    assert (hours(""), hours("silence_hours = 1"), hours("silence_hours = 8760")) == (None, 1, 8760)


@pytest.mark.parametrize("wrong", ["0", "-1", "8761", "1.0", "true", '"24"'])
def test_hours_of_silence_are_a_whole_number_of_at_most_a_year(wrong: str) -> None:
    source = PLATFORM.replace('name = "甲平台"\n', f'name = "甲平台"\nsilence_hours = {wrong}\n')
    assert refusal(source) == (Code.CONFIGURATION_INVALID, "platform[0].silence_hours")


@pytest.mark.parametrize(
    ("file", "said", "algorithm", "kind"),
    [
        ("ed.pem", "", "EdDSA", "Ed25519PublicKey"),
        ("ed.pem", 'algorithm = "EdDSA"', "EdDSA", "Ed25519PublicKey"),
        ("ec.pem", 'algorithm = "ES256"', "ES256", "ECPublicKey"),
        ("rsa.pem", 'algorithm = "RS256"', "RS256", "RSAPublicKey"),
        ("rsa.pem", 'algorithm = "raw-RSA"', "raw-RSA", "RSAPublicKey"),
        ("sm2.pem", 'algorithm = "SM3withSM2"', "SM3withSM2", "Sm2PublicKey"),
    ],
)
def test_a_platforms_public_key_is_for_one_algorithm(file: str, said: str, algorithm: str, kind: str) -> None:
    source = f'{PLATFORM}{TRANSPORT}public_key = "{file}"\n{said}\n'
    [key] = load(source).platforms[PlatformSlug("alpha")].transport
    assert (key.algorithm, type(key.public_key).__name__, key.secret) == (algorithm, kind, None)
    assert (key.encoding, key.legacy) == (SignatureEncoding.DER_BASE64, "")


def test_a_transport_key_says_how_its_signatures_are_written_and_what_id_is_hashed_in() -> None:
    said = 'public_key = "sm2.pem"\nalgorithm = "SM3withSM2"\nencoding = "raw+hex"\nsm2_id = "text:平台"\n'
    [key] = load(PLATFORM + TRANSPORT + said).platforms[PlatformSlug("alpha")].transport
    assert key.encoding is SignatureEncoding.RAW_HEX
    assert key.public_key == Sm2PublicKey(SM2.public_key.point, "平台".encode())


def test_a_secret_proves_by_md5_only_where_the_register_says_so() -> None:
    secret = f'{PLATFORM}{TRANSPORT}secret = "s"\n'
    for said, legacy in (("", ""), ('legacy = "MD5"\n', "MD5")):
        [key] = load(secret + said).platforms[PlatformSlug("alpha")].transport
        assert (key.legacy, key.algorithm, key.public_key) == (legacy, "", None)


@pytest.mark.parametrize(
    ("said", "code", "pointer"),
    [
        ('secret = "s"\nlegacy = "SHA1"', Code.CONFIGURATION_INVALID, ".legacy"),
        ('secret = "s"\nlegacy = true', Code.CONFIGURATION_INVALID, ".legacy"),
        ('secret = "s"\nalgorithm = "EdDSA"', Code.CONFIGURATION_INVALID, ""),
        ('secret = "s"\nencoding = "raw+hex"', Code.CONFIGURATION_INVALID, ""),
        ('public_key = "ed.pem"\nlegacy = "MD5"', Code.CONFIGURATION_INVALID, ""),
        ('public_key = "ed.pem"\nalgorithm = "PS256"', Code.KEY_REFUSED, ".algorithm"),
        ('public_key = "ed.pem"\nalgorithm = "HS256"', Code.KEY_REFUSED, ".algorithm"),
        ('public_key = "ed.pem"\nalgorithm = "ES256"', Code.KEY_REFUSED, ".public_key"),
        ('public_key = "ed.pem"\nalgorithm = "SM3withSM2"', Code.KEY_REFUSED, ".public_key"),
        ('public_key = "sm2.pem"\nalgorithm = "ES256"', Code.KEY_REFUSED, ".public_key"),
        ('public_key = "ed.pem"\nsm2_id = "default"', Code.CONFIGURATION_INVALID, ".sm2_id"),
        ('public_key = "ed.pem"\nencoding = "base64"', Code.CONFIGURATION_INVALID, ".encoding"),
    ],
)
def test_a_transport_key_of_another_form_is_refused(said: str, code: Code, pointer: str) -> None:
    assert refusal(f"{PLATFORM}{TRANSPORT}{said}\n") == (code, f"platform[0].transport[0]{pointer}")


# --- issuers' keys


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", DEFAULT_ID),
        ('sm2_id = "default"', DEFAULT_ID),
        ('sm2_id = "empty"', b""),
        ('sm2_id = "text:ALICE123@YAHOO.COM"', b"ALICE123@YAHOO.COM"),
    ],
)
def test_an_sm2_key_has_the_distinguishing_id_that_the_register_gives_it(said: str, expected: bytes) -> None:
    source = f'{PLATFORM}{ISSUER}{KEY}file = "sm2.pem"\nalgorithm = "SM3withSM2"\n{said}\n'
    key = load(source).issuers["i"].keys["k"]
    assert key.key.algorithm is Algorithm.SM2
    assert key.key.public == Sm2PublicKey(SM2.public_key.point, expected)


@pytest.mark.parametrize("wrong", ['"text:"', '"Default"', '"1234567812345678"', '"text:a\\nb"', "1"])
def test_an_sm2_id_of_another_form_is_refused(wrong: str) -> None:
    source = f'{PLATFORM}{ISSUER}{KEY}file = "sm2.pem"\nalgorithm = "SM3withSM2"\nsm2_id = {wrong}\n'
    assert refusal(source) == (Code.CONFIGURATION_INVALID, "issuer[0].key[0].sm2_id")


def test_an_issuers_key_says_how_its_signatures_are_written() -> None:
    source = f'{PLATFORM}{ISSUER}{KEY}file = "ec.pem"\nalgorithm = "ES256"\n'
    assert load(source).issuers["i"].keys["k"].encoding is SignatureEncoding.DER_BASE64
    written = load(f'{source}encoding = "raw+base64"\n').issuers["i"].keys["k"]
    assert written.encoding is SignatureEncoding.RAW_BASE64


# --- anchors


def test_an_anchor_is_read_completely() -> None:
    more = """crls = ["a.crl", "b.crl"]
leaf_subject = "CN=某培训平台,O=甲\\\\, 乙,C=CN"
encoding = "der+hex"
"""
    compromised = ANCHOR.replace('"active"', '"compromised"') + "compromised_since = 2021-05-01T00:00:00Z\n"
    assert anchor_of(anchored(more, compromised)) == IssuerAnchor(
        "a",
        ROOT.der,
        Algorithm.ES256,
        KeyState.COMPROMISED,
        datetime(2021, 1, 1, tzinfo=UTC),
        None,
        datetime(2021, 5, 1, tzinfo=UTC),
        (LIST, OTHER_LIST),
        DEFAULT_ID,
        SignatureEncoding.DER_HEX,
        "CN=某培训平台,O=甲\\, 乙,C=CN",
    )


def test_an_anchor_may_be_of_an_authority_that_publishes_no_lists_but_only_if_that_is_said() -> None:
    assert anchor_of(anchored()).crls is None
    for more in ("", f'crls = ["a.crl"]\n{UNPUBLISHED}'):
        assert refusal(PLATFORM + ISSUER + ANCHOR + more) == (
            Code.CONFIGURATION_INVALID,
            "issuer[0].anchor[0].crls",
        )


def test_an_sm2_authority_and_a_file_in_der_are_read_too() -> None:
    sm2 = ANCHOR.replace("root.pem", "sm2-root.pem").replace("ES256", "SM3withSM2")
    assert anchor_of(anchored(UNPUBLISHED + 'sm2_id = "empty"\n', sm2)).sm2_id == b""
    der = ANCHOR.replace("root.pem", "root.der")
    assert anchor_of(anchored(UNPUBLISHED, der)).certificate == ROOT.der


def test_an_authority_of_2048_bits_needs_the_word_for_it() -> None:
    weak = ANCHOR.replace("root.pem", "rsa-root.pem").replace("ES256", "RS256")
    assert refusal(PLATFORM + ISSUER + weak + UNPUBLISHED) == (
        Code.KEY_REFUSED,
        "issuer[0].anchor[0].file",
    )
    assert anchor_of(anchored(UNPUBLISHED + 'legacy = "RSA-2048"\n', weak)).certificate == RSA_2048.der


@pytest.mark.parametrize(
    ("old", "new", "code", "name"),
    [
        ('id = "a"', 'id = "a:b"', Code.CONFIGURATION_INVALID, "id"),
        ('id = "a"', f'id = "{"a" * 49}"', Code.CONFIGURATION_INVALID, "id"),
        ('file = "root.pem"', 'file = "leaf.pem"', Code.KEY_REFUSED, "file"),
        ('file = "root.pem"', 'file = "ec.pem"', Code.KEY_REFUSED, "file"),
        ('file = "root.pem"', 'file = "absent.pem"', Code.KEY_REFUSED, "file"),
        ('algorithm = "ES256"', 'algorithm = "raw-RSA"', Code.KEY_REFUSED, "algorithm"),
        (
            'algorithm = "ES256"',
            'algorithm = "ES256"\nsm2_id = "empty"',
            Code.CONFIGURATION_INVALID,
            "sm2_id",
        ),
        ('state = "active"', 'state = "retired"', Code.CONFIGURATION_INVALID, "not_after"),
        ('state = "active"', 'state = "compromised"', Code.CONFIGURATION_INVALID, "compromised_since"),
        (UNPUBLISHED, 'revocation = "none"\n', Code.CONFIGURATION_INVALID, "revocation"),
        (UNPUBLISHED, "crls = []\n", Code.CONFIGURATION_INVALID, "crls"),
        (UNPUBLISHED, 'crls = ["a.crl", "a.crl"]\n', Code.CONFIGURATION_INVALID, "crls"),
        (UNPUBLISHED, 'crls = ["../a.crl"]\n', Code.CONFIGURATION_INVALID, "crls"),
        (UNPUBLISHED, 'crls = ["junk.crl"]\n', Code.KEY_REFUSED, "crls"),
        (UNPUBLISHED, 'crls = ["absent.crl"]\n', Code.KEY_REFUSED, "crls"),
        (
            UNPUBLISHED,
            UNPUBLISHED + 'leaf_subject = "CN=甲, C=CN"\n',
            Code.CONFIGURATION_INVALID,
            "leaf_subject",
        ),
        (UNPUBLISHED, UNPUBLISHED + 'leaf_subject = "甲"\n', Code.CONFIGURATION_INVALID, "leaf_subject"),
        (UNPUBLISHED, UNPUBLISHED + 'legacy = "MD5"\n', Code.CONFIGURATION_INVALID, "legacy"),
        (UNPUBLISHED, UNPUBLISHED + "serial = 1\n", Code.CONFIGURATION_INVALID, ""),
    ],
)
def test_an_anchor_of_another_form_is_refused(old: str, new: str, code: Code, name: str) -> None:
    source = ANCHOR + UNPUBLISHED
    assert old in source
    pointer = f"issuer[0].anchor[0].{name}".removesuffix(".")
    assert refusal(PLATFORM + ISSUER + source.replace(old, new)) == (code, pointer)


AGAIN = ANCHOR.replace('id = "a"', 'id = "b"') + UNPUBLISHED
SECOND = ISSUER.replace('id = "i"', 'id = "j"').replace('number_scope = "i"', 'number_scope = "j"')
OTHER = ANCHOR.replace("root.pem", "sm2-root.pem") + UNPUBLISHED


@pytest.mark.parametrize(
    ("more", "code", "pointer"),
    [
        (AGAIN, Code.KEY_REFUSED, "issuer[0].anchor[1].file"),
        (AGAIN.replace("root.pem", "root.der"), Code.KEY_REFUSED, "issuer[0].anchor[1].file"),
        (AGAIN.replace("root.pem", "renewed.pem"), Code.KEY_REFUSED, "issuer[0].anchor[1].file"),
        (SECOND + AGAIN, Code.KEY_REFUSED, "issuer[1].anchor[0].file"),
        (
            f'{SECOND}{KEY}file = "root-key.pem"\nalgorithm = "ES256"\n',
            Code.KEY_REFUSED,
            "issuer[1].key[0].file",
        ),
        (OTHER, Code.CONFIGURATION_INVALID, "issuer[0].anchor[1].id"),
        (
            KEY.replace('kid = "k"', 'kid = "a:1"') + 'file = "ec.pem"\nalgorithm = "ES256"\n',
            Code.CONFIGURATION_INVALID,
            "issuer[0].key[0].kid",
        ),
        (
            KEY.replace('kid = "k"', 'kid = "a"') + 'file = "ec.pem"\nalgorithm = "ES256"\n',
            Code.CONFIGURATION_INVALID,
            "issuer[0].key[0].kid",
        ),
    ],
)
def test_one_key_or_certificate_serves_one_holder_under_one_id(more: str, code: Code, pointer: str) -> None:
    assert refusal(PLATFORM + ISSUER + ANCHOR + UNPUBLISHED + more) == (code, pointer)


def test_two_anchors_may_share_a_revocation_list() -> None:
    first = ANCHOR + 'crls = ["a.crl"]\n'
    second = OTHER.replace('id = "a"', 'id = "b"').replace(UNPUBLISHED, 'crls = ["a.crl"]\n')
    assert len(load(PLATFORM + ISSUER + first + second).issuers["i"].anchors) == 2


def test_an_anchor_holds_from_its_first_moment_and_is_doubtful_from_its_compromise() -> None:
    anchor = replace(anchor_of(anchored()), not_after=datetime(2022, 1, 1, tzinfo=UTC))
    tick = timedelta(microseconds=1)
    assert anchor.not_after is not None
    assert [anchor.valid_at(anchor.not_before + n * tick) for n in (-1, 0)] == [False, True]
    assert [anchor.valid_at(anchor.not_after + n * tick) for n in (-1, 0)] == [True, False]
    assert not anchor.doubtful_at(anchor.not_before)
    since = datetime(2021, 5, 1, tzinfo=UTC)
    stolen = replace(anchor, compromised_since=since)
    assert [stolen.doubtful_at(since + n * tick) for n in (-1, 0)] == [False, True]


def test_a_completion_names_the_anchor_and_the_leaf_by_issuer_and_serial() -> None:
    anchor = anchor_of(anchored())
    name = anchor.key_id(ROOT.name, 0x1F)
    assert name == f"a:{sha256(ROOT.name).hexdigest()[:16]}.1f"
    longest = replace(anchor, anchor_id="a" * 48).key_id(ROOT.name, 2**160 - 1)
    assert len(VerificationKey(longest, Algorithm.SM2, SM2.public_key).kid) == 106


def test_a_platform_has_the_transport_keys_of_the_moment() -> None:
    source = f'{PLATFORM}{TRANSPORT}secret = "s"\nnot_after = 2021-02-01T00:00:00Z\n'
    platform = load(source).platforms[PlatformSlug("alpha")]
    start, end = (datetime(2021, month, 1, tzinfo=UTC) for month in (1, 2))
    assert [len(platform.transport_at(moment)) for moment in (start, end)] == [1, 0]


# --- what is in the digest, and the register in one text


def test_certificates_and_lists_are_in_the_digest() -> None:
    source = PLATFORM + ISSUER + ANCHOR + 'crls = ["a.crl"]\n'
    parts = [source.encode()]
    for name in ("a.crl", "root.pem"):
        parts += [name.encode(), FILES[name]]
    whole = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    assert load(source).digest == sha256(whole).hexdigest()
    assert load(source, FILES | {"a.crl": LIST}).digest != load(source).digest


def test_a_packed_register_is_the_same_register() -> None:
    source = PLATFORM + ISSUER + ANCHOR + 'crls = ["a.crl", "b.crl"]\n'
    files = {f"issuers/{name}": content for name, content in FILES.items()}
    packed = pack({"trust.toml": source.encode(), **files})
    assert '"base64:' in packed
    assert ROOT.pem.decode().splitlines()[1] in packed
    assert load_packed(packed, SECRETS.__getitem__) == load(source)


@pytest.mark.parametrize("content", ["[", "[]", "{}", '{"trust.toml": 1}', '{"trust.toml": "base64:!"}'])
def test_what_is_no_packed_register_is_refused(content: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_packed(content, SECRETS.__getitem__)
    assert (refused.value.code, refused.value.pointer) == (Code.CONFIGURATION_INVALID, "adoptions")


def test_text_that_looks_like_packed_bytes_comes_out_as_it_went_in() -> None:
    source = "base64:" + PLATFORM
    with pytest.raises(ConfigurationError, match="not TOML"):
        load_packed(pack({"trust.toml": source.encode()}), SECRETS.__getitem__)


# --- what was accepted already

SINCE = datetime(2021, 5, 1, tzinfo=UTC)
COMPROMISED = 'state = "compromised"\ncompromised_since = 2021-05-01T00:00:00Z'
STOLEN = (
    f'{PLATFORM}{ISSUER}{KEY}file = "ec.pem"\nalgorithm = "ES256"\n'.replace('state = "active"', COMPROMISED)
    + f'{KEY}file = "ed.pem"\nalgorithm = "EdDSA"\n'.replace('"k"', '"sound"')
    + f"{ANCHOR}{UNPUBLISHED}".replace('state = "active"', COMPROMISED)
    + OTHER.replace('id = "a"', 'id = "b"')
)


def completion(key_id: str, recorded_at: datetime, issuer: str = "i") -> CompletionFact:
    return CompletionFact(
        FactId("f"),
        LearnerId("l"),
        PlatformSlug("alpha"),
        issuer,
        issuer,
        "N-1",
        1,
        datetime(2021, 3, 1, tzinfo=UTC),
        datetime(2021, 3, 1, tzinfo=UTC),
        DocumentKind.COURSE_PROOF,
        "K1",
        "课程",
        "机构",
        key_id,
        b"",
        PersonName("某人", "某人", ("某人",)),
        recorded_at,
        Source("test", "test"),
    )


@pytest.mark.parametrize(
    ("key_id", "issuer", "doubted"),
    [
        ("k", "i", ["f"]),
        ("sound", "i", []),
        (f"a:{'0' * 64}", "i", ["f"]),
        (f"b:{'0' * 64}", "i", []),
        ("a", "i", []),  # an anchor signs no certificate of a course
        ("removed", "i", []),
        ("k", "removed", []),
    ],
)
def test_what_came_by_a_compromised_key_or_anchor_since_then_is_doubtful(
    key_id: str, issuer: str, doubted: list[str]
) -> None:
    register = load(STOLEN)
    tick = timedelta(microseconds=1)
    before, since = (completion(key_id, SINCE + n * tick, issuer) for n in (-1, 0))
    assert register.doubtful([before]) == frozenset()
    assert register.doubtful([since]) == frozenset(doubted)


def test_what_is_read_again_was_first_received_when_it_was() -> None:
    later = completion("k", SINCE + timedelta(days=1))
    assert load(STOLEN).doubtful([replace(later, first_received_at=SINCE - timedelta(days=1))]) == frozenset()
    assert load(STOLEN).doubtful([replace(later, first_received_at=SINCE)]) == frozenset({"f"})


def test_a_register_says_for_the_ledger_what_is_compromised() -> None:
    assert load(STOLEN).compromised == [
        {"issuer": "i", "key": "k", "since": "2021-05-01T00:00:00Z"},
        {"issuer": "i", "key": "a", "since": "2021-05-01T00:00:00Z"},
    ]


# --- the list for people


def test_every_key_is_listed_with_its_state_and_fingerprints_and_no_secret() -> None:
    source = f"""{PLATFORM}{TRANSPORT}secret = "s"
legacy = "MD5"
{TRANSPORT.replace('"t"', '"u"').replace("2021-01", "2022-01")}public_key = "rsa.pem"
algorithm = "raw-RSA"
{TRANSPORT.replace('"t"', '"v"')}not_after = 2021-02-01T00:00:00Z
public_key = "sm2.pem"
algorithm = "SM3withSM2"
""" + STOLEN.removeprefix(PLATFORM).replace(UNPUBLISHED, 'crls = ["a.crl"]\n', 1)
    found = listing(load(source), datetime(2021, 6, 1, tzinfo=UTC))
    secret, raw, sm2 = found["platforms"][0]["transport"]
    assert secret == {
        "key": "t",
        "kind": "secret",
        "state": "active",
        "not_before": "2021-01-01T00:00:00Z",
        "legacy": "MD5",
    }
    assert [(key["kind"], key["state"]) for key in (raw, sm2)] == [
        ("raw-RSA", "future"),
        ("SM3withSM2", "ended"),
    ]
    digest = sha256(SM2.public_key.spki()).hexdigest()
    assert sm2["spki_sha256"].replace(" ", "") == digest
    assert sm2["spki_sha256"].split(" ")[0] == digest[:4]
    assert "jwk_thumbprint" not in sm2
    stolen, sound = found["issuers"][0]["keys"]
    assert (stolen["state"], stolen["compromised_since"]) == ("compromised", "2021-05-01T00:00:00Z")
    assert sound["jwk_thumbprint"] == keys.thumbprint(
        keys.public_jwk(keys.load_public_pem(FILES["ed.pem"], Algorithm.EDDSA, "sound"))
    )
    published, unpublished = found["issuers"][0]["anchors"]
    assert published["certificate_sha256"].replace(" ", "") == sha256(ROOT.der).hexdigest()
    assert published["spki_sha256"].replace(" ", "") == sha256(ROOT.key.spki).hexdigest()
    assert len(published["revocation"]) == 1
    assert published["revocation"][0].endswith("Z")
    assert unpublished["revocation"] == "unpublished"
    assert "k3JvQ9" not in str(found)


def test_a_list_that_is_never_current_is_listed_without_a_moment() -> None:
    files = FILES | {"a.crl": made.crl(ROOT, next_update=None)}
    register = load(PLATFORM + ISSUER + ANCHOR + 'crls = ["a.crl"]\n', files)
    [issuer] = listing(register, SINCE)["issuers"]
    assert issuer["anchors"][0]["revocation"] == [""]

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from adapters import ADAPTERS
from verifier.errors import Code, ConfigurationError
from verifier.keyring import KeyState, Register, load_register
from verifier.model.delivery import PlatformSlug
from verifier.model.trust import Recognition
from verifier.signatures.jws import Algorithm, PrivateKey

ROOT = Path(__file__).parents[2]


def _pem(private: PrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


FILES = {
    "one.pem": _pem(ec.generate_private_key(ec.SECP256R1())),
    "two.pem": _pem(Ed25519PrivateKey.generate()),
    "transport.pem": _pem(Ed25519PrivateKey.generate()),
    "spare.pem": _pem(Ed25519PrivateKey.generate()),
    "curve.pem": _pem(ec.generate_private_key(ec.SECP384R1())),
    "rsa3072.pem": _pem(rsa.generate_private_key(65537, 3072)),
    "rsa2048.pem": _pem(rsa.generate_private_key(65537, 2048)),
    "junk.pem": b"junk",
}
FILES["one-copy.pem"] = FILES["one.pem"].replace(b"\n", b"\r\n")
SECRETS = {
    "a": b"k3JvQ9sX2mWz7RtYb5NcLd8f\n",
    "a-again": b"k3JvQ9sX2mWz7RtYb5NcLd8f",
    "b": b"whsec_9RkLr1mQp0sXv7ZtYb5NcWd8fGhJk2aE\r\n",
    "short": b"k3JvQ9sX2mWz7RtYb5NcLd8",
    "empty": b"",
    "lines": b"k3JvQ9sX2mWz7RtYb5NcLd8f\nk3JvQ9sX2mWz7RtYb5NcLd8f\n",
    "binary": bytes(range(100, 140)),
    "bad-base64": b"whsec_!!!",
    "published": b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "same": b"aabbaabbaabbaabbaabbaabbaabb",
    "sample": b"please-Change-Me-k3JvQ9sX2mWz7RtY",
}

SOURCE = """
[[platform]]
slug = "alpha"
name = "甲平台"
[[platform.recognised]]
from = 2021-02-01
to = 2021-06-30
reference = "ref 1"
[[platform.recognised]]
from = 2021-09-01
reference = "ref 2"
[[platform.transport]]
key_id = "t1"
not_before = 2021-01-01T00:00:00+08:00
not_after = 2021-07-01T00:00:00+08:00
secret = "a"
[[platform.transport]]
key_id = "t2"
not_before = 2021-06-01T00:00:00Z
public_key = "transport.pem"

[[platform]]
slug = "beta"
name = "乙平台"
[[platform.recognised]]
from = 2021-02-01
to = 2021-02-01
reference = "ref 3"
[[platform.transport]]
key_id = "t1"
not_before = 2021-01-01T00:00:00Z
secret = "b"

[[issuer]]
id = "https://alpha.invalid"
number_scope = "alpha"
platforms = ["alpha", "beta"]
[[issuer.key]]
kid = "k1"
algorithm = "ES256"
file = "one.pem"
state = "active"
not_before = 2021-01-01T00:00:00+08:00
[[issuer.key]]
kid = "k2"
algorithm = "EdDSA"
file = "two.pem"
state = "compromised"
not_before = 2021-01-01T00:00:00Z
not_after = 2022-01-01T00:00:00Z
compromised_since = 2021-05-01T12:00:00Z

[[issuer]]
id = "beta"
number_scope = "beta numbers"
platforms = ["beta"]
"""


def _load(
    source: str | bytes = SOURCE,
    read_key: Callable[[str], bytes] = FILES.__getitem__,
    read_secret: Callable[[str], bytes] = SECRETS.__getitem__,
) -> Register:
    return load_register(source.encode() if isinstance(source, str) else source, read_key, read_secret)


def _error(*args: str | bytes) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        _load(*args)  # type: ignore[arg-type]  # only the source is given
    return caught.value


def _changed(old: str, new: str) -> str:
    assert SOURCE.count(old) >= 1
    return SOURCE.replace(old, new, 1)


def test_the_source_form_is_read_completely() -> None:
    register = _load()
    alpha, beta = PlatformSlug("alpha"), PlatformSlug("beta")
    assert set(register.platforms) == {alpha, beta}
    platform = register.platforms[alpha]
    assert (platform.slug, platform.name) == ("alpha", "甲平台")
    assert platform.recognised == (
        Recognition(date(2021, 2, 1), date(2021, 6, 30), "ref 1"),
        Recognition(date(2021, 9, 1), None, "ref 2"),
    )
    first, second = platform.transport
    assert (first.key_id, first.secret, first.public_key) == ("t1", b"k3JvQ9sX2mWz7RtYb5NcLd8f", None)
    assert first.not_before == datetime(2020, 12, 31, 16, tzinfo=UTC)
    assert first.not_after == datetime(2021, 6, 30, 16, tzinfo=UTC)
    assert second.secret is None
    assert isinstance(second.public_key, Ed25519PublicKey)
    assert second.algorithm == "EdDSA"
    assert (
        second.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        == (FILES["transport.pem"])
    )
    (webhook,) = register.platforms[beta].transport
    assert webhook.secret is not None
    assert len(webhook.secret) == 24
    issuer = register.issuers["https://alpha.invalid"]
    assert (issuer.issuer_id, issuer.number_scope) == ("https://alpha.invalid", "alpha")
    assert issuer.platforms == {alpha, beta}
    assert set(issuer.keys) == {"k1", "k2"}
    active, compromised = issuer.keys["k1"], issuer.keys["k2"]
    assert (active.key.kid, active.key.algorithm) == ("k1", Algorithm.ES256)
    assert (active.state, active.not_after, active.compromised_since) == (KeyState.ACTIVE, None, None)
    assert active.not_before == datetime(2020, 12, 31, 16, tzinfo=UTC)
    assert compromised.state is KeyState.COMPROMISED
    assert compromised.compromised_since == datetime(2021, 5, 1, 12, tzinfo=UTC)
    assert register.issuers["beta"].keys == {}


def test_what_was_read_cannot_be_changed() -> None:
    register = _load()
    for mapping in (register.platforms, register.issuers, register.issuers["beta"].keys):
        with pytest.raises(TypeError):
            mapping["x"] = None  # type: ignore[index]  # that is the point


def test_no_secret_shows() -> None:
    assert "k3JvQ9" not in repr(_load())


def test_a_key_is_valid_from_its_first_moment_to_just_before_its_last() -> None:
    key = _load().issuers["https://alpha.invalid"].keys["k2"]
    second = timedelta(microseconds=1)
    assert key.not_after is not None
    assert [key.valid_at(key.not_before + n * second) for n in (-1, 0)] == [False, True]
    assert [key.valid_at(key.not_after + n * second) for n in (-1, 0)] == [True, False]


def test_a_key_is_doubtful_from_the_very_moment_of_its_compromise() -> None:
    keys = _load().issuers["https://alpha.invalid"].keys
    since = keys["k2"].compromised_since
    assert since is not None
    assert [keys["k2"].doubtful_at(since + timedelta(microseconds=n)) for n in (-1, 0)] == [False, True]
    assert not keys["k1"].doubtful_at(since)


def test_the_digest_is_over_the_source_and_the_named_key_files() -> None:
    parts = [SOURCE.encode()]
    for name in ("one.pem", "transport.pem", "two.pem"):
        parts += [name.encode(), FILES[name]]
    expected = sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()
    assert _load().digest == expected


def test_the_digest_changes_with_source_and_keys_but_not_with_secrets() -> None:
    digest = _load().digest
    assert _load(SOURCE + "\n").digest != digest
    assert _load(read_key=(FILES | {"two.pem": FILES["spare.pem"]}).__getitem__).digest != digest
    assert _load(read_secret=(SECRETS | {"a": SECRETS["a"][::-1].strip()}).__getitem__).digest == digest


@pytest.mark.parametrize("state", ["retiring", "retired"])
def test_a_retired_key_needs_its_end(state: str) -> None:
    retired = _changed('state = "active"', f'state = "{state}"\nnot_after = 2022-01-01T00:00:00Z')
    assert _load(retired).issuers["https://alpha.invalid"].keys["k1"].state == state
    error = _error(_changed('state = "active"', f'state = "{state}"'))
    assert (error.code, error.pointer) == (Code.CONFIGURATION_INVALID, "issuer[0].key[0].not_after")


def test_rsa_keys_of_3072_bits_may_be_registered_for_both_paddings() -> None:
    for algorithm in ("RS256", "PS256"):
        source = _changed('"ES256"\nfile = "one.pem"', f'"{algorithm}"\nfile = "rsa3072.pem"')
        assert _load(source).issuers["https://alpha.invalid"].keys["k1"].key.algorithm == algorithm


INVALID = Code.CONFIGURATION_INVALID
REFUSED = Code.KEY_REFUSED
KEY = "issuer[0].key[0]"
TRANSPORT = "platform[0].transport[0]"


@pytest.mark.parametrize(
    ("old", "new", "code", "pointer"),
    [
        # unknown, missing, of another type
        ("[[platform]]", "surprise = 1\n[[platform]]", INVALID, "/"),
        ('name = "甲平台"', 'name = "甲平台"\nnames = "x"', INVALID, "platform[0]"),
        ('reference = "ref 1"', 'reference = "ref 1"\nrefs = 1', INVALID, "platform[0].recognised[0]"),
        ('secret = "a"', 'secret = "a"\nsecrets = 1', INVALID, TRANSPORT),
        ('number_scope = "alpha"', 'number_scope = "alpha"\nscope = 1', INVALID, "issuer[0]"),
        ('state = "active"', 'state = "active"\nuse = "sig"', INVALID, KEY),
        ('name = "甲平台"\n', "", INVALID, "platform[0].name"),
        ('name = "甲平台"', "name = 1", INVALID, "platform[0].name"),
        ('name = "甲平台"', 'name = " "', INVALID, "platform[0].name"),
        ('name = "甲平台"', 'name = "甲\\u0000"', INVALID, "platform[0].name"),
        ('slug = "alpha"', 'slug = "Alpha"', INVALID, "platform[0].slug"),
        ('reference = "ref 1"', "", INVALID, "platform[0].recognised[0].reference"),
        ('kid = "k1"', 'kid = "k 1"', INVALID, f"{KEY}.kid"),
        ('file = "one.pem"', 'file = "../one.pem"', INVALID, f"{KEY}.file"),
        ('file = "one.pem"', 'file = ".one.pem"', INVALID, f"{KEY}.file"),
        ('secret = "a"', 'secret = "/etc/passwd"', INVALID, f"{TRANSPORT}.secret"),
        ('id = "beta"', 'id = "beta"\nkey = {}', INVALID, "issuer[1].key"),
        ('id = "beta"', 'id = "beta"\nkey = [1]', INVALID, "issuer[1].key"),
        # intervals
        ("to = 2021-06-30", "to = 2021-01-31", INVALID, "platform[0].recognised[0].to"),
        ("from = 2021-02-01", "from = 2021-02-01T00:00:00Z", INVALID, "platform[0].recognised[0].from"),
        ("from = 2021-02-01", 'from = "2021-02-01"', INVALID, "platform[0].recognised[0].from"),
        ("from = 2021-09-01", "from = 2021-06-30", INVALID, "platform[0].recognised"),
        ("to = 2021-06-30", "", INVALID, "platform[0].recognised"),
        ("2021-07-01T00:00:00+08:00", "2021-01-01T00:00:00+08:00", INVALID, f"{TRANSPORT}.not_after"),
        ("2021-01-01T00:00:00+08:00", "2021-01-01T00:00:00", INVALID, f"{TRANSPORT}.not_before"),
        ("2021-01-01T00:00:00+08:00", "2021-01-01", INVALID, f"{TRANSPORT}.not_before"),
        ("2021-01-01T00:00:00+08:00", "0001-01-01T00:00:00+08:00", INVALID, f"{TRANSPORT}.not_before"),
        # states
        ('state = "active"', 'state = "Active"', INVALID, f"{KEY}.state"),
        ('state = "active"', 'state = "compromised"', INVALID, f"{KEY}.compromised_since"),
        ('state = "compromised"', 'state = "active"', INVALID, "issuer[0].key[1].compromised_since"),
        # twice
        ('slug = "beta"', 'slug = "alpha"', INVALID, "platform[1].slug"),
        ('id = "beta"', 'id = "https://alpha.invalid"', INVALID, "issuer[1].id"),
        ('kid = "k2"', 'kid = "k1"', INVALID, "issuer[0].key[1].kid"),
        ('key_id = "t2"', 'key_id = "t1"', INVALID, "platform[0].transport"),
        # platforms of an issuer
        ('["beta"]', '["gamma"]', INVALID, "issuer[1].platforms"),
        ('["beta"]', '["beta", "beta"]', INVALID, "issuer[1].platforms"),
        ('["beta"]', "[]", INVALID, "issuer[1].platforms"),
        ('["beta"]', "[1]", INVALID, "issuer[1].platforms"),
        ('["beta"]', '"beta"', INVALID, "issuer[1].platforms"),
        # transport: one proof, and a good one
        ('secret = "a"', "", INVALID, f"{TRANSPORT}.secret"),
        ('secret = "a"', 'secret = "a"\npublic_key = "spare.pem"', INVALID, f"{TRANSPORT}.secret"),
        ('secret = "b"', 'secret = "a-again"', REFUSED, "platform[1].transport[0].secret"),
        ('secret = "b"', 'public_key = "transport.pem"', REFUSED, "platform[1].transport[0].public_key"),
        ('secret = "b"', 'public_key = "curve.pem"', REFUSED, "platform[1].transport[0].public_key"),
        *[
            ('secret = "a"', f'secret = "{name}"', REFUSED, f"{TRANSPORT}.secret")
            for name in (
                *("short", "empty", "lines", "binary", "bad-base64", "published", "same", "sample"),
                "absent",
            )
        ],
        # issuers' keys
        ('file = "one.pem"', 'file = "absent.pem"', REFUSED, f"{KEY}.file"),
        ('file = "one.pem"', 'file = "junk.pem"', REFUSED, f"{KEY}.file"),
        ('file = "one.pem"', 'file = "curve.pem"', REFUSED, f"{KEY}.file"),
        ('file = "one.pem"', 'file = "spare.pem"', REFUSED, f"{KEY}.file"),
        ('"ES256"\nfile = "one.pem"', '"RS256"\nfile = "rsa2048.pem"', REFUSED, f"{KEY}.file"),
        ('file = "two.pem"', 'file = "transport.pem"', REFUSED, "issuer[0].key[1].file"),
        ('"EdDSA"\nfile = "two.pem"', '"ES256"\nfile = "one-copy.pem"', REFUSED, "issuer[0].key[1].file"),
        *[
            ('"ES256"', f'"{name}"', REFUSED, f"{KEY}.algorithm")
            for name in ("ES384", "HS256", "none", "es256", "RS512")
        ],
    ],
)
def test_what_is_unknown_contradictory_or_weak_refuses_the_whole_register(
    old: str, new: str, code: Code, pointer: str
) -> None:
    error = _error(_changed(old, new))
    assert (error.code, error.pointer) == (code, pointer)


@pytest.mark.parametrize("read", [FileNotFoundError, PermissionError, KeyError])
def test_a_file_that_cannot_be_read_refuses_the_register(read: type[Exception]) -> None:
    def fail(_: str) -> bytes:
        raise read

    with pytest.raises(ConfigurationError, match=r"cannot be read \(platform\[0\]\.transport\[0\]\.secret\)"):
        _load(read_secret=fail)


def test_one_public_key_cannot_serve_two_issuers() -> None:
    again = """
[[issuer.key]]
kid = "other"
algorithm = "ES256"
file = "one-copy.pem"
state = "active"
not_before = 2021-01-01T00:00:00Z
"""
    error = _error(SOURCE + again)
    assert (error.code, error.pointer) == (REFUSED, "issuer[1].key[0].file")
    fresh = again.replace('"ES256"\nfile = "one-copy.pem"', '"EdDSA"\nfile = "spare.pem"')
    assert set(_load(SOURCE + fresh).issuers["beta"].keys) == {"other"}


@pytest.mark.parametrize(
    "source", [b"", b"\xff", b"platform = 1", b"platform = []", b"[[platform]", b"a = 1\na = 2"]
)
def test_what_is_not_a_register_is_refused(source: bytes) -> None:
    assert _error(source).code is INVALID


def test_nesting_without_end_is_refused() -> None:
    assert _error("platform = " + "[" * 50_000).code is INVALID


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_the_source_only_a_configuration_error_comes_out(extra: bytes) -> None:
    with suppress(ConfigurationError):
        assert _load(SOURCE.encode() + extra).platforms.keys() == {"alpha", "beta"}


def test_messages_name_no_value_of_a_secret() -> None:
    error = _error(_changed('secret = "a"', 'secret = "short"'))
    assert "k3Jv" not in str(error)
    assert str(error) == f"key_refused: a secret has fewer than 24 bytes ({TRANSPORT}.secret)"


def test_the_register_in_the_repository_names_platforms_of_the_notice_and_no_key() -> None:
    register = _load((ROOT / "keys" / "trust.toml").read_bytes())
    names = {adapter.slug: adapter.name for adapter in ADAPTERS}
    assert {"china_vocational_training", "new_occupation"} <= register.platforms.keys() <= names.keys()
    for platform in register.platforms.values():
        assert platform.name == names[platform.slug]
        (interval,) = platform.recognised
        assert (interval.start, interval.end) == (date(2021, 2, 1), date(2021, 12, 31))
        assert platform.transport == ()
    assert register.issuers == {}
    assert [path.name for path in (ROOT / "keys" / "issuers").iterdir()] == [".gitkeep"]


def test_moments_keep_their_instant_whatever_their_offset() -> None:
    source = _changed("2021-06-01T00:00:00Z", "2021-06-01T06:00:00+06:00")
    moment = _load(source).platforms[PlatformSlug("alpha")].transport[1].not_before
    assert moment == datetime(2021, 6, 1, 6, tzinfo=timezone(timedelta(hours=6)))
    assert moment.tzinfo is UTC

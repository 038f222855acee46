"""The service's own keys as files: never overwritten, never readable by others, never guessed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from verifier import keyfiles
from verifier.errors import Code, ConfigurationError


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    directory = tmp_path / "secrets"
    keyfiles.create(directory, os.urandom)
    return directory


def refused_at(pointer: str) -> pytest.RaisesExc[ConfigurationError]:
    return pytest.raises(ConfigurationError, check=lambda error: error.pointer == pointer)


def test_what_was_made_can_be_read_and_only_by_its_owner(secrets: Path) -> None:
    assert secrets.stat().st_mode & 0o777 == 0o700
    for file in secrets.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
    keys = keyfiles.load_issuer_keys(secrets)
    assert keys.record.kid == keyfiles.name_of(keys.record)
    assert keys.record.kid != keys.status.kid
    fields = keyfiles.load_fields(secrets)
    assert (fields.master_version, fields.pepper_version) == (1, 1)


def test_keys_are_never_overwritten(secrets: Path) -> None:
    before = (secrets / "record.pem").read_bytes()
    with refused_at("record.pem"):
        keyfiles.create(secrets, os.urandom)
    assert (secrets / "record.pem").read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_may_reach_is_refused(secrets: Path, mode: int) -> None:
    (secrets / "fields.json").chmod(mode)
    with refused_at("fields.json") as refused:
        keyfiles.load_fields(secrets)
    assert refused.value.code is Code.KEY_REFUSED


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with refused_at("checkpoint.pem") as secret:
        keyfiles.load_issuer_keys(tmp_path)
    with refused_at("trust.toml") as public:
        keyfiles.read_public(tmp_path / "trust.toml")
    assert (secret.value.code, public.value.code) == (Code.KEY_REFUSED, Code.CONFIGURATION_INVALID)


def test_a_public_file_is_read_whoever_may_read_it(tmp_path: Path) -> None:
    (tmp_path / "trust.toml").write_bytes(b"x")
    assert keyfiles.read_public(tmp_path / "trust.toml") == b"x"


def rewrite(path: Path, content: bytes) -> None:
    path.unlink()
    keyfiles.write_secret(path, content)


WRONG_FIELDS = {
    "no JSON": lambda _: b"{",
    "no object": lambda _: b"[]",
    "a member missing": lambda fields: json.dumps(
        {k: v for k, v in fields.items() if k != "digest_key"}
    ).encode(),
    "no base64": lambda fields: json.dumps(fields | {"digest_key": "?"}).encode(),
    "a version that is no number": lambda fields: json.dumps(fields | {"peppers": {"x": ""}}).encode(),
    "peppers that are no object": lambda fields: json.dumps(fields | {"peppers": []}).encode(),
}


@pytest.mark.parametrize("wrong", WRONG_FIELDS)
def test_malformed_field_keys_are_refused_without_showing_them(secrets: Path, wrong: str) -> None:
    path = secrets / "fields.json"
    fields = json.loads(path.read_bytes())
    rewrite(path, WRONG_FIELDS[wrong](fields))  # type: ignore[no-untyped-call] # lambdas of a table
    with refused_at("fields.json") as refused:
        keyfiles.load_fields(secrets)
    assert fields["peppers"]["1"] not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [b"not a key", keyfiles.pem(ec.generate_private_key(ec.SECP256R1()))],
)
def test_a_checkpoint_key_of_another_kind_is_refused(secrets: Path, content: bytes) -> None:
    rewrite(secrets / "checkpoint.pem", content)
    with refused_at("checkpoint.pem"):
        keyfiles.load_issuer_keys(secrets)


def test_a_record_key_of_another_kind_is_refused(secrets: Path) -> None:
    rewrite(secrets / "record.pem", keyfiles.pem(Ed25519PrivateKey.generate()))
    with pytest.raises(ConfigurationError):
        keyfiles.load_issuer_keys(secrets)

"""The service's own keys as files: never overwritten, never readable by others, never guessed."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from verifier import keyfiles
from verifier.errors import Code, ConfigurationError
from verifier.model.rotation import Rotated
from verifier.signatures.jws import Algorithm, parse_compact, sign_compact, verify
from verifier.signatures.keys import public_jwk, thumbprint


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
    assert keys.record.kid == thumbprint(public_jwk(keys.record.verification_key))
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


# Further versions


@pytest.mark.parametrize("name", list(Rotated))
def test_a_new_version_is_added_and_no_other_key_changes(secrets: Path, name: Rotated) -> None:
    before = keyfiles.load_fields(secrets)
    assert keyfiles.add_version(secrets, name, os.urandom) == 2
    assert keyfiles.add_version(secrets, name, os.urandom) == 3
    keyfiles.put_in_force(secrets, name, 3)
    after = keyfiles.load_fields(secrets)
    added, versions = {
        Rotated.PEPPER: (after.peppers, (after.pepper_version, after.master_version)),
        Rotated.MASTER: (after.master_keys, (after.master_version, after.pepper_version)),
    }[name]
    assert (set(added), versions) == ({1, 2, 3}, (3, 1))
    assert (after.peppers[1], after.master_keys[1]) == (before.peppers[1], before.master_keys[1])
    assert after.digest_key == before.digest_key
    assert (secrets / "fields.json").stat().st_mode & 0o777 == 0o600
    assert not (secrets / "fields.json.new").exists()


def test_whoever_is_cut_off_before_the_new_file_counts_leaves_the_old_one(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (secrets / "fields.json").read_bytes()

    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(Path, "replace", fails)
        with pytest.raises(KeyboardInterrupt):
            keyfiles.add_version(secrets, Rotated.PEPPER, os.urandom)
    assert (secrets / "fields.json").read_bytes() == before
    assert (secrets / "fields.json.new").exists()
    assert keyfiles.add_version(secrets, Rotated.PEPPER, os.urandom) == 2


def test_what_would_not_be_read_again_is_not_written(secrets: Path) -> None:
    before = (secrets / "fields.json").read_bytes()
    with pytest.raises(ConfigurationError):
        keyfiles.add_version(secrets, Rotated.PEPPER, bytes)
    with pytest.raises(ConfigurationError):
        keyfiles.put_in_force(secrets, Rotated.PEPPER, 9)
    assert (secrets / "fields.json").read_bytes() == before


def test_two_do_not_change_the_field_keys_at_once(secrets: Path) -> None:
    handle = os.open(secrets, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with refused_at("secrets"):
        keyfiles.add_version(secrets, Rotated.PEPPER, os.urandom)
    os.close(handle)
    with pytest.raises(ConfigurationError):
        keyfiles.add_version(secrets / "nowhere", Rotated.PEPPER, os.urandom)


# Public keys


def test_what_is_published_begins_with_the_keys_in_force(secrets: Path) -> None:
    keys = keyfiles.load_issuer_keys(secrets)
    own = [keys.record.verification_key, keys.status.verification_key]
    assert {key.kid for key in keyfiles.published_keys(secrets)} == {key.kid for key in own}
    assert keyfiles.checkpoint_keys(secrets) == [keys.checkpoint.verification_key.public]
    assert keys.known == tuple(keyfiles.checkpoint_keys(secrets))


def test_a_signer_shows_nothing_of_its_key_and_signs_by_its_algorithm(secrets: Path) -> None:
    signer = keyfiles.load_issuer_keys(secrets).record
    token = sign_compact(b"{}", signer, typ="t")
    assert verify(parse_compact(token), signer.verification_key) == b"{}"
    assert (signer.kid, signer.algorithm) == (signer.verification_key.kid, Algorithm.ES256)
    assert "private" not in repr(signer)

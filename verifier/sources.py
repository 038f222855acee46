"""Reads the source forms of policy and trust register, and the sandbox's own register."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from verifier import keyfiles, sandbox
from verifier.keyring import PUBLIC, SOURCE, Register, load_register, pack
from verifier.operations import SourceForm
from verifier.pipeline import Rulebook
from verifier.policy import load
from verifier.settings import Settings


def rulebook(settings: Settings) -> tuple[Rulebook, tuple[SourceForm, SourceForm]]:
    """Read the policy and the trust register, and keep their source forms to be adopted.

    Raises:
        ConfigurationError: one of them is missing or wrong.
    """
    register, register_form = read_register(settings)
    raw = keyfiles.read_public(settings.policy)
    policy = load(raw)
    policy_form = SourceForm("policy", policy.digest, raw.decode(), {"policy": policy.pin})
    return Rulebook((policy,), register), (policy_form, register_form)


def read_register(
    settings: Settings, proposed: Mapping[str, bytes] = MappingProxyType({})
) -> tuple[Register, SourceForm]:
    """Read the trust register and its source form.

    Args:
        settings: where it stands.
        proposed: files to read in place of those that stand there, by their names beside each other
            (``trust.toml``, ``issuers/x.pem``).

    Raises:
        ConfigurationError: it is missing or wrong.
    """
    directory, files = settings.register.parent, dict[str, bytes]()

    def read_key(name: str) -> bytes:
        name = PUBLIC + name
        if name not in files:
            files[name] = proposed[name] if name in proposed else keyfiles.read_public(directory / name)
        return files[name]

    source = proposed.get(SOURCE)
    files[SOURCE] = source if source is not None else keyfiles.read_public(settings.register)
    register = load_register(
        files[SOURCE], read_key, lambda name: keyfiles.read_secret(settings.secrets_dir / name)
    )
    packed = pack(files)
    said = {"platforms": sorted(register.platforms), "compromised": register.compromised}
    form = SourceForm("register", register.digest, packed, said)
    return replace(register, packed=packed), form


def sandbox_register(settings: Settings, real: Register) -> Register | None:
    """The sandbox's own register; None where there is no sandbox.

    Raises:
        ConfigurationError: it is missing or wrong, or it names a key, secret or certificate of the real one.
    """
    if settings.sandbox_register == Path():
        return None
    directory, secrets_dir = settings.sandbox_register.parent, settings.sandbox_secrets_dir
    files = {SOURCE: keyfiles.read_public(settings.sandbox_register)}

    def read_key(name: str) -> bytes:
        files[PUBLIC + name] = keyfiles.read_public(directory / f"{PUBLIC}{name}")
        return files[PUBLIC + name]

    register = load_register(files[SOURCE], read_key, lambda name: keyfiles.read_secret(secrets_dir / name))
    sandbox.separate(register, real)
    return replace(register, packed=pack(files))

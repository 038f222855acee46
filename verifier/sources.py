"""Reads the source forms of policies, register and offices, what is in force, and the sandbox's register."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from verifier import adopted, keyfiles, sandbox
from verifier.accounts import standards_form
from verifier.adopted import Standing
from verifier.adoption import PreviewUnits
from verifier.errors import Code, ConfigurationError
from verifier.keyring import PUBLIC, SOURCE, Register, load_register, pack
from verifier.operations import SourceForm
from verifier.pipeline import Rulebook
from verifier.policy import Policy, load
from verifier.policy.offices import load_offices
from verifier.policy.standards import KIND
from verifier.policy.thresholds import Thresholds, load_thresholds
from verifier.settings import Settings, packaged_policy


def rulebook(settings: Settings) -> tuple[Rulebook, tuple[SourceForm, ...]]:
    """Read the policies and the trust register, and keep their source forms to be adopted.

    Returns:
        The rulebook as the files say it, and their forms: of each policy in its order, then of the register.

    Raises:
        ConfigurationError: one of them is missing or wrong, or two policies are about the same.
    """
    register, register_form = read_register(settings)
    read = [read_policy(path) for path in policy_files(settings)]
    found = Rulebook(tuple(policy for policy, _ in read), register)
    return found, (*(form for _, form in read), register_form)


def read_policy(path: Path) -> tuple[Policy, SourceForm]:
    """Read a policy's parameter file.

    Raises:
        ConfigurationError: it is missing or wrong.
    """
    raw = keyfiles.read_public(path)
    policy = load(raw)
    return policy, adopted.policy_form(policy, raw.decode())


def policy_files(settings: Settings) -> tuple[Path, ...]:
    """The parameter files that the settings name, the main one first.

    Raises:
        ConfigurationError: a name is not that of a file that comes with the service.
    """
    further = [part.strip() for part in settings.policies.split(",") if part.strip()]
    return (settings.policy, *(policy_file(name) for name in further))


def policy_file(name: str) -> Path:
    """A parameter file by its path, or by the name of one that comes with the service.

    Raises:
        ConfigurationError: none of that name comes with it.
    """
    if "/" in name or name.endswith(".toml"):
        return Path(name)
    path = packaged_policy(name)
    if not path.is_file():
        detail = "no policy of this name comes with the service; a path has a slash in it or ends in .toml"
        raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="policies")
    return path


async def standing(
    settings: Settings, store: PreviewUnits, files: Rulebook, forms: Sequence[SourceForm]
) -> Standing:
    """What is in force, as far as anything was adopted; errors as ``adopted.standing``."""
    policies = await store.previewing(lambda tx: tx.adoptions("policy"))
    registers = await store.previewing(lambda tx: tx.adoptions("register"))
    found = adopted.standing(files, forms, policies, registers, secrets_of(settings))
    [form] = standards(settings) or [None]
    tables = await store.previewing(lambda tx: tx.adoptions(KIND)) if form else ()
    return found if form is None else adopted.beside(found, form, tables)


def secrets_of(settings: Settings) -> Callable[[str], bytes]:
    """Reads a transport secret by its file name."""
    return lambda name: keyfiles.read_secret(settings.secrets_dir / name)


def offices(settings: Settings) -> SourceForm:
    """Read the table of acceptance offices as a source form.

    Raises:
        ConfigurationError: it is missing or wrong.
    """
    raw = keyfiles.read_public(settings.offices)
    table = load_offices(raw)
    return SourceForm("offices", table.digest, raw.decode(), {"revision": table.revision})


def standards(settings: Settings) -> tuple[SourceForm, ...]:
    """Read the table of amounts and payees as a source form; empty where no file is named.

    Raises:
        ConfigurationError: it is missing or wrong.
    """
    if settings.standards == Path():
        return ()
    try:
        return (standards_form(keyfiles.read_public(settings.standards).decode()),)
    except UnicodeDecodeError:
        detail = "the table of standards is not UTF-8"
        raise ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer="standards") from None


def thresholds(settings: Settings) -> Thresholds:
    """Read the thresholds of signals. Every signal bears their digest; none decides, so nobody adopts them.

    Raises:
        ConfigurationError: the table is missing or wrong.
    """
    return load_thresholds(keyfiles.read_public(settings.signals))


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
    register = load_register(files[SOURCE], read_key, secrets_of(settings))
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

"""Settings: every one has a name and a form; what is unknown or malformed stops the start."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifier.errors import Code, ConfigurationError
from verifier.settings import PREFIX, Settings, from_environment


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = from_environment({"PATH": "/bin", "HOME": "/root"})
    assert settings == Settings()
    assert settings.database_url == "sqlite+aiosqlite:///var/verifier.db"
    assert settings.secrets_dir == Path("var/secrets")
    assert (settings.admin_socket, settings.kept_checkpoint) == (
        Path("var/admin.sock"),
        Path("var/checkpoint.txt"),
    )
    assert settings.policy.is_file()


def test_every_setting_can_be_given() -> None:
    settings = from_environment(
        {
            "VERIFIER_DATA_DIR": "/data",
            "VERIFIER_DATABASE_URL": "postgresql+asyncpg://h/d",
            "VERIFIER_SECRETS_DIR": "/secrets",
            "VERIFIER_PORT": "0",
            "VERIFIER_BASE_URL": "https://verifier.example",
        }
    )
    assert (settings.data_dir, settings.secrets_dir) == (Path("/data"), Path("/secrets"))
    assert (settings.port, settings.database_url) == (0, "postgresql+asyncpg://h/d")


def test_allowed_hosts_are_listed_with_commas() -> None:
    settings = from_environment({"VERIFIER_ALLOWED_HOSTS": "Verifier.example, localhost:8080,"})
    assert settings.hosts == {"verifier.example", "localhost:8080"}
    assert Settings().hosts == frozenset()


def test_what_follows_from_the_data_directory_follows_it() -> None:
    settings = from_environment({"VERIFIER_DATA_DIR": "/data"})
    assert settings.database_url == "sqlite+aiosqlite:////data/verifier.db"
    assert settings.secrets_dir == Path("/data/secrets")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("VERIFIER_PROT", "8080"),
        ("VERIFIER_PORT", "65536"),
        ("VERIFIER_PORT", "-1"),
        ("VERIFIER_PORT", "８０"),
        ("VERIFIER_PORT", ""),
        ("VERIFIER_BASE_URL", "https://verifier.example/"),
        ("VERIFIER_BASE_URL", "verifier.example"),
        ("VERIFIER_BASE_URL", "https://"),
    ],
)
def test_an_unknown_or_malformed_setting_is_named_and_not_repeated(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        from_environment({variable: value})
    assert refused.value.code is Code.CONFIGURATION_INVALID
    assert refused.value.pointer in {variable, variable.removeprefix(PREFIX).lower()}
    assert not value or value not in str(refused.value).replace(variable, "")


@given(st.integers(0, 65535))
def test_every_port_is_taken(port: int) -> None:
    assert from_environment({"VERIFIER_PORT": str(port)}).port == port

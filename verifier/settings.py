"""Settings, read once from the environment; every one has a name, a meaning and a default or is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from verifier.errors import Code, ConfigurationError

PREFIX: Final = "VERIFIER_"
_MOST: Final = {
    "VERIFIER_PORT": 65_535,
    "VERIFIER_WORKERS": 256,
    "VERIFIER_ERASURE_KEEP_YEARS": 100,
    "VERIFIER_RAW_RETENTION_DAYS": 36_525,
    "VERIFIER_DATABASE_CONNECTIONS": 1_000,
    "VERIFIER_DATABASE_BACKGROUND_CONNECTIONS": 1_000,
    "VERIFIER_DATABASE_STATEMENT_SECONDS": 3_600,
}
_MOST_OF_OTHERS: Final = 1_000_000_000


def packaged_policy(name: str = "online-training-month") -> Path:
    """Where a policy's parameter file lies, if one of this name comes with the service."""
    return Path(str(resources.files("verifier.policy") / "parameters" / f"{name}.toml"))


def _packaged_offices() -> Path:
    return packaged_policy("offices")


def _packaged_signals() -> Path:
    return packaged_policy("signals")


@dataclass(frozen=True, slots=True)
class Settings:
    """What an installation may choose; the environment variable is ``VERIFIER_`` and the name in capitals.

    Attributes:
        data_dir: directory of the database, the admin socket and the last checkpoint.
        database_url: ``sqlite+aiosqlite:///path`` or ``postgresql+asyncpg://…``; empty means
            ``verifier.db`` in ``data_dir``.
        secrets_dir: directory of the service's own keys and the platforms' transport secrets; empty means
            ``secrets`` in ``data_dir``.
        register: the trust register's source form; public keys stand in ``issuers/`` beside it.
        profiles: directory of the profiles of declared platforms, ``<slug>.toml`` each; empty means that
            there are none.
        policy: the main policy's parameter file.
        policies: comma-separated further policies: names of those that come with the service
            (``skill-upgrade``, ``comprehensive-training``) or paths of parameter files; empty means none.
        offices: the table of acceptance offices.
        status_people_per_day: people that one enterprise may ask about in a day; 0 for any number.
        signals: the table of thresholds for signals.
        workers: web processes that share the port, beside one of background work; 0 for everything in one
            process.
        host: address to listen on.
        port: TCP port to listen on; 0 takes a free one.
        base_url: address under which others reach the service; issuer of tokens and records.
        origin: name of the ledger, without spaces and plus signs; never changed once used.
        sandbox_register: the sandbox's own register, in the same form; its transport secrets stand in
            ``sandbox`` in ``secrets_dir``. Empty means that there is no sandbox.
        objection_answer_days: days within which a correction, objection or appeal is to be answered; 0 means
            that no term is configured, which every answer says.
        key_overlap_hours: how long a new signing key is published before it signs.
        standards: the table of amounts and payees; it is adopted when the service starts if none ever was.
            Empty means that there is none, and none comes with the service.
        erasure_keep_years: years for which everything on a person is kept after the last step of a claim on
            their months; 0 means that nobody decided, and then nobody is erased for whom money was asked.
        raw_retention_days: days after which raw bodies of deliveries and uploaded documents are emptied, if
            nothing about them is open; 0 keeps them.
        witnesses: file that names the outside witnesses to be asked for cosignatures; empty means none.
        database_connections: on PostgreSQL, connections that one process holds at most for what somebody
            waits for; on SQLite, readers of that kind.
        database_background_connections: on PostgreSQL, the same for work that nobody waits for.
        database_statement_seconds: after which a statement that somebody waits for is cut off.
        allowed_hosts: comma-separated Host headers that are answered; empty answers all.
    """

    data_dir: Path = Path("var")
    database_url: str = ""
    secrets_dir: Path = Path()
    register: Path = Path("keys/trust.toml")
    profiles: Path = Path()
    policy: Path = field(default_factory=packaged_policy)
    offices: Path = field(default_factory=_packaged_offices)
    status_people_per_day: int = 100_000
    signals: Path = field(default_factory=_packaged_signals)
    workers: int = 0
    host: str = "127.0.0.1"
    port: int = 8080
    base_url: str = "http://127.0.0.1:8080"
    origin: str = "training-verifier.invalid/ledger"
    allowed_hosts: str = ""
    sandbox_register: Path = Path()
    policies: str = ""
    objection_answer_days: int = 0
    key_overlap_hours: int = 24
    standards: Path = Path()
    erasure_keep_years: int = 0
    raw_retention_days: int = 0
    witnesses: Path = Path()
    database_connections: int = 8
    database_background_connections: int = 4
    database_statement_seconds: int = 5

    def __post_init__(self) -> None:
        if not self.database_url:
            path = quote(str(self.data_dir / "verifier.db"))
            object.__setattr__(self, "database_url", f"sqlite+aiosqlite:///{path}")
        if self.secrets_dir == Path():
            object.__setattr__(self, "secrets_dir", self.data_dir / "secrets")
        address = urlsplit(self.base_url)
        if address.scheme not in {"http", "https"} or not address.netloc or self.base_url.endswith("/"):
            raise _invalid("base_url", "an http(s) address without a slash at its end is needed")
        for name in (
            "database_connections",
            "database_background_connections",
            "database_statement_seconds",
        ):
            if getattr(self, name) < 1:
                raise _invalid(name, "at least 1 is needed")

    @property
    def hosts(self) -> frozenset[str]:
        """``allowed_hosts`` one by one, lower case."""
        return frozenset(host.strip().lower() for host in self.allowed_hosts.split(",") if host.strip())

    @property
    def sandbox_secrets_dir(self) -> Path:
        """Transport secrets of the sandbox's register."""
        return self.secrets_dir / "sandbox"

    @property
    def admin_socket(self) -> Path:
        """Unix socket by which the command line's writes reach a running service."""
        return self.data_dir / "admin.sock"

    @property
    def given_out(self) -> Path:
        """Public keys of the issuer, for web processes, which cannot read its private ones."""
        return self.data_dir / "published.json"

    @property
    def counters(self) -> Path:
        """Directory of what several processes count together; emptied at every start."""
        return self.data_dir / "counters"

    @property
    def kept_checkpoint(self) -> Path:
        """The issuer's last checkpoint, outside the database."""
        return self.data_dir / "checkpoint.txt"


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings.

    Args:
        environment: variables; those without the prefix are not looked at.

    Raises:
        ConfigurationError: a variable with the prefix is not a setting, or its value has the wrong form.
    """
    known = {PREFIX + item.name.upper(): item for item in fields(Settings)}
    values: dict[str, str | int | Path] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX):
            continue
        if variable not in known:
            raise _invalid(variable, "there is no such setting")
        item = known[variable]
        values[item.name] = _value(variable, item.type, text)
    return Settings(**values)  # type: ignore[arg-type] # each value was read by its field's own type


def _value(variable: str, form: object, text: str) -> str | int | Path:
    if form == "Path":
        return Path(text)
    if form != "int":
        return text
    most = _MOST.get(variable, _MOST_OF_OTHERS)
    if not text.isascii() or not text.isdigit() or len(text) > len(str(most)) or int(text) > most:
        raise _invalid(variable, f"a number from 0 to {most} is needed")
    return int(text)


def _invalid(pointer: str, detail: str) -> ConfigurationError:
    return ConfigurationError(Code.CONFIGURATION_INVALID, detail, pointer=pointer)

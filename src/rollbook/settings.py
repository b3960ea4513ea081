"""All settings with type, default and help. Only cli/ and server/app read them.

A setting is an environment variable ROLLBOOK_<NAME>, a line of a file `.env` in the working directory, or a line of the
machine's settings file. The first that has it wins, and options of the command line override all.
"""

import os
import re
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from rollbook.errors import UserError
from rollbook.settings_file import find_settings_file, read_short_text


def _default_data_dir() -> Path:
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "rollbook"


def _default_profiles_file() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "rollbook" / "profiles.toml"


MAX_NUMBER = 2**31 - 1  # the limit of database columns and system timers

# Settings that can also be read from a file, named by the setting with the suffix `_file`.
SECRETS = ("database_url", "account_key", "user_key")

PUBLIC_URL = re.compile(r"https://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?/?", re.ASCII | re.IGNORECASE)

# Pages have their own connections, so that no call waits for a page.
PAGES_AT_ONCE = 3
# File descriptors besides client connections: the database, the log, the program's own.
OTHER_FILES = 256

LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(\.{LABEL})*", re.ASCII | re.IGNORECASE)


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="ROLLBOOK_", env_ignore_empty=True, extra="ignore", frozen=True, allow_inf_nan=False
    )

    @field_validator("*")
    @classmethod
    def _numbers_fit(cls, value: object) -> object:
        if isinstance(value, int | float) and value > MAX_NUMBER:
            raise ValueError(f"the number is larger than {MAX_NUMBER}")
        return value

    @model_validator(mode="before")
    @classmethod
    def _read_secrets(cls, values: dict[str, object]) -> dict[str, object]:
        for name in SECRETS:
            path = values.get(f"{name}_file")
            if path and values.get(name):
                raise ValueError(f"{_variable(name)} and {_variable(name)}_FILE are both set; leave one out")
            if path:
                values[name] = _read_secret(_variable(name), Path(str(path)))
        return values


def split_list(value: str) -> list[str]:
    """Return the parts of a value that are separated by commas."""
    return [part for part in map(str.strip, value.split(",")) if part]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _read_secret(variable: str, path: Path) -> str:
    try:
        secret = read_short_text(path).strip()
    except OSError as error:
        raise ValueError(f"{variable}_FILE: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{variable}_FILE: {path} is not text in UTF-8") from None
    if not secret or "\n" in secret:
        raise ValueError(f"{variable}_FILE: {path} has to hold one line, the secret")
    return secret


class Settings(_Settings):
    """The settings of one process."""

    data_dir: Path = Field(
        default_factory=_default_data_dir, description="Where the SQLite database and the self-signed certificate live."
    )
    database_url: str = Field(
        "", description="sqlite:///FILE or postgresql://…; empty means rollbook.db in the data directory.", repr=False
    )
    database_url_file: Path | None = Field(None, description="A file that holds the database's address.")
    host: str = Field("127.0.0.1", description="The address that the server listens on.")
    port: int = Field(8443, ge=0, le=65535, description="The HTTPS port; 0 takes a free one.")
    http_port: int | None = Field(
        None, ge=0, le=65535, description="An HTTP port for trusted proxies; other clients are refused there."
    )
    operations_host: str = Field("127.0.0.1", description="The address that /livez, /readyz and /metrics listen on.")
    operations_port: int | None = Field(
        8444, ge=0, le=65535, description="Their HTTP port; 0 takes a free one, off opens none."
    )
    workers: int = Field(1, ge=1, description="How many server processes share the ports.")
    worker: bool = Field(True, description="Whether `rollbook serve` also processes the unenrollment queue.")
    tls_cert: Path | None = Field(None, description="PEM file of the certificate, with its chain.")
    tls_key: Path | None = Field(None, description="PEM file of the certificate's key.")
    tls_names: str = Field(
        "", description="Host names and addresses, separated by commas, of the self-signed certificate."
    )
    hsts_seconds: int = Field(
        0, ge=0, description="How long browsers use only HTTPS for this host name; 0 sends no such header."
    )
    trusted_proxies: str = Field(
        "", description="Addresses or networks, separated by commas, whose X-Forwarded-Proto is trusted."
    )
    pool_size: int = Field(
        10,
        ge=2,
        description="Database connections of a process for calls: one to look up keys, one for each call.",
    )
    max_body_bytes: int = Field(1_048_576, ge=1, description="The largest body; larger ones are answered 413.")
    max_upload_bytes: int = Field(
        4_194_304, ge=1, description="The largest form with a file that a user of the console can send."
    )
    body_seconds: float = Field(30, gt=0, description="How long a body may take to arrive; then it is answered 408.")
    call_seconds: float = Field(
        4, gt=0, description="How long a call may wait for the database in all; after that it is answered 503."
    )
    max_connections: int = Field(
        4096, ge=1, description="Connections of a process; above that the longest-idle ones are closed."
    )
    head_seconds: float = Field(10, gt=0, description="How long a TLS handshake or the head of a call may take.")
    write_seconds: float = Field(30, gt=0, description="How long a client may leave its answer unread.")
    keep_alive_seconds: int = Field(60, ge=1, description="How long an idle connection stays open.")
    poll_seconds: float = Field(1, gt=0, description="How often an idle worker checks the queue.")
    drain_step: int = Field(1000, ge=1, description="How many items a worker finishes in one transaction.")
    calls_kept: int = Field(
        10_000, ge=0, description="How many of the last calls of an account are kept; 0 keeps none."
    )
    calls_kept_days: float = Field(7, gt=0, le=36_500, description="How long the last calls of an account are kept.")
    public_url: str = Field(
        "", description="The server's address for browsers, as https://HOST; empty: the address that serve prints."
    )
    webhook_addresses: str = Field(
        "", description="Addresses or networks, separated by commas, that webhooks may reach though not public."
    )
    webhook_seconds: float = Field(
        10, gt=0, le=20, description="How long the delivery of one event of a webhook may take in all."
    )
    console: bool = Field(True, description="Whether the pages for administrators are served, at /console.")
    console_idle_minutes: int = Field(
        30, ge=1, le=10_000, description="How long a login session of the console lasts without a request."
    )
    console_sign_in_hours: int = Field(
        12, ge=1, le=168, description="How long a login session of the console lasts in all."
    )
    learner_sign_in_hours: int = Field(
        8, ge=1, le=168, description="How long a session of the learner's page lasts at most."
    )
    wrong_keys_per_address: int = Field(
        30, ge=0, description="Wrong keys or forms of one address in a minute before it is answered 429; 0: no limit."
    )
    calls_per_account: int = Field(0, ge=0, description="Calls of one account in a minute; 0: no limit.")
    sign_ins_per_address: int = Field(
        30, ge=0, description="Wrong sign-ins to the console from one address in a minute; 0: no limit."
    )
    sign_ins_per_email: int = Field(
        10, ge=0, description="Wrong sign-ins to the console with one e-mail in a minute; 0: no limit."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="console for people, json for programs; auto is console on a terminal."
    )

    @field_validator("operations_port", mode="before")
    @classmethod
    def _off_is_no_port(cls, value: object) -> object:
        return None if value == "off" else value

    @field_validator("trusted_proxies", "webhook_addresses")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        for address in split_list(value):
            ip_network(address, strict=False)
        return value

    @field_validator("tls_names")
    @classmethod
    def _are_host_names(cls, value: str) -> str:
        for name in split_list(value):
            if not (HOST_NAME.fullmatch(name) or _is_address(name)):
                raise ValueError(f"{name!r} is neither a host name such as lms.example.org nor an IP address")
        return value

    @field_validator("public_url")
    @classmethod
    def _public_url_is_an_origin(cls, value: str) -> str:
        if value and not PUBLIC_URL.fullmatch(value):
            raise ValueError(f"{value!r} is no address such as https://lms.example.org, with https and without a path")
        return value.rstrip("/")

    @property
    def origin(self) -> str:
        """The address of links for browsers, by default the one that the server listens on."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"https://{host}:{self.port}"

    @property
    def database(self) -> str:
        """The address of the database, with the default."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'rollbook.db'}"

    @property
    def server_connections(self) -> int:
        """The database connections of a server process: for calls, for pages, and for the call log."""
        return self.pool_size + PAGES_AT_ONCE + 1

    @property
    def database_file(self) -> Path | None:
        """The SQLite file; None for PostgreSQL."""
        return Path(self.database.removeprefix("sqlite:///")) if self.database.startswith("sqlite:///") else None


class RemoteSettings(_Settings):
    """The server that client commands call, and the keys of the caller."""

    url: str = Field("", description="The address of the API, as https://host:8443/apiv2/.")
    account_key: str = Field("", description="The key of the account.", repr=False)
    account_key_file: Path | None = Field(None, description="A file that holds the key of the account.")
    user_key: str = Field("", description="The key of the user in whose name calls are made.", repr=False)
    user_key_file: Path | None = Field(None, description="A file that holds the key of the user.")
    ca_file: Path | None = Field(None, description="PEM file of a private certificate authority.")
    profile: str | None = Field(None, description="A profile of the profiles file, used instead of the settings above.")
    profiles_file: Path = Field(
        default_factory=_default_profiles_file, description="TOML file of profiles; only its owner may read it."
    )


def load_settings(**given: object) -> Settings:
    """Read the settings; `given` are options of the command line, None if not given.

    Errors: UserError that names each wrong setting, and when the settings file that names the database is out of reach.
    """
    settings = _load(Settings, given)
    file = find_settings_file()
    if file.is_denied and settings.model_fields_set.isdisjoint(("data_dir", "database_url")):
        raise UserError(f"{file.note} For another database than the service's, set ROLLBOOK_DATA_DIR.")
    return settings


def load_remote_settings(**given: object) -> RemoteSettings:
    """Read the settings of client commands; `given` are those of a profile. Errors: UserError."""
    return _load(RemoteSettings, given)


S = TypeVar("S", bound=BaseSettings)


def _load(kind: type[S], given: dict[str, object]) -> S:
    given = {name: value for name, value in given.items() if value is not None}
    for name in SECRETS:
        # A given secret, or its file, overrides both.
        if not given.keys().isdisjoint((name, f"{name}_file")):
            given = {name: "", f"{name}_file": None, **given}
    file = find_settings_file().path
    values: dict[str, Any] = {"_env_file": (".env",) if file is None else (file, ".env"), **given}
    try:
        return kind(**values)
    except PermissionError:
        raise UserError("The file .env in this directory cannot be read. Go to another one first: cd /") from None
    except UnicodeDecodeError:
        raise UserError("The file .env is not text in UTF-8. Write it in UTF-8.") from None
    except ValidationError as error:
        raise UserError("Wrong settings:\n  " + "\n  ".join(map(_describe, error.errors()))) from None


def _describe(wrong: ErrorDetails) -> str:
    message = wrong["msg"].removeprefix("Value error, ")
    return f"{_variable('_'.join(map(str, wrong['loc'])))}: {message}" if wrong["loc"] else message


def _variable(name: str) -> str:
    return f"ROLLBOOK_{name.upper()}"

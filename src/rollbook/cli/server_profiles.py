"""The server and keys of client commands: settings of the environment, or a named profile."""

import stat
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from rollbook.cli.options import check_text
from rollbook.client.client import Client
from rollbook.errors import UserError
from rollbook.settings import RemoteSettings, load_remote_settings
from rollbook.settings_file import find_settings_file, read_short_text

ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="A profile of the configuration file, instead of ROLLBOOK_URL and keys.")
]


@contextmanager
def open_client(profile: str | None) -> Iterator[Client]:
    """Yield a client for the configured server; errors: UserError when the address or a key is missing."""
    check_text(sys.argv[1:])
    settings = load_remote_settings()
    name = settings.profile if profile is None else profile
    if name is not None:
        settings = _read_profile(settings.profiles_file, name)
    missing = [field for field in ("url", "account_key", "user_key") if not getattr(settings, field)]
    if missing:
        names = ", ".join(f"ROLLBOOK_{field.upper()}" for field in missing)
        note = find_settings_file().note
        raise UserError(f"The server or a key is missing. Set {names}, or name a profile with --profile. {note}")
    ca_file = settings.ca_file
    if ca_file is not None and not ca_file.is_file():
        raise UserError(f"There is no file {ca_file}. ROLLBOOK_CA_FILE names the certificate of a private authority.")
    try:
        client = Client(settings.url, settings.account_key, settings.user_key, ca_file=ca_file)
    except ValueError as error:
        raise UserError(f"ROLLBOOK_URL or ROLLBOOK_CA_FILE is wrong: {error}.") from None
    with client:
        yield client


def _read_profile(path: Path, name: str) -> RemoteSettings:
    try:
        mode = path.stat().st_mode
        profiles = tomllib.loads(read_short_text(path))
    except OSError as error:
        raise UserError(f"The profiles in {path} cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError(f"{path} holds keys and can be read by others. Run: chmod 600 {path}")
    if not isinstance(profiles.get(name), dict):
        raise UserError(f"{path} has no profile [{name}]. It has: {', '.join(profiles) or 'none'}.")
    return load_remote_settings(**profiles[name])

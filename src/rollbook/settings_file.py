"""The machine's settings file: the service reads it, and so does every command.

Its lines are those of a systemd EnvironmentFile: NAME=value. ROLLBOOK_SETTINGS_FILE names another file, or none.
"""

import errno
import os
import re
from pathlib import Path
from typing import NamedTuple

from rollbook.errors import UserError

VARIABLE = "ROLLBOOK_SETTINGS_FILE"
DEFAULT = "/etc/rollbook/rollbook.env"
MAX_BYTES = 1 << 20
LINE = re.compile(r"\s*(#.*|;.*|(export\s+)?(?P<name>[A-Za-z_]\w*)=.*)?\s*")


class SettingsFile(NamedTuple):
    """The file if it was read, the names that it sets, and a sentence about it for messages."""

    path: Path | None
    names: frozenset[str]
    note: str
    is_denied: bool = False


def read_short_text(path: Path) -> str:
    """Read a file of settings or of a secret; errors: UnicodeDecodeError, OSError, also for more than MAX_BYTES."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:  # a device may have no end
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return data.decode()


def find_settings_file() -> SettingsFile:
    """Look for the settings file; errors: UserError for one that is named and missing, or that is no settings file."""
    named = os.environ.get(VARIABLE)
    if named == "":
        return SettingsFile(None, frozenset(), f"No settings file is read, because {VARIABLE} is empty.")
    path = Path(named or DEFAULT)
    try:
        text = read_short_text(path)
    except (FileNotFoundError, NotADirectoryError):
        if named:
            raise UserError(f"There is no file {path}, which {VARIABLE} names.") from None
        return SettingsFile(None, frozenset(), f"There is no settings file {path}.")
    except PermissionError:
        note = f"The settings file {path} cannot be read: run the command as the service's user, whose group it has."
        return SettingsFile(None, frozenset(), note, is_denied=True)
    except OSError as error:
        raise UserError(f"The settings file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UserError(f"The settings file {path} is not text in UTF-8.") from None
    return SettingsFile(path, _read_names(path, text), f"Settings were read from {path}.")


def _read_names(path: Path, text: str) -> frozenset[str]:
    names = set()
    for number, line in enumerate(text.splitlines(), 1):
        found = LINE.fullmatch(line)
        if found is None:
            raise UserError(f"Line {number} of {path} is no setting: {line.strip()[:40]!r}. Write NAME=value.")
        names.add(found["name"] or "")
    return frozenset(names - {""})

"""Prepares a data directory with one account and the made-up roster and progress of this folder."""

import json
import os
import subprocess
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
ROLLBOOK = HERE.parent / ".venv" / "bin" / "rollbook"
ACCOUNT = "Example Academy"
OWNER = "owner@example.org"


def environment(data_dir: Path) -> dict[str, str]:
    """Return the environment for commands on this data directory alone."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROLLBOOK_")}
    return inherited | {"ROLLBOOK_DATA_DIR": str(data_dir)}


def rollbook(data_dir: Path, *arguments: str) -> str:
    """Run a rollbook command on the data directory and return its output."""
    done = subprocess.run(
        [str(ROLLBOOK), *arguments], env=environment(data_dir), stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def new_password(data_dir: Path) -> str:
    """Set a new console password for the owner and return it."""
    return rollbook(data_dir, "user", "password", OWNER, "--account", ACCOUNT, "--generate").strip()


def prepare(data_dir: Path) -> dict[str, str]:
    """Make the account, import the roster and the progress, write the ids to ids.csv and return the two keys."""
    data_dir.mkdir(parents=True, mode=0o700)
    answer = rollbook(data_dir, "init", "--account", ACCOUNT, "--owner", OWNER, "--format", "json")
    keys: dict[str, str] = json.loads(answer)
    archive = data_dir / "roster.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for table in sorted((HERE / "roster").glob("*.csv")):
            file.write(table, table.name)
    ids = str(data_dir / "ids.csv")
    print(rollbook(data_dir, "import", "oneroster", str(archive), "--account", ACCOUNT, "--ids", ids))
    print(rollbook(data_dir, "import", "progress", str(HERE / "progress.csv"), "--account", ACCOUNT))
    return keys

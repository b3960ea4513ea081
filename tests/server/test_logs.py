"""Every line of the log is one JSON document, even after an unexpected error."""

import json
import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from conftest import on_sqlite
from rollbook.store.database.database import Database
from server_process import environment


@on_sqlite
def test_unexpected_error_is_one_line_of_json(database: Database, database_url: str, tmp_path: Path) -> None:
    with database.write() as connection:
        connection.execute(sa.text("ALTER TABLE alembic_version RENAME COLUMN version_num TO other"))
    command = [sys.executable, "-m", "rollbook", "worker"]
    done = subprocess.run(command, env=environment(database_url, tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    line = json.loads(done.stderr)
    assert (line["event"], line["level"]) == ("unforeseen error", "critical")
    assert "no such column" in line["exception"]

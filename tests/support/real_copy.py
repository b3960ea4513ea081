"""Copies the real data of a server by the program itself, through a server that is not Rollbook."""

import csv
import io
import json
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from campus import OPERATOR, Campus
from hosted import Hosted, run_hosted
from rollbook import Client, Progress
from rollbook.methods.get_learner_report import COLUMNS
from rollbook.model import utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.tables import enrollments
from rollbook.store.people.accounts import add_account
from server_process import ForkedProcess, ServerProcess, environment, run_forked, run_server

ALL_COLUMNS = [word for column in COLUMNS for word in ("--column", column)]
SIZE, CHANGED = 13_529, 100


def copy_real_account(server: ServerProcess, campus: Campus, copy_url: str, folder: Path) -> None:
    """Copy it with two interruptions, again, and after changes; each time the reports are equal byte for byte."""
    folder.mkdir()
    database = Database(copy_url)
    with database.write() as connection:
        account_key, owner_key = add_account(connection, "Copy", "copier@example.net", by=OPERATOR)
    database.close()
    with campus.database.write() as connection:  # the account was filled a month ago
        mine = enrollments.c.account_id == campus.account.id
        connection.execute(sa.update(enrollments).where(mine).values(modified_at=utc_now() - timedelta(30)))
    there = {"url": server.url, "account_key": campus.account_key, "user_key": campus.owner_key}
    there["ca_file"] = str(server.ca_file)
    with run_hosted(server) as hosted, run_server(copy_url, folder, "--no-worker") as copy:
        copier = _Copier(
            hosted, environment(copy_url, folder, **there | {"url": hosted.url, "ca_file": str(hosted.ca_file)})
        )
        here = {"url": copy.url, "account_key": account_key, "user_key": owner_key, "ca_file": copy.ca_file}

        def reports() -> list[str]:
            envs = [environment(copy_url, folder, **each) for each in (there, here)]
            done = [run_forked(["report", "--format", "csv", *ALL_COLUMNS], env, folder) for env in envs]
            assert [each.returncode for each in done] == [0, 0], done
            return [each.stdout for each in done]

        assert copier.run(stop_at=20) == copier.run(stop_at=8) == (130, [])
        code, counts = copier.run()
        assert (code, counts[-1]["kind"], counts[-1]["added"]) == (0, "enrollments", SIZE)
        theirs, ours = reports()
        assert theirs == ours
        assert len(theirs.splitlines()) == SIZE + 1
        assert copier.run()[1][-1] | {"listed": 0} == dict.fromkeys(counts[-1], 0) | {"kind": "enrollments"}
        assert hosted.rows == 0
        _change(server, campus, theirs)
        _, counts = copier.run()
        assert (counts[-1]["read"], counts[-1]["changed"], counts[-1]["added"]) == (CHANGED, CHANGED, 0)
        theirs, ours = reports()
        assert theirs == ours


def _change(server: ServerProcess, campus: Campus, report: str) -> None:
    ids = [row["ID"] for row in csv.DictReader(io.StringIO(report))][:: SIZE // CHANGED][:CHANGED]
    with Client(server.url, campus.account_key, campus.owner_key, ca_file=server.ca_file) as client:
        done = [*client.update_enrollments(Progress(id_, grade="Changed") for id_ in ids)]
    assert [outcome.accepted for outcome in done] == [True] * CHANGED


class _Copier:
    """Runs `rollbook mirror`."""

    def __init__(self, hosted: Hosted, env: dict[str, str]) -> None:
        self._hosted, self._env = hosted, env

    def run(self, stop_at: int | None = None) -> tuple[int, list[dict[str, Any]]]:
        """Run it, interrupted by Ctrl-C at a call; return the exit code and the counts."""
        folder = Path(self._env["ROLLBOOK_DATA_DIR"])
        output, errors = folder / "output", folder / "errors"
        for path in (output, errors):
            path.write_text("")
        self._hosted.reset()
        process = ForkedProcess(["mirror", "--account", "Copy", "--format", "json"], self._env, folder, output, errors)
        if stop_at is not None:

            def interrupt(number: int, _method: str) -> None:
                if number >= stop_at:
                    process.send_signal(signal.SIGINT)

            self._hosted.after = interrupt
        try:
            code = process.wait(120)
        finally:
            process.kill()
        text = output.read_text()
        assert code in (0, 130), errors.read_text()
        return code, json.loads(text) if text else []

"""What a worker does about trouble."""

from pathlib import Path

import sqlalchemy as sa

from campus import Campus
from rollbook.store.engine import Database
from rollbook.store.schema import migrate
from server_process import run_server


def test_trouble_with_one_account_keeps_no_other_waiting(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'rollbook.db'}"
    database = Database(url)
    migrate(database)
    troubled, other = Campus(database), Campus(database)
    for campus in (troubled, other):
        campus.accept(campus.enroll(2))
    with database.write() as connection:
        connection.execute(
            sa.text(
                "CREATE TRIGGER trouble BEFORE UPDATE ON enrollments "
                f"WHEN OLD.account_id = {troubled.account.id} BEGIN SELECT RAISE(ABORT, 'trouble'); END"
            )
        )
    with run_server(url, tmp_path, poll_seconds=0.05) as server:
        other.wait_until_drained()
        log = server.log.read_text()
    database.close()
    assert set(troubled.queue().values()) == {"Pending"}
    assert "worker failed; it goes on" in log

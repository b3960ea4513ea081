"""Tables fit a terminal of 80 columns: ids and times stay whole, long texts are shortened."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from campus import Campus
from commands import Done, run_command
from conftest import Served
from rollbook.cli import app
from rollbook.model import utc_now

pytestmark = pytest.mark.parametrize("served", ["sqlite"], indirect=True)

LONG = "The long name of something that a person has chosen, who likes long names, and does not think of terminals"

Terminal = Callable[..., Done]


@pytest.fixture
def command(
    served: Served,
    campus: Campus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Terminal:
    """Runs commands on the server and on its database, without a terminal or at one of 80 columns."""
    for name in [name for name in os.environ if name.startswith("ROLLBOOK_")]:
        monkeypatch.delenv(name)
    settings = {
        "DATABASE_URL": served.database_url,
        "DATA_DIR": str(tmp_path),
        "URL": served.server.url,
        "CA_FILE": str(served.server.ca_file),
        "ACCOUNT_KEY": campus.account_key,
        "USER_KEY": campus.owner_key,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"ROLLBOOK_{name}", value)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, terminal: bool = False) -> Done:
        with pytest.MonkeyPatch.context() as patch:
            if terminal:
                patch.setattr(sys.stdout, "isatty", lambda: True)
                for name, value in {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}.items():
                    patch.setenv(name, value)
            return run_command(patch, capsys, *arguments)

    return run


def test_every_table_fits_80_columns_with_ids_and_times_whole(campus: Campus, command: Terminal) -> None:
    account = ("--account", campus.name)
    ids = campus.enroll(3)
    course = command("course", "add", LONG, *account, "--term", LONG, "--format", "json").json["course"]
    command("session", "add", str(course), "--start", "2027-01-31T08:00", *account)
    command("group", "add", LONG, *account, "--identifier", LONG[:40], "--description", LONG)
    names = ("--given-name", LONG[:60], "--family-name", LONG[:60], "--employee-id", LONG[:40])
    email = f"{'a.long.name.' * 5}@example.org"
    command("user", "add", email, *account, *names, "--role", "administrator")
    command("key", "new", *account, "--user", email)
    command("webhook", "add", f"https://example.org/{'path/' * 20}", *account)
    command("account", "set", campus.name, "--authorization-addresses", "192.0.2.7,198.51.100.0/24,203.0.113.0/24")
    command("unenroll", *map(str, ids), "99999999", "--yes", "--max-percent", "100", "--reason", LONG)
    campus.drain()
    batch = command("batches", "--format", "json").json[0]["batch"]
    command("pause")
    left = campus.enroll(2)
    campus.import_progress("ID,EnrollmentStatus,Progress", f"{left[0]},Completed,100", f"{left[1]},In Progress,20")
    lists = {
        "batches": [str(batch), "3 complete", "1 refused", "no limit"],
        f"batch {batch}": [*map(str, ids), "99999999", "Refused"],
        "queue": ["paused"],
        "report": [*map(str, left), "Completed", "In Progress"],
        "account list": [campus.name],
        "doctor": [],
        f"session list {course}": ["2027-01-31 08:00:00"],
        **{f"{kind} list": [] for kind in ("key", "group", "course", "webhook")},
        "audit": ["set-policies", "accepted 3", "none →"],
        "user list": ["administrator"],
    }
    for name, wanted in lists.items():
        words = name.split()
        local = account if words[0] in ("user", "key", "group", "course", "webhook", "session", "audit") else ()
        done = command(*words, *local, terminal=True)
        assert max(map(len, done.out.splitlines())) <= 80, done.out
        assert [text for text in wanted if text not in done.out] == [], done.out
        shortened = re.findall(r"\d{4}-\d\d[-\d: ]*…|(?:^|  )\d+…", done.out)
        assert shortened == [], done.out


def test_refusals_are_said_in_words_with_their_ids_and_as_codes_to_programs(campus: Campus, command: Terminal) -> None:
    ids = campus.enroll(14)
    first, second = (campus.accept(part).batch_id for part in (ids[:11], ids[11:13]))
    campus.drain()
    assert "11 restored" in command("restore", "--batch", str(first), "--yes").out
    shown = ", ".join(map(str, ids[:10]))
    again = command("restore", "--batch", str(first), "--yes")
    assert (again.code, again.out) == (1, "11 refused\n")
    assert again.err == f"11 are restored already: {shown}, …\n"
    campus.accept(ids[:11])
    campus.drain()
    assert command("restore", "--batch", str(first), "--yes").err == again.err  # as this batch's items have ended
    undone = command("restore", str(ids[11]), str(ids[13]), "99999999", "--yes", "--format", "json")
    assert [(row["id"], row["outcome"], row["code"]) for row in undone.json] == [
        (str(ids[11]), "Restored", None),
        (str(ids[13]), "refused", "RES:05"),
        ("99999999", "refused", "RES:05"),
    ]
    assert f"2 are not unenrolled here, or restored already: {ids[13]}, 99999999" in undone.err
    assert (
        f"1 is unenrolled already; undo it with rollbook restore: {ids[12]}"
        in command("remove", str(ids[12]), "--yes").err
    )
    asked = command("unenroll", str(ids[13]), "99999999", "--yes", "--max-percent", "100", "--format", "json")
    assert {name: asked.json[name] for name in ("accepted", "refused", "ULM:03")} == {
        "accepted": 1,
        "refused": 1,
        "ULM:03": 1,
    }
    assert "1 is not enrolled (or unenrolled already), or protected: 99999999" in asked.err
    assert command("restore", "--batch", str(second), "--yes", "--format", "csv").out.splitlines()[0] == (
        "id,outcome,code,message,batch"
    )


def test_since_undoes_the_batches_of_a_time_that_have_anything_to_undo(campus: Campus, command: Terminal) -> None:
    ids = campus.enroll(6)
    campus.accept(ids[:2], utc_now() - timedelta(days=3))
    late = [campus.accept(part, utc_now() - timedelta(days=1)).batch_id for part in (ids[2:4], ids[4:])]
    campus.drain()
    since = ("--since", f"{utc_now() - timedelta(days=2):%Y-%m-%dT%H:%M}")
    assert command("restore", "--batch", str(late[0]), *since, "--yes").code == 2
    done = command("restore", *since, "--yes")
    assert f"batch {late[1]}, {late[0]}." in done.err
    assert done.out == "4 restored\n"
    assert campus.current() == 4
    nothing = command("restore", *since, "--yes")
    assert nothing.code == 2
    assert "has pending or complete items" in nothing.err


def test_queue_is_watched_in_place_at_a_terminal(command: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = iter(range(1))

    def stop(_seconds: float) -> None:
        if next(pauses, None) is None:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", stop)
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = command("queue", "--watch")
    assert done.code == 0
    assert done.out.count("running") >= 2
    assert "\x1b[1A" in done.out


def test_commands_that_change_something_answer_programs(campus: Campus, command: Terminal) -> None:
    account = ("--account", campus.name, "--format", "json")
    added = command("user", "add", "new@example.org", *account).json
    assert added == {"user": campus.user_id("new@example.org"), "email": "new@example.org", "role": "learner"}
    assert command("user", "deactivate", "new@example.org", *account).json["active"] is False
    policies = command("account", "set", campus.name, "--hold-seconds", "5", "--format", "json").json
    assert policies == {"account": campus.name, "hold_seconds": 5}
    assert command("pause", "--format", "json").json[0]["queue"] == "paused"
    assert command("resume", "--format", "csv").out.splitlines()[1].startswith("running,")
    for words, new in _walk(typer.main.get_command(app)):
        if new and words[0] not in NO_ANSWER:
            assert "--format" in new, words


# They run until stopped, or write files and progress.
NO_ANSWER = {"serve", "worker", "sandbox", "reenroll"}


def _walk(parent: Any, *names: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    children = getattr(parent, "commands", {})
    if not children:
        yield names, [text for param in parent.params for text in param.opts]
    for name in children:
        yield from _walk(children[name], *names, name)

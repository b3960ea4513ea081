"""`rollbook webhook`: add, list, test, enable and remove, and their errors."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from campus import Campus
from commands import Run
from load import wait_until
from receiver import Receiver, change_webhook, delivering, read_webhook, run_receiver, subscribe
from rollbook.model import utc_now
from rollbook.store.database.database import Database
from rollbook.store.queue.workers import note_worker

LOOPBACK = "127.0.0.0/8"

MISTAKES = [
    (
        "add http://hooks.example.org/",
        "begins with https://; plain HTTP is for addresses in ROLLBOOK_WEBHOOK_ADDRESSES",
    ),
    ("add https://10.0.0.7/hook", "10.0.0.7 is not a public address"),
    ("add https://169.254.169.254/", "169.254.169.254 is not a public address"),
    ("add https://[::1]/", "::1 is not a public address"),
    ("add https://[::ffff:127.0.0.1]/", "is not a public address"),
    ("add https://[64:ff9b::7f00:1]/", "is not a public address"),
    ("add https://[2002:7f00:1::]/", "is not a public address"),
    ("add https://100.64.0.1/", "is not a public address"),
    ("add https://224.0.0.1/", "is not a public address"),
    ("add hooks.example.org", "is not a URL such as https://"),
    ("add ftp://hooks.example.org/", "is not a URL such as https://"),
    ("add https:///hook", "is not a URL such as https://"),
    ("add https://hooks.example.org:99999/", "is not a URL such as https://"),
    ("add https://hooks_example.org:x/", "is not a URL such as https://"),
    ("add https://ann:secret@hooks.example.org/", "has no user, no password and no fragment"),
    ("add https://hooks.example.org/#part", "has no user, no password and no fragment"),
    (f"add https://hooks.example.org/{'x' * 2000}", "at most 2000 are possible"),
    ("add https://hooks.example.org/ --account Beta", "There is no account 'Beta'"),
    ("add https://hooks.example.org/ --items --batches", "is given 2 times"),
    *((f"{command} 99", "has no webhook 99. See: rollbook webhook list") for command in ("remove", "enable", "test")),
]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch, environment: object) -> Iterator[Receiver]:
    """A receiver on the loopback address, which the setting allows."""
    monkeypatch.setenv("ROLLBOOK_WEBHOOK_ADDRESSES", LOOPBACK)
    with run_receiver() as running:
        yield running


def test_webhook_from_add_to_remove(database: Database, rollbook: Run, receiver: Receiver, tmp_path: Path) -> None:
    campus, file = Campus(database), tmp_path / "progress.csv"
    added = rollbook("webhook", "add", receiver.url, "--format", "json").json
    number, receiver.secret = added["id"], added["secret"]
    assert receiver.secret.startswith("whsec_")
    waiting = rollbook("webhook", "test", str(number))
    assert (waiting.code, "No worker has sent the test" in waiting.err) == (2, True)
    note_worker(database, "a worker", utc_now() + timedelta(hours=1))
    with delivering(database):
        assert rollbook("webhook", "test", str(number)).out == "The test was delivered.\n"
        receiver.answers = [404, 500]
        tested = rollbook("webhook", "test", str(number))
        assert (tested.code, tested.out) == (1, "The test was not delivered. The receiver answered 404.\n")
        campus.accept(campus.enroll(3))
        wait_until(lambda: bool(read_webhook(database, number).failing_since))
        campus.drain()
        (listed,) = rollbook("webhook", "list", "--format", "json").json
        assert (listed["url"], listed["events"], listed["state"]) == (receiver.url, "items", "failing")
        assert (listed["waiting"], listed["failure"]) == (3, "The receiver answered 500.")
        assert receiver.secret not in rollbook("webhook", "list").out
        change_webhook(database, number, disabled_at=utc_now())
        doctor = {line["part"]: line for line in rollbook("doctor", "--format", "json").json}
        assert doctor["webhooks"]["state"] == "warning"
        assert doctor["webhooks"]["found"] == "0 enabled, 0 failing, 1 disabled"
        assert rollbook("webhook", "enable", str(number)).code == 0
        wait_until(lambda: "batch.finished" in receiver.types())
        assert rollbook("webhook", "list", "--format", "json").json[0]["state"] == "enabled"
        (id_,) = campus.enroll(1)
        file.write_text(f"ID,Progress\n{id_},50\n")
        for _ in range(2):  # the second import changes nothing, and is no event
            assert rollbook("import", "progress", str(file)).code == 0
        wait_until(lambda: "enrollments.changed" in receiver.types())
        campus.accept([id_])
        wait_until(lambda: receiver.types().count("batch.queued") == 2)
        [told] = [event["data"] for _, event in receiver.accepted if event["type"] == "enrollments.changed"]
        assert (told["enrollment_ids"], told["counts"]["changed"]) == ([id_], 1)
        assert rollbook("webhook", "remove", str(number)).out == f"Removed webhook {number}.\n"
        assert rollbook("webhook", "list", "--format", "json").json == []
    audit = rollbook("audit", "--format", "json").json
    told = [(line["action"], line["subject"]) for line in audit if "webhook" in line["action"]]
    assert told == [(f"{action}-webhook", f"webhook {number}") for action in ("add", "enable", "remove")]
    assert "token" not in str(audit)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_mistakes_about_webhooks_are_refused_with_a_sentence(
    database: Database, rollbook: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    campus = Campus(database)
    for arguments, said in MISTAKES:
        done = rollbook("webhook", *arguments.split())
        assert (done.code, said in done.err) == (2, True), (arguments, done)
    for _ in range(20):
        subscribe(campus, Receiver(url="https://hooks.example.org/"))
    assert "at most 20 webhooks" in rollbook("webhook", "add", "https://hooks.example.org/").err
    monkeypatch.setenv("ROLLBOOK_WEBHOOK_ADDRESSES", "localhost")
    assert "ROLLBOOK_WEBHOOK_ADDRESSES: 'localhost' does not appear" in rollbook("webhook", "add", "https://a.b/").err

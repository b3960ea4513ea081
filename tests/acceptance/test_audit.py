"""Every change of an account's records leaves exactly one audit line; nothing else leaves one."""

import json
import os
import pwd
import zipfile
from collections.abc import Sequence
from pathlib import Path

from campus import Campus, read_outcomes
from commands import Run
from conftest import Served
from rollbook.model import utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.tables import groups, memberships
from rollbook.store.operations.audit import list_changes
from rollbook.store.people.users import list_users

ROSTER = Path(__file__).parents[2] / "demo" / "roster"

Line = dict[str, object]


def _lines(campus: Campus, after: int = 0) -> list[Line]:
    with campus.database.read() as connection:
        lines = list_changes(connection, campus.account.id)
    return [line for line in reversed(lines) if isinstance(line["id"], int) and line["id"] > after]


def _last(campus: Campus) -> int:
    number = _lines(campus)[-1]["id"]
    assert isinstance(number, int)
    return number


def _selection(identifiers: Sequence[object] = (), batch: object = None) -> str:
    items = "".join(
        f"<Unenrollment><AccountUserLearningModuleRelID>{i}</AccountUserLearningModuleRelID></Unenrollment>"
        for i in identifiers
    )
    return f"<Unenrollments>{items if batch is None else f'<BatchID>{batch}</BatchID>'}</Unenrollments>"


def test_each_changing_call_leaves_one_audit_line_with_its_request_id(served: Served, campus: Campus) -> None:
    one, two, three = campus.enroll(3)
    campus.add(
        memberships, group_id=campus.group_id, user_id=_owner(campus), group_manager=False, manage_group_users=False
    )
    enrollment = (
        "<LearningModuleEnrollment><Enrollment><User><Email>owner@example.org</Email></User>"
        f"<GroupName>North</GroupName><LearningModuleID>{campus.course_id}</LearningModuleID></Enrollment>"
        "</LearningModuleEnrollment>"
    )
    accepted = served.server.post(campus.package([one, two, "x", three]))
    batch = accepted.headers["Rollbook-Batch"]
    answers = {
        "pause": served.server.post(campus.call("pauseUnenrollments", "<UnenrollmentQueue/>")),
        "remove": served.server.post(campus.call("removeUnenrollments", _selection([two, two]))),
        "restore": served.server.post(campus.call("restoreUnenrollments", _selection(batch=batch))),
        "resume": served.server.post(campus.call("resumeUnenrollments", "<UnenrollmentQueue/>")),
        "enroll": served.server.post(campus.call("enrollLearningModules", enrollment)),
    }
    answers = {"unenroll": accepted, **answers}
    lines = [line for line in _lines(campus) if line["request_id"]]
    assert [(line["action"], line["request_id"]) for line in lines] == [
        (action, answer.headers["X-Request-ID"]) for action, answer in answers.items()
    ]
    assert {(line["actor"], line["user_id"], line["address"]) for line in lines} == {
        ("owner@example.org", _owner(campus), "127.0.0.1")
    }
    by_action = {line["action"]: (line["subject"], line["details"]) for line in lines}
    assert by_action["unenroll"] == (f"batch {batch}", {"accepted": 3, "refused": 1})
    assert by_action["remove"] == (None, {"removed": 1, "restored": 0, "refused": 1, "enrollments": [two]})
    assert by_action["restore"] == (f"batch {batch}", {"removed": 2, "restored": 0, "refused": 1})
    assert by_action["pause"] == by_action["resume"] == (None, {})
    assert by_action["enroll"][1] == {"enrollments": [_first_id(answers["enroll"].text)], "refused": 0}

    logged = [json.loads(text) for text in served.server.log.read_text().splitlines() if '"event": "audit"' in text]
    wanted = {line["request_id"]: (line["action"], line["subject"], line["details"]) for line in lines}
    found = {line["request_id"]: (line["action"], line["subject"], line["details"]) for line in logged}
    assert wanted.items() <= found.items()


def _owner(campus: Campus) -> int:
    with campus.database.read() as connection:
        number = list_users(connection, campus.account)[0]["id"]
    assert isinstance(number, int)
    return number


def _first_id(answer: str) -> int:
    return int(answer.split("<AccountUserLearningModuleRelID>")[1].split("<", maxsplit=1)[0])


def test_call_that_changes_nothing_leaves_no_audit_line(served: Served, campus: Campus) -> None:
    one, other = campus.enroll(2)
    key = {"Idempotency-Key": "once"}
    assert read_outcomes(served.server.post(campus.package([one]), headers=key)) == ["accepted"]
    learner_key = campus.learner_key
    before = _last(campus)
    quiet: list[tuple[str, dict[str, str]]] = [
        (campus.package([one]), key),
        (campus.package([other]), {"Rollbook-Dry-Run": "true"}),
        (campus.package([one, "x"]), {}),
        (campus.package([other], learner_key), {}),
        (campus.call("resumeUnenrollments", "<UnenrollmentQueue/>"), {}),
        (campus.call("restoreUnenrollments", _selection([other])), {}),
        (campus.call("getUnenrollmentQueue", "<UnenrollmentQueue/>"), {}),
    ]
    for package, headers in quiet:
        served.server.post(package, headers=headers)
    assert _lines(campus, after=before) == []


def test_each_changing_command_is_audited_under_the_operators_name(rollbook: Run, database_url: str) -> None:
    keys = rollbook("init", "--account", "Acme", "--owner", "ann@acme.example", "--format", "json").json
    database = Database(database_url)
    now = utc_now()
    group = {"account_id": 1, "name": "North", "active": True, "created_at": now, "modified_at": now}
    with database.write() as connection:
        connection.execute(groups.insert(), group)
    database.close()
    made = [
        rollbook("account", "set", "Acme", "--hold-seconds", "60"),
        rollbook("account", "set", "Acme", "--hold-seconds", "60"),  # changes nothing
        rollbook("user", "add", "bo@acme.example"),
        rollbook("user", "role", "BO@acme.example", "administrator"),
        rollbook("user", "grant", "bo@acme.example", "--group", "North", "--group-manager"),
        rollbook("key", "new", "--user", "bo@acme.example", "--format", "json"),
        rollbook("key", "revoke", "3"),
        rollbook("key", "revoke", "3"),  # changes nothing
        rollbook("user", "role", "ann@acme.example", "learner"),  # is refused
    ]
    assert [done.code for done in made] == [0] * 8 + [2]
    lines = rollbook("audit", "--format", "json").json
    who = f"operator {pwd.getpwuid(os.getuid()).pw_name}"
    assert {(line["actor"], line["address"], line["request_id"]) for line in lines} == {(who, None, None)}
    assert [(line["action"], line["subject"], line["details"]) for line in lines] == [
        ("add-account", "Acme", {}),
        ("add-user", "ann@acme.example", {"role": "owner"}),
        ("new-key", "key 1", {}),
        ("new-key", "key 2", {"user": "ann@acme.example"}),
        ("set-policies", None, {"hold_seconds": {"from": 0, "to": 60}}),
        ("add-user", "bo@acme.example", {"role": "learner"}),
        ("set-role", "bo@acme.example", {"role": {"from": "learner", "to": "administrator"}}),
        ("grant", "bo@acme.example", {"group": "North", "group_manager": {"from": None, "to": True}}),
        ("new-key", "key 3", {"user": "bo@acme.example"}),
        ("revoke-key", "key 3", {}),
    ]
    secrets = [*keys.values(), made[5].json["user_key"]]
    stored = json.dumps(lines)
    assert [secret for secret in secrets if secret in stored] == []


def test_audit_is_filtered_by_action_user_and_time(rollbook: Run) -> None:
    rollbook("init", "--account", "Acme", "--owner", "ann@acme.example")
    rollbook("account", "add", "Beta", "--owner", "bea@beta.example")
    rollbook("key", "new", "--account", "Beta")

    def actions(*options: str) -> list[str]:
        lines = rollbook("audit", "--account", "Beta", "--format", "json", *options).json
        return [line["action"] for line in lines]

    assert actions() == ["add-account", "add-user", "new-key", "new-key", "new-key"]
    assert actions("--action", "new-key", "--limit", "2") == ["new-key", "new-key"]
    assert actions("--user", "bea@beta.example") == []
    assert actions("--since", "2000-01-01T00:00") == actions()
    assert actions("--since", "2100-01-01") == []
    wrong = rollbook("audit", "--account", "Beta", "--since", "yesterday")
    assert (wrong.code, "--since is a time like" in wrong.err) == (2, True)
    assert "Choose an account with --account" in rollbook("audit").err


def test_import_leaves_one_audit_line_with_its_counts(rollbook: Run, tmp_path: Path) -> None:
    rollbook("init", "--account", "Acme", "--owner", "ann@acme.example")
    archive = tmp_path / "roster.zip"
    with zipfile.ZipFile(archive, "w") as content:
        for file in ROSTER.glob("*.csv"):
            content.write(file, file.name)
    assert rollbook("import", "oneroster", str(archive)).code == 0
    (line,) = rollbook("audit", "--action", "import", "--format", "json").json
    assert line["subject"] == "OneRoster import roster.zip"
    assert (line["details"]["users"]["added"], line["details"]["enrollments"]["added"]) == (14, 28)

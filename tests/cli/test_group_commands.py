"""`rollbook group`, `course` and `session`: what they add is listed, audited and in the API; mistakes are named."""

import pytest

from commands import Run

pytestmark = pytest.mark.usefixtures("database")  # migrated

INIT = ("init", "--account", "Acme", "--owner", "ann@acme.example")


def test_courses_and_sessions_are_added_listed_and_archived(rollbook: Run) -> None:
    rollbook(*INIT)
    assert rollbook("course", "add", 'Fire "Safety" é', "--term", "Spring", "--duration", "90 min").out == (
        'Added course 1, Fire "Safety" é.\n'
    )
    assert rollbook("course", "add", "First Aid").code == 0
    columns = ("id", "name", "status", "term", "duration")
    rows = [(1, 'Fire "Safety" é', "Active", "Spring", "90 min"), (2, "First Aid", "Active", None, None)]
    assert rollbook("course", "list", "--format", "json").json == [dict(zip(columns, row, strict=True)) for row in rows]
    assert rollbook("session", "add", "1", "--start", "2027-01-31T08:00", "--end", "2027-01-31T10:30+01:00").code == 0
    assert rollbook("session", "add", "1", "--start", "2027-01-01").code == 0
    sessions = rollbook("session", "list", "1", "--format", "csv").out.split()
    assert sessions == [
        "id,name,starts_at,ends_at,status",
        *("2,2027-01-01", "00:00,2027-01-01T00:00:00+00:00,,Active"),
        *("1,2027-01-31", "08:00,2027-01-31T08:00:00+00:00,2027-01-31T09:30:00+00:00,Active"),
    ]
    for _ in range(2):  # the second time it is archived already
        assert rollbook("course", "archive", "2").out == "Course 2, First Aid, is archived.\n"
    assert [row["id"] for row in rollbook("course", "list", "--status", "archived", "--format", "json").json] == [2]
    lines = rollbook("audit", "--format", "json").json
    assert [(line["action"], line["subject"]) for line in lines[4:]] == [
        ("add-course", 'Fire "Safety" é'),
        ("add-course", "First Aid"),
        ("add-session", "2027-01-31 08:00"),
        ("add-session", "2027-01-01 00:00"),
        ("archive-course", "First Aid"),
    ]
    assert lines[-1]["details"] == {"course": 2, "status": {"from": "Active", "to": "Archived"}}


def test_group_is_added_with_tags_and_courses_and_its_new_members_are_enrolled(rollbook: Run) -> None:
    rollbook(*INIT)
    for name in ("Fire Safety", "First Aid"):
        rollbook("course", "add", name)
    options = ["--identifier", "R&D", "--description", "a <b>", "--tag", "Region=North, West", "--tag", "Size"]
    done = rollbook(
        "group", "add", "Research & 'D'", *options, "--course", "1", "--auto-enroll", "2", "--user-limit", "1"
    )
    assert done.out == "Added group 1, Research & 'D'.\n"
    assert rollbook("group", "add", "South").code == 0
    assert rollbook("group", "list", "--format", "json").json == [
        {"id": 1, "name": "Research & 'D'", "group_id": "R&D", "active": True, "description": "a <b>"},
        {"id": 2, "name": "South", "group_id": "2", "active": True, "description": None},
    ]
    assert "R&D" in rollbook("group", "list").out
    rollbook("user", "grant", "ann@acme.example", "--group", "Research & 'D'", "--group-manager")
    rollbook("user", "add", "bo@acme.example")
    refused = rollbook("user", "grant", "bo@acme.example", "--group", "Research & 'D'", "--group-manager")
    assert (refused.code, "as many members as its limit" in refused.err) == (2, True)
    lines = rollbook("audit", "--format", "json").json
    details = {line["action"]: line["details"] for line in lines}
    assert details["enroll"] == {"auto_enrolled": 1, "enrollments": [1]}
    added = next(line for line in lines if line["action"] == "add-group")
    assert (added["subject"], added["details"]["tags"]) == ("Research & 'D'", ["Region", "Size"])


MISTAKES = [
    ("group add North", "has an active group 'North' already"),
    ("group add South --identifier N-1", "identifier 'N-1' already"),
    ("group add South --identifier 2", "identifier '2' already"),
    ("group add South --course 9", "has no course 9. See: rollbook course list"),
    ("group add South --auto-enroll 9", "has no course 9"),
    ("group add South --tag =x", "The tag is empty"),
    ("group add South --user-limit -1", "--user-limit"),
    ("group add _", "The group name is empty"),
    ("group add South --account Beta", "There is no account 'Beta'"),
    ("course add _", "The course name is empty"),
    ("course add Fire --term \x07", "without control characters"),
    ("course archive 9", "has no course 9"),
    ("course archive 0", "COURSE"),
    ("course list --status gone", "--status"),
    ("session list 9", "has no course 9"),
    ("session add 9 --start 2027-01-31", "has no course 9"),
    ("session add 1 --start 31-Feb-27", "--start is a time like"),
    ("session add 1 --start 2027-01-31 --end soon", "--end is a time like"),
    ("session add 1 --start 2027-01-31 --end 2027-01-30", "is before --start 2027-01-31T00:00"),
]


def test_mistakes_are_named_and_change_nothing(rollbook: Run) -> None:
    rollbook(*INIT)
    rollbook("group", "add", "North", "--identifier", "N-1")
    rollbook("group", "add", "Number two")
    rollbook("course", "add", "Fire")
    before = rollbook("audit", "--format", "json").json
    for command, sentence in MISTAKES:
        done = rollbook(*(word.replace("_", " ") for word in command.split(" ")))
        assert (done.code, done.out) == (2, ""), command
        assert sentence in " ".join(done.err.split()), command
    assert rollbook("audit", "--format", "json").json == before

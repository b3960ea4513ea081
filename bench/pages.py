"""Measures each page of the console with 1,000,000 enrollments and 100,000 items of history, on both databases.

    .venv/bin/python bench/pages.py [enrollments] [history]

Prints the median and the maximum time of some requests over HTTPS in milliseconds, and the HTTP status.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from places import Place, durable_postgresql, postgresql_place, sqlite_place
from rollbook.store.database.schema import migrate
from server_process import run_server
from visitor import Visitor, give_password

VISITS = 7
BATCH = 100

# One item in 50 is pending, the others were processed in the last 20 hours; a few were removed or restored.
HISTORY = (
    """INSERT INTO batches (id, account_id, requested_by, reason, requested_at)
       SELECT i, {account}, {owner}, 'Reason ' || i, {at} FROM {numbers} WHERE i <= {history} / 100""",
    """INSERT INTO unenrollments (batch_id, block, account_id, enrollment_id, status, requested_at, due_at, finished_at)
       SELECT (i - 1) / 100 + 1, (i - 1) % 100 + 1, {account}, i * 9,
              CASE WHEN i % 50 = 0 THEN 'Pending' WHEN i % 50 = 1 THEN 'Removed' WHEN i % 50 = 2 THEN 'Restored'
                   ELSE 'Complete' END,
              {at}, {at}, CASE WHEN i % 50 = 0 THEN NULL ELSE {at} END
       FROM {numbers} WHERE i <= {history}""",
    """UPDATE enrollments SET unenrolled_at = {now}
       WHERE id IN (SELECT enrollment_id FROM unenrollments WHERE status = 'Complete')""",
    """INSERT INTO courses (account_id, name, term, status, created_at, modified_at)
       SELECT {account}, 'More of Course ' || i, 'Spring', 'Active', {now}, {now} FROM {numbers} WHERE i <= 1400""",
    """INSERT INTO groups (account_id, name, active, created_at, modified_at)
       SELECT {account}, 'Team ' || i, {true}, {now}, {now} FROM {numbers} WHERE i <= 1000""",
    """INSERT INTO memberships (account_id, group_id, user_id, group_manager, manage_group_users)
       SELECT {account}, (SELECT MIN(id) FROM groups), id, {false}, {false} FROM users WHERE id <= 10000""",
    """INSERT INTO group_courses (account_id, group_id, course_id, allow_self_enroll, auto_enroll)
       SELECT {account}, (SELECT MIN(id) FROM groups), id, {false}, {false} FROM courses""",
    """INSERT INTO calls
           (account_id, user_id, method, status, result, errors, request_id, milliseconds, answered_at)
       SELECT {account}, {owner}, CASE WHEN i % 4 = 0 THEN 'getLearnerReport' ELSE 'unenrollLearningModules' END, 200,
              CASE WHEN i % 100 = 0 THEN 'Failed' ELSE 'Success' END, '{{}}', 'request ' || i, 2.5, {at}
       FROM {numbers} WHERE i <= {history}""",
    """INSERT INTO users (account_id, email, given_name, family_name, role, active, created_at, modified_at)
       SELECT {account}, 'more' || i || '@example.org', 'Another', 'Person ' || i, 'learner', {true}, {now}, {now}
       FROM {numbers} WHERE i <= 190000""",
)


def main() -> None:
    """Measure on SQLite, then on PostgreSQL."""
    count, history = (int(text) for text in [*sys.argv[1:], "1000000", "100000"][:2])
    with sqlite_place(count) as place:
        measure("SQLite", place, history)
    with durable_postgresql() as server, postgresql_place(server, count) as place:
        measure("PostgreSQL", place, history)


def measure(name: str, place: Place, history: int) -> None:
    """Fill the history, then request each page several times."""
    fill(place, history)
    campus = place.accounts[0]
    give_password(campus)
    print(f"{name}: {place.count:,} enrollments, {history:,} items; milliseconds")
    with ExitStack() as opened:
        folder = Path(opened.enter_context(TemporaryDirectory(prefix="rollbook-bench-")))
        server = opened.enter_context(run_server(place.url, folder, "--no-worker", forked=False))
        visitor = Visitor(server, opened.enter_context(server.client()))
        visitor.sign_in(campus)
        for path, visit in pages(visitor, history):
            took = []
            for _ in range(VISITS):
                started = time.perf_counter()
                status = visit()
                took.append((time.perf_counter() - started) * 1000)
            print(f"  {path:44} {statistics.median(took):7.0f} {max(took):7.0f}   {status}", flush=True)


def pages(visitor: Visitor, history: int) -> Iterator[tuple[str, Callable[[], int]]]:
    """Yield each page with the function that requests it."""
    last = history // BATCH
    course = visitor.open("/console/courses?q=course 77") and last_number(visitor, "Course 77")
    group = visitor.open("/console/groups?q=north") and last_number(visitor, "North")
    for path in (
        *(
            "/queue",
            "/queue?status=All",
            "/queue?status=All&page=1000",
            "/queue?status=Complete",
            "/queue?status=Failed",
        ),
        *("/queue?learner=u77@", "/queue?status=All&learner=nobody-at-all", "/queue?status=All&learner=learner"),
        *("/queue?status=All&course=Course 77", "/queue?status=All&course=nothing", "/queue/remove?all=1"),
        *("/batches", f"/batches?page={last // 50}", f"/batches/{last}", f"/batches/{last}/undo"),
        *(f"/batches/{last}/items.csv", "/unenroll", "/learners", "/learners?q=u77@", "/learners?q=nobody-at-all"),
        *("/learners?q=person another 77777", "/learners?sort=name&q=u77", "/courses", "/courses?sort=-enrolled"),
        *("/courses?q=course more 77", "/courses.csv", "/courses/{course}", "/courses/{course}?page=100"),
        *(
            "/courses/{course}?sort=name",
            "/courses/{course}?q=u77@",
            "/courses/{course}?sort=-enrolled&status=Enrolled",
        ),
        *("/groups", "/groups?sort=-members", "/groups/{group}", "/groups/{group}?q=u77", "/groups/{group}?sort=name"),
        *(
            "/groups/{group}/courses",
            "/learners/10",
            "/account",
            "/account/users",
            "/account/keys",
            "/account/audit",
            "/account/calls",
            "/account/calls?outcome=failed",
            "/account/calls?q=nothing",
            "/api",
            "/api/createUser",
        ),
    ):
        yield path, partial(open_page, visitor, path.format(course=course, group=group))
    ids = "\n".join(map(str, range(1, 50_001, 10)))
    yield "POST /unenroll, a course", lambda: choose(visitor, in_course=course, ids="")
    yield "POST /unenroll, 5,000 ids", lambda: choose(visitor, ids=ids)
    people = {"ids": "\n".join(f"u{number}@example.org" for number in range(1, 10_001)), "of_course": "Course 77"}
    yield "POST /unenroll, 10,000 e-mails", lambda: choose(visitor, **people, skip_bad_rows="1")
    yield "GET of the preview", lambda: visitor.open(visitor.answer.url.path).status_code


def open_page(visitor: Visitor, path: str) -> int:
    """Request a page."""
    return visitor.open(f"/console{path}").status_code


def last_number(visitor: Visitor, name: str) -> str:
    """Return the number of a course or group of the list."""
    address: str = visitor.page().xpath("//tbody//a[text()=$name]/@href", name=name)[0]
    return address.rpartition("/")[2]


def choose(visitor: Visitor, **fields: object) -> int:
    """Submit a selection; only the answer to the form is measured."""
    status = visitor.post("/console/unenroll", fields).status_code
    visitor.follow()
    return status


def fill(place: Place, history: int) -> None:
    """Fill the history."""
    most = max(history, 190_000)
    if place.on_sqlite:
        numbers = f"(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {most}) SELECT i FROM n)"
        at, now = (
            "strftime('%Y-%m-%d %H:%M:%S.000000', 'now', '-' || (i % 1200) || ' minutes')",
            "'2026-01-31 12:00:00.000000'",
        )
    else:
        numbers, at, now = (
            f"generate_series(1, {most}) AS numbers(i)",
            "now() - (i % 1200) * interval '1 minute'",
            "now()",
        )
    campus = place.accounts[0]
    with place.database.read() as connection:
        owner = connection.exec_driver_sql("SELECT MIN(id) FROM users").scalar_one()
    values = {"account": campus.account.id, "owner": owner, "at": at, "now": now, "numbers": numbers}
    true, false = ("1", "0") if place.on_sqlite else ("true", "false")
    place.run(*(statement.format(**values, history=history, true=true, false=false) for statement in HISTORY))
    migrate(place.database)  # folds names and e-mails
    place.run("ANALYZE" if place.on_sqlite else "VACUUM ANALYZE")


if __name__ == "__main__":
    main()

"""No page of the console runs a query per row."""

import asyncio
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import httpx
import sqlalchemy as sa

from campus import Campus
from driver_statements import counted_statements
from rollbook.server.app import create_app
from rollbook.settings import load_settings
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from rollbook.store.database.tables import enrollments
from visitor import PASSWORD, give_password

PAGES = (
    *("/queue?status=All", "/queue?status=All&learner=some&course=fire", "/queue/remove?all=1", "/batches"),
    *("/batches/{batch}", "/batches/{batch}/undo", "/batches/{batch}/items.csv", "/unenroll", "/unenroll/{draft}"),
    *("/unenroll/{draft}?q=some", "/unenroll/{draft}/plan.csv"),
    *("/import", "/import/{upload}"),
    *("/learners?q=some", "/learners/{learner}", "/account", "/account/users", "/account/keys", "/account/audit"),
    *("/account/calls", "/account/webhooks", "/courses", "/courses?sort=-enrolled", "/courses.csv", "/learners.csv"),
    *("/courses/{course}", "/courses/{course}?q=some&sort=name&group=north", "/courses/{course}/people.csv"),
    *("/courses/{course}/enroll", "/queue.csv?status=All&learner=some", "/batches.csv", "/account/audit.csv"),
    *("/groups", "/groups?sort=members", "/groups.csv", "/groups/{group}", "/groups/{group}/members.csv"),
    *("/groups/{group}/courses", "/groups/{group}/courses.csv", "/learners?q=some&sort=name"),
)


class _Client:
    """Calls the application in this process, where statements can be counted."""

    def __init__(self, database_url: str) -> None:
        transport = httpx.ASGITransport(create_app(load_settings(database_url=database_url)))
        self._client = httpx.AsyncClient(transport=transport, base_url="https://testserver", follow_redirects=True)

    def get(self, path: str) -> httpx.Response:
        return asyncio.run(self._client.get(path))

    def post(self, path: str, data: Mapping[str, str], **files: tuple[str, str]) -> httpx.Response:
        headers = {"Sec-Fetch-Site": "same-origin"}
        return asyncio.run(self._client.post(path, data=data, files=files or None, headers=headers))


def _sign_in(client: _Client) -> None:
    client.post("/console/sign-in", data={"email": "owner@example.org", "password": PASSWORD})


def _count_each(client: _Client, campus: Campus, rows: int) -> dict[str, int]:
    """Add this many rows of everything, then count each page's statements."""
    ids = campus.enroll(2 * rows)
    batch = campus.accept(ids[:rows]).batch_id
    _sign_in(client)
    chosen = client.post("/console/unenroll", data={"ids": "\n".join(map(str, ids[rows:]))})
    lines = "".join(f"{id_},50\n" for id_ in ids)
    uploaded = client.post("/console/import", {}, file=("p.csv", f"ID,Progress\n{lines}"))
    with campus.database.read() as connection:
        query = sa.select(enrollments.c.user_id).where(enrollments.c.id == ids[0])
        learner = connection.execute(query).scalar_one()
    counts = {}
    for page in PAGES:
        made = {"draft": _last(chosen), "upload": _last(uploaded)}
        place = page.format(batch=batch, learner=learner, course=campus.course_id, group=campus.group_id, **made)
        with counted_statements() as statements:
            assert client.get(f"/console{place}").status_code == 200, place
        counts[page] = len(statements)
    return counts


def _last(answer: httpx.Response) -> str:
    return answer.url.path.rpartition("/")[2]


def test_no_page_runs_a_query_per_row(tmp_path: Path) -> None:
    # On one database: a process has one set of metrics, and both databases get the same number of statements.
    database_url = f"sqlite:///{tmp_path / 'rollbook.db'}"
    with closing(Database(database_url)) as database:
        migrate(database)
        campus = Campus(database)
        give_password(campus)
        client = _Client(database_url)
        counts = _count_each(client, campus, 2)
        more = _count_each(client, campus, 90)
        # The chart finds the beginning of its day by bisection: a few more statements for 45 times the rows.
        assert {
            page: count - counts[page] for page, count in more.items() if count - counts[page] not in range(8)
        } == {}
        assert max(more.values()) <= 24

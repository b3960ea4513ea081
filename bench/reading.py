"""Rows about reading: the report far behind its first page, and the preview of `rollbook unenroll`."""

import time
from collections.abc import Iterator

from figures import Figure
from places import Place, durable_postgresql, postgresql_place, sqlite_place
from rollbook import Client
from rollbook.cli.preview import preview_ids
from rollbook.client.requests import ReportFilters
from serving import Serving, serving

TABLE, SMALL = 1_000_000, 10_000
PAGE = 400
REPEATS = 5  # the fastest counts
HALF = "UPDATE enrollments SET status = 'In Progress' WHERE user_id % 2 = 0"
# A filter and the size of its pages; a course has 1 % of the table.
FILTERS = {
    "status, 50 rows a page": (ReportFilters(statuses=["In Progress"]), 50),
    "status, 1,000 rows a page": (ReportFilters(statuses=["In Progress"]), 1000),
    "course, 25 rows a page": (ReportFilters(courses=["Course 7"]), 25),
}


def report(rounds: int) -> Iterator[Figure]:
    """Page 400 of a filtered report, compared with page 1."""
    with durable_postgresql() as server, postgresql_place(server, TABLE) as place:
        yield from _read_reports(place, "PostgreSQL", rounds)
    with sqlite_place(TABLE) as place:
        yield from _read_reports(place, "SQLite", rounds)


def _read_reports(place: Place, name: str, rounds: int) -> Iterator[Figure]:
    place.run(HALF)
    place.run("ANALYZE" if place.on_sqlite else "VACUUM ANALYZE")
    with serving(place) as served, served.client() as client:
        for what, (filters, size) in FILTERS.items():
            figure = Figure(f"report, {what}, {name}", "ms", 2.0, 1.2, at_most=True)
            for _ in range(rounds):
                figure.add(*(_read_page(client, filters, size, page) for page in (PAGE, 1)))
            yield figure


def _read_page(client: Client, filters: ReportFilters, size: int, page: int) -> float:
    took = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        rows = next(client.learner_report_pages(filters, page_size=size, first_page=page))
        took.append((time.perf_counter() - started) * 1000)
        assert len(rows) == size
    return min(took)


def preview(rounds: int) -> Iterator[Figure]:
    """The preview of 10 ids in an account of 1,000,000 enrollments, compared with one of 10,000."""
    figure = Figure("preview of 10 ids, 1,000,000 enrollments, of 10,000", "ms", 2.0, 1.1, at_most=True)
    with (
        durable_postgresql() as server,
        postgresql_place(server, SMALL) as small,
        postgresql_place(server, TABLE) as large,
        serving(small) as at_small,
        serving(large) as at_large,
    ):
        for _ in range(rounds):
            figure.add(_preview(at_large), _preview(at_small))
    yield figure


def _preview(served: Serving) -> float:
    ids = range(1, served.place.count + 1, served.place.count // 10)
    with served.client() as client:
        next(client.learner_report(page_size=1))  # the connection is open now
        started = time.perf_counter()
        shown = preview_ids(client, ids, (), None)
        took = (time.perf_counter() - started) * 1000
    assert shown.selected.total() == len(ids)
    return took

"""The Python client: in process against the real app, over HTTPS, and over broken connections."""

import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any, cast

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.applications import Starlette

from campus import Campus
from conftest import Served
from rollbook import (
    CallRefusedError,
    Client,
    ClientError,
    Enrollment,
    NotAnAnswerError,
    Outcome,
    ReportFilters,
    ServerUnreachableError,
)
from rollbook.model import EnrollmentStatus
from rollbook.server.app import create_app
from rollbook.settings import load_settings
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from rollbook.store.database.tables import memberships, users

URL = "https://rollbook.test/apiv2/"
IDENTIFIER = "AccountUserLearningModuleRelID"
UNKNOWN = 2**62


class AppTransport(httpx.BaseTransport):
    """Calls the real application without a socket, in its own event loop."""

    def __init__(self, app: Starlette, portal: BlockingPortal) -> None:
        self._app = httpx.ASGITransport(app)
        self._portal = portal

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._portal.call(self._answer, request)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        answer = await self._app.handle_async_request(request)
        return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())


class LosingTransport(httpx.BaseTransport):
    """Loses every third answer after the server has done the work; a `foreign` server is not Rollbook."""

    def __init__(self, inner: httpx.BaseTransport, *, foreign: bool = False) -> None:
        self.calls = 0
        self._inner = inner
        self._foreign = foreign

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._foreign:
            request.headers.pop("Idempotency-Key", None)
        answer = self._inner.handle_request(request)
        answer.read()
        if self._foreign:
            del answer.headers["X-Request-ID"]
        self.calls += 1
        if self.calls % 3 == 0:
            raise httpx.ReadError("the connection broke")
        return answer


class School:
    """An account on a server, and clients for it."""

    def __init__(self, campus: Campus, transport: httpx.BaseTransport) -> None:
        self.campus = campus
        self.transport = transport

    def client(
        self, transport: httpx.BaseTransport | None = None, user_key: str | None = None, **options: Any
    ) -> Client:
        key = user_key or self.campus.owner_key
        return Client(URL, self.campus.account_key, key, transport=transport or self.transport, **options)


@contextmanager
def run_app(database_url: str) -> Iterator[httpx.BaseTransport]:
    app = create_app(load_settings(database_url=database_url))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(app.router.lifespan_context(app)):
        yield AppTransport(app, portal)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, httpx.BaseTransport]]:
    """The app in this process, on SQLite, without a worker."""
    url = f"sqlite:///{tmp_path_factory.mktemp('app') / 'rollbook.db'}"
    database = Database(url)
    migrate(database)
    with run_app(url) as transport:
        yield database, transport
    database.close()


@pytest.fixture
def school(running: tuple[Database, httpx.BaseTransport]) -> School:
    """A new account on the app in this process."""
    database, transport = running
    return School(Campus(database), transport)


def _statuses(outcomes: Sequence[Outcome]) -> dict[str, int]:
    return dict(Counter(outcome.status for outcome in outcomes))


def _answer(error: str = "", status: int = 200, **headers: str) -> httpx.Response:
    """The answer of another server: Failed with that error, or an empty Success."""
    errors = f"<Error><ErrorID>{error}</ErrorID><ErrorMessage>No.</ErrorMessage></Error>" if error else ""
    result = "Failed" if error else "Success"
    text = f"<SmarterU><Result>{result}</Result><Info/><Errors>{errors}</Errors></SmarterU>"
    return httpx.Response(status, headers=headers, text=text)


def test_250_ids_go_in_three_calls_of_one_batch_and_keep_their_order_and_place(school: School) -> None:
    current = school.campus.enroll(248)
    ids: list[int | str] = [*current[:120], "abc", *current[120:], UNKNOWN]
    outcomes = list(school.client().unenroll(ids, reason="café, 100 % & <done>"))
    assert [outcome.id for outcome in outcomes] == [str(id_) for id_ in ids]
    assert [outcome.block for outcome in outcomes] == [*range(1, 101), *range(1, 101), *range(1, 51)]
    refused = {outcome.id: outcome for outcome in outcomes if not outcome.accepted}
    assert {id_: outcome.code for id_, outcome in refused.items()} == {"abc": "ULM:01", str(UNKNOWN): "ULM:03"}
    assert refused["abc"].message == "AccountUserLearningModuleRelID provided is not valid."
    assert _statuses(outcomes) == {"accepted": 248, "refused": 2}
    assert list(school.campus.queue()) == current
    batches = list(school.client().batches())
    assert sorted(batch.id for batch in batches) == sorted({o.batch_id for o in outcomes if o.accepted})  # type: ignore[type-var]
    assert {batch.reason for batch in batches} == {"café, 100 % & <done>"}
    assert [batch.counts["Pending"] for batch in batches] == [248]


def test_ids_are_taken_no_sooner_than_they_are_needed(school: School) -> None:
    taken = 0

    def ids() -> Iterator[int]:
        nonlocal taken
        for id_ in range(UNKNOWN, UNKNOWN + 1_000_000):
            taken += 1
            yield id_

    outcomes = school.client().unenroll(ids())
    assert taken == 0
    for _ in range(100):
        next(outcomes)
    assert taken <= 200


def test_call_with_only_refused_items_raises_nothing(school: School) -> None:
    outcomes = list(school.client().unenroll([UNKNOWN, "1\x002", "<x>"]))
    assert [outcome.code for outcome in outcomes] == ["ULM:03", "ULM:01", "ULM:01"]
    assert list(school.client().unenroll([])) == []


def test_single_id_is_not_split_into_digits(school: School) -> None:
    ids = school.campus.enroll(9)
    with pytest.raises(TypeError, match="list"):
        list(school.client().unenroll("".join(map(str, ids))))
    assert school.campus.queue() == {}


def test_dry_run_has_the_same_outcomes_and_changes_nothing(school: School) -> None:
    ids = [*school.campus.enroll(3), UNKNOWN]
    client = school.client()
    tried = list(client.unenroll(ids, dry_run=True))
    assert school.campus.queue() == {}
    real = list(client.unenroll(ids))
    assert [(o.id, o.status, o.code) for o in tried] == [(o.id, o.status, o.code) for o in real]
    assert {outcome.batch_id for outcome in tried} == {None}
    assert _statuses(list(client.remove(batch_id=real[0].batch_id, dry_run=True))) == {"Removed": 3}
    assert _statuses(list(client.restore(ids[:3], dry_run=True))) == {"Removed": 3}
    assert set(school.campus.queue().values()) == {"Pending"}


def test_dry_run_is_not_sent_to_a_server_without_dry_runs() -> None:
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.read())
        return _answer("SU:11")

    with pytest.raises(CallRefusedError, match="SU:11"):
        list(Client(URL, "a", "u", transport=httpx.MockTransport(answer)).unenroll([1], dry_run=True))
    assert ["getUnenrollmentQueue" in package.decode() for package in sent] == [True]
    with pytest.raises(NotAnAnswerError):
        list(Client(URL, "a", "u", transport=httpx.MockTransport(lambda _: _answer())).unenroll([1], dry_run=True))


def test_learners_are_enrolled_and_every_refusal_has_a_code(school: School) -> None:
    campus = school.campus
    person = {"given_name": "Ada", "family_name": "L & M", "role": "learner", "active": True}
    for name, number in (("ada@example.org", "E1"), ("bo@example.org", "E2")):
        user_id = campus.add(users, email=name, employee_id=number, **person)
        rights = {"group_manager": False, "manage_group_users": False}
        campus.add(memberships, user_id=user_id, group_id=campus.group_id, **rights)
    due = date(2080, 7, 1)
    wanted = [
        Enrollment(campus.course_id, "North", email="ada@example.org", due_date=due, tag="<autumn>"),
        Enrollment(campus.course_id, "North", employee_id="E1"),
        Enrollment(campus.course_id, "South", employee_id="E2"),
        Enrollment(campus.course_id, "North", employee_id="E2", due_date=date(1999, 1, 1)),
        Enrollment(campus.course_id, "North", employee_id="E2", session_id=UNKNOWN),
    ]
    outcomes = list(school.client().enroll(wanted))
    assert [outcome.id for outcome in outcomes] == ["ada@example.org", "E1", "E2", "E2", "E2"]
    assert [outcome.code for outcome in outcomes] == [None, "ELM:19", "ELM:03", None, "ELM:06"]
    rows = list(school.client().learner_report(columns=["DUE_DATE", "EMPLOYEE_ID"]))
    assert [row["ID"] for row in rows] == [outcomes[0].new_id, outcomes[3].new_id]
    assert [(row["EmployeeID"], row["DueDate"]) for row in rows] == [
        ("E1", "2080-07-01 00:00:00.0"),
        ("E2", "1999-01-01 00:00:00.0"),
    ]
    assert rows[0]["LastName"] == "L & M"
    with pytest.raises(ValueError, match="either"):
        Enrollment(campus.course_id, "North")


def test_report_is_complete_for_every_page_size_and_filter(school: School) -> None:
    started = school.campus.enroll(15, EnrollmentStatus.IN_PROGRESS)
    completed = school.campus.enroll(5, EnrollmentStatus.COMPLETED)
    client = school.client()

    def chosen(page_size: int = 1000, **filters: Any) -> list[int]:
        return [int(row["ID"]) for row in client.learner_report(ReportFilters(**filters), page_size=page_size)]

    for page_size in (1, 7, 20, 1000):
        assert chosen(page_size) == started + completed
    today = datetime.now(UTC).date()
    assert chosen(statuses=["In Progress"]) == started
    assert chosen(statuses=["In Progress", "Completed"], courses=["Fire Safety"], groups=["North"]) == chosen()
    assert chosen(enrollment_id=completed[0]) == completed[:1]
    assert chosen(enrolled_from=today - timedelta(1), enrolled_to=today + timedelta(1)) == chosen()
    assert chosen(enrolled_to=today - timedelta(2)) == []
    nobody: list[dict[str, Any]] = [{"courses": ["Ladders"]}, {"groups": ["S&T"]}, {"emails": ["x"]}]
    assert [chosen(**filters) for filters in [*nobody, {"employee_ids": ["x"]}]] == [[]] * 4
    with pytest.raises(TypeError, match="courses"):
        ReportFilters(courses="Fire Safety")


def test_queue_is_paused_read_and_resumed(school: School) -> None:
    client = school.client()
    assert (client.queue().paused, client.queue().oldest_pending_seconds) == (False, None)
    ids = school.campus.enroll(3)
    list(client.unenroll(ids))
    state = client.pause()
    assert (state.paused, state.counts["Pending"], state.oldest_pending_seconds) == (True, 3, 0)
    assert state.paused_at is not None
    assert datetime.now(UTC) - state.paused_at < timedelta(minutes=1)
    assert (client.resume().paused, client.queue().paused_at) == (False, None)


def test_enrollments_and_batches_are_removed_and_restored(school: School) -> None:
    client, ids = school.client(), school.campus.enroll(120)
    first = {outcome.batch_id for outcome in client.unenroll(ids[:60])}.pop()
    second = {outcome.batch_id for outcome in client.unenroll(ids[60:])}.pop()
    removed = list(client.remove([*ids[:2], UNKNOWN], reason="a mistake"))
    assert [(o.status, o.code) for o in removed] == [("Removed", None), ("Removed", None), ("refused", "REM:05")]
    school.campus.drain()
    restored = list(client.restore(batch_id=first))
    assert [outcome.id for outcome in restored] == [str(id_) for id_ in ids[:60]]
    assert [outcome.code for outcome in restored[:3]] == ["RES:05", "RES:05", None]
    assert _statuses(restored) == {"refused": 2, "Restored": 58}
    assert {outcome.batch_id for outcome in restored if outcome.accepted} == {first}
    assert _statuses(list(client.restore(ids[60:]))) == {"Restored": 60}
    assert _statuses(list(client.restore(batch_id=second))) == {"refused": 60}
    with pytest.raises(CallRefusedError, match="RES:04"):
        list(client.restore(batch_id=UNKNOWN))
    with pytest.raises(ValueError, match="not both"):
        client.restore(ids, batch_id=first)


def test_the_history_is_read_by_filters_and_as_a_feed(school: School) -> None:
    client, ids = school.client(), school.campus.enroll(205)
    batches = {outcome.batch_id for outcome in client.unenroll([*ids, UNKNOWN])}
    assert client.changes() == ([], None)
    school.campus.drain()
    list(client.restore(ids[:2]))

    def chosen(**filters: Any) -> list[int]:
        return [int(row[IDENTIFIER]) for row in client.unenrollments(page_size=50, **filters)]

    now = datetime.now(UTC)
    assert chosen() == chosen(ids=ids) == chosen(requested_from=now.date(), requested_to=now) == ids
    assert chosen(statuses=["Restored"]) == ids[:2]
    assert [len(chosen(batch_id=batch)) for batch in filter(None, batches)] == [205]
    with pytest.raises(ValueError, match="time zone"):
        chosen(requested_from=now.replace(tzinfo=None))

    rows, cursor = client.changes(since=now - timedelta(hours=1))
    assert Counter(row["Status"] for row in rows) == {"Complete": 203, "Restored": 2}
    assert client.changes(after=cursor) == ([], cursor)
    latest = client.batches()
    batch = next(latest)
    (same,) = client.batches(batch.id)
    assert (batch.refusals, same.refusals) == ([], [(206, str(UNKNOWN), "ULM:03")])
    assert (same.counts["Complete"], same.counts["Refused"], same.requested_by) == (203, 1, "owner@example.org")


@pytest.mark.parametrize("foreign", [False, True], ids=["rollbook", "another_server"])
def test_lost_answers_do_not_change_the_result(school: School, foreign: bool) -> None:
    ids = school.campus.enroll(1000)
    losing = LosingTransport(school.transport, foreign=foreign)
    wrong: list[int | str] = [] if foreign else ["abc", UNKNOWN]
    outcomes = list(school.client(losing).unenroll([*ids, *wrong]))
    assert losing.calls > 10
    assert [outcome.id for outcome in outcomes if outcome.accepted] == [str(id_) for id_ in ids]
    assert school.campus.queue() == dict.fromkeys(ids, "Pending")
    if foreign:
        assert _statuses(outcomes) == {"accepted": 600, "accepted before": 400}
        assert {o.code for o in outcomes if o.status == "accepted before"} == {"ULM:04"}
    else:
        assert _statuses(outcomes) == {"accepted": 1000, "refused": 2}
        assert len({outcome.batch_id for outcome in outcomes if outcome.accepted}) == 1


def test_only_items_of_a_lost_call_count_as_accepted_before(school: School) -> None:
    ids = school.campus.enroll(2)
    list(school.client().unenroll(ids))
    losing = LosingTransport(school.transport, foreign=True)
    assert _statuses(list(school.client(losing).unenroll(ids))) == {"refused": 2}


def test_interrupted_program_continues_with_its_keys_and_its_batch(school: School) -> None:
    ids = school.campus.enroll(250)
    cut_off = school.client().unenroll(ids, keys=["run-1", "run-2", "run-3"])
    first = [next(cut_off) for _ in range(101)]
    again = list(school.client().unenroll(ids[100:], keys=["run-2", "run-3"], batch_id=first[0].batch_id))
    assert _statuses(again) == {"accepted": 150}
    assert again[0] == first[100]
    [batch] = school.client().batches()
    assert batch.counts["Pending"] == 250


@pytest.mark.parametrize(
    "keys",
    [["a"], [], ["a", "a"], ["a", ""], ["a", "b c"], ["a", "x" * 256]],
    ids=["too_few", "none", "twice", "empty", "blank", "too_long"],
)
def test_invalid_keys_are_refused_before_the_first_call(school: School, keys: list[str]) -> None:
    ids = school.campus.enroll(101)
    with pytest.raises(ValueError, match="key"):
        next(school.client().unenroll(ids, keys=keys))
    assert school.campus.queue() == {}


def test_a_dry_run_of_many_calls_counts_repeats_as_the_real_run_does(school: School) -> None:
    ids = school.campus.enroll(150)
    asked = [*ids, ids[0], ids[20]]
    client = school.client()

    def told(dry_run: bool, change: Callable[..., Iterable[Outcome]]) -> list[tuple[bool, str | None, str | None]]:
        return [(each.accepted, each.code, each.message) for each in change(asked, dry_run=dry_run)]

    foreseen = told(True, client.unenroll)
    assert [accepted for accepted, _, _ in foreseen] == [True] * 150 + [False] * 2
    assert foreseen == told(False, client.unenroll)
    school.campus.drain()
    assert told(True, client.restore) == told(False, client.restore)
    list(client.unenroll(ids))
    assert told(True, client.remove) == told(False, client.remove)


def test_values_that_are_not_dates_are_refused_before_the_call(school: School) -> None:
    client, text, day = school.client(), cast("date", "2026-11-25"), date(2026, 1, 1)
    wrong: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: client.changes(since=text), TypeError, "expected a date or datetime"),
        (lambda: list(client.unenrollments(requested_from=text)), TypeError, "expected a date or datetime"),
        (lambda: ReportFilters(enrolled_from=text), TypeError, "expected a date or datetime"),
        (lambda: Enrollment(1, "North", email="a@b.example", due_date=text), TypeError, "expected a date or datetime"),
        (lambda: client.changes(since=day, after="1-1"), ValueError, "one of the two"),
        (lambda: client.changes(after=""), ValueError, "one of the two"),
        (lambda: ReportFilters(enrolled_from=day, enrolled_to=date(2025, 1, 1)), ValueError, "is before"),
    ]
    for ask, error, sentence in wrong:
        with pytest.raises(error, match=sentence):
            ask()


def test_lost_answers_do_not_repeat_other_changes(school: School) -> None:
    ids = school.campus.enroll(450)
    client = school.client(LosingTransport(school.transport))
    list(client.unenroll(ids))
    assert _statuses(list(client.remove(ids[:250]))) == {"Removed": 250}
    school.campus.drain()
    assert _statuses(list(client.restore(ids[250:]))) == {"Restored": 200}
    assert school.campus.current() == 450


@pytest.mark.parametrize("status", [429, 503])
def test_busy_server_is_retried_after_its_retry_after(school: School, status: int) -> None:
    ids = school.campus.enroll(1)
    keys, moments = [], []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        moments.append(time.monotonic())
        if len(keys) == 1:
            # As a date it is in whole seconds, and so up to one of them early.
            date_of_it = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
            return _answer("SU:9999", status, **{"Retry-After": "1" if status == 429 else date_of_it})
        return school.transport.handle_request(request)

    outcomes = list(school.client(httpx.MockTransport(answer)).unenroll(ids))
    assert _statuses(outcomes) == {"accepted": 1}
    assert len(set(keys)) == 1
    assert moments[1] - moments[0] >= 0.95


@pytest.mark.parametrize("status", [408, 413, 422, 500, 502])
def test_another_status_is_an_error_at_once(status: int) -> None:
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return _answer("SU:9999", status, **{"X-Request-ID": "4f"})

    with pytest.raises(CallRefusedError) as caught:
        Client(URL, "a", "u", transport=httpx.MockTransport(answer)).queue()
    assert (caught.value.code, caught.value.request_id, len(sent)) == ("SU:9999", "4f", 1)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>Welcome</html>"),
        httpx.Response(404, text="Not Found"),
        httpx.Response(301, headers={"Location": "https://elsewhere.test/"}),
        httpx.Response(200, text="<!DOCTYPE SmarterU><SmarterU><Result>Success</Result></SmarterU>"),
        httpx.Response(200, text="<SmarterU><Result>Perhaps</Result></SmarterU>"),
        httpx.Response(200, content=b"\xff\xfe"),
        _answer(),
    ],
)
def test_other_response_than_an_answer_is_an_error_with_the_url(answer: httpx.Response) -> None:
    sent = []

    def give(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return answer

    with pytest.raises(NotAnAnswerError, match=URL):
        Client(URL, "a", "u", transport=httpx.MockTransport(give)).queue()
    assert len(sent) == 1


@pytest.mark.parametrize(
    "info",
    [
        "<LearnerReport><Learner><CourseName>A</CourseName></Learner></LearnerReport>",
        "<LearnerReport><Learner><ID>1</ID></Learner></LearnerReport>",
        f"<Unenrollments><Unenrollment><BatchID>1</BatchID><{IDENTIFIER}>1</{IDENTIFIER}></Unenrollment></Unenrollments>",
        f"<Unenrollments><Unenrollment><BatchID>1</BatchID><Block>x</Block><{IDENTIFIER}/></Unenrollment></Unenrollments>",
    ],
)
def test_rows_without_needed_elements_are_an_error(info: str) -> None:
    text = (
        f"<SmarterU><Result>Success</Result><Info>{info}</Info><Errors><Error block='1'><ErrorID>RES:05</ErrorID>"
        "</Error></Errors></SmarterU>"
    )
    client = Client(URL, "a", "u", transport=httpx.MockTransport(lambda _: httpx.Response(200, text=text)))
    with pytest.raises(NotAnAnswerError, match=URL):
        list(client.learner_report())
    if "Unenrollments" in info:
        for rows in (client.unenrollments(), client.restore(batch_id=1)):
            with pytest.raises(NotAnAnswerError, match=URL):
                list(rows)


def test_no_server_can_make_the_client_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    for wish in ("9" * 400, format_datetime(datetime(9999, 1, 1, tzinfo=UTC), usegmt=True)):
        busy = httpx.MockTransport(lambda _, wish=wish: _answer("SU:9999", 429, **{"Retry-After": wish}))
        with pytest.raises(ServerUnreachableError):
            Client(URL, "a", "u", transport=busy, attempts=2).queue()
    assert slept == [300, 300]


def test_item_missing_in_the_answer_counts_as_refused() -> None:
    client = Client(URL, "a", "u", transport=httpx.MockTransport(lambda _: _answer()))
    (outcome,) = client.unenroll([1])
    assert (outcome.accepted, outcome.status, outcome.code) == (False, "refused", None)


def test_wrong_keys_and_missing_permissions_are_refusals(school: School) -> None:
    with pytest.raises(CallRefusedError, match=URL) as caught:
        school.client(user_key="wrong").queue()
    assert (caught.value.code, caught.value.message) == ("SU:10", "User and Account API keys are invalid.")
    assert caught.value.request_id
    with pytest.raises(CallRefusedError, match="ULM:02"):
        list(school.client(user_key=school.campus.learner_key).unenroll([1]))


def test_keys_are_in_no_repr_log_or_exception(school: School, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    transports: list[httpx.BaseTransport] = [
        httpx.MockTransport(refuse),
        httpx.MockTransport(lambda _: httpx.Response(200, text="no")),
        httpx.MockTransport(lambda _: _answer("SU:10")),
        httpx.MockTransport(lambda _: _answer("SU:9999", 503)),
    ]
    shown = []
    for transport in transports:
        client = school.client(transport, attempts=2)
        with pytest.raises(ClientError) as caught:
            client.queue()
        error: BaseException | None = caught.value
        while error is not None:
            assert not isinstance(error, httpx.HTTPError)  # which would hold the request
            shown += [repr(error), *traceback.format_exception(error), repr(vars(error))]
            error = error.__cause__ or error.__context__
    assert repr(client) == f"Client({URL!r})"
    for key in (school.campus.account_key, school.campus.owner_key):
        assert key not in "".join(shown) + repr(client) + caplog.text


def test_an_address_is_https_and_may_leave_out_the_path() -> None:
    for url in ("http://rollbook.test/apiv2/", "rollbook.test", "ftp://rollbook.test/", "https://", "https://x:y/"):
        with pytest.raises(ValueError, match="the url"):
            Client(url, "a", "u")
    assert repr(Client("https://me:secret@rollbook.test", "a", "u")) == f"Client({URL!r})"
    with pytest.raises(ValueError, match="ca_file /nowhere"):
        Client(URL, "a", "u", ca_file="/nowhere")
    with pytest.raises(ValueError, match="reason"):
        Client(URL, "a", "u").unenroll([1], reason="r" * 501)


def test_over_real_https_the_certificate_is_verified(
    served: Served, campus: Campus, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = campus.enroll(150)
    keys = (campus.account_key, campus.administrator_key)
    with Client(served.server.url, *keys, ca_file=served.server.ca_file) as client:
        outcomes = list(client.unenroll(ids))
        assert _statuses(outcomes) == {"accepted": 150}
        assert len(list(client.learner_report())) == 150
        campus.drain()
        assert list(client.learner_report()) == []
        assert _statuses(list(client.restore(ids))) == {"Restored": 150}
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it is tried again"))
    with (
        Client(served.server.url, *keys) as stranger,
        pytest.raises(ServerUnreachableError, match=r"(?s)certificate verify failed.*ca_file"),
    ):
        stranger.queue()


def test_unreachable_server_is_an_error_after_all_attempts() -> None:
    with (
        Client("https://127.0.0.1:1/apiv2/", "a", "u", attempts=3) as client,
        pytest.raises(ServerUnreachableError, match=r"https://127\.0\.0\.1:1/apiv2/.* was not carried out"),
    ):
        client.queue()


def test_client_imports_no_server() -> None:
    script = "import sys, rollbook; print('httpx' in sys.modules); from rollbook import Client; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, modules = done.stdout.splitlines()
    assert first == "False"
    server = {"sqlalchemy", "alembic", "psycopg", "starlette", "uvicorn", "jinja2", "pydantic", "typer"}
    assert not server & set(modules.split())
    assert [name for name in modules.split() if name.startswith("rollbook.store.")] == []

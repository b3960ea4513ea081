"""The client's calls about enrollments and their progress."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, groupby

from rollbook.client.calls import Calls, Rows, named, pages
from rollbook.client.requests import Enrollment, PastEnrollment, Progress, ReportFilters, new_key, split
from rollbook.client.results import Outcome, read_outcomes
from rollbook.errors import UNKNOWN_METHOD, CallRefusedError
from rollbook.methods.create_historical_session import CREATE_HISTORICAL_SESSION
from rollbook.methods.enroll_learning_modules import ENROLL_LEARNING_MODULES
from rollbook.methods.enroll_session_history import ENROLL_SESSION_HISTORY
from rollbook.methods.enrollment_history_import import ENROLLMENT_HISTORY_IMPORT
from rollbook.methods.get_learner_report import GET_LEARNER_REPORT
from rollbook.methods.list_learning_modules import LIST_LEARNING_MODULES
from rollbook.methods.list_sessions import LIST_SESSIONS
from rollbook.methods.method import Method
from rollbook.methods.update_enrollments import UPDATE_ENROLLMENTS
from rollbook.wire.matching import matching_of
from rollbook.wire.messages import Values
from rollbook.wire.paging import MAX_SIZE

EVERYTHING = ReportFilters()


@dataclass(frozen=True)
class Session:
    """A session of a course; one without a date has no beginning and no end."""

    id: int
    status: str
    grade_type: str
    starts_at: datetime | None
    ends_at: datetime | None

    @classmethod
    def of(cls, values: Values) -> "Session":
        """Take it from the values of an answer; errors: KeyError for a missing value."""
        dates = values.get("dates")
        date: Values = dates[0] if dates else {}
        times = (date.get("starts_at"), date.get("ends_at"))
        return cls(values["id"], values["status"] or "", values["grade_type"] or "", *times)


class CourseCalls(Calls):
    """Courses, their sessions, and enrollments in them."""

    def enroll(self, enrollments: Iterable[Enrollment], *, once: bool = False) -> Iterator[Outcome]:
        """Enroll in calls of 100; an outcome has the learner as `id` and the enrollment as `new_id`.

        With `once` a call whose answer is lost is not sent again: a server without Idempotency-Key may do it twice.
        """
        for part in split(enrollments):
            yield from self._enroll(ENROLL_LEARNING_MODULES, part, once=once)

    def import_history(self, enrollments: Iterable[PastEnrollment], *, once: bool = False) -> Iterator[Outcome]:
        """Add enrollments as they were, in calls of 100 with or without a session; outcomes as of `enroll`."""
        for in_sessions, alike in groupby(enrollments, lambda enrollment: enrollment.session_id is not None):
            method = ENROLL_SESSION_HISTORY if in_sessions else ENROLLMENT_HISTORY_IMPORT
            for part in split(alike):
                yield from self._enroll(method, part, once=once)

    def takes_history(self, *, in_sessions: bool = False) -> bool:
        """Tell whether the server has the method of `import_history`, by a call without any enrollment."""
        try:
            self._send(ENROLL_SESSION_HISTORY if in_sessions else ENROLLMENT_HISTORY_IMPORT, {"items": []})
        except CallRefusedError as error:
            return error.code != UNKNOWN_METHOD.code
        return True

    def _enroll(self, method: Method, part: Sequence[Enrollment | PastEnrollment], *, once: bool) -> list[Outcome]:
        sent = self._send(method, {"items": [enrollment.values() for enrollment in part]}, key=new_key(), once=once)
        people = {block: item.email or item.employee_id or "" for block, item in enumerate(part, 1)}
        done = [{**item, "new_id": str(item.get("id") or "")} for item in sent.items]
        return read_outcomes(done, sent.reply.errors, people)

    def courses(
        self, *, name: str | None = None, contains: str | None = None, status: str | None = None
    ) -> Iterator[dict[str, str]]:
        """Yield `LearningModuleID`, `Name`, `Type` and `Status` of courses with this name, or with a text in it."""
        return chain.from_iterable(self._course_pages({"name": matching_of(name, contains), "status": status}))

    def course_pages(self, page_size: int = MAX_SIZE, first_page: int = 1) -> Iterator[Rows]:
        """Yield the pages of all courses; the last one is not full, and may be empty."""
        return self._course_pages({}, page_size, first_page)

    def _course_pages(self, asked: Values, page_size: int = MAX_SIZE, first_page: int = 1) -> Iterator[Rows]:
        def ask(page: int) -> Rows:
            values = {**asked, "page": page, "page_size": page_size}
            return self._ask_rows(LIST_LEARNING_MODULES, values, "LearningModuleID")[0]

        return pages(ask, page_size, first_page)

    def sessions(self, course_id: int | str) -> Sequence[Session]:
        """List the sessions of a course."""
        sent = self._send(LIST_SESSIONS, {"course_id": course_id})
        return self._read(lambda: [Session.of(values) for values in sent.values.get("sessions", ())])

    def add_past_session(
        self,
        course_id: int | str,
        starts: datetime,
        *,
        minutes: int = 0,
        grade_type: str | None = None,
        instructors: Sequence[str] = (),
    ) -> int:
        """Add a session that has taken place and return its number; `instructors` are e-mail addresses of users.

        Errors: ValueError for a time without a zone.
        """
        if starts.tzinfo is None:
            raise ValueError("a datetime needs a time zone, such as datetime.UTC")
        starts = starts.astimezone(UTC)
        when = {"date": starts.date(), "time": starts.time(), "hours": minutes // 60, "minutes": minutes % 60}
        people = [{"email": email} for email in instructors]
        values = {"course_id": course_id, **when, "grade_type": grade_type, "instructors": people}
        sent = self._send(CREATE_HISTORICAL_SESSION, values, key=new_key())
        return self._read(lambda: int(sent.values["id"]))

    def update_enrollments(self, progress: Iterable[Progress]) -> Iterator[Outcome]:
        """Write progress in calls of 100; `accepted` means that the enrollment has it."""
        for part in split(progress):
            sent = self._send(UPDATE_ENROLLMENTS, {"items": [each.values() for each in part]}, key=new_key())
            yield from read_outcomes(sent.items, sent.reply.errors, named(each.enrollment_id for each in part))

    def learner_report(
        self, filters: ReportFilters = EVERYTHING, columns: Sequence[str] = (), page_size: int = MAX_SIZE
    ) -> Iterator[dict[str, str]]:
        """Yield the rows of all pages, as texts by element name."""
        return chain.from_iterable(self.learner_report_pages(filters, columns, page_size))

    def learner_report_pages(
        self,
        filters: ReportFilters = EVERYTHING,
        columns: Sequence[str] = (),
        page_size: int = MAX_SIZE,
        first_page: int = 1,
    ) -> Iterator[Rows]:
        """Yield the pages of the report; the last one is not full, and may be empty."""
        asked = {**filters.values(), "columns": columns, "page_size": page_size}

        def ask(page: int) -> Rows:
            return self._ask_rows(GET_LEARNER_REPORT, {**asked, "page": page}, "ID", "CourseName")[0]

        return pages(ask, page_size, first_page)

"""The client's calls about enrollments and their progress."""

from collections.abc import Iterable, Iterator, Sequence

from rollbook.client.calls import Calls, Rows, all_pages, named
from rollbook.client.requests import Enrollment, Progress, ReportFilters, new_key, split
from rollbook.client.results import Outcome, read_outcomes
from rollbook.methods.enroll_learning_modules import ENROLL_LEARNING_MODULES
from rollbook.methods.get_learner_report import GET_LEARNER_REPORT
from rollbook.methods.update_enrollments import UPDATE_ENROLLMENTS
from rollbook.wire.paging import MAX_SIZE

EVERYTHING = ReportFilters()


class CourseCalls(Calls):
    """Enrollments in courses."""

    def enroll(self, enrollments: Iterable[Enrollment]) -> Iterator[Outcome]:
        """Enroll in calls of 100; the id of an outcome is the learner's, its `new_id` the enrollment's."""
        for part in split(enrollments):
            items = {"items": [enrollment.values() for enrollment in part]}
            sent = self._send(ENROLL_LEARNING_MODULES, items, key=new_key())
            people = {block: item.email or item.employee_id or "" for block, item in enumerate(part, 1)}
            done = [{**item, "new_id": str(item.get("id") or "")} for item in sent.items]
            yield from read_outcomes(done, sent.reply.errors, people)

    def update_enrollments(self, progress: Iterable[Progress]) -> Iterator[Outcome]:
        """Write progress in calls of 100: `accepted` when the enrollment has it now."""
        for part in split(progress):
            sent = self._send(UPDATE_ENROLLMENTS, {"items": [each.values() for each in part]}, key=new_key())
            yield from read_outcomes(sent.items, sent.reply.errors, named(each.enrollment_id for each in part))

    def learner_report(
        self, filters: ReportFilters = EVERYTHING, columns: Sequence[str] = (), page_size: int = MAX_SIZE
    ) -> Iterator[dict[str, str]]:
        """Give the rows of all pages, by the names of their elements."""
        asked = {**filters.values(), "columns": columns, "page_size": page_size}

        def ask(page: int) -> Rows:
            return self._ask_rows(GET_LEARNER_REPORT, {**asked, "page": page}, "ID", "CourseName")[0]

        return all_pages(ask, page_size)

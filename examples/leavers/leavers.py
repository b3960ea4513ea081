"""A sample integration: enrolls people, and unenrolls those who have left. It speaks the API with httpx alone."""

import ssl
import time
from collections.abc import Sequence
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import httpx

ATTEMPTS = 5
MAX_WAIT_SECONDS = 60
CALL_SIZE = 100
ALREADY_ENROLLED = "ELM:19"
# After an attempt whose answer was lost, these say that it was carried out.
DONE_BEFORE = ("ULM:03", "ULM:04")


class LmsError(Exception):
    """A call that failed as a whole; the text begins with its code, or with the status of the answer."""


class Lms:
    """A server of the API, called with the keys of an account and of a user."""

    def __init__(self, url: str, account_key: str, user_key: str, ca_file: str | None = None) -> None:
        self._url = url
        self._keys = account_key, user_key
        self._http = httpx.Client(verify=ssl.create_default_context(cafile=ca_file), timeout=10)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def enroll(self, email: str, group: str, course_id: int) -> str | None:
        """Enroll a learner and return the number of the enrollment; None when the learner is enrolled already."""
        item = (
            f"<Enrollment><User><Email>{escape(email)}</Email></User><GroupName>{escape(group)}</GroupName>"
            f"<LearningModuleID>{course_id}</LearningModuleID></Enrollment>"
        )
        answer, _ = self._call("enrollLearningModules", f"<LearningModuleEnrollment>{item}</LearningModuleEnrollment>")
        codes = [code.text for code in answer.iterfind("Errors/Error/ErrorID")]
        if codes and codes != [ALREADY_ENROLLED]:
            raise LmsError(f"{codes[0]} {answer.findtext('Errors/Error/ErrorMessage')}")
        return answer.findtext("Info/Enrollments/Enrollment/AccountUserLearningModuleRelID")

    def enrolled(self) -> set[str]:
        """Read the numbers of all current enrollments."""
        numbers: set[str] = set()
        for page in range(1, 1000):
            report = f"<Report><Page>{page}</Page><PageSize>100</PageSize><Filters/></Report>"
            answer, _ = self._call("getLearnerReport", report)
            rows = answer.findall("Info/LearnerReport/Learner")
            numbers.update(row.findtext("ID", "") for row in rows)
            if len(rows) < CALL_SIZE:
                break
        return numbers

    def unenroll(self, numbers: Sequence[str]) -> dict[str, str]:
        """Unenroll in calls of 100; return the code of each refused number."""
        refused: dict[str, str] = {}
        for start in range(0, len(numbers), CALL_SIZE):
            part = numbers[start : start + CALL_SIZE]
            items = "".join(
                f"<Unenrollment><AccountUserLearningModuleRelID>{number}</AccountUserLearningModuleRelID></Unenrollment>"
                for number in part
            )
            container = f"<LearningModuleEnrollment>{items}</LearningModuleEnrollment>"
            answer, in_doubt = self._call("unenrollLearningModules", container)
            for error in answer.iterfind("Errors/Error"):
                code = error.findtext("ErrorID", "")
                if not (in_doubt and code in DONE_BEFORE):
                    refused[part[int(error.get("block", "1")) - 1]] = code
        return refused

    def wait_until_gone(self, numbers: Sequence[str]) -> None:
        """Poll the report until none of the enrollments is in it: an accepted one is queued first."""
        deadline = time.monotonic() + MAX_WAIT_SECONDS
        while not self.enrolled().isdisjoint(numbers):
            if time.monotonic() > deadline:
                raise LmsError("the queue was not processed in time")
            time.sleep(0.1)

    def _call(self, method: str, parameters: str) -> tuple[ElementTree.Element, bool]:
        """Make a call, again after a lost answer, 429 and 503; return also whether an answer was lost."""
        account_key, user_key = self._keys
        package = (
            f"<SmarterU><AccountAPI>{account_key}</AccountAPI><UserAPI>{user_key}</UserAPI>"
            f"<Method>{method}</Method><Parameters>{parameters}</Parameters></SmarterU>"
        )
        in_doubt, problem = False, ""
        for attempt in range(ATTEMPTS):
            wait = 0.1 * 2**attempt
            try:
                answer = self._http.post(self._url, data={"Package": package})
            except httpx.TransportError as error:  # also a truncated body
                in_doubt, problem = True, f"no answer: {error}"
            else:
                if answer.status_code not in (429, 503):
                    return _read(answer), in_doubt
                problem, wait = f"HTTP {answer.status_code}", float(answer.headers.get("Retry-After", wait))
            time.sleep(wait)
        raise LmsError(problem)


def _read(answer: httpx.Response) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(answer.content)
    except ElementTree.ParseError:
        raise LmsError(f"HTTP {answer.status_code} without XML") from None
    errors = root.findall("Errors/Error")
    # Errors of items have a block; one without it is about the whole call.
    if errors and errors[0].get("block") is None:
        raise LmsError(f"{errors[0].findtext('ErrorID')} {errors[0].findtext('ErrorMessage')}")
    return root

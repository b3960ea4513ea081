"""The columns of a OneRoster archive that Rollbook reads, in the order of the staging tables, and their values."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

Parse = Callable[[str], object]

DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# Line breaks, control characters, and characters that XML cannot hold.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]+")
TEXT_LIMIT = 255
# Of a grade, as in `updateEnrollments`.
GRADE_LIMIT = 40
MAX_SCORE = 1e9

# The words of both versions; `ext:` is the prefix of extensions in 1.2.
ORG_TYPES = "department school district local state national ext:"
ENROLLMENT_ROLES = "administrator proctor student teacher ext:"
USER_ROLES = (
    "administrator aide counselor districtAdministrator guardian parent principal proctor relative siteAdministrator "
    "student systemAdministrator teacher ext:"
)
SCORE_STATUSES = ("exempt", "fully graded", "not submitted", "partially graded", "submitted")
RELATIVES = ("guardian", "parent", "relative")


def _parse_text(text: str) -> str:
    if len(text) > TEXT_LIMIT:
        raise ValueError(f"the value is longer than {TEXT_LIMIT} characters")
    return text


def parse_name(text: str) -> str:
    """Read a name; blanks replace line breaks and control characters."""
    return _parse_text(text if text.isprintable() else CONTROL.sub(" ", text).strip())


# They return a short, printable text as it is.
PLAIN = (_parse_text, parse_name)


@lru_cache(maxsize=1024)  # a roster has a few dates, many times
def _parse_date(text: str) -> str:
    try:
        if DATE.fullmatch(text):
            # Midnight in UTC, in the format of both databases.
            return f"{date.fromisoformat(text)} 00:00:00.000000"
    except ValueError:
        pass
    raise ValueError(f"'{text[:60]}' is not a date like 2026-01-31")


def _parse_grade(text: str) -> str:
    if len(text) > GRADE_LIMIT:
        raise ValueError(f"the value is longer than {GRADE_LIMIT} characters")
    return text


def _parse_score(text: str) -> str:
    try:
        if abs(float(text)) < MAX_SCORE:
            return _parse_grade(text)
    except ValueError:
        pass
    raise ValueError(f"'{text[:60]}' is not a number")


def _parse_score_status(text: str) -> str:
    if text in SCORE_STATUSES or text.startswith("ext:"):
        return text
    raise ValueError(f"'{text[:60]}' is none of {', '.join(SCORE_STATUSES)}")


def _parse_list(text: str) -> list[str]:
    values = list(dict.fromkeys(_parse_text(value.strip()) for value in text.split(",") if value.strip()))
    if not values:
        raise ValueError("the value is missing")
    return values


def _one_of(words: str, wanted: str = "") -> Callable[[str], int]:
    """Accept one of the words, and return 1 for the wanted one, else 0: sqlite3 is slow at binding True and False."""
    known = {word: int(word == wanted) for word in words.split()}

    def parse(text: str) -> int:
        if text in known:
            return known[text]
        if "ext:" in known and text.startswith("ext:"):
            return 0
        raise ValueError(f"'{text[:60]}' is none of {', '.join(known)}")

    return parse


_IS_STUDENT = _one_of(USER_ROLES, "student")


def _parse_role(text: str) -> str:
    """Classify the role as student, relative or staff."""
    if _IS_STUDENT(text):
        return "student"
    return "relative" if text in RELATIVES else "staff"


@dataclass(frozen=True)
class CsvColumn:
    """A column; `parse` returns its value or raises ValueError with the reason."""

    name: str
    parse: Parse = _parse_text
    required: bool = True


STATUS = _one_of("active tobedeleted", "tobedeleted")
ENABLED = _one_of("true false", "true")  # in lower case: spreadsheets write TRUE
_ID = CsvColumn("sourcedId")
# Lists and columns of other tables are last.
COLUMNS: dict[str, tuple[CsvColumn, ...]] = {
    "orgs": (_ID, CsvColumn("name", parse_name), CsvColumn("type", _one_of(ORG_TYPES, "school"))),
    "academicSessions": (_ID, CsvColumn("title", parse_name)),
    "courses": (_ID,),
    "classes": (
        *(_ID, CsvColumn("title", parse_name), CsvColumn("courseSourcedId"), CsvColumn("schoolSourcedId")),
        CsvColumn("termSourcedIds", _parse_list),
    ),
    "users": (
        *(_ID, CsvColumn("enabledUser", lambda text: ENABLED(text.lower()))),
        *(CsvColumn("givenName", parse_name), CsvColumn("familyName", parse_name)),
        *(CsvColumn("email", required=False), CsvColumn("identifier", required=False)),
    ),
    "roles": (_ID, CsvColumn("userSourcedId"), CsvColumn("orgSourcedId"), CsvColumn("role", _parse_role)),
    "enrollments": (
        *(_ID, CsvColumn("classSourcedId"), CsvColumn("schoolSourcedId"), CsvColumn("userSourcedId")),
        CsvColumn("role", _one_of(ENROLLMENT_ROLES, "student")),
        *(CsvColumn("beginDate", _parse_date, required=False), CsvColumn("endDate", _parse_date, required=False)),
    ),
    "categories": (_ID, CsvColumn("title", parse_name)),
    "lineItems": (
        *(_ID, CsvColumn("title", parse_name), CsvColumn("classSourcedId")),
        *(CsvColumn("categorySourcedId", required=False), CsvColumn("resultValueMax", _parse_score, required=False)),
    ),
    "results": (
        *(_ID, CsvColumn("lineItemSourcedId"), CsvColumn("studentSourcedId")),
        *(CsvColumn("scoreStatus", _parse_score_status), CsvColumn("score", _parse_score, required=False)),
        *(CsvColumn("textScore", _parse_grade, required=False), CsvColumn("scoreDate", _parse_date, required=False)),
    ),
}
# In version 1.2 these two are in roles.csv.
USER_COLUMNS_1_1 = (CsvColumn("orgSourcedIds", _parse_list), CsvColumn("role", _parse_role))

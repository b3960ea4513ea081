"""getLearnerReport over HTTPS: every filter, every column, pages, permissions, number of queries (protocol §6)."""

from collections.abc import Iterator, Sequence
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from starlette.datastructures import Headers

from campus import Campus
from conftest import Served
from driver_statements import counted_statements
from rollbook.model import EnrollmentStatus
from rollbook.server.call.execute import execute
from rollbook.server.call.preprocess import KeyCache, RawRequest, preprocess
from rollbook.server.call.record import Record
from rollbook.server.operations.rate_limits import RateLimits
from rollbook.store.database.tables import courses, enrollments, group_tags, groups, memberships, sessions, users

DATES = ("completed_at", "due_at", "enrolled_at", "grace_period_at", "last_accessed_at", "started_at")
STAMPS = ("created_at", "modified_at")
ALL = "abcdefgh"

# Eight enrollments: learner, group, course, status.
ROWS: dict[str, tuple[str, str, str, str]] = {
    "a": ("ann", "North", "Fire Safety", "Enrolled"),
    "b": ("bob", "North", "First Aid", "In Progress"),
    "c": ("cid", "South", "Ladders", "Completed"),
    "d": ("dee", "West & <East>", "Fire Safety", "Overdue"),
    "e": ("ann", "South", "First Aid", "Enrolled"),
    "f": ("bob", "West & <East>", "Ladders", "Cancelled"),
    "g": ("cid", "North", "Fire Safety", "Attending"),
    "h": ("dee", "South", "First Aid", "Completed"),
}
LEARNERS: dict[str, dict[str, object]] = {
    "ann": {"email": "Ann@Example.org", "employee_id": "E1", "active": True},
    "bob": {"email": "bob@example.org", "employee_id": "E2", "active": False},
    "cid": {"email": None, "employee_id": "E3", "active": True},
    "dee": {"email": "dee@example.org", "employee_id": None, "active": False},
}


def _times(place: int) -> dict[str, datetime | None]:
    """Give the times of a row: a month of 2022 a column, a day a row, its first moment and its last one in turns.

    The last row has only those that no enrollment is without.
    """
    of_day = timedelta(days=1, microseconds=-1) if place % 2 else timedelta(0)
    times = {
        name: datetime(2022, month, place + 1, tzinfo=UTC) + of_day for month, name in enumerate(DATES + STAMPS, 1)
    }
    return times | (dict.fromkeys(set(DATES) - {"enrolled_at"}) if place == 7 else {})


def _populate(campus: Campus) -> dict[str, int]:
    """Make the rows, and an ended one; return the ids by letter."""
    learners = {
        name: campus.add(users, given_name=name, family_name="Learner", role="learner", **details)
        for name, details in LEARNERS.items()
    }
    group_ids = {
        name: campus.add(groups, name=name, active=name != "South") for name in ("North", "South", "West & <East>")
    }
    tags = [("North", 7, "Region & é", "<North>,Süd"), ("West & <East>", 7, "Region & é", "West")]
    for group, number, name, values in [*tags, ("West & <East>", 8, "Size", "100,1000")]:
        campus.add(group_tags, group_id=group_ids[group], tag_id=number, name=name, tag_values=values)
    statuses = {"Fire Safety": "Active", "First Aid": "Inactive", "Ladders": "Archived"}
    course_ids = {name: campus.add(courses, name=name, status=status) for name, status in statuses.items()}
    ids = {}
    for place, (letter, (learner, group, course, status)) in enumerate(ROWS.items()):
        row = {"user_id": learners[learner], "group_id": group_ids[group], "course_id": course_ids[course]}
        ids[letter] = campus.add(enrollments, **row, status=status, **_times(place))
    gone = {**row, "status": "Enrolled", **_times(3), "unenrolled_at": datetime(2022, 9, 9, tzinfo=UTC)}
    return ids | {"gone": campus.add(enrollments, **gone)}


class Office:
    """Requests the reports of one account over one connection."""

    def __init__(self, served: Served, campus: Campus) -> None:
        self.served = served
        self.campus = campus
        self.client = served.server.client()

    def ask(self, parameters: str = "", user_key: str | None = None) -> etree._Element:
        package = self.campus.call("getLearnerReport", f"<Report>{parameters}</Report>", user_key)
        answer = self.client.post(self.served.server.url, data={"Package": package})
        assert answer.status_code == 200
        return etree.fromstring(answer.content)

    def rows(self, parameters: str = "") -> list[list[tuple[str, str]]]:
        answer = self.ask(parameters)
        assert answer.findtext("Result") == "Success"
        assert len(answer.find("Errors")) == 0  # type: ignore[arg-type]
        (report,) = answer.find("Info")  # type: ignore[misc]
        assert (report.tag, report.get("rows")) == ("LearnerReport", str(len(report)))
        return [[(child.tag, child.text or "") for child in learner] for learner in report]

    def ids(self, parameters: str = "") -> list[int]:
        return [int(dict(row)["ID"]) for row in self.rows(parameters)]

    def error(self, parameters: str, user_key: str | None = None) -> str | None:
        answer = self.ask(parameters, user_key)
        assert answer.findtext("Result") == "Failed"
        assert len(answer.find("Info")) == 0  # type: ignore[arg-type]
        return answer.findtext("Errors/Error/ErrorID")


@pytest.fixture
def office(served: Served, campus: Campus) -> Iterator[Office]:
    office = Office(served, campus)
    with office.client:
        yield office


class Population(Office):
    """The account with the eight rows, beside another with the same; `find` returns the letters of a report."""

    def __init__(self, served: Served) -> None:
        super().__init__(served, Campus(served.database))
        self.letters = _populate(self.campus)
        foreign = Campus(served.database)
        self.letters["foreign"] = _populate(foreign)["a"]

    def find(self, filters: str) -> str:
        for letter, id_ in self.letters.items():
            filters = filters.replace(f"{{{letter}}}", str(id_))
        names = {id_: letter for letter, id_ in self.letters.items()}
        return "".join(names[id_] for id_ in self.ids(f"<Filters>{filters}</Filters>"))


@pytest.fixture(scope="module")
def population(served: Served) -> Iterator[Population]:
    population = Population(served)
    with population.client:
        yield population


def _range(name: str, first: str | None, last: str | None) -> str:
    start = "" if first is None else f"<{name}From>{first}</{name}From>"
    end = "" if last is None else f"<{name}To>{last}</{name}To>"
    return f"<{name}>{start}{end}</{name}>"


def _module_dates() -> dict[str, list[tuple[str, str]]]:
    """Give the cases of the six containers of date ranges: both ends count, one may be missing, several mean any."""
    cases = {}
    for month, (name, column) in enumerate(
        zip(["Completed", "Due", "Enrolled", "GracePeriod", "LastAccessed", "Started"], DATES, strict=True), 1
    ):
        text = f"{{:02}}-{datetime(2022, month, 1):%b}-22".format
        last = "h" if column == "enrolled_at" else ""
        ranges: list[tuple[list[tuple[str | None, str | None]], str]] = [
            ([(text(2), text(3))], "bc"),
            ([(f"2022-{month:02}-02", f"2022-{month:02}-02")], "b"),
            ([(text(6), None)], "fg" + last),
            ([(None, text(2).upper())], "ab"),
            ([(text(1), text(1)), (text(5), text(6))], "aef"),
            ([(f"01-{datetime(2022, month, 1):%b}-70", text(1))], "a"),
            ([(f"02-{datetime(2022, month, 1):%b}-2022", text(2))], "b"),
            ([(None, None)], ALL),
            ([(None, None), (text(4), text(4))], "d"),
            ([], ALL),
        ]
        cases[f"LearningModules/{name}Dates"] = [
            ("".join(_range(f"{name}Date", *each) for each in several), found) for several, found in ranges
        ]
    return cases


# By the container of a filter: its content, and the rows that match.
FILTERS: dict[str, list[tuple[str, str]]] = {
    "EnrollmentID": [("{c}", "c"), (" 000{c}\n", "c"), ("{gone}", ""), ("{foreign}", ""), ("9" * 18, ""), ("", ALL)],
    "Groups/GroupStatus": [("Active", "abdfg"), ("Inactive", "ceh"), ("All", ALL)],
    "Groups/GroupNames": [
        ("<GroupName>North</GroupName>", "abg"),
        ("<GroupName> North\n</GroupName><GroupName>South</GroupName><GroupName>None</GroupName>", "abcegh"),
        ("<GroupName>West &amp; &lt;East></GroupName>", "df"),
        ("<GroupName><![CDATA[West & <East>]]></GroupName>", "df"),
        ("<GroupName>north</GroupName>", ""),
        ("<GroupName/>", ""),
        ("", ALL),
    ],
    "Groups/GroupTags2": [
        ("", ALL),
        ("<GroupTag2><TagName>Region &amp; é</TagName></GroupTag2>", "abdfg"),
        (
            "<GroupTag2><TagID/><TagName>Region &amp; é</TagName><TagValues>X, &lt;North&gt;</TagValues></GroupTag2>",
            "abg",
        ),
        ("<GroupTag2><TagName>Region &amp; é</TagName><TagValues>&lt;north&gt;,North</TagValues></GroupTag2>", ""),
        ("<GroupTag2><TagID>8</TagID><TagValues/></GroupTag2>", "df"),
        ("<GroupTag2><TagID>7</TagID></GroupTag2><GroupTag2><TagName>Size</TagName></GroupTag2>", "df"),
        ("<GroupTag2><TagName>Size</TagName><TagValues>10</TagValues></GroupTag2>", ""),
        ("<GroupTag2><TagID>x</TagID></GroupTag2>", ""),
        # As many as a call may have; a database needs 4 to 30 s to plan a condition for each.
        (
            "<GroupTag2><TagName>Region &amp; é</TagName><TagValues>"
            f"{','.join(map(str, range(99)))},&lt;North&gt;</TagValues></GroupTag2>" * 100,
            "abg",
        ),
    ],
    "LearningModules/LearningModule/LearningModuleStatus": [("Active", "adg"), ("Inactive", "beh"), ("Archived", "cf")],
    "LearningModules/LearningModule/LearningModuleNames": [
        ("<LearningModuleName>Fire Safety</LearningModuleName>", "adg"),
        ("<LearningModuleName>Ladders</LearningModuleName><LearningModuleName>First Aid</LearningModuleName>", "bcefh"),
        ("<LearningModuleName>Fire</LearningModuleName>", ""),
        ("", ALL),
    ],
    "LearningModules/EnrollmentStatuses": [
        *(
            (f"<EnrollmentStatus>{status}</EnrollmentStatus>", "".join(key for key in ROWS if ROWS[key][3] == status))
            for status in EnrollmentStatus
        ),
        ("<EnrollmentStatus>Enrolled</EnrollmentStatus><EnrollmentStatus>Completed</EnrollmentStatus>", "aceh"),
        ("", ALL),
    ],
    **_module_dates(),
    "Enrollments/CreatedDate": [
        ("<CreatedDateFrom>02-Jul-22</CreatedDateFrom><CreatedDateTo>03-jul-22</CreatedDateTo>", "bc"),
        ("<CreatedDateFrom>07-Jul-22</CreatedDateFrom>", "gh"),
        ("<CreatedDateTo>01-Jul-22</CreatedDateTo>", "a"),
        ("", ALL),
    ],
    "Enrollments/ModifiedDate": [
        ("<ModifiedDateFrom>02-Aug-22</ModifiedDateFrom><ModifiedDateTo>03-Aug-22</ModifiedDateTo>", "bc"),
        ("<ModifiedDateFrom>0001-01-01</ModifiedDateFrom><ModifiedDateTo>9999-12-31</ModifiedDateTo>", ALL),
        ("", ALL),
    ],
    "Users/UserStatus": [("Active", "aceg"), ("Inactive", "bdfh"), ("All", ALL)],
    "Users/UserIdentifier": [
        ("<EmailAddress>ANN@example.ORG</EmailAddress>", "ae"),
        ("<EmailAddress>dee@example.org</EmailAddress><EmailAddress>ann@example.org</EmailAddress>", "adeh"),
        ("<EmployeeID>E3</EmployeeID>", "cg"),
        ("<EmployeeID>E3</EmployeeID><EmailAddress>bob@example.org</EmailAddress>", "bcfg"),
        ("<EmployeeID>e3</EmployeeID>", ""),
        ("<EmailAddress/>", ""),
        ("", ALL),
    ],
}
CASES = [(place, content, found) for place, cases in FILTERS.items() for content, found in cases]


def _nest(contents: dict[str, str]) -> str:
    """Write contents by their places, so that those of one container stand in one element."""
    inner: dict[str, dict[str, str]] = {}
    for place, content in contents.items():
        name, _, rest = place.partition("/")
        inner.setdefault(name, {})[rest] = content
    return "".join(f"<{name}>{below[''] if '' in below else _nest(below)}</{name}>" for name, below in inner.items())


@pytest.mark.parametrize(("place", "content", "found"), CASES)
def test_each_filter_selects_exactly_its_rows(population: Population, place: str, content: str, found: str) -> None:
    assert population.find(_nest({place: content})) == found


@given(chosen=st.fixed_dictionaries({}, optional={place: st.sampled_from(cases) for place, cases in FILTERS.items()}))
@settings(max_examples=50, deadline=None)
def test_combined_filters_select_rows_that_match_all(
    population: Population, chosen: dict[str, tuple[str, str]]
) -> None:
    left = set(ALL).intersection(*(set(found) for _, found in chosen.values()))
    assert population.find(_nest({place: content for place, (content, _) in chosen.items()})) == "".join(sorted(left))


@pytest.mark.parametrize("parameters", ["", "<Filters/>", "<Columns/>", "<CustomFields/>", "<Page/><PageSize/>"])
def test_report_without_filters_is_the_whole_account_by_id(population: Population, parameters: str) -> None:
    assert population.ids(parameters) == [population.letters[letter] for letter in ALL]


def test_empty_containers_do_not_filter(population: Population) -> None:
    inner = "<Groups/><LearningModules/><Enrollments/><Users/>"
    assert population.find(inner) == ALL
    assert population.find("<LearningModules><LearningModule/></LearningModules>") == ALL


WRONG = {
    "Page": ["0", "-1", "1.5", "x", "99999999999"],
    "PageSize": ["0", "1001", "fifty", "+5"],
    "Columns": ["<ColumnName>COLOUR</ColumnName>", "<ColumnName>title</ColumnName>", "<ColumnName/>"],
    "Filters/Groups": ["North"],
    "Filters/Groups/GroupNames": ["North"],
    "Filters/Groups/GroupTags2": [
        "Region",
        "<GroupTag2/>",
        "<GroupTag2><TagName/><TagValues/></GroupTag2>",
        "<GroupTag2><TagName>Region</TagName><TagValues>,</TagValues></GroupTag2>",
        "<GroupTag2>Region</GroupTag2>",
        "<GroupTag2><TagValues>North</TagValues></GroupTag2>",
        "<GroupTag2><TagID>7</TagID><TagName>Region</TagName></GroupTag2>",
        "<GroupTag2><TagName>Region</TagName><TagName>Region</TagName></GroupTag2>",
    ],
    "Filters/EnrollmentID": ["x", "0", "-1", str(2**63)],
    "Filters/Groups/GroupStatus": ["Archived", "active", ""],
    "Filters/Users/UserStatus": ["Gone", ""],
    "Filters/LearningModules/LearningModule/LearningModuleStatus": ["All", "archived", ""],
    "Filters/LearningModules/EnrollmentStatuses": [
        "<EnrollmentStatus>Started</EnrollmentStatus>",
        "<EnrollmentStatus>Enrolled</EnrollmentStatus><EnrollmentStatus/>",
    ],
    "Filters/Enrollments/CreatedDate": [
        "<CreatedDateFrom>yesterday</CreatedDateFrom>",
        "<CreatedDateFrom>31-Jun-22</CreatedDateFrom>",
        "<CreatedDateFrom>02-Jul-22</CreatedDateFrom><CreatedDateTo>01-Jul-22</CreatedDateTo>",
        "<CreatedDateFrom>01-Jan-69</CreatedDateFrom><CreatedDateTo>01-Jan-70</CreatedDateTo>",
        "<CreatedDateTo/>",
        "<CreatedDateTo>2022-07-01 12:00:00</CreatedDateTo>",
        "<CreatedDateTo>01-Jul-22</CreatedDateTo><CreatedDateTo>01-Jul-22</CreatedDateTo>",
    ],
    **{
        f"Filters/LearningModules/{name}Dates": [
            f"<{name}Date><{name}DateTo>01/07/22</{name}DateTo></{name}Date>",
            _range(f"{name}Date", None, None) + _range(f"{name}Date", "02-Jul-22", "01-Jul-22"),
        ]
        for name in ("Completed", "Due", "Enrolled", "GracePeriod", "LastAccessed", "Started")
    },
}


@pytest.mark.parametrize(("place", "content"), [(place, each) for place, several in WRONG.items() for each in several])
def test_a_value_out_of_its_domain_is_refused(population: Population, place: str, content: str) -> None:
    assert population.error(_nest({place: content})) == "SU:12"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ("<Filters/><Filters/>", "SU:12"),
        ("<Filters><Groups><GroupTags2/><GroupTags2/></Groups></Filters>", "SU:12"),
        (f"<Columns>{'<ColumnName>TITLE</ColumnName>' * 1001}</Columns>", "SU:12"),
        ("<Sorting/>", "SU:13"),
        ("<Filters><Groups><Colour/></Groups></Filters>", "SU:13"),
        ("<Filters><LearningModules><DueDates><DueDateFrom/></DueDates></LearningModules></Filters>", "SU:13"),
        (
            "<Filters><Groups><GroupTags2><GroupTag2><TagName/><Any/></GroupTag2></GroupTags2><GroupNames><Any/></GroupNames></Groups></Filters>",
            "SU:13",
        ),
    ],
)
def test_another_structure_is_refused(population: Population, parameters: str, code: str) -> None:
    assert population.error(parameters) == code


def test_a_thousand_values_of_a_filter_and_a_hundred_ranges_are_answered(population: Population) -> None:
    many = "<EmailAddress>x@example.org</EmailAddress>" * 999 + "<EmailAddress>ann@example.org</EmailAddress>"
    ids = "<EmployeeID>x</EmployeeID>" * 1000
    ranges = _range("DueDate", "01-Jan-22", "02-Jan-22") * 99 + _range("DueDate", "01-Feb-22", "01-Feb-22")
    filters = {"Users/UserIdentifier": many + ids, "LearningModules/DueDates": ranges}
    assert population.find(_nest(filters)) == "a"


NOON = datetime(2022, 7, 1, 12, tzinfo=UTC)
# An enrollment with all values: the rows of the tables, and the report's columns.
LEARNER: dict[str, object] = {
    "given_name": "Zoë",
    "family_name": "O'Neil & <Sons>",
    "email": "zoe@example.org",
    "alternate_email": "zoe@example.com",
    "employee_id": "E-7",
    "title": "Captain",
    "division": "Rescue",
    "active": True,
}
PROGRESS: dict[str, object] = {
    "status": "In Progress",
    "progress": "42.50",
    "grade": "B+",
    "grade_percentage": "87.5",
    "points": "12",
    "completed_at": NOON + timedelta(days=1),
    "due_at": NOON + timedelta(days=2, milliseconds=120),
    "enrolled_at": NOON + timedelta(days=3, microseconds=999),
    "last_accessed_at": NOON + timedelta(days=4, microseconds=45_678),
    "started_at": NOON + timedelta(days=5, milliseconds=500),
    "created_at": NOON.replace(year=2019),
    "modified_at": NOON.replace(year=2021) + timedelta(microseconds=999_999),
}
COLUMNS = {
    "ALTERNATE_EMAIL": ("AlternateEmail", "zoe@example.com"),
    "COMPLETED_DATE": ("CompletedDate", "2022-07-02 12:00:00.0"),
    "COURSE_DURATION": ("CourseDuration", "90 min"),
    "COURSE_SESSION_ID": ("CourseSessionID", "{session}"),
    "DIVISION": ("Division", "Rescue"),
    "DUE_DATE": ("DueDate", "2022-07-03 12:00:00.12"),
    "EMPLOYEE_ID": ("EmployeeID", "E-7"),
    "ENROLLED_DATE": ("EnrolledDate", "2022-07-04 12:00:00.0"),
    "GRADE": ("Grade", "B+"),
    "GRADE_PERCENTAGE": ("GradePercentage", "87.5"),
    "GROUP_ID": ("GroupID", "{group}"),
    "GROUP_NAME": ("GroupName", "South"),
    "LAST_ACCESSED_DATE": ("LastAccessedDate", "2022-07-05 12:00:00.045"),
    "POINTS": ("Points", "12"),
    "PROGRESS": ("Progress", "42.50"),
    "ROLE_ID": ("RoleID", ""),
    "STARTED_DATE": ("StartedDate", "2022-07-06 12:00:00.5"),
    "SUBSCRIPTION_NAME": ("SubscriptionName", ""),
    "TITLE": ("Title", "Captain"),
    "USER_EMAIL": ("LearnerEmail", "zoe@example.org"),
    "VARIANT_END_DATE": ("VariantEndDate", ""),
    "VARIANT_NAME": ("VariantName", ""),
    "VARIANT_START_DATE": ("VariantStartDate", ""),
}
FIRST = [("ID", "{id}"), ("CourseName", "Ladders"), ("LastName", "O'Neil & <Sons>"), ("FirstName", "Zoë")]
LAST = [
    ("LearningModuleID", "{course}"),
    ("UserID", "{user}"),
    ("CreatedDate", "2019-07-01 12:00:00.0"),
    ("ModifiedDate", "2021-07-01 12:00:00.999"),
]


@pytest.fixture(scope="module")
def detailed(served: Served) -> Iterator[tuple[Office, dict[str, int]]]:
    """An account with the one enrollment that has everything, and the ids that its columns show."""
    campus = Campus(served.database)
    course = campus.add(courses, name="Ladders", duration="90 min", status="Active")
    ids = {
        "course": course,
        "session": campus.add(sessions, course_id=course, name="Monday"),
        "group": campus.add(groups, name="South", active=True),
        "user": campus.add(users, role="learner", **LEARNER),
    }
    ids["id"] = campus.add(enrollments, **{f"{name}_id": id_ for name, id_ in ids.items()}, **PROGRESS)
    office = Office(served, campus)
    with office.client:
        yield office, ids


def _ask_for(names: Sequence[str]) -> str:
    return f"<Columns>{''.join(f'<ColumnName> {name} </ColumnName>' for name in names)}</Columns>"


@pytest.mark.parametrize(
    "names",
    [[], *([name] for name in COLUMNS), list(COLUMNS), list(COLUMNS)[::-1], ["TITLE", "GRADE", "TITLE"]],
    ids=lambda names: "+".join(names) if len(names) < 4 else f"all from {names[0]}",
)
def test_columns_are_in_the_order_of_the_call(detailed: tuple[Office, dict[str, int]], names: list[str]) -> None:
    office, ids = detailed
    columns = [*FIRST, *(COLUMNS[name] for name in dict.fromkeys(names)), *LAST]
    assert office.rows(_ask_for(names)) == [[(name, value.format(**ids)) for name, value in columns]]


def test_a_column_without_a_value_is_an_empty_element(office: Office) -> None:
    office.campus.enroll(1)
    given = {"EnrolledDate", "GroupID", "GroupName"}
    (row,) = office.rows(_ask_for(list(COLUMNS)))
    assert {name for name, value in row[4:-4] if value} == given


def test_custom_fields_are_ignored(detailed: tuple[Office, dict[str, int]]) -> None:
    office, _ = detailed
    assert office.rows("<CustomFields><FieldName>Shoe size</FieldName></CustomFields>") == office.rows()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ('<b>&amp;</b> "it\'s" ]]>', '<b>&amp;</b> "it\'s" ]]>'),
        ("Łódź 東京 𝄞👩‍🚒", "Łódź 東京 𝄞👩‍🚒"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("bell\x07 escape\x1b \x0b\x0c\x1f\x7f", "bell escape \x7f"),
        ("no\ufffe characters\uffff", "no characters"),
    ],
)
def test_names_are_unchanged_but_for_characters_that_xml_cannot_hold(office: Office, name: str, written: str) -> None:
    user = office.campus.add(users, given_name=name, family_name=name, title=name, role="learner", active=True)
    group = office.campus.add(groups, name=name, active=True)
    course = office.campus.add(courses, name=name, status="Active")
    place = {"user_id": user, "group_id": group, "course_id": course, "enrolled_at": NOON}
    office.campus.add(enrollments, **place, status="Enrolled", progress=name)
    (row,) = office.rows(_ask_for(["TITLE", "GROUP_NAME", "PROGRESS"]))
    assert [value for _, value in row[1:7]] == [written] * 6


@pytest.mark.parametrize("size", [1, 3, 7, 60, 1000])
def test_the_pages_together_are_the_whole_report(office: Office, size: int) -> None:
    ids = office.campus.enroll(7)
    pages = [office.ids(f"<Page>{page}</Page><PageSize>{size}</PageSize>") for page in range(1, 7 // size + 3)]
    assert pages == [ids[first : first + size] for first in range(0, len(pages) * size, size)]
    assert [id_ for page in pages for id_ in page] == ids


def test_default_page_has_50_rows(office: Office) -> None:
    ids = office.campus.enroll(51)
    assert office.ids() == office.ids("<Page>1</Page>") == ids[:50]
    assert office.ids("<Page>2</Page>") == ids[50:]
    assert office.ids("<PageSize>1000</PageSize>") == ids
    assert office.ids("<Page>2147483648</Page><PageSize>1000</PageSize>") == []


def test_a_pending_learner_is_in_the_report_and_an_unenrolled_one_is_not(office: Office) -> None:
    stays, leaves = office.campus.enroll(2)
    office.campus.accept([leaves])
    assert office.ids() == [stays, leaves]
    office.campus.drain()
    assert office.ids() == [stays]


@pytest.mark.parametrize("role", ["owner", "administrator"])
def test_administrators_and_owners_may_call_the_report(office: Office, role: str) -> None:
    office.campus.enroll(1)
    answer = office.ask(user_key=getattr(office.campus, f"{role}_key"))
    assert len(answer.findall("Info/LearnerReport/Learner")) == 1


@pytest.mark.parametrize("permissions", [None, "group_manager", "manage_group_users"])
@pytest.mark.parametrize("parameters", ["", "<Page>x</Page>", "<Colour/>"])
def test_learner_may_not_call_the_report(office: Office, permissions: str | None, parameters: str) -> None:
    if permissions is not None:
        columns = {"group_manager": False, "manage_group_users": False, permissions: True}
        group = office.campus.add(groups, name="Mine", active=True)
        with office.served.database.read() as connection:
            mine = sa.and_(users.c.account_id == office.campus.account.id, users.c.email == "learner@example.org")
            learner = connection.execute(sa.select(users.c.id).where(mine)).scalar_one()
        office.campus.add(memberships, group_id=group, user_id=learner, **columns)
    assert office.error(parameters, office.campus.learner_key) == "GLR:01"


def test_report_of_any_length_takes_the_same_number_of_queries(served: Served, campus: Campus) -> None:
    columns = _ask_for(list(COLUMNS))
    filters = "<Filters><Users><UserStatus>Active</UserStatus></Users></Filters>"
    package = campus.call("getLearnerReport", f"<Report>{filters}{columns}</Report>")
    body = urlencode({"Package": package}).encode()
    headers = Headers({"content-type": "application/x-www-form-urlencoded"})

    def run() -> int:
        request = RawRequest(body, headers, Record(), copy_context())
        call = preprocess(request, KeyCache(served.database), RateLimits(served.database, {}))
        return execute(served.database, call).info.count("<Learner>")

    counts = []
    for added, learners in ((1, 1), (40, 41)):
        campus.enroll(added)
        with counted_statements() as statements:
            assert run() == learners
        counts.append(len(statements))
    assert counts == [2, 2]  # the keys and the report

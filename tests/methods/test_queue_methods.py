"""The methods of the queue over HTTPS: reading, pausing, removing, undoing, and the feed (D19, D20)."""

from collections import Counter
from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from lxml import etree

from campus import Campus, read_outcomes
from conftest import Served
from rollbook.model import EnrollmentStatus, utc_now
from rollbook.store.database.tables import enrollments, sessions
from rollbook.store.learning.purge import purge_progress

IDENTIFIER = "AccountUserLearningModuleRelID"


class Office:
    """The queue of one account, by calls."""

    def __init__(self, served: Served, campus: Campus) -> None:
        self.served = served
        self.campus = campus

    def call(self, method: str, parameters: str, **headers: str) -> etree._Element:
        answer = self.served.server.post(self.campus.call(method, parameters), headers=headers)
        assert answer.status_code == 200
        return etree.fromstring(answer.content)

    def unenroll(self, ids: Sequence[int], **headers: str) -> int:
        answer = self.served.server.post(self.campus.package(ids), headers=headers)
        return int(answer.headers["Rollbook-Batch"])

    def queue(self) -> dict[str, str]:
        answer = self.call("getUnenrollmentQueue", "<UnenrollmentQueue/>")
        return {element.tag: element.text or "" for element in answer.iterfind("Info/UnenrollmentQueue/*")}

    def batches(self, batch: int | str | None = None) -> list[etree._Element]:
        chosen = "" if batch is None else f"<BatchID>{batch}</BatchID>"
        answer = self.call("getUnenrollmentBatches", f"<UnenrollmentBatches>{chosen}</UnenrollmentBatches>")
        return answer.findall("Info/UnenrollmentBatches/UnenrollmentBatch")

    def items(self, parameters: str = "") -> list[dict[str, str]]:
        found = self.call("getUnenrollments", f"<Unenrollments>{parameters}</Unenrollments>")
        rows = found.findall("Info/Unenrollments/Unenrollment")
        assert found.find("Info/Unenrollments").get("rows") == str(len(rows))  # type: ignore[union-attr]
        return [{child.tag: child.text or "" for child in row} for row in rows]

    def change(self, method: str, ids: Sequence[int], **headers: str) -> dict[int, str]:
        """Remove or restore enrollments; return the new status or the error code by id."""
        chosen = "".join(f"<Unenrollment><{IDENTIFIER}>{id_}</{IDENTIFIER}></Unenrollment>" for id_ in ids)
        return self._outcomes(self.call(method, f"<Unenrollments>{chosen}</Unenrollments>", **headers), ids)

    def change_batch(self, method: str, batch: int, ids: Sequence[int]) -> dict[int, str]:
        """The same for a batch that was made of these ids."""
        return self._outcomes(self.call(method, f"<Unenrollments><BatchID>{batch}</BatchID></Unenrollments>"), ids)

    def _outcomes(self, answer: etree._Element, ids: Sequence[int]) -> dict[int, str]:
        changed = {e.get("block"): e.findtext("Status") for e in answer.iterfind("Info/Unenrollments/Unenrollment")}
        refused = {e.get("block"): e.findtext("ErrorID") for e in answer.iterfind("Errors/Error")}
        outcomes = changed | refused
        assert len(outcomes) == len(changed) + len(refused)
        return {ids[int(block or 0) - 1]: outcome or "" for block, outcome in outcomes.items()}


@pytest.fixture
def office(served: Served, campus: Campus) -> Office:
    return Office(served, campus)


def _rows(office: Office, ids: Sequence[int]) -> list[dict[str, object]]:
    query = sa.select(enrollments).where(enrollments.c.id.in_(ids)).order_by(enrollments.c.id)
    with office.served.database.read() as connection:
        return [row._asdict() for row in connection.execute(query)]


def _set(office: Office, ids: Sequence[int], **values: object) -> None:
    with office.served.database.write() as connection:
        connection.execute(sa.update(enrollments).where(enrollments.c.id.in_(ids)).values(**values))


def test_item_has_all_its_values(office: Office) -> None:
    (id_,) = office.campus.enroll(1, EnrollmentStatus.IN_PROGRESS)
    with office.served.database.write() as connection:
        course = sa.select(enrollments.c.course_id).where(enrollments.c.id == id_).scalar_subquery()
        session = {"account_id": office.campus.account.id, "course_id": course, "name": "Monday <1>"}
        session_id = connection.execute(sessions.insert().values(session).returning(sessions.c.id)).scalar_one()
    _set(office, [id_], session_id=session_id)
    office.campus.import_progress("ID,Progress", f"{id_},40")
    batch = office.unenroll([id_], **{"Rollbook-Reason": "caf%C3%A9 & bar"})
    (item,) = office.items()
    assert list(item) == (
        f"BatchID Block {IDENTIFIER} Status RequestedDate RequestedBy Reason Learner LearnerEmail CourseName "
        "SessionName EnrolledOrigin EnrolledDate Progress Notes DueDate FinishedDate RemovedBy RestoredDate RestoredBy"
    ).split(" ")
    expected = {
        "BatchID": str(batch),
        "Block": "1",
        IDENTIFIER: str(id_),
        "Status": "Pending",
        "Progress": "40%",
        "RequestedBy": "owner@example.org",
        "Reason": "café & bar",
        "Learner": "Some Learner",
        "CourseName": "Fire Safety",
        "SessionName": "Monday <1>",
        "EnrolledOrigin": "North",
        "FinishedDate": "",
    }
    assert {name: item[name] for name in expected} == expected
    office.campus.drain()
    (item,) = office.items()
    assert (item["Status"], item["Progress"], item["FinishedDate"] > "2000") == ("Complete", "40%", True)


def test_progress_is_a_percentage_or_the_text_that_was_written(office: Office) -> None:
    shown = {"7": "7%", "97.5": "97.5%", "80%": "80%", "Waiting for Grading": "Waiting for Grading", "1/3": "1/3"}
    ids = office.campus.enroll(len(shown))
    office.campus.import_progress("ID,Progress", *(f"{id_},{text}" for id_, text in zip(ids, shown, strict=True)))
    office.unenroll(ids)
    assert [item["Progress"] for item in office.items()] == [*shown.values()]


def test_progress_of_an_enrollment_without_one_follows_from_its_dates(office: Office) -> None:
    _, begun, done = ids = office.campus.enroll(3)
    office.campus.import_progress("ID,StartedDate,CompletedDate", f"{begun},2026-01-31,", f"{done},,2026-01-31")
    office.unenroll(ids)
    assert [item["Progress"] for item in office.items()] == ["Not Started", "0%", "100%"]


def test_every_filter_selects_its_items(office: Office) -> None:
    ids = office.campus.enroll(6)
    first, second = office.unenroll(ids[:4]), office.unenroll(ids[4:])
    office.change("removeUnenrollments", ids[:1])
    office.campus.drain()
    office.change("restoreUnenrollments", ids[1:2])

    def chosen(filters: str) -> list[int]:
        return [int(item[IDENTIFIER]) for item in office.items(f"<Filters>{filters}</Filters>")]

    assert chosen("") == ids
    assert chosen(f"<BatchID>{first}</BatchID>") == ids[:4]
    assert chosen(f"<BatchID>{second}</BatchID><Status>Complete</Status>") == ids[4:]
    assert chosen("<BatchID>x</BatchID>") == []
    assert chosen("<Status>Removed</Status><Status>Restored</Status>") == ids[:2]
    assert chosen("<Status>Pending</Status>") == []
    assert chosen("".join(f"<{IDENTIFIER}>{id_}</{IDENTIFIER}>" for id_ in (ids[5], ids[0], 2**62))) == [ids[0], ids[5]]
    today = utc_now().strftime("%d-%b-%y")
    assert chosen(f"<RequestedDateFrom>{today}</RequestedDateFrom><RequestedDateTo>{today}</RequestedDateTo>") == ids
    since = "<RequestedDateFrom>01-Jan-70</RequestedDateFrom>"
    assert chosen(f"{since}<RequestedDateTo>{utc_now():%d-%b-%Y}</RequestedDateTo>") == ids
    assert chosen("<RequestedDateTo>01-Jan-20</RequestedDateTo>") == []
    # The first and the last time of .NET, for "always".
    for start, end in (("0001-01-01", "9999-12-31"), ("0001-01-01 00:00:00", "9999-12-31 23:59:59.999")):
        always = f"<RequestedDateFrom>{start}</RequestedDateFrom><RequestedDateTo>{end}</RequestedDateTo>"
        assert chosen(always) == ids
        assert len(chosen(f"<FinishedDateFrom>{start}</FinishedDateFrom>")) == len(ids)
    moment = office.items(f"<Filters><BatchID>{second}</BatchID></Filters>")[0]["RequestedDate"]
    assert chosen(f"<RequestedDateFrom>{moment}</RequestedDateFrom>") == ids[4:]
    exactly = f"<RequestedDateFrom>{moment}</RequestedDateFrom><RequestedDateTo>{moment}</RequestedDateTo>"
    assert chosen(exactly) == ids[4:]


def test_pages_together_are_the_whole_list(office: Office) -> None:
    ids = office.campus.enroll(25)
    office.unenroll(ids)
    pages = [office.items(f"<Page>{page}</Page><PageSize>10</PageSize>") for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [10, 10, 5, 0]
    assert [int(item[IDENTIFIER]) for page in pages for item in page] == ids


@pytest.mark.parametrize(
    "parameters",
    [
        "<Filters><Status>Gone</Status></Filters>",
        "<Filters><RequestedDateFrom>yesterday</RequestedDateFrom></Filters>",
        "<Filters><RequestedDateTo>01-Jul-26</RequestedDateTo><RequestedDateFrom>02-Jul-2026</RequestedDateFrom></Filters>",
        "<Filters>Pending</Filters>",
        "<Page>0</Page>",
        "<PageSize>1001</PageSize>",
        "<After>abc</After>",
    ],
)
def test_a_filter_out_of_its_domain_is_refused(office: Office, parameters: str) -> None:
    answer = office.call("getUnenrollments", f"<Unenrollments>{parameters}</Unenrollments>")
    assert answer.findtext("Errors/Error/ErrorID") == "SU:12"


def test_a_paused_queue_accepts_and_processes_nothing_until_it_is_resumed(office: Office) -> None:
    asked = "<UnenrollmentQueue/>"
    paused = office.call("pauseUnenrollments", asked)
    assert paused.findtext("Info/UnenrollmentQueue/Paused") == "true"
    ids = office.campus.enroll(3)
    office.unenroll(ids)
    office.campus.drain()
    again = office.call("pauseUnenrollments", asked)
    path = "Info/UnenrollmentQueue/PausedDate"
    assert again.findtext(path) == paused.findtext(path) != ""
    state = office.queue()
    assert (state["Paused"], state["Pending"], state["Complete"]) == ("true", "3", "0")
    assert state["OldestPendingDate"] == office.items()[0]["RequestedDate"]
    assert int(state["OldestPendingSeconds"]) < 60
    resumed = office.call("resumeUnenrollments", asked)
    assert (resumed.findtext("Info/UnenrollmentQueue/Paused"), resumed.findtext(path)) == ("false", "")
    office.campus.drain()
    state = office.queue()
    assert (state["Pending"], state["Complete"], state["OldestPendingSeconds"]) == ("0", "3", "")


def test_remove_takes_only_pending_items(office: Office) -> None:
    pending, complete, idle = office.campus.enroll(3)
    office.unenroll([complete])
    office.campus.drain()
    batch = office.unenroll([pending])
    before = _rows(office, [pending])
    outcome = office.change("removeUnenrollments", [complete, pending, idle, 2**62], **{"Rollbook-Reason": "a mistake"})
    assert outcome == {complete: "REM:05", pending: "Removed", idle: "REM:05", 2**62: "REM:05"}
    assert _rows(office, [pending]) == before
    (item,) = office.items(f"<Filters><BatchID>{batch}</BatchID></Filters>")
    assert (item["Status"], item["RemovedBy"], item["Notes"]) == ("Removed", "owner@example.org", "a mistake")
    assert office.change_batch("removeUnenrollments", batch, [pending]) == {pending: "REM:05"}


def test_restored_enrollment_is_identical_byte_for_byte(office: Office) -> None:
    ids = office.campus.enroll(4, EnrollmentStatus.IN_PROGRESS)
    begun = "73.5,B+,12,2026-02-01 10:30:00.123,2026-03-01"
    header = "ID,Progress,Grade,Points,StartedDate,LastAccessedDate"
    office.campus.import_progress(header, *(f"{id_},{begun}" for id_ in ids))
    before = _rows(office, ids)
    batch = office.unenroll(ids)
    office.campus.drain()
    assert office.campus.current() == 0
    assert office.change("restoreUnenrollments", ids[:1]) == {ids[0]: "Restored"}
    rest = dict.fromkeys(ids[1:], "Restored")
    assert office.change_batch("restoreUnenrollments", batch, ids) == {ids[0]: "RES:05"} | rest
    assert _rows(office, ids) == before
    assert {(item["Status"], item["RestoredBy"]) for item in office.items()} == {("Restored", "owner@example.org")}
    assert office.unenroll(ids) > batch


def test_undoing_a_batch_removes_pending_items_and_restores_complete_ones(office: Office) -> None:
    office.campus.set(hold_seconds=3600)
    ids = office.campus.enroll(4)
    batch = office.unenroll(ids)
    with office.served.database.write() as connection:
        due = sa.text("UPDATE unenrollments SET due_at = requested_at WHERE batch_id = :batch AND block <= 2")
        connection.execute(due, {"batch": batch})
    office.campus.drain()
    assert Counter(office.campus.queue().values()) == {"Complete": 2, "Pending": 2}
    outcome = office.change_batch("restoreUnenrollments", batch, ids)
    assert [outcome[id_] for id_ in ids] == ["Restored", "Restored", "Removed", "Removed"]
    assert office.campus.current() == 4


def test_enrollment_is_not_restored_beside_a_newer_one(office: Office) -> None:
    old, alone = office.campus.enroll(2)
    office.unenroll([old, alone])
    office.campus.drain()
    again = _rows(office, [old])[0]
    with office.served.database.write() as connection:
        copy = {name: value for name, value in again.items() if name != "id"} | {"unenrolled_at": None}
        newer = connection.execute(enrollments.insert().returning(enrollments.c.id), copy).scalar_one()
    assert office.change("restoreUnenrollments", [old, alone]) == {old: "RES:06", alone: "Restored"}
    office.unenroll([newer])
    office.campus.drain()
    # Both have ended: of two in one call, the later one is restored.
    assert office.change("restoreUnenrollments", [old, newer]) == {old: "RES:06", newer: "Restored"}


def test_completed_enrollment_is_restored_beside_a_newer_one_made_before_the_unenrollment(office: Office) -> None:
    (completed,) = office.campus.enroll(1, EnrollmentStatus.COMPLETED)

    def enroll_again() -> int:
        row = {**_rows(office, [completed])[0], "unenrolled_at": None, "status": "Enrolled", "created_at": utc_now()}
        with office.served.database.write() as connection:
            added = enrollments.insert().values({name: value for name, value in row.items() if name != "id"})
            id_: int = connection.execute(added.returning(enrollments.c.id)).scalar_one()
        return id_

    beside = enroll_again()
    for ids in ([completed, beside], [beside, completed]):
        batch = office.unenroll(ids)
        office.campus.drain()
        assert office.change_batch("restoreUnenrollments", batch, ids) == dict.fromkeys(ids, "Restored")
    office.unenroll([completed, beside])
    office.campus.drain()
    since = enroll_again()
    assert office.change("restoreUnenrollments", [completed]) == {completed: "RES:06"}
    office.unenroll([since])
    office.campus.drain()
    assert office.change("restoreUnenrollments", [completed, since]) == {completed: "RES:06", since: "Restored"}


def test_enrollment_is_not_restored_after_retention(office: Office) -> None:
    office.campus.set(retention_days=0)
    (id_,) = office.campus.enroll(1)
    office.unenroll([id_])
    office.campus.drain()
    while purge_progress(office.served.database, utc_now(), 1000):
        pass
    assert office.change("restoreUnenrollments", [id_]) == {id_: "RES:07"}
    assert office.items()[0]["Progress"] == ""


def test_feed_has_every_change_once_in_a_stable_order(office: Office) -> None:
    ids = office.campus.enroll(30)
    seen: list[tuple[int, str]] = []
    after = ""

    def poll() -> None:
        nonlocal after
        while True:
            since = "<Filters><FinishedDateFrom>2020-01-01</FinishedDateFrom></Filters>"
            place = f"<After>{after}</After>" if after else since
            found = office.call("getUnenrollments", f"<Unenrollments><PageSize>7</PageSize>{place}</Unenrollments>")
            listed = found.find("Info/Unenrollments")
            assert listed is not None
            seen.extend((int(i.findtext(IDENTIFIER) or 0), i.findtext("Status") or "") for i in listed)
            after = listed.get("after", "")
            if not len(listed):
                return

    poll()
    assert seen == []
    office.unenroll(ids[:20])
    poll()
    assert seen == []
    office.campus.drain()
    poll()
    office.unenroll(ids[20:])
    office.change("removeUnenrollments", ids[20:22])
    office.change("restoreUnenrollments", ids[:3])
    poll()
    office.campus.drain()
    poll()
    complete = [(id_, "Complete") for id_ in ids[:20]]
    removed = [(id_, "Removed") for id_ in ids[20:22]]
    restored = [(id_, "Restored") for id_ in ids[:3]]
    assert seen == complete + removed + restored + [(id_, "Complete") for id_ in ids[22:]]


def test_batch_keeps_user_time_reason_and_every_outcome(office: Office) -> None:
    current, other = office.campus.enroll(2)
    package = office.campus.package([current, "abc", 2**62, other, current])
    answer = office.served.server.post(package, headers={"Rollbook-Reason": "term over", "Idempotency-Key": "k1"})
    batch = answer.headers["Rollbook-Batch"]
    assert read_outcomes(answer) == ["accepted", "accepted", "ULM:01", "ULM:03", "ULM:05"]
    office.change("removeUnenrollments", [other])
    office.campus.drain()
    latest = office.unenroll(office.campus.enroll(1))

    assert [row.findtext("BatchID") for row in office.batches()] == [str(latest), batch]
    (row,) = office.batches(batch)
    counts = {e.tag: e.text for e in row if (e.text or "").isdigit()}
    assert counts == {
        "BatchID": batch,
        "Pending": "0",
        "Complete": "1",
        "Removed": "1",
        "Failed": "0",
        "Restored": "0",
        "Refused": "3",
    }
    why = [row.findtext(name) for name in ("RequestedBy", "Reason", "IdempotencyKey")]
    assert why == ["owner@example.org", "term over", "k1"]
    refusals = [(e.get("block"), e.findtext(IDENTIFIER), e.findtext("ErrorID")) for e in row.iterfind("Refusal")]
    assert refusals == [("2", "abc", "ULM:01"), ("3", str(2**62), "ULM:03"), ("5", str(current), "ULM:05")]


def test_records_of_another_account_are_neither_read_nor_changed(served: Served, office: Office) -> None:
    foreign = Office(served, Campus(served.database))
    ids = foreign.campus.enroll(2)
    batch = foreign.unenroll(ids)
    assert office.items(f"<Filters><BatchID>{batch}</BatchID></Filters>") == office.items() == []
    assert office.change("removeUnenrollments", ids) == dict.fromkeys(ids, "REM:05")
    assert office.change("restoreUnenrollments", ids) == dict.fromkeys(ids, "RES:05")
    for method, code in (("removeUnenrollments", "REM:04"), ("restoreUnenrollments", "RES:04")):
        answer = office.call(method, f"<Unenrollments><BatchID>{batch}</BatchID></Unenrollments>")
        assert answer.findtext("Errors/Error/ErrorID") == code
    assert office.batches(batch) == office.batches() == []
    assert Counter(foreign.campus.queue().values()) == {"Pending": 2}

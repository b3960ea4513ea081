"""The unenroll pages: selection, preview, confirmation into one batch."""

import csv
import io
from datetime import timedelta

import httpx
import pytest
import sqlalchemy as sa

from campus import Campus
from conftest import Served, Visitors
from rollbook.model import EnrollmentStatus, utc_now
from rollbook.store.database.tables import courses, drafts, enrollments, groups, login_sessions, users
from visitor import PASSWORD, Visitor, give_password
from workbooks import write_workbook


def _choose(owner: Visitor, **fields: object) -> httpx.Response:
    owner.open("/console/unenroll")
    forms = [form for form in owner.page().forms if form.action == "/console/unenroll" and form.method == "POST"]
    assert len(forms) == 1
    owner.post("/console/unenroll", {**fields})
    return owner.follow()


def _start(owner: Visitor, **fields: object) -> str:
    path = owner.answer.url.path
    owner.submit(path, **fields)
    return path


def test_course_is_unenrolled_after_preview_reason_and_brake(served: Served, campus: Campus, owner: Visitor) -> None:
    campus.enroll(3)
    campus.enroll(1, EnrollmentStatus.COMPLETED)
    _choose(owner, in_course=campus.course_id)
    assert "Unenroll 4 enrollments?" in owner.text()
    assert "1 has completed" in owner.text()
    assert "4 of 4 in Fire Safety (100 %)" in owner.text()
    assert "already" not in owner.text()
    assert campus.queue() == {}
    path = _start(owner, reason="Term over")
    assert "Tick the box" in owner.text()
    owner.submit(path, reason="", intended="1")
    assert "Enter a reason" in owner.text()
    assert campus.queue() == {}
    owner.submit(path, reason="Term over", intended="1")
    batch = owner.answer.url.path
    assert batch.startswith("/console/batches/")
    assert "Term over" in owner.text()
    _choose(owner, in_course=campus.course_id)
    assert "4 enrollments are in the queue already" in owner.text()
    campus.drain()
    owner.open(path)
    owner.follow()
    assert owner.answer.url.path == batch
    assert campus.current() == 0


def test_preview_names_the_courses_that_a_group_of_the_learners_auto_enrolls(campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(3)
    _choose(owner, in_course=campus.course_id)
    assert "auto-enroll" not in owner.text()
    campus.auto_enroll(*ids[:2])
    _choose(owner, in_course=campus.course_id)
    assert "Fire Safety is an auto-enroll course of a group of 2 learners selected." in owner.text()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [({"status": ["Completed"]}, 1), ({"status": ["Completed", "Enrolled"]}, 3)],
)
def test_status_narrows_the_selection_and_the_preview_shows_it(
    campus: Campus, owner: Visitor, choice: dict[str, list[str]], expected: int
) -> None:
    campus.enroll(2)
    campus.enroll(1, EnrollmentStatus.COMPLETED)
    campus.enroll(1, EnrollmentStatus.OVERDUE)
    other = campus.add(courses, name="Another", status="Active")
    _choose(owner, in_course=[campus.course_id, other], **choice)
    said = owner.text()
    assert f"Unenroll {expected} enrollment" in said
    facts = {fact.findtext("dt"): fact.findtext("dd") for fact in owner.page().xpath("//dl[@class='facts']/div")}
    assert facts == {"Courses": "Another, Fire Safety", "Groups": "all", "Statuses": ", ".join(choice["status"])}


@pytest.mark.parametrize(
    "choice", [{"in_group": "0"}, {"in_group": "x"}, {"status": "Done"}, {"in_course": "99999999"}]
)
def test_invalid_selection_is_refused_and_never_widened(campus: Campus, owner: Visitor, choice: dict[str, str]) -> None:
    campus.enroll(2)
    _choose(owner, **{"in_course": [campus.course_id], **choice})
    assert owner.answer.status_code == 422
    assert any(said in owner.text() for said in ("not exist", "is not a status", "is not a number"))


def test_find_keeps_the_selection(campus: Campus, owner: Visitor) -> None:
    campus.enroll(2)
    names = [f"Course {number:03}" for number in range(60)]
    ids = [campus.add(courses, name=name, status="Active") for name in names]
    sent = {"in_course": ids[55], "in_group": campus.group_id, "status": "Overdue"}
    owner.open("/console/unenroll")
    owner.post("/console/unenroll", {"find": "1", "course": "Course 03", "group": "", **sent})
    assert owner.answer.status_code == 200
    boxes = owner.page().xpath("//input[@name='in_course']")
    assert {box.get("value") for box in boxes} == {str(id_) for id_ in [ids[3], ids[55], *ids[30:40]]}
    ticked = owner.page().xpath("//input[@type='checkbox' and @checked]")
    assert [box.get("value") for box in ticked] == [str(ids[55]), str(campus.group_id), "Overdue"]
    owner.post("/console/unenroll", {"course": "Course 03", **sent})
    assert "No current enrollment matches" in owner.text()
    assert len(owner.page().xpath("//input[@type='checkbox' and @checked]")) == 3


def test_find_keeps_the_list_and_its_file_and_only_one_of_the_two_forms_counts(campus: Campus, owner: Visitor) -> None:
    pasted = "\n".join(campus.enroll_named(3))
    form = {"ids": pasted, "of_course": "Fire Safety", "of_group": "north", "of_status": "Enrolled"}
    for number in range(60):
        campus.add(courses, name=f"Course {number:03}", status="Active")
    file = {"file": ("leaving.csv", b"ID\n1\n", "text/csv")}
    url = f"{owner.origin}/console/unenroll"
    owner.answer = owner.client.post(url, data={**form, "find": "1"}, files=file, headers=owner.said())
    assert owner.answer.status_code == 200
    assert "leaving.csv is still here" in owner.text()
    again = dict(owner.page().forms[-1].form_values())
    assert {name: again[name] for name in form} == form
    owner.submit("/console/unenroll", find="1", course="Course 03")
    assert "leaving.csv is still here" in owner.text()
    assert owner.page().xpath("//textarea")[0].value == pasted
    owner.submit("/console/unenroll", drop_file="1", status="Enrolled")
    assert "Both forms are filled in, and only one of them counts. Clear the other." in owner.text()
    owner.submit("/console/unenroll", status=[], in_course=campus.course_id)
    assert "Select courses or groups, or else give ids: one of the two." in owner.text()
    owner.submit("/console/unenroll", ids="")
    assert "Both forms are filled in" in owner.text()
    owner.submit("/console/unenroll", of_course="", of_group="", of_status=[])
    assert "Unenroll 3 enrollments?" in owner.text()


def _change_selection(owner: Visitor) -> None:
    [again] = owner.page().xpath("//a[normalize-space()='Change selection']/@href")
    owner.open(again)


@pytest.mark.parametrize("by_list", [True, False])
def test_change_selection_shows_what_was_ticked_or_pasted(campus: Campus, owner: Visitor, by_list: bool) -> None:
    pasted = "\n".join(campus.enroll_named(3))
    form = {"ids": pasted, "of_course": "Fire Safety", "of_group": "north", "of_status": "Enrolled"}
    _choose(owner, **(form if by_list else {"in_course": campus.course_id}))
    assert "Unenroll 3 enrollments?" in owner.text()
    _change_selection(owner)
    ticked = owner.page().xpath("//input[@type='checkbox' and @checked]/@value")
    assert ticked == (["Enrolled"] if by_list else [str(campus.course_id)])
    again = dict(owner.page().forms[-1].form_values())
    assert {name: again.get(name, "") for name in form} == (form if by_list else dict.fromkeys(form, ""))


def test_uploaded_file_stays_after_a_mistake_and_after_change_selection(campus: Campus, owner: Visitor) -> None:
    named = campus.enroll_named(3)
    campus.enroll(9)
    people = [*named, "who@example.org"]
    rows = [["E-mail", "Course"], *([person, "Fire Safety"] for person in people)]
    data = write_workbook({"People": rows, "Ids": [["ID"], [str(named[people[0]])]]})
    said = _upload(owner, "leaving.xlsx", data)
    assert "row 5: 'who@example.org' is the e-mail of no learner" in said
    assert "leaving.xlsx is still here" in said
    owner.submit_last("/console/unenroll", skip_bad_rows="1")
    assert "Unenroll 3 enrollments?" in owner.text()
    assert "A list of 3 ids: leaving.xlsx, sheet People (the first of 2), column E-mail" in owner.text()
    _change_selection(owner)
    assert "leaving.xlsx is still here" in owner.text()
    owner.submit_last("/console/unenroll", sheet="Ids")
    assert "Unenroll 1 enrollment?" in owner.text()
    _change_selection(owner)
    owner.submit_last("/console/unenroll", sheet="", drop_file="1", ids=people[2], of_course="Fire Safety")
    assert "Unenroll 1 enrollment?" in owner.text()
    assert people[2] in owner.text()
    _change_selection(owner)
    assert "still here" not in owner.text()
    path = owner.answer.url.path
    with campus.database.write() as connection:
        connection.execute(drafts.update().values(created_at=utc_now() - timedelta(days=2)))
    owner.post(path, {"kept": "1", "ids": ""})
    assert "The file is not kept any longer. Select it again." in owner.text()


def test_group_and_status_narrow_a_list_and_the_preview_counts_the_rest(campus: Campus, owner: Visitor) -> None:
    named = campus.enroll_named(4)
    ids = [*named.values()]
    south = campus.add(groups, name="South", active=True)
    with campus.database.write() as connection:
        connection.execute(enrollments.update().where(enrollments.c.id.in_(ids[1:])).values(group_id=south))
    campus.import_progress("ID,EnrollmentStatus", f"{ids[3]},Completed")
    pasted = {"ids": "\n".join(named), "of_course": "Fire Safety"}
    _choose(owner, **pasted, of_group="south", of_status=["Enrolled", "Overdue"])
    assert "Unenroll 2 enrollments?" in owner.text()
    assert "a plain list by e-mail, in 'Fire Safety'; 2 left out by group or status" in owner.text()
    facts = {fact.findtext("dt"): fact.findtext("dd") for fact in owner.page().xpath("//dl[@class='facts']/div")}
    assert (facts["Groups"], facts["Statuses"]) == ("South", "Enrolled, Overdue")
    again = campus.add(
        enrollments,
        user_id=campus.user_id([*named][3]),
        course_id=campus.course_id,
        group_id=south,
        enrolled_at=utc_now(),
        status="Overdue",
    )
    _choose(owner, **pasted)
    assert f"has 2 enrollments in this course: name one by its id ({ids[3]}, {again})" in owner.text()
    _choose(owner, **pasted, of_status="Overdue")
    assert "Unenroll 1 enrollment?" in owner.text()
    assert "3 left out by group or status" in owner.text()
    _choose(owner, **pasted, of_status="Warning")
    assert "No current enrollment matches" in owner.text()
    _choose(owner, **pasted, of_group="Sout")
    assert "No group is named “Sout”. Is it 'South'?" in owner.text()
    _choose(owner, **pasted, of_status="Done")
    assert "“Done” is not a status" in owner.text()


def test_list_of_ids_becomes_one_batch_however_often_it_is_confirmed(
    served: Served, campus: Campus, owner: Visitor
) -> None:
    ids = campus.enroll(1230)
    campus.enroll(1300)
    strange = Campus(served.database).enroll(1)
    _choose(owner, ids="\n".join(map(str, [*ids, ids[0], *strange])))
    assert "Unenroll 1,230 enrollments?" in owner.text()
    assert "1 id is not a current enrollment" in owner.text()
    path = owner.answer.url.path
    answers = [owner.post(path, {"reason": reason}) for reason in ("Term over", "Again")]
    assert len({answer.headers["Location"] for answer in answers}) == 1
    owner.follow()
    assert [fact.text for fact in owner.page().xpath("//dd[@class='big']")] == ["1,230", "1"]
    batch = owner.answer.url.path
    owner.open(f"{batch}/items.csv")
    assert owner.answer.text.count("Pending") == 1230
    assert f"{strange[0]},Refused" in owner.answer.text
    owner.open("/console/account/audit")
    assert "accepted 1,230" in owner.text() or "accepted 1230" in owner.text()
    owner.open(f"{batch}/undo")
    owner.submit(f"{batch}/undo", reason="The wrong list")
    assert [fact.text for fact in owner.page().xpath("//dd[@class='big']")] == ["1,230", "1"]
    owner.open(f"{batch}/items.csv")
    assert owner.answer.text.count("Removed") == 1231  # one of them in the header


def test_confirmation_with_every_item_refused_is_an_error(campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(2)
    campus.enroll(2)
    _choose(owner, ids="\n".join(map(str, ids)))
    path = owner.answer.url.path
    campus.accept(ids)
    owner.submit(path, reason="Term over")
    assert owner.answer.status_code == 422
    assert "None of these can be unenrolled any more" in owner.text()


def test_only_the_author_of_a_selection_can_confirm_it(campus: Campus, visitors: Visitors, owner: Visitor) -> None:
    campus.enroll(2)
    _choose(owner, in_course=campus.course_id)
    give_password(campus, "administrator@example.org")
    other = visitors()
    other.sign_in(campus, "administrator@example.org")
    path = owner.answer.url.path
    other.open(path)
    assert "Only owner@example.org, who made this selection, can confirm it." in other.text()
    assert other.post(path, {"reason": "Mine", "intended": "1"}).status_code == 403
    assert campus.queue() == {}


def test_uploaded_csv_is_read_by_its_id_column(campus: Campus, owner: Visitor) -> None:
    ids = campus.enroll(3)
    campus.enroll(9)
    owner.open("/console/unenroll")
    lines = "\ufeffname,ID\r\n" + "".join(f'"a, b",{id_}\r\n' for id_ in ids)
    upload = {"file": ("ids.csv", lines.encode(), "text/csv")}
    url = f"{owner.origin}/console/unenroll"
    owner.answer = owner.client.post(url, data={"ids": ""}, files=upload, headers=owner.said())
    owner.follow()
    assert "Unenroll 3 enrollments?" in owner.text()


def _upload(owner: Visitor, name: str, data: bytes, **fields: str) -> str:
    owner.open("/console/unenroll")
    url = f"{owner.origin}/console/unenroll"
    owner.answer = owner.client.post(
        url, data={"ids": "", **fields}, files={"file": (name, data, "text/csv")}, headers=owner.said()
    )
    owner.follow()
    return owner.text()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("998\r\n999\r\n1,000\r\n", "line 3: '1,000' has a thousands separator"),
        ("1,001\n1,002\n1,003\n", "line 1: '1,001' has a thousands separator"),
        ('ID,Note\r\n2001,"left\r\n2002,x\r\n', "leaving.csv, line 2: a quotation mark opens there"),
        ("ID,EnrollmentID\n1,2\n", "Name the one of ids or e-mails with the field “Column”"),
        ("PK\x03\x04", "leaving.csv is not a workbook (.xlsx) that can be read"),
    ],
    ids=["thousands", "thousands_everywhere", "open_quote", "two_columns", "workbook"],
)
def test_unclear_list_of_ids_is_refused_by_line_and_value(owner: Visitor, data: str, sentence: str) -> None:
    assert sentence in _upload(owner, "leaving.csv", data.encode())
    assert owner.answer.status_code == 422


def test_id_column_can_be_named_and_rows_without_id_skipped(campus: Campus, owner: Visitor) -> None:
    a, b = campus.enroll(2)
    campus.enroll(9)
    data = f"Nummer;Name\n{a};Ada\n1,000;Bo\n{b};Cy\n".encode()
    assert "It has: Nummer, Name." in _upload(owner, "leaving.csv", data)
    assert "1 without an id, so nothing was selected" in _upload(owner, "leaving.csv", data, column="Nummer")
    said = _upload(owner, "leaving.csv", data, column="Nummer", skip_bad_rows="1")
    assert "Unenroll 2 enrollments?" in said
    assert "A list of 2 ids: leaving.csv, column Nummer. Left out: 1 bad row" in said


def test_list_of_people_is_selected_and_each_one_without_one_enrollment_named(campus: Campus, owner: Visitor) -> None:
    named = campus.enroll_named(1205)
    campus.enroll(1300)
    people = [*named]
    other = campus.add(courses, name="First Aid", status="Active")
    place = {"group_id": campus.group_id, "enrolled_at": utc_now(), "status": "Enrolled"}
    user_id = campus.user_id(people[0])
    campus.import_progress("ID,EnrollmentStatus", f"{named[people[1]]},Completed")
    campus.add(enrollments, user_id=campus.user_id(people[1]), course_id=campus.course_id, **place)
    lines = [f"{people[0].upper()},Fire Safety", f"{people[0]},First Aid", "who@example.org,Fire Safety"]
    lines += [f"{people[1]},Fire Safety", f"{people[2]},Fire Safty", ",Fire Safety", f"{people[3]},"]
    lines += [f"{person},Fire Safety" for person in people[4:]]
    data = ("Group,E-Mail address,Course\n" + "".join(f"North,{line}\n" for line in lines)).encode()
    said = _upload(owner, "leaving.csv", data)
    assert "6 without exactly one enrollment, so nothing was selected" in said
    for mistake in (
        f"line 3: '{people[0]}' is not enrolled in 'First Aid', but in 'Fire Safety'",
        "line 4: 'who@example.org' is the e-mail of no learner",
        f"line 5: '{people[1]}' has 2 enrollments in this course: name one by its id ({named[people[1]]}, ",
        f"line 6: '{people[2]}' is not enrolled in 'Fire Safty'. Is it 'Fire Safety'?",
        "line 7: 'North,,Fire Safety' lacks the e-mail",
        f"line 8: '{people[3]}' lacks the course",
    ):
        assert mistake in said
    said = _upload(owner, "leaving.csv", data, skip_bad_rows="1")
    assert "Unenroll 1,202 enrollments?" in said
    assert "6 bad rows are left out" in said
    assert "line 4: 'who@example.org' is the e-mail of no learner" in said
    campus.add(enrollments, user_id=user_id, course_id=other, **place)
    _choose(owner, ids=f"{people[0]}\n{people[5]}", of_course="First Aid")
    assert f"line 2: '{people[5]}' is not enrolled in 'First Aid', but in 'Fire Safety'" in owner.text()
    assert "1 without exactly one enrollment" in owner.text()


def test_people_need_one_course_and_employee_ids_are_told_by_name_or_choice(campus: Campus, owner: Visitor) -> None:
    named = campus.enroll_named(3)
    campus.enroll(9)
    with campus.database.read() as connection:
        mine = sa.select(users.c.employee_id).where(users.c.email.in_(named)).order_by(users.c.employee_id)
        numbers = [str(number) for number in connection.execute(mine).scalars()]
    _choose(owner, ids="\n".join(named))
    assert "names learners by e-mail and no course. Name the column of their courses Course, or" in owner.text()
    _choose(owner, ids="12", of_course="Fire Safety")
    assert "leave the field “Course” empty" in owner.text()
    _choose(owner, ids="Email,Course\n" + ",Fire Safety\n".join(named), of_course="Fire Safety")
    assert "has a column Course. Leave the field “Course” out" in owner.text()
    _choose(owner, ids="Email,Employee ID\n" + f"{next(iter(named))},{numbers[0]}\n", of_course="Fire Safety")
    assert "2 columns that name learners: Email and Employee ID. Name one with the field “Column”." in owner.text()
    for fields in (
        {"ids": "\n".join(named), "of_course": "Fire Safety"},
        {"ids": "\n".join(numbers), "of_course": "Fire Safety", "by": "employee-id"},
        {"ids": "Name,Nr\n" + "".join(f"Ann,{number}\n" for number in numbers), "column": "nr", "by": "employee-id"}
        | {"of_course": "Fire Safety"},
        {"ids": "Employee_ID;CourseID\n" + "".join(f"{number};{campus.course_id}\n" for number in numbers)},
    ):
        _choose(owner, **fields)
        assert "Unenroll 3 enrollments?" in owner.text(), owner.text()


def test_invalid_ids_are_named_and_nothing_is_selected(campus: Campus, owner: Visitor) -> None:
    _choose(owner, ids="12, 1x3 -4 99999999999999999999")
    assert owner.answer.status_code == 422
    assert "3 without an id, so nothing was selected" in owner.text()
    assert "line 1: '1x3' is not an id" in owner.text()
    assert "line 1: '-4' is not an id: ids begin at 1" in owner.text()
    assert "line 1: '99999999999999999999' is larger than any id" in owner.text()
    assert "1x3" in owner.page().xpath("//textarea")[0].text


def test_idor_draft_of_another_account_is_not_found(served: Served, campus: Campus, owner: Visitor) -> None:
    campus.enroll(1)
    other = Campus(served.database)
    other.enroll(1)
    _choose(owner, in_course=other.course_id)
    assert "1 of the selected courses does not exist" in owner.text()
    _choose(owner, in_course=campus.course_id)
    path = owner.answer.url.path
    with served.database.write() as connection:
        connection.execute(drafts.update().values(account_id=other.account.id))
    assert owner.open(path).status_code == 404
    assert owner.post(path, {"reason": "Mine", "intended": "1"}).status_code == 404


def test_preview_shows_the_undo_term_and_counts_progress_only_where_a_selected_enrollment_has_some(
    campus: Campus, owner: Visitor
) -> None:
    def counts() -> str:
        return owner.text().lower().partition("name, e-mail or employee id")[0]

    ids = campus.enroll(4)
    _choose(owner, in_course=campus.course_id)
    assert "this can be undone at any time" in owner.text()
    assert "started" not in counts()
    assert "completed" not in counts()
    campus.set(retention_days=1)
    assert "kept for 1 day after an item is processed: this can be undone" in owner.open(owner.answer.url.path).text
    campus.set(retention_days=0)
    assert "once an item is processed, it cannot be undone" in owner.open(owner.answer.url.path).text
    campus.import_progress("ID,Progress,StartedDate", f"{ids[0]},20,", f"{ids[1]},0,", f"{ids[2]},,2026-02-01")
    _choose(owner, ids=f"{ids[1]} {ids[3]}")
    assert "started" not in counts()
    _choose(owner, in_course=campus.course_id)
    assert "2 learners have started, 0 have completed" in owner.text()


def test_preview_names_every_learner_and_the_plan_as_csv_says_what_happens_to_each(
    campus: Campus, owner: Visitor
) -> None:
    named = campus.enroll_named(230)
    campus.enroll(300)
    people, ids = [*named], [*named.values()]
    campus.set(protect_completed=True)
    campus.import_progress("ID,EnrollmentStatus,Progress", f"{ids[1]},Completed,100", f"{ids[2]},In Progress,40")
    campus.accept(ids[:1])
    campus.auto_enroll(ids[3])
    _choose(owner, ids="\n".join(map(str, [*ids[:4], 999999999, *ids[4:]])))
    path = owner.answer.url.path

    def rows() -> list[list[str]]:
        found = owner.page().xpath("//section[@id='learners']//tbody/tr")
        return [[" ".join(" ".join(cell.itertext()).split()) for cell in row] for row in found]

    assert [row[0].split()[-1] for row in rows()[:4]] == people[:4]
    assert [(row[3], row[4], row[5]) for row in rows()[:6]] == [
        ("Enrolled", "Not Started", "Refused: in the queue already"),
        ("Completed", "100%", "Refused: completed enrollments are protected"),
        ("In Progress", "40%", "Unenrolled"),
        ("Enrolled", "Not Started", "Unenrolled, not auto-enrolled again"),
        (*["\N{EN DASH}"] * 2, "Refused: not a current enrollment"),
        ("Enrolled", "Not Started", "Unenrolled"),
    ]
    [after] = owner.page().xpath("//a[@rel='next']/@href")
    owner.open(after)
    assert [len(rows()), rows()[0][-1]] == [100, str(ids[99])]
    for part, found in ((people[7].upper(), 1), ("some LEARN", 100), ("nobody", 0)):
        owner.open(path, q=part)
        assert len(rows()) == found
    owner.open(f"{path}/plan.csv")
    plan = list(csv.DictReader(io.StringIO(owner.answer.text)))
    assert [row["AccountUserLearningModuleRelID"] for row in plan] == [
        *map(str, ids[:4]),
        "999999999",
        *map(str, ids[4:]),
    ]
    assert [row["E-mail"] for row in plan if row["E-mail"]] == people
    assert sum(row["Outcome"].startswith("Unenrolled") for row in plan) == 228
    assert campus.queue() == {ids[0]: "Pending"}


def test_confirmation_after_the_session_ended_returns_to_the_preview(
    served: Served, campus: Campus, owner: Visitor, visitors: Visitors
) -> None:
    campus.enroll(1)
    _choose(owner, in_course=campus.course_id)
    path = owner.answer.url.path
    with served.database.write() as connection:
        connection.execute(login_sessions.delete().where(login_sessions.c.account_id == campus.account.id))
    owner.post(path, {"reason": "Term over", "intended": "1"})
    owner.follow()
    assert "Sign in to continue." in owner.text()
    give_password(campus, "administrator@example.org")
    form = {"account": campus.name, "password": PASSWORD}
    other = visitors()
    other.open("/console/sign-in", next=path)
    other.submit("/console/sign-in", **form, email="administrator@example.org")
    assert "Only owner@example.org, who made this selection, can confirm it." in other.text()
    owner.submit("/console/sign-in", **form, email="owner@example.org")
    assert owner.answer.url.path == path
    assert "Unenroll 1 enrollment?" in owner.text()
    assert owner.page().xpath("//input[@name='reason']/@value") == ["Term over"]
    assert campus.queue() == {}
    owner.submit(path)
    assert set(campus.queue().values()) == {"Pending"}


def test_list_that_is_sent_after_the_session_ended_is_there_after_signing_in(
    served: Served, campus: Campus, owner: Visitor
) -> None:
    pasted = "\n".join(campus.enroll_named(3))
    with served.database.write() as connection:
        connection.execute(login_sessions.delete().where(login_sessions.c.account_id == campus.account.id))
    owner.post("/console/unenroll", {"ids": pasted, "of_course": "Fire Safety", "of_status": ["Enrolled", "Overdue"]})
    owner.follow()
    form = {"account": campus.name, "password": PASSWORD, "email": "owner@example.org"}
    owner.submit("/console/sign-in", **form)
    assert owner.answer.url.path == "/console/unenroll"
    owner.submit_last("/console/unenroll")
    assert "Unenroll 3 enrollments?" in owner.text()
    assert "Enrolled, Overdue" in owner.text()


def test_form_without_a_page_redirects_to_sign_in_without_its_fields(owner: Visitor) -> None:
    owner.client.cookies.clear()
    for path in ("/console/queue/pause", "/console/account/password", "/console/account/users/1/password"):
        owner.post(path, {"old": "secret", "email": "owner@example.org"})
        assert owner.answer.headers["Location"] == "/console/sign-in"

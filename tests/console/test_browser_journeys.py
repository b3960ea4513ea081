"""An administrator's work in a real browser: with and without scripts, and with the keyboard alone."""

import html
import itertools
import re
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import FilePayload, expect

from campus import Campus
from console_browser import DESKTOP, RULES, Running, Tab, Tabs
from console_school import COURSES, NUMBERS, School
from rollbook.model import utc_now
from rollbook.store.database.tables import courses, enrollments, external_authorizations, users
from rollbook.store.people.emails import folded
from rosters import changed, pack
from visitor import give_password

_numbers = itertools.count(1)
LONG = "Wolfeschlegelsteinhausenbergerdorff" * 2

# Makes pages refresh ten times as often.
_HURRY = "const every = window.setTimeout; window.setTimeout = (task, delay) => every(task, delay / 10);"

SPRING = COURSES[0]
# Whether the focused element has a visible outline inside the window.
_FOCUS = """() => {
    const here = document.activeElement, style = getComputedStyle(here), box = here.getBoundingClientRect();
    const name = here.getAttribute("aria-label") || here.labels?.[0]?.innerText || here.innerText || here.id;
    const seen = parseFloat(style.outlineWidth) >= 2 && style.outlineStyle !== "none";
    return {name: name.trim(), tag: here.tagName, seen, inside: box.bottom > 0 && box.top < innerHeight};
}"""


def _new_school(running: Running) -> School:
    return School(running.database, f"Academy {next(_numbers)}")


def _progress_of_all(school: School) -> list[tuple[object, ...]]:
    """Return every column of every enrollment, which an undo has to restore."""
    mine = sa.select(enrollments).where(enrollments.c.account_id == school.account.id)
    with school.database.read() as connection:
        return [tuple(row) for row in connection.execute(mine.order_by(enrollments.c.id))]


@pytest.mark.parametrize(("running", "script"), [("postgresql", True), ("sqlite", False)], indirect=["running"])
def test_500_people_are_unenrolled_two_items_removed_the_rest_undone(
    running: Running, tabs: Tabs, *, script: bool
) -> None:
    school = _new_school(running)
    crowd = _add_people(school, 470)
    before = _progress_of_all(school)
    tab = tabs(java_script_enabled=script)
    tab.page.add_init_script(_HURRY)
    tab.sign_in(school)
    tab.click("Pause")
    expect(tab.page.get_by_role("heading", name="Paused")).to_be_visible()
    _unenroll_500_people(tab, crowd, script=script)
    _wait_for(tab, "End of spring")
    assert len(school.queue()) == 490
    assert _fits_a_phone(tab)

    tab.click("Queue")
    for name in ("Learner Two", "Learner Three"):
        tab.page.get_by_role("checkbox", name=f"Select {name}, {SPRING}").check()
    tab.click("Remove selected items…")
    tab.page.get_by_label("Reason").fill("They asked to stay")
    tab.click("Remove 2 items")
    _wait_for(tab, "2 items removed from the queue")
    tab.click("Resume")
    expect(tab.page.get_by_role("heading", name="Running")).to_be_visible()
    _wait_for(tab, "No pending items.")
    assert school.current() == len(before) - 488

    tab.click("Undo batch…")
    _wait_for(tab, "488 enrollments are restored")
    tab.page.get_by_label("Reason for the undo").fill("The course goes on")
    tab.click("Undo 488 items")
    _wait_for(tab, "488 enrollments restored, with")
    assert _progress_of_all(school) == before

    tab.click("Learner One")
    history = tab.page.get_by_role("region", name="History").inner_text()
    assert re.search(r"restored.*owner@example\.org\s+The course goes on", history, re.DOTALL | re.IGNORECASE), history
    assert re.search(r"unenrolled.*owner@example\.org\s+End of spring", history, re.DOTALL | re.IGNORECASE), history


def _add_people(school: School, count: int) -> list[str]:
    """Add people to the spring course, the first with a very long name and e-mail; return their e-mails."""
    school.course_id = school.course_ids[0]
    people = [*school.enroll_named(count)]
    email = f"{LONG.lower()}@example.org"
    values = {"given_name": LONG, "family_name": LONG, "email": email, **folded(email)}
    with school.database.write() as connection:
        connection.execute(users.update().where(users.c.id == school.user_id(people[0])).values(values))
    return [email, *people[1:]]


def _unenroll_500_people(tab: Tab, crowd: list[str], *, script: bool) -> None:
    """Unenroll people by a file of 500 lines with eight mistakes and two repetitions."""
    people = [f"Learner.{number}@example.org" for number in NUMBERS] + crowd
    lines = [f"{person},{SPRING}" for person in people]
    lines[3:3] = [f"gone.{number}@example.org,{SPRING}" for number in range(3)] + [f"learner.one@@example.org,{SPRING}"]
    lines[9:9] = ["learner.one@example.org,Fire Safety", f"{crowd[0]},First Aid (spring)"]
    lines += [f",{SPRING}", f"{crowd[1]},", f"{crowd[2]},{SPRING}", f"{crowd[3].upper()},{SPRING}"]
    assert len(lines) == 500
    data = "\n".join(["Email,Course", *lines]).encode()
    tab.click("Unenroll")
    tab.refusals = 1
    leaving = FilePayload(name=f"{LONG}.csv", mimeType="text/csv", buffer=data)
    tab.page.get_by_label("Or a file").set_input_files(leaving)
    tab.page.get_by_role("button", name="Preview").last.click()
    refusal = tab.page.get_by_role("alert")
    expect(refusal).to_contain_text("8 without exactly one enrollment, so nothing was selected")
    for mistake in (
        "line 5: 'gone.0@example.org' is the e-mail of no learner",
        "line 8: 'learner.one@@example.org' is the e-mail of no learner",
        "line 11: 'learner.one@example.org' is not enrolled in 'Fire Safety'. Is it 'Fire Safety",
        "is not enrolled in 'First Aid (spring)'",
        f"line 498: ',{SPRING}' lacks the e-mail",
        f"line 499: '{crowd[1]}' lacks the course",
    ):
        expect(refusal).to_contain_text(mistake)
    _check_page(tab, script=script)
    tab.page.get_by_role("checkbox", name="Skip bad rows").check()
    tab.page.get_by_role("button", name="Preview").last.click()
    _wait_for(tab, "Unenroll 490 enrollments?")
    _wait_for(tab, "8 bad rows are left out")
    assert re.search(r"repeated ids, counted once: \d+ \(line 500\), \d+ \(line 501\)", tab.text())
    tab.page.get_by_label("Name, e-mail or employee id").fill("learner.twenty@")
    tab.click("Find")
    expect(tab.page.get_by_role("region", name="Learners").get_by_role("rowheader")).to_have_count(1)
    expect(tab.page.get_by_role("rowheader", name="Learner Twenty")).to_be_visible()
    tab.page.get_by_label("Name, e-mail or employee id").fill(LONG)
    tab.click("Find")
    expect(tab.page.get_by_role("rowheader", name=LONG)).to_be_visible()
    _check_page(tab, script=script)
    tab.page.get_by_label("Reason").fill("End of spring")
    tab.page.get_by_role("checkbox", name="I intend to unenroll this share.").check()
    tab.click("Unenroll 490 enrollments")


def _check_page(tab: Tab, *, script: bool) -> None:
    assert _fits_a_phone(tab)
    if script:
        assert tab.check(RULES) == []


def _fits_a_phone(tab: Tab) -> bool:
    tab.page.set_viewport_size({"width": 390, "height": 800})
    width = tab.page.evaluate("document.documentElement.scrollWidth")
    tab.page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    return bool(width <= 390)


@pytest.mark.parametrize(("running", "script"), [("sqlite", True), ("postgresql", False)], indirect=["running"])
def test_courses_found_one_after_another_stay_ticked_and_can_be_taken_out(
    running: Running, tabs: Tabs, *, script: bool
) -> None:
    campus = Campus(running.database)
    give_password(campus)
    stamp = {"account_id": campus.account.id, "status": "Active", "created_at": utc_now(), "modified_at": utc_now()}
    names = [f"Course {number:04} {LONG}" for number in range(1500)]
    with running.database.write() as connection:
        connection.execute(courses.insert(), [{"name": name, **stamp} for name in names])
    course = sa.select(courses.c.id).where(courses.c.account_id == campus.account.id, courses.c.name == names[777])
    with running.database.read() as connection:
        campus.course_id = connection.execute(course).scalar_one()
    campus.enroll(2)
    tab = tabs(java_script_enabled=script)
    tab.sign_in(campus)
    tab.click("Unenroll")
    pasted = tab.page.get_by_label("Ids of enrollments, e-mails or employee ids")
    pasted.fill("who@example.org")
    for part, ticked in (("Course 012", names[123]), ("Course 077", names[777]), ("Course 149", names[1499])):
        tab.page.get_by_label("Course name contains").fill(part)
        tab.click("Find")
        tab.page.get_by_role("checkbox", name=ticked).check()
    _check_page(tab, script=script)
    tab.click("Find")
    expect(pasted).to_have_value("who@example.org")
    of_course, tab.refusals = tab.page.get_by_role("combobox", name="Course", exact=True), 1
    of_course.fill(names[777])
    of_course.press("Enter")
    if script:  # without one, Enter finds
        expect(tab.page.get_by_role("alert")).to_contain_text("one of the two")
    expect(of_course).to_have_value(names[777])
    of_course.fill("")
    pasted.fill("")
    chosen = tab.page.get_by_role("group", name="Selected courses")
    assert chosen.get_by_role("checkbox").count() == 3
    chosen.get_by_role("checkbox", name=names[123]).uncheck()
    tab.page.get_by_role("button", name="Preview").first.click()
    _wait_for(tab, "Unenroll 2 enrollments?")
    assert names[123] not in tab.text()
    tab.click("Change selection")
    assert chosen.inner_text().split("\n") == [names[777], names[1499]]


def _wait_for(tab: Tab, text: str) -> None:
    """Wait for a text; without a script, reload the page for it."""
    place = tab.page.get_by_role("main").filter(has_text=text)
    for _ in range(60):
        reload = tab.page.get_by_role("link", name="Reload", exact=True)
        if place.count() or not reload.count():
            break
        reload.click()
        tab.page.wait_for_timeout(200)
    expect(place).to_be_visible(timeout=20_000)


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
def test_keyboard_alone_signs_in_pauses_and_removes_with_visible_focus(running: Running, tabs: Tabs) -> None:
    school, _ = _new_school(running), Campus(running.database)
    school.set(hold_seconds=3600)
    school.accept(school.courses[0][:3])
    tab = tabs()
    tab.open("/sign-in")
    for label, text in (("Account", school.name), ("E-mail", "owner@example.org"), ("Password", "wrong one")):
        _tab_to(tab, label)
        tab.page.keyboard.type(text)
    tab.refusals = 1
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("alert")).to_be_visible()
    _tab_to(tab, "Password")
    tab.page.keyboard.type("correct horse battery")
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("heading", name="Running")).to_be_visible()

    assert _press_tab(tab)["name"] == "Skip to content"
    tab.page.keyboard.press("Enter")
    expect(tab.page.locator("main")).to_be_focused()
    _tab_to(tab, "Pause")
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("heading", name="Paused")).to_be_visible()

    _tab_to(tab, f"Select Learner One, {SPRING}")
    tab.page.keyboard.press("Space")
    _tab_to(tab, "Remove selected items…")
    tab.page.keyboard.press("Enter")
    expect(tab.page.get_by_role("heading", name="Remove 1 item from the queue?")).to_be_visible()
    _tab_to(tab, "Remove 1 item")
    tab.page.keyboard.press("Enter")
    _wait_for(tab, "1 item removed from the queue")
    assert sorted(school.queue().values()) == ["Pending", "Pending", "Removed"]


def _tab_to(tab: Tab, name: str) -> None:
    for _ in range(60):
        if _press_tab(tab)["name"] == name:
            return
    raise AssertionError(f"{name} is not reachable by Tab")


def _press_tab(tab: Tab) -> dict[str, str]:
    tab.page.keyboard.press("Tab")
    focus: dict[str, str] = tab.page.evaluate(_FOCUS)
    assert focus["tag"] == "BODY" or (focus["seen"] and focus["inside"]), f"the focus is not visible: {focus}"
    return focus


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
def test_dismissed_confirmation_changes_nothing_and_can_be_repeated(running: Running, tabs: Tabs) -> None:
    school = _new_school(running)
    tab = tabs()
    tab.sign_in(school)
    tab.open("/account/keys")
    works = tab.page.get_by_text("active", exact=True)
    working = works.count()
    tab.page.once("dialog", lambda dialog: dialog.dismiss())
    tab.page.get_by_role("button", name=re.compile("^Revoke")).last.click()
    assert works.count() == working
    tab.page.once("dialog", lambda dialog: dialog.accept())
    tab.page.get_by_role("button", name=re.compile("^Revoke")).last.click()
    _wait_for(tab, "The key is revoked.")
    assert works.count() == working - 1


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
def test_injected_script_is_blocked_by_the_content_security_policy(running: Running, tabs: Tabs) -> None:
    tab = tabs()
    tab.open("/sign-in")
    tab.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.intruder = 1'}))"
    )
    assert tab.page.evaluate("window.intruder") is None
    [complaint] = tab.complaints
    assert "Content Security Policy" in complaint
    tab.complaints.clear()


@pytest.mark.parametrize(("running", "script"), [("postgresql", True), ("sqlite", False)], indirect=["running"])
def test_batch_page_offers_undo_once_it_is_processed(running: Running, tabs: Tabs, *, script: bool) -> None:
    school = _new_school(running)
    tab = tabs(java_script_enabled=script)
    tab.sign_in(school)
    tab.click("Pause")
    batch = school.accept(school.courses[0][:3]).batch_id
    tab.open(f"/batches/{batch}")
    assert "The queue is paused" in tab.text()
    other = tabs(java_script_enabled=False, storage_state=tab.page.context.storage_state())
    other.open("/queue")
    other.click("Resume")
    if not script:
        tab.page.reload()
    expect(tab.page.get_by_text("This can be undone at any time")).to_be_visible()
    tab.click("Undo batch…")
    _wait_for(tab, "3 enrollments are restored")


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
def test_reload_after_creating_a_key_creates_and_shows_no_other(running: Running, tabs: Tabs) -> None:
    school = _new_school(running)
    tab = tabs()
    tab.sign_in(school)
    tab.open("/account/keys")
    keys = tab.page.get_by_role("rowheader")
    before = keys.count()
    tab.click("Create an account key")
    key = tab.page.locator("code.key")
    expect(key).to_be_visible()
    shown = key.inner_text()
    assert shown not in tab.page.url
    tab.page.reload()
    assert keys.count() == before + 1
    assert key.count() == 0
    tab.page.go_back()
    assert shown not in tab.text()


def _redirect_path(running: Running, school: School) -> str:
    call = school.call("requestExternalAuthorization", "<Security><Email>learner.one@example.org</Email></Security>")
    answer = running.server.post(call).text
    return html.unescape(answer.partition("<RedirectPath>")[2].partition("<")[0])


@pytest.mark.parametrize("running", ["postgresql"], indirect=True)
def test_redirect_path_opens_the_learners_page_once_and_not_after_60_seconds(running: Running, tabs: Tabs) -> None:
    school, tab = _new_school(running), tabs()
    path = _redirect_path(running, school)
    tab.page.goto(path)
    assert tab.page.url == f"{tab.origin}/learn/"
    expect(tab.page.get_by_role("rowheader", name=SPRING)).to_be_visible()
    assert tab.page.evaluate("document.referrer + document.cookie") == ""
    assert tab.check(RULES) == []
    tab.page.reload()
    tab.click("Sign out")
    expect(tab.page.get_by_text("You are signed out.")).to_be_visible()

    late = _redirect_path(running, school)
    with running.database.write() as connection:
        mine = external_authorizations.c.account_id == school.account.id
        a_minute_ago = utc_now() - timedelta(seconds=61)
        connection.execute(external_authorizations.update().where(mine).values(created_at=a_minute_ago))
    tab.refusals = 2
    for used in (path, late):
        tab.page.goto(used)
        expect(tab.page.get_by_role("alert")).to_contain_text("used before or is too old")


@pytest.mark.parametrize(("running", "script"), [("postgresql", True), ("sqlite", False)], indirect=["running"])
def test_empty_account_imports_a_roster_and_ticks_the_first_step(
    running: Running, tabs: Tabs, tmp_path: Path, *, script: bool
) -> None:
    campus, _ = Campus(running.database), Campus(running.database)
    give_password(campus)
    tab = tabs(java_script_enabled=script, **({"permissions": ["clipboard-read", "clipboard-write"]} if script else {}))
    tab.sign_in(campus)
    steps = tab.page.get_by_role("region", name="First steps").get_by_role("listitem")
    expect(steps.filter(has_text="Import a roster")).not_to_contain_text("done")
    if script:
        steps.get_by_role("button", name="Copy").click()
        expect(steps.get_by_role("button", name="Copied")).to_be_visible()
        assert tab.page.evaluate("navigator.clipboard.readText()").endswith("/apiv2/")
    tab.click("Upload a OneRoster archive")
    files = changed("enrollments", "e1,c1,s1,u9,student,,")
    tab.page.get_by_label("File", exact=True).set_input_files(pack(tmp_path / "roster.zip", files))
    tab.click("Preview")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Import this roster?")
    changes = tab.page.get_by_role("region", name="What would change")
    expect(changes.get_by_role("row").filter(has_text="no user 'u9'")).to_contain_text("enrollments.csv, line 2")
    tab.page.get_by_label("Any text of a row").fill("CY@example")
    tab.click("Find")
    expect(changes.get_by_role("rowheader")).to_have_text(["added"])
    tab.page.get_by_role("checkbox", name="Skip bad rows").check()
    tab.click("Import the roster")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Roster imported")
    tab.click("Queue")
    expect(steps.filter(has_text="Import a roster")).to_contain_text("done")


def test_people_of_a_course_are_selected_at_once_and_previewed(running: Running, tabs: Tabs) -> None:
    school = _new_school(running)
    tab = tabs()
    tab.sign_in(school)
    tab.click("Courses")
    tab.click(SPRING)
    tab.page.get_by_label("Status").select_option("In Progress")
    tab.click("Find")
    chosen = tab.page.get_by_role("checkbox", name=re.compile("^Select Learner")).count()
    tab.page.get_by_role("checkbox", name="Select all on this page").check()
    tab.click("Unenroll selected people…")
    expect(tab.page.get_by_role("heading", name=f"Unenroll {chosen} enrollments?")).to_be_visible()
    tab.click("Change selection")
    expect(tab.page.get_by_label("Ids of enrollments")).not_to_be_empty()

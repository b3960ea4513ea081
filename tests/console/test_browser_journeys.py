"""An administrator's work in a real browser: with and without scripts, and with the keyboard alone."""

import html
import itertools
import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from playwright.sync_api import FilePayload, expect

from campus import Campus
from console_browser import RULES, Running, Tab, Tabs
from console_school import COURSES, NUMBERS, School
from rollbook.model import utc_now
from rollbook.store.database.tables import enrollments, external_authorizations

_numbers = itertools.count(1)

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
def test_course_is_unenrolled_two_items_removed_the_rest_undone(running: Running, tabs: Tabs, *, script: bool) -> None:
    school = _new_school(running)
    before = _progress_of_all(school)
    tab = tabs(java_script_enabled=script)
    tab.page.add_init_script(_HURRY)
    tab.sign_in(school)
    tab.click("Pause")
    expect(tab.page.get_by_role("heading", name="Paused")).to_be_visible()
    _unenroll_the_spring_course(tab)
    _wait_for(tab, "End of spring")
    assert len(school.queue()) == 20

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
    assert school.current() == len(before) - 18

    tab.click("Batches")
    tab.page.get_by_role("link", name=re.compile(r"^Batch \d+$")).click()
    tab.click("Undo batch…")
    _wait_for(tab, "18 enrollments are restored")
    tab.page.get_by_label("Reason for the undo").fill("The course goes on")
    tab.click("Undo 18 items")
    _wait_for(tab, "18 enrollments restored, with")
    assert _progress_of_all(school) == before

    tab.click("Learner One")
    history = tab.page.get_by_role("region", name="History").inner_text()
    assert re.search(r"restored.*owner@example\.org\s+The course goes on", history, re.DOTALL | re.IGNORECASE), history
    assert re.search(r"unenrolled.*owner@example\.org\s+End of spring", history, re.DOTALL | re.IGNORECASE), history


def _unenroll_the_spring_course(tab: Tab) -> None:
    """Unenroll 20 people by a file of their e-mails, with ten mistakes in it."""
    people = [f"Learner.{number}@example.org,{SPRING}" for number in NUMBERS]
    people[3:3] = [f"gone.{number}@example.org,{SPRING}" for number in range(9)] + [
        "learner.one@example.org,Fire Safety"
    ]
    data = "\n".join(["Email,Course", *people]).encode()
    leaving = FilePayload(name="leaving.csv", mimeType="text/csv", buffer=data)
    tab.click("Unenroll")
    tab.refusals = 1
    for skipped in (False, True):
        tab.page.get_by_label("Or a file").set_input_files(leaving)
        tab.page.get_by_role("checkbox", name="Skip bad rows").set_checked(skipped)
        tab.page.get_by_role("button", name="Preview").last.click()
        if not skipped:
            refusal = tab.page.get_by_role("alert")
            expect(refusal).to_contain_text("10 without exactly one enrollment, so nothing was selected")
            expect(refusal).to_contain_text("line 5: 'gone.0@example.org' is the e-mail of no learner")
            expect(refusal).to_contain_text("line 14: 'learner.one@example.org' is not enrolled in 'Fire Safety'.")
    _wait_for(tab, "Unenroll 20 enrollments?")
    _wait_for(tab, "10 bad rows are left out")
    tab.page.get_by_label("Name, e-mail or employee id").fill("learner.twenty@")
    tab.click("Find")
    expect(tab.page.get_by_role("region", name="Learners").get_by_role("rowheader")).to_have_count(1)
    expect(tab.page.get_by_role("rowheader", name="Learner Twenty")).to_be_visible()
    tab.page.get_by_label("Reason").fill("End of spring")
    tab.page.get_by_role("checkbox", name="I intend to unenroll this share.").check()
    tab.click("Unenroll 20 enrollments")


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

"""Every page and state in a real browser: axe-core, color schemes, phone width, the images of the documentation."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pyotp
import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page

from campus import Campus
from console_browser import COLOR_RULES, DESKTOP, PHONE, RULES, Running, Tab, Tabs, open_tabs
from console_school import School
from rollbook.model import utc_now
from rollbook.store.database.database import Database
from rollbook.store.database.tables import courses, groups, second_factors, users
from rollbook.store.people.second_factors import begin_factor
from rollbook.store.queue.state import pause_queue, resume_queue
from rosters import appended, changed, pack
from server_process import ServerProcess, run_server
from visitor import PASSWORD, give_password

# Only `make images` writes the images of the documentation.
IMAGES = Path(__file__).parent.parent.parent / "docs" / "images"
WRITE = "ROLLBOOK_WRITE_IMAGES" in os.environ
# Cells of a table that is shown as cards, with content to the left of where it begins.
_SLIPPED_CELLS = """() => [...document.querySelectorAll(".stacked td[data-name]")].filter((cell) => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    const begin = cell.getBoundingClientRect().left + 100;
    return [...range.getClientRects()].some((part) => part.width && part.left < begin);
}).map((cell) => cell.innerText)"""
# Images end between two blocks of a page, at most this many pixels from its top.
MAX_IMAGE_HEIGHT = 1000
_BLOCKS = "tr, h2, p, li, dl, form, section, nav, details, footer"
_IMAGE_HEIGHT = """([blocks, most]) => Math.max(...[...document.querySelectorAll(blocks)]
    .map((block) => Math.ceil(block.getBoundingClientRect().bottom + scrollY) + 1).filter((end) => end <= most))"""


@dataclass(frozen=True)
class View:
    """A page in one of its states; `path` may refer to attributes of the school, `then` runs once the page is open.

    `make test` checks views with an image or with `always`, `make soak` all of them.
    """

    name: str
    path: str
    then: Callable[[Tab], None] | None = None
    refusals: int = 0
    signed_in: bool = True
    image: str = ""
    dark_image: str = ""
    always: bool = False


def _sign_in_wrongly(tab: Tab) -> None:
    tab.page.get_by_label("E-mail").fill("owner@example.org")
    tab.page.get_by_label("Password").fill("not the one")
    tab.click("Sign in")
    tab.page.get_by_role("alert").wait_for()


def _tick_two(tab: Tab) -> None:
    for place in (0, 1):
        tab.page.get_by_role("row").get_by_role("checkbox").nth(place + 1).check()
    tab.page.locator("form#items button").click()
    tab.page.get_by_role("heading", level=1).filter(has_text="?").wait_for()


def _open(text: str) -> Callable[[Tab], None]:
    return lambda tab: tab.page.get_by_text(text).first.click()


def _press(name: str) -> Callable[[Tab], None]:
    return lambda tab: tab.click(name)


def _choose_a_course(tab: Tab) -> None:
    tab.page.get_by_role("checkbox", name="Fire Safety (autumn)").check()
    tab.click("Preview")
    tab.page.get_by_label("Reason").fill("The autumn course is not held")


def _forget_the_reason(tab: Tab) -> None:
    _choose_a_course(tab)
    tab.page.get_by_label("Reason").fill(" ")
    tab.page.get_by_role("checkbox", name="I intend to unenroll this share.").check()
    tab.page.locator("main form button.main").click()
    tab.page.get_by_role("alert").wait_for()


def _start(tab: Tab) -> None:
    _choose_a_course(tab)
    tab.page.get_by_role("checkbox", name="I intend to unenroll this share.").check()
    tab.page.locator("main form button.main").click()
    tab.page.get_by_role("heading", name="Items").wait_for()


def _paste_ids(tab: Tab) -> None:
    tab.page.get_by_label("Ids of enrollments").fill("30, 31, 987654321")
    tab.page.get_by_role("button", name="Preview").last.click()
    tab.page.get_by_text("not a current enrollment").first.wait_for()


def _paste_people(tab: Tab) -> None:
    known = [f"learner.{name}@example.org" for name in ("one", "two", "three", "four", "three", "fourteen")]
    people = "\n".join([*known, "long" * 15 + "@example.org"])
    tab.page.get_by_label("E-mails, employee ids or user ids").fill(people)
    tab.click("Preview")
    tab.page.get_by_role("heading", name="bad rows").wait_for()


def _upload_progress(tab: Tab) -> None:
    lines = [
        "Email,CourseName,EnrollmentStatus,Progress,Grade,CompletedDate",
        "learner.one@example.org,First Aid (spring),Completed,100,A,2026-02-01",
        "learner.two@example.org,First Aid (spring),,95,,",
        "learner.three@example.org,First Aid (spring),Passed,,,",
    ]
    content = {"name": "progress.csv", "mimeType": "text/csv", "buffer": "\n".join(lines).encode()}
    tab.page.get_by_label("File", exact=True).set_input_files(content)  # type: ignore[arg-type]
    tab.click("Preview")
    tab.page.get_by_role("heading", name="What would change").wait_for()


def _import_progress(tab: Tab) -> None:
    _upload_progress(tab)
    tab.page.get_by_role("checkbox").check()
    tab.page.locator("main form button.main").click()
    tab.page.get_by_text("rows imported").wait_for()


def _upload_a_roster(tab: Tab, given_name: str = "Ann", name: str = "autumn") -> None:
    files = changed("users", f'u1,true,"s1,d1",student,{given_name},One,ann@example.org,E1,x')
    files = appended("enrollments", "e9,c1,s1,u9,student,,", base=files)
    with TemporaryDirectory() as folder:
        path = pack(Path(folder) / f"{name}.zip", files)
        tab.page.get_by_label("File", exact=True).set_input_files(path)
        tab.click("Preview")
        tab.page.get_by_role("heading", name="What would change").wait_for()


def _upload_a_roster_of_long_names(tab: Tab) -> None:
    _upload_a_roster(tab, "Wolfeschlegelsteinhausenbergerdorff" * 6, "roster" * 15)


def _find_nothing_in_a_roster(tab: Tab) -> None:
    _upload_a_roster(tab)
    tab.page.get_by_label("Any text of a row").fill("nobody")
    tab.click("Find")
    tab.page.get_by_text("No change matches.").wait_for()


def _mistype_a_user(tab: Tab) -> None:
    tab.page.get_by_label("E-mail or number of a user").fill("nobody@example.org")
    tab.click("Open the user")
    tab.page.get_by_role("alert").wait_for()


def _open_a_user(tab: Tab) -> None:
    tab.page.get_by_role("link", name="administrator@example.org").click()
    tab.page.get_by_role("heading", name="Access to the console").wait_for()


def _invite_a_user(tab: Tab) -> None:
    _open_a_user(tab)
    tab.click("Create an invitation link")
    tab.page.get_by_role("button", name="Copy").wait_for()


def _follow_an_invitation(tab: Tab) -> None:
    _invite_a_user(tab)
    tab.page.goto(tab.page.locator("code.key").inner_text())
    tab.page.get_by_role("heading", name="Choose a password").wait_for()


def _erase_a_user(tab: Tab) -> None:
    _open_a_user(tab)
    tab.page.get_by_role("link", name="Erase…").click()
    tab.page.get_by_role("heading", name="Erase administrator@example.org?").wait_for()


def _mistype_the_hold(tab: Tab) -> None:
    tab.page.get_by_label("Hold, in seconds").fill("soon")
    tab.click("Save")
    tab.page.get_by_role("alert").wait_for()


def _make_a_key(tab: Tab) -> None:
    tab.click("Create an account key")
    tab.page.get_by_text("shown only once").wait_for()


def _mistype_a_url(tab: Tab) -> None:
    tab.page.get_by_label("URL of the receiver").fill("http://hooks.example.org")
    tab.click("Add the webhook")
    tab.page.get_by_role("alert").wait_for()


def _give_the_password(tab: Tab) -> None:
    tab.page.get_by_label("E-mail").fill("administrator@example.org")
    tab.page.get_by_label("Password").fill(PASSWORD)
    tab.click("Sign in")
    tab.page.get_by_label("Code of your authenticator app").wait_for()


def _give_a_wrong_code(tab: Tab) -> None:
    _give_the_password(tab)
    tab.page.get_by_label("Code of your authenticator app").fill("000000")
    tab.click("Sign in")
    tab.page.get_by_role("alert").wait_for()


def _use_a_second_factor(tab: Tab) -> None:
    if tab.page.get_by_role("button", name="Set up a second factor").count():  # else another view has begun it
        tab.click("Set up a second factor")
    secret = tab.page.locator("code.key").first.inner_text()
    tab.page.get_by_label("Code of your app").fill(pyotp.TOTP(secret).now())
    tab.page.get_by_label("Your password").fill(PASSWORD)
    tab.click("Use this second factor")
    tab.page.get_by_role("heading", name="Recovery codes", exact=True).wait_for()


VIEWS = [
    View("sign-in", "/sign-in", signed_in=False, image="sign-in"),
    View("sign-in refused", "/sign-in", _sign_in_wrongly, refusals=1, signed_in=False, always=True),
    View("sign-in ended", "/queue", signed_in=False),
    View("sign-in with a second factor", "/sign-in", _give_the_password, signed_in=False, always=True),
    View("wrong code", "/sign-in", _give_a_wrong_code, refusals=1, signed_in=False),
    View("queue", "/queue", image="queue", dark_image="queue-dark"),
    View("queue in figures", "/queue", _open("Show as a table")),
    View("queue of every outcome", "/queue?status=All&course=autumn"),
    View("queue of failures", "/queue?status=Failed"),
    View("queue with nothing found", "/queue?status=Pending&learner=nobody"),
    View("removing two", "/queue", _tick_two, image="remove"),
    View("removing all", "/queue/remove?all=1"),
    View("removing nothing", "/queue/remove", refusals=1),
    View("batches", "/batches", image="batches"),
    View("batch", "/batches/{moved}", image="batch", dark_image="batch-dark"),
    View("batch with refusals", "/batches/{left}", image="batch-refused"),
    View("batch undone", "/batches/{wrong}"),
    View("batch with failures", "/batches/{late}"),
    View("batch that waits", "/batches/{waiting}"),
    View("undoing a batch", "/batches/{moved}/undo", image="undo"),
    View("undoing nothing", "/batches/{wrong}/undo"),
    View("undoing two", "/batches/{moved}", _tick_two),
    View("words explained", "/batches", _open("What each status means")),
    View("unenroll", "/unenroll", image="unenroll"),
    View("unenroll by status", "/unenroll", _open("Only with these statuses")),
    View("unenroll without a choice", "/unenroll", _press("Preview"), refusals=1),
    View("preview of a course", "/unenroll", _choose_a_course, image="preview"),
    View("preview of ids", "/unenroll", _paste_ids),
    View("unenroll without a reason", "/unenroll", _forget_the_reason, refusals=1, always=True),
    View("confirmed", "/unenroll", _start),
    View("import", "/import"),
    View("preview of progress", "/import", _upload_progress, image="import"),
    View("progress imported", "/import", _import_progress),
    View("preview of a roster", "/import", _upload_a_roster, image="import-roster"),
    View("preview of a roster of long names", "/import", _upload_a_roster_of_long_names, always=True),
    View("nothing found in a roster", "/import", _find_nothing_in_a_roster),
    View("learners", "/learners"),
    View("learners found", "/learners?q=learner", image="learners"),
    View("learners not found", "/learners?q=nobody"),
    View("learner", "/learners/{learner}", image="learner"),
    View("learners sorted", "/learners?sort=-name&q=learner"),
    View("learner without a choice", "/learners/{learner}", _press("Unenroll from selected courses…"), refusals=1),
    View("courses", "/courses?sort=-enrolled", image="courses"),
    View("course", "/courses/{course_ids[3]}", image="course"),
    View("course with a filter refused", "/courses/{course_ids[3]}?status=Passed", refusals=1),
    View("people not found", "/courses/{course_ids[3]}?q=nobody&status=Overdue"),
    View("enroll", "/courses/{course_ids[3]}/enroll"),
    View("enroll refused", "/courses/{course_ids[3]}/enroll", _press("Preview"), refusals=1),
    View("enroll preview", "/courses/{course_ids[0]}/enroll", _paste_people, image="enroll"),
    View("groups", "/groups"),
    View("group", "/groups/{group_id}", image="group"),
    View("courses of a group", "/groups/{group_id}/courses"),
    View("account", "/account", image="account"),
    View("policy refused", "/account", _mistype_the_hold, refusals=1),
    View("users", "/account/users", image="users"),
    View("user not found", "/account/users", _mistype_a_user, refusals=1),
    View("user", "/account/users", _open_a_user, always=True),
    View("invitation shown once", "/account/users", _invite_a_user, image="invitation"),
    View("invitation", "/account/users", _follow_an_invitation, always=True),
    View("erasing a user", "/account/users", _erase_a_user),
    View("keys", "/account/keys", image="keys"),
    View("key shown once", "/account/keys", _make_a_key, always=True),
    View("webhooks", "/account/webhooks", image="webhooks"),
    View("webhook refused", "/account/webhooks", _mistype_a_url, refusals=1),
    View("API", "/api", image="api"),
    View("method", "/api/getLearnerReport?elements=required", image="api-method"),
    View("method with every element", "/api/createUser", always=True),
    View("method in another language", "/api/getUser", _open("JavaScript")),
    View("calls", "/account/calls", image="calls"),
    View("calls that failed", "/account/calls?outcome=failed&method=unenrollLearningModules"),
    View("calls with nothing found", "/account/calls?q=nothing"),
    View("audit", "/account/audit", image="audit"),
    View("audit with nothing found", "/account/audit?actor=nobody"),
    View("no second factor", "/account/second-factor"),
    View("second factor", "/account/second-factor", _press("Set up a second factor"), image="second-factor"),
    View("second factor in use", "/account/second-factor", _use_a_second_factor),
    View("no such batch", "/batches/987654321", refusals=1),
    View("no such page", "/no-such-page", refusals=1, always=True),
]

# Of an account in which every name is long.
LONG = [
    View("long names: courses", "/courses"),
    View("long names: course", "/courses/{course_id}"),
    View("long names: enroll", "/courses/{course_id}/enroll"),
    View("long names: groups", "/groups"),
    View("long names: group", "/groups/{group_id}"),
    View("long names: courses of a group", "/groups/{group_id}/courses"),
    View("long names: learners", "/learners?q=learner"),
]

EMPTY = [
    View("sign-in with several accounts", "/sign-in", signed_in=False, always=True),
    View("empty queue", "/queue", always=True),
    View("no batches", "/batches"),
    View("nothing to unenroll", "/unenroll"),
    View("no calls", "/account/calls"),
]


@dataclass(frozen=True)
class Place:
    """A server without a worker, so that pending items stay pending; its one account; the cookies of its owner."""

    server: ServerProcess
    school: School
    cookies: Any


@pytest.fixture(scope="module")
def place(chromium: Browser, migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("school")
    shutil.copyfile(migrated_file, folder / "rollbook.db")
    url = f"sqlite:///{folder / 'rollbook.db'}"
    database = Database(url)
    school = School(database)
    school.live_a_day()
    _give_the_administrator_a_second_factor(school)
    with run_server(url, folder, "--no-worker") as server, open_tabs(chromium, server) as open_tab:
        _call_from_programs(server, school)
        yield Place(server, school, _cookies(open_tab, school))
    database.close()


@pytest.fixture(scope="module")
def owners_tab(chromium: Browser, place: Place) -> Iterator[Tab]:
    """A tab that is shared by the signed-in views."""
    with open_tabs(chromium, place.server) as open_tab:
        yield open_tab(storage_state=place.cookies)


def _give_the_administrator_a_second_factor(school: School) -> None:
    give_password(school, "administrator@example.org")
    with school.database.write() as connection:
        begin_factor(connection, school.account.id, school.user_id("administrator@example.org"), utc_now())
        connection.execute(sa.update(second_factors).values(confirmed_at=utc_now()))


def _call_from_programs(server: ServerProcess, school: School) -> None:
    """Make calls for the page of last calls: successful, failed and malformed ones."""
    report = "<Report><Page>1</Page><PageSize>50</PageSize><Filters/><Columns/><CustomFields/></Report>"
    server.post(school.call("getLearnerReport", report))
    server.post(school.package([987654321, "twelve"]))
    server.post(school.call("unenrollLearningModules", "<Wrong/>"))
    server.post(school.call("getUnenrollmentQueue", "<Queue/>", school.administrator_key))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "view" in metafunc.fixturenames:
        views = [view for view in VIEWS if view.image or view.always or metafunc.config.getoption("--soak")]
        metafunc.parametrize("view", views, ids=lambda view: view.name)


def test_page_is_accessible_in_light_and_dark_and_fits_a_phone(
    chromium: Browser, place: Place, owners_tab: Tab, view: View
) -> None:
    with open_tabs(chromium, place.server) as open_tab:
        _look_at(owners_tab if view.signed_in else open_tab(), view, vars(place.school))


def test_paused_queue_is_accessible_in_light_and_dark_and_fits_a_phone(place: Place, owners_tab: Tab) -> None:
    school = place.school
    with school.database.write() as connection:
        pause_queue(connection, school.account.id, utc_now())
    _look_at(owners_tab, View("paused queue", "/queue", image="queue-paused"), vars(school))
    with school.database.write() as connection:
        resume_queue(connection, school.account.id)


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
def test_pages_of_an_empty_account_are_accessible_and_fit_a_phone(running: Running, tabs: Tabs, soaks: bool) -> None:
    campus, _ = Campus(running.database), Campus(running.database)
    give_password(campus)
    cookies = _cookies(tabs, campus)
    for view in EMPTY if soaks else [view for view in EMPTY if view.always]:
        _look_at(tabs(storage_state=cookies if view.signed_in else None), view, {})


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
def test_pages_with_long_names_fit_a_phone(running: Running, tabs: Tabs, soaks: bool) -> None:
    campus, name = Campus(running.database), "Verylongnamewithoutanyblank" * 8
    give_password(campus)
    named = campus.enroll_named(3)
    campus.auto_enroll(*named.values())
    with campus.database.write() as connection:
        for table, column in ((courses, "name"), (courses, "term"), (groups, "name"), (users, "family_name")):
            mine = table.c.account_id == campus.account.id
            connection.execute(sa.update(table).where(mine).values({column: name}))
    cookies = _cookies(tabs, campus)
    for view in LONG if soaks else LONG[1:2]:
        _look_at(tabs(storage_state=cookies), view, vars(campus))


def _cookies(open_tab: Tabs, campus: Campus) -> Any:
    tab = open_tab()
    tab.sign_in(campus)
    tab.page.get_by_role("heading", name="Queue", exact=True).wait_for()
    return tab.page.context.storage_state()


def _look_at(tab: Tab, view: View, names: dict[str, Any]) -> None:
    """Open the view, check it in both color schemes and at phone width, and take its images."""
    tab.refusals = view.refusals
    tab.page.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
    tab.page.emulate_media(color_scheme="light", reduced_motion="reduce")
    tab.open(view.path.format(**names))
    if view.then:
        view.then(tab)
    assert tab.refusals == 0, "a response that should be an error was none"
    flaws: list[str] = []
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        tab.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        flaws += [f"{scheme}: {flaw}" for flaw in tab.check(RULES if scheme == "light" else COLOR_RULES)]
        _take_image(tab.page, view.image if scheme == "light" else view.dark_image)
    tab.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    flaws += [f"phone: {flaw}" for flaw in _find_overflow(tab.page)]
    _take_image(tab.page, f"{view.image}-phone" if view.image == "queue" else "")
    assert flaws + tab.complaints == []


def _find_overflow(page: Page) -> list[str]:
    """Report a page that is wider than the window, where elements may scroll, and cells that slip under their label."""
    width: int = page.evaluate("document.scrollingElement.scrollWidth")
    slipped: list[str] = page.evaluate(_SLIPPED_CELLS)
    wide = [f"the page is {width} px wide in a window of {PHONE[0]}"] if width > PHONE[0] else []
    return wide + [f"a cell is under its label: {text}" for text in slipped]


def _take_image(page: Page, name: str) -> None:
    if name and WRITE:
        IMAGES.mkdir(exist_ok=True)
        width: int = page.evaluate("innerWidth")
        height: int = page.evaluate(_IMAGE_HEIGHT, [_BLOCKS, MAX_IMAGE_HEIGHT])
        page.screenshot(
            path=IMAGES / f"{name}.png",
            full_page=True,
            clip={"x": 0, "y": 0, "width": width, "height": height},
            animations="disabled",
        )

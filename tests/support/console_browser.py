"""Browser tabs for tests of the console: they record errors of scripts and requests, and run axe-core."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT  # type: ignore[import-untyped]
from playwright.sync_api import Browser, ConsoleMessage, Page, Response

from campus import Campus
from chromium import ABSENT, NoChromiumError, run_chromium
from conftest import BOTH, empty_database
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from server_process import ServerProcess, run_server
from visitor import PASSWORD

DESKTOP, PHONE = (1280, 800), (375, 800)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# The rules whose result depends on the color scheme.
COLOR_RULES = ["color-contrast", "link-in-text-block"]
# The rows of a table are alike: axe-core checks the first three.
_RUN_AXE = """rules => axe.run({exclude: ["tbody tr:nth-child(n+4)"]}, {runOnly: rules, resultTypes: ["violations"]})
    .then(found => found.violations)"""


class Tab:
    """A tab; `complaints` are the errors and warnings of its console, scripts and requests."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.complaints: list[str] = []
        self.refusals = 0  # how many error responses the test expects
        page.set_default_timeout(20_000)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        page.on("response", self._receive)

    def open(self, path: str) -> None:
        """Go to a page of the console."""
        self.page.goto(f"{self.origin}/console{path}")

    def sign_in(self, campus: Campus, password: str = PASSWORD) -> None:
        """Sign in as the owner, through the page."""
        self.open("/sign-in")
        if self.page.get_by_label("Account").count():
            self.page.get_by_label("Account").fill(campus.name)
        self.page.get_by_label("E-mail").fill("owner@example.org")
        self.page.get_by_label("Password").fill(password)
        self.click("Sign in")

    def click(self, name: str) -> None:
        """Press the button, or follow the link, of exactly this name."""
        button = self.page.get_by_role("button", name=name, exact=True)
        button.or_(self.page.get_by_role("link", name=name, exact=True)).first.click()

    def text(self) -> str:
        """Return the text of the page."""
        return self.page.get_by_role("main").inner_text()

    def check(self, rules: list[str]) -> list[str]:
        """Return axe-core's violations of these rules or tags on the page."""
        # Evaluated through the debugger, to which the Content-Security-Policy does not apply.
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE_SCRIPT)
        found: list[Any] = self.page.evaluate(_RUN_AXE, rules)
        return [f"{flaw['id']}: {flaw['help']}: {node['html'][:200]}" for flaw in found for node in flaw["nodes"]]

    def _hear(self, message: ConsoleMessage) -> None:
        # Error responses are logged to the console too; `_receive` counts them.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complaints.append(f"console: {message.text}")

    def _receive(self, response: Response) -> None:
        if response.status >= 400:
            self.refusals -= 1
            if self.refusals < 0:
                self.complaints.append(f"{response.status} {response.url}")


# Not for longer than a module: as long as Playwright runs, no other test can run an event loop of its own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium; without one the tests are skipped, and the summary says so."""
    with ExitStack() as running:
        try:
            browser = running.enter_context(run_chromium())
        except NoChromiumError as error:
            pytest.skip(str(error))
        yield browser


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report prominently that tests were skipped for want of a browser."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    if any("NO BROWSER" in reason for reason in reasons):
        tests = sum("NO BROWSER" in reason for reason in reasons)
        terminalreporter.write_line(
            f"{ABSENT.format('run: make browser')} {tests} tests DID NOT RUN.", red=True, bold=True
        )


Tabs = Callable[..., Tab]


@contextmanager
def open_tabs(chromium: Browser, server: ServerProcess) -> Iterator[Tabs]:
    """Make tabs, each with its own cookies; at the end, none may have complaints."""
    origin = server.url.removesuffix("/apiv2/")
    tabs: list[Tab] = []

    with ExitStack() as contexts:

        def open_tab(size: tuple[int, int] = DESKTOP, **options: Any) -> Tab:
            viewport = {"width": size[0], "height": size[1]}
            context = chromium.new_context(ignore_https_errors=True, viewport=viewport, **options)  # type: ignore[arg-type]
            contexts.callback(context.close)
            tabs.append(Tab(context.new_page(), origin))
            return tabs[-1]

        yield open_tab
    assert [complaint for tab in tabs for complaint in tab.complaints] == []


class Running:
    """A server with its worker, and its database."""

    def __init__(self, server: ServerProcess, database: Database) -> None:
        self.server = server
        self.database = database


@pytest.fixture(scope="session", params=BOTH)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server for the whole run, on each database, whose worker polls often; tests make their own accounts."""
    folder = tmp_path_factory.mktemp(f"running-{request.param}")
    with empty_database(request, folder) as url:
        yield from _run(url, folder)


def _run(database_url: str, folder: Path) -> Iterator[Running]:
    database = Database(database_url)
    migrate(database)
    with run_server(database_url, folder, poll_seconds=0.1) as server:
        yield Running(server, database)
    database.close()


@pytest.fixture
def tabs(chromium: Browser, running: Running) -> Iterator[Tabs]:
    """Makes tabs of that server; at the end, none may have complaints."""
    with open_tabs(chromium, running.server) as open_tab:
        yield open_tab

"""The page "Sandbox" of the console: faults, clock, worker and reset by plain forms; only in a sandbox, only there."""

import asyncio
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conftest import on_sqlite
from rollbook.sandbox.console import pages
from rollbook.sandbox.known import PASSWORD
from rollbook.sandbox.pytest_plugin import Sandbox
from rollbook.sandbox.seed import DEFAULT
from rollbook.sandbox.state import LIVE, PausableWorker, State, make_seed
from rollbook.server.app import create_app
from rollbook.settings import load_settings
from rollbook.store.database.database import Database
from visitor import Visitor

PAGE = "/console/sandbox"
NONE = "\N{EN DASH}"
UNENROLL = "unenrollLearningModules"
SIGN_IN = {"account": "", "email": "owner@sandbox.example", "password": PASSWORD}


@pytest.fixture
def visitor(sandbox: Sandbox) -> Iterator[Visitor]:
    """The owner on the page, by the mark that every page has."""
    trust = ssl.create_default_context(cafile=sandbox.ca_file)
    with httpx.Client(verify=trust, trust_env=False, timeout=30) as client:
        visitor = Visitor(sandbox, client)
        visitor.post("/console/sign-in", SIGN_IN)
        visitor.open("/console/queue")
        [mark] = visitor.page().find_class("sandbox")
        visitor.open(mark.get("href"))
        yield visitor


def _send(visitor: Visitor, change: str, /, **fields: str) -> str:
    form = next(form for form in visitor.page().forms if form.fields.get("change") == change)
    visitor.post(form.action, dict(form.form_values()) | fields)
    while visitor.answer.is_redirect:
        visitor.follow()
    return visitor.text()


def _rows(visitor: Visitor, table: str) -> list[str]:
    rows = visitor.page().xpath(f"//*[@aria-labelledby='{table}']//tbody/tr")
    return [" ".join(cell.text_content() for cell in row) for row in rows]


def test_faults_are_added_shown_and_cleared(sandbox: Sandbox, visitor: Visitor) -> None:
    _send(visitor, "faults", fault="lost", method=UNENROLL, times="3", seconds="0.5")
    said = _send(visitor, "faults", fault="SU:10", times="")
    assert "The fault waits for its calls." in said
    assert _rows(visitor, "faults-name") == [f"lost {UNENROLL} 3 0.5", "SU:10 any all 1"]
    _send(visitor, "clear")
    _send(visitor, "faults", fault="lost", method=UNENROLL, times="2")
    assert [outcome.accepted for outcome in sandbox.client.unenroll([1, 2])] == [True, True]
    visitor.open(PAGE)
    assert "No faults." in visitor.text()
    shown = [row.rpartition(" ")[0].replace(NONE, "none") for row in _rows(visitor, "calls-name")]
    assert shown == [f"{UNENROLL} owner Success none {fault}" for fault in ("none", "lost", "lost")]


def test_worker_clock_and_reset(sandbox: Sandbox, visitor: Visitor) -> None:
    sandbox.set_policies(hold_seconds=86_400)
    assert "Resume the worker" in _send(visitor, "worker")
    list(sandbox.client.unenroll([1]))
    assert "The time of the holds has passed." in _send(visitor, "clock", seconds="86400")
    time.sleep(0.3)
    assert [row["Status"] for row in sandbox.client.unenrollments()] == ["Pending"]
    assert "The worker is running." in _send(visitor, "worker")
    deadline = time.monotonic() + 30
    while [row["Status"] for row in sandbox.client.unenrollments()] != ["Complete"]:
        assert time.monotonic() < deadline, "the worker does not process the queue"
    sandbox.fail_next("503", method=UNENROLL, times=None)
    assert "sign in again afterwards" in visitor.text()
    _send(visitor, "reset")
    assert not [*sandbox.client.unenrollments()]
    visitor.submit("/console/sign-in", email=SIGN_IN["email"], password=PASSWORD)
    assert (visitor.answer.url.path, "No faults." in visitor.text()) == (PAGE, True)


def test_mistake_is_named_and_changes_nothing(visitor: Visitor) -> None:
    for change, fields, sentence in (
        ("faults", {"times": "0"}, "times: Input should be greater than or equal to 1."),
        ("faults", {"fault": "slow"}, "fault: 'slow' is none of late, 429,"),
        ("faults", {"method": "x"}, "method: 'x' is no method."),
        ("faults", {"second": "3"}, "second: Extra inputs are not permitted."),
        ("clock", {"seconds": ""}, "seconds: Input should be a valid number."),
        ("worker", {"paused": "perhaps"}, "paused: Input should be a valid boolean, unable to interpret input."),
        ("clear", {"change": "everything"}, "“everything” is no change of a sandbox."),
    ):
        if change == "clear":
            _send(visitor, "faults")
        said = _send(visitor, change, **fields)
        assert (visitor.answer.status_code, sentence in said) == (422, True), said
        assert len(_rows(visitor, "faults-name")) == (change == "clear")


def test_form_of_another_site_and_a_browser_without_session_change_nothing(sandbox: Sandbox, visitor: Visitor) -> None:
    list(sandbox.client.unenroll([1]))
    assert visitor.post(PAGE, {"change": "reset"}, {"Sec-Fetch-Site": "cross-site"}).status_code == 403
    visitor.client.cookies.clear()
    assert visitor.post(PAGE, {"change": "reset"}).headers["Location"].startswith("/console/sign-in")
    assert len([*sandbox.client.unenrollments()]) == 1


def test_server_that_is_no_sandbox_has_no_page_of_one(owner: Visitor) -> None:
    for path in (PAGE, f"{PAGE}/", f"{PAGE}/reset"):
        assert owner.open(path).status_code == 404
        assert owner.post(path, {"change": "reset"}).status_code == 404
    for path in ("/console/queue", "/console/account"):
        assert owner.open(path).status_code == 200
        assert "sandbox" not in owner.answer.text.lower()


@on_sqlite
def test_other_machines_cannot_use_the_page(database: Database, tmp_path: Path) -> None:
    make_seed(tmp_path, DEFAULT, is_roster=False)
    settings = load_settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path / LIVE}")
    state = State(database, PausableWorker(database, settings), tmp_path)
    app = create_app(settings, pages(state))

    async def ask(address: str) -> list[int]:
        transport = httpx.ASGITransport(app, client=(address, 50_000))
        said = {"Sec-Fetch-Site": "same-origin"}
        async with httpx.AsyncClient(transport=transport, base_url="https://sandbox", headers=said) as http:
            await http.post("/console/sign-in", data=SIGN_IN)
            asked = [await http.get(PAGE), await http.post(PAGE, data={"change": "faults", "fault": "503"})]
            return [answer.status_code for answer in asked]

    assert asyncio.run(ask("192.0.2.1")) == [403, 403]
    assert not state.faults.waiting
    assert asyncio.run(ask("127.0.0.1")) == [200, 303]
    assert len(state.faults.waiting) == 1

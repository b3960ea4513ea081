"""Faults on request through HTTPS, what they leave behind, the reset to the seed, and the endpoint /sandbox/."""

import sqlite3
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from rollbook.sandbox.faults import KINDS
from rollbook.sandbox.pytest_plugin import Sandbox

LEARNER_REPORT = "getLearnerReport"
UNENROLL = "unenrollLearningModules"
REPORT = "<Report><Filters/><Columns><ColumnName>PROGRESS</ColumnName></Columns></Report>"


@pytest.fixture(scope="session")
def http(rollbook_sandbox: Sandbox) -> Iterator[httpx.Client]:
    """A connection that knows nothing of the API."""
    trust = ssl.create_default_context(cafile=rollbook_sandbox.ca_file)
    with httpx.Client(verify=trust, trust_env=False, timeout=30) as client:
        yield client


Post = Callable[..., httpx.Response]


@pytest.fixture
def post(sandbox: Sandbox, http: httpx.Client) -> Post:
    """Post a call as the owner, without a retry."""

    def send(method: str, parameters: str, user_key: str = sandbox.owner_key, **headers: str) -> httpx.Response:
        package = (
            f"<SmarterU><AccountAPI>{sandbox.account_key}</AccountAPI><UserAPI>{user_key}</UserAPI>"
            f"<Method>{method}</Method><Parameters>{parameters}</Parameters></SmarterU>"
        )
        return http.post(sandbox.url, data={"Package": package}, headers=headers)

    return send


def _unenroll(*ids: int) -> str:
    items = "".join(
        f"<Unenrollment><AccountUserLearningModuleRelID>{id_}</AccountUserLearningModuleRelID></Unenrollment>"
        for id_ in ids
    )
    return f"<LearningModuleEnrollment>{items}</LearningModuleEnrollment>"


def _queued(sandbox: Sandbox) -> list[str]:
    return [row["AccountUserLearningModuleRelID"] for row in sandbox.client.unenrollments()]


ANSWERED = [
    # fault, status, in the body, carried out
    ("429", 429, "SU:9999", False),
    ("503", 503, "SU:9999", False),
    ("SU:10", 200, "SU:10", False),
    ("SU:9999", 200, "SU:9999", False),
    ("html", 502, "<!doctype html>", False),
    ("late", 200, "<Result>Success</Result>", True),
    ("truncated", None, "", True),
    ("lost", None, "", True),
]


@pytest.mark.parametrize(("fault", "status", "part", "carried_out"), ANSWERED, ids=[row[0] for row in ANSWERED])
def test_fault_changes_the_answer_of_the_next_call_and_of_no_other(
    sandbox: Sandbox, post: Post, fault: str, status: int | None, part: str, carried_out: bool
) -> None:
    sandbox.fail_next(fault, seconds=0.2)
    started = time.monotonic()
    if status is None:
        with pytest.raises(httpx.RemoteProtocolError):
            post(UNENROLL, _unenroll(1))
    else:
        answer = post(UNENROLL, _unenroll(1))
        assert (answer.status_code, part in answer.text) == (status, True)
        assert answer.headers.get("Retry-After") == ("1" if status in (429, 503) else None)
        assert answer.headers["Rollbook-Sandbox"] == "true"
        assert fault != "late" or time.monotonic() - started >= 0.2
    assert _queued(sandbox) == (["1"] if carried_out else [])
    [call] = [call for call in sandbox.calls if call["method"] == UNENROLL]
    assert (call["fault"], call["caller"]) == (fault, "owner")
    assert post(LEARNER_REPORT, REPORT).status_code == 200


def test_every_fault_is_in_the_table() -> None:
    assert sorted(row[0] for row in ANSWERED) == sorted(KINDS)


def test_truncated_answer_is_the_beginning_of_a_longer_one(sandbox: Sandbox, post: Post, http: httpx.Client) -> None:
    whole = post(LEARNER_REPORT, REPORT)
    sandbox.fail_next("truncated")
    content, headers = whole.request.content, whole.request.headers
    received: list[bytes] = []
    with (
        http.stream("POST", sandbox.url, content=content, headers=headers) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        received.extend(answer.iter_raw())
    assert answer.headers["Content-Length"] == str(len(whole.content))
    assert b"".join(received) == whole.content[: len(whole.content) // 2]


def test_fault_of_a_method_waits_for_it_as_often_as_asked(sandbox: Sandbox, post: Post) -> None:
    sandbox.fail_next("503", method=UNENROLL, times=2)
    statuses = [
        post(method, body).status_code for method, body in ((LEARNER_REPORT, REPORT), (UNENROLL, _unenroll(1))) * 3
    ]
    assert statuses == [200, 503, 200, 503, 200, 200]
    sandbox.fail_next("429", times=None)
    assert [post(LEARNER_REPORT, REPORT).status_code for _ in range(3)] == [429] * 3


def test_client_gets_over_every_fault_that_a_call_can_survive(sandbox: Sandbox) -> None:
    for fault in ("lost", "truncated", "503", "429"):
        sandbox.fail_next(fault, method=UNENROLL, seconds=0)
    outcomes = list(sandbox.client.unenroll([1, 2, 2]))
    assert [(outcome.status, outcome.code) for outcome in outcomes] == [
        ("accepted", None),
        ("accepted", None),
        ("refused", "ULM:05"),
    ]
    assert [call["fault"] for call in sandbox.calls] == ["lost", "truncated", "503", "429", None]


def _wait_until_unenrolled(sandbox: Sandbox) -> None:
    deadline = time.monotonic() + 30
    while {row["Status"] for row in sandbox.client.unenrollments()} != {"Complete"}:
        assert time.monotonic() < deadline, "the worker does not process the queue"
        time.sleep(0.02)


def test_hold_ends_when_the_clock_is_advanced(sandbox: Sandbox) -> None:
    sandbox.set_policies(hold_seconds=86_400)
    list(sandbox.client.unenroll([1, 2]))
    list(sandbox.client.unenroll([3]))
    sandbox.advance_clock(86_300)
    time.sleep(0.3)
    assert [row["Status"] for row in sandbox.client.unenrollments()] == ["Pending"] * 3
    sandbox.advance_clock(100)
    _wait_until_unenrolled(sandbox)


def test_paused_worker_processes_nothing_until_it_is_resumed(sandbox: Sandbox) -> None:
    sandbox.pause_worker()
    list(sandbox.client.unenroll([1]))
    time.sleep(0.3)
    assert [row["Status"] for row in sandbox.client.unenrollments()] == ["Pending"]
    sandbox.pause_worker(False)
    _wait_until_unenrolled(sandbox)


# The heartbeats of the worker, and the call log, which is written a second behind the calls.
NOT_COMPARED = ('INSERT INTO "workers"', 'INSERT INTO "calls"')


def _dump(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return [line for line in connection.iterdump() if not line.startswith(NOT_COMPARED)]


def test_reset_restores_the_database_byte_for_byte(sandbox: Sandbox, post: Post) -> None:
    folder = Path(sandbox.ca_file).parent
    seed = _dump(folder / "seed.db")
    shown = [post(LEARNER_REPORT, REPORT).content, post("getUnenrollmentQueue", "<Queue/>").content]
    sandbox.set_policies(hold_seconds=60, protect_completed=True)
    list(sandbox.client.unenroll([1, 2, 3]))
    sandbox.advance_clock(60)
    _wait_until_unenrolled(sandbox)
    sandbox.client.pause()
    sandbox.pause_worker()
    sandbox.fail_next("503", times=None)
    assert _dump(folder / "rollbook.db") != seed
    sandbox.reset()
    assert _dump(folder / "rollbook.db") == seed
    assert [post(LEARNER_REPORT, REPORT).content, post("getUnenrollmentQueue", "<Queue/>").content] == shown
    list(sandbox.client.unenroll([1, 2, 3]))
    _wait_until_unenrolled(sandbox)


def test_calls_are_listed_without_any_key(sandbox: Sandbox, post: Post, http: httpx.Client) -> None:
    post(UNENROLL, _unenroll(1, 1), sandbox.administrator_key)
    post(UNENROLL, _unenroll(1), "key-of-another-server")
    http.get(sandbox.url)
    shown = [[call[name] for name in ("method", "caller", "status", "result", "codes")] for call in sandbox.calls]
    assert shown == [
        [UNENROLL, "administrator", 200, "Success", ["ULM:05"]],
        [UNENROLL, None, 200, "Failed", ["SU:10"]],
        [None, None, 200, "Failed", ["SU:01"]],
    ]
    assert "<AccountUserLearningModuleRelID>1<" in sandbox.calls[0]["package"]
    listed = http.get(sandbox.url.replace("apiv2", "sandbox") + "calls").text
    assert "key-of-another-server" not in listed
    assert sandbox.administrator_key not in listed


MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("faults", {"fault": "slow"}, "fault: 'slow' is none of late, 429, 503, SU:10, SU:9999, html, truncated, lost."),
    (
        "faults",
        {"fault": "lost", "method": "unenrolLearningModules"},
        "method: 'unenrolLearningModules' is no method. Is it 'unenrollL",
    ),
    ("faults", {"fault": "lost", "times": 0}, "times: Input should be greater than or equal to 1."),
    ("faults", {"fault": "late", "second": 3}, "second: Extra inputs are not permitted."),
    ("faults", {}, "fault: Field required."),
    ("clock", {"seconds": -1}, "seconds: Input should be greater than 0."),
    ("worker", {"paused": "yes"}, "paused: Input should be a valid boolean."),
    ("policies", {"hold_seconds": -1}, "hold_seconds is a number from 0 to 2147483647."),
]


@pytest.mark.parametrize(("path", "asked", "sentence"), MISTAKES)
def test_endpoint_says_what_is_wrong_and_changes_nothing(
    sandbox: Sandbox, http: httpx.Client, path: str, asked: dict[str, Any], sentence: str
) -> None:
    base = sandbox.url.replace("apiv2", "sandbox")
    before = http.get(base).json()
    answer = http.post(base + path, json=asked)
    assert (answer.status_code, sentence in answer.json()["error"]) == (422, True), answer.text
    assert http.get(base).json() == before


def test_page_of_another_site_cannot_use_the_endpoint(sandbox: Sandbox, http: httpx.Client) -> None:
    answer = http.post(sandbox.url.replace("apiv2", "sandbox") + "reset", data={"a": "form"})
    assert answer.status_code == 415
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_every_answer_and_every_page_says_that_it_is_a_sandbox(sandbox: Sandbox, http: httpx.Client) -> None:
    origin = sandbox.url.removesuffix("/apiv2/")
    for path in ("/apiv2/", "/apiv2", "/sandbox/", "/sandbox/calls", "/sandbox/none", "/console/sign-in", "/none"):
        assert http.get(origin + path).headers["Rollbook-Sandbox"] == "true", path
    for path in ("/console/sign-in", "/console/none", "/learn/"):
        assert '<span class="chip sandbox">Sandbox</span>' in http.get(origin + path).text, path

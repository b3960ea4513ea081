"""The tests of the sample integration: each runs against a sandbox that is as new."""

from collections.abc import Iterator

import pytest

from leavers import Lms, LmsError
from rollbook.sandbox.pytest_plugin import Sandbox

UNENROLL = "unenrollLearningModules"


@pytest.fixture
def lms(sandbox: Sandbox) -> Iterator[Lms]:
    """The program, set to the sandbox."""
    program = Lms(sandbox.url, sandbox.account_key, sandbox.administrator_key, sandbox.ca_file)
    yield program
    program.close()


def test_enrolls_once(lms: Lms) -> None:
    before = lms.enrolled()
    number = lms.enroll("learner@sandbox.example", "North", 4)
    assert number is not None
    assert lms.enrolled() - before == {number}
    assert lms.enroll("learner@sandbox.example", "North", 4) is None


def test_unenrolls_more_than_a_call_holds_and_waits_for_the_queue(lms: Lms, sandbox: Sandbox) -> None:
    leavers = sorted(lms.enrolled())[:120]
    assert lms.unenroll(leavers) == {}
    lms.wait_until_gone(leavers)
    assert [call["result"] for call in sandbox.calls if call["method"] == UNENROLL] == ["Success", "Success"]


def test_tells_which_numbers_are_refused(lms: Lms) -> None:
    assert lms.unenroll(["1", "987654321", "1"]) == {"987654321": "ULM:03", "1": "ULM:05"}


@pytest.mark.parametrize("fault", ["lost", "truncated", "429", "503"])
def test_gets_over_a_fault_without_unenrolling_twice(lms: Lms, sandbox: Sandbox, fault: str) -> None:
    sandbox.pause_worker()
    sandbox.fail_next(fault, method=UNENROLL, seconds=0)
    assert lms.unenroll(["1", "2"]) == {}
    assert [call["fault"] for call in sandbox.calls] == [fault, None]
    sandbox.pause_worker(False)
    lms.wait_until_gone(["1", "2"])


def test_gives_up_after_some_attempts(lms: Lms, sandbox: Sandbox) -> None:
    sandbox.fail_next("503", times=None, seconds=0)
    with pytest.raises(LmsError, match="HTTP 503"):
        lms.unenroll(["1"])
    assert len(sandbox.calls) == 5


@pytest.mark.parametrize(("fault", "said"), [("SU:10", "SU:10"), ("SU:9999", "SU:9999"), ("html", "HTTP 502")])
def test_reports_a_call_that_failed_as_a_whole(lms: Lms, sandbox: Sandbox, fault: str, said: str) -> None:
    sandbox.fail_next(fault)
    with pytest.raises(LmsError, match=said):
        lms.unenroll(["1"])


def test_waits_through_a_hold(lms: Lms, sandbox: Sandbox) -> None:
    sandbox.set_policies(hold_seconds=3600)
    lms.unenroll(["1"])
    assert "1" in lms.enrolled()
    sandbox.advance_clock(3600)
    lms.wait_until_gone(["1"])

"""The page of last calls: who called, filters, older pages and CSV."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from campus import Campus
from conftest import Served
from rollbook.model import utc_now
from rollbook.store.operations.call_log import SPAN, AnsweredCall, keep_calls
from visitor import Visitor

NOW = utc_now().replace(hour=12, minute=0, second=0, microsecond=0)


def _call(campus: Campus, request_id: str, **values: Any) -> AnsweredCall:
    given: dict[str, Any] = {
        "account_id": campus.account.id,
        "user_id": campus.user_id("owner@example.org"),
        "key_id": 12,
        "method": "getUser",
        "status": 200,
        "result": "Success",
        "errors": {},
        "detail": None,
        "batch_id": None,
        "address": "192.0.2.7",
        "request_id": request_id,
        "milliseconds": 1.5,
        "answered_at": NOW,
    }
    return AnsweredCall(**given | values)


def _keep(served: Served, *calls: AnsweredCall) -> None:
    with served.database.write() as connection:
        keep_calls(connection, calls)


def _shown(visitor: Visitor, **filters: object) -> list[str]:
    assert visitor.open("/console/account/calls", **filters).status_code == 200
    return [str(text) for text in visitor.page().xpath("//td[@data-name='Request id']/code/text()")]


@pytest.fixture
def filled(served: Served, campus: Campus) -> Campus:
    """An account with five calls on three days, the first one earliest."""
    administrator = campus.user_id("administrator@example.org")
    _keep(
        served,
        _call(campus, "a" * 16, answered_at=NOW - timedelta(days=2), user_id=administrator),
        _call(campus, "b" * 16, answered_at=NOW - timedelta(days=1), method="listUsers", address="2001:db8::7"),
        _call(campus, "c" * 16, method="unenrollLearningModules", errors={"ULM:03": 2}, batch_id=7),
        _call(campus, "d" * 16, result="Failed", errors={"SU:12": 1}, detail="SmarterU/Parameters/User, line 2: 100 %"),
        _call(campus, "e" * 16, method=None, result="Failed", status=503),
    )
    return campus


FOUND: list[tuple[dict[str, str], str]] = [
    ({}, "edcba"),
    ({"to": "9999-12-31"}, "edcba"),
    ({"method": "listUsers"}, "b"),
    ({"method": "LISTUSERS"}, ""),
    ({"outcome": "success"}, "ba"),
    ({"outcome": "partly"}, "c"),
    ({"outcome": "failed"}, "ed"),
    ({"user": "Administrator@Example.org"}, "a"),
    ({"user": "nobody@example.org"}, ""),
    ({"from": f"{NOW:%Y-%m-%d}"}, "edc"),
    ({"to": f"{NOW - timedelta(days=1):%Y-%m-%d}"}, "ba"),
    ({"from": f"{NOW - timedelta(days=1):%Y-%m-%d}", "to": f"{NOW - timedelta(days=1):%d-%b-%Y}"}, "b"),
    ({"q": "B" * 16}, "b"),
    ({"q": "b" * 8}, ""),
    ({"q": "ulm:03"}, "c"),
    ({"q": "LM:0"}, ""),
    ({"q": "2001:db8::7"}, "b"),
    ({"q": "line 2"}, "d"),
    ({"q": "100 %"}, "d"),
    ({"q": "%"}, "d"),
    ({"q": "failed", "outcome": "failed"}, ""),
    ({"method": "getUser", "outcome": "failed", "user": "owner@example.org", "q": "SU:12"}, "d"),
]
REFUSED: list[tuple[dict[str, str], str]] = [
    ({"outcome": "good"}, "“good” is not an outcome."),
    ({"from": "yesterday"}, "“yesterday” is not a day like 2026-01-31."),
    ({"before": "x"}, "“x” is not a number."),
]


def test_filters_choose_calls_on_the_page_and_in_the_csv(filled: Campus, owner: Visitor) -> None:
    for filters, found in FOUND:
        assert _shown(owner, **filters) == [letter * 16 for letter in found], filters
        if not found:
            assert "No call matches this filter." in owner.text()
        rows = csv.DictReader(io.StringIO(owner.open("/console/account/calls.csv", **filters).text, newline=""))
        assert [row["request_id"] for row in rows] == [letter * 16 for letter in found], filters


def test_filter_that_cannot_be_read_is_refused_by_name(filled: Campus, owner: Visitor) -> None:
    for filters, sentence in REFUSED:
        for path in ("/console/account/calls", "/console/account/calls.csv")[: 1 if "before" in filters else 2]:
            assert owner.open(path, **filters).status_code == 422
            assert sentence in owner.text()


def test_call_shows_its_caller(served: Served, filled: Campus, owner: Visitor) -> None:
    owner.open("/console/account/calls", method="getUser")
    told = [cell.text_content() for cell in owner.page().xpath("//td[@data-name='Called by']")]
    assert told == [f"{who}@example.orgkey 12, 192.0.2.7" for who in ("owner", "administrator")]


def test_older_calls_are_on_further_pages_with_the_same_filter(served: Served, campus: Campus, owner: Visitor) -> None:
    wanted = [_call(campus, f"{number:016}", method="getUser") for number in range(205)]
    others = [_call(campus, "other", method="listUsers") for _ in range(205)]
    _keep(served, *(call for pair in zip(wanted, others, strict=True) for call in pair))
    seen = _shown(owner, method="getUser")
    while links := owner.page().xpath("//a[@rel='next']/@href"):
        owner.open(str(links[0]))
        seen += [str(text) for text in owner.page().xpath("//td[@data-name='Request id']/code/text()")]
    assert seen == [call.request_id for call in reversed(wanted)]


def test_calls_of_another_account_are_not_found(served: Served, filled: Campus, owner: Visitor) -> None:
    other = Campus(served.database)
    _keep(served, _call(other, "f" * 16))
    assert _shown(owner, q="f" * 16) == []
    assert "f" * 16 not in owner.open("/console/account/calls.csv").text


def test_search_that_ends_before_the_oldest_call_says_so_and_goes_on(
    served: Served, campus: Campus, owner: Visitor, soaks: bool
) -> None:
    if not soaks:
        pytest.skip("needs 100,000 calls: --soak")
    _keep(served, _call(campus, "wanted"))
    for _ in range(0, SPAN, 10_000):
        _keep(served, *(_call(campus, "other") for _ in range(10_000)))
    assert _shown(owner, q="wanted") == []
    assert "No call among the latest 100,000 matches. Search the older ones." in owner.text()
    owner.open(str(owner.page().xpath("//a[@rel='next']/@href")[0]))
    assert "wanted" in owner.text()
    assert "wanted" in owner.open("/console/account/calls.csv", q="wanted").text

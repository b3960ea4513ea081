"""The page of webhooks in the console."""

from collections.abc import Iterator

import pytest

from campus import Campus
from conftest import Served, Visitors
from load import wait_until
from receiver import Receiver, delivering, read_webhook, run_receiver, subscribe
from visitor import Visitor, give_password

PAGE = "/console/account/webhooks"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on the loopback address."""
    with run_receiver() as running:
        yield running


def test_administrator_adds_and_removes_a_webhook_whose_secret_is_shown_once(
    campus: Campus, visitors: Visitors
) -> None:
    give_password(campus, "administrator@example.org")
    visitor = visitors()
    visitor.sign_in(campus, "administrator@example.org")
    visitor.open(PAGE)
    visitor.submit(PAGE, url="http://hooks.example.org/")
    assert visitor.answer.status_code == 422
    assert "The URL of a webhook begins with https://" in visitor.text()
    visitor.submit(PAGE, url="https://hooks.example.org/rollbook", events="batches")
    secret = str(visitor.page().xpath("//code[@class='key']/text()")[0])
    assert secret.startswith("whsec_")
    visitor.open(PAGE)
    assert secret not in visitor.answer.text
    assert _cells(visitor)[1:5] == ["https://hooks.example.org/rollbook", "batches", "enabled", "0 items"]
    visitor.submit(f"{PAGE}/remove")
    assert "The webhook is removed." in visitor.text()
    assert "No webhooks yet." in visitor.text()
    visitor.open("/console/account/audit", action="remove-webhook")
    assert "hooks.example.org" in visitor.text()


def test_page_shows_how_a_test_and_the_last_delivery_ended(
    served: Served, campus: Campus, owner: Visitor, receiver: Receiver
) -> None:
    number = subscribe(campus, receiver)
    receiver.answers = [503, 500]
    owner.open(PAGE)
    owner.submit(f"{PAGE}/test")
    assert "A worker sends the test now." in owner.text()
    assert "waits for a worker" in owner.text()
    with delivering(served.database):
        wait_until(lambda: read_webhook(served.database, number).tested_at is not None)
        assert "The receiver answered 503." in owner.open(PAGE).text
        campus.accept(campus.enroll(2))
        wait_until(lambda: read_webhook(served.database, number).failures == 1)
        campus.drain()
        owner.open(PAGE)
        assert "failing since" in owner.text()
        assert "2 items" in owner.text()
        assert "The receiver answered 500." in owner.text()
        owner.submit(f"{PAGE}/enable")
        wait_until(lambda: "batch.finished" in receiver.types())
    owner.open(PAGE)
    assert _cells(owner)[2:5] == ["items and progress", "enabled", "0 items"]


def _cells(visitor: Visitor) -> list[str]:
    return [cell.text_content().strip() for cell in visitor.page().xpath("//tbody/tr[1]/*")]


def test_idor_webhook_of_another_account_cannot_be_changed(
    served: Served, campus: Campus, owner: Visitor, receiver: Receiver
) -> None:
    number = subscribe(Campus(served.database), receiver)
    for change in ("test", "enable", "remove"):
        assert owner.post(f"{PAGE}/{change}", {"webhook": number}).status_code == 422
        assert f"has no webhook {number}." in owner.text()
    assert read_webhook(served.database, number).test_asked_at is None

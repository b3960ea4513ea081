"""Who reaches a limit is answered 429 until the minute is over, on every server of the database; nobody else is."""

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree

from campus import Campus
from rollbook.errors import ThrottledError
from rollbook.model import Limit
from rollbook.server.rounds import INTERVAL_SECONDS
from rollbook.server.throttle import MOST_SUBJECTS, WINDOW_SECONDS, Throttle
from rollbook.store.engine import Database
from server_process import ServerProcess, run_server

PROXY = "127.0.0.2"
LIMITS: dict[str, Any] = {"wrong_keys_per_address": 4, "wrong_keys_per_account": 6, "calls_per_account": 20}


class Sender:
    """Calls a server through a proxy that it trusts, from any address; or itself, from 127.0.0.1."""

    def __init__(self, server: ServerProcess, through: str | None = PROXY) -> None:
        transport = httpx.HTTPTransport(verify=server.tls_context(), local_address=through)
        self._client = httpx.Client(transport=transport, trust_env=False, timeout=30)
        self._url = server.url

    def close(self) -> None:
        """Close its connection."""
        self._client.close()

    def send(self, package: str, address: str) -> httpx.Response:
        """Send one call that is said to come from the address."""
        headers = {"X-Forwarded-For": address, "X-Forwarded-Proto": "https"}
        return self._client.post(self._url, data={"Package": package}, headers=headers)

    def outcomes(self, package: str, *addresses: str) -> list[str]:
        """Send one call from each address; tell 429, Success, or the code of the error."""
        answers = [self.send(package, address) for address in addresses]
        return [str(answer.status_code) if answer.status_code != 200 else _result(answer) for answer in answers]


def _result(answer: httpx.Response) -> str:
    root = etree.fromstring(answer.content)
    return root.findtext("Errors/Error/ErrorID") or root.findtext("Result") or ""


@contextmanager
def _early_in_a_minute(seconds: float) -> Iterator[None]:
    """Begin when the minute of the clock has the seconds left that the block takes."""
    left = WINDOW_SECONDS - time.time() % WINDOW_SECONDS
    if left < seconds:
        time.sleep(left)
    yield


def test_limits_hold_on_two_servers_of_one_database_and_for_nobody_else(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    ours, theirs = Campus(database), Campus(database)
    ask = ("getUnenrollmentQueue", "<UnenrollmentQueue/>")
    wrong_user, right, others = ours.call(*ask, "0" * 64), ours.call(*ask), theirs.call(*ask)
    unknown = right.replace(ours.account_key, "0" * 64)
    with (
        run_server(database_url, tmp_path, "--no-worker", trusted_proxies=PROXY, **LIMITS) as one,
        run_server(database_url, tmp_path, "--no-worker", trusted_proxies=PROXY, **LIMITS) as two,
        _early_in_a_minute(10),
        closing(Sender(one)) as first,
        closing(Sender(two)) as second,
        closing(Sender(one, through=None)) as direct,
    ):
        # An address, on the one server; about a second later on the other one.
        assert first.outcomes(unknown, *["203.0.113.1"] * 5) == ["SU:10"] * 4 + ["429"]
        assert first.outcomes(right, "203.0.113.1", "203.0.113.2") == ["429", "Success"]
        _wait_for_429(second, right, "203.0.113.1")
        refused = second.send(right, "203.0.113.1")
        assert 1 <= int(refused.headers["Retry-After"]) <= WINDOW_SECONDS
        assert _result(refused) == "SU:9999"
        # Of version 6, a whole network counts as one; of version 4 written as version 6, the address alone.
        assert first.outcomes(unknown, *(f"2001:db8:1:2::{n:x}" for n in range(5))) == ["SU:10"] * 4 + ["429"]
        assert first.outcomes(right, "2001:db8:1:3::1") == ["Success"]
        assert first.outcomes(right, "::ffff:203.0.113.1", "::ffff:203.0.113.3") == ["429", "Success"]
        # Whoever comes by no trusted proxy cannot choose the address that is counted.
        assert direct.outcomes(unknown, *(f"198.51.100.{n}" for n in range(5))) == ["SU:10"] * 4 + ["429"]
        # An account, from many addresses: wrong user keys, and calls.
        assert second.outcomes(wrong_user, *(f"198.51.100.{n}" for n in range(7))) == ["SU:10"] * 6 + ["429"]
        assert second.outcomes(right, "203.0.113.2") == ["429"]
        assert second.outcomes(others, *["203.0.113.2"] * 21) == ["Success"] * 20 + ["429"]


def _wait_for_429(sender: Sender, package: str, address: str) -> None:
    deadline = time.monotonic() + 10
    while sender.outcomes(package, address) != ["429"]:
        assert time.monotonic() < deadline, "the other server never learns of it"
        time.sleep(0.5)


def test_a_limit_ends_with_the_minute(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    throttle = Throttle(database, {Limit.WRONG_KEYS_PER_ADDRESS: 2})
    monkeypatch.setattr(time, "time", lambda: 6_000_050.0)
    for _ in range(2):
        throttle.check(Limit.WRONG_KEYS_PER_ADDRESS, "203.0.113.1")
        throttle.count(Limit.WRONG_KEYS_PER_ADDRESS, "203.0.113.1")
    with pytest.raises(ThrottledError) as refused:
        throttle.check(Limit.WRONG_KEYS_PER_ADDRESS, "203.0.113.1")
    assert refused.value.retry_after == 10
    monkeypatch.setattr(time, "time", lambda: 6_000_060.0)
    throttle.check(Limit.WRONG_KEYS_PER_ADDRESS, "203.0.113.1")


def test_a_limit_holds_in_each_server_while_the_database_is_away() -> None:
    throttle = Throttle(Database("postgresql://127.0.0.1:1/none"), {Limit.SIGN_INS_PER_EMAIL: 2})
    throttle.start()
    with _early_in_a_minute(5):
        for _ in range(2):
            throttle.count(Limit.SIGN_INS_PER_EMAIL, "Ann@example.org")
        time.sleep(INTERVAL_SECONDS * 1.5)
        with pytest.raises(ThrottledError):
            throttle.check(Limit.SIGN_INS_PER_EMAIL, "ann@example.org")
    throttle.stop()


def test_a_flood_from_many_addresses_takes_little_memory() -> None:
    throttle = Throttle(Database("postgresql://127.0.0.1:1/none"), {Limit.WRONG_KEYS_PER_ADDRESS: 30})
    tracemalloc.start()
    for number in range(3 * MOST_SUBJECTS):
        throttle.count(Limit.WRONG_KEYS_PER_ADDRESS, f"203.0.{number // 256}.{number % 256}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000

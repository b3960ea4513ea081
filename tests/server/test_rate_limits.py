"""Rate limits: 429 until the minute is over, for the subject that reached the limit only."""

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
from rollbook.errors import RateLimitError
from rollbook.model import Limit
from rollbook.server.operations.rate_limits import MAX_SUBJECTS, WINDOW_SECONDS, RateLimits
from rollbook.store.database.database import Database
from server_process import ServerProcess, run_server
from visitor import Visitor, give_password

PROXY = "127.0.0.2"
LIMITS: dict[str, Any] = {"wrong_keys_per_address": 4, "calls_per_account": 20}


class Sender:
    """A client behind a trusted proxy, with any address; or without a proxy, from 127.0.0.1."""

    def __init__(self, server: ServerProcess, through: str | None = PROXY) -> None:
        transport = httpx.HTTPTransport(verify=server.tls_context(), local_address=through)
        self._client = httpx.Client(transport=transport, trust_env=False, timeout=30)
        self._url = server.url

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def send(self, package: str, address: str) -> httpx.Response:
        """Send one call whose proxy names the address."""
        headers = {"X-Forwarded-For": address, "X-Forwarded-Proto": "https"}
        return self._client.post(self._url, data={"Package": package}, headers=headers)

    def outcomes(self, package: str, *addresses: str) -> list[str]:
        """Send one call from each address; return for each 429, Success, or the error code."""
        answers = [self.send(package, address) for address in addresses]
        return [str(answer.status_code) if answer.status_code != 200 else _result(answer) for answer in answers]


def _result(answer: httpx.Response) -> str:
    root = etree.fromstring(answer.content)
    return root.findtext("Errors/Error/ErrorID") or root.findtext("Result") or ""


@contextmanager
def _early_in_a_minute(seconds: float) -> Iterator[None]:
    """Wait until the minute of the clock has `seconds` left for the block."""
    left = WINDOW_SECONDS - time.time() % WINDOW_SECONDS
    if left < seconds:
        time.sleep(left)
    yield


def test_limits_apply_to_the_subject_that_reaches_them_only(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    ours, theirs = Campus(database), Campus(database)
    ask = ("getUnenrollmentQueue", "<UnenrollmentQueue/>")
    wrong_user, right, others = ours.call(*ask, "0" * 64), ours.call(*ask), theirs.call(*ask)
    unknown = right.replace(ours.account_key, "0" * 64)
    with (
        run_server(database_url, tmp_path, "--no-worker", trusted_proxies=PROXY, **LIMITS) as server,
        _early_in_a_minute(10),
        closing(Sender(server)) as proxied,
        closing(Sender(server, through=None)) as direct,
    ):
        assert proxied.outcomes(unknown, *["203.0.113.1"] * 5) == ["SU:10"] * 4 + ["429"]
        assert proxied.outcomes(right, "203.0.113.1", "203.0.113.2") == ["429", "Success"]
        refused = proxied.send(right, "203.0.113.1")
        assert 1 <= int(refused.headers["Retry-After"]) <= WINDOW_SECONDS
        assert _result(refused) == "SU:9999"
        # A /64 network of IPv6 is one subject; an IPv4 address in IPv6 notation is that address.
        assert proxied.outcomes(unknown, *(f"2001:db8:1:2::{n:x}" for n in range(5))) == ["SU:10"] * 4 + ["429"]
        assert proxied.outcomes(right, "2001:db8:1:3::1") == ["Success"]
        assert proxied.outcomes(right, "::ffff:203.0.113.1", "::ffff:203.0.113.3") == ["429", "Success"]
        # Without a trusted proxy the client cannot choose the address that is counted.
        assert direct.outcomes(unknown, *(f"198.51.100.{n}" for n in range(5))) == ["SU:10"] * 4 + ["429"]
        # An unreadable call counts like a wrong key.
        assert proxied.outcomes("<a>", *["203.0.113.5"] * 5) == ["SU:03"] * 4 + ["429"]
        # A holder of the account key cannot lock the account out with wrong user keys.
        assert proxied.outcomes(wrong_user, *(f"198.51.100.{n}" for n in range(40))) == ["SU:10"] * 40
        assert proxied.outcomes(right, "203.0.113.2") == ["Success"]
        assert proxied.outcomes(others, *["203.0.113.2"] * 21) == ["Success"] * 20 + ["429"]


def test_failed_sign_ins_count_for_all_servers_of_a_database(
    database_url: str, database: Database, tmp_path: Path
) -> None:
    campus = Campus(database)
    give_password(campus)
    with (
        run_server(database_url, tmp_path, "--no-worker", sign_ins_per_email=3) as one,
        run_server(database_url, tmp_path, "--no-worker", sign_ins_per_email=3) as two,
        one.client() as first,
        two.client() as second,
        _early_in_a_minute(10),
    ):
        visitors = [Visitor(one, first), Visitor(two, second)]
        wrong = [visitors[number % 2].sign_in(campus, password="a wrong password") for number in range(4)]
        right = [visitor.sign_in(campus).status_code for visitor in visitors]
    assert [answer.status_code for answer in wrong] == [403, 403, 403, 429]
    assert right == [429, 429]


def test_limit_ends_with_the_minute(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    rate_limits = RateLimits(database, {Limit.WRONG_KEYS_PER_ADDRESS: 2})
    monkeypatch.setattr(time, "time", lambda: 6_000_050.0)
    for _ in range(2):
        rate_limits.check(Limit.WRONG_KEYS_PER_ADDRESS, "203.0.113.1")
        rate_limits.count(Limit.WRONG_KEYS_PER_ADDRESS, "203.0.113.1")
    with pytest.raises(RateLimitError) as refused:
        rate_limits.check(Limit.WRONG_KEYS_PER_ADDRESS, "203.0.113.1")
    assert refused.value.retry_after == 10
    monkeypatch.setattr(time, "time", lambda: 6_000_060.0)
    rate_limits.check(Limit.WRONG_KEYS_PER_ADDRESS, "203.0.113.1")


def test_flood_from_many_addresses_takes_little_memory() -> None:
    rate_limits = RateLimits(Database("postgresql://127.0.0.1:1/none"), {Limit.WRONG_KEYS_PER_ADDRESS: 30})
    tracemalloc.start()
    for number in range(3 * MAX_SUBJECTS):
        rate_limits.count(Limit.WRONG_KEYS_PER_ADDRESS, f"203.0.{number // 256}.{number % 256}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000

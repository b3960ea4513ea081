"""Rate limits by the minute of the clock: wrong keys and calls per process, sign-in attempts in the database.

Passwords can be guessed, so sign-ins are counted exactly, for all servers; keys cannot, so calls never wait for a count
(docs/decisions/0029).
"""

import hashlib
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import AddressValueError, IPv6Address

from rollbook.errors import RateLimitError
from rollbook.model import Limit
from rollbook.store.database.database import Database
from rollbook.store.operations.login_limits import count_attempt, read_attempts

WINDOW_SECONDS = 60
# Subjects in memory for each limit; further ones are not counted in that minute.
MAX_SUBJECTS = 20_000
IN_DATABASE = (Limit.SIGN_INS_PER_ADDRESS, Limit.SIGN_INS_PER_EMAIL)


class RateLimits:
    """Counts subjects (an address, an e-mail, the number of an account) against limits. Thread-safe."""

    def __init__(self, database: Database, limits: Mapping[Limit, int]) -> None:
        self._database = database
        self._limits = {limit: maximum for limit, maximum in limits.items() if maximum > 0}
        self._counts: dict[Limit, dict[str, int]] = {limit: {} for limit in self._limits}
        self._window = 0
        self._lock = threading.Lock()

    def check(self, limit: Limit, subject: object) -> None:
        """Raise RateLimitError if the subject has reached the limit in this minute."""
        maximum = self._limits.get(limit)
        if maximum is None:
            return
        now = int(time.time())
        if limit in IN_DATABASE:
            with self._database.read() as connection:
                count = read_attempts(connection, _window_at(now), f"{limit} {_normalize(subject)}")
        else:
            with self._lock:
                self._begin_window(now)
                count = self._counts[limit].get(_normalize(subject), 0)
        if count >= maximum:
            raise RateLimitError(f"{limit} reached", retry_after=WINDOW_SECONDS - now % WINDOW_SECONDS)

    def count(self, limit: Limit, subject: object) -> None:
        """Count the subject once more against the limit."""
        if limit not in self._limits:
            return
        now, name = int(time.time()), _normalize(subject)
        if limit in IN_DATABASE:
            self._database.transact(lambda connection: count_attempt(connection, _window_at(now), f"{limit} {name}"))
            return
        with self._lock:
            self._begin_window(now)
            counts = self._counts[limit]
            if name in counts or len(counts) < MAX_SUBJECTS:
                counts[name] = counts.get(name, 0) + 1

    def _begin_window(self, now: int) -> None:
        """Clear the counts if `now` is in another window than they are. Needs the lock."""
        window = now // WINDOW_SECONDS
        if window != self._window:
            self._window = window
            self._counts = {limit: {} for limit in self._limits}


def _window_at(now: int) -> datetime:
    return datetime.fromtimestamp(now - now % WINDOW_SECONDS, UTC)


def _normalize(subject: object) -> str:
    """Return the name that is counted: of an IPv6 address its /64 network, of long text its digest."""
    text = str(subject)
    if ":" in text:
        with suppress(AddressValueError):
            address = IPv6Address(text)
            return str(address.ipv4_mapped or f"{IPv6Address(int(address) >> 64 << 64)}/64")
    if text.isascii() and text.isprintable() and len(text) <= 80:
        return text.lower()
    return hashlib.sha256(text.lower().encode(errors="replace")).hexdigest()

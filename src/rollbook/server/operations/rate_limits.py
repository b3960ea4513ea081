"""Rate limits by the minute: wrong keys and calls for each process, attempts to sign in for all servers of a database.

A call waits for no count. A sign-in waits for its own, because a password can be guessed and a key cannot.
"""

import hashlib
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import IPv6Address

from rollbook.errors import RateLimitError
from rollbook.model import Limit
from rollbook.store.database.database import Database
from rollbook.store.operations.login_limits import count_attempt, read_attempts

WINDOW_SECONDS = 60
# What is remembered of one limit at most; beyond it a subject that is new within the minute is not counted.
MAX_SUBJECTS = 20_000
# Counted in the database, in the request.
IN_DATABASE = (Limit.SIGN_INS_PER_ADDRESS, Limit.SIGN_INS_PER_EMAIL)


class RateLimits:
    """Counts against limits and refuses a subject that has reached one; for any thread."""

    def __init__(self, database: Database, limits: Mapping[Limit, int]) -> None:
        self._database = database
        self._limits = {limit: most for limit, most in limits.items() if most > 0}
        self._counts: dict[Limit, dict[str, int]] = {limit: {} for limit in self._limits}
        self._window = 0
        self._lock = threading.Lock()

    def check(self, limit: Limit, subject: object) -> None:
        """Let pass what is below the limit; errors: RateLimitError until the minute is over.

        The subject is an address, an e-mail or the number of an account, according to the limit.
        """
        most = self._limits.get(limit)
        if most is None:
            return
        now = int(time.time())
        if limit in IN_DATABASE:
            with self._database.read() as connection:
                count = read_attempts(connection, _window_at(now), f"{limit} {_name(subject)}")
        else:
            with self._lock:
                self._turn(now)
                count = self._counts[limit].get(_name(subject), 0)
        if count >= most:
            raise RateLimitError(f"{limit} reached", retry_after=WINDOW_SECONDS - now % WINDOW_SECONDS)

    def count(self, limit: Limit, subject: object) -> None:
        """Count one more of the subject against the limit."""
        if limit not in self._limits:
            return
        now, name = int(time.time()), _name(subject)
        if limit in IN_DATABASE:
            self._database.transact(lambda connection: count_attempt(connection, _window_at(now), f"{limit} {name}"))
            return
        with self._lock:
            self._turn(now)
            counts = self._counts[limit]
            if name in counts or len(counts) < MAX_SUBJECTS:
                counts[name] = counts.get(name, 0) + 1

    def _turn(self, now: int) -> None:
        """Forget the counts of another window than the one that `now` is in. Needs the lock."""
        window = now // WINDOW_SECONDS
        if window != self._window:
            self._window = window
            self._counts = {limit: {} for limit in self._limits}


def _window_at(now: int) -> datetime:
    return datetime.fromtimestamp(now - now % WINDOW_SECONDS, UTC)


def _name(subject: object) -> str:
    """Name a subject: a whole network of addresses of version 6 is one, because one household has it."""
    text = str(subject)
    if ":" in text:
        address = _read_address(text)
        if address is not None:
            mapped = address.ipv4_mapped
            return str(mapped) if mapped else f"{IPv6Address(int(address) >> 64 << 64)}/64"
    if text.isascii() and text.isprintable() and len(text) <= 80:
        return text.lower()
    return hashlib.sha256(text.lower().encode(errors="replace")).hexdigest()


def _read_address(text: str) -> IPv6Address | None:
    try:
        return IPv6Address(text)
    except ValueError:
        return None

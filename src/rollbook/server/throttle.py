"""Limits by the minute: wrong keys, calls, attempts to sign in. The servers of one database count together.

Each counts by itself, so that no call waits for the database, and the counts are exchanged about once a second.
"""

import hashlib
import heapq
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv6Address
from operator import itemgetter

from rollbook.errors import ThrottledError
from rollbook.model import Limit
from rollbook.server.rounds import Rounds
from rollbook.store.engine import Database
from rollbook.store.throttles import add_counts, read_counts

WINDOW_SECONDS = 60
# What is remembered of one limit at most; who comes beyond it within the minute is not counted.
MOST_SUBJECTS = 20_000
# What one exchange sends and reads at most: the subjects with the highest counts.
MOST_EXCHANGED = 1_000


@dataclass(slots=True)
class _Count:
    """Of one subject: what the database knew last, of all servers, and what it has not been told yet."""

    shared: int = 0
    untold: int = 0


class Throttle:
    """Counts against limits and refuses who has reached one; for any thread, and never blocks."""

    def __init__(self, database: Database, limits: Mapping[Limit, int]) -> None:
        self._database = database
        self._limits = {limit: most for limit, most in limits.items() if most > 0}
        self._counts: dict[Limit, dict[str, _Count]] = {limit: {} for limit in self._limits}
        self._window = 0
        self._lock = threading.Lock()
        self._rounds = Rounds("throttle", self._exchange, "limits hold for this process alone")

    def start(self) -> None:
        """Begin to exchange counts with the other servers, if anything is limited."""
        if self._limits:
            self._rounds.start()

    def stop(self) -> None:
        """Tell the other servers what they do not know yet, and stop."""
        self._rounds.stop()

    def check(self, limit: Limit, subject: object) -> None:
        """Let pass who is below the limit; errors: ThrottledError until the minute is over.

        The subject is an address, an e-mail or the number of an account, according to the limit.
        """
        most = self._limits.get(limit)
        if most is None:
            return
        now = time.time()
        with self._lock:
            self._turn(now)
            count = self._counts[limit].get(_name(subject))
            reached = count is not None and count.shared + count.untold >= most
        if reached:
            raise ThrottledError(f"{limit} reached", retry_after=WINDOW_SECONDS - int(now) % WINDOW_SECONDS)

    def count(self, limit: Limit, subject: object) -> None:
        """Count one more of the subject against the limit."""
        if limit not in self._limits:
            return
        name = _name(subject)
        with self._lock:
            self._turn(time.time())
            counts = self._counts[limit]
            if name in counts or len(counts) < MOST_SUBJECTS:
                counts.setdefault(name, _Count()).untold += 1

    def _turn(self, now: float) -> None:
        """Forget the counts of another window than the one that `now` is in. Needs the lock."""
        window = int(now) // WINDOW_SECONDS
        if window != self._window:
            self._window = window
            self._counts = {limit: {} for limit in self._limits}

    def _exchange(self) -> None:
        with self._lock:
            self._turn(time.time())
            window, counts = self._window, self._counts
            untold = [
                (count.untold, f"{limit} {name}", count)
                for limit, named in counts.items()
                for name, count in named.items()
                if count.untold
            ]
        window_at = datetime.fromtimestamp(window * WINDOW_SECONDS, UTC)
        told = heapq.nlargest(MOST_EXCHANGED, untold, key=itemgetter(0))
        if told:
            add_counts(self._database, window_at, {name: number for number, name, _ in told})
        shared = read_counts(self._database, window_at, MOST_EXCHANGED)
        with self._lock:
            for number, _, count in told:
                count.untold -= number
                count.shared += number
            for name, number in shared.items():
                limit, _, subject = name.partition(" ")
                if limit in counts:
                    counts[Limit(limit)].setdefault(subject, _Count()).shared = number


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

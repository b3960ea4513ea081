"""How long a call may wait for the database: for a connection, for other writers, for answers, all together.

Who sets no deadline (a command, an import) waits for as long as it takes.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rollbook.errors import DatabaseUnavailableError

# When the time is over, and how long it was: monotonic seconds.
_deadline: ContextVar[tuple[float, float] | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Bound every wait inside the block together, also in a thread that is started with its context."""
    token = _deadline.set((time.monotonic() + seconds, seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


def renew_deadline() -> None:
    """Begin the deadline anew, after a step of work that has many: what makes progress may take as long as it needs."""
    if (given := _deadline.get()) is not None:
        _deadline.set((time.monotonic() + given[1], given[1]))


def time_left() -> float | None:
    """Give the seconds until the deadline, not below 0; None when there is no deadline."""
    given = _deadline.get()
    return None if given is None else max(0.0, given[0] - time.monotonic())


def remaining(seconds: float) -> float:
    """Give the seconds until the deadline, at most as many as given; errors: DatabaseUnavailableError if it is over."""
    left = time_left()
    if left == 0:
        raise DatabaseUnavailableError("the call had waited for too long before its work could begin")
    return seconds if left is None else min(seconds, left)

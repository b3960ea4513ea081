"""The deadline of a call: how long it may wait for connections, locks and statements in all.

Without a deadline, as in commands and imports, waits are not limited.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rollbook.errors import DatabaseUnavailableError

# The deadline in monotonic seconds, and the seconds that it was set for.
_deadline: ContextVar[tuple[float, float] | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Limit all waits inside the block together, also those of a thread that runs in its context."""
    token = _deadline.set((time.monotonic() + seconds, seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


def renew_deadline() -> None:
    """Restart the deadline after one step of many, so that work which makes progress is not stopped."""
    if (given := _deadline.get()) is not None:
        _deadline.set((time.monotonic() + given[1], given[1]))


def time_left() -> float | None:
    """Return the seconds until the deadline, at least 0; None without a deadline."""
    given = _deadline.get()
    return None if given is None else max(0.0, given[0] - time.monotonic())


def remaining(seconds: float) -> float:
    """Return the smaller of `seconds` and the seconds until the deadline; errors: DatabaseUnavailableError after it."""
    left = time_left()
    if left == 0:
        raise DatabaseUnavailableError("the call had waited for too long before its work could begin")
    return seconds if left is None else min(seconds, left)

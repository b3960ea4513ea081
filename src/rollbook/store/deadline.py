"""How long a call may wait for the database: for a connection, for other writers, for answers, all together.

Who sets no deadline (a command, an import) waits for as long as it takes.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rollbook.errors import DatabaseUnavailableError

_end: ContextVar[float | None] = ContextVar("end", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Bound every wait inside the block together, also in a thread that is started with its context."""
    token = _end.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _end.reset(token)


def time_left() -> float | None:
    """Give the seconds until the deadline, not below 0; None when there is no deadline."""
    end = _end.get()
    return None if end is None else max(0.0, end - time.monotonic())


def bounded(seconds: float) -> float:
    """Give the seconds until the deadline, at most as many as given; errors: DatabaseUnavailableError if it is over."""
    left = time_left()
    if left == 0:
        raise DatabaseUnavailableError("the call had waited for too long before its work could begin")
    return seconds if left is None else min(seconds, left)

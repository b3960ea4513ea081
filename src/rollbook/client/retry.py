"""When the client sends a call again, and how long it waits before that."""

import random
from email.utils import parsedate_to_datetime

import httpx

from rollbook.model import utc_now

FIRST_DELAY = 0.2
MAX_DELAY = 10.0
MAX_RETRY_AFTER = 300.0  # the longest wait, whatever the server's Retry-After
BUSY, UNAVAILABLE = 429, 503

_random = random.SystemRandom()


def is_temporary(response: httpx.Response) -> bool:
    """Tell whether the server asks for the call to be sent again."""
    return response.status_code in (BUSY, UNAVAILABLE)


def choose_delay(attempt: int, response: httpx.Response | None = None) -> float:
    """Choose the seconds before the next attempt: random below a growing limit, and at least the Retry-After."""
    delay = _random.uniform(0, min(MAX_DELAY, FIRST_DELAY * 2**attempt))
    return delay if response is None else max(delay, min(_read_retry_after(response), MAX_RETRY_AFTER))


def _read_retry_after(response: httpx.Response) -> float:
    """Read the seconds to wait from a number or a date; 0 without either."""
    text = response.headers.get("Retry-After", "")
    try:
        return float(text) if text.isdecimal() else (parsedate_to_datetime(text) - utc_now()).total_seconds()
    except (ValueError, TypeError):  # neither a number nor a date with a time zone
        return 0

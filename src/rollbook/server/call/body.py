"""Receives the body of a call: HTTPS and POST only, limited in size and time (protocol T2, T4, T5)."""

import asyncio

from starlette.requests import Request

from rollbook.errors import NO_POST_DATA, CallError, TransportError

# Bytes beyond the limit that are read and dropped: many clients read the answer only after sending everything.
MAX_DROPPED_BYTES = 32 * 1_048_576
# For bodies that are still arriving at shutdown.
SHUTDOWN_SECONDS = 3


class Receiver:
    """Receives bodies of at most `max_bytes` within `seconds`."""

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._deadlines: set[asyncio.Timeout] = set()
        self._stopping = False

    async def receive(self, request: Request, max_bytes: int | None = None) -> bytes:
        """Return the body of a call, or of a form of at most `max_bytes`; it may be empty.

        Errors: SU:01; TransportError 413 when too large, 408 when too slow, 503 when the server is shutting down.
        """
        if request.scope["scheme"] != "https":
            raise CallError(NO_POST_DATA, "the call did not come over HTTPS")
        if request.method != "POST":
            raise CallError(NO_POST_DATA, f"the HTTP method is {request.method}")
        limit = self._max_bytes if max_bytes is None else max_bytes
        try:
            async with asyncio.timeout(SHUTDOWN_SECONDS if self._stopping else self._seconds) as deadline:
                self._deadlines.add(deadline)
                try:
                    return await _read(request, limit)
                finally:
                    self._deadlines.discard(deadline)
        except TimeoutError:
            if self._stopping:
                raise TransportError(503, "the server is shutting down", retry_after=1) from None
            raise TransportError(408, f"the body did not arrive within {self._seconds} seconds") from None

    def shut_down(self) -> None:
        """Give bodies that are arriving SHUTDOWN_SECONDS more."""
        self._stopping = True
        soon = asyncio.get_running_loop().time() + SHUTDOWN_SECONDS
        for deadline in self._deadlines:
            deadline.reschedule(min(soon, deadline.when() or soon))


async def _read(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        elif size > limit + MAX_DROPPED_BYTES:
            break
    if size > limit:
        raise TransportError(413, f"the body is larger than {limit} bytes")
    return b"".join(chunks)

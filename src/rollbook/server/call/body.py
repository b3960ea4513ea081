"""Takes in the body of a call: HTTPS and POST only, bounded in size and in time (protocol T2, T4, T5)."""

import asyncio

from starlette.requests import Request

from rollbook.errors import NO_POST_DATA, CallError, TransportError

# What a program sends beyond the limit is read and dropped, so that it comes to read its answer; but not for ever.
DROPPED_BYTES = 32 * 1_048_576
HURRY_SECONDS = 3


class Receiver:
    """Reads bodies of at most `max_bytes` that arrive within `seconds`."""

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._deadlines: set[asyncio.Timeout] = set()
        self._stopping = False

    async def receive(self, request: Request, most: int | None = None) -> bytes:
        """Return the body of a call, or of a form of at most `most` bytes; it may be empty.

        Errors: SU:01; TransportError 413 for too much, 408 for too slow, 503 when the server is shutting down.
        """
        if request.scope["scheme"] != "https":
            raise CallError(NO_POST_DATA, "the call did not come over HTTPS")
        if request.method != "POST":
            raise CallError(NO_POST_DATA, f"the HTTP method is {request.method}")
        try:
            async with asyncio.timeout(HURRY_SECONDS if self._stopping else self._seconds) as deadline:
                self._deadlines.add(deadline)
                try:
                    body = await self._read(request, self._max_bytes if most is None else min(most, self._max_bytes))
                finally:
                    self._deadlines.discard(deadline)
        except TimeoutError:
            if self._stopping:
                raise TransportError(503, "the server is shutting down", retry_after=1) from None
            raise TransportError(408, f"the body did not arrive within {self._seconds} seconds") from None
        return body

    def hurry(self) -> None:
        """Give every body that is still arriving a few seconds more, because the server is shutting down."""
        self._stopping = True
        soon = asyncio.get_running_loop().time() + HURRY_SECONDS
        for deadline in self._deadlines:
            deadline.reschedule(min(soon, deadline.when() or soon))

    async def _read(self, request: Request, most: int) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size <= most:
                chunks.append(chunk)
            elif size > most + DROPPED_BYTES:
                break
        if size > most:
            raise TransportError(413, f"the body is larger than {most} bytes")
        return b"".join(chunks)

"""httptools' parser without protocol switches: bytes after a head, within Content-Length, are always the body.

With `Connection: Upgrade`, httptools ends the request at its head and parses the body as the next request. Behind a
trusted proxy, the sender of that body could then choose its client address.
"""

from typing import Protocol

import httptools

# What follows CONNECT belongs to another protocol.
CONNECT = b"CONNECT"


class Head(Protocol):
    """The parser's callbacks, with the head that was parsed last."""

    url: bytes
    headers: list[tuple[bytes, bytes]]


class RequestParser:
    """Parses a head that asks for an upgrade again without that request; `protocol` ignores the first pass."""

    def __init__(self, protocol: Head) -> None:
        self._protocol = protocol
        self._begin()

    def _begin(self) -> None:
        parser = httptools.HttpRequestParser(self._protocol)
        # As uvicorn does: the first of several pipelined requests is answered even if it closes the connection.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._feed = parser.feed_data
        self.get_method = parser.get_method
        self.get_http_version = parser.get_http_version
        self.should_keep_alive = parser.should_keep_alive
        self.should_upgrade = parser.should_upgrade

    def feed_data(self, data: bytes) -> None:
        """Parse received bytes; errors: HttpParserError, also for CONNECT."""
        left = memoryview(data)
        while left:
            try:
                self._feed(left)
            except httptools.HttpParserUpgrade as upgrade:
                if self.get_method() == CONNECT:
                    raise httptools.HttpParserError("CONNECT is for proxies") from None
                head = self._head_without_upgrade()
                self._begin()
                self._feed(head)
                left = left[upgrade.args[0] :]
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        lines = [self.get_method() + b" " + self._protocol.url + b" HTTP/" + self.get_http_version().encode()]
        for name, value in self._protocol.headers:
            if name == b"connection":
                tokens = [token for token in value.split(b",") if token.strip().lower() != b"upgrade"]
                lines.append(name + b": " + b",".join(tokens))
            elif name != b"upgrade":
                lines.append(name + b": " + value)
        return b"\r\n".join([*lines, b"", b""])

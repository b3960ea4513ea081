"""httptools' parser, without its ways out of HTTP: what follows a head within Content-Length is the body, always.

For `Connection: Upgrade` it ends the call with the head, and reads the body as the next call: one whose sender, behind
a proxy, is then taken for the proxy itself.
"""

from typing import Protocol

import httptools

# Everything after it would belong to another protocol, which this server does not speak.
CONNECT = b"CONNECT"


class Head(Protocol):
    """The callbacks of the parser, and what they have been told of the head that was parsed last."""

    url: bytes
    headers: list[tuple[bytes, bytes]]


class RequestParser:
    """Parses a head that asks for an upgrade a second time, without those words; `protocol` ignores the first time."""

    def __init__(self, protocol: Head) -> None:
        self._protocol = protocol
        self._begin()

    def _begin(self) -> None:
        parser = httptools.HttpRequestParser(self._protocol)
        # As uvicorn has it: the first of several calls is answered, also when it closes the connection.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._feed = parser.feed_data
        self.get_method = parser.get_method
        self.get_http_version = parser.get_http_version
        self.should_keep_alive = parser.should_keep_alive
        self.should_upgrade = parser.should_upgrade

    def feed_data(self, data: bytes) -> None:
        """Parse what has arrived. Errors: HttpParserError, for CONNECT too."""
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

"""A server of this API that is not Rollbook: it passes calls on, but for Rollbook's own methods and headers."""

import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import httpx
from lxml import etree

from rollbook.server.network.tls import self_signed_certificate
from server_process import ServerProcess

OWN_METHODS = {
    *("getUnenrollments", "getUnenrollmentBatches", "getUnenrollmentQueue", "pauseUnenrollments"),
    *("resumeUnenrollments", "removeUnenrollments", "restoreUnenrollments", "updateEnrollments"),
}
UNKNOWN = (
    '<?xml version="1.0" encoding="UTF-8"?><SmarterU><Result>Failed</Result><Info/><Errors><Error>'
    "<ErrorID>SU:11</ErrorID><ErrorMessage>Requested method does not exist.</ErrorMessage></Error></Errors></SmarterU>"
)
Hook = Callable[[int, str], None]


class Hosted:
    """The server: `calls` are counted by method, `rows` are those of the reports with columns.

    `before` and `after` get the number and the method of a call; an exception of theirs loses the call or its answer.
    """

    def __init__(self, behind: ServerProcess, certificate: Path) -> None:
        self.ca_file = certificate
        self.url = ""
        self.calls: Counter[str] = Counter()
        self.rows = 0
        self.before: Hook = lambda _number, _method: None
        self.after: Hook = self.before
        self.missing = set(OWN_METHODS)
        self.at_once = 0
        self._behind = behind
        self._client = behind.client()
        self._open = 0

    def reset(self) -> None:
        """Count from the beginning, and lose nothing."""
        self.calls.clear()
        self.rows = 0
        self.before = self.after = lambda _number, _method: None

    def answer(self, body: bytes) -> bytes:
        """Answer the body of a call; errors: those of the hooks."""
        package = parse_qs(body.decode())["Package"][0]
        method = etree.fromstring(package.encode()).findtext("Method") or ""
        self.calls[method] += 1
        number = self.calls.total()
        self._open += 1
        self.at_once = max(self.at_once, self._open)
        try:
            self.before(number, method)
            if method in self.missing:
                return UNKNOWN.encode()
            content = self._client.post(self._behind.url, data={"Package": package}).content
            self.rows += content.count(b"<Learner>") if b"<ColumnName>GRADE</ColumnName>" in package.encode() else 0
            self.after(number, method)
        finally:
            self._open -= 1
        return content

    def close(self) -> None:
        """Close the connections to the server behind it."""
        self._client.close()


@contextmanager
def run_hosted(behind: ServerProcess) -> Iterator[Hosted]:
    """Run such a server before a Rollbook server, with its certificate."""
    certificate = self_signed_certificate(behind.ca_file.parent)
    hosted = Hosted(behind, certificate.cert)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                content = hosted.answer(body)
            except (ConnectionError, httpx.HTTPError):
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/xml; charset=UTF-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that was interrupted closes its connection."""

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    hosted.url = f"https://127.0.0.1:{server.server_port}/apiv2/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hosted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        hosted.close()

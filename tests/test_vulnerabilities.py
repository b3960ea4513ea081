"""`make audit` fails for a vulnerability and for an audit that failed, and passes loudly when nobody can be asked."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "support" / "vulnerabilities.py"
FINDING = {
    "id": "PYSEC-2099-1",
    "summary": "A hole.",
    "affected": [
        {
            "package": {"name": "idna", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "4.0"}]}],
        }
    ],
}


class _Service(BaseHTTPRequestHandler):
    """Answers as OSV does; `vulnerable` and `broken` name packages."""

    vulnerable = ""
    broken = ""

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        name = json.loads(self.rfile.read(length))["package"]["name"]
        body = json.dumps({"vulns": [FINDING]} if name == self.vulnerable else {}).encode()
        self.send_response(500 if name == self.broken else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file of two packages."""
    file = tmp_path / "requirements.lock"
    file.write_text("".join(f"{name} --hash=sha256:{'0' * 64}\n" for name in ("idna==3.10", "certifi==2025.1.31")))
    return file


@pytest.fixture
def service() -> Iterator[tuple[type[_Service], str]]:
    """A vulnerability service of our own, and its address."""
    handler = type("Service", (_Service,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()
    thread.join()


def _audit(lock: Path, url: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, PROGRAM, lock, url], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_dependencies_without_a_known_vulnerability_pass(lock: Path, service: tuple[type[_Service], str]) -> None:
    assert _audit(lock, service[1]) == (0, "2 dependencies audited, 0 known vulnerabilities.\n")


def test_a_known_vulnerability_fails_and_is_named(lock: Path, service: tuple[type[_Service], str]) -> None:
    handler, url = service
    handler.vulnerable = "idna"
    code, said = _audit(lock, url)
    assert code == 1
    assert said.startswith("VULNERABLE: idna 3.10: PYSEC-2099-1; fixed in 4.0\n")


def test_an_audit_that_breaks_off_fails(lock: Path, service: tuple[type[_Service], str]) -> None:
    handler, url = service
    handler.broken = "certifi"
    code, said = _audit(lock, url)
    assert (code, "failed" in said) == (1, True)


def test_a_service_that_cannot_be_reached_is_said_in_one_line(lock: Path) -> None:
    code, said = _audit(lock, "http://127.0.0.1:9/v1/query")
    assert (code, said.count("\n"), said.startswith("NO AUDIT: ")) == (0, 1, True)

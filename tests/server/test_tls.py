"""TLS versions and ciphers; a renewed certificate is reloaded without losing a call; processes that cannot start."""

import os
import shutil
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from commands import Run
from conftest import Served, on_sqlite
from rollbook.server.network.tls import self_signed_certificate
from rollbook.server.network.workers import CRASH_SECONDS
from rollbook.store.database.database import Database
from server_process import ServerProcess, run_server


def _connect(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        return context.wrap_socket(plain, server_hostname="localhost")


def _shown(port: int) -> bytes:
    """Return the certificate of a new connection."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with _connect(port, context) as connection:
        return connection.getpeercert(binary_form=True) or b""


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"])
def test_tls_1_2_and_1_3_are_accepted_and_nothing_older(served: Served, version: str) -> None:
    context = served.server.tls_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    if version in ("TLSv1_2", "TLSv1_3"):
        with _connect(served.server.port, context) as connection:
            assert connection.version() == version.replace("_", ".")
    else:
        with pytest.raises(ssl.SSLError, match=r"(?i)EOF|alert"):
            _connect(served.server.port, context)


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384"])
def test_weak_cipher_is_refused(served: Served, cipher: str) -> None:
    context = served.server.tls_context()
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"(?i)EOF|alert"):
        _connect(served.server.port, context)


class Load:
    """Calls a server continuously over kept and new connections, and counts answered and lost calls."""

    def __init__(self, server: ServerProcess) -> None:
        self.answered, self.lost = 0, 0
        self._server = server
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(keeps,)) for keeps in (True, False)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _call(self, keeps: bool) -> None:
        limits = httpx.Limits() if keeps else httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(verify=False, trust_env=False, limits=limits, timeout=10) as client:  # noqa: S501 it changes
            while not self._stopping.is_set():
                try:
                    self.answered += client.post(self._server.url, data={"a": "b"}).status_code == 200
                except httpx.TransportError:
                    self.lost += 1
                time.sleep(0.01)


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@on_sqlite
def test_process_that_cannot_start_is_retried_while_another_serves_and_else_ends_the_server(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    made = self_signed_certificate(tmp_path / "made")
    cert = tmp_path / "localhost.pem"
    shutil.copy(made.cert, cert)
    options = ["--no-worker", "--workers", "2", "--tls-cert", str(cert), "--tls-key", str(made.key)]
    with run_server(database_url, tmp_path, *options, forked=False) as server:
        server.wait_until_it_answers()
        time.sleep(CRASH_SECONDS + 0.5)  # then the other process counts as serving
        cert.write_text("half of a certificate")
        os.kill(server.serving()[0], signal.SIGKILL)
        _wait(lambda: "server process cannot start" in server.log.read_text())
        assert _shown(server.port) == ssl.PEM_cert_to_DER_cert(made.cert.read_text())
        shutil.copy(made.cert, cert)
        _wait(lambda: len(server.serving()) == 2)
        assert "Traceback" not in server.log.read_text()
        cert.write_text("half of a certificate")
        for pid in server.serving():
            os.kill(pid, signal.SIGKILL)
        assert server.process.wait(20) == 2
        assert "A server process ended at once, with exit code 1" in server.log.read_text()


def _accepts(server: ServerProcess, *names: str) -> list[bool]:
    """Return for each name whether a client that trusts the certificate reaches the server by it."""
    context, accepted = server.tls_context(), []
    for name in names:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as plain:
            try:
                context.wrap_socket(plain, server_hostname=name).close()
            except ssl.SSLCertVerificationError:
                accepted.append(False)
            else:
                accepted.append(True)
    return accepted


@on_sqlite
def test_self_signed_certificate_has_the_names_of_the_operator(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    options = ["--no-worker", "--tls-name", "LMS.example.org", "--tls-name", "192.0.2.7"]
    with run_server(database_url, tmp_path, *options) as server:
        assert "self-signed, for localhost, LMS.example.org, 192.0.2.7: " in server.log.read_text()
        names = ("localhost", "lms.example.org", "192.0.2.7", "www.example.org")
        assert _accepts(server, *names) == [True, True, True, False]
        first = _shown(server.port)
    with run_server(database_url, tmp_path, "--no-worker", tls_names="lms.example.org") as server:
        assert _shown(server.port) == first, "a certificate with more names stays"
    with run_server(database_url, tmp_path, "--no-worker", tls_names="www.example.org, ::1") as server:
        assert _accepts(server, "www.example.org") == [True]


@on_sqlite
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--tls-name=a_b", "ROLLBOOK_TLS_NAMES: 'a_b' is neither a host name"),
        ("--tls-name=x.example --tls-name=\u017f.example", "'\u017f.example' is neither"),
        ("--tls-name=x.example --tls-cert=a --tls-key=b", "--tls-name is for the self-signed certificate"),
    ],
)
def test_tls_name_that_cannot_be_used_is_refused(database: Database, rollbook: Run, options: str, said: str) -> None:
    done = rollbook("serve", *options.split())
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize("workers", [1, 2])
@on_sqlite
def test_sighup_reloads_a_renewed_certificate_without_losing_a_call(
    database: Database, database_url: str, tmp_path: Path, workers: int
) -> None:
    first, second = (self_signed_certificate(tmp_path / name) for name in ("first", "second"))
    cert, key = tmp_path / "localhost.pem", tmp_path / "key.pem"
    shutil.copy(first.cert, cert)
    shutil.copy(first.key, key)
    options = ["--no-worker", "--workers", str(workers), "--tls-cert", str(cert), "--tls-key", str(key)]
    old, new = (ssl.PEM_cert_to_DER_cert(made.cert.read_text()) for made in (first, second))
    with run_server(database_url, tmp_path, *options, forked=workers == 1) as server, Load(server) as load:

        def hang_up(event: str) -> None:
            said = server.log.read_text().count(event)
            server.process.send_signal(signal.SIGHUP)
            _wait(lambda: server.log.read_text().count(event) == said + workers)

        hang_up('"certificate reloaded"')  # all processes have started
        # A certificate without its key, as during the exchange of the files, is not loaded.
        shutil.copy(second.cert, cert)
        hang_up("certificate not reloaded; the old one stays")
        assert {_shown(server.port) for _ in range(8)} == {old}
        shutil.copy(second.key, key)
        hang_up('"certificate reloaded"')
        assert {_shown(server.port) for _ in range(8)} == {new}
        answered = load.answered
        _wait(lambda: load.answered > answered + 20)
        assert server.process.poll() is None
    assert load.lost == 0

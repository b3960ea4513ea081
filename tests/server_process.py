"""A real `rollbook serve`, in a process of its own, and what a client needs to call it over HTTPS."""

import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx


class ServerProcess:
    """A running server; `log` is the file with everything it has said."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, data_dir: Path) -> None:
        self.process = process
        self.log = log
        self.url = self._wait_for(r"Serving (https://\S+)")
        self.port = int(self.url.split(":")[2].split("/")[0])
        self.ca_file = data_dir / "localhost.pem"

    @property
    def http_url(self) -> str:
        """The address of the plain port."""
        return self._wait_for(r"Plain port: (http://\S+)")

    @property
    def operations_url(self) -> str:
        """The address of /livez, /readyz and /metrics."""
        return self._wait_for(r"Operations: (http://\S+)/readyz")

    def client(self) -> httpx.Client:
        """Make a client that trusts this server's certificate, and nothing of the environment."""
        return httpx.Client(verify=self.tls_context(), trust_env=False, timeout=60)

    def tls_context(self) -> ssl.SSLContext:
        """Trust this server's certificate."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def post(self, package: str | bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Post one package over a connection of its own."""
        with self.client() as client:
            return client.post(self.url, data={"Package": package}, headers=headers)

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """End it as an operator would (SIGTERM); return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)

    def wait_until_it_answers(self) -> None:
        """Wait until a connection is answered."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                with self.client() as client:
                    client.get(self.url)
            except httpx.TransportError:
                assert self.process.poll() is None, f"the server ended:\n{self.log.read_text()}"
                time.sleep(0.02)
            else:
                return
        raise AssertionError(f"the server does not answer:\n{self.log.read_text()}")

    def _wait_for(self, pattern: str) -> str:
        deadline = time.monotonic() + 30
        while True:
            text = self.log.read_text()
            if found := re.search(pattern, text):
                return found[1]
            assert self.process.poll() is None, f"the server ended:\n{text}"
            assert time.monotonic() < deadline, f"the server does not say {pattern}:\n{text}"
            time.sleep(0.02)


def environment(database_url: str, data_dir: Path, **settings: object) -> dict[str, str]:
    """Give the environment of a command: the machine's without its own ROLLBOOK_ settings, with these.

    Servers of tests run side by side, so that they have no operations port unless one is asked for.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROLLBOOK_")}
    chosen = {"operations_port": "off"} | settings
    given = {f"ROLLBOOK_{name.upper()}": str(value) for name, value in chosen.items() if value is not None}
    # All tests call from one address, many of them with wrong keys.
    standing = {"ROLLBOOK_DATABASE_URL": database_url, "ROLLBOOK_DATA_DIR": str(data_dir)}
    return inherited | standing | {"ROLLBOOK_WRONG_KEYS_PER_ADDRESS": "0"} | given


@contextmanager
def run_server(
    database_url: str, data_dir: Path, *options: str, certificate_dir: Path | None = None, **settings: object
) -> Iterator[ServerProcess]:
    """Run `rollbook serve` on a free port with the given options and settings, and end it with the block."""
    log = data_dir / f"server-{time.monotonic_ns()}.log"
    command = [sys.executable, "-m", "rollbook", "serve", "--port", "0", *options]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment(database_url, data_dir, **settings), stdout=output, stderr=output, cwd=data_dir
        )
    try:
        server = ServerProcess(process, log, certificate_dir or data_dir)
        server.wait_until_it_answers()
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            finally:
                process.kill()

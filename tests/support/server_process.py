"""Runs `rollbook serve` and other commands as processes, and makes clients that call the server over HTTPS."""

import multiprocessing
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import httpx

# Imports take two thirds of the time of a server's start.
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [*(f"rollbook.cli.{name}" for name in ("serve", "worker", "imports")), "sqlalchemy.dialects.sqlite", "uvloop"]
)


class ForkedProcess:
    """A `rollbook` command, forked from a process that has imported everything; used like a Popen."""

    def __init__(self, command: list[str], env: dict[str, str], folder: Path, output: Path, errors: Path) -> None:
        self._process = _forks.Process(target=_run_forked, args=(command, env, folder, output, errors), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit code; errors: TimeoutExpired."""
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("rollbook", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _run_forked(command: list[str], env: dict[str, str], folder: Path, output: Path, errors: Path) -> None:
    """Execute the command with the environment, folder and output that a shell would have set."""
    from rollbook.cli import main  # noqa: PLC0415 it is there already, in the process that this one is forked from

    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.chdir(folder)
    for number, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), number)
    sys.argv = ["rollbook", *command]
    main()


class ServerProcess:
    """A running server; `log` is the file with its output."""

    def __init__(self, process: subprocess.Popen[bytes] | ForkedProcess, log: Path, data_dir: Path) -> None:
        self.process = process
        self.log = log
        self.url = self._wait_for(r"Serving (https://\S+)")
        self.port = int(self.url.split(":")[2].split("/")[0])
        self.ca_file = data_dir / "localhost.pem"
        self._kept: httpx.Client | None = None

    @property
    def http_url(self) -> str:
        """The address of the plain port."""
        return self._wait_for(r"Plain port: (http://\S+)")

    @property
    def operations_url(self) -> str:
        """The address of /livez, /readyz and /metrics."""
        return self._wait_for(r"Operations: (http://\S+)/readyz")

    def client(self, address: str | None = None) -> httpx.Client:
        """Make a client, by default at 127.0.0.1, that trusts this server's certificate and ignores the environment."""
        transport = httpx.HTTPTransport(verify=self.tls_context(), trust_env=False, local_address=address)
        return httpx.Client(transport=transport, trust_env=False, timeout=60)

    def tls_context(self) -> ssl.SSLContext:
        """Trust this server's certificate."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def post(self, package: str | bytes, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Post one package, with `connection`."""
        with self.connection() as client:
            return client.post(self.url, data={"Package": package}, headers=headers)

    def connection(self) -> AbstractContextManager[httpx.Client]:
        """Return a client with a connection of its own, unless one is kept."""
        return nullcontext(self._kept) if self._kept else self.client()

    @contextmanager
    def keep_connection(self) -> Iterator[None]:
        """Let the posts of the block share connections, which saves most of their time."""
        with self.client() as self._kept:
            yield
        self._kept = None

    def serving(self) -> list[int]:
        """Return the serving processes if there are several: they are forked from a child of the server."""
        origins = [pid for pid in _children(self.process.pid) if b"forkserver" in _command_line(pid)]
        return [pid for origin in origins for pid in _children(origin)]

    def kill(self) -> None:
        """Kill it (SIGKILL)."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """Stop it (SIGTERM), and return its exit code."""
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


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def environment(database_url: str, data_dir: Path, **settings: object) -> dict[str, str]:
    """Return the environment of a command: the machine's, with these ROLLBOOK_ settings in place of its own.

    Servers of tests run side by side, so that they have no operations port unless one is asked for.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROLLBOOK_")}
    chosen = {"operations_port": "off"} | settings
    given = {f"ROLLBOOK_{name.upper()}": str(value) for name, value in chosen.items() if value is not None}
    # All tests call from one address, many of them with wrong keys.
    standing = {"ROLLBOOK_DATABASE_URL": database_url, "ROLLBOOK_DATA_DIR": str(data_dir), "ROLLBOOK_SETTINGS_FILE": ""}
    return inherited | standing | {"ROLLBOOK_WRONG_KEYS_PER_ADDRESS": "0"} | given


def run_forked(
    command: list[str], env: dict[str, str], folder: Path, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a `rollbook` command in a forked process to its end, in this folder; errors: TimeoutExpired."""
    with tempfile.TemporaryDirectory() as kept:
        output, errors = Path(kept) / "output", Path(kept) / "errors"
        process = ForkedProcess(command, env, folder, output, errors)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        return subprocess.CompletedProcess(command, code, output.read_text(), errors.read_text())


@contextmanager
def run_server(
    database_url: str,
    data_dir: Path,
    *options: str,
    certificate_dir: Path | None = None,
    forked: bool = True,
    **settings: object,
) -> Iterator[ServerProcess]:
    """Run `rollbook serve` with the given options and settings, and kill it at the end of the block.

    Its port is a free one, unless an option names one.

    With `forked=False` as a program of its own, for tests that look at it from the system's side or that change its
    code: that is a second slower. A test that is about an orderly end calls `stop`.
    """
    log = data_dir / f"server-{time.monotonic_ns()}.log"
    log.touch()
    port = [] if "--port" in options else ["--port", "0"]
    command = ["serve", *port, *options]
    env = environment(database_url, data_dir, **settings)
    process: subprocess.Popen[bytes] | ForkedProcess
    if forked:
        process = ForkedProcess(command, env, data_dir, log, log)
    else:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "rollbook", *command], env=env, stdout=output, stderr=output, cwd=data_dir
            )
    try:
        server = ServerProcess(process, log, certificate_dir or data_dir)
        server.wait_until_it_answers()
        yield server
    finally:
        process.kill()
        process.wait(15)

"""The pytest plugin `rollbook_sandbox`: one sandbox for the whole run, reset for each test that uses `sandbox`."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

    from rollbook.client.client import Client

OPTIONS = "rollbook_sandbox_options"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting for options of `rollbook sandbox`."""
    parser.addini(OPTIONS, "options of `rollbook sandbox`, such as --strict", "args", [])


class Sandbox:
    """A running sandbox: its address, its well-known keys, and its faults; `facts` is what GET /sandbox/ tells."""

    def __init__(self, http: "httpx.Client") -> None:
        self._http = http
        self.facts: dict[str, Any] = http.get("").json()
        self.url: str = self.facts["url"]
        self.http_url: str | None = self.facts["http_url"]
        self.ca_file: str = self.facts["ca_file"]
        keys = self.facts["keys"]
        self.account_key: str = keys["account"]
        self.owner_key: str = keys["owner"]
        self.administrator_key: str = keys["administrator"]
        self.manager_key: str = keys["manager"]
        self.learner_key: str = keys["learner"]
        self._client: Client | None = None

    @property
    def client(self) -> "Client":
        """A client that calls as the owner."""
        from rollbook.client.client import Client  # noqa: PLC0415 test runs without a sandbox load no client

        if self._client is None:
            self._client = Client(self.url, self.account_key, self.owner_key, ca_file=self.ca_file)
        return self._client

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls since the reset, the latest last."""
        calls: list[dict[str, Any]] = self._http.get("calls").json()
        return calls

    def fail_next(self, fault: str, *, times: int | None = 1, method: str | None = None, seconds: float = 1) -> None:
        """Let the next `times` calls fail, of one method or of any; None: all calls of this test.

        `seconds` is how late an answer is, and the Retry-After of a 429 or 503. Errors: ValueError.
        """
        self._post("faults", fault=fault, times=times, method=method, seconds=seconds)

    def advance_clock(self, seconds: float) -> None:
        """Let so much time of every hold pass."""
        self._post("clock", seconds=seconds)

    def pause_worker(self, paused: bool = True) -> None:
        """Process nothing of the queue until the worker is resumed by False, or the test ends."""
        self._post("worker", paused=paused)

    def set_policies(self, **policies: bool | int | None) -> None:
        """Change policies of the account: protect_completed, hold_seconds, retention_days. Errors: ValueError."""
        self._post("policies", **policies)

    def reset(self) -> None:
        """Go back to the seed, without faults and calls."""
        self._post("reset")

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
        self._http.close()

    def _post(self, path: str, **asked: Any) -> None:
        answer = self._http.post(path, json=asked)
        if answer.is_error:
            raise ValueError(answer.json()["error"])


@pytest.fixture(scope="session")
def rollbook_sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The sandbox of the run, which keeps what tests do; most tests use `sandbox`."""
    # The plugin is loaded in every test run of its environment.
    import ssl  # noqa: PLC0415

    import httpx  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("rollbook-sandbox")
    command = [sys.executable, "-m", "rollbook", "sandbox", "--port", "0", "--keep", str(folder)]
    with (folder / "log").open("wb") as log:
        options: list[str] = request.config.getini(OPTIONS)
        process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=log, text=True, cwd=request.config.rootpath
        )
    try:
        origin = _read_origin(process, folder / "log")
        trust = ssl.create_default_context(cafile=folder / "localhost.pem")
        http = httpx.Client(base_url=f"{origin}/sandbox/", verify=trust, trust_env=False, timeout=60)
        sandbox = Sandbox(http)
        yield sandbox
        sandbox.close()
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture
def sandbox(rollbook_sandbox: Sandbox) -> Sandbox:
    """The sandbox of the run, as it was at its start."""
    rollbook_sandbox.reset()
    return rollbook_sandbox


def _read_origin(process: "subprocess.Popen[str]", log: Path) -> str:
    """Wait until the server prints its address, and return it up to the path."""
    for line in process.stdout or ():
        if line.startswith("Serving "):
            return line.split()[1].removesuffix("/apiv2/")
    pytest.fail(f"rollbook sandbox did not start: {log.read_text()}", pytrace=False)

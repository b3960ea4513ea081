"""The examples for nginx and HAProxy in deploy/ work; only addresses, ports and files are replaced."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import sqlalchemy as sa
from lxml import etree

from campus import Campus
from rollbook.server.network.tls import Certificate, self_signed_certificate
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from server_process import ServerProcess, run_server

DEPLOY = Path(__file__).parents[2] / "deploy"


def needs(program: str, example: str) -> pytest.MarkDecorator:
    """Skip, and name what is not tested."""
    reason = f"{program} is not installed: deploy/{example} WAS NOT TRIED"
    return pytest.mark.skipif(shutil.which(program) is None, reason=reason)


@dataclass(frozen=True)
class Farm:
    """Servers with the same keys and certificate, each with its own database."""

    servers: list[ServerProcess]
    databases: list[Database]
    campus: Campus
    certificate: Certificate

    def seen_by(self, answer: httpx.Response) -> tuple[int, str]:
        """Return which server has answered, and the client's address that it has logged."""
        request_id = answer.headers["X-Request-ID"]
        for number, server in enumerate(self.servers):
            for line in server.log.read_text().splitlines():
                if request_id in line:
                    return number, json.loads(line)["client"]
        raise AssertionError("no server has logged the call")


@contextmanager
def _farm(folder: Path, size: int) -> Iterator[Farm]:
    certificate = self_signed_certificate(folder)
    folders = [folder / str(number) for number in range(size)]
    databases = [Database(f"sqlite:///{own / 'rollbook.db'}") for own in folders]
    migrate(databases[0])
    campus = Campus(databases[0])
    databases[0].close()
    given: dict[str, Any] = {"tls_cert": certificate.cert, "tls_key": certificate.key, "trusted_proxies": "127.0.0.1"}
    given |= {"http_port": 0, "operations_port": 0}
    with ExitStack() as stack:
        servers = []
        for own, database in zip(folders, databases, strict=True):
            if own != folders[0]:
                shutil.copy(folders[0] / "rollbook.db", own)
            url = str(database.engine.url)
            running = run_server(url, own, "--no-worker", certificate_dir=folder, **given)
            servers.append(stack.enter_context(running))
            stack.callback(database.close)
        yield Farm(servers, databases, campus, certificate)


def _fill(example: str, values: dict[str, str]) -> str:
    text = (DEPLOY / example).read_text()
    for place, value in values.items():
        assert place in text, f"{example} has no {place}"
        text = text.replace(place, value)
    return text


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    log = folder / "proxy.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        deadline = time.monotonic() + 10
        while True:
            assert process.poll() is None, f"{command[0]} ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"{command[0]} does not listen:\n{log.read_text()}"
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(10)


class Caller:
    """Calls through a proxy from its own address, with forged forwarding headers."""

    ADDRESS = "127.0.0.7"
    FORGED: ClassVar = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}

    def __init__(self, farm: Farm, https: int, http: int) -> None:
        self._farm = farm
        self._https, self._http = https, http
        context = ssl.create_default_context(cafile=str(farm.certificate.cert))
        self.client = httpx.Client(transport=httpx.HTTPTransport(verify=context, local_address=self.ADDRESS))
        self._package = {"Package": farm.campus.call("getUnenrollmentQueue", "<UnenrollmentQueue/>")}

    def answering(self, calls: int) -> set[int]:
        """Make calls that succeed, and return which servers have answered."""
        answers = [self._post(f"https://localhost:{self._https}/apiv2/") for _ in range(calls)]
        assert all(b"<Result>Success</Result>" in answer.content for answer in answers)
        return {self._seen_by(answer) for answer in answers}

    def code_over_plain_http(self) -> str | None:
        """Make a call without TLS, and return the code of its error."""
        answer = self._post(f"http://127.0.0.1:{self._http}/apiv2/")
        self._seen_by(answer)
        return etree.fromstring(answer.content).findtext("Errors/Error/ErrorID")

    def _post(self, url: str) -> httpx.Response:
        return self.client.post(url, data=self._package, headers=self.FORGED)

    def _seen_by(self, answer: httpx.Response) -> int:
        number, address = self._farm.seen_by(answer)
        assert address == self.ADDRESS, "the proxy is believed about where the call came from, not the caller"
        return number


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@needs("nginx", "nginx.conf")
def test_nginx_passes_calls_to_a_reachable_server(tmp_path: Path) -> None:
    https, http, nobody = _free_port(), _free_port(), _free_port()
    with _farm(tmp_path, 1) as farm:
        values = {
            "127.0.0.1:8080": f"127.0.0.1:{nobody}",
            "127.0.0.1:8081": farm.servers[0].http_url.split("/")[2],
            "listen 443 ssl": f"listen 127.0.0.1:{https} ssl",
            "listen 80": f"listen 127.0.0.1:{http}",
            "/etc/rollbook/cert.pem": str(farm.certificate.cert),
            "/etc/rollbook/key.pem": str(farm.certificate.key),
        }
        (tmp_path / "rollbook.conf").write_text(_fill("nginx.conf", values))
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        scratch = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
        user = "user root;" if os.geteuid() == 0 else ""
        (tmp_path / "main.conf").write_text(
            f"{user} daemon off; pid {tmp_path}/pid; events {{}} "
            f"http {{ access_log off; {scratch} include {tmp_path}/rollbook.conf; }}"
        )
        with _running(["nginx", "-e", "stderr", "-c", str(tmp_path / "main.conf")], tmp_path, https):
            caller = Caller(farm, https, http)
            with caller.client:
                assert caller.answering(calls=4) == {0}
                assert caller.code_over_plain_http() == "SU:01"


@needs("haproxy", "haproxy.cfg")
def test_haproxy_passes_calls_to_ready_servers(tmp_path: Path) -> None:
    https, http = _free_port(), _free_port()
    with _farm(tmp_path, 2) as farm:
        (tmp_path / "both.pem").write_bytes(farm.certificate.cert.read_bytes() + farm.certificate.key.read_bytes())
        checked = [server.operations_url.rsplit(":", 1)[1] for server in farm.servers]
        values = {
            "10.0.0.11:8443 port 8444": f"127.0.0.1:{farm.servers[0].port} port {checked[0]}",
            "10.0.0.12:8443 port 8444": f"127.0.0.1:{farm.servers[1].port} port {checked[1]}",
            "bind :443": f"bind 127.0.0.1:{https}",
            "bind :80": f"bind 127.0.0.1:{http}",
            "/etc/rollbook/haproxy.pem": str(tmp_path / "both.pem"),
            "/etc/rollbook/ca.pem": str(farm.certificate.cert),
            "verifyhost rollbook.example.org": "verifyhost localhost",
            "inter 2s": "inter 100ms",
        }
        (tmp_path / "haproxy.cfg").write_text(_fill("haproxy.cfg", values))
        with _running(["haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg")], tmp_path, https):
            caller = Caller(farm, https, http)
            with caller.client:
                assert caller.answering(calls=6) == {0, 1}
                assert caller.code_over_plain_http() == "SU:01"
                # The first server answers as before, but /readyz says that it is not ready, and then that it is.
                version = sa.table("alembic_version", sa.column("version_num"))
                with farm.databases[0].read() as connection:
                    current = connection.execute(sa.select(version.c.version_num)).scalar_one()
                for revision, answering in (("0001", {1}), (current, {0, 1})):
                    with farm.databases[0].write() as connection:
                        connection.execute(version.update().values(version_num=revision))
                    deadline = time.monotonic() + 10
                    while caller.answering(calls=6) != answering:
                        assert time.monotonic() < deadline, f"the proxy sends calls to others than {answering}"

"""A program with a built-in host calls Rollbook once the commands of docs/point-an-integration.md have been run."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from campus import Campus
from rollbook.store.database.database import Database
from server_process import ServerProcess, run_server

PAGE = (Path(__file__).parents[2] / "docs" / "point-an-integration.md").read_text()
MAKE_CERTIFICATE, SERVE, CHECK, _ = re.findall(r"```console\n(.+?)```", PAGE, re.DOTALL)
NAME = "api.hosted-lms.example"

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None or shutil.which("curl") is None,
    reason="openssl or curl is not installed: docs/point-an-integration.md WAS NOT TRIED",
)

# The program: its host is built in, and it knows nothing but the standard library.
PROGRAM = f"""
import sys, urllib.parse, urllib.request
form = urllib.parse.urlencode({{"Package": sys.stdin.read()}}).encode()
print(urllib.request.urlopen("https://{NAME}/apiv2/", form, timeout=30).read().decode())
"""

# What a hosts file and a free port 443 would do, for that one process: Python imports it by its name.
HOSTS = """
import os, socket
_look_up = socket.getaddrinfo
def _lead(host, port, *arguments, **options):
    if (host, port) == (os.environ["LED_NAME"], 443):
        host, port = "127.0.0.1", int(os.environ["LED_PORT"])
    return _look_up(host, port, *arguments, **options)
socket.getaddrinfo = _lead
"""


class Integration:
    """A server with the certificate of the page, and a program elsewhere that calls the name."""

    def __init__(self, server: ServerProcess, campus: Campus, folder: Path) -> None:
        self.server = server
        self.campus = campus
        self.folder = folder

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the page, with this server's address in place of the page's."""
        script = script.replace(f"{NAME}:443:192.0.2.10", f"{NAME}:{self.server.port}:127.0.0.1")
        script = script.replace(f"https://{NAME}/", f"https://{NAME}:{self.server.port}/")
        return subprocess.run(["bash", "-ec", script], cwd=self.folder, capture_output=True, text=True, check=False)

    def call(self, package: str, trusted: str) -> subprocess.CompletedProcess[str]:
        """Let the program make a call; `trusted` is the one file of authorities that it trusts."""
        (self.folder / "sitecustomize.py").write_text(HOSTS)
        led = {"LED_NAME": NAME, "LED_PORT": str(self.server.port), "PYTHONPATH": str(self.folder), "NO_PROXY": "*"}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=os.environ | led | {"SSL_CERT_FILE": trusted},
            cwd=self.folder,
            input=package,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def integration(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Iterator[Integration]:
    """Make the certificate as the page does, and serve with it."""
    folder = tmp_path_factory.mktemp("integration")
    subprocess.run(["bash", "-ec", MAKE_CERTIFICATE], cwd=folder, capture_output=True, check=True)
    (folder / "localhost.pem").symlink_to("ca.pem")  # what the tests' own client trusts
    shutil.copyfile(migrated_file, folder / "rollbook.db")
    url = f"sqlite:///{folder / 'rollbook.db'}"
    database = Database(url)
    options = SERVE.replace("0.0.0.0", "127.0.0.1").replace("443", "0").split()[2:]  # noqa: S104 replaced
    with run_server(url, folder, "--no-worker", *options) as server:
        yield Integration(server, Campus(database), folder)
    database.close()


@needs_openssl
def test_program_with_a_built_in_host_unenrolls_on_rollbook(integration: Integration) -> None:
    [enrollment] = integration.campus.enroll(1)
    done = integration.call(integration.campus.package([enrollment, 999_999]), "ca.pem")
    assert done.returncode == 0, done.stderr
    assert "<Result>Success</Result>" in done.stdout
    assert f'<Unenrollment block="1"><AccountUserLearningModuleRelID>{enrollment}<' in done.stdout
    assert '<Error block="2"><ErrorID>ULM:03</ErrorID>' in done.stdout


@needs_openssl
def test_check_of_the_page_answers_su_01(integration: Integration) -> None:
    done = integration.shell(CHECK)
    assert "<ErrorID>SU:01</ErrorID>" in done.stdout, done.stderr


@needs_openssl
def test_program_that_does_not_trust_the_authority_sends_no_call(integration: Integration) -> None:
    other = integration.folder / "other"
    other.mkdir(exist_ok=True)
    subprocess.run(["bash", "-ec", MAKE_CERTIFICATE], cwd=other, capture_output=True, check=True)
    done = integration.call(integration.campus.package([1]), "other/ca.pem")
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr
    assert done.stdout == ""


@needs_openssl
def test_authority_certifies_no_name_but_those_of_the_page(integration: Integration) -> None:
    sign = MAKE_CERTIFICATE[MAKE_CERTIFICATE.index("openssl x509 -req") :].replace("names.cnf", "foreign.cnf")
    sign = "sed 's/^subjectAltName.*/subjectAltName = DNS:bank.example/' names.cnf > foreign.cnf\n" + sign
    verify = "openssl verify -CAfile ca.pem foreign.pem"
    done = integration.shell(sign.replace("-out cert.pem", "-out foreign.pem") + verify)
    assert "permitted subtree violation" in done.stderr, done

"""The steps of docs/operate.md, from a machine with nothing to a server with a certificate, in their order."""

import re
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from machine import Machine, install_source
from rollbook.server.network.tls import self_signed_certificate

PAGE = Path(__file__).parents[2] / "docs" / "operate.md"
# Prints where the package lies, and for each command the exit code of its help.
HELP_OF_ALL = """
import rollbook, typer.main
from typer.testing import CliRunner
from rollbook.cli import app
print(rollbook.__file__)
def walk(command, *names):
    print(CliRunner().invoke(app, [*names, "--help"]).exit_code, *names)
    for name, child in dict(getattr(command, "commands", {})).items():
        walk(child, *names, name)
walk(typer.main.get_command(app))
"""
CERTIFICATE = "/etc/letsencrypt/live/lms.example.org"


def _lines(heading: str) -> list[str]:
    """Return the blocks of lines below a heading of the page."""
    [section] = re.findall(rf"^## {heading}\n(.*?)^## ", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"(?:^ {4,}\S.*\n)+", re.sub(r"^ {3}(?=\S)", "", section, flags=re.MULTILINE), re.MULTILINE)
    return [re.sub(r"^ +", "", block, flags=re.MULTILINE) for block in blocks]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with nothing on it."""
    return Machine(tmp_path)


def _install(machine: Machine, lines: str, package: str | None) -> None:
    """Run the first step: with a package as it stands, else with this source, which takes seconds less."""
    wheel, pip = "./rollbook-0.2.0-py3-none-any.whl", f"{machine.path('/opt/rollbook/bin/pip')} install"
    if package is not None:
        machine.shell(lines, **{wheel: str(Path(package).absolute()), "python3": sys.executable})
        _check_commands(machine)
        return
    machine.shell(lines, **{"python3": sys.executable, "-m venv": "-m venv --without-pip", f"{pip} {wheel}": "true"})
    install_source(machine.path("/opt/rollbook"))


def _wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def test_steps_of_the_page_lead_to_a_server_with_backup_worker_and_certificate(
    machine: Machine, request: pytest.FixtureRequest
) -> None:
    install, prepare, init, start, check = _lines("One machine")
    _install(machine, install, request.config.getoption("--package"))
    machine.shell(prepare)
    settings = machine.path("/etc/rollbook/rollbook.env")
    machine.adapt("/etc/rollbook/rollbook.env")
    with settings.open("a") as file:
        file.write("ROLLBOOK_PORT=0\nROLLBOOK_OPERATIONS_PORT=0\n")
    keys = re.findall(r"[a-z]+[ _]key\s+([0-9a-f]{32,})", machine.shell(init))
    assert len(keys) == 2
    machine.shell(start)
    assert "enable --now rollbook.service rollbook-backup.timer" in (machine.root / "systemctl").read_text()
    log = machine.root / "server.log"
    with machine.service("rollbook.service", log):
        _wait_for(log, "Try it")
        [port] = re.findall(r"Serving https://127.0.0.1:(\d+)/", log.read_text())
        _check_answers(machine, int(port), keys)
        answer = machine.shell(check, **{"8443": port, "rollbook doctor": "rollbook doctor --format json || true"})
        assert "<ErrorID>SU:01</ErrorID>" in answer
        assert f"Settings were read from {settings}" in answer
        _back_up(machine)
        _worker_runs_beside(machine, settings)
    _certify(machine, settings)


def _check_commands(machine: Machine) -> None:
    """Every command of the installation answers --help, from its own files."""
    listed = machine.shell(f"/opt/rollbook/bin/python -c {shlex.quote(HELP_OF_ALL)}").splitlines()
    assert listed[0].startswith(str(machine.path("/opt/rollbook/lib")))
    assert len(listed) > 40
    assert {line.partition(" ")[0] for line in listed[1:]} == {"0"}, listed


def _check_answers(machine: Machine, port: int, keys: list[str]) -> None:
    """Make a call, and load the console's first page with its style."""
    trusted = ssl.create_default_context(cafile=str(machine.path("/var/lib/rollbook/localhost.pem")))
    package = (
        f"<SmarterU><AccountAPI>{keys[0]}</AccountAPI><UserAPI>{keys[1]}</UserAPI><Method>getLearnerReport</Method>"
        "<Parameters><Report><Columns/></Report></Parameters></SmarterU>"
    )
    with httpx.Client(base_url=f"https://localhost:{port}", verify=trusted, trust_env=False) as client:
        assert '<LearnerReport rows="0"' in client.post("/apiv2/", data={"Package": package}).text
        page = client.get("/console", follow_redirects=True)
        style = re.findall(r'href="([^"]+\.css[^"]*)"', page.text)
        assert page.is_success
        assert client.get(style[0]).is_success


def _back_up(machine: Machine) -> None:
    """Run the unit of the daily backup: it makes a copy, and deletes an old one."""
    folder = machine.path("/var/backups/rollbook")
    old = folder / "2020-01-01T023000Z.db"
    old.touch()
    subprocess.run(["touch", "-d", "20 days ago", str(old)], check=True)
    unit = machine.unit("rollbook-backup.service")
    for command in ("ExecStart", "ExecStartPost"):
        machine.shell(unit[command].replace("%%", "%").replace("*.db", "'*.db'"))
    [copy] = folder.iterdir()
    assert copy != old
    assert copy.read_bytes().startswith(b"SQLite format 3")


def _worker_runs_beside(machine: Machine, settings: Path) -> None:
    """Run the worker's unit while the server's runs: it has its own operations port, whatever the settings say."""
    before = settings.read_text()
    settings.write_text(before + "ROLLBOOK_OPERATIONS_PORT=1\n")
    machine.adapt("/etc/systemd/system/rollbook-worker.service", **{"PORT=8445": "PORT=0"})
    log = machine.root / "worker.log"
    with machine.service("rollbook-worker.service", log):
        _wait_for(log, "worker started")
    settings.write_text(before)


def _certify(machine: Machine, settings: Path) -> None:
    """Run the steps for a certificate: the first one, a renewed one, and one of another name."""
    hook, configured = _lines("A certificate")
    live = machine.path(CERTIFICATE)
    live.mkdir(parents=True)
    machine.path("/etc/letsencrypt/renewal-hooks/deploy").mkdir(parents=True)
    lineage = [_renew(live, machine.root / name) for name in ("first",)]
    installed, run = hook.splitlines()
    machine.shell(installed)
    machine.adapt("/etc/letsencrypt/renewal-hooks/deploy/rollbook")
    machine.shell(run)
    settings.write_text(settings.read_text() + machine.translate(configured) + "ROLLBOOK_WORKER=false\n")
    log = machine.root / "certified.log"
    with machine.service("rollbook.service", log) as process:
        _wait_for(log, "Serving")
        [port] = re.findall(r"Serving https://127.0.0.1:(\d+)/", log.read_text())
        assert _shown(int(port)) == lineage[0]
        assert "worker started" not in log.read_text()
        renewed = _renew(live, machine.root / "second")
        machine.shell(run)
        assert (machine.root / "systemctl").read_text().endswith("try-reload-or-restart rollbook\n")
        process.send_signal(signal.SIGHUP)  # ExecReload
        _wait_for(log, "certificate reloaded")
        assert _shown(int(port)) == renewed
        _renew(live, machine.root / "third")
        machine.shell(run.replace("live/lms.example.org", "live/www.example.org"))
        assert ssl.PEM_cert_to_DER_cert(machine.path("/etc/rollbook/fullchain.pem").read_text()) == renewed


def _renew(live: Path, folder: Path) -> bytes:
    made = self_signed_certificate(folder, ["lms.example.org"])
    shutil.copy(made.cert, live / "fullchain.pem")
    shutil.copy(made.key, live / "privkey.pem")
    return ssl.PEM_cert_to_DER_cert(made.cert.read_text())


def _shown(port: int) -> bytes:
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", port), timeout=30))

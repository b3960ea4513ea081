"""A machine with nothing on it, in a folder: the lines of a page for operators run there as in a root shell.

The files of the system lie below the folder. The user rollbook is the test's own, and systemd is a program that notes
what it is asked for.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from configparser import RawConfigParser
from contextlib import contextmanager
from pathlib import Path

PLACES = ("/opt/rollbook", "/var/lib/rollbook", "/var/backups/rollbook", "/etc", "/usr/local/bin")
# A root of its own can be neither installed into nor given users.
SYSTEM = {
    "apt-get": "exit 0",
    "useradd": "exit 0",
    "sudo": 'shift 2; exec "$@"',
    "systemctl": 'echo "$@" >> "$ROOT/systemctl"',
}


class Machine:
    """Runs commands with the paths of the system below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        programs = root / "system"
        for folder in (programs, *(self.path(place) for place in ("/etc/systemd/system", "/usr/local/bin", "/opt"))):
            folder.mkdir(parents=True)
        for name, text in SYSTEM.items():
            (programs / name).write_text(f"#!/bin/sh\n{text}\n")
            (programs / name).chmod(0o755)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ROLLBOOK_", "PYTHON"))}
        path = f"{self.path('/usr/local/bin')}:{programs}:{inherited['PATH']}"
        self.env = inherited | {"PATH": path, "ROOT": str(root), "HOME": str(root)}
        self.env["ROLLBOOK_SETTINGS_FILE"] = str(self.path("/etc/rollbook/rollbook.env"))

    def path(self, place: str) -> Path:
        """Return where a path of the system lies."""
        return self.root / place.lstrip("/")

    def translate(self, text: str) -> str:
        """Put the paths of a text below the root, and leave out the user and group that files get."""
        text = re.sub(r" -[og] (rollbook|root)\b", "", text)
        places = "|".join(PLACES)
        return re.sub(rf"(?<![\w/.])({places})(?=[/\s\"]|$)", rf"{self.root}\g<0>", text, flags=re.MULTILINE)

    def shell(self, lines: str, **replaced: str) -> str:
        """Run lines of a page in one shell, each of which must succeed; return the output."""
        text = self.translate(lines)
        for place, value in replaced.items():
            assert place in text, f"the page has no {place}"
            text = text.replace(place, value)
        done = subprocess.run(
            ["bash", "-euc", text], env=self.env, cwd=self.root, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def adapt(self, place: str, **replaced: str) -> None:
        """Put the paths of an installed file below the root."""
        path = self.path(place)
        text = self.translate(path.read_text())
        for old, new in replaced.items():
            assert old in text, f"{place} has no {old}"
            text = text.replace(old, new)
        path.write_text(text)

    def unit(self, name: str) -> dict[str, str]:
        """Read the section [Service] of an installed unit."""
        parser = RawConfigParser(strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(self.translate(self.path(f"/etc/systemd/system/{name}").read_text()))
        return dict(parser["Service"])

    @contextmanager
    def service(self, name: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run a unit as systemd would, and end it after the block."""
        unit = self.unit(name)
        environment = dict(line.split("=", 1) for line in unit.get("Environment", "").split())
        with log.open("wb") as output:
            process = subprocess.Popen(
                shlex.split(unit["ExecStart"]), env=self.env | environment, cwd=unit["WorkingDirectory"], stderr=output
            )
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()


def install_source(prefix: Path) -> None:
    """Put into an environment what the wheel would, from this source, and let it use the packages of the tests."""
    root = Path(__file__).parents[2]
    [packages] = [path for path in sys.path if path.endswith("site-packages")]
    [site] = prefix.glob("lib/python*/site-packages")
    (site / "source.pth").write_text(f"{root / 'src'}\n{packages}\n")
    program = prefix / "bin" / "rollbook"
    program.write_text(f"#!{prefix}/bin/python\nfrom rollbook.cli import main\nmain()\n")
    program.chmod(0o755)
    (prefix / "share").mkdir()
    (prefix / "share" / "rollbook").symlink_to(root / "deploy")

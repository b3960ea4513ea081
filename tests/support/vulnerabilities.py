"""Asks OSV, by pip-audit, whether a locked dependency has a known vulnerability: `vulnerabilities.py [LOCK [URL]]`.

Exit codes: 0 none is known, or the service cannot be reached, which is said; 1 one is known, or the question failed.
"""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx

LOCK = Path(__file__).parents[2] / "requirements.lock"
URL = "https://api.osv.dev/v1/query"
PROBE = {"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "9999"}
SECONDS = 3.0
UNREACHABLE = "NO AUDIT: {} cannot be reached, so known vulnerabilities of dependencies were not looked for."


def _answers(url: str) -> bool:
    """Tell whether the service answers a question about one package; never takes longer than a few seconds."""
    answered = threading.Event()

    def ask() -> None:
        try:
            answer = httpx.post(url, json=PROBE, timeout=SECONDS)
            if answer.status_code == 200 and isinstance(answer.json(), dict):
                answered.set()
        except (httpx.HTTPError, ValueError):
            pass

    # In a thread, because no timeout limits how long a name server is waited for.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS + 1)
    return answered.is_set()


def _report(output: str) -> list[Any] | None:
    """Read pip-audit's report, which it writes only when every package was asked about; its exit code does not tell."""
    try:
        packages: list[Any] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    return packages if packages and all("vulns" in package for package in packages) else None


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main(lock: str = str(LOCK), url: str = URL) -> int:
    """Audit the lock file; print one line, or one for each vulnerability."""
    if not _answers(url):
        _say(UNREACHABLE.format(url))
        return 0
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock, "--disable-pip", "--require-hashes"]
    options = ["--vulnerability-service", "osv", "--osv-url", url, "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    packages = _report(done.stdout)
    if packages is None and not _answers(url):
        _say(UNREACHABLE.format(url))
        return 0
    if packages is None:
        _say(f"The audit of {lock} failed:\n{done.stderr}")
        return 1
    found = [(package, vulnerability) for package in packages for vulnerability in package["vulns"]]
    for package, vulnerability in found:
        fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
        _say(f"VULNERABLE: {package['name']} {package['version']}: {vulnerability['id']}; fixed in {fixed}")
    _say(f"{len(packages)} dependencies audited, {len(found)} known vulnerabilities.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

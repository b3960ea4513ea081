"""The Chromium that tests drive: the machine's own, or Debian's packages unpacked into the checkout's .browser.

Run as a program it fetches what is missing. Nothing outside the checkout is changed, and root is not needed.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

FOLDER = Path(__file__).parents[2] / ".browser"
UNPACKED = FOLDER / "root"
# Needs a fifth of the CPU time of the full browser for each page.
SHELL = "chromium-headless-shell"
EXECUTABLE = UNPACKED / "usr" / "lib" / "chromium" / SHELL
NAMES = (SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES = (SHELL, "fonts-dejavu-core")
QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
ABSENT = "NO BROWSER: there is no Chromium and none can be fetched ({}): the pages are not tested in a browser."


class NoChromiumError(Exception):
    """No Chromium is found or fetched; the message gives the reason."""


@dataclass(frozen=True)
class Chromium:
    """An executable and its additional environment."""

    executable: Path
    environment: dict[str, str] = field(default_factory=dict)


def find_chromium() -> Chromium | None:
    """Find ROLLBOOK_TEST_CHROMIUM, one on the PATH, or the checkout's; None if there is none."""
    if named := os.environ.get("ROLLBOOK_TEST_CHROMIUM"):
        return Chromium(Path(named))
    if found := next(filter(None, map(shutil.which, NAMES)), None):
        return Chromium(Path(found))
    if (FOLDER / "ready").exists() and EXECUTABLE.exists():
        libraries = UNPACKED / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
        # PulseAudio keeps its library in a folder of its own, which an installed package configures in the linker.
        path = f"{libraries}:{libraries / 'pulseaudio'}"
        return Chromium(EXECUTABLE, {"LD_LIBRARY_PATH": path})
    return None


@contextmanager
def run_chromium() -> Iterator[Browser]:
    """Run it headless; errors: NoChromiumError."""
    chromium = find_chromium()
    if chromium is None:
        raise NoChromiumError(ABSENT.format("run: make browser"))
    # Chromium's sandbox does not work for root, nor in many containers.
    arguments = [*QUIET, "--no-sandbox"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.executable, args=arguments, env={**os.environ, **chromium.environment}
        )
        yield browser
        browser.close()


def fetch_chromium() -> None:
    """Unpack the Debian packages that the machine lacks into the checkout; errors: NoChromiumError."""
    if shutil.which("apt-get") is None:
        raise NoChromiumError("the machine has no apt-get")
    shutil.rmtree(FOLDER, ignore_errors=True)
    lists, cache = FOLDER / "lists", FOLDER / "cache"
    for folder in (lists / "partial", cache / "archives" / "partial"):
        folder.mkdir(parents=True)
    # Separate lists and cache leave those of the machine unchanged.
    options = [f"Dir::State::lists={lists}", f"Dir::Cache={cache}", "Debug::NoLocking=1", "APT::Sandbox::User="]
    apt = ["apt-get", "--quiet=2", "--assume-yes", *(f"--option={option}" for option in options)]
    _run([*apt, "update"])
    _run([*apt, "--no-install-recommends", "--download-only", "install", *PACKAGES])
    for package in sorted((cache / "archives").glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(UNPACKED)])
    shutil.rmtree(cache)
    shutil.rmtree(lists)
    if not EXECUTABLE.exists():
        raise NoChromiumError(
            f"apt-get takes {PACKAGES[0]} for installed, but none of {', '.join(NAMES)} is on the PATH"
        )
    (FOLDER / "ready").touch()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise NoChromiumError(f"{command[0]}: {lines[-1]}")


def main() -> None:
    """Fetch Chromium if there is none; report a failure prominently, and let the other tests run."""
    if find_chromium() is None:
        try:
            sys.stderr.write("Fetching Chromium into .browser, for the tests of the pages.\n")
            fetch_chromium()
        except NoChromiumError as error:
            sys.stderr.write(f"\n{'!' * 80}\n{ABSENT.format(error)}\n{'!' * 80}\n\n")


if __name__ == "__main__":
    main()

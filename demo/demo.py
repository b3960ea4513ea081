"""The main job, from an empty directory to a drained queue: `make demo`. Ends by itself."""

import csv
import re
import shutil
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
from lxml import etree
from prepare import ROLLBOOK, environment, prepare

DATA = Path(__file__).parent / "data"
METHOD = "unenrollLearningModules"
IDENTIFIER = "AccountUserLearningModuleRelID"
UNKNOWN_ID = 987_654_321


def main() -> None:
    """Show a mixed batch, the queue before and after the worker, and the same call again."""
    shutil.rmtree(DATA, ignore_errors=True)
    _title("An account, and a roster of a school that does not exist")
    keys = prepare(DATA)
    with (DATA / "ids.csv").open(newline="") as file:
        first, second, *_ = (row[IDENTIFIER] for row in csv.DictReader(file))
    package = _package(keys, [first, "twelve", UNKNOWN_ID, second, first])

    with _running("serve", "--port", "0", "--no-worker") as log:
        url, certificate = _address(log), DATA / "localhost.pem"
        with httpx.Client(
            verify=ssl.create_default_context(cafile=str(certificate)), trust_env=False, timeout=30
        ) as client:
            _title(f"A call of five: POST {url}")
            print(_without_keys(package, keys))
            _title("Its answer: two accepted; no identifier, unknown and twice the same are told apart")
            _post(client, url, package)
            _title("The unenrollment queue, before a worker has run")
            _show_queue()
            with _running("worker"):
                _wait_until_drained()
            _title("The unenrollment queue, after")
            _show_queue()
            _title("The same call again: nothing is done twice")
            _post(client, url, package)
    _show_how_to_go_on()


def _package(keys: dict[str, str], identifiers: list[object]) -> str:
    items = "\n".join(
        f"      <Unenrollment><{IDENTIFIER}>{identifier}</{IDENTIFIER}></Unenrollment>" for identifier in identifiers
    )
    return (
        f"<SmarterU>\n  <AccountAPI>{keys['account_key']}</AccountAPI>\n  <UserAPI>{keys['user_key']}</UserAPI>\n"
        f"  <Method>{METHOD}</Method>\n  <Parameters>\n    <LearningModuleEnrollment>\n{items}\n"
        "    </LearningModuleEnrollment>\n  </Parameters>\n</SmarterU>"
    )


def _post(client: httpx.Client, url: str, package: str) -> None:
    answer = client.post(url, data={"Package": package})
    batch = answer.headers.get("Rollbook-Batch")
    print(f"HTTP {answer.status_code}" + (f", Rollbook-Batch: {batch}" if batch else ""))
    root = etree.fromstring(answer.content)
    etree.indent(root)
    print(etree.tostring(root, encoding="unicode"))


@contextmanager
def _running(*arguments: str) -> Iterator[Path]:
    """Run a command of Rollbook as long as the block; gives the file of its log."""
    log = DATA / f"{arguments[0]}.log"
    with log.open("wb") as output:
        process = subprocess.Popen([str(ROLLBOOK), *arguments], env=environment(DATA), stderr=output)
    try:
        yield log
    finally:
        process.terminate()
        if process.wait(15) != 0:
            sys.exit(f"rollbook {arguments[0]} failed:\n{log.read_text()}")


def _address(log: Path) -> str:
    """Wait until the server has said where it is; from then on its port is open."""
    for _ in range(300):
        if found := re.search(r"Serving (https://\S+)", log.read_text()):
            return found[1].replace("127.0.0.1", "localhost")
        time.sleep(0.1)
    sys.exit(f"The server does not start:\n{log.read_text()}")


def _queue() -> list[tuple[object, ...]]:
    # Straight from the database, so that it shows what is kept rather than what somebody says of it.
    with closing(sqlite3.connect(DATA / "rollbook.db")) as connection:
        return connection.execute(
            "SELECT batch_id, block, enrollment_id, status, finished_at FROM unenrollments"
        ).fetchall()


def _show_queue() -> None:
    print("batch  block  enrolment  status    finished (UTC)")
    for batch, block, enrollment, status, finished in _queue():
        print(f"{batch:5}  {block:5}  {enrollment:9}  {status:8}  {finished or '-'}")


def _wait_until_drained() -> None:
    deadline = time.monotonic() + 30
    while any("Pending" in item for item in _queue()):
        if time.monotonic() > deadline:
            sys.exit("The worker does not finish.")
        time.sleep(0.1)


def _without_keys(package: str, keys: dict[str, str]) -> str:
    for key in keys.values():
        package = package.replace(key, f"{key[:4]}… (64 characters)")
    return package


def _title(text: str) -> None:
    print(f"\n── {text}\n", flush=True)


def _show_how_to_go_on() -> None:
    _title("Go on from here")
    print(f"  export ROLLBOOK_DATA_DIR={DATA}")
    print(f"  {ROLLBOOK} serve            # the same server, with its worker, until Ctrl-C")
    print(f"  {ROLLBOOK} user list")
    print(f"  {ROLLBOOK} key new --user owner@example.org")
    print(f"  {ROLLBOOK} --help")


main()

"""`make demo`: the main job, from an empty directory to a drained queue and its undo. Ends by itself."""

import csv
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from lxml import etree
from prepare import ROLLBOOK, environment, prepare

DATA = Path(__file__).parent / "data"
IDENTIFIER = "AccountUserLearningModuleRelID"
UNKNOWN_ID = 987_654_321
COURSE = "Fire Safety (spring)"
REPORT = f"""<Report><Page>1</Page><PageSize>50</PageSize>
<Filters><LearningModules><LearningModule><LearningModuleNames>
<LearningModuleName>{COURSE}</LearningModuleName>
</LearningModuleNames></LearningModule></LearningModules></Filters>
<Columns><ColumnName>PROGRESS</ColumnName><ColumnName>GRADE</ColumnName><ColumnName>STARTED_DATE</ColumnName>
<ColumnName>COMPLETED_DATE</ColumnName></Columns></Report>"""


def main() -> None:
    """Show a mixed batch, the queue before and after the worker, the same call again, and an undo with its progress."""
    shutil.rmtree(DATA, ignore_errors=True)
    _title("Make an account, import a made-up roster, and the progress that its learners have made")
    keys = prepare(DATA)
    with (DATA / "ids.csv").open(newline="") as file:
        first, second, *_ = (row[IDENTIFIER] for row in csv.DictReader(file))

    with _running("serve", "--port", "0", "--no-worker") as log:
        school = School(_address(log), keys)
        _title(f"The report of {COURSE}: the first learner is half way through, the second one has completed it")
        school.show_report()
        _title(f"Unenroll five items in one call: POST {school.url}")
        package = school.write_unenroll([first, "twelve", UNKNOWN_ID, second, first])
        print(_without_keys(package, keys))
        _title("The answer: two accepted; a malformed, an unknown and a repeated id are refused, each with its code")
        batch = school.post(package)
        _title("The queue before the worker runs")
        school.show_queue()
        with _running("worker"):
            school.wait_until_drained()
        _title("The queue after the worker has run")
        school.show_queue()
        _title("The report: both learners are gone")
        school.show_report()
        _title("The same call again: nothing happens twice")
        school.post(package)
        _title(f"Undo batch {batch} with restoreUnenrollments")
        school.post(school.write("restoreUnenrollments", f"<Unenrollments><BatchID>{batch}</BatchID></Unenrollments>"))
        school.show_queue()
        _title("The report: both are back, with the same ids and the progress they had")
        school.show_report()
    _print_next_steps()


class School:
    """The demo's account, called with its owner's key."""

    def __init__(self, url: str, keys: dict[str, str]) -> None:
        self.url = url
        self._keys = keys
        trusted = ssl.create_default_context(cafile=str(DATA / "localhost.pem"))
        self._client = httpx.Client(verify=trusted, trust_env=False, timeout=30)

    def write_unenroll(self, identifiers: list[object]) -> str:
        """Write an unenrollLearningModules call."""
        items = "\n".join(
            f"      <Unenrollment><{IDENTIFIER}>{identifier}</{IDENTIFIER}></Unenrollment>"
            for identifier in identifiers
        )
        container = "LearningModuleEnrollment"
        return self.write("unenrollLearningModules", f"\n    <{container}>\n{items}\n    </{container}>\n  ")

    def write(self, method: str, parameters: str) -> str:
        """Write a call of a method."""
        return (
            f"<SmarterU>\n  <AccountAPI>{self._keys['account_key']}</AccountAPI>\n"
            f"  <UserAPI>{self._keys['user_key']}</UserAPI>\n  <Method>{method}</Method>\n"
            f"  <Parameters>{parameters}</Parameters>\n</SmarterU>"
        )

    def post(self, package: str) -> str | None:
        """Send a call, print its answer and return the batch id, if there is one."""
        answer = self._client.post(self.url, data={"Package": package})
        batch: str | None = answer.headers.get("Rollbook-Batch")
        print(f"HTTP {answer.status_code}" + (f", Rollbook-Batch: {batch}" if batch else ""))
        root = etree.fromstring(answer.content)
        etree.indent(root)
        print(etree.tostring(root, encoding="unicode"))
        return batch

    def show_queue(self) -> None:
        """Print the queue as a table."""
        print("\nbatch  block  enrollment  status    finished (UTC)")
        for row in self._read_queue():
            values = [row.findtext(name) or "-" for name in ("BatchID", "Block", IDENTIFIER, "Status", "FinishedDate")]
            print("{:>5}  {:>5}  {:>10}  {:8}  {}".format(*values))

    def wait_until_drained(self) -> None:
        """Wait until no item is pending."""
        deadline = time.monotonic() + 30
        while any(row.findtext("Status") == "Pending" for row in self._read_queue()):
            if time.monotonic() > deadline:
                sys.exit("The worker did not drain the queue within 30 seconds.")
            time.sleep(0.1)

    def show_report(self) -> None:
        """Print the report of the course as a table."""
        print("enrollment  learner        progress  grade  started     completed")
        for row in self._read("getLearnerReport", REPORT, "Learner"):
            values = [row.findtext(name) or "-" for name in ("ID", "Progress", "Grade")]
            days = [(row.findtext(name) or "-").split(" ")[0] for name in ("StartedDate", "CompletedDate")]
            name = f"{row.findtext('FirstName')} {row.findtext('LastName')}"
            print("{:>10}  {:13}  {:>8}  {:5}  {:10}  {}".format(values[0], name, *values[1:], *days))

    def _read_queue(self) -> list[etree._Element]:
        return self._read("getUnenrollments", "<Unenrollments/>", "Unenrollment")

    def _read(self, method: str, parameters: str, element: str) -> list[etree._Element]:
        answer = self._client.post(self.url, data={"Package": self.write(method, parameters)})
        return etree.fromstring(answer.content).findall(f"Info/*/{element}")


@contextmanager
def _running(*arguments: str) -> Iterator[Path]:
    """Run a rollbook command for the length of the block; yields the path of its log."""
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
    """Wait until the server prints its address; its port is open from then on."""
    for _ in range(300):
        if found := re.search(r"Serving (https://\S+)", log.read_text()):
            return found[1].replace("127.0.0.1", "localhost")
        time.sleep(0.1)
    sys.exit(f"The server did not start within 30 seconds:\n{log.read_text()}")


def _without_keys(package: str, keys: dict[str, str]) -> str:
    for key in keys.values():
        package = package.replace(key, f"{key[:4]}… (64 characters)")
    return package


def _title(text: str) -> None:
    print(f"\n── {text}\n", flush=True)


def _print_next_steps() -> None:
    _title("Next steps")
    print(f"  export ROLLBOOK_DATA_DIR={DATA}")
    print(f"  {ROLLBOOK} serve   # this account, with a worker, until Ctrl-C")
    print(f"  {ROLLBOOK} user list")
    print(f"  {ROLLBOOK} key new --user owner@example.org")
    print(f"  {ROLLBOOK} --help")


main()

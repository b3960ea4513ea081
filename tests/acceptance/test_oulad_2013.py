"""The main job on real data: a year of a university's registrations in, all its withdrawals out over HTTPS.

The data is the Open University Learning Analytics Dataset (Kuzilek, Hlosta and Zdrahal, 2017, CC BY 4.0), the
presentations of 2013; see the README beside it.
"""

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from campus import Campus, read_outcomes
from rollbook.store.engine import Database
from server_process import ServerProcess, environment, run_server

DATA = Path(__file__).parents[3] / "shared" / "data" / "oulad-2013"


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real registrations are not on this machine: no {DATA}")
def test_a_year_of_real_withdrawals_is_unenrolled_and_drained(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    campus = Campus(database, "The Open University")
    ids_file = tmp_path / "ids.csv"
    _rollbook(database_url, tmp_path, "import", "oneroster", str(DATA / "oneroster.zip"), "--ids", str(ids_file))
    assert campus.current() == 13_529
    with ids_file.open(newline="") as file:
        ids = {row["sourcedId"]: row["AccountUserLearningModuleRelID"] for row in csv.DictReader(file)}
    with (DATA / "unregistrations.csv").open(newline="") as file:
        leaving = [ids[f"{row['classSourcedId']}-{row['userSourcedId']}"] for row in csv.DictReader(file)]
    assert len(leaving) == len(set(leaving)) == 3_723

    with run_server(database_url, tmp_path) as server:
        assert _unenrol_all(server, campus, leaving) == {"accepted": 3_723}
        campus.wait_until_drained()
        assert Counter(campus.queue().values()) == {"Complete": 3_723}
        assert campus.current() == 9_806
        assert _unenrol_all(server, campus, leaving) == {"ULM:03": 3_723}
    assert campus.current() == 9_806


def _unenrol_all(server: ServerProcess, campus: Campus, identifiers: list[str]) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    with server.client() as client:
        for start in range(0, len(identifiers), 100):
            package = campus.package(identifiers[start : start + 100])
            outcomes.update(read_outcomes(client.post(server.url, data={"Package": package})))
    return outcomes


def _rollbook(database_url: str, data_dir: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "rollbook", *arguments]
    done = subprocess.run(command, env=environment(database_url, data_dir), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

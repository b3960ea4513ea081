"""`rollbook sandbox`: its options, its mistakes, its people, and that no other server becomes one."""

import asyncio
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from commands import Run
from conftest import Served, on_sqlite
from rollbook import CallRefusedError, Client, ReportFilters
from rollbook.model import EnrollmentStatus
from rollbook.sandbox.control import control
from rollbook.sandbox.known import KEYS
from rollbook.sandbox.pytest_plugin import Sandbox
from rollbook.sandbox.state import PausableWorker, State, make_seed
from rollbook.settings import load_settings
from rollbook.store.database.database import Database
from rosters import V1_1, pack
from server_process import ForkedProcess, ServerProcess, environment

SEED = """\
Email,GivenName,FamilyName,GroupName,CourseName,SessionStart,EnrolledDate,EnrollmentStatus,Progress
ada@example.org,Ada,King,East,Welding,2026-03-02 09:00:00,2026-01-02,In Progress,40
ben@example.org,Ben,Ruiz,East,Welding,2026-03-02 09:00:00,,,
ADA@example.org,,,West,Knots,,,Completed,100
"""
CALL = (
    f"<SmarterU><AccountAPI>{KEYS['account']}</AccountAPI><UserAPI>{{}}</UserAPI>"
    "<Method>{}</Method><Parameters>{}</Parameters></SmarterU>"
)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, Path]]:
    """A sandbox with every option, and its folder."""
    folder = tmp_path_factory.mktemp("other")
    seed, log, kept = folder / "people.csv", folder / "log", folder / "kept"
    seed.write_text(SEED)
    log.touch()
    options = ["--port", "0", "--keep", "kept", "--seed", "people.csv", "--host-name", "api.example.com"]
    command = ["sandbox", *options, "--strict", "--plain-http"]
    process = ForkedProcess(command, environment("sqlite:///unused.db", folder / "unused"), folder, log, log)
    try:
        yield ServerProcess(process, log, kept), folder
    finally:
        process.terminate()
        process.wait(15)


@pytest.fixture(scope="module")
def strict_client(other: tuple[ServerProcess, Path]) -> Iterator[Client]:
    """A client of the owner."""
    server, _ = other
    with Client(server.url, KEYS["account"], KEYS["owner"], ca_file=server.ca_file) as client:
        yield client


def test_own_people_of_a_csv_file(strict_client: Client) -> None:
    columns = ["USER_EMAIL", "GROUP_NAME", "PROGRESS", "COURSE_SESSION_ID", "ENROLLED_DATE"]
    rows = list(strict_client.learner_report(ReportFilters(), columns=columns))
    shown = [(row["LearnerEmail"], row["GroupName"], row["CourseName"], row["Progress"]) for row in rows]
    assert shown == [
        ("ada@example.org", "East", "Welding", "40"),
        ("ben@example.org", "East", "Welding", ""),
        ("ada@example.org", "West", "Knots", "100"),
    ]
    assert rows[0]["CourseSessionID"] == rows[1]["CourseSessionID"] == str(strict_client.sessions(1)[0].id)
    assert rows[0]["EnrolledDate"].startswith("2026-01-02")


def test_strict_sandbox_answers_as_a_server_that_is_not_rollbook(
    other: tuple[ServerProcess, Path], strict_client: Client
) -> None:
    server, _ = other
    with pytest.raises(CallRefusedError, match="SU:11") as refused:
        strict_client.queue()
    assert refused.value.request_id is None
    unenroll = (
        "<LearningModuleEnrollment><Unenrollment><AccountUserLearningModuleRelID>1</AccountUserLearningModuleRelID>"
        "</Unenrollment></LearningModuleEnrollment>"
    )
    package = CALL.format(KEYS["owner"], "unenrollLearningModules", unenroll)
    own = {"Rollbook-Dry-Run": "true", "Idempotency-Key": "k", "Rollbook-Batch": "not a number"}
    first, second = (server.post(package, headers=own) for _ in range(2))
    assert "<Result>Success</Result>" in first.text
    assert re.search("ULM:0[34]", second.text)
    ours = [name for name in first.headers if name.startswith(("rollbook-", "x-request-id"))]
    assert ours == ["rollbook-sandbox"]
    assert "SU:10" in server.post(CALL.format("unknown", "getUnenrollments", "<Unenrollments/>")).text


def test_plain_http_is_answered_as_https_is(other: tuple[ServerProcess, Path]) -> None:
    server, _ = other
    assert "SU:02" in httpx.post(server.http_url, data={"x": "y"}, trust_env=False).text


def test_certificate_has_the_host_name_and_the_lines_lead_it_here(other: tuple[ServerProcess, Path]) -> None:
    server, folder = other
    certificate = x509.load_pem_x509_certificate(server.ca_file.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "api.example.com"]
    said = server.log.read_text()
    assert f"curl --cacert {folder}/kept/localhost.pem --resolve api.example.com:{server.port}:127.0.0.1" in said
    assert "echo '127.0.0.1 api.example.com' | sudo tee -a /etc/hosts" in said


def test_keys_are_printed_and_work_with_the_role_that_they_name(sandbox: Sandbox) -> None:
    def call(key: str) -> str:
        with Client(sandbox.url, sandbox.account_key, key, ca_file=sandbox.ca_file) as client:
            try:
                groups = [row["Name"] for row in client.list_groups()]
                client.queue()
            except CallRefusedError as error:
                return error.code
            return ", ".join(groups)

    assert call(sandbox.owner_key) == call(sandbox.administrator_key) == "North, South, West"
    assert [call(sandbox.manager_key), call(sandbox.learner_key)] == ["GUQ:01", "LG:01"]


def test_made_up_enrollments_have_every_status_and_are_always_the_same(sandbox: Sandbox) -> None:
    columns = ["PROGRESS", "COURSE_SESSION_ID"]
    for status in EnrollmentStatus:
        assert list(sandbox.client.learner_report(ReportFilters(statuses=[status]))), status
    rows = list(sandbox.client.learner_report(columns=columns))
    assert [int(row["ID"]) for row in rows] == list(range(1, 133))
    assert [rows[2][name] for name in ("FirstName", "CourseName", "Progress")] == ["Sandbox", "Data Protection", "12"]
    assert {row["CourseSessionID"] for row in rows} == {"", "1", "2", "3", "4"}


MISTAKES = [
    (["--seed", "a", "--roster", "b"], "--seed and --roster exclude each other"),
    (["--host-name", "https://x"], "--host-name 'https://x' is no name of a host"),
    (["--seed", "none.csv"], "none.csv cannot be read: No such file"),
    (["--seed", "/dev/zero"], "/dev/zero has more than 16 MiB"),
    (["--seed", "people.csv"], "people.csv: the column 'Mail' is unknown. Is it 'Email'?"),
    (["--seed", "narrow.csv"], "narrow.csv has no column CourseName."),
    (["--seed", "status.csv"], "status.csv:3: EnrollmentStatus 'Gone' is no"),
    (["--seed", "day.csv"], "day.csv:2: EnrolledDate '31.1.2026' is no time such as 2026-01-31"),
    (["--seed", "session.csv"], "session.csv:2: SessionStart '31-Dec-9999' is no time"),
    (["--seed", "latin.csv"], "latin.csv:2: a control character, or text that is not in UTF-8."),
    (["--seed", "twice.csv"], "twice.csv:3: the learner and class of line 2, at the same time"),
    (["--roster", "day.csv"], "day.csv is not a zip archive"),
]


@pytest.mark.parametrize(("options", "sentence"), MISTAKES)
@on_sqlite
def test_mistake_is_named_and_leaves_no_database(
    rollbook: Run, tmp_path: Path, options: list[str], sentence: str
) -> None:
    files = {
        "people": "Mail,GroupName,CourseName\na@example.org,G,C\n",
        "narrow": "Email,GroupName\na@example.org,G\n",
        "status": "Email,GroupName,CourseName,EnrollmentStatus\na@example.org,G,C,\nb@example.org,G,C,Gone\n",
        "day": "Email,GroupName,CourseName,EnrolledDate\na@example.org,G,C,31.1.2026\n",
        "twice": "Email,GroupName,CourseName\na@example.org,G,C\nA@example.org,G,C\n",
        "latin": "Email,GroupName,CourseName\na@example.org,B\xfcro,C\n",
        "session": "Email,GroupName,CourseName,SessionStart\na@example.org,G,C,31-Dec-9999\n",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_bytes(text.encode("latin-1"))
    done = rollbook("sandbox", "--port", "0", "--keep", "kept", *options)
    assert (done.code, sentence in done.err) == (2, True), done.err
    assert not [*tmp_path.glob("kept/*.db*")]


@on_sqlite
def test_roster_becomes_the_people_of_a_sandbox(rollbook: Run, tmp_path: Path) -> None:
    (tmp_path / "new.db").write_bytes(b"half of a database, of a start that was killed")
    make_seed(tmp_path, pack(tmp_path / "roster.zip", V1_1), is_roster=True)
    assert [row["name"] for row in rollbook("course", "list", "--format", "json").json] == ["Algebra", "Geometry"]
    people = {row["email"] for row in rollbook("user", "list", "--format", "json").json}
    assert people > {"ann@example.org", "manager@sandbox.example"}


@on_sqlite
def test_database_of_a_sandbox_is_served_by_no_other_command(
    rollbook: Run, other: tuple[ServerProcess, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = other
    monkeypatch.setenv("ROLLBOOK_DATABASE_URL", f"sqlite:///{folder}/kept/rollbook.db")
    for command in (
        ["serve", "--port", "0"],
        ["init", "--account", "Real", "--owner", "o@example.org"],
        ["account", "add", "Real", "--owner", "o@example.org"],
    ):
        done = rollbook(*command)
        assert (done.code, "This is the database of a sandbox" in done.err) == (2, True), command


@on_sqlite
def test_sandbox_takes_no_folder_of_another_server(rollbook: Run, tmp_path: Path) -> None:
    rollbook("init", "--account", "Real", "--owner", "o@example.org")
    before = (tmp_path / "rollbook.db").read_bytes()
    done = rollbook("sandbox", "--port", "0", "--keep", str(tmp_path))
    assert (done.code, "is not the database of a sandbox" in done.err) == (2, True)
    shutil.copy(tmp_path / "rollbook.db", tmp_path / "seed.db")
    done = rollbook("sandbox", "--port", "0", "--keep", str(tmp_path))
    assert (done.code, "is not the database of a sandbox" in done.err) == (2, True)
    assert (tmp_path / "rollbook.db").read_bytes() == before


def test_kept_sandbox_keeps_its_people(rollbook: Run, other: tuple[ServerProcess, Path]) -> None:
    done = rollbook("sandbox", "--port", "0", "--keep", str(other[1] / "kept"), "--seed", "x.csv")
    assert (done.code, "has its people already" in done.err) == (2, True)


@pytest.mark.parametrize("path", ["/sandbox/", "/sandbox/calls", "/sandbox/reset", "/sandbox/faults"])
def test_server_that_is_no_sandbox_has_no_endpoint_of_one(served: Served, path: str) -> None:
    origin = served.server.url.removesuffix("/apiv2/")
    with served.server.client() as client:
        for answer in (client.get(origin + path), client.post(origin + path, json={})):
            assert (answer.status_code, "Rollbook-Sandbox" in answer.headers) == (404, False)


def test_server_that_is_no_sandbox_knows_no_well_known_key_and_reads_no_plain_call(served: Served) -> None:
    packages = [CALL.format(key, "listGroups", "<Group/>") for key in KEYS.values()]
    for package in packages:
        answer = served.server.post(package)
        assert "SU:10" in answer.text
        assert "Rollbook-Sandbox" not in answer.headers
    assert "SU:01" in httpx.post(served.server.http_url, data={"Package": packages[0]}, trust_env=False).text


@on_sqlite
def test_other_machines_cannot_use_the_endpoint(database: Database, tmp_path: Path) -> None:
    state = State(database, PausableWorker(database, load_settings()), tmp_path)

    async def ask(address: str) -> list[int]:
        transport = httpx.ASGITransport(control(state, {}), client=(address, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="https://sandbox") as http:
            asked = [await http.get("/sandbox/"), await http.post("/sandbox/faults", json={"fault": "503"})]
            return [answer.status_code for answer in asked]

    assert [asyncio.run(ask(address)) for address in ("127.0.0.1", "::1")] == [[200, 200], [200, 200]]
    assert asyncio.run(ask("192.0.2.1")) == [403, 403]
    assert len(state.faults.waiting) == 2

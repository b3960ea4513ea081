"""The import pages: a file of progress, its preview, and the import in one transaction."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from campus import Campus
from conftest import Served, Visitors
from rollbook import Client, Progress
from rollbook.methods.get_learner_report import COLUMNS
from rollbook.model import utc_now
from rollbook.store.database.tables import uploads
from visitor import Visitor, give_password

Upload = Callable[..., str]
NONE = "\N{EN DASH}"


@pytest.fixture
def upload(owner: Visitor) -> Upload:
    """Send a file through the form, and give the text of the page that answers."""

    def send(data: str | bytes, name: str = "progress.csv") -> str:
        owner.open("/console/import")
        [form] = [form for form in owner.page().forms if form.action == "/console/import"]
        assert form.get("enctype") == "multipart/form-data"
        content = data if isinstance(data, bytes) else data.encode()
        url = f"{owner.origin}/console/import"
        owner.answer = owner.client.post(url, files={"file": (name, content, "text/csv")}, headers=owner.said())
        owner.follow()
        return owner.text()

    return send


def _path(owner: Visitor) -> str:
    return owner.answer.url.path


def _facts(owner: Visitor) -> dict[str, str]:
    return {fact.findtext("dt"): fact.findtext("dd") for fact in owner.page().xpath("//dl[@class='facts']/div")}


def _table(owner: Visitor, heading: str) -> list[list[str]]:
    rows = owner.page().xpath(f"//section[h2[contains(., '{heading}')]]//tbody/tr")
    return [[" ".join(cell.text_content().split()) for cell in row] for row in rows]


def _report(served: Served, campus: Campus) -> list[dict[str, str]]:
    with Client(served.server.url, campus.account_key, campus.owner_key, ca_file=served.server.ca_file) as client:
        return list(client.learner_report(columns=list(COLUMNS)))


def test_file_is_imported_after_a_preview_of_old_and_new_values(
    served: Served, campus: Campus, owner: Visitor, upload: Upload
) -> None:
    first, second, third = campus.enroll(3)
    with Client(served.server.url, campus.account_key, campus.owner_key, ca_file=served.server.ca_file) as client:
        list(client.update_enrollments([Progress(first, "In Progress", "20"), Progress(third, progress="7")]))
    before = _report(served, campus)
    lines = f"ID,Progress,Mood,EnrollmentStatus,CompletedDate\n{first},50,x,,\n{second},100,,Completed,2026-02-01\n"
    said = upload(lines + f"{third},7,,,\n")
    assert "Import 2 rows?" in said
    assert _facts(owner) | {"Rows": "3", "Changed": "2", "Unchanged": "1", "File": "progress.csv"} == _facts(owner)
    assert _facts(owner)["Columns that are ignored"] == "Mood"
    assert _table(owner, "What would change") == [
        ["Some Learner", "Fire Safety", "Progress: 20 → 50", str(first)],
        [
            *("Some Learner", "Fire Safety"),
            f"EnrollmentStatus: Enrolled → CompletedProgress: {NONE} → 100CompletedDate: {NONE} → 2026-02-01 00:00",
            str(second),
        ],
    ]
    assert _report(served, campus) == before
    assert campus.audit()[0]["action"] != "import"
    path = _path(owner)
    owner.submit(path)
    assert "2 rows imported" in owner.text()
    after = _report(served, campus)
    assert [(row["Progress"], row["CompletedDate"]) for row in after] == [
        ("50", ""),
        ("100", "2026-02-01 00:00:00.0"),
        ("7", ""),
    ]
    line = campus.audit()[0]
    assert (line["action"], line["actor"]) == ("import", "owner@example.org")
    assert (line["subject"], line["address"]) == ("Progress import progress.csv", owner.address)
    owner.post(path, {})
    owner.follow()
    assert "2 rows imported" in owner.text()
    assert campus.audit()[1]["action"] != "import"
    assert "Nothing would change" in upload(lines)


def test_bad_rows_are_listed_and_skipped_only_when_the_box_is_ticked(
    served: Served, campus: Campus, owner: Visitor, upload: Upload
) -> None:
    first, second = campus.enroll(2)
    (foreign,) = Campus(served.database).enroll(1)
    upload(f"ID,Progress\n{first},50\n{second},101\n{foreign},1\nx,1\n{second}\n")
    assert _facts(owner)["Bad"] == "4"
    assert sorted(_table(owner, "bad row")) == [
        ["3", "Progress", "'101' is no number from 0 to 100, or text of at most 40 characters"],
        ["4", NONE, "no current enrollment"],
        ["5", "ID", "'x' names no enrollment"],
        ["6", NONE, "1 fields, where the header has 2"],
    ]
    path = _path(owner)
    owner.post(path, {})
    assert owner.answer.status_code == 422
    assert "4 rows are bad, so nothing was imported." in owner.text()
    assert {row["Progress"] for row in _report(served, campus)} == {""}
    owner.submit(path, skip_bad_rows="1")
    assert "1 row imported" in owner.text()
    assert "4 bad rows skipped" in owner.text()
    assert [row["Progress"] for row in _report(served, campus)] == ["50", ""]


def test_row_that_became_bad_after_the_preview_stops_the_import(
    served: Served, campus: Campus, owner: Visitor, upload: Upload
) -> None:
    first, second = campus.enroll(2)
    upload(f"ID,Progress\n{first},50\n{second},60\n")
    campus.accept([second])
    campus.drain()
    owner.submit(_path(owner))
    assert owner.answer.status_code == 422
    assert "1 row is bad, so nothing was imported." in owner.text()
    assert _table(owner, "bad row") == [["3", NONE, "no current enrollment"]]
    assert [row["Progress"] for row in _report(served, campus)] == [""]


def test_many_changes_and_bad_rows_are_counted_and_the_first_are_listed(
    campus: Campus, owner: Visitor, upload: Upload
) -> None:
    ids = campus.enroll(60)
    upload("ID,Points\n" + "".join(f"{id_},5\n" for id_ in ids) + "x,5\n" * 250)
    assert len(_table(owner, "What would change")) == 50
    assert len(_table(owner, "bad row")) == 200
    assert "The first 200 of 250." in owner.text()
    owner.submit(_path(owner), skip_bad_rows="1")
    assert "60 rows imported" in owner.text()


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        ("", "p.csv", "it is empty"),
        ("ID;Progress\n1;5\n", "p.csv", "p.csv separates its fields by semicolons"),
        ("ID,Mood\n1,happy\n", "p.csv", "p.csv has no progress"),
        ("ID,Progress\n1,5\n".encode("utf-16"), "p.csv", "p.csv is in UTF-16"),
        ('ID,Progress\n1,"5\n', "p.csv", "a field of this row has no end"),
        ("ID,Progress\n1,5\n", "p" * 201, "has more than 200 characters"),
        ("ID,Progress\n1,5\n", "", "Choose a roster or a file of progress"),
    ],
)
def test_file_that_cannot_be_read_is_refused_with_a_sentence(
    owner: Visitor, upload: Upload, data: str | bytes, name: str, said: str
) -> None:
    assert said in upload(data, name)
    assert owner.answer.status_code == 422


def test_file_over_the_limit_is_refused_whole(served: Served, upload: Upload, owner: Visitor) -> None:
    with served.database.read() as connection:
        before = connection.execute(sa.select(sa.func.count()).select_from(uploads)).scalar_one()
    said = upload("ID,Progress\n" + "1,5\n" * 1_100_000)
    assert owner.answer.status_code == 413
    assert "was not read: the body is larger than 4194304 bytes. Send a large file in parts." in said
    owner.client.cookies.clear()
    owner.answer = owner.client.post(
        f"{owner.origin}/console/import", files={"file": ("p.csv", b"1,5\n" * 300_000)}, headers=owner.said()
    )
    assert "the body is larger than 1048576 bytes" in owner.text()  # the limit of a call
    with served.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(uploads)).scalar_one() == before


def test_file_of_a_signed_in_user_can_be_larger_than_a_call(campus: Campus, upload: Upload) -> None:
    (id_,) = campus.enroll(1)
    said = upload("Note,ID,Progress\n" + "".join(f"{'x' * 120_000},{id_},{progress}\n" for progress in range(10)))
    assert "Import 10 rows?" in said


def test_only_who_uploaded_a_file_can_import_it(
    served: Served, campus: Campus, owner: Visitor, upload: Upload, visitors: Visitors
) -> None:
    (id_,) = campus.enroll(1)
    upload(f"ID,Progress\n{id_},50\n")
    path = _path(owner)
    give_password(campus, "administrator@example.org")
    other = visitors()
    other.sign_in(campus, "administrator@example.org")
    other.open(path)
    assert "Only owner@example.org, who uploaded this file, can import it." in other.text()
    assert other.post(path, {}).status_code == 403
    foreign = Campus(served.database).account.id
    with served.database.write() as connection:
        connection.execute(uploads.update().values(account_id=foreign))
    assert owner.open(path).status_code == 404
    assert owner.post(path, {}).status_code == 404
    assert [row["Progress"] for row in _report(served, campus)] == [""]


def test_upload_expires_after_a_day(served: Served, campus: Campus, owner: Visitor, upload: Upload) -> None:
    (id_,) = campus.enroll(1)
    upload(f"ID,Progress\n{id_},50\n")
    mine = uploads.c.account_id == campus.account.id
    with served.database.write() as connection:
        connection.execute(uploads.update().where(mine).values(created_at=utc_now() - timedelta(days=1, seconds=1)))
    path = _path(owner)
    assert owner.post(path, {}).status_code == 404
    assert "more than a day old" in owner.text()
    assert owner.open(path).status_code == 404


def test_imported_file_is_not_kept(served: Served, campus: Campus, owner: Visitor, upload: Upload) -> None:
    (id_,) = campus.enroll(1)
    upload(f"ID,Progress\n{id_},50\n")
    mine = sa.select(uploads.c.content).where(uploads.c.account_id == campus.account.id)
    with served.database.read() as connection:
        assert connection.execute(mine).scalar_one() == f"ID,Progress\n{id_},50\n".encode()
    owner.submit(_path(owner))
    with served.database.read() as connection:
        assert connection.execute(mine).scalar_one() == b""

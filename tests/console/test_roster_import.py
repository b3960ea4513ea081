"""Rosters on the import pages: an archive, the listing of what it would change, and its import by confirmation."""

import csv
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from campus import Campus
from conftest import Served, Visitors
from rollbook.store.database.tables import courses, enrollments, groups, uploads, users
from rosters import ADDED, V1_1, Files, appended, changed, everything_in, members, pack, rows_of
from visitor import Visitor, give_password
from workbooks import write_workbook

Send = Callable[..., str]
GRADED = V1_1 | {
    "lineItems": ["sourcedId,title,classSourcedId,categorySourcedId,resultValueMax", "l1,Final,c1,,20"],
    "results": ["sourcedId,lineItemSourcedId,studentSourcedId,scoreStatus,score", "r1,l1,u1,fully graded,15"],
}


@pytest.fixture
def send(owner: Visitor, tmp_path: Path) -> Send:
    """Send an archive of files through the form, and give the text of the page that answers."""

    def send(files: Files, *, options: dict[str, str] | None = None, **declared: str) -> str:
        content = pack(tmp_path / "roster.zip", files, **declared).read_bytes()
        return _send(owner, content, "roster.zip", options)

    return send


def _send(owner: Visitor, content: bytes, name: str, options: dict[str, str] | None = None) -> str:
    owner.answer = owner.client.post(
        f"{owner.origin}/console/import", files={"file": (name, content)}, data=options or {}, headers=owner.said()
    )
    owner.follow()
    return owner.text()


def _path(owner: Visitor) -> str:
    return owner.answer.url.path


def _counts(owner: Visitor) -> dict[str, dict[str, int]]:
    [table, *_] = owner.page().xpath("//table")
    return {
        row.findtext("th"): {cell.get("data-name"): int(cell.text) for cell in row.findall("td") if int(cell.text) > 0}
        for row in table.xpath("tbody/tr")
    }


def _listing(owner: Visitor) -> list[dict[str, str]]:
    """Download the listing as CSV, and go back."""
    page = owner.answer
    answer = owner.open(f"{page.url.path}/changes.csv")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    rows = [*csv.DictReader(io.StringIO(answer.text, newline=""))]
    owner.answer = page
    return rows


def _told(owner: Visitor, change: str) -> list[tuple[str, ...]]:
    return [(row["Record"], row["Before"], row["After"]) for row in _listing(owner) if row["Change"] == change]


def test_roster_is_imported_after_a_preview_of_every_change(campus: Campus, owner: Visitor, send: Send) -> None:
    before = everything_in(campus)
    assert "Import this roster?" in send(V1_1)
    assert everything_in(campus) | {"uploads": [], "sign_ins": []} == before | {"uploads": [], "sign_ins": []}
    assert _counts(owner) == {kind.capitalize(): {"Added": count["added"]} for kind, count in ADDED.items()}
    dated = "from 2026-02-01"
    assert [told for told in _told(owner, "added") if "Bo" not in told[2]] == [
        ("course", "", "Algebra, Autumn, Spring"),
        ("course", "", "Geometry, Spring"),
        ("enrollment", "", f"Ann One, ann@example.org in Algebra by North School {dated} until 2026-07-01"),
        ("enrollment", "", f"Ann One, ann@example.org in Geometry by South School {dated}"),
        ("group", "", "North School"),
        ("group", "", "South School"),
        ("user", "", "Ann One, ann@example.org, E1"),
        ("user", "", "Cy Three, cy@example.org"),
    ]
    path = _path(owner)
    owner.submit(path)
    assert "Roster imported" in owner.text()
    assert [row[0] for row in rows_of(campus, users, "email")] == ["ann@example.org", None, "cy@example.org"]
    assert len(rows_of(campus, enrollments, "id")) == 3
    assert ("s1", "u1") in members(campus)
    line = campus.audit()[0]
    assert (line["action"], line["actor"], line["subject"]) == (
        *("import", "owner@example.org"),
        "OneRoster import roster.zip",
    )
    assert line["address"] == owner.address
    after = everything_in(campus)
    owner.post(path, {})  # a second confirmation
    assert "Roster imported" in owner.follow().text
    assert everything_in(campus) | {"sign_ins": []} == after | {"sign_ins": []}
    assert "Nothing would change" in send(V1_1)
    assert not [form for form in owner.page().forms if form.action == _path(owner)]


def test_changed_and_ended_records_are_shown_before_and_after(campus: Campus, owner: Visitor, send: Send) -> None:
    send(V1_1)
    owner.submit(_path(owner))
    files = {
        "orgs": ["sourcedId,status,name,type", "s2,active,South Campus,school"],
        "users": [
            "sourcedId,status,enabledUser,orgSourcedIds,role,givenName,familyName,email,identifier",
            "u1,active,true,s1,student,Anna,One,anna@example.org,E1",
            "u3,tobedeleted,,,,,,,",
        ],
        "classes": ["sourcedId,status,title,courseSourcedId,schoolSourcedId,termSourcedIds", "c2,tobedeleted,,,,"],
        "enrollments": [
            "sourcedId,status,classSourcedId,schoolSourcedId,userSourcedId,role,beginDate,endDate",
            "e4,tobedeleted,,,,,,",
        ],
    }
    assert "The enrollments that end go into the queue as one batch." in send(files, mode="delta")
    assert _told(owner, "ended") == [
        ("course", "Geometry, Spring", "Geometry, Spring, archived"),
        ("enrollment", "Anna One, anna@example.org in Geometry by South Campus from 2026-02-01", ""),
        ("user", "Cy Three, cy@example.org", "Cy Three, cy@example.org, inactive"),
    ]
    assert ("user", "Ann One, ann@example.org, E1", "Anna One, anna@example.org, E1") in _told(owner, "updated")
    assert ("group", "South School", "South Campus") in _told(owner, "updated")
    owner.submit(_path(owner))
    [batch] = owner.page().xpath("//dl//a/@href")
    owner.open(batch)
    assert "OneRoster import roster.zip" in owner.text()
    assert set(campus.queue().values()) == {"Pending"}


def test_bad_rows_are_listed_by_file_line_and_value_and_skipped_on_request(
    campus: Campus, owner: Visitor, send: Send
) -> None:
    files = changed("enrollments", "e1,c1,s1,u9,student,2026-02-01,2026-07-01", "e4,c2,s2,u1,pupil,,")
    said = send(files)
    bad = [row for row in _listing(owner) if row["Change"] == "bad"]
    assert [(row["File"], row["Line"], row["Column"], row["Note"]) for row in bad] == [
        ("enrollments.csv", "2", "userSourcedId", "no user 'u9'"),
        ("enrollments.csv", "5", "role", "'pupil' is none of administrator, proctor, student, teacher, ext:"),
    ]
    assert "enrollments.csv, line 2" in said
    path = _path(owner)
    owner.post(path, {})
    assert owner.answer.status_code == 422
    assert "Tick the box" in owner.text()
    assert rows_of(campus, users, "id") == []
    owner.submit(path, skip_bad_rows="1")
    assert "Roster imported" in owner.text()
    assert [row[0] for row in rows_of(campus, enrollments, "external_id")] == ["e2"]


def test_listing_is_searched_and_paged(owner: Visitor, send: Send) -> None:
    people = [
        f"p{number:03},true,s1,student,Given,Family{number:03},p{number:03}@example.org,," for number in range(150)
    ]
    send(appended("users", *people))
    path = _path(owner)
    assert len(owner.page().xpath("//section[@id='changes']//tbody/tr")) == 100
    owner.open(path, change="added", page=2)
    assert 50 < len(owner.page().xpath("//section[@id='changes']//tbody/tr")) < 100
    owner.open(path, q="FAMILY149,")
    assert "p149@example.org" in owner.text()
    assert len(owner.page().xpath("//section[@id='changes']//tbody/tr")) == 1
    assert owner.open(path, change="bad").status_code == 200
    assert "No change matches." in owner.text()
    assert owner.open(path, change="nothing").status_code == 422


def test_account_that_changed_after_the_preview_gets_a_new_preview(
    served: Served, campus: Campus, owner: Visitor, send: Send
) -> None:
    send(V1_1)
    path = _path(owner)
    campus.add(users, external_id="u3", given_name="Cy", family_name="Before", role="learner", active=True)
    owner.submit(path)
    assert owner.answer.status_code == 422
    assert "The account has changed since the preview, so nothing was imported." in owner.text()
    assert ("user", "Cy Before", "Cy Three, cy@example.org") in _told(owner, "updated")
    assert rows_of(campus, groups, "id") == []
    owner.submit(path)
    assert "Roster imported" in owner.text()
    assert len(rows_of(campus, users, "id")) == 3


def test_final_grades_are_imported_on_request(campus: Campus, owner: Visitor, send: Send) -> None:
    assert "lineItems.csv (1 rows), results.csv (1 rows)" in send(GRADED)
    said = send(GRADED, options={"final_grade": "Finale"})
    assert owner.answer.status_code == 422
    assert "No line item of the archive has the title or category 'Finale'. Is it 'Final'?" in said
    send(GRADED, options={"final_grade": "Final"})
    owner.submit(_path(owner))
    assert rows_of(campus, enrollments, "external_id", "grade")[0] == ("e1", "15")


def _workbook() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("r.zip", b"PK\x03\x04 nothing", {}, "r.zip is not a zip archive that can be read"),
        ("r.zip", b"PK\x05\x06" + bytes(18), {}, "r.zip has no manifest.csv in its top folder"),
        (
            "r.xlsx",
            write_workbook({"A": [["ID"], ["1"]]}),
            {},
            "It is an Excel workbook: progress is imported from CSV.",
        ),
        (
            "p.csv",
            b"ID,Progress\n1,5\n",
            {"match": "email"},
            "p.csv is no zip archive, and the options are for rosters",
        ),
        ("r.zip", b"PK", {"complete": "1"}, "name the final line item"),
        ("r.zip", b"PK", {"match": "shoe size"}, "“shoe size” is nothing by which users are matched"),
    ],
)
def test_upload_that_cannot_be_read_is_refused_with_a_sentence(
    owner: Visitor, name: str, content: bytes, options: dict[str, str], said: str
) -> None:
    assert said in _send(owner, content, name, options)
    assert owner.answer.status_code == 422


def test_archive_that_unpacks_to_too_much_is_refused_unread(owner: Visitor, tmp_path: Path) -> None:
    path = pack(tmp_path / "bomb.zip", V1_1)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("users.csv", bytes(50_000_000))
    assert "The files in bomb.zip have more than 41,943,040 bytes." in _send(owner, path.read_bytes(), "bomb.zip")
    assert owner.answer.status_code == 422


def test_only_who_uploaded_a_roster_can_import_it(
    served: Served, campus: Campus, owner: Visitor, send: Send, visitors: Visitors
) -> None:
    send(V1_1)
    path = _path(owner)
    give_password(campus, "administrator@example.org")
    other = visitors()
    other.sign_in(campus, "administrator@example.org")
    other.open(path)
    assert "Only owner@example.org, who uploaded this file, can import it." in other.text()
    assert other.post(path, {}).status_code == 403
    foreign = Campus(served.database).account.id
    with served.database.write() as connection:
        mine = uploads.c.account_id == campus.account.id
        connection.execute(uploads.update().where(mine).values(account_id=foreign))
    assert owner.open(path).status_code == 404
    assert owner.open(f"{path}/changes.csv").status_code == 404
    assert owner.post(path, {}).status_code == 404
    with served.database.read() as connection:
        added = sa.select(courses.c.id).where(courses.c.account_id.in_((campus.account.id, foreign)))
        assert len(connection.execute(added.where(courses.c.external_id.is_not(None))).all()) == 0

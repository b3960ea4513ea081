"""`rollbook import oneroster --final-grade` imports the grades of the results that a name selects."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rosters
from campus import Campus
from rollbook.store.database import tables
from rosters import ADDED, UNCHANGED, V1_1, V1_2, Files, Import, appended, pack, rows_of

database_url, database, campus, run = rosters.database_url, rosters.database, rosters.campus, rosters.run

GRADES: Files = {
    "categories": ["sourcedId,title", "g1,Final", "g2,Homework"],
    "lineItems": [
        "sourcedId,title,classSourcedId,categorySourcedId,resultValueMin,resultValueMax",
        *("l1,Exam,c1,g1,0,60", "l2,Week 1,c1,g2,0,10", "l3,Exam,c2,g1,,"),
    ],
    "results": [
        "sourcedId,lineItemSourcedId,studentSourcedId,scoreStatus,score,scoreDate,comment",
        *("r1,l1,u1,fully graded,40.0,2026-06-30,", "r2,l2,u1,fully graded,9,2026-03-01,"),
        *("r3,l1,u2,partially graded,30,,", "r4,l3,u1,not submitted,,,"),
    ],
}
WHOLE = V1_1 | GRADES
COLUMNS = ("external_id", "grade", "grade_percentage", "status", "completed_at")
STATUSES = "exempt, fully graded, not submitted, partially graded, submitted"
DAY = datetime(2026, 6, 30, tzinfo=UTC)


def _grades(campus: Campus) -> list[tuple[object, ...]]:
    return rows_of(campus, tables.enrollments, *COLUMNS)


def _results(*lines: str, base: Files = WHOLE) -> Files:
    return base | {"results": [base["results"][0], *lines]}


def test_the_final_results_become_grades_and_complete_when_asked(campus: Campus, run: Import, tmp_path: Path) -> None:
    archive = pack(tmp_path / "r.zip", WHOLE)
    final = ("--final-grade", "Final")
    graded = {"results": {"updated": 2, "ignored": 2}}
    assert run(archive, *final, "--dry-run")[:2] == (0, ADDED | graded)
    assert run(archive, *final) == (0, ADDED | graded, [])
    assert _grades(campus) == [
        ("e1", "40.0", "66.67", "Enrolled", None),
        ("e2", "30", "50", "Enrolled", None),
        ("e4", None, None, "Enrolled", None),
    ]
    assert run(archive, *final) == (0, UNCHANGED | {"results": {"unchanged": 2, "ignored": 2}}, [])
    completed = UNCHANGED | {"results": {"updated": 1, "unchanged": 1, "ignored": 2}}
    assert run(archive, *final, "--complete") == (0, completed, [])
    assert _grades(campus)[:2] == [
        ("e1", "40.0", "66.67", "Completed", DAY),
        ("e2", "30", "50", "Enrolled", None),
    ]
    later = pack(tmp_path / "later.zip", _results("r1,l1,u1,fully graded,50,2026-07-31,"))
    assert run(later, *final, "--complete")[:2] == (0, UNCHANGED | {"results": {"updated": 1}})
    assert _grades(campus)[0] == ("e1", "50", "83.33", "Completed", DAY)
    audit = campus.audit()[0]
    assert (audit["action"], audit["subject"]) == ("import", "OneRoster import later.zip")


def test_a_title_selects_as_a_category_does_and_text_is_a_grade_in_version_1_2(
    campus: Campus, run: Import, tmp_path: Path
) -> None:
    results = [
        "sourcedId,lineItemSourcedId,studentSourcedId,scoreStatus,score,textScore,scoreDate",
        "r1,l1,u1,fully graded,48,B+,2026-06-30",
        "r2,l3,u1,fully graded,,passed,",
    ]
    files = {name: lines for name, lines in WHOLE.items() if name != "categories"} | V1_2 | {"results": results}
    archive = pack(tmp_path / "r.zip", files, version="1.2")
    assert run(archive, "--final-grade", "Exam", "--complete")[1]["results"] == {"updated": 2}
    assert _grades(campus) == [
        ("e1", "B+", "80", "Completed", DAY),
        ("e2", None, None, "Enrolled", None),
        ("e4", "passed", None, "Enrolled", None),
    ]


def test_grades_are_left_alone_and_counted_without_the_option(campus: Campus, run: Import, tmp_path: Path) -> None:
    said = "Not imported: lineItems.csv (3 rows) and results.csv ({}). Name the final line item with --final-grade."
    assert run(pack(tmp_path / "r.zip", WHOLE)) == (0, ADDED, [said.format("4 rows")])
    broken = WHOLE | {"results": ["sourcedId;score", "no result"]}
    said = said.replace(" ({})", "")
    assert run(pack(tmp_path / "broken.zip", broken)) == (0, UNCHANGED, [said])
    absent = pack(tmp_path / "absent.zip", WHOLE, lineItems="absent", results="absent")
    assert run(absent) == (0, UNCHANGED, [])
    assert {row[1] for row in _grades(campus)} == {None}


@pytest.mark.parametrize(
    ("options", "files", "said"),
    [
        (["--complete"], WHOLE, "--complete needs --final-grade: only a final grade completes an enrollment."),
        (
            ["--final-grade", "finl"],
            WHOLE,
            "No line item of the archive has the title or category 'finl'. Is it 'Final'?",
        ),
        (
            ["--final-grade", "Final"],
            V1_1,
            "r.zip has no lineItems.csv and no results.csv, so it has no final grades.",
        ),
        (
            ["--final-grade", "Final"],
            WHOLE | {"results": ["sourcedId,lineItemSourcedId"]},
            "results.csv has no column studentSourcedId, scoreStatus. Its first row is: sourcedId, lineItemSourcedId",
        ),
    ],
)
def test_an_option_that_selects_no_result_is_refused(
    campus: Campus, run: Import, tmp_path: Path, options: list[str], files: Files, said: str
) -> None:
    assert run(pack(tmp_path / "r.zip", files), *options) == (2, {}, [f"rollbook: {said}"])
    assert _grades(campus) == []


def test_bad_rows_of_line_items_and_results_are_named(campus: Campus, run: Import, tmp_path: Path) -> None:
    files = appended("lineItems", "l8,Exam,c9,g1,,", "l9,Exam,c9,g2,,", "l7,Week 2,c1,g2,,many", base=WHOLE)
    bad = (
        *("r5,l1,u9,fully graded,1,,", "r6,l2,u9,fully graded,1,,", "r7,l0,u1,fully graded,1,,"),
        *(
            "r8,l1,u1,done,1,,",
            "r9,l1,u1,fully graded,nan,30.6.2026,",
            "r1,l1,u1,exempt,,,",
            f"r0,l1,u1,exempt,{'1' * 41},,",
        ),
    )
    files = appended("results", *bad, base=files)
    archive = pack(tmp_path / "r.zip", files)
    named = [
        "lineItems.csv:5: classSourcedId: no class 'c9'",
        "lineItems.csv:7: resultValueMax: 'many' is not a number",
        "results.csv:6: studentSourcedId: no user 'u9'",
        "results.csv:8: lineItemSourcedId: no line item 'l0'",
        "results.csv:9: scoreStatus: 'done' is none of " + STATUSES,
        "results.csv:10: score: 'nan' is not a number",
        "results.csv:10: scoreDate: '30.6.2026' is not a date like 2026-01-31",
        "results.csv:11: sourcedId: the same as in line 2",
        f"results.csv:12: score: '{'1' * 41}' is not a number",
    ]
    code, counts, said = run(archive, "--final-grade", "Final")
    assert (code, counts, said[:-1]) == (1, {}, named)
    code, counts, said = run(archive, "--final-grade", "Final", "--skip-bad-rows")
    assert (code, counts["results"]) == (1, {"updated": 2, "ignored": 3, "skipped": 6})
    assert said == named


def test_the_latest_of_several_results_counts(campus: Campus, run: Import, tmp_path: Path) -> None:
    files = appended("lineItems", "l4,Resit,c1,g1,0,60", base=WHOLE)
    lines = ["r1,l4,u1,fully graded,20,2026-07-01,", "r2,l1,u1,fully graded,10,2026-06-30,"]
    lines += ["r3,l1,u2,fully graded,1,,", "r4,l4,u2,fully graded,2,,", "r5,l1,u1,fully graded,9,,"]
    code, counts, said = run(pack(tmp_path / "r.zip", _results(*lines, base=files)), "--final-grade", "Final")
    assert (code, counts["results"]) == (0, {"updated": 2, "ignored": 3})
    assert said == ["results.csv: grades that a later one of the same enrollment replaces: 3"]
    assert [row[1] for row in _grades(campus)] == ["20", "2", None]


def test_a_result_without_exactly_one_current_enrollment_is_not_imported(
    campus: Campus, run: Import, tmp_path: Path
) -> None:
    run(pack(tmp_path / "roster.zip", V1_1))
    e = tables.enrollments.c
    mine = e.account_id == campus.account.id
    with campus.database.read() as connection:
        names = sa.select(e.external_id, e.id).where(mine)
        ids = {row.external_id: row.id for row in connection.execute(names)}
        first = dict(connection.execute(sa.select(tables.enrollments).where(e.id == ids["e1"])).mappings().one())
    del first["id"]
    campus.add(tables.enrollments, **first | {"external_id": "old", "status": "Completed"})
    campus.accept([ids["e2"]])
    campus.drain()
    code, counts, said = run(pack(tmp_path / "r.zip", WHOLE), "--final-grade", "Final")
    assert (code, counts["results"]) == (1, {"ignored": 3, "refused": 1})
    assert said == [
        "results.csv:2: studentSourcedId: the learner has 2 current enrollments in the class",
        "results.csv: grades of learners without a current enrollment in the class: 1",
    ]
    assert {row[1] for row in _grades(campus)} == {None}


def test_deleted_results_and_line_items_change_nothing(campus: Campus, run: Import, tmp_path: Path) -> None:
    run(pack(tmp_path / "r.zip", WHOLE), "--final-grade", "Final")
    before = _grades(campus)
    lines = {
        "lineItems": [f"status,{GRADES['lineItems'][0]}", "active,l1,Exam,c1,g1,0,60", "tobedeleted,l3,,,,,"],
        "categories": ["status,sourcedId,title", "active,g1,Final"],
        "results": [f"status,{GRADES['results'][0]}", "tobedeleted,r1,,,,,,", "active,r3,l1,u2,fully graded,60,,"],
    }
    delta = pack(tmp_path / "delta.zip", lines, mode="delta")
    assert run(delta, "--final-grade", "Final")[1]["results"] == {"updated": 1, "ignored": 1}
    assert _grades(campus) == [before[0], ("e2", "60", "100", "Enrolled", None), before[2]]


FIELD = st.sampled_from(
    ["r1", "l1", "l2", "u1", "u9", "fully graded", "exempt", "", "40", "-1", "2026-06-30", '"', "é"]
)


@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(st.lists(FIELD, min_size=6, max_size=8).map(",".join), max_size=4))
def test_any_results_are_imported_or_reported(rows: list[str], run: Import, tmp_path: Path) -> None:
    code, counts, said = run(pack(tmp_path / "r.zip", _results(*rows)), "--final-grade", "Final", "--complete")
    assert bool(counts) == (code == 0)
    assert said or code == 0
    assert all(line.startswith(("results.csv:", "rollbook: results.csv:")) for line in said[: max(1, code - 1)])

"""From any spreadsheet's file of a set of ids exactly that set is read, or the list is refused."""

import csv
import io
import time
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollbook.errors import UserError
from rollbook.id_lists import read_id_list

SIZE = 250_000
IDS = st.lists(
    st.integers(1, 9) | st.integers(1, 99_999) | st.integers(10**6, 10**8) | st.integers(2**62, 2**63 - 1),
    min_size=1,
    max_size=8,
)
NOTES = st.sampled_from(
    [
        "",
        "Ada",
        "Doe, Ada",
        "Doe; Ada",
        'the "old" one',
        "two\nlines",
        "5",
        "1,000",
        "3,5",
        "2026-03-01",
        "\u00a0",
        "x" * 50,
    ]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8)
KNOWN_HEADERS = ("AccountUserLearningModuleRelID", "EnrollmentID", "ID", "id", "Id", " enrollmentid ", "\u00a0ID")


@dataclass(frozen=True)
class Sheet:
    """A file that a spreadsheet has written, and the ids that its user sees there."""

    ids: list[int]
    data: bytes
    separator: str
    is_plain: bool  # one column with a known name, of unformatted numbers


@st.composite
def sheets(draw: st.DrawFn) -> Sheet:
    """Write ids as a column of a sheet, in the format of any spreadsheet."""
    ids = draw(IDS)
    ids += ids[:1]  # a row alone, without a header, is a list of ids: `2001,2002`
    style = draw(st.sampled_from(["{}", "{}", "{}", "{:,}", "{}.0", "\u00a0{} ", " {}"]))
    separator = draw(st.sampled_from(",;\t"))
    width = draw(st.integers(1, 3))
    place = draw(st.integers(0, width - 1))
    header = draw(st.none() | st.sampled_from([*KNOWN_HEADERS, "Kennung", "Matrícula", "番号"]))
    title = draw(st.sampled_from(["", "", "", "Leaving in March", "Report of 2026-03-01, North"]))
    rows: list[list[str]] = [[title, *[""] * (width - 1)]] if title else []
    if header is not None:
        rows.append([header if column == place else f"Note {'ABC'[column]}" for column in range(width)])
    for id_ in ids:
        rows += [[""] * width] * draw(st.sampled_from([0, 0, 0, 1]))
        rows.append([style.format(id_) if column == place else draw(NOTES) for column in range(width)])
    rows += [[""] * width] * draw(st.integers(0, 2))
    text = io.StringIO(newline="")
    ends = draw(st.sampled_from(["\r\n", "\n", "\r"]))
    # The first quotes only where needed, but with old Mac line ends it does not quote other line ends.
    dialect = draw(st.sampled_from(["excel", "unix"])) if ends != "\r" else "unix"
    csv.writer(text, dialect, delimiter=separator, lineterminator=ends).writerows(rows)
    said = f"sep={separator}{ends}" if draw(st.booleans()) else ""
    data = draw(st.sampled_from(["", "\ufeff"])) + said + text.getvalue()
    is_plain = header in KNOWN_HEADERS and width == 1 and style in ("{}", " {}") and not title
    return Sheet(ids, data.encode(), separator, is_plain)


@settings(max_examples=300, deadline=None)
@given(sheet=sheets())
def test_exactly_the_ids_of_a_sheet_are_read_or_it_is_refused(sheet: Sheet) -> None:
    try:
        found = read_id_list(sheet.data, "sheet")
    except UserError:
        assert not sheet.is_plain
        return
    if not found.bad:
        assert [*found.ids] == [*dict.fromkeys(sheet.ids)]
        assert len(found.repeats) == len(sheet.ids) - len(found.ids)
    assert not (found.bad and sheet.is_plain)


@settings(max_examples=100, deadline=None)
@given(sheet=sheets())
def test_ids_beside_bad_rows_are_ids_of_the_sheet(sheet: Sheet) -> None:
    with suppress(UserError):
        assert {*read_id_list(sheet.data, "sheet").ids} <= {*sheet.ids}


@settings(max_examples=100, deadline=None)
@given(ids=IDS, data=st.data())
def test_exactly_the_ids_of_a_plain_list_are_read_or_it_is_refused(ids: list[int], data: st.DataObject) -> None:
    between = st.sampled_from(["\n", "\n", "\r\n", " ", ", ", ",", ";", "; ", "\t", " \n\n", ",\n"])
    text = "".join(f"{id_}{data.draw(between)}" for id_ in ids)
    with suppress(UserError):
        found = read_id_list(text.encode(), "list")
        if not found.bad:
            assert [*found.ids] == [*dict.fromkeys(ids)]


@pytest.mark.parametrize(
    ("data", "ids"),
    [
        (b"a," * (SIZE // 4) + b"ID\n" + b"1\n" * (SIZE // 4), 0),
        (b"ID" + b",a" * (SIZE // 4) + b"\n" + b"1\n2\n" * (SIZE // 8), 2),
        (b"ID,x\n" + b'1,"a\nb"\n' * (SIZE // 10), 1),
    ],
    ids=lambda value: repr(value[:9]) if isinstance(value, bytes) else "",
)
def test_reading_takes_time_in_proportion_to_the_size_of_the_list(data: bytes, ids: int) -> None:
    began = time.process_time()
    with suppress(UserError):
        assert len(read_id_list(data, "list").ids) == ids
    assert time.process_time() - began < 5  # padding every row to the width of the header took 20 s

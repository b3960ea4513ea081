"""A sheet of a workbook is read as people see it, or refused with a reason, in bounded memory."""

import io
import resource
import zipfile
from collections.abc import Callable

import pytest

from rollbook.errors import UserError
from rollbook.id_lists import PeopleList, read_id_list, read_list
from workbooks import pack_workbook, write_sheet, write_workbook

# What a spreadsheet stores in a cell of employee ids, and what people see there.
CELLS = {
    "text": ("00123", "00123"),
    "number": ("<><v>123</v>", "123"),
    "float": ("<><v>123.0</v>", "123"),
    "zeros": ('< s="2"><v>123</v>', "00123"),
    "thousands": ('< s="3"><v>1000</v>', "1000"),
    "fraction": ("<><v>0.5</v>", "0.5"),
    "exponent": ("<><v>1.2E3</v>", "1200"),
    "rounded": ("<><v>1.2345678901234501E+17</v>", "1.23456789012345E+17"),
    "date": ('< s="1"><v>46082</v>', "2026-03-01"),
    "time": ('< s="1"><v>46082.5</v>', "2026-03-01 12:00:00"),
    "truth": ('< t="b"><v>1</v>', "TRUE"),
    "formula": ('< t="str"><f>A1</f><v>E7</v>', "E7"),
    "formula_of_number": ("<><f>A1</f><v>7</v>", "7"),
    "formula_without_value": ("<><f>A1</f><v></v>", "(a formula without a stored value)"),
    "error": ('< t="e"><f>1/0</f><v>#DIV/0!</v>', "#DIV/0!"),
    "inline": ('< t="inlineStr"><is><r><t>E</t></r><r><t>8</t></r><rPh><t>x</t></rPh></is>', "E8"),
}


@pytest.mark.parametrize("kind", CELLS)
def test_cell_is_read_as_people_see_it(kind: str) -> None:
    stored, seen = CELLS[kind]
    found = read_list(write_workbook({"Leaving": [["Employee ID"], [stored]]}), "leaving.xlsx")
    assert isinstance(found, PeopleList)
    assert [(person.place, person.value) for person in found.people] == [("row 2", seen)]


def test_ids_are_read_below_a_title_and_bad_ones_named_by_row() -> None:
    rows = [["Leaving in March"], [], ["Name", "ID"], ["Ada", "<><v>2001</v>"], ["Bo", '< s="1"><v>46082</v>']]
    rows += [["Cy", "<><v>1E+16</v>"], ["Di", ""], ["Ed", "2001"]]
    found = read_id_list(write_workbook({"March": rows, "April": [["ID"], ["7"]]}), "leaving.xlsx")
    assert found.ids == {2001: "row 4"}
    assert found.repeats == [(2001, "row 8")]
    assert found.column == "sheet March (the first of 2), column ID, below row 3"
    assert list(map(str, found.bad)) == [
        "row 5: '2026-03-01' is not an id",
        "row 6: '1.00000000000000E+16' was rounded by a spreadsheet: format the column as text",
        "row 7: the id is missing",
    ]


def test_a_named_sheet_is_read_and_an_unknown_one_refused_with_the_names() -> None:
    data = write_workbook({"March": [["ID"], ["5"]], "Ápril & May": [["ID"], ["7"]]})
    assert [*read_id_list(data, "leaving.xlsx", sheet="ápril & may").ids] == [7]
    with pytest.raises(UserError, match=r"has no sheet June. Its visible ones are: March, Ápril & May"):
        read_id_list(data, "leaving.xlsx", sheet="June")
    with pytest.raises(UserError, match=r"leaving.csv is no workbook \(.xlsx\), so it has no sheet June"):
        read_id_list(b"ID\n1\n", "leaving.csv", sheet="June")


def test_hidden_rows_are_refused() -> None:
    data = write_workbook({"March": [["ID"], ["5"], ["6"], [], ["7"]]}, hidden=[3, 4, 5])
    with pytest.raises(UserError, match=r"sheet March has 2 hidden rows with values, the first is row 3\. Show them"):
        read_id_list(data, "leaving.xlsx")


def test_hidden_columns_with_values_are_refused_by_name_and_blank_ones_are_not() -> None:
    rows = [["ID", "", "Employee ID"], ["5", " ", "E1"], ["6"]]
    hidden = write_workbook({"March": rows}, hidden_columns=[(2, 3)])
    with pytest.raises(UserError, match=r"sheet March has 1 hidden column with values, the first is column C\. Show"):
        read_id_list(hidden, "leaving.xlsx")
    wide = [["ID", *[f"Note {letter}" for letter in "BCDEFGHIJKLMNOPQRSTUVWXYZ"]], ["5"]]
    beyond = write_workbook({"March": wide}, hidden_columns=[(25, 26), (27, 16384), (99999, 1)])
    with pytest.raises(UserError, match=r"2 hidden columns with values, the first is column Y\."):
        read_id_list(beyond, "leaving.xlsx")
    blank = write_workbook({"March": [["ID", "", "Name"], ["5", " ", "Ada"]]}, hidden_columns=[(2, 2), (4, 16384)])
    assert [*read_id_list(blank, "leaving.xlsx").ids] == [5]


def _other_archive(name: str, text: str, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        archive.writestr(name, text)
    return packed.getvalue()


def _sheet(rows: str, texts: str = "", start: str = "") -> bytes:
    parts = {"worksheets/sheet1.xml": write_sheet(rows), "sharedStrings.xml": f"{start}<sst>{texts}</sst>"}
    return pack_workbook(["A"], parts)


_FAR = '<row r="{}"><c r="XFD{}"><v>1</v></c></row>'
_DAMAGED = write_workbook({"A": [["ID"], ["5"]]})
# Each is made when its test runs: some have 70 MiB before they are packed.
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "far_cell": (lambda: _sheet('<row r="1"><c r="A1"><v>5</v></c></row>' + _FAR.format(1048576, 1048576)), ""),
    "far_cells": (lambda: _sheet("".join(_FAR.format(row, row) for row in range(1, 200))), "16,384 columns, too many"),
    "bomb": (lambda: _sheet(" " * (70 << 20)), "has more than 64 MiB of XML"),
    "bomb_of_parts": (lambda: _sheet(" " * (40 << 20), " " * (40 << 20)), "has more than 64 MiB of XML"),
    "long_text": (lambda: _sheet(f"<row><c t='str'><v>{'x' * 40_000}</v></c></row>"), "more than 32,767 characters"),
    "long_token": (lambda: _sheet(f"<row x='{'x' * (20 << 20)}'/>"), "is empty"),
    "repeated_text": (
        lambda: _sheet("<row>" + "<c t='s'><v>0</v></c>" * 3000 + "</row>", f"<si><t>{'x' * 30_000}</t></si>"),
        "too many",
    ),
    "many_columns": (
        lambda: pack_workbook(
            ["A"],
            {"worksheets/sheet1.xml": write_sheet("", "<col min='1' max='99999' hidden='1'/>" * 200_000)},
        ),
        "is empty",
    ),
    "many_cells": (lambda: _sheet("<row>" + "<c/>" * 100_000 + "</row>"), "a cell"),
    "many_texts": (lambda: _sheet("", "<si/>" * 1_000_001), "too many texts"),
    "entity": (
        lambda: _sheet("", "", start='<!DOCTYPE a [<!ENTITY b "ID">]>'),
        "it has a document type",
    ),
    "no_such_text": (
        lambda: _sheet("<row><c t='s'><v>5</v></c></row>"),
        "no workbook of Excel (.xlsx), or a damaged one",
    ),
    "no_such_row": (lambda: _sheet("<row r='1048577'/>"), "a row 1048577"),
    "no_number": (lambda: _sheet("<row><c><v>x</v></c></row>"), "could not convert"),
    "no_xml": (lambda: _sheet("<row>"), "mismatched tag"),
    "cut": (lambda: _DAMAGED[:-100], "not a zip file"),
    "zeroed": (lambda: _DAMAGED[:60] + b"\0" * 200 + _DAMAGED[260:], "can be read"),
    "other_archive": (lambda: _other_archive("content.xml", "<x/>"), "no workbook of Excel (.xlsx)"),
    "other_compression": (lambda: _other_archive("_rels/.rels", "<x/>", zipfile.ZIP_LZMA), "its compression is not"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_workbook_is_refused_in_bounded_memory(kind: str) -> None:
    make, sentence = HOSTILE[kind]
    data = make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if sentence:
        with pytest.raises(UserError, match=r"leaving\.xlsx") as caught:
            read_id_list(data, "leaving.xlsx")
        assert sentence in str(caught.value)
    else:
        assert [*read_id_list(data, "leaving.xlsx", column="1").ids] == [5]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 << 10

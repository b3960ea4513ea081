"""Writes workbooks (.xlsx) as spreadsheets do: shared and inline texts, numbers with formats, several sheets."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
# The formats of the cells by their `s`: none, a date, five digits, a thousands separator.
STYLES = f"""<styleSheet xmlns="{MAIN}"><numFmts><numFmt numFmtId="164" formatCode="00000"/></numFmts>
<cellStyleXfs><xf numFmtId="0"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/>
<xf numFmtId="3"/></cellXfs></styleSheet>"""

Row = Sequence[str]


def write_workbook(
    sheets: Mapping[str, Sequence[Row]], *, hidden: Sequence[int] = (), hidden_columns: Sequence[tuple[int, int]] = ()
) -> bytes:
    """Write sheets of texts; a cell that begins with `<` is its XML after `<c r="B7"`.

    `hidden` are rows by number, `hidden_columns` the first and the last of neighbours.
    """
    texts: dict[str, int] = {}

    def cell(row: int, column: int, value: str) -> str:
        place = f'<c r="{chr(65 + column)}{row}"'
        return (
            f"{place}{value[1:]}</c>"
            if value.startswith("<")
            else (f'{place} t="s"><v>{texts.setdefault(value, len(texts))}</v></c>' if value else "")
        )

    parts = {}
    for number, rows in enumerate(sheets.values(), 1):
        lines = []
        for place, row in enumerate(rows, 1):
            cells = "".join(cell(place, column, value) for column, value in enumerate(row))
            lines.append(f'<row r="{place}" hidden="{int(place in hidden)}">{cells}</row>')
        cols = "".join(f'<col min="{first}" max="{last}" width="0" hidden="1"/>' for first, last in hidden_columns)
        parts[f"worksheets/sheet{number}.xml"] = write_sheet("".join(lines), cols and f"<cols>{cols}</cols>")
    shared = "".join(f"<si><t>{escape(text)}</t></si>" for text in texts)
    parts["sharedStrings.xml"] = f'<sst xmlns="{MAIN}">{shared}</sst>'
    return pack_workbook([*sheets], parts)


def write_sheet(rows: str, columns: str = "") -> str:
    """Write a sheet of rows in XML."""
    start = f'<?xml version="1.0" encoding="UTF-8"?><worksheet xmlns="{MAIN}">'
    return f"{start}{columns}<sheetData>{rows}</sheetData></worksheet>"


def pack_workbook(names: Sequence[str], parts: Mapping[str, str]) -> bytes:
    """Pack the parts of a workbook with these sheets."""
    numbers = range(1, len(names) + 1)
    listed = "".join(
        f'<sheet name="{escape(name)}" sheetId="{number}" r:id="rId{number}"/>'
        for number, name in zip(numbers, names, strict=True)
    )
    refers = [(f"rId{number}", "worksheet", f"worksheets/sheet{number}.xml") for number in numbers]
    refers += [("s1", "styles", "styles.xml")]
    refers += [("s2", "sharedStrings", "sharedStrings.xml")] if "sharedStrings.xml" in parts else []
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_rels/.rels", _write_references([("rId1", "officeDocument", "xl/workbook.xml")]))
        book = f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{listed}</sheets></workbook>'
        archive.writestr("xl/workbook.xml", book)
        archive.writestr("xl/_rels/workbook.xml.rels", _write_references(refers))
        for name, text in {"styles.xml": STYLES, **parts}.items():
            archive.writestr(f"xl/{name}", text)
    return packed.getvalue()


def _write_references(refers: Sequence[tuple[str, str, str]]) -> str:
    items = "".join(
        f'<Relationship Id="{id_}" Type="{OFFICE}/{kind}" Target="{target}"/>' for id_, kind, target in refers
    )
    return (
        f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{items}</Relationships>'
    )

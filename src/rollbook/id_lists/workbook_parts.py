"""Handlers of the XML parts of a workbook beside its sheets: names, shared texts and formats of numbers."""

import re
from collections.abc import Sized

MAX_ITEMS = 1_000_000  # of texts, names or formats, however short
MAX_TEXT = 32_767  # characters of a cell, as in Excel

# The formats of dates and times that have a number only.
_DATES = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}
_NOT_SHOWN = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.')


class Handler:
    """Receives the elements of a part, whose names may have a prefix, and collects the text of a value in `text`."""

    def __init__(self) -> None:
        self.text: str | None = None
        self._collects = self._is_phonetic = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Begin an element."""
        name = name.rpartition(":")[2]
        if name in ("t", "v"):
            self._collects = not self._is_phonetic
            self.text = self.text or ""
        elif name == "rPh":
            self._is_phonetic = True

    def add_text(self, text: str) -> None:
        """Add text to the value."""
        if self._collects:
            self.text = (self.text or "") + text
            if len(self.text) > MAX_TEXT:
                raise ValueError(f"it has a text of more than {MAX_TEXT:,} characters")

    def end(self, name: str) -> None:
        """End an element."""
        name = name.rpartition(":")[2]
        if name in ("t", "v"):
            self._collects = False
        elif name == "rPh":
            self._is_phonetic = False


class Names(Handler):
    """The visible sheets with the ids of their parts, or the parts that a part refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.visible: list[tuple[str, str]] = []
        self.targets: list[tuple[str, str, str]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if name == "sheet" and attributes.get("state", "visible") == "visible":
            [id_] = [value for key, value in attributes.items() if key.endswith(":id")]
            self.visible.append((attributes["name"], id_))
        elif name == "Relationship":
            kind = attributes["Type"].rpartition("/")[2]
            self.targets.append((attributes["Id"], kind, attributes["Target"]))
        _check_number(self.visible)
        _check_number(self.targets)


class Strings(Handler):
    """The texts that the cells share."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        super().start(name, attributes)
        if name == "si":
            self.text = None

    def end(self, name: str) -> None:
        name = name.rpartition(":")[2]
        super().end(name)
        if name == "si":
            self.texts.append(self.text or "")
            _check_number(self.texts)


class Formats(Handler):
    """The formats of numbers, of which two kinds matter: dates, and numbers with leading zeros."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[str, str] = {}
        self._used: list[str] = []
        self._is_inside = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if name == "numFmt":
            self._kinds[attributes["numFmtId"]] = _find_kind(attributes["formatCode"])
        elif name == "cellXfs":
            self._is_inside = True
        elif name == "xf" and self._is_inside:
            self._used.append(attributes.get("numFmtId", "0"))
            _check_number(self._used)

    def end(self, name: str) -> None:
        name = name.rpartition(":")[2]
        if name == "cellXfs":
            self._is_inside = False

    def find(self, style: str) -> str:
        """Return `date`, the zeros that a number is filled up with, or an empty string."""
        number = self._used[int(style)] if self._used else "0"
        return "date" if int(number) in _DATES else self._kinds.get(number, "")


def _find_kind(code: str) -> str:
    shown = _NOT_SHOWN.sub("", code)
    if re.search("[dmyhs]", shown, re.IGNORECASE):
        return "date"
    return shown if re.fullmatch("0{2,}", shown) else ""


def _check_number(found: Sized) -> None:
    if len(found) > MAX_ITEMS:
        raise ValueError("it has too many texts, names or formats")

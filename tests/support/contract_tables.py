"""Writes the tables of docs/wire*.md from the messages and codes of the methods: `make docs`.

A table stands between `<!-- kind: what -->` and `<!-- end -->`, where `kind` is one of the functions below.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from rollbook.errors import GENERAL, WRONG_STRUCTURE, WireCode
from rollbook.methods import METHODS
from rollbook.methods.get_learner_report import COLUMNS
from rollbook.wire.describe import Line, describe
from rollbook.wire.messages import Element

# In the order of the methods.
PAGES = [Path(__file__).parents[2] / "docs" / f"wire{of}.md" for of in ("", "-people", "-groups", "-courses")]
TABLE = re.compile(r"(<!-- (\w+): ([\w ]+) -->)\n.*?(<!-- end -->)", re.DOTALL)


def codes(names: str) -> Iterator[str]:
    """The codes of some methods, or the general ones."""
    listed: Iterable[WireCode] = GENERAL
    if names != "general":
        listed = [code for name in names.split() for code in METHODS[name].codes]
    yield from _head("code", "message", "when")
    yield from (_row(code.code, code.message, code.when) for code in listed)


def takes(name: str) -> Iterator[str]:
    """The table of Parameters."""
    return describe_elements(METHODS[name].takes)


def gives(name: str) -> Iterator[str]:
    """The table of Info."""
    return describe_elements(METHODS[name].gives)


def methods(_all: str) -> Iterator[str]:
    """Every method: what it does, whether it changes anything, and who may call it."""
    yield from _head("method", "", "changes records", "may be called by", "others get")
    for method in METHODS.values():
        changes = "yes" if method.changes else "no"
        yield _row(f"`{method.name}`", method.help, changes, method.allowed.who, method.forbidden.code)


def columns(_all: str) -> Iterator[str]:
    """The columns of the learner report."""
    yield from _head("column", "element")
    yield from (_row(name, f"`{column.name}`") for name, column in COLUMNS.items())


KINDS = {function.__name__: function for function in (codes, takes, gives, methods, columns)}


def _head(*names: str) -> tuple[str, str]:
    return _row(*names), "|" + "---|" * len(names)


def _row(*cells: str) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def describe_elements(root: Element) -> Iterator[str]:
    """The table of the elements of a message."""
    yield from _head("element", "how often", "holds", "")
    for line in describe(root):
        name = f"· attribute `{line.element.name}`" if line.is_attribute else f"`{line.element.name}`"
        yield _row("· " * line.depth + name, line.often, ", ".join([line.holds, *_refused(line)]), line.element.help)


def _refused(line: Line) -> Iterator[str]:
    if line.wrong and line.wrong is not WRONG_STRUCTURE:
        yield f"else {line.wrong.code}"
    if line.element.empty and not line.element.children:
        yield "not empty"


def fill(text: str) -> str:
    """Replace every table of a page."""

    def table(found: re.Match[str]) -> str:
        start, kind, what, end = found.groups()
        return "\n".join([start, *KINDS[kind](what), end])

    return TABLE.sub(table, text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(fill(page.read_text()))

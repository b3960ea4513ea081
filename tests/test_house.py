"""The house keeps its order: who may import whom, where SQL, XML and wire codes may stand, how long things may be."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import rollbook

SOURCE = Path(rollbook.__file__).parent
MODULES = sorted(path for path in SOURCE.rglob("*.py") if "migrations" not in path.parts)

# What each room may import; `errors` and `model` are open to all.
MAY_IMPORT = {
    "errors": set(),
    "model": set(),
    "logs": set(),
    "settings": set(),
    "wire": {"wire"},
    "store": {"store"},
    "methods": {"methods", "store", "wire"},
    "console": {"console", "store"},
    "server": {"server", "console", "methods", "store", "wire", "settings", "logs"},
    "worker": {"worker", "store"},
    "importers": {"importers", "store"},
    "client": {"client", "wire"},
}


def _room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            if name.startswith("rollbook."):
                yield name.split(".")[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_one_way(path: Path) -> None:
    allowed = MAY_IMPORT.get(_room(path))
    if allowed is not None:
        assert set(_imports(path)) <= allowed | {"errors", "model"}


def _strings(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


@pytest.mark.parametrize(
    ("pattern", "home"),
    [
        (r"\b(SELECT|INSERT|UPDATE|DELETE)\b.*\b(FROM|INTO|SET)\b", "store"),
        (r"</?[A-Z]\w+( \w+=|>)", "wire"),
        (r"\b(SU|ULM|ELM|GLR):\d\d", "errors"),
    ],
    ids=["sql_in_store", "xml_in_wire", "codes_in_errors"],
)
def test_each_language_stays_in_its_room(pattern: str, home: str) -> None:
    found = {
        str(path.relative_to(SOURCE))
        for path in MODULES
        if any(re.search(pattern, text, re.DOTALL) for text in _strings(path))
    }
    assert {place for place in found if not place.startswith(home)} == set()
    assert found, "the pattern finds nothing even where it should"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_modules_and_functions_fit_the_eye(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno + 1 <= 50, node.name


def test_every_module_says_what_it_is_for() -> None:
    assert [str(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text()))] == []

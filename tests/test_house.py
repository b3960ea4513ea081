"""The rules of the architecture: allowed imports, places of SQL, XML and wire codes, lengths, docstrings.

Each guard is a function of a module's source, so that a planted violation shows that it can fail.
"""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path, PurePath

import pytest

import rollbook

Guard = Callable[[PurePath, str], set[str]]

SOURCE = Path(rollbook.__file__).parent
MODULES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py") if "migrations" not in path.parts)

# What each room may import besides itself; `errors` and `model` are open to all.
MAY_IMPORT: dict[str, set[str]] = {
    "brake": set(),
    "errors": set(),
    "model": set(),
    "logs": set(),
    "settings": {"settings_file"},
    "settings_file": set(),
    "spreadsheets": set(),
    "wire": set(),
    "id_lists": {"wire"},
    "store": {"brake"},
    "actions": {"store"},
    "methods": {"actions", "store", "wire"},
    "console": {"actions", "brake", "id_lists", "importers", "methods", "spreadsheets", "store", "wire"},
    "server": {"console", "methods", "store", "wire", "settings", "logs"},
    "worker": {"actions", "store"},
    "importers": {"actions", "methods", "spreadsheets", "store", "wire"},
    "client": {"methods", "wire"},
    "sandbox": {
        *("actions", "client", "console", "importers", "methods", "server", "settings", "store", "wire", "worker"),
    },
    "mirror": {"actions", "brake", "client", "methods", "store", "wire"},
    "cli": {
        *("actions", "client", "id_lists", "importers", "methods", "server", "spreadsheets", "store", "wire", "worker"),
        *("brake", "mirror", "sandbox", "settings", "settings_file", "logs", "__version__"),
    },
    "__init__": {"client"},
    "__main__": {"cli"},
}
DATABASE_PACKAGES = {"sqlalchemy", "alembic", "psycopg", "psycopg_pool", "sqlite3"}
# What rooms other than store may take from these packages: a type to be named.
DATABASE_NAMES = {"sqlalchemy.Connection": "the type of what functions of store take"}
MAX_LINES, MAX_FUNCTION_LINES = 300, 50


def _room(path: PurePath) -> str:
    return path.parts[0].removesuffix(".py")


@cache
def _parse(source: str) -> ast.Module:
    return ast.parse(source)


@cache
def _nodes(source: str) -> list[ast.AST]:
    return list(ast.walk(_parse(source)))


def _imported(source: str, path: PurePath) -> Iterator[str]:
    """Yield the full name of everything that is imported, in any spelling: `a.b` for `from a import b`."""
    package = ["rollbook", *path.parts[:-1]]
    for node in _nodes(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _last_name(node.func) in ("import_module", "__import__"):
            yield from (str(each.value) for each in node.args if isinstance(each, ast.Constant))


def _last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def wrong_imports(path: PurePath, source: str) -> set[str]:
    """Name what a module imports from rooms that it may not know; the bare package would open all of them."""
    room = _room(path)
    allowed = MAY_IMPORT[room] | {room, "errors", "model"}
    parts = [name.split(".") for name in _imported(source, path)]
    return {".".join(name) for name in parts if name[0] == "rollbook" and (name[1:] or [""])[0] not in allowed}


def database_uses(path: PurePath, source: str) -> set[str]:
    """Name what a module outside store takes from the database's packages or of the tables, in any spelling."""
    if _room(path) == "store":
        return set()
    found = {name for name in _imported(source, path) if name.startswith("rollbook.store.database.tables")}
    taken = [node for node in _nodes(source) if isinstance(node, ast.Attribute) and node.attr == "tables"]
    found |= {"store.tables" for node in taken if _last_name(node.value) == "store"}
    used = {name for name in _imported(source, path) if name.split(".")[0] in DATABASE_PACKAGES}
    for node in _nodes(source):
        if isinstance(node, ast.Import):
            for alias in node.names:
                # Of a module that is imported whole, the names used are its attributes.
                if alias.name in DATABASE_PACKAGES and alias.name in used:
                    used = used - {alias.name} | _attributes(source, alias.asname or alias.name, alias.name)
    return found | (used - DATABASE_NAMES.keys())


def _attributes(source: str, local: str, module: str) -> set[str]:
    named = [node for node in _nodes(source) if isinstance(node, ast.Name) and node.id == local]
    taken = [node for node in _nodes(source) if isinstance(node, ast.Attribute) and node.value in named]
    bare = {module} if len(taken) < len(named) else set()  # the module itself is passed on, as to getattr
    return bare | {f"{module}.{node.attr}" for node in taken}


def _texts(source: str) -> Iterator[str]:
    """Yield every string of a module except docstrings; a formatted value is shown as 00."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        node.body[0].value
        for node in _nodes(source)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    written = (ast.Constant, ast.JoinedStr, ast.BinOp)
    yield from (_text(node) for node in _nodes(source) if isinstance(node, written) and node not in docstrings)


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return _text(node.left) + _text(node.right)
    return "00" if isinstance(node, ast.FormattedValue) else ""


def _guard(pattern: str, *homes: str) -> Guard:
    def misplaced(path: PurePath, source: str) -> set[str]:
        if _room(path) in homes:
            return set()
        return {text for text in _texts(source) if re.search(pattern, text, re.DOTALL)}

    return misplaced


SQL = (
    r"(?i:^\s*(select|insert|update|delete|with)\b.+\b(from|into|set)\b)|^\s*(SELECT|PRAGMA|VACUUM|DROP|ALTER|CREATE)\b"
)
sql_outside_store = _guard(SQL, "store")
xml_outside_wire = _guard(r"</?[A-Z]\w+( \w+=|>)", "wire")
codes_outside_errors = _guard(r"\b([A-Z]{2,3}|GGLM):(\d\d|$)", "errors", "methods")


def too_long(_path: PurePath, source: str) -> set[str]:
    """Name the functions that do not fit on a screen, and the module if it is too long."""
    functions = [node for node in _nodes(source) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {each.name for each in functions if (each.end_lineno or 0) - each.lineno + 1 > MAX_FUNCTION_LINES}
    return long | ({"the module"} if source.count("\n") > MAX_LINES else set())


def undocumented(_path: PurePath, source: str) -> set[str]:
    """Report a module without a docstring."""
    return set() if ast.get_docstring(_parse(source)) else {"no docstring"}


GUARDS: dict[str, Guard] = {
    "imports": wrong_imports,
    "database": database_uses,
    "sql": sql_outside_store,
    "xml": xml_outside_wire,
    "codes": codes_outside_errors,
    "length": too_long,
    "docstring": undocumented,
}


@pytest.mark.parametrize("guard", GUARDS)
def test_modules_follow_the_rule(guard: str) -> None:
    found = {str(path): GUARDS[guard](path, (SOURCE / path).read_text()) for path in MODULES}
    assert found
    assert {path: what for path, what in found.items() if what} == {}


METHOD, PAGE, COMMAND = PurePath("methods/new.py"), PurePath("console/new.py"), PurePath("cli/new.py")
PLANTED = [
    ("imports", METHOD, "from rollbook import server"),
    ("imports", METHOD, "from rollbook import errors, server as other"),
    ("imports", METHOD, "from rollbook.server import app"),
    ("imports", METHOD, "from rollbook.server.app import App"),
    ("imports", METHOD, "import rollbook.server.app as app"),
    ("imports", METHOD, "import rollbook"),
    ("imports", METHOD, "from rollbook import *"),
    ("imports", METHOD, "from .. import server"),
    ("imports", METHOD, "from ..server.app import App"),
    ("imports", METHOD, "def run():\n    from rollbook import server"),
    ("imports", METHOD, "import importlib\nimportlib.import_module('rollbook.server.app')"),
    ("imports", METHOD, "__import__('rollbook.server')"),
    ("imports", PurePath("model.py"), "from . import server"),
    ("imports", COMMAND, "from rollbook.console import app"),
    ("database", PAGE, "import sqlalchemy as sa\nsa.select(1)"),
    ("database", PAGE, "import sqlalchemy\nsqlalchemy.text('x')"),
    ("database", PAGE, "import sqlalchemy as sa\ngetattr(sa, 'select')"),
    ("database", PAGE, "import sqlalchemy.orm"),
    ("database", PAGE, "from sqlalchemy import select"),
    ("database", PAGE, "from sqlalchemy.exc import IntegrityError"),
    ("database", PAGE, "from rollbook.store.database.tables import users"),
    ("database", PAGE, "from rollbook.store.database import tables"),
    ("database", METHOD, "from rollbook import store\nstore.tables.users.insert()"),
    ("database", COMMAND, "def run():\n    import sqlite3\n    sqlite3.connect('x')"),
    ("database", COMMAND, "from psycopg import connect"),
    ("sql", PAGE, "x = 'SELECT 1'"),
    ("sql", PAGE, "x = f'SELECT {y}' + ' FROM z'"),
    ("sql", PAGE, "x = 'delete from users'"),
    ("sql", PAGE, "x = 'PRAGMA user_version'"),
    ("xml", METHOD, "x = f'<Name>{y}</Name>'"),
    *(
        ("codes", PAGE, f"x = '{prefix}:01 is ours'")
        for prefix in ("SU", "ULM", "ELM", "GLR", "GUN", "GUB", "GUQ", "PAU", "RSM", "REM", "RES")
    ),
    ("codes", PAGE, "x = f'ULM:{y:02}'"),
    ("codes", PAGE, "x = 'ULM:' + y"),
    ("length", PAGE, "def run():\n" + "    x = 1\n" * MAX_FUNCTION_LINES),
    ("length", PAGE, "x = 1\n" * (MAX_LINES + 1)),
    ("docstring", PAGE, "import re\n'A text.'"),
]


@pytest.mark.parametrize(("guard", "path", "source"), PLANTED)
def test_rule_finds_a_planted_violation(guard: str, path: PurePath, source: str) -> None:
    assert GUARDS[guard](path, source)

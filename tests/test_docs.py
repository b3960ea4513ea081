"""The documentation is complete: every setting, command and wire code is in it, and its links lead somewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import contract_tables
from campus import Campus
from conftest import Served
from rollbook.cli import app
from rollbook.methods import CODES, METHODS
from rollbook.settings import RemoteSettings, Settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


# Their answers are those of getUnenrollmentQueue and of removeUnenrollments.
SAME_ANSWERS = ["pauseUnenrollments", "resumeUnenrollments", "restoreUnenrollments"]

FIELDS = {**Settings.model_fields, **RemoteSettings.model_fields}


def _commands(command: Any, *names: str) -> Iterator[tuple[str, Any]]:
    """Yield every command by its full name."""
    children = getattr(command, "commands", {})
    if not children:
        yield " ".join(names), command
    for name in children:
        yield from _commands(children[name], *names, name)


def _sections(page: Path) -> dict[str, str]:
    """Return the text below each second-level heading."""
    parts = re.split(r"^## (.+)$", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _stated_default(name: str) -> str:
    default = FIELDS[name].get_default(call_default_factory=True, validated_data={})
    if default is None:
        return "none"
    if default == "":
        return "empty"
    return f"`{default}`".replace(str(Path.home()), "~")


def test_settings_has_a_heading_for_each_setting_and_no_other() -> None:
    assert list(_sections(DOCS / "settings.md")) == [f"ROLLBOOK_{name.upper()}" for name in FIELDS]


@pytest.mark.parametrize("name", FIELDS)
def test_each_setting_states_its_type_and_its_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    section = _sections(DOCS / "settings.md")[f"ROLLBOOK_{name.upper()}"]
    assert re.search(r"^- Type: \w", section, re.MULTILINE)
    assert re.search(rf"^- Default: {re.escape(_stated_default(name))}(,|$)", section, re.MULTILINE)


def test_table_of_commands_has_every_command_with_all_its_options_and_no_other() -> None:
    row = re.compile(r"^\| `(rollbook [\w -]+)` \| .+ \| (.*) \| \[.+ \|$", re.MULTILINE)
    listed = [
        (name, re.findall("`(--.+?)`", options)) for name, options in row.findall((DOCS / "README.md").read_text())
    ]
    commands = []
    for name, command in _commands(typer.main.get_command(app), "rollbook"):
        spelled = [text for each in command.params for text in (*each.opts, *each.secondary_opts)]
        commands.append((name, [text for text in spelled if text.startswith("--") and text != "--help"]))
    assert listed == commands


def test_tables_of_the_contract_match_the_methods() -> None:
    """Run `make docs` when this fails."""
    assert [
        page.name for page in contract_tables.PAGES if page.read_text() != contract_tables.fill(page.read_text())
    ] == []


def test_contract_has_a_table_of_each_method_and_lists_every_code_in_its_order() -> None:
    text = "".join(page.read_text() for page in contract_tables.PAGES)
    assert [name for name in METHODS if f"<!-- gives: {name} -->" not in text] == SAME_ANSWERS
    assert re.findall(r"^\| ([A-Z]+:\d+) \|", text, re.MULTILINE) == [code.code for code in CODES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        if not linked.exists() or (anchor and anchor not in _anchors(linked)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_of_the_repository_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"`((?:[\w-]+/)+(?:[\w-]+\.\w+)?)`", page.read_text())
    made = {"bench/results.json", "dist/"}
    roots = (ROOT, ROOT / "src" / "rollbook")
    assert [name for name in named if name not in made and not any((root / name).exists() for root in roots)] == []


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (DOCS / "security.md").read_text())
    assert len(named) > 40
    assert [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text()] == []


def test_every_defense_of_the_threat_model_names_its_proof() -> None:
    rows = re.findall(r"^\| (?!attack|---)(.+) \| (.+) \| (.+) \|$", (DOCS / "security.md").read_text(), re.MULTILINE)
    assert [attack for attack, _, shown in rows if not re.search("::test_|make (setup|audit)", shown)] == []


def _log_events() -> Iterator[str]:
    """Yield the literal names of the events that the program logs."""
    levels = ("info", "warning", "error", "exception", "critical")
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in levels):
                continue
            if re.search(r"log$|get_logger\(.*\)$", ast.unparse(node.func.value)):
                yield from (str(event.value) for event in node.args[:1] if isinstance(event, ast.Constant))


def test_table_of_log_events_has_each_event_and_no_other() -> None:
    rows = re.findall(r"^\| (`.+?) \|", _sections(DOCS / "run.md")["Logs"], re.MULTILINE)
    assert {event for row in rows for event in re.findall("`(.+?)`", row)} == {*_log_events()}


def test_readme_lists_every_method_and_no_other() -> None:
    rows = re.findall(r"^\| (`.+?) \|", _sections(ROOT / "README.md")["Methods"], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {*METHODS}


def test_call_of_the_readme_gets_the_documented_response(served: Served) -> None:
    text = (ROOT / "README.md").read_text()
    [package] = re.findall(r"Package='(.+?)'\n```", text, re.DOTALL)
    [answer] = re.findall(r"```xml\n(.+?)\n```", text, re.DOTALL)
    campus = Campus(served.database)
    [enrollment] = campus.enroll(1)
    package = package.replace("<AccountAPI>…", f"<AccountAPI>{campus.account_key}")
    package = package.replace("<UserAPI>…", f"<UserAPI>{campus.owner_key}")
    package, answer = (each.replace("RelID>1<", f"RelID>{enrollment}<") for each in (package, answer))
    package = package.replace(">999<", ">999999999<")
    assert served.server.post(package).text == answer


def test_each_image_is_shown_in_a_page() -> None:
    shown = {path for page in PAGES for path in re.findall(r"images/([\w-]+\.png)\)", page.read_text())}
    assert {path.name for path in (DOCS / "images").iterdir()} == shown


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}

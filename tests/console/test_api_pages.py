"""The pages of the API: every method is documented, and its examples are calls that the server accepts."""

import ast
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from campus import Campus
from conftest import Served
from rollbook.console.snippets import QUOTES
from rollbook.errors import UNEXPECTED_ELEMENT, UNFORESEEN, WRONG_STRUCTURE, CallRefusedError
from rollbook.methods import METHODS
from rollbook.wire.answer import read_reply
from rollbook.wire.describe import ACCOUNT_KEY, USER_KEY, write_example
from visitor import Visitor

Capture = pytest.CaptureFixture[str]

STRUCTURAL = {WRONG_STRUCTURE.code, UNEXPECTED_ELEMENT.code, UNFORESEEN.code}
HOSTILE = "a'b\"c\\d`e${f}$g @\\' \"\"\" ''' é\n<x>{{ y }}\\n"
CLIENT = "Python with Rollbook's client"

on_one = pytest.mark.parametrize("served", ["sqlite"], indirect=True)


def _snippets(visitor: Visitor, campus: Campus, name: str, elements: str) -> dict[str, str]:
    """Return the examples of a page by language, with the keys of the campus in place of the placeholders."""
    assert visitor.open(f"/console/api/{name}", elements=elements).status_code == 200
    found = visitor.page().xpath("//details[pre]")
    texts = {str(each.findtext("summary")): str(each.findtext("pre")) for each in found}
    assert all(ACCOUNT_KEY in text and USER_KEY in text for text in texts.values())
    return {language: _with_keys(text, campus) for language, text in texts.items()}


def _with_keys(text: str, campus: Campus) -> str:
    return text.replace(ACCOUNT_KEY, campus.account_key).replace(USER_KEY, campus.owner_key)


def _codes(answer: bytes) -> set[str]:
    return {entry.code for entry in read_reply(answer).errors}


def test_every_method_has_a_page_with_its_elements_codes_and_callers(owner: Visitor) -> None:
    owner.open("/console/api")
    assert owner.page().xpath("//tbody//a/@href") == [f"/console/api/{name}" for name in METHODS]
    for method in METHODS.values():
        owner.open(f"/console/api/{method.name}")
        page, text = owner.page(), owner.text()
        assert page.xpath("//section[h2='Its codes']//tbody/tr/th/text()") == [code.code for code in method.codes]
        names = page.xpath("//section[h2[contains(., 'Parameters')]]//th/code/text()")
        assert names[0] == method.takes.children[0].name
        assert method.help in text
        assert method.allowed.who in text
    assert owner.open("/console/api/noSuchMethod").status_code == 404


def test_page_of_a_method_names_kind_repetition_and_error_of_an_element(owner: Visitor) -> None:
    owner.open("/console/api/unenrollLearningModules")
    rows = [[cell.text_content().strip() for cell in row] for row in owner.page().xpath("//tbody/tr")]
    row = next(row for row in rows if row[0].endswith("AccountUserLearningModuleRelID"))
    assert row[1:4] == ["1", "number from 1", "ULM:01"]


@on_one
@pytest.mark.parametrize("elements", ["all", "required"])
def test_examples_in_curl_and_python_are_structurally_valid_calls(
    owner: Visitor, served: Served, campus: Campus, elements: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Run each example as it stands on the page."""
    for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(served.server.ca_file))
    for method in METHODS:
        texts = _snippets(owner, campus, method, elements)
        by_curl = subprocess.run(["sh", "-c", texts["curl"]], capture_output=True, check=True).stdout
        exec(texts["Python"], {})  # noqa: S102 the example
        for answer in (by_curl, capsys.readouterr().out.encode()):
            assert not _codes(answer) & STRUCTURAL, method


@on_one
def test_examples_of_the_client_run(
    owner: Visitor, served: Served, campus: Campus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(served.server.ca_file))
    (id_,) = campus.enroll(1)
    for method in METHODS:
        refused: set[str] = set()
        try:
            exec(_snippets(owner, campus, method, "all")[CLIENT], {})  # noqa: S102 the example
        except CallRefusedError as error:  # of what the account lacks
            refused = {error.code}
        assert not refused & STRUCTURAL, method
    text = _snippets(owner, campus, "unenrollLearningModules", "all")[CLIENT]
    exec(text.replace("8101", str(id_)), {})  # noqa: S102 the example
    assert campus.queue() == {id_: "Pending"}


@on_one
def test_examples_have_the_same_package_in_every_language(owner: Visitor, campus: Campus) -> None:
    for method in METHODS:
        package = _with_keys(write_example(method, METHODS[method].takes, whole=True), campus)
        texts = _snippets(owner, campus, method, "all")
        del texts[CLIENT]
        assert [language for language, text in texts.items() if package not in text] == []


@on_one
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_example_in_javascript_runs(owner: Visitor, served: Served, campus: Campus, tmp_path: Path) -> None:
    file = tmp_path / "call.mjs"
    file.write_text(_snippets(owner, campus, "getUnenrollmentQueue", "all")["JavaScript"])
    env = {**os.environ, "NODE_EXTRA_CA_CERTS": str(served.server.ca_file)}
    done = subprocess.run(["node", file], capture_output=True, check=True, env=env)
    assert _codes(done.stdout) == set()


def test_texts_in_examples_are_quoted_for_their_language() -> None:
    shell = subprocess.run(["sh", "-c", f"printf %s {QUOTES['shell'](HOSTILE)}"], capture_output=True, check=True)
    assert shell.stdout.decode() == HOSTILE
    assert ast.literal_eval(QUOTES["python"](HOSTILE)) == HOSTILE
    assert QUOTES["php"]("a'b\\c$d") == r"'a\'b\\c$d'"
    assert QUOTES["csharp"]('a"b\\c{d}') == r'@"a""b\c{d}"'
    if shutil.which("node"):
        program = f"process.stdout.write({QUOTES['javascript'](HOSTILE)})"
        assert subprocess.run(["node", "-e", program], capture_output=True, check=True).stdout.decode() == HOSTILE


@pytest.mark.parametrize("host", ["evil';$(id).example", 'a"b', "a b", "[::1", "a`b"])
def test_host_name_that_is_none_stands_in_no_example(owner: Visitor, host: str) -> None:
    answer = owner.client.get(f"{owner.origin}/console/api/getUser", headers={"Host": host})
    assert answer.status_code == 400
    assert host not in answer.text


def test_page_of_a_method_shows_its_last_calls(served: Served, campus: Campus, owner: Visitor) -> None:
    wanted = served.server.post(campus.package(["nonsense"])).headers["X-Request-ID"]
    other = served.server.post(campus.call("listSessions", "<X/>")).headers["X-Request-ID"]
    deadline = time.monotonic() + 15  # calls are logged after their responses
    while wanted not in owner.open("/console/api/unenrollLearningModules").text:
        assert time.monotonic() < deadline, "the call is not listed"
        time.sleep(0.05)
    assert other not in owner.answer.text
    assert "owner@example.org" in owner.text()

"""A message with every feature of the trees: read, written, broken and documented."""

import time

import pytest
from lxml import etree

import contract_tables
from broken_calls import break_tree
from rollbook.errors import CallError, WireCode
from rollbook.wire.call import call_of
from rollbook.wire.identifiers import NUMBER
from rollbook.wire.messages import ANYTHING, Choice, Element, info, optional, parameters, record
from rollbook.wire.read import compile_lenient, compile_reader
from rollbook.wire.values import BOOLEAN, one_of
from rollbook.wire.write import compile_writer

WRONG_STATUS = WireCode("SU:12", "the status")
FIELDS = (
    *(optional("ID", "id", NUMBER), optional("Email", "email")),
    optional("Status", "status", one_of("Active", "Inactive", any_case=True), wrong=WRONG_STATUS),
    optional("AllowFeedback", "feedback", BOOLEAN),
    *(optional("Venues", "venues", ANYTHING), optional("Wages", "", ANYTHING)),
)
USER = record("User", *FIELDS, field="user", choices=(Choice(("ID", "Email"), filled=True),))
TAKES = parameters(USER)
read = compile_reader(TAKES)
write = compile_writer(info(USER))


def _read(user: str) -> object:
    return read(etree.fromstring(f"<Parameters><User>{user}</User></Parameters>")).values["user"]


def _code(parameters: etree._Element) -> WireCode | None:
    try:
        return read(parameters).wrong.get(1)
    except CallError as error:
        return error.code


def test_one_thing_wrong_is_read_as_its_code() -> None:
    cases = [case for case in break_tree(TAKES) if len(case.parameters)]
    assert [(case.what, _code(case.parameters)) for case in cases] == [(case.what, case.code) for case in cases]
    assert {"Nonsense in Venues", "ID is ''"} <= {case.what for case in cases}


@pytest.mark.parametrize(
    ("user", "code"),
    [
        ("<ID>7</ID>", None),
        ("<ID>7</ID><Email/>", None),
        ("<ID/><Email>a@example.org</Email>", None),
        ("<Status>Active</Status>", "SU:12"),
        ("<ID/>", "SU:12"),
        ("<ID/><Email/>", "SU:12"),
        ("<ID>7</ID><Email>a@example.org</Email>", "SU:12"),
        ("<ID>7</ID><Colour/>", "SU:13"),
    ],
)
def test_exactly_one_of_a_filled_choice_has_a_value(user: str, code: str | None) -> None:
    found = _code(etree.fromstring(f"<Parameters><User>{user}</User></Parameters>"))
    assert (found and found.code) == code


CONTENTS = [
    "<Venue><Name>R&amp;D &lt;1&gt;</Name> tail</Venue><Venue></Venue>",
    "text &amp; more",
    "text <b>and</b> elements",
    '<Venue level="a&quot;b&#10;">é</Venue>',
]


@pytest.mark.parametrize("content", CONTENTS)
def test_uninterpreted_content_is_returned_unchanged(content: str) -> None:
    user = _read(f"<ID>7</ID><Venues>\n {content}\n</Venues><Wages><Wage>1</Wage></Wages>")
    assert user == {"id": 7, "venues": content}
    written = write({"user": user})
    assert written == f"<User><ID>7</ID><Venues>{content}</Venues></User>"
    assert compile_lenient(info(USER))(etree.fromstring(f"<Info>{written}</Info>")) == {"user": user}


def test_content_with_many_namespaces_is_read_quickly_and_without_them() -> None:
    spaces = "".join(f" xmlns:n{number}='urn:{number}'" for number in range(3000))
    user = f"<ID>7</ID><Venues>{'<n1:Venue/>' * 20_000}</Venues>"
    root = etree.fromstring(f"<Parameters{spaces}><User>{user}</User></Parameters>")
    began = time.process_time()
    assert read(root).values["user"]["venues"] == "<Venue></Venue>" * 20_000
    assert time.process_time() - began < 5  # repeating all namespaces at every element took minutes


def test_words_and_booleans_are_read_in_any_case() -> None:
    texts = ("1", "0", "true", "FALSE", "True")
    flags = [_read(f"<ID>1</ID><AllowFeedback>{text}</AllowFeedback><Status>ACTIVE</Status>") for text in texts]
    assert flags == [{"id": 1, "feedback": flag, "status": "Active"} for flag in (True, False, True, False, True)]
    assert write({"user": flags[0]}) == "<User><ID>1</ID><Status>Active</Status><AllowFeedback>1</AllowFeedback></User>"
    assert _code(etree.fromstring("<Parameters><User><ID>1</ID><Status>Open</Status></User></Parameters>")) == (
        WRONG_STATUS
    )


def test_docs_name_the_choice_and_the_content() -> None:
    rows = [*contract_tables.describe_elements(call_of(TAKES))]
    assert "| · `User` | 1 | exactly one of `ID`, `Email`, with a value |" in "\n".join(rows)
    assert "| · · `Venues` | 0 or 1 | any elements or text, as XML |" in "\n".join(rows)


LIST = parameters(record("Items", record("Item", Element("ID", "id", NUMBER, as_sent="sent"), field="items", most=3)))
ONE = "<Item><ID>7</ID></Item>"


@pytest.mark.parametrize(
    ("items", "read"),
    [
        (ONE + "<Item><ID> 08 </ID></Item>", [{"id": 7, "sent": "7"}, {"id": 8, "sent": "08"}]),
        ("<Item><ID>0000000000000000000000009</ID></Item>", [{"id": 9, "sent": "0000000000000000000000009"}]),
        ("<Item><ID><![CDATA[1]]>2</ID></Item>", [{"id": 12, "sent": "12"}]),
        ("", "SU:12"),
        (4 * ONE, "SU:12"),
        (ONE + "<Item/>", "SU:12"),
        (ONE + "<Item><ID/></Item>", "SU:12"),
        (ONE + "<Item><ID>x</ID></Item>", "SU:12"),
        (ONE + "<Item><ID>1</ID><ID>2</ID></Item><Item/>", "SU:12"),
        (ONE + "<Other><ID>7</ID></Other>", "SU:13"),
        (ONE + "<Item><Other>7</Other></Item>", "SU:12"),
        ("<Item><ID>7<ID>8</ID></ID></Item>", "SU:13"),
        ("<Item><ID>7<Item><ID>8</ID></Item></ID></Item>", "SU:13"),
        ('<Item xmlns="urn:x"><ID>7</ID></Item>', "SU:12"),
    ],
)
def test_list_of_single_values_is_read_in_any_shape(items: str, read: object) -> None:
    root = etree.fromstring(f"<Parameters><Items>{items}</Items></Parameters>")
    try:
        found: object = compile_reader(LIST)(root).values["items"]
    except CallError as error:
        found = error.code.code
    assert found == read

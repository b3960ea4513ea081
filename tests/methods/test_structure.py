"""Every method refuses a call with one mistake, anywhere in it, with the code of its messages."""

import pytest
from lxml import etree

from broken_calls import Broken, break_call
from campus import Campus
from conftest import Served
from rollbook.errors import UNEXPECTED_ELEMENT, WRONG_STRUCTURE, CallError, WireCode
from rollbook.methods import METHODS
from rollbook.model import Extensions
from rollbook.wire.call import read_call


def _inner(broken: Broken) -> str:
    return "".join(etree.tostring(child, encoding="unicode") for child in broken.parameters)


def _read(name: str, broken: Broken) -> WireCode | None:
    """Return the code from reading the call: of the call, or of its first item."""
    envelope = f"<SmarterU><AccountAPI/><UserAPI/><Method>{name}</Method><Parameters>{{}}</Parameters></SmarterU>"
    try:
        call = read_call(envelope.format(_inner(broken)).encode(), Extensions())
        return METHODS[name].read(call).wrong.get(1)
    except CallError as error:
        return error.code


@pytest.mark.parametrize("name", METHODS)
def test_one_thing_wrong_is_read_as_its_code(name: str) -> None:
    cases = list(break_call(METHODS[name]))
    assert [(case.what, _read(name, case)) for case in cases] == [(case.what, case.code) for case in cases]
    assert {case.code for case in cases} >= {None, WRONG_STRUCTURE, UNEXPECTED_ELEMENT}


@pytest.mark.parametrize("name", METHODS)
def test_server_answers_what_reading_finds(served: Served, campus: Campus, name: str) -> None:
    """One call for each kind of mistake and each code."""
    kinds = {(case.what.split()[0], case.code): case for case in break_call(METHODS[name])}
    for case in kinds.values():
        answer = served.server.post(campus.call(name, _inner(case)), headers={"Rollbook-Dry-Run": "true"})
        code = etree.fromstring(answer.content).findtext("Errors/Error/ErrorID") or ""
        if case.code is None or not case.code.code.startswith("SU:"):
            assert not code.startswith("SU:"), case.what
        else:
            assert code == case.code.code, case.what

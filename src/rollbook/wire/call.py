"""The envelope of a call: who calls, which method, with what parameters (protocol §2)."""

from collections.abc import Callable
from dataclasses import dataclass, field

from lxml import etree

from rollbook.errors import (
    EMPTY_PARAMETERS,
    NO_ACCOUNT_KEY,
    NO_METHOD,
    NO_PARAMETERS,
    NO_ROOT,
    NO_USER_KEY,
    CallError,
    WireCode,
)
from rollbook.model import Extensions
from rollbook.wire.messages import Element, Values, record
from rollbook.wire.write import REPLACED, compile_writer
from rollbook.wire.xml import parse, text_of


@dataclass(frozen=True)
class Call:
    """A call whose envelope is complete; the tree of its method reads the parameters."""

    account_key: str = field(repr=False)
    user_key: str = field(repr=False)
    method: str
    extensions: Extensions
    package: bytes = field(repr=False)
    root: etree._Element = field(repr=False)


def read_call(package: bytes, extensions: Extensions) -> Call:
    """Read a package up to its parameters; errors: SU:03 to SU:09.

    Repeated and unexpected elements of the envelope are found later, with the parameters: SU:12 and SU:13 follow the
    check of the keys.
    """
    root = parse(package)
    if root.tag != "SmarterU":
        raise CallError(NO_ROOT, "the root element has another name")
    account_key = text_of(_child(root, "AccountAPI", NO_ACCOUNT_KEY))
    user_key = text_of(_child(root, "UserAPI", NO_USER_KEY))
    method = text_of(_child(root, "Method", NO_METHOD))
    if len(_child(root, "Parameters", NO_PARAMETERS)) == 0:
        raise CallError(EMPTY_PARAMETERS, "SmarterU/Parameters")
    return Call(account_key, user_key, method, extensions, package, root)


def call_of(parameters: Element) -> Element:
    """Wrap the parameters of a method in the envelope."""
    envelope = (Element("AccountAPI", "account_key"), Element("UserAPI", "user_key"), Element("Method", "method"))
    return record("SmarterU", *envelope, parameters)


def compile_call(parameters: Element) -> Callable[[Values], str]:
    """Compile the writer of a call from its keys, its `method` and its `parameters`."""
    return compile_writer(record("", call_of(parameters)), REPLACED)


def _child(root: etree._Element, name: str, missing: WireCode) -> etree._Element:
    child = root.find(name)
    if child is None:
        raise CallError(missing, f"SmarterU/{name}")
    return child

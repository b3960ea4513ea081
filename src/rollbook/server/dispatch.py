"""Leads a call to the one function that does what its Method names."""

from rollbook.errors import UNKNOWN_METHOD, CallError
from rollbook.methods import METHODS
from rollbook.model import Caller
from rollbook.store.engine import Database
from rollbook.wire.answer import Answer
from rollbook.wire.call import Call


def dispatch(database: Database, caller: Caller, call: Call) -> Answer:
    """Do what the call asks for; errors: SU:11, and those of the method."""
    method = METHODS.get(call.method)
    if method is None:
        raise CallError(UNKNOWN_METHOD, f"SmarterU/Method is none of {', '.join(METHODS)}")
    return method(database, caller, call)

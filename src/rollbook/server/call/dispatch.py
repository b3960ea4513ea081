"""Leads a call to the one method that its Method names."""

from rollbook.errors import UNKNOWN_METHOD, CallError
from rollbook.methods import METHODS, Method
from rollbook.wire.call import Call


def dispatch(call: Call) -> Method:
    """Return what the call asks for; errors: SU:11."""
    method = METHODS.get(call.method)
    if method is None:
        raise CallError(UNKNOWN_METHOD, f"SmarterU/Method is none of {', '.join(METHODS)}")
    return method

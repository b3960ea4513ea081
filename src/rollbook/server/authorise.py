"""Finds the caller that both keys of a call belong to (protocol §3)."""

from rollbook.errors import INVALID_KEYS, CallError
from rollbook.model import Caller
from rollbook.store.accounts import find_caller
from rollbook.store.engine import Database
from rollbook.wire.call import Call


def authorise(database: Database, call: Call) -> Caller:
    """Return the caller; errors: SU:10, the same for every way in which keys can be wrong."""
    with database.glance() as connection:
        caller = find_caller(connection, call.account_key, call.user_key)
    if caller is None:
        raise CallError(INVALID_KEYS, "SmarterU/AccountAPI, SmarterU/UserAPI")
    return caller

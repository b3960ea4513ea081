"""Finds the caller that both keys of a call belong to (protocol §3), within the limits of wrong keys and of calls."""

from rollbook.errors import INVALID_KEYS, CallError
from rollbook.model import Caller, Limit
from rollbook.server.throttle import Throttle
from rollbook.store.accounts import find_caller
from rollbook.store.engine import Database
from rollbook.wire.call import Call


def authorise(database: Database, throttle: Throttle, call: Call, address: str | None) -> Caller:
    """Return the caller; errors: SU:10, the same for every way in which keys can be wrong; ThrottledError."""
    with database.glance() as connection:
        account_id, caller = find_caller(connection, call.account_key, call.user_key)
    if account_id is not None:
        throttle.check(Limit.WRONG_KEYS_PER_ACCOUNT, account_id)
    if caller is None:
        throttle.count(Limit.WRONG_KEYS_PER_ADDRESS, address)
        if account_id is not None:
            throttle.count(Limit.WRONG_KEYS_PER_ACCOUNT, account_id)
        raise CallError(INVALID_KEYS, "SmarterU/AccountAPI, SmarterU/UserAPI")
    throttle.check(Limit.CALLS_PER_ACCOUNT, caller.account_id)
    throttle.count(Limit.CALLS_PER_ACCOUNT, caller.account_id)
    return caller

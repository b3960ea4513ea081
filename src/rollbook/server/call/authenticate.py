"""Finds the caller that both keys of a call belong to (protocol §3), within the limits of wrong keys and of calls."""

from rollbook.errors import INVALID_KEYS, CallError, DatabaseUnavailableError
from rollbook.model import Caller, Limit
from rollbook.server.operations.rate_limits import Throttle
from rollbook.store.database.database import Database
from rollbook.store.people.api_keys import find_caller
from rollbook.wire.call import Call


class Callers:
    """Whom keys belong to, looked up once for calls that are admitted in one turn."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: dict[tuple[str, str], Caller | None] = {}
        self._trouble: DatabaseUnavailableError | None = None

    def find(self, account_key: str, user_key: str) -> Caller | None:
        """Find as `find_caller` does. Errors: DatabaseUnavailableError, and then for all others of the turn too."""
        if self._trouble is not None:  # each would wait for it by itself, one after the other
            raise self._trouble
        keys = account_key, user_key
        if keys not in self._found:
            try:
                with self._database.autocommit() as connection:
                    self._found[keys] = find_caller(connection, account_key, user_key)
            except DatabaseUnavailableError as error:
                self._trouble = error
                raise
        return self._found[keys]


def authorise(callers: Callers, throttle: Throttle, call: Call, address: str | None) -> Caller:
    """Return the caller; errors: SU:10, the same for every way in which keys can be wrong; ThrottledError."""
    caller = callers.find(call.account_key, call.user_key)
    if caller is None:
        throttle.count(Limit.WRONG_KEYS_PER_ADDRESS, address)
        raise CallError(INVALID_KEYS, "SmarterU/AccountAPI, SmarterU/UserAPI")
    throttle.check(Limit.CALLS_PER_ACCOUNT, caller.account_id)
    throttle.count(Limit.CALLS_PER_ACCOUNT, caller.account_id)
    return caller

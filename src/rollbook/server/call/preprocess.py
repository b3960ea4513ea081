"""Parses and authenticates requests in batches on one thread, in the order of protocol §2: SU:02 to SU:11.

Switching threads costs more than looking up keys: all requests that wait are one batch, and the keys that they share
are looked up once (docs/decisions/0024).
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass

from starlette.datastructures import Headers

from rollbook.errors import INVALID_KEYS, UNKNOWN_METHOD, CallError, DatabaseUnavailableError
from rollbook.methods import METHODS, Method
from rollbook.model import Actor, Caller, Limit
from rollbook.server.call.headers import read_extensions
from rollbook.server.call.record import Record
from rollbook.server.operations.rate_limits import RateLimits
from rollbook.store.database.database import Database
from rollbook.store.people.api_keys import find_caller
from rollbook.wire.call import Call, read_call
from rollbook.wire.form import read_package

# A larger batch delays its first request and saves little more.
MAX_BATCH = 16
# Of an unknown method; the names of known ones are shorter.
MAX_METHOD_NAME = 80


@dataclass(frozen=True)
class RawRequest:
    """A call whose body has been received; `context` holds its deadline (store/database/deadline)."""

    body: bytes
    headers: Headers
    record: Record
    context: Context


@dataclass(frozen=True)
class AuthenticatedCall:
    """A call of an existing method by a known caller; `by` is the caller as the audit names it."""

    call: Call
    caller: Caller
    by: Actor
    method: Method


class KeyCache:
    """The callers of the keys that one batch of requests has in common."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: dict[tuple[str, str], Caller | None] = {}
        self._failure: DatabaseUnavailableError | None = None

    def find(self, account_key: str, user_key: str) -> Caller | None:
        """Find as `find_caller` does; after a DatabaseUnavailableError every later lookup of the batch raises it."""
        if self._failure is not None:  # else each request would wait for its own timeout, one after the other
            raise self._failure
        keys = account_key, user_key
        if keys not in self._found:
            try:
                with self._database.autocommit() as connection:
                    self._found[keys] = find_caller(connection, account_key, user_key)
            except DatabaseUnavailableError as error:
                self._failure = error
                raise
        return self._found[keys]


class Preprocessor:
    """Preprocesses the requests of a server process; used on the event loop's thread only."""

    def __init__(self, database: Database, rate_limits: RateLimits) -> None:
        self._database = database
        self._rate_limits = rate_limits
        self._thread = ThreadPoolExecutor(1, "preprocess")
        self._waiting: list[tuple[RawRequest, asyncio.Future[AuthenticatedCall]]] = []
        self._task: asyncio.Task[None] | None = None

    async def preprocess(self, request: RawRequest) -> AuthenticatedCall:
        """Queue a request for the next batch and wait for its outcome; errors: those of `preprocess`."""
        future: asyncio.Future[AuthenticatedCall] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run_batches())
        return await future

    async def wait_until_idle(self) -> None:
        """Wait until no request waits for its outcome."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run_batches(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            requests = [request for request, _ in batch]
            try:
                outcomes = await loop.run_in_executor(self._thread, self._run_batch, requests)
            except Exception as error:  # no thread or no memory
                outcomes = [error] * len(batch)
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if future.cancelled():
                    continue
                if isinstance(outcome, AuthenticatedCall):
                    future.set_result(outcome)
                else:
                    future.set_exception(outcome)
        self._task = None

    def _run_batch(self, requests: Sequence[RawRequest]) -> list[AuthenticatedCall | Exception]:
        keys = KeyCache(self._database)
        return [request.context.run(self._attempt, request, keys) for request in requests]

    def _attempt(self, request: RawRequest, keys: KeyCache) -> AuthenticatedCall | Exception:
        try:
            return preprocess(request, keys, self._rate_limits)
        except Exception as error:
            return error


def preprocess(request: RawRequest, keys: KeyCache, rate_limits: RateLimits) -> AuthenticatedCall:
    """Parse a request, authenticate its caller and find its method.

    Errors: SU:02 to SU:11; TransportError for headers, limits, or a database that cannot be reached.
    """
    record = request.record
    extensions = read_extensions(request.headers)
    try:
        package = read_package(request.body, request.headers.get("content-type", ""))
        call = read_call(package, extensions)
    except CallError:
        rate_limits.count(Limit.WRONG_KEYS_PER_ADDRESS, record.address)
        raise
    record.caller = _authenticate(call, record.address, keys, rate_limits)
    method = METHODS.get(call.method)
    if method is None:
        record.method = "".join(char if char.isprintable() else "?" for char in call.method[:MAX_METHOD_NAME])
        raise CallError(UNKNOWN_METHOD, f"SmarterU/Method is none of {', '.join(METHODS)}")
    record.method = method.name
    return AuthenticatedCall(call, record.caller, record.actor(record.caller), method)


def _authenticate(call: Call, address: str | None, keys: KeyCache, rate_limits: RateLimits) -> Caller:
    """Return the caller of both keys; errors: SU:10, the same for every way in which keys can be wrong."""
    caller = keys.find(call.account_key, call.user_key)
    if caller is None:
        rate_limits.count(Limit.WRONG_KEYS_PER_ADDRESS, address)
        raise CallError(INVALID_KEYS, "SmarterU/AccountAPI, SmarterU/UserAPI")
    rate_limits.check(Limit.CALLS_PER_ACCOUNT, caller.account_id)
    rate_limits.count(Limit.CALLS_PER_ACCOUNT, caller.account_id)
    return caller

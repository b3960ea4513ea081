"""What a method of the API is: a value that reads its calls, does its work and writes its answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rollbook import store
from rollbook.errors import CallError, TransportError, WireCode
from rollbook.model import Actor, Caller, Extensions, Permission
from rollbook.wire.answer import Answer, ErrorEntry
from rollbook.wire.call import Call, call_of, compile_call
from rollbook.wire.messages import Element, Values
from rollbook.wire.read import Reading, compile_lenient, compile_reader
from rollbook.wire.write import Markup, compile_writer

if TYPE_CHECKING:
    from lxml import etree
    from sqlalchemy import Connection

    from rollbook.store.database.database import Work


@dataclass(frozen=True)
class MethodCall:
    """A parsed call: the values of its parameters, and by block the error codes of items with a wrong value.

    `by` is the caller, as the audit names it; `public_url` the address at which browsers reach the server.
    """

    connection: "Connection"
    caller: Caller
    by: Actor
    extensions: Extensions
    values: Values
    wrong: Mapping[int, WireCode]
    public_url: str = ""


@dataclass(frozen=True)
class MethodResult:
    """The result of a method; without `values` `Info` is empty, and the call Failed.

    `gives` replaces the method's tree when the answer depends on the call.
    """

    values: Values
    errors: Sequence[ErrorEntry] = ()
    batch_id: int | None = None
    gives: Element | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Allowed:
    """The callers that a method admits besides owners and administrators: learners with one of the permissions."""

    who: str
    permissions: tuple[Permission, ...] = ()

    def admits(self, connection: "Connection", caller: Caller) -> bool:
        """Ask the database about a learner."""
        return store.permissions.holds_anywhere(connection, caller, self.permissions)


ADMINISTRATORS = Allowed("owners and administrators")
GROUP_MANAGERS = Allowed(
    "owners and administrators; learners who are Group Manager or may Manage Group Users, for their groups",
    (Permission.MANAGE_GROUP, Permission.MANAGE_GROUP_USERS),
)
USER_MANAGERS = Allowed(
    "owners and administrators; learners with MANAGE_GROUP, MANAGE_GROUP_USERS or MANAGE_USERS in a group, for the "
    "users of these groups",
    (Permission.MANAGE_GROUP, Permission.MANAGE_GROUP_USERS, Permission.MANAGE_USERS),
)
GROUP_EDITORS = Allowed(
    "owners and administrators; learners with MANAGE_GROUP, MANAGE_GROUP_COURSES or MANAGE_GROUP_USERS in a group",
    (Permission.MANAGE_GROUP, Permission.MANAGE_GROUP_COURSES, Permission.MANAGE_GROUP_USERS),
)


@dataclass(frozen=True)
class Method:
    """One method of the API: its messages, its codes, its permissions and the function that does the work.

    `forbidden` is the code for all other callers; the rest of their call is not read. `continues`: whether a call may
    continue a batch (D32). `gives_secrets`: answers hold keys, so that none is stored for an Idempotency-Key. `run_all`
    does the work of several calls of one account in one transaction.
    """

    name: str
    help: str
    takes: Element
    gives: Element
    codes: tuple[WireCode, ...]
    forbidden: WireCode
    allowed: Allowed
    changes: bool
    run: Callable[[MethodCall], MethodResult]
    continues: bool = False
    gives_secrets: bool = False
    run_all: Callable[[Sequence[MethodCall]], list[MethodResult]] | None = None

    def prepare(self, caller: Caller, by: Actor, call: Call, public_url: str = "") -> "Work[Answer]":
        """Read a call and return its work; errors: the forbidden code, SU:12, SU:13, codes of the tree.

        TransportError 422 for a header that the method does not have.
        """
        if call.extensions.batch_id is not None and not self.continues:
            raise TransportError(422, f"Rollbook-Batch is no header of {self.name}")
        if call.extensions.idempotency_key is not None and self.gives_secrets:
            raise TransportError(422, f"Idempotency-Key is no header of {self.name}: its answers are not stored")
        if caller.administers:
            reading = self.read(call)
            return lambda connection: self._answer(connection, caller, by, call, reading, public_url)
        if not self.allowed.permissions:
            raise CallError(self.forbidden, f"the caller is a {caller.role}")

        def work(connection: "Connection") -> Answer:
            # A learner's permissions are in the database; without one the rest of the call is not read.
            if not self.allowed.admits(connection, caller):
                raise CallError(self.forbidden, "the caller is a learner without a permission for any group")
            return self._answer(connection, caller, by, call, self.read(call), public_url)

        return work

    def _answer(
        self, connection: "Connection", caller: Caller, by: Actor, call: Call, reading: Reading, public_url: str
    ) -> Answer:
        values = reading.values["parameters"]
        return self._write(
            self.run(MethodCall(connection, caller, by, call.extensions, values, reading.wrong, public_url))
        )

    def answer_all(
        self, connection: "Connection", calls: Sequence[tuple[Caller, Actor, Call, Reading]]
    ) -> list[Answer]:
        """Do the work of calls that were read, of administrators of one account, as `run_all` does."""
        run_all = self.run_all or (lambda calls: [*map(self.run, calls)])
        asked = [
            MethodCall(connection, caller, by, call.extensions, reading.values["parameters"], reading.wrong)
            for caller, by, call, reading in calls
        ]
        return [self._write(result) for result in run_all(asked)]

    def _write(self, result: MethodResult) -> Answer:
        info = self.write_info(result.values) if result.gives is None else compile_writer(result.gives)(result.values)
        return Answer(bool(info), info, result.errors, result.batch_id, headers=result.headers)

    def read(self, call: Call) -> Reading:
        """Read the whole of a call; errors: SU:12, SU:13, codes of the tree."""
        return self._read(call.root)

    @cached_property
    def _read(self) -> Callable[..., Reading]:
        return compile_reader(call_of(self.takes))

    def write_call(self, account_key: str, user_key: str, values: Values) -> str:
        """Write a call, as a client sends it."""
        return self._write_call(
            {"account_key": account_key, "user_key": user_key, "method": self.name, "parameters": values}
        )

    @cached_property
    def _write_call(self) -> Callable[[Values], str]:
        return compile_call(self.takes)

    @cached_property
    def read_info(self) -> "Callable[[etree._Element], dict[str, Any]]":
        """Read what the method has given, as a client does."""
        return compile_lenient(self.gives)

    @cached_property
    def write_info(self) -> Callable[[Values], Markup]:
        """Write what the method gives."""
        return compile_writer(self.gives)

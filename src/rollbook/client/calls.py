"""Makes the calls of the client: writes them, sends them, and reads their answers by the trees of methods/."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Self, TypeVar

import httpx

from rollbook.client.requests import BATCH
from rollbook.client.transport import Transport
from rollbook.errors import CallError, CallRefusedError, NotAnAnswerError
from rollbook.methods.method import Method
from rollbook.methods.unenroll_learning_modules import AUTO_ENROLL
from rollbook.wire.answer import ErrorEntry, Reply, read_reply
from rollbook.wire.identifiers import read_identifier
from rollbook.wire.messages import Values
from rollbook.wire.read import read_rows

NOTHING: Mapping[str, str] = {}
NO_ERROR = ErrorEntry("no code", "The answer is Failed without an error.")

T = TypeVar("T")
Item = TypeVar("Item")
Rows = list[dict[str, str]]
Ids = Iterable[int | str]


@dataclass(frozen=True)
class Sent:
    """An answered call; `in_doubt` if an earlier attempt may have succeeded and the server cannot know it."""

    reply: Reply
    values: Values
    batch_id: int | None
    in_doubt: bool
    auto_enroll: Sequence[str] = ()

    @property
    def items(self) -> Sequence[Values]:
        """The items that were accepted, enrolled, removed or restored."""
        items: Sequence[Values] = self.values.get("items", ())
        return items


class Calls:
    """The connection to a server and the two keys; the methods of the API are in the classes that inherit from it."""

    def __init__(
        self,
        url: str,
        account_key: str,
        user_key: str,
        *,
        ca_file: str | Path | None = None,
        timeout: float = 60.0,
        attempts: int = 6,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._keys = (account_key, user_key)
        self._transport = Transport(url, ca_file, timeout, attempts, transport)

    def __repr__(self) -> str:
        return f"Client({self._transport.url!r})"

    @property
    def url(self) -> str:
        """The address of the API."""
        return self._transport.url

    @property
    def is_rollbook(self) -> bool:
        """Whether an answer has shown that the server is Rollbook, which knows Idempotency-Keys."""
        return self._transport.is_rollbook

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _ask_rows(self, method: Method, values: Values, *needed: str) -> tuple[Rows, Sent]:
        sent = self._send(method, values)
        return self._read(lambda: read_rows(sent.reply.info, method.gives, *needed)), sent

    def _read(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except (ValueError, KeyError) as error:
            raise NotAnAnswerError(f"The answer of {self._transport.url} cannot be read: {error}") from None

    def _send(
        self,
        method: Method,
        values: Values,
        headers: Mapping[str, str] = NOTHING,
        key: str | None = None,
        *,
        once: bool = False,
    ) -> Sent:
        """Make one call; errors: every ClientError. A call that changes something has an Idempotency-Key as `key`.

        With `once` a call that may have been carried out is not sent again.
        """
        named = {"Idempotency-Key": key} if key else NOTHING
        package = method.write_call(*self._keys, values)
        response, in_doubt = self._transport.post(package, {**headers, **named}, once=once)
        url = self._transport.url
        try:
            reply = read_reply(response.content)
        except CallError as error:
            raise NotAnAnswerError(
                f"{url} answers HTTP {response.status_code} without XML of this API ({error.detail}). Check the url."
            ) from None
        if response.status_code != httpx.codes.OK or reply.failed_whole:
            first = reply.errors[0] if reply.errors else NO_ERROR
            raise CallRefusedError(url, first.code, first.message, response.headers.get("X-Request-ID"))
        batch_id = read_identifier(response.headers.get(BATCH, ""))
        given = self._read(lambda: method.read_info(reply.info))
        courses = response.headers.get(AUTO_ENROLL, "")
        return Sent(
            reply, given, batch_id, in_doubt and not self._transport.is_rollbook, courses.replace(",", " ").split()
        )


def named(part: Ids) -> dict[int, str]:
    return {block: str(id_) for block, id_ in enumerate(part, 1)}


def all_pages(ask: Callable[[int], list[Item]], page_size: int) -> Iterator[Item]:
    return chain.from_iterable(pages(ask, page_size))


def pages(ask: Callable[[int], list[Item]], page_size: int, first: int = 1) -> Iterator[list[Item]]:
    """Yield pages, each requested when it is needed; the last one is not full, and may be empty."""
    for page in count(first):
        rows = ask(page)
        yield rows
        if len(rows) < page_size:
            return

"""Clients that send calls continuously during a fault and record the responses."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import httpx
import sqlalchemy as sa
from lxml import etree

from campus import Campus
from rollbook.store.database.tables import enrollments, unenrollments
from server_process import ServerProcess

NO_ANSWER = 0


@dataclass(frozen=True)
class Answered:
    """A call: its end, its duration in seconds, and its HTTP status or NO_ANSWER."""

    ended: float
    seconds: float
    status: int


@dataclass
class Load:
    """Unenrolls `ids`, `size` per call, with concurrent clients; a failed call is repeated until it is answered.

    With `pause`, each client rests that long after a call.
    """

    campus: Campus
    server: ServerProcess
    ids: list[int]
    clients: int = 4
    size: int = 5
    pause: float = 0.01
    calls: list[Answered] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        chunks = (self.ids[start : start + self.size] for start in itertools.count(0, self.size))
        self._work: Iterator[list[int]] = itertools.takewhile(bool, chunks)

    def __enter__(self) -> "Load":
        self._threads = [threading.Thread(target=self._run) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop sending, and wait for outstanding responses."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait_for_answers(self, count: int = 10, timeout: float = 60) -> float:
        """Wait for so many more calls with status 200; return the seconds until the first of them."""
        started = time.monotonic()
        while time.monotonic() < started + timeout:
            good = [call for call in self.calls if call.status == 200 and call.ended - call.seconds > started]
            if len(good) >= count:
                return good[0].ended - started
            time.sleep(0.01)
        raise AssertionError(f"no answers for {timeout} s; the log:\n{self.server.log.read_text()[-4000:]}")

    @property
    def statuses(self) -> Counter[int]:
        """The number of calls by status."""
        return Counter(call.status for call in self.calls)

    @property
    def longest(self) -> float:
        """The duration of the slowest call in seconds."""
        return max(call.seconds for call in self.calls)

    def _run(self) -> None:
        client: httpx.Client | None = None
        while not self._stopping.is_set():
            with self._lock:
                chosen = next(self._work, None)
            if chosen is None:
                break  # too few ids; wait_for_answers fails if the test needs more
            in_doubt = False
            while not self._stopping.is_set():
                client = client or self.server.client()
                answer = self._send(client, self.campus.package(chosen))
                if answer is not None and answer.status_code == 200:
                    self._check(answer, chosen, in_doubt=in_doubt)
                    break
                in_doubt = True
                if answer is None:
                    client.close()
                    client = None
                time.sleep(0.05)
            self._stopping.wait(self.pause)
        if client is not None:
            client.close()

    def _send(self, client: httpx.Client, package: str) -> httpx.Response | None:
        started = time.monotonic()
        try:
            answer = client.post(self.server.url, data={"Package": package})
        except httpx.TransportError:
            answer = None
        ended = time.monotonic()
        self.calls.append(Answered(ended, ended - started, answer.status_code if answer is not None else NO_ANSWER))
        if answer is not None and (answer.status_code != 200) != ("Retry-After" in answer.headers):
            self.wrong.append(f"{answer.status_code} {answer.headers}")
        return answer

    def _check(self, answer: httpx.Response, chosen: list[int], *, in_doubt: bool) -> None:
        """Record the response; only the repetition of a call may find its own items queued already."""
        root = etree.fromstring(answer.content)
        accepted = [int(element.text or "") for element in root.iterfind("Info//AccountUserLearningModuleRelID")]
        codes = [element.text for element in root.iterfind("Errors/Error/ErrorID")]
        whole = (len(accepted), len(codes)) in {(len(chosen), 0), (0, len(chosen))}
        known = set(codes) <= ({"ULM:03", "ULM:04"} if in_doubt else set())
        with self._lock:
            self.accepted += accepted
            if not (whole and known):
                self.wrong.append(f"{chosen} in_doubt={in_doubt}: {answer.text}")


def check_books(*loads: Load, removed: Iterable[int] = ()) -> dict[str, int]:
    """Wait until the queue is empty, then check that no accepted item was lost or processed twice.

    `removed` are the ids that were answered as taken out of the queue.
    """
    campus = loads[0].campus
    answered = [id_ for load in loads for id_ in load.accepted]
    campus.wait_until_drained()
    queue = campus.queue()
    assert [wrong for load in loads for wrong in load.wrong] == []
    assert len(answered) == len(set(answered))
    assert set(answered) <= set(queue)
    assert {queue[id_] for id_ in removed} <= {"Removed"}
    same_time = enrollments.c.unenrolled_at == unenrollments.c.finished_at
    items = sa.select(sa.func.count(), sa.func.count(sa.distinct(unenrollments.c.enrollment_id))).join(
        enrollments, sa.and_(enrollments.c.id == unenrollments.c.enrollment_id, same_time)
    )
    with campus.database.read() as connection:
        ended = tuple(connection.execute(items.where(unenrollments.c.account_id == campus.account.id)).one())
        pairs = sa.select(unenrollments.c.status, sa.func.count()).group_by(unenrollments.c.status)
        mine = pairs.where(unenrollments.c.account_id == campus.account.id)
        books = Counter({str(status): int(count) for status, count in connection.execute(mine)})
    assert set(books) <= {"Complete", "Removed"}
    assert books["Complete"] + books["Removed"] == len(queue)
    assert ended == (books["Complete"], books["Complete"])
    assert campus.current() == sum(len(load.ids) for load in loads) - books["Complete"]
    counts = {"answered": len(answered), "accepted": len(queue), "complete": books["Complete"]}
    return counts | ({"removed": books["Removed"]} if books["Removed"] else {})


def wait_until(condition: Callable[[], bool], timeout: float = 30) -> None:
    """Wait until the condition is true."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it has not become true"
        time.sleep(0.02)


def report(fault: str, load: Load | None = None, **figures: float) -> None:
    """Print figures of the load and others; `make soak` shows them."""
    if load is not None:
        counted = load.statuses
        unanswered = counted[NO_ANSWER]
        seen = {"calls": len(load.calls), "503": counted[503], "unanswered": unanswered, "longest": load.longest}
        figures = seen | figures
    shown = (f"{name} {f'{n:.2f} s' if isinstance(n, float) else n}" for name, n in figures.items())
    print(f"\n{fault}: {', '.join(shown)}")

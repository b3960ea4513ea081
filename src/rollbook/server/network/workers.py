"""One server process or several: starts them, replaces those that die, stops all together."""

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

import structlog

from rollbook.errors import UserError
from rollbook.logs import configure_logs
from rollbook.server.network.server import GRACEFUL_SECONDS, reloads_on_hangup, run_server
from rollbook.server.network.tls import Certificate
from rollbook.settings import Settings

log = structlog.get_logger("rollbook.server")

# A process that exits by itself within this time could not start, and its successor could not either: give up, unless
# another process serves. SIGKILL, from an operator or for lack of memory, says nothing about the successor.
CRASH_SECONDS = 2
KILLED_PAUSE_SECONDS = 0.5
# The fork server imports these once and has no threads, so that its children start fast.
PRELOADED = [
    "rollbook.server.network.workers",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "uvloop",
]


def serve(
    settings: Settings, certificate: Certificate, sockets: list[socket.socket], stopping: threading.Event
) -> None:
    """Serve until SIGTERM or SIGINT: HTTPS on the first socket, plain HTTP on an optional second one.

    Sets `stopping` as soon as no more connections are accepted.
    """
    if settings.workers == 1:
        run_server(settings, certificate, sockets, stopping)
    else:
        _supervise(settings, certificate, sockets, stopping)


def _supervise(
    settings: Settings, certificate: Certificate, sockets: list[socket.socket], stopping: threading.Event
) -> None:
    """Run the server processes: replace those that die, and stop all together."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    hung_up = threading.Event()
    if reloads_on_hangup():
        signal.signal(signal.SIGHUP, lambda _number, _frame: hung_up.set())
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(PRELOADED)
    resource_tracker.ensure_running()  # process.start() would start it and unblock the signals below

    def start() -> _Child:
        process = forks.Process(target=_run_child, args=(settings, certificate, sockets))
        # Children inherit blocked signals until their handlers are installed; the fork server ignores them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGTERM])
        process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return _Child(process, time.monotonic())

    children = {slot: start() for slot in range(settings.workers)}
    restarts: dict[int, float] = {}  # by slot: when to start the next process
    try:
        while True:
            wait([child.process.sentinel for child in children.values()], timeout=0.5)
            if stopping.is_set():
                break
            if hung_up.is_set():
                hung_up.clear()
                _forward(signal.SIGHUP, children.values())
            for slot in [slot for slot, child in children.items() if not child.process.is_alive()]:
                restarts[slot] = time.monotonic() + _restart_delay(children.pop(slot), children.values())
            for slot in [slot for slot, due in restarts.items() if due <= time.monotonic()]:
                del restarts[slot]
                children[slot] = start()
    finally:
        _stop_all(children.values())


@dataclass(frozen=True)
class _Child:
    """A server process, and when it was started."""

    process: BaseProcess
    started: float

    @property
    def young(self) -> bool:
        return time.monotonic() - self.started < CRASH_SECONDS


def _restart_delay(dead: _Child, others: Collection[_Child]) -> float:
    """Return the seconds until the restart; errors: UserError when a restart would fail the same way."""
    exit_code = dead.process.exitcode
    delay = 0.0
    if dead.young and exit_code == -signal.SIGKILL:
        delay = KILLED_PAUSE_SECONDS
    elif dead.young:
        if not any(other.process.is_alive() and not other.young for other in others):
            raise UserError(f"A server process ended at once, with exit code {exit_code}; see its log.")
        delay = CRASH_SECONDS
    log.error("server process died; starting another", pid=dead.process.pid, exit_code=exit_code, seconds=delay)
    return delay


def _forward(number: signal.Signals, children: Collection[_Child]) -> None:
    for child in children:
        if child.process.pid is not None and child.process.is_alive():
            os.kill(child.process.pid, number)


def _stop_all(children: Collection[_Child]) -> None:
    for child in children:
        child.process.terminate()
    deadline = time.monotonic() + GRACEFUL_SECONDS + 2
    for child in children:
        child.process.join(max(0, deadline - time.monotonic()))
        if child.process.is_alive():
            child.process.kill()


def _run_child(settings: Settings, certificate: Certificate, sockets: list[socket.socket]) -> None:
    configure_logs(settings.log_format)
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    try:
        run_server(settings, certificate, sockets, threading.Event())
    except UserError as error:
        log.error("server process cannot start", detail=str(error))  # noqa: TRY400 no traceback
        sys.exit(1)


def _stop_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

"""One server process or several: started, replaced when they die, ended together."""

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

# A process that ends by itself before it is so old could not start, and the next could not either: give up, unless
# others serve. One that was killed, by somebody or for want of memory, says nothing of the next.
CRASH_SECONDS = 2
KILLED_PAUSE_SECONDS = 0.5
# Server processes are forked from one that has imported this and has no threads, so that they start in no time.
PRELOADED = [
    "rollbook.server.network.workers",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "uvloop",
]


def serve(
    settings: Settings, certificate: Certificate, sockets: list[socket.socket], stopping: threading.Event
) -> None:
    """Serve until SIGTERM or SIGINT: HTTPS on the first socket, plain HTTP on the second if there is one.

    `stopping` is set as soon as no more connections are taken.
    """
    if settings.workers == 1:
        run_server(settings, certificate, sockets, stopping)
    else:
        _supervise(settings, certificate, sockets, stopping)


def _supervise(
    settings: Settings, certificate: Certificate, sockets: list[socket.socket], stopping: threading.Event
) -> None:
    """Keep the server processes running: one that dies is replaced, all are ended together."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    hung_up = threading.Event()
    if reloads_on_hangup():
        signal.signal(signal.SIGHUP, lambda _number, _frame: hung_up.set())
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(PRELOADED)
    resource_tracker.ensure_running()  # else it is started below, and ends the blocking of signals

    def fork() -> _Child:
        process = forks.Process(target=_run_child, args=(settings, certificate, sockets))
        # A child keeps these until it knows what to do about them, and what it is forked from is deaf to them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGTERM])
        process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return _Child(process, time.monotonic())

    children = {place: fork() for place in range(settings.workers)}
    missing: dict[int, float] = {}  # places whose process has died, and when the next is started
    try:
        while True:
            wait([child.process.sentinel for child in children.values()], timeout=0.5)
            if stopping.is_set():
                break
            if hung_up.is_set():
                hung_up.clear()
                _pass_on(signal.SIGHUP, children.values())
            for place in [place for place, child in children.items() if not child.process.is_alive()]:
                pause = _pause_after(children.pop(place), children.values())
                missing[place] = time.monotonic() + pause
            for place in [place for place, due in missing.items() if due <= time.monotonic()]:
                del missing[place]
                children[place] = fork()
    finally:
        _end_together(children.values())


@dataclass(frozen=True)
class _Child:
    """A server process, and when it was started."""

    process: BaseProcess
    started: float

    @property
    def young(self) -> bool:
        return time.monotonic() - self.started < CRASH_SECONDS


def _pause_after(dead: _Child, others: Collection[_Child]) -> float:
    """Tell how long to wait until the next is started in its place; errors: UserError when there is no use in it."""
    exit_code = dead.process.exitcode
    pause = 0.0
    if dead.young and exit_code == -signal.SIGKILL:
        pause = KILLED_PAUSE_SECONDS
    elif dead.young:
        if not any(other.process.is_alive() and not other.young for other in others):
            raise UserError(f"A server process ended at once, with exit code {exit_code}; see its log.")
        pause = CRASH_SECONDS
    log.error("server process died; starting another", pid=dead.process.pid, exit_code=exit_code, seconds=pause)
    return pause


def _pass_on(number: signal.Signals, children: Collection[_Child]) -> None:
    for child in children:
        if child.process.pid is not None and child.process.is_alive():
            os.kill(child.process.pid, number)


def _end_together(children: Collection[_Child]) -> None:
    for child in children:
        child.process.terminate()
    deadline = time.monotonic() + GRACEFUL_SECONDS + 2
    for child in children:
        child.process.join(max(0, deadline - time.monotonic()))
        if child.process.is_alive():
            child.process.kill()


def _run_child(settings: Settings, certificate: Certificate, sockets: list[socket.socket]) -> None:
    configure_logs(settings.log_format)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        run_server(settings, certificate, sockets, threading.Event())
    except UserError as error:
        log.error("server process cannot start", detail=str(error))  # noqa: TRY400 no traceback
        sys.exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

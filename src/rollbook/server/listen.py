"""Sockets, processes and signals: how the application comes to be served, and how it stops."""

import asyncio
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import MutableSequence
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import NoReturn

import structlog
import uvicorn

from rollbook.errors import UserError
from rollbook.logs import configure_logs
from rollbook.server.accept import Listener, Shares, TlsOptions
from rollbook.server.app import create_app
from rollbook.server.connections import Connection, Limits
from rollbook.server.receive import Receiver
from rollbook.server.tls import Certificate, Tls
from rollbook.settings import Settings

log = structlog.get_logger("rollbook.server")

# From SIGTERM to the end it is 10 seconds at most: calls under way get these, closing down gets the rest.
GRACEFUL_SECONDS = 7
BACKLOG = 2048
# A process that dies younger than this would die again at once: give up instead of starting it for ever. Not if it was
# killed, by somebody or for want of memory: that says nothing of the next, which is started after a pause.
CRASH_SECONDS = 5
KILLED_PAUSE_SECONDS = 0.5
# Server processes are forked from one that has imported this and has no threads, so that they start in no time.
PRELOADED = ["rollbook.server.app", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite", "uvloop"]


def bind(host: str, port: int, options: str = "--host, --port and --http-port") -> socket.socket:
    """Open a listening socket; port 0 takes a free one. Errors: UserError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UserError(
            f"Cannot listen on {host} port {port}: {error.strerror}. "
            f"Choose others with {options}, or end the program that uses them."
        ) from None


def serve(
    settings: Settings, certificate: Certificate, sockets: list[socket.socket], stopping: threading.Event
) -> None:
    """Serve until SIGTERM or SIGINT: HTTPS on the first socket, plain HTTP on the second if there is one.

    `stopping` is set as soon as no more connections are taken.
    """
    if settings.workers == 1:
        _run_server(settings, certificate, sockets, Shares([0], 0), stopping)
    else:
        _supervise(settings, certificate, sockets, stopping)


class _Server(uvicorn.Server):
    """uvicorn's server with a plain socket beside the HTTPS one, its connections within limits.

    When it stops, it hurries bodies along.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        receiver: Receiver,
        tls: Tls,
        limits: Limits,
        shares: Shares,
        stopping: threading.Event,
    ) -> None:
        super().__init__(config)
        self._shares = shares
        self._tls = tls
        self._receiver = receiver
        self._limits = limits
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        loop = asyncio.get_running_loop()
        if _reloads_on_hangup():
            loop.add_signal_handler(signal.SIGHUP, self._tls.reload)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
        https, *plain = sockets or []
        with_tls: TlsOptions = {
            "ssl": self._tls.context,
            "ssl_handshake_timeout": self._limits.head_seconds,
            "ssl_shutdown_timeout": self._limits.write_seconds,
        }
        listeners = [Listener(https, self._connection, self._shares, with_tls)]
        listeners += [Listener(each, self._connection, self._shares) for each in plain]
        self.servers = listeners  # type: ignore[assignment]  # uvicorn closes them, and no more

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        self._receiver.hurry()
        await super().shutdown(sockets)

    def _connection(self) -> asyncio.Protocol:
        state = {"server_state": self.server_state, "app_state": self.lifespan.state}
        return Connection(self._limits, self._shares, config=self.config, **state)


def _run_server(
    settings: Settings,
    certificate: Certificate,
    sockets: list[socket.socket],
    shares: Shares,
    stopping: threading.Event,
) -> None:
    # uvicorn raises the signal again when it has shut down; a stop that was asked for is a success.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit_successfully)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])  # one of several processes was forked without it
    app, tls = create_app(settings), Tls(certificate)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        server_header=False,
        headers=_standing_headers(settings),
        log_config=None,
        access_log=False,
    )
    _Server(config, app.state.receiver, tls, Limits(settings), shares, stopping).run(sockets)


def _standing_headers(settings: Settings) -> list[tuple[str, str]]:
    """Give the headers of every answer, whatever gave it."""
    headers = [("X-Content-Type-Options", "nosniff")]
    if settings.hsts_seconds:
        headers.append(("Strict-Transport-Security", f"max-age={settings.hsts_seconds}"))
    return headers


def _exit_successfully(_number: int, _frame: object) -> NoReturn:
    sys.exit(0)


def _supervise(
    settings: Settings, certificate: Certificate, sockets: list[socket.socket], stopping: threading.Event
) -> None:
    """Keep the server processes running: one that dies is replaced, all are ended together."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    hung_up = threading.Event()
    if _reloads_on_hangup():
        signal.signal(signal.SIGHUP, lambda _number, _frame: hung_up.set())
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(PRELOADED)
    resource_tracker.ensure_running()  # else it is started below, and ends the blocking of signals

    counts = forks.RawArray("i", settings.workers)

    def fork(place: int) -> tuple[BaseProcess, float]:
        process = forks.Process(target=_run_child, args=(settings, certificate, sockets, counts, place))
        # A child keeps these until it knows what to do about them, and what it is forked from is deaf to them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGTERM])
        process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return process, time.monotonic()

    children = [fork(place) for place in range(settings.workers)]
    try:
        while not stopping.is_set():
            wait([process.sentinel for process, _ in children], timeout=0.5)
            if hung_up.is_set():
                hung_up.clear()
                _pass_on(signal.SIGHUP, [process for process, _ in children])
            for place, (process, started) in enumerate(children):
                if process.is_alive() or stopping.is_set():
                    continue
                young = time.monotonic() - started < CRASH_SECONDS
                if young and process.exitcode != -signal.SIGKILL:
                    raise UserError(f"A server process ended at once, with exit code {process.exitcode}; see its log.")
                log.error("server process died; starting another", pid=process.pid, exit_code=process.exitcode)
                if young:
                    stopping.wait(KILLED_PAUSE_SECONDS)
                children[place] = fork(place)
    finally:
        _end_together([process for process, _ in children])


def _reloads_on_hangup() -> bool:
    """Tell whether SIGHUP reloads the certificate; at a terminal it ends the server, as closing the terminal does."""
    return sys.stdin is None or not sys.stdin.isatty()


def _pass_on(number: signal.Signals, processes: list[BaseProcess]) -> None:
    for process in processes:
        if process.pid is not None and process.is_alive():
            os.kill(process.pid, number)


def _end_together(processes: list[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACEFUL_SECONDS + 2
    for process in processes:
        process.join(max(0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()


def _run_child(
    settings: Settings,
    certificate: Certificate,
    sockets: list[socket.socket],
    counts: MutableSequence[int],
    place: int,
) -> None:
    configure_logs(settings.log_format)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _run_server(settings, certificate, sockets, Shares(counts, place), threading.Event())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

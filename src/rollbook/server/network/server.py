"""Sockets and signals of one server process: how the application is served, and how it stops."""

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NoReturn

import uvicorn
from starlette.types import ASGIApp

from rollbook.console.request import Page
from rollbook.server.app import create_app
from rollbook.server.call.body import Receiver
from rollbook.server.network.connection_limits import ConnectionLimits, LimitedConnection
from rollbook.server.network.sockets import BACKLOG
from rollbook.server.network.tls import Certificate, Tls
from rollbook.settings import Settings

# For calls in progress; SIGTERM ends the process within 10 seconds in all.
GRACEFUL_SECONDS = 7


class _Server(uvicorn.Server):
    """uvicorn's server with limited connections and a plain socket beside the HTTPS one."""

    def __init__(
        self,
        config: uvicorn.Config,
        receiver: Receiver,
        tls: Tls,
        limits: ConnectionLimits,
        stopping: threading.Event,
    ) -> None:
        super().__init__(config)
        self._tls = tls
        self._receiver = receiver
        self._limits = limits
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        loop = asyncio.get_running_loop()
        if reloads_on_hangup():
            loop.add_signal_handler(signal.SIGHUP, self._tls.reload)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
        https, *plain = sockets or []
        tls = await loop.create_server(
            self._connection,
            sock=https,
            backlog=BACKLOG,
            ssl=self._tls.context,
            ssl_handshake_timeout=self._limits.head_seconds,
            ssl_shutdown_timeout=self._limits.write_seconds,
        )
        self.servers = [tls]
        for each in plain:
            self.servers.append(await loop.create_server(self._connection, sock=each, backlog=BACKLOG))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        self._receiver.shut_down()
        await super().shutdown(sockets)

    def _connection(self) -> asyncio.Protocol:
        state = {"server_state": self.server_state, "app_state": self.lifespan.state}
        return LimitedConnection(self._limits, config=self.config, **state)


def run_server(
    settings: Settings,
    certificate: Certificate,
    sockets: list[socket.socket],
    stopping: threading.Event,
    wrap: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    more_pages: Sequence[Page] = (),
) -> None:
    """Serve in this process until SIGTERM or SIGINT; a sandbox wraps the application, adds pages. Errors: UserError."""
    # uvicorn raises the signal again after its shutdown; the exit code of a requested stop is 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit_successfully)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])  # workers.py starts its children with it blocked
    app, tls = create_app(settings, more_pages), Tls(certificate)
    config = uvicorn.Config(
        wrap(app),
        loop="uvloop",
        http="httptools",
        ws="none",
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        server_header=False,
        headers=_common_headers(settings),
        log_config=None,
        access_log=False,
    )
    _Server(config, app.state.receiver, tls, ConnectionLimits(settings), stopping).run(sockets)


def _common_headers(settings: Settings) -> list[tuple[str, str]]:
    """Return the headers of every response."""
    headers = [("X-Content-Type-Options", "nosniff")]
    if settings.hsts_seconds:
        headers.append(("Strict-Transport-Security", f"max-age={settings.hsts_seconds}"))
    return headers


def _exit_successfully(_number: int, _frame: object) -> NoReturn:
    sys.exit(0)


def reloads_on_hangup() -> bool:
    """Tell whether SIGHUP reloads the certificate; on a terminal it ends the server, as closing the terminal should."""
    return sys.stdin is None or not sys.stdin.isatty()

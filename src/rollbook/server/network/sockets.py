"""Listening sockets of servers and of operations ports."""

import socket

from rollbook.errors import UserError

BACKLOG = 2048


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

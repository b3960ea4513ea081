"""Sends signed events to the receiver of a webhook (Standard Webhooks), to an address that is allowed and in time."""

import asyncio
import socket
import ssl
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from typing import NamedTuple

import httpx
from standardwebhooks import Webhook as Signature

from rollbook.actions.webhook_addresses import Networks, may_reach, refusal
from rollbook.model import utc_now
from rollbook.worker.webhook_events import Event

# What is read of an answer, so that its connection can be used again.
MAX_ANSWER_BYTES, ANSWER_SECONDS = 16_384, 1
GONE = 410


class Failure(NamedTuple):
    """Why an event was not delivered; `gone` when the receiver wants no more of them."""

    sentence: str
    gone: bool = False


class Receiver:
    """The receiver at a URL. Its name is resolved once, and the connection goes to the address that was checked.

    A delivery may take `seconds`: name, connection, TLS, request and answer together.
    """

    def __init__(self, url: str, secret: str, allowed: Networks, seconds: float) -> None:
        self._url = httpx.URL(url)
        self._signature = Signature(secret)
        self._allowed = allowed
        self._seconds = seconds
        self._addresses: list[str] = []
        # No proxy, credentials or other settings of the environment.
        self._client = httpx.AsyncClient(verify=_trust(), trust_env=False, follow_redirects=False, timeout=seconds + 1)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def send(self, event: Event) -> Failure | None:
        """Send an event; None when the receiver has accepted it, with a status of 200 to 299."""
        try:
            async with asyncio.timeout(self._seconds):
                status = await self._post(event)
        except PermissionError as error:
            return Failure(str(error))
        except TimeoutError:
            return Failure(f"There was no answer within {self._seconds:g} s.")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return Failure(f"{type(error).__name__}: {error}"[:300])
        if 200 <= status < 300:
            return None
        more = "; redirects are not followed" if 300 <= status < 400 else ""
        return Failure(f"The receiver answered {status}{more}.", gone=status == GONE)

    async def _post(self, event: Event) -> int:
        """Send an event to the first address that can be connected to, and return the status of the answer."""
        self._addresses = self._addresses or await self._resolve()
        while True:
            try:
                async with self._client.stream(
                    "POST",
                    self._url.copy_with(host=self._addresses[0]),
                    content=event.body.encode(),
                    headers=self._headers(event),
                    extensions={"sni_hostname": self._url.raw_host.decode()},
                ) as response:
                    await _read_some(response)
                    return response.status_code
            except httpx.ConnectError:
                if len(self._addresses) == 1:
                    raise
                del self._addresses[0]

    async def _resolve(self) -> list[str]:
        """Return the addresses of the host that may be reached; errors: PermissionError, OSError."""
        host, secure = self._url.raw_host.decode(), self._url.scheme == "https"
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, self._url.port or 443, type=socket.SOCK_STREAM)
        addresses = [str(each[4][0]) for each in found]
        reached = [each for each in addresses if may_reach(ip_address(each), self._allowed, secure=secure)]
        if not reached:
            raise PermissionError(refusal(host, addresses[0], secure=secure))
        return reached

    def _headers(self, event: Event) -> dict[str, str]:
        now = utc_now()
        return {
            "Host": self._url.netloc.decode(),
            "User-Agent": "Rollbook",
            "Content-Type": "application/json",
            "webhook-id": event.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signature.sign(event.id, now, event.body),
        }


async def _read_some(response: httpx.Response) -> None:
    """Read the rest of an answer up to its limits; a longer or slower one costs the connection."""
    size = 0
    with suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(ANSWER_SECONDS):
            async for part in response.aiter_raw():
                size += len(part)
                if size > MAX_ANSWER_BYTES:
                    return


@cache
def _trust() -> ssl.SSLContext:
    """Trust what the system trusts; SSL_CERT_FILE names another file."""
    return ssl.create_default_context()

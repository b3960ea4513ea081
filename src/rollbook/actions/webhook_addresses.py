"""Which addresses webhooks may reach: public ones over HTTPS, and those of ROLLBOOK_WEBHOOK_ADDRESSES."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpx

from rollbook.errors import UserError

Networks = Sequence[IPv4Network | IPv6Network]

MAX_URL_LENGTH = 2000
# The addresses of IPv6 that belong to one machine and hold no address of IPv4.
UNICAST, SIX_TO_FOUR = ip_network("2000::/3"), ip_network("2002::/16")
SETTING = "ROLLBOOK_WEBHOOK_ADDRESSES"


def read_networks(text: str) -> Networks:
    """Read addresses and networks, separated by commas; errors: ValueError."""
    return [ip_network(part, strict=False) for part in filter(None, text.replace(" ", "").split(","))]


def may_reach(address: IPv4Address | IPv6Address, allowed: Networks, *, secure: bool) -> bool:
    """Tell whether a webhook may connect to an address; without `secure`, over plain HTTP."""
    if any(address in network for network in allowed):
        return True
    single = address.version == 4 or (address in UNICAST and address not in SIX_TO_FOUR)
    return secure and single and address.is_global and not address.is_multicast


def check_url(url: str, allowed: Networks) -> str:
    """Return the host of a webhook's URL; errors: UserError. Where a name leads to is checked at each delivery."""
    if len(url) > MAX_URL_LENGTH:
        raise UserError(f"The URL has {len(url)} characters; at most {MAX_URL_LENGTH} are possible.")
    try:
        read = httpx.URL(url)
        host, port = read.host, read.port
        read.raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError):
        raise UserError(f"{url[:200]!r} is not a URL such as https://hooks.example.org/rollbook.") from None
    if read.scheme not in ("https", "http") or not host or "%" in host or not 0 < (port or 443) < 65_536:
        raise UserError(f"{url[:200]!r} is not a URL such as https://hooks.example.org/rollbook.")
    if read.userinfo or read.fragment:
        raise UserError("The URL of a webhook has no user, no password and no fragment: every event is signed instead.")
    if read.scheme == "http" and not allowed:
        raise UserError(f"The URL of a webhook begins with https://; plain HTTP is for addresses in {SETTING}.")
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not may_reach(address, allowed, secure=read.scheme == "https"):
        raise UserError(refusal(host, host, secure=read.scheme == "https"))
    return host


def refusal(host: str, address: str, *, secure: bool) -> str:
    """Explain why an address may not be reached."""
    name = host if host == address else f"{host} is {address}, which"
    kind = "is not a public address" if secure else "is reached over plain HTTP"
    return f"{name} {kind}, and {SETTING} does not name it."

"""What a page says after a redirect, once: kept with the sign-in, sealed with its cookie, so that no link can forge it.

The database holds neither the cookie nor anything that opens the seal: a new key or password on its way to the page
that shows it cannot be read there.
"""

import base64
import hashlib
import json
from dataclasses import asdict, dataclass

from cryptography.fernet import Fernet, InvalidToken

# A redirect is followed at once; what is not shown by then is never shown.
SECONDS = 600


@dataclass(frozen=True)
class Notice:
    """What the page at `path` says, and a new secret that it shows, `secret`, under the heading `of`."""

    path: str
    sentence: str
    of: str = ""
    secret: str = ""


def seal(notice: Notice, token: str) -> bytes:
    """Encrypt a notice so that only the browser with this cookie can have it shown."""
    return _cipher(token).encrypt(json.dumps(asdict(notice)).encode())


def unseal(sealed: bytes, token: str) -> Notice | None:
    """Decrypt a notice; None when it is too old, or sealed with another cookie."""
    try:
        return Notice(**json.loads(_cipher(token).decrypt(sealed, ttl=SECONDS)))
    except InvalidToken:
        return None


def _cipher(token: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"rollbook console notice " + token.encode()).digest()))

"""Flash messages: shown once after a redirect, kept with the session, encrypted with a key derived from its cookie.

No link can forge one. The database holds only the cookie's digest, so that a new key or password in a notice cannot be
read there.
"""

import base64
import hashlib
import json
from dataclasses import asdict, dataclass

from cryptography.fernet import Fernet, InvalidToken

# A redirect is followed at once; an older notice is dropped.
MAX_AGE_SECONDS = 600


@dataclass(frozen=True)
class Notice:
    """A sentence for the page at `path`, with a new `secret` to show under the heading `of`, if any."""

    path: str
    sentence: str
    of: str = ""
    secret: str = ""


def seal(notice: Notice, token: str) -> bytes:
    """Encrypt a notice for the browser that holds this cookie."""
    return _cipher(token).encrypt(json.dumps(asdict(notice)).encode())


def unseal(sealed: bytes, token: str) -> Notice | None:
    """Decrypt a notice; None when it is too old or belongs to another cookie."""
    try:
        return Notice(**json.loads(_cipher(token).decrypt(sealed, ttl=MAX_AGE_SECONDS)))
    except InvalidToken:
        return None


def _cipher(token: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"rollbook console notice " + token.encode()).digest()))

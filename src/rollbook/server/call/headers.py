"""Reads the extension headers: Idempotency-Key and Rollbook-… (protocol §8, D21, D32)."""

import re
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import unquote

from rollbook.errors import TransportError
from rollbook.model import MAX_ID, Extensions, read_reason

VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
NUMBER = re.compile(r"[1-9][0-9]{0,18}")


def read_extensions(headers: Mapping[str, str]) -> Extensions:
    """Read the headers; errors: TransportError 422 for an invalid value.

    A reason that is not ASCII is UTF-8, percent-encoded or as it is.
    """
    key = headers.get("idempotency-key")
    if key is not None and not VISIBLE.fullmatch(key):
        raise TransportError(422, "Idempotency-Key is 1 to 255 visible ASCII characters")
    dry_run = headers.get("rollbook-dry-run", "false").strip().lower()
    if dry_run not in ("true", "false"):
        raise TransportError(422, "Rollbook-Dry-Run is true or false")
    reason = _read_reason(headers.get("rollbook-reason", ""))
    return Extensions(key, dry_run == "true", reason, _read_batch(headers.get("rollbook-batch")))


def _read_batch(value: str | None) -> int | None:
    if value is None:
        return None
    if not NUMBER.fullmatch(value) or int(value) > MAX_ID:
        raise TransportError(422, "Rollbook-Batch is the number of a batch")
    return int(value)


def _read_reason(value: str) -> str | None:
    # The server gives bytes as Latin-1, in which a reason that is not UTF-8 stays.
    with suppress(UnicodeDecodeError):
        value = value.encode("latin-1").decode("utf-8")
    try:
        return read_reason(unquote(value, errors="strict"))
    except UnicodeDecodeError:
        raise TransportError(422, "Rollbook-Reason is percent-encoded, but not as UTF-8") from None
    except ValueError as error:
        raise TransportError(422, f"Rollbook-Reason: {error}") from None

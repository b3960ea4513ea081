"""Repeats work after a deadlock or another conflict between transactions."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from sqlalchemy.exc import IntegrityError

from rollbook.errors import ConflictError

# How often work is attempted when it conflicts with other transactions.
ATTEMPTS = 3

T = TypeVar("T")


def repeat(work: Callable[[], T]) -> T:
    """Do the work, and again after a conflict with another transaction, which a new attempt sees the changes of.

    Errors: those of the work; ConflictError or IntegrityError when every attempt conflicts.
    """
    for _ in range(ATTEMPTS - 1):
        with suppress(IntegrityError, ConflictError):
            return work()
    return work()

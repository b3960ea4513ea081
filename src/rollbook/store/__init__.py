"""The only code that knows SQL: one module a subject, the same functions on SQLite and on PostgreSQL.

A module is imported when it is first used, as `store.queue`: so the methods of the API can be imported, as the client
does, without a database (docs/decisions/0025).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection as Connection

    from rollbook.store import audit as audit
    from rollbook.store import enrolling as enrolling
    from rollbook.store import history as history
    from rollbook.store import queue as queue
    from rollbook.store import reports as reports
    from rollbook.store import retention as retention
    from rollbook.store import undo as undo
    from rollbook.store import unenrollments as unenrollments
    from rollbook.store import workers as workers


def __getattr__(name: str) -> object:
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None

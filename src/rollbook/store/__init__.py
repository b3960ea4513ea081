"""All SQL of Rollbook, one room a subject; every function works on SQLite and on PostgreSQL.

Modules that the API's methods use are imported at their first use, as `store.undo`: so the client can import the
methods without a database (docs/decisions/0025).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection as Connection

    from rollbook.store.learning import auto_enroll as auto_enroll
    from rollbook.store.learning import courses as courses
    from rollbook.store.learning import enroll as enroll
    from rollbook.store.learning import progress as progress
    from rollbook.store.learning import report as report
    from rollbook.store.learning import retention as retention
    from rollbook.store.operations import audit as audit
    from rollbook.store.operations import webhook_feed as webhook_feed
    from rollbook.store.operations import webhooks as webhooks
    from rollbook.store.people import group_changes as group_changes
    from rollbook.store.people import group_search as group_search
    from rollbook.store.people import groups as groups
    from rollbook.store.people import learner_sessions as learner_sessions
    from rollbook.store.people import learners as learners
    from rollbook.store.people import memberships as memberships
    from rollbook.store.people import permissions as permissions
    from rollbook.store.people import profiles as profiles
    from rollbook.store.people import user_list as user_list
    from rollbook.store.queue import accept as accept
    from rollbook.store.queue import history as history
    from rollbook.store.queue import state as state
    from rollbook.store.queue import undo as undo
    from rollbook.store.queue import workers as workers
    from rollbook.store.roster import apply as apply
    from rollbook.store.roster import grades as grades

_ROOMS = {
    **dict.fromkeys(("auto_enroll", "courses", "enroll", "progress", "report", "retention"), "learning"),
    **dict.fromkeys(("accept", "history", "state", "undo", "workers"), "queue"),
    **dict.fromkeys(("audit", "webhook_feed", "webhooks"), "operations"),
    **dict.fromkeys(("apply", "grades"), "roster"),
    **dict.fromkeys(("group_changes", "group_search", "groups", "learner_sessions", "learners"), "people"),
    **dict.fromkeys(("memberships", "permissions", "profiles", "user_list"), "people"),
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{_ROOMS[name]}.{name}")

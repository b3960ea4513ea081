"""Rollbook: a self-hosted enrollment server that speaks SmarterU's XML API, and a client for it.

What a program needs stands here: the client, what its calls take and give back, and the errors that it can catch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from rollbook.errors import CallRefusedError, ClientError, NotAnAnswerError, RollbookError, ServerUnreachableError

if TYPE_CHECKING:
    from rollbook.client.client import Client
    from rollbook.client.groups import Group, GroupCourse, GroupValues, Member, Tag
    from rollbook.client.people import Authorization, User, UserFilters, UserGroup, UserValues
    from rollbook.client.requests import Enrollment, PastEnrollment, Progress, ReportFilters
    from rollbook.client.results import Batch, Outcome, QueueState

    __version__: str

__all__ = [
    "Authorization",
    "Batch",
    "CallRefusedError",
    "Client",
    "ClientError",
    "Enrollment",
    "Group",
    "GroupCourse",
    "GroupValues",
    "Member",
    "NotAnAnswerError",
    "Outcome",
    "PastEnrollment",
    "Progress",
    "QueueState",
    "ReportFilters",
    "RollbookError",
    "ServerUnreachableError",
    "Tag",
    "User",
    "UserFilters",
    "UserGroup",
    "UserValues",
]
# Imported when they are first asked for: a server has no need of an HTTP client, and no command but one of the version.
_HOMES = {
    "Client": "rollbook.client.client",
    "Authorization": "rollbook.client.people",
    "User": "rollbook.client.people",
    "UserFilters": "rollbook.client.people",
    "UserGroup": "rollbook.client.people",
    "UserValues": "rollbook.client.people",
    "Batch": "rollbook.client.results",
    "Outcome": "rollbook.client.results",
    "QueueState": "rollbook.client.results",
    "Enrollment": "rollbook.client.requests",
    "PastEnrollment": "rollbook.client.requests",
    **dict.fromkeys(("Group", "GroupCourse", "GroupValues", "Member", "Tag"), "rollbook.client.groups"),
    "Progress": "rollbook.client.requests",
    "ReportFilters": "rollbook.client.requests",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("rollbook")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

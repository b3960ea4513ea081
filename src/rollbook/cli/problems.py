"""The findings of `rollbook doctor`: one for each part it checks, with advice about problems."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How bad a finding is: a problem keeps something from working, a warning is about to."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """A part of the installation, its state, and what to do about it."""

    part: str
    found: str
    state: State = State.OK
    advice: str = ""


def warning(part: str, found: str, advice: str) -> Finding:
    """Make a finding of something that will become a problem."""
    return Finding(part, found, State.WARNING, advice)


def problem(part: str, found: str, advice: str) -> Finding:
    """Make a finding of something that does not work."""
    return Finding(part, found, State.PROBLEM, advice)

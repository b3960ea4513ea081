"""The brake: who selects too large a share of a course is stopped, and has to say that it is intended."""

from collections.abc import Iterable
from dataclasses import dataclass

# The share of a course, in per cent, above which the console and the command line stop.
MAX_PERCENT = 50


@dataclass(frozen=True)
class CourseShare:
    """The selected enrollments of a course: how many of all, how many have started or are completed or queued."""

    course: str
    chosen: int
    enrolled: int
    started: int
    completed: int
    queued: int = 0

    @property
    def percent(self) -> float:
        """The per cent of the course's enrollments that are selected."""
        return 100 * self.chosen / max(1, self.enrolled)


def find_large_shares(shares: Iterable[CourseShare], max_percent: float = MAX_PERCENT) -> list[CourseShare]:
    """Return the shares that are larger than allowed."""
    return [share for share in shares if share.percent > max_percent]

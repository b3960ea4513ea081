"""What an account has of what its first unenrollment needs."""

from dataclasses import dataclass

import sqlalchemy as sa

from rollbook.store.database.execute import execute

_READ = """
    SELECT EXISTS (SELECT 1 FROM enrollments WHERE account_id = :account_id),
           COUNT(CASE WHEN user_id IS NULL AND revoked_at IS NULL THEN 1 END) > 0
           AND COUNT(CASE WHEN user_id IS NOT NULL AND revoked_at IS NULL THEN 1 END) > 0,
           COUNT(last_used_at) > 0
    FROM keys WHERE account_id = :account_id
"""


@dataclass(frozen=True)
class FirstSteps:
    """Whether the account has enrollments, both keys that a program needs, and a program that has called."""

    enrollments: bool
    keys: bool
    called: bool

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.enrollments and self.keys and self.called


def read_first_steps(connection: sa.Connection, account_id: int) -> FirstSteps:
    """Read what is done."""
    [row] = execute(connection, _READ, {"account_id": account_id})
    return FirstSteps(*map(bool, row))

"""Accounts and people, what they learn, and who is enrolled in what."""

import sqlalchemy as sa

from rollbook.model import EnrollmentStatus, Role, UnenrollmentStatus
from rollbook.store.database.tables.columns import account_id, metadata, one_of, own_id, time_column

ENDED = [status for status in UnenrollmentStatus if status is not UnenrollmentStatus.PENDING]

accounts = sa.Table(
    "accounts",
    metadata,
    own_id(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("protect_completed", sa.Boolean, nullable=False),
    sa.Column("hold_seconds", sa.Integer, nullable=False),
    sa.Column("retention_days", sa.Integer),
    time_column("queue_paused_at", nullable=True),
    # Counts what has been done to the account's unenrollments, one number a transaction; the feed goes by it.
    sa.Column("last_change", sa.BigInteger, nullable=False, server_default="0"),
    # How many items have ended in which way, as of one change; that is the last one unless another release made it.
    sa.Column("counted_change", sa.BigInteger),
    *(sa.Column(f"counted_{status.lower()}", sa.BigInteger, nullable=False, server_default="0") for status in ENDED),
    time_column("created_at"),
    # The progress of whatever ended until then has been deleted, or is just being deleted.
    time_column("purged_through", nullable=True),
    sa.CheckConstraint("hold_seconds >= 0", name="hold_seconds"),
    sa.CheckConstraint("retention_days >= 0", name="retention_days"),
)

users = sa.Table(
    "users",
    metadata,
    own_id(),
    account_id(),
    sa.Column("external_id", sa.Text),
    sa.Column("email", sa.Text),
    # The form by which an e-mail is found in any case of its letters (store/emails), and the e-mail of which it was
    # made: where that is another one now, it is made anew. NULL where another user of the account has the same form.
    sa.Column("email_folded", sa.Text),
    sa.Column("email_folded_from", sa.Text),
    sa.Column("alternate_email", sa.Text),
    sa.Column("employee_id", sa.Text),
    sa.Column("given_name", sa.Text, nullable=False),
    sa.Column("family_name", sa.Text, nullable=False),
    sa.Column("title", sa.Text),
    sa.Column("division", sa.Text),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    # Of who may sign in to the console: argon2, with its parameters and salt.
    sa.Column("password_hash", sa.Text),
    time_column("created_at"),
    time_column("modified_at"),
    sa.UniqueConstraint("account_id", "external_id"),
    sa.UniqueConstraint("account_id", "employee_id"),
    one_of("role", Role),
)
# Of the few among the many.
_staff = sa.text("role <> 'learner'")
sa.Index("ix_users_staff", users.c.account_id, sqlite_where=_staff, postgresql_where=_staff)
sa.Index("uq_users_account_id_email", users.c.account_id, sa.func.lower(users.c.email), unique=True)
_folded = sa.text("email_folded_from = email")
sa.Index(
    "uq_users_account_id_email_folded",
    users.c.account_id,
    users.c.email_folded,
    unique=True,
    sqlite_where=_folded,
    postgresql_where=_folded,
)
_unfolded = sa.text("email IS DISTINCT FROM email_folded_from")
sa.Index("ix_users_unfolded", users.c.id, sqlite_where=_unfolded, postgresql_where=_unfolded)

# A key of an account has no user. Only digests are kept; a key is shown once, when it is made.
keys = sa.Table(
    "keys",
    metadata,
    own_id(),
    account_id(),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id")),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    time_column("created_at"),
    time_column("revoked_at", nullable=True),
)

groups = sa.Table(
    "groups",
    metadata,
    own_id(),
    account_id(),
    sa.Column("external_id", sa.Text),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    time_column("created_at"),
    time_column("modified_at"),
    sa.UniqueConstraint("account_id", "external_id"),
)

memberships = sa.Table(
    "memberships",
    metadata,
    account_id(),
    sa.Column("group_id", sa.BigInteger, sa.ForeignKey("groups.id"), primary_key=True),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("group_manager", sa.Boolean, nullable=False),
    sa.Column("manage_group_users", sa.Boolean, nullable=False),
)

courses = sa.Table(
    "courses",
    metadata,
    own_id(),
    account_id(),
    sa.Column("external_id", sa.Text),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("term", sa.Text),
    sa.Column("duration", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    time_column("created_at"),
    time_column("modified_at"),
    sa.UniqueConstraint("account_id", "external_id"),
    sa.CheckConstraint("status IN ('Active', 'Inactive', 'Archived')", name="status"),
)

sessions = sa.Table(
    "sessions",
    metadata,
    own_id(),
    account_id(),
    sa.Column("course_id", sa.BigInteger, sa.ForeignKey("courses.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    time_column("starts_at", nullable=True),
    time_column("ends_at", nullable=True),
)

# A current enrolment has no unenrolled_at. Unenrolling sets it and touches nothing else, which makes undo exact.
# Purging, when retention is over, empties the progress and leaves the row for the history.
enrollments = sa.Table(
    "enrollments",
    metadata,
    own_id(),
    account_id(),
    sa.Column("external_id", sa.Text),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("group_id", sa.BigInteger, sa.ForeignKey("groups.id"), nullable=False),
    sa.Column("course_id", sa.BigInteger, sa.ForeignKey("courses.id"), nullable=False),
    sa.Column("session_id", sa.BigInteger, sa.ForeignKey("sessions.id")),
    sa.Column("tag", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("progress", sa.Text),
    sa.Column("grade", sa.Text),
    sa.Column("grade_percentage", sa.Text),
    sa.Column("points", sa.Text),
    time_column("enrolled_at"),
    time_column("started_at", nullable=True),
    time_column("completed_at", nullable=True),
    time_column("last_accessed_at", nullable=True),
    time_column("due_at", nullable=True),
    time_column("grace_period_at", nullable=True),
    time_column("access_ends_at", nullable=True),
    time_column("created_at"),
    time_column("modified_at"),
    time_column("unenrolled_at", nullable=True),
    time_column("purged_at", nullable=True),
    sa.UniqueConstraint("account_id", "external_id"),
    one_of("status", EnrollmentStatus),
    sa.CheckConstraint("purged_at IS NULL OR unenrolled_at IS NOT NULL", name="purged_after_unenrolled"),
    sqlite_autoincrement=True,
)
_open = sa.text("unenrolled_at IS NULL AND status <> 'Completed'")
sa.Index(
    "uq_enrollments_open",
    enrollments.c.user_id,
    enrollments.c.course_id,
    unique=True,
    sqlite_where=_open,
    postgresql_where=_open,
)
sa.Index("ix_enrollments_learner", enrollments.c.user_id, enrollments.c.course_id)
_retained = sa.text("unenrolled_at IS NOT NULL AND purged_at IS NULL")
_current = sa.text("unenrolled_at IS NULL")
sa.Index(
    "ix_enrollments_current",
    enrollments.c.account_id,
    enrollments.c.id,
    sqlite_where=_current,
    postgresql_where=_current,
)
sa.Index(
    "ix_enrollments_retained",
    enrollments.c.account_id,
    enrollments.c.unenrolled_at,
    sqlite_where=_retained,
    postgresql_where=_retained,
)

"""The tables as SQLAlchemy Core; invariants live here, as constraints. Migrations bring an older database here."""

import sqlalchemy as sa

from rollbook.model import EnrollmentStatus, Role, UnenrollmentStatus
from rollbook.store.dialects import UtcTime

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# SQLite numbers rows by itself only in a column of this very type; PostgreSQL gets its bigint.
BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _one_of(column: str, values: type[Role | EnrollmentStatus | UnenrollmentStatus]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def _id() -> sa.Column[int]:
    return sa.Column("id", BIG_ID, primary_key=True)


def _account() -> sa.Column[int]:
    return sa.Column("account_id", sa.BigInteger, sa.ForeignKey("accounts.id"), nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, UtcTime, nullable=nullable)


accounts = sa.Table(
    "accounts",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("protect_completed", sa.Boolean, nullable=False),
    sa.Column("hold_seconds", sa.Integer, nullable=False),
    sa.Column("retention_days", sa.Integer),
    _time("queue_paused_at", nullable=True),
    # Counts what has been done to the account's unenrollments, one number a transaction; the feed goes by it.
    sa.Column("last_change", sa.BigInteger, nullable=False, server_default="0"),
    _time("created_at"),
    sa.CheckConstraint("hold_seconds >= 0", name="hold_seconds"),
    sa.CheckConstraint("retention_days >= 0", name="retention_days"),
)

users = sa.Table(
    "users",
    metadata,
    _id(),
    _account(),
    sa.Column("external_id", sa.Text),
    sa.Column("email", sa.Text),
    sa.Column("alternate_email", sa.Text),
    sa.Column("employee_id", sa.Text),
    sa.Column("given_name", sa.Text, nullable=False),
    sa.Column("family_name", sa.Text, nullable=False),
    sa.Column("title", sa.Text),
    sa.Column("division", sa.Text),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    _time("created_at"),
    _time("modified_at"),
    sa.UniqueConstraint("account_id", "external_id"),
    sa.UniqueConstraint("account_id", "employee_id"),
    _one_of("role", Role),
)
sa.Index("uq_users_account_id_email", users.c.account_id, sa.func.lower(users.c.email), unique=True)

# A key of an account has no user. Only digests are kept; a key is shown once, when it is made.
keys = sa.Table(
    "keys",
    metadata,
    _id(),
    _account(),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id")),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    _time("created_at"),
    _time("revoked_at", nullable=True),
)

groups = sa.Table(
    "groups",
    metadata,
    _id(),
    _account(),
    sa.Column("external_id", sa.Text),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    _time("created_at"),
    _time("modified_at"),
    sa.UniqueConstraint("account_id", "external_id"),
)

memberships = sa.Table(
    "memberships",
    metadata,
    _account(),
    sa.Column("group_id", sa.BigInteger, sa.ForeignKey("groups.id"), primary_key=True),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("group_manager", sa.Boolean, nullable=False),
    sa.Column("manage_group_users", sa.Boolean, nullable=False),
)

courses = sa.Table(
    "courses",
    metadata,
    _id(),
    _account(),
    sa.Column("external_id", sa.Text),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("term", sa.Text),
    sa.Column("duration", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    _time("created_at"),
    _time("modified_at"),
    sa.UniqueConstraint("account_id", "external_id"),
    sa.CheckConstraint("status IN ('Active', 'Inactive', 'Archived')", name="status"),
)

sessions = sa.Table(
    "sessions",
    metadata,
    _id(),
    _account(),
    sa.Column("course_id", sa.BigInteger, sa.ForeignKey("courses.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    _time("starts_at", nullable=True),
    _time("ends_at", nullable=True),
)

# A current enrolment has no unenrolled_at. Unenrolling sets it and touches nothing else, which makes undo exact.
# Purging, when retention is over, empties the progress and leaves the row for the history.
enrollments = sa.Table(
    "enrollments",
    metadata,
    _id(),
    _account(),
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
    _time("enrolled_at"),
    _time("started_at", nullable=True),
    _time("completed_at", nullable=True),
    _time("last_accessed_at", nullable=True),
    _time("due_at", nullable=True),
    _time("grace_period_at", nullable=True),
    _time("access_ends_at", nullable=True),
    _time("created_at"),
    _time("modified_at"),
    _time("unenrolled_at", nullable=True),
    _time("purged_at", nullable=True),
    sa.UniqueConstraint("account_id", "external_id"),
    _one_of("status", EnrollmentStatus),
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

# One accepted call, or one import that ended enrolments (then nobody's key was used and requested_by is empty).
batches = sa.Table(
    "batches",
    metadata,
    _id(),
    _account(),
    sa.Column("requested_by", sa.BigInteger, sa.ForeignKey("users.id")),
    sa.Column("reason", sa.Text),
    sa.Column("idempotency_key", sa.Text),
    _time("requested_at"),
    sa.Index("ix_batches_account", "account_id", "id"),
    sqlite_autoincrement=True,
)

# The items of a batch that were not queued, each with the code that the caller was answered.
refusals = sa.Table(
    "refusals",
    metadata,
    sa.Column("batch_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("block", sa.Integer, primary_key=True, autoincrement=False),
    _account(),
    sa.Column("identifier", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

# The queue and the history. No foreign keys: they would cost a quarter of the accept rate (decision 0003), and
# batches and enrolments are never deleted.
unenrollments = sa.Table(
    "unenrollments",
    metadata,
    sa.Column("batch_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("block", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("account_id", sa.BigInteger, nullable=False),
    sa.Column("enrollment_id", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("notes", sa.Text),
    _time("requested_at"),
    _time("due_at"),
    _time("finished_at", nullable=True),
    sa.Column("removed_by", sa.BigInteger),
    sa.Column("restored_by", sa.BigInteger),
    _time("restored_at", nullable=True),
    sa.Column("change", sa.BigInteger),
    _one_of("status", UnenrollmentStatus),
    sa.CheckConstraint("(status = 'Pending') = (finished_at IS NULL)", name="finished"),
    sqlite_with_rowid=False,
)
# At most one item of an enrolment is waiting or done and not undone: the schema itself forbids accepting an id twice,
# even while a worker finishes the first item.
_live = sa.text("status IN ('Pending', 'Complete')")
sa.Index(
    "uq_unenrollments_live",
    unenrollments.c.enrollment_id,
    unique=True,
    sqlite_where=_live,
    postgresql_where=_live,
)
_pending = sa.text("status = 'Pending'")
sa.Index(
    "ix_unenrollments_due",
    unenrollments.c.account_id,
    unenrollments.c.due_at,
    sqlite_where=_pending,
    postgresql_where=_pending,
)
_closed = sa.text("status NOT IN ('Pending', 'Complete')")
sa.Index(
    "ix_unenrollments_closed",
    unenrollments.c.enrollment_id,
    sqlite_where=_closed,
    postgresql_where=_closed,
)
_changed = sa.text("change IS NOT NULL")
sa.Index(
    "ix_unenrollments_change",
    unenrollments.c.account_id,
    unenrollments.c.change,
    sqlite_where=_changed,
    postgresql_where=_changed,
)

# The answers of calls that carried an Idempotency-Key, byte for byte, for a day (D21).
answers = sa.Table(
    "answers",
    metadata,
    _account(),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("package_digest", sa.LargeBinary, nullable=False),
    sa.Column("succeeded", sa.Boolean, nullable=False),
    sa.Column("batch_id", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
    _time("created_at"),
    sa.Index("ix_answers_created_at", "created_at"),
)

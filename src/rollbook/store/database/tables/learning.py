"""Accounts, users, keys, groups, courses, sessions and enrollments."""

import sqlalchemy as sa

from rollbook.model import EnrollmentStatus, Permission, Role, UnenrollmentStatus
from rollbook.store.database.sql import OPEN
from rollbook.store.database.tables.columns import account_id, metadata, one_of, own_id, time_column

# What the search of users is made from, and the rows whose `search_text` is outdated (people/search_text.py).
SEARCHED = "given_name || ' ' || family_name || ' ' || COALESCE(email, '') || ' ' || COALESCE(employee_id, '')"
UNSEARCHABLE = f"search_from IS DISTINCT FROM ({SEARCHED})"
ENDED = [status for status in UnenrollmentStatus if status is not UnenrollmentStatus.PENDING]

accounts = sa.Table(
    "accounts",
    metadata,
    own_id(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("protect_completed", sa.Boolean, nullable=False),
    sa.Column("hold_seconds", sa.Integer, nullable=False),
    sa.Column("retention_days", sa.Integer),
    sa.Column("require_second_factor", sa.Boolean, nullable=False, server_default=sa.false()),
    time_column("queue_paused_at", nullable=True),
    # Numbers the transactions that change the account's unenrollments, for the feed of changes.
    sa.Column("last_change", sa.BigInteger, nullable=False, server_default="0"),
    # Counts of ended items by status, up to `counted_change`; releases that do not count leave it behind.
    sa.Column("counted_change", sa.BigInteger),
    *(sa.Column(f"counted_{status.lower()}", sa.BigInteger, nullable=False, server_default="0") for status in ENDED),
    time_column("created_at"),
    # The progress of enrollments that ended until then is deleted, or is being deleted.
    time_column("purged_through", nullable=True),
    # The addresses from which requestExternalAuthorization may be called, as a JSON list; NULL: all of them.
    sa.Column("authorization_addresses", sa.Text),
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
    # The case-insensitive form of the e-mail (people/emails.py), and the e-mail that it was made from: where the two
    # e-mails differ, the form is outdated. NULL where another user of the account has the same form.
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
    # The password for the console: argon2, with its parameters and salt.
    sa.Column("password_hash", sa.Text),
    sa.Column("timezone", sa.Text),
    # Elements that the API stores and returns unchanged, as JSON by element name.
    sa.Column("profile", sa.Text),
    time_column("created_at"),
    time_column("modified_at"),
    # Personal data has been removed; the row stays for the history.
    time_column("erased_at", nullable=True),
    # The folded form of what is searched, and what it was made from.
    sa.Column("search_text", sa.Text),
    sa.Column("search_from", sa.Text),
    sa.UniqueConstraint("account_id", "external_id"),
    sa.UniqueConstraint("account_id", "employee_id"),
    one_of("role", Role),
)
# For the few users who are not learners.
_staff = sa.text("role <> 'learner'")
sa.Index("ix_users_staff", users.c.account_id, sqlite_where=_staff, postgresql_where=_staff)
sa.Index("uq_users_account_id_email", users.c.account_id, sa.func.lower(users.c.email), unique=True)
# listUsers lists the learners by name or by employee id.
_learner = sa.text("role = 'learner'")
_name_order = (sa.func.lower(users.c.given_name), sa.func.lower(users.c.family_name))
_employee_order = (sa.func.lower(sa.func.coalesce(users.c.employee_id, sa.literal_column("''"))),)
for _order, _columns, _named in (
    ("name", _name_order, ["given_name", "family_name"]),
    ("employee_id", _employee_order, ["employee_id"]),
):
    sa.Index(
        f"ix_users_{_order}",
        users.c.account_id,
        *_columns,
        users.c.id,
        users.c.active,
        sqlite_where=_learner,
        postgresql_where=_learner,
        postgresql_include=_named,  # without them PostgreSQL reads the row for every entry
    )
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
# A search reads this index alone, in the order of ids.
sa.Index("ix_users_search", users.c.account_id, users.c.id, users.c.search_text)
_unsearchable = sa.text(UNSEARCHABLE)
sa.Index("ix_users_unsearchable", users.c.id, sqlite_where=_unsearchable, postgresql_where=_unsearchable)
sa.Index("ix_users_unfolded", users.c.id, sqlite_where=_unfolded, postgresql_where=_unfolded)

user_teams = sa.Table(
    "user_teams",
    metadata,
    account_id(),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Index("ix_user_teams_name", "account_id", "name"),
)

# A key of an account has no user. Only digests are kept; a key is shown once, when it is made. Its last use is stored
# to the minute. A worker revokes an expired key, for servers of a release that does not know expiry.
keys = sa.Table(
    "keys",
    metadata,
    own_id(),
    account_id(),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id")),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    time_column("created_at"),
    time_column("revoked_at", nullable=True),
    sa.Column("name", sa.Text),
    time_column("expires_at", nullable=True),
    time_column("last_used_at", nullable=True),
)

groups = sa.Table(
    "groups",
    metadata,
    own_id(),
    account_id(),
    sa.Column("external_id", sa.Text),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    # GroupID on the wire, the account's own text; without one it is the number of the group (D24).
    sa.Column("identifier", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("home_group_message", sa.Text),
    # A JSON list.
    sa.Column("notification_emails", sa.Text),
    sa.Column("user_limit", sa.Integer),
    # Elements that the API stores unchanged, as JSON by element name.
    sa.Column("details", sa.Text),
    time_column("created_at"),
    time_column("modified_at"),
    sa.UniqueConstraint("account_id", "external_id"),
    sa.Index("uq_groups_account_id_identifier", "account_id", "identifier", unique=True),
    sa.Index("ix_groups_name", "account_id", "name"),
)

# A tag of a group; `tag_id` is the number of the tag in its account, the same wherever its name is the same.
group_tags = sa.Table(
    "group_tags",
    metadata,
    account_id(),
    sa.Column("group_id", sa.BigInteger, sa.ForeignKey("groups.id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("tag_id", sa.BigInteger, nullable=False),
    # Comma-separated, as on the wire.
    sa.Column("tag_values", sa.Text, nullable=False),
    sa.Index("ix_group_tags_name", "account_id", "name"),
)


def _given(permission: Permission) -> sa.ColumnElement[bool] | None:
    """What a release that does not know the permission writes; the two of the first release have no such default."""
    first = (Permission.MANAGE_GROUP, Permission.MANAGE_GROUP_USERS)
    return None if permission in first else sa.false()


memberships = sa.Table(
    "memberships",
    metadata,
    account_id(),
    sa.Column("group_id", sa.BigInteger, sa.ForeignKey("groups.id"), primary_key=True),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), primary_key=True),
    *(
        sa.Column(permission.column, sa.Boolean, nullable=False, server_default=_given(permission))
        for permission in Permission
    ),
    sa.Column("is_home", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index("ix_memberships_user", "user_id", "group_id"),
)
_home = sa.text("is_home")
sa.Index("uq_memberships_home", memberships.c.user_id, unique=True, sqlite_where=_home, postgresql_where=_home)

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

# The courses of a group. A course in no group can be enrolled through any (D30).
group_courses = sa.Table(
    "group_courses",
    metadata,
    account_id(),
    sa.Column("group_id", sa.BigInteger, sa.ForeignKey("groups.id"), primary_key=True),
    sa.Column("course_id", sa.BigInteger, sa.ForeignKey("courses.id"), primary_key=True),
    sa.Column("allow_self_enroll", sa.Boolean, nullable=False),
    sa.Column("auto_enroll", sa.Boolean, nullable=False),
    sa.Index("ix_group_courses_course", "course_id"),
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
    sa.Column("status", sa.Text, nullable=False, server_default="Active"),
    sa.Column("grade_type", sa.Text),
    # Elements that the API stores unchanged, as JSON by element name.
    sa.Column("details", sa.Text),
    sa.Index("ix_sessions_course", "course_id"),
)

# A current enrollment has no unenrolled_at. Unenrolling sets it and changes nothing else, so undo is exact.
# Purging, when retention is over, empties the progress and keeps the row for the history.
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
_e = enrollments.c
_open, _current = sa.text(OPEN), sa.text("unenrolled_at IS NULL")
_retained = sa.text("unenrolled_at IS NOT NULL AND purged_at IS NULL")
sa.Index("uq_enrollments_open", _e.user_id, _e.course_id, unique=True, sqlite_where=_open, postgresql_where=_open)
sa.Index("ix_enrollments_learner", _e.user_id, _e.course_id)
sa.Index("ix_enrollments_current", _e.account_id, _e.id, sqlite_where=_current, postgresql_where=_current)
# The people of a course, and the report by course, which reads no row for its order by id.
_course = (_e.course_id, _e.user_id, _e.id, _e.account_id)
sa.Index("ix_enrollments_course", *_course, sqlite_where=_current, postgresql_where=_current)
# The report by status, in its order.
sa.Index("ix_enrollments_status", _e.account_id, _e.status, _e.id, sqlite_where=_current, postgresql_where=_current)
sa.Index("ix_enrollments_retained", _e.account_id, _e.unenrolled_at, sqlite_where=_retained, postgresql_where=_retained)

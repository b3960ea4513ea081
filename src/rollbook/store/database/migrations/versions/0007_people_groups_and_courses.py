"""What the methods about people, groups and courses keep; the learner's page."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

BIG = sa.BigInteger()
TIME = sa.DateTime(timezone=True)
PERMISSIONS = (
    "create_course",
    "manage_group_courses",
    "manage_users",
    "view_learner_results",
    "proctor",
    "marker",
    "instructor",
)


def upgrade() -> None:
    """Add what an older database lacks. Servers of the release before it go on working meanwhile, and after it."""
    op.add_column("accounts", sa.Column("authorization_addresses", sa.Text()))
    _extend_users()
    _extend_groups()
    for name in (*PERMISSIONS, "is_home"):
        op.add_column("memberships", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_memberships_user", "memberships", ["user_id", "group_id"])
    home = sa.text("is_home")
    op.create_index(
        "uq_memberships_home", "memberships", ["user_id"], unique=True, sqlite_where=home, postgresql_where=home
    )
    op.add_column("sessions", sa.Column("status", sa.Text(), nullable=False, server_default="Active"))
    op.add_column("sessions", sa.Column("grade_type", sa.Text()))
    op.add_column("sessions", sa.Column("details", sa.Text()))
    op.create_index("ix_sessions_course", "sessions", ["course_id"])
    _keep_learners_signed_in("external_authorizations")
    _keep_learners_signed_in("learner_sessions")


def _extend_users() -> None:
    for name in ("timezone", "profile"):
        op.add_column("users", sa.Column(name, sa.Text()))
    op.add_column("users", sa.Column("erased_at", TIME))
    learner = sa.text("role = 'learner'")
    orders = {
        "name": (("lower(given_name)", "lower(family_name)"), ["given_name", "family_name"]),
        "employee_id": (("lower(coalesce(employee_id, ''))",), ["employee_id"]),
    }
    for order, (columns, named) in orders.items():
        op.create_index(
            f"ix_users_{order}",
            "users",
            ["account_id", *map(sa.text, columns), "id", "active"],
            sqlite_where=learner,
            postgresql_where=learner,
            postgresql_include=named,
        )
    op.create_table(
        "user_teams",
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "name", name="pk_user_teams"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_user_teams_account_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_user_teams_user_id"),
    )
    op.create_index("ix_user_teams_name", "user_teams", ["account_id", "name"])


def _extend_groups() -> None:
    for name in ("identifier", "description", "home_group_message", "notification_emails", "details"):
        op.add_column("groups", sa.Column(name, sa.Text()))
    op.add_column("groups", sa.Column("user_limit", sa.Integer()))
    op.create_index("uq_groups_account_id_identifier", "groups", ["account_id", "identifier"], unique=True)
    op.create_index("ix_groups_name", "groups", ["account_id", "name"])
    op.create_table(
        "group_tags",
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tag_id", BIG, nullable=False),
        sa.Column("tag_values", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("group_id", "name", name="pk_group_tags"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_group_tags_account_id"),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_group_tags_group_id"),
    )
    op.create_index("ix_group_tags_name", "group_tags", ["account_id", "name"])
    op.create_table(
        "group_courses",
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("course_id", BIG, nullable=False),
        sa.Column("allow_self_enroll", sa.Boolean(), nullable=False),
        sa.Column("auto_enroll", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("group_id", "course_id", name="pk_group_courses"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_group_courses_account_id"),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_group_courses_group_id"),
        sa.ForeignKeyConstraint(["course_id"], ["courses.id"], name="fk_group_courses_course_id"),
    )
    op.create_index("ix_group_courses_course", "group_courses", ["course_id"])


def _keep_learners_signed_in(table: str) -> None:
    op.create_table(
        table,
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("user_id", BIG, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=f"fk_{table}_account_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=f"fk_{table}_user_id"),
    )
    op.create_index(f"ix_{table}_user", table, ["user_id"])
    op.create_index(f"ix_{table}_created_at", table, ["created_at"])

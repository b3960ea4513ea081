"""The audit, the last calls, shared rate limits, passwords and login sessions of the console."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add what an older database lacks; servers of the previous release keep working during and after it."""
    op.add_column("users", sa.Column("password_hash", sa.Text()))
    staff = sa.text("role <> 'learner'")
    op.create_index("ix_users_staff", "users", ["account_id"], sqlite_where=staff, postgresql_where=staff)
    _create_audit()
    _create_calls()
    _create_throttles()
    _create_sign_ins()
    _create_runs()


def _create_audit() -> None:
    op.create_table(
        "audit",
        _id(),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger()),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text()) for name in ("subject", "details", "address", "request_id")),
        sa.Column("happened_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_account", "audit", ["account_id", "id"])


def _create_calls() -> None:
    op.create_table(
        "calls",
        _id(),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger()),
        sa.Column("method", sa.Text()),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("errors", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.Column("batch_id", sa.BigInteger()),
        sa.Column("address", sa.Text()),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("milliseconds", sa.Float(), nullable=False),
        sa.Column("answered_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
    )
    op.create_index("ix_calls_account", "calls", ["account_id", "id"])
    op.create_index("ix_calls_answered_at", "calls", ["answered_at"])


def _create_throttles() -> None:
    op.create_table(
        "throttles",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("window_at", _TIME, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "window_at", name="pk_throttles"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_throttles_window_at", "throttles", ["window_at"])


def _create_sign_ins() -> None:
    op.create_table(
        "sign_ins",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_sign_ins"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_sign_ins_account_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sign_ins_user_id"),
    )
    op.create_index("ix_sign_ins_user", "sign_ins", ["user_id"])
    op.create_index("ix_sign_ins_seen_at", "sign_ins", ["seen_at"])


def _create_runs() -> None:
    op.create_table(
        "runs",
        _id(),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("courses", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text()) for name in ("address", "request_id")),
        sa.Column("created_at", _TIME, nullable=False),
        *(sa.Column(name, _TIME) for name in ("started_at", "finished_at")),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_runs_account_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_runs_user_id"),
    )
    op.create_index("ix_runs_account", "runs", ["account_id", "id"])
    under_way = sa.text("started_at IS NOT NULL AND finished_at IS NULL")
    op.create_index("ix_runs_under_way", "runs", ["id"], sqlite_where=under_way, postgresql_where=under_way)
    op.create_table(
        "run_parts",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("ids", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("accepted", sa.Integer()),
        sa.Column("batch_id", sa.BigInteger()),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_run_parts"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_parts_run_id"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_run_parts_account_id"),
        sqlite_with_rowid=False,
    )


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True)

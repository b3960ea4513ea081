"""Tables of the service itself: stored answers, audit, last calls, login attempts and sessions, workers, uploads."""

import sqlalchemy as sa

from rollbook.store.database.tables.columns import account_id, metadata, own_id, time_column


def _secrets(name: str, *more: sa.schema.SchemaItem) -> sa.Table:
    """Return a table of secrets that users have, of which only digests are kept."""
    return sa.Table(
        name,
        metadata,
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        account_id(),
        sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), nullable=False),
        time_column("created_at"),
        sa.Index(f"ix_{name}_user", "user_id"),
        *more,
    )


# The answers of calls that carried an Idempotency-Key, byte for byte, for a day (D21).
answers = sa.Table(
    "answers",
    metadata,
    account_id(),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("package_digest", sa.LargeBinary, nullable=False),
    sa.Column("succeeded", sa.Boolean, nullable=False),
    sa.Column("batch_id", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
    time_column("created_at"),
    sa.Index("ix_answers_created_at", "created_at"),
)

# Who changed what, when, from where; never deleted. No foreign keys: a line outlives its subject. The operator's
# commands have no user.
audit = sa.Table(
    "audit",
    metadata,
    own_id(),
    sa.Column("account_id", sa.BigInteger, nullable=False),
    sa.Column("user_id", sa.BigInteger),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text),
    sa.Column("details", sa.Text),
    sa.Column("address", sa.Text),
    sa.Column("request_id", sa.Text),
    time_column("happened_at"),
    sa.Index("ix_audit_account", "account_id", "id"),
)

# The last calls of an account with their results, for the developer of a program that calls.
calls = sa.Table(
    "calls",
    metadata,
    own_id(),
    sa.Column("account_id", sa.BigInteger, nullable=False),
    sa.Column("user_id", sa.BigInteger),
    sa.Column("key_id", sa.BigInteger),
    sa.Column("method", sa.Text),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("errors", sa.Text),
    sa.Column("detail", sa.Text),
    sa.Column("batch_id", sa.BigInteger),
    sa.Column("address", sa.Text),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("milliseconds", sa.Float, nullable=False),
    time_column("answered_at"),
    sa.Index("ix_calls_account", "account_id", "id"),
    sa.Index("ix_calls_answered_at", "answered_at"),
)

# Attempts to sign in, counted by all servers of the database within a window of time.
throttles = sa.Table(
    "throttles",
    metadata,
    sa.Column("subject", sa.Text),
    time_column("window_at"),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.PrimaryKeyConstraint("subject", "window_at"),
    sa.Index("ix_throttles_window_at", "window_at"),
    sqlite_with_rowid=False,
)

# Login sessions of the console, by their cookies. `notice` is what the next page shows once, sealed with the cookie.
# `verified_at` is when the second factor was shown.
login_sessions = _secrets(
    "sign_ins",
    time_column("seen_at"),
    sa.Column("notice", sa.LargeBinary),
    time_column("verified_at", nullable=True),
    sa.Index("ix_sign_ins_seen_at", "seen_at"),
)

# The second factors of users: a TOTP secret, in use once a code of it has confirmed it. `last_step` is the time step of
# the last accepted code, `wrong_codes` counts those of the day that began at `wrong_since`.
second_factors = sa.Table(
    "second_factors",
    metadata,
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), primary_key=True, autoincrement=False),
    account_id(),
    sa.Column("secret", sa.Text, nullable=False),
    time_column("created_at"),
    time_column("confirmed_at", nullable=True),
    sa.Column("last_step", sa.BigInteger, nullable=False),
    sa.Column("wrong_codes", sa.Integer, nullable=False),
    time_column("wrong_since", nullable=True),
    sqlite_with_rowid=False,
)

# The recovery codes that are left.
recovery_codes = _secrets("recovery_codes")

# Users who have shown their password and not yet their second factor: no sessions, also for older releases.
pending_sign_ins = _secrets("pending_sign_ins", sa.Index("ix_pending_sign_ins_created_at", "created_at"))

# Workers and their last heartbeats.
workers = sa.Table(
    "workers",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    time_column("seen_at"),
)

# Keys that requestExternalAuthorization has given out: valid once, for a minute.
external_authorizations = _secrets(
    "external_authorizations", sa.Index("ix_external_authorizations_created_at", "created_at")
)

# Learners who look at their own page, by their cookies.
learner_sessions = _secrets("learner_sessions", sa.Index("ix_learner_sessions_created_at", "created_at"))

# Links with which users choose a password for the console: valid once.
invitations = _secrets(
    "invitations",
    time_column("expires_at"),
    sa.Index("ix_invitations_expires_at", "expires_at"),
)

# Files from the console: `outcome` is the preview, as JSON for the page, and the result from `imported_at` on; then
# `content` is empty. A roster has `options`, as JSON, and all of its changes and bad rows in `listing`, as gzipped CSV;
# a file of progress has neither.
uploads = sa.Table(
    "uploads",
    metadata,
    own_id(),
    account_id(),
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("options", sa.Text),
    sa.Column("listing", sa.LargeBinary),
    time_column("created_at"),
    time_column("imported_at", nullable=True),
    sa.Index("ix_uploads_created_at", "created_at"),
)

"""Opens PostgreSQL: connections with a deadline for every wait, and a pool that drops closed connections."""

import select

import psycopg
import sqlalchemy as sa
from psycopg.abc import RV, PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InvalidatePoolError

from rollbook.errors import UserError
from rollbook.store.database.deadline import remaining, time_left
from rollbook.store.database.execute import execute

# For hosts that vanish or freeze. Parameters of the address override these.
NETWORK = {
    "connect_timeout": "2",  # for each host of the address; libpq's minimum
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    # A server that has become a replica, or still is one, would answer with outdated data.
    "target_session_attrs": "read-write",
}
# Ends transactions, and with them locks, of a process that is frozen or gone.
IDLE_SECONDS = 30
POOL_SECONDS = 3
# How long PostgreSQL may take to report a statement's timeout before it counts as frozen.
GRACE_SECONDS = 1


class NoAnswerError(psycopg.OperationalError):
    """PostgreSQL has not answered in time; the connection is closed."""


class Connection(psycopg.Connection[TupleRow]):
    """A connection that waits until the deadline of the call (`deadline`), and at most `max_wait` seconds."""

    max_wait: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait as psycopg does, for a limited time."""
        allowed = [limit for limit in (timeout, time_left(), self.max_wait) if limit is not None]
        if not allowed:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, min(allowed))
        except psycopg.errors._WaitTimeout:
            # Nothing is canceled: PostgreSQL would report a canceled commit that waits for a replica as committed.
            self.close()
            raise NoAnswerError("PostgreSQL has not answered in time") from None


def open_postgresql(url: str, pool_size: int, statement_seconds: float | None) -> sa.Engine:
    """Make the engine; with `statement_seconds` PostgreSQL itself ends statements that take longer.

    libpq reads the address, so all its forms work: sockets, several hosts, TLS options.
    """
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.ProgrammingError:
        # libpq's message may quote the address, and with it a password.
        raise UserError(
            "ROLLBOOK_DATABASE_URL cannot be understood. It is like postgresql://USER@HOST:5432/NAME, with "
            "special characters written as %XX."
        ) from None
    options = "-c timezone=UTC"
    if statement_seconds is not None:
        options += f" -c statement_timeout={max(1, round(statement_seconds * 1000))}"
        options += f" -c idle_in_transaction_session_timeout={IDLE_SECONDS * 1000}"
    parameters = {"application_name": "rollbook", **NETWORK, **given}
    parameters["options"] = f"{given.get('options', '')} {options}".strip()

    def connect() -> psycopg.Connection[TupleRow]:
        remaining(POOL_SECONDS)
        # The engine's "begin" event begins transactions. psycopg would begin one for a single look-up too, and
        # drops the prepared statements of a connection at every rollback.
        connection = Connection.connect(**parameters, autocommit=True)  # type: ignore[arg-type]
        if statement_seconds is not None:
            connection.max_wait = statement_seconds + GRACE_SECONDS
        return connection

    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=connect,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        pool_reset_on_return=None,
        hide_parameters=True,
    )
    event.listen(engine, "reset", _end_transaction)
    event.listen(engine, "begin", lambda connection: execute(connection, "BEGIN"))
    event.listen(engine, "checkout", _refuse_dead)
    event.listen(engine, "handle_error", _drop_what_cannot_write)
    return engine


def lift_statement_limit(connection: sa.Connection) -> None:
    """Limit the statements of a server's connection by the deadline alone; no-op for commands and on SQLite."""
    raw = connection.connection.dbapi_connection
    if isinstance(raw, Connection) and raw.max_wait is not None:
        raw.max_wait = None
        raw.execute("SET statement_timeout = 0")


def _end_transaction(raw: psycopg.Connection[TupleRow], _record: object, _state: object) -> None:
    """Roll back an open transaction when its connection returns to the pool."""
    if raw.pgconn.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        raw.rollback()


def _refuse_dead(raw: psycopg.Connection[TupleRow], record: sa.pool.ConnectionPoolEntry, _proxy: object) -> None:
    """Replace a pooled connection that the server has closed, and with it all older ones.

    An idle connection is readable only after the server has closed it. The check spares the next work a failure.
    """
    if record.info.setdefault("used", False):
        poll = select.poll()
        poll.register(raw.fileno(), select.POLLIN)
        if poll.poll(0):
            raise InvalidatePoolError
    record.info["used"] = True


def _drop_what_cannot_write(context: ExceptionContext) -> None:
    """Treat a server that has become read-only as disconnected, so that the pool connects to its successor."""
    if isinstance(context.original_exception, psycopg.errors.ReadOnlySqlTransaction):
        context.is_disconnect = True

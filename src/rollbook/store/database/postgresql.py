"""Opens PostgreSQL: connections that wait no longer than they may, and that are not handed out when they are dead."""

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

# For a host that is gone without a word, or that is frozen. What the address itself says wins.
NETWORK = {
    "connect_timeout": "2",  # for each host of the address; libpq knows no shorter one
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    # A server that has become a replica, or has not yet ceased to be one, answers with what is no longer true.
    "target_session_attrs": "read-write",
}
# A transaction whose process is frozen or gone must not keep its locks.
IDLE_SECONDS = 30
POOL_SECONDS = 3
# What PostgreSQL is given to say that it has ended a statement, before it is taken for frozen.
GRACE_SECONDS = 1


class NoAnswerError(psycopg.OperationalError):
    """PostgreSQL has not answered in time; the connection was given up."""


class Connection(psycopg.Connection[TupleRow]):
    """A connection that keeps to the deadline of its call (store/deadline), and in any case to `longest_wait`."""

    longest_wait: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait as psycopg does, but not for longer than is allowed."""
        allowed = [limit for limit in (timeout, time_left(), self.longest_wait) if limit is not None]
        if not allowed:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, min(allowed))
        except psycopg.errors._WaitTimeout:
            # Nothing is cancelled: a commit that waits for a replica would then be answered as if it had been kept.
            self.close()
            raise NoAnswerError("PostgreSQL has not answered in time") from None


def open_postgresql(url: str, pool_size: int, statement_seconds: float | None) -> sa.Engine:
    """Make the engine; with `statement_seconds` PostgreSQL itself ends a statement that takes or waits longer.

    libpq reads the address, so that every form it knows works: sockets, several hosts, TLS options.
    """
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.ProgrammingError:
        # libpq's own words may quote the address, and with it a password.
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
        # Transactions are begun below. psycopg would begin one around a single look-up too, and it forgets all plans of
        # a connection whenever one is rolled back.
        connection = Connection.connect(**parameters, autocommit=True)  # type: ignore[arg-type]
        if statement_seconds is not None:
            connection.longest_wait = statement_seconds + GRACE_SECONDS
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


def _end_transaction(raw: psycopg.Connection[TupleRow], _record: object, _state: object) -> None:
    """Roll back what a connection has not committed when it is given back; most have nothing."""
    if raw.pgconn.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        raw.rollback()


def _refuse_dead(raw: psycopg.Connection[TupleRow], record: sa.pool.ConnectionPoolEntry, _proxy: object) -> None:
    """Replace a connection on which PostgreSQL has said good-bye meanwhile, and with it all that are as old.

    Nothing is to be read on an idle one. So the work that is about to begin need not fail to find out.
    """
    if record.info.setdefault("used", False):
        poll = select.poll()
        poll.register(raw.fileno(), select.POLLIN)
        if poll.poll(0):
            raise InvalidatePoolError
    record.info["used"] = True


def _drop_what_cannot_write(context: ExceptionContext) -> None:
    """Take a server that has become read-only for one that is gone, so that the pool looks for its successor."""
    if isinstance(context.original_exception, psycopg.errors.ReadOnlySqlTransaction):
        context.is_disconnect = True

"""The checks of `rollbook doctor` in the database: connection, schema, clock, queue, PostgreSQL's settings."""

from collections.abc import Iterator

import sqlalchemy as sa

from rollbook.cli.local_database import open_database
from rollbook.cli.problems import Finding, problem, warning
from rollbook.errors import DatabaseUnavailableError, UnknownSchemaError, UserError
from rollbook.model import utc_now
from rollbook.settings import Settings
from rollbook.store.database.database import Database
from rollbook.store.database.schema import check_schema
from rollbook.store.operations.diagnostics import ServerFacts, latest_time, server_facts
from rollbook.store.operations.webhooks import count_states
from rollbook.store.people.emails import list_collisions
from rollbook.store.queue.backlog import read_backlog
from rollbook.store.queue.workers import find_last_seen, is_silent

CLOCK_SECONDS = 2
LATE_SECONDS = 60
VERY_LATE_SECONDS = 900
START_WORKER = "Start one: rollbook worker, or rollbook serve without --no-worker. If one runs, see its log."


def check_database(settings: Settings) -> Iterator[Finding]:
    """Check the database; without a connection there is one finding."""
    file = settings.database_file
    if file is not None and not file.is_file():
        advice = "Make it with rollbook init, or correct ROLLBOOK_DATA_DIR or ROLLBOOK_DATABASE_URL."
        yield problem("database", f"there is no file {file}", advice)
        return
    try:
        with open_database(settings, any_schema=True) as database:
            with database.read() as connection:
                facts = server_facts(connection)
            yield Finding("database", "PostgreSQL answers" if facts else f"SQLite, {file}")
            if facts is not None:
                yield from _check_server(facts, settings)
            yield from _check_content(database, facts)
    except DatabaseUnavailableError as error:
        yield problem("database", error.detail, "Start it, or correct ROLLBOOK_DATABASE_URL.")
    except UserError as error:
        yield problem("database", str(error), "Correct ROLLBOOK_DATABASE_URL.")


def _check_content(database: Database, facts: ServerFacts | None) -> Iterator[Finding]:
    try:
        check_schema(database)
    except UnknownSchemaError as error:
        yield problem("schema", str(error), "Servers and workers refuse to start.")
        return
    yield Finding("schema", "the one of this release")
    with database.read() as connection:
        yield _check_clock(connection, facts)
        yield from _check_queue(connection)
        yield _check_emails(connection)
        yield _check_webhooks(connection)


def _check_webhooks(connection: sa.Connection) -> Finding:
    counts = count_states(connection)
    found = ", ".join(f"{number} {state}" for state, number in counts.items())
    if counts["failing"] or counts["disabled"]:
        return warning("webhooks", found, "See why: rollbook webhook list. Then: rollbook webhook enable ID.")
    return Finding("webhooks", found)


def _check_emails(connection: sa.Connection) -> Finding:
    same = [f"{email} and {other} in {account}" for account, email, other in list_collisions(connection)]
    if same:
        found = f"users whose addresses differ only in upper and lower case: {'; '.join(same)}"
        return warning("emails", found, "Give one of each two another address; until then each matches exactly.")
    return Finding("emails", "all different within each account")


def _check_clock(connection: sa.Connection, facts: ServerFacts | None) -> Finding:
    now = utc_now()
    if facts is not None and abs(apart := (facts.clock - now).total_seconds()) > CLOCK_SECONDS:
        found = f"the database's clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} this machine's"
        return warning(
            "clock", found, "Synchronize both machines by NTP: the workers' clocks decide which items are due."
        )
    latest = latest_time(connection)
    if latest is not None and (ahead := (latest - now).total_seconds()) > CLOCK_SECONDS:
        found = f"something was recorded {ahead:.0f} s in the future, at {latest:%Y-%m-%d %H:%M:%S} UTC"
        return problem(
            "clock", found, "Correct this machine's clock; if it is right, another machine's clock was wrong."
        )
    return Finding("clock", "agrees with recorded times" + (" and with the database" if facts else ""))


def _check_queue(connection: sa.Connection) -> Iterator[Finding]:
    now = utc_now()
    backlog = read_backlog(connection, now)
    late = (now - backlog.late_since).total_seconds() if backlog.late_since else 0
    found = f"{backlog.due:,} items due, {backlog.held:,} held, {backlog.paused:,} paused"
    seen_at = find_last_seen(connection)
    if late > LATE_SECONDS or (backlog.due and is_silent(seen_at, now)):
        grade = problem if late > VERY_LATE_SECONDS else warning
        ago = f"a worker was last seen {(now - seen_at).total_seconds():,.0f} s ago" if seen_at else ""
        found += f"; the first fell due {late:,.0f} s ago, {ago or 'no worker was ever seen'}"
        yield grade("queue", found, START_WORKER)
    else:
        yield Finding("queue", found)
    if backlog.paused:
        found = f"{backlog.paused:,} items wait in the queues of {backlog.paused_accounts} paused accounts"
        yield warning("pause", found, "To resume one: rollbook resume, with the keys of the account.")


def _check_server(facts: ServerFacts, settings: Settings) -> Iterator[Finding]:
    off = [name for name in ("fsync", "synchronous_commit", "full_page_writes") if facts.settings[name] == "off"]
    if off:
        found = f"{', '.join(off)} off: accepted calls can be lost when the machine fails"
        yield problem("durability", found, "Switch it on in postgresql.conf.")
    else:
        yield Finding("durability", "answered calls are on disk")
    most, wanted = int(facts.settings["max_connections"]), settings.workers * settings.server_connections + 5
    if wanted > most:
        found = f"this server would open up to {wanted}, PostgreSQL allows {most}"
        yield warning("connections", found, "Lower ROLLBOOK_POOL_SIZE or ROLLBOOK_WORKERS, or raise max_connections.")
    else:
        yield Finding("connections", f"this server opens up to {wanted} of {most}")
    yield Finding("size", f"{facts.size / 1e6:,.0f} MB; watch the free disk space on the database's machine")

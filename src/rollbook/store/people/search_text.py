"""The text in which users are searched: name, e-mail and employee id in one folded form for both databases."""

import unicodedata

import sqlalchemy as sa

from rollbook.store.database.database import Database
from rollbook.store.database.execute import execute
from rollbook.store.database.tables.learning import SEARCHED, UNSEARCHABLE

# Beyond that the covering index would be too wide for PostgreSQL.
MAX_TEXT = 500
# Letters without a decomposition, and the apostrophes, which are left out.
_APOSTROPHES = "'`\u00b4\u02bb\u02bc\u2018\u2019"
_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "\u0131": "i"}
    | dict.fromkeys(_APOSTROPHES, "")
)
_OUTDATED = "SELECT id, {searched} FROM users {index} WHERE {outdated} ORDER BY id LIMIT :limit {lock}"
_OUTDATED = _OUTDATED.replace("{searched}", SEARCHED).replace("{outdated}", UNSEARCHABLE)
_FOLD = """
    UPDATE users SET search_text = item ->> 'text', search_from = item ->> 'source' FROM {rows} AS r
    WHERE users.id = CAST(item ->> 'id' AS BIGINT)
"""


def fold_text(text: str) -> str:
    """Return the form in which texts are compared: without case, accents and apostrophes."""
    if text.isascii():
        return text.lower().replace("'", "").replace("`", "")
    parts = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    return "".join(char for char in parts if not unicodedata.combining(char))


def read_words(text: str) -> list[str]:
    """Return the folded words of a search, which may stand in any order."""
    return fold_text(text.replace(",", " ").replace(";", " ")).split()


def matches(words: list[str], *texts: str | None) -> bool:
    """Tell whether every word is part of one of the texts."""
    folded = fold_text(" ".join(text for text in texts if text))
    return all(word in folded for word in words)


def search_text(given_name: str, family_name: str, email: str | None, employee_id: str | None) -> dict[str, str]:
    """Return the columns of a user's row that the search reads."""
    source = f"{given_name} {family_name} {email or ''} {employee_id or ''}"
    return {"search_text": fold_text(source)[:MAX_TEXT], "search_from": source}


def fold_names(connection: sa.Connection, limit: int = 1000) -> int:
    """Write the text of up to `limit` users who lack it or have changed, and return how many."""
    rows = [
        {"id": id_, "source": source, "text": fold_text(source)[:MAX_TEXT]}
        for id_, source in _find_outdated(connection, limit, "{claim_lock}")
    ]
    if rows:
        execute(connection, _FOLD, {"rows": rows})
    return len(rows)


def fold_all_names(database: Database) -> None:
    """Write the text of every user who lacks it, in short transactions; searches begin with it."""
    with database.read() as connection:
        needed = bool(_find_outdated(connection, 1))
    while needed and database.transact(fold_names):
        pass


def _find_outdated(connection: sa.Connection, limit: int, lock: str = "") -> list[tuple[int, str]]:
    """Find users by the index of outdated texts: the order leads PostgreSQL to it, and its name SQLite."""
    index = "INDEXED BY ix_users_unsearchable" if connection.dialect.name == "sqlite" else ""
    sql = _OUTDATED.replace("{index}", index).replace("{lock}", lock)
    return execute(connection, sql, {"limit": limit})

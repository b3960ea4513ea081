"""Checks the text of names and e-mail addresses that a person has typed."""

import re
import unicodedata

from rollbook.errors import UserError

MAX_LENGTH = 255


def check_email(email: str) -> str:
    """Return an e-mail address without the white space around it; errors: UserError."""
    email = check_text("e-mail address", email)
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise UserError(f"{email!r} is not an e-mail address.")
    return email


def check_text(what: str, text: str) -> str:
    """Return a text without the white space around it; `what` names it in an error: UserError."""
    text = text.strip()
    if not text:
        raise UserError(f"The {what} is empty.")
    # A control character (Cc), or a byte of the command line that is no text (Cs).
    if len(text) > MAX_LENGTH or any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise UserError(f"The {what} is text of at most {MAX_LENGTH} characters, without control characters.")
    return text

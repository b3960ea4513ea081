"""Refusals of single items in words, for people; each completes "It is …" and "12 are …"."""

import re
from collections.abc import Sequence

from rollbook.methods import remove_unenrollments, restore_unenrollments
from rollbook.methods import unenroll_learning_modules as unenroll

IDS_SHOWN = 10
_MALFORMED = "not valid as the id of an enrollment"
_REPEATED = "given twice"
_WORDS = {
    unenroll.MALFORMED_ID: _MALFORMED,
    unenroll.UNKNOWN_ID: "not enrolled (or unenrolled already), or protected",
    unenroll.QUEUED_ID: "in the queue already",
    unenroll.REPEATED_ID: _REPEATED,
    remove_unenrollments.MALFORMED_ID: _MALFORMED,
    remove_unenrollments.REPEATED_ID: _REPEATED,
    remove_unenrollments.NOT_PENDING: "not in the queue",
    restore_unenrollments.MALFORMED_ID: _MALFORMED,
    restore_unenrollments.REPEATED_ID: _REPEATED,
    restore_unenrollments.NOT_UNENROLLED: "not unenrolled here, or restored already",
    restore_unenrollments.ENROLLED_AGAIN: "enrolled again: end that enrollment first",
    restore_unenrollments.PURGED: "past the retention: the progress is deleted",
}


def say_refusal(code: str) -> str:
    """Say in a sentence why this server refused an item."""
    words = next((words for known, words in _WORDS.items() if known.code == code), code)
    return f"{words[:1].upper()}{words[1:]}."


def find_words(code: str, message: str) -> str:
    """The words for a refusal of any server; its own message if it means something else by the code."""
    for known, words in _WORDS.items():
        pattern = re.sub(r"\\{\w+\\}", r"\\d+", re.escape(known.message))
        if known.code == code and re.fullmatch(pattern, message):
            return words
    return f"refused ({code}: {message})"


def say_refused(words: str, ids: Sequence[str], count: int) -> str:
    """Say how many were refused for a reason, with the first ids."""
    more = ", …" if count > IDS_SHOWN else ""
    return f"{count} {'is' if count == 1 else 'are'} {words}: {', '.join(ids[:IDS_SHOWN])}{more}"

"""The kinds of values on the wire: numbers, words and times, each read from a text and written as one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rollbook.model import MAX_ID, EnrollmentStatus
from rollbook.wire.dates import read_date, read_time, write_date, write_moment
from rollbook.wire.messages import Kind

# The largest number of items in a call (protocol §4, D9, D14).
MAX_ITEMS = 100


def number(least: int, most: int, name: str = "", example: int = 7) -> Kind:
    """A whole number in ASCII digits, with or without leading zeros."""
    longest = len(str(most))

    def read(text: str) -> int:
        # The length is checked first: parsing a number of a million digits is slow.
        digits = text if len(text) <= longest else text.lstrip("0")
        if len(digits) > longest or not (text.isascii() and text.isdigit()):
            raise ValueError("not a whole number")
        value = int(digits or 0)
        if not least <= value <= most:
            raise ValueError("out of range")
        return value

    def read_all(texts: Sequence[str]) -> list[int]:
        joined = "".join(texts)
        if not (joined.isascii() and joined.isdigit()) or max(map(len, texts)) > longest:
            raise ValueError("not only whole numbers")
        values = [*map(int, texts)]
        if min(values) < least or max(values) > most:
            raise ValueError("out of range")
        return values

    return Kind(name or f"number from {least} to {most}", str(example), read, read_all=read_all)


def short_text(most: int) -> Kind:
    """Text of at most so many characters."""

    def read(text: str) -> str:
        if len(text) > most:
            raise ValueError("too long")
        return text

    return Kind(f"text of at most {most} characters", "text", read)


def one_of(*words: str, any_case: bool = False) -> Kind:
    """One of some words."""
    return word_for({word: word for word in words}, any_case=any_case)


def word_for(values: Mapping[str, Any], *, any_case: bool = False) -> Kind:
    """A word that stands for a value. An unknown value is written as it is, for the server to refuse."""
    known = {word.lower(): value for word, value in values.items()} if any_case else values

    def read(text: str) -> Any:
        word = text.lower() if any_case else text
        if word not in known:
            raise ValueError("not one of the words")
        return known[word]

    def write(value: Any) -> str:
        return next((word for word, meaning in values.items() if meaning == value), str(value))

    return Kind(" or ".join(f"`{word}`" for word in values), next(iter(values)), read, write)


COUNT = number(0, MAX_ID, "number from 0")
DAY = Kind("day", "01-Jul-32", read_date, write_date)
TIME = Kind("day or time", "2022-07-01 12:00:00.0", read_time, write_moment)
STATUS = replace(
    word_for({status.value: status for status in EnrollmentStatus}, any_case=True), name="status of an enrollment"
)
FLAG = word_for({"true": True, "false": False})
# What the hosted service's own methods take and give.
BOOLEAN = word_for({"1": True, "0": False, "true": True, "false": False}, any_case=True)

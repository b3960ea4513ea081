"""Made-up names, e-mails and employee ids, the same for the same user; without the key they identify no person."""

import hmac
from collections.abc import Mapping
from typing import Any

from rollbook.store.mirror.records import Row

_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


class Pseudonyms:
    """The made-up persons of one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def apply(self, row: Row, user_id: int) -> Mapping[str, Any]:
        """Replace what names a person in a row about the user; what is empty stays empty."""
        digest = hmac.digest(self._key, str(user_id).encode(), "sha256")
        given, family = _name(digest[:2]), _name(digest[2:5])
        email = f"{given}.{family}.{digest[5:11].hex()}@example.invalid".lower()
        made_up = {"given_name": given, "family_name": family, "email": email}
        made_up |= {"alternate_email": f"other.{email}", "employee_id": f"P{digest[11:19].hex()}"}
        return {**row, **{name: text for name, text in made_up.items() if row.get(name)}}


def _name(digest: bytes) -> str:
    return "".join(_SYLLABLES[byte % len(_SYLLABLES)] for byte in digest).title()

"""Reads forms, urlencoded or multipart, in linear time (protocol T1)."""

import re
from binascii import a2b_qp
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from rollbook.errors import NO_PACKAGE, CallError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD = b"Package"
MULTIPART = b"multipart/form-data"
URLENCODED = b"application/x-www-form-urlencoded"
# The library parses longer ones in quadratic time.
MAX_CONTENT_TYPE = 500
MAX_PARTS = 5000
MAX_PARAMETERS = 8  # of a part's Content-Disposition
# Text that its sender did not escape has a few.
MAX_BROKEN_ESCAPES = 10_000

# The field's name, each letter written as itself or as its escape, and the value after it.
_PACKAGE = re.compile(
    rb"(?:\A|&)" + b"".join(rb"(?:%c|%%(?i:%02x))" % (letter, letter) for letter in FIELD) + rb"(?:=([^&]*)|(?=&)|\Z)"
)
_NO_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_PARAMETER = re.compile(rb';[ \t]*([^=;" \t]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*+)"|([^;"]*))')


@dataclass(frozen=True)
class Part:
    """A part of a multipart form; `filename` is None for a field."""

    name: bytes
    filename: bytes | None
    content: bytes


def read_package(body: bytes, content_type: str) -> bytes:
    """Return the XML of the form's first field Package.

    A body without a content type is read as urlencoded. Errors: SU:02.
    """
    media_type, boundary = read_content_type(content_type)
    if media_type == MULTIPART:
        package = next((part.content for part in read_parts(body, boundary) if part.name == FIELD), None)
    elif media_type in (URLENCODED, b""):
        found = _PACKAGE.search(body)
        package = None if found is None else _unquote(found[1] or b"")
    else:
        raise CallError(NO_PACKAGE, f"content type {media_type.decode('latin-1')!r} is not a form's")
    if package is None:
        raise CallError(NO_PACKAGE, "the form has no field Package")
    return package


def read_content_type(value: str) -> tuple[bytes, bytes]:
    """Return the media type and the boundary; errors: SU:02."""
    if len(value) > MAX_CONTENT_TYPE:
        raise CallError(NO_PACKAGE, f"the content type is longer than {MAX_CONTENT_TYPE} characters")
    media_type, options = parse_options_header(value)
    return media_type, options.get(b"boundary", b"")


def read_parts(body: bytes, boundary: bytes) -> list[Part]:
    """Read a multipart form; errors: SU:02."""
    reader = _MultipartReader()
    try:
        parser = MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise CallError(NO_PACKAGE, f"the form cannot be read: {error}") from None
    return reader.parts


def _unquote(value: bytes) -> bytes:
    """Decode like `urllib.parse.unquote_to_bytes`, but in C, because XML is full of escapes.

    Quoted-printable text has the same escapes with another sign. Its special characters, and percent signs that begin
    no escape, are escaped first. Errors: SU:02.
    """
    value = value.replace(b"+", b" ")
    for special, escape in ((b"=", b"%3D"), (b"\n", b"%0A"), (b"\r", b"%0D")):
        value = value.replace(special, escape)
    decoded = a2b_qp(value.replace(b"%", b"="))
    if len(decoded) == len(value) - 2 * value.count(b"%"):  # every percent sign began an escape
        return decoded
    value, broken = _NO_ESCAPE.subn(b"%25", value, count=MAX_BROKEN_ESCAPES + 1)
    if broken > MAX_BROKEN_ESCAPES:
        raise CallError(NO_PACKAGE, f"the form has more than {MAX_BROKEN_ESCAPES} percent signs that begin no escape")
    return a2b_qp(value.replace(b"%", b"="))


class _MultipartReader:
    """Collects the parts of a form, fields and files."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._header_name = b""
        self._header_value = b""
        self._disposition: dict[bytes, bytes] = {}
        self._content: list[bytes] = []

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_header_name,
            "on_header_value": self._add_header_value,
            "on_header_end": self._end_header,
            "on_part_data": self._add_content,
            "on_part_end": self._end_part,
        }

    def _begin_part(self) -> None:
        if len(self.parts) == MAX_PARTS:
            raise CallError(NO_PACKAGE, f"the form has more than {MAX_PARTS} parts")
        self._disposition, self._content = {}, []

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            for found in islice(_PARAMETER.finditer(self._header_value), MAX_PARAMETERS):
                value = re.sub(rb"\\(.)", rb"\1", found[2] or b"") or (found[3] or b"").rstrip(b" \t")
                self._disposition.setdefault(found[1].lower(), value)
        self._header_name, self._header_value = b"", b""

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data[start:end])

    def _end_part(self) -> None:
        named = self._disposition
        self.parts.append(Part(named.get(b"name", b""), named.get(b"filename"), b"".join(self._content)))

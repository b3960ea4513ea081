"""Parses the form of a POST: urlencoded or, on a page that accepts a file, multipart; always as UTF-8.

The server has bounded the body. Parsing runs in the page's thread, so that a large form does not delay API calls.
"""

from collections.abc import Awaitable, Callable
from io import BytesIO
from urllib.parse import parse_qsl

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from rollbook.console.request import PageError
from rollbook.errors import CallError
from rollbook.wire.form import MULTIPART, URLENCODED, Part, read_content_type, read_parts

ReadBody = Callable[[Request, int | None], Awaitable[bytes]]

# The largest form of a page that accepts no file.
MAX_FORM_BYTES = 65_536
MAX_FIELDS = 5000


def read_form(body: bytes, content_type: str, *, takes_file: bool) -> FormData:
    """Parse a form; errors: PageError 400."""
    if not body:
        return FormData()
    try:
        media_type, boundary = read_content_type(content_type)
        if media_type == MULTIPART and takes_file:
            fields = [_field(part) for part in read_parts(body, boundary)]
        elif media_type == URLENCODED:
            text = body.decode("ascii")
            fields = [*parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)]
        else:
            raise PageError(400, "The form cannot be read: its content type is not the one that the page sends.")
    except (CallError, ValueError):  # a UnicodeDecodeError is a ValueError
        raise PageError(400, "The form cannot be read.") from None
    if any("\0" in name or (isinstance(value, str) and "\0" in value) for name, value in fields):
        raise PageError(400, "The form cannot be read: it contains the character U+0000.")
    return FormData(fields)


def _field(part: Part) -> tuple[str, str | UploadFile]:
    name = part.name.decode()
    if part.filename is None:
        return name, part.content.decode()
    return name, UploadFile(BytesIO(part.content), filename=part.filename.decode())


def read_upload(form: FormData, name: str) -> tuple[str, bytes] | None:
    """Return the name and content of an uploaded file; None without one."""
    upload = form.get(name)
    if not isinstance(upload, UploadFile) or not upload.filename:
        return None
    return upload.filename, upload.file.read()

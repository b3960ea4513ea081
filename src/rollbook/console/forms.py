"""Reads the form of a POST, urlencoded or, on a page that takes a file, multipart; in UTF-8, whatever its sender names.

The server has bounded the body. A form is parsed in the thread of its page: no sender holds up the calls with one.
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

# Of a page that takes no file.
FORM_BYTES = 65_536
MAX_FIELDS = 5000


def read_form(body: bytes, content_type: str, *, takes_file: bool) -> FormData:
    """Read the whole form; errors: PageError 400."""
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
            raise PageError(400, "The form cannot be read: it is of another type than the page sends.")
    except (CallError, ValueError):  # of characters too
        raise PageError(400, "The form cannot be read.") from None
    if any("\0" in name or (isinstance(value, str) and "\0" in value) for name, value in fields):
        raise PageError(400, "The form cannot be read: it holds a character with the number 0.")
    return FormData(fields)


def _field(part: Part) -> tuple[str, str | UploadFile]:
    name = part.name.decode()
    if part.filename is None:
        return name, part.content.decode()
    return name, UploadFile(BytesIO(part.content), filename=part.filename.decode())


def read_upload(form: FormData, name: str) -> tuple[str, bytes] | None:
    """The name and the content of an uploaded file; None when none was chosen."""
    upload = form.get(name)
    if not isinstance(upload, UploadFile) or not upload.filename:
        return None
    return upload.filename, upload.file.read()

"""Reads the form of a POST, urlencoded or with a file, from a body that the server has bounded."""

from collections.abc import Awaitable, Callable

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.types import Message

from rollbook.console.visit import PageError

ReadBody = Callable[[Request], Awaitable[bytes]]


async def read_form(request: Request, read_body: ReadBody) -> FormData:
    """Read the whole form; errors: PageError, and those of the server's limits."""
    body = await read_body(request)

    async def replay() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        return await Request(request.scope, replay).form(max_files=1, max_fields=2000, max_part_size=len(body))
    except (HTTPException, MultiPartException):
        raise PageError(400, "The form cannot be read.") from None


def read_upload(form: FormData, name: str) -> tuple[str, bytes] | None:
    """The name and the content of an uploaded file; None when none was chosen."""
    upload = form.get(name)
    if not isinstance(upload, UploadFile) or not upload.filename:
        return None
    return upload.filename, upload.file.read()

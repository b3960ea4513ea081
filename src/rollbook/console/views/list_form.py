"""The form of the unenroll page by a list: what was pasted or uploaded, and how to read it. Drafts keep all of it."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rollbook.console.forms import read_upload
from rollbook.console.request import ConsoleRequest
from rollbook.errors import UserError
from rollbook.model import utc_now
from rollbook.store.queue.drafts import Choice, add_draft, find_draft, read_draft_source

FIELDS = ("ids", "of_course", "of_group", "column", "by", "sheet", "skip_bad_rows")


@dataclass(frozen=True)
class ListForm:
    """The fields of the form, and a file; `kept` is the draft that keeps the file."""

    fields: Mapping[str, str]
    statuses: Sequence[str] = ()
    file: str = ""
    content: bytes = b""
    kept: int | None = None

    @property
    def narrows(self) -> bool:
        """Whether a field would narrow a list, if there were one."""
        return bool(self.fields["of_course"] or self.fields["of_group"] or self.statuses)

    def lists(self) -> list[tuple[str, bytes]]:
        """Return the names and contents of the lists."""
        pasted = self.fields["ids"]
        return [
            *([("The pasted list", pasted.encode())] if pasted else []),
            *([(self.file, self.content)] if self.file else []),
        ]

    def write(self) -> str:
        """Write the form as the source of a draft."""
        content = b64encode(self.content).decode()
        form = {"fields": dict(self.fields), "statuses": [*self.statuses], "file": self.file, "content": content}
        return json.dumps(form, ensure_ascii=False)

    def keep_file(self, request: ConsoleRequest) -> int | None:
        """Keep a file that was uploaded with a mistake; return the draft that keeps it, None without a file."""
        if not self.file or self.kept is not None:
            return self.kept
        with request.database.write() as connection:
            return add_draft(connection, request.caller, [], Choice(), [], utc_now(), self.write())


def read_fields(request: ConsoleRequest) -> ListForm:
    """Read the form without its file, as it was sent or as the sign-in page has kept it."""
    statuses = [str(status) for status in (request.form or request.query).getlist("of_status")]
    return ListForm({name: request.text(name) for name in FIELDS}, statuses)


def read_list_form(request: ConsoleRequest) -> ListForm:
    """Read the form as it was sent; errors: UserError for a kept file that has expired."""
    form = read_fields(request)
    if upload := read_upload(request.form, "file"):
        return replace(form, file=upload[0], content=upload[1])
    kept = None if request.text("drop_file") else request.number("kept")
    if kept is None:
        return form
    before = find_list_form(request, kept)
    if before is None or not before.file:
        raise UserError("The file is not kept any longer. Select it again.")
    return replace(form, file=before.file, content=before.content, kept=kept)


def find_list_form(request: ConsoleRequest, draft_id: int) -> ListForm | None:
    """Read the form that a draft of the user was made of; None without one."""
    with request.database.read() as connection:
        draft = find_draft(connection, request.caller.account_id, draft_id, utc_now())
        mine = draft is not None and draft.user_id == request.caller.user_id
        source = read_draft_source(connection, draft_id) if mine else None
    if source is None:
        return None
    form = json.loads(source)
    content = b64decode(form["content"])
    return ListForm(form["fields"], form["statuses"], form["file"], content, draft_id if form["file"] else None)

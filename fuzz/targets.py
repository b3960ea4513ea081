"""The fuzz targets: every parser of untrusted input. Each may raise its own errors only."""

import io
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import ExitStack, chdir, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import httpx

from rollbook import Client, ClientError
from rollbook.cli import main, server_profiles
from rollbook.cli.preview import preview_ids
from rollbook.cli.selection import find_ids
from rollbook.client.requests import ReportFilters
from rollbook.errors import CallError, TransportError, UserError
from rollbook.id_lists import read_id_list
from rollbook.id_lists.found import SHOWN
from rollbook.importers.oneroster import FILES, GRADEBOOK, open_archive
from rollbook.methods import METHODS
from rollbook.model import Actor, Caller, Extensions, Policies, Role
from rollbook.server.call.execute import execute
from rollbook.server.call.headers import read_extensions
from rollbook.server.call.preprocess import AuthenticatedCall
from rollbook.store.database.database import Database
from rollbook.store.database.schema import migrate
from rollbook.store.people.accounts import add_account
from rollbook.wire.answer import render
from rollbook.wire.call import read_call
from rollbook.wire.form import read_package
from rollbook.wire.xml import parse

_temporary = tempfile.TemporaryDirectory(prefix="rollbook-fuzz-")  # removed when the process ends
_folder = Path(_temporary.name)
EXIT_CODES = (0, 1, 2, 3, 4, 130)
_dry = Extensions(None, True, None)


def _open_database() -> Database:
    database = Database(f"sqlite:///{_folder / 'rollbook.db'}")
    migrate(database)
    with database.write() as connection:
        add_account(connection, "North", "owner@example.org", by=Actor("fuzz"))
    return database


_database = _open_database()
_answers = [b""]
_server = httpx.MockTransport(lambda _: httpx.Response(200, content=_answers[0], headers={"Rollbook-Batch": "1"}))
_client = Client("https://localhost/apiv2/", "a", "b", transport=_server, attempts=1)
_owner = Caller(1, "North", 1, "owner@example.org", Role.OWNER, Policies())


def form(data: bytes) -> None:
    """The first line is the content type, the rest the body."""
    content_type, _, body = data.partition(b"\n")
    with suppress(CallError):
        read_package(body, content_type.decode("latin-1"))


def call(data: bytes) -> None:
    """A package, through a dry run by an owner."""
    with suppress(CallError):
        assert parse(data).getroottree().docinfo.internalDTD is None
        read = read_call(data, _dry)
        if method := METHODS.get(read.method):
            authenticated = AuthenticatedCall(read, _owner, Actor("owner@example.org", 1), method)
            parse(render(execute(_database, authenticated)))


def headers(data: bytes) -> None:
    """Extension headers, one a line."""
    lines = (line.partition(": ") for line in data.decode("latin-1").split("\n"))
    with suppress(TransportError):
        read_extensions({name.lower(): value for name, _, value in lines})


def answer(data: bytes) -> None:
    """An answer of a server to every call of the client."""
    _answers[0] = data
    for ask in (
        lambda: list(_client.unenroll([1, 2])),
        lambda: list(_client.restore(batch_id=1)),
        lambda: find_ids(_client, ReportFilters()),
        lambda: preview_ids(_client, [1], (), None),
        lambda: list(_client.unenrollments()),
        _client.changes,
        lambda: list(_client.batches()),
        _client.queue,
    ):
        with suppress(ClientError):
            ask()


def ids(data: bytes) -> None:
    """A list of ids, without a column, with its name, and with its number."""
    for column in (None, "ID", "2"):
        with suppress(UserError):
            found = read_id_list(data, "list", column)
            assert len(found.complaints()) <= SHOWN + 1
            found.describe_repeats()


def sheet(data: bytes) -> None:
    """The XML of a sheet in a workbook of one sheet; the texts that its cells share follow a line `===`."""
    rows, _, texts = data.partition(b"===\n")
    refers = "".join(
        f'<Relationship Id="{id_}" Type="/{kind}" Target="/{id_}"/>'
        for id_, kind in (("book", "officeDocument"), ("rows", "worksheet"), ("texts", "sharedStrings"))
    )
    references, packed = f"<Relationships>{refers}</Relationships>", io.BytesIO()
    book = '<workbook><sheets><sheet name="A" r:id="rows"/></sheets></workbook>'
    with zipfile.ZipFile(packed, "w") as content:
        for name, part in (("_rels/.rels", references), ("_rels/book.rels", references), ("book", book)):
            content.writestr(name, part)
        content.writestr("rows", rows)
        content.writestr("texts", texts)
    ids(packed.getvalue())


def options(data: bytes) -> None:
    """A command that unenrolls, undoes or reports, one argument a line, with a server that returns nothing."""
    command, *lines = data[:4096].replace(b"\0", b"").replace(b"/", b"_").split(b"\n")
    if command.decode("latin-1") not in ("unenroll", "remove", "restore", "report"):
        return
    _answers[0] = b"<SmarterU><Result>Success</Result><Info/><Errors/></SmarterU>"
    arguments = ["rollbook", *(line.decode("utf-8", "surrogateescape") for line in (command, *lines))]
    with TemporaryDirectory(dir=_folder) as folder, chdir(folder), ExitStack() as patches:
        Path("ids.csv").write_text("ID\n1\n2\n", encoding="utf-8")
        keys = {"ROLLBOOK_URL": "https://localhost/apiv2/", "ROLLBOOK_ACCOUNT_KEY": "a", "ROLLBOOK_USER_KEY": "b"}
        for patch in (
            mock.patch.dict(os.environ, {**keys, "HOME": folder, "COLUMNS": "80"}),
            mock.patch.object(server_profiles, "Client", partial(Client, transport=_server, attempts=1)),
            mock.patch.multiple(
                sys, argv=arguments, stdin=_text(b"1\n"), stdout=_text(), stderr=_text(errors="replace")
            ),
        ):
            patches.enter_context(patch)
        try:
            main()
        except SystemExit as end:
            assert end.code in EXIT_CODES, end.code  # noqa: PT017


def _text(data: bytes = b"", errors: str = "strict") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors=errors)


def archive(data: bytes) -> None:
    """The bytes of a zip archive."""
    path = _folder / "archive.zip"
    path.write_bytes(data)
    _read_archive(path)


def roster(data: bytes) -> None:
    """The files of an archive, each below a line `=== name`; a missing manifest is added."""
    path = _folder / "roster.zip"
    parts = dict(part.partition(b"\n")[::2] for part in data.split(b"=== "))
    files = {name: parts[name.encode()] for name in ("manifest", *FILES, *GRADEBOOK) if name.encode() in parts}
    modes = "".join(f"file.{file},bulk\n" for file in files)
    with zipfile.ZipFile(path, "w") as content:
        for name, text in ({"manifest": f"oneroster.version,1.1\n{modes}".encode()} | files).items():
            content.writestr(f"{name}.csv", text)
    _read_archive(path)


def _read_archive(path: Path) -> None:
    for grades in (False, True):
        with suppress(UserError), open_archive(path, grades=grades) as opened:
            for _ in opened.read_rows(lambda stream: stream):
                pass


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (form, call, headers, answer, ids, sheet, options, archive, roster)
}

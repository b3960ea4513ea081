"""`rollbook sandbox`: a server to test programs against, with made-up people and well-known keys."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from starlette.types import ASGIApp

from rollbook.cli.local_database import is_sandbox, open_database
from rollbook.cli.worker import delivering_webhooks, running
from rollbook.errors import UnknownSchemaError, UserError
from rollbook.logs import configure_logs
from rollbook.model import Limit
from rollbook.sandbox.app import SandboxApp
from rollbook.sandbox.console import pages
from rollbook.sandbox.control import BASE, control
from rollbook.sandbox.known import ACCOUNT_KEY, PASSWORD, PEOPLE
from rollbook.sandbox.seed import DEFAULT
from rollbook.sandbox.state import LIVE, SEED, PausableWorker, State, make_seed, mark_pages
from rollbook.server.network.server import run_server
from rollbook.server.network.sockets import bind
from rollbook.server.network.tls import self_signed_certificate
from rollbook.settings import HOST_NAME, Settings, load_settings
from rollbook.store.database.database import Database
from rollbook.store.database.schema import check_schema
from rollbook.store.people.passwords import ADMINISTERING

# A program under test waits for the worker.
POLL_SECONDS = 0.1
NO_SANDBOX = "{file} is not the database of a sandbox. Name another folder with --keep."


def sandbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65534, help="HTTPS port; 0 takes a free one.")] = 8443,
    keep: Annotated[Path | None, typer.Option(help="Keep the sandbox in this folder, to go on with it later.")] = None,
    seed: Annotated[Path | None, typer.Option(help="A CSV file of your own people and enrollments.")] = None,
    roster: Annotated[Path | None, typer.Option(help="A OneRoster archive (zip) of your own people.")] = None,
    host_name: Annotated[str | None, typer.Option(help="Certify this name too: the host built into a program.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Hide the methods and headers of Rollbook alone.")] = False,
    plain_http: Annotated[bool, typer.Option("--plain-http", help="Serve HTTP too, on the next port.")] = False,
) -> None:
    """Serve a sandbox until stopped: made-up people, well-known keys, faults on request.

    For tests, never for records: everyone knows the keys.
    """
    if seed and roster:
        raise UserError("--seed and --roster exclude each other: a sandbox has the people of one file.")
    if host_name is not None and not HOST_NAME.fullmatch(host_name):
        raise UserError(f"--host-name {host_name!r} is no name of a host, such as api.example.com.")
    with _folder(keep) as folder:
        settings = _settings(folder, host, port)
        configure_logs(settings.log_format)
        _prepare(folder, seed, roster)
        certificate = self_signed_certificate(folder, [host_name] if host_name else [])
        ports = [port, *([port and port + 1] if plain_http else [])]
        sockets = [bind(host, number, "--host and --port") for number in ports]
        shown = f"[{host}]" if ":" in host else host
        origins = [f"{shown}:{taken.getsockname()[1]}" for taken in sockets]
        settings = settings.model_copy(update={"public_url": f"https://{origins[0]}"})
        _announce(origins, certificate.cert, host_name)
        facts = {
            "url": f"https://{origins[0]}/apiv2/",
            "http_url": f"http://{origins[1]}/apiv2/" if plain_http else None,
            "ca_file": str(certificate.cert),
            "strict": strict,
        }
        with open_database(settings) as database:
            worker = PausableWorker(database, settings)
            state = State(database, worker, folder)

            def wrap(app: ASGIApp) -> ASGIApp:
                return SandboxApp(app, control(state, facts), state, strict=strict, max_body=settings.max_body_bytes)

            mark_pages()
            with running(worker), delivering_webhooks(settings):
                run_server(settings, certificate, sockets, threading.Event(), wrap, pages(state))


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        # Until the server has a handler of its own: a stop while the people are made removes the folder too.
        signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
        with TemporaryDirectory(prefix="rollbook-sandbox-") as name:
            yield Path(name)
    else:
        keep.mkdir(parents=True, mode=0o700, exist_ok=True)
        yield keep.absolute()


def _settings(folder: Path, host: str, port: int) -> Settings:
    return load_settings(
        data_dir=folder,
        database_url=f"sqlite:///{folder / LIVE}",
        host=host,
        port=port,
        workers=1,
        trusted_proxies="",
        poll_seconds=POLL_SECONDS,
        # Tests call with many wrong keys and passwords.
        **dict.fromkeys(Limit, 0),
    )


def _prepare(folder: Path, seed: Path | None, roster: Path | None) -> None:
    """Make the database and the copy of it for resets, unless the folder has them; errors: UserError."""
    live, copy = folder / LIVE, folder / SEED
    if not live.exists():
        make_seed(folder, roster or seed or DEFAULT, is_roster=roster is not None)
        return
    if not copy.exists():
        raise UserError(NO_SANDBOX.format(file=live))
    if seed or roster:
        raise UserError(f"{folder} has its people already. Leave out --seed and --roster, or name another folder.")
    for path in (live, copy):
        with closing(Database(f"sqlite:///{path}")) as database:
            try:
                check_schema(database)
            except UnknownSchemaError:
                raise UserError(f"{path} is of another release. Name another folder with --keep.") from None
            if not is_sandbox(database):
                raise UserError(NO_SANDBOX.format(file=path))


def _announce(origins: list[str], cert: Path, host_name: str | None) -> None:
    port = origins[0].rpartition(":")[2]
    lines = [f"Serving https://{origins[0]}/apiv2/ as a sandbox: made-up people, public keys, no records"]
    lines += [f"Plain port: http://{origin}/apiv2/" for origin in origins[1:]]
    lines += [f"Certificate to trust: {cert}", f"Faults and calls: https://{origins[0]}{BASE}"]
    lines += [f"Console: https://{origins[0]}/console", "", f"account key    {ACCOUNT_KEY}"]
    for name, (role, email, key) in PEOPLE.items():
        password = f"  password {PASSWORD}" if role in ADMINISTERING else ""
        lines.append(f"{name:13}  {key:21}  {email}{password}")
    if host_name:
        lines += ["", f"To lead {host_name} here, on the machine of the program:"]
        lines += [f"  echo '127.0.0.1 {host_name}' | sudo tee -a /etc/hosts", f"  export SSL_CERT_FILE={cert}"]
        resolved = f"--cacert {cert} --resolve {host_name}:{port}:127.0.0.1"
        lines += [f"Or try it: curl {resolved} https://{host_name}:{port}/apiv2/"]
    typer.echo("\n".join(lines))

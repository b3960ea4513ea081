"""`rollbook serve`: runs the server, and a worker in the same process."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from rollbook.cli.local_database import open_database, refuse_sandbox
from rollbook.cli.operations_port import operations_port
from rollbook.cli.worker import STATEMENT_SECONDS, delivering_webhooks, make_worker, running
from rollbook.errors import UserError
from rollbook.logs import configure_logs
from rollbook.server.network.sockets import bind
from rollbook.server.network.tls import Certificate, load_context, self_signed_certificate
from rollbook.server.network.workers import serve as serve_sockets
from rollbook.settings import Settings, load_settings, split_list


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="HTTPS port; 0 takes a free one.  [default: 8443]")] = None,
    workers: Annotated[int | None, typer.Option(help="Server processes.  [default: 1]")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate, PEM; default: a new self-signed one.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Key of the certificate, PEM.")] = None,
    http_port: Annotated[int | None, typer.Option(help="A plain HTTP port for a trusted proxy.")] = None,
    tls_name: Annotated[
        list[str] | None, typer.Option(help="Host name or address for the self-signed certificate; repeatable.")
    ] = None,
    worker: Annotated[
        bool | None,
        typer.Option("--worker/--no-worker", help="Process the unenrollment queue too.  [default: --worker]"),
    ] = None,
) -> None:
    """Serve the API over HTTPS until stopped.

    Every option is also a setting: ROLLBOOK_PORT for --port. The plain port accepts only calls of which a proxy in
    ROLLBOOK_TRUSTED_PROXIES says that they came over HTTPS.
    """
    settings = load_settings(
        host=host,
        port=port,
        workers=workers,
        tls_cert=tls_cert,
        tls_key=tls_key,
        http_port=http_port,
        tls_names=",".join(tls_name) if tls_name else None,
        worker=worker,
    )
    configure_logs(settings.log_format)
    with open_database(settings, statement_seconds=STATEMENT_SECONDS) as database:
        refuse_sandbox(database)
        certificate = _certificate(settings)
        ports = [settings.port] if settings.http_port is None else [settings.port, settings.http_port]
        sockets = [bind(settings.host, number) for number in ports]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        addresses = [f"{host}:{taken.getsockname()[1]}" for taken in sockets]
        _announce(certificate, addresses, settings)
        if not settings.public_url:
            settings = settings.model_copy(update={"public_url": f"https://{addresses[0]}"})
        draining = make_worker(database, settings) if settings.worker else None
        with (
            operations_port(settings, database, draining, settings.workers) as stopping,
            running(draining) if draining else nullcontext(),
            delivering_webhooks(settings) if draining else nullcontext(),
        ):
            serve_sockets(settings, certificate, sockets, stopping)


def _certificate(settings: Settings) -> Certificate:
    if settings.tls_cert is None and settings.tls_key is None:
        return self_signed_certificate(settings.data_dir, split_list(settings.tls_names))
    if settings.tls_names:
        raise UserError("--tls-name is for the self-signed certificate; --tls-cert names a certificate with its names.")
    if settings.tls_cert is None or settings.tls_key is None:
        raise UserError("A certificate and its key go together: give both --tls-cert and --tls-key, or neither.")
    for path in (settings.tls_cert, settings.tls_key):
        if not path.is_file():
            raise UserError(f"There is no file {path}. --tls-cert and --tls-key name PEM files.")
    certificate = Certificate(settings.tls_cert, settings.tls_key)
    load_context(certificate)  # reports errors once, before the processes start
    return certificate


def _announce(certificate: Certificate, addresses: list[str], settings: Settings) -> None:
    typer.echo(f"Serving https://{addresses[0]}/apiv2/", err=True)
    if settings.console:
        typer.echo(f"Console for administrators: https://{addresses[0]}/console", err=True)
    if len(addresses) > 1:
        typer.echo(f"Plain port: http://{addresses[1]}/apiv2/", err=True)
    if certificate.self_signed:
        names = ", ".join(["localhost", *split_list(settings.tls_names)])
        typer.echo(f"No certificate is configured; this one is self-signed, for {names}: {certificate.cert}", err=True)
        port = addresses[0].rpartition(":")[2]
        typer.echo(f"Try it: curl --cacert {certificate.cert} https://localhost:{port}/apiv2/", err=True)

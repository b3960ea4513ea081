"""Opens the operations port of a server or worker process, and prints its address."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from rollbook.errors import UserError
from rollbook.server.network.sockets import bind
from rollbook.server.operations.metrics import collect_from, shared_folder
from rollbook.server.operations.probes import run_probes
from rollbook.settings import Settings
from rollbook.store.database.database import Database
from rollbook.worker.drain import Worker


@contextmanager
def operations_port(
    settings: Settings, database: Database, worker: Worker | None, processes: int = 1
) -> Iterator[threading.Event]:
    """Answer /livez, /readyz and /metrics during the block, which sets the yielded event when it begins to stop.

    With more than one of `processes` the metrics include those of the server processes that this process starts.
    """
    stopping = threading.Event()
    listening = _listen(settings)
    if listening is None:
        yield stopping
        return
    with shared_folder(processes > 1) as shared:
        collect_from(database, worker.processed if worker else dict, shared)
        with run_probes(listening, database, stopping):
            yield stopping


def _listen(settings: Settings) -> socket.socket | None:
    host, port = settings.operations_host, settings.operations_port
    if port is None:
        return None
    try:
        listening = bind(host, port, "ROLLBOOK_OPERATIONS_HOST and ROLLBOOK_OPERATIONS_PORT")
    except UserError as error:
        if "operations_port" in settings.model_fields_set:
            raise
        typer.echo(f"No /livez, /readyz and /metrics here. {error}", err=True)
        return None
    shown = f"[{host}]" if ":" in host else host
    typer.echo(f"Operations: http://{shown}:{listening.getsockname()[1]}/readyz", err=True)
    return listening

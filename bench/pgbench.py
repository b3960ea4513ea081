"""The limit of accepting on PostgreSQL: pgbench with the statements of the accept path."""

import json
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from places import Place
from postgresql import postgresql_command
from statements import AUDIT, accepting, digests


def accept_by_pgbench(place: Place, clients: int, first_call: int, calls: int) -> float:
    """Accept with `clients` connections; return calls per second."""
    each = calls // clients
    with TemporaryDirectory() as folder:
        script = Path(folder, "accept.sql")
        script.write_text(_script(place, first_call, each))
        command = postgresql_command("pgbench")
        command += ["--no-vacuum", "--protocol=prepared", f"--client={clients}", "--jobs=2", f"--transactions={each}"]
        command += [f"--file={script}", "--define=done=0", place.url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    assert found, done.stdout
    return float(found[1])


def _script(place: Place, first_call: int, each: int) -> str:
    """Return a client's transaction: its call number `done`, with the ids of generator.call_ids."""
    stride = place.count // 100
    ids = f"CAST(ARRAY(SELECT generate_series(CAST(:first AS bigint), {place.count}, {stride})) AS text)"
    values = {name: f"decode('{value.hex()}', 'hex')" for name, value in digests(place.accounts[0]).items()}
    values |= dict.fromkeys(("now_at", "requested_at", "due_at", "happened_at"), "now()") | {
        "protect_completed": "false"
    }
    rows = {
        "batch": """'[{"requested_by": 1}]'""",
        "accept": f"""concat('[{{"batch_id": ', CAST(:batch_id AS bigint), ', "before": 0, "ids": "', {ids}, '"}}]')""",
        "audit": f"'{json.dumps([AUDIT])}'",
    }
    caller, batch, accept, audit = (
        _fill(sql, values | {"rows": rows.get(name, "")}) for name, sql in accepting("postgresql").items()
    )
    return f"""
        \\set call {first_call} + :client_id * {each} + :done
        \\set done :done + 1
        \\set first :call * 7919 % {stride} + 1
        {caller} \\gset
        BEGIN;
        {batch} \\gset batch_
        {accept};
        {audit};
        COMMIT;
    """


def _fill(sql: str, values: dict[str, str]) -> str:
    return re.sub(r"(?<!:):(\w+)", lambda name: values.get(name[1], name[0]), sql)

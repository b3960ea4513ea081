"""`make bench`: measures each row of docs/performance.md, or those in ROWS, beside its limit.

Prints a table and writes bench/results.json.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from accepting import accept_in_a_large_table, accept_on_postgresql, accept_on_sqlite, keep_memory, refuse
from draining import accept_while_draining, drain
from figures import Figure, write_table
from history import compare_histories
from importing import import_progress, import_roster
from reading import preview, report

ROWS: dict[str, Callable[[int], Iterator[Figure]]] = {
    "accept-postgresql": accept_on_postgresql,
    "accept-sqlite": accept_on_sqlite,
    "refuse": refuse,
    "drain": drain,
    "accept-draining": accept_while_draining,
    "accept-large": accept_in_a_large_table,
    "history": compare_histories,
    "report": report,
    "preview": preview,
    "memory": keep_memory,
    "import": import_roster,
    "progress": import_progress,
}
RESULTS = Path(__file__).with_name("results.json")


def main(names: list[str], rounds: int) -> None:
    """Measure the rows, print the table, write the file."""
    figures: list[Figure] = []
    for name in names:
        started = time.monotonic()
        for figure in ROWS[name](rounds):
            print(*write_table([figure]), sep="\n", flush=True)
            figures.append(figure)
        print(f"({name}: {time.monotonic() - started:.0f} s)", flush=True)
    print("\n", *write_table(figures), sep="\n")
    RESULTS.write_text(json.dumps([figure.as_dict() for figure in figures], indent=2) + "\n")


if __name__ == "__main__":
    chosen, rounds = (*sys.argv[1:], "", "")[:2]
    names = chosen.split(",") if chosen else [*ROWS]
    if unknown := [name for name in names if name not in ROWS]:
        sys.exit(f"There is no row {', '.join(unknown)}. ROWS is some of {','.join(ROWS)}.")
    main(names, int(rounds or 5))

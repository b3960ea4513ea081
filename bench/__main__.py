"""`make bench`: every row of the table of issue and docs/performance.md, or those named in ROWS, each beside its limit.

The table is for people, bench/results.json for programs.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from accepting import accept_in_a_large_table, accept_on_postgresql, accept_on_sqlite, keep_memory, refuse
from draining import accept_while_draining, drain
from figures import Figure, write_table

ROWS: dict[str, Callable[[int], Iterator[Figure]]] = {
    "accept-postgresql": accept_on_postgresql,
    "accept-sqlite": accept_on_sqlite,
    "refuse": refuse,
    "drain": drain,
    "accept-draining": accept_while_draining,
    "accept-large": accept_in_a_large_table,
    "memory": keep_memory,
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
    chosen = sys.argv[1].split(",") if len(sys.argv) > 1 and sys.argv[1] else [*ROWS]
    main(chosen, int(sys.argv[2]) if len(sys.argv) > 2 else 5)

"""`make serve`: the set-up of the demo in ./data, made once and kept, and a server that stays."""

import os
from pathlib import Path

from prepare import ACCOUNT, ROLLBOOK, environment, prepare

DATA = Path(__file__).parent.parent / "data"

if DATA.exists():
    print(f"Going on with {DATA}; its keys were shown when it was made. For new ones:")
    print(f"  ROLLBOOK_DATA_DIR={DATA} {ROLLBOOK} key new --account '{ACCOUNT}'")
else:
    keys = prepare(DATA)
    print("The keys, shown this once:")
    for name, key in keys.items():
        print(f"  {name}: {key}")
    print(f"The ids to unenrol by are in {DATA / 'ids.csv'}.")
print(flush=True)
os.execve(ROLLBOOK, [str(ROLLBOOK), "serve"], environment(DATA))  # noqa: S606 nothing of ours is left to do

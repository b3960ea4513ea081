"""`make serve`: the set-up of the demo in ./data, made once and kept, and a server that stays."""

import os
from pathlib import Path

from prepare import ACCOUNT, OWNER, ROLLBOOK, environment, new_password, prepare

DATA = Path(__file__).parent.parent / "data"

if DATA.exists():
    print(f"Going on with {DATA}; keys and password were shown when it was made. For new ones:")
    print(f"  ROLLBOOK_DATA_DIR={DATA} {ROLLBOOK} key new --account '{ACCOUNT}'")
    print(f"  ROLLBOOK_DATA_DIR={DATA} {ROLLBOOK} user password {OWNER} --generate")
    print("Sign in to the console: https://localhost:8443/console")
else:
    keys = prepare(DATA)
    password = new_password(DATA)
    print("The keys for programs, shown this once:")
    for name, key in keys.items():
        print(f"  {name}: {key}")
    print(f"The ids to unenroll by are in {DATA / 'ids.csv'}.")
    print()
    print("Sign in to the console: https://localhost:8443/console")
    print(f"  e-mail: {OWNER}")
    print(f"  password, shown this once: {password}")
    print("The browser warns of the certificate, which is one that this server has made for itself: go on to the page.")
    print("There, Unenroll, tick a course, and follow the pages; Batches is where it can be undone.")
print(flush=True)
os.execve(ROLLBOOK, [str(ROLLBOOK), "serve"], environment(DATA))  # noqa: S606 nothing of ours is left to do

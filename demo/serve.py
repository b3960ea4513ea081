"""`make serve`: makes the demo's account in ./data once, keeps it, and serves until stopped."""

import os
from pathlib import Path

from prepare import ACCOUNT, OWNER, ROLLBOOK, environment, new_password, prepare

DATA = Path(__file__).parent.parent / "data"

if DATA.exists():
    print(f"Using {DATA}; its keys and password were shown when it was made. To make new ones:")
    print(f"  ROLLBOOK_DATA_DIR={DATA} {ROLLBOOK} key new --account '{ACCOUNT}'")
    print(f"  ROLLBOOK_DATA_DIR={DATA} {ROLLBOOK} user password {OWNER} --generate")
    print("Sign in to the console: https://localhost:8443/console")
else:
    keys = prepare(DATA)
    password = new_password(DATA)
    print("The keys for programs, shown only once:")
    for name, key in keys.items():
        print(f"  {name}: {key}")
    print(f"The enrollment ids are in {DATA / 'ids.csv'}.")
    print()
    print("Sign in to the console: https://localhost:8443/console")
    print(f"  e-mail: {OWNER}")
    print(f"  password, shown only once: {password}")
    print("The browser warns about the self-signed certificate: continue to the page.")
    print("Choose Unenroll, tick a course and follow the pages; Batches has the undo.")
print(flush=True)
os.execve(ROLLBOOK, [str(ROLLBOOK), "serve"], environment(DATA))  # noqa: S606 the server replaces this process

"""Refuses a release whose notes are not those of its version, with a date, or whose files are not committed.

`make release` runs it before it builds anything.
"""

import re
import subprocess
import sys
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]


def find_fault(changelog: str, version: str) -> str:
    """Return what is wrong with the first heading of a changelog, or nothing."""
    heading = re.findall(r"^## (.+)$", changelog, re.MULTILINE)[0]
    named, _, day = heading.partition(", ")
    if named != version:
        return f"The first section of CHANGELOG.md, {heading!r}, is not of {version}, the version of pyproject.toml."
    try:
        is_future = date.fromisoformat(day) > datetime.now(UTC).date()
    except ValueError:
        return f"The section {heading!r} of CHANGELOG.md has no date. Write: ## {version}, YYYY-MM-DD"
    return f"The section {heading!r} of CHANGELOG.md is dated in the future." if is_future else ""


def main() -> None:
    """Check this source."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    fault = find_fault((ROOT / "CHANGELOG.md").read_text(), version)
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    if changed:
        fault = f"These files are not committed:\n{changed}{fault}"
    if fault:
        sys.exit(f"No release was built. {fault}")


if __name__ == "__main__":
    main()

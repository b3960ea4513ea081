"""The wheel and the sdist hold every file that an installation needs, and a release has dated notes."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from release_notes import find_fault

ROOT = Path(__file__).parents[2]


def _files(folder: str) -> set[str]:
    """Return the files of a folder of the source by their paths in it."""
    paths = (ROOT / folder).rglob("*")
    return {str(path.relative_to(ROOT)) for path in paths if path.is_file() and "__pycache__" not in path.parts}


def test_wheel_and_sdist_hold_every_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [wheel], [sdist] = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as opened:
        packed = {*opened.namelist()}
    data = f"{wheel.name.removesuffix('-py3-none-any.whl')}.data/data/share/rollbook/"
    assert {path.removeprefix("src/") for path in _files("src/rollbook")} <= packed
    assert {data + path.removeprefix("deploy/") for path in _files("deploy")} <= packed
    assert all(path.startswith("rollbook") for path in packed)
    with tarfile.open(sdist) as archive:
        sources = {path.partition("/")[2] for path in archive.getnames()}
    expected = (
        _files("src") | _files("deploy") | _files("docs") | _files("tests") | {"CHANGELOG.md", "requirements.lock"}
    )
    assert expected <= sources
    assert not [path for path in sources if path.startswith((".venv", ".browser", "dist", "data"))]


@pytest.mark.parametrize(
    ("heading", "fault"),
    [
        ("0.2.0, 2026-01-30", ""),
        ("0.2.0, unreleased", "has no date"),
        ("Unreleased", "is not of 0.2.0"),
        ("0.1.9, 2026-01-30", "is not of 0.2.0"),
        ("0.2.0, 2026-02-30", "has no date"),
        ("0.2.0, 2999-01-01", "is dated in the future"),
    ],
)
def test_release_without_dated_notes_of_its_version_is_refused(heading: str, fault: str) -> None:
    found = find_fault(f"# Changelog\n\nText.\n\n## {heading}\n\n- A change.\n\n## 0.1.0, 2026-01-01\n", "0.2.0")
    assert fault in found
    assert bool(found) == bool(fault)

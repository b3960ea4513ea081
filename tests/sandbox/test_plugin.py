"""The documented test file and the sample integration, as a developer runs them: in a folder of their own, --strict."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
# What a test run without a sandbox must not load.
HEAVY = {"httpx", "lxml", "sqlalchemy", "starlette", "typer", "uvicorn"}
SETTINGS = "[pytest]\nrollbook_sandbox_options = --strict\n"


def test_documented_file_and_sample_integration_pass_against_a_strict_sandbox(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "test-against-rollbook.md").read_text()
    [example] = re.findall(r"```python\n(.+?)```", page, re.DOTALL)
    (tmp_path / "test_documented.py").write_text(example)
    for name in ("leavers.py", "test_leavers.py"):
        shutil.copy(ROOT / "examples" / "leavers" / name, tmp_path)
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, "14 passed" in done.stdout) == (0, True), done.stdout


def test_plugin_loads_nothing_until_a_test_uses_a_sandbox() -> None:
    program = f"import sys\nimport rollbook.sandbox.pytest_plugin\nprint(*{HEAVY} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"

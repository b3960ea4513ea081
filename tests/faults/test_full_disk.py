"""A full disk under load: calls are 503, the log names the cause, no call is half done, and space ends it."""

import subprocess
import sys
from pathlib import Path

import pytest

# Without root a small file system needs a user namespace.
IN_A_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
MOUNT = 'mount -t tmpfs -o size="$1"m none "$0" || exit 77; shift; exec "$@"'


@pytest.mark.parametrize("kind", ["sqlite", "postgresql-tables", "postgresql-log"])
def test_full_disk_is_503_and_calls_succeed_once_there_is_space(kind: str, tmp_path: Path, soaks: bool) -> None:
    if subprocess.run([*IN_A_NAMESPACE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("A FULL DISK IS NOT TESTED: this machine lets users make no namespaces")
    rounds = 5 if soaks else 1
    script, megabytes = str(Path(__file__).parents[1] / "support" / "full_disk.py"), str(24 + 16 * rounds)
    command = [sys.executable, script, kind, str(tmp_path), str(rounds)]
    mounted = [*IN_A_NAMESPACE, "sh", "-c", MOUNT, str(tmp_path), megabytes, *command]
    done = subprocess.run(mounted, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("A FULL DISK IS NOT TESTED: this machine lets users mount no tmpfs")
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr

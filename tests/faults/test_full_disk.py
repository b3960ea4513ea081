"""A disk that is full, under load: 503 and a log line that says so, nothing half done, and it goes on with room."""

import subprocess
import sys
from pathlib import Path

import pytest

# Any user may have a small file system of his own, where the system lets users make namespaces.
IN_A_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
MOUNT = 'mount -t tmpfs -o size="$1"m none "$0" || exit 77; shift; exec "$@"'


@pytest.mark.parametrize("kind", ["sqlite", "postgresql-tables", "postgresql-log"])
def test_a_full_disk_is_503_and_all_goes_on_when_there_is_room(kind: str, tmp_path: Path, soaks: bool) -> None:
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

"""Fuzzes each target for FUZZ_SECONDS; stops at the first finding and names the file of its input.

atheris mutates inputs to reach more code. `growth` repeats a part of an input up to the maximum size of a body and
limits CPU time and memory.
"""

import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from targets import TARGETS

from rollbook.methods import METHODS
from rollbook.wire.messages import Element

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
FOUND = HERE.parent / "build" / "fuzz"
SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))
INSTRUMENTED_PACKAGES = ("rollbook", "python_multipart", "zipfile")

MAX_BODY = 1_048_576
# Eight calls read the answer. A list of ids is read for three columns and by up to three separators, which takes 4 s
# for half a million rows. The other targets have one second.
CPU_SECONDS = {"answer": 8.0, "ids": 16.0}
PEAK_BYTES = 256 * 1_048_576


def guide(name: str) -> None:
    """Run one target under atheris; ends this process."""
    import atheris  # noqa: PLC0415 only `make fuzz` installs it

    with atheris.instrument_imports(include=list(INSTRUMENTED_PACKAGES)):
        for module in [module for module in sys.modules if module.startswith((*INSTRUMENTED_PACKAGES, "targets"))]:
            del sys.modules[module]
        from targets import TARGETS as INSTRUMENTED  # noqa: PLC0415 imported again, instrumented

    (FOUND / name).mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={SECONDS}", "-timeout=10", "-rss_limit_mb=1024", "-max_len=4096"]
    options += ["-print_final_stats=1", f"-artifact_prefix={FOUND}/{name}-", f"-dict={_write_words()}"]
    atheris.Setup([name, *options, str(FOUND / name), str(CORPUS / name)], INSTRUMENTED[name])
    atheris.Fuzz()


def _write_words() -> Path:
    """Write the dictionary: words.dict, and the elements and words of all messages."""
    words: set[str] = set()

    def collect(element: Element) -> None:
        words.add(f"<{element.name}>")
        words.update(f'{attribute.name}=\\"' for attribute in element.attributes)
        words.update(re.findall("`([^`]+)`", element.kind.name))
        words.add(element.kind.example)
        for child in element.children:
            collect(child)

    for method in METHODS.values():
        words.add(method.name)
        collect(method.takes)
        collect(method.gives)
    written = FOUND / "words.dict"
    written.write_text((HERE / "words.dict").read_text() + "".join(f'"{word}"\n' for word in sorted(words)))
    return written


def fuzz(name: str) -> bool:
    """Run one target in a separate process; return whether it had no finding."""
    command = [sys.executable, __file__, "--guide", name]
    # atheris ends its process without removing the target's folder.
    with tempfile.TemporaryDirectory(prefix="rollbook-fuzz-") as folder:
        env = {**os.environ, "TMPDIR": folder}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout, done.stderr[-6000:], f"{name}: a finding; its input is in {FOUND}", sep="\n")
        return False
    inputs = int((re.findall(r"number_of_executed_units: (\d+)", done.stderr) or [0])[0])
    places = (re.findall(r"cov: (\d+)", done.stderr) or ["no"])[-1]
    print(f"{name:9} {inputs:9,} inputs in {SECONDS} s, {places} places reached, no finding", flush=True)
    return True


def grow() -> None:
    """Repeat parts of inputs up to the size of a body, and limit the CPU time and memory of parsing it."""
    inputs = [(name, path.read_bytes()) for name in TARGETS for path in sorted((CORPUS / name).iterdir())]
    end, count = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        name, data = random.choice(inputs)
        start, stop = sorted(random.choices(range(len(data) + 1), k=2))
        part = data[start : min(stop, start + 200)] or b" "
        body = data[:start] + part * ((MAX_BODY - len(data)) // len(part)) + data[stop:]
        (FOUND / f"{name}-growth").write_bytes(body)
        before, began = _peak(), time.process_time()
        TARGETS[name](body)
        spent, grown = time.process_time() - began, _peak() - before
        assert spent <= CPU_SECONDS.get(name, 1.0), f"{name}: {spent:.2f} s for {FOUND}/{name}-growth"
        assert grown <= PEAK_BYTES, f"{name}: {grown >> 20} MiB for {FOUND}/{name}-growth"
        count += 1
    print(f"growth    {count:9,} bodies of 1 MiB in {SECONDS} s, no finding", flush=True)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Run all targets, or those named."""
    FOUND.mkdir(parents=True, exist_ok=True)
    resource.setrlimit(resource.RLIMIT_AS, (4 * 1024**3,) * 2)
    if sys.argv[1:2] == ["--guide"]:
        guide(sys.argv[2])
    memory = Path("/dev/shm")  # noqa: S108 the targets create their own folder in it
    if memory.is_dir():
        tempfile.tempdir = os.environ["TMPDIR"] = str(memory)
    for name in sys.argv[1:] or [*TARGETS, "growth"]:
        if name == "growth":
            grow()
        elif not fuzz(name):
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Every input that fuzzing has kept is read or rejected with the documented error; see `make fuzz`."""

import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent.parent / "fuzz"
sys.path.append(str(FUZZ))

from targets import TARGETS  # noqa: E402 found only once its folder is on the path


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_of_the_corpus_is_read_or_rejected(name: str) -> None:
    inputs = sorted((FUZZ / "corpus" / name).iterdir())
    assert len(inputs) > 0
    for path in inputs:
        TARGETS[name](path.read_bytes())

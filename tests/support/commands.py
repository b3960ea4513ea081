"""The command line, run in the test's own process: from its arguments to its exit code."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from rollbook.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What a program reads."""
        return json.loads(self.out)


Run = Callable[..., Done]


def run_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> Done:
    """Run `rollbook` with the arguments."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["rollbook", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    code = end.value.code
    assert isinstance(code, int)
    return Done(code, said.out, said.err)

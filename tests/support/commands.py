"""Commands executed in the test's process, from the arguments to the exit code."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from rollbook.cli import main


@dataclass(frozen=True)
class Done:
    """The exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output, parsed as JSON."""
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

"""How far a command is, is said on a terminal only, and never among the results."""

from __future__ import annotations

import io
import sys

import pytest

from engine.commands.progress import progress


class Screen(io.StringIO):
    """A terminal that keeps what was written to it."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Screen(), True), (io.StringIO(), False)])
def test_steps_are_shown_on_a_terminal_alone(stream, shown, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with progress() as told:
        for step in ("tick by tick", "truncated"):
            told(step, 0, 10)
            told(step, 5, 10)
    text = stream.getvalue()
    assert ("tick by tick" in text, "truncated" in text, bool(text)) == (shown, shown, shown)
    assert capsys.readouterr().out == ""

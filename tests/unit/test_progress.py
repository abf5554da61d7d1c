"""How far a command is, is said on a terminal only, and never among the results."""

from __future__ import annotations

import io
import sys

import pytest

from engine.commands.progress import progress
from engine.commands.shared import load_config


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


@pytest.mark.parametrize(
    ("stream", "calendar", "said"),
    [(Screen(), "XNYS", True), (io.StringIO(), "XNYS", False), (Screen(), "globex", False)],
)
def test_a_terminal_is_told_what_the_library_of_calendars_takes(stream, calendar, said, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.delitem(sys.modules, "pandas_market_calendars", raising=False)
    load_config(None, session__calendar=calendar)
    assert (stream.getvalue() == f"loading the library of calendars for {calendar} …\n") is said
    assert bool(stream.getvalue()) is said

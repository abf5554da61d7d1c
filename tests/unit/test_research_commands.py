"""The verbs that compare and question results: what they write, and one clear line for what makes no sense."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine import Instrument, TickBlock, write_ticks
from engine.cli import main
from mock_server.market import generate


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    made = generate(20_000)
    names = ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks")
    path = tmp_path_factory.mktemp("ticks") / "AAPL.csv"
    block = TickBlock(**{name: np.ascontiguousarray(getattr(made, name)) for name in names})
    write_ticks(str(path), block, [Instrument("AAPL")])
    return str(path)


@pytest.fixture
def say(capsys, monkeypatch, tmp_path):
    """Run a command line in an empty folder; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return ended.value.code, told.out, told.err

    return run


def test_whatif_tells_settings_from_parameters(say, recorded):
    code, out, _ = say("whatif", "--ticks", recorded, "--set", "window=7s", "--set", "paper.fee=1bps", "--json")
    found = json.loads(out)
    assert code == 0
    assert [change["name"] for change in found["changes"]] == ["parameters.window", "fee"]
    assert sum(kind["count"] for kind in found["trades"].values()) == len(found["pairs"])


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "there is nothing to change"),
        (("--set", "windw=7s"), 3, "there is neither a parameter nor a setting 'windw'; did you mean 'window'?"),
        (("--set", "window"), 3, "'window' is not KEY=VALUE"),
        (("--set", "window=seven"), 3, "window"),
        (("--set", "fee=cheap"), 3, "fee"),
    ],
)
def test_whatif_refuses_what_it_cannot_change(say, recorded, arguments, code, words):
    found, out, err = say("whatif", "--ticks", recorded, *arguments)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert words in err

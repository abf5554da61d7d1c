"""The verbs that compare and question results: what they write, and one clear line for what makes no sense."""

from __future__ import annotations

import json
from pathlib import Path

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


@pytest.fixture
def kept(say, recorded, tmp_path):
    """Keep a run of a backtest with further flags; returns its folder."""

    def keep(*flags, ticks=recorded):
        before = set(tmp_path.glob("runs/*"))
        code, _, err = say("backtest", "--ticks", ticks, "--save", "runs", "--quiet", *flags)
        assert (code, err) == (0, "")
        (folder,) = set(tmp_path.glob("runs/*")) - before
        return str(folder)

    return keep


def test_compare_of_kept_runs_is_that_of_the_same_strategies_on_the_file(say, recorded, kept):
    one, other = kept(), kept("--set", "window=7s")
    code, out, _ = say("compare", one, other, "--json")
    found = json.loads(out)
    assert code == 0
    again = json.loads(
        say("compare", "--ticks", recorded, "--a", "momentum_burst", "--b", "momentum_burst window=7s", "--json")[1]
    )
    assert found["pairs"] == again["pairs"]
    assert found["metrics"] == again["metrics"]
    assert [one["name"] for one in found["differences"]] == ["parameters.window"]
    assert found["same_data"] is True
    assert found["same_decisions"] is False


def test_compare_speaks_of_figures_as_a_backtest_does(say, recorded):
    code, out, _ = say("compare", "--ticks", recorded, "--a", "momentum_burst", "--b", "momentum_burst window=7s")
    assert code == 0
    rows = {line.split("  ")[0]: line.split()[-3:] for line in out.splitlines() if line}
    backtest = say("backtest", "--ticks", recorded, "--strategy", "momentum_burst")[1]
    shown = {line.split("  ")[0]: line.split()[-1] for line in backtest.splitlines() if line}
    both = [name for name in rows if name in shown and name not in ("result", "trades", "strategy")]
    assert {"net", "time in market [%]"} <= set(both)
    assert {name: rows[name][0] for name in both} == {name: shown[name] for name in both}
    assert not {"win rate", "exposure", "consecutive losses", "daily P/L", "total P/L", "daily pnl"} & set(rows)


def test_compare_of_a_run_with_itself_finds_nothing(say, kept):
    one = kept()
    code, out, _ = say("compare", one, one)
    assert code == 0
    assert "nothing is set differently\nevery decision is the same\n" in out


def test_results_on_different_data_are_not_compared_unless_asked(say, kept, recorded, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("".join(Path(recorded).read_text().splitlines(keepends=True)[:15_000]))
    runs = kept(), kept(ticks=str(other))
    code, out, err = say("compare", *runs)
    assert (code, out) == (8, "")
    assert "their results say nothing about each other; compare runs on the same file, or" in err
    code, out, _ = say("compare", *runs, "--different-data", "--json")
    found = json.loads(out)
    assert code == 0
    assert [one["name"] for one in found["differences"]] == ["input", "input_sha256"]
    assert [one["kind"] for one in found["differences"]] == ["data", "data"]
    assert found["pairs"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "there is nothing to compare"),
        (("{run}",), 2, "1 run to compare"),
        (("{run}", "{run}", "{run}"), 2, "3 runs to compare"),
        (("{run}", "{run}", "--ticks", "{ticks}"), 2, "kept runs and a file: not both"),
        (("{run}", "{run}", "--fee", "9bps"), 2, "--fee has no meaning with a kept run"),
        (("--ticks", "{ticks}", "--a", "momentum_burst"), 2, "there is nothing to compare"),
        (("--ticks", "{ticks}", "--a", "momentum_burst", "--b", ""), 2, "--a and --b name a strategy each"),
        (("--ticks", "{ticks}", "--a", "momentum_burst", "--b", "momentum_burst windw=1s"), 3, "windw"),
        (("{run}", "nowhere"), 5, "there is no such run"),
    ],
)
def test_compare_refuses_what_makes_no_sense(say, kept, recorded, arguments, code, words):
    run = kept() if "{run}" in arguments else ""
    found, out, err = say("compare", *(one.format(run=run, ticks=recorded) for one in arguments))
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert words in err


def test_montecarlo_of_a_kept_run_is_that_of_the_backtest(say, kept, recorded):
    flags = ("--paths", "200", "--method", "resample", "--seed", "7", "--json")
    of_run = say("montecarlo", kept("--fee", "1bps"), *flags)
    assert of_run == say("montecarlo", "--ticks", recorded, "--fee", "1bps", *flags)
    assert of_run[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "one of --ticks FILE and --bars FILE is needed"),
        (("--method", "guess"), 2, "--method guess is neither shuffle nor resample"),
        (("--total-loss-limit", "0"), 2, "--total-loss-limit 0 is no share of the equity"),
        (("--total-loss-limit", "101%"), 2, "--total-loss-limit 101% is no share of the equity"),
        (("{run}", "--ticks", "{ticks}"), 2, "a kept run and a file: not both"),
        (("{run}", "--strategy", "nix"), 2, "--strategy has no meaning with a kept run; leave it out: the run has its"),
        (("{run}", "--set", "foo=1"), 2, "--set has no meaning with a kept run"),
        (("{run}", "--fee", "9bps"), 2, "--fee has no meaning with a kept run"),
        (("{run}", "--config", "my.toml"), 2, "--config has no meaning with a kept run"),
        (("{run}", "--on-bad-row", "skip"), 2, "--on-bad-row has no meaning with a kept run"),
        (("--ticks", "{ticks}", "--set", "guard=90%"), 4, "there is no trade to put in another order"),
    ],
)
def test_montecarlo_refuses_what_makes_no_sense(say, kept, recorded, arguments, code, words):
    run = kept() if "{run}" in arguments else ""
    found, out, err = say("montecarlo", *(one.format(run=run, ticks=recorded) for one in arguments))
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert words in err


VERBS = {
    "backtest": ("backtest", "--quiet"),
    "ladder": ("backtest", "--quiet", "--fills", "ladder"),
    "montecarlo": ("montecarlo",),
    "whatif": ("whatif", "--set", "fee=1bps"),
    "compare": ("compare", "--a", "momentum_burst", "--b", "smoke_test"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_setting_that_the_instruments_do_not_bear_is_named_where_it_was_made(say, recorded, tmp_path, verb):
    (tmp_path / "microburst.toml").write_text('[paper]\nstarting_cash = "1e30"\n')
    code, out, err = say(*VERBS[verb], "--ticks", recorded)
    assert (code, out) == (3, "")
    assert err.startswith("error: microburst.toml:2: paper.starting_cash: an account of 1e+30 cannot be kept; between")
    (tmp_path / "microburst.toml").unlink()
    code, out, err = say(*VERBS[verb], "--ticks", recorded, "--size", "99999999999999999999")
    assert (code, out) == (3, "")
    assert err.startswith("error: flag --size: sizing.size: a position of 99999999999999999999 AAPL is too large")

"""``explain``, ``features``, ``strategy check`` and ``lookahead`` on bars instead of ticks, as a user runs them."""

from __future__ import annotations

import json
import re

import pytest

CLOSES = [100 + (7 * i) % 11 for i in range(60)]

RISING = """from engine.rules import TimeStop, bars, minutes, previous, price, since_open, time_of_day, at
from engine.strategy import Strategy


class Rising(Strategy):
    two = bars(minutes(2))
    long = (price > previous(price, 1)) & (two.high >= 105) & (since_open >= minutes(20)) & (time_of_day > at("09:45"))
    exits = TimeStop(minutes(2))
"""


@pytest.fixture
def bars(tmp_path):
    """An hour of minutes from the opening in New York, stamped on its clock."""
    rows = [
        f"2024-01-02 {9 + (30 + i) // 60:02}:{(30 + i) % 60:02}:00,{c},{c + 1},{c - 1},{c},10"
        for i, c in enumerate(CLOSES)
    ]
    path = tmp_path / "SPY.csv"
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
    return ["--bars", str(path), "--zone", "America/New_York", "--calendar", "us_equities"]


@pytest.fixture
def rising(tmp_path):
    path = tmp_path / "rising.py"
    path.write_text(RISING)
    return f"{path}:Rising"


def test_features_of_bars_have_a_row_for_each(run, bars, tmp_path):
    out = tmp_path / "out.csv"
    asked = ["--feature", "p=price", "--feature", "top=highest(ticks(3))"]
    done = run("engine", "features", *bars, *asked, "--out", str(out))
    assert done.code == 0, done.err
    header, *rows = (line.split(",") for line in out.read_text().splitlines())
    assert [float(row[header.index("p")]) for row in rows] == CLOSES
    expected = [max(CLOSES[i - 2 : i + 1]) for i in range(2, len(CLOSES))]
    assert [float(row[header.index("top")]) for row in rows[2:]] == expected
    assert f"{len(CLOSES)} bars" in run("engine", "features", *bars, *asked).out


def test_explain_knows_the_bars_that_had_closed(run, bars, rising):
    """At 10:00:30 the bar stamped 9:59 is the last one: its end is 10:00."""
    at = ["--at", "2024-01-02T15:00:30", "--strategy", rising]
    done = run("engine", "explain", *bars, *at)
    assert done.code == 0, done.err
    assert done.out.startswith(f"SPY {CLOSES[29]} at 2024-01-02 15:00:00")
    shown = {line.split()[0]: line.split()[1:] for line in done.out.splitlines() if line.startswith("    ")}
    assert shown["price"][0] == str(CLOSES[29])
    assert shown["bars(2m).high"][0] == str(max(CLOSES[28:30]) + 1)
    assert shown["since_open"][:3] == ["30m00s", ">=", "20m00s"]
    assert shown["time_of_day"][:3] == ["10:00:00.000", ">", "09:45:00.000"]
    (told,) = json.loads(run("engine", "explain", *bars, *at, "--json").out)["explanations"]
    since_open = next(line for line in told["conditions"] if line["name"] == "since_open")
    assert (since_open["value"], since_open["threshold"], since_open["unit"]) == (1800, 1200, "s")


def test_checkers_take_bars(run, bars, rising):
    done = run("engine", "strategy", "check", rising, *bars, "--json")
    assert done.code == 0, done.out
    assert {line["symbol"] for line in json.loads(done.out)["warm_up"]} == {"SPY"}
    found = json.loads(run("engine", "lookahead", rising, *bars, "--points", "5", "--json").out)
    assert found["ticks"] == len(CLOSES)
    assert found["mismatch"] is None


@pytest.mark.parametrize(
    "verb", [["explain", "--why-not"], ["features", "--feature", "p=price"], ["lookahead", "swing"]]
)
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "(one of|give) --ticks FILE (and|or) --bars FILE"),
        (["--ticks", "a.csv", "--bars", "b.csv"], "--ticks FILE and --bars FILE: not both"),
        (["--ticks", "a.csv", "--zone", "UTC"], "--zone has no meaning with --ticks FILE; use it with --bars FILE"),
        (["--bars", "b.csv", "--bar-stamps", "middle"], "--bar-stamps middle is neither start nor end"),
    ],
)
def test_flags_that_do_not_go_together(run, verb, flags, said):
    done = run("engine", *verb, *flags)
    assert (done.code, done.out) == (2, "")
    assert re.search(said, done.err)

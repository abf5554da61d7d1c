"""The weather's script and its stages, without a socket: what each does to records, by definition."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mock_server.errors import MockError
from mock_server.listings import listings
from mock_server.market import Market
from mock_server.weather import FAULTS, WORDS, Step, Weather, read_script
from mock_server.weather_stages import LOST, Sky
from mock_server.wire import TradeIds

INF = float("inf")


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("gap", (Step(("gap",), INF),)),
        ("gap, duplicate,gap", (Step(("gap", "duplicate"), INF),)),
        (
            "calm 30s, garbage 500ms, disconnect",
            (Step(("calm",), 30), Step(("garbage",), 0.5), Step(("disconnect",), 1)),
        ),
        ("gap+crossed 2m, end", (Step(("gap", "crossed"), 120), Step(("calm",), INF))),
    ],
)
def test_scripts(text, steps):
    assert read_script(text) == steps


def test_a_script_in_a_file(tmp_path: Path):
    file = tmp_path / "storm.txt"
    file.write_text("# first nothing\ncalm 3s\ngap 2s, halt 1s  # then all\n\nend\n")
    assert [step.seconds for step in read_script(str(file))] == [3, 2, 1, INF]
    file.write_bytes(b"\xff")
    with pytest.raises(MockError, match="not a text in UTF-8"):
        read_script(str(file))


@pytest.mark.parametrize("text", ["gap 0s", "gap 3 parsecs", "end", "gap+ 3s", "end, gap 3s", "Gap"])
def test_what_is_no_script(text):
    with pytest.raises(MockError):
        read_script(text)


def test_time_goes_through_the_steps_and_round_again():
    clock = Hand()
    weather = Weather(read_script("calm 2s, gap 500ms, halt 1s"), 1, clock)
    met = []
    for tenth in range(71):
        clock.now_s = 100 + tenth / 10
        met.append((weather.now().step, weather.now().words))
    changes = [one for before, one in zip([None, *met], met, strict=False) if one != before]
    assert changes == [(0, ()), (1, ("gap",)), (2, ("halt",)), (3, ()), (4, ("gap",)), (5, ("halt",)), (6, ())]


def test_mixed_is_calm_every_other_second_and_the_same_for_the_same_seed():
    clock = Hand()

    def words(seed):
        clock.now_s = 0.0
        weather = Weather(read_script("mixed"), seed, clock)
        met = []
        for clock.now_s in range(400):
            met.append(weather.now().words)
        return met

    assert words(3) == words(3) != words(4)
    assert set(words(3)[::2]) == {()}
    assert {word for one in words(3) for word in one} == set(FAULTS)


def through(word, *, rows=2000, seed=5, cut=100, quotes=True):
    """Return the records of a market, what came of them in this weather, and the counts."""
    clock = Hand()
    weather = Weather(read_script(word), seed, clock)
    sky = Sky(weather, 1)
    listed = listings(["AAPL", "MSFT"])
    table = next(Market(listed, seed=2, rate=1000, quotes=quotes).blocks(rows))
    numbers = TradeIds(2)
    came, ids = [], []
    for at in range(0, table.shape[1], cut):
        assert sky.look()
        changed = sky.market(table[:, at : at + cut], 10**18)
        changed, numbered = sky.line(changed, numbers.number(changed))
        came.append(changed)
        ids.append(numbered)
    return table, np.concatenate(came, axis=1), np.concatenate(ids), weather.happened


def rows_of(table):
    return Counter(map(tuple, table.T.tolist()))


def test_calm_is_the_identity():
    table, came, ids, happened = through("calm")
    assert (came == table).all()
    assert not happened
    assert (ids == TradeIds(2).number(table)).all()


@settings(max_examples=30)
@given(seed=st.integers(0, 2**63 - 1), cut=st.integers(1, 300))
def test_a_gap_only_takes_and_a_duplicate_only_repeats(seed, cut):
    table, came, _, happened = through("gap", seed=seed, cut=cut, rows=600)
    assert rows_of(came) <= rows_of(table)
    assert table.shape[1] - came.shape[1] == happened["gap"]
    assert abs(happened["gap"] / table.shape[1] - LOST) < 0.1
    table, came, ids, happened = through("duplicate", seed=seed, cut=cut, rows=600)
    assert set(rows_of(came)) == set(rows_of(table))
    assert came.shape[1] - table.shape[1] == happened["duplicate"] > 0
    assert len(ids) == came.shape[1]


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), cut=st.integers(1, 50))
def test_out_of_order_keeps_every_record_but_those_still_held(seed, cut):
    table, came, _, happened = through("out-of-order", seed=seed, cut=cut, rows=600)
    assert rows_of(came) <= rows_of(table)
    assert table.shape[1] - came.shape[1] <= cut
    assert happened["out-of-order"] > 0
    assert (np.diff(came[0]) < 0).any()


def test_a_burst_multiplies_and_a_halt_silences():
    table, came, _, happened = through("burst", quotes=False)
    assert came.shape[1] == 5 * table.shape[1]
    assert came[2].sum() == 20 * table[2].sum()
    assert happened["burst"] == table.shape[1]
    table, came, _, happened = through("halt")
    assert came.shape[1] == 0
    assert happened["halt"] == table.shape[1]


def test_crossed_quotes_and_jumping_clocks_are_as_many_as_counted():
    _, came, _, happened = through("crossed")
    assert int((came[3] > came[4]).sum()) == happened["crossed"] > 100
    table, came, _, happened = through("clock-jump")
    assert int((came[0] != table[0]).sum()) == happened["clock-jump"] > 100
    assert {int(ns) for ns in (came[0] - table[0])[came[0] > table[0]]} == {3_600_000_000_000}
    assert int((came[0] == -(10**18)).sum()) >= happened["clock-jump"] // 3


def test_everybody_is_cut_as_the_step_begins_and_at_each_second_of_it():
    clock = Hand()
    weather = Weather(read_script("calm 2s, disconnect 2s"), 1, clock)
    first = Sky(weather, 1)
    kept = []
    for clock.now_s in (100.5, 101.9, 102.0, 102.5, 103.0, 103.9, 104.0, 106.0):
        kept.append(first.look())
    assert kept == [True, True, False, True, False, True, True, False]
    assert weather.happened == {"disconnect": 3}
    clock.now_s = 106.2  # a client that comes back is not cut again at once
    assert Sky(weather, 2).look()


def test_every_word_is_listed_once():
    assert len(set(WORDS)) == len(WORDS) == len(FAULTS) + 2

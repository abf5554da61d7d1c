"""Features of one's own: the example in C, built as its page says, and Python functions called record by record."""

from __future__ import annotations

import gc
import importlib.util
import math
import os
import re
import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine import _core, custom
from engine.backtesting import load_ticks, make_kernel, make_settings
from engine.custom import python_feature
from engine.errors import ConfigError, DataError
from engine.events import End, FeedGap
from engine.graph.compiler import Compiler
from engine.journal.writer import MemoryJournal
from engine.language.grammar import Condition, RuleError
from engine.model import Instrument, TickBlock
from engine.rules import Param, Stop, bars, ema, mean, pct, price, seconds, size, ticks
from engine.strategy import Strategy
from engine.tools.explain import explain
from engine.tools.features import watched_of
from engine.tools.lookahead import lookahead
from engine.trading.kernel import Kernel
from tests.test_docs import blocks

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "own_feature"
PAGE = ROOT / "docs" / "how-to" / "add-a-feature.md"
ROWS = 1_500


def market(rows: int = ROWS, instruments: int = 1) -> TickBlock:
    rng = np.random.default_rng(3)
    return TickBlock(
        ts_ns=np.cumsum(rng.integers(0, 40_000_000, rows)) + 10**18,
        price_ticks=10_000 + np.cumsum(rng.integers(-3, 4, rows)),
        size_lots=rng.integers(1, 500, rows),
        instrument=None if instruments == 1 else rng.integers(0, instruments, rows).astype(np.uint16),
    )


TICKS = market()


class Watch:
    """A kernel without a strategy that computes ``declared`` on trades as they come."""

    def __init__(self, declared: dict[str, Any], rows: int = ROWS, instruments: int = 1, limit: int = 512) -> None:
        watched, parameters = watched_of(declared)
        known = [Instrument(f"X{i}") for i in range(instruments)]
        self.kernel: Kernel = make_kernel(
            known, None, make_settings(TICKS), MemoryJournal(), watched=watched, parameters=parameters
        )
        self.kernel.core.set_block(limit)
        self.columns = {
            name: np.zeros(rows, bool) if isinstance(part, Condition) else np.full(rows, np.nan)
            for name, part in watched.items()
        }
        for name, column in self.columns.items():
            for instrument, number in enumerate(self.kernel.columns[name]):
                self.kernel.core.tap(instrument, number, column.view(np.uint8))


def columns_of(declared: dict[str, Any], cuts: Sequence[int] = (), limit: int = 512) -> dict[str, Any]:
    watch = Watch(declared, limit=limit)
    edges = [0, *sorted(cuts), ROWS]
    for first, last in pairwise(edges):
        watch.kernel.process(TICKS.part(first, last))
    return watch.columns


def same(a: Any, b: Any) -> None:
    """Equal to the bit, NaN to NaN."""
    np.testing.assert_array_equal(a, b)


def bars_of(count: int) -> tuple[list[int], list[int], list[int]]:
    """Close, volume, and the row of the closing trade of each bar of ``count`` trades."""
    ends = list(range(count - 1, ROWS, count))
    volume = [int(TICKS.size_lots[end - count + 1 : end + 1].sum()) for end in ends]
    return [int(TICKS.price_ticks[end]) for end in ends], volume, ends


def held(values: Sequence[float], ends: Sequence[int]) -> Any:
    """Values of bars as trades see them: from the closing trade on, until the next bar closes."""
    seen = np.full(ROWS, np.nan)
    for value, end in zip(values, ends, strict=True):
        seen[end:] = value
    return seen


# ---------------------------------------------------------------- in C


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> ModuleType:
    """The example, built where nothing but the installed engine is in reach."""
    folder = tmp_path_factory.mktemp("own_feature")
    for source in EXAMPLE.glob("*.py*"):
        shutil.copy(source, folder)
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (built,) = [path for path in folder.iterdir() if path.suffix in (".so", ".pyd")]
    spec = importlib.util.spec_from_file_location("own_feature", built)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def vpin_by_definition(prices: Sequence[float], sizes: Sequence[float], length: int) -> list[float]:
    """Each average from its weights, afresh on every record; the normal distribution is Python's own."""
    found, one_sided = [], []
    moves = np.diff(np.asarray(prices, float))
    for n in range(len(prices)):
        alphas = [max(1 / i, 2 / (length + 1)) for i in range(1, n + 1)]
        kept = np.cumprod([1.0, *(1 - alpha for alpha in reversed(alphas))])[:-1][::-1] if n else np.empty(0)
        weights = np.array(alphas) * kept
        if n:
            variance = float((weights * moves[:n] ** 2).sum())
            share = NormalDist().cdf(moves[n - 1] / math.sqrt(variance)) if moves[n - 1] else 0.5
            one_sided.append(sizes[n] * abs(2 * share - 1))
        volume = float((weights * np.asarray(sizes[1 : n + 1], float)).sum())
        found.append(float((weights * one_sided).sum()) / volume if n >= length else math.nan)
    return found


@pytest.mark.parametrize("length", [1, 2, 20])
def test_the_feature_in_c_is_its_definition_on_trades_and_on_bars(own, length):
    b = bars(ticks(5))
    made = columns_of({"trades": own.vpin(price, size, length), "bars": own.vpin(b.close, b.volume, length)})
    expected = vpin_by_definition(TICKS.price_ticks, TICKS.size_lots, length)
    np.testing.assert_allclose(made["trades"], expected, rtol=1e-9)
    close, volume, ends = bars_of(5)
    np.testing.assert_allclose(made["bars"], held(vpin_by_definition(close, volume, length), ends), rtol=1e-9)
    assert np.nanmin(made["trades"]) >= 0
    assert np.nanmax(made["trades"]) <= 1
    assert np.isnan(made["trades"][:length]).all()
    assert not np.isnan(made["trades"][length:]).any()


@pytest.mark.parametrize("limit", [1, 7, 512])
def test_block_cuts_do_not_change_the_feature_in_c(own, limit):
    b = bars(ticks(5))
    declared = {
        "trades": own.vpin(price, size),
        "bars": own.vpin(b.close, b.volume),
        "late": own.vpin(mean(ticks(9)), size),
    }
    whole, cut = columns_of(declared), columns_of(declared, [1, 2, 513, 700, 701], limit)
    for name in declared:
        same(cut[name], whole[name])


def test_the_feature_in_c_restarts_with_windows_and_bars_go_on(own):
    b = bars(ticks(5))
    watch = Watch({"trades": own.vpin(price, size, 10), "bars": own.vpin(b.close, b.volume, 10)})
    watch.kernel.process(TICKS.part(0, 700))
    watch.kernel.process(FeedGap((0,)))
    watch.kernel.process(TICKS.part(700, ROWS))
    after = vpin_by_definition(TICKS.price_ticks[700:], TICKS.size_lots[700:], 10)
    np.testing.assert_allclose(watch.columns["trades"][700:], after, rtol=1e-9)
    same(watch.columns["bars"], columns_of({"bars": own.vpin(b.close, b.volume, 10)})["bars"])


def test_a_strategy_trades_on_it_and_can_be_explained(own):
    class OneSided(Strategy):
        length = Param(30, "records that VPIN remembers", low=1)
        pressure = own.vpin(price, size, length)
        long = pressure > "0.45"
        exits = (Stop(pct("0.01")),)

    file = load_ticks(TICKS)
    result = engine.backtest(TICKS, OneSided, length=20)
    pressure = engine.features(TICKS, OneSided(length=20))["pressure"]
    same(pressure, columns_of({"x": own.vpin(price, size, 20)})["x"])
    assert result.metrics["trades"] > 3
    entered = np.searchsorted(TICKS.ts_ns, [trade.entry_ts_ns for trade in result.trades])
    assert (pressure[entered] > 0.45).all()
    row = int(entered[1])
    (line,) = explain(file, OneSided(length=20), result.settings, int(TICKS.ts_ns[row]))[0].conditions
    last = int(np.flatnonzero(TICKS.ts_ns == TICKS.ts_ns[row])[-1])
    assert (line.name, line.op, line.holds) == ("pressure", ">", True)
    assert line.value == pressure[last]


def test_equal_features_are_one_node(own):
    compiler = Compiler(Instrument("X"))
    first = compiler.shown(own.vpin(price, size, 20), {})
    assert compiler.shown(own.vpin(price, size, 20), {}) == first
    assert compiler.shown(own.vpin(price, size, 21), {}) != first
    assert [node[0] for node in compiler.program.listing].count("vpin") == 2


def test_a_build_against_other_structures_is_refused_when_it_is_imported(tmp_path):
    """It would read and write beside the mark; a ``Slot`` with two integers more stands for any other engine."""
    package = tmp_path / "engine"
    package.mkdir()
    for source in [*(ROOT / "engine").glob("*.pxd"), *(ROOT / "engine").glob("*.h"), ROOT / "engine" / "__init__.py"]:
        shutil.copy(source, package)
    tape = (package / "_tape.pxd").read_text()
    assert "int64_t i[10]" in tape
    (package / "_tape.pxd").write_text(tape.replace("int64_t i[10]", "int64_t i[12]"))
    shutil.copy(EXAMPLE / "own_feature.pyx", tmp_path)
    setup = (EXAMPLE / "setup.py").read_text().replace("from engine.custom import include_dirs\n", "")
    (tmp_path / "setup.py").write_text(setup.replace("include_dirs()", f"[{str(tmp_path)!r}, {str(package)!r}]"))
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    shutil.rmtree(package)  # what is imported is the engine that is installed
    done = subprocess.run(
        [sys.executable, "-c", "import own_feature"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "Operation size changed" in done.stderr


def test_an_outside_build_finds_what_it_cimports():
    folders = [Path(folder) for folder in custom.include_dirs()]
    assert any((folder / "engine" / "_tape.pxd").is_file() for folder in folders)
    assert any((folder / "_int128.h").is_file() for folder in folders)


def test_the_page_shows_the_example_as_it_is():
    shown = {block.name: block.body for block in blocks(PAGE) if block.name}
    assert {path.name for path in EXAMPLE.glob("*.py*")} <= set(shown)
    for path in EXAMPLE.glob("*.py*"):
        assert shown[path.name] == path.read_text(encoding="utf-8")


# ---------------------------------------------------------------- in Python


@python_feature(unit="price", restarts=True)
class Level:
    """An average of its own; counts its calls."""

    def __init__(self, gain: float = 0.25) -> None:
        self.gain, self.at, self.calls = gain, 0.0, 0

    def __call__(self, price: float) -> float:
        self.calls += 1
        self.at = price if self.calls == 1 else self.at + self.gain * (price - self.at)
        return self.at + self.calls * 1e-9


def level_of(prices: Sequence[float], gain: float = 0.25) -> list[float]:
    at, found = 0.0, []
    for calls, value in enumerate(map(float, prices), start=1):
        at = value if calls == 1 else at + gain * (value - at)
        found.append(at + calls * 1e-9)
    return found


@python_feature
def share(a: float, b: float, *, power: int = 1) -> float | None:
    return (a / b) ** power if a > b else None


def in_currency(values: Sequence[float]) -> Any:
    return np.array(values) / 100


@given(st.lists(st.integers(1, ROWS - 1), max_size=5), st.sampled_from([1, 3, 100, 511, 512]))
@settings(max_examples=25, deadline=None)
def test_python_sees_every_record_in_order_however_the_stream_is_cut(cuts, limit):
    b = bars(ticks(4))
    made = columns_of({"trades": Level(price), "bars": Level(b.close, gain=0.5)}, cuts, limit)
    close, _, ends = bars_of(4)
    same(made["trades"], in_currency(level_of(TICKS.price_ticks)))
    same(made["bars"], held(in_currency(level_of(close, 0.5)), ends))


def test_trades_that_are_pushed_one_by_one_are_seen_too():
    watch = Watch({"trades": Level(price)})
    for row in range(300):
        watch.kernel.push(0, int(TICKS.ts_ns[row]), int(TICKS.price_ticks[row]), int(TICKS.size_lots[row]))
    same(watch.columns["trades"][:300], in_currency(level_of(TICKS.price_ticks[:300])))


def test_it_is_called_only_where_its_inputs_are_defined_and_none_is_undefined():
    slow = ema(price, 30)
    made = columns_of(
        {"level": Level(slow), "share": share(price, slow), "squared": share(price, slow, power=2), "slow": slow}
    )
    defined = ~np.isnan(made["slow"])
    assert defined.sum() == ROWS - 29
    assert (defined == ~np.isnan(made["level"])).all()
    above = defined & (TICKS.price_ticks > made["slow"] * 100 + 1e-9)
    assert (above == ~np.isnan(made["share"])).all()
    np.testing.assert_allclose(made["level"][defined], in_currency(level_of(made["slow"][defined] * 100)), rtol=1e-12)
    np.testing.assert_allclose(made["squared"][above], made["share"][above] ** 2, rtol=1e-12)


def test_each_instrument_has_an_instance_of_its_own():
    block = market(instruments=3)
    watch = Watch({"level": Level(price)}, instruments=3, limit=11)
    watch.kernel.process(block)
    for instrument in range(3):
        rows = block.instrument == instrument
        same(watch.columns["level"][rows], in_currency(level_of(block.price_ticks[rows])))


@pytest.mark.parametrize("restarts", [True, False])
def test_it_restarts_with_windows_only_when_it_says_so(restarts):
    feature = python_feature(Level.code, unit="price", restarts=restarts)
    b = bars(ticks(4))
    watch = Watch({"trades": feature(price), "bars": feature(b.close)})
    watch.kernel.process(TICKS.part(0, 701))
    watch.kernel.process(FeedGap((0,)))
    watch.kernel.process(TICKS.part(701, ROWS))
    whole = level_of(TICKS.price_ticks)
    expected = level_of(TICKS.price_ticks[:701]) + level_of(TICKS.price_ticks[701:]) if restarts else whole
    same(watch.columns["trades"], in_currency(expected))
    close, _, ends = bars_of(4)
    same(watch.columns["bars"], held(in_currency(level_of(close)), ends))


def test_a_parameter_is_an_input_and_is_searched_like_any_other():
    class Follows(Strategy):
        least = Param(seconds(2), "as seconds")
        ratio = share(price, least, power=1)
        long = ratio > 5_010
        exits = (Stop(pct("0.1")),)

    made = engine.features(TICKS, Follows(least="3s"))["ratio"]
    same(made, TICKS.price_ticks / 3)
    assert str(share(price, 2, power=3)) == "share(price, 2, power=3)"


def test_equal_calls_are_made_once_and_other_settings_are_not_equal():
    compiler = Compiler(Instrument("X"))
    columns = [
        compiler.shown(Level(price, **given), {}) for given in ({}, {}, {"gain": 0.5}, {"gain": 1}, {"gain": 1.0})
    ]
    assert columns[0] == columns[1]
    assert len(set(columns)) == 4, "1 and 1.0 may mean different things to Python code"
    assert len(custom.callers_of(compiler.program)) == 4


def test_programs_without_python_keep_nothing():
    compiler = Compiler(Instrument("X"))
    compiler.shown(ema(price, 30), {})
    assert compiler.program.kept == []


def test_nothing_is_left_when_the_kernel_is_gone():
    alive: list[weakref.ref[Any]] = []

    @python_feature
    class Noted:
        def __init__(self) -> None:
            alive.append(weakref.ref(self))

        def __call__(self, price: float) -> float:
            return price

    watch = Watch({"noted": Noted(price)})
    watch.kernel.process(TICKS)
    assert len(alive) == 1
    assert alive[0]() is not None
    del watch
    gc.collect()
    assert alive[0]() is None


def test_a_program_on_two_cores_remembers_two_pasts():
    compiler = Compiler(Instrument("X"))
    column = compiler.shown(Level(price), {})
    cores = [_core.Core([compiler.program]) for _ in range(2)]
    prices = [[10_000, 10_010, 9_990], [500, 490, 480]]
    for row in range(3):
        for core, own in zip(cores, prices, strict=True):
            core.push(0, 10**18 + row, own[row], 1)
            assert core.value(0, column) == in_currency(level_of(own[: row + 1]))[-1]


# ---------------------------------------------------------------- what looks ahead, or elsewhere


def previous_price(prices: Any, now: float, calls: int) -> float:
    return float(prices[max(calls - 2, 0)])


def next_price(prices: Any, now: float, calls: int) -> float:
    return float(prices[min(calls, ROWS - 1)])


def drawn(prices: Any, now: float, calls: int) -> float:
    return now + RNG.integers(-3, 4)


RNG = np.random.default_rng(5)


@pytest.mark.parametrize(("read", "caught"), [(previous_price, ""), (next_price, "truncated"), (drawn, "repeated")])
def test_lookahead_finds_a_python_feature_that_reads_the_future_or_chance(read, caught):
    @python_feature(unit="price")
    class Reads:
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, price: float) -> float:
            self.calls += 1
            return read(TICKS.price_ticks, price, self.calls)

    class Trades(Strategy):
        move = price - Reads(price)
        long = ~(move <= 0) & (size > 100)
        exits = (Stop(pct("0.02")),)

    report = lookahead(load_ticks(TICKS), Trades(), make_settings(TICKS), points=20)
    assert report.own_code
    assert (report.mismatch.check if report.mismatch else "") == caught


# ---------------------------------------------------------------- mistakes


def failing(error: Callable[[], object], at: int) -> Any:
    @python_feature
    class Failing:
        def __init__(self) -> None:
            self.calls = 0

        def __call__(self, price: float) -> object:
            self.calls += 1
            if self.calls == at:
                return error()
            return price

    return Failing


def divide_by_zero() -> object:
    return 1 / 0


@pytest.mark.parametrize("limit", [1, 5, 512])
def test_what_it_raises_is_one_clear_sentence_after_the_input_and_undefined_from_there(limit):
    feature = failing(divide_by_zero, 600)
    watch = Watch({"failing": feature(price), "level": Level(price)}, limit=limit)
    with pytest.raises(ConfigError) as caught:
        watch.kernel.process(TICKS)
    line = divide_by_zero.__code__.co_firstlineno + 1
    given = int(TICKS.price_ticks[599])
    assert caught.value.line() == f"{__file__}:{line}: Failing({given}) raised ZeroDivisionError: division by zero"
    assert caught.value.exit_code == 3
    same(watch.columns["failing"][:599], TICKS.price_ticks[:599])
    assert np.isnan(watch.columns["failing"][599:]).all()
    same(watch.columns["level"], in_currency(level_of(TICKS.price_ticks)))
    watch.kernel.process(End())  # told once


def test_a_failed_feature_stays_undefined_after_a_restart():
    feature = python_feature(failing(divide_by_zero, 600).code, restarts=True)
    watch = Watch({"failing": feature(price)})
    with pytest.raises(ConfigError):
        watch.kernel.process(TICKS.part(0, 700))
    watch.kernel.process(FeedGap((0,)))
    watch.kernel.process(TICKS.part(700, ROWS))
    assert np.isnan(watch.columns["failing"][599:]).all()


def test_positions_are_watched_although_a_feature_failed():
    feature = failing(divide_by_zero, 600)

    class Fails(Strategy):
        long = feature(price) > 0
        exits = (Stop(pct("0.01")),)

    journal = MemoryJournal()
    kernel = make_kernel([Instrument("X")], Fails(), make_settings(TICKS), journal)
    with pytest.raises(ConfigError, match="ZeroDivisionError"):
        kernel.process(TICKS)
    kinds = [type(decision).__name__ for decision in journal.decisions]
    opened, closed = kinds.count("OrderSubmitted"), kinds.count("PositionClosed")
    assert closed >= 1
    assert not kernel.portfolio.positions, "the last stop was reached after the feature had failed"
    assert opened >= closed


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("much", "TypeError: it returned 'much', not a number"),
        ([1.0], r"TypeError: it returned \[1.0\], not a number"),
        (10**400, "OverflowError: "),
    ],
)
def test_what_is_no_number_is_refused_at_the_function(result, said):
    feature = failing(lambda: result, 3)
    with pytest.raises(ConfigError, match=said) as caught:
        columns_of({"failing": feature(price)})
    place, _, line = caught.value.where.rpartition(":")
    assert (place, int(line)) == (__file__, feature.called.__code__.co_firstlineno)


def test_an_instance_that_cannot_be_made_is_told_too():
    @python_feature
    class Picky:
        def __init__(self, gain: float) -> None:
            raise ValueError(f"gain {gain} is too large")

        def __call__(self, price: float) -> float:
            return price

    with pytest.raises(ConfigError, match=r"test_custom_features.py:\d+: Picky\(\) raised ValueError: gain 2 is too"):
        columns_of({"picky": Picky(price, gain=2)})


def raising(error: BaseException) -> Callable[[], object]:
    def raise_it() -> object:
        raise error

    return raise_it


@pytest.mark.parametrize("error", [DataError("no such file"), KeyboardInterrupt(), SystemExit(3)])
def test_sentences_and_interrupts_come_through_as_they_are(error):
    watch = Watch({"failing": failing(raising(error), 600)(price)})
    with pytest.raises(type(error)) as caught:
        watch.kernel.process(TICKS)
    assert caught.value is error
    assert not np.isnan(watch.columns["failing"][598])


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "no input": (lambda: Level(), "Level is given 0 inputs"),
    "an input too many": (lambda: Level(price, size), "too many positional arguments"),
    "an input too few": (lambda: share(price), "missing a required argument: 'b'"),
    "seventeen": (lambda: Level(*[price] * 17), "between 1 and 16"),
    "an unknown setting": (lambda: Level(price, gian=1), "unexpected keyword argument 'gian'"),
    "a parameter as a setting": (lambda: Level(price, gain=Param(2)), "is a setting, which cannot follow a rule"),
    "a quantity as a setting": (lambda: Level(price, gain=pct(2)), "is a setting"),
    "a list as a setting": (lambda: Level(price, gain=[1]), "unhashable"),
    "a condition as an input": (lambda: Level(price > 1), "is a condition, not a value"),
    "a unit that is none": (
        lambda: columns_of({"x": python_feature(share.code, unit="m")(price, 1)}),
        "'ratio', 'price'",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_refused_when_they_are_written(mistake):
    make, said = MISTAKES[mistake]
    with pytest.raises(RuleError, match=re.escape(said)):
        make()

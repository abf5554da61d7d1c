"""A strategy that looks ahead is caught, whatever it keeps the future in; one that does not is let alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from engine import Side, Signal
from engine.backtesting import load_ticks, make_kernel, make_settings, make_strategy
from engine.model import TickBlock
from engine.rules import (
    Stop,
    Target,
    TimeStop,
    bars,
    bid,
    change,
    crosses_above,
    ema,
    for_at_least,
    highest,
    minutes,
    pct,
    previous,
    price,
    seconds,
    size,
    vwap,
    within,
)
from engine.strategy import Strategy
from engine.tools import lookahead as tool
from engine.tools.futures import ERASED, MIRRORED, Reach
from engine.tools.lookahead import lookahead
from mock_server.market import generate
from tests.shared_data import load_aapl_lobster, load_spy

EXITS = (Stop(pct("0.1")), Target(pct("0.2")), TimeStop(seconds(20)))

TS: np.ndarray = np.zeros(0)
PRICES: np.ndarray | list[int] = np.zeros(0)
"""What the strategies below keep beside what they are handed: the whole file's times and prices."""


@pytest.fixture
def aapl(monkeypatch):
    """The first trades of a recorded day, and the same columns as globals of this module, as copies."""
    ticks = load_aapl_lobster().head(6_000)
    monkeypatch.setitem(globals(), "TS", ticks.ts_ns.copy())
    monkeypatch.setitem(globals(), "PRICES", ticks.price_ticks.copy())
    return load_ticks(ticks.columns(), symbol="AAPL", price_precision=4)


def examined(file, strategy, **more):
    return lookahead(file, strategy, make_settings(file.block), **more)


def place(ts_ns: int) -> int:
    return int(np.searchsorted(TS, ts_ns, side="right")) - 1


class Base(Strategy):
    long = change(seconds(10)) >= pct("0.03")
    exits = EXITS

    ahead = 50

    def future(self):
        return PRICES

    def on_fire(self, context, side):
        prices, here = self.future(), place(context.ts_ns)
        there = here + self.ahead
        if 0 <= there < len(prices) and prices[there] > context.price_ticks:
            return Signal(side, context.price_ticks)
        return None


class InAGlobal(Base):
    pass


class InItsClass(Base):
    kept: tuple[int, ...] = ()

    def future(self):
        return self.kept


class InItself(Base):
    def __init__(self, **values):
        super().__init__(**values)
        self.seen = {"prices": [int(p) for p in load_aapl_lobster().price_ticks[: len(TS)]]}

    def future(self):
        return self.seen["prices"]


@dataclass
class Book:
    prices: np.ndarray = field(default_factory=lambda: np.zeros(0))


BOOK = Book()


class InAnObject(Base):
    def future(self):
        return BOOK.prices


TABLE = np.zeros((2, 2))


class InATable(Base):
    def future(self):
        return TABLE[:, 1]


def in_a_closure(prices):
    class InAClosure(Base):
        def future(self):
            return prices

    return InAClosure


class OnTick(Strategy):
    """Enters only before a fall: erased, the future only falls."""

    exits = EXITS

    def on_tick(self, tick):
        here = place(tick.ts_ns)
        if here + 20 < len(PRICES) and 0 < PRICES[here + 20] < tick.price_ticks - 300:
            return Signal(Side.SHORT, tick.price_ticks)
        return None


def cheats(monkeypatch):
    monkeypatch.setattr(InItsClass, "kept", tuple(int(p) for p in PRICES))
    monkeypatch.setattr(BOOK, "prices", PRICES.copy())
    monkeypatch.setitem(globals(), "TABLE", np.column_stack([TS, PRICES]))
    return {
        "global": (InAGlobal, "PRICES"),
        "class": (InItsClass, "InItsClass.kept"),
        "itself": (InItself, "self.seen"),
        "object": (InAnObject, "BOOK"),
        "table": (InATable, "TABLE"),
        "closure": (in_a_closure(PRICES.copy()), "prices"),
        "on_tick": (OnTick, "PRICES"),
    }


@pytest.mark.parametrize("where", ["global", "class", "itself", "object", "table", "closure", "on_tick"])
def test_a_look_ahead_is_caught_wherever_the_future_is_kept(aapl, monkeypatch, where):
    cheat, name = cheats(monkeypatch)[where]
    before = PRICES.copy()
    report = examined(aapl, cheat(), points=40)
    assert report.mismatch is not None
    assert report.mismatch.check == "truncated"
    assert report.mismatch.number is not None
    assert name in report.within_reach
    assert aapl.block.ts_ns[report.mismatch.row] == report.mismatch.ts_ns
    assert (before == PRICES).all(), "what was changed is given back"


class Sly(Strategy):
    """It looks one trade ahead, and takes a future that is erased for a good one."""

    exits = EXITS

    def __init__(self, **values):
        super().__init__(**values)
        self.seen = 0

    def on_tick(self, tick):
        self.seen += 1
        there = self.seen
        if there < len(PRICES) and (PRICES[there] == 0 or PRICES[there] > tick.price_ticks):
            return Signal(Side.LONG, tick.price_ticks)
        return None


def test_an_erased_future_is_not_the_only_one(aapl):
    report = examined(aapl, Sly(), points=0)
    assert report.mismatch is not None
    assert report.mismatch.instead == "no decision"


class Honest(Base):
    """The same data, read backwards."""

    ahead = -50


@pytest.mark.parametrize("where", ["global", "table"])
def test_code_that_reads_only_the_past_is_let_alone(aapl, monkeypatch, where):
    cheats(monkeypatch)

    class Reader(Honest):
        def future(self):
            return PRICES if where == "global" else TABLE[:, 1]

        def on_fire(self, context, side):
            assert place(context.ts_ns) == int(np.searchsorted(TABLE[:, 0], float(context.ts_ns), side="right")) - 1
            return super().on_fire(context, side)

    report = examined(aapl, Reader(), points=30)
    assert report.mismatch is None
    assert report.decisions > 50
    assert report.within_reach


@pytest.mark.parametrize("load", [load_aapl_lobster, load_spy], ids=["aapl", "spy"])
def test_the_reference_rule_is_equal_on_recorded_data(load):
    file = load_ticks(load().head(30_000).columns(), symbol="X", price_precision=4)
    report = examined(file, make_strategy("momentum_burst", {}), points=50, seed=7)
    assert report.mismatch is None
    assert not report.own_code
    assert report.decision_cuts > 3
    assert report.decision_cuts + 45 < report.cuts <= report.decision_cuts + 50
    assert report.values == 4 * report.cuts


def test_bars_averages_and_conditions_in_time_are_equal_too(aapl):
    minute = bars(minutes(1))

    class Everything(Strategy):
        long = (
            (ema(price, 20) > ema(minute.close, 3))
            & for_at_least(price > vwap(minutes(1)), seconds(2))
            & within(crosses_above(price, highest(seconds(5)) - 0.02), seconds(3))
            & ~(previous(price > bid, 1) & (size > 500))
        )
        exits = EXITS

    report = examined(aapl, Everything(), points=60)
    assert report.mismatch is None
    assert report.decision_cuts > 10
    assert report.values >= 4 * report.cuts


def test_every_record_with_a_decision_is_cut_at(aapl):
    class Few(Strategy):
        long = change(seconds(10)) >= pct("0.05")
        exits = EXITS

    report = examined(aapl, Few(), points=0)
    assert report.cuts == report.decision_cuts
    # Every decision has a cut of its own or shares a record; what the end of the data closes comes after all of them.
    rows = set()

    class Rows:
        def append(self, decision):
            rows.add(row)

    kernel = make_kernel(aapl.instruments, Few(), make_settings(aapl.block), Rows())
    for row in range(len(aapl.block)):
        kernel.process(aapl.block.part(row, row + 1))
    assert report.decision_cuts == len(rows)


def test_several_instruments_with_quotes_between():
    made = generate(6_000, symbols=["AAPL", "MSFT"], quotes=True)
    columns = {name: np.ascontiguousarray(column) for name, column in made._asdict().items()}
    columns["instrument"], columns["kind"] = columns["instrument"].astype(np.uint16), columns["kind"].astype(np.uint8)
    file = load_ticks(TickBlock(**columns))
    assert examined(file, make_strategy("momentum_burst", {}), points=30).mismatch is None


class Counting(Strategy):
    """Its class remembers how many runs there were."""

    long = change(seconds(10)) >= pct("0.03")
    exits = EXITS
    runs = 0

    def __init__(self, **values):
        super().__init__(**values)
        Counting.runs += 1

    def on_fire(self, context, side):
        return None if Counting.runs % 2 else Signal(side, context.price_ticks)


def test_a_run_that_cannot_be_repeated_is_told_apart(aapl):
    report = examined(aapl, Counting())
    assert report.mismatch is not None
    assert (report.mismatch.check, report.mismatch.number) == ("repeated", 1)


class Faulty:
    """A kernel that hands over the prices of longer blocks as ``spoil`` returns them."""

    def __init__(self, kernel, spoil):
        self._kernel, self._spoil = kernel, spoil

    def __getattr__(self, name):
        return getattr(self._kernel, name)

    def process(self, event):
        if isinstance(event, TickBlock) and len(event) > 1:
            event = event.part(0, len(event))
            event.price_ticks = self._spoil(event.price_ticks)
        self._kernel.process(event)


def test_an_engine_that_sees_the_next_record_of_a_block_is_caught(aapl, monkeypatch):
    """The comparison does not take the engine's word for it."""

    class High(Strategy):
        long = price > 585
        exits = EXITS

    def early(prices):
        return np.append(prices[1:], prices[-1:])

    monkeypatch.setattr(tool, "make_kernel", lambda *arguments: Faulty(make_kernel(*arguments), early))
    report = examined(aapl, High())
    assert report.mismatch is not None
    assert report.mismatch.check == "tick by tick"


def test_a_value_that_depends_on_the_cut_is_caught_even_where_nothing_is_decided(aapl, monkeypatch):
    class Never(Strategy):
        long = price > 100_000

    assert examined(aapl, Never(), points=30).mismatch is None
    monkeypatch.setattr(tool, "make_kernel", lambda *arguments: Faulty(make_kernel(*arguments), lambda old: old + 1))
    report = examined(aapl, Never(), points=30)
    assert report.mismatch is not None
    assert (report.mismatch.check, report.mismatch.number) == ("truncated", None)
    here = aapl.block.price_ticks[report.mismatch.row] / 10_000
    assert report.mismatch.whole_run == f"price > 100000: ({here}, 100000.0, False)"
    assert report.mismatch.instead != report.mismatch.whole_run


def test_no_ticks_at_all():
    file = load_ticks({name: np.zeros(0, np.int64) for name in ("ts_ns", "price_ticks", "size_lots")})
    report = examined(file, make_strategy("momentum_burst", {}))
    assert (report.mismatch, report.decisions, report.cuts) == (None, 0, 0)


# ---------------------------------------------------------------- another future


def test_the_past_stays_and_the_future_is_another(aapl, monkeypatch):
    cheats(monkeypatch)
    strategy = InAGlobal()
    reach = Reach(strategy, aapl.block)
    was = PRICES.copy()
    for how in (ERASED, MIRRORED):
        with reach.other_future(99, how):
            assert (PRICES[:100] == was[:100]).all()
            wanted = 0 * was[100:] if how == ERASED else 2 * was[99] - was[100:]
            assert (PRICES[100:] == wanted).all()
            assert (aapl.block.ts_ns == TS).all(), "times are for looking up the present"
            assert (TABLE[:, 0] == aapl.block.ts_ns.astype(float)).all()
            assert (TABLE[100:, 1] == wanted).all()
        assert (was == PRICES).all()


def test_what_cannot_be_changed_is_named(aapl, monkeypatch):
    class Frame:
        __slots__ = ()

        def __len__(self):
            return len(TS)

    monkeypatch.setitem(globals(), "FRAME", Frame())
    assert "FRAME" in examined(aapl, InAGlobal(), points=0).unchanged


class Plain(Strategy):
    """A rule and nothing else."""

    long = change(seconds(10)) >= pct("0.03")
    exits = EXITS


def test_a_rule_is_cut_at_every_decision_in_one_run(monkeypatch):
    """What a rule needs does not grow with its decisions: twice the whole run, tick by tick, and once with cuts."""
    composed = []
    monkeypatch.setattr(tool, "make_kernel", lambda *given: composed.append(1) or make_kernel(*given))
    told: list[tuple[str, int, int]] = []
    file = load_ticks(generate(20_000)._asdict())
    report = lookahead(file, Plain(), make_settings(file.block), told=lambda *step: told.append(step))
    assert report.mismatch is None
    assert report.decision_cuts > 10
    assert len(composed) == 4
    assert [step for step in told if step[0] == "truncated"] == [
        ("truncated", n, report.cuts) for n in range(report.cuts)
    ]


@pytest.mark.parametrize("what", ["a decision", "a value"])
def test_each_cut_of_that_run_is_compared(what, monkeypatch):
    """One decision too many, or another value, after any one cut is found there and nowhere else."""
    file = load_ticks(generate(20_000)._asdict())
    settings = make_settings(file.block)
    cuts = lookahead(file, Plain(), settings, points=20).cuts
    genuine = tool._Comparison._at_cut
    for wrong in (0, 1, cuts // 2, cuts - 1):
        seen: list[int] = []

        def at_cut(self, row, journal, kernel, compared=0, seen=seen, wrong=wrong):
            seen.append(row)
            if len(seen) == wrong + 1 and what == "a decision":
                journal.decisions.append(journal.decisions[0] if journal.decisions else None)
            elif len(seen) == wrong + 1:
                self._values[row] = [*self._values[row][:-1], "another"]
            return genuine(self, row, journal, kernel, compared)

        monkeypatch.setattr(tool._Comparison, "_at_cut", at_cut)
        report = lookahead(file, Plain(), settings, points=20)
        assert report.mismatch is not None
        assert (report.mismatch.check, report.mismatch.row) == ("truncated", seen[wrong])
        assert report.cuts == wrong + 1

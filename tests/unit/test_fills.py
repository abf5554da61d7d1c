"""How orders are filled: the ladder against its definitions, its order on made and recorded ticks, and costs."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine import _core
from engine.backtesting import load_ticks
from engine.errors import ConfigError, DataError
from engine.events import OrderCancelled, OrderFilled, OrderRests, OrderSubmitted
from engine.graph.compiler import Compiler
from engine.language.entries import Limit, StopEntry, StopLimit
from engine.language.exits import Stop, Target, TimeStop, When
from engine.model import Instrument, Side, TickBlock
from engine.rules import falling, pct, price, rising, seconds, size
from engine.strategy import Strategy
from engine.tools.ladder import fill_rate, ladder
from tests.oracle.venue import Row, filled
from tests.shared_data import load_aapl_lobster

MODELS = {
    "last": _core.LAST,
    "touch": _core.TOUCH,
    "through": _core.THROUGH,
    "queue": _core.QUEUE,
    "worst": _core.WORST,
}
SECOND = 1_000_000_000


def block_of(rows: list[Row], first_ns: int = 0) -> TickBlock:
    price_ticks, size_lots, bid, ask, bid_lots, ask_lots = (np.array(c, np.int64) for c in zip(*rows, strict=True))
    ts_ns = first_ns + np.arange(len(rows), dtype=np.int64)
    kind = (price_ticks == 0).astype(np.uint8)
    return TickBlock(ts_ns, price_ticks, size_lots, bid, ask, bid_lots, ask_lots, kind=kind)


def load(core: _core.Core, block: TickBlock) -> int:
    core.load(
        block.ts_ns,
        block.price_ticks,
        block.size_lots,
        block.bid_ticks,
        block.ask_ticks,
        kind=block.kind,
        bid_lots=block.bid_lots,
        ask_lots=block.ask_lots,
    )
    return core.advance()


def run_core(rung: str, side: int, limit: int, lots: int, before: Row, rows: list[Row], cut: int) -> list[int]:
    """Lots filled after each record as the core finds them, in two loads of which the first has ``cut`` records."""
    core = _core.Core([Compiler(Instrument("X")).program])
    assert load(core, block_of([before])) == _core.NONE
    core.rest(1, 0, _core.RESTS_LIMIT, MODELS[rung], side, limit, lots)
    total, done = [0] * len(rows), 0
    for first, part in ((0, rows[:cut]), (cut, rows[cut:])):
        if not part:
            continue
        event = load(core, block_of(part, 1 + first))
        while event != _core.NONE:
            assert event == _core.FILL
            assert core.event_order == 1
            done += core.event_lots
            record = core.event_ts_ns - 1
            total[record:] = [done] * (len(rows) - record)
            if done == lots:
                core.withdraw(1)
                return total
            event = core.advance()
    return total


def check_order(found: dict[str, list[int]]) -> None:
    """At every moment: worst <= through <= touch, and queue <= touch."""
    for worst, through, queue, touch in zip(*map(found.get, ("worst", "through", "queue", "touch")), strict=True):
        assert worst <= through <= touch
        assert queue <= touch


quotes = st.tuples(st.integers(96, 99), st.integers(100, 103), st.integers(1, 9), st.integers(1, 9))
prints = st.tuples(st.integers(96, 103), st.integers(1, 9)) | st.just((0, 0))
records = st.tuples(prints, quotes | st.just((0, 0, 0, 0))).map(lambda both: (*both[0], *both[1]))
befores = st.tuples(st.just((100, 1)), quotes).map(lambda both: (*both[0], *both[1]))


@settings(max_examples=300, deadline=None)
@given(
    before=befores,
    rows=st.lists(records, min_size=1, max_size=25),
    side=st.sampled_from([1, -1]),
    limit=st.integers(96, 103),
    lots=st.integers(1, 12),
    cut=st.integers(0, 25),
)
def test_every_rung_is_as_defined_and_in_order(before, rows, side, limit, lots, cut):
    """Against the reference record by record, however the stream is cut; and no rung fills more than a hopefuller."""
    found = {rung: run_core(rung, side, limit, lots, before, rows, min(cut, len(rows))) for rung in MODELS}
    for rung, totals in found.items():
        assert totals == filled(rung, side, limit, lots, before, rows), rung
    check_order(found)


def test_the_order_of_rungs_on_recorded_quotes_and_trades():
    """Apple's book and trades of one day: limits near the market, on both sides, from many moments."""
    block = load_ticks(load_aapl_lobster().columns(), symbol="AAPL", price_precision=4).block
    rng, length = Random(5), 400
    seen = dict.fromkeys(MODELS, 0)
    for _ in range(60):
        at = rng.randrange(1, len(block) - length)
        part = block.part(at - 1, at + length)
        last = int(part.price_ticks[part.price_ticks > 0][0]) if part.price_ticks.any() else 0
        columns = [part.price_ticks, part.size_lots, part.bid_ticks, part.ask_ticks, part.bid_lots, part.ask_lots]
        zeros = np.zeros(len(part), np.int64)
        rows = [tuple(int(v) for v in row) for row in zip(*(zeros if c is None else c for c in columns), strict=True)]
        side, lots = rng.choice([1, -1]), rng.choice([1, 500, 20_000])
        limit = last - side * rng.choice([0, 100, 300])
        found = {rung: run_core(rung, side, limit, lots, rows[0], rows[1:], 100) for rung in MODELS}
        for rung, totals in found.items():
            assert totals == filled(rung, side, limit, lots, rows[0], rows[1:])
            seen[rung] += totals[-1]
        for worst, through, queue, touch in zip(
            *(found[r] for r in ("worst", "through", "queue", "touch")), strict=True
        ):
            assert worst <= through <= touch
            assert queue <= touch
    assert 0 < seen["worst"] < seen["through"] <= seen["touch"]
    assert seen["queue"] > 0


def test_a_place_in_the_queue_by_hand():
    """Behind 7 at 99. 4 trade: 3 ahead. Then 2 are shown: 2 ahead. 5 trade: 2 go ahead of it, 3 are its own."""
    before = (100, 1, 99, 101, 7, 5)
    rows = [(99, 4, 0, 0, 0, 0), (0, 0, 99, 101, 2, 5), (99, 5, 0, 0, 0, 0), (98, 1, 0, 0, 0, 0)]
    assert run_core("queue", 1, 99, 10, before, rows, 0) == [0, 0, 3, 10]
    assert run_core("worst", 1, 99, 10, before, rows, 0) == [0, 0, 0, 1]
    assert run_core("touch", 1, 99, 10, before, rows, 0) == [10] * 4
    assert run_core("through", 1, 99, 10, before, rows, 0) == [0, 0, 0, 10]


# ---------------------------------------------------------------- strategies


class Waits(Strategy):
    """Buys two ticks below an uptick; takes half its profit at the venue, the other half by watching."""

    long = rising(price, 1)
    entry = Limit(pct(2), good_for=seconds(3))
    exits = (Target(pct(2), share=pct(50), resting=True), Target(pct(4), share=pct(50)), Stop(pct(10)))


def ticks(prices: list[int], sizes: list[int] | None = None) -> dict[str, np.ndarray]:
    made = np.array(prices, np.int64)
    return {
        "ts_ns": np.arange(len(made), dtype=np.int64) * SECOND,
        "price_ticks": made,
        "size_lots": np.array(sizes or [100] * len(made), np.int64),
    }


def test_a_limit_entry_and_two_targets_by_hand():
    """A signal at 101 rests at 98 (98.98), fills there; half is taken at 100 (99.96), the rest from 102 (101.92) on."""
    result = engine.backtest(ticks([100, 101, 99, 98, 99, 100, 101, 103]), Waits, position_size=5, maker_fee="1/share")
    (trade,) = result.trades
    assert (trade.entry_ticks, trade.lots, trade.entry_ts_ns) == (98, 5, 3 * SECOND)
    assert [(leg.lots, leg.price_ticks, leg.reason) for leg in trade.legs] == [(2, 100, "TP"), (3, 103, "TP")]
    assert trade.exit_ticks == Fraction(2 * 100 + 3 * 103, 5)
    assert trade.fees == 7, "five bought and two sold by orders that waited; the last three went to the market"
    rests = [one for one in result.journal.decisions if isinstance(one, OrderRests)]
    assert [(one.kind, one.price_ticks, one.lots) for one in rests] == [("limit", 98, 5), ("limit", 100, 2)]
    assert fill_rate(result) == 1


def test_an_entry_that_is_not_reached_expires():
    result = engine.backtest(ticks([100, 101, 101, 101, 101, 101, 98]), Waits)
    assert not result.trades
    ended = [one for one in result.journal.decisions if isinstance(one, OrderCancelled)]
    assert [(one.reason, one.ts_ns) for one in ended] == [("EXPIRED", 4 * SECOND)]
    assert fill_rate(result) == 0


@pytest.mark.parametrize(
    ("entry", "prices", "found"),
    [
        (StopEntry(pct(1)), [100, 101, 102, 105, 105], [(105, 3)]),  # triggered at 103, filled at the next trade beyond
        (StopLimit(pct(1), limit=pct(1)), [100, 101, 102, 105, 104, 104], [(104, 4)]),  # 103 and no more than 104
        (StopLimit(pct(1), limit=pct(1)), [100, 101, 103, 104, 104, 104], [(103, 2)]),
        (Limit(pct(0)), [100, 101, 101], [(101, 1)]),
        (Limit(pct(0), post_only=True), [100, 101, 101, 100], []),
        (Limit(pct(1), time_in_force="ioc"), [100, 101, 90, 90], []),
    ],
    ids=str,
)
def test_entries_by_hand(entry, prices, found):
    kind = type("Enters", (Strategy,), {"long": rising(price, 1), "entry": entry, "exits": TimeStop(seconds(60))})
    result = engine.backtest(ticks([*prices, 90]), kind)
    fills = [one for one in result.journal.decisions if isinstance(one, OrderFilled)][:1]
    if entry.price.value == 0 and entry.post_only:
        assert next(one for one in result.journal.decisions if isinstance(one, OrderCancelled)).reason == "POST_ONLY"
    assert [(one.price_ticks, one.ts_ns // SECOND) for one in fills] == found
    ids = [one.order_id for one in result.journal.decisions if isinstance(one, OrderSubmitted)]
    assert ids == list(range(1, len(ids) + 1)), "each order has one id, the next number, whatever becomes of it"


def test_a_time_stop_counts_the_markets_seconds():
    kind = type("Brief", (Strategy,), {"long": rising(price, 1), "exits": TimeStop(seconds(2))})
    (trade,) = engine.backtest(ticks([100, 101, 101, 101, 101]), kind).trades
    assert (trade.reason, trade.entry_ts_ns, trade.exit_ts_ns) == ("TIME", 1 * SECOND, 3 * SECOND)


def test_partial_fills_are_booked_by_what_traded():
    """By ``worst``, 7 lots at 98: 3 trade at 97, then 2, and the stop at 88 closes what there is."""
    strategy = type("One", (Strategy,), {"long": rising(price, 1), "entry": Limit(pct(2)), "exits": Stop(pct(10))})
    columns = ticks([100, 101, 97, 97, 88, 88], [9, 9, 3, 2, 1, 50])
    columns |= {"bid_ticks": columns["price_ticks"] - 1, "ask_ticks": columns["price_ticks"] + 1}
    result = engine.backtest(columns, strategy, position_size=7, fills="worst")
    (trade,) = result.trades
    assert (trade.lots, trade.entry_ticks, trade.exit_ticks) == (6, 98, 87)
    assert fill_rate(result) == 6 / 7


def test_a_condition_closes():
    kind = type("Ends", (Strategy,), {"long": rising(price, 1), "exits": When(size >= 500)})
    (first, *_) = engine.backtest(ticks([100, 101, 105, 104, 104], [1, 1, 1, 500, 1]), kind).trades
    assert (first.exit_ticks, first.reason, first.exit_ts_ns) == (104, "WHEN", 3 * SECOND)


def test_nothing_is_sold_that_is_not_owned():
    kind = type("Sells", (Strategy,), {"short": falling(price, 1), "exits": TimeStop(seconds(1))})
    columns = ticks([100, 99, 98, 97])
    assert engine.backtest(columns, kind).trades
    held = engine.backtest(columns, kind, shorting=False)
    assert not held.trades
    assert held.kernel.counters.refusals == {"NO_SHORTING": 1}


def test_borrowing_costs_by_the_second():
    """100 a share, sold for a year's 10 %, held for a tenth of a year: 1 a share."""
    kind = type("Holds", (Strategy,), {"short": falling(price, 1), "exits": TimeStop(seconds(3_153_600))})
    columns = ticks([10_100, 10_000, 10_000])
    columns["ts_ns"] = np.array([0, SECOND, 3_153_601 * SECOND], np.int64)
    (trade,) = engine.backtest(columns, kind, borrow_rate="10%", position_size=3).trades
    assert (trade.borrow_cost, trade.net) == (3, -3)
    result = engine.backtest(columns, kind, borrow_rate="10%", position_size=3)
    assert result.kernel.core.equity == result.kernel.portfolio.starting + trade.net_units


def test_what_the_data_cannot_tell_is_refused():
    columns = ticks([100, 101])
    with pytest.raises(DataError, match="queue fills need the sizes displayed"):
        engine.backtest(columns, fills="queue", spread="0.01")
    with pytest.raises(DataError, match="worst fills need quotes"):
        engine.backtest(columns, fills="worst")
    with pytest.raises(ConfigError, match="did you mean 'through'"):
        engine.backtest(columns, fills="thru")


def test_columns_that_are_none_are_refused():
    columns = ticks([100, 101])
    with pytest.raises(DataError, match=r"the column 'size_lots' has shape \(2, 2\), expected one value per row"):
        engine.backtest(columns | {"size_lots": np.ones((2, 2), np.int64)})
    with pytest.raises(DataError, match="the column 'price_ticks' has not one value per row"):
        engine.backtest(columns | {"price_ticks": [[1], [1, 2]]})


def test_the_ladder_climbs_what_the_data_allows():
    rng = Random(3)
    columns = ticks([rng.randint(95, 105) for _ in range(300)])
    found = ladder(load_ticks(columns), Waits, {"spread": "0.02"})
    assert list(found) == ["last", "touch", "through", "worst"]
    rates = [fill_rate(result) for result in found.values()]
    assert all(rate is not None for rate in rates)
    assert rates[1] >= rates[2] > 0


@pytest.mark.parametrize("side", list(Side))
def test_a_watch_keeps_the_worst_quote(side):
    """Decided at 99/101, late by three records: bought at the highest ask, sold at the lowest bid on the way."""
    body = {side.word: rising(price, 1), "exits": TimeStop(seconds(60))}
    columns = ticks([100, 101, 100, 100, 100, 100])
    columns |= {
        "bid_ticks": np.array([98, 99, 93, 97, 98, 98], np.int64),
        "ask_ticks": np.array([102, 103, 104, 109, 102, 102], np.int64),
    }
    result = engine.backtest(columns, type("Late", (Strategy,), body), fills="worst", latency_order="2500ms")
    first = next(one for one in result.journal.decisions if isinstance(one, OrderFilled))
    assert first.price_ticks == (109 if side is Side.LONG else 93)

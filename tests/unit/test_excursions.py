"""How far the market went against a trade and for it: by hand, and against a loop over every record."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import engine
from engine.account.excursions import excursions
from engine.account.portfolio import Leg
from engine.model import Instrument, Kind, Reason, Side, TickBlock
from mock_server.market import generate
from tests.unit.made_trades import CENTS, made


def block(rows: list[tuple[int, int]], **more) -> TickBlock:
    ts_ns, prices = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return TickBlock(ts_ns, prices, np.ones(len(rows), np.int64), **more)


ROWS = [(0, 10_000), (1, 9_990), (2, 10_030), (3, 9_950), (4, 10_010), (5, 9_000), (5, 11_000)]


def test_by_hand_for_a_long_and_a_short_trade():
    """In at 100.00 at time 0, out at 100.10 at time 5: between them 99.50 at worst and 100.30 at best, 2 shares."""
    long = made(20, lots=2, held=(0, 5))
    short = made(-20, lots=2, held=(0, 5), side=Side.SHORT)
    assert long.exit_ticks == short.exit_ticks == 10_010
    found = excursions(block(ROWS), [CENTS], [long, short])
    assert found == [(Decimal("-1"), Decimal("0.6")), (Decimal("-0.6"), Decimal("1"))]


def test_the_fills_count_and_what_has_their_time_does_not():
    """Of the records at the time of an exit it is not known which came before: the fill is what counts."""
    trade = made(-40, held=(4, 5))
    assert excursions(block(ROWS), [CENTS], [trade]) == [(Decimal("-0.4"), Decimal("0"))]


def test_a_partial_exit_stands_and_the_rest_moves_on():
    """Of 3 shares 2 are sold 0.20 higher at time 2; the last is at its worst 1.00 lower and is sold 0.50 lower."""
    rows = [(0, 10_000), (1, 9_990), (2, 10_500), (3, 9_900), (5, 9_950)]
    legs = (Leg(2, 2, 10_020, Reason.TARGET, 0, 0, 0, 0, 0), Leg(5, 1, 9_950, Reason.STOP, 0, 0, 0, 0, 0))
    trade = made(-10, lots=3, held=(0, 5), exit_ticks=9_997, legs=legs)
    [found] = excursions(block(rows), [CENTS], [trade])
    assert found == (Decimal("0.4") - 1, Decimal("0.6"))  # 0.40 made less 1.00; 3 shares at 100.20


def test_a_late_record_is_taken_at_the_newest_time():
    rows = [(0, 10_000), (9, 10_000), (3, 9_000), (12, 10_000)]
    assert excursions(block(rows), [CENTS], [made(0, held=(1, 8))]) == [(0, 0)]
    assert excursions(block(rows), [CENTS], [made(0, held=(1, 10))])[0].mae == -10


def test_bars_count_with_their_range():
    low, high, opens = (np.array(column, np.int64) for column in ([9_900, 9_000], [10_200, 11_000], [10_000, 10_000]))
    bars = block([(10, 10_000), (20, 10_050)], low_ticks=low, high_ticks=high, open_ticks=opens, start_ns=opens)
    assert excursions(bars, [CENTS], [made(50, held=(0, 20))]) == [(Decimal("-1"), Decimal("2"))]


@given(st.data())
def test_against_a_loop_over_every_record(data):
    draw = data.draw
    other = Instrument("OTHER", 1, 2)
    count = draw(st.integers(1, 25))
    columns = [draw(st.lists(of, min_size=count, max_size=count)) for of in (
        st.integers(0, 30), st.integers(9_000, 11_000), st.integers(0, 1), st.integers(0, 1))]  # fmt: skip
    ts_ns, prices, numbers, kinds = columns
    ticks = block(
        list(zip(ts_ns, prices, strict=True)),
        instrument=np.array(numbers, np.uint16),
        kind=np.array(kinds, np.uint8),
    )
    side, lots = draw(st.sampled_from(Side)), draw(st.integers(1, 5))
    begin = draw(st.integers(0, 30))
    trade = made(
        draw(st.integers(-90, 90)) * lots, lots=lots, side=side, held=(begin, begin + draw(st.integers(0, 30)))
    )
    moves, newest = [Fraction(0), Fraction(side * (trade.exit_ticks - trade.entry_ticks) * lots, 100)], 0
    for ts, price, number, kind in zip(*columns, strict=True):
        newest = max(newest, ts)
        if number == 1 and kind == Kind.TRADE and trade.entry_ts_ns < newest < trade.exit_ts_ns:
            moves.append(Fraction(side * (price - trade.entry_ticks) * lots, 100))
    found = excursions(ticks, [other, CENTS], [trade])[0]
    assert (Fraction(found.mae), Fraction(found.mfe)) == (min(moves), max(moves))


def test_a_run_states_them_and_no_trade_does_better_than_its_best():
    result = engine.backtest(generate(60_000)._asdict(), "momentum_burst", spread="0.01")
    assert len(result.trades) > 5
    for row, trade in zip(result.trade_rows, result.trades, strict=True):
        move = (trade.exit_price - trade.entry_price) * trade.direction * trade.qty
        assert row["mae"] <= min(0, move) <= max(0, move) <= row["mfe"]
    assert any(row["mae"] < min(0, row["gross"]) for row in result.trade_rows)

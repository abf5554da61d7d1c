"""Each number of a snapshot against its own definition, worked out here from the ticks and the closed trades."""

from __future__ import annotations

from fractions import Fraction
from math import isnan, sqrt
from random import Random

import numpy as np
import orjson
import pytest

from engine import events
from engine.account.limits import RiskLimits
from engine.account.metrics import trade_metrics
from engine.backtesting import make_kernel
from engine.brokers.paper import VenueModel
from engine.indicators import rsi
from engine.journal.writer import MemoryJournal
from engine.lineup import line_up
from engine.live.views import DIGEST_ROWS, POINTS_PER_FRAME, TAIL, LatencyHistogram, ViewBuilder
from engine.model import Instrument, Kind, TickBlock
from engine.ports import FeedHealth, FeedState
from engine.quantities import parse_fee
from engine.rules import (
    Param,
    Stop,
    Target,
    TimeStop,
    change,
    crosses_above,
    highest,
    lowest,
    pct,
    previous,
    price,
    seconds,
    trade_count,
    vwap,
)
from engine.run_settings import Settings
from engine.strategies.momentum_burst import MomentumBurst
from engine.strategy import Strategy
from engine.telemetry_wire import FeatureView, FrameReader, Snapshot, decode, encode
from engine.trading.kernel import Kernel

START_NS = 1_700_000_000_000_000_000
INSTRUMENTS = [Instrument("AAPL", 2, 0), Instrument("BTCUSDT", 1, 3)]
HEALTH = FeedHealth(FeedState.LIVE, "here", 9, 7, {"duplicate": 2}, {"bad_utf8": 1}, 3, 1, 4, 5, 6.5)


class Both(Strategy):
    """Moves either way, and enough trades."""

    least = Param(pct("0.02"), "least move")
    move = change(seconds(2))
    busy = trade_count(seconds(2)) >= 3
    long = (move >= least) & busy
    short = (move <= -least) & busy
    exits = (Stop(pct("0.1")), Target(pct("0.2")), TimeStop(seconds(3)))


class Band(Strategy):
    """A move that is neither small nor large: both comparisons must hold."""

    move = change(seconds(2))
    long = (move > pct("0.01")) & (move < pct("0.5"))
    exits = TimeStop(seconds(3))


class Extreme(Strategy):
    """One name in four comparisons, of which two ask for equality."""

    extreme = price == highest(seconds(2))
    long = extreme & (price > vwap())
    short = (price == lowest(seconds(2))) & (price < vwap())
    exits = TimeStop(seconds(3))


def kernel_of(strategy: Strategy, instruments: list[Instrument] = INSTRUMENTS) -> Kernel:
    costs = {"slippage_bps": Fraction(1), "fee": parse_fee("0.5bps"), "borrow_rate": Fraction(1_000)}
    venue = VenueModel("touch", **costs)
    settings = Settings(venue, "always", Fraction(100_000), Fraction(1), RiskLimits(Fraction(1, 2)))
    return make_kernel(instruments, strategy, settings, MemoryJournal(), show_vwap=True)


def view_of(kernel: Kernel) -> ViewBuilder:
    return ViewBuilder(kernel, mode="PAPER", session_id="s1", strategy="both", started_ts_ns=START_NS)


def walk(seed: int, rows: int, *, quotes: bool = True) -> TickBlock:
    """Two instruments that trade in turn by chance, each a random walk, with quote updates in between."""
    random = Random(seed)
    prices = [15_000, 600_000]
    columns: list[list[int]] = [[] for _ in range(7)]
    ts_ns = START_NS
    for _ in range(rows):
        ts_ns += random.randrange(1, 100_000_000)
        index = random.randrange(2)
        prices[index] += random.choice((-1, 0, 0, 1)) * (2, 70)[index]
        price = prices[index]
        quote = quotes and random.random() < 0.3
        record = (ts_ns, 0 if quote else price, 0 if quote else random.randrange(1, 500), price - 1, price + 1)
        for column, value in zip(columns, (*record, index, Kind.QUOTE if quote else Kind.TRADE), strict=True):
            column.append(value)
    arrays = [np.array(column, np.int64) for column in columns[:5]]
    return TickBlock(*arrays, instrument=np.array(columns[5], np.uint16), kind=np.array(columns[6], np.uint8))


def part(block: TickBlock, start: int, stop: int) -> TickBlock:
    return TickBlock(
        *(getattr(block, name)[start:stop] for name in ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks")),
        instrument=None if block.instrument is None else block.instrument[start:stop],
        kind=None if block.kind is None else block.kind[start:stop],
    )


def frames(kernel: Kernel, block: TickBlock, cuts: list[int]) -> list[Snapshot]:
    """The snapshots of a run that is cut so, each block overwritten as soon as it was noted, as a feed does."""
    view = view_of(kernel)
    found = []
    for start, stop in zip([0, *cuts], [*cuts, len(block)], strict=True):
        piece = part(block, start, stop)
        reused = TickBlock(
            *(getattr(piece, name).copy() for name in ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks")),
            instrument=piece.instrument.copy(),
            kind=piece.kind.copy(),
        )
        kernel.process(reused)
        view.note(reused)
        for column in (reused.ts_ns, reused.price_ticks, reused.size_lots, reused.bid_ticks, reused.instrument):
            column.fill(0)
        found.append(view.snapshot(HEALTH, start))
    return found


@pytest.fixture(scope="module")
def run() -> tuple[Kernel, TickBlock, list[int], list[Snapshot]]:
    block = walk(1, 4000)
    cuts = sorted(Random(2).sample(range(1, 4000), 150))
    kernel = kernel_of(Both())
    return kernel, block, cuts, frames(kernel, block, cuts)


def test_money_adds_up_in_every_frame(run: tuple[Kernel, TickBlock, list[int], list[Snapshot]]) -> None:
    kernel, _, _, snapshots = run
    assert len(kernel.trades) > 20
    trades, peak, low = [], 100_000.0, 0.0
    for snapshot in snapshots:
        trades += snapshot.new_trades
        account, held = snapshot.account, [view.position for view in snapshot.symbols if view.position]
        assert account.cash == pytest.approx(100_000 + sum(trade.net for trade in trades), abs=1e-9)
        assert account.open_pnl == pytest.approx(sum(position.open_pnl for position in held), abs=1e-9)
        assert account.equity == pytest.approx(account.cash + account.open_pnl, abs=1e-9)
        assert account.total_pnl == account.daily_pnl == pytest.approx(account.equity - 100_000, abs=1e-9)
        assert account.trades == len(trades)
        assert account.wins == sum(trade.net > 0 for trade in trades)
        assert account.losses == sum(trade.net < 0 for trade in trades)
        peak = max(peak, account.equity)
        low = max(low, peak - account.equity)
        assert account.max_drawdown >= low - 1e-9
        assert account.max_drawdown >= account.current_drawdown >= peak - account.equity - 1e-9
    final, metrics = snapshots[-1].account, trade_metrics(kernel.trades)
    for name in ("trades", "wins", "losses", "win_rate"):
        assert getattr(final, name) == metrics[name]
    for name in ("gross", "spread_cost", "slippage_cost", "fees", "borrow_cost"):
        assert getattr(final, name) == pytest.approx(float(metrics[name]), abs=1e-9)
    assert [trade.number for trade in trades] == list(range(1, len(kernel.trades) + 1))
    assert final.spread_cost > 0
    assert final.fees > 0
    assert final.borrow_cost > 0
    for view, trade in zip(trades, kernel.trades, strict=True):
        assert (view.symbol, view.side, view.reason) == (trade.symbol, trade.side, trade.reason.value)
        assert (view.entry_price, view.exit_price) == (float(trade.entry_price), float(trade.exit_price))
        assert view.gross - view.costs == pytest.approx(view.net, abs=1e-9)


def test_each_symbol_shows_its_own_market(run: tuple[Kernel, TickBlock, list[int], list[Snapshot]]) -> None:
    _, block, cuts, snapshots = run
    for stop, snapshot in zip([*cuts, len(block)], snapshots, strict=True):
        for index, (instrument, view) in enumerate(zip(INSTRUMENTS, snapshot.symbols, strict=True)):
            scale = 10**instrument.price_precision
            mine = block.instrument[:stop] == index
            trades = np.flatnonzero(mine & (block.kind[:stop] == Kind.TRADE))
            if not len(trades):
                assert isnan(view.vwap)
                continue
            prices, sizes = block.price_ticks[trades], block.size_lots[trades]
            last = np.flatnonzero(mine)[-1]
            assert view.symbol == instrument.symbol
            assert view.price == prices[-1] / scale
            assert (view.bid, view.ask) == (block.bid_ticks[last] / scale, block.ask_ticks[last] / scale)
            assert view.ticks == len(trades)
            assert view.last_ts_ns == block.ts_ns[trades[-1]]
            weighted = Fraction(int((prices * sizes).sum()), int(sizes.sum()))
            squares = Fraction(sum(int(s) * int(p) ** 2 for p, s in zip(prices, sizes, strict=True)), int(sizes.sum()))
            assert view.vwap == pytest.approx(float(weighted) / scale, rel=1e-12)
            assert view.vwap_sd == pytest.approx(sqrt(squares - weighted**2) / scale, rel=1e-6, abs=1e-9)


def test_an_open_position_is_shown_with_its_levels(run: tuple[Kernel, TickBlock, list[int], list[Snapshot]]) -> None:
    _, _, _, snapshots = run
    seen = 0
    for snapshot in snapshots:
        for view in snapshot.symbols:
            held = view.position
            if held is None:
                continue
            seen += 1
            sign = 1 if held.side == "long" else -1
            tick = 10.0**-view.price_precision
            assert sign * (held.target_price / held.entry_price - 1) == pytest.approx(
                0.002, abs=tick / held.entry_price
            )
            assert sign * (held.stop_price / held.entry_price - 1) == pytest.approx(-0.001, abs=tick / held.entry_price)
            assert held.deadline_ts_ns == held.entry_ts_ns + 3_000_000_000
            entry_costs = held.entry_price * held.qty * 1.5e-4
            moved = sign * (view.price - held.entry_price) * held.qty
            assert held.open_pnl == pytest.approx(moved - entry_costs, abs=1e-9)
            assert held.qty == 1.0
    assert seen > 20


def feature(snapshot: Snapshot, name: str) -> list[FeatureView]:
    return [view for view in snapshot.symbols[0].features if view.name == name]


def moved(kernel: Kernel, *prices: int) -> Snapshot:
    """A trade each half second at these prices, in ticks."""
    view = view_of(kernel)
    count = len(prices)
    ts_ns = START_NS + 500_000_000 * np.arange(count, dtype=np.int64)
    price = np.array(prices, np.int64)
    block = TickBlock(ts_ns, price, np.ones(count, np.int64), price - 1, price + 1)
    kernel.process(block)
    view.note(block)
    return view.snapshot(HEALTH, 0)


def test_of_two_sides_each_comparison_has_its_own_line() -> None:
    """So that a line means the same for every instrument, and at every moment."""
    for last, value, holds in ((100_030, 0.0003, ">="), (100_010, 0.0001, ""), (99_970, -0.0003, "<=")):
        snapshot = moved(kernel_of(Both(), INSTRUMENTS[:1]), *[100_000] * 5, last)
        shown = feature(snapshot, "move")
        assert [(one.op, one.side, one.unit, one.against) for one in shown] == [
            (">=", "long", "%", ""),
            ("<=", "short", "%", ""),  # against a parameter times -1, which does not change with the market
        ]
        assert [one.passed for one in shown] == [one.op == holds for one in shown]
        assert [one.value for one in shown] == pytest.approx([value] * 2, rel=1e-9)
        assert [one.threshold for one in shown] == pytest.approx([0.0002, -0.0002], rel=1e-12)
        assert snapshot.symbols[0].warm


def test_a_band_is_shown_as_both_its_ends() -> None:
    snapshot = moved(kernel_of(Band(), INSTRUMENTS[:1]), *[100_000] * 5, 100_030)
    assert [(view.op, pytest.approx(view.threshold), view.passed) for view in feature(snapshot, "move")] == [
        (">", 0.0001, True),
        ("<", 0.005, True),
    ]


def test_of_comparisons_for_equality_each_is_shown() -> None:
    snapshot = moved(kernel_of(Extreme(), INSTRUMENTS[:1]), *[100_000] * 5, 100_030)
    shown = [(view.op, view.passed) for view in feature(snapshot, "price")]
    assert shown == [("==", True), (">", True), ("==", False), ("<", False)]


def test_one_direction_shows_its_own_side_only() -> None:
    snapshot = moved(kernel_of(MomentumBurst(direction="short"), INSTRUMENTS[:1]), *[100_000] * 40)
    assert [(view.name, view.op, view.unit) for view in snapshot.symbols[0].features] == [
        ("move", "<=", "%"),
        ("surge", ">", "x"),
        ("span", ">=", "%"),
    ]
    assert [view.threshold for view in snapshot.symbols[0].features] == pytest.approx([-0.0005, 1.5, 0.001])
    assert snapshot.symbols[0].features[1].value == pytest.approx(1.0, rel=0.05)


class Index(Strategy):
    """An index against a number, a ratio against a number, prices against each other, and what holds or does not."""

    index, ratio = rsi(price, 3), price / previous(price)
    long = (index > 60) & (ratio > 1) & (price > vwap()) & crosses_above(price, vwap())
    short = (index < 40) & (ratio > 1)
    exits = TimeStop(seconds(3))


class Relative(Strategy):
    """An index, a ratio and a move, each against an expression."""

    least = Param(pct("0.02"), "least move")
    index, ratio, move = rsi(price, 3), price / previous(price), change(seconds(2))
    long = (index > previous(index)) & (ratio > 2 * previous(ratio)) & (move > 2 * least) & (move > previous(move))
    exits = TimeStop(seconds(3))


def test_only_what_is_a_fraction_of_the_price_is_read_in_percent() -> None:
    snapshot = moved(kernel_of(Relative(), INSTRUMENTS[:1]), *[100_000] * 5)
    assert [(one.name, one.unit, bool(one.against)) for one in snapshot.symbols[0].features] == [
        ("index", "", True),
        ("ratio", "x", True),
        ("move", "%", False),
        ("move", "%", True),
    ]


def test_conditions_say_whose_they_are_against_what_and_in_which_unit() -> None:
    kernel = make_kernel(
        INSTRUMENTS[:1],
        line_up([Index(), Extreme()]),
        Settings(VenueModel("touch"), "always", Fraction(100_000), Fraction(1), RiskLimits()),
        MemoryJournal(),
        show_vwap=True,
    )
    view = ViewBuilder(kernel, mode="", session_id="", strategy="", started_ts_ns=0, owners=["one", "two"])
    shown = view.snapshot(HEALTH, 0).symbols[0].features
    assert {one.strategy for one in shown} == {"one", "two"}
    own = [one for one in shown if one.strategy == "one"]
    assert [(one.unit, one.side, bool(one.against)) for one in own] == [
        ("", "long", False),  # rsi has no unit
        ("x", "", False),
        ("price", "long", True),
        ("truth", "long", False),
        ("", "short", False),
    ]
    assert own[2].against == "vwap(session)"


def test_nothing_is_known_before_the_windows_are_warm() -> None:
    kernel = kernel_of(Both(), INSTRUMENTS[:1])
    before = view_of(kernel).snapshot(HEALTH, 0)
    assert (before.symbols[0].price, before.symbols[0].bid, before.symbols[0].ticks) == (0.0, 0.0, 0)
    assert isnan(before.symbols[0].vwap)
    assert isnan(before.account.win_rate)
    assert isnan(before.latency_p50_us)
    assert before.engine_ts_ns == 0
    cold = moved(kernel, 100_000, 100_100)
    assert not cold.symbols[0].warm
    assert all(isnan(view.value) and not view.passed for view in cold.symbols[0].features)
    assert not isnan(cold.symbols[0].vwap)


def test_a_gap_makes_features_unknown_again() -> None:
    kernel = kernel_of(Both(), INSTRUMENTS[:1])
    assert moved(kernel, *[100_000] * 6).symbols[0].warm
    kernel.process(events.FeedGap([0]))
    snapshot = view_of(kernel).snapshot(HEALTH, 0)
    assert not snapshot.symbols[0].warm
    assert all(isnan(view.value) for view in snapshot.symbols[0].features)


def test_points_are_all_trades_or_their_extremes(run: tuple[Kernel, TickBlock, list[int], list[Snapshot]]) -> None:
    _, block, cuts, snapshots = run
    thinned = 0
    for start, stop, snapshot in zip([0, *cuts], [*cuts, len(block)], snapshots, strict=True):
        for index, view in enumerate(snapshot.symbols):
            rows = start + np.flatnonzero(
                (block.instrument[start:stop] == index) & (block.kind[start:stop] == Kind.TRADE)
            )
            scale = 10 ** INSTRUMENTS[index].price_precision
            mine = [
                (
                    int(block.ts_ns[r]),
                    block.price_ticks[r] / scale,
                    block.bid_ticks[r] / scale,
                    block.ask_ticks[r] / scale,
                )
                for r in rows
            ]
            shown = [point[:4] for point in view.points]
            assert all(point in mine for point in shown)
            if len(mine) <= POINTS_PER_FRAME:
                assert shown == mine
                continue
            thinned += 1
            assert shown[-1] == mine[-1]
            prices = [point[1] for point in mine]
            assert {min(prices), max(prices)} <= {point[1] for point in shown}
            assert len(shown) <= POINTS_PER_FRAME
    assert thinned > 20


def test_the_tail_is_the_last_fifty_trades_since_the_last_frame() -> None:
    block = walk(3, 1000)
    trades = np.flatnonzero(block.kind == Kind.TRADE)
    kernel = kernel_of(Both())
    for snapshot, rows in zip(
        frames(kernel, block, [10, 500]),
        (trades[trades < 10], trades[(trades >= 10) & (trades < 500)], trades),
        strict=True,
    ):
        expected = [
            (int(block.ts_ns[r]), INSTRUMENTS[block.instrument[r]].symbol, int(block.size_lots[r]))
            for r in rows[-TAIL:]
        ]
        scale = {"AAPL": 1, "BTCUSDT": 1000}
        assert [
            (ts, symbol, round(size * scale[symbol])) for ts, symbol, _, size, _, _ in snapshot.ticks_tail
        ] == expected


def test_a_flood_between_two_frames_is_reduced_on_the_way() -> None:
    kernel, count = kernel_of(Both(), INSTRUMENTS[:1]), 3 * DIGEST_ROWS
    view = view_of(kernel)
    ts_ns = START_NS + np.arange(count, dtype=np.int64)
    price = 15_000 + np.arange(count, dtype=np.int64) % 7
    for at in range(0, count, 1000):
        block = TickBlock(ts_ns[at : at + 1000], price[at : at + 1000], np.ones(len(price[at : at + 1000]), np.int64))
        kernel.process(block)
        view.note(block)
        assert view._noted.rows <= DIGEST_ROWS
    (symbol,) = view.snapshot(HEALTH, 0).symbols
    assert symbol.ticks == count
    assert len(symbol.points) <= 4 * POINTS_PER_FRAME
    assert symbol.points[-1][0] == ts_ns[-1]
    assert (symbol.points[-1][2], symbol.bid) == (0.0, 0.0)


def test_the_feed_is_shown_as_it_counts() -> None:
    view = view_of(kernel_of(Both()))
    first = view.snapshot(HEALTH, 5_000_000_000, detail="why").feed
    assert (first.state, first.address, first.detail, first.accepted) == ("live", "here", "why", 7)
    assert (first.rejected, first.bad_frames) == ({"duplicate": 2}, {"bad_utf8": 1})
    assert (first.late, first.gaps, first.reconnects, first.queue_ticks, first.age_ms) == (3, 1, 4, 5, 6.5)
    HEALTH.accepted += 600
    try:
        assert view.snapshot(HEALTH, 5_500_000_000).feed.ticks_per_s == 0.0
        assert view.snapshot(HEALTH, 7_000_000_000).feed.ticks_per_s == 300.0
    finally:
        HEALTH.accepted -= 600


@pytest.mark.parametrize(
    ("event", "word"),
    [
        (events.Command(events.CommandName.PAUSE, START_NS), "paused"),
        (events.FeedHealthy(False, events.Refusal.FEED_STALE), "the feed is stale"),
        (events.FeedHealthy(True), ""),
    ],
)
def test_why_nothing_is_opened(event: events.Command | events.FeedHealthy, word: str) -> None:
    kernel = kernel_of(Both())
    kernel.process(event)
    assert view_of(kernel).snapshot(HEALTH, 0).account.halted == word


def test_percentiles_are_right_to_six_percent() -> None:
    random, histogram = Random(5), LatencyHistogram()
    durations = sorted(int(10 ** random.uniform(2, 8)) for _ in range(5000))
    for duration in durations:
        histogram.add(duration)
    for percent in (1, 50, 90, 99, 99.9, 100):
        exact = durations[min(len(durations) - 1, int(len(durations) * percent / 100))] / 1000
        assert histogram.percentile_us(percent) == pytest.approx(exact, rel=1 / 16)
    assert histogram.percentile_us(100) == durations[-1] / 1000
    assert histogram.count == 5000


def test_a_frame_of_many_ticks_weighs_as_many() -> None:
    histogram = LatencyHistogram()
    histogram.add(1_000, times=99)
    histogram.add(1_000_000, times=1)
    assert histogram.count == 100
    assert histogram.percentile_us(99) < 1.1
    assert histogram.percentile_us(100) == 1000.0


def test_refusals_reach_viewers_in_other_processes():
    kernel = kernel_of(Both())
    kernel.process(events.FeedHealthy(False, events.Refusal.FEED_STALE))
    kernel.process(walk(3, 4_000))
    snapshot = view_of(kernel).snapshot(HEALTH, 1, engine_ts_ns=START_NS)
    assert snapshot.refusals["FEED_STALE"] > 0
    (body,) = FrameReader().feed(encode(snapshot))
    assert decode(body).refusals == snapshot.refusals
    assert orjson.loads(orjson.dumps(snapshot.refusals)) == snapshot.refusals

"""What a trader counts: both legs of a pair are one trade; each leg says whose it is and which decisions made it."""

from __future__ import annotations

from decimal import Decimal

import engine
from engine.account.metrics import grouped, quality_metrics, trade_metrics
from engine.account.pairs import legs_together, whole_trades
from engine.account.portfolio import Portfolio, Trade
from engine.events import OrderSubmitted
from engine.live.views import Tally
from engine.model import Instrument, Reason, Side
from engine.tools.montecarlo import closed_trades
from tests.unit.strategies.data import market
from tests.unit.strategies.test_real_data import UNLIMITED
from tests.unit.test_portfolio import filled


def closed(*legs: tuple[int, int, int, Reason, int, int]) -> list[Trade]:
    """Trades of one lot from 100.00: lane, pair, net in ticks, reason, entry and exit in seconds."""
    portfolio = Portfolio([Instrument("A"), Instrument("B")], 10_000)
    for lane, pair, net, reason, entry_s, exit_s in legs:
        position = portfolio.open(lane, lane % 2, Side.LONG, 1, entry_s * 10**9, filled(10_000))
        position.pair = pair
        portfolio.close(lane, 1, reason, exit_s * 10**9, filled(10_000 + net))
    return portfolio.trades


TRADES = closed(
    (0, 1, 5, Reason.WHEN, 0, 8),
    (1, 1, -3, Reason.LEG, 1, 9),  # 2 won
    (2, 0, -1, Reason.STOP, 2, 9),  # on its own
    (1, 7, 6, Reason.STOP, 20, 25),  # the second leg was closed first
    (0, 7, -10, Reason.LEG, 20, 26),  # 4 lost
    (0, 9, 1, Reason.END, 30, 40),
    (1, 9, 1, Reason.END, 30, 40),
)
"""Three pairs and a trade: by legs three won and three lost, by trades one and two."""


def test_a_pair_is_one_trade():
    found = trade_metrics(TRADES)
    assert (found["trades"], found["wins"], found["losses"], found["positions"]) == (3, 1, 2, 7)
    assert found["win_rate"] == 1 / 3
    assert (found["average_win"], found["average_loss"]) == (Decimal("0.02"), Decimal("-0.025"))
    assert found["expectancy"] == Decimal("-0.01")
    assert (found["consecutive_losses"], found["open_at_end"]) == (2, 1)
    assert found["by_reason"] == {"END": 1, "SL": 2, "WHEN": 1}
    assert found["net"] == Decimal("-0.01")


def test_it_is_judged_as_one_trade():
    found = quality_metrics(TRADES)
    assert found["profit_factor"] == 2 / 5
    assert [ns / 10**9 for ns in found["durations_ns"].values()] == [6, 7, 22 / 3 - 1e-9 / 3, 9]
    assert {name: group["trades"] for name, group in grouped(TRADES, lambda trade: trade.reason.value).items()} == {
        "END": 1,
        "SL": 2,
        "WHEN": 1,
    }


def test_the_order_is_that_in_which_they_were_over():
    assert [[leg.net_units > 0 for leg in legs] for legs in legs_together(TRADES)] == [
        [True, False],
        [False],
        [True, False],
        [True, True],
    ]
    assert [(trade.symbol, trade.pair) for trade in whole_trades(TRADES)] == [("A", 0)] * 4


def test_monte_carlo_keeps_pairs_together():
    assert [trade.net for trade in closed_trades(TRADES, "always")] == [Decimal(net) / 100 for net in (2, -1, -4)]


def test_a_screen_counts_them_as_they_come():
    for cut in range(len(TRADES) + 1):
        tally = Tally()
        tally.take(TRADES[:cut])
        tally.take(TRADES)
        assert (tally.trades, tally.wins, tally.losses) == (3, 1, 2), cut


def test_every_trade_names_the_decisions_that_made_it():
    file, calendar = market("spy_dia")
    result = engine.backtest(file, "pairs", calendar=calendar, other="SPY", **UNLIMITED)
    decisions = result.journal.decisions
    assert len(result.trades) == result.metrics["positions"] == 2 * result.metrics["trades"] > 100
    for trade, row in zip(result.trades, result.trade_rows, strict=True):
        entry, leave = (decisions[row[name] - 1] for name in ("entry_decision", "exit_decision"))
        assert isinstance(entry, OrderSubmitted)
        assert isinstance(leave, OrderSubmitted)
        assert (entry.lane, entry.purpose, entry.side) == (trade.lane, "entry", trade.direction)
        assert (leave.lane, leave.purpose, leave.side) == (trade.lane, trade.reason, -trade.direction)
        assert (entry.ts_ns, leave.ts_ns) == (trade.entry_ts_ns, trade.exit_ts_ns)

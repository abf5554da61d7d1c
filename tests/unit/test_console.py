"""Each trade is told once, in order, as text and as JSON; the live view shows what matters."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from decimal import Decimal

import pytest
from rich.console import Console

from engine.account.limits import RiskLimits
from engine.commands.feed_lines import FeedLines
from engine.commands.paper_summary import summary_event, summary_table
from engine.console import (
    Flow,
    Opening,
    SessionConsole,
    TradeEvents,
    clock,
    live_view,
    measure,
    signed,
    trade_line,
)
from engine.model import Reason
from engine.telemetry_wire import (
    AccountView,
    FeatureView,
    FeedView,
    GaugeView,
    PositionView,
    Snapshot,
    SymbolView,
    TradeView,
)

T0 = 1_704_205_800_123_000_000  # 2024-01-02 14:30:00.123 UTC
POSITION = PositionView("long", 1.0, T0, 170.25, 170.16, 170.51, T0 + 8_000_000_000, 0.04)
TRADE = TradeView(1, "AAPL", "long", 1.0, T0, T0 + 3_200_000_000, 170.25, 170.51, "TP", 0.27, 0.01, 0.26)
ACCOUNT = AccountView(
    cash=10_000.25, equity=10_000.29, daily_pnl=0.29, total_pnl=0.29, open_pnl=0.04, max_drawdown=1.5,
    current_drawdown=0.0, trades=4, wins=3, losses=1, win_rate=0.75, gross=0.33, spread_cost=0.02,
    slippage_cost=0.01, fees=0.01,
)  # fmt: skip
FEED = FeedView("live", "ws://127.0.0.1:8765", "", 1234, {"price": 2}, {"json": 1}, 0, 0, 1, 3, 2.4, 5012.0)


def snapshot(**changes) -> Snapshot:
    features = [
        FeatureView("move", 0.00062, ">=", 0.0005, True, "%"),
        FeatureView("surge", math.nan, ">", 1.5, False, "x"),
    ]
    symbol = SymbolView("AAPL", 2, 170.29, 170.28, 170.30, 99, T0, True, 170.1, 0.05, features, POSITION)
    state = Snapshot(
        seq=1, mode="PAPER", session_id="s-1", strategy="MomentumBurst", engine_ts_ns=T0, started_ts_ns=T0 - 10**9,
        symbols=[symbol], account=ACCOUNT, feed=FEED, latency_p50_us=12.3, latency_p99_us=math.nan,
        refusals={"daily_loss": 2}, skipped_signals=3,
    )  # fmt: skip
    return replace(state, **changes)


def flat() -> list[SymbolView]:
    return [replace(snapshot().symbols[0], position=None)]


def told(*snapshots: Snapshot) -> list[str]:
    events = TradeEvents()
    return [trade_line(event, 2) for state in snapshots for event in events.of(state)]


OPEN_LINE = "OPEN  14:30:00.123 AAPL     long  1 @ 170.25"
FEED_LINE = "FEED  14:30:00.123 connected to ws://127.0.0.1:8765"
CLOSE_LINE = (
    "CLOSE 14:30:03.323 AAPL     long  1 @ 170.51  TP      P/L +0.26 (+0.153 %, gross +0.27, costs 0.01) after 3.2 s"
)


def test_whatever_the_reason_profits_stand_below_each_other():
    assert len({trade_line(replace(TRADE, reason=reason), 2).index("P/L") for reason in Reason}) == 1


def test_a_position_that_stays_is_told_once():
    assert told(snapshot(), snapshot(), snapshot()) == [OPEN_LINE]


def test_open_and_close_are_told_in_order():
    assert told(snapshot(), snapshot(symbols=flat(), new_trades=[TRADE])) == [OPEN_LINE, CLOSE_LINE]


def test_a_trade_between_two_snapshots_is_told_in_full():
    assert told(snapshot(symbols=flat(), new_trades=[TRADE])) == [OPEN_LINE, CLOSE_LINE]


def test_a_close_and_a_new_opening_in_one_snapshot():
    again = replace(POSITION, entry_ts_ns=T0 + 5_000_000_000, side="short")
    after = replace(snapshot().symbols[0], position=again)
    lines = told(snapshot(), snapshot(symbols=[after], new_trades=[TRADE]))
    assert lines == [OPEN_LINE, CLOSE_LINE, "OPEN  14:30:05.123 AAPL     short 1 @ 170.25"]


def test_text_without_a_terminal_is_lines_and_nothing_else():
    out = io.StringIO()
    with SessionConsole(out=out) as console:
        console.on_snapshot(snapshot())
        assert out.getvalue().splitlines() == [FEED_LINE, OPEN_LINE], "written at once, not at the end"
        console.on_snapshot(snapshot(symbols=flat(), new_trades=[TRADE]))
    assert out.getvalue().splitlines() == [FEED_LINE, OPEN_LINE, CLOSE_LINE]
    assert console.reasons == {"TP": 1}


def test_json_lines():
    out = io.StringIO()
    with SessionConsole(out=out, as_json=True) as console:
        console.on_snapshot(snapshot())
        console.on_snapshot(snapshot(symbols=flat(), new_trades=[TRADE], engine_ts_ns=T0 + 10_000_000))
        console.on_snapshot(snapshot(symbols=flat(), engine_ts_ns=T0 + 2_000_000_000))
    objects = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [item["event"] for item in objects] == ["open", "status", "close", "status"]
    assert objects[0]["entry_price"] == 170.25
    assert (objects[2]["reason"], objects[2]["net"]) == ("TP", 0.26)
    assert objects[1]["latency_p99_us"] is None


def test_a_terminal_gets_the_live_table_and_the_lines(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("engine.console.DRAWS_PER_S", 1000)
    out = io.StringIO()
    with SessionConsole(out=out) as console:
        console.on_snapshot(snapshot())
        console.on_line("an embedded market")
        while "MomentumBurst" not in out.getvalue():
            pass  # bounded by the suite's timeout
    assert OPEN_LINE in out.getvalue()
    assert "an embedded market" in out.getvalue()


def text_of(renderable) -> str:
    console = Console(file=io.StringIO(), width=200, no_color=True)
    console.print(renderable)
    return console.file.getvalue()


def test_the_live_view_shows_features_position_money_and_feed():
    text = text_of(live_view(snapshot()))
    for part in (
        "PAPER", "MomentumBurst", "AAPL", "170.29", "move >= 0.050 %", "0.062 % ✓", "surge > 1.50×", "warming up",
        "▲ long 1 @ 170.25", "stop 170.16", "+0.04", "equity 10,000.29", "trades 4", "won 3 (75%)", "feed live",
        "5,012 ticks/s", "price 2", "json 1", "reconnects 1", "p50 12 µs", "p99 -", "refused daily_loss 2", "skipped 3",
    ):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_narrow_terminal_loses_columns_and_no_digits(width):
    console = Console(file=io.StringIO(), width=width, height=24, no_color=True)
    view = replace(snapshot().symbols[0], symbol="BTCUSDT", price=43210.55)
    console.print(live_view(snapshot(symbols=[view])))
    (row,) = (line for line in console.file.getvalue().splitlines() if line.startswith("BTCUSDT"))
    assert "43210.55" in row
    assert "▲ long 1 @ 170.25" in row
    assert row.rstrip().endswith("+0.04")
    assert ("target" in row) == (width >= 200)


def test_a_comparison_says_of_which_side_it_is():
    view = replace(snapshot().symbols[0])
    view.features = [
        FeatureView("move", 0.0006, ">=", 0.0005, True, "%", side="long"),
        FeatureView("move", 0.0006, "<=", -0.0005, False, "%", side="short"),
    ]
    text = text_of(live_view(snapshot(symbols=[view])))
    assert "▲ move >= 0.050 %" in text
    assert "▼ move <= -0.050 %" in text


def test_nothing_has_no_sign():
    assert [signed(value) for value in (-0.0, -0.004, 0.004, -0.006, 2)] == ["0.00", "0.00", "0.00", "-0.01", "+2.00"]


def test_the_live_view_of_nothing_yet():
    nothing = snapshot(
        symbols=[],
        account=replace(ACCOUNT, win_rate=math.nan, state="reducing", halted="daily loss limit"),
        latency_p50_us=math.nan,
    )
    assert "REDUCING: daily loss limit" in text_of(live_view(nothing))


def test_limits_in_use_stand_in_a_line_of_their_own():
    gauges = [
        GaugeView("daily_loss_limit", 0.0125, 0.05, "ratio", "close"),
        GaugeView("max_position_value", 1_999.5, 2_000.0, "money"),
        GaugeView("max_trades_per_day", 20, 20, "count", "day"),
        GaugeView("max_drawdown", 0.05, 0.05, "ratio", "close"),
        GaugeView("daily_loss_money", 161.0, 200.0, "money", "close"),
    ]
    drawn = live_view(
        snapshot(account=replace(ACCOUNT, state="halted", halted="halted: drawdown limit", gauges=gauges))
    )
    text = text_of(drawn)
    assert "HALTED: drawdown limit" in text
    line = next(line for line in text.splitlines() if line.startswith("limits"))
    assert "daily loss limit 1.25 % of 5.00 %" in line
    assert "max position value 1,999.50 of 2,000.00" in line
    assert "max trades per day 20 of 20" in line
    flows = [part for part in drawn.renderables if isinstance(part, Flow)]
    (limits,) = (flow for flow in flows if flow.parts[0].plain == "limits")
    spans = [(span.style, part.plain[span.start : span.end]) for part in limits.parts for span in part.spans]
    assert [span for span in spans if span[0]] == [
        ("yellow", "20 of 20"),
        ("bold red", "5.00 % of 5.00 %"),
        ("yellow", "161.00 of 200.00"),
    ]


def test_the_summary():
    text = text_of(summary_table(snapshot(ended="duration"), {"TP": 3, "SL": 1}, "standard", RiskLimits(), 12.34))
    for part in (
        "duration",
        "1,234",
        "json 1 price 2",
        "4 (3 won, 1 lost)",
        "SL 1 TP 3",
        "+0.33",
        "spread cost",
        "gaps",
        "reconnects",
        "12.3 s",
        "+0.29",
        "standard: daily_loss_limit 5%, positions_per_symbol 1",
    ):
        assert part in text, part
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80, "long rows are wrapped"
    event = summary_event(snapshot(ended="duration"), {"TP": 3}, "standard", RiskLimits(), 12.34)
    assert (event["risk_profile"], event["risk"]) == ("standard", RiskLimits().to_json())
    assert (event["run_id"], event["ended"], event["seconds"], event["net"]) == ("s-1", "duration", 1.0, 0.29)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.0005, "%", "0.050 %"), (1.5, "x", "1.50×"), (170.25, "price", "170.25"), (3, "", "3")],
)
def test_measures(value, unit, text):
    assert measure(value, unit) == text


def test_clock_and_small_prices():
    assert clock(T0) == "14:30:00.123"
    assert trade_line(Opening("X", "short", 0.5, T0, 0.000123), 6).endswith("short 0.5 @ 0.000123")


def test_money_adds_up_for_the_reader():
    """Half cents, rounded one by one, made a net of 0.15 out of 0.17 less 0.01."""
    trade = replace(TRADE, gross=0.165, costs=0.01, net=0.155)
    assert "P/L +0.155 (+0.091 %, gross +0.165, costs 0.010)" in trade_line(trade, 2)
    account = replace(
        ACCOUNT, gross=0.135, spread_cost=0.035, slippage_cost=0.0, fees=0.0075, total_pnl=0.0925, open_pnl=0.0
    )
    rows = money_rows(account)
    assert rows["spread cost"] == " 0.0350"
    assert "borrow cost" not in rows
    assert "open P/L" not in rows
    costs = sum(Decimal(rows[name]) for name in ("spread cost", "slippage cost", "fees"))
    assert Decimal(rows["net"]) == Decimal(rows["gross"]) - costs == Decimal("0.0925")


def test_a_net_with_borrowing_and_an_open_position_adds_up_too():
    rows = money_rows(replace(ACCOUNT, total_pnl=0.32, open_pnl=0.04, borrow_cost=0.01))
    assert (rows["borrow cost"], rows["open P/L"], rows["net"]) == (" 0.01", "+0.04", "+0.32")


def money_rows(account: AccountView) -> dict[str, str]:
    table = summary_table(snapshot(account=account), {}, "standard", RiskLimits(), 0.0)
    return dict(zip(*(list(column.cells) for column in table.columns), strict=True))


def fed(state: str, at_s: float, reconnects: int = 0, detail: str = "") -> Snapshot:
    feed = replace(FEED, state=state, reconnects=reconnects, detail=detail)
    return snapshot(feed=feed, engine_ts_ns=T0 + int(at_s * 1e9), symbols=flat())


def test_the_feed_is_told_of_when_it_comes_goes_and_is_back():
    out = io.StringIO()
    with SessionConsole(out=out) as console:
        for state in (
            fed("live", 0),
            fed("reconnecting", 10, 0, "attempt 1: the connection ended"),
            fed("reconnecting", 11, 1, "attempt 2: refused"),
            fed("gap", 14.5, 3),
            fed("live", 15, 3),
            fed("stale", 20, 3, "nothing to trade on for 3 s"),
            fed("live", 21, 3),
            fed("live", 30, 4),  # lost and found between two pictures
            fed("reconnecting", 40, 4, "attempt 5: the connection ended"),
        ):
            console.on_snapshot(state)
    assert [line.partition(" ")[2].strip() for line in out.getvalue().splitlines()] == [
        "14:30:00.123 connected to ws://127.0.0.1:8765",
        "14:30:10.123 lost: ws://127.0.0.1:8765 (the connection ended); reconnecting",
        "14:30:14.623 back after 3 attempts / 4.5 s: ws://127.0.0.1:8765",
        "14:30:20.123 silent: ws://127.0.0.1:8765 (nothing to trade on for 3 s); waiting for it",
        "14:30:21.123 back after 1.0 s: ws://127.0.0.1:8765",
        "14:30:30.123 lost: ws://127.0.0.1:8765 (its connection ended); reconnecting",
        "14:30:30.123 back after 1 attempt / 0.0 s: ws://127.0.0.1:8765",
        "14:30:40.123 lost: ws://127.0.0.1:8765 (the connection ended); reconnecting",
    ]
    assert console.feed.without_s(fed("reconnecting", 42)) == 4.5 + 1 + 2


def test_an_end_is_no_loss_and_quiet_is_quiet():
    feed = FeedLines()
    assert len(list(feed.of(fed("live", 0)))) == 1
    assert not list(feed.of(fed("closed", 1)))
    assert not list(feed.of(replace(fed("reconnecting", 1), ended="stopped")))
    out = io.StringIO()
    with SessionConsole(out=out, quiet=True) as console:
        console.on_snapshot(fed("live", 0))
    assert out.getvalue() == ""


def test_a_feature_that_does_not_fit_is_named_and_figures_stay_with_their_names():
    view = replace(snapshot().symbols[0], symbol="BTCUSDT", price=43210.55)
    view.features.append(FeatureView("span", 0.001, ">=", 0.001, True, "%"))
    out = io.StringIO()
    Console(file=out, width=80, no_color=True).print(live_view(snapshot(symbols=[view])))
    (row,) = (line for line in out.getvalue().splitlines() if line.startswith("not shown"))
    assert row.rstrip() == "not shown, the terminal is too narrow: span"
    assert any("max drawdown 1.50" in line for line in out.getvalue().splitlines())
    assert any("p50 12 µs" in line for line in out.getvalue().splitlines())

"""Sessions drawn at random, watched over a line that stalls and breaks: what is shown is what was published.

The way there is the real one, from the server's history through frames and mailbox to labels and tables; only the
socket is left out, so that each seed always gives the same run. What is shown is judged by :class:`Ledger`, which keeps
plain lists of all that was published; numbers are written with :class:`decimal.Decimal`.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest

from engine import telemetry, telemetry_wire
from engine.model import Reason
from engine.secret import Secret
from engine.telemetry import TelemetryServer, _Viewer
from engine.telemetry_wire import (
    VERSION,
    AccountView,
    Endpoint,
    FeatureView,
    FeedView,
    FrameReader,
    GaugeView,
    Hello,
    History,
    PositionView,
    Snapshot,
    SymbolView,
    TradeView,
    decode,
    encode,
)
from gui import link as link_module
from gui import state, words
from gui.link import Link
from gui.window import MainWindow
from tests.gui.golden import SECOND, T0

SEEDS, STEPS = range(8), 40
KEPT_TRADES, KEPT_TICKS = 12, 50
TOKEN = Secret("0" * 32)
NAMES = ("ACME", "BTC-USD", "1000SHIB-USDT")
SCALES = {"ACME": (2, 100.0), "BTC-USD": (1, 123_456.7), "1000SHIB-USDT": (8, 0.00001234)}


@pytest.fixture(autouse=True)
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds so low that a few steps pass each of them."""
    monkeypatch.setattr(telemetry, "RECENT_SNAPSHOTS", 6)
    monkeypatch.setattr(telemetry, "HISTORY_TRADES", KEPT_TRADES)
    monkeypatch.setattr(telemetry, "HISTORY_POINTS", 24)
    monkeypatch.setattr(telemetry, "HISTORY_PNL", 16)
    for module in (telemetry, telemetry_wire):
        monkeypatch.setattr(module, "MAX_POINTS", 16)
    monkeypatch.setattr(link_module, "MAILBOX_SNAPSHOTS", 3)
    monkeypatch.setattr(state, "POINTS", 64)
    monkeypatch.setattr(state, "PNL_POINTS", 64)


class Session:
    """Makes snapshots at random; amounts of money are whole cents."""

    def __init__(self, draw: random.Random, number: int) -> None:
        self.draw, self.id, self.seq, self.now_ns, self.closed = draw, f"session-{number}", 0, T0, 0
        self.names = NAMES[: draw.randint(1, len(NAMES))]

    def cents(self, most: int = 10**9) -> float:
        return self.draw.randint(-most, most) / 100

    def price(self, name: str) -> float:
        digits, middle = SCALES[name]
        return round(middle * self.draw.uniform(0.8, 1.2), digits)

    def trade(self) -> TradeView:
        draw, name = self.draw, self.draw.choice(self.names)
        self.closed += 1
        gross, costs = draw.randint(-10_000, 10_000), draw.randint(0, 300)
        entry_ns = self.now_ns - draw.randint(1, 20_000) * SECOND
        return TradeView(
            self.closed, name, draw.choice(("long", "short")), float(draw.randint(1, 10**6)), entry_ns, self.now_ns,
            self.price(name), self.price(name), draw.choice(list(Reason)).value, gross / 100, costs / 100,
            (gross - costs) / 100,
        )  # fmt: skip

    def symbol(self, name: str) -> SymbolView:
        draw = self.draw
        points = []
        for ts_ns in sorted(draw.randrange(self.now_ns - SECOND, self.now_ns) for _ in range(draw.randint(0, 24))):
            points.append((ts_ns, *(self.price(name) for _ in range(4)), 0.0))
        price = points[-1][1] if points else self.price(name)
        side, qty, deadline = draw.choice(("long", "short")), float(draw.randint(1, 10**6)), self.now_ns + SECOND
        entry, stop, target = self.price(name), self.price(name), draw.choice((0.0, self.price(name)))
        position = PositionView(side, qty, T0, entry, stop, target, deadline, self.cents())
        features = [
            FeatureView(f"f{n}", draw.random(), ">=", 0.5, draw.random() < 0.5) for n in range(draw.randint(0, 3))
        ]
        return SymbolView(
            name, SCALES[name][0], price, price, price, self.seq, self.now_ns, draw.random() < 0.9, math.nan, math.nan,
            features, position if draw.random() < 0.5 else None, points,
        )  # fmt: skip

    def snapshot(self) -> Snapshot:
        draw = self.draw
        self.seq += 1
        self.now_ns += SECOND
        symbols = [self.symbol(name) for name in self.names]
        trades = [self.trade() for _ in range(draw.choice((0, 0, 0, 1, 1, 2)))]
        ticks = []
        for ts_ns in sorted(
            draw.randrange(self.now_ns - SECOND, self.now_ns) for _ in range(draw.randint(0, KEPT_TICKS))
        ):
            name = draw.choice(self.names)
            ticks.append(
                (ts_ns, name, self.price(name), float(draw.randint(1, 999)), self.price(name), self.price(name))
            )
        standing, halted = draw.choice((("active", ""), ("reducing", "paused"), ("halted", "halted: drawdown limit")))
        wins, losses = draw.randint(0, 1), draw.randint(0, 1)  # legs of pairs are closed without being counted
        account = AccountView(
            *(self.cents() for _ in range(7)), wins + losses, wins, losses,
            wins / (wins + losses) if wins + losses else math.nan, *(self.cents() for _ in range(5)), halted, standing,
            [GaugeView("max_trades_per_day", draw.randint(0, 40), 40, "count") for _ in range(draw.randint(0, 2))],
        )  # fmt: skip
        feed = FeedView(
            draw.choice(("live", "stale", "reconnecting")), "ws://test", "", draw.randint(0, 10**9), {}, {}, 0, 0, 0,
            draw.randint(0, 10**4), 1.0, float(draw.randint(0, 10**5)),
        )  # fmt: skip
        return Snapshot(
            self.seq, "PAPER", self.id, "strategy", self.now_ns, T0, symbols, account, feed, 1.0, 2.0,
            {"PAUSED": draw.randint(1, 9)} if draw.random() < 0.5 else {}, draw.randint(0, 9), trades, ticks,
        )  # fmt: skip


class Line:
    """The way from one engine to the link, as bytes; it stalls when told to, and breaks with the viewer."""

    def __init__(self, link: Link, loop: asyncio.AbstractEventLoop) -> None:
        self._link, self._loop, self._frames = link, loop, FrameReader()
        self.server = TelemetryServer()
        self.server._endpoint = Endpoint("127.0.0.1", 1, TOKEN, 1, "", "PAPER", 0)
        self.arrived: list[History | Snapshot] = []
        self.viewer: _Viewer

    def connect(self) -> None:
        """A new viewer, as after a break, greets the engine."""
        self._frames = FrameReader()
        self.viewer = self._loop.run_until_complete(self._greeted())

    async def _greeted(self) -> _Viewer:
        viewer = _Viewer(self.server)
        viewer.connection_made(self)  # type: ignore[arg-type]
        viewer.data_received(encode(Hello(VERSION, TOKEN)))
        return viewer

    def set_write_buffer_limits(self, high: int) -> None: ...

    def write(self, data: bytes) -> None:
        for body in self._frames.feed(data):
            message = decode(body)
            assert isinstance(message, History | Snapshot)
            self._link._accept(message)
            self.arrived.append(message)


class Ledger:
    """Everything that one session has published, and how it must look."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.newest: Snapshot
        self.trades: list[TradeView] = []
        self.known: list[TradeView] = []  # those that the viewer was told of
        self.told = 0
        self.ticks: list[tuple[Any, ...]] = []
        self.prices: dict[str, list[float]] = {name: [] for name in session.names}

    def publish(self) -> Snapshot:
        self.newest = self.session.snapshot()
        self.trades += self.newest.new_trades
        self.ticks += self.newest.ticks_tail
        for view in self.newest.symbols:
            self.prices[view.symbol] += [point[1] for point in view.points]
        return self.newest

    def hear(self, arrived: Sequence[History | Snapshot]) -> None:
        """Keep account of which trades the viewer can know: a history has only the last ones."""
        for message in arrived:
            until = message.snapshot.seq if isinstance(message, History) and message.snapshot else 0
            if isinstance(message, History):
                seen = [trade for trade in self.trades if trade.exit_ts_ns <= T0 + until * SECOND]
                self.known, self.told = seen[-KEPT_TRADES:], len(seen)
            else:
                seen = [trade for trade in self.trades if trade.exit_ts_ns <= T0 + message.seq * SECOND]
                self.known, self.told = [*self.known, *seen[self.told :]], len(seen)


def amount(value: float, sign: bool = True, digits: int = 2) -> str:
    exact = Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
    text = f"{abs(exact):,}"
    return text if not exact else f"−{text}" if exact < 0 else f"+{text}" if sign else text


def priced(value: float, name: str) -> str:
    return f"{Decimal(repr(value)):,.{SCALES[name][0]}f}" if value else "–"


def assert_shown(window: MainWindow, ledger: Ledger) -> None:
    panel, newest = window.dashboard, ledger.newest
    account = newest.account
    texts = {name: label.text() for name, label in panel.statistics.values.items()}
    view = next(one for one in newest.symbols if one.symbol == panel.symbol)
    costs = account.spread_cost + account.slippage_cost + account.fees + account.borrow_cost
    assert texts == {
        "price": priced(view.price, view.symbol),
        "position": "None" if view.position is None else {"long": "▲ LONG", "short": "▼ SHORT"}[view.position.side],
        "trades": f"{account.trades} ({account.wins} / {account.losses})",
        "win_rate": f"{100 * account.wins / account.trades:.1f} %" if account.trades else "–",
        "daily": amount(account.daily_pnl),
        "total": amount(account.total_pnl),
        "drawdown": amount(account.max_drawdown, sign=False),
        "equity": amount(account.equity, sign=False),
        "gross": amount(account.gross),
        "spread": amount(account.spread_cost, sign=False),
        "slippage": amount(account.slippage_cost, sign=False),
        "fees": amount(round(account.fees + account.borrow_cost, 2), sign=False),
    }
    assert panel.statistics.net.text() == f"net {amount(round(account.gross - costs, 2))}"
    assert panel.risk.state.text().split()[1].lower() == account.state
    assert sum(not gauge.number.isHidden() for gauge in panel.risk.gauges) == len(account.gauges)
    assert window.status.figures["ticks"].text() == f"{newest.feed.accepted:,} ticks"
    assert window.status.figures["refusals"].text() == f"refusals {sum(newest.refusals.values())}"
    assert window.top.badge.text().split()[1].lower() == newest.feed.state

    rows = [[panel.trades.text(row, column) for column in (0, 1, 9, 10)] for row in range(panel.trades.rowCount())]
    assert rows == [[str(t.number), t.symbol, amount(t.net), amount(t.gross)] for t in reversed(ledger.known)]
    rows = [[panel.ticks.text(row, column) for column in (1, 2, 3)] for row in range(panel.ticks.rowCount())]
    assert rows == [
        [name, priced(p, name), f"{size:.0f}"] for _, name, p, size, *_ in ledger.ticks[: -KEPT_TICKS - 1 : -1]
    ]
    assert_position(window, view.position, view.symbol)
    if len(newest.symbols) > 1:
        watched = [[panel.watch.text(row, column) for column in range(3)] for row in range(panel.watch.rowCount())]
        assert [row[:2] for row in watched] == [[one.symbol, priced(one.price, one.symbol)] for one in newest.symbols]
        for row, one in zip(watched, newest.symbols, strict=True):
            assert row[2].endswith(amount(one.position.open_pnl) if one.position is not None else "")
    for name, prices in ledger.prices.items():
        drawn = window.state.symbols[name].series.column(state.PRICE)
        assert bool(len(drawn)) == bool(prices)
        if prices:
            assert (drawn.min(), drawn.max(), drawn[-1]) == (min(prices), max(prices), prices[-1])
            assert (sorted(times := window.state.symbols[name].series.column(state.TIME).tolist())) == times
    assert window.state.pnl.column(1)[-1] == account.total_pnl
    held = (view.position.entry_price,) if view.position is not None else ()
    marked = [*(trade.entry_price for trade in ledger.known if trade.symbol == view.symbol), *held]
    assert panel.chart._markers._entries.getData()[1].tolist() == marked


def assert_position(window: MainWindow, position: PositionView | None, name: str) -> None:
    card = window.dashboard.position
    levels = [cell.text() for cell in card._values.values()]
    if position is None:
        assert (card.side.text(), card.pnl.text(), levels) == (words.NO_POSITION, "", ["–"] * 3)
        return
    assert card.side.text().split()[1:] == [position.side.upper(), f"{int(position.qty):,}"]
    assert card.pnl.text() == amount(position.open_pnl)
    prices = position.entry_price, position.stop_price, position.target_price
    assert levels == [priced(price, name) for price in prices]


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def draw_all(window: MainWindow) -> None:
    """So many frames that the slower cards, too, are drawn once."""
    for _ in range(4):
        window.draw_frame()


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_shown_is_what_was_published(window: MainWindow, loop: asyncio.AbstractEventLoop, seed: int) -> None:
    draw = random.Random(seed)
    window._timer.stop()
    window.link = Link(lambda: None)
    sessions = judged = 0
    ledger: Ledger
    line: Line
    for _ in range(STEPS):
        act = (
            draw.choice(("publish",) * 6 + ("stall", "flow", "flow", "break", "choose", "draw", "draw"))
            if sessions
            else ""
        )
        if not act or (act == "break" and draw.random() < 0.3):  # another engine takes over
            sessions += 1
            ledger, line = Ledger(Session(draw, sessions)), Line(window.link, loop)
            line.server.publish(ledger.publish())
            line.server._endpoint = Endpoint("127.0.0.1", 1, TOKEN, 1, ledger.session.id, "PAPER", 0)
            line.connect()
        elif act == "publish":
            for _ in range(draw.randint(1, 4)):
                line.server.publish(ledger.publish())
        elif act == "stall":
            line.viewer.pause_writing()
        elif act == "flow" and line.viewer.congested:
            line.viewer.resume_writing()
        elif act == "break":
            line.viewer.connection_lost(None)
            line.connect()
        elif act == "choose":
            window.dashboard.step_symbol(1)
        ledger.hear(line.arrived)
        line.arrived.clear()
        if act == "draw" and not line.viewer.congested:
            draw_all(window)
            assert_shown(window, ledger)
            judged += 1
    assert judged

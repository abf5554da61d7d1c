"""What a running session shows in a terminal: a live table where there is one, and one line for every trade.

A session hands over :class:`~engine.telemetry_wire.Snapshot` objects; everything here is derived from them, so the
terminal shows what the dashboard shows. Drawing takes milliseconds, so a thread of its own draws the newest snapshot a
few times a second, and the session never waits for it. Without a terminal only the lines are written, each flushed at
once. With ``--json`` each line is one JSON object.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import orjson
import structlog
from rich.console import Console, ConsoleOptions, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from engine.commands.feed_lines import FeedLines
from engine.commands.shared import PIPE_WIDTH, discard_output
from engine.model import Reason
from engine.telemetry_wire import (
    AccountView,
    FeatureView,
    FeedView,
    PositionView,
    Snapshot,
    SymbolView,
    TradeView,
    decimals,
    state_in_words,
)

if TYPE_CHECKING:
    from engine.live.opening import Opened

DRAWS_PER_S = 4
SWITCH_INTERVAL_S = 0.0005
"""While the drawing thread runs, the session gets the interpreter back within half a millisecond."""

ARROWS = {"long": "▲", "short": "▼"}
URGENT = ("", "yellow", "bold red")
"""How a limit is shown, by the urgency of its gauge."""

REASON_WIDTH = max(map(len, Reason))

STATUS_EVERY_NS = 1_000_000_000
"""Engine time between two status objects of ``--json``."""

Event = dict[str, object]

log = structlog.get_logger("trades")


@dataclass(frozen=True, slots=True)
class Opening:
    """A position that was opened; its close will be a :class:`~engine.telemetry_wire.TradeView`."""

    symbol: str
    side: str
    qty: float
    entry_ts_ns: int
    entry_price: float


class TradeEvents:
    """Turns snapshots into exactly one opening and one close per trade, in order.

    A trade that opened and closed between two snapshots still gives both.
    """

    def __init__(self) -> None:
        self._opened: dict[str, int] = {}  # entry time of the position last announced, by symbol
        self.told = 0  # trades that were told of before the session was interrupted

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Take over what had been told of when the session was interrupted."""
        self.told = facts["trades"]
        self._opened = {one["symbol"]: one["entry_ts_ns"] for one in facts["positions"]}

    def of(self, snapshot: Snapshot) -> Iterator[Opening | TradeView]:
        """Yield what ``snapshot`` tells about trades that was not told before."""
        for trade in snapshot.new_trades:
            if trade.number <= self.told:
                yield trade
                continue
            if self._opened.pop(trade.symbol, None) != trade.entry_ts_ns:
                yield Opening(trade.symbol, trade.side, trade.qty, trade.entry_ts_ns, trade.entry_price)
            yield trade
        for view in snapshot.symbols:
            held = view.position
            if held and self._opened.get(view.symbol) != held.entry_ts_ns:
                self._opened[view.symbol] = held.entry_ts_ns
                yield Opening(view.symbol, held.side, held.qty, held.entry_ts_ns, held.entry_price)


def trade_line(told: Opening | TradeView, precision: int) -> str:
    """Return the one line of an opening or a close: ``OPEN  14:30:05.123 BTCUSDT  long  1 @ 101.25``."""
    what = f"{told.symbol:<8} {told.side:<5} {told.qty:g} @"
    if isinstance(told, Opening):
        return f"OPEN  {clock(told.entry_ts_ns)} {what} {told.entry_price:.{precision}f}"
    digits = decimals(told.net, told.gross, told.costs, least=max(2, precision))
    held_s = (told.exit_ts_ns - told.entry_ts_ns) / 1e9
    share = f"{signed(100 * told.net / (told.entry_price * told.qty), 3)} %, " if told.entry_price * told.qty else ""
    profit = (
        f"P/L {signed(told.net, digits)} ({share}gross {signed(told.gross, digits)}, costs {told.costs:.{digits}f})"
    )
    close = f"CLOSE {clock(told.exit_ts_ns)} {what} {told.exit_price:.{precision}f}"
    return f"{close}  {told.reason:<{REASON_WIDTH}} {profit} after {held_s:.1f} s"


def trade_event(told: Opening | TradeView, precision: int) -> Event:
    """Return an opening or a close as one JSON object; ``event`` is ``open`` or ``close``."""
    values = {name: getattr(told, name) for name in told.__slots__}
    for name in ("entry_price", "exit_price"):
        if name in values:
            values[name] = round(values[name], precision)
    return {"event": "open" if isinstance(told, Opening) else "close", **values}


def signed(amount: float, digits: int = 2) -> str:
    """Return an amount with its sign; what rounds to nothing has none."""
    text = f"{amount:+.{digits}f}"
    return text if float(text) else text[1:]


def clock(ts_ns: int) -> str:
    """Return the UTC time of day with milliseconds."""
    return f"{datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC):%H:%M:%S}.{ts_ns // 1_000_000 % 1000:03d}"


class SessionConsole:
    """Shows one session on standard output. Use as a context manager around it.

    Args:
        as_json: write JSON lines instead of text.
        quiet: text only: no table, just the trade lines and the summary.
        out: standard output, or a stand-in for it.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._json = as_json
        self._console = Console(file=self._out, highlight=False)
        self._live_wanted = not as_json and not quiet and self._console.is_terminal
        self._live: Live | None = None
        self._lines: deque[str] = deque()
        self._stop = threading.Event()
        self._drawer: threading.Thread | None = None
        self._events = TradeEvents()
        self._tells_feed = not as_json and not quiet
        self.feed = FeedLines()
        self._status_ts_ns = 0
        self._switch_interval_s = sys.getswitchinterval()
        self.latest: Snapshot | None = None
        self.reasons: Counter[str] = Counter()
        self.recovered = ""  # the session, where it was interrupted and goes on
        self.write_error: OSError | None = None  # why standard output cannot be written, when its reader is still there
        self.on_reader_gone: Callable[[], None] = lambda: None

    def __enter__(self) -> SessionConsole:
        if self._live_wanted:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
            sys.setswitchinterval(SWITCH_INTERVAL_S)
            self._drawer = threading.Thread(target=self._draw, name="console", daemon=True)
            self._drawer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._drawer and self._live:
            self._drawer.join()
            self._live.stop()
            sys.setswitchinterval(self._switch_interval_s)
            self._live = None
        self._write_lines()

    def on_snapshot(self, snapshot: Snapshot) -> None:
        """Take the newest state; announces the trades in it."""
        self.latest = snapshot
        for line in self.feed.of(snapshot):
            if self._tells_feed:
                self._say(f"FEED  {clock(snapshot.engine_ts_ns)} {line}")
        precisions = {view.symbol: view.price_precision for view in snapshot.symbols}
        for told in self._events.of(snapshot):
            if isinstance(told, TradeView):
                self.reasons[told.reason] += 1
                if told.number <= self._events.told:
                    continue
            precision = precisions.get(told.symbol, 2)
            event = trade_event(told, precision)
            log.info(str(event.pop("event")), **event)
            self._say(trade_event(told, precision) if self._json else trade_line(told, precision))
        if self._json and (snapshot.engine_ts_ns - self._status_ts_ns >= STATUS_EVERY_NS or snapshot.ended):
            self._status_ts_ns = snapshot.engine_ts_ns
            self._say(status_event(snapshot))

    def on_opened(self, opened: Opened) -> None:
        """Tell what came from before; trades and positions that were told of then are not told of again."""
        if opened.line:
            self.on_line(opened.line)
        if not opened.facts:
            return
        if self._json:
            self._say(dict(opened.facts))
        if opened.resumed is not None:
            self.recovered = str(opened.facts["session"])
            self._events.recall(opened.facts)

    def on_line(self, line: str) -> None:
        """Tell something that is not a trade, such as the start of an embedded market, on standard error."""
        if self._live:
            self._lines.append(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def _say(self, what: Event | str) -> None:
        self._lines.append(what if isinstance(what, str) else orjson.dumps(what).decode())
        if not self._live:
            self._write_lines()

    def _write_lines(self) -> None:
        try:
            while self._lines:
                self._out.write(self._lines.popleft() + "\n")
            self._out.flush()
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.write_error = error
            discard_output()
            self.on_reader_gone()

    def _draw(self) -> None:
        with suppress(OSError):  # the terminal was closed: the session is told by a signal
            self._draw_until_stopped()

    def _draw_until_stopped(self) -> None:
        while not self._stop.wait(1 / DRAWS_PER_S):
            if self._live:
                while self._lines:
                    self._console.print(Text(self._lines.popleft()), soft_wrap=True)
                if self.latest:
                    self._live.update(live_view(self.latest), refresh=True)


# --- The live table ---------------------------------------------------------------------------------------------------


def live_view(snapshot: Snapshot) -> Group:
    """Return the live table with the lines above and below it."""
    account = snapshot.account
    limits = [_limits_line(account)] if account.gauges else []
    return Group(_headline(snapshot), SymbolsTable(snapshot), _account_line(account), *limits, _feed_line(snapshot))


@dataclass(frozen=True, slots=True)
class Flow:
    """Figures with their names, as many on a line as fit: a line is broken between two of them, never within one."""

    parts: Sequence[Text]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Draw the lines."""
        line = Text()
        for part in self.parts:
            if line and line.cell_len + 2 + part.cell_len > options.max_width:
                yield line
                line = Text()
            line.append("  " if line else "").append_text(part)
        yield line


def _headline(snapshot: Snapshot) -> Text:
    text = Text.assemble(
        (f" {snapshot.mode} ", "bold reverse"), f"  {snapshot.strategy}  {clock(snapshot.engine_ts_ns)} UTC"
    )
    account = snapshot.account
    if account.state != "active":
        state, _, why = state_in_words(account.state, account.halted).partition(":")
        text.append(f"  {state.upper()}{why and ':'}{why}", "bold red" if state == "halted" else "bold yellow")
    if snapshot.problem:
        text.append(f"\n{snapshot.problem}", "bold red")
    return text


@dataclass(frozen=True, slots=True)
class SymbolsTable:
    """One row per symbol. A narrow terminal loses quotes, exit levels, then features: columns, never digits.

    Features that are left out are named below: the others alone would look like the whole rule.
    """

    snapshot: Snapshot

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | Text]:
        """Draw the fullest table that fits."""
        declared = self.snapshot.symbols[0].features if self.snapshot.symbols else []
        features = len(declared)
        details = [
            (True, True, features),
            (False, True, features),
            *((False, False, n) for n in range(features, 0, -1)),
        ]
        for detail in details:
            table = _symbols_table(self.snapshot, *detail)
            if table.__rich_measure__(console, options.update(width=PIPE_WIDTH)).maximum <= options.max_width:
                break
        else:
            detail, table = (False, False, 0), _symbols_table(self.snapshot, False, False, 0)
        yield table
        if left_out := [_feature_name(one) for one in declared[detail[2] :]]:
            yield Text(f"not shown, the terminal is too narrow: {', '.join(left_out)}", "dim")


def _symbols_table(snapshot: Snapshot, quotes: bool, levels: bool, features: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("symbol", no_wrap=True)
    for name in ("price", "bid", "ask") if quotes else ("price",):
        table.add_column(name, justify="right", no_wrap=True)
    for feature in snapshot.symbols[0].features[:features] if features else []:
        title = _feature_name(feature)
        if feature.unit != "truth":
            title += f" {feature.op} {measure(feature.threshold, feature.unit)}"
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("position", no_wrap=True)
    table.add_column("open P/L", justify="right", no_wrap=True)
    for view in snapshot.symbols:
        prices = [_price(price, view) for price in ((view.price, view.bid, view.ask) if quotes else (view.price,))]
        cells = [_feature_cell(feature, view.warm) for feature in view.features[:features]]
        cells += [Text("-")] * (features - len(cells))
        table.add_row(Text(view.symbol), *prices, *cells, *_position_cells(view.position, view.price_precision, levels))
    return table


def _price(price: float, view: SymbolView) -> Text:
    return Text("-" if math.isnan(price) or not price else f"{price:.{view.price_precision}f}")


def _feature_name(feature: FeatureView) -> str:
    """What is compared, and for which side where it counts for one alone."""
    return f"{ARROWS[feature.side]} {feature.name}" if feature.side else feature.name


def _feature_cell(feature: FeatureView, warm: bool) -> Text:
    if not warm or math.isnan(feature.value):
        return Text("warming up", "dim")
    mark = "✓" if feature.passed else " "
    return Text(f"{measure(feature.value, feature.unit)} {mark}", "green" if feature.passed else "")


def _position_cells(held: PositionView | None, precision: int, with_levels: bool) -> list[Text]:
    if held is None:
        return [Text("flat", "dim"), Text("")]
    levels = ""
    if with_levels and held.stop_price and held.target_price:
        levels = f"  stop {held.stop_price:.{precision}f}  target {held.target_price:.{precision}f}"
    where = Text(f"{ARROWS[held.side]} {held.side} {held.qty:g} @ {held.entry_price:.{precision}f}{levels}")
    return [where, _money(held.open_pnl)]


def _money(value: float) -> Text:
    return Text(signed(value), "green" if value > 0 else "red" if value < 0 else "")


def _account_line(account: AccountView) -> Flow:
    rate = "-" if math.isnan(account.win_rate) else f"{account.win_rate:.0%}"
    return Flow(
        [
            Text(f"equity {account.equity:,.2f}"),
            Text("day ").append_text(_money(account.daily_pnl)),
            Text("total ").append_text(_money(account.total_pnl)),
            Text(f"trades {account.trades}"),
            Text(f"won {account.wins} ({rate})"),
            Text(f"max drawdown {account.max_drawdown:.2f}"),
        ]
    )


def _limits_line(account: AccountView) -> Flow:
    """Each limit as what is used of what may be; the fuller the louder."""
    parts = [Text("limits")]
    for gauge in account.gauges:
        use, bound = (amount(value, gauge.measure) for value in (gauge.use, gauge.bound))
        parts.append(Text(f"{gauge.name.replace('_', ' ')} ").append(f"{use} of {bound}", URGENT[gauge.urgency]))
    return Flow(parts)


def amount(value: float, measure: str) -> str:
    """Return how much of a limit, in its measure; a ratio comes as a fraction."""
    if measure == "ratio":
        return f"{100 * value:.2f} %"
    return f"{value:,.2f}" if measure in ("money", "number") else f"{value:g}"


def _feed_line(snapshot: Snapshot) -> Flow:
    feed = snapshot.feed
    age = "-" if math.isnan(feed.age_ms) else f"{feed.age_ms:.0f} ms"
    parts = [
        Text("feed ").append(feed.state, "green" if feed.state == "live" else "yellow").append(f" {feed.address}"),
        Text(f"{feed.ticks_per_s:,.0f} ticks/s"),
        Text(f"age {age}"),
        Text(f"queue {feed.queue_ticks}"),
        *(Text(f"{name} {count}") for name, count in _faults(feed)),
        Text(f"tick to decision p50 {latency(snapshot.latency_p50_us)}"),
        Text(f"p99 {latency(snapshot.latency_p99_us)}"),
    ]
    if snapshot.skipped_signals:
        parts.append(Text(f"signals skipped {snapshot.skipped_signals}"))
    if snapshot.refusals:
        parts.append(Text("refused " + counts(snapshot.refusals)))
    return Flow(parts)


def _faults(feed: FeedView) -> list[tuple[str, int]]:
    faults = {"reconnects": feed.reconnects, "gaps": feed.gaps, "late": feed.late, **feed.rejected, **feed.bad_frames}
    return sorted((name, count) for name, count in faults.items() if count)


def counts(of: Mapping[str, int]) -> str:
    """Return what was counted in a line: ``SL 1 TP 3``."""
    return " ".join(f"{name} {count}" for name, count in sorted(of.items()))


def latency(microseconds: float) -> str:
    """Return a latency in whole microseconds."""
    return "-" if math.isnan(microseconds) else f"{microseconds:,.0f} µs"


def measure(value: float, unit: str) -> str:
    """Return a feature's value in its unit; a value of unit ``%`` comes as a fraction."""
    if unit == "%":
        return f"{100 * value:.3f} %"
    if unit == "truth":
        return "yes" if value else "no"
    return f"{value:.2f}×" if unit == "x" else f"{value:g}"


# --- Status -----------------------------------------------------------------------------------------------------------


def status_event(snapshot: Snapshot) -> Event:
    """Return the state of a session as one JSON object."""
    account, feed = snapshot.account, snapshot.feed
    return {
        "event": "status",
        "engine_ts_ns": snapshot.engine_ts_ns,
        "symbols": {view.symbol: {"price": view.price, "ticks": view.ticks} for view in snapshot.symbols},
        "feed": {"state": feed.state, "accepted": feed.accepted, "ticks_per_s": feed.ticks_per_s},
        "equity": account.equity,
        "daily_pnl": account.daily_pnl,
        "trades": account.trades,
        "latency_p50_us": snapshot.latency_p50_us,
        "latency_p99_us": snapshot.latency_p99_us,
        "state": account.state,
        "halted": account.halted,
        "limits": {gauge.name: [gauge.use, gauge.bound] for gauge in account.gauges},
    }

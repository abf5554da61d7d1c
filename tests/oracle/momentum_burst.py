"""The naive reference of the momentum-burst rule: plain Python integers and Fractions, one tick after the other.

It was written from the rule's page alone (``momentum-burst.md``), without sight of the engine, and shares no code
with it: two independent implementations that agree on every trade are the proof that both read the page alike.
Clarity comes before speed. There are two ways to evaluate the features and the condition: *rolling* (sums and
monotonic queues, integer cross-multiplication, fast enough for a whole SPY day) and *by the page*
(``run(..., by_the_page=True)``: every window rescanned at every tick, every formula a ``Fraction`` exactly as
printed); the tests hold the first against the second.

Where the page leaves a choice, this is the reading taken. (1-9 can be met with fills ``last``.)

1. A late record is stamped with engine time everywhere: in windows, candles, timers and trades.
2. "The window is warm" means ``window``. A longer ``surge_window`` does not delay the first signal.
3. When both sides hold (``entry_threshold`` 0 and ``move`` 0), long is taken, being written first; with
   ``direction`` short it is short.
4. Windows whose traded size is zero have no surge: ``0 > 1.5 x 0`` is false.
5. Risk is asked before the cooldown ("does not use up the cooldown"): while entries are halted a signal is
   refused, never skipped. A refused or skipped signal that still holds the next day stays untaken.
6. Being flat again resets the signal's state to none. The tick that closed a position is not looked at for a
   signal at all, so a condition that holds on the next tick is a new signal.
7. The loss limit is looked at on every tick with a position open (except the tick of its entry) and after every
   exit, whatever its reason; reaching it also halts entries when the exit itself was SL, TP or a timer.
8. The day changes when engine time passes 00:00 UTC, also at a timer's deadline; an exit at 00:00:00 exactly
   belongs to the new day. The day's starting equity includes open P/L, marked at the last price before the change,
   and the P/L of the day is the equity now less that.
9. A limit of 0 % and an equity of 0 or less are not special: the P/L "reaches" the limit at once.
10. ``END`` closes at the last trade price under every fill model, stamped with engine time. END trades are in the
    list and in total P/L and ``by_reason``, but not in trades, wins, losses, win rate, averages and expectancy.
11. Under ``touch``: ``e`` is the fill price, and so is the first price of a candle that begins with the entry;
    SL, TP and open P/L compare it with trade prices. Gross is the P/L at the deciding trade prices, the spread cost
    what the fills were worse than those. A signal before any quote is an error here: the page does not say.
12. Drawdown is that of equity marked at every tick, open P/L included; consecutive losses is the longest run.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from math import floor

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS

LONG, NONE, SHORT = 1, 0, -1
WORDS = {LONG: "long", SHORT: "short"}


@dataclass(frozen=True, slots=True)
class Params:
    """The settings of the page; ratios and money are exact fractions (write them as ``Fraction("0.0005")``)."""

    window_ns: int = 15 * SECOND_NS
    surge_window_ns: int = SECOND_NS
    entry_threshold: Fraction = Fraction("0.0005")
    guard: Fraction = Fraction("0.001")
    volume_spike: Fraction = Fraction("1.5")
    profit_target: Fraction = Fraction("0.0015")
    stop_loss: Fraction = Fraction("0.0005")
    time_stop_ns: int = 8 * SECOND_NS
    flat_candles: int = 2
    cooldown_signals: int = 2
    direction: str = "both"
    daily_loss_limit: Fraction = Fraction("0.05")
    starting_cash: Fraction = Fraction(10_000)
    position_size: Fraction = Fraction(1)

    def as_settings(self) -> dict[str, str]:
        """Return the settings as the text of ``--set name=value``: durations in ns, ratios as decimals."""
        return {
            "window": f"{self.window_ns}ns",
            "surge_window": f"{self.surge_window_ns}ns",
            "entry_threshold": decimal_text(self.entry_threshold),
            "guard": decimal_text(self.guard),
            "volume_spike": decimal_text(self.volume_spike),
            "profit_target": decimal_text(self.profit_target),
            "stop_loss": decimal_text(self.stop_loss),
            "time_stop": f"{self.time_stop_ns}ns",
            "flat_candles": str(self.flat_candles),
            "cooldown_signals": str(self.cooldown_signals),
            "direction": self.direction,
        }

    def as_account(self) -> dict[str, str]:
        """Return the account's settings, which belong to risk and not to the strategy."""
        return {
            "daily_loss_limit": decimal_text(self.daily_loss_limit),
            "starting_cash": decimal_text(self.starting_cash),
            "position_size": decimal_text(self.position_size),
        }


def decimal_text(value: Fraction) -> str:
    """Return a fraction whose decimal expansion ends as plain decimal text, exactly."""
    number = Decimal(value.numerator) / Decimal(value.denominator)
    if Fraction(number) != value:
        raise ValueError(f"{value} has no finite decimal expansion")
    return f"{number:f}"


@dataclass(frozen=True, slots=True)
class Trade:
    """One closed trade. Prices are fills in ticks; money is in the quote currency, exact."""

    side: str
    entry_ts_ns: int
    exit_ts_ns: int
    entry_price_ticks: int
    exit_price_ticks: int
    qty: Fraction
    reason: str
    gross: Fraction
    spread_cost: Fraction

    @property
    def net(self) -> Fraction:
        """Gross less the spread; the oracle knows no fees."""
        return self.gross - self.spread_cost

    def line(self) -> str:
        """Return the trade as the one line of text that golden hashes are made of."""
        return (
            f"{self.side},{self.entry_ts_ns},{self.exit_ts_ns},"
            f"{self.entry_price_ticks},{self.exit_price_ticks},{self.reason}"
        )


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A signal that was skipped by the cooldown or refused by risk: the tick it began on."""

    ts_ns: int
    side: str
    price_ticks: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a run leaves behind."""

    ticks: int
    late: int
    trades: list[Trade]
    skipped_signals: list[NotTaken]
    refusals: list[NotTaken]
    max_drawdown: Fraction
    current_drawdown: Fraction
    daily_pnl: Fraction

    @property
    def finished(self) -> list[Trade]:
        """The trades the rule closed itself; one that was cut off by the end of the data is counted apart."""
        return [trade for trade in self.trades if trade.reason != "END"]

    @property
    def wins(self) -> int:
        """Trades with net P/L above zero."""
        return sum(trade.net > 0 for trade in self.finished)

    @property
    def losses(self) -> int:
        """Trades with net P/L below zero."""
        return sum(trade.net < 0 for trade in self.finished)

    @property
    def total_pnl(self) -> Fraction:
        """Net P/L of everything, END included."""
        return sum((trade.net for trade in self.trades), Fraction(0))

    @property
    def by_reason(self) -> dict[str, int]:
        """Trades by exit reason, END included."""
        return dict(sorted(Counter(trade.reason for trade in self.trades).items()))

    @property
    def consecutive_losses(self) -> int:
        """The longest run of losing trades."""
        longest = running = 0
        for trade in self.finished:
            running = running + 1 if trade.net < 0 else 0
            longest = max(longest, running)
        return longest

    def sha256(self) -> str:
        """Hash of the trade list: one ``Trade.line()`` per trade, each ended by a newline."""
        return hashlib.sha256("".join(f"{trade.line()}\n" for trade in self.trades).encode()).hexdigest()


class RollingVolume:
    """The size traded in ``(now - length, now]``."""

    def __init__(self, length_ns: int) -> None:
        self.length_ns = length_ns
        self.ticks: deque[tuple[int, int, int]] = deque()
        self.volume = 0

    def add(self, t: int, p: int, q: int) -> None:
        ticks = self.ticks
        ticks.append((t, p, q))
        self.volume += q
        gone = t - self.length_ns
        while ticks[0][0] <= gone:
            self.volume -= ticks.popleft()[2]


class RollingWindow(RollingVolume):
    """The same with the oldest, highest and lowest price.

    ``falling`` holds the prices that may still become the highest: each is above all that came after it.
    """

    def __init__(self, length_ns: int) -> None:
        super().__init__(length_ns)
        self.falling: deque[tuple[int, int]] = deque()
        self.rising: deque[tuple[int, int]] = deque()

    def add(self, t: int, p: int, q: int) -> None:
        super().add(t, p, q)
        falling, rising = self.falling, self.rising
        while falling and falling[-1][1] <= p:
            falling.pop()
        falling.append((t, p))
        while rising and rising[-1][1] >= p:
            rising.pop()
        rising.append((t, p))
        gone = t - self.length_ns
        while falling[0][0] <= gone:
            falling.popleft()
        while rising[0][0] <= gone:
            rising.popleft()

    @property
    def oldest(self) -> int:
        return self.ticks[0][1]

    @property
    def highest(self) -> int:
        return self.falling[0][1]

    @property
    def lowest(self) -> int:
        return self.rising[0][1]


class RescannedWindow:
    """A window that remembers every tick of the run and looks through all of them each time."""

    def __init__(self, length_ns: int) -> None:
        self.length_ns = length_ns
        self.everything: list[tuple[int, int, int]] = []

    def add(self, t: int, p: int, q: int) -> None:
        self.everything.append((t, p, q))

    @property
    def inside(self) -> list[tuple[int, int, int]]:
        now = self.everything[-1][0]
        return [tick for tick in self.everything if tick[0] > now - self.length_ns]

    @property
    def volume(self) -> int:
        return sum(q for _, _, q in self.inside)

    @property
    def oldest(self) -> int:
        return self.inside[0][1]

    @property
    def highest(self) -> int:
        return max(p for _, p, _ in self.inside)

    @property
    def lowest(self) -> int:
        return min(p for _, p, _ in self.inside)


@dataclass(slots=True)
class Position:
    """An open position with its candle count. ``decided_ticks`` is the price of the tick that opened it."""

    side: int
    entry_ts_ns: int
    entry_ticks: int
    decided_ticks: int
    time_deadline: int | None
    candle_end: int | None
    candle_first: int | None = None
    candle_last: int | None = None
    flat_run: int = 0

    def see(self, now: int, p: int) -> None:
        """Take a tick into the candle it lies in, if that candle counts."""
        if self.candle_end is not None and now >= self.candle_end - SECOND_NS:
            if self.candle_first is None:
                self.candle_first = p
            self.candle_last = p

    def candle_is_flat(self) -> bool:
        return self.candle_first == self.candle_last  # both None: no trade at all

    def next_timer(self) -> tuple[int, str] | None:
        """Return the earliest deadline; TIME comes before a candle's end at the same moment."""
        if self.time_deadline is not None and (self.candle_end is None or self.time_deadline <= self.candle_end):
            return self.time_deadline, "TIME"
        return None if self.candle_end is None else (self.candle_end, "CANDLE")


@dataclass(slots=True)
class Machine:
    """The rule's state between two ticks. P/L is counted in price ticks per position, which is exact."""

    params: Params
    price_precision: int
    touch: bool
    by_the_page: bool

    now: int | None = None
    first_ts_ns: int | None = None  # the session's first tick
    last_price: int = 0
    bid: int = 0
    ask: int = 0
    position: Position | None = None
    state: int = NONE
    cooldown: int = 0
    halted: bool = False
    realised: int = 0
    day: int | None = None
    day_start: int = 0
    day_limit: int = 0
    peak: int = 0
    drawdown: int = 0
    max_drawdown: int = 0
    ticks: int = 0
    late: int = 0
    trades: list[Trade] = field(default_factory=list)
    skipped: list[NotTaken] = field(default_factory=list)
    refused: list[NotTaken] = field(default_factory=list)
    window: RollingWindow | RescannedWindow = field(init=False)
    surge: RollingVolume | RescannedWindow = field(init=False)

    def __post_init__(self) -> None:
        if self.by_the_page:
            self.window = RescannedWindow(self.params.window_ns)
            self.surge = RescannedWindow(self.params.surge_window_ns)
        else:
            self.window = RollingWindow(self.params.window_ns)
            self.surge = RollingVolume(self.params.surge_window_ns)

    @property
    def money_per_tick(self) -> Fraction:
        """What one price tick is worth on one position."""
        return self.params.position_size * Fraction(1, 10**self.price_precision)

    def tick(self, t: int, p: int, q: int, bid: int, ask: int, *, new_session: bool) -> None:
        """Take one trade print: timers first, then exits or, when flat, the entry condition."""
        now = t if self.now is None else max(self.now, t)
        self.ticks += 1
        self.late += t < now
        self.fire_timers(now)
        self.now = now
        if self.day is None or now >= (self.day + 1) * DAY_NS:
            self.begin_day(now)
        if bid and ask:
            self.bid, self.ask = bid, ask
        if self.first_ts_ns is None or new_session:
            self.first_ts_ns = now
        self.window.add(now, p, q)
        self.surge.add(now, p, q)
        self.last_price = p
        if self.position is not None:
            self.hold(self.position, p)
        else:
            self.look_for_entry(p)
        self.mark()

    # Timers

    def fire_timers(self, now: int) -> None:
        """Fire what is due up to and including ``now``, at the deadlines, at the last price before."""
        while self.position is not None:
            position = self.position
            timer = position.next_timer()
            if timer is None or timer[0] > now:
                return
            deadline, name = timer
            if name == "CANDLE":
                position.flat_run = position.flat_run + 1 if position.candle_is_flat() else 0
                if position.flat_run < self.params.flat_candles:
                    position.candle_end = deadline + SECOND_NS
                    position.candle_first = position.candle_last = None
                    continue
                name = "FLAT"
            if self.day is not None and deadline >= (self.day + 1) * DAY_NS:
                self.begin_day(deadline)
            self.close(position, deadline, name)

    # Risk

    def open_pnl(self) -> int:
        position = self.position
        return 0 if position is None else position.side * (self.last_price - position.entry_ticks)

    def begin_day(self, now: int) -> None:
        """Start the UTC day of ``now``: entries are allowed again, and the loss limit counts from equity now."""
        self.day = now // DAY_NS
        self.halted = False
        self.day_start = self.realised + self.open_pnl()
        equity = self.params.starting_cash + self.day_start * self.money_per_tick
        # A whole number of ticks is at or below a limit exactly when it is at or below the limit rounded down.
        self.day_limit = floor(-self.params.daily_loss_limit * equity / self.money_per_tick)

    def loss_limit_reached(self) -> bool:
        return self.realised + self.open_pnl() - self.day_start <= self.day_limit

    def mark(self) -> None:
        """Follow equity's peak and its fall from there."""
        equity = self.realised + self.open_pnl()
        self.peak = max(self.peak, equity)
        self.drawdown = self.peak - equity
        self.max_drawdown = max(self.max_drawdown, self.drawdown)

    # Exits

    def hold(self, position: Position, p: int) -> None:
        """Look at a tick with a position open: SL, then TP, then RISK."""
        assert self.now is not None
        position.see(self.now, p)
        entry = position.entry_ticks
        gain = position.side * (p - entry)
        stop, target = self.params.stop_loss, self.params.profit_target
        if gain * stop.denominator <= -stop.numerator * entry:
            self.close(position, self.now, "SL")
        elif gain * target.denominator >= target.numerator * entry:
            self.close(position, self.now, "TP")
        elif self.loss_limit_reached():
            self.close(position, self.now, "RISK")

    def close(self, position: Position, ts_ns: int, reason: str) -> None:
        """Close at the fill price of this moment, and begin the cooldown or the halt where due."""
        fill = self.last_price if reason == "END" else self.fill_price(-position.side)
        gross = position.side * (self.last_price - position.decided_ticks)
        net = position.side * (fill - position.entry_ticks)
        self.trades.append(
            Trade(
                side=WORDS[position.side],
                entry_ts_ns=position.entry_ts_ns,
                exit_ts_ns=ts_ns,
                entry_price_ticks=position.entry_ticks,
                exit_price_ticks=fill,
                qty=self.params.position_size,
                reason=reason,
                gross=gross * self.money_per_tick,
                spread_cost=(gross - net) * self.money_per_tick,
            )
        )
        self.realised += net
        self.position = None
        self.state = NONE
        if net < 0:
            self.cooldown = self.params.cooldown_signals
        if self.loss_limit_reached():
            self.halted = True

    # Entries

    def look_for_entry(self, p: int) -> None:
        """Follow the state of the entry condition; a change to long or short is a signal."""
        assert self.now is not None
        state = self.condition(p)
        if state == self.state:
            return
        self.state = state
        if state == NONE:
            return
        signal = NotTaken(self.now, WORDS[state], p)
        if self.halted:
            self.refused.append(signal)
        elif self.cooldown:
            self.cooldown -= 1
            self.skipped.append(signal)
        else:
            self.enter(state, p)

    def enter(self, side: int, p: int) -> None:
        assert self.now is not None
        now, params = self.now, self.params
        position = Position(
            side=side,
            entry_ts_ns=now,
            entry_ticks=self.fill_price(side),
            decided_ticks=p,
            time_deadline=now + params.time_stop_ns if params.time_stop_ns else None,
            candle_end=-(-now // SECOND_NS) * SECOND_NS + SECOND_NS if params.flat_candles else None,
        )
        position.see(now, position.entry_ticks)  # begins the first candle when the entry lies exactly on a second
        self.position = position

    def fill_price(self, side: int) -> int:
        """Return the price at which an order of this side is filled now."""
        if not self.touch:
            return self.last_price
        if not self.ask:
            raise ValueError("a fill at the touch needs a quote, and none has been seen")
        return self.ask if side == LONG else self.bid

    def condition(self, p: int) -> int:
        """Return the state of the entry condition at this tick."""
        assert self.now is not None
        assert self.first_ts_ns is not None
        if self.now - self.first_ts_ns < self.params.window_ns:
            return NONE
        long, short = self.sides_by_the_page(p) if self.by_the_page else self.sides(p)
        if long and self.params.direction != "short":
            return LONG
        if short and self.params.direction != "long":
            return SHORT
        return NONE

    def sides(self, p: int) -> tuple[bool, bool]:
        """Return whether the long and the short condition hold, by integer cross-multiplication."""
        window, params = self.window, self.params
        threshold, guard, spike = params.entry_threshold, params.guard, params.volume_spike
        move = (p - window.oldest) * threshold.denominator
        least = threshold.numerator * window.oldest
        if -least < move < least or (window.highest - window.lowest) * guard.denominator < guard.numerator * p:
            return False, False
        recent = self.surge.volume * params.window_ns * spike.denominator
        if recent <= spike.numerator * window.volume * params.surge_window_ns:
            return False, False
        return move >= least, move <= -least

    def sides_by_the_page(self, p: int) -> tuple[bool, bool]:
        """Return the same in the words of the page."""
        window, params = self.window, self.params
        if window.volume == 0:
            return False, False
        move = Fraction(p - window.oldest, window.oldest)
        surge = Fraction(self.surge.volume, params.surge_window_ns) / Fraction(window.volume, params.window_ns)
        price_range = Fraction(window.highest - window.lowest, p)
        awake = price_range >= params.guard and surge > params.volume_spike
        return awake and move >= params.entry_threshold, awake and move <= -params.entry_threshold

    def result(self) -> Result:
        """Close what the end of the data left open, and sum up."""
        if self.position is not None:
            assert self.now is not None
            self.close(self.position, self.now, "END")
            self.mark()
        return Result(
            ticks=self.ticks,
            late=self.late,
            trades=self.trades,
            skipped_signals=self.skipped,
            refusals=self.refused,
            max_drawdown=self.max_drawdown * self.money_per_tick,
            current_drawdown=self.drawdown * self.money_per_tick,
            daily_pnl=(self.realised - self.day_start) * self.money_per_tick,
        )


def run(
    params: Params,
    ts_ns: Iterable[int],
    price_ticks: Iterable[int],
    size_lots: Iterable[int],
    bid_ticks: Sequence[int] | None = None,
    ask_ticks: Sequence[int] | None = None,
    *,
    price_precision: int = 2,
    fills: str = "last",
    session_starts: Collection[int] = (),
    by_the_page: bool = False,
) -> Result:
    """Run the rule over columns of equal length and return its trades.

    Columns may be NumPy arrays: they are turned into Python integers first. ``session_starts`` holds the indices of
    ticks that begin a session (after a break of the calendar or a feed gap); the first tick always does.
    """
    if fills not in ("last", "touch"):
        raise ValueError(f"fills must be last or touch, not {fills!r}")
    times, prices, sizes = integers(ts_ns), integers(price_ticks), integers(size_lots)
    bids = integers(bid_ticks) if bid_ticks is not None else [0] * len(times)
    asks = integers(ask_ticks) if ask_ticks is not None else [0] * len(times)
    machine = Machine(params, price_precision, touch=fills == "touch", by_the_page=by_the_page)
    starts = frozenset(session_starts)
    rows = zip(times, prices, sizes, bids, asks, strict=True)
    for index, (t, p, q, bid, ask) in enumerate(rows):
        machine.tick(t, p, q, bid, ask, new_session=index in starts)
    return machine.result()


def integers(column: Iterable[int]) -> list[int]:
    """Return a column as Python integers, which cannot overflow."""
    return [int(value) for value in column]

"""The naive reference of backtests on bars: one bar after the other, in Fractions, written from the decision record.

It follows ``docs/adr/0011-bars-as-input.md`` and shares no code with the engine. What a rule says at the close of each
bar is computed first (``moves``, ``breakouts``), position by position of the list; ``run`` then walks the list once
and does what the page says happens within a bar. Prices are ticks, money is ticks times lots.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

DAY_NS = 86_400 * 10**9
NONE, LONG, SHORT = 0, 1, 2


class Bar(NamedTuple):
    """What traded in ``[start, end)``; the list is in the order of ends."""

    instrument: int
    start: int
    end: int
    open: int
    high: int
    low: int
    close: int
    volume: int


class Session(NamedTuple):
    """One trading session; a bar belongs to it when it ends after the opening and not after the close."""

    opens: int
    closes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Exits and account. ``stop`` and ``target`` are ratios of the entry price, None for never; no time stop is 0."""

    stop: Fraction | None = None
    target: Fraction | None = None
    time_stop_ns: int = 0
    lots: int = 1
    cash: Fraction = Fraction(10_000)
    loss_limit: Fraction = Fraction(1, 20)
    sessions: Sequence[Session] | None = None  # None: open around the clock, days begin at 00:00 UTC


class Trade(NamedTuple):
    """One closed trade, in the order in which they were closed."""

    instrument: int
    side: int
    entry_ts: int
    exit_ts: int
    entry: int
    exit: int
    reason: str


@dataclass(slots=True)
class Result:
    """What came of it."""

    trades: list[Trade] = field(default_factory=list)
    refused: list[tuple[int, int]] = field(default_factory=list)  # (time, side) of signals that risk turned down
    equity: Fraction = Fraction(0)
    drawdown: Fraction = Fraction(0)


# --- what the rules say -----------------------------------------------------------------------------------------------


def session_of(bar: Bar, sessions: Sequence[Session] | None) -> int:
    """Return the number of the session in which a bar ends, or -1; without sessions everything is one."""
    if sessions is None:
        return 0
    index = bisect_left([session.closes for session in sessions], bar.end)
    return index if index < len(sessions) and sessions[index].opens < bar.end else -1


def stretches(bars: Sequence[Bar], sessions: Sequence[Session] | None) -> list[list[int]]:
    """Return the positions of each instrument's bars, cut wherever a session begins or ends between two of them."""
    found: dict[int, list[list[int]]] = {}
    last: dict[int, int] = {}
    limits = [] if sessions is None else sorted([s.opens for s in sessions] + [s.closes for s in sessions])
    for position, bar in enumerate(bars):
        passed = bisect_left(limits, bar.end)  # openings and closes before the bar's end
        if last.get(bar.instrument) != passed:
            found.setdefault(bar.instrument, []).append([])
        last[bar.instrument] = passed
        found[bar.instrument][-1].append(position)
    return [stretch for of_one in found.values() for stretch in of_one]


def moves(bars: Sequence[Bar], window_ns: int, threshold: Fraction, sessions: Sequence[Session] | None) -> list[int]:
    """Return, for each bar, the side of ``change(window) >= threshold`` (or <= -threshold) at its close."""
    states = [NONE] * len(bars)
    for stretch in stretches(bars, sessions):
        for count, position in enumerate(stretch):
            now = bars[position]
            if now.end - bars[stretch[0]].end < window_ns:
                continue  # the window has not been seen in full
            oldest = count
            while oldest > 0 and bars[stretch[oldest - 1]].end > now.end - window_ns:
                oldest -= 1
            first = bars[stretch[oldest]].close
            change = Fraction(now.close - first, first)
            states[position] = LONG if change >= threshold else SHORT if change <= -threshold else NONE
    return states


Longer = tuple[int, int, int, int, int]
"""Open, high, low, close and volume of a longer bar."""


def longer_bars(bars: Sequence[Bar], period_ns: int, sessions: Sequence[Session] | None) -> list[Longer | None]:
    """Return, for each bar, the longer bar of its instrument that was closed last, as seen at its end.

    Longer bars are aligned to the opening of their session, or to 00:00 UTC. One of them is closed by the bar that
    ends where it ends, and is seen on that very bar; where that bar is missing, by the next one; at the latest by the
    first bar of the next session. Bars outside sessions belong to none.
    """
    seen: list[Longer | None] = []
    building: dict[int, tuple[int, int, Longer]] = {}
    closed: dict[int, Longer] = {}
    for bar in bars:
        one, session = bar.instrument, session_of(bar, sessions)
        if sessions is None:
            session = bar.start // DAY_NS
            anchor = session * DAY_NS
        else:
            anchor = sessions[session].opens
        begins = bar.start - (bar.start - anchor) % period_ns
        if one in building and building[one][:2] != (session, begins):
            closed[one] = building.pop(one)[2]
        if session >= 0:
            first, high, low, _, volume = building.get(one, (0, 0, (bar.open, bar.high, bar.low, 0, 0)))[2]
            now = first, max(high, bar.high), min(low, bar.low), bar.close, volume + bar.volume
            building[one] = session, begins, now
            if bar.end >= begins + period_ns:
                closed[one] = building.pop(one)[2]
        seen.append(closed.get(one))
    return seen


def breakouts(bars: Sequence[Bar], period_ns: int, sessions: Sequence[Session] | None) -> list[int]:
    """Return, for each bar, whether its close lies above the last longer bar's high or below its low."""
    states = []
    for bar, longer in zip(bars, longer_bars(bars, period_ns, sessions), strict=True):
        high, low = (bar.close, bar.close) if longer is None else longer[1:3]
        states.append(LONG if bar.close > high else SHORT if bar.close < low else NONE)
    return states


# --- what happens within bars -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Position:
    """An open position; ``mark`` is the price that its open profit is counted at."""

    side: int  # 1 or -1
    entry_ts: int
    entry: int
    stop: int | None
    target: int | None
    deadline: int | None
    mark: int


class Walk:
    """One pass over the bars."""

    def __init__(self, bars: Sequence[Bar], states: Sequence[int], plan: Plan) -> None:
        self.bars, self.states, self.plan = bars, states, plan
        self.open: dict[int, Position] = {}
        self.seen: dict[int, int] = {}  # each instrument's state at its last bar while flat
        self.last: dict[int, int] = {}  # each instrument's last close
        self.result = Result()
        self.realised = plan.cash
        self.peak = plan.cash
        self.day_start = plan.cash
        self.halted = False
        self.now = self.begun = -1  # the latest end, and the latest start, so far

    @property
    def equity(self) -> Fraction:
        held = self.open.values()
        return self.realised + sum(p.side * (p.mark - p.entry) * self.plan.lots for p in held)

    def look(self) -> None:
        """Note how far equity has fallen from its peak."""
        self.peak = max(self.peak, self.equity)
        self.result.drawdown = max(self.result.drawdown, self.peak - self.equity)

    def day_is_lost(self) -> bool:
        return self.equity <= self.day_start * (1 - self.plan.loss_limit)

    def leave(self, one: int, ts: int, price: int, reason: str) -> None:
        position = self.open.pop(one)
        self.realised += position.side * (price - position.entry) * self.plan.lots
        self.result.trades.append(Trade(one, position.side, position.entry_ts, ts, position.entry, price, reason))
        self.seen[one] = NONE
        self.look()
        if reason != "END" and not self.halted and self.day_is_lost():
            self.halt(ts)

    def halt(self, ts: int) -> None:
        """The day's loss limit is reached: everything is closed where it was last marked or traded."""
        self.halted = True
        for one in sorted(self.open):
            self.leave(one, ts, self.last[one], "RISK")

    # --- time between bars ------------------------------------------------------------------------------------------

    def timers(self, until: int) -> None:
        """Time stops that have run out by ``until``: at the last price known."""
        due = [(p.deadline, one) for one, p in self.open.items() if p.deadline is not None and p.deadline <= until]
        for deadline, one in sorted(due):
            if one in self.open:
                self.leave(one, max(deadline, self.now), self.last[one], "TIME")

    def boundaries(self, before: int) -> list[tuple[int, str]]:
        """Return the openings, closes and midnights after the last bar began and before ``before``."""
        if self.plan.sessions is None:
            first = self.begun // DAY_NS + 1
            times = [(day * DAY_NS, "day") for day in range(first, -(-before // DAY_NS))]
        else:
            sides = [(s.opens, "opens") for s in self.plan.sessions] + [
                (s.closes, "closes") for s in self.plan.sessions
            ]
            times = sorted(item for item in sides if item[0] < before)
        done = self.passed
        self.passed = max([done, *(time for time, _ in times)])
        return [item for item in times if item[0] > done]

    passed = -1

    def boundary(self, time: int, what: str) -> None:
        if self.now < time - 1:
            self.timers(time - 1)
        self.now = max(self.now, time)
        if what == "closes":
            for one in sorted(self.open):
                self.leave(one, time, self.last[one], "SESSION")
            return
        if what == "opens":
            self.seen.clear()
        self.halted = False
        self.day_start = self.equity

    # --- one bar ----------------------------------------------------------------------------------------------------

    def path(self, bar: Bar) -> tuple[int, str, bool] | None:
        """Return ``(price, reason, late)`` of the exit within this bar; late ones come after its adverse extreme."""
        position = self.open[bar.instrument]
        side, stop, target, deadline = position.side, position.stop, position.target, position.deadline
        worst, best = (bar.low, bar.high) if side > 0 else (bar.high, bar.low)
        in_time = deadline is None or bar.end <= deadline
        if stop is not None and side * (bar.open - stop) <= 0:
            return bar.open, "SL", False  # it opened beyond the stop
        if target is not None and side * (bar.open - target) >= 0:
            return target, "TP", False  # it opened beyond the target, which a waiting order gets, and no more
        if stop is not None and side * (worst - stop) <= 0:
            return stop, "SL", False  # whatever else is in the bar
        if target is not None and side * (best - target) >= 0 and in_time:
            return target, "TP", True
        if deadline is not None and bar.end >= deadline:
            return bar.close, "TIME", True
        return None

    def within(self, bar: Bar) -> None:
        """Exits within a bar in which a position is open, and the day's loss at the bar's worst."""
        one = bar.instrument
        found = self.path(bar)
        if found is not None and not found[2]:
            self.leave(one, bar.end, found[0], found[1])
            return
        position = self.open[one]
        position.mark = bar.low if position.side > 0 else bar.high
        self.look()
        if not self.halted and self.day_is_lost():
            self.last[one] = position.mark
            self.halt(bar.end)
        elif found is not None:
            self.leave(one, bar.end, found[0], found[1])
        else:
            position.mark = bar.close
            self.look()

    def enter(self, bar: Bar, state: int) -> None:
        """A signal that begins at the close of a bar."""
        one, plan = bar.instrument, self.plan
        side, price = (1, bar.close) if state == LONG else (-1, bar.close)
        if self.halted:
            self.result.refused.append((bar.end, side))
            return

        def bound(ratio: Fraction | None, way: int) -> int | None:
            """The first whole price that lies ``ratio`` or more beyond the entry, upwards or downwards."""
            if ratio is None:
                return None
            return ceil(price * (1 + ratio)) if way > 0 else floor(price * (1 - ratio))

        deadline = bar.end + plan.time_stop_ns if plan.time_stop_ns else None
        self.open[one] = Position(
            side, bar.end, price, bound(plan.stop, -side), bound(plan.target, side), deadline, price
        )

    def run(self) -> Result:
        for bar, state in zip(self.bars, self.states, strict=True):
            if self.now < 0:
                self.begun = bar.start
                self.passed = bar.start
            for time, what in self.boundaries(bar.end):
                self.boundary(time, what)
            self.begun = max(self.begun, bar.start)
            self.timers(self.begun)
            self.now = max(self.now, bar.end)
            one = bar.instrument
            busy = one in self.open
            if busy:
                self.within(bar)
            self.last[one] = bar.close
            if busy:
                continue  # the bar that closed a position opens none
            session = session_of(bar, self.plan.sessions)
            if session >= 0:
                begins = state not in (NONE, self.seen.get(one, NONE))
                self.seen[one] = state
                closing = self.plan.sessions is not None and bar.end == self.plan.sessions[session].closes
                if begins and not closing:
                    self.enter(bar, state)
        for one in sorted(self.open):
            self.leave(one, self.now, self.last[one], "END")
        self.result.equity = self.equity
        return self.result


def run(bars: Sequence[Bar], states: Sequence[int], plan: Plan) -> Result:
    """Trade ``states`` (one for each bar, at its close) over the bars."""
    return Walk(bars, states, plan).run()

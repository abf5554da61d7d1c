"""What is wrong with a strategy on given data: conditions that decide nothing, thresholds never reached, cold windows.

All of it is over the trades on which the rule is *judged*: its windows are warm and the session is open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.account.portfolio import Trade
from engine.backtesting import check_accepted
from engine.events import End
from engine.journal.writer import MemoryJournal
from engine.model import Instrument, Reason, Side
from engine.run_settings import Settings
from engine.store.ticks import TickFile
from engine.strategy import Strategy
from engine.tools.checks import NOTE, PROBLEM, Finding
from engine.tools.observation import Bools, Observation, Watched, compose, engine_time, is_trade, of_instrument
from engine.tools.rule_parts import Part, comparisons_in, fresh, listening, rises, sides_of, view_of, watching


@dataclass(frozen=True, slots=True)
class WarmUpLine:
    """How long one condition, or the whole rule, takes on this data until it can be judged.

    ``value_*``: from the beginning of its windows until it first has a value; ``full_*``: until each of its windows has
    been seen in full; None when that never happens. The rule's ``needs`` are what it declares.
    """

    symbol: str
    condition: str
    needs_ns: int
    needs_trades: int
    value_trades: int | None
    value_ns: int | None
    full_trades: int | None
    full_ns: int | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Nearest:
    """The value that came nearest to changing a condition's answer, and when.

    ``upwards``: the larger the value against its threshold, the nearer; None where neither direction is nearer.
    """

    upwards: bool | None = None
    unit: str = ""
    value: float = nan
    threshold: float = nan
    ts_ns: int = 0


RULE = "the rule"


def check_on_data(file: TickFile, strategy: Strategy, settings: Settings) -> tuple[list[Finding], list[WarmUpLine]]:
    """Check the strategy on a file; findings and warm-ups, instrument by instrument.

    One that decides in ``on_tick`` alone declares nothing that could be checked.

    Raises:
        DataError: the ticks are not valid.
    """
    if strategy.conditions() == (None, None):
        return [], []
    check = _DataCheck(file, strategy, settings)
    findings, warm_ups = [], []
    for index, instrument in enumerate(file.instruments):
        warm_ups += list(check.warm_ups(index, instrument))
        findings += [*check.conditions(index, instrument), *check.declared_warm_up(index, instrument)]
        findings += check.exits(index, instrument)
    return findings, warm_ups


class _DataCheck:
    def __init__(self, file: TickFile, strategy: Strategy, settings: Settings) -> None:
        self.file, self.strategy, self.settings = file, strategy, settings
        self.sides = sides_of(strategy)
        self.parts: dict[str, Part] = {part.text: part for tree in self.sides.values() for part in tree.singles()}
        rule = listening(strategy, strategy.conditions(), lambda context, side, signal: None)
        lanes = [rule, *(watching(strategy, part.condition) for part in self.parts.values())]
        observation = Observation(file, settings, lanes)
        self.lanes = observation.lanes
        self.watched = observation.run()
        self.judged = [w.in_session & w.warm(own[0]) for w, own in zip(self.watched, self.lanes, strict=True)]
        self.constant = [self._constant(index) for index in range(len(file.instruments))]
        self.values = {name: self._values(name, part) for name, part in self.parts.items()}

    def _constant(self, index: int) -> dict[str, bool]:
        """The conditions that never change on an instrument's judged trades, each with its answer."""
        states, judged = self.watched[index].states, self.judged[index]
        held = {name: states[place][judged] == 1 for place, name in enumerate(self.parts, start=1)}
        return {name: bool(column[0]) for name, column in held.items() if len(column) and _is_constant(column)}

    def _values(self, name: str, part: Part) -> list[tuple[int | None, Nearest]]:
        """Run again for what a condition compares: on each instrument the first trade with values, and the nearest."""
        compared = dict(enumerate(comparisons_in(part.condition)))
        watched = {f"value {n}": one.left for n, one in compared.items()}
        watched |= {f"threshold {n}": one.right for n, one in compared.items()}
        found = Observation(self.file, self.settings, [], watched, self.strategy.parameters).run()
        return [(_first(_has_values(one)), self._nearest(index, name, part, one)) for index, one in enumerate(found)]

    def _nearest(self, index: int, name: str, part: Part, values: Watched) -> Nearest:
        """What came nearest to changing a condition that never changed."""
        answer, upwards = self.constant[index].get(name), rises(part.condition)
        if answer is None or upwards is None:
            return Nearest()
        place = list(self.parts).index(name) + 1
        view = view_of(part.condition, self.lanes[index][place].rule.views)
        return _nearest_of(values, self.judged[index], upwards is not answer, view.unit if view is not None else "")

    # -- warm-up

    def warm_ups(self, index: int, instrument: Instrument) -> Iterator[WarmUpLine]:
        """How long each condition and the rule take until they can be judged."""
        watched = self.watched[index]
        for name, lane in zip([RULE, *self.parts], self.lanes[index], strict=True):
            need = lane.rule.warm_up
            full = _first(watched.warm(lane) & watched.in_session)
            value = None if name == RULE else self.values[name][index][0]
            yield WarmUpLine(
                instrument.symbol, name, need.ns, need.trades, *_since(watched, value), *_since(watched, full)
            )

    def declared_warm_up(self, index: int, instrument: Instrument) -> Iterator[Finding]:
        """Conditions whose own windows are longer than the warm-up that the strategy declares."""
        rule, *lanes = self.lanes[index]
        have = rule.rule.warm_up
        for name, lane in zip(self.parts, lanes, strict=True):
            need = lane.rule.warm_up
            if need.ns > have.ns or need.trades > have.trades:
                what = f"the rule may fire before the windows of {name} are full: warm_up names a shorter window"
                yield Finding(NOTE, "warm_up_short", what, {"symbol": instrument.symbol, "condition": name})

    # -- conditions

    def conditions(self, index: int, instrument: Instrument) -> Iterator[Finding]:
        """Conditions that decide nothing on this data, and sides that never hold."""
        watched, judged = self.watched[index], self.judged[index]
        facts: dict[str, Any] = {"symbol": instrument.symbol, "judged": int(np.count_nonzero(judged))}
        if not self.parts:
            return
        if not facts["judged"]:
            what = f"{instrument.symbol}: the rule is never judged: its windows are never full in an open session"
            yield Finding(PROBLEM, "never_judged", what, facts)
            return
        constant = self.constant[index]
        for name, answer in constant.items():
            yield _about(name, answer, self.values[name][index][1], instrument, facts)
        for side, tree in self.sides.items():
            state = 1 if side is Side.LONG else 2
            dull = any(constant.get(part.text) is False for part in tree.singles())
            if not dull and not (watched.states[0][judged] == state).any():
                what = f"{instrument.symbol}: {side.word} never holds, though each of its conditions does at times"
                yield Finding(PROBLEM, "side_never", what, {**facts, "side": side.word})

    # -- exits

    def exits(self, index: int, instrument: Instrument) -> Iterator[Finding]:
        """Exits that closed none of the run's trades, with the largest moves there were."""
        trades = [trade for trade in self._trades if trade.symbol == instrument.symbol]
        if not trades:
            return
        plan = self.strategy.exit_plan()
        reasons = {trade.reason for trade in trades}
        best, worst = _excursions(self.file, index, trades)
        in_force = (
            ("Target", Reason.TARGET, plan.target is not None, f"; the best move in favour was {100 * best:.4f} %"),
            ("Stop", Reason.STOP, plan.stop is not None, f"; the worst move against was {100 * worst:.4f} %"),
            ("TimeStop", Reason.TIME, bool(plan.time_stop_ns), ""),
            ("Flat", Reason.FLAT, bool(plan.flat_candles), ""),
        )
        for name, reason, declared, more in in_force:
            if declared and reason not in reasons:
                what = f"{instrument.symbol}: {name} closed none of {len(trades)} trades{more}"
                facts = {"symbol": instrument.symbol, "exit": name, "trades": len(trades)}
                yield Finding(NOTE, "exit_unused", what, facts)

    @cached_property
    def _trades(self) -> list[Trade]:
        """Of the run as it is, risk and cooldown included."""
        kernel = compose(self.file, [fresh(self.strategy)], self.settings, MemoryJournal())
        kernel.process(self.file.block)
        kernel.process(End())
        check_accepted(self.file, kernel)
        return kernel.trades


def _since(watched: Watched, number: int | None) -> tuple[int | None, int | None]:
    """Trades and time from the beginning of the windows to a trade."""
    if number is None:
        return None, None
    return int(watched.trades[number]), int(watched.ts_ns[number] - watched.since_ns[number])


def _first(column: Bools) -> int | None:
    """The first trade of a column that holds anywhere."""
    return int(np.argmax(column)) if column.any() else None


def _has_values(watched: Watched) -> Bools:
    """The trades on which every watched expression has a value."""
    has = np.ones(len(watched.rows), np.bool_)
    for column in watched.columns.values():
        has &= ~np.isnan(column)
    return has


def _nearest_of(watched: Watched, judged: Bools, upwards: bool, unit: str) -> Nearest:
    """The largest or smallest value against its threshold on the judged trades; the first of equal ones."""
    value, threshold = watched.columns["value 0"], watched.columns["threshold 0"]
    ahead = np.where(judged, value - threshold, np.nan)
    if np.isnan(ahead).all():
        return Nearest(upwards, unit)
    at = int(np.nanargmax(ahead) if upwards else np.nanargmin(ahead))
    return Nearest(upwards, unit, float(value[at]), float(threshold[at]), int(watched.ts_ns[at]))


def _is_constant(column: Bools) -> bool:
    return bool(column.all() or not column.any())


def _about(name: str, answer: bool, nearest: Nearest, instrument: Instrument, facts: dict[str, Any]) -> Finding:
    """What to say of a condition that is always true or always false."""
    word = "always" if answer else "never"
    what = f"{instrument.symbol}: {name} {word} holds on {facts['judged']:,} trades"
    kind, more = "always_true" if answer else "always_false", dict(facts, condition=name)
    if nearest.upwards is None:
        return Finding(PROBLEM, kind, what, more)
    if isnan(nearest.value):
        return Finding(PROBLEM, "never_defined", f"{instrument.symbol}: {name} never has a value", more)
    if not answer:
        kind = "threshold_never_reached"
    value, threshold = (in_unit(number, nearest.unit) for number in (nearest.value, nearest.threshold))
    shown = f"the {'largest' if nearest.upwards else 'smallest'} value was {value} against {threshold}"
    numbers = {"value": nearest.value, "threshold": nearest.threshold, "ts_ns": nearest.ts_ns}
    return Finding(PROBLEM, kind, f"{what}; {shown} at {np.datetime64(nearest.ts_ns, 'ns')} UTC", {**more, **numbers})


def in_unit(number: float, unit: str) -> str:
    """A value as people read it: ratios that are read so in percent."""
    return f"{100 * number:.4f} %" if unit == "%" else f"{number:.6g}"


def _excursions(file: TickFile, index: int, trades: list[Trade]) -> tuple[float, float]:
    """The largest moves in favour and against while a position was open, as ratios of its entry price."""
    block = file.block
    rows = np.flatnonzero(is_trade(block) & of_instrument(block, index))
    clock: NDArray[np.int64] = engine_time(block)[rows]
    highs = (block.price_ticks if block.high_ticks is None else block.high_ticks)[rows]
    lows = (block.price_ticks if block.low_ticks is None else block.low_ticks)[rows]
    best = worst = 0.0
    for trade in trades:
        first = int(np.searchsorted(clock, trade.entry_ts_ns, side="right"))
        last = int(np.searchsorted(clock, trade.exit_ts_ns, side="right"))
        if first < last:
            entry = float(trade.entry_ticks)
            up, down = (highs[first:last].max() - entry) / entry, (entry - lows[first:last].min()) / entry
            favour, against = (up, down) if trade.direction is Side.LONG else (down, up)
            best, worst = max(best, float(favour)), max(worst, float(against))
    return best, worst

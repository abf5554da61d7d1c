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

from engine.backtesting import check_accepted
from engine.compiler import ConditionView
from engine.events import End
from engine.journal import MemoryJournal
from engine.lanes import Lane
from engine.model import Instrument, Reason, Side
from engine.portfolio import Trade
from engine.results import Settings
from engine.store import TickFile
from engine.strategy import Strategy
from engine.tools.checks import NOTE, PROBLEM, Finding
from engine.tools.observation import Bools, Observation, Watched, compose, engine_time, is_trade, of_instrument
from engine.tools.rule_parts import Part, comparison_of, fresh, listening, sides_of, watching


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


@dataclass(slots=True)
class Nearest:
    """The value that came nearest to changing a condition's answer, and when."""

    value: float = nan
    threshold: float = nan
    ts_ns: int = 0
    unit: str = ""

    def take(self, value: float, threshold: float, ts_ns: int, upwards: bool) -> None:
        """Keep this one if it is nearer: larger against its threshold when ``upwards``, smaller otherwise."""
        ahead, best = value - threshold, self.value - self.threshold
        if not isnan(ahead) and (isnan(best) or (ahead > best if upwards else ahead < best)):
            self.value, self.threshold, self.ts_ns = value, threshold, ts_ns


RULE = "the rule"


def check_on_data(file: TickFile, strategy: Strategy, settings: Settings) -> tuple[list[Finding], list[WarmUpLine]]:
    """Check the strategy on a file; findings and warm-ups, instrument by instrument.

    Raises:
        DataError: the ticks are not valid.
    """
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
        self.observation = self._observe(list(self.parts.values()))
        self._pending = [dict(enumerate(lanes[1:])) for lanes in self.observation.lanes]
        self._valued: list[dict[int, int]] = [{} for _ in file.instruments]  # lane's place: number of the trade
        self.watched = self.observation.run(self._look_for_values)
        self.judged = [w.in_session & w.warm(lanes[0]) for w, lanes in zip(self.watched, self._lanes, strict=True)]

    @property
    def _lanes(self) -> list[list[Lane]]:
        return self.observation.lanes

    def _observe(self, parts: list[Part]) -> Observation:
        rule = listening(self.strategy, self.strategy.conditions(), lambda context, side, signal: None)
        return Observation(self.file, self.settings, [rule, *(watching(self.strategy, p.condition) for p in parts)])

    def _look_for_values(self, index: int, number: int) -> None:
        """Note the first trade on which all that a condition compares has a value."""
        core = self.observation.kernel.core
        for place, lane in list(self._pending[index].items()):
            read = [view.values(core, index) for view in lane.rule.views]
            if not any(isnan(value) or isnan(threshold) for value, threshold, _ in read):
                self._valued[index][place] = number
                del self._pending[index][place]

    # -- warm-up

    def warm_ups(self, index: int, instrument: Instrument) -> Iterator[WarmUpLine]:
        """How long each condition and the rule take until they can be judged."""
        watched = self.watched[index]
        names = [RULE, *self.parts]
        for place, (name, lane) in enumerate(zip(names, self._lanes[index], strict=True), start=-1):
            full = np.flatnonzero(watched.warm(lane) & watched.in_session)
            need = lane.rule.warm_up
            value = self._valued[index].get(place)
            yield WarmUpLine(
                instrument.symbol,
                name,
                need.ns,
                need.trades,
                *_since(watched, value),
                *_since(watched, int(full[0]) if len(full) else None),
            )

    def declared_warm_up(self, index: int, instrument: Instrument) -> Iterator[Finding]:
        """Conditions whose own windows are longer than the warm-up that the strategy declares."""
        rule, *lanes = self._lanes[index]
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
        held = {name: watched.states[place] == 1 for place, name in enumerate(self.parts, start=1)}
        constant = {name: bool(column[judged][0]) for name, column in held.items() if _is_constant(column[judged])}
        for name, nearest in self._nearest(index, constant).items():
            yield _about(name, constant[name], self.parts[name], nearest, instrument, facts)
        for side, tree in self.sides.items():
            state = 1 if side is Side.LONG else 2
            dull = any(constant.get(part.text) is False for part in tree.singles())
            if not dull and not (watched.states[0][judged] == state).any():
                what = f"{instrument.symbol}: {side.word} never holds, though each of its conditions does at times"
                yield Finding(PROBLEM, "side_never", what, {**facts, "side": side.word})

    def _nearest(self, index: int, constant: dict[str, bool]) -> dict[str, Nearest]:
        """For each condition that never changed, what came nearest to changing it: a second run reads the values."""
        found = {name: Nearest() for name in constant}
        if not constant:
            return found
        observation = self._observe([self.parts[name] for name in constant])
        core, judged, ts_ns = observation.kernel.core, self.judged[index], self.watched[index].ts_ns
        compared: list[tuple[ConditionView, Nearest, bool]] = []
        for name, lane in zip(constant, observation.lanes[index][1:], strict=True):
            comparison = comparison_of(self.parts[name].condition)
            if comparison is not None and comparison.op not in ("==", "!="):
                view, rises = lane.rule.views[0], comparison.op in (">", ">=")
                wants_more = rises is (comparison is self.parts[name].condition)
                found[name].unit = view.unit
                compared.append((view, found[name], wants_more is not constant[name]))

        def read(instrument: int, number: int) -> None:
            if instrument == index and judged[number]:
                for view, nearest, upwards in compared:
                    value, threshold, _ = view.values(core, index)
                    nearest.take(value, threshold, int(ts_ns[number]), upwards)

        if compared:
            observation.run(read)
        return found

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


def _is_constant(column: Bools) -> bool:
    return bool(column.all() or not column.any())


def _about(
    name: str, answer: bool, part: Part, nearest: Nearest, instrument: Instrument, facts: dict[str, Any]
) -> Finding:
    """What to say of a condition that is always true or always false."""
    word = "always" if answer else "never"
    what = f"{instrument.symbol}: {name} {word} holds on {facts['judged']:,} trades"
    kind, more = "always_true" if answer else "always_false", dict(facts, condition=name)
    comparison = comparison_of(part.condition)
    if comparison is None:
        return Finding(PROBLEM, kind, what, more)
    if isnan(nearest.value):
        if not answer and comparison.op not in ("==", "!="):
            kind, what = "never_defined", f"{instrument.symbol}: {name} never has a value"
        return Finding(PROBLEM, kind, what, more)
    rises = comparison.op in (">", ">=")
    extreme = "largest" if (rises is (comparison is part.condition)) is not answer else "smallest"
    if not answer:
        kind = "threshold_never_reached"
    value, threshold = (in_unit(number, nearest.unit) for number in (nearest.value, nearest.threshold))
    shown = f"the {extreme} value was {value} against {threshold}"
    numbers = {"value": nearest.value, "threshold": nearest.threshold, "ts_ns": nearest.ts_ns}
    return Finding(PROBLEM, kind, f"{what}; {shown} at {np.datetime64(nearest.ts_ns, 'ns')} UTC", {**more, **numbers})


def in_unit(number: float, unit: str) -> str:
    """A value as people read it: ratios that are read so in percent."""
    return f"{100 * number:.4f} %" if unit == "%" else f"{number:.6g}"


def _excursions(file: TickFile, index: int, trades: list[Trade]) -> tuple[float, float]:
    """The largest moves in favour and against while a position was open, as ratios of its entry price."""
    rows = np.flatnonzero(is_trade(file.block) & of_instrument(file.block, index))
    clock: NDArray[np.int64] = engine_time(file.block)[rows]
    prices = file.block.price_ticks[rows]
    best = worst = 0.0
    for trade in trades:
        first = int(np.searchsorted(clock, trade.entry_ts_ns, side="right"))
        last = int(np.searchsorted(clock, trade.exit_ts_ns, side="right"))
        if first < last:
            entry = float(trade.entry_ticks)
            moves = int(trade.direction) * (prices[first:last] - entry) / entry
            best, worst = max(best, float(moves.max())), max(worst, float(-moves.min()))
    return best, worst

"""Stops that move, and entries that wait, on bars: against a loop over bars with fractions.

The order within a bar is that of ``docs/adr/0011-bars-as-input.md`` and ``0017-orders-rest-in-the-core.md``: an opening
beyond stop or target, the stop at the bar's worst, the target, then the rule's other side at the close. The stops in
force are those that ``tests.oracle.managed`` finds before the bar; its best price counts for the next.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.language.entries import Limit, StopEntry
from engine.rules import size
from tests.oracle.managed import LONG_SIZE, SHORT_SIZE, Closed, Plan, stops
from tests.oracle.test_managed import PLANS, exits_of, plans, ratio

MINUTE = 60 * 10**9
Bar = tuple[int, int, int, int, int]
"""Open, high, low, close, volume."""


def entered(side: int, wait: Fraction | None, trigger: bool, signalled: int, bar: Bar) -> int | None:
    """At which price a bar enters what has waited since a close at ``signalled``; None: it does not."""
    assert wait is not None
    opened, high, low, _, _ = bar
    if trigger:
        level = signalled * (1 + side * wait)
        at = ceil(level) if side > 0 else floor(level)
        reached = high >= at if side > 0 else low <= at
        return (max(opened, at) if side > 0 else min(opened, at)) if reached else None
    level = signalled * (1 - side * wait)
    at = floor(level) if side > 0 else ceil(level)
    return at if (low <= at if side > 0 else high >= at) else None


def run(rows: list[Bar], plan: Plan, wait: Fraction | None, trigger: bool) -> list[Closed]:
    """Every closed trade of one lot; one that is open at the end is left out."""
    closed: list[Closed] = []
    side = entry = entry_ns = best = state = waits = signalled = 0
    for number, bar in enumerate(rows, 1):
        _, high, low, close, volume = bar
        now_ns = number * MINUTE
        signal = {LONG_SIZE: 1, SHORT_SIZE: -1}.get(volume, 0)
        just_entered = False
        if waits and (at := entered(waits, wait, trigger, signalled, bar)) is not None:
            side, entry, entry_ns, best, waits, just_entered = waits, at, now_ns, at, 0, True
        if side:
            in_force = stops(plan, side, entry, entry_ns, best, now_ns - MINUTE)
            held = now_ns - MINUTE < entry_ns + plan.hold  # what a bar did before it was over is not known
            found = left(plan, side, entry, in_force, bar, signal, just_entered, held)
            if found is not None:
                closed.append(Closed(side, entry_ns, now_ns, entry, *found))
                side = state = 0
            elif not just_entered:
                best = max(best, high) if side > 0 else min(best, low)
            continue
        if waits:
            continue
        if signal and signal != state:
            if wait is None:
                side, entry, entry_ns, best = signal, close, now_ns, close
            else:
                waits, signalled = signal, close
        state = signal
    return closed


def left(
    plan: Plan,
    side: int,
    entry: int,
    in_force: list[tuple[int, str]],
    bar: Bar,
    signal: int,
    just_entered: bool,
    held: bool,
) -> tuple[int, str] | None:
    """Price and reason with which a bar closes the position; None: it does not."""
    opened, high, low, close, _ = bar
    worst, best = (low, high) if side > 0 else (high, low)
    stop = max((side * tick for tick, _ in in_force), default=None)
    why = next((reason for tick, reason in in_force if side * tick == stop), "")
    distance = plan.target if plan.reward is None or plan.stop is None else plan.stop * plan.reward
    level = None if distance is None or (held and plan.hold) else entry * (1 + side * distance)
    target = None if level is None else ceil(level) if side > 0 else floor(level)
    if just_entered:
        if stop is not None and side * worst <= stop:
            return side * min(side * opened, stop), why
        return None
    if stop is not None and side * opened <= stop:
        return opened, why
    if target is not None and side * opened >= side * target:
        return target, "TP"
    if stop is not None and side * worst <= stop:
        return side * stop, why
    if target is not None and side * best >= side * target:
        return target, "TP"
    return (close, "OPP") if plan.opposite and signal == -side else None


def backtest(rows: list[Bar], plan: Plan, wait: Fraction | None, trigger: bool) -> list[Closed]:
    class Entered(engine.Strategy):
        long = size == LONG_SIZE
        short = size == SHORT_SIZE

    Entered.exits = exits_of(plan)  # type: ignore[assignment]
    if wait is not None:
        Entered.entry = StopEntry(ratio(wait)) if trigger else Limit(ratio(wait))
    opened, high, low, close, volume = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    ends = np.arange(1, len(rows) + 1, dtype=np.int64) * MINUTE
    block = {
        "ts_ns": ends,
        "price_ticks": close,
        "size_lots": volume,
        "open_ticks": opened,
        "high_ticks": high,
        "low_ticks": low,
        "start_ns": ends - MINUTE,
    }
    result = engine.backtest(block, Entered, fills="last", daily_loss_limit=None, limits={"daily_loss_limit": "off"})
    return [
        Closed(int(t.direction), t.entry_ts_ns, t.exit_ts_ns, int(t.entry_ticks), int(t.exit_ticks), str(t.reason))
        for t in result.trades
        if t.reason != "END"
    ]


def walk(seed: int, count: int) -> list[Bar]:
    """Around 20,000, to which it returns; one bar in five is a signal."""
    rng = np.random.default_rng(seed)
    rows, at = [], 20_000
    for _ in range(count):
        opened = max(100, at + (20_000 - at) // 20 + int(rng.integers(-20, 21)))
        close = max(100, opened + int(rng.integers(-90, 91)))
        high = max(opened, close) + int(rng.integers(0, 30))
        low = max(50, min(opened, close) - int(rng.integers(0, 30)))
        rows.append((opened, high, low, close, int(rng.choice([1, LONG_SIZE, SHORT_SIZE], p=[0.8, 0.1, 0.1]))))
        at = close
    return rows


ENTRIES = [(None, False), (Fraction(1, 1000), False), (Fraction(1, 1000), True)]


@pytest.mark.parametrize("name", [name for name in PLANS if name != "decay to nothing"])
@pytest.mark.parametrize(("wait", "trigger"), ENTRIES, ids=["market", "limit", "stop"])
def test_every_trade_on_bars(name: str, wait: Fraction | None, trigger: bool) -> None:
    rows = walk(3, 3_000)
    expected = run(rows, PLANS[name], wait, trigger)
    assert backtest(rows, PLANS[name], wait, trigger) == expected
    assert len(expected) >= 5


def test_every_reason_is_seen_on_bars() -> None:
    seen: Counter[str] = Counter()
    for plan in PLANS.values():
        for wait, trigger in ENTRIES:
            seen.update(one.reason for one in run(walk(3, 3_000), plan, wait, trigger))
    assert {"SL", "TP", "BE", "TRAIL", "OPP"} <= set(seen)


shapes = st.tuples(
    st.integers(-20, 20),
    st.integers(-30, 30),
    st.integers(0, 20),
    st.integers(0, 20),
    st.sampled_from([1, LONG_SIZE, SHORT_SIZE]),
)


@settings(max_examples=150, deadline=None)
@given(plan=plans, shape=st.lists(shapes, min_size=2, max_size=60), entry=st.sampled_from(ENTRIES))
def test_any_plan_on_any_bars(plan: Plan, shape: list[tuple[int, ...]], entry: tuple[Fraction | None, bool]) -> None:
    rows, at = [], 3_000
    for gap, body, above, below, volume in shape:
        opened = max(100, at + gap)
        at = max(100, opened + body)
        rows.append((opened, max(opened, at) + above, min(opened, at) - below, at, volume))
    assert backtest(rows, plan, *entry) == run(rows, plan, *entry)

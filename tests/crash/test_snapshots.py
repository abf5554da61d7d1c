"""A session that is brought back from a snapshot is what it is when everything is done again, and goes on as that."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine import _core
from engine.live.opening import facts_of
from engine.live.recording import state_of
from engine.live.recovery import Recovery
from engine.live.snapshots import Snapshots
from engine.model import TickBlock
from tests.crash.crashing import begin, bury, config, die_after, inputs, journal_of, play, records

SEEDS = [*range(6), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(6, 60))]

RICH = """
from engine.indicators import atr, macd
from engine.rules import *
from engine.strategy import Strategy


class Rich(Strategy):
    quick = bars(seconds(2))
    long = (
        (price > ema(price, 5)) & (change(seconds(2)) >= pct("0.01")) | (quick.close > previous(quick.close, 2))
    ) & (price > mean(ticks(4)))
    short = (price < vwap(session)) & (change(ticks(3)) <= pct("-0.01")) & (volume(seconds(3)) > 20)
    exits = (Stop(atr(bars(ticks(3)), 3) * 1.5), Target(Reward(2)), TimeStop(seconds(9)), BreakEven(pct("0.02")))
    cooldown_signals = Param(2, "signals skipped after a losing trade", low=0)
"""


def rich(tmp_path: Path) -> dict[str, object]:
    """Settings of a strategy whose features remember something of every kind."""
    (tmp_path / "rich.py").write_text(RICH)
    return {"strategy.name": f"{tmp_path / 'rich.py'}:Rich"}


LATENCY = {"paper.latency_feed": "sampled median 5ms p99 200ms seed 3"}
LIMITS = {"risk.profile": "standard", "paper.starting_cash": "100000"}


def remembered(value: Any, seen: set[int], depth: int = 0) -> Any:
    """Everything that an object remembers, as plain values: whatever it is made of, however deep."""
    if value is None or isinstance(value, bool | int | float | str | bytes | Fraction):
        return value
    if isinstance(value, list | tuple | deque):
        return [remembered(one, seen, depth + 1) for one in value]
    if isinstance(value, dict | Counter):
        return {str(name): remembered(one, seen, depth + 1) for name, one in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if not type(value).__module__.startswith(("engine.account", "engine.trading", "engine.brokers", "engine.latency")):
        return type(value).__name__
    if id(value) in seen:
        return f"that {type(value).__name__} again"
    seen.add(id(value))
    names = [*getattr(value, "__dict__", ()), *(n for k in type(value).__mro__ for n in getattr(k, "__slots__", ()))]
    found = {name: getattr(value, name) for name in names if name not in ("journal", "_journal", "_draws")}
    return {name: remembered(one, seen, depth + 1) for name, one in found.items()}


def core_of(core: _core.Core, instruments: int) -> Iterator[object]:
    """What a core says of itself."""
    for index in range(instruments):
        columns = core.programs[index].columns
        yield [repr(core.value(index, column)) for column in range(columns)]
        yield core.ring(index), core.quote(index), core.displayed(index), core.price(index), core.warm_since(index)
    yield core.equity, core.high, core.peak, core.drawdown, core.next_deadline_ns, core.engine_ts_ns
    yield core.trades_seen, core.quotes_seen, core.late, core.rejected


def everything(recovery: Recovery) -> list[object]:
    """All that there is to know of a session that was brought back."""
    kernel = recovery.kernel
    recorded = recovery._recorded
    return [
        remembered(kernel, set()),
        list(core_of(kernel.core, len(kernel.instruments))),
        (recorded.inputs, recorded.ticks, recorded.chain, recovery.inputs, recovery.decided, recovery.decision_hash),
        state_of(kernel, recorded.inputs, recovery, recorded.chain),
        facts_of(recovery, "paper"),
        kernel.trades,
        recovery.reader.place,
        recovery.reader.records,
    ]


def without_snapshots(directory: Path) -> Recovery:
    """Bring a session back by doing everything again."""
    away = {path: path.read_bytes() for path in directory.glob("*.mbs")}
    for path in away:
        path.unlink()
    recovery = Recovery(directory)
    for path, data in away.items():
        path.write_bytes(data)
    return recovery


@pytest.mark.parametrize("seed", SEEDS)
def test_snapshot_and_tail_are_the_whole(tmp_path: Path, seed: int) -> None:
    random = Random(f"snapshots {seed}")
    more = [{}, LATENCY, LIMITS, rich(tmp_path)][seed % 4] | ({} if seed % 3 else {"session.calendar": "always"})
    settings, events = config(tmp_path, **more), inputs(seed, 240)
    for event in events if seed % 2 else ():  # a day later from half way on
        if isinstance(event, TickBlock) and event is events[len(events) // 2]:
            event.ts_ns += 86_400 * 10**9
    dying = begin(settings, "cut")
    journal = journal_of(dying)
    snapshots, at = Snapshots(dying, journal), 0
    marks = sorted(random.sample(range(1, len(events)), 3))
    for mark in marks:
        assert play(dying, events[at:mark])
        snapshots.take()
        snapshots.wait()
        at = mark
    die_after(journal, random.randrange(1, 120))
    play(dying, events[at:])
    bury(journal)
    directory = journal.directory
    assert len(list(directory.glob("*.mbs"))) == 2, "the oldest has gone"
    expected = without_snapshots(directory)
    assert expected.decided > 10
    assert expected._begun_at == 0
    found = Recovery(directory)
    assert found._begun_at > 0, "it was brought back from a snapshot"
    assert everything(found) == everything(expected)
    done = found.inputs
    again = found.go_on()[1]
    assert play(again, events[done:])
    journal_of(again).leave()
    whole = begin(settings, "whole")
    assert play(whole, events)
    journal_of(whole).leave()
    assert records(directory) == records(journal_of(whole).directory)

"""A session that is brought back from a snapshot is what it is when everything is done again, and goes on as that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine import _core
from engine._journal import Fold
from engine.journal.codec import pack_value, unpack_values
from engine.journal.reader import UnsoundError
from engine.journal.snapshots import KEPT, Snapshot, read, write
from engine.latency import Leg, Measured, Sampled
from engine.live import recovery as recovery_module
from engine.live.opening import facts_of
from engine.live.recording import state_of
from engine.live.recovery import Recovery
from engine.live.snapshots import BELONGS, Snapshots
from engine.model import TickBlock
from tests.crash.crashing import begin, bury, config, die_after, inputs, journal_of, play, records

SEEDS = [*range(6), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(6, 60))]
KILLS = 10

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
        program = core.programs[index]
        on_trades = [column for column in range(program.columns) if program.clock_of(column) == 0]
        yield [repr(core.value(index, column)) for column in on_trades]
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


def differences(one: Any, other: Any, place: str = "") -> list[str]:
    """Where two things that are remembered differ, for people to read."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [line for name in one for line in differences(one[name], other[name], f"{place}.{name}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [line for number, (left, right) in pairs for line in differences(left, right, f"{place}[{number}]")]
    return [] if one == other else [f"{place}: {one} is {other}"]


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
    assert not differences(everything(found), everything(expected))
    done = found.inputs
    again = found.go_on()[1]
    assert play(again, events[done:])
    journal_of(again).leave()
    whole = begin(settings, "whole")
    assert play(whole, events)
    journal_of(whole).leave()
    assert records(directory) == records(journal_of(whole).directory)


# ---------------------------------------------------------------- what is not sound, or somebody else's


def interrupted(tmp_path: Path, **more: object) -> Path:
    """The journal of a session that died some records after its second snapshot, and the end of its first life."""
    settings, events = config(tmp_path, **more), inputs(1, 120)
    dying = begin(settings, "cut")
    journal = journal_of(dying)
    snapshots = Snapshots(dying, journal)
    for start, stop in ((0, 50), (50, 90)):
        assert play(dying, events[start:stop])
        snapshots.take()
        snapshots.wait()
    assert play(dying, events[90:])
    bury(journal)
    return journal.directory


@pytest.fixture
def reasons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said of snapshots that are not used."""
    found: list[str] = []

    class Log:
        def warning(self, event: str, **facts: object) -> None:
            found.append(f"{event}: {facts['why']}")

        def info(self, event: str, **facts: object) -> None: ...

    monkeypatch.setattr(recovery_module, "log", Log())
    return found


def test_any_damage_is_noticed_and_the_older_one_used(tmp_path: Path, reasons: list[str]) -> None:
    directory, random = interrupted(tmp_path), Random(3)
    older, newest = sorted(directory.glob("*.mbs"))
    whole, expected = newest.read_bytes(), everything(without_snapshots(directory))
    for _ in range(40):
        kind = random.randrange(4)
        damaged = bytearray(whole)
        if kind == 0:
            del damaged[random.randrange(len(damaged)) :]
        elif kind == 1:
            damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
        elif kind == 2:
            start = random.randrange(len(damaged))
            damaged[start : start + 4096] = bytes(len(damaged[start : start + 4096]))
            if damaged == whole:
                continue
        else:
            damaged += b"\0"
        newest.write_bytes(damaged)
        reasons.clear()
        found = Recovery(directory)
        assert len(reasons) == 1, reasons
        assert 0 < found._begun_at < 90, "the one before it"
        assert everything(found) == expected
    newest.write_bytes(b"")
    older.write_bytes(whole[:100])
    reasons.clear()
    assert everything(Recovery(directory)) == expected
    assert reasons == [
        "snapshot not used: it is no snapshot",
        "snapshot not used: it has 100 bytes of " + f"{len(whole):,}",
    ]


def test_one_of_another_place_or_session_is_left_aside(tmp_path: Path, reasons: list[str]) -> None:
    directory = interrupted(tmp_path)
    expected = everything(without_snapshots(directory))
    for path in directory.glob("*.mbs"):  # as if the journal had lost its end with the power, and gone on otherwise
        found = read(path)
        write(directory, Snapshot(replace(found.place, checksum=found.place.checksum ^ 1), found.facts, found.parts))
    assert everything(Recovery(directory)) == expected
    assert len(reasons) == 2
    assert all("the journal does not lead to it" in reason for reason in reasons)
    reasons.clear()
    for path in directory.glob("*.mbs"):
        found = read(path)
        write(directory, Snapshot(found.place, {**found.facts, "session": "other"}, found.parts))
    assert everything(Recovery(directory)) == expected
    assert reasons == ["snapshot not used: it is of session other"] * 2


@pytest.mark.parametrize("name", sorted(BELONGS))
def test_one_that_other_code_has_made_is_left_aside(tmp_path: Path, reasons: list[str], name: str) -> None:
    directory = interrupted(tmp_path)
    expected = everything(without_snapshots(directory))
    for path in directory.glob("*.mbs"):
        found = read(path)
        write(directory, Snapshot(found.place, {**found.facts, name: "0" * 64}, found.parts))
    assert everything(Recovery(directory)) == expected
    assert reasons == [f"snapshot not used: it was made by {BELONGS[name]}"] * 2


def test_an_edited_strategy_does_not_get_in_by_a_snapshot(tmp_path: Path, reasons: list[str]) -> None:
    directory = interrupted(tmp_path)
    strategy = tmp_path / "busy.py"
    strategy.write_text(strategy.read_text().replace('pct("0.01"), good', 'pct("0.02"), good'))
    with pytest.raises(UnsoundError, match="decided now"):
        Recovery(directory)
    assert reasons == ["snapshot not used: it was made by another version of the strategy"] * 2


def test_a_strategy_edited_while_it_trades_does_not_get_in_either(tmp_path: Path, reasons: list[str]) -> None:
    living, strategy = begin(config(tmp_path), "cut"), tmp_path / "busy.py"
    snapshots = Snapshots(living, journal_of(living))
    assert play(living, inputs(1, 60))
    strategy.write_text(strategy.read_text() + "\n# as good as before\n")
    snapshots.take()
    snapshots.wait()
    bury(journal_of(living))
    assert Recovery(journal_of(living).directory)._begun_at == 0
    assert reasons == ["snapshot not used: it was made by another version of the strategy"]


def test_one_that_makes_something_else_is_given_up(tmp_path: Path, reasons: list[str]) -> None:
    """What a snapshot makes of the kernel is held against the state that it had, as the journal's are."""
    directory = interrupted(tmp_path)
    expected = everything(without_snapshots(directory))
    for path in directory.glob("*.mbs"):
        found = read(path)
        (kept,) = unpack_values(found.parts[0])
        days, orders, desk, portfolio, *rest = kept
        held = (portfolio[6][0] + 1, *portfolio[6][1:])
        other = pack_value((days, orders, desk, (*portfolio[:6], held, *portfolio[7:]), *rest))
        write(directory, Snapshot(found.place, found.facts, (other, *found.parts[1:])))
    assert everything(Recovery(directory)) == expected
    assert reasons == ["snapshot not used: what it makes is not what was kept"] * 2
    reasons.clear()
    for path in directory.glob("*.mbs"):
        found = read(path)
        write(directory, Snapshot(found.place, found.facts, (found.parts[0][:-3], *found.parts[1:])))
    assert everything(Recovery(directory)) == expected
    assert reasons == ["snapshot not used: it cannot be put back: it ends too early"] * 2
    reasons.clear()
    for path in directory.glob("*.mbs"):
        found = read(path)
        write(directory, Snapshot(found.place, found.facts, (*found.parts[:2], found.parts[2] + b"12345678")))
    assert everything(Recovery(directory)) == expected
    assert len(reasons) == 2


def test_a_file_that_was_being_written_is_nothing(tmp_path: Path, reasons: list[str]) -> None:
    directory = interrupted(tmp_path)
    newest = max(directory.glob("*.mbs"))
    newest.with_suffix(".new").write_bytes(newest.read_bytes()[:1000])
    newest.unlink()
    assert Recovery(directory)._begun_at > 0
    assert not reasons


def test_no_room_for_a_snapshot_is_a_line_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    living = begin(config(tmp_path), "whole")
    assert play(living, inputs(1, 60))
    snapshots = Snapshots(living, journal_of(living))
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    snapshots.take()
    snapshots.wait()
    monkeypatch.undo()
    assert not list(journal_of(living).directory.glob("*.mbs"))
    assert not list(journal_of(living).directory.glob("*.new"))
    snapshots.take()
    snapshots.wait()
    assert list(journal_of(living).directory.glob("*.mbs"))
    journal_of(living).leave()


def test_a_strategy_with_code_of_its_own_has_none(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from engine.rules import *\nfrom engine.strategy import Strategy\n\n\n"
        "class Own(Strategy):\n    long = price > ema(price, 3)\n    exits = (TimeStop(seconds(2)),)\n\n"
        "    def on_fire(self, context, side):\n        return super().on_fire(context, side)\n"
    )
    living = begin(config(tmp_path, **{"strategy.name": f"{tmp_path / 'own.py'}:Own"}), "own")
    snapshots = Snapshots(living, journal_of(living), every_bytes=1)
    assert play(living, inputs(1, 60))
    snapshots.look()
    snapshots.wait()
    assert not list(journal_of(living).directory.glob("*.mbs"))
    journal_of(living).leave()


def test_one_is_taken_every_so_many_bytes(tmp_path: Path) -> None:
    living = begin(config(tmp_path), "often")
    directory, snapshots = journal_of(living).directory, Snapshots(living, journal_of(living), every_bytes=5_000)
    names = set()
    for event in inputs(1, 240):
        assert play(living, [event])
        snapshots.look()
        snapshots.wait()
        names |= {path.name for path in directory.glob("*.mbs")}
        assert len(list(directory.glob("*.mbs"))) <= KEPT
    size = journal_of(living).size
    assert size // 7_000 < len(names) <= size // 5_000
    (directory / "000000000000.new").touch()
    journal_of(living).close("done")
    assert {path.suffix for path in directory.iterdir()} == {"", ".mbj"}, "sealed, it has none"


def test_the_hash_is_that_of_python() -> None:
    random = Random(4)
    for _ in range(300):
        own, other = Fold(), blake2b(digest_size=16)
        for _ in range(random.randrange(8)):
            data = random.randbytes(random.choice((0, 1, 64, 127, 128, 129, 256, 1000)))
            own = Fold(own.state) if random.random() < 0.5 else own.copy()
            own.update(data)
            other.update(data)
        assert own.hexdigest() == other.hexdigest()
    for state in (b"short", bytes(208)[:-1]):
        with pytest.raises(ValueError, match="no state"):
            Fold(state)


def test_draws_go_on_where_they_were() -> None:
    for latency in (
        Sampled(10**6, 10**7, 3),
        Measured((5, 7, 1), "f", "", "", None),
        Measured((5, 7, 1), "f", "", "", 2),
    ):
        whole = Leg(latency, 1)
        for sent in range(1, 50):
            other = Leg(latency, 1)
            other.restore(whole.kept)
            assert other.arrival_ns(sent * 1000) == whole.arrival_ns(sent * 1000)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
def test_killed_while_one_is_written(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.crash.killed_at_snapshots", str(tmp_path), str(KILLS)]
    done = subprocess.run(command, cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("killed ")]
    assert len(results) == KILLS
    for one in results:
        assert one["the_same"]
        assert one["lost"] <= 0
    assert all(one["from_a_snapshot"] for one in results)
    assert any(one["half"] for one in results), "some were killed while they wrote"

"""A session that dies at any append of its journal, in this process: what a killed one leaves, without its cost.

The kernel is the configured one, its inputs are drawn from a seed: walks that make it enter by waiting orders, close in
parts, move stops and be too late, with feed gaps, operators and failing engines between them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from engine.config.settings import Config, Found, load
from engine.events import Command, CommandName, EngineFault, FeedGap, FeedHealthy, Refusal, Resumed, TimePassed
from engine.journal.codec import is_decision, is_input
from engine.journal.reader import JournalReader
from engine.journal.writer import SessionJournal
from engine.live.recording import RecordedKernel, manifest_of
from engine.live.recovery import Recovery
from engine.live.session import PaperSession
from engine.model import Instrument, TickBlock
from engine.trading.kernel import Input

STRATEGY = """
from engine.language.entries import Limit
from engine.rules import BreakEven, Stop, Target, TimeStop, Trailing, change, pct, seconds
from engine.strategy import Strategy


class Busy(Strategy):
    long = change(seconds(2)) >= pct("0.02")
    short = change(seconds(2)) <= pct("-0.02")
    entry = Limit(pct("0.01"), good_for=seconds(3))
    exits = (
        Stop(pct("0.1")),
        Target(pct("0.03"), share=pct(50), resting=True),
        Target(pct("0.08"), share=pct(50)),
        Trailing(pct("0.05"), after=pct("0.02")),
        TimeStop(seconds(6)),
    )
"""
SEGMENT = 1 << 14
INSTRUMENTS = (Instrument("A", 2, 0), Instrument("B", 2, 0))
START_NS = 1_700_000_000_000_000_000 - 20 * 1_000_000_000


class Killed(BaseException):
    """The process is gone."""


def config(tmp_path: Path, **more: object) -> Config:
    """A configuration with this strategy, latency, fees and a drawdown limit, journals in the test's directory."""
    (tmp_path / "busy.py").write_text(STRATEGY)
    flags = {
        "strategy.name": f"{tmp_path / 'busy.py'}:Busy",
        "paper.fee": "1bps",
        "paper.latency_order": "50ms",
        "risk.position_size": "10",
        "risk.profile": "off",
        "risk.max_drawdown": "20%",
        "journal.directory": str(tmp_path / "journal"),
        "journal.segment_mb": 8,
        **more,
    }
    return load({name: Found(value, "test") for name, value in flags.items()}).config


def inputs(seed: int, count: int = 60) -> list[Input]:
    """So many inputs of a seed: most are ticks, a few of each other kind lie between them."""
    random = Random(seed)
    now, prices, found = START_NS, [10_000, 20_000], list[Input]()
    drift = [0, 0]
    for _ in range(count):
        kind = random.random()
        if kind < 0.85:
            rows = []
            for _ in range(random.randrange(1, 6)):
                now += random.randrange(1, 400_000_000)
                index = random.randrange(2)
                if random.random() < 0.35:
                    drift[index] = random.choice((-4, 0, 4))
                prices[index] += random.choice((-1, 0, 1)) + drift[index]
                rows.append((now, prices[index], random.randrange(1, 50), index))
            found.append(block(rows))
        elif kind < 0.92:
            now += random.randrange(1, 2_000_000_000)
            found.append(TimePassed(now))
        else:
            healthy, resume = FeedHealthy(True), Command(CommandName.RESUME, now, "seen to")
            event, remedy = random.choice(
                (
                    (FeedGap((random.randrange(2),)), None),
                    (FeedHealthy(False, Refusal.FEED_STALE), healthy),
                    (Command(CommandName.FLATTEN, now), None),
                    (Command(CommandName.PAUSE, now), resume),
                    (Command(CommandName.HALT, now), resume),
                    (EngineFault(now, "ValueError"), None),
                )
            )
            found += [event] if remedy is None else [event, block([(now, prices[0], 1, 0)]), remedy]
    return found


def block(rows: Sequence[tuple[int, int, int, int]]) -> TickBlock:
    """Ticks (time, price, size, instrument) with a quote around each."""
    ts_ns, price, size, instrument = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return TickBlock(ts_ns, price, size, price - 1, price + 1, instrument=instrument.astype(np.uint16))


def die_after(journal: SessionJournal, appends: int) -> None:
    """Let the process die once the journal has taken so many more records."""
    segments, left = journal._segments, appends

    def dying(append: Callable[..., None]) -> Callable[..., None]:
        def appending(*arguments: Any) -> None:
            nonlocal left
            if not left:
                raise Killed
            append(*arguments)
            left -= 1
            if not left:
                raise Killed

        return appending

    segments.append = dying(segments.append)  # type: ignore[method-assign]
    segments.append_block = dying(segments.append_block)  # type: ignore[method-assign]


def bury(journal: SessionJournal) -> None:
    """Give back what the system gives back when a process is gone; nothing more is written."""
    segments = journal._segments
    if journal._lock is not None:
        os.close(journal._lock)
    segments._helper.shutdown(wait=True)
    segments.writer.release()
    for one in (segments._segment, segments._next.result()):
        if hasattr(one.memory, "close"):
            one.memory.close()
        with suppress(OSError):
            os.close(one.descriptor)


def begin(settings: Config, moment: str) -> RecordedKernel:
    """Begin a session, whose journal has small segments."""
    manifest = manifest_of(settings, INSTRUMENTS, session=moment, mode="PAPER", clock="receive")
    journal = SessionJournal(Path(settings.journal.directory) / moment, manifest, segment_bytes=SEGMENT)
    return RecordedKernel(PaperSession.make_kernel(settings, INSTRUMENTS, journal), journal)


def journal_of(recorded: RecordedKernel) -> SessionJournal:
    """The journal on disk that a kernel's inputs go to."""
    assert isinstance(recorded.journal, SessionJournal)
    return recorded.journal


def play(recorded: RecordedKernel, events: Sequence[Input]) -> bool:
    """Put inputs through; False: it died on the way."""
    try:
        for event in events:
            recorded.process(event)
    except Killed:
        return False
    return True


def bring_back(directory: Path) -> tuple[Recovery, RecordedKernel]:
    """Bring a session back that has died."""
    recovery = Recovery(directory)
    return recovery, recovery.go_on()[1]


def records(directory: Path) -> list[tuple[int, bytes]]:
    """Inputs and decisions of a journal, as they are written; the seams left out."""
    reader = JournalReader(directory)
    found = [
        (entry.kind, entry.payload)
        for entry in reader
        if (is_input(entry.kind) or is_decision(entry.kind)) and not isinstance(entry.event(), Resumed)
    ]
    assert not reader.problem, reader.problem
    return found

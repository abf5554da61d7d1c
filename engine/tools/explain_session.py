"""Why a session traded or did not at one moment: what it had been given by then, through the same rule again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from engine.events import Command, EngineFault, Resumed, TimePassed
from engine.journal.codec import is_decision, is_input
from engine.journal.reader import JournalReader, read_manifest
from engine.live.recording import line_of
from engine.live.replay import carried_by, config_of
from engine.live.session import PaperSession
from engine.model import TickBlock
from engine.store.ticks import TickFile
from engine.tools.explain import Explanation, explain_inputs
from engine.tools.recorded import instruments_of
from engine.trading.kernel import Input


def explain_session(directory: Path, at_ns: int, decision: int | None = None) -> list[Explanation]:
    """Explain the last trade of a recorded session at or before ``at_ns``, one entry per strategy and instrument.

    With the number of a decision, which was made at that time, it is the trade on which that one was made. What came
    between the ticks counts too: gaps of the feed, commands, and when it was too old to be traded on.

    Raises:
        DataError: nothing had traded by then.
        UnsoundError: the journal is damaged before that moment.
    """
    manifest = read_manifest(directory)
    config, carried = config_of(manifest), carried_by(manifest)
    line = line_of(config)
    nothing, instruments = np.empty(0, np.int64), instruments_of(manifest)
    file = TickFile(TickBlock(nothing, nothing, nothing), instruments, source=str(directory))
    settings = PaperSession.settings_of(config, line)
    inputs = inputs_until(directory, at_ns) if decision is None else inputs_of(directory, decision)
    if carried is None:
        return explain_inputs(file, line, settings, inputs, at_ns, decision=decision)
    settings = replace(settings, starting_cash=carried.equity)
    go_on = partial(PaperSession.carry_cooldowns, line=line, carried=carried)
    return explain_inputs(file, line, settings, inputs, at_ns, go_on, carried, decision)


def inputs_until(directory: Path, at_ns: int) -> Iterator[Input]:
    """Yield a session's inputs up to a moment of engine time, and of the block that reaches beyond it the part before.

    Records count at the latest time of any; what has no time of its own happened when the input before it did. The
    clock may have passed the times of records that are on their way, so it ends with the first record that is later.
    """
    clock_ns = 0
    later = list[Input]()  # than the moment; they count if a record comes that is not
    reader = JournalReader(directory)
    for entry in reader:
        if not is_input(entry.kind):
            continue
        event: Input = entry.event()  # type: ignore[assignment]  # what is an input is one
        if isinstance(event, TickBlock):
            engine_ns = np.maximum(np.maximum.accumulate(event.ts_ns), clock_ns)
            rows = int(np.searchsorted(engine_ns, at_ns, side="right"))
            if rows:
                clock_ns = int(engine_ns[rows - 1])
                yield from later
                later.clear()
                yield event.part(0, rows)
            if rows < len(event):
                return
        elif later or (isinstance(event, TimePassed | Command | EngineFault | Resumed) and event.ts_ns > at_ns):
            later.append(event)
        else:
            yield event
    reader.refuse_damage()  # the moment may lie in what cannot be read


def inputs_of(directory: Path, decision: int) -> Iterator[Input]:
    """Yield a session's inputs up to the one on which a decision was made, that one record by record."""
    made, last = 0, None
    for entry in JournalReader(directory):
        if is_decision(entry.kind):
            made += 1
            if made == decision:
                break
        elif is_input(entry.kind):
            if last is not None:
                yield last
            last = cast("Input", entry.event())
    if isinstance(last, TickBlock):
        yield from (last.part(row, row + 1) for row in range(len(last)))
    elif last is not None:
        yield last

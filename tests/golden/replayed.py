"""Replays recorded sessions in three ways and prints what was decided: ``python -m tests.golden.replayed DIRECTORY...``

A test runs this under other compilers and other hash seeds. For each session it prints a line of JSON: its name, the
compiler, and for each way the hash of every decision and of the state that the kernel is left in.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import numpy as np

from engine import _core
from engine.errors import UserError
from engine.journal.codec import is_input
from engine.journal.reader import JournalReader
from engine.live.recording import state_of
from engine.live.replay import RerunJournal, kernel_of
from engine.model import TickBlock
from engine.trading.kernel import Input

Cut = Callable[[Iterable[Input], Random], Iterator[Input]]


def as_recorded(inputs: Iterable[Input], random: Random) -> Iterator[Input]:
    """Each block as the socket gave it."""
    yield from inputs


def in_one_batch(inputs: Iterable[Input], random: Random) -> Iterator[Input]:
    """Everything that stands between two other inputs as one block."""
    blocks: list[TickBlock] = []
    for event in inputs:
        if isinstance(event, TickBlock):
            blocks.append(event)
            continue
        if blocks:
            yield joined(blocks)
            blocks = []
        yield event
    if blocks:
        yield joined(blocks)


def cut_at_random(inputs: Iterable[Input], random: Random) -> Iterator[Input]:
    """The same, cut anew where nobody has cut it."""
    for event in in_one_batch(inputs, random):
        if not isinstance(event, TickBlock):
            yield event
            continue
        start, most = 0, random.choice((1, 3, 40, 5_000))
        while start < len(event):
            stop = min(len(event), start + random.randint(1, most))
            yield event.part(start, stop)
            start = stop


def joined(blocks: list[TickBlock]) -> TickBlock:
    """Blocks as one; a column that is missing in any of them holds zeros there."""
    columns = {}
    for name in TickBlock.__slots__:
        parts = [getattr(block, name) for block in blocks]
        there = next((part for part in parts if part is not None), None)
        if there is None:
            columns[name] = None
            continue
        zeros = [np.zeros(len(block), there.dtype) for block in blocks]
        columns[name] = np.concatenate(
            [zero if part is None else part for zero, part in zip(zeros, parts, strict=True)]
        )
    return TickBlock(**columns)


WAYS: tuple[Cut, ...] = (as_recorded, in_one_batch, cut_at_random)


def decided(directory: Path, way: Cut) -> tuple[str, str]:
    """The hash of what is decided on a session's inputs, taken in one of the ways, and of the kernel's last state."""
    reader = JournalReader(directory)
    inputs = [entry.event() for entry in reader if is_input(entry.kind)]
    reader.refuse_damage()
    journal = RerunJournal()
    kernel = kernel_of(reader.manifest, journal)
    for event in way(inputs, Random(directory.parent.name)):  # type: ignore[arg-type]
        with suppress(UserError):
            kernel.process(event)
    return journal.decision_hash, state_of(kernel, 0, journal, "").chain


def compiler() -> str:
    """What compiled the engine's modules, as it says itself; beside clang there is what it links, which was GCC's."""
    said = Path(_core.__file__).read_bytes()
    found = re.search(rb"clang version [^\0]*", said) or re.search(rb"GCC: [^\0]*", said)
    return found[0].decode() if found else "unknown"


def main() -> None:
    for name in sys.argv[1:]:
        directory = Path(name)
        ways = {way.__name__: decided(directory, way) for way in WAYS}
        print(json.dumps({"session": directory.parent.name, "compiler": compiler(), "ways": ways}), flush=True)


if __name__ == "__main__":
    main()

"""Journals in child processes that are killed: run by ``test_kill.py`` in a process of its own, which may fork.

Each child records inputs and decisions and acknowledges each one on a pipe once it is in the journal. The parent kills
it after so many acknowledgements, while it goes on, and reads what is left.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from random import Random

import numpy as np

from engine.events import OrderSubmitted, TimePassed
from engine.journal.reader import SCHEMA, JournalReader
from engine.journal.writer import SessionJournal
from engine.model import TickBlock

SEGMENT = 16 << 10


def go_on(directory: Path, acknowledged: int) -> None:
    """Record until somebody ends it."""
    journal = SessionJournal(directory, {"schema": SCHEMA}, segment_bytes=SEGMENT)
    ones = np.ones(3, np.int64)
    number = 0
    while True:
        number += 1
        journal.record(TickBlock(ones * number, ones, ones))
        journal.record(TimePassed(number))
        journal.append(OrderSubmitted(number, number, 0, 1, 5, "entry"))
        os.write(acknowledged, number.to_bytes(8, "little"))


def kill_one(directory: Path, after: int) -> dict[str, object]:
    """Kill a child after so many acknowledgements; return what was acknowledged and what is left."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        go_on(directory, writing)
    os.close(writing)
    acknowledged = 0
    while acknowledged < after:
        acknowledged = int.from_bytes(os.read(reading, 8), "little")
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    while more := os.read(reading, 8):  # what it had acknowledged before it noticed nothing any more
        acknowledged = int.from_bytes(more, "little")
    os.close(reading)
    reader = JournalReader(directory)
    found = [entry.event() for entry in reader if entry.kind >= 16]
    blocks = [one for one in found if isinstance(one, TickBlock)]
    return {
        "killed": os.WTERMSIG(status) == signal.SIGKILL,
        "acknowledged": acknowledged,
        "blocks": [int(block.ts_ns[0]) for block in blocks],
        "times": [one.ts_ns for one in found if isinstance(one, TimePassed)],
        "orders": [one.order_id for one in found if isinstance(one, OrderSubmitted)],
        "sealed": reader.sealed,
        "problem": reader.problem,
        "segments": len(list(directory.glob("*.mbj"))),
    }


def main() -> None:
    """Kill as many as the command line says, below the directory that it names; print a line for each."""
    root, kills = Path(sys.argv[1]), int(sys.argv[2])
    random = Random(kills)
    for number in range(kills):
        print(json.dumps(kill_one(root / str(number), random.randint(1, 2_000))), flush=True)


if __name__ == "__main__":
    main()

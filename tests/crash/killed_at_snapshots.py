"""Sessions that are killed while they take snapshots: run by ``test_snapshots.py`` in a process that may fork.

Each child takes one after every input, which the journal's thread writes meanwhile, and acknowledges the input on a
pipe. The parent kills it at some moment, and brings what is left back with and without the snapshots.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from random import Random
from unittest import mock

from engine.config.settings import Config
from engine.live import recovery
from engine.live.recording import state_of
from engine.live.snapshots import Snapshots
from tests.crash.crashing import begin, config, inputs, journal_of

EVENTS = inputs(1, 3_000)


def go_on(settings: Config, acknowledged: int) -> None:
    """Trade, and take snapshots, until somebody ends it."""
    living = begin(settings, "cut")
    snapshots = Snapshots(living, journal_of(living))
    for event in EVENTS:
        living.process(event)
        snapshots.take()
        os.write(acknowledged, b".")
    while True:
        snapshots.take()
        snapshots.wait()


def kill_one(root: Path, random: Random) -> dict[str, object]:
    """Kill a child after some inputs and a moment; return what became of it."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    settings = config(root)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        go_on(settings, writing)
    os.close(writing)
    directory = root / "journal" / "cut"
    acknowledged, after, writes = 0, random.randint(20, 150), random.random() < 0.5
    while acknowledged < after:
        acknowledged += len(os.read(reading, 64))
    while not list(directory.glob("*.mbs")) or (writes and not list(directory.glob("*.new"))):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(reading, 64):
        acknowledged += len(more)
    os.close(reading)
    with mock.patch.object(recovery, "newest_first", return_value=[]):
        whole = recovery.Recovery(directory)
    found = recovery.Recovery(directory)
    return {
        "lost": acknowledged - found.inputs,
        "from_a_snapshot": found._begun_at > 0,
        "the_same": found.kernel.kept == whole.kernel.kept
        and found.kernel.trades == whole.kernel.trades
        and state_of(found.kernel, 0, found, "") == state_of(whole.kernel, 0, whole, ""),
        "half": len(list(directory.glob("*.new"))),
    }


def main() -> None:
    """Kill as many as the command line says, below the directory that it names; print a line for each."""
    root, kills = Path(sys.argv[1]), int(sys.argv[2])
    random = Random(kills)
    for _ in range(kills):
        print("killed", json.dumps(kill_one(root / "one", random)), flush=True)


if __name__ == "__main__":
    main()

"""A paper session is killed by ``kill -9`` again and again while it trades, and each start goes on where it stood.

What it says of itself after each restart is compared with an independent reading of its journal: an audit that knows
nothing of the kernel's books.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.events import OrderFilled, OrderSubmitted, PositionClosed, PositionReduced, Resumed
from engine.journal.codec import is_input
from engine.journal.reader import JournalReader
from engine.model import TickBlock

KILLS = 10
SEEDS = [range(3), range(3, 5), *(pytest.param(range(at, at + 5), marks=pytest.mark.long) for at in range(5, 105, 5))]
"""Fifty kills in the test command, a thousand more in the long run."""

SIDE_BY_SIDE = 3

SETTINGS = {
    "window": "300ms",
    "entry_threshold": "0.002%",
    "guard": "0.002%",
    "volume_spike": "1",
    "time_stop": "400ms",
    "cooldown_signals": "0",
}
COMMAND = [
    *("engine", "--paper", "--json", "--fee", "1bps"),
    *(part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")),
]
LATE = {
    "MICROBURST__PAPER__LATENCY_ORDER": "30ms",
    "MICROBURST__RISK__PROFILE": "off",
    "MICROBURST__FEED__OLD_AFTER": "1h",  # a busy machine trades, too
}


@dataclass
class Books:
    """An account as its decisions tell of it, in whole ticks and money units, up to the seam of a number."""

    held: Counter[int] = field(default_factory=Counter)  # signed lots by lane
    sent: dict[int, OrderSubmitted] = field(default_factory=dict)
    net: int = 0
    trades: int = 0
    ticks: int = 0
    seams: int = 0

    @classmethod
    def read(cls, directory: Path, seams: int) -> Books:
        books = cls()
        for entry in JournalReader(directory):
            if is_input(entry.kind) or entry.kind >= 64:
                event = entry.event()
                if isinstance(event, Resumed):
                    books.seams += 1
                    if books.seams == seams:
                        break
                books.take(event)
        return books

    def take(self, event: Any) -> None:
        match event:
            case TickBlock():
                self.ticks += len(event)
            case OrderSubmitted():
                assert event.order_id == len(self.sent) + 1, "ids go on, and none comes twice"
                self.sent[event.order_id] = event
            case OrderFilled():
                sent = self.sent[event.order_id]
                self.held[sent.lane] += sent.side * event.lots
            case PositionClosed() | PositionReduced():
                self.net += event.net
                self.trades += isinstance(event, PositionClosed)


@pytest.mark.parametrize("seeds", SEEDS, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_killed_again_and_again(start: Callable, tmp_path: Path, seeds: range) -> None:
    """Each seed is an account of its own. They trade side by side on one mock market, because they mostly wait."""
    mock = start("mock_server", "--port", "0", "--rate", "1000", "--quiet")
    live = mock.line("listening ").removeprefix("listening ")

    def play(seed: int) -> int:
        place = tmp_path / str(seed)
        own = {"XDG_STATE_HOME": str(place / "state"), "MICROBURST_RUNTIME_DIR": str(place / "run")}
        return killed_again_and_again(partial(start, **own), live, place / "state" / "microburst" / "journal", seed)

    with ThreadPoolExecutor(SIDE_BY_SIDE) as side_by_side:
        assert sum(side_by_side.map(play, seeds)), "no position was open at any death"


def killed_again_and_again(start: Callable, live: str, root: Path, seed: int) -> int:
    """One account, whose session is killed ``KILLS`` times at moments drawn from the seed: how often while it held."""
    random, told = Random(seed), Counter[str]()
    session, held_open = "", 0
    for life in range(KILLS + 1):
        engine = start(*COMMAND, "--feed", live, **LATE)
        first = json.loads(engine.line('{"event":"' + ("status" if not life else "recovered")))
        if life:
            session = session or first["session"]
            assert first["session"] == session, "it goes on in the same journal"
            engine.line('{"event":"status"')  # by now it has gone on, and said so in its journal
            books = Books.read(root / session, life)
            assert books.seams == life
            held = {"long": 1, "short": -1}
            assert sum(held[one["side"]] * int(one["qty"]) for one in first["positions"]) == books.held.total()
            assert first["trades"] == books.trades >= told["close"], "every trade that was told of is there"
            assert round((first["cash"] - 10_000) * 10**12) == pytest.approx(books.net, abs=10**6)
            assert first["ticks"] == books.ticks >= told["ticks"], "every tick that was told of is there"
            held_open += bool(first["positions"])
        if life == KILLS:
            break
        for _ in range(random.randrange(1, 5)):
            said = json.loads(engine.line('{"event":"'))
            told[said["event"]] += 1
            if said["event"] == "status":
                told["ticks"] = max(told["ticks"], said["symbols"]["AAPL"]["ticks"])
        engine.end(signal.SIGKILL)
    ended = engine.end(signal.SIGINT)
    assert ended.code == 130, ended.err
    summary = json.loads(ended.out.splitlines()[-1])
    assert summary["recovered"] == session
    proven = start("engine", "parity", session, "--json").end()
    assert proven.code == 0, proven.err
    assert json.loads(start("engine", "journal", "verify", session, "--json").end().out)["sealed"] is True
    books = Books.read(root / session, KILLS + 1)
    assert books.trades == summary["trades"]
    assert not any(books.held.values())
    assert books.trades > 0
    return held_open

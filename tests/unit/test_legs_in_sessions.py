"""A pair in a paper session, replayed from its own recording, and as a backtest of the same ticks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from engine.config.settings import Config, Found, load
from engine.journal.reader import read_manifest
from engine.live.recording import carried_of
from feeds.guard import FeedLimits
from feeds.transport import Transport
from tests.sim.clock import WALL_NS
from tests.unit.session_world import World, _Open, heartbeats, play
from tests.unit.test_trades_db import ledger_of

STRATEGY = """
from engine.language.hedge import Hedge
from engine.rules import TimeStop, change, pct, seconds
from engine.strategy import Strategy


class Couple(Strategy):
    long = change(seconds(2)) >= pct("0.05")
    hedge = Hedge("B", ratio=2)
    exits = TimeStop(seconds(8))
"""


@dataclass
class TwoLine:
    """A scripted connection with two symbols."""

    frames: Sequence[tuple[float, list[dict[str, object]] | str]]
    cut_s: float | None = None

    async def open(self, address: str, limits: FeedLimits) -> Transport:
        symbols = [{"S": "A", "pp": 2, "sp": 0}, {"S": "B", "pp": 2, "sp": 0}]
        hello = {"T": "hello", "v": 1, "clock": "receive", "instruments": symbols}
        return _Open(iter([(0.0, [hello]), *self.frames]), self.cut_s, stamped=True)


def trade(symbol: str, number: int, at: float) -> dict[str, object]:
    quote = {"b": round(at - 0.01, 2), "a": round(at + 0.01, 2)}
    return {"T": "t", "S": symbol, "i": number, "t": WALL_NS, "p": at, "s": 1, **quote}


def script() -> list[tuple[float, list[dict[str, object]] | str]]:
    """Both quiet for two seconds, then A ten ticks higher; B loses a dollar before the time stop."""
    quiet = [(0.5 * n, [trade("B", n + 1, 50.0), trade("A", n + 1, 100.0)]) for n in range(5)]
    after = [(4.0, [trade("B", 6, 49.0), trade("A", 7, 100.2)])]
    return [*quiet, (2.5, [trade("A", 6, 100.10)]), *after, *heartbeats(5, 20)]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "couple.py").write_text(STRATEGY)
    flags = {
        "strategy.name": f"{tmp_path / 'couple.py'}:Couple",
        "telemetry.enabled": False,
        "risk.position_size": "3",
        "risk.daily_loss_limit": "100%",
        "journal.directory": str(tmp_path / "journal"),
        "journal.segment_mb": 8,
    }
    return load({name: Found(value, "test") for name, value in flags.items()}).config


def legs(world: World) -> list[tuple[str, str, Decimal, str, int]]:
    return [(one.symbol, one.side, one.qty, str(one.reason), one.pair) for one in world.session.kernel.trades]


def test_a_pair_is_traded_recorded_and_replayed(config: Config) -> None:
    """``play`` replays every session from its recording and compares all decisions and trades."""
    world = play(config, TwoLine(script()), seconds=20)  # type: ignore[arg-type]
    assert legs(world) == [("A", "long", 3, "TIME", 1), ("B", "short", 12, "LEG", 1)]  # 3 * 100.11 * 2 / 49.99 = 12.02
    a, b = world.session.kernel.trades
    assert (a.net, b.net) == (3 * (Decimal("100.19") - Decimal("100.11")), 12 * (Decimal("49.99") - Decimal("49.01")))
    assert a.exit_ts_ns == b.exit_ts_ns
    ledger = ledger_of(world.directory)
    assert [one for _, one in ledger.trades] == world.session.kernel.trades, "its journal says the same, pairs and all"
    assert sum(one.outcome == "taken" for one in ledger.signals) == 1, "a pair is one signal"
    carried = carried_of(world.session.kernel, read_manifest(world.directory))
    assert list(carried.cooldowns) == ["Couple A", "Couple B after 0"]
    assert world.replay is not None
    told = [lane["instrument"] for lane in world.replay.manifest["lanes"]]
    assert told == [lane.instrument for lane in world.session.kernel.lanes] == [0, 1]


def test_stopping_the_session_closes_both_legs(config: Config) -> None:
    world = play(config, TwoLine(script()), seconds=5)  # type: ignore[arg-type]
    assert legs(world) == [("A", "long", 3, "MANUAL", 1), ("B", "short", 12, "MANUAL", 1)]


def test_viewers_see_a_position_on_each_symbol(config: Config) -> None:
    seen = {}

    def meanwhile(world: World, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(4.5, lambda: seen.update({one.symbol: one.position for one in world.snapshots[-1].symbols}))

    play(config, TwoLine(script()), seconds=20, meanwhile=meanwhile)  # type: ignore[arg-type]
    assert {symbol: view.side for symbol, view in seen.items()} == {"A": "long", "B": "short"}

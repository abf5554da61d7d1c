"""Fifty sessions, each of a number: what was traded, in which weather, and by which settings follow from it.

``python -m tests.golden.sessions`` plays them all and writes what they decided into ``decisions.json``, and the
journals of a few beside it. Do that when decisions were meant to change, or when what a journal holds was, and say so
in the commit.
"""

from __future__ import annotations

import json
import logging
import lzma
import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import structlog

from engine.config.settings import Found, load
from tests.sim.clock import WALL_NS
from tests.sim.world import Report, run

HERE = Path(__file__).parent
DECISIONS = HERE / "decisions.json"
KEPT = (0, 4, 8, 12)
"""Whose journals are in the repository: what was written once must be read for ever. Built-in strategies only."""

SESSIONS, MINUTES = 50, 2.5

OWN = f"{HERE / 'strategies.py'}:"
ALL_DAY = "entries_from=00:00 entries_until=23:59 avoid_midday=0"
TRADED: tuple[tuple[str, ...], ...] = (
    ("momentum_burst",),
    (f"{OWN}Waiting",),
    ("smoke_test lookback=3",),
    (f"{OWN}Following",),
    ("momentum_burst window=5s guard=0% symbols=A", "rsi_momentum bar=2s rsi_length=5 symbols=B"),
    (f"{OWN}Counting",),
    ("ema_pullback bar=1s fast_length=3 middle_length=5 slow_length=9 rsi_low=0 rsi_high=100",),
    (f"{OWN}Waiting symbols=A", f"{OWN}Following symbols=B weight=0.5", f"{OWN}Counting"),
    (f"vwap_scalp bounce=0.02% memory=30s {ALL_DAY}", "crypto_vwap_rsi bar=1s distance=0.01% rsi_length=4"),
    ("pairs other=B bar=1s length=10 entry_score=1 furthest=9 exit_score=0.2",),
    ("smart_money bar=1s htf_bar=5s htf_length=3 flow_window=5s least_flow=0 least_signs=1",),
    ("momentum_burst", f"{OWN}Following", "smoke_test weight=0.3"),
    ("smoke_test", "ema_pullback bar=1s fast_length=2 middle_length=3 slow_length=4 rsi_low=0 rsi_high=100"),
)

FILLS = ("last", "touch", "through", "queue", "worst")
BEGINS_S = (1_000.0, 6_400.0 - 75, 58_600.0 - 60)
"""Seconds after 22:13:20 UTC: that evening, a little before midnight, a minute before New York opens."""


def settings(number: int) -> dict[str, object]:
    """The configuration of a session, besides where its journal goes."""
    random = Random(1_000 + number)
    fills = FILLS[number % len(FILLS)]
    chosen: dict[str, object] = {
        "strategy.strategies": json.dumps(TRADED[number % len(TRADED)]),
        "telemetry.enabled": False,
        "paper.fills": fills,
        "paper.slippage_bps": random.choice(("0", "0.5")),
        "paper.fee": random.choice(("0", "1bps", "0.005/share")),
        "paper.latency_order": random.choice(("0s", "30ms", "sampled median 20ms p99 200ms")),
        "paper.latency_feed": random.choice(("0s", "5ms")),
        "risk.daily_loss_limit": random.choice(("0.1%", "1%", "100%")),
        "risk.position_size": random.choice(("10", "20")),
    }
    if random.random() < 0.3:
        chosen["risk.max_drawdown"] = "0.3%"
    if random.random() < 0.3:
        chosen["risk.max_trades_per_day"] = "9"
    return chosen


def play(number: int, folder: Path) -> Report:
    """Play one session and record it in ``folder``: see ``journal_in``."""
    found: dict[str, Any] = {name: Found(value, "golden") for name, value in settings(number).items()}
    begins_s = BEGINS_S[number % len(BEGINS_S)]
    return run(number, load(found).config, folder, MINUTES, begins_s=begins_s, mortal=False)


def journal_in(folder: Path) -> Path:
    """The journal of the session that was played there."""
    return folder / "life01"


def expected() -> list[str]:
    """The decision hash of each session, by number."""
    return list(json.loads(DECISIONS.read_text())["decisions"])


def kept(number: int, below: Path) -> Path:
    """Unpack a journal that is in the repository; return its directory."""
    directory = journal_in(below / f"golden{number:02}")
    directory.mkdir(parents=True)
    packed = (HERE / f"session{number:02}.mbj.xz").read_bytes()
    (directory / "000000.mbj").write_bytes(lzma.decompress(packed))
    return directory


def main() -> None:
    """Play all of them and write what they decided."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    hashes = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(SESSIONS):
            place = Path(folder) / f"golden{number:02}"
            report = play(number, place)
            hashes.append(report.decision_hash)
            print(f"session {number}: {report.trades} trades, {report.accepted} ticks, {dict(report.faults)}")
            if number in KEPT:
                packed = lzma.compress((journal_in(place) / "000000.mbj").read_bytes(), preset=9 | lzma.PRESET_EXTREME)
                (HERE / f"session{number:02}.mbj.xz").write_bytes(packed)
            shutil.rmtree(place)
    DECISIONS.write_text(json.dumps({"begins_ns": WALL_NS, "decisions": hashes}, indent=1) + "\n")


if __name__ == "__main__":
    main()

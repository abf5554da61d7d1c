"""``python -m benchmarks.rivals``: the same rule on the same ticks by everybody, in one process, and the ratios.

All rivals are prepared and warmed up first (their ticks are in memory in their own format, and what compiles has
compiled), then timed in turn, round after round, so that a busy moment of the machine meets all of them. The table
states the fastest and the median round in nanoseconds per tick, the ratio of the fastest to ours with the same fills,
and how many of our trades the rival has to the last field: side, both times, both prices, reason.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.rivals import hft, nautilus, numba_kernel, ours
from benchmarks.rivals.common import Rule, Ticks, Trades, agreement, generated_ticks

WARM_UP_TICKS = 20_000


def same(value: Any) -> Any:
    return value


def nothing(_value: Any) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Rival:
    """How to run one contestant; ``arm`` is what must be done anew before each round, outside the timed part."""

    name: str
    fills: str
    unavailable: Callable[[], str]
    prepare: Callable[[Ticks, Rule], Any]
    run: Callable[[Any], Any]
    arm: Callable[[Any], Any] = same
    trades: Callable[[Any], Trades] = same
    disarm: Callable[[Any], None] = nothing
    rounds: int | None = None  # fewer than asked for, for those that take half a minute


RIVALS = (
    Rival("microburst", "last", ours.unavailable, ours.prepare_last, ours.run, trades=ours.trades),
    Rival("numba kernel, bare rule", "last", numba_kernel.unavailable, numba_kernel.prepare, numba_kernel.run),
    Rival("hftbacktest, trades", "last", hft.unavailable, hft.prepare_trades, hft.run),
    Rival(
        "nautilus_trader, orders",
        "last",
        nautilus.unavailable,
        nautilus.prepare,
        nautilus.run,
        arm=nautilus.arm,
        disarm=nautilus.disarm,
        rounds=2,
    ),
    Rival("microburst, quotes", "touch", ours.unavailable, ours.prepare_touch, ours.run, trades=ours.trades),
    Rival("hftbacktest, quotes and orders", "touch", hft.unavailable, hft.prepare_orders, hft.run),
)
"""The first with each kind of fills is ours, and the one the others are compared with."""


@dataclass(slots=True)
class Outcome:
    """What one contestant did: seconds of every round, and its trades against ours."""

    name: str
    fills: str
    skipped: str = ""
    seconds: list[float] = field(default_factory=list)
    trades: int = 0
    pnl_ticks: int = 0
    equal_trades: int = 0
    difference: str = ""
    ratio: float = 0.0

    def ns_per_tick(self, ticks: int) -> tuple[float, float]:
        """Return the fastest and the median round."""
        return min(self.seconds) / ticks * 1e9, statistics.median(self.seconds) / ticks * 1e9


def compete(count: int, rounds: int, seed: int, only: str = "") -> tuple[list[Outcome], dict[str, str]]:
    """Run everybody and return the outcomes and the versions met."""
    rule = Rule()
    ticks = generated_ticks(count, seed)
    sample = ticks.head(min(WARM_UP_TICKS, count))
    outcomes = [Outcome(rival.name, rival.fills, rival.unavailable()) for rival in RIVALS]
    entered = [
        (rival, outcome)
        for rival, outcome in zip(RIVALS, outcomes, strict=True)
        if not outcome.skipped and (only in rival.name or rival.name.startswith("microburst"))
    ]
    prepared = {}
    for rival, _ in entered:
        say(f"preparing {rival.name}")
        armed = rival.arm(rival.prepare(sample, rule))
        rival.run(armed)
        rival.disarm(armed)
        prepared[rival.name] = rival.prepare(ticks, rule)
    gc.collect()
    gc.freeze()  # two million tick objects of one rival must not slow the collections of any
    reference: dict[str, Trades] = {}
    for number in range(rounds):
        for rival, outcome in entered:
            if rival.rounds is not None and number >= rival.rounds:
                continue
            say(f"round {number + 1}/{rounds}: {rival.name}")
            armed = rival.arm(prepared[rival.name])
            begun = time.perf_counter()
            result = rival.run(armed)
            outcome.seconds.append(time.perf_counter() - begun)
            rival.disarm(armed)
            if number == 0:
                compare(rival, outcome, rival.trades(result), reference)
    for outcome in outcomes:
        if outcome.seconds:
            best = next(other for other in outcomes if other.fills == outcome.fills)
            outcome.ratio = min(outcome.seconds) / min(best.seconds)
    return [outcome for outcome in outcomes if outcome.skipped or outcome.seconds], versions()


def compare(rival: Rival, outcome: Outcome, trades: Trades, reference: dict[str, Trades]) -> None:
    """Note the rival's trades and hold them against ours (the first that ran with these fills)."""
    first = reference.setdefault(rival.fills, trades)
    outcome.trades, outcome.pnl_ticks = len(trades), trades.pnl_ticks
    outcome.equal_trades, outcome.difference = agreement(first, trades)


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "machine": f"{platform.machine()} {platform.system()}"}
    for package in ("numpy", "numba", "hftbacktest", "nautilus_trader"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def table(outcomes: list[Outcome], ticks: int) -> str:
    """Return the outcomes as lines of text."""
    lines = [
        f"{'':32}{'fills':>7}{'min':>10}{'median':>10}{'ratio':>9}{'trades':>8}{'equal':>7}{'P/L ticks':>11}",
        f"{'':32}{'':>7}{'ns/tick':>10}{'ns/tick':>10}",
    ]
    for outcome in outcomes:
        if outcome.skipped:
            lines.append(f"{outcome.name:32}skipped: {outcome.skipped}")
            continue
        fastest, median = outcome.ns_per_tick(ticks)
        lines.append(
            f"{outcome.name:32}{outcome.fills:>7}{fastest:>10.1f}{median:>10.1f}{outcome.ratio:>8.2f}x"
            f"{outcome.trades:>8}{outcome.equal_trades:>7}{outcome.pnl_ticks:>11}"
        )
        if outcome.difference:
            lines.append(f"  first difference: {outcome.difference}")
    return "\n".join(lines)


def say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def report(outcomes: list[Outcome], ticks: int, found: dict[str, str]) -> dict[str, Any]:
    """Return everything as one JSON object."""
    return {"ticks": ticks, "versions": found, "outcomes": [asdict(outcome) for outcome in outcomes]}


def main() -> None:
    """Parse the flags, run, print the table and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals", description=__doc__.splitlines()[0])
    parser.add_argument("--ticks", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="just the rivals whose name contains this (and ours)")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/rivals.json"))
    flags = parser.parse_args()
    outcomes, found = compete(flags.ticks, flags.rounds, flags.seed, flags.only)
    print(f"{flags.ticks:,} ticks, seed {flags.seed}; {', '.join(f'{k} {v}' for k, v in found.items())}")
    print(table(outcomes, flags.ticks))
    flags.json.parent.mkdir(parents=True, exist_ok=True)
    flags.json.write_text(json.dumps(report(outcomes, flags.ticks, found), indent=1) + "\n")
    print(f"written: {flags.json}")


if __name__ == "__main__":
    main()

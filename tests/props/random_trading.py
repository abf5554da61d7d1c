"""Strategies, markets and accounts put together at random, and what holds of a kernel whatever it is given.

Everything is drawn from a seed, so that a failing one is a line: exits in parts and at the venue, entries that wait,
pairs, nights, every fill model, latency constant or sampled, quotes that are crossed or missing, costs and limits.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from engine.backtesting import load_ticks, make_kernel, make_settings
from engine.calendars import calendar
from engine.errors import ConfigError
from engine.events import End
from engine.journal.writer import MemoryJournal
from engine.language.entries import Limit, Market, StopEntry, StopLimit
from engine.language.hedge import Hedge
from engine.language.parameters import pct, seconds
from engine.model import TickBlock
from engine.rules import (
    BreakEven,
    Decay,
    EndOfDay,
    NotBefore,
    Opposite,
    Reward,
    Stop,
    Target,
    TimeStop,
    Trailing,
    falling,
    price,
    rising,
)
from engine.sessions.trading_calendar import Calendar
from engine.store.ticks import TickFile
from engine.strategy import Strategy
from engine.trading.kernel import Kernel
from engine.trading.lanes import Lane

OPENS_S = 1_704_205_800
"""Half past nine in New York."""

DAY_S, SESSION_S = 86_400, 6 * 3_600 + 1_800
LATENCIES = ("0s", "0s", "5ms", "1s", "sampled median 2s p99 10s seed 1")
LIMITS: tuple[dict[str, str], ...] = (
    {},
    {"daily_loss_limit": "off", "daily_loss_money": "10"},
    {"max_drawdown": "0.5%"},
    {"positions_per_symbol": "2"},
    {"position_stop": "0.3%"},
    {"max_losses_in_row": "2"},
)


@dataclass
class Case:
    """A run that is still to be made."""

    random: Random
    file: TickFile
    strategy: Strategy
    settings: dict[str, Any]

    def kernel(self) -> tuple[Kernel, MemoryJournal]:
        """A new kernel for it, and its journal."""
        journal = MemoryJournal()
        settings = make_settings(self.file.block, self.strategy, **self.settings)
        return make_kernel(self.file.instruments, self.strategy, settings, journal), journal


def case_of(seed: int) -> Case | None:
    """Draw a case; None where the strategy is one that cannot be declared."""
    random = Random(seed)
    hedged, overnight = random.random() < 0.25, random.random() < 0.4
    body: dict[str, Any] = {
        "long": rising(price, random.randint(1, 3)),
        "short": falling(price, random.randint(1, 3)),
        "exits": _exits(random, hedged, overnight),
        "entry": Market() if hedged else _entry(random),
        "holds_overnight": overnight,
    }
    if hedged:
        body["hedge"] = Hedge("t1", ratio=random.choice([1, 2]))
    side, cooldown = random.choice(["both", "long", "short"]), random.choice([0, 1])
    ticks, venue = _market(random, 2 if hedged else random.choice([1, 2]))
    try:
        strategy = type("Drawn", (Strategy,), body)(direction=side, cooldown_signals=cooldown)
        strategy.exit_plan()
    except ConfigError:
        return None
    settings = venue | {
        "calendar": random.choice(["us_equities", "always"]),
        "fee": random.choice(["0", "5bps", "0.05/share", "1/share"]),
        "slippage_bps": random.choice([0, 3]),
        "latency_order": random.choice(LATENCIES),
        "borrow_rate": random.choice([0, "50%"]),
        "position_size": random.choice([1, 7, 100]),
        "limits": random.choice(LIMITS),
        "starting_cash": random.choice([1_000, 100_000]),
    }
    return Case(random, load_ticks(ticks, symbol="t"), strategy, settings)


def _share(random: Random, low: float, high: float) -> Any:
    return pct(f"{random.uniform(low, high):.2f}")


def _entry(random: Random) -> Any:
    """At the market half of the time."""
    return random.choice(
        [
            Market(),
            Market(),
            Market(),
            Limit(_share(random, 0.01, 0.5)),
            Limit(_share(random, 0.01, 0.5), good_for=seconds(4)),
            Limit(_share(random, 0.01, 0.2), time_in_force="day"),
            StopEntry(_share(random, 0.01, 0.3), good_for=seconds(9)),
            StopLimit(_share(random, 0.01, 0.3), _share(random, 0.01, 0.2)),
        ]
    )


def _exits(random: Random, hedged: bool, overnight: bool) -> tuple[Any, ...]:
    stops = random.random() < 0.7
    found: list[Any] = [Stop(_share(random, 0.05, 2))] if stops else []
    for _ in range(random.randint(1, 3) if random.random() < 0.6 else 0):
        rewarded = stops and random.random() < 0.3
        away = Reward(random.choice(["0.5", "1", "2"])) if rewarded else _share(random, 0.05, 1.5)
        if hedged:
            found.append(Target(away))
            break
        rests = random.random() < 0.5 and not overnight
        found.append(Target(away, share=pct(random.choice([20, 30, 33])), resting=rests))
    others = [
        TimeStop(seconds(random.choice([1, 3, 10, 60, 30_000]))),
        Trailing(_share(random, 0.05, 1)),
        BreakEven(_share(random, 0.05, 0.5)),
        *([Decay(seconds(20))] if stops else []),
        Opposite(),
        EndOfDay(seconds(random.choice([5, 20]))),
        NotBefore(seconds(random.choice([1, 2]))),
    ]
    return (*found, *(one for one in others if random.random() < 0.25))


def _market(random: Random, instruments: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ticks around openings and closes of three days, and how they are filled on."""
    rows = random.randint(30, 200)
    days = [random.choice([0, 1, 2]) * DAY_S for _ in range(rows)]
    within = [random.choice([random.uniform(-5, 60), random.uniform(SESSION_S - 60, SESSION_S + 5)]) for _ in days]
    times = np.sort(np.array(days) + np.array(within)) + OPENS_S
    steps = [random.choice([-30, -10, -3, -1, 0, 1, 3, 10, 30, random.randint(-200, 200)]) for _ in range(rows)]
    prices = np.maximum(5, np.cumsum(steps) + random.choice([200, 2_000, 10_000]))
    ticks = {
        "ts_ns": (times * 1e9).astype(np.int64),
        "price_ticks": prices,
        "size_lots": np.array([random.randint(1, 20) for _ in range(rows)]),
    }
    if instruments == 2:
        ticks["instrument"] = np.array([random.randint(0, 1) for _ in range(rows)], np.uint16)
    fills = random.choice(["last", "touch", "through", "queue", "worst"])
    if fills == "last":
        return ticks, {"fills": fills}
    if fills != "queue" and random.random() < 0.3:
        return ticks, {"fills": fills, "spread": random.choice(["0.01", "0.03", "0.5"])}
    ticks["bid_ticks"] = np.maximum(1, prices - np.array([random.randint(-1, 4) for _ in range(rows)]))
    ticks["ask_ticks"] = prices + np.array([random.randint(-1, 4) for _ in range(rows)])
    ticks["bid_lots"] = ticks["ask_lots"] = np.array([random.randint(1, 20) for _ in range(rows)])
    return ticks, {"fills": fills}


# ---------------------------------------------------------------- what holds


def play(case: Case) -> Kernel:
    """Run a case piece by piece and look at the kernel after each; then end it, and look at the books."""
    kernel, _ = case.kernel()
    sessions = calendar(case.settings["calendar"])
    block, at = case.file.block, 0
    while at < len(block):
        until = min(len(block), at + case.random.randint(1, 20))
        kernel.process(block.part(at, until))
        at = until
        for lane in kernel.lanes:
            check_lane(kernel, lane, sessions, block.part(0, at))
        assert kernel.portfolio.positions or kernel.core.equity == kernel.portfolio.starting + kernel.portfolio.realised
    kernel.process(End())
    check_books(kernel)
    return kernel


def check_lane(kernel: Kernel, lane: Lane, sessions: Calendar, seen: TickBlock) -> None:
    """An open position that is not being left has nothing to be left for, after the records that were seen."""
    if not lane.in_position or lane.exit is not None:
        return
    ts_ns, position = int(seen.ts_ns[-1]), kernel.portfolio.positions[lane.number]
    is_open = sessions.session_index(ts_ns) >= 0
    assert is_open or lane.strategy.holds_overnight, f"lane {lane.number} is open, and the market is closed"
    if lane.asleep or not is_open or position.entry_ts_ns >= ts_ns:
        return
    own = seen.ts_ns if seen.instrument is None else seen.ts_ns[seen.instrument == lane.instrument]
    if int(own[-1]) <= max(position.entry_ts_ns, sessions.facts(ts_ns).open_ns):
        return  # nothing of it has traded since, by which it could be left
    assert kernel.risk.halted is None, f"lane {lane.number} is open, and trading is halted"
    assert not kernel.risk.day_halted, f"lane {lane.number} is open, and the day's loss was reached"
    if lane.partner is not None:
        assert lane.partner.in_position or lane.partner.orders, f"lane {lane.number} is alone"
    assert lane.side * (kernel.core.price(lane.instrument) - lane.stop_ticks) > 0, (
        f"lane {lane.number} is past its stop"
    )
    assert not lane.deadline_ns or lane.deadline_ns >= ts_ns, f"lane {lane.number} is past its time"


def check_books(kernel: Kernel) -> None:
    """After the end everything is closed, and every book says the same."""
    portfolio = kernel.portfolio
    assert not portfolio.positions
    assert kernel.core.equity == portfolio.starting + portfolio.realised
    assert sum(trade.net_units for trade in kernel.trades) == portfolio.realised
    for trade in kernel.trades:
        costs = trade.spread_units + trade.slippage_units + trade.fee_units + trade.borrow_units
        assert trade.net_units == trade.gross_units - costs
    kernel._desk.reconcile()

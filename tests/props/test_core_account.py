"""The core marks the account at every trade as if it looked at each, however many it passes over at once."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from engine._core import NONE, RISK, Core
from engine._program import Program

TRADES = 1_500  # of a load: more than two blocks


class Account:
    """An account marked trade by trade, in Python's integers."""

    def __init__(self, equity: int) -> None:
        self.equity = self.peak = equity
        self.drawdown = self.high = self.share = self.scale = 0
        self.floor: int | None = None
        self.held: dict[int, list[int]] = {}  # lots, unit and mark by instrument

    def limit_drawdown(self, share: int, scale: int) -> None:
        self.high, self.share, self.scale = self.equity, share, scale

    def trade(self, instrument: int, price: int) -> bool:
        """Whether a limit is reached at this trade."""
        if instrument not in self.held:
            return False
        lots, unit, mark = self.held[instrument]
        self.equity += (price - mark) * lots * unit
        self.held[instrument][2] = price
        self.note()
        if self.floor is not None and self.equity <= self.floor:
            return True
        if not self.scale:
            return False
        self.high = max(self.high, self.equity)
        return (self.high - self.equity) * self.scale >= self.high * self.share

    def note(self) -> None:
        self.peak = max(self.peak, self.equity)
        self.drawdown = max(self.drawdown, self.peak - self.equity)


def agree(core: Core, account: Account) -> None:
    assert (core.equity, core.peak, core.drawdown) == (account.equity, account.peak, account.drawdown)


def change(random: Random, core: Core, account: Account, instruments: int, at: list[int]) -> None:
    """Another position, another floor, another drawdown limit, or the same again."""
    if random.random() < 0.7:
        instrument = random.randrange(instruments)
        lots = random.choice((0, 0, 1, -1, 7, -300, 10**6))
        unit = random.choice((1, 10, 10**10, 10**12 + 7))
        core.set_holding(instrument, lots, unit, at[instrument])
        account.held.pop(instrument, None)
        if lots:
            account.held[instrument] = [lots, unit, at[instrument]]
    account.floor = None
    if random.random() < 0.8:
        ticks = random.choice((1, 2, 5, 30))
        lost = max((abs(lots * unit) for lots, unit, _ in account.held.values()), default=1) * ticks
        account.floor = account.equity - lost + random.choice((-1, 0, 0, 1))
    core.set_account(account.equity, account.floor)
    account.note()
    if random.random() < 0.5:
        share = random.choice(((0, 0), (1, 1_000), (1, 40), (2**24 - 2, 2**24 - 1)))
        core.limit_drawdown(*share)
        account.limit_drawdown(*share)


@pytest.mark.parametrize("instruments", [1, 2])
def test_marks_and_limits_are_those_of_every_single_trade(instruments):
    reached = [limits_reached(Random(f"{seed} {instruments}"), instruments) for seed in range(40)]
    assert sum(reached) > 200, reached


def limits_reached(random: Random, instruments: int) -> int:
    """Compare core and account over random trades and positions; returns how often a limit was reached."""
    equity = random.choice((0, 5, 40 * 10**6, 10**16, 2**100 + 12_345))
    core, account = Core([Program() for _ in range(instruments)]), Account(equity)
    core.set_account(equity)
    account.note()
    at, now, fired = [10_000] * instruments, 0, 0
    for instrument in range(instruments):
        core.push(instrument, now, at[instrument], 1)
    for _ in range(6):
        change(random, core, account, instruments, at)
        steps = random.choice(((0, 0, 0, 1, -1), (0, 3, -3, 40, -41), (1, 1, -1), (0, -1, -1, 1)))
        which = [random.randrange(instruments) for _ in range(TRADES)]
        prices, reached = [], list(at)
        for instrument in which:
            reached[instrument] = max(1, reached[instrument] + random.choice(steps))
            prices.append(reached[instrument])
        times = now + np.arange(1, TRADES + 1, dtype=np.int64)
        now = int(times[-1])
        core.load(times, np.array(prices), np.ones(TRADES, np.int64), instrument=np.array(which, np.uint16))
        event = core.advance()
        for instrument, price, ts_ns in zip(which, prices, times.tolist(), strict=True):
            at[instrument] = price
            if account.trade(instrument, price):
                assert (event, core.event_ts_ns) == (RISK, ts_ns)
                agree(core, account)
                fired += 1
                change(random, core, account, instruments, at)
                event = core.advance()
        assert event == NONE
        agree(core, account)
        assert core.high == max(account.high, account.equity)
    return fired

"""What all rivals share: the ticks, the rule's settings as whole numbers, and the comparison of trades."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]

REASONS = ("SL", "TP", "TIME", "FLAT", "END", "RISK")

INSTALL = "pip install -e '.[rivals]'"


@dataclass(frozen=True, slots=True)
class Ticks:
    """Columns of equal length, in order of time; prices in ticks of 0.01, sizes in whole shares."""

    ts_ns: Int64s
    price_ticks: Int64s
    size_lots: Int64s
    bid_ticks: Int64s
    ask_ticks: Int64s

    def __len__(self) -> int:
        return len(self.ts_ns)

    def head(self, count: int) -> Ticks:
        """Return copies of the first ``count`` ticks."""
        columns = (self.ts_ns, self.price_ticks, self.size_lots, self.bid_ticks, self.ask_ticks)
        return Ticks(*(column[:count].copy() for column in columns))


def generated_ticks(count: int, seed: int = 1) -> Ticks:
    """Return ticks of the mock market: one symbol, 200 trades a second on average, trade prints with bid and ask."""
    from mock_server.market import generate

    made = generate(count, seed=seed)
    return Ticks(
        *(
            np.ascontiguousarray(column)
            for column in (made.ts_ns, made.price_ticks, made.size_lots, made.bid_ticks, made.ask_ticks)
        )
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """The momentum-burst defaults as whole numbers; a ratio is ``per_million / 10**6``."""

    window_ns: int = 15_000_000_000
    surge_window_ns: int = 1_000_000_000
    entry_per_million: int = 500
    guard_per_million: int = 1_000
    spike_per_million: int = 1_500_000
    target_per_million: int = 1_500
    stop_per_million: int = 500
    time_stop_ns: int = 8_000_000_000
    flat_candles: int = 2
    cooldown_signals: int = 2


@dataclass(frozen=True, slots=True)
class Trades:
    """Closed trades as columns; ``reason`` is an index into ``REASONS``, ``side`` is 1 or -1."""

    side: Int64s
    entry_ts_ns: Int64s
    exit_ts_ns: Int64s
    entry_ticks: Int64s
    exit_ticks: Int64s
    reason: Int64s

    def __len__(self) -> int:
        return len(self.side)

    @property
    def pnl_ticks(self) -> int:
        """Total P/L in price ticks of one share."""
        return int((self.side * (self.exit_ticks - self.entry_ticks)).sum())

    def rows(self) -> list[tuple[int, ...]]:
        """Return the trades as tuples in the order of the fields."""
        columns = (self.side, self.entry_ts_ns, self.exit_ts_ns, self.entry_ticks, self.exit_ticks, self.reason)
        return list(zip(*(column.tolist() for column in columns), strict=True))


def trades_from_rows(rows: Int64s | list[tuple[int, ...]]) -> Trades:
    """Return trades from a table of shape (n, 6)."""
    table = np.asarray(rows, dtype=np.int64).reshape(-1, 6)
    return Trades(*(table[:, index].copy() for index in range(6)))


def agreement(ours: Trades, theirs: Trades) -> tuple[int, str]:
    """Return how many of our trades they have too, to the last field, and the first difference in words."""
    our_rows, their_rows = ours.rows(), theirs.rows()
    same = len(set(our_rows) & set(their_rows))
    for index, (our_row, their_row) in enumerate(zip(our_rows, their_rows, strict=False)):
        if our_row != their_row:
            return same, f"trade {index}: ours {in_words(our_row)}, theirs {in_words(their_row)}"
    if len(our_rows) != len(their_rows):
        return same, f"ours {len(our_rows)} trades, theirs {len(their_rows)}"
    return same, ""


def in_words(row: tuple[int, ...]) -> str:
    side, entry_ts, exit_ts, entry, close, reason = row
    return f"{'long' if side > 0 else 'short'} {entry_ts}@{entry} to {exit_ts}@{close} {REASONS[reason]}"


def missing(*modules: str) -> str:
    """Return why a rival cannot run (with the line that installs it), or an empty string."""
    absent = [module for module in modules if find_spec(module) is None]
    return f"{', '.join(absent)} not installed: {INSTALL}" if absent else ""

"""The price process: from a seed to columns of trades and quotes, the same to the bit on every machine.

Time passes in *chapters* of some fifteen seconds: a quiet spell, ordinary trading, then a *burst* in which for several
seconds more and larger trades arrive and the price drifts one way; afterwards it runs on, dies down or turns back.
:class:`_Script` writes the chapters as short *pieces* (a quarter of a second at most), each with its own pace of
arrivals, size, volatility, drift and spread. :class:`_SymbolMarket` fills the pieces with trades.

How it stays exact and fast:

* Each trade costs one 64-bit word of a PCG64 stream, cut into fields. Raw PCG64 words are the part of NumPy's random
  numbers that is guaranteed never to change, and a word per trade makes the result independent of block sizes.
* Distributions are tables of quantiles, indexed by such a field.
* Arrivals are drawn in *activity time*, in which trades come at an even pace, and mapped to clock time piece by piece:
  a piece with twice the pace holds twice the activity. No loop over trades is needed.
* Prices, times and sizes are integers throughout; the only floats are products with a square root, rounded at once,
  which IEEE arithmetic defines to the bit.

This is scenery for trying software: invented, and without meaning for the worth of any strategy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mock_server.listings import Listing, listings
from mock_server.script import ACTIVITY_ONE, SUBSTEPS, Script

Int64s = NDArray[np.int64]

START_NS = 1_704_205_800_000_000_000
"""Where generated time begins unless told otherwise: 2024-01-02 14:30:00 UTC."""

TRADE, QUOTE = 0, 1
COLUMNS = 9


class Ticks(NamedTuple):
    """Records as int64 columns of equal length, in order of time.

    A trade (``kind`` 0) has price and size, the bid and ask of its moment, and no quote sizes. A quote update (``kind``
    1) has bid, ask and their sizes, and neither price nor size. Zero means "none". ``instrument`` is the index of the
    symbol in the order given.
    """

    ts_ns: Int64s
    price_ticks: Int64s
    size_lots: Int64s
    bid_ticks: Int64s
    ask_ticks: Int64s
    bid_lots: Int64s
    ask_lots: Int64s
    instrument: Int64s
    kind: Int64s


def generate(
    n_ticks: int,
    *,
    seed: int = 1,
    symbols: Sequence[str] = ("AAPL",),
    rate: float = 200.0,
    quotes: bool = False,
    start_ns: int = START_NS,
) -> Ticks:
    """Return the first ``n_ticks`` records of the market.

    Args:
        n_ticks: number of records, trades and quotes together.
        seed: any integer from 0 to 2**63 - 1; it fixes everything but the start.
        symbols: what is traded; see :func:`mock_server.listings.listings`.
        rate: trades per second of market time, on average, of all symbols together.
        quotes: add a quote update before each trade that finds the quote changed.
        start_ns: the instant of the market's beginning, in ns since the epoch.
    """
    table = np.empty((COLUMNS, n_ticks), np.int64)
    filled = 0
    for block in Market(listings(symbols), seed=seed, rate=rate, quotes=quotes).blocks(1 << 15):
        part = block[:, : n_ticks - filled]
        table[:, filled : filled + part.shape[1]] = part
        filled += part.shape[1]
        if filled == n_ticks:
            break
    ticks = Ticks(*table)
    np.add(ticks.ts_ns, start_ns, out=ticks.ts_ns)
    return ticks


class Market:
    """The endless stream of one seed; times count from 0, the market's beginning."""

    def __init__(self, listed: Sequence[Listing], *, seed: int, rate: float, quotes: bool = False) -> None:
        per_symbol = rate / len(listed)
        self._symbols = [
            _SymbolMarket(listing, index, seed, per_symbol, quotes) for index, listing in enumerate(listed)
        ]

    def blocks(self, block_ticks: int) -> Iterator[Int64s]:
        """Yield tables of shape (9, n), rows as in :class:`Ticks`; ``n`` is near ``block_ticks`` and never 0.

        The records do not depend on ``block_ticks``, only how they are cut does. Symbols are merged by time; at equal
        times the one listed first comes first.
        """
        per_symbol = max(1, block_ticks // len(self._symbols))
        if len(self._symbols) == 1:
            while True:
                yield self._symbols[0].block(per_symbol)
        pending = [symbol.block(per_symbol) for symbol in self._symbols]
        while True:
            # Records before the earliest of the symbols' last known times are complete for all symbols.
            horizon_ns = min(int(table[0, -1]) for table in pending)
            cuts = [int(np.searchsorted(table[0], horizon_ns, "left")) for table in pending]
            ready = np.concatenate([table[:, :cut] for table, cut in zip(pending, cuts, strict=True)], axis=1)
            pending = [table[:, cut:] for table, cut in zip(pending, cuts, strict=True)]
            for index, symbol in enumerate(self._symbols):
                if pending[index][0, -1] == horizon_ns:
                    pending[index] = np.concatenate([pending[index], symbol.block(per_symbol)], axis=1)
            if ready.shape[1]:
                yield ready[:, np.lexsort((ready[7], ready[0]))]


def _bits(words: NDArray[np.uint64], shift: int, width: int) -> Int64s:
    bits: NDArray[np.uint64] = (words >> np.uint64(shift)) & np.uint64((1 << width) - 1)
    return bits.astype(np.int64)


def _gap_table() -> Int64s:
    """Quantiles of the gap between trades in activity time, mean :data:`ACTIVITY_ONE`.

    Trades cluster: a fifth come at the very instant of the one before (a large order that meets several resting ones),
    three tenths close behind, and the rest after an exponential pause.
    """
    near, far = 0.3, 0.5
    near_mean = 0.1
    far_mean = (1 - near * near_mean) / far

    def exponential(count: int, mean: float) -> NDArray[np.float64]:
        quantiles: NDArray[np.float64] = -np.log1p(-(np.arange(count) + 0.5) / count) * mean
        return quantiles

    size = 1 << _GAP_BITS
    n_near, n_far = int(near * size), int(far * size)
    same = np.zeros(size - n_near - n_far)
    gaps = np.concatenate([same, exponential(n_near, near_mean), exponential(n_far, far_mean)])
    table: Int64s = np.rint(gaps * ACTIVITY_ONE).astype(np.int64)
    return table


def _normal_table() -> NDArray[np.float64]:
    """Quantiles of the standard normal distribution, rounded so that every machine has the same."""
    normal, size = NormalDist(), 1 << _MOVE_BITS
    quantiles = [normal.inv_cdf((index + 0.5) / size) for index in range(size)]
    table: NDArray[np.float64] = np.rint(np.array(quantiles) * 1024) / 1024
    return table


def _size_table() -> Int64s:
    """Sizes of ordinary trades in units: half of them odd lots, most others round lots, a thin tail of large ones."""
    counts = {100: 330, 200: 72, 300: 46, 400: 26, 500: 18, 1000: 12, 2000: 6, 5000: 2}
    round_lots = np.repeat(list(counts), list(counts.values()))
    odd_lots = 1 + np.arange((1 << _SIZE_BITS) - len(round_lots)) * 37 % 99
    return np.concatenate([odd_lots, round_lots]).astype(np.int64)


# How the 64 bits of a trade's word are spent.
_GAP_BITS, _MOVE_BITS, _SIZE_BITS, _SIDE_BITS, _JITTER_BITS, _BID_BITS, _ASK_BITS = 12, 12, 10, 10, 8, 6, 6
_GAPS, _NORMAL, _SIZES = _gap_table(), _normal_table(), _size_table()


class _SymbolMarket:
    """One symbol's stream of trades, and of quotes when asked for."""

    def __init__(self, listing: Listing, index: int, seed: int, rate: float, quotes: bool) -> None:
        script_seed, trade_seed = np.random.SeedSequence([seed, crc32(listing.symbol.encode())]).spawn(2)
        self._listing, self._index, self._quotes = listing, index, quotes
        self._script = Script(listing, np.random.PCG64(script_seed), rate)
        self._words = np.random.PCG64(trade_seed)
        # What one block hands to the next: the last trade's activity and clock time, the noise and the quote.
        self._activity = 0
        self._ts_ns = 0
        self._noise = 0
        self._quote = (0, 0)
        self._bound = listing.level_ticks * SUBSTEPS // listing.tick_size // 400  # the noise stays within 0.25 %

    def block(self, n_trades: int) -> Int64s:
        """Return the next ``n_trades`` trades, and the quotes between them, as a (9, n) table."""
        words = self._words.random_raw(n_trades).astype(np.uint64, copy=False)
        listing, shift = self._listing, 0

        def field(width: int) -> Int64s:
            nonlocal shift
            shift += width
            return _bits(words, shift - width, width)

        activity = np.cumsum(_GAPS[field(_GAP_BITS)]) + self._activity
        piece = self._script.pieces(activity)
        into = (activity - piece.activity) * piece.duration_ns // piece.activity_span
        ts_ns = piece.start_ns + into
        waited_ns = np.diff(ts_ns, prepend=self._ts_ns)

        # Fair value, in substeps: the script's drift plus a random walk that turns back at its bounds.
        steps = np.rint(_NORMAL[field(_MOVE_BITS)] * (piece.volatility * 1e-6) * np.sqrt(waited_ns)).astype(np.int64)
        noise = np.cumsum(steps) + self._noise
        fair = piece.level + into * piece.move // piece.duration_ns + _reflect(noise, self._bound)

        bid = (fair - piece.spread * (SUBSTEPS // 2) + SUBSTEPS // 2) // SUBSTEPS
        ask = bid + piece.spread
        ordinary = _SIZES[field(_SIZE_BITS)]
        units = ordinary * piece.size // 16
        units = np.where(
            ordinary < 100, np.maximum(units, 1), np.maximum(units // 100, 1) * 100
        )  # round lots stay round
        bought = field(_SIDE_BITS) < piece.buy_share
        jitter = field(_JITTER_BITS) % listing.size_unit

        table = np.zeros((COLUMNS, n_trades), np.int64)
        table[0] = ts_ns
        table[1] = np.where(bought, ask, bid) * listing.tick_size
        table[2] = units * listing.size_unit + jitter
        table[3] = bid * listing.tick_size
        table[4] = ask * listing.tick_size
        table[7] = self._index
        if self._quotes:
            lots = 100 * listing.size_unit
            table = self._with_quotes(table, (field(_BID_BITS) + 1) * lots, (field(_ASK_BITS) + 1) * lots)
        self._activity, self._ts_ns, self._noise = int(activity[-1]), int(ts_ns[-1]), int(noise[-1])
        self._quote = int(table[3, -1]), int(table[4, -1])
        return table

    def _with_quotes(self, trades: Int64s, bid_lots: Int64s, ask_lots: Int64s) -> Int64s:
        """Put a quote update half-way before each trade whose bid or ask differs from the trade before."""
        bid_before, ask_before = self._quote
        changed = np.diff(trades[3], prepend=bid_before) != 0
        changed |= np.diff(trades[4], prepend=ask_before) != 0
        half_way = trades[0] - np.diff(trades[0], prepend=self._ts_ns) // 2
        at_trade = np.arange(trades.shape[1]) + np.cumsum(changed)
        at_quote = at_trade[changed] - 1
        table = np.zeros((COLUMNS, trades.shape[1] + len(at_quote)), np.int64)
        table[:, at_trade] = trades
        quotes = (half_way, bid_lots * 0, bid_lots * 0, trades[3], trades[4], bid_lots, ask_lots, trades[7])
        for row, column in enumerate(quotes):
            table[row, at_quote] = column[changed]
        table[8, at_quote] = QUOTE
        return table


def _reflect(walk: Int64s, bound: int) -> Int64s:
    """Fold a walk into ``-bound..bound`` as if it turned back at a wall on either side."""
    return np.abs((walk + bound) % (4 * bound) - 2 * bound) - bound

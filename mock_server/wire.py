"""From columns to frames: the writing end of the wire format ``microburst-mock/1`` (``docs/reference/mock-wire.md``).

Decimal text is looked up, not computed: prices and sizes repeat, so a memory of their spellings does most of the work.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mock_server.listings import Listing
from mock_server.market import TRADE

Int64s = NDArray[np.int64]

MAX_MESSAGES = 1000
"""Messages in one frame at most; with the longest symbol and numbers that is below 300 KiB."""


class Hello(NamedTuple):
    """What a server says about itself in the first frame. ``speed`` 0 means as fast as the reader takes it."""

    clock: str
    heartbeat_ms: int
    seed: int | None
    speed: float
    instruments: Sequence[Listing]

    def frame(self) -> bytes:
        instruments = [
            {"S": listing.symbol, "pp": listing.price_precision, "sp": listing.size_precision}
            for listing in self.instruments
        ]
        message = {"T": "hello", "v": 1, **self._asdict(), "instruments": instruments}
        return frame([json.dumps(message, separators=(",", ":"))])


def heartbeat(ts_ns: int, sent: int) -> bytes:
    """Return the frame that says the line is alive and ``sent`` records have gone over it."""
    return frame([f'{{"T":"h","t":{ts_ns},"n":{sent}}}'])


def end(ts_ns: int, sent: int) -> bytes:
    """Return the frame that says a recording has no more records."""
    return frame([f'{{"T":"end","t":{ts_ns},"n":{sent}}}'])


def frame(messages: Sequence[str]) -> bytes:
    """Return one frame that holds ``messages``."""
    return f"[{','.join(messages)}]".encode("ascii")


class Encoder:
    """Writes the trades and quotes of a fixed set of instruments."""

    def __init__(self, instruments: Sequence[Listing]) -> None:
        # All indexed by instrument.
        self._trade = [f'{{"T":"t","S":"{listing.symbol}","i":' for listing in instruments]
        self._quote = [f'{{"T":"q","S":"{listing.symbol}","t":' for listing in instruments]
        self._price = [_Decimals(listing.price_precision) for listing in instruments]
        self._size = [_Decimals(listing.size_precision) for listing in instruments]
        self._bid = [_Decimals(listing.price_precision, ',"b":') for listing in instruments]
        self._ask = [_Decimals(listing.price_precision, ',"a":') for listing in instruments]

    def messages(self, table: Int64s, ids: Int64s, start_ns: int) -> list[str]:
        """Return one message per record.

        Args:
            table: shape (9, n), rows as in :class:`mock_server.market.Ticks`, times as offsets from ``start_ns``.
            ids: shape (n,), the trade ids (ignored for quotes).
            start_ns: what to add to the times.
        """
        trade, quote, price, size, bid, ask = self._trade, self._quote, self._price, self._size, self._bid, self._ask
        ts_ns = (table[0] + start_ns).tolist()
        records = zip(ids.tolist(), ts_ns, *table[1:].tolist(), strict=True)
        # One formatted string per record and no function call: this line is what a server at 100,000 ticks/s spends
        # its time on.
        return [
            f'{trade[k]}{i},"t":{t},"p":{price[k][p]},"s":{size[k][s]}{bid[k][b]}{ask[k][a]}}}'
            if kind == TRADE
            else f'{quote[k]}{t}{bid[k][b]},"bs":{size[k][bs]}{ask[k][a]},"as":{size[k][as_]}}}'
            for i, t, p, s, b, a, bs, as_, k, kind in records
        ]


class TradeIds:
    """Numbers the trades of each instrument from 1 on."""

    def __init__(self, instruments: int) -> None:
        self._last = np.zeros(instruments, np.int64)

    def number(self, table: Int64s) -> Int64s:
        """Return the ids of the records of ``table``; quotes have 0."""
        ids = np.zeros(table.shape[1], np.int64)
        for index in range(len(self._last)):
            mine = (table[7] == index) & (table[8] == TRADE)
            count = int(np.count_nonzero(mine))
            ids[mine] = self._last[index] + np.arange(1, count + 1)
            self._last[index] += count
        return ids


class _Decimals(dict[int, str]):
    """Spells integers as decimals of a fixed precision, and remembers the spellings.

    With a ``prefix``, a value of 0 ("none") becomes empty text, so that an optional field vanishes from its message.
    """

    _LIMIT = 1 << 16  # spellings kept; enough for any day's prices, and a bound on memory

    __slots__ = ("_precision", "_prefix")

    def __init__(self, precision: int, prefix: str = "") -> None:
        super().__init__()
        self._precision, self._prefix = precision, prefix

    def __missing__(self, units: int) -> str:
        if self._prefix and units == 0:
            text = ""
        elif self._precision == 0:
            text = f"{self._prefix}{units}"
        else:
            whole, fraction = divmod(units, 10**self._precision)
            text = f"{self._prefix}{whole}.{fraction:0{self._precision}d}"
        if len(self) >= self._LIMIT:
            self.clear()
        self[units] = text
        return text

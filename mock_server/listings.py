"""What is listed on the mock market: each symbol's price level, precisions, tick size and usual spread.

The levels are round numbers near what such things have cost; they are scenery, not data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

from mock_server.errors import MockError

SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,23}")


@dataclass(frozen=True, slots=True)
class Listing:
    """A symbol and how it trades.

    ``price_precision`` and ``size_precision`` are numbers of decimals: one price tick is ``10**-price_precision``, one
    lot ``10**-size_precision``. ``level_ticks`` is where the price starts, ``tick_size`` the smallest step of a quote
    in price ticks (25 for a future that moves by 0.25), ``spread`` the usual distance of bid and ask in such steps,
    and ``size_unit`` the lots that make one unit of an ordinary trade.
    """

    symbol: str
    price_precision: int
    size_precision: int
    level_ticks: int = 0
    tick_size: int = 1
    spread: int = 1
    size_unit: int = 1


_KNOWN = {
    listing.symbol: listing
    for listing in (
        Listing("AAPL", 2, 0, level_ticks=170_00, spread=1),
        Listing("AMZN", 2, 0, level_ticks=185_00, spread=2),
        Listing("GOOG", 2, 0, level_ticks=165_00, spread=2),
        Listing("IBM", 2, 0, level_ticks=185_00, spread=3),
        Listing("MSFT", 2, 0, level_ticks=420_00, spread=2),
        Listing("NVDA", 2, 0, level_ticks=125_00, spread=1),
        Listing("QQQ", 2, 0, level_ticks=480_00, spread=2),
        Listing("SPY", 2, 0, level_ticks=560_00, spread=1),
        Listing("TSLA", 2, 0, level_ticks=250_00, spread=4),
        Listing("ES", 2, 0, level_ticks=5600_00, tick_size=25, spread=1),
        Listing("GC", 1, 0, level_ticks=2600_0, spread=2),
        Listing("BTCUSDT", 2, 5, level_ticks=65_000_00, tick_size=10, spread=10, size_unit=31),
        Listing("ETHUSDT", 2, 4, level_ticks=3_200_00, spread=5, size_unit=37),
        Listing("LTCUSDT", 2, 3, level_ticks=85_00, spread=1, size_unit=41),
    )
}


def listings(symbols: Iterable[str]) -> tuple[Listing, ...]:
    """Return the listing of each symbol, in the order given.

    A symbol that is not in the table trades like a share, at a level between 20 and 500 that depends on its name only.

    Raises:
        MockError: there is no symbol, one is given twice, or one has characters no symbol has.
    """
    names = list(symbols)
    if not names:
        raise MockError("no symbol given", where="--symbols", fix="for example --symbols AAPL,MSFT")
    for position, name in enumerate(names):
        if not SYMBOL.fullmatch(name):
            raise MockError(
                f"{name!r} is not a symbol",
                where="--symbols",
                fix="use letters, digits and . _ / -, at most 24 of them",
            )
        if name in names[:position]:
            raise MockError(f"{name} is given twice", where="--symbols", fix="name each symbol once")
    return tuple(_KNOWN.get(name) or _unknown(name) for name in names)


def _unknown(symbol: str) -> Listing:
    level_ticks = 20_00 + crc32(symbol.encode()) % 480_00
    return Listing(symbol, 2, 0, level_ticks=level_ticks, spread=max(1, level_ticks // 100_00))

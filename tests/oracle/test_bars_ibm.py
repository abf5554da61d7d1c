"""Minutes that the engine builds from the trades of IBM on 2013-10-07 against the vendor's own minute bars.

The volumes are equal in every minute but those of the closing auction, which the data's README describes (oddity 4):
the vendor booked the auction, printed at 16:01, into the minute of 15:59. Prices are not compared, since the vendor
leaves some trade conditions out of them.
"""

from __future__ import annotations

from datetime import date

import numpy as np

import engine
from engine.rules import bars, minutes
from tests.shared_data import NEW_YORK_SUMMER, midnight_ns, shared_file, zip_rows

MS = 1_000_000
OFFICIAL = 0x4000000 | 0x1000000
"""Condition bits of the official opening and closing rows, which repeat volume already printed."""
BEFORE_CLOSE, AUCTION = 15 * 60 + 59, 16 * 60 + 1


def test_minutes_of_ibm() -> None:
    midnight = midnight_ns(date(2013, 10, 7), NEW_YORK_SUMMER)
    rows = zip_rows(shared_file("equities/us-tick/ibm/20131007_trade.zip"), "_Trade_Tick")
    ticks = [
        (midnight + int(ms) * MS, int(price), int(size))
        for ms, price, size, _exchange, condition, suspicious in rows
        if suspicious == "0" and not int(condition, 16) & OFFICIAL and int(size) > 0
    ]
    after = ticks[-1][0] + 60_000 * MS  # a trade that closes the last minute
    names = "ts_ns", "price_ticks", "size_lots"
    data = dict(zip(names, map(np.array, zip(*ticks, (after, 1, 1), strict=True)), strict=True))
    minute = bars(minutes(1))
    columns = engine.features(data, {"volume": minute.volume}, price_precision=4, size_precision=0)

    number = data["ts_ns"] // (60_000 * MS)
    closes = np.flatnonzero(np.diff(number)) + 1  # the first trade of each next minute sees the bar of the last one
    of_day = (data["ts_ns"][closes - 1] - midnight) // (60_000 * MS)
    built = dict(zip(of_day.tolist(), columns["volume"][closes].tolist(), strict=True))
    supplied_rows = zip_rows(shared_file("equities/us-minute/ibm/20131007_trade.zip"), "ibm")
    supplied = {int(start) // 60_000: int(volume) for start, *_prices, volume in supplied_rows}

    assert np.isnan(columns["volume"][: closes[0]]).all()
    assert sum(built.values()) == sum(supplied.values()) == 3_960_266
    assert len(built) > 390
    assert {at for at in built | supplied if built.get(at) != supplied.get(at)} == {BEFORE_CLOSE, AUCTION}
    assert built[AUCTION] > 150_000

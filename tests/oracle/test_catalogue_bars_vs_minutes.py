"""The reference's bars against a vendor's: one-minute volumes of IBM on 2013-10-07, built from the consolidated trades.

The data's README (oddity 4) says where the two must differ: the vendor booked the closing auction, printed at 16:01,
into the minute of 15:59. Prices are not compared, since the vendor leaves some trade conditions out of them.
"""

from __future__ import annotations

from datetime import date

from tests.oracle import catalogue as cat
from tests.oracle import catalogue_bars as bars
from tests.oracle.catalogue import Record
from tests.shared_data import NEW_YORK_SUMMER, midnight_ns, shared_file, zip_rows

MS = 1_000_000
MINUTE_NS = 60_000 * MS
OFFICIAL = 0x4000000 | 0x1000000
"""Condition bits of the official opening and closing rows, which repeat volume already printed."""


def test_minute_volumes_of_ibm() -> None:
    midnight = midnight_ns(date(2013, 10, 7), NEW_YORK_SUMMER)
    ticks = zip_rows(shared_file("equities/us-tick/ibm/20131007_trade.zip"), "_Trade_Tick")
    m = cat.market(
        Record(midnight + int(ms) * MS, int(price), int(size))
        for ms, price, size, _exchange, condition, suspicious in ticks
        if suspicious == "0" and not int(condition, 16) & OFFICIAL and int(size) > 0
    )
    built = {(m.trades[bar.first].ts - midnight) // MINUTE_NS: int(bar.volume) for bar in bars.time_bars(m, MINUTE_NS)}
    minutes = zip_rows(shared_file("equities/us-minute/ibm/20131007_trade.zip"), "ibm")
    supplied = {int(start) // 60_000: int(volume) for start, *_prices, volume in minutes}

    assert sum(built.values()) == sum(supplied.values()) == 3_960_266
    assert len(built) > 390
    before_close, auction = 15 * 60 + 59, 16 * 60 + 1
    different = {minute for minute in built | supplied if built.get(minute) != supplied.get(minute)}
    assert different == {before_close, auction}
    assert built[auction] > 150_000

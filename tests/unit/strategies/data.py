"""Recorded markets that the strategies are run on."""

from __future__ import annotations

import csv
import gzip
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import engine
from engine.backtesting import load_ticks
from engine.store.rows import TickFile
from tests.shared_data import EPOCH, load_aapl_lobster, load_ltcusdt, load_spy, shared_file, zip_rows

HEADER = "timestamp,open,high,low,close,volume,symbol\n"
ES_DAYS = ("2013-10-06", "2013-10-07", "2013-10-08", "2013-10-09", "2013-10-10", "2013-10-11")


def ticks(recorded) -> TickFile:
    precision = {"price_precision": recorded.price_precision, "size_precision": recorded.size_precision}
    return load_ticks(recorded.columns(), symbol=recorded.symbol, **precision)


def minutes(relative: str) -> TickFile:
    return engine.read_bars(shared_file(relative), period="1m")


def written(rows: list[str]) -> TickFile:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bars.csv"
        path.write_text(HEADER + "".join(rows), encoding="ascii")
        return engine.read_bars(path, period="1m")


def spy_and_dia() -> TickFile:
    """Minutes of October 2008 of two funds, one stream in the order of time, SPY first in each minute."""
    rows = []
    for symbol in ("SPY", "DIA"):
        path = shared_file(f"equities/etf-minute-history/{symbol}_2008-10.csv.gz")
        with gzip.open(path, "rt", encoding="ascii", newline="") as text:
            rows += [(bar["timestamp"], ",".join([*bar.values(), symbol])) for bar in csv.DictReader(text)]
    return written([f"{row}\n" for _, row in sorted(rows, key=lambda each: each[0])])


def es_minutes() -> TickFile:
    """The December 2013 future, one week of October 2013, from Sunday evening to Friday."""
    rows = []
    for day in map(date.fromisoformat, ES_DAYS):
        midnight = datetime(day.year, day.month, day.day, tzinfo=EPOCH.tzinfo)
        path = shared_file(f"futures/es-minute/{day:%Y%m%d}_trade.zip")
        for ms, *values in zip_rows(path, "201312"):
            start = midnight + timedelta(milliseconds=int(ms))
            rows.append(f"{start:%Y-%m-%dT%H:%M:%SZ},{','.join(values)},ES\n")
    return written(rows)


MARKETS = {
    "aapl": (lambda: ticks(load_aapl_lobster()), "us_equities"),
    "spy": (lambda: ticks(load_spy()), "us_equities"),
    "ltcusdt": (lambda: ticks(load_ltcusdt()), "always"),
    "spy_minutes": (lambda: minutes("equities/etf-minute-history/SPY_2008-10.csv.gz"), "us_equities"),
    "spy_overnight": (lambda: minutes("equities/etf-minute-history/SPY_2008-10.csv.gz"), "always"),
    "iwm_minutes": (lambda: minutes("equities/etf-minute-history/IWM_2008-09.csv.gz"), "us_equities"),
    "spy_dia": (spy_and_dia, "us_equities"),
    "es": (es_minutes, "globex"),
}
"""Reader and calendar by name."""


@cache
def market(name: str) -> tuple[TickFile, str]:
    """Ticks or bars with the calendar to run them under."""
    reader, calendar = MARKETS[name]
    return reader(), calendar

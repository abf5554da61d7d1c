"""A strategy in bad weather: recorded crashes where their files are at hand, and generated days that misbehave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from engine.account.pairs import whole_trades
from engine.backtesting import load_ticks
from engine.errors import DataError, UserError
from engine.events import DayStarted, Decision, Refusal, SignalRefused, TradingHalted, TradingResumed
from engine.results import BacktestResult
from engine.store.bars import read_bars
from engine.store.ticks import TickFile
from engine.tools.tick_days import binance_day, consolidated_day, lobster_day
from engine.tools.weather import DAYS, storm

SCHEMA = "microburst.stress/1"

CALENDAR, CRYPTO_CALENDAR = "us_equities", "always"
"""The sessions of every scenario, and of those in which crypto is traded."""

BARS = "equities/etf-minute-history/"
RECORDED = {
    "SPY, September 2001": f"{BARS}SPY_2001-09.csv.gz",
    "QQQ, June 2004, bad prints": f"{BARS}QQQ_2004-06.csv.gz",
    "SPY, September 2008": f"{BARS}SPY_2008-09.csv.gz",
    "IWM, September 2008, bad prints": f"{BARS}IWM_2008-09.csv.gz",
    "SPY, October 2008": f"{BARS}SPY_2008-10.csv.gz",
    "DIA, October 2008": f"{BARS}DIA_2008-10.csv.gz",
}
"""Files of minute bars by what they hold, below the folder that is named."""

LOBSTER, TICKS = "equities/lobster-2012-06-21/LOBSTER_SampleFile_", "equities/us-tick/"
TICK_DAYS: dict[str, tuple[str, Callable[[Path], TickFile]]] = {
    f"{symbol}, {day:%-d %B %Y}, ticks": (path, partial(read, symbol=symbol, day=day))
    for symbol, day, path, read in (
        ("AAPL", date(2012, 6, 21), f"{LOBSTER}AAPL_2012-06-21_1.zip", lobster_day),
        ("GOOG", date(2012, 6, 21), f"{LOBSTER}GOOG_2012-06-21_1.zip", lobster_day),
        ("SPY", date(2013, 10, 7), f"{TICKS}spy/20131007_trade.zip", consolidated_day),
        ("SPY", date(2013, 10, 9), f"{TICKS}spy/20131009_trade.zip", consolidated_day),
        ("SPY", date(2013, 10, 10), f"{TICKS}spy/20131010_trade.zip", consolidated_day),
        ("IBM", date(2013, 10, 7), f"{TICKS}ibm/20131007_trade.zip", consolidated_day),
        ("BAC", date(2013, 10, 7), f"{TICKS}bac/20131007_trade.zip", consolidated_day),
    )
}
"""Days of ticks by what they hold: where they are below the folder, and how they are read."""

LTC = "crypto/ltcusdt-binance-trades-2025-06"
CRYPTO_DAYS: dict[str, tuple[str, Callable[[Path], TickFile]]] = {
    **{
        f"LTCUSDT, {day:%-d %B %Y}, ticks": (LTC, partial(binance_day, symbol="LTCUSDT", day=day))
        for day in (date(2025, 6, 21), date(2025, 6, 22))
    },
    "BTCUSDT perpetual, 22 February 2020, ticks": (
        "crypto/btcusdt-binance-futures-trades-2020-02-22/trades.csv.gz",
        load_ticks,
    ),
    "BTC-USD, an hour of 5 September 2023, ticks": (
        "crypto/btcusd-coinbase-trades-2023-09-05/btc_trades.csv.gz",
        load_ticks,
    ),
}
"""Likewise of crypto, which trades around the clock: days that the recorder has not seen all of, and parts of days."""

OWN_REFUSALS = (Refusal.POSITION_OPEN, Refusal.REGIME, Refusal.NO_EXIT, Refusal.NO_QUOTE)
"""Refusals that are no limit's."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A day or month to run through."""

    name: str
    read: Callable[[], TickFile]
    calendar: str = CALENDAR


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a scenario; money in the account's currency. ``refused`` says why it could not be run, if so."""

    scenario: str
    trades: int = 0
    net: Decimal = Decimal(0)
    max_drawdown: Decimal = Decimal(0)
    worst_trade: Decimal = Decimal(0)
    limits: dict[str, int] = field(default_factory=dict)
    halted_ns: int = 0
    refused: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        values = asdict(self)
        return {name: float(value) if isinstance(value, Decimal) else value for name, value in values.items()}


def scenarios(folder: Path | None, seed: int) -> list[Scenario]:
    """What there is to run through: of ``folder`` the recorded months and days, and every generated day.

    Raises:
        DataError: the folder has none of them.
    """
    recorded = []
    if folder is not None:
        files = {name: (path, read_bars) for name, path in RECORDED.items()} | TICK_DAYS | CRYPTO_DAYS
        if not any((folder / path).exists() for path, _ in files.values()):
            fix = f"it is the folder that has {next(iter(RECORDED.values()))}; or leave --data out"
            raise DataError("none of the recorded months and days is here", where=str(folder), fix=fix)
        recorded = [
            Scenario(
                name,
                partial(_recorded, folder / path, read),
                CRYPTO_CALENDAR if name in CRYPTO_DAYS else CALENDAR,
            )
            for name, (path, read) in files.items()
        ]
    return [*recorded, *(Scenario(day, partial(storm, day, seed)) for day in DAYS)]


def _recorded(path: Path, read: Callable[[Path], TickFile]) -> TickFile:
    """Read a recorded file, or say that it is not there."""
    if not path.exists():
        raise DataError("this folder does not have it", where=str(path))
    return read(path)


def stress(run: Callable[[TickFile, str], BacktestResult], chosen: Sequence[Scenario]) -> list[Outcome]:
    """Run through scenarios, one after another; what is not there or cannot be run on is said, and is no failure.

    Args:
        run: runs strategies made anew, so that no scenario knows of another, over a file by a calendar.
        chosen: from ``scenarios``.

    Raises:
        UserError: not one of them could be run.
    """
    found, refused = list[Outcome](), list[UserError]()
    for scenario in chosen:
        try:
            found.append(outcome_of(scenario.name, run(scenario.read(), scenario.calendar)))
        except UserError as error:
            found.append(Outcome(scenario.name, refused=error.line()))
            refused.append(error)
    if refused and len(refused) == len(found):
        raise refused[-1]  # of a generated day: what is in the way is no missing file
    return found


def outcome_of(name: str, result: BacktestResult) -> Outcome:
    """What came of one run."""
    metrics, decisions = result.metrics, result.journal.decisions
    limits = Counter(str(one.reason) for one in decisions if isinstance(one, TradingHalted))
    limits += Counter(
        str(one.reason) for one in decisions if isinstance(one, SignalRefused) and one.reason not in OWN_REFUSALS
    )
    return Outcome(
        scenario=name,
        trades=metrics["trades"],
        net=metrics["net"],
        max_drawdown=metrics["max_drawdown"],
        worst_trade=min((trade.net for trade in whole_trades(result.trades)), default=Decimal(0)),
        limits=dict(sorted(limits.items())),
        halted_ns=halted_ns(decisions, result.kernel.core.engine_ts_ns),
    )


def halted_ns(decisions: Sequence[Decision], end_ns: int) -> int:
    """For how long nothing could be opened because a limit had halted trading.

    A daily loss halts until the next trading day begins, whatever else until somebody resumes, or the end.
    """
    total = since = 0
    daily = True
    for one in decisions:
        if isinstance(one, TradingHalted) and one.reason != Refusal.PAUSED:
            since, daily = since or one.ts_ns, daily and one.reason == Refusal.DAILY_LOSS
        elif since and (isinstance(one, TradingResumed) or (isinstance(one, DayStarted) and daily)):
            total, since, daily = total + one.ts_ns - since, 0, True
    return total + (end_ns - since if since else 0)

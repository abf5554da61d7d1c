"""A backtest: the kernel over recorded ticks, and what came of it.

There is no second implementation of anything: the kernel, the core, risk and the paper venue are those that trade.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from engine import events
from engine._core import Core
from engine._csv import FIELDS
from engine.account.limits import profile, tightest, with_limits
from engine.account.portfolio import Portfolio
from engine.account.risk import RiskGate
from engine.brokers.fills import LADDER, NAMES, Fills
from engine.brokers.paper import PaperBroker, VenueModel
from engine.calendars import calendar as find_calendar
from engine.config.latency import parse_latency
from engine.errors import ConfigError, DataError, nearest
from engine.events import Decision
from engine.journal.writer import MemoryJournal
from engine.latency import AT_ONCE, Latency
from engine.lineup import Entrant, Line, assignments_of, entrants_of, line_up, strategy_class
from engine.model import Instrument, TickBlock
from engine.plugins import find_strategy
from engine.ports import Journal
from engine.quantities import Fee, Number, parse_fee, parse_number, parse_ratio
from engine.results import BacktestResult
from engine.run_settings import Settings
from engine.sessions.rules import SessionRules
from engine.sizing import Size, parse_size
from engine.store.order import in_order, refuse_disorder
from engine.store.rows import columns_of, first_bad_row
from engine.store.ticks import OnBadRow, TickFile, from_frame, read_ticks
from engine.strategy import Strategy
from engine.tools.periods import read_period, until
from engine.trading.kernel import Kernel

TOLD_RECORDS = 1 << 20
"""Records between two words on how far a run is."""

Chosen = str | type[Strategy] | Strategy
"""A strategy as it is named: by name, class or instance."""


def backtest(
    ticks: Any,
    strategy: Chosen | Sequence[Chosen | Entrant] = "momentum_burst",
    *,
    symbol: str | None = None,
    price_precision: int | None = None,
    size_precision: int | None = None,
    quotes: str | Path | None = None,
    on_bad_row: OnBadRow = "stop",
    start: str | date | None = None,
    end: str | date | None = None,
    days: int | None = None,
    fills: str | None = None,
    spread: Number | None = None,
    slippage_bps: Number = 0,
    fee: Number | Fee = 0,
    latency_feed: Number | Latency = 0,
    latency_order: Number | Latency = 0,
    maker_fee: Number | Fee | None = None,
    borrow_rate: Number = 0,
    shorting: bool = True,
    calendar: str = "always",
    session_rules: Mapping[str, str] | None = None,
    starting_cash: Number = 10_000,
    position_size: Number = 1,
    size: str | Size | None = None,
    risk_profile: str | None = None,
    limits: Mapping[str, object] | None = None,
    daily_loss_limit: Number | None = None,
    risk_free_rate: Number = 0,
    told: Callable[[str, int, int], None] | None = None,
    **parameters: Any,
) -> BacktestResult:
    """Run a strategy over recorded ticks.

    Args:
        ticks: a path (CSV, CSV.gz, Parquet), a ``TickBlock`` or mapping of its integer columns (``ts_ns``,
            ``price_ticks``, ``size_lots``, …; taken in place, not copied), or a polars or pandas frame or a mapping
            with ``timestamp``, ``price``, ``size`` and optionally ``bid``, ``ask``, ``symbol``; or what ``read_ticks``
            gave, or ``read_bars``: then the run is one on bars. Symbols one after the other are merged by time.
        strategy: a built-in name, ``path/to/file.py:Class``, a strategy class, or an instance; or a list of these, or
            of lines such as ``"vwap_scalp weight=0.5 symbols=AAPL"`` (``engine.lineup``), to run together.
        symbol, price_precision, size_precision, quotes, on_bad_row: how the ticks are read (``engine.store.ticks``).
        start, end: first and last day to trade, as ``"2024-01-31"`` or ``date(2024, 1, 31)``; days of the calendar's
            exchange. What was recorded before warms windows up.
        days: instead of ``start``, so many trading days up to the last.
        fills: a rung of the ladder, ``"last"``, ``"touch"``, ``"through"``, ``"queue"`` or ``"worst"``
            (``engine.brokers.fills``); None: touch where there are quotes or a spread is given, else last.
        spread: bid-ask spread in currency, centred on the last trade; it is used instead of the data's own quotes.
        slippage_bps: cost of every fill in basis points of its value.
        fee: ``"5bps"``, ``"0.005/share"``, ``"2.25/contract"``.
        maker_fee: of orders that waited at the venue; None: as ``fee``.
        borrow_rate, shorting: what borrowing costs a year, a ratio of the value sold short; False: nothing is lent.
        latency_feed, latency_order: delays of the two legs: ``"2ms"``, a bare number is seconds;
            ``"sampled median 2ms p99 20ms seed 1"``, ``"file delays.csv"`` (``engine.latency``).
        session_rules: when within sessions entries are allowed and when everything is closed, as the configuration
            writes it: ``{"avoid": "12:00-14:00", "flatten_before_close": "15m"}`` (``engine.sessions.rules``).
        calendar: trading sessions, ``"always"``, ``"us_equities"``, ``"globex"``, or an exchange such as ``"XNYS"``.
        starting_cash: equity at the start.
        position_size: units of every entry, where neither ``size`` nor the strategy says how large it is.
        size: how large entries are, as ``"500 dollars"``, ``"1% risk"`` (``engine.sizing``); None: it decides.
        risk_profile: limits to start from (``engine.account.limits``); None: those that the strategy names.
        limits: single limits over the profile's, by name: ``{"max_position_units": 3, "daily_loss_limit": "off"}``.
        daily_loss_limit: the same as in ``limits``.
        risk_free_rate: of a year; what the Sharpe and Sortino ratios are measured against.
        told: is told how far the run is: the name of the step, records done, and how many there are.
        parameters: parameters of the strategy by name, such as ``window="7s"``.

    Raises:
        UserError: ticks, a setting or the strategy is invalid; the message says which and how to mend it.
    """
    file = load_ticks(
        ticks,
        symbol=symbol,
        price_precision=price_precision,
        size_precision=size_precision,
        quotes=quotes,
        on_bad_row=on_bad_row,
    )
    chosen = make_strategies(strategy, parameters)
    settings = make_settings(
        file.block,
        chosen,
        fills=fills,
        spread=spread,
        slippage_bps=slippage_bps,
        fee=fee,
        latency_feed=latency_feed,
        latency_order=latency_order,
        maker_fee=maker_fee,
        borrow_rate=borrow_rate,
        shorting=shorting,
        calendar=calendar,
        session_rules=session_rules,
        starting_cash=starting_cash,
        position_size=position_size,
        size=size,
        risk_profile=risk_profile,
        limits=limits,
        daily_loss_limit=daily_loss_limit,
        risk_free_rate=risk_free_rate,
    )
    period = read_period(file, find_calendar(calendar), start, end, days)
    settings = replace(settings, begins_ns=period.begins_ns, ends_ns=period.ends_ns)
    return simulate(until(file, period.ends_ns), chosen, settings, told=told)


def simulate(
    file: TickFile,
    strategy: Line,
    settings: Settings,
    following: Following | None = None,
    told: Callable[[str, int, int], None] | None = None,
) -> BacktestResult:
    """Run the kernel over all records of a file; ``following`` notes on which record each decision was made.

    With ``told`` the records are processed piece by piece, which changes no decision.

    Raises:
        UserError: ticks, a setting or the strategy is invalid.
    """
    journal = following or MemoryJournal()
    kernel = make_kernel(file.instruments, strategy, settings, journal)
    if following is not None:
        following.core = kernel.core
    count = len(file.block)
    piece = count if told is None else TOLD_RECORDS
    for start in range(0, count, piece or 1):
        kernel.process(file.block.part(start, min(start + piece, count)))
        if told is not None:
            told("trading", min(start + piece, count), count)
    kernel.process(events.End())
    check_accepted(file, kernel)
    return BacktestResult(file, entrants_of(strategy), settings, kernel, journal)


class Following(MemoryJournal):
    """A journal that also keeps the record on which each decision was made: the last one taken by then."""

    core: Core

    def __init__(self) -> None:
        super().__init__()
        self.records: list[int] = []
        self.append = self._append

    def _append(self, decision: Decision) -> None:
        self.decisions.append(decision)
        self.records.append(self.core.event_record_number)


def make_settings(
    block: TickBlock,
    strategy: Line | None = None,
    *,
    fills: str | None = None,
    spread: Number | None = None,
    slippage_bps: Number = 0,
    fee: Number | Fee = 0,
    latency_feed: Number | Latency = 0,
    latency_order: Number | Latency = 0,
    maker_fee: Number | Fee | None = None,
    borrow_rate: Number = 0,
    shorting: bool = True,
    calendar: str = "always",
    session_rules: Mapping[str, str] | None = None,
    starting_cash: Number = 10_000,
    position_size: Number = 1,
    size: str | Size | None = None,
    risk_profile: str | None = None,
    limits: Mapping[str, object] | None = None,
    daily_loss_limit: Number | None = None,
    risk_free_rate: Number = 0,
) -> Settings:
    """Read the settings of ``backtest``; left open, ``block`` decides the fills and ``strategy`` the limits."""
    check_kind("fills", fills, str, "'touch'")
    check_kind("calendar", calendar, str, "'us_equities'")
    check_kind("risk_profile", risk_profile, str, "'standard'")
    check_kind("session_rules", session_rules, Mapping, "{'avoid': 'midday'}")
    check_kind("limits", limits, Mapping, "{'max_drawdown': '10%'}")
    delays = {"latency_feed": latency_feed, "latency_order": latency_order}
    latencies = {name: parse_latency(delay, where=name) for name, delay in delays.items()}
    late = next((name for name, latency in latencies.items() if latency != AT_ONCE), None)
    if block.start_ns is not None and late is not None:
        what = "a bar does not tell what the price was a moment later"
        raise ConfigError(what, where=late, fix="set it to 0, or give ticks")
    return Settings(
        venue=VenueModel(
            fills=choose_fills(block, fills, spread),
            spread=None if spread is None else positive("spread", parse_number(spread, where="spread")),
            slippage_bps=positive("slippage_bps", parse_number(slippage_bps, where="slippage_bps")),
            fee=fee if isinstance(fee, Fee) else parse_fee(fee, where="fee"),
            **latencies,
            maker_fee=maker_fee
            if maker_fee is None or isinstance(maker_fee, Fee)
            else parse_fee(maker_fee, where="maker_fee"),
            borrow_rate=positive("borrow_rate", parse_ratio(borrow_rate, where="borrow_rate")),
            shorting=shorting,
        ),
        calendar=calendar,
        session_rules={key: text for key, text in (session_rules or {}).items() if text.strip()},
        starting_cash=parse_number(starting_cash, where="starting_cash"),
        position_size=parse_number(position_size, where="position_size"),
        size=chosen_size(strategy, size),
        risk_free_rate=parse_ratio(risk_free_rate, where="risk_free_rate"),
        **chosen_limits(strategy, risk_profile, {"daily_loss_limit": daily_loss_limit} | dict(limits or {})),
    )


def check_kind(name: str, value: object, kind: type, example: str) -> None:
    """Refuse an argument of another kind; None is one that is left open."""
    if value is not None and not isinstance(value, kind):
        what = "text" if kind is str else "a dict"
        raise ConfigError(f"{value!r} is not {what}", where=name, fix=f"write for example {name}={example}")


def chosen_size(strategy: Line | None, given: str | Size | None) -> Size | None:
    """How large entries are: as given, else as a strategy that is alone declares; None: each of a line-up by itself."""
    if isinstance(given, str):
        return parse_size(given, where="size")
    if given is not None and not hasattr(given, "units"):
        raise ConfigError(f"{given!r} is no size", where="size", fix="write for example size='2% risk', or Units(5)")
    return strategy.size if given is None and isinstance(strategy, Strategy) else given


def chosen_limits(strategy: Line | None, named: str | None, given: Mapping[str, object]) -> dict[str, Any]:
    """The account's limits, and the profile that they start from; of a line-up the strictest of what each one names."""
    wanted = [] if strategy is None else [entrant.strategy.risk_profile for entrant in entrants_of(strategy)]
    names = [named] if named else list(dict.fromkeys(wanted)) or ["standard"]
    start = tightest(profile(name).limits for name in names)
    return {"limits": with_limits(start, given), "risk_profile": " + ".join(names)}


def make_kernel(
    instruments: Sequence[Instrument],
    strategy: Line | None,
    settings: Settings,
    journal: Journal,
    **more: Any,
) -> Kernel:
    """Compose a kernel with the paper venue, and the strategies of a line-up, or none."""
    portfolio = Portfolio(instruments, settings.starting_cash, settings.venue.borrow_rate)
    return Kernel(
        instruments,
        [] if strategy is None else assignments_of(strategy, instruments, settings),
        calendar=find_calendar(settings.calendar),
        rules=SessionRules.read(settings.session_rules),
        portfolio=portfolio,
        risk=RiskGate(settings.limits, portfolio),
        broker=PaperBroker(settings.venue, portfolio),
        journal=journal,
        begins_ns=settings.begins_ns,
        **more,
    )


def load_ticks(ticks: Any, *, symbol: str | None = None, **options: Any) -> TickFile:
    """Take ticks in any of the accepted forms."""
    if options.get("quotes") is not None and not isinstance(ticks, str | Path):
        raise ConfigError("a quote file goes with a tick file", where="quotes", fix="give ticks bid and ask columns")
    if isinstance(ticks, TickFile):
        return ticks
    if isinstance(ticks, str | Path):
        return read_ticks(ticks, symbol=symbol, **options)
    if isinstance(ticks, Mapping) and "price_ticks" in ticks:
        unknown = sorted(set(ticks) - set(TickBlock.__slots__))
        if unknown:
            raise DataError(f"there is no column '{unknown[0]}'", fix=nearest(unknown[0], TickBlock.__slots__))
        missing = [name for name in ("ts_ns", "size_lots") if name not in ticks]
        if missing:
            raise DataError(f"the column '{missing[0]}' is missing")
        ticks = TickBlock(**{name: integers(name, values) for name, values in ticks.items() if values is not None})
    if isinstance(ticks, TickBlock):
        ticks = TickBlock(**{name: integers(name, values) for name, values in columns_of(ticks).items()})
        check_lengths(ticks)
        instruments = 1 if ticks.instrument is None else int(ticks.instrument.max(initial=0)) + 1
        price, size = options.get("price_precision"), options.get("size_precision")
        names = [symbol or "ticks"] if instruments == 1 else [f"{symbol or 'ticks'}{i}" for i in range(instruments)]
        made = [Instrument(name, 2 if price is None else price, size or 0) for name in names]
        file = TickFile(ticks, made, source="arrays", late=None)
        return file if ticks.instrument is None else in_order(file)  # of one symbol nothing is to be put in order
    options.pop("quotes", None)
    return from_frame(ticks, symbol=symbol, **options)


def check_lengths(block: TickBlock) -> None:
    """Refuse columns that do not belong together."""
    bars = {name: getattr(block, name) is not None for name in ("open_ticks", "high_ticks", "low_ticks", "start_ns")}
    if any(bars.values()):
        for name, given in bars.items():
            if not given:
                raise DataError(f"the column '{name}' is missing", fix="bars have open, high, low and start")
        if block.bid_ticks is not None or block.ask_ticks is not None or block.kind is not None:
            raise DataError("bars have no quotes", fix="leave out bid_ticks, ask_ticks and kind")
    for name, values in columns_of(block).items():
        if len(values) != len(block):
            raise DataError(f"the column '{name}' has {len(values):,} rows and 'ts_ns' {len(block):,}")


def integers(name: str, values: Any) -> Any:
    """Return a column with its exact integer type, without a copy where it already has it."""
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        raise DataError(f"the column '{name}' has not one value per row", fix="pass one number per row") from None
    if array.ndim > 1:
        what = f"the column '{name}' has shape {array.shape}, expected one value per row"
        raise DataError(what, fix=f"pass one column of it: {name}[:, 0]")
    if array.dtype.kind not in "iub":
        raise DataError(f"the column '{name}' holds {array.dtype}, not integers", fix="pass decimals as price and size")
    wanted = {"instrument": np.uint16, "kind": np.uint8}.get(name, np.int64)
    return np.ascontiguousarray(array, wanted)


def make_strategies(strategy: Chosen | Sequence[Chosen | Entrant], parameters: Mapping[str, Any]) -> Line:
    """Return a strategy, or a line-up where a list is given."""
    if isinstance(strategy, str | type | Strategy) or not isinstance(strategy, Sequence):
        return make_strategy(strategy, parameters)
    if parameters:
        fix = f"write '{next(iter(parameters))}=...' in its line"
        raise ConfigError("parameters belong to one strategy of several", fix=fix)
    return line_up(strategy)


def make_strategy(strategy: str | type[Strategy] | Strategy, parameters: Mapping[str, Any]) -> Strategy:
    """Return a strategy instance from a name, class or instance."""
    if isinstance(strategy, Strategy):
        if parameters:
            raise ConfigError("parameters belong to a strategy's class", fix="pass the class instead of an instance")
        return strategy
    found = find_strategy(strategy) if isinstance(strategy, str) else strategy_class(strategy)
    return found(**parameters)


def choose_fills(block: TickBlock, fills: str | None, spread: Number | None) -> Fills:
    """Return the fill model: the one asked for if it is possible, else the best that the data allows."""
    if fills is None:
        return "touch" if is_quoted(block) or spread is not None else "last"
    if fills == "last" and spread is not None:
        raise ConfigError("fills at the last price have no spread", where="spread", fix="use fills touch, or no spread")
    if fills not in NAMES:
        raise ConfigError(f"there is no fill model '{fills}'", where="fills", fix=nearest(fills, NAMES))
    if LADDER[fills].crosses and not is_quoted(block) and spread is None:
        raise DataError(
            f"{fills} fills need quotes and the ticks have none",
            fix="add bid and ask columns or a quote file, assume a spread with --spread 0.01, or use --fills last",
        )
    if fills == "queue" and (block.bid_lots is None or block.ask_lots is None):
        what = "queue fills need the sizes displayed with the quotes, and there are none"
        raise DataError(what, fix="give ticks with bid and ask sizes, or use --fills through")
    if fills == "worst" and block.start_ns is not None:
        raise DataError("a bar does not tell how much was traded beyond a price", fix="use --fills through")
    return fills


def is_quoted(block: TickBlock) -> bool:
    """Whether there are quotes at all."""
    return block.bid_ticks is not None and block.ask_ticks is not None and bool(block.bid_ticks.any())


def rungs_of(block: TickBlock, spread: Number | None) -> list[Fills]:
    """The fill models that the data allows, the most hopeful first."""
    found: list[Fills] = []
    for rung in NAMES:
        try:
            found.append(choose_fills(block, rung, None if rung == "last" else spread))
        except DataError:
            continue
    return found


def positive(name: str, value: Fraction) -> Fraction:
    """Refuse a negative cost or limit."""
    if value < 0:
        raise ConfigError(f"{name} is negative", where=name, fix="it must be zero or more")
    return value


def check_accepted(file: TickFile, kernel: Kernel) -> None:
    """Refuse ticks of which the core had to leave some out: a result over fewer ticks than given would be a lie.

    Nor is there one over the ticks of one symbol that are in no order.
    """
    if file.late is None:
        file.late = kernel.core.late
        refuse_disorder(file, file.late)
    refused = kernel.core.rejected
    if refused:
        row, field, _ = first_bad_row(file.block)
        what = f"{refused:,} ticks are invalid, the first at row {row}" + (f" ({FIELDS[field]})" if row >= 0 else "")
        raise DataError(what, where=file.source, fix="prices and sizes are positive integers below 2**40")

"""What the engine and its viewers say to each other; shared by both, so neither can misread the other.

The engine publishes one :class:`Snapshot` at most 30 times a second. The terminal draws it directly; a viewer in
another process (the dashboard) receives it over loopback, first whole and then as numbered updates in which only the
newest state survives: a slow viewer gets the latest picture, never a backlog.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class FeatureView:
    """One declared condition as it stands now: ``value`` against ``threshold``, NaN while it is not warm."""

    name: str
    value: float
    op: str  # ">=", ">", "<=", "<"
    threshold: float
    passed: bool
    unit: str = ""  # "%", "x", "price" or ""


@dataclass(slots=True)
class PositionView:
    """An open position with its protective levels as plain prices (0 when there is none)."""

    side: str  # "long" or "short"
    qty: float
    entry_ts_ns: int
    entry_price: float
    stop_price: float
    target_price: float
    deadline_ts_ns: int  # time stop; 0 when there is none
    open_pnl: float


@dataclass(slots=True)
class TradeView:
    """A closed trade as the tables and chart markers show it."""

    number: int
    symbol: str
    side: str
    qty: float
    entry_ts_ns: int
    exit_ts_ns: int
    entry_price: float
    exit_price: float
    reason: str
    gross: float
    costs: float
    net: float


@dataclass(slots=True)
class SymbolView:
    """The state of one instrument. ``points`` are the (conflated) trades since the previous snapshot."""

    symbol: str
    price_precision: int
    price: float
    bid: float
    ask: float
    ticks: int
    last_ts_ns: int
    warm: bool
    vwap: float
    vwap_sd: float
    features: list[FeatureView] = field(default_factory=list)
    position: PositionView | None = None
    points: list[tuple[int, float, float, float, float, float]] = field(default_factory=list)
    # each point: ts_ns, price, bid, ask, vwap, vwap_sd


@dataclass(slots=True)
class AccountView:
    """Money and results so far. Money is in the account currency; ``win_rate`` is a fraction, NaN before a trade."""

    cash: float
    equity: float
    daily_pnl: float
    total_pnl: float
    open_pnl: float
    max_drawdown: float
    current_drawdown: float
    trades: int
    wins: int
    losses: int
    win_rate: float
    gross: float
    spread_cost: float
    slippage_cost: float
    fees: float
    halted: str = ""  # the reason why nothing may be opened, or ""


@dataclass(slots=True)
class FeedView:
    """Health of the feed, as in :class:`engine.ports.FeedHealth`."""

    state: str
    address: str
    detail: str
    accepted: int
    rejected: dict[str, int]
    bad_frames: dict[str, int]
    late: int
    gaps: int
    reconnects: int
    queue_ticks: int
    age_ms: float
    ticks_per_s: float


@dataclass(slots=True)
class Snapshot:
    """Everything a viewer shows at one moment. ``seq`` rises by one for each one published."""

    seq: int
    mode: str  # "PAPER", "DEMO", "REPLAY"
    session_id: str
    strategy: str
    engine_ts_ns: int
    started_ts_ns: int
    symbols: list[SymbolView]
    account: AccountView
    feed: FeedView
    latency_p50_us: float  # receive stamp to decision, NaN before the first
    latency_p99_us: float
    refusals: dict[str, int]
    skipped_signals: int
    new_trades: list[TradeView] = field(default_factory=list)  # since the previous snapshot
    ticks_tail: list[tuple[int, str, float, float, float, float]] = field(default_factory=list)
    # newest last, at most 50 since the previous snapshot: ts_ns, symbol, price, size, bid, ask
    ended: str = ""  # why the session is over, or ""

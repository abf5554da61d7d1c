"""What the engine and its viewers say to each other; shared by both, so neither can misread the other.

The engine publishes one :class:`Snapshot` at most 30 times a second. The terminal draws it directly; a viewer in
another process (the dashboard) receives it over loopback: first one :class:`History`, then numbered snapshots in
which only the newest state survives, so a slow viewer gets the latest picture, never a backlog.

The conversation, each frame a length and one JSON object::

    viewer  {"hello": {"version": 3, "token": "...", "control": "..."}}
    engine  {"history": {...}}   {"snapshot": {...}}   {"snapshot": {...}} ...        or {"refused": {...}} and the end
    viewer  {"command": {"name": "pause", "reason": ""}}
    engine  {"done": {"name": "pause", "ts_ns": 1700000000000000000, "state": "reducing", "detail": "paused"}}

To watch takes the first token, to command the second, ``control``, which is in a file of its own: so a watcher can be
given the one without the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import numpy as np
import orjson

from engine.secret import NO_SECRET, Secret

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 4
"""Of this protocol; both sides must say the same."""

COMMANDS = ("pause", "resume", "flatten", "halt", "stop")
"""What a viewer may ask of an engine. Nothing else crosses in that direction."""

MAX_FRAME_BYTES = 16 << 20
MAX_COMMAND_BYTES = 4096
"""Longest frame from the engine, and from a viewer. A longer one ends the connection."""

MAX_POINTS = 2000
MAX_TICKS_TAIL = 50
"""Most points per symbol and ticks in one snapshot; :func:`thin` halves what is beyond."""

NEARLY = 0.8
"""From so much of a limit on that closes everything, it is worth a look."""

MOST_DECIMALS = 8
"""Of an amount of money; one that needs more, as a fee in basis points may, is rounded there."""

_PREFIX = 4


def decimals(*amounts: float, least: int = 2) -> int:
    """Return how many decimals show all of ``amounts`` exactly, so that what adds up does so for the reader too."""
    return next((n for n in range(least, MOST_DECIMALS) if all(round(one, n) == one for one in amounts)), MOST_DECIMALS)


def state_in_words(state: str, halted: str) -> str:
    """A state and why it is so, each said once: of halted and ``halted: a bad day`` the latter."""
    why = halted.removeprefix(state).removeprefix(": ")
    return f"{state}: {why}" if why else state


@dataclass(slots=True)
class FeatureView:
    """One declared condition as it stands now: ``value`` against ``threshold``, NaN while it is not warm."""

    name: str
    value: float
    op: str  # ">=", ">", "<=", "<", "==", "!="
    threshold: float
    passed: bool
    unit: str = ""  # "%" (ratios, shown in percent), "x", "price", "size", "s", "truth" (1 and 0 are yes and no) or ""
    strategy: str = ""  # whose it is, where there are several
    side: str = ""  # "long" or "short" where it counts for that side alone
    against: str = ""  # what the threshold is, where it is no constant: "vwap(session)"


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
    strategy: str = ""  # whose it was, where there are several


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
class GaugeView:
    """A limit of risk that is on, how much of it is used, and its bound."""

    name: str  # as in the configuration
    use: float
    bound: float
    measure: str  # "ratio" (a fraction), "money", "units", "number" or "count"
    reached: str = "refuse"  # what happens then: "close" (everything), "day" (no more entries today) or "refuse" (one)

    @property
    def share(self) -> float:
        """How much of it is used, as a fraction of its bound."""
        return self.use / self.bound if self.bound else 1.0

    @property
    def urgency(self) -> int:
        """0: nothing to look at; 1: soon, or no more entries today; 2: reached, and everything is closed for it."""
        if self.reached == "close":
            return 2 if self.share >= 1 else int(self.share >= NEARLY)
        return int(self.reached == "day" and self.share >= 1)


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
    borrow_cost: float = 0.0  # of what was sold short
    halted: str = ""  # the reason why nothing may be opened, or ""
    state: str = "active"  # "active", "reducing" (nothing is opened for now) or "halted" (until resumed with a reason)
    gauges: list[GaugeView] = field(default_factory=list)


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
    data_age_ms: float = 0.0  # of the oldest data decided on since the previous snapshot
    old_batches: int = 0  # batches of records that were too old to open anything on


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
    problem: str = ""  # what went wrong last while the session goes on, in a line, or ""


# ---------------------------------------------------------------------------------------------------------------
# Messages
# ---------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Hello:
    """The first frame of a viewer: who may watch is decided by the token in the rendezvous file.

    ``control`` is the token of who may command; empty for a viewer that only watches.
    """

    version: int
    token: Secret
    control: Secret = NO_SECRET


@dataclass(slots=True)
class Command:
    """A viewer's wish; ``name`` is one of :data:`COMMANDS`, ``reason`` what a halt is ended for."""

    name: str
    reason: str = ""


@dataclass(slots=True)
class Done:
    """The engine has obeyed a command, or not; sent to who gave it.

    ``state`` is the account's afterwards, and ``detail`` why it is so; where the command was not obeyed, why not.
    """

    name: str
    ts_ns: int  # engine time
    state: str
    detail: str = ""
    obeyed: bool = True


@dataclass(slots=True)
class Refused:
    """The engine's last frame to a viewer it will not serve: ``"token"``, ``"scope"``, ``"version"`` or ``"full"``."""

    why: str


@dataclass(slots=True)
class History:
    """The whole picture so far; a viewer that receives it forgets what it knew.

    Sent when a viewer arrives, and again to one that fell too far behind. ``points`` thin out with age (each halving
    keeps the extremes), so they cover the whole session at a bounded size. ``snapshot`` is the newest state without
    its increments (they are in here), or None before the first was published.
    """

    session_id: str
    mode: str
    pid: int
    commands: list[str]  # those of COMMANDS which this engine obeys
    points: dict[str, list[tuple[int, float, float, float, float, float]]]
    pnl: list[tuple[int, float]]  # engine_ts_ns, total P/L
    trades: list[TradeView]
    trades_dropped: int  # older trades that are no longer sent
    ticks_tail: list[tuple[int, str, float, float, float, float]]
    snapshot: Snapshot | None


Message = Hello | Command | Done | Refused | History | Snapshot

_KINDS: dict[str, Any] = {  # each value one of Message's classes
    "hello": Hello,
    "command": Command,
    "done": Done,
    "refused": Refused,
    "history": History,
    "snapshot": Snapshot,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


# ---------------------------------------------------------------------------------------------------------------
# Codec: 4 bytes of length (big-endian), then one JSON object {"<kind>": {...}}
# ---------------------------------------------------------------------------------------------------------------


class WireError(ValueError):
    """The other side sent something that is not a frame of this protocol."""


def encode(message: Message) -> bytes:
    """Return ``message`` as one frame. NaN and infinities become ``null``.

    Raises:
        WireError: the frame would be longer than :data:`MAX_FRAME_BYTES`.
    """
    body = orjson.dumps({_NAMES[type(message)]: message}, default=_revealed)
    if len(body) > MAX_FRAME_BYTES:
        raise WireError(f"frame of {len(body)} bytes exceeds {MAX_FRAME_BYTES}")
    return len(body).to_bytes(_PREFIX, "big") + body


def decode(body: bytes | bytearray | memoryview) -> Message:
    """Return the message in a frame's body (without its length prefix); ``null`` numbers become NaN.

    Raises:
        WireError: not JSON, not one of the kinds, a field missing or of the wrong type.
    """
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise WireError(f"not JSON: {error}") from None
    if not isinstance(raw, dict) or len(raw) != 1:
        raise WireError("not an object with exactly one key")
    ((name, content),) = raw.items()
    kind = _KINDS.get(name)
    if kind is None:
        raise WireError(f"unknown message {name[:40]!r}")
    message: Message = _reader(kind)(content)
    return message


def _revealed(value: object) -> str:
    """Tokens leave the process here, and in the rendezvous file."""
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} has no place in a message")


class FrameReader:
    """Cuts a byte stream into frame bodies, holding at most one unfinished frame of ``max_bytes``."""

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield each body completed by ``data``.

        Raises:
            WireError: a length prefix of zero or beyond ``max_bytes``; the connection cannot be trusted any more.
        """
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= _PREFIX:
                length = int.from_bytes(self._buffer[start : start + _PREFIX], "big")
                if not 0 < length <= self._max_bytes:
                    raise WireError(f"frame length {length} is not within 1..{self._max_bytes}")
                end = start + _PREFIX + length
                if len(self._buffer) < end:
                    return
                body = bytes(self._buffer[start + _PREFIX : end])
                start = end
                yield body
        finally:
            del self._buffer[:start]


@cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    """Return a function that turns parsed JSON into a value of the annotated type ``hint``, or raises WireError.

    The dataclasses above are the schema: a new field needs no second description here.
    """
    if hint is float:
        return _read_float
    if hint is int:
        return _read_int
    if hint in (str, bool):
        return _exactly(hint)
    if hint is Secret:
        text = _exactly(str)
        return lambda value: Secret(text(value))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is list:
        return _list_reader(_reader(arguments[0]))
    if origin is tuple:
        return _tuple_reader([_reader(argument) for argument in arguments])
    if origin is dict:
        return _dict_reader(_reader(arguments[1]))
    if origin is UnionType:  # only "X | None" is used
        inner = _reader(next(argument for argument in arguments if argument is not type(None)))
        return lambda value: None if value is None else inner(value)
    return _object_reader(hint)


def _read_float(value: Any) -> float:
    if value is None:
        return math.nan
    if type(value) is float or type(value) is int:
        return float(value)
    raise WireError(f"{value!r:.40} is not a number")


def _read_int(value: Any) -> int:
    if type(value) is int:
        return value
    raise WireError(f"{value!r:.40} is not an integer")


def _exactly(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is kind:
            return value
        raise WireError(f"{value!r:.40} is not a {kind.__name__}")

    return read


def _list_reader(item: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def read(value: Any) -> list[Any]:
        if isinstance(value, list):
            return [item(one) for one in value]
        raise WireError(f"{value!r:.40} is not a list")

    return read


def _tuple_reader(items: list[Callable[[Any], Any]]) -> Callable[[Any], tuple[Any, ...]]:
    def read(value: Any) -> tuple[Any, ...]:
        if isinstance(value, list) and len(value) == len(items):
            return tuple([item(one) for item, one in zip(items, value, strict=True)])
        raise WireError(f"{value!r:.40} is not a list of {len(items)}")

    return read


def _dict_reader(item: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    def read(value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return {key: item(one) for key, one in value.items()}
        raise WireError(f"{value!r:.40} is not an object")

    return read


def _object_reader(kind: type) -> Callable[[Any], Any]:
    hints = get_type_hints(kind)
    readers = [(one.name, _reader(hints[one.name])) for one in fields(kind)]

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise WireError(f"{value!r:.40} is not a {kind.__name__}")
        arguments = {}
        for name, reader in readers:
            if name not in value:
                raise WireError(f"{kind.__name__} without {name}")
            arguments[name] = reader(value[name])
        return kind(**arguments)

    return read


# ---------------------------------------------------------------------------------------------------------------
# Conflation
# ---------------------------------------------------------------------------------------------------------------


def keep_extremes(prices: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the indices of about half of ``prices``: lowest and highest of every four neighbours, in time order.

    Halving a chart this way hides no spike, however often it is repeated.
    """
    whole = len(prices) // 4 * 4
    groups = prices[:whole].reshape(-1, 4)
    low, high = groups.argmin(axis=1), groups.argmax(axis=1)
    level = low == high  # four equal prices: keep the ends
    first, last = np.where(level, 0, np.minimum(low, high)), np.where(level, 3, np.maximum(low, high))
    starts = np.arange(0, whole, 4)
    kept = np.column_stack((starts + first, starts + last)).ravel()
    return np.concatenate((kept, np.arange(whole, len(prices))))


def thin(points: list[tuple[Any, ...]], limit: int) -> list[tuple[Any, ...]]:
    """Return at most ``limit`` of ``points`` (second item: price), always with the newest, extremes kept."""
    while len(points) > max(limit, 4):
        kept = keep_extremes(np.array([point[1] for point in points[:-1]], np.float64))
        points = [*(points[index] for index in kept.tolist()), points[-1]]
    return points


def merge(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Return the newest of consecutive ``snapshots`` with the increments of all of them (points thinned to bound)."""
    newest = snapshots[-1]
    if len(snapshots) == 1:
        return newest
    points: dict[str, list[tuple[Any, ...]]] = {}
    for snapshot in snapshots:
        for symbol in snapshot.symbols:
            points.setdefault(symbol.symbol, []).extend(symbol.points)
    return replace(
        newest,
        symbols=[replace(one, points=thin(points[one.symbol], MAX_POINTS)) for one in newest.symbols],
        new_trades=[trade for snapshot in snapshots for trade in snapshot.new_trades],
        ticks_tail=[tick for snapshot in snapshots for tick in snapshot.ticks_tail][-MAX_TICKS_TAIL:],
    )


# ---------------------------------------------------------------------------------------------------------------
# Rendezvous: how a viewer finds an engine and proves that it is the same user
# ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine's telemetry listens; the content of its rendezvous file. The token is never shown."""

    host: str
    port: int
    token: Secret  # 128 random bits as 32 hexadecimal digits
    pid: int
    session_id: str
    mode: str
    started_mono_ns: int  # monotonic clock, which the processes of one machine share

    def to_json(self) -> bytes:
        """Return the rendezvous file's content."""
        return orjson.dumps(self, default=_revealed)


def runtime_directory(environ: Mapping[str, str], user: str) -> Path:
    """Return the per-user directory of rendezvous files; the environment is an argument, so this module stays pure.

    The first that is set: ``MICROBURST_RUNTIME_DIR``, ``XDG_RUNTIME_DIR/microburst``, ``LOCALAPPDATA/microburst/run``
    (Windows), ``TMPDIR/microburst-<user>``, ``/tmp/microburst-<user>``. Whoever creates or reads it checks its owner.
    """
    if own := environ.get("MICROBURST_RUNTIME_DIR"):
        return Path(own)
    if xdg := environ.get("XDG_RUNTIME_DIR"):
        return Path(xdg) / "microburst"
    if local := environ.get("LOCALAPPDATA"):
        return Path(local) / "microburst" / "run"
    return Path(environ.get("TMPDIR") or "/tmp") / f"microburst-{user}"  # noqa: S108 - the directory is owner-checked


def endpoint_path(directory: Path, pid: int) -> Path:
    """Return the rendezvous file of the engine with this process id."""
    return directory / f"engine-{pid}.json"


def control_path(directory: Path, pid: int) -> Path:
    """Return the file with the token of who may command the engine with this process id."""
    return directory / f"control-{pid}.token"


def read_control(directory: Path, pid: int) -> Secret:
    """Return the token of who may command that engine; empty where this user cannot read it."""
    try:
        return Secret(control_path(directory, pid).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return NO_SECRET


def read_endpoints(directory: Path) -> list[Endpoint]:
    """Return the engines announced in ``directory``, newest first; unreadable files are not announcements."""
    found = []
    for path in sorted(directory.glob("engine-*.json")):
        try:
            endpoint: Endpoint = _reader(Endpoint)(orjson.loads(path.read_bytes()))
        except (OSError, ValueError):
            continue
        found.append(endpoint)
    return sorted(found, key=lambda endpoint: endpoint.started_mono_ns, reverse=True)

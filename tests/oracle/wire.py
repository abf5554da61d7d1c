"""What a frame of the mock market means, by other means: orjson for structure, ``json`` with Decimal for values.

Written from docs/reference/mock-wire.md, with none of the scanner's code or tricks.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from engine._wire import Columns, Decoder
from feeds.guard import FeedLimits, check_conservation, decoder_for
from feeds.venues import MOCK

YEAR_2000_NS = 946_684_800 * 10**9
NOW_NS = 1_800_000_000 * 10**9
LARGEST = 2**40 - 1


class Whole(Decimal):
    """A number written without point and exponent: the only form of an integer (``15E0`` is not one)."""


class Row(NamedTuple):
    ts_ns: int
    price_ticks: int
    size_lots: int
    bid_ticks: int
    ask_ticks: int
    bid_lots: int
    ask_lots: int
    instrument: int
    kind: int


class _RefusedError(Exception):
    pass


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("duplicate key")
    return dict(pairs)


def messages(frame: bytes) -> list[dict[str, Any]] | None:
    """The messages of a frame with numbers as Decimal, or None when it is not a sound frame."""
    try:
        orjson.loads(frame)
        parsed = json.loads(
            frame.decode("utf-8", "strict"), parse_float=Decimal, parse_int=Whole, object_pairs_hook=_no_duplicates
        )
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, list) or not all(isinstance(message, dict) for message in parsed):
        return None
    return parsed


class Reader:
    """Reads frames one after the other, with the rules of a reader on record time and no jump check."""

    def __init__(self, instruments: list[tuple[str, int, int]]) -> None:
        self.instruments = {symbol: (index, pp, sp) for index, (symbol, pp, sp) in enumerate(instruments)}
        self.ids: dict[str, set[int]] = {}
        self.quote_ns: dict[str, int] = {}
        self.clock_ns = 0

    def read(self, frame: bytes) -> list[Row] | None:
        parsed = messages(frame)
        if parsed is None:
            return None
        rows = []
        for message in parsed:
            if message.get("T") in ("t", "q"):
                try:
                    rows.append(self._record(message))
                except _RefusedError:
                    continue
        return rows

    def _record(self, m: dict[str, Any]) -> Row:
        symbol = m.get("S")
        if not isinstance(symbol, str) or symbol not in self.instruments:
            raise _RefusedError
        index, pp, sp = self.instruments[symbol]
        ts_ns = _integer(m, "t")
        if not YEAR_2000_NS <= ts_ns <= NOW_NS + 5 * 10**9:
            raise _RefusedError
        if m["T"] == "t":
            trade_id = _integer(m, "i")
            price, size = _steps(m, "p", pp), _steps(m, "s", sp)
            bid = _steps(m, "b", pp) if "b" in m else 0
            ask = _steps(m, "a", pp) if "a" in m else 0
            bid_lots = ask_lots = 0
        else:
            price = size = 0
            bid, bid_lots, ask, ask_lots = (
                _steps(m, "b", pp),
                _steps(m, "bs", sp),
                _steps(m, "a", pp),
                _steps(m, "as", sp),
            )
        if bid and ask and bid > ask:
            raise _RefusedError
        if m["T"] == "t":
            seen = self.ids.setdefault(symbol, set())
            if trade_id in seen or (seen and trade_id <= max(seen) - 65536):
                raise _RefusedError
            seen.add(trade_id)
        else:
            if ts_ns < self.quote_ns.get(symbol, 0):
                raise _RefusedError
            self.quote_ns[symbol] = ts_ns
        self.clock_ns = max(self.clock_ns, ts_ns)
        return Row(self.clock_ns, price, size, bid, ask, bid_lots, ask_lots, index, int(m["T"] == "q"))


def _integer(message: dict[str, Any], key: str) -> int:
    value = message.get(key)
    if not isinstance(value, Whole) or value.is_signed() or value > 2**62:
        raise _RefusedError
    return int(value)


def _steps(message: dict[str, Any], key: str, precision: int) -> int:
    value = message.get(key)
    if not isinstance(value, Decimal):
        raise _RefusedError
    numerator, denominator = value.as_integer_ratio()
    steps, rest = divmod(numerator * 10**precision, denominator)
    if rest or not 0 < steps <= LARGEST:
        raise _RefusedError
    return steps


class Scanner:
    """The scanner under test, fed frame by frame; counterpart of :class:`Reader`."""

    def __init__(
        self,
        instruments: list[tuple[str, int, int]],
        *,
        recorded: bool = True,
        limits: FeedLimits | None = None,
        now_ns: int = NOW_NS,
    ) -> None:
        self.decoder: Decoder = decoder_for(MOCK, limits or FeedLimits())
        self.columns = Columns(65536, 256)
        self.now_ns = now_ns
        for symbol, pp, sp in instruments:
            self.decoder.add_symbol(symbol, price_precision=pp, size_precision=sp)
        self.decoder.begin_connection()
        self.decoder.accept_hello(recorded=recorded, ids_continue=False)
        self.outcome = 0

    def read(self, frame: bytes) -> list[Row]:
        """The rows that the frame has added."""
        self.columns.clear()
        assert self.columns.reserve(Decoder.most_rows(len(frame)))
        self.outcome = self.decoder.decode(frame, self.now_ns, self.columns)
        check_conservation(self.decoder)
        return [Row(*row) for row in zip(*(c.tolist() for c in self.columns.view(0, self.columns.rows)), strict=True)]

"""What differs between venues, as data: names of keys and message types, and how their streams begin.

The decoder in C knows what a price or a trade id is; a :class:`Venue` tells it how this venue spells them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from engine.model import Clock, Instrument


@dataclass(frozen=True, slots=True)
class Hello:
    """What a venue says about its stream before the first record."""

    clock: Clock
    instruments: tuple[Instrument, ...]


@dataclass(frozen=True, slots=True)
class Venue:
    """How one venue writes its frames.

    ``keys`` and ``types`` map the meanings in ``engine._wire.FIELDS`` and ``TYPES`` to the venue's words.
    ``read_hello`` raises ValueError for a hello it cannot honour. ``ids_continue`` says for a clock whether the trade
    ids of a new connection go on from, or repeat, those of the last one, so that they prove whether a trade was lost.
    """

    name: str
    keys: Mapping[str, str]
    types: Mapping[str, str]
    read_hello: Callable[[bytes], Hello]
    subscription: Callable[[Sequence[str]], str]
    ids_continue: Callable[[Clock], bool]


def _read_instrument(entry: object) -> Instrument:
    match entry:
        case {"S": str(symbol), "pp": int(price_precision), "sp": int(size_precision)} if (
            symbol.isprintable()
            and 0 < len(symbol.encode()) <= 32
            and not isinstance(price_precision, bool)
            and not isinstance(size_precision, bool)
            and 0 <= price_precision <= 12
            and 0 <= size_precision <= 12
        ):
            return Instrument(symbol, price_precision, size_precision)
    raise ValueError("an instrument of the hello is not understood")


def _read_mock_hello(text: bytes) -> Hello:
    """Read the mock market's hello, which the decoder has already proven to be sound JSON."""
    match orjson.loads(text):
        case {"v": 1, "clock": "receive" | "record" as clock, "instruments": [_, *_] as entries}:
            instruments = tuple(_read_instrument(entry) for entry in entries)
        case {"v": version} if version != 1:
            raise ValueError(
                "the venue speaks another version of the wire format; update Microburst or the mock market"
            )
        case _:
            raise ValueError("the hello is not understood")
    if len({instrument.symbol for instrument in instruments}) != len(instruments):
        raise ValueError("the hello names a symbol twice")
    return Hello(Clock(clock), instruments)


MOCK = Venue(
    name="mock",
    keys={
        "type": "T",
        "symbol": "S",
        "id": "i",
        "time": "t",
        "price": "p",
        "size": "s",
        "bid": "b",
        "ask": "a",
        "bid_size": "bs",
        "ask_size": "as",
        "count": "n",
    },
    types={"hello": "hello", "trade": "t", "quote": "q", "heartbeat": "h", "end": "end"},
    read_hello=_read_mock_hello,
    subscription=lambda symbols: orjson.dumps({"action": "subscribe", "symbols": list(symbols)}).decode(),
    # A market at its natural pace begins anew with each connection; a recording repeats the same records and ids.
    ids_continue=lambda clock: clock is Clock.RECORD,
)
"""The mock market's wire format, ``docs/reference/mock-wire.md``."""

"""Feeds drawn at random, and what must come of them: a venue, the line to it, and a reader written from the reference.

``Case`` draws what is sent, message by message: trades and quotes that walk, jump, widen and cross, numbers in every
spelling, fields that are missing or of another type, ids and times out of order, heartbeats, broken frames, cuts,
silence, hellos of every kind. ``Reader`` says what a feed has to make of it. It is written from
docs/reference/feed.md, in plain Python: decimals, sets and dictionaries, none of the decoder's code.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from engine.model import Clock
from engine.ports import FeedBatch, FeedState
from feeds.guard import FeedLimits
from feeds.transport import ConnectionLostError
from feeds.ws import WebSocketFeed
from tests.oracle.wire import LARGEST, YEAR_2000_NS, Row, Whole, messages
from tests.sim.clock import SECOND_NS, JumpingLoop, LoopTiming

REMEMBERED_IDS = 65_536
NEVER_MET = -1
Listed = tuple[str, int, int]
"""Symbol, price precision, size precision."""

BROKEN = (
    b"", b"[", b"null", b"{}", b"[1]", b"[{]", b"[{}]x", b"\xff", b'[{"T":"\xc0\x80"}]', b'[{"T":"h","T":"h"}]',
    b'[{"p":1e400}]', b'[{"p":NaN}]', b'[{"p":01}]', b'[{"p":1.}]', b'[{"p":"\\ud800"}]', b'[{"\\u0054":"h"}]',
    b'[{"p":' + b"[" * 20 + b"]" * 20 + b"}]", b"[" + b"{}," * 16_384 + b"{}]",
    b"[{" + b",".join(b'"k%d":0' % n for n in range(65)) + b"}]",
)  # fmt: skip
"""Frames of which nothing may be taken."""


class Refused(Exception):  # noqa: N818 - it is an answer, not an error
    """A record is refused, for the reason that is the message."""


@dataclass
class Known:
    """What is known of one instrument."""

    price: int = 0
    bid: int = 0
    ask: int = 0
    odd_price: int = 0
    odd_quote: tuple[int, int] = (0, 0)
    price_met: int = 0  # how often the odd price was met again
    quote_met: int = 0
    withheld: set[str] = field(default_factory=set)  # "price", "quote": trades were refused for theirs
    newest_ns: int = 0
    quote_ns: int = 0
    last_id: int = NEVER_MET
    ids: set[int] = field(default_factory=set)
    lost: bool = False  # records before the next accepted one
    unproven: bool = False  # reconnected: nothing has shown yet that no record was lost
    repeating: bool = False


class Reader:
    """What a feed has to accept, refuse and disclose, frame by frame."""

    def __init__(self, selected: Sequence[str] | None, limits: FeedLimits) -> None:
        self.rows: list[Row] = []
        self.gaps: defaultdict[int, set[int]] = defaultdict(set)  # by the number of rows before
        self.rejected: Counter[str] = Counter()
        self.bad_frames = self.late = 0
        self.vouched_s = 0.0
        self.awaits_hello = self.given_up = False
        self._selected, self._limits = selected, limits
        self.clock: str | None = None
        self._listed: dict[str, Listed] = {}
        self._traded: list[str] = []
        self._known: dict[str, Known] = {}
        self._now_ns = self._sent = 0
        self._refused = False  # something, since the last accepted record

    def connect(self, now_s: float) -> None:
        """A connection was opened."""
        self.awaits_hello, self.given_up, self._refused = True, False, False
        self._sent, self.vouched_s = 0, now_s

    def read(self, frame: bytes, broken: bool, wall_ns: int, now_s: float) -> None:
        """Take the next frame."""
        if broken:
            self.bad_frames += 1
            self._refused = True
            return
        hello, accepted, heartbeat = None, False, False
        for message in messages(frame) or ():
            kind = message.get("T")
            if not isinstance(kind, str):
                self._refuse("no_type")
            elif kind == "hello":
                hello = message
            elif kind == "h":
                heartbeat = not self.awaits_hello
                self._count(message.get("n"))
            elif kind in ("t", "q"):
                self._sent += 1
                accepted |= self._take(message, wall_ns)
        if self.awaits_hello and hello is not None:
            self._greet(hello)
            accepted = not self.given_up
        if accepted or (heartbeat and not self._refused):
            self.vouched_s = now_s

    def _refuse(self, reason: str) -> None:
        self.rejected[reason] += 1
        self._refused = True

    def _gap(self, instruments: Sequence[int]) -> None:
        self.gaps[len(self.rows)] |= set(instruments)

    def _count(self, sent: Any) -> None:
        if isinstance(sent, Whole) and 0 <= sent <= 2**62 and not sent.is_signed():
            if sent > self._sent:
                self._gap(range(len(self._traded)))
            self._sent = int(sent)

    def _greet(self, hello: dict[str, Any]) -> None:
        """Honour a hello, or give the connection up."""
        listed = {one["S"]: (one["S"], int(one["pp"]), int(one["sp"])) for one in hello.get("instruments", ())}
        again = self.clock is not None
        if (
            hello["v"] != 1
            or (again and hello["clock"] != self.clock)
            or any(self._listed.get(symbol, one) != one for symbol, one in listed.items())
            or any(symbol not in listed for symbol in self._traded)
        ):
            self.bad_frames += 1
            self.given_up = True
            return
        self.clock, self.awaits_hello = hello["clock"], False
        self._listed |= listed
        if not again:
            self._traded = list(listed if self._selected is None else self._selected)
            self._known = {symbol: Known() for symbol in self._traded}
        for known in self._known.values():
            self._meet_again(known)
        if again and self.clock == "receive":
            self._gap(range(len(self._traded)))

    def _meet_again(self, known: Known) -> None:
        if self.clock == "record":
            known.unproven = known.repeating = known.newest_ns != 0
        else:  # another market, with ids and times of its own
            known.last_id, known.ids, known.newest_ns, known.quote_ns, known.lost = NEVER_MET, set(), 0, 0, False

    # ------------------------------------------------------------ one record

    def _take(self, m: dict[str, Any], wall_ns: int) -> bool:
        """Whether a record is accepted."""
        try:
            if self.awaits_hello:
                raise Refused("before_hello")
            if "S" not in m:
                raise Refused("missing_field")
            if not isinstance(m["S"], str):
                raise Refused("wrong_type")
            if m["S"] not in self._listed:
                raise Refused("unknown_symbol")
            if m["S"] not in self._traded:
                return False
            self._judge(m, self._known[m["S"]], wall_ns)
        except Refused as refused:
            self._refuse(str(refused))
            return False
        self._refused = False
        return True

    def _judge(self, m: dict[str, Any], known: Known, wall_ns: int) -> None:
        symbol, pp, sp = self._listed[m["S"]]
        trade, trade_id = m["T"] == "t", NEVER_MET
        try:
            if trade:
                trade_id = whole(m, "i", "bad_id")
            time_ns = whole(m, "t", "bad_time")
            price = steps(m, "p", pp, "price", "off_tick", LARGEST) if trade else 0
            size = steps(m, "s", sp, "size", "off_lot", self._limits.max_size_lots) if trade else 0
            bid = steps(m, "b", pp, "price", "off_tick", LARGEST) if not trade or "b" in m else 0
            ask = steps(m, "a", pp, "price", "off_tick", LARGEST) if not trade or "a" in m else 0
            sizes = [0 if trade else steps(m, key, sp, "size", "off_lot", self._limits.max_size_lots) for key in
                     ("bs", "as")]  # fmt: skip
            if bid and ask and bid > ask:
                raise Refused("crossed_quote")
            if time_ns < YEAR_2000_NS:
                raise Refused("time_before_2000")
            if time_ns > wall_ns + self._limits.max_future_s * SECOND_NS:
                raise Refused("time_future")
        except Refused:
            if known.last_id != NEVER_MET and trade_id == known.last_id + 1:
                known.last_id = trade_id  # it came; it may come again as it should have been
            raise
        if trade:
            self._judge_trade(known, trade_id, price, bid, ask)
        else:
            if time_ns < known.quote_ns or (known.repeating and time_ns == known.quote_ns):
                raise Refused("stale_quote")
            if not self._quote_stands(known, bid, ask, known.price):
                raise Refused("quote_jump")
            known.quote_ns = time_ns
            known.lost |= known.unproven
        known.bid, known.ask = bid or known.bid, ask or known.ask
        index = self._traded.index(symbol)
        if known.lost:
            self._gap([index])
        known.lost = known.unproven = known.repeating = False
        self.late += time_ns < known.newest_ns
        known.newest_ns = max(known.newest_ns, time_ns)
        self._now_ns = max(self._now_ns, wall_ns if self.clock == "receive" else time_ns)
        self.rows.append(Row(self._now_ns, price, size, bid, ask, *sizes, index, int(not trade)))

    def _judge_trade(self, known: Known, trade_id: int, price: int, bid: int, ask: int) -> None:
        if known.last_id != NEVER_MET and trade_id <= known.last_id:
            known.unproven = False
            if known.last_id - trade_id >= REMEMBERED_IDS:
                raise Refused("id_too_old")
            if trade_id in known.ids:
                raise Refused("duplicate")
        for stands, reason in (
            (lambda: self._price_stands(known, price), "price"),
            (lambda: not (bid or ask) or self._quote_stands(known, bid, ask, price), "quote"),
        ):
            if not stands():
                known.withheld.add(reason)
                if known.last_id == NEVER_MET or trade_id - known.last_id < REMEMBERED_IDS:
                    learn(known, trade_id)
                raise Refused(f"{reason}_jump")
        learn(known, trade_id)
        known.price = price

    # ------------------------------------------------------------ jumps

    def _near(self, value: int, known: int) -> bool:
        return known != 0 and abs(value - known) <= Decimal(known) * self._limits.max_jump_bps / 10_000

    def _agrees(self, price: int, quote: tuple[int, int]) -> bool:
        return all(self._near(price, side) for side in quote)

    def _price_stands(self, known: Known, price: int) -> bool:
        if self.clock == "record" or not (known.price or known.bid):
            return True
        near = self._near(price, known.price)
        if not near and not self._agrees(price, (known.bid, known.ask)):
            known.price_met = known.price_met + 1 if self._near(price, known.odd_price) else 0
            if known.price_met == 0:
                known.odd_price = price
            if not self._agrees(price, known.odd_quote) and known.price_met < self._limits.jump_confirmations:
                return False
        known.lost |= "price" in known.withheld and not near
        known.odd_price = known.price_met = 0
        known.withheld.discard("price")
        bid, ask = known.odd_quote
        if price < bid or 0 < ask < price:
            self._forget_quote(known)
        return True

    def _quote_stands(self, known: Known, bid: int, ask: int, price: int) -> bool:
        if self.clock == "record" or not (price or known.bid or known.ask):
            return True

        def fits(quote: tuple[int, int], price: int) -> bool:
            sides = zip((bid, ask), quote, strict=True)
            return all(not side or self._near(side, last) or self._near(side, price) for side, last in sides)

        if not fits((known.bid, known.ask), price) and not (
            known.odd_price and self._near(known.odd_price, bid) and self._near(known.odd_price, ask)
        ):
            if fits(known.odd_quote, 0):
                known.quote_met += 1
            else:
                known.odd_quote, known.quote_met = (bid, ask), 0
            if known.quote_met < self._limits.jump_confirmations:
                return False
            known.lost |= "quote" in known.withheld
        known.odd_price = known.price_met = 0
        self._forget_quote(known)
        return True

    @staticmethod
    def _forget_quote(known: Known) -> None:
        known.odd_quote, known.quote_met = (0, 0), 0
        known.withheld.discard("quote")


def learn(known: Known, trade_id: int) -> None:
    """A trade with this id has come."""
    known.ids.add(trade_id)
    if known.last_id != NEVER_MET:
        known.lost |= trade_id > known.last_id + 1
    known.last_id = max(known.last_id, trade_id)


def whole(m: dict[str, Any], key: str, reason: str) -> int:
    """A plain integer from 0 to 2**62."""
    if key not in m:
        raise Refused("missing_field")
    if isinstance(m[key], bool) or not isinstance(m[key], Decimal):
        raise Refused("wrong_type")
    if not isinstance(m[key], Whole) or m[key].is_signed() or m[key] > 2**62:
        raise Refused(reason)
    return int(m[key])


def steps(m: dict[str, Any], key: str, precision: int, what: str, off_grid: str, largest: int) -> int:
    """A positive decimal in whole steps of its precision."""
    if key not in m:
        raise Refused("missing_field")
    if not isinstance(m[key], Decimal):
        raise Refused("wrong_type")
    numerator, denominator = m[key].as_integer_ratio()
    number, rest = divmod(numerator * 10**precision, denominator)
    if numerator <= 0:
        raise Refused(f"{what}_not_positive")
    if rest:
        raise Refused(f"{what}_{off_grid}")
    if number > largest:
        raise Refused("price_too_large" if what == "price" else "size_over_cap")
    return number


# ---------------------------------------------------------------- what is sent


@dataclass
class Walk:
    """One symbol's market: where it stands, and what it says next."""

    listed: Listed
    level: int
    spread: int
    next_id: int = 1


class Case:
    """One venue and its line, drawn from a seed: what each connection brings, and after how many seconds."""

    def __init__(self, seed: int) -> None:
        self.random = rng = Random(seed)
        self.clock = rng.choice(("receive", "receive", "record"))
        listed = [("A", 2, 0), ("BTC/USD", 2, 5), ("ß", 4, 1), ("IDX", 0, 0)]
        self.listed = listed[: rng.randint(1, 4)]
        symbols = [symbol for symbol, _, _ in self.listed]
        self.selected = None if rng.random() < 0.6 else rng.sample(symbols, rng.randint(1, len(symbols)))
        self.limits = FeedLimits(
            max_jump_bps=rng.choice((1_000, 1_000, 50, 10_000)),
            jump_confirmations=rng.choice((3, 3, 1, 2)),
            max_size_lots=rng.choice((LARGEST, 500)),
        )
        self.faults = rng.choice((0.0, 0.1, 0.3, 0.6))  # share of the messages and frames that something is done to
        self._time_ns = 0
        self._told: list[str] = []  # messages of this connection, to be repeated
        self._held: list[str] = []
        self._sent = 0
        self._walks: list[Walk] = []
        self._script: list[list[str]] = []  # of a recording, which begins again with each connection

    def happens(self, share: float = 1.0) -> bool:
        return self.random.random() < self.faults * share

    def connection(self, number: int, wall_ns: int) -> Iterator[tuple[float, bytes, bool]]:
        """Yield the frames of a connection: the seconds before each, and whether it is broken."""
        rng = self.random
        self._time_ns, self._sent, self._held = wall_ns - 10 * SECOND_NS, 0, []
        if number and self.happens(0.3):
            yield 0.01, self._bad_hello(), False
        elif self.happens(0.2):
            yield 0.01, self._frame([self._record(Walk(self.listed[0], 10_000, 2))]), False
        if not self.happens(0.1):
            yield 0.01, self._hello(number), False
        if self.clock == "receive" or not number:
            self._walks = [Walk(listed, rng.choice((100, 10_000, 65_000)), 2) for listed in self.listed]
            self._script, self._told = [], []
        for turn in range(rng.randint(1, 40)):
            wait_s = rng.choice((0.0, 0.001, 0.2, 0.2, 0.9))
            if self.happens(0.1):
                wait_s = rng.uniform(2.5, 11)
            if self.happens(0.4):
                yield 0.0, rng.choice(BROKEN), True
            if self.happens(0.2):
                yield 0.0, b'[{"T":7},{}]', False
            if turn == len(self._script):
                self._script.append([self._record(rng.choice(self._walks)) for _ in range(rng.randint(0, 6))])
                self._time_ns += int(wait_s * SECOND_NS)
            frame = self._frame([text for told in self._script[turn] for text in self._line(told)])
            if self.happens(0.1):
                yield wait_s, frame.strip()[: rng.randrange(len(frame.strip()))], True
            else:
                yield wait_s, frame, False
            if rng.random() < 0.3:
                yield 0.0, self._frame([self._heartbeat()]), False

    def _hello(self, number: int) -> bytes:
        listed = list(self.listed)
        if number and self.random.random() < 0.3:
            listed.append(("NEW", 3, 3))
        return hello(self.clock, listed)

    def _bad_hello(self) -> bytes:
        other = {"receive": "record", "record": "receive"}[self.clock]
        symbol, pp, sp = self.listed[-1]
        finer = hello(self.clock, [*self.listed[:-1], (symbol, pp + 1, sp)])
        others = hello(self.clock, [("NEW", 3, 3)])
        return self.random.choice((hello(other, self.listed), finer, others, b'[{"T":"hello","v":2}]'))

    def _heartbeat(self) -> str:
        counts = ("", ',"n":null', ',"n":1.5', ',"n":-1', f',"n":{self._sent + 3}')
        count = self.random.choice(counts) if self.happens(0.3) else f',"n":{self._sent}'
        return f'{{"T":"h"{count}}}'

    def _frame(self, texts: list[str]) -> bytes:
        space = self.random.choice(("", "", " ", "\r\n\t"))
        return f"{space}[{space}{f'{space},{space}'.join(texts)}{space}]{space}".encode()

    def _line(self, told: str) -> list[str]:
        """What arrives of a message, and when: it may be lost, come later, or several times, or after older ones."""
        rng = self.random
        self._sent += 1
        arrived, self._held = self._held, []
        if self.happens(0.3):
            self._held = [told]
        elif not self.happens(0.2):
            arrived = [told, *arrived]
        if self.happens(0.5):
            arrived += [told] * rng.randint(1, 4)
        if self.happens(0.2) and self._told:
            arrived.append(rng.choice(self._told))
        if self.happens(0.2):
            arrived.append(
                rng.choice(('{"T":"news","p":"up"}', '{"T":"t","S":"NOBODY"}', '{"T":"q","S":7}', '{"T":"t"}'))
            )
        self._told.append(told)
        return arrived

    def _record(self, walk: Walk) -> str:
        """The market moves, and says so in a trade or a quote."""
        rng = self.random
        symbol, pp, sp = walk.listed
        bps = self.limits.max_jump_bps
        walk.level = max(20, walk.level + rng.randint(-3, 3))
        if self.happens(0.1):
            walk.level = max(20, walk.level * rng.choice((10_000 + bps, 10_000 - bps // 2, 15_000, 20_000)) // 10_000)
        if self.happens(0.1):
            walk.spread = rng.choice((2, 2, max(2, walk.level // 5)))
        self._time_ns += rng.choice((0, 1, 1_000_000))
        bid, ask = max(1, walk.level - walk.spread // 2), walk.level + walk.spread // 2
        price, lots = rng.choice((bid, walk.level, ask)), [rng.choice((1, 7, 100, 499)) for _ in range(3)]
        if self.happens(0.2):  # something odd, and then as before
            price = max(1, price * rng.choice((10_000 + bps, 10_001 + bps, 30_000, 1)) // 10_000)
        if self.happens(0.1):
            bid, ask = rng.choice(((ask, bid), (bid, ask * 2), (max(1, bid // 2), ask)))
        time_ns = self._time_ns
        if self.happens(0.2):
            time_ns += rng.choice((-SECOND_NS, -1, 4 * SECOND_NS, 3_600 * SECOND_NS, -time_ns + 5))
        fields = {"S": json.dumps(symbol, ensure_ascii=False), "t": str(time_ns)}
        if rng.random() < 0.6:
            trade_id, walk.next_id = walk.next_id, walk.next_id + 1
            if self.happens(0.1):
                trade_id += rng.choice((1, 70_000, -70_000, 10**15))
                walk.next_id = rng.choice((walk.next_id, max(0, trade_id) + 1))
            fields |= {
                "T": '"t"',
                "i": str(max(0, trade_id)),
                "p": self._number(price, pp),
                "s": self._number(lots[0], sp),
            }
            if rng.random() < 0.6:
                fields |= {"b": self._number(bid, pp), "a": self._number(ask, pp)}
                fields.pop(rng.choice("ba") if rng.random() < 0.1 else "", None)
        else:
            fields |= {"T": '"q"', "b": self._number(bid, pp), "a": self._number(ask, pp)}
            fields |= {"bs": self._number(lots[1], sp), "as": self._number(lots[2], sp)}
        if self.happens(0.3):
            self._spoil(fields)
        if rng.random() < 0.2:
            fields |= {"new": rng.choice(('"é😀"', '{"deep":[{}]}', "1e-400", "null")), "\u00fc": "true"}
        items = list(fields.items())
        rng.shuffle(items)
        return f"{{{','.join(f'{json.dumps(key, ensure_ascii=False)}:{text}' for key, text in items)}}}"

    def _number(self, number: int, precision: int) -> str:
        """Decimal text of a number of steps, in one of its spellings."""
        value = Decimal(number).scaleb(-precision)
        plain = f"{value:f}"
        whole_text = plain if "." in plain else f"{plain}.0"
        return self.random.choice((plain, plain, plain, f"{value:e}", f"{value:E}", whole_text + "0" * 25))

    def _spoil(self, fields: dict[str, str]) -> None:
        """Something is wrong with one field."""
        key = self.random.choice([key for key in fields if key != "T"])
        bad = ("null", "true", '"1"', "[]", "0", "-0", "-1", "1.5e0", "1e-13", "0.00000000000001", "1e300", "1" * 25,
               str(2**62), str(2**62 + 1), str(LARGEST), str(LARGEST + 1), "501")  # fmt: skip
        fields[key] = self.random.choice(bad)
        if self.random.random() < 0.2:
            del fields[key]


def hello(clock: str, listed: Sequence[Listed]) -> bytes:
    """A venue's introduction."""
    instruments = [{"S": symbol, "pp": pp, "sp": sp} for symbol, pp, sp in listed]
    return json.dumps([{"T": "hello", "v": 1, "clock": clock, "instruments": instruments}]).encode()


# ---------------------------------------------------------------- a feed reads it


class Run:
    """A feed on the connections of a case, one after the other, beside the reader that hears the same."""

    def __init__(self, case: Case) -> None:
        self.case, self.reader = case, Reader(case.selected, case.limits)
        self.rows: list[Row] = []
        self.gaps: defaultdict[int, set[int]] = defaultdict(set)
        self.states: list[FeedState] = []
        self.connections = 0
        self.over = asyncio.Event()
        self.timing = WildTiming(case.random, case.faults)
        self.feed = WebSocketFeed(
            "ws://127.0.0.1:1",
            symbols=case.selected,
            limits=case.limits,
            connect=self.connect,
            timing=self.timing,
            random=Random(1),
        )

    async def connect(self, address: str, limits: FeedLimits) -> Line:
        if self.connections == 5:
            self.over.set()
            await asyncio.Event().wait()
        self.connections += 1
        self.reader.connect(self.timing.monotonic_ns() / 1e9)
        return Line(self)

    def take(self, batch: FeedBatch) -> None:
        """Note a batch as the engine gets it."""
        if batch.state is not None:
            self.states.append(batch.state)
            if batch.state is FeedState.GAP:
                self.gaps[len(self.rows)] |= set(batch.gap_instruments)
        if (block := batch.block) is not None:
            columns = (block.ts_ns, block.price_ticks, block.size_lots, block.bid_ticks, block.ask_ticks,
                       block.bid_lots, block.ask_lots, block.instrument, block.kind)  # fmt: skip
            assert all(column is not None for column in columns)
            self.rows += [Row(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]  # type: ignore[union-attr]

    async def play(self) -> None:
        """Run all connections; what the feed has made of them is then what the reader has."""
        taking = asyncio.create_task(self.feed.deliver(self.take))
        await asyncio.wait({taking, over := asyncio.create_task(self.over.wait())}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        await self.feed.close()
        await taking
        reader, health = self.reader, self.feed.health()
        assert self.rows == reader.rows
        assert dict(self.gaps) == dict(reader.gaps)
        assert health.rejected == dict(reader.rejected)
        assert sum(health.bad_frames.values()) == reader.bad_frames
        assert health.late == reader.late
        assert health.accepted == len(reader.rows)
        if reader.rows:
            assert self.feed.clock is Clock(reader.clock)


class WildTiming(LoopTiming):
    """The loop's clock, and a wall clock that is set now and then."""

    def __init__(self, random: Random, faults: float) -> None:
        super().__init__()
        self._random, self._faults, self._ahead_ns = random, faults, 0

    def receive_stamp(self) -> tuple[int, int]:
        now_ns, wall_ns = super().receive_stamp()
        return now_ns, wall_ns + self._ahead_ns

    def set_wall_clock(self) -> None:
        if self._random.random() < self._faults * 0.05:
            self._ahead_ns += self._random.choice((-3_600, -1, 1, 3_600)) * SECOND_NS


class Line:
    """One connection of a case."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._frames = run.case.connection(run.connections - 1, run.timing.receive_stamp()[1])
        self._closed = asyncio.Event()

    async def receive(self) -> bytes:
        run = self._run
        assert not run.reader.given_up, "it goes on with a venue whose hello it cannot honour"
        wait_s, frame, broken = next(self._frames, (0.0, b"", None))
        if wait_s:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), wait_s)
        if broken is None or self._closed.is_set():
            raise ConnectionLostError("cut")
        self._check_state()
        run.timing.set_wall_clock()
        now_ns, wall_ns = run.timing.receive_stamp()
        run.reader.read(frame, broken, wall_ns, now_ns / 1e9)
        return frame

    def _check_state(self) -> None:
        """What the feed has said last is its state; it is stale from the limit on, and not before."""
        run = self._run
        assert run.states[-1] is run.feed.health().state
        silent_s = run.timing.monotonic_ns() / 1e9 - run.reader.vouched_s
        state, limit_s = run.feed.health().state, run.case.limits.stale_after_s
        assert state is not FeedState.LIVE or silent_s < limit_s + 0.001, silent_s
        assert state is not FeedState.STALE or silent_s >= limit_s - 0.001, silent_s

    async def send(self, text: str) -> None:
        assert set(json.loads(text)["symbols"]) == {one.symbol for one in self._run.feed.instruments}

    async def close(self) -> None:
        self._closed.set()


def play(seed: int) -> Run:
    """Play a case, and return what has become of it."""

    async def main() -> Run:
        run = Run(Case(seed))
        await run.play()
        return run

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main())

"""What each weather does to one connection: stages that records, then frames, pass on their way to the client.

Records pass three stages: the *market* itself (``burst``, ``halt``), what its records say (``crossed``,
``clock-jump``), and the *line* (``gap``, ``duplicate``, ``out-of-order``). Trade ids are given between the first two
and the last: a market that halts loses no ids, a line that drops records does. Frames pass ``flood``, ``garbage`` and
``oversized``. Every stage counts what it did in :attr:`Weather.happened`, so that a test can insist on it.
"""

from __future__ import annotations

from random import Random

import numpy as np
from numpy.typing import NDArray

from mock_server.market import TRADE
from mock_server.weather import Moment, Weather
from mock_server.wire import MAX_MESSAGES, frame, heartbeat

Int64s = NDArray[np.int64]

BURST_TRADES, BURST_SIZE = 5, 4
"""In a burst every record comes so often, and every trade has so many times its size."""

LOST, DUPLICATED, HELD_BACK, CROSSED, JUMPED = 0.1, 0.2, 0.2, 0.2, 0.2
"""Share of the records that each fault meets."""

FLOOD_FRAMES = 50
"""Heartbeats that come with each frame of a flood."""

OVERSIZED_BYTES = 2 << 20
"""Twice what a client of ours reads."""

SLOW_PIECES, SLOW_PAUSE_S = 4, 0.005
"""A slow line brings each frame in so many pieces, with a pause between them."""

_HOUR_NS = 3_600_000_000_000

GARBAGE = (
    b"",
    b"garbage",
    b"{",
    b"null",
    b"[" * 10_000,
    b'[{"T":"t","T":"t"}]',
    b'[{"T":"t","p":1e400}]',
    b'[{"T":"t","p":NaN}]',
    b'[{"T":"\xc0\x80"}]',
    b"\xff\xfe\x00",
    b'[{"a":' * 40,
)
"""Frames that no reader may take anything from; between them come frames cut short."""


class Sky:
    """The weather over one connection."""

    def __init__(self, weather: Weather, connection: int) -> None:
        self._weather = weather
        self._draws = np.random.default_rng([weather.seed, connection])
        self._turn = Random(f"{weather.seed}/{connection}").randrange(len(GARBAGE))  # noqa: S311 - scenery
        self._since = weather.now()
        self._oversized: Moment | None = None
        self._held: tuple[Int64s, Int64s] | None = None
        self.moment = self._since

    def look(self) -> bool:
        """Look up; return False when this client is to be cut off now.

        A ``disconnect`` cuts everybody as it begins, and again at each full second of it.
        """
        self.moment = self._weather.now()
        if "disconnect" not in self.moment.words or self.moment == self._since:
            return True
        self._since = self.moment
        self._happened("disconnect")
        return False

    @property
    def slow(self) -> bool:
        """Whether frames trickle."""
        return "slow-loris" in self.moment.words

    def pieces(self, data: bytes) -> list[bytes]:
        """Cut a frame up for a slow line."""
        self._happened("slow-loris")
        size = -(-len(data) // SLOW_PIECES) or 1
        return [data[at : at + size] for at in range(0, len(data), size)] or [b""]

    def market(self, table: Int64s, start_ns: int) -> Int64s:
        """Return what the market does, and what its records say, instead of ``table`` (shape (9, n))."""
        words = self.moment.words
        if "halt" in words:
            self._happened("halt", table.shape[1])
            return table[:, :0]
        if "burst" in words:
            self._happened("burst", table.shape[1])
            table = np.repeat(table, BURST_TRADES, axis=1)
            table[2] *= BURST_SIZE
        if "crossed" in words:
            table = self._crossed(table)
        return self._clock_jump(table, start_ns) if "clock-jump" in words else table

    def line(self, table: Int64s, ids: Int64s) -> tuple[Int64s, Int64s]:
        """Return the records that arrive, and in which order, with their trade ids."""
        words = self.moment.words
        if "gap" in words:
            kept = ~self._drawn(len(ids), LOST)
            self._happened("gap", len(ids) - int(kept.sum()))
            table, ids = table[:, kept], ids[kept]
        if "duplicate" in words:
            times = 1 + self._drawn(len(ids), DUPLICATED)
            self._happened("duplicate", int(times.sum()) - len(ids))
            table, ids = np.repeat(table, times, axis=1), np.repeat(ids, times)
        return self._out_of_order(table, ids, "out-of-order" in words)

    def frames(self, messages: list[str], now_ns: int, sent: int) -> list[bytes]:
        """Return the frames that bring ``messages``, among those that only the weather sends."""
        words = self.moment.words
        each = 1 if "flood" in words else MAX_MESSAGES
        frames = [frame(messages[at : at + each]) for at in range(0, len(messages), each)]
        if "flood" in words:
            self._happened("flood", FLOOD_FRAMES + len(frames))
            frames += [heartbeat(now_ns, sent)] * FLOOD_FRAMES
        if "garbage" in words:
            self._happened("garbage", 2)
            self._turn += 1
            whole = frames[0] if frames else heartbeat(now_ns, sent)
            frames = [GARBAGE[self._turn % len(GARBAGE)], whole[: len(whole) * 2 // 3], *frames]
        if "oversized" in words and self.moment != self._oversized:  # once a second
            self._oversized = self.moment
            self._happened("oversized")
            frames.append(b"[" + b" " * OVERSIZED_BYTES + b"]")
        return frames

    def _crossed(self, table: Int64s) -> Int64s:
        """Bids above their asks."""
        chosen = self._drawn(table.shape[1], CROSSED) & (table[3] > 0) & (table[4] > 0)
        self._happened("crossed", int(chosen.sum()))
        table = table.copy()
        table[3] = np.where(chosen, table[4] + (table[4] - table[3]), table[3])
        return table

    def _clock_jump(self, table: Int64s, start_ns: int) -> Int64s:
        """Times an hour ahead, in 1970, and ten minutes ago, in turn."""
        chosen = np.flatnonzero(self._drawn(table.shape[1], JUMPED))
        before, self._turn = self._turn, self._turn + len(chosen)
        self._happened("clock-jump", len(chosen))
        table = table.copy()
        for kind, moved in enumerate((table[0] + _HOUR_NS, table[0] * 0 - start_ns, table[0] - _HOUR_NS // 6)):
            mine = chosen[(np.arange(len(chosen)) + before) % 3 == kind]
            table[0, mine] = moved[mine]
        return table

    def _out_of_order(self, table: Int64s, ids: Int64s, held_back: bool) -> tuple[Int64s, Int64s]:
        """Hold some records back until later ones have been sent."""
        held, self._held = self._held, None
        if held_back:
            # Only trades: what a late quote said has been said again meanwhile, and the reader drops it.
            late = self._drawn(len(ids), HELD_BACK) & (table[8] == TRADE)
            self._held = (table[:, late], ids[late])
            table, ids = table[:, ~late], ids[~late]
        if held is not None:
            if len(ids):
                self._happened("out-of-order", len(held[1]))
            table, ids = np.concatenate([table, held[0]], axis=1), np.concatenate([ids, held[1]])
        return table, ids

    def _drawn(self, count: int, share: float) -> NDArray[np.bool_]:
        drawn: NDArray[np.bool_] = self._draws.random(count) < share
        return drawn

    def _happened(self, word: str, times: int = 1) -> None:
        self._weather.happened[word] += times

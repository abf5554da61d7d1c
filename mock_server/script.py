"""The script of the market: what happens when, written a chapter at a time, before any trade is drawn.

A chapter is a few *phases* of some seconds (:data:`_PHASES`), each cut into *pieces* of at most a quarter of a second.
Within a piece everything is constant or linear, which is what lets trades be computed as whole columns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mock_server.listings import Listing

Int64s = NDArray[np.int64]

SUBSTEPS = 1024
"""Fair value is counted in 1/1024 of the symbol's tick size."""

ACTIVITY_ONE = 4096
"""Activity time that passes, on average, from one trade to the next."""

_MS = 1_000_000
_PIECE_MS = 250


class _Phase(NamedTuple):
    """How the market behaves for a while; ranges are drawn from evenly, both ends included."""

    duration_ms: tuple[int, int]
    move_bps10: tuple[int, int]  # drift over the whole phase, in tenths of a basis point of the symbol's level
    pace: int  # arrivals relative to the others, in sixteenths
    size: int  # trade size, in sixteenths of the ordinary
    volatility_bps10: int  # of the noise, in tenths of a basis point per square root of a second
    wider: int  # how much the spread may widen, in quarters of the usual one


_QUIET = _Phase((2_000, 5_000), (0, 0), pace=5, size=10, volatility_bps10=1, wider=0)
_ORDINARY = _Phase((2_000, 5_000), (-20, 20), pace=13, size=16, volatility_bps10=11, wider=2)
_BURST = _Phase((3_000, 6_000), (100, 280), pace=36, size=48, volatility_bps10=17, wider=4)
_RUN_ON = _Phase((3_000, 6_000), (20, 150), pace=20, size=24, volatility_bps10=14, wider=4)
_TURN_BACK = _Phase((2_000, 4_000), (-260, -100), pace=24, size=28, volatility_bps10=14, wider=4)
_AFTERMATH = (_RUN_ON, *[_TURN_BACK] * 4, *[_QUIET] * 2)

_PIECE_PACES = np.array([8, 12, 16, 16, 20, 24])  # arrivals also cluster within a phase; the mean is 16
STEADY_ABOVE = 1_000.0  # trades per second and symbol
_PULL_BPS = 200  # at this distance from its level the price is drawn back as strongly as it ever is
_BUY_SHARE = 1024  # a buy share of 512 means that half of the trades are purchases


class Pieces(NamedTuple):
    """Pieces as columns. ``level`` and ``move`` are in substeps, ``volatility`` in 1e-6 substeps per root of a ns."""

    start_ns: Int64s
    duration_ns: Int64s
    activity: Int64s
    activity_span: Int64s
    level: Int64s
    move: Int64s
    volatility: Int64s
    size: Int64s
    spread: Int64s
    buy_share: Int64s


class Script:
    """The pieces of one symbol's market, drawn from their own random stream as far as they are asked for."""

    def __init__(self, listing: Listing, bits: np.random.PCG64, rate: float) -> None:
        self._bits = bits
        self._listing = listing
        self._reference = listing.level_ticks * SUBSTEPS // listing.tick_size
        # How much of the phases' differences in pace is kept: all of it up to a thousand trades a second. Beyond that
        # the rate is a load to be measured, which should be steady; bursts then show in sizes and drift.
        self._contrast = min(1.0, STEADY_ABOVE / rate)
        # Activity per millisecond of a piece of pace 1, such that the mean rate is ``rate``.
        self._activity_per_ms = rate * ACTIVITY_ONE / 1000 / self._tempered(_mean_pace())
        self._end_ns = 0
        self._end_activity = 0
        self._level = self._reference
        self._written = np.zeros((len(Pieces._fields), 0), np.int64)

    def pieces(self, activity: Int64s) -> Pieces:
        """Return the piece in which each activity time lies; the times ascend from call to call."""
        chapters = [self._written]
        while self._end_activity <= activity[-1]:
            chapters.append(self._chapter())
        written = np.concatenate(chapters, axis=1) if len(chapters) > 1 else self._written
        at = np.searchsorted(written[2], activity, "right") - 1
        self._written = written[:, at[-1] :]
        return Pieces(*written[:, at])

    def _tempered(self, pace: float) -> float:
        return 1 + (pace - 1) * self._contrast

    def _draw(self, low: int, high: int) -> int:
        """Draw an integer from ``low`` to ``high``, both included."""
        return low + int(self._bits.random_raw()) % (high - low + 1)

    def _chapter(self) -> Int64s:
        """Write the next chapter: quiet, ordinary, a burst one way, and what comes of it."""
        # The further the price has strayed from its level, the likelier the next burst leads back.
        strayed = (self._level - self._reference) * 10_000 // self._reference
        towards = max(-400, min(400, strayed * 400 // _PULL_BPS))
        direction = 1 if self._draw(0, 1023) >= 512 + towards else -1
        after = _AFTERMATH[self._draw(0, len(_AFTERMATH) - 1)]
        phases = [(_QUIET, 1), (_ORDINARY, 1), (_BURST, direction), (after, direction)]
        return np.concatenate([self._phase(phase, direction) for phase, direction in phases], axis=1)

    def _phase(self, phase: _Phase, direction: int) -> Int64s:
        listing = self._listing
        duration_ms = self._draw(*phase.duration_ms)
        move = direction * self._draw(*phase.move_bps10) * self._reference // 100_000
        starts_ms = np.arange(0, duration_ms, _PIECE_MS)
        durations_ms = np.minimum(_PIECE_MS, duration_ms - starts_ms)
        words = self._bits.random_raw(len(starts_ms)).astype(np.uint64, copy=False)

        own_pace = _PIECE_PACES[(words % np.uint64(len(_PIECE_PACES))).astype(np.int64)] / 16
        pace = self._tempered(phase.pace / 16) * (1 + (own_pace - 1) * self._contrast)
        spans = durations_ms * pace * self._activity_per_ms
        widening = ((words >> np.uint64(32)) % np.uint64(phase.wider + 1)).astype(np.int64)
        levels = self._level + starts_ms * move // duration_ms
        lean = 0 if move == 0 else (1 if move > 0 else -1) * 16 * min(16, phase.pace // 2)

        table = np.empty((len(Pieces._fields), len(starts_ms)), np.int64)
        pieces = Pieces(*table)
        pieces.start_ns[:] = self._end_ns + starts_ms * _MS
        pieces.duration_ns[:] = durations_ms * _MS
        pieces.activity_span[:] = np.maximum(1, np.rint(spans))
        pieces.activity[:] = self._end_activity + np.cumsum(pieces.activity_span) - pieces.activity_span
        pieces.level[:] = levels
        pieces.move[:] = np.diff(levels, append=self._level + move)
        pieces.volatility[:] = phase.volatility_bps10 * self._reference * 1_000_000 // 100_000 // 31_623
        pieces.size[:] = phase.size
        pieces.spread[:] = listing.spread + listing.spread * widening // 4
        pieces.buy_share[:] = _BUY_SHARE // 2 + lean
        self._end_ns += duration_ms * _MS
        self._end_activity = int(pieces.activity[-1] + pieces.activity_span[-1])
        self._level += move
        return table


def _mean_pace() -> float:
    """Return the mean pace over a chapter, weighted by time, relative to a phase of pace 16."""
    after = [(1, phase) for phase in _AFTERMATH]
    parts = [(len(_AFTERMATH), phase) for phase in (_QUIET, _ORDINARY, _BURST)] + after
    weights = [(count * sum(phase.duration_ms), phase.pace) for count, phase in parts]
    return sum(weight * pace for weight, pace in weights) / sum(weight for weight, _ in weights) / 16

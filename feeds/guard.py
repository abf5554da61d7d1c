"""The limits of a feed, with their defaults and units, and its counters as :class:`engine.ports.FeedHealth`.

The checks themselves are in C (``engine/_guard.pxd`` states the rules); this is where their numbers come from.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from engine._wire import MESSAGES_PER_FRAME, Decoder
from engine.errors import ConfigError
from engine.model import MAX_SIZE_LOTS
from engine.ports import FeedHealth, FeedState
from feeds.base import SECOND_NS
from feeds.venues import Venue


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLimits:
    """Everything that bounds a feed. Times are in seconds.

    Raises:
        ConfigError: a limit is not positive, or outside what the engine can hold.
    """

    # What one record may say
    max_jump_bps: int = 1_000  # price jump believed at once, in 1/10,000 (10 %)
    jump_confirmations: int = 3  # further trades or quotes that make a larger one believed
    max_size_lots: int = MAX_SIZE_LOTS
    max_future_s: float = 5.0  # how far a record's time may run ahead of ours
    # What may come at once
    max_frame_bytes: int = 1 << 20  # larger: closed with 1009, then reconnected
    queue_ticks: int = 262_144  # records waiting for the engine; see feeds/queue.py for what happens at the bound
    # How long things may take
    handshake_s: float = 4.0  # so that a second one fits into the time for the first connection
    stale_after_s: float = 3.0  # nothing heard: the feed is stale
    silence_s: float = 10.0  # nothing heard, the first message included: reconnect
    ping_interval_s: float = 5.0
    ping_timeout_s: float = 5.0  # no pong: reconnect
    close_timeout_s: float = 1.0
    # How often to come back
    backoff_first_s: float = 0.25  # the longest wait before the second attempt; it doubles from there
    backoff_cap_s: float = 30.0
    stable_after_s: float = 5.0  # a connection that lived this long starts the next back-off afresh
    connects_per_window: int = 100
    connect_window_s: float = 300.0

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if not 0 < value < 1 << 60:  # also refuses NaN
                raise ConfigError(f"{value} is no limit", where=f"feed limit {limit.name}", fix="it must be positive")
        for name, largest in (("max_jump_bps", 10_000), ("max_size_lots", MAX_SIZE_LOTS)):
            if getattr(self, name) > largest:
                raise ConfigError(f"{getattr(self, name)} is above {largest}", where=f"feed limit {name}")
        if self.queue_ticks < MESSAGES_PER_FRAME:
            raise ConfigError(
                f"{self.queue_ticks} cannot hold one frame",
                where="feed limit queue_ticks",
                fix=f"it must be at least {MESSAGES_PER_FRAME}",
            )


def decoder_for(venue: Venue, limits: FeedLimits) -> Decoder:
    """Return a decoder of the venue's frames under these limits."""
    return Decoder(
        venue.keys,
        venue.types,
        max_frame_bytes=limits.max_frame_bytes,
        jump_bps=limits.max_jump_bps,
        jump_confirmations=limits.jump_confirmations,
        max_size_lots=limits.max_size_lots,
        future_ns=int(limits.max_future_s * SECOND_NS),
    )


def check_conservation(decoder: Decoder) -> None:
    """Assert that nothing vanished: all that was offered has been accepted or refused for a reason."""
    assert decoder.offered == decoder.accepted + sum(decoder.rejected().values())
    assert decoder.frames_offered == decoder.frames_accepted + sum(decoder.bad_frames().values())
    assert decoder.bytes_offered == decoder.bytes_accepted + sum(decoder.bad_bytes().values())


def feed_health(
    decoder: Decoder, *, state: FeedState, address: str, gaps: int, reconnects: int, queue_ticks: int, age_ms: float
) -> FeedHealth:
    """Return the counters of a decoder and its feed, having checked that they add up."""
    check_conservation(decoder)
    return FeedHealth(
        state=state,
        address=address,
        offered=decoder.offered,
        accepted=decoder.accepted,
        rejected=decoder.rejected(),
        bad_frames=decoder.bad_frames(),
        late=decoder.late,
        gaps=gaps,
        reconnects=reconnects,
        queue_ticks=queue_ticks,
        age_ms=age_ms,
    )

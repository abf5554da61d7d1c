"""The ports: what a feed, a broker and a journal must offer. Adapters implement them; the kernel knows only these."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

from engine.account.orders import Approved
from engine.events import Decision
from engine.model import Clock, Instrument, TickBlock


class FeedState(StrEnum):
    """Where a feed stands; the words the dashboard and the terminal show."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALE = "stale"  # connected, but silent for longer than stale_after
    GAP = "gap"  # records were lost: features are dirty until their windows have refilled
    RECONNECTING = "reconnecting"
    END = "end"  # the source has no more records (files and recordings)
    CLOSED = "closed"


@dataclass(slots=True)
class FeedBatch:
    """What a feed hands over at one moment: a block of records, a change of state, or both (state first).

    ``received_ns`` is ``time.monotonic_ns()`` at the moment the bytes arrived; tick-to-decision latency counts
    from it. ``late_ns`` is how much longer than usual the oldest record took on its way, as far as its exchange time
    tells. The block's arrays belong to the feed and are only valid until the next batch is asked for.
    """

    received_ns: int
    block: TickBlock | None = None
    state: FeedState | None = None
    detail: str = ""
    gap_instruments: Sequence[int] = ()  # indices whose windows must restart; with state GAP
    late_ns: int = 0


@dataclass(slots=True)
class FeedHealth:
    """Counters of a feed since its start. The law: ``offered == accepted + sum(rejected.values())``."""

    state: FeedState
    address: str
    offered: int
    accepted: int
    rejected: Mapping[str, int]  # by reason code
    bad_frames: Mapping[str, int]  # whole frames refused, by reason code
    late: int  # accepted although their time ran backwards
    gaps: int
    reconnects: int
    queue_ticks: int
    age_ms: float  # time since the last message of any kind; NaN before the first


class Feed(Protocol):
    """A source of ticks. ``instruments`` is complete once the first batch has been handed over."""

    clock: Clock

    @property
    def instruments(self) -> Sequence[Instrument]: ...

    def batches(self) -> AsyncIterator[FeedBatch]:
        """Yield batches until the feed ends or is closed; never raises for a fault of the other side."""
        ...

    def health(self) -> FeedHealth: ...

    async def close(self) -> None: ...


class Fill(NamedTuple):
    """What a venue made of an order, or of a part of it: its price, and costs in the account's money unit."""

    price_ticks: int | Fraction
    reference_half_ticks: int  # what the spread is measured from: the mid of the quote, or the last trade price
    slippage: int
    fee: int


class Broker(Protocol):
    """A venue that takes approved orders."""

    @property
    def resting_model(self) -> int:
        """By which of the core's models resting orders are filled."""
        ...

    @property
    def wants_worst_quote(self) -> bool:
        """Whether an order on its way is filled at the worst quote meanwhile."""
        ...

    @property
    def may_short(self) -> bool:
        """Whether the venue lets what is not owned be sold."""
        ...

    def arrival_ns(self, approved: Approved, sent_ns: int) -> int:
        """When what is sent for the order reaches the venue, never before what was sent earlier.

        Not after ``sent_ns``: it is there at once.
        """
        ...

    def fill(self, approved: Approved, lots: int, last_ticks: int, bid_ticks: int, ask_ticks: int) -> Fill | None:
        """Fill ``lots`` against the market as it stands, or None when there is no price."""
        ...

    def has_price(self, approved: Approved, last_ticks: int, bid_ticks: int, ask_ticks: int) -> bool:
        """Whether there is a price that a market order could be filled at."""
        ...

    def crosses(self, approved: Approved, last_ticks: int, bid_ticks: int, ask_ticks: int) -> bool:
        """Whether a limit order could be filled against the market as it stands."""
        ...

    def passive(self, approved: Approved, lots: int) -> Fill:
        """Fill ``lots`` of an order that rested at its limit."""
        ...

    @property
    def kept(self) -> tuple[Any, ...]:
        """What it remembers, as plain values: for another one to go on from."""
        ...

    def restore(self, state: Sequence[Any]) -> None:
        """Go on from where another one was in this state."""
        ...


class Journal(Protocol):
    """Where decisions go, in the order in which they are made."""

    def append(self, decision: Decision) -> None: ...

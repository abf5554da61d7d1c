"""Records on their way from the socket to the engine: bounded, in order, without copies.

Frames are decoded on receipt into one set of columns while the engine works on the other; ``drain`` swaps them. Changes
of state travel in the same order as the records, as marks between rows.

At the bound (so many records wait that the next frame might take them past ``limit``) quotes give way first: each one
that a later quote of its instrument replaces before the next trade is dropped and counted as ``coalesced``. If that
does not free a sixteenth of the room, everything that waits is dropped, counted as ``queue_overflow``, and a gap is
declared for all instruments: what is new is worth more than what is old, and a window with a hole in it must start
again anyway. No trade is dropped before that.

``GAP`` is an event, not a lasting state: behind the records that disclosed it the state of before is announced again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine._wire import GAP, Columns, Decoder
from engine.model import Instrument, TickBlock
from engine.ports import FeedBatch, FeedState


@dataclass(slots=True)
class _Mark:
    """A change of state before the row with this number."""

    row: int
    state: FeedState
    detail: str
    gap_instruments: Sequence[int]


class TickQueue:
    """Decoded records and changes of state, waiting for the engine."""

    def __init__(self, decoder: Decoder, instruments: Sequence[Instrument], limit: int) -> None:
        self.gaps = 0
        self.state = FeedState.CONNECTING  # as of the newest record
        self._decoder = decoder
        self._instruments = instruments  # the feed's list, which grows
        self._filling = Columns(limit)
        self._handed_over = Columns(limit)
        self._marks: list[_Mark] = []
        self._received_ns = 0  # stamp of the oldest record that waits
        self._late_ns = 0  # of the latest record that waits

    def __len__(self) -> int:
        return self._filling.rows

    @property
    def empty(self) -> bool:
        """Whether neither records nor changes of state wait."""
        return not self._filling.rows and not self._marks

    def note_late(self, late_ns: int) -> None:
        """The frame received last has taken so much longer than usual on its way."""
        self._late_ns = max(self._late_ns, late_ns)

    def receive(self, frame: bytes, received_ns: int, wall_ns: int) -> int:
        """Decode a frame into the queue; returns the decoder's outcome."""
        self._make_room(Decoder.most_rows(len(frame)), received_ns)
        waiting = self._filling.rows
        outcome = self._decoder.decode(frame, wall_ns, self._filling)
        if not waiting and not self._marks:
            self._received_ns = received_ns
        if outcome & GAP:
            for row, instrument in self._decoder.take_gaps():
                self._mark_gap(row, (instrument,) if instrument >= 0 else self._all(), "records are missing")
            self.mark(self.state, "", received_ns)
        return outcome

    def mark(self, state: FeedState, detail: str, now_ns: int) -> None:
        """Put a change of state behind the records received so far."""
        if self.empty:
            self._received_ns = now_ns
        self.state = state
        self._marks.append(_Mark(self._filling.rows, state, detail, ()))

    def mark_gap(self, detail: str, now_ns: int) -> None:
        """Declare that records of any instrument may have been lost here."""
        if self.empty:
            self._received_ns = now_ns
        self._mark_gap(self._filling.rows, self._all(), detail)

    def drain(self) -> Iterator[FeedBatch]:
        """Yield all that waits. The blocks are valid until the next drain begins."""
        columns, marks = self._filling, self._marks
        self._filling, self._handed_over, self._marks = self._handed_over, columns, []
        self._filling.clear()
        late_ns, self._late_ns = self._late_ns, 0
        batch, start = FeedBatch(self._received_ns, late_ns=late_ns), 0
        for mark in marks:
            if mark.row > start:
                batch.block = TickBlock(*columns.view(start, mark.row))
                start = mark.row
            if batch.block is not None or batch.state is not None:
                yield batch
                batch = FeedBatch(batch.received_ns, late_ns=late_ns)
            batch.state, batch.detail, batch.gap_instruments = mark.state, mark.detail, mark.gap_instruments
        if columns.rows > start:
            batch.block = TickBlock(*columns.view(start, columns.rows))
        if batch.block is not None or batch.state is not None:
            yield batch

    def _all(self) -> range:
        return range(len(self._instruments))

    def _mark_gap(self, row: int, instruments: Sequence[int], detail: str) -> None:
        self.gaps += 1
        if self._marks and self._marks[-1].row == row and self._marks[-1].state is FeedState.LIVE:
            self._marks.pop()  # it would be live for no record at all
        if self._marks and self._marks[-1].row == row and self._marks[-1].state is FeedState.GAP:
            instruments = sorted({*self._marks.pop().gap_instruments, *instruments})
        self._marks.append(_Mark(row, FeedState.GAP, detail, instruments))

    def _make_room(self, rows: int, now_ns: int) -> None:
        columns = self._filling
        if columns.reserve(rows):
            return
        waiting = columns.rows
        for mark, row in zip(self._marks, columns.coalesce_quotes([mark.row for mark in self._marks]), strict=True):
            mark.row = row
        self._decoder.count_coalesced(waiting - columns.rows)
        if columns.reserve(max(rows, columns.limit // 16)):
            return
        self._decoder.count_overflow(columns.rows)
        columns.clear()
        columns.reserve(rows)
        # The dropped rows' own changes of state are overtaken by the last one and by the gap.
        self._marks = self._marks[-1:]
        for mark in self._marks:
            mark.row = 0
        self._received_ns = now_ns
        self._mark_gap(0, self._all(), "the engine fell behind: the waiting records were dropped")
        self.mark(self.state, "", now_ns)

"""Bringing an interrupted session back, so that it goes on as if nothing had happened but time.

It is brought back by what it had been given: its recorded inputs run once more through the same
kernel, and every decision that is made again is held against the one that was recorded. Whatever was decided on the
very last input and had not reached the journal is decided now, and written. The session then goes on in the same
journal, so its order ids go on, too, and the whole remains one sequence that replays (``docs/adr/0019``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import cast

import structlog

from engine._journal import Fold
from engine.account.carried import Carried
from engine.errors import UserError
from engine.events import Decision, EngineFault, encode
from engine.journal.codec import STATE, KernelState, fields_of, is_decision, is_input, name_of, number_of
from engine.journal.reader import Entry, JournalReader, UnsoundError, read_manifest
from engine.journal.segments import Place
from engine.journal.snapshots import SnapshotUnfitError, newest_first
from engine.journal.writer import SessionJournal
from engine.live.decision_log import LoggedJournal
from engine.live.recording import RecordedKernel, carried_of, state_of
from engine.live.replay import kernel_of
from engine.live.snapshots import put_back
from engine.model import TickBlock
from engine.ports import Journal
from engine.trading.kernel import Input

log = structlog.get_logger("journal")


class Recovery:
    """An interrupted session, brought back. It is the journal of its kernel, while that catches up and afterwards.

    Args:
        directory: of its journal.
        beat: is called with every record, so that whoever watches knows that it goes on.

    Attributes:
        kernel: as it was after the last input.
        inputs, ticks: how many there were.

    Raises:
        UserError: the journal cannot be read, or what it needs is not there any more.
        UnsoundError: it is damaged before its end, or something was decided otherwise than is recorded.
    """

    def __init__(self, directory: Path, beat: Callable[[], None] = lambda: None) -> None:
        self.manifest = read_manifest(directory)
        for path in newest_first(directory):
            try:
                self._bring_back(directory, path, beat)
            except (SnapshotUnfitError, UnsoundError) as error:
                log.warning("snapshot not used", snapshot=path.name, why=error.what)
            else:
                log.info("snapshot used", snapshot=path.name, inputs_since=self.inputs - self._begun_at)
                return
        self._bring_back(directory, None, beat)

    def _bring_back(self, directory: Path, snapshot: Path | None, beat: Callable[[], None]) -> None:
        """Catch up with the journal, from a snapshot on or from its beginning."""
        self.inputs = self.decided = self._begun_at = 0
        self._folded = Fold()
        self._made: deque[Decision | KernelState] = deque()  # and not met in the journal yet
        self._fault = ""  # what the last input failed with, in a way that nobody foresaw
        self._target: Journal | None = None
        self.kernel = kernel_of(self.manifest, self)
        self._recorded = RecordedKernel(self.kernel, self)
        place = None if snapshot is None else self._begin_at(snapshot)
        self.reader = JournalReader(directory, joins=True, start=place)
        for entry in self.reader:
            self._take(entry)
            beat()
        if place is not None and not self.reader.records:
            raise SnapshotUnfitError(f"the journal does not lead to it: {self.reader.problem}")
        if damage := self.reader.damage:
            raise UnsoundError(f"the journal is damaged: {damage}", fix=_WAYS_OUT.format(directory.name))

    def _begin_at(self, path: Path) -> Place:
        """Put a snapshot back; returns where the journal goes on behind it."""
        snapshot, recorded = put_back(path, self.manifest, self.kernel), self._recorded
        facts = snapshot.facts
        self.inputs = self._begun_at = facts["inputs"]
        self.decided, self._folded = facts["decisions"], Fold(bytes.fromhex(facts["decision_state"]))
        recorded.inputs, recorded.ticks, recorded.kept_at = facts["worked_through"], facts["ticks"], facts["size"]
        recorded.chain = facts["chain"]
        if state_of(self.kernel, recorded.inputs, self, recorded.chain).chain != facts["state"]:
            raise SnapshotUnfitError("what it makes is not what was kept", where=str(path))
        return snapshot.place

    # ------------------------------------------------------------ the journal of the kernel

    @property
    def ticks(self) -> int:
        """How many there were."""
        return self._recorded.ticks

    @property
    def decision_hash(self) -> str:
        """Hash of every decision so far; equal hashes mean equal decisions."""
        return self._folded.hexdigest()

    def record(self, event: Input) -> None:
        """Count an input that is in the journal already."""
        self.inputs += 1

    def append(self, decision: Decision) -> None:
        """Take a decision: to be met in the journal, or to be written once the session goes on."""
        if self._target is not None:
            self._target.append(decision)
            return
        self._made.append(decision)
        self._folded.update(encode(decision))
        self.decided += 1

    def append_state(self, state: KernelState) -> None:
        """Take a state, as a decision."""
        self._made.append(state)

    # ------------------------------------------------------------ catching up

    def _take(self, entry: Entry) -> None:
        if is_input(entry.kind):
            self._expect_nothing(entry)
            self._run(cast("Input", entry.event()), entry.records)
        elif is_decision(entry.kind) or entry.kind == STATE:
            made = self._made.popleft() if self._made else None
            recorded = entry.event()
            if made != recorded or type(made) is not type(recorded):
                raise self._differs(entry, made)

    def _run(self, event: Input, inputs: int) -> None:
        self._fault = ""
        try:
            if isinstance(event, TickBlock):
                self.inputs += inputs
                self._recorded.catch_up(event, inputs)
            else:
                self._recorded.process(event)
        except UnsoundError:
            raise
        except UserError:  # the strategy's own code failed, as it had in the session
            pass
        except Exception as error:
            self._fault = "" if isinstance(event, EngineFault) else type(error).__name__

    def _expect_nothing(self, entry: Entry) -> None:
        """An input follows: everything decided on the one before has been met."""
        if self._made:
            raise self._differs(entry, self._made[0])

    @property
    def _way_out(self) -> str:
        return _WAYS_OUT.format(self.reader.directory.name)

    def _differs(self, entry: Entry, made: Decision | KernelState | None) -> UnsoundError:
        """Say where what was decided now is not what was recorded."""
        recorded = None if is_input(entry.kind) else cast("Decision | KernelState", entry.event())
        one, other = (None if each is None else name_of(number_of(type(each))) for each in (recorded, made))
        if recorded is not None and made is not None and one == other:
            name = next(name for name in fields_of(made) if getattr(recorded, name) != getattr(made, name))
            one, other = (f"{one}.{name} {getattr(each, name)}" for each in (recorded, made))
        where = f"{self.reader.directory.name}: record {entry.sequence:,}, input {self.inputs:,}"
        was, now = one or "nothing", other or "nothing"
        what = f"it cannot be brought back as it was: recorded is {was}, decided now {now}"
        return UnsoundError(what, where=where, fix=self._way_out)

    # ------------------------------------------------------------ going on

    def go_on(self, *, tell_decisions: bool = False) -> tuple[SessionJournal, RecordedKernel]:
        """Open the journal behind its last record, write what is missing there, and let the kernel write to it.

        Args:
            tell_decisions: whether the log is told of each decision from here on.

        Raises:
            JournalFailed: it cannot be written.
        """
        journal = SessionJournal.resumed(self.reader, self.inputs, self.decided, self._folded, self._made)
        self._made.clear()
        self._recorded.journal = journal
        self._target = LoggedJournal(journal, self.kernel, journal.decided) if tell_decisions else journal
        if self._fault:
            self._recorded.process(EngineFault(self.kernel.core.engine_ts_ns, self._fault))
        return journal, self._recorded

    def seal(self, ended: str) -> Carried:
        """End the session for good, and return what its account's next one goes on from.

        Raises:
            JournalFailed: the journal cannot be written.
        """
        journal, _ = self.go_on()
        carried = carried_of(self.kernel, self.manifest)
        journal.close(ended, carried.to_json())
        return carried


_WAYS_OUT = "see: microburst parity {}; or start anew with --fresh, which keeps it"

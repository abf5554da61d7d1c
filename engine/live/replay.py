"""A recorded session once more: the same inputs through the same kernel, and every decision compared.

The manifest says how the kernel was composed and the journal what it was given, time included, so nothing depends on
when or where the replay runs. What differs is the code: a strategy whose file was edited decides otherwise, and the
first decision that does is named.
"""

from __future__ import annotations

from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from engine.account.carried import Carried
from engine.config.settings import Config
from engine.errors import DataError
from engine.events import Decision, encode
from engine.journal.codec import STATE, KernelState, fields_of, is_decision, is_input
from engine.journal.reader import Entry, JournalReader, read_manifest
from engine.live.recording import RecordedKernel, classes_of, line_of
from engine.live.session import PaperSession
from engine.model import TickBlock
from engine.ports import Journal
from engine.tools.provenance import strategies_hash
from engine.tools.recorded import instruments_of
from engine.trading.kernel import Input, Kernel


@dataclass(slots=True)
class Run:
    """What was decided on a session's inputs, and the states in between, each with the decisions before it."""

    decisions: list[Decision] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)  # of the decisions' records; empty for a replay
    causes: list[int] = field(default_factory=list)  # the number of the input on which each was decided
    states: list[tuple[int, KernelState]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place at which a replay is not what was recorded."""

    kind: str  # the decision's or the state's name
    number: int  # of the decision, counted from 1; of a state the inputs before it
    sequence: int  # of the recorded record; -1 where the recording has none, or both are replays
    input_number: int  # on which it was decided
    ts_ns: int
    field: str
    recorded: Any
    replayed: Any
    steps: int  # comparisons that it took to find it

    def line(self) -> str:
        """Say it in one sentence."""
        record = f"record {self.sequence:,}, " if self.sequence >= 0 else ""
        what = f"{self.kind}.{self.field}" if self.field else self.kind
        return (
            f"first difference at {record}input {self.input_number:,}, time {self.ts_ns}: "
            f"{what} was {self.recorded} and is {self.replayed}"
        )


class RerunJournal:
    """Keeps what a replay decides, beside the number of the input that it was decided on."""

    def __init__(self) -> None:
        self.run = Run()
        self.decided = self.inputs = 0
        self._folded = blake2b(digest_size=16)

    @property
    def decision_hash(self) -> str:
        """Hash of every decision so far; equal hashes mean equal decisions."""
        return self._folded.hexdigest()

    def record(self, event: Input) -> None:
        """Count an input."""
        self.inputs += 1

    def append(self, decision: Decision) -> None:
        """Keep a decision."""
        self.run.decisions.append(decision)
        self.run.causes.append(self.inputs)
        self._folded.update(encode(decision))
        self.decided += 1

    def append_state(self, state: KernelState) -> None:
        """Keep a state."""
        self.run.states.append((self.decided, state))


class Replay:
    """One session, run again.

    Args:
        directory: of its journal.
        manifest: what it is run by; None: its own.

    Attributes:
        kernel: after all inputs; its trades and equity are those of the session.
        recorded, replayed: what was decided then and now.
        inputs, ticks: how many there were.
        edited: whether the strategy's file has changed since.

    Raises:
        UserError: the journal cannot be read from its beginning, or what it needs is not there any more.
    """

    def __init__(self, directory: Path, manifest: dict[str, Any] | None = None) -> None:
        self.manifest = read_manifest(directory) if manifest is None else manifest
        self.reader = JournalReader(directory)
        self.journal, self.recorded = RerunJournal(), Run()
        self.inputs = self.ticks = 0
        self.kernel = kernel_of(self.manifest, self.journal)
        classes = classes_of(line_of(config_of(self.manifest)))
        self.edited = strategies_hash(classes) != self.manifest.get("strategy_sha256")
        again = RecordedKernel(self.kernel, self.journal)
        for entry in self.reader:
            self._take(entry, again)

    def _take(self, entry: Entry, again: RecordedKernel) -> None:
        if is_input(entry.kind):
            event = cast("Input", entry.event())
            self.inputs += 1
            self.ticks += len(event) if isinstance(event, TickBlock) else 0
            with suppress(Exception):  # it failed, as in the session, which went on: what it decided is compared
                again.process(event)
        elif is_decision(entry.kind):
            self.recorded.decisions.append(cast("Decision", entry.event()))
            self.recorded.sequences.append(entry.sequence)
            self.recorded.causes.append(self.inputs)
        elif entry.kind == STATE:
            self.recorded.states.append((len(self.recorded.decisions), cast("KernelState", entry.event())))

    @property
    def replayed(self) -> Run:
        """What was decided now."""
        return self.journal.run

    def check_whole(self) -> None:
        """Refuse to call a journal proven that is damaged.

        Raises:
            UnsoundError: with the place.
        """
        self.reader.refuse_damage()

    def difference(self) -> Difference | None:
        """Return the first difference between what was decided then and now, or None.

        A session that was killed may have been so between an input and the last decisions on it: what the replay
        decides after the end of such a recording is no difference.
        """
        unfinished = not self.reader.sealed
        return first_difference(self.recorded, self.replayed, unfinished=unfinished)


def config_of(manifest: dict[str, Any]) -> Config:
    """Return the configuration of a recorded session.

    Raises:
        DataError: it is none that this program could use.
    """
    try:
        return Config(**manifest["config"])
    except (TypeError, ValueError, KeyError) as error:
        first = " ".join(str(error).splitlines()[:3])  # of pydantic's: how many, which setting, and what is wrong
        what = f"the manifest of session {manifest.get('session')} cannot be used: {first}"
        raise DataError(what, fix="replay it with the version of microburst that wrote it") from None


def kernel_of(manifest: dict[str, Any], journal: Journal) -> Kernel:
    """Compose the kernel that a manifest describes.

    Raises:
        UserError: it describes none that this program could compose, or its strategy is not there any more.
    """
    carried = carried_by(manifest)
    return PaperSession.make_kernel(config_of(manifest), instruments_of(manifest), journal, carried)


def carried_by(manifest: dict[str, Any]) -> Carried | None:
    """Return what the account of a recorded session had brought from the one before.

    Raises:
        DataError: it is nothing that this program could use.
    """
    try:
        return Carried.read(manifest["carried"]) if manifest.get("carried") else None
    except (TypeError, ValueError, KeyError) as error:
        what = f"the manifest of session {manifest.get('session')} cannot be used: carried: {error}"
        raise DataError(what, fix="replay it with the version of microburst that wrote it") from None


def first_difference(recorded: Run, replayed: Run, *, unfinished: bool = False) -> Difference | None:
    """Return the first difference of two runs over the same inputs, or None.

    States are chained, so once one differs all later ones do: the first that does is found by bisection, and then the
    decisions since the state before are compared one by one.
    """
    steps = 0
    common = min(len(recorded.states), len(replayed.states))

    def differs(number: int) -> bool:
        nonlocal steps
        steps += 1
        return recorded.states[number][1].chain != replayed.states[number][1].chain

    found = bisect_left(range(common), True, key=differs)
    start = recorded.states[found - 1][0] if found else 0
    stop = len(recorded.decisions) if found == common else recorded.states[found][0]
    most = max(len(recorded.decisions), len(replayed.decisions)) if found == common else stop
    if unfinished and found == common:
        most = stop
    for number in range(start, most):
        steps += 1
        one, other = (run.decisions[number] if number < len(run.decisions) else None for run in (recorded, replayed))
        cause = next(run.causes[number] for run in (recorded, replayed) if number < len(run.causes))
        if encode_or_nothing(one) != encode_or_nothing(other):
            sequence = recorded.sequences[number] if number < len(recorded.sequences) else -1
            return _of_decisions(one, other, number + 1, sequence, cause, steps)
    if found < common:
        return _of_states(recorded.states[found][1], replayed.states[found][1], steps)
    return None


def encode_or_nothing(decision: Decision | None) -> bytes:
    """A decision as the bytes that its hash is taken over; of one that is missing none."""
    return b"" if decision is None else encode(decision)


def _of_decisions(
    one: Decision | None, other: Decision | None, number: int, sequence: int, cause: int, steps: int
) -> Difference:
    first = one if one is not None else other
    assert first is not None, "only decisions of which one is there differ"
    kind, ts_ns = type(first).__name__, first.ts_ns
    if one is None or other is None or type(one) is not type(other):
        return Difference(kind, number, sequence, cause, ts_ns, "", one, other, steps)
    name = next(name for name in fields_of(one) if str(getattr(one, name)) != str(getattr(other, name)))
    return Difference(kind, number, sequence, cause, ts_ns, name, getattr(one, name), getattr(other, name), steps)


def _of_states(one: KernelState, other: KernelState, steps: int) -> Difference:
    name = next(name for name in fields_of(one) if getattr(one, name) != getattr(other, name))
    values = getattr(one, name), getattr(other, name)
    return Difference("KernelState", one.inputs, -1, one.inputs, one.engine_ts_ns, name, *values, steps)

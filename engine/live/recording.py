"""A kernel whose inputs and decisions go to a journal: each input first, then what was decided on it.

A session and its replay put inputs through this same class, so what is compared is numbered alike.
"""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from engine import _journal
from engine.account.carried import Carried
from engine.account.ledger import DAILY
from engine.backtesting import make_strategy
from engine.errors import UserError
from engine.events import Decision, End
from engine.journal.accounts import last_sessions
from engine.journal.codec import KernelState
from engine.journal.reader import SCHEMA
from engine.journal.segments import JournalFailed
from engine.journal.sessions import new_directory, prune, root_of
from engine.journal.writer import SessionJournal, not_started
from engine.lineup import Line, entrants_of, labels, line_up, traded_by
from engine.model import Instrument, TickBlock
from engine.strategy import Strategy
from engine.tools.provenance import provenance
from engine.trading.kernel import Input, Kernel

if TYPE_CHECKING:
    from engine.config.settings import Config

log = structlog.get_logger("journal")

STATE_EVERY = 4096
"""Inputs from one state to the next: a difference is looked for in so many at most."""


class InputJournal(Protocol):
    """Where inputs, decisions and states go."""

    decided: int

    @property
    def decision_hash(self) -> str: ...

    def record(self, event: Input) -> None: ...

    def append(self, decision: Decision) -> None: ...

    def append_state(self, state: KernelState) -> None: ...


class RecordedKernel:
    """Puts inputs through a kernel, having written each of them, and writes its state now and then.

    Args:
        kernel: its decisions go to ``journal``.
        journal: where inputs and states go as well.

    Attributes:
        inputs: worked through, one that failed in a way that nobody foresaw left out.
        ticks: that were among them.
        chain: of the newest state.
        kept_at: bytes of the journal when the snapshot was taken that the kernel was brought back from; 0: none was.
        failure: the first of a strategy's own code.
    """

    def __init__(self, kernel: Kernel, journal: InputJournal) -> None:
        self.kernel, self.journal = kernel, journal
        self.inputs = self.ticks = self.kept_at = 0
        self.chain = ""
        self.failure: UserError | None = None

    def process(self, event: Input) -> None:
        """Write an input and decide on it; a long block of ticks is several inputs.

        Raises:
            JournalFailed: it could not be written, and nothing was decided on it.
            ConfigError: a strategy's own code failed, as ``Kernel.process`` says; the input was worked through.
        """
        failure: UserError | None = None
        for part in parts_of(event):
            self.ticks += len(part) if isinstance(part, TickBlock) else 0
            self.journal.record(part)
            try:
                self.kernel.process(part)
            except JournalFailed:
                raise
            except UserError as error:
                failure = failure or error
            self.inputs += 1
            if self.inputs % STATE_EVERY == 0 or isinstance(part, End):
                self._write_state()
        self._note(failure)

    def catch_up(self, block: TickBlock, inputs: int) -> None:
        """Decide again on ticks that are so many inputs in the journal already; how they are cut changes nothing.

        Raises:
            Exception: as the kernel does, on the last of the inputs.
        """
        failure: UserError | None = None
        self.ticks += len(block)
        try:
            self.kernel.process(block)
        except UserError as error:
            failure = error
        except Exception:  # the last of them raised it: an error is an input of its own, which would follow
            self.inputs += inputs - 1
            if inputs > 1:
                self.kernel.risk.errors = 0  # those before it were good
            raise
        self.inputs += inputs
        if self.inputs % STATE_EVERY == 0:
            self._write_state()
        self._note(failure)

    def _note(self, failure: UserError | None) -> None:
        if failure is not None:
            self.failure = self.failure or failure
            raise failure

    def _write_state(self) -> None:
        state = state_of(self.kernel, self.inputs, self.journal, self.chain)
        self.chain = state.chain
        self.journal.append_state(state)


def parts_of(event: Input) -> Iterator[Input]:
    """Cut a block of ticks into what one record holds; how records are cut never changes a decision."""
    if not isinstance(event, TickBlock) or len(event) <= _journal.MAX_ROWS:
        if not isinstance(event, TickBlock) or len(event):
            yield event
        return
    for start in range(0, len(event), _journal.MAX_ROWS):
        yield event.part(start, min(start + _journal.MAX_ROWS, len(event)))


def state_of(kernel: Kernel, inputs: int, journal: InputJournal, chain: str) -> KernelState:
    """What the kernel amounts to after so many inputs; ``chain`` is that of the state before."""
    core, everywhere = kernel.core, range(len(kernel.instruments))
    windows = [(core.ring(index), core.quote(index), core.price(index), core.warm_since(index)) for index in everywhere]
    vwaps = []
    for index, (mean, deviation) in enumerate(kernel.vwap):
        (weighted,), (total,) = mean.numerator, mean.denominator
        vwaps += [core.value(index, column) for column in (weighted[0].index, total[0].index, deviation.column)]
    lanes = [
        (lane.in_position, lane.cooldown_left, lane.stop_ticks, lane.target_ticks, lane.deadline_ns)
        for lane in kernel.lanes
    ]
    facts = KernelState(
        inputs=inputs,
        engine_ts_ns=core.engine_ts_ns,
        trades_seen=core.trades_seen,
        quotes_seen=core.quotes_seen,
        equity=core.equity,
        positions=tuple(kernel.portfolio.held(index) for index in everywhere),
        decisions=journal.decided,
        windows=_digest((windows, vwaps)),
        lanes=_digest(lanes),
        chain="",
    )
    return facts._replace(chain=_digest((chain, journal.decision_hash, *facts)))


def _digest(facts: object) -> str:
    """Hash of plain values, by how Python writes them: exact, and the same on every machine."""
    return blake2b(repr(facts).encode(), digest_size=16).hexdigest()


def line_of(config: Config) -> Line:
    """What a configuration trades by: one strategy, or several entrants."""
    chosen = config.strategy
    return line_up(chosen.strategies) if chosen.strategies else make_strategy(chosen.name, chosen.params)


def manifest_of(config: Config, instruments: Sequence[Instrument], **more: Any) -> dict[str, Any]:
    """Everything that decides what a session does, besides its inputs; nothing in a kernel is random.

    Strategies' files are named in full, so that the session can be replayed from any directory. ``lanes`` says which
    strategy and instrument each lane number of a decision means, so that these can be read without the strategies.

    Raises:
        UserError: a strategy is not there, or has nothing to trade.
    """
    line = line_of(config)
    settings = config.model_dump(mode="json")
    chosen = settings["strategy"]
    chosen["name"] = _in_full(chosen["name"])
    chosen["strategies"] = [
        shlex.join([_in_full(name), *rest]) for name, *rest in map(shlex.split, chosen["strategies"])
    ]
    return {
        "schema": SCHEMA,
        **more,
        "instruments": [asdict(instrument) for instrument in instruments],
        "lanes": lanes_of(line, instruments),
        "config": settings,
        **provenance(classes_of(line), settings),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def lanes_of(line: Line, instruments: Sequence[Instrument]) -> list[dict[str, Any]]:
    """What each lane of a kernel trades, by its number: the strategy's label and the instrument's index.

    The lane of a pair's other leg comes after the one that leads, whose number ``follows`` names.
    """
    entrants = entrants_of(line)
    symbols, found = [instrument.symbol for instrument in instruments], list[dict[str, Any]]()
    for label, entrant in zip(labels(entrants), entrants, strict=True):
        hedge = entrant.strategy.hedge_plan()
        for index in traded_by(entrant, instruments):
            found.append({"strategy": label, "instrument": index})
            if hedge is not None and hedge.symbol in symbols:
                other = symbols.index(hedge.symbol)
                found.append({"strategy": label, "instrument": other, "follows": len(found) - 1})
    return found


def lane_names(lanes: Sequence[Mapping[str, Any]], instruments: Sequence[Instrument]) -> list[str]:
    """What lanes are called where their numbers may differ: the strategy's label and the symbol."""
    legs = ["" if lane.get("follows") is None else f" after {lane['follows']}" for lane in lanes]
    return [
        f"{lane['strategy']} {instruments[lane['instrument']].symbol}{leg}"
        for lane, leg in zip(lanes, legs, strict=True)
    ]


def carried_of(kernel: Kernel, manifest: Mapping[str, Any]) -> Carried:
    """What the account's next session goes on from once this one, of that manifest, has nothing open."""
    session, portfolio, risk = str(manifest["session"]), kernel.portfolio, kernel.risk
    if kernel.day is None and manifest.get("carried"):  # not one record: what was brought is passed on
        brought = Carried.read(manifest["carried"])
        return replace(brought, session=session, halted=risk.halted, halted_for=risk.halted_for, paused=risk.paused)
    unit, ledger = 10**portfolio.scale, risk.ledger
    names = lane_names(manifest["lanes"], kernel.instruments)
    return Carried(
        session=session,
        equity=Fraction(portfolio.starting + portfolio.realised, unit),
        high=Fraction(kernel.core.high, unit),
        day=kernel.day,
        day_start=Fraction(risk.day_start, unit),
        day_halted=risk.day_halted,
        today={name: getattr(ledger, name) for name in DAILY},
        day_trades=tuple(ledger.day - number for number in ledger.day_trades),
        halted=risk.halted,
        halted_for=risk.halted_for,
        paused=risk.paused,
        cooldowns={name: lane.cooldown_left for name, lane in zip(names, kernel.lanes, strict=True)},
    )


def classes_of(line: Line) -> list[type[Strategy]]:
    """The classes of the strategies in a line-up, in order."""
    return [type(entrant.strategy) for entrant in entrants_of(line)]


def _in_full(strategy: str) -> str:
    """A strategy's name, with the whole path of one that is in a file."""
    file, separator, name = strategy.rpartition(":")
    if separator and file.endswith(".py"):
        return f"{Path(file).resolve()}:{name}"
    return str(Path(strategy).resolve()) if strategy.endswith(".py") else strategy


def open_journal(
    config: Config, instruments: Sequence[Instrument], moment: str, *, mode: str, clock: str, **more: Any
) -> SessionJournal | None:
    """Start the journal of a session that begins at ``moment``, and delete the oldest ones; None where it is off.

    ``more`` is what the manifest says besides.

    Raises:
        JournalFailed: it cannot be started.
    """
    if not config.journal.enabled:
        return None
    root = root_of(config.journal.directory)
    try:
        directory = new_directory(root, moment)
    except OSError as error:
        raise not_started(root / moment, error) from None
    manifest = manifest_of(config, instruments, session=directory.name, mode=mode, clock=clock, **more)
    journal = SessionJournal(directory, manifest, segment_bytes=config.journal.segment_mb << 20)
    log.info("recording", session=directory.name, directory=str(directory))
    for name in prune(root, config.journal.keep_sessions, last_sessions(root)):
        log.info("old journal deleted", journal=name)
    return journal

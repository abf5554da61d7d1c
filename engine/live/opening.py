"""How a session begins: it goes on where the account's last one was interrupted, or from where that one ended.

Recovery is the start path: there is no other way in. What came from before is said in a line, and in full to programs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from engine.account.carried import Carried
from engine.errors import ConfigError, DataError
from engine.events import Command, Decision, Refusal, TradingHalted, TradingResumed
from engine.journal.accounts import Account, account_names, free_account
from engine.journal.codec import is_decision, is_input
from engine.journal.reader import JournalReader, UnsoundError, read_manifest
from engine.journal.sessions import root_of
from engine.journal.writer import SessionJournal
from engine.live.recording import RecordedKernel, carried_of, manifest_of, open_journal
from engine.live.recovery import Recovery
from engine.model import Clock, Instrument
from engine.trading.kernel import Kernel

if TYPE_CHECKING:
    from engine.config.settings import Config

DEMO = "demo"
"""The account of sessions on an embedded market, which ends with them; ``demo-2`` and so on while it is in use."""

DECIDING = ("paper", "risk", "sizing", "strategy", "session")
"""The sections of the configuration that decide what a session does."""

UNDECIDING = ("session.duration", "paper.account")
"""The keys in them that do not."""

HALTS = (Refusal.HALTED, Refusal.DRAWDOWN, Refusal.ERRORS, Refusal.CONSERVATION)
"""What ends trading until somebody resumes it with a reason."""

UNRECORDED = "nothing is recorded: if this session is interrupted, the next start knows nothing of it"


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that may begin.

    Attributes:
        name: of the session.
        journal: of it; None where nothing is recorded.
        resumed: its kernel, where it was interrupted and goes on.
        carried: what the account brings from its session before.
        account: held until the end; None where there is none.
        facts: what came from before, for programs; empty where nothing did.
        line: the same for people.
        resume: why it may go on, where somebody has lifted the account's halt or pause since; otherwise "".
    """

    name: str
    journal: SessionJournal | None = None
    resumed: RecordedKernel | None = None
    carried: Carried | None = None
    account: Account | None = None
    facts: Mapping[str, Any] | None = None
    line: str = ""
    resume: str = ""

    def close(self, kernel: Kernel | None, ended: str) -> None:
        """End the journal: sealed, with what the account's next session goes on from, unless something is still open.

        Raises:
            JournalFailed: the disk has not taken everything.
        """
        try:
            if self.journal is None:
                return
            if kernel is None and self.resumed is not None:
                kernel = self.resumed.kernel
            if kernel is not None and not kernel.is_flat:
                self.journal.leave()
                return
            carried = self.carried if kernel is None else carried_of(kernel, read_manifest(self.journal.directory))
            self.journal.close(ended, None if carried is None else carried.to_json())
        finally:
            if self.account is not None:
                self.account.release()


def open_session(
    config: Config,
    instruments: Sequence[Instrument],
    moment: str,
    *,
    mode: str,
    clock: Clock,
    now_ns: int,
    fresh: bool = False,
    tell_decisions: bool = False,
    beat: Callable[[], None] = lambda: None,
) -> Opened:
    """Go on with the account's interrupted session, or begin one that goes on from where its last one ended.

    Args:
        config: the settings.
        instruments: what the feed offers.
        moment: by which a new session is called.
        mode: the word viewers show; a ``DEMO`` has an account of its own, which is never carried on.
        clock: a recording of the market, ``Clock.RECORD``, belongs to no account.
        now_ns: the present time.
        fresh: begin anew, whatever was before; only a halt stays.
        tell_decisions: whether the log is told of what a session decides that goes on.
        beat: is called now and then while a session is brought back.

    Raises:
        AccountBusy: another session trades the account.
        ConfigError: the interrupted session has something open, and its settings are not these.
        UnsoundError: the interrupted session's journal does not bring it back.
        DataError: what the account's last session left behind is not there any more.
        JournalFailed: the journal cannot be written.
    """
    start = _Start(config, instruments, moment, mode, clock)
    if not config.journal.enabled:
        return Opened(moment, line=UNRECORDED)
    if clock is Clock.RECORD:
        return start.anew(None)
    root = root_of(config.journal.directory)
    account = free_account(root, DEMO) if start.is_demo else Account(root, config.paper.account)
    try:
        start = replace(start, resume=account.resume)
        last, opened = start.last_of(account, fresh), None
        if last is not None and not fresh:
            opened = start.after(account, last, tell_decisions, beat)
        elif last is not None and not start.is_demo and (standing := standing_of(last)).halted is not None:
            cash = config.paper.starting_cash
            opened = start.anew(
                account, Carried(last.name, cash, cash, halted=standing.halted, halted_for=standing.said)
            )
        opened = opened or start.anew(account)
        account.begin(opened.name, now_ns)
    except BaseException:
        account.release()
        raise
    return opened


@dataclass(frozen=True, slots=True)
class _Start:
    """What a session that is to begin is asked for."""

    config: Config
    instruments: Sequence[Instrument]
    moment: str
    mode: str
    clock: Clock
    resume: str = ""

    @property
    def is_demo(self) -> bool:
        return self.mode == "DEMO"

    def last_of(self, account: Account, fresh: bool) -> Path | None:
        """The account's last session; a demo, or who begins anew, does not mind that it is lost."""
        try:
            return account.last
        except DataError:
            if fresh or self.is_demo:
                return None
            raise

    def anew(self, account: Account | None, carried: Carried | None = None) -> Opened:
        """Begin a new session."""
        more: dict[str, Any] = {} if account is None else {"account": account.name}
        if carried is not None:
            more["carried"] = carried.to_json()
        clock = str(self.clock)
        journal = open_journal(self.config, self.instruments, self.moment, mode=self.mode, clock=clock, **more)
        assert journal is not None, "it is asked for"
        name = journal.directory.name
        if account is None or carried is None:
            return Opened(name, journal, account=account)
        facts: dict[str, Any] = {"event": "carried", "account": account.name, "session": name, "from": carried.session}
        facts |= {"equity": float(carried.equity), "day": carried.day}
        facts |= {"halted": carried.halted or "", "halted_for": carried.halted_for, "lifted": self.resume}
        line = _carried_line(account.name, carried, self.resume)
        return Opened(name, journal, None, carried, account, facts, line, self.resume)

    def after(self, account: Account, last: Path, tell_decisions: bool, beat: Callable[[], None]) -> Opened | None:
        """Go on after the account's last session; None: there is nothing to go on from."""
        manifest, reader = read_manifest(last), JournalReader(last, joins=True).end()
        if reader.sealed:
            found = reader.summary.get("account")
            return None if self.is_demo or found is None else self.anew(account, Carried.read(found))
        differs = self.difference(manifest)
        if differs and self.is_demo:
            return None
        recovery = Recovery(last, beat)
        if not differs:
            journal, resumed = recovery.go_on(tell_decisions=tell_decisions)
            facts = facts_of(recovery, account.name) | {"lifted": self.resume}
            return Opened(last.name, journal, resumed, None, account, facts, resumed_line(facts), self.resume)
        if not recovery.kernel.is_flat:
            held = holdings_line(recovery.kernel)
            raise ConfigError(
                f"{held} is open in session {last.name}, which was interrupted, and {differs}",
                where=f"account {account.name}",
                fix="start as that session was started; or anew with --fresh, which keeps its journal",
            )
        return self.anew(account, recovery.seal(f"interrupted; the account went on in {self.moment}"))

    def difference(self, manifest: Mapping[str, Any]) -> str:
        """Say what decides otherwise than in a session of this manifest; "" when nothing does."""
        here = manifest_of(self.config, self.instruments)
        for section in DECIDING:
            was, now = manifest["config"].get(section, {}), here["config"][section]
            for key in sorted(was.keys() | now.keys()):
                if f"{section}.{key}" not in UNDECIDING and was.get(key) != now.get(key):
                    return f"{section}.{key} was {_said(was.get(key))} then and is {_said(now.get(key))}"
        if [one["symbol"] for one in manifest["instruments"]] != [one["symbol"] for one in here["instruments"]]:
            return "the feed offered other symbols then"
        if manifest["instruments"] != here["instruments"]:
            return "the feed's prices or sizes had other decimals then"
        return "" if manifest["strategy_sha256"] == here["strategy_sha256"] else "the strategy's file has been edited"


def _said(value: object) -> str:
    return str(value) if value not in ("", None, {}, []) else "not set"


class Standing(NamedTuple):
    """How a session left its account: halted, and what an operator said of that; paused."""

    halted: Refusal | None = None
    said: str = ""
    paused: bool = False

    @property
    def words(self) -> str:
        """In words; "" where everything may be opened."""
        if self.halted is not None:
            return _halted(self.halted, self.said)
        return "paused" if self.paused else ""


def standing_of(directory: Path) -> Standing:
    """Return how a session left its account, as far as its journal can be read: behind damage, too."""
    found, said = Standing(), ""
    with suppress(DataError, UnsoundError, OSError):
        manifest = read_manifest(directory)
        if manifest.get("carried"):
            found = _left(manifest["carried"])
        if account := JournalReader(directory).end().summary.get("account"):
            return _left(account)
        reader = JournalReader(directory)
        for entry in chain(reader, reader.beyond()):
            if is_input(entry.kind) and isinstance(command := entry.event(), Command):
                said = command.reason
            elif is_decision(entry.kind):
                decision = cast("Decision", entry.event())
                if isinstance(decision, TradingResumed):
                    found = Standing()
                elif isinstance(decision, TradingHalted) and decision.reason == Refusal.PAUSED:
                    found = found._replace(paused=True)
                elif isinstance(decision, TradingHalted) and decision.reason in HALTS and found.halted is None:
                    why = Refusal(decision.reason)
                    found = found._replace(halted=why, said=said if why is Refusal.HALTED else "")
    return found


def _left(facts: Mapping[str, Any]) -> Standing:
    carried = Carried.read(facts)
    return Standing(carried.halted, carried.halted_for, carried.paused)


def lift(root: Path, name: str, reason: str) -> Standing:
    """Have an account that no session trades go on from a halt or pause: its next session begins with the resume.

    Args:
        root: the directory of journals.
        name: the account's.
        reason: why it may go on.

    Returns:
        What is lifted; of an account that was neither halted nor paused, or that there is none of, nothing.

    Raises:
        AccountBusy: a session trades it.
        DataError: what it was left like cannot be known, or the resume not be noted.
    """
    if name not in account_names(root):  # to hold it would be to make it
        return Standing()
    account = Account(root, name)
    try:
        last = account.last
        standing = Standing() if last is None else standing_of(last)
        if standing.words:
            account.lift(reason)
        return standing
    finally:
        account.release()


# ---------------------------------------------------------------- what is said of it


def facts_of(recovery: Recovery, account: str) -> dict[str, Any]:
    """What was brought back, as plain values; prices and money in currency, times in nanoseconds."""
    kernel, manifest = recovery.kernel, recovery.manifest
    portfolio, risk = kernel.portfolio, kernel.risk

    def money(units: int) -> float:
        return float(portfolio.money(units))

    return {
        "event": "recovered",
        "account": account,
        "session": str(manifest["session"]),
        "from": "journal",
        "inputs": recovery.inputs,
        "ticks": recovery.ticks,
        "decisions": recovery.decided,
        "interrupted_ts_ns": max(kernel.core.engine_ts_ns, 0),
        "cut": recovery.reader.problem,
        "positions": list(_positions(kernel)),
        "orders": sum(len(lane.takes) + (lane.order is not None) for lane in kernel.lanes),
        "trades": len(portfolio.trades),
        "cash": money(portfolio.starting + portfolio.realised),
        "equity": money(kernel.core.equity),
        "daily_pnl": money(kernel.core.equity - risk.day_start),
        "halted": risk.own_standing or "",
        "halted_for": risk.halted_for,
    }


def _positions(kernel: Kernel) -> Sequence[dict[str, Any]]:
    found = []
    for number, position in sorted(kernel.portfolio.positions.items()):
        lane, instrument = kernel.lanes[number], kernel.instruments[position.instrument]
        scale = 10**instrument.price_precision
        found.append(
            {
                "symbol": instrument.symbol,
                "side": position.side.word,
                "qty": float(instrument.size(position.lots)),
                "entry_ts_ns": position.entry_ts_ns,
                "entry_price": float(position.entry_ticks / scale),
                "stop_price": _level(lane.stop_ticks, scale),
                "target_price": _level(lane.target_ticks, scale),
                "deadline_ts_ns": lane.deadline_ns or None,
            }
        )
    return found


def _level(ticks: int, scale: int) -> float | None:
    return ticks / scale if 0 < ticks < 1 << 60 else None


def holdings_line(kernel: Kernel) -> str:
    """Name what is open, or else what is on its way."""
    held = [f"{one['symbol']} {one['side']} {one['qty']:g} @ {one['entry_price']:g}" for one in _positions(kernel)]
    return ", ".join(held) or "an order"


def resumed_line(facts: Mapping[str, Any]) -> str:
    """Say in one line what was recovered, and from where."""
    held = "; ".join(_held(one) for one in facts["positions"]) or "no position"
    at = datetime.fromtimestamp(facts["interrupted_ts_ns"] // 1_000_000_000, UTC)
    return (
        f"recovered: session {facts['session']} of account {facts['account']}, interrupted {at:%Y-%m-%d %H:%M:%S} UTC, "
        f"from {facts['inputs']:,} inputs in its {facts['from']}: {held}; {facts['orders']} orders waiting; "
        f"equity {facts['equity']:,.2f}, day {facts['daily_pnl']:+.2f}, {facts['trades']} trades"
        + _standing(facts["halted"], facts["halted_for"], facts["lifted"])
        + (f"; its end cannot be read and was put aside: {facts['cut']}" if facts["cut"] else "")
    )


def _held(one: Mapping[str, Any]) -> str:
    exits = [f"{name} {one[f'{name}_price']:g}" for name in ("stop", "target") if one[f"{name}_price"] is not None]
    return " ".join([f"{one['symbol']} {one['side']} {one['qty']:g} @ {one['entry_price']:g}", *exits])


def _carried_line(account: str, carried: Carried, lifted: str) -> str:
    standing = carried.halted or (Refusal.PAUSED if carried.paused else "")
    head = f"account {account} goes on from session {carried.session}: equity {float(carried.equity):,.2f}"
    return head + _standing(standing, carried.halted_for, lifted)


def _halted(why: str, said: str) -> str:
    """A halt in words: by an operator with what was said, by itself with the limit."""
    within = said if why == Refusal.HALTED else why
    return f"HALTED ({within})" if within else "HALTED"


def _standing(halted: str, said: str, lifted: str) -> str:
    if lifted and halted in (*HALTS, Refusal.PAUSED):
        was = "paused" if halted == Refusal.PAUSED else _halted(halted, said)
        return f"; it was {was}, and is resumed: {lifted}"
    if halted in HALTS:
        return f"; {_halted(halted, said)}, to go on: microburst resume --reason '...'"
    if halted == Refusal.PAUSED:
        return "; paused, to open again: microburst resume --reason '...'"
    return f"; nothing is opened: {halted}" if halted else ""

"""What the next start of an account goes on from, and what it is told when it may not."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from engine.account.carried import Carried
from engine.config.settings import Config
from engine.errors import ConfigError, DataError, ExitCode
from engine.events import Command, CommandName, DayStarted, Refusal, TradingHalted, TradingResumed
from engine.journal.accounts import Account, AccountBusy
from engine.journal.reader import JournalReader, read_manifest
from engine.live.opening import UNRECORDED, Opened, lift, open_session
from engine.live.recording import RecordedKernel, open_journal
from engine.live.replay import Replay
from engine.live.session import PaperSession
from engine.live.views import ViewBuilder
from engine.model import Clock
from engine.trading.kernel import Kernel
from tests.crash.crashing import INSTRUMENTS, START_NS, block, bury, config, inputs, play

DAY_NS = 86_400 * 10**9


def opened(settings: Config, moment: str, **more: Any) -> Opened:
    asked: dict[str, Any] = {"mode": "PAPER", "clock": Clock.RECEIVE, "now_ns": START_NS}
    return open_session(settings, INSTRUMENTS, moment, **asked | more)


def trading(settings: Config, session: Opened) -> RecordedKernel:
    """Its kernel and journal together, as a paper session has them."""
    if session.resumed is not None:
        return session.resumed
    assert session.journal is not None
    return RecordedKernel(
        PaperSession.make_kernel(settings, INSTRUMENTS, session.journal, session.carried), session.journal
    )


def end(session: Opened, recorded: RecordedKernel, *, killed: bool) -> None:
    """It ends: in order, or as one that was killed."""
    if not killed:
        session.close(recorded.kernel, "done")
        return
    assert session.journal is not None
    bury(session.journal)
    session.account.release()


def view_words(kernel: Kernel) -> str:
    """Why nothing is opened, as viewers are told."""
    view = ViewBuilder(kernel, mode="PAPER", session_id="", strategy="", started_ts_ns=START_NS)
    return view.account(START_NS).halted


def flat(recorded: RecordedKernel, now_ns: int = START_NS + 10**12) -> None:
    """Close everything."""
    recorded.process(Command(CommandName.FLATTEN, now_ns))
    recorded.process(Command(CommandName.FLATTEN, now_ns + 10**10))
    assert recorded.kernel.is_flat


def ended(settings: Config, moment: str, seed: int = 1, **more: Any) -> RecordedKernel:
    """A session that traded and ended in order."""
    session = opened(settings, moment, **more)
    recorded = trading(settings, session)
    assert play(recorded, inputs(seed))
    flat(recorded)
    session.close(recorded.kernel, "done")
    return recorded


def dead(settings: Config, moment: str, *, open_positions: bool, **more: Any) -> RecordedKernel:
    """A session that was killed."""
    session = opened(settings, moment, **more)
    recorded = trading(settings, session)
    for event in inputs(1):
        recorded.process(event)
        if open_positions and recorded.kernel.portfolio.positions:
            break
    if not open_positions:
        flat(recorded)
    assert bool(recorded.kernel.portfolio.positions) is open_positions
    assert session.journal is not None
    bury(session.journal)
    session.account.release()
    return recorded


def test_an_interrupted_session_goes_on(tmp_path: Path) -> None:
    settings = config(tmp_path)
    before = dead(settings, "one", open_positions=True)
    after = opened(settings, "two")
    assert (after.name, after.carried) == ("one", None)
    assert after.resumed is not None
    assert after.resumed.kernel.portfolio.positions == before.kernel.portfolio.positions
    assert after.facts["event"] == "recovered"
    (held,) = after.facts["positions"]
    assert "recovered: session one of account paper, interrupted 2023-11-14 22:" in after.line
    assert f"{held['symbol']} {held['side']} {held['qty']:g} @ {held['entry_price']:g} stop" in after.line
    assert after.facts["equity"] == float(before.kernel.portfolio.money(before.kernel.core.equity))
    flat(after.resumed)
    after.close(after.resumed.kernel, "done")
    assert Replay(tmp_path / "journal" / "one").difference() is None
    assert opened(settings, "two").name == "two"


def test_what_is_cut_off_is_said(tmp_path: Path) -> None:
    settings = config(tmp_path)
    dead(settings, "one", open_positions=False)
    place = JournalReader(tmp_path / "journal" / "one").check().place
    with (tmp_path / "journal" / "one" / "000000.mbj").open("r+b") as file:
        file.seek(place.at)
        file.write(b"\1half a record")
    line = opened(settings, "two").line
    assert line.startswith("recovered: session one")
    assert f"; its end cannot be read and was put aside: {tmp_path}" in line
    assert f"000000.mbj: byte {place.at:,}: " in line


def test_what_is_still_open_is_not_sealed(tmp_path: Path) -> None:
    """A second Ctrl-C ends a session at once: the next start goes on with what is open."""
    settings = config(tmp_path)
    session = opened(settings, "one")
    recorded = trading(settings, session)
    for event in inputs(1):
        recorded.process(event)
        if recorded.kernel.portfolio.positions:
            break
    session.close(recorded.kernel, "stopped by you")
    again = opened(settings, "two")
    assert again.name == "one"
    assert again.facts["positions"]


def test_an_account_goes_on_from_a_session_that_ended(tmp_path: Path) -> None:
    settings = config(tmp_path)
    before = ended(settings, "one")
    equity = before.kernel.portfolio.starting + before.kernel.portfolio.realised
    assert before.kernel.core.equity == equity != before.kernel.portfolio.starting
    after = opened(settings, "two")
    assert after.resumed is None
    assert after.carried is not None
    assert after.carried.session == "one"
    assert "goes on from session one" in after.line
    recorded = trading(settings, after)
    risk, gate = recorded.kernel.risk, before.kernel.risk
    assert recorded.kernel.portfolio.starting == equity
    assert play(recorded, inputs(2))
    assert risk.day_start == gate.day_start, "the day has not changed: its loss goes on"
    assert risk.ledger.entries_today >= gate.ledger.entries_today > 0
    flat(recorded)
    after.close(recorded.kernel, "done")
    replay = Replay(tmp_path / "journal" / "two")
    assert replay.difference() is None
    assert replay.kernel.core.equity == recorded.kernel.core.equity


def test_a_new_day_begins_anew(tmp_path: Path) -> None:
    settings = config(tmp_path)
    before = ended(settings, "one")
    after = opened(settings, "two")
    recorded = trading(settings, after)
    recorded.process(block([(START_NS + DAY_NS, 10_000, 1, 0)]))
    risk = recorded.kernel.risk
    assert risk.day_start == recorded.kernel.portfolio.starting == before.kernel.core.equity
    assert (risk.ledger.entries_today, risk.ledger.losses_in_row, risk.day_halted) == (0, 0, False)


def test_losses_and_cooldowns_go_on(tmp_path: Path) -> None:
    carried = Carried(
        "x", Fraction(9_000), Fraction(10_000), day=START_NS // DAY_NS, day_start=Fraction(9_500), day_halted=True,
        today={"entries_today": 7, "losses_in_row": 3}, day_trades=(5, 6), paused=True, cooldowns={"Busy B": 2},
    )  # fmt: skip
    assert Carried.read(carried.to_json()) == carried
    settings = config(tmp_path)
    journal = open_journal(settings, INSTRUMENTS, "one", mode="PAPER", clock="receive")
    assert journal is not None
    kernel = PaperSession.make_kernel(settings, INSTRUMENTS, journal, carried)
    assert [lane.cooldown_left for lane in kernel.lanes] == [0, 2]
    assert kernel.core.high == 10_000 * 10**kernel.portfolio.scale, "a drawdown is counted from the account's highest"
    kernel.process(block([(START_NS, 10_000, 1, 0)]))
    assert kernel.risk.day_start == 9_500 * 10**kernel.portfolio.scale
    assert (kernel.risk.ledger.entries_today, kernel.risk.ledger.losses_in_row) == (7, 3)
    assert kernel.risk.standing is Refusal.DAILY_LOSS
    journal.close("done")
    decisions = [one.event() for one in JournalReader(journal.directory) if one.kind >= 64]
    assert [type(one) for one in decisions] == [DayStarted, TradingHalted]


@pytest.mark.parametrize("killed", [False, True])
def test_the_line_of_a_paused_account_says_how_to_end_that(tmp_path: Path, killed: bool) -> None:
    settings = config(tmp_path)
    first = opened(settings, "one")
    recorded = trading(settings, first)
    recorded.process(block([(START_NS, 10_000, 1, 0)]))
    recorded.process(Command(CommandName.PAUSE, START_NS + 1))
    end(first, recorded, killed=killed)
    assert opened(settings, "two").line.endswith("; paused, to open again: microburst resume --reason '...'")


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("killed", [False, True])
def test_the_reason_of_a_halt_goes_on_and_a_resume_in_between_is_for_one_session(
    tmp_path: Path, fresh: bool, killed: bool
) -> None:
    settings = config(tmp_path)
    first = opened(settings, "one")
    recorded = trading(settings, first)
    recorded.process(block([(START_NS, 10_000, 1, 0)]))
    recorded.process(Command(CommandName.HALT, START_NS + 1, "the cable is out"))
    recorded.process(Command(CommandName.HALT, START_NS + 2, "again"))
    end(first, recorded, killed=killed)
    second = opened(settings, "two", fresh=fresh)
    assert second.line.endswith("; HALTED (the cable is out), to go on: microburst resume --reason '...'")
    assert (second.facts["halted"], second.facts["halted_for"], second.resume) == ("HALTED", "the cable is out", "")
    kernel = trading(settings, second).kernel
    assert view_words(kernel) == "halted: the cable is out"
    with pytest.raises(AccountBusy):
        lift(tmp_path / "journal", "paper", "it is traded")
    second.close(kernel, "done")
    assert lift(tmp_path / "journal", "paper", "it is back").words == "HALTED (the cable is out)"
    assert lift(tmp_path / "journal", "another", "it is back").words == ""
    assert not list((tmp_path / "journal").glob("*/another*")), "asking about an account has made it"
    third = opened(settings, "three", fresh=fresh)
    assert third.line.endswith("; it was HALTED (the cable is out), and is resumed: it is back")
    assert third.resume == "it is back"
    third.close(trading(settings, third).kernel, "ended before it had begun")
    assert opened(settings, "four", fresh=fresh).resume == ""


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("killed", [False, True])
def test_a_halt_survives_until_somebody_gives_a_reason(tmp_path: Path, fresh: bool, killed: bool) -> None:
    settings = config(tmp_path)
    first = opened(settings, "one")
    recorded = trading(settings, first)
    recorded.process(block([(START_NS, 10_000, 1, 0)]))
    recorded.process(Command(CommandName.HALT, START_NS + 1))
    end(first, recorded, killed=killed)
    second = opened(settings, "two", fresh=fresh)
    assert (second.name == "one") is (killed and not fresh)
    assert "HALTED" in second.line
    assert second.facts["halted"] == "HALTED"
    going_on = trading(settings, second)
    going_on.process(block([(START_NS + 10**9, 10_000, 1, 0)]))
    assert going_on.kernel.risk.standing is Refusal.HALTED
    going_on.process(Command(CommandName.RESUME, START_NS + 2 * 10**9))
    assert going_on.kernel.risk.standing is Refusal.HALTED, "not without a reason"
    going_on.process(Command(CommandName.RESUME, START_NS + 2 * 10**9, "the cable is back"))
    assert going_on.kernel.risk.standing is None
    second.close(going_on.kernel, "done")
    third = opened(settings, "three")
    assert third.carried is not None
    assert third.carried.halted is None
    assert any(
        isinstance(one.event(), TradingResumed) for one in JournalReader(second.journal.directory) if one.kind >= 64
    )


def test_a_halt_is_found_behind_damage(tmp_path: Path) -> None:
    """Who begins anew because the journal is damaged does not get rid of the halt that it holds further on."""
    settings = config(tmp_path)
    session = opened(settings, "one")
    recorded = trading(settings, session)
    assert play(recorded, inputs(1)[:8])
    assert session.journal is not None
    at = session.journal.place.at
    assert play(recorded, inputs(1)[8:])
    recorded.process(Command(CommandName.HALT, recorded.kernel.core.engine_ts_ns, "the market is strange"))
    end(session, recorded, killed=True)
    path = tmp_path / "journal" / "one" / "000000.mbj"
    damaged = bytearray(path.read_bytes())
    damaged[at + 20] ^= 0xFF
    path.write_bytes(damaged)
    after = opened(settings, "two", fresh=True)
    assert after.carried is not None
    assert (after.carried.halted, after.carried.halted_for) == (Refusal.HALTED, "the market is strange")


def test_a_session_without_a_record_passes_on_what_it_was_given(tmp_path: Path) -> None:
    settings = config(tmp_path)
    before = ended(settings, "one")
    empty = opened(settings, "two")
    empty.close(trading(settings, empty).kernel, "no ticks came")
    after = opened(settings, "three")
    assert after.carried is not None
    assert after.carried.session == "two"
    assert after.carried.equity == empty.carried.equity
    assert after.carried.today["entries_today"] == before.kernel.risk.ledger.entries_today
    after.close(None, "it could not begin")
    assert opened(settings, "four").carried.equity == empty.carried.equity


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"paper.fee": "2bps"}, "paper.fee was 1bps then and is 2bps"),
        ({"strategy.params.cooldown_signals": 3}, "strategy.params was not set then and is"),
        ({"session.calendar": "us_equities"}, "session.calendar was always then and is us_equities"),
    ],
)
def test_other_settings_are_refused_while_something_is_open(tmp_path: Path, change: dict, said: str) -> None:
    dead(config(tmp_path), "one", open_positions=True)
    other = config(tmp_path, **change)
    with pytest.raises(ConfigError) as refused:
        opened(other, "two")
    assert said in refused.value.line()
    assert "is open in session one, which was interrupted" in refused.value.line()
    assert "--fresh" in refused.value.line()
    assert refused.value.exit_code == ExitCode.CONFIG
    fresh = opened(other, "two", fresh=True)
    assert (fresh.name, fresh.carried) == ("two", None)
    assert JournalReader(tmp_path / "journal" / "one").check().records, "the old journal is kept"


def test_an_edited_strategy_is_another(tmp_path: Path) -> None:
    settings = config(tmp_path)
    dead(settings, "one", open_positions=True)
    strategy = tmp_path / "busy.py"
    strategy.write_text(strategy.read_text() + "\n# a word more\n")
    with pytest.raises(ConfigError, match="the strategy's file has been edited"):
        opened(settings, "two")


def test_other_settings_with_nothing_open_carry_the_account(tmp_path: Path) -> None:
    before = dead(config(tmp_path), "one", open_positions=False)
    after = opened(config(tmp_path, **{"paper.fee": "2bps"}), "two")
    assert after.name == "two"
    assert after.carried is not None
    assert after.carried.equity * 10**before.kernel.portfolio.scale == before.kernel.core.equity
    reader = JournalReader(tmp_path / "journal" / "one").check()
    assert reader.sealed
    assert reader.summary["ended"] == "interrupted; the account went on in two"


def test_one_session_at_a_time(tmp_path: Path) -> None:
    settings = config(tmp_path)
    first = opened(settings, "one")
    with pytest.raises(AccountBusy) as busy:
        opened(settings, "two")
    line = busy.value.line()
    assert f"account 'paper' is traded by process {os.getpid()} since 2023-11-14 22:" in line
    assert "session one" in line
    assert f"kill {os.getpid()}" in line
    assert busy.value.exit_code == ExitCode.BUSY
    other = opened(config(tmp_path, **{"paper.account": "other"}), "two")
    assert other.account.name == "other"
    first.close(None, "done")
    opened(settings, "three").close(None, "done")


def test_demos_stand_side_by_side(tmp_path: Path) -> None:
    settings = config(tmp_path)
    one, two = opened(settings, "one", mode="DEMO"), opened(settings, "two", mode="DEMO")
    assert (one.account.name, two.account.name) == ("demo", "demo-2")
    two.close(None, "done")
    one.close(None, "done")
    ended(settings, "three", mode="DEMO")
    assert opened(settings, "four", mode="DEMO").carried is None, "a demo begins with the configured cash"


def test_a_demo_goes_on_after_a_crash_unless_it_is_another(tmp_path: Path) -> None:
    settings = config(tmp_path)
    dead(settings, "one", open_positions=True, mode="DEMO")
    other = opened(config(tmp_path, **{"paper.fee": "2bps"}), "two", mode="DEMO")
    assert other.name == "two"
    other.close(None, "done")
    dead(settings, "three", open_positions=True, mode="DEMO")
    assert opened(settings, "four", mode="DEMO").name == "three"


def test_recordings_and_sessions_without_a_journal_have_no_account(tmp_path: Path) -> None:
    settings = config(tmp_path)
    session = opened(settings, "one", mode="REPLAY", clock=Clock.RECORD)
    assert session.account is None
    assert "account" not in read_manifest(session.journal.directory)
    unrecorded = opened(config(tmp_path, **{"journal.enabled": False}), "two")
    assert (unrecorded.journal, unrecorded.account, unrecorded.line) == (None, None, UNRECORDED)
    unrecorded.close(None, "done")


def test_the_last_session_of_an_account_is_not_pruned(tmp_path: Path) -> None:
    settings = config(tmp_path, **{"journal.keep_sessions": 1})
    ended(settings, "a")
    for moment in ("b", "c"):
        opened(settings, moment, mode="REPLAY", clock=Clock.RECORD).close(None, "done")
    assert opened(settings, "d").carried.session == "a"


def test_names_of_accounts_are_files(tmp_path: Path) -> None:
    for bad in ("", "../x", "a b", "-x", "x" * 41):
        with pytest.raises(ConfigError, match="no name of an account"):
            config(tmp_path, **{"paper.account": bad})
    held = Account(tmp_path / "j", "mine")
    assert held.last is None
    held.release()
    held.release()


def test_an_account_whose_last_session_is_lost_does_not_begin_as_if_it_had_none(tmp_path: Path) -> None:
    """Whether it was halted, and what it held, nobody knows then."""
    settings = config(tmp_path)
    ended(settings, "a")
    root = tmp_path / "journal"
    note, journal = root / "accounts" / "paper.json", root / "a" / "000000.mbj"
    whole = note.read_bytes()
    for broken in (b"", b"{", b"[]", b'{"session": 3}'):
        note.write_bytes(broken)
        with pytest.raises(DataError, match=r"note .* cannot be read.*--fresh"):
            opened(settings, "b")
    note.write_bytes(whole)
    journal.rename(journal.with_suffix(".away"))
    with pytest.raises(DataError, match=r"journal .* has gone.*--fresh"):
        opened(settings, "b")
    opened(settings, "b", fresh=True).close(None, "done")

"""Recorded sessions run again: equal ones are equal, and of others the first difference is named.

``session_world.play`` replays every session that it plays, so what holds of all of them is tested there.
"""

from __future__ import annotations

import asyncio
import csv
import errno
import json
import math
import os
from pathlib import Path
from random import Random

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import _journal, backtesting
from engine.cli import main
from engine.errors import DataError, NotFoundError
from engine.events import DayStarted, End, OrderFilled, OrderSubmitted, Refusal, SignalDeclined, SignalRefused
from engine.journal import segments
from engine.journal.codec import MANIFEST, SUMMARY, Flushed, KernelState, is_input
from engine.journal.reader import JournalReader
from engine.journal.segments import Disk
from engine.journal.sessions import find, lock_is_held, new_directory, prune, sessions
from engine.journal.writer import JournalFailed, SessionJournal
from engine.live import session
from engine.live.recording import RecordedKernel, manifest_of, open_journal
from engine.live.replay import Replay, Run, first_difference
from engine.model import Instrument, Reason, TickBlock
from engine.tools.recorded import recorded_ticks
from tests.sim.clock import SECOND_NS, WALL_NS
from tests.sim.machine import InTurn
from tests.unit import session_world
from tests.unit.session_world import Line, World, climb, heartbeats, play, rise_config, trade

LINE = Line([*climb(), *heartbeats(3, 9)])


def leaves(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    out, err = capsys.readouterr()
    return int(left.value.code), out, err


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return rise_config(tmp_path)


@pytest.fixture
def world(config) -> World:
    return play(config, LINE, seconds=12)


def rewritten(world: World, change) -> Path:
    """A journal with the same records, but inputs as ``change`` returns them; whole, and therefore not damaged."""
    reader = JournalReader(world.directory)
    journal = SessionJournal(world.directory.parent / "changed", reader.manifest)
    for entry in reader:
        if is_input(entry.kind):
            journal.record(change(entry.event()))
        elif entry.kind not in (MANIFEST, SUMMARY) and not isinstance(event := entry.event(), KernelState | Flushed):
            journal.append(event)
    journal.close("rewritten")
    return journal.directory


# ---------------------------------------------------------------- differences


def test_a_changed_input_is_found_by_the_first_decision_that_differs(world):
    def one_tick_more(event):
        if isinstance(event, TickBlock) and event.price_ticks[0] == 10_010:
            event.price_ticks[0] += 1
            event.bid_ticks[0] += 1
            event.ask_ticks[0] += 1
        return event

    changed = rewritten(world, one_tick_more)
    found = Replay(changed).difference()
    assert (found.kind, found.field, found.recorded, found.replayed) == ("OrderFilled", "price_ticks", 10_011, 10_012)
    (entry,) = [entry for entry in JournalReader(changed) if entry.sequence == found.sequence]
    assert isinstance(entry.event(), OrderFilled)
    assert f"record {found.sequence:,}" in found.line()
    assert rewritten_again_is_equal(changed)


def rewritten_again_is_equal(directory: Path) -> bool:
    """What the changed inputs lead to is the same each time."""
    return Replay(directory).replayed.decisions == Replay(directory).replayed.decisions


def test_an_edited_strategy_is_told_and_its_first_other_decision_found(world, tmp_path, capsys, config):
    (tmp_path / "rise.py").write_text(session_world.STRATEGY.replace('pct("0.05")', 'pct("0.5")'))
    replay = Replay(world.directory)
    assert replay.edited
    found = replay.difference()
    assert (found.kind, found.recorded.purpose, found.replayed) == ("OrderSubmitted", "entry", None)
    code, out, err = leaves(capsys, "parity", str(world.directory))
    assert (code, out) == (8, "")
    assert f"record {found.sequence:,}" in err
    assert "the strategy's file has changed since" in err
    code, out, _ = leaves(capsys, "replay", str(world.directory))
    assert code == 0
    assert "first difference" in out


def test_a_session_that_was_killed_is_replayed_up_to_there(world):
    """Cut after any record, as a crash does: what the replay decides beyond the end is no difference."""
    file = world.directory / "000000.mbj"
    data = file.read_bytes()
    ends = [entry.offset + _journal.HEADER_BYTES + len(entry.payload) for entry in JournalReader(world.directory)]
    for end in ends[:-1]:
        file.write_bytes(data[:end] + bytes((8 << 20) - end))
        replay = Replay(world.directory)
        assert not replay.reader.problem
        assert not replay.reader.sealed
        assert replay.difference() is None
        decided = len(replay.recorded.decisions)
        assert replay.replayed.decisions[:decided] == replay.recorded.decisions


def state(inputs: int, chain: str, **more: object) -> KernelState:
    return KernelState(inputs, inputs, 0, 0, 0, (0,), 0, "", "", chain)._replace(**more)


def made(count: int, per_state: int, differ_at: int | None) -> Run:
    """So many decisions, a state after every ``per_state``; from one number on everything is another run's."""
    run = Run()
    for number in range(count):
        other = differ_at is not None and number >= differ_at
        run.decisions.append(SignalDeclined(number, 0, 1, 17_000 + (number == differ_at)))
        run.sequences.append(number)
        run.causes.append(number + 1)
        if (number + 1) % per_state == 0:
            run.states.append((number + 1, state(number + 1, f"{number} {other}")))
    return run


@given(st.integers(1, 3000), st.integers(1, 200), st.data())
def test_the_first_difference_is_found_in_few_steps(count, per_state, data):
    differ_at = data.draw(st.integers(0, count - 1))
    found = first_difference(made(count, per_state, None), made(count, per_state, differ_at))
    assert (found.number, found.sequence, found.ts_ns) == (differ_at + 1, differ_at, differ_at)
    assert (found.kind, found.field, found.recorded, found.replayed) == (
        "SignalDeclined",
        "price_ticks",
        17_000,
        17_001,
    )
    states = count // per_state
    assert found.steps <= math.ceil(math.log2(states + 1)) + 1 + per_state


@given(st.integers(0, 300), st.integers(1, 50), st.integers(0, 40))
def test_equal_runs_do_not_differ_and_a_missing_end_does(count, per_state, missing):
    whole, short = made(count, per_state, None), made(max(0, count - missing), per_state, None)
    assert first_difference(whole, made(count, per_state, None)) is None
    assert first_difference(short, whole, unfinished=True) is None
    found = first_difference(short, whole)
    if len(short.decisions) == count:
        assert found is None
    else:
        assert (found.recorded, found.replayed) == (None, whole.decisions[len(short.decisions)])
        assert first_difference(whole, short, unfinished=True).replayed is None


def test_states_that_differ_without_a_decision_name_the_field():
    one, other = Run(states=[(0, state(4096, "a"))]), Run(states=[(0, state(4096, "b", equity=1))])
    found = first_difference(one, other)
    assert (found.kind, found.field, found.recorded, found.replayed) == ("KernelState", "equity", 0, 1)
    assert found.line().startswith("first difference at input 4,096, time ")


# ---------------------------------------------------------------- a long session, and blocks


def test_states_are_written_and_replayed_and_long_blocks_are_cut(config):
    """20,000 ticks in blocks of every size, some longer than a record, with commands in between."""
    random, instruments = Random(5), [Instrument("A", 2, 0)]
    journal = open_journal(config, instruments, "long", mode="PAPER", clock="record")
    kernel = session.PaperSession.make_kernel(config, instruments, journal)
    recorded = RecordedKernel(kernel, journal)
    rows = np.cumsum(np.array([random.choice((-1, 0, 1)) for _ in range(20_000)])) + 10_000
    for start, stop in [(0, 9_000), *((n, n + 1) for n in range(9_000, 19_000)), (19_000, 20_000)]:
        price = rows[start:stop]
        ts_ns = WALL_NS + np.arange(start, stop) * SECOND_NS // 4
        recorded.process(TickBlock(ts_ns, price, np.ones(len(price), np.int64), price - 1, price + 1))
    recorded.process(End())
    journal.close("done")
    replay = Replay(journal.directory)
    assert [found.inputs for _, found in replay.recorded.states] == [4096, 8192, 10_004]
    assert replay.recorded.states == replay.replayed.states
    assert len(kernel.trades) > 20
    assert replay.kernel.trades == kernel.trades
    assert replay.difference() is None
    assert replay.ticks == 20_000
    uncut = recorded_ticks(journal.directory)
    assert uncut.block.price_ticks.tolist() == rows.tolist()
    again = backtesting.backtest(
        {name: getattr(uncut.block, name) for name in ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks")},
        config.strategy.name,
        symbol="A",
        daily_loss_limit="100%",
    )
    assert again.trades == kernel.trades, "a backtest of the recording trades as the session did"
    assert again.decision_hash == replay.journal.decision_hash


# ---------------------------------------------------------------- a disk that fails under a session


class FailsOn(Disk):
    def __init__(self, what: str, after: int, error: int) -> None:
        self.what, self.left, self.error, self.failed = what, after, error, 0

    def _maybe(self, what: str) -> None:
        if what == self.what:
            self.left -= 1
            if self.left < 0:
                self.failed += 1
                raise OSError(self.error, os.strerror(self.error))

    def reserve(self, descriptor: int, size: int) -> None:
        self._maybe("reserve")
        super().reserve(descriptor, size)

    def flush(self, descriptor: int) -> None:
        self._maybe("flush")
        super().flush(descriptor)


def with_disk(monkeypatch: pytest.MonkeyPatch, disk: Disk) -> None:
    def opened(config, instruments, moment, *, mode, clock):
        directory = new_directory(Path(config.journal.directory), moment)
        manifest = manifest_of(config, instruments, session=moment, mode=mode, clock=clock)
        return SessionJournal(directory, manifest, segment_bytes=8 << 20, disk=disk)

    monkeypatch.setattr(session_world, "open_journal", opened)
    monkeypatch.setattr(segments, "ThreadPoolExecutor", InTurn)  # a thread would be no part of the simulated time


def test_a_full_disk_opens_nothing_and_closes_what_is_open(config, monkeypatch):
    disk = FailsOn("reserve", 1, errno.ENOSPC)
    with_disk(monkeypatch, disk)
    world = play(config, LINE, seconds=9)
    assert disk.failed >= 1
    assert world.session.kernel.trades == []
    refused = [one for one in world.replay.recorded.decisions if isinstance(one, SignalRefused)]
    assert [one.reason for one in refused] == [Refusal.DISK_FULL]
    assert (world.last.account.state, world.last.account.halted) == ("reducing", "no room for the journal")


def test_a_disk_that_does_not_take_what_was_written_halts_the_session(config, monkeypatch):
    disk = FailsOn("flush", 2, errno.EIO)
    with_disk(monkeypatch, disk)
    with pytest.raises(JournalFailed, match="Input/output error"):
        play(config, Line([*climb(), *heartbeats(3, 9)]), seconds=100)
    assert disk.failed >= 1
    directory = Path(config.journal.directory) / "test"
    replay = Replay(directory)
    assert not replay.reader.problem
    assert not replay.reader.sealed
    assert replay.difference() is None
    assert all(trade.reason is not Reason.MANUAL for trade in replay.kernel.trades), "it closed nothing either"


# ---------------------------------------------------------------- where journals are


def test_sessions_are_found_by_name_beginning_and_last(tmp_path):
    root = tmp_path / "j"
    for name in ("20260101-100000", "20260101-100001", "20260102-090000"):
        SessionJournal(root / name, {}).close("done")
    assert [path.name for path in sessions(root)] == ["20260101-100000", "20260101-100001", "20260102-090000"]
    assert find(root, "last").name == "20260102-090000"
    assert find(root, "20260102").name == "20260102-090000"
    assert find(root, str(root / "20260101-100000")).name == "20260101-100000"
    for wrong, said in (("20260101", "2 sessions begin"), ("20260103", "did you mean"), ("x", "no session 'x'")):
        with pytest.raises(NotFoundError, match=said) as caught:
            find(root, wrong)
        assert caught.value.exit_code == 5
    with pytest.raises(NotFoundError, match="run one"):
        find(tmp_path / "nowhere", "last")
    with pytest.raises(NotFoundError, match="there is no session"):
        find(root, "x" * 300)


def test_sessions_that_begin_in_the_same_second_have_a_directory_each(tmp_path):
    root = tmp_path / "j"
    taken = [new_directory(root, "20260101-100000") for _ in range(3)]
    assert [one.name for one in taken] == ["20260101-100000", "20260101-100000-2", "20260101-100000-3"]
    journals = [SessionJournal(one, {}) for one in taken]
    assert sessions(root) == taken
    for journal in journals:
        journal.close("done")


def test_a_file_in_the_place_of_the_journals_is_no_empty_list(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file: the journals cannot be read: Not a directory; name the directory"):
        sessions(tmp_path / "file")


def test_old_sessions_go_but_none_that_runs(tmp_path):
    root = tmp_path / "j"
    running = SessionJournal(root / "a", {})
    for name in "bcd":
        SessionJournal(root / name, {}).close("done")
    assert lock_is_held(root / "a")
    assert not lock_is_held(root / "b")
    assert prune(root, 4) == []
    assert prune(root, 2) == ["b"]
    assert [path.name for path in sessions(root)] == ["a", "c", "d"]
    running.close("done")
    assert prune(root, 1) == ["a", "c"]


def test_only_so_many_sessions_are_kept(config):
    few = config.model_copy(update={"journal": config.journal.model_copy(update={"keep_sessions": 2})})
    for moment in ("1", "2", "3"):
        open_journal(few, [Instrument("A")], moment, mode="PAPER", clock="record").close("done")
    assert [path.name for path in sessions(Path(few.journal.directory))] == ["2", "3"]


def test_a_manifest_that_is_none_is_one_line(tmp_path, config):
    made_up = {"schema": "microburst.journal/1", "session": "s", "config": {"feed": {"addres": "x"}}, "instruments": []}
    SessionJournal(tmp_path / "j" / "s", made_up).close("done")
    with pytest.raises(DataError, match="manifest of session s cannot be used"):
        Replay(tmp_path / "j" / "s")


def test_off_means_no_journal(config):
    off = config.model_copy(update={"journal": config.journal.model_copy(update={"enabled": False})})
    assert open_journal(off, [Instrument("A")], "x", mode="PAPER", clock="record") is None
    assert sessions(Path(off.journal.directory)) == []


# ---------------------------------------------------------------- the verbs


@pytest.fixture
def settings(world, tmp_path) -> World:
    (tmp_path / "microburst.toml").write_text(f'[journal]\ndirectory = "{world.directory.parent}"\n')
    return world


def test_ls_lists_sessions(settings, capsys):
    code, out, _ = leaves(capsys, "journal", "ls")
    assert code == 0
    assert out.splitlines()[1].split()[:2] == ["test", "PAPER"]
    _, out, _ = leaves(capsys, "journal", "ls", "--json")
    (found,) = json.loads(out)["sessions"]
    assert (found["session"], found["symbols"], found["running"], found["fault"]) == ("test", ["A"], False, "")


def test_ls_without_sessions_says_how_to_get_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, _ = leaves(capsys, "journal", "ls")
    assert code == 0
    assert "microburst run" in out


def test_cat_writes_a_line_a_record(settings, capsys):
    code, out, _ = leaves(capsys, "journal", "cat", "last")
    lines = out.splitlines()
    assert code == 0
    assert len(lines) == settings.replay.reader.records - 1, "all but the mark that ends it"
    assert lines[0].split()[:2] == ["0", "Manifest"]
    assert any("TickBlock" in line and "last_price_ticks=10010" in line for line in lines)
    _, out, _ = leaves(capsys, "journal", "cat", "last", "--decisions", "--json")
    decided = [json.loads(line) for line in out.splitlines()]
    assert [one["type"] for one in decided] == [type(one).__name__ for one in settings.replay.recorded.decisions]
    closed = next(one for one in decided if one["type"] == "PositionClosed")
    assert closed["reason"] == Reason.TIME.value


def test_verify_and_parity_of_a_good_session(settings, capsys):
    code, out, _ = leaves(capsys, "journal", "verify", "test")
    assert code == 0
    assert f"{settings.replay.inputs:,} inputs" in out
    assert "ended: stopped" in out
    _, out, _ = leaves(capsys, "journal", "verify", "test", "--json")
    facts = json.loads(out)
    assert facts["decision_hash"] == settings.replay.journal.decision_hash
    code, out, _ = leaves(capsys, "parity", "last")
    assert code == 0
    assert "0 differences" in out
    _, out, _ = leaves(capsys, "replay", "last", "--json")
    found = json.loads(out)
    assert found["difference"] is None
    assert [one["reason"] for one in found["trades"]] == ["TIME"]
    code, out, _ = leaves(capsys, "replay", "last")
    assert code == 0
    assert "TIME" in out


@pytest.mark.parametrize("verb", [["journal", "verify"], ["journal", "cat"], ["parity"], ["journal", "export"]])
def test_one_changed_byte_is_exit_8_with_file_byte_and_reason(settings, capsys, verb, tmp_path):
    entry = list(JournalReader(settings.directory))[9]
    data = bytearray(entry.path.read_bytes())
    data[entry.offset + 30] ^= 4
    entry.path.write_bytes(data)
    more = ["--out", str(tmp_path / "out.csv")] if verb[-1] == "export" else []
    code, out, err = leaves(capsys, *verb, "last", *more)
    assert code == 8
    assert len(err.splitlines()) == 1
    assert f"{entry.path}: byte {entry.offset:,}: a wrong checksum" in err
    assert "its first 9 records are whole" in err
    assert len(out.splitlines()) == (9 if verb[-1] == "cat" else 0)
    code, out, _ = leaves(capsys, "replay", "last")
    assert code == 0
    assert "damaged" in out
    at = str(settings.replay.recorded.decisions[-1].ts_ns)
    code, out, err = leaves(capsys, "explain", "last", "--at", at)
    assert (code, out) == (8, ""), "it would be the answer for an earlier moment"
    assert "a wrong checksum" in err


def test_export_of_ticks_is_read_by_backtest_and_of_decisions_by_anything(settings, capsys, tmp_path):
    for name in ("ticks.csv", "ticks.parquet"):
        code, out, err = leaves(capsys, "journal", "export", "last", "--out", name)
        assert (code, err) == (0, "")
        assert "6 ticks" in out
        result = backtesting.backtest(tmp_path / name, f"{tmp_path / 'rise.py'}:Rise")
        assert len(result.file.block) == 6
    decided = settings.replay.recorded.decisions
    code, _, _ = leaves(capsys, "journal", "export", "last", "--what", "decisions", "--out", "d.csv")
    assert code == 0
    rows = list(csv.DictReader((tmp_path / "d.csv").open()))
    assert [row["type"] for row in rows] == [type(one).__name__ for one in decided]
    assert int(rows[0]["day"]) == next(one for one in decided if isinstance(one, DayStarted)).day
    (tmp_path / "d.parquet").write_text("replaced")
    leaves(capsys, "journal", "export", "last", "--what", "decisions", "--out", "d.parquet", "--json", "--force")
    pl = pytest.importorskip("polars")
    assert pl.read_parquet(tmp_path / "d.parquet")["type"].to_list() == [row["type"] for row in rows]


def test_the_list_tells_how_each_session_stands(config, monkeypatch, capsys, tmp_path):
    play(config, LINE, seconds=3)
    with monkeypatch.context() as killed:
        killed.setattr(SessionJournal, "close", lambda journal, ended: journal.leave())
        with pytest.raises(AssertionError):  # of the world, which replays what was sealed
            play(config, LINE, seconds=3)
    running = open_journal(config, [Instrument("A", 2, 0)], "now", mode="PAPER", clock="receive")
    (tmp_path / "microburst.toml").write_text(f'[journal]\ndirectory = "{config.journal.directory}"\n')
    capsys.readouterr()
    _, out, _ = leaves(capsys, "journal", "ls", "--json")
    found = {one["session"]: one["state"] for one in json.loads(out)["sessions"]}
    assert found == {"now": "running", "test": "ended", "test-2": "interrupted"}
    _, out, _ = leaves(capsys, "journal", "ls")
    assert {line.split()[0]: line.split()[-1] for line in out.splitlines()[1:]} | {"test": ""} == found | {"test": ""}
    running.close("done")


def test_a_moment_of_a_session_is_explained(settings, capsys):
    """Before the rise, on it, and after the time stop; with what was known then and nothing more."""
    entered = next(one for one in settings.replay.recorded.decisions if isinstance(one, OrderSubmitted))
    answers = []
    for at_ns in (entered.ts_ns - 1, entered.ts_ns, entered.ts_ns + 8 * SECOND_NS):
        code, out, err = leaves(capsys, "explain", "--session", "last", "--at", str(at_ns), "--json")
        assert (code, err) == (0, "")
        answers.append(json.loads(out)["explanations"][0])
    before, during, after = answers
    assert (before["state"], before["position"], before["ts_ns"]) == ("none", "flat", entered.ts_ns - SECOND_NS // 2)
    assert (during["state"], during["position"], during["ts_ns"]) == ("long", "long", entered.ts_ns)
    assert any(said.startswith("OrderSubmitted") for said in during["decisions"])
    assert (after["position"], after["ts_ns"]) == ("flat", entered.ts_ns), "time alone has closed it"
    code, out, _ = leaves(capsys, "explain", "--session", "last", "--at", str(entered.ts_ns))
    assert code == 0
    assert "a long position is open" in out


def test_what_came_between_the_ticks_is_explained_too(config, tmp_path, capsys):
    """A signal that was refused because the feed had been silent; the ticks alone would have let it through."""
    quiet = [(0.5 * n, [trade(n + 1)]) for n in range(6)]
    play(config, Line([*quiet, (6.0, [trade(7), trade(8, 100.10)]), *heartbeats(7, 9)]), seconds=9)
    (tmp_path / "microburst.toml").write_text(f'[journal]\ndirectory = "{config.journal.directory}"\n')
    code, out, _ = leaves(capsys, "explain", "--session", "last", "--at", "2040-01-01T00:00:00")
    assert code == 0
    assert "was refused" in out
    assert "FEED_STALE" in out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["journal", "export", "last", "--out", "x.txt"], 3, "name a .csv or a .parquet"),
        (["journal", "export", "last", "--out", "x.csv", "--what", "all"], 3, "use ticks or decisions"),
        (["journal", "export", "last", "--out", "nowhere/x.csv", "--what", "decisions"], 4, "nowhere"),
        (["journal", "verify", "tset"], 5, "did you mean 'test'?"),
        (["parity", "nothing"], 5, "no session 'nothing'"),
        (["journal", "cat"], 2, "--help"),
        (["explain", "--session", "last", "--why-not"], 2, "--session goes with --at"),
        (["explain", "--session", "last", "--at", "2026-01-01", "--ticks", "x.csv"], 2, "--session goes with --at"),
        (["explain", "--session", "last", "--at", "2026-01-01", "--set", "a=1"], 2, "--session goes with --at"),
        (["explain", "--session", "last", "--at", "2001-01-01T00:00:00"], 4, "no trade at or before 2001-01-01"),
        (["explain", "--session", "never", "--at", "2001-01-01T00:00:00"], 5, "no session 'never'"),
    ],
)
def test_mistakes_are_one_line(settings, capsys, arguments, code, said):
    left, _, err = leaves(capsys, *arguments)
    assert left == code
    assert len(err.splitlines()) == 1
    assert said in err


def test_nothing_secret_is_in_the_manifest(world):
    """What it holds is the configuration, which has no secrets, and the names and hashes of files."""
    manifest = JournalReader(world.directory).manifest
    assert orjson.dumps(manifest)
    assert set(manifest) == {
        *("schema", "session", "mode", "clock", "instruments", "lanes", "config", "python", "machine"),
        *("engine_version", "code_sha256", "build_sha256", "strategy_sha256", "config_sha256"),
    }


def test_a_replay_needs_no_event_loop(world):
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    assert Replay(world.directory).difference() is None

"""``trades.db``: what it says of a session is what the session's own kernel came to, however often it is projected."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine import _journal
from engine.account.portfolio import Portfolio, Trade
from engine.cli import main
from engine.config.settings import Config, Found, load
from engine.errors import DataError
from engine.events import (
    DayStarted,
    OrderCancelled,
    OrderFilled,
    OrderRests,
    OrderSubmitted,
    PositionClosed,
    PositionReduced,
    SignalRefused,
    SignalSkipped,
    TradingHalted,
)
from engine.journal.codec import is_decision
from engine.journal.reader import JournalReader
from engine.journal.writer import SessionJournal
from engine.language.entries import Limit
from engine.live.recording import manifest_of
from engine.model import Instrument, Reason, Side
from engine.ports import Fill
from engine.rules import Stop, Target, TimeStop, change, pct, seconds
from engine.strategy import Strategy
from engine.tools import trades_db
from engine.tools.ledger import Ledger
from engine.tools.trades_db import project
from mock_server.market import generate
from tests.unit.session_world import Line, World, climb, heartbeats, play, rise_config

LINE = Line([*climb(), *heartbeats(3, 9), *climb(12.0, 10), *heartbeats(15, 24)])


def leaves(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    out, err = capsys.readouterr()
    return int(left.value.code), out, err


@pytest.fixture
def config(tmp_path, monkeypatch) -> Config:
    monkeypatch.chdir(tmp_path)
    return rise_config(tmp_path)


@pytest.fixture
def world(config) -> World:
    return play(config, LINE, seconds=26)


def ledger_of(directory: Path) -> Ledger:
    reader = JournalReader(directory)
    ledger = Ledger(reader.manifest)
    for entry in reader:
        if is_decision(entry.kind):
            ledger.take(entry.sequence, entry.event())
    return ledger


def select(file: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


def everything(file: Path) -> dict[str, list[tuple[object, ...]]]:
    return {table: sorted(select(file, f"SELECT * FROM {table}"), key=repr) for table in trades_db.TABLES}


# ---------------------------------------------------------------- equal to the session's own


def test_what_the_database_says_is_what_the_session_came_to(world, tmp_path):
    file, kernel = tmp_path / "trades.db", world.session.kernel
    (done,) = project(file, [world.directory])
    assert len(kernel.trades) == 2, "the script makes two trades"
    assert (done.written, done.trades, done.problem) == (True, 2, "")
    assert [one for _, one in ledger_of(world.directory).trades] == kernel.trades
    columns = "gross, spread_cost, slippage_cost, fees, borrow_cost, net, entry_price, exit_price, size"
    rows = select(file, f"SELECT symbol, side, reason, entry_ts_ns, exit_ts_ns, {columns} FROM trades ORDER BY number")
    for row, own in zip(rows, kernel.trades, strict=True):
        assert row[:5] == (own.symbol, own.side, own.reason.value, own.entry_ts_ns, own.exit_ts_ns)
        costs = (own.gross, own.spread_cost, own.slippage_cost, own.fees, own.borrow_cost, own.net)
        assert tuple(map(Decimal, row[5:])) == (*costs, own.entry_price, own.exit_price, own.qty)
    ((state, ended, net, trades, hashed),) = select(
        file, "SELECT state, ended, net, trades, decision_hash FROM sessions"
    )
    assert (state, ended, trades) == ("ended", world.session.ended, 2)
    assert Decimal(net) == sum(one.net for one in kernel.trades)
    assert hashed == world.session.journal.decision_hash
    by_reason = dict(select(file, "SELECT reason, count(*) FROM trades GROUP BY reason"))
    assert by_reason == Counter(one.reason.value for one in kernel.trades)
    ((start, end, pnl, count, realised),) = select(
        file, "SELECT start_equity, end_equity, pnl, trades, net FROM daily_results"
    )
    money = kernel.portfolio.money
    assert (Decimal(start), Decimal(end)) == (money(kernel.portfolio.starting), money(kernel.core.equity))
    assert Decimal(pnl) == Decimal(realised) == Decimal(net)
    assert count == 2
    assert select(file, "SELECT count(*) FROM positions") == [(0,)]
    assert select(file, "SELECT count(*), count(DISTINCT order_id) FROM orders WHERE state = 'filled'") == [(4, 4)]


def test_signals_are_told_with_what_became_of_them(config, tmp_path):
    decided = [DayStarted(1, 0, 10**16), SignalSkipped(2, 0, 1, 10_010, 1), SignalRefused(3, 0, -1, 9_990, "PAUSED")]
    directory = made(config, tmp_path, [*decided, TradingHalted(4, "DAILY_LOSS")])
    file = tmp_path / "t.db"
    list(project(file, [directory]))
    assert select(file, "SELECT side, price, outcome, reason FROM signals ORDER BY sequence") == [
        ("long", "100.1", "skipped", "COOLDOWN"),
        ("short", "99.9", "refused", "PAUSED"),
    ]
    assert select(file, "SELECT ts_ns, reason FROM refusals") == [(3, "PAUSED")]
    assert select(file, "SELECT ts_ns, event, reason FROM halts") == [(4, "halted", "DAILY_LOSS")]


def made(config: Config, tmp_path: Path, decisions: list[object], *, name: str = "s", mode: str = "PAPER") -> Path:
    """The journal of a session that made these decisions and ended in order."""
    manifest = manifest_of(config, [Instrument("A")], session=name, mode=mode, clock="receive")
    journal = SessionJournal(tmp_path / "made" / name, manifest)
    for one in decisions:
        journal.append(one)
    journal.close("made")
    return journal.directory


class Rungs(Strategy):
    """Goes in at a limit, long and short, and out at three targets, one of which rests."""

    long = change(seconds(2)) <= pct("-0.02")
    short = change(seconds(2)) >= pct("0.02")
    entry = Limit(pct("0.005"), good_for=seconds(5))
    exits = (
        Target(pct("0.01"), share=pct(30), resting=True),
        Target(pct("0.03"), share=pct(30)),
        Target(pct("0.05"), share=pct(40)),
        Stop(pct("0.05")),
        TimeStop(seconds(20)),
    )


@pytest.mark.parametrize(
    ("strategy", "costs"),
    [
        ("momentum_burst", {"spread": "0.013", "slippage_bps": "1.7", "fee": "0.3bps"}),
        ("momentum_burst", {"fills": "touch", "fee": "0.01/share", "borrow_rate": "9%", "latency_order": "30ms"}),
        ("Rungs", {"fee": "0.3bps", "maker_fee": "0.1bps", "position_size": "7", "borrow_rate": "9%"}),
        ("Rungs", {"slippage_bps": "0.3", "position_size": "9", "spread": "0.013"}),
    ],
)
def test_trades_read_from_decisions_are_those_of_the_run(strategy, costs):
    """Every cost, both sides, and several targets: trade by trade and leg by leg the kernel's own."""
    chosen = Rungs if strategy == "Rungs" else strategy
    result = engine.backtest(generate(60_000, seed=3)._asdict(), chosen, **costs)
    ledger = Ledger(MANIFEST | {"config": borrowing(costs.get("borrow_rate", "0%"))})
    for sequence, one in enumerate(result.journal.decisions):
        ledger.take(sequence, one)
    assert len(result.trades) >= 3
    assert chosen is not Rungs or {len(one.legs) for one in result.trades} == {1, 2, 3}
    assert {one.side for one in result.trades} == {"long", "short"}
    assert [replace(one, own) for (_, one), own in zip(ledger.trades, result.trades, strict=True)] == result.trades
    assert ledger.made_by == result.decided_by
    assert ledger.account.starting + ledger.net_units() == result.kernel.core.equity
    outcomes = Counter(one.outcome for one in ledger.signals)
    assert (outcomes["refused"], outcomes["skipped"]) == (len(result.refusals), len(result.skipped_signals))


def replace(one: Trade, own: Trade) -> Trade:
    """The trade with the symbol of the other, which no decision states."""
    return one._replace(instrument=own.instrument)


def borrowing(rate: str) -> dict[str, object]:
    return load({"paper.borrow_rate": Found(rate, "test")}).config.model_dump(mode="json")


# ---------------------------------------------------------------- legs, against the account itself

lots = st.integers(1, 40)
fee = st.integers(0, 10**12)
price = st.one_of(st.integers(1, 20_000), st.fractions(1, 20_000, max_denominator=200))
half_ticks = st.integers(2, 40_000)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(Side),
    st.lists(st.tuples(lots, fee, fee), min_size=1, max_size=3),
    st.lists(st.tuples(lots, fee, fee, price, half_ticks), min_size=1, max_size=5),
    st.tuples(price, half_ticks),
    st.integers(0, 10**17),
)
def test_legs_and_trades_are_those_of_the_account(side, entries, exits, entry, step_ns):
    """Any way in and out, in parts, with costs: what is read from the decisions is what the account booked."""
    instruments = [Instrument("A")]
    rate = Fraction(7, 100)
    account = Portfolio(instruments, Fraction(10_000), rate)
    total = sum(one[0] for one in entries)
    fill_price, reference = entry
    decided: list[object] = [OrderSubmitted(1, 1, 0, int(side), total, "entry"), OrderRests(1, 1, "limit", 5, total)]
    for count, slippage, paid in entries:
        account.open(0, 0, side, count, 1, Fill(fill_price, reference, slippage, paid))
        decided.append(OrderFilled(1, 1, fill_price, count, slippage, paid))
    ts_ns, left = 1, total
    for number, (wanted, slippage, paid, exit_price, exit_reference) in enumerate([*exits, (total, 1, 2, 7, 14)], 2):
        count = min(wanted, left)
        if not count:
            break
        ts_ns += step_ns
        decided.append(OrderSubmitted(ts_ns, number, 0, -int(side), count, "TP"))
        decided.append(OrderFilled(ts_ns, number, exit_price, count, slippage, paid))
        leg = account.close(0, count, Reason.TARGET, ts_ns, Fill(exit_price, exit_reference, slippage, paid))
        left -= count
        if left:
            decided.append(PositionReduced(ts_ns, 0, "TP", count, leg.gross_units, leg.net_units))
        else:
            whole = account.trades[-1]
            decided.append(PositionClosed(ts_ns, 0, "TP", whole.gross_units, whole.net_units))
    ledger = Ledger(MANIFEST)
    for sequence, one in enumerate(decided):
        ledger.take(sequence, one)
    assert [one for _, one in ledger.trades] == account.trades
    assert ledger.net_units() == account.realised
    assert {order.state for order in ledger.orders.values()} == {"filled"}
    assert not ledger.open


MANIFEST = {
    "session": "s",
    "mode": "PAPER",
    "instruments": [{"symbol": "A", "price_precision": 2, "size_precision": 0}],
    "lanes": [{"strategy": "Any", "instrument": 0}],
    "config": borrowing("7%"),
}


def test_a_trade_that_is_open_is_a_position_with_the_legs_that_were_closed(config, tmp_path):
    cash = 10**16
    decided = [
        DayStarted(1, 0, cash),
        OrderSubmitted(2, 1, 0, -1, 3, "entry"),
        OrderFilled(2, 1, Fraction(20_001, 2), 3, 3, 30),
        OrderSubmitted(3, 2, 0, 1, 1, "TP"),
        OrderFilled(3, 2, 10_000, 1, 5, 7),
        PositionReduced(3, 0, "TP", 1, 50, 50 - 1 - 5 - 10 - 7),
        OrderSubmitted(4, 3, 0, 1, 2, "TP"),
        OrderRests(4, 3, "limit", 9_900, 2),
        OrderCancelled(5, 3, "withdrawn"),
    ]
    file = tmp_path / "t.db"
    list(project(file, [made(config, tmp_path, decided)]))
    assert select(file, "SELECT side, entry_price, lots, entered_size, realised FROM positions") == [
        ("short", "100.005", 2, "3", "0.000000000027")
    ]
    assert select(file, "SELECT leg, price, lots, fees, slippage_cost, net FROM trade_legs") == [
        (1, "100", 1, "0.000000000017", "0.000000000006", "0.000000000027")
    ]
    assert select(file, "SELECT order_id, side, kind, price, state, reason FROM orders ORDER BY order_id") == [
        (1, "sell", "market", None, "filled", ""),
        (2, "buy", "market", None, "filled", ""),
        (3, "buy", "limit", "99", "cancelled", "withdrawn"),
    ]


# ---------------------------------------------------------------- again, in between, and damaged


def test_twice_is_once_and_writes_nothing(world, tmp_path):
    file = tmp_path / "trades.db"
    list(project(file, [world.directory]))
    once = everything(file)
    version = select(file, "PRAGMA data_version"), file.stat().st_mtime_ns
    (again,) = project(file, [world.directory])
    assert not again.written
    assert everything(file) == once
    assert (select(file, "PRAGMA data_version"), file.stat().st_mtime_ns) == version


def cuts(directory: Path) -> list[int]:
    return [entry.offset + _journal.HEADER_BYTES + len(entry.payload) for entry in JournalReader(directory)]


def test_a_session_that_grows_ends_as_if_it_had_been_projected_once(world, tmp_path):
    """After every record, as while it runs or after it was killed; at the end it is as if there had been one time."""
    segment = world.directory / "000000.mbj"
    data, whole = segment.read_bytes(), tmp_path / "whole.db"
    list(project(whole, [world.directory]))
    file = tmp_path / "trades.db"
    for end in cuts(world.directory)[:-1]:
        segment.write_bytes(data[:end] + bytes((8 << 20) - end))
        (done,) = project(file, [world.directory])
        assert done.problem == ""
        assert select(file, "SELECT state FROM sessions") == [("unfinished",)]
        fresh = tmp_path / "fresh.db"
        fresh.unlink(missing_ok=True)
        list(project(fresh, [world.directory]))
        assert everything(file) == everything(fresh)
    segment.write_bytes(data)
    list(project(file, [world.directory]))
    assert everything(file) == everything(whole)


@pytest.mark.parametrize("table", ["sessions", "orders", "fills", "trades", "trade_legs", "daily_results", "signals"])
def test_a_crash_in_between_leaves_all_or_nothing(world, tmp_path, table, monkeypatch):
    """The writer dies when it comes to a table: nothing of the session is there; projecting again gives everything."""
    file, whole = tmp_path / "trades.db", tmp_path / "whole.db"
    list(project(whole, [world.directory]))
    list(project(file, []))
    with closing(sqlite3.connect(file)) as database:
        database.execute(f"CREATE TRIGGER dies BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'dead'); END")
    with pytest.raises(DataError, match="dead"):
        list(project(file, [world.directory]))
    assert not any(everything(file).values())
    with closing(sqlite3.connect(file)) as database:
        database.execute("DROP TRIGGER dies")
    list(project(file, [world.directory]))
    assert everything(file) == everything(whole)


def test_a_damaged_journal_gives_its_exact_prefix_and_exit_8(world, tmp_path, capsys):
    segment, file = world.directory / "000000.mbj", tmp_path / "trades.db"
    data, ends = segment.read_bytes(), cuts(world.directory)
    closing_at = [
        number for number, entry in enumerate(JournalReader(world.directory)) if entry.name == "PositionClosed"
    ]
    hurt = bytearray(data)
    hurt[ends[closing_at[1]] - 1] ^= 1
    hurt[ends[closing_at[1]] - 9] ^= 1
    segment.write_bytes(hurt)
    (tmp_path / "microburst.toml").write_text(f"[journal]\ndirectory = '{world.directory.parent}'\n")
    code, out, err = leaves(capsys, "journal", "project", "--db", str(file))
    assert code == 8
    assert "1 of 1 journals are not whole" in err
    assert err.count("\n") == 1
    assert select(file, "SELECT state, trades, records FROM sessions") == [("damaged", 1, closing_at[1])]
    own = world.session.kernel.trades
    assert [Decimal(row[0]) for row in select(file, "SELECT net FROM trades")] == [own[0].net]
    assert select(file, "SELECT count(*) FROM positions") == [(1,)]
    segment.write_bytes(data)
    code, out, err = leaves(capsys, "journal", "project", "last", "--db", str(file))
    assert (code, err) == (0, "")
    assert out == f"{file}: 1 session, 1 of them new or longer; 2 trades\n"


def test_a_reader_sees_the_old_state_while_it_is_written(world, tmp_path):
    file = tmp_path / "trades.db"
    list(project(file, []))
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM trades").fetchone() == (0,)
        list(project(file, [world.directory]))  # nobody waits for anybody
        assert reader.execute("SELECT count(*) FROM trades").fetchone() == (0,)
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM trades").fetchone() == (2,)
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_session_is_projected_while_it_runs_and_again_when_it_has_ended(config, tmp_path):
    manifest = manifest_of(config, [Instrument("A")], session="s", mode="PAPER", clock="receive")
    journal, file = SessionJournal(tmp_path / "j" / "s", manifest), tmp_path / "state" / "trades.db"
    journal.append(DayStarted(1, 19_000, 5 * 10**12))
    (done,) = project(file, [journal.directory])
    assert done.written
    assert select(file, "SELECT state, ended, decisions FROM sessions") == [("running", None, 1)]
    (done,) = project(file, [journal.directory])
    assert not done.written
    journal.append(DayStarted(2, 19_001, 6 * 10**12))
    journal.close("the time is over")
    (done,) = project(file, [journal.directory])
    assert done.written
    assert select(file, "SELECT state, ended, decisions FROM sessions") == [("ended", "the time is over", 2)]
    days = "SELECT day, start_equity, end_equity, pnl FROM daily_results ORDER BY began_ts_ns"
    assert select(file, days)[0] == ("2022-01-08", "5", "6", "1")
    assert file.stat().st_mode & 0o777 == 0o600


def test_modes_are_kept_apart(config, tmp_path):
    made_ones = [made(config, tmp_path, [DayStarted(1, 0, 5)], name=mode, mode=mode) for mode in ("PAPER", "DEMO")]
    file = tmp_path / "t.db"
    list(project(file, [*made_ones, made(config, tmp_path, [], name="r", mode="REPLAY")]))
    assert dict(select(file, "SELECT session, mode FROM sessions")) == {"PAPER": "paper", "DEMO": "demo", "r": "replay"}
    assert select(file, "SELECT session FROM paper_daily_results") == [("PAPER",)]
    assert select(file, "SELECT session FROM demo_daily_results") == [("DEMO",)]
    assert select(file, "SELECT session FROM replay_sessions") == [("r",)]


def test_a_session_takes_itself_into_the_database_that_is_configured(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settings = "[journal]\ndirectory = 'sessions'\ndatabase = 'own.db'\n[log]\nfile = 'log.json'\n"
    (tmp_path / "microburst.toml").write_text(settings + "[telemetry]\nenabled = false\n")
    (tmp_path / "own.db").write_text("notes " * 1000)
    run = ("run", "--duration", "300ms", "--mock-rate", "500", "--quiet", "--json")
    assert leaves(capsys, *run)[0] == 0, "a database that cannot be used takes nothing from the session"
    assert "the database is not up to date" in (tmp_path / "log.json").read_text()
    (tmp_path / "own.db").unlink()
    assert leaves(capsys, *run)[0] == 0
    assert select(tmp_path / "own.db", "SELECT DISTINCT state, mode FROM sessions") == [("ended", "demo")]
    assert select(tmp_path / "own.db", "SELECT count(*) FROM sessions") == [(2,)], "the first one, too"
    code, out, _ = leaves(capsys, "journal", "project")
    assert (code, out.split(";")[0]) == (0, "own.db: 2 sessions, 0 of them new or longer")


# ---------------------------------------------------------------- one line each


def test_what_is_no_database_of_this_kind_is_left_alone(world, tmp_path, capsys):
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE mine (x)")
    text, older = tmp_path / "notes.db", tmp_path / "older.db"
    text.write_text("these are my notes, and they are not a database\n" * 20)
    list(project(older, []))
    with closing(sqlite3.connect(older)) as database:
        database.execute("PRAGMA user_version = 99")
    for file, said in (
        (other, "it is another program's database"),
        (text, "it cannot be used: file is not a database"),
        (older, "its tables are of version 99, and this program writes 2"),
        (tmp_path, "it cannot be written: Is a directory"),
    ):
        before = file.read_bytes() if file.is_file() else b""
        code, out, err = leaves(capsys, "journal", "project", "--db", str(file))
        assert (code, out) == (4, "")
        assert said in err
        assert err.count("\n") == 1
        assert (file.read_bytes() if file.is_file() else b"") == before


def test_a_second_writer_is_told_in_one_line(world, tmp_path, monkeypatch):
    monkeypatch.setattr(trades_db, "BUSY_S", 0.0)
    file = tmp_path / "t.db"
    list(project(file, []))
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DataError, match="another program is writing it"):
            list(project(file, [world.directory]))


def test_another_session_of_the_same_name_is_not_mixed_in(config, tmp_path):
    one = made(config, tmp_path, [DayStarted(1, 0, 5)])
    other = made(config, tmp_path / "elsewhere", [], mode="DEMO")
    file = tmp_path / "t.db"
    done = list(project(file, [one, other]))
    assert "it has another session s" in done[1].problem
    assert select(file, "SELECT mode FROM sessions") == [("paper",)]


def test_a_journal_without_a_beginning_stops_no_other(config, tmp_path):
    one, gone = made(config, tmp_path, []), made(config, tmp_path, [], name="gone")
    (gone / "000000.mbj").write_bytes(b"nothing")
    done = list(project(tmp_path / "t.db", [gone, one]))
    assert "cannot be read from its beginning" in done[0].problem
    assert [(each.session, each.written) for each in done] == [("gone", False), ("s", True)]


def test_manifests_without_lanes_are_one_line():
    manifest = {name: value for name, value in MANIFEST.items() if name != "lanes"}
    with pytest.raises(DataError, match="does not name instruments and lanes"):
        Ledger(manifest)

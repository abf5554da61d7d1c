"""``trades.db``: a SQLite projection of sessions' journals, for people and their tools.

Nothing is ever decided on it, and it can be deleted at any time: the journals are the truth and give it again. A
session is replaced as a whole in one transaction, or left alone where nothing of it is new, so projecting twice gives
what projecting once does, wherever the first attempt was cut off. ``docs/reference/trades-db.md`` has the tables.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import orjson

from engine.account.portfolio import Leg
from engine.errors import DataError
from engine.events import Decision, TradingHalted
from engine.journal.codec import is_decision, is_input
from engine.journal.reader import JournalReader, UnsoundError, read_manifest
from engine.journal.sessions import LOCK, lock_is_held, make_private
from engine.model import Instrument, Side
from engine.quantities import format_decimal
from engine.sessions.trading_calendar import day_text
from engine.tools.ledger import Ledger, OpenTrade, OrderFacts

APPLICATION = 0x4D425442
"""``application_id`` of the files that this module writes: no other SQLite file is ever written to."""
VERSION = 2
"""``user_version``: that of the tables. A file of another one is made anew from the journals."""
BUSY_S = 5.0
"""How long a writer waits for another one."""
MODES = ("paper", "demo", "replay")

COSTS = "gross TEXT, spread_cost TEXT, slippage_cost TEXT, fees TEXT, borrow_cost TEXT, net TEXT"
LANE = "lane INTEGER, strategy TEXT, symbol TEXT, side TEXT"

TABLES = {
    "sessions": "session TEXT PRIMARY KEY, mode TEXT, clock TEXT, strategies TEXT, symbols TEXT, state TEXT, "
    "ended TEXT, problem TEXT, starting_cash TEXT, trades INTEGER, net TEXT, records INTEGER, bytes INTEGER, "
    "inputs INTEGER, decisions INTEGER, decision_hash TEXT, manifest_sha256 TEXT, journal TEXT",
    "orders": f"session TEXT, order_id INTEGER, sequence INTEGER, ts_ns INTEGER, {LANE}, purpose TEXT, kind TEXT, "
    "price TEXT, lots INTEGER, size TEXT, filled_lots INTEGER, state TEXT, reason TEXT, "
    "PRIMARY KEY (session, order_id)",
    "fills": "session TEXT, sequence INTEGER, order_id INTEGER, ts_ns INTEGER, symbol TEXT, side TEXT, price TEXT, "
    "lots INTEGER, size TEXT, slippage_cost TEXT, fee TEXT, PRIMARY KEY (session, sequence)",
    "positions": f"session TEXT, order_id INTEGER, {LANE}, entry_ts_ns INTEGER, entry_price TEXT, lots INTEGER, "
    "size TEXT, entered_size TEXT, realised TEXT, PRIMARY KEY (session, order_id)",
    "trades": f"session TEXT, order_id INTEGER, number INTEGER, {LANE}, entry_ts_ns INTEGER, exit_ts_ns INTEGER, "
    "entry_price TEXT, exit_price TEXT, lots INTEGER, size TEXT, reason TEXT, pair INTEGER, entry_decision INTEGER, "
    f"exit_decision INTEGER, {COSTS}, "
    "PRIMARY KEY (session, order_id)",
    "trade_legs": "session TEXT, order_id INTEGER, leg INTEGER, ts_ns INTEGER, price TEXT, lots INTEGER, size TEXT, "
    f"reason TEXT, {COSTS}, PRIMARY KEY (session, order_id, leg)",
    "daily_results": "session TEXT, day TEXT, began_ts_ns INTEGER, start_equity TEXT, end_equity TEXT, pnl TEXT, "
    "trades INTEGER, net TEXT, PRIMARY KEY (session, began_ts_ns)",
    "signals": f"session TEXT, sequence INTEGER, ts_ns INTEGER, {LANE}, price TEXT, outcome TEXT, reason TEXT, "
    "PRIMARY KEY (session, sequence)",
    "halts": "session TEXT, sequence INTEGER, ts_ns INTEGER, event TEXT, reason TEXT, PRIMARY KEY (session, sequence)",
}
"""The tables. Times are nanoseconds since 1970, UTC; money, prices and sizes exact decimals as text."""

VIEWS = {
    "refusals": "SELECT * FROM signals WHERE outcome = 'refused'",
    **{
        f"{mode}_{table}": f"SELECT * FROM {table} WHERE session IN "  # noqa: S608 (the names are ours)
        f"(SELECT session FROM sessions WHERE mode = '{mode}')"
        for mode in MODES
        for table in TABLES
    },
}

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Projected:
    """What became of one session: whether anything of it was new, and what is wrong with its journal, if anything."""

    session: str
    written: bool
    trades: int
    problem: str


def default_database(journals: Path) -> Path:
    """Where the database is unless told otherwise: beside the directory of the journals."""
    return journals.parent / "trades.db"


def project(file: Path, journals: Sequence[Path]) -> Iterator[Projected]:
    """Bring the database up to these journals, one transaction each; it is made where it does not exist.

    A damaged journal gives what its whole records say; one that cannot be read from its beginning gives nothing.

    Raises:
        DataError: the file is no database of this kind and version, cannot be written, or another program writes it
            for longer than ``BUSY_S``.
    """
    with closing(_opened(file)) as database:
        for directory in journals:
            try:
                with _said(file):
                    done = _project_one(database, directory)
            except _UnreadableError as error:
                done = Projected(directory.name, False, 0, error.line())
            yield done


class _UnreadableError(DataError):
    """Nothing of this journal can be projected; others can."""


@contextmanager
def _reading() -> Iterator[None]:
    """Tell what is wrong with a journal from what is wrong with the database."""
    try:
        yield
    except (DataError, UnsoundError) as error:
        raise _UnreadableError(error.what, where=error.where, fix=error.fix) from None


@contextmanager
def _said(file: Path) -> Iterator[None]:
    """Say what SQLite refuses in one line."""
    try:
        yield
    except sqlite3.Error as error:
        busy = getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
        what = "another program is writing it" if busy else f"it cannot be used: {error}"
        fix = "try again when that has ended" if busy else "name another with --db, or delete it and project again"
        raise DataError(what, where=str(file), fix=fix) from None


def _opened(file: Path) -> sqlite3.Connection:
    """The database, with its tables; for its owner alone."""
    with _said(file):
        try:
            make_private(file.parent)
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise DataError(f"it cannot be written: {error.strerror}", where=str(file), fix="see --db") from None
        database = sqlite3.connect(file, timeout=BUSY_S, isolation_level=None)
        try:
            _make_tables(database, file)
        except BaseException:
            database.close()
            raise
    return database


def _make_tables(database: sqlite3.Connection, file: Path) -> None:
    def number(name: str) -> int:
        return int(database.execute(f"PRAGMA {name}").fetchone()[0])

    if database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        if number("application_id") != APPLICATION:
            raise DataError("it is another program's database", where=str(file), fix="name another with --db")
        if number("user_version") != VERSION:
            what = f"its tables are of version {number('user_version')}, and this program writes {VERSION}"
            raise DataError(what, where=str(file), fix="delete it and project again")
        return
    database.execute("PRAGMA journal_mode = WAL")
    with _transaction(database):
        for name, columns in TABLES.items():
            database.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns}) WITHOUT ROWID, STRICT")
        for name, query in VIEWS.items():
            database.execute(f"CREATE VIEW IF NOT EXISTS {name} AS {query}")
        database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing; the right to write is taken at once, so that two writers wait for each other."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _project_one(database: sqlite3.Connection, directory: Path) -> Projected:
    with _reading():
        manifest = read_manifest(directory)
    name, identity = str(manifest.get("session")), _identity(manifest)
    known = database.execute("SELECT * FROM sessions WHERE session = ?", (name,))
    columns, stored = [column[0] for column in known.description], known.fetchone()
    facts = dict(zip(columns, stored, strict=True)) if stored else {}
    if facts and facts["manifest_sha256"] != identity:
        what = f"it has another session {name}, of {facts['journal']}"
        raise _UnreadableError(what, where=str(directory), fix="project this one into a file of its own with --db")
    if facts.get("state") == "ended" and facts["bytes"] == _bytes_of(directory):
        return Projected(name, False, facts["trades"], "")
    with _reading():
        rows = _rows(directory, manifest, identity)
    (head,) = rows["sessions"]
    now = dict(zip(columns, head, strict=True))
    if head != stored:
        with _transaction(database):
            for table, content in rows.items():
                database.execute(f"DELETE FROM {table} WHERE session = ?", (name,))  # noqa: S608 (the names are ours)
                if content:
                    places = ", ".join("?" * len(content[0]))
                    database.executemany(f"INSERT INTO {table} VALUES ({places})", content)  # noqa: S608
    return Projected(name, head != stored, now["trades"], now["problem"])


def _identity(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(manifest)).hexdigest()


def _bytes_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir() if path.name != LOCK)


def _rows(directory: Path, manifest: dict[str, Any], identity: str) -> dict[str, list[Row]]:
    """Every row of a session, by table."""
    running, size = lock_is_held(directory), _bytes_of(directory)
    reader, ledger = JournalReader(directory), Ledger(manifest)
    inputs = decisions = 0
    for entry in reader:
        if is_decision(entry.kind):
            decisions += 1
            ledger.take(entry.sequence, cast("Decision", entry.event()))
        elif is_input(entry.kind):
            inputs += 1
    state = "damaged" if reader.problem else "ended" if reader.sealed else "running" if running else "unfinished"
    session, rows = str(manifest["session"]), _Rows(ledger)
    head = (
        session,
        str(manifest.get("mode", "")).lower(),
        str(manifest.get("clock", "")),
        ", ".join(dict.fromkeys(strategy for strategy, _ in ledger.lanes)),
        ", ".join(one.symbol for one in ledger.instruments),
        state,
        reader.summary.get("ended"),
        reader.problem,
        rows.money(ledger.account.starting),
        len(ledger.trades),
        rows.money(ledger.net_units()),
        reader.records,
        size,
        inputs,
        decisions,
        reader.summary.get("decision_hash"),
        identity,
        str(directory.resolve()),
    )
    found: dict[str, list[Row]] = {
        "orders": [rows.order(order) for order in ledger.orders.values()],
        "fills": list(rows.fills()),
        "positions": list(rows.positions()),
        "trades": list(rows.trades()),
        "trade_legs": list(rows.legs()),
        "daily_results": list(rows.days()),
        "signals": list(rows.signals()),
        "halts": [
            (at, one.ts_ns, "halted" if isinstance(one, TradingHalted) else "resumed", one.reason)
            for at, one in ledger.halts
        ],
    }
    return {"sessions": [head]} | {table: [(session, *row) for row in content] for table, content in found.items()}


class _Rows:
    """A ledger's facts as rows, without the session; amounts as exact text."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._unit = Fraction(1, 10**ledger.account.scale)

    def money(self, units: int) -> str:
        return format_decimal(units * self._unit)

    def _lane(self, lane: int, side: str) -> Row:
        return (lane, self._ledger.lanes[lane][0], self._ledger.instrument_of(lane).symbol, side)

    def _costs(self, one: Any) -> Row:
        names = ("gross_units", "spread_units", "slippage_units", "fee_units", "borrow_units", "net_units")
        return tuple(self.money(getattr(one, name)) for name in names)

    def order(self, order: OrderFacts) -> Row:
        sent = order.sent
        instrument = self._ledger.instrument_of(sent.lane)
        price = None if order.price_ticks is None else _price(instrument, order.price_ticks)
        return (
            *(sent.order_id, order.sequence, sent.ts_ns, *self._lane(sent.lane, _buys(sent.side)), sent.purpose),
            *(order.kind, price, sent.lots, _size(instrument, sent.lots), order.filled, order.state, order.reason),
        )

    def fills(self) -> Iterator[Row]:
        for sequence, fill in self._ledger.fills:
            sent = self._ledger.orders[fill.order_id].sent
            instrument = self._ledger.instrument_of(sent.lane)
            yield (
                *(sequence, fill.order_id, fill.ts_ns, instrument.symbol, _buys(sent.side)),
                *(_price(instrument, fill.price_ticks), fill.lots, _size(instrument, fill.lots)),
                *(self.money(fill.slippage), self.money(fill.fee)),
            )

    def positions(self) -> Iterator[Row]:
        for lane, one in self._open():
            position = one.position
            instrument = self._ledger.instrument_of(lane)
            yield (
                *(one.order_id, *self._lane(lane, position.side.word), position.entry_ts_ns),
                *(_price(instrument, position.entry_ticks), position.lots, _size(instrument, position.lots)),
                _size(instrument, position.entered),
                self.money(sum(leg.net_units for leg in position.legs)),
            )

    def _open(self) -> list[tuple[int, OpenTrade]]:
        return sorted(self._ledger.open.items())

    def trades(self) -> Iterator[Row]:
        for number, (order_id, trade) in enumerate(self._ledger.trades, 1):
            instrument = trade.instrument
            yield (
                *(order_id, number, *self._lane(trade.lane, trade.side), trade.entry_ts_ns, trade.exit_ts_ns),
                *(_price(instrument, trade.entry_ticks), _price(instrument, trade.exit_ticks)),
                *(trade.lots, _size(instrument, trade.lots), trade.reason.value, trade.pair),
                *(*self._ledger.made_by[number - 1], *self._costs(trade)),
            )

    def legs(self) -> Iterator[Row]:
        closed = [(order_id, trade.lane, trade.legs) for order_id, trade in self._ledger.trades]
        partly = [(one.order_id, lane, one.position.legs) for lane, one in self._open()]
        for order_id, lane, legs in (*closed, *partly):
            for number, leg in enumerate(legs, 1):
                yield (order_id, number, *self._leg(self._ledger.instrument_of(lane), leg))

    def _leg(self, instrument: Instrument, leg: Leg) -> Row:
        price, size = _price(instrument, leg.price_ticks), _size(instrument, leg.lots)
        return (leg.ts_ns, price, leg.lots, size, leg.reason.value, *self._costs(leg))

    def days(self) -> Iterator[Row]:
        for day in self._ledger.days:
            known = self._ledger.end_of(day)
            end, pnl = (None, None) if known is None else (self.money(known), self.money(known - day.start))
            day_name, start = day_text(day.day), self.money(day.start)
            yield (day_name, day.began_ts_ns, start, end, pnl, day.trades, self.money(day.net))

    def signals(self) -> Iterator[Row]:
        for one in self._ledger.signals:
            price = None if one.price_ticks is None else _price(self._ledger.instrument_of(one.lane), one.price_ticks)
            side = Side(one.direction).word
            yield (one.sequence, one.ts_ns, *self._lane(one.lane, side), price, one.outcome, one.reason)


def _price(instrument: Instrument, ticks: int | Fraction) -> str:
    return format_decimal(Fraction(ticks) / 10**instrument.price_precision)


def _size(instrument: Instrument, lots: int) -> str:
    return format_decimal(Fraction(lots, 10**instrument.size_precision))


def _buys(side: int) -> str:
    return "buy" if side > 0 else "sell"

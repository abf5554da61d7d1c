"""The trades table, the tick log and the watch list as Qt models over plain records.

Rows are inserted once a frame in a batch. Sorting compares the numbers, never their text.
"""

from __future__ import annotations

import csv
import operator
import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtGui

from engine.telemetry_wire import TradeView
from gui import words
from gui.markers import reason_icon
from gui.state import TRADES, SymbolState, TickRow
from gui.theme import Theme

Qt = QtCore.Qt
Index = QtCore.QModelIndex | QtCore.QPersistentModelIndex
_ROOT = QtCore.QModelIndex()
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
SORT_ROLE = Qt.ItemDataRole.UserRole


class _Model(QtCore.QAbstractTableModel):
    """What the three tables share: headers, alignment, theme, zone and price precision."""

    headers: tuple[str, ...] = ()
    left: frozenset[int] = frozenset()  # columns of words; numbers stand right

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.zone: tzinfo = UTC
        self.precision: Callable[[str], int] = lambda symbol: 2

    def columnCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self.headers)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.headers[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _LEFT if section in self.left else _RIGHT
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = index.row(), index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _LEFT if column in self.left else _RIGHT
        if role == Qt.ItemDataRole.ForegroundRole:
            colour = self.colour(row, column)
            return QtGui.QColor(colour) if colour else None
        if role == SORT_ROLE:
            return self.key(row, column)
        return self.more(row, column, role)

    @abstractmethod
    def text(self, row: int, column: int) -> str:
        """Return what a cell shows; each table knows its own."""

    def colour(self, row: int, column: int) -> str:
        """Return a colour for the text, or "" for the ordinary one."""
        return ""

    def key(self, row: int, column: int) -> Any:
        """Return what the column sorts by."""
        return self.text(row, column)

    def more(self, row: int, column: int, role: int) -> Any:
        return None

    def restyle(self, theme: Theme, zone: tzinfo) -> None:
        """Show every cell again in other colours or another time zone."""
        self.theme, self.zone = theme, zone
        if rows := self.rowCount():
            self.dataChanged.emit(self.index(0, 0), self.index(rows - 1, len(self.headers) - 1))


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of the trades table. ``name`` is its header in the CSV file and its word in the filter."""

    header: str
    name: str
    key: Callable[[TradeView], Any]
    left: bool = False


TRADE_COLUMNS = (
    _Column("#", "number", lambda trade: trade.number),
    _Column("Symbol", "symbol", lambda trade: trade.symbol, left=True),
    _Column("Strategy", "strategy", lambda trade: trade.strategy, left=True),
    _Column("Side", "side", lambda trade: trade.side, left=True),
    _Column("Time", "entry_ts_ns", lambda trade: trade.entry_ts_ns),
    _Column("Held", "held_ns", lambda trade: trade.exit_ts_ns - trade.entry_ts_ns),
    _Column("Entry", "entry_price", lambda trade: trade.entry_price),
    _Column("Exit", "exit_price", lambda trade: trade.exit_price),
    _Column("Reason", "reason", lambda trade: trade.reason, left=True),
    _Column("Net", "net", lambda trade: trade.net),
    _Column("Gross", "gross", lambda trade: trade.gross),
    _Column("Costs", "costs", lambda trade: trade.costs),
    _Column("Qty", "qty", lambda trade: trade.qty),
)


class TradesModel(_Model):
    """Closed trades, newest first."""

    headers = tuple(column.header for column in TRADE_COLUMNS)
    left = frozenset(index for index, column in enumerate(TRADE_COLUMNS) if column.left)

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self._trades: list[TradeView] = []  # oldest first, so that appending is cheap

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._trades)

    @property
    def strategies(self) -> set[str]:
        """The names of the strategies that traded, where there are several."""
        return {trade.strategy for trade in self._trades if trade.strategy}

    def trade(self, row: int) -> TradeView:
        """Return the trade in a row."""
        return self._trades[-1 - row]

    def row_of(self, trade: TradeView) -> int:
        """Return the row of a trade, or -1."""
        position = next((index for index, one in enumerate(self._trades) if one is trade), None)
        return -1 if position is None else len(self._trades) - 1 - position

    def replace(self, trades: Sequence[TradeView]) -> None:
        """Start over with ``trades``, oldest first."""
        self.beginResetModel()
        self._trades = list(trades[-TRADES:])
        self.endResetModel()

    def add(self, trades: Sequence[TradeView]) -> None:
        """Insert new trades on top; the oldest leave beyond the bound."""
        if not trades:
            return
        self.beginInsertRows(_ROOT, 0, len(trades) - 1)
        self._trades.extend(trades)
        self.endInsertRows()
        if (surplus := len(self._trades) - TRADES) > 0:
            self.beginRemoveRows(_ROOT, TRADES, TRADES + surplus - 1)
            del self._trades[:surplus]
            self.endRemoveRows()

    def key(self, row: int, column: int) -> Any:
        return TRADE_COLUMNS[column].key(self.trade(row))

    def text(self, row: int, column: int) -> str:
        trade = self.trade(row)
        name = TRADE_COLUMNS[column].name
        value = TRADE_COLUMNS[column].key(trade)
        if name == "side":
            return words.POSITION[value].title() if value in words.POSITION else str(value)
        if name == "qty":
            return words.quantity(value)
        if name == "entry_ts_ns":
            return words.clock(value, self.zone, 0)  # to the millisecond in the tooltip
        if name == "held_ns":
            return words.held(value)
        if name in ("entry_price", "exit_price"):
            return words.price(value, self.precision(trade.symbol))
        if name == "reason":
            return words.reason_words(value)
        if name in ("gross", "net"):
            return words.money(value)
        if name == "costs":
            return words.money(value, sign=False)
        return str(value)

    def colour(self, row: int, column: int) -> str:
        trade, name = self.trade(row), TRADE_COLUMNS[column].name
        if name == "side":
            return self.theme.up_text if trade.side == "long" else self.theme.down_text
        if name in ("gross", "net", "reason"):
            value = trade.gross if name == "gross" else trade.net
            return self.theme.up_text if value > 0 else self.theme.down_text if value < 0 else ""
        return self.theme.muted if name in ("number", "costs", "entry_ts_ns", "held_ns") else ""

    def more(self, row: int, column: int, role: int) -> Any:
        trade, name = self.trade(row), TRADE_COLUMNS[column].name
        if role == Qt.ItemDataRole.DecorationRole and name == "reason":
            return reason_icon(trade.reason, self.theme.up if trade.net > 0 else self.theme.down)
        if role == Qt.ItemDataRole.ToolTipRole:
            return words.trade_card(trade, self.precision(trade.symbol), self.zone)
        return None


_TERM = re.compile(r"(?P<name>[a-z]+)(?P<operator>[:<>]=?|=)(?P<value>\S+)", re.IGNORECASE)
_FILTER_NAMES = {
    "sym": "symbol", "symbol": "symbol", "side": "side", "reason": "reason", "net": "net", "pnl": "net",
    "strategy": "strategy", "gross": "gross", "costs": "costs", "qty": "qty", "number": "number",
}  # fmt: skip
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, ":": operator.eq,
}  # fmt: skip


class TradesFilter(QtCore.QSortFilterProxyModel):
    """Sorts by numbers and shows the trades that match every term, e.g. ``reason:time net<0 sym:ACME``."""

    def __init__(self, model: TradesModel) -> None:
        super().__init__()
        self._model = model
        self._tests: list[Callable[[TradeView], bool]] = []
        self.setSortRole(SORT_ROLE)
        self.setSourceModel(model)

    def set_query(self, query: str) -> str:
        """Filter by ``query``; return the first term that makes no sense, or ""."""
        tests, problem = [], ""
        for term in query.split():
            test = _trade_test(term)
            if test is None:
                problem = problem or term
            else:
                tests.append(test)
        self._tests = tests
        self.invalidate()
        return problem

    def filterAcceptsRow(self, source_row: int, source_parent: Index) -> bool:
        trade = self._model.trade(source_row)
        return all(test(trade) for test in self._tests)

    def visible_trades(self) -> list[TradeView]:
        """Return the trades that are shown, in the shown order."""
        return [self._model.trade(self.mapToSource(self.index(row, 0)).row()) for row in range(self.rowCount())]


def _trade_test(term: str) -> Callable[[TradeView], bool] | None:
    """Return the test that one filter term stands for, or None when it stands for nothing."""
    match = _TERM.fullmatch(term)
    name = _FILTER_NAMES.get(match["name"].lower(), "") if match else ""
    if match is None or not name:
        return None
    value, sign = match["value"], match["operator"]
    if name in ("symbol", "side", "reason", "strategy"):
        wanted = value.lower()
        if sign not in (":", "="):
            return None
        if name == "reason":
            return lambda trade: (
                wanted in (trade.reason.lower(), words.reason_letter(trade.reason).lower())
                or (len(wanted) > 2 and wanted in words.reason_words(trade.reason).lower())
            )
        return lambda trade: getattr(trade, name).lower().startswith(wanted)
    compare = _COMPARE.get(sign)
    try:
        number = float(value)
    except ValueError:
        return None
    return (lambda trade: compare(getattr(trade, name), number)) if compare else None


def write_csv(path: Path, trades: Sequence[TradeView], session_id: str) -> None:
    """Write ``trades`` in this order and in full precision, times as UTC nanoseconds.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# session {session_id}\n")
        table = csv.writer(file)
        table.writerow([*(column.name for column in TRADE_COLUMNS), "exit_ts_ns"])
        for trade in trades:
            table.writerow([*(column.key(trade) for column in TRADE_COLUMNS), trade.exit_ts_ns])


class TicksModel(_Model):
    """The newest ticks, newest first."""

    headers = ("Time", "Symbol", "Price", "Size", "Bid", "Ask")
    left = frozenset((0, 1))

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self._ticks: list[TickRow] = []

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._ticks)

    def replace(self, ticks: Sequence[TickRow]) -> None:
        """Show ``ticks`` (oldest first)."""
        newest_first = list(reversed(ticks))
        if len(newest_first) != len(self._ticks):
            self.beginResetModel()
            self._ticks = newest_first
            self.endResetModel()
            return
        self._ticks = newest_first
        if newest_first:
            self.dataChanged.emit(self.index(0, 0), self.index(len(newest_first) - 1, len(self.headers) - 1))

    def longest(self) -> tuple[int, ...]:
        """Return how long the longest text of each column is."""
        rows = range(len(self._ticks))
        return tuple(max((len(self.text(row, column)) for row in rows), default=0) for column in range(6))

    def text(self, row: int, column: int) -> str:
        ts_ns, symbol, price, size, bid, ask = self._ticks[row]
        if column == 0:
            return words.clock(ts_ns, self.zone)
        if column == 1:
            return symbol
        if column == 3:
            return words.quantity(size)
        return words.price((0, 0, price, 0, bid, ask)[column], self.precision(symbol))

    def colour(self, row: int, column: int) -> str:
        if column in (0, 4, 5):
            return self.theme.muted
        if column == 2:
            price, symbol = self._ticks[row][2], self._ticks[row][1]
            before = next((tick[2] for tick in self._ticks[row + 1 :] if tick[1] == symbol), price)
            return self.theme.up_text if price > before else self.theme.down_text if price < before else ""
        return ""


class WatchModel(_Model):
    """The instruments of the session."""

    headers = ("Symbol", "Last", "P/L")
    left = frozenset((0,))

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self.stale = False  # what it shows may no longer be true
        self._symbols: list[SymbolState] = []

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._symbols)

    def show(self, symbols: Sequence[SymbolState]) -> None:
        """Show the newest state of ``symbols``."""
        if len(symbols) != len(self._symbols):
            self.beginResetModel()
            self._symbols = list(symbols)
            self.endResetModel()
            return
        self._symbols = list(symbols)
        if symbols:
            self.dataChanged.emit(self.index(0, 0), self.index(len(symbols) - 1, len(self.headers) - 1))

    def text(self, row: int, column: int) -> str:
        view = self._symbols[row].view
        if column == 0:
            return view.symbol
        if column == 1:
            return words.price(view.price, view.price_precision)
        if view.position is None:
            return ""
        return f"{words.POSITION.get(view.position.side, '?')[0]} {words.money(view.position.open_pnl)}"

    def colour(self, row: int, column: int) -> str:
        position = self._symbols[row].view.position
        if column == 1 and self.stale:
            return self.theme.muted
        if column != 2 or position is None:
            return ""
        return self.theme.up_text if position.open_pnl > 0 else self.theme.down_text if position.open_pnl < 0 else ""

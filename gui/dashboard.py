"""The dashboard page: chart, cards and tables of one session, drawn from :class:`gui.state.SessionState`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo

from PySide6 import QtCore, QtWidgets

from engine.telemetry_wire import TradeView
from gui import words
from gui.charts import ChartStack
from gui.panels import Card, ExplainCard, PositionCard, StatisticsCard, label, set_tone
from gui.risk import RiskCard
from gui.state import SessionState
from gui.table_view import FittedTable, WholeRows
from gui.tables import TRADE_COLUMNS, TicksModel, TradesFilter, TradesModel, WatchModel
from gui.theme import Theme

Qt = QtCore.Qt
SIDE_WIDTH_PX, WATCH_WIDTH_PX, GAP_PX = 384, 238, 8
CHART_LEAST_PX = 360
DROPPED_TRADES = ("gross", "costs", "qty", "held_ns", "exit_price", "entry_price", "number", "strategy", "entry_ts_ns")
"""Columns of the trades table in the order in which they leave a narrow one: a trade's card has all of it."""
DROPPED_TICKS = ((4, 5), (3,))  # bid and ask, of which one alone says little; then the size


class Dashboard(QtWidgets.QWidget):
    """Everything about one session. :meth:`draw_chart` runs every frame, :meth:`draw_panels` a few times a second."""

    symbol_chosen = QtCore.Signal(str)
    filter_problem = QtCore.Signal(str)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("page")
        self.symbol = ""
        self._state = SessionState()
        self._theme = theme
        self._zone: tzinfo = UTC
        self._drawn_trades: tuple[object, ...] | None = None
        self._current_trade: TradeView | None = None
        self._fitted: tuple[object, ...] | None = None
        self._fitted_ticks: tuple[object, ...] | None = None
        self.chart = ChartStack(theme)
        self.position, self.explain, self.statistics = PositionCard(), ExplainCard(), StatisticsCard()
        self.risk = RiskCard()
        self.trades, self.ticks, self.watch = TradesModel(theme), TicksModel(theme), WatchModel(theme)
        self.filtered = TradesFilter(self.trades)
        for model in (self.trades, self.ticks, self.watch):
            model.precision = self._precision
        self._build()

    # ------------------------------------------------------------------------------------------------ construction

    def _build(self) -> None:
        self.watch_table = FittedTable(self.watch, names=(0,))
        self.watch_table.clicked.connect(self._watch_clicked)
        self._watch_card = _frame(WholeRows(self.watch_table))
        self._watch_card.setFixedWidth(WATCH_WIDTH_PX)
        chart_card = _frame(self.chart)
        chart_card.setMinimumSize(CHART_LEAST_PX, 220)

        side = QtWidgets.QWidget()
        side.setObjectName("clear")
        cards = QtWidgets.QVBoxLayout(side)
        cards.setContentsMargins(0, 0, 0, 0)
        cards.setSpacing(GAP_PX)
        cards.addWidget(self.position)
        cards.addWidget(self.risk)
        cards.addWidget(self.explain, 1)
        cards.addWidget(self.statistics)
        self._side = SideColumn(side)

        above = QtWidgets.QWidget()
        row = QtWidgets.QHBoxLayout(above)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GAP_PX)
        row.addWidget(self._watch_card)
        row.addWidget(chart_card, 1)
        row.addWidget(self._side)

        below = QtWidgets.QSplitter(Qt.Orientation.Horizontal)
        below.addWidget(self._trades_card())
        below.addWidget(self._ticks_card())
        below.setStretchFactor(0, 3)
        below.setStretchFactor(1, 2)
        below.setSizes([840, 416])
        self.splitter = QtWidgets.QSplitter(Qt.Orientation.Vertical)
        self.splitter.addWidget(above)
        self.splitter.addWidget(below)
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setSizes([577, 163])  # so that the cards of the built-in strategy fit a window of the first size
        for splitter in (below, self.splitter):
            splitter.setHandleWidth(GAP_PX)
            splitter.setChildrenCollapsible(False)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(GAP_PX, 0, GAP_PX, GAP_PX)
        layout.addWidget(self.splitter)

    def _trades_card(self) -> Card:
        card = Card("trades")
        self.filter = QtWidgets.QLineEdit()
        self.filter.setPlaceholderText(words.FILTER_HINT)
        self.filter.setClearButtonEnabled(True)
        self.filter.setFixedWidth(290)
        self.filter.setAccessibleName("Filter the trades")
        self.filter.textChanged.connect(self._filter_changed)
        card.head.addWidget(self.filter)
        places = {column.name: place for place, column in enumerate(TRADE_COLUMNS)}
        self.trades_table = FittedTable(
            self.filtered,
            names=[places["symbol"], places["strategy"]],
            drop=[(places[name],) for name in DROPPED_TRADES],
            sortable=True,
        )
        self.trades_table.clicked.connect(self._trade_clicked)
        self._trades_rows = WholeRows(self.trades_table)
        self.no_trades = label("muted", words.NO_TRADES)
        self.no_trades.setAlignment(Qt.AlignmentFlag.AlignCenter)
        card.body.addWidget(self.no_trades, 1)
        card.body.addWidget(self._trades_rows, 1)
        card.body.setContentsMargins(12, 8, 4, 4)
        return card

    def _ticks_card(self) -> Card:
        card = Card("ticks")
        self.ticks_table = FittedTable(self.ticks, names=(1,), drop=DROPPED_TICKS)
        self.ticks_table.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode.NoSelection)
        card.body.addWidget(WholeRows(self.ticks_table), 1)
        card.body.setContentsMargins(12, 8, 4, 4)
        return card

    # --------------------------------------------------------------------------------------------------- content

    def restart(self, state: SessionState) -> None:
        """Show another session, or this one after its whole history was received again."""
        keep = self.symbol if self._state.session_id == state.session_id else ""
        self._state = state
        self._drawn_trades = None
        self.trades.replace(list(state.trades))
        self.choose(keep if keep in state.symbols else next(iter(state.symbols), ""))

    def add_trades(self, trades: Sequence[TradeView]) -> None:
        """Add trades that have just been closed."""
        self.trades.add(trades)

    def choose(self, symbol: str) -> None:
        """Show the chart and conditions of ``symbol``."""
        self.symbol = symbol
        self._drawn_trades = None
        self.chart.set_symbol(self._state.symbols.get(symbol))
        if symbol:
            self.symbol_chosen.emit(symbol)

    def step_symbol(self, step: int) -> None:
        """Show the next or previous instrument."""
        names = list(self._state.symbols)
        if names:
            here = names.index(self.symbol) if self.symbol in names else 0
            self.choose(names[(here + step) % len(names)])

    def draw_chart(self) -> None:
        """Draw the chart's newest state."""
        snapshot, symbol = self._state.snapshot, self._state.symbols.get(self.symbol)
        if snapshot is None:
            return
        if symbol is None:
            if self._state.symbols:
                self.choose(next(iter(self._state.symbols)))
            return
        position, trades = symbol.view.position, self._state.trades
        opened = (position.side, position.entry_ts_ns, position.entry_price) if position is not None else None
        # Not the account's count, which leaves out what is closed at the end, and takes both legs of a pair for one.
        drawn = (self.symbol, trades[-1].number if trades else 0, opened)
        if drawn != self._drawn_trades:
            self._drawn_trades = drawn
            self.chart.set_trades([trade for trade in trades if trade.symbol == self.symbol], opened)
        self.chart.refresh(self._state.pnl, snapshot.engine_ts_ns)

    def draw_panels(self) -> None:
        """Draw cards and tables; slower than the chart, since nobody reads thirty numbers a second."""
        snapshot, symbol = self._state.snapshot, self._state.symbols.get(self.symbol)
        if snapshot is None or symbol is None:
            return
        self.position.show_position(symbol.view, snapshot.engine_ts_ns)
        self.risk.show_risk(snapshot.account)
        self.explain.show_conditions(symbol.view, snapshot)
        self.statistics.show_account(snapshot.account, symbol.view)
        self.ticks.replace(list(self._state.ticks))
        self._side.make_room()
        several = len(self._state.symbols) > 1
        # Where it is too narrow for all three the list leaves: the symbols can be chosen in the bar on top, too.
        room = self.width() - self._side.width() - CHART_LEAST_PX - 4 * GAP_PX
        self._watch_card.setVisible(several and room >= self._watch_card.width())
        if several:
            self.watch.show(list(self._state.symbols.values()))
            row = list(self._state.symbols).index(self.symbol)
            if self.watch_table.currentIndex().row() != row:
                self.watch_table.selectRow(row)
        self._fit_columns()
        empty = self.trades.rowCount() == 0
        held = self._state.snapshot.account.halted if self._state.snapshot is not None else ""
        self.no_trades.setText(words.NO_TRADES_HELD.format(why=held) if held else words.NO_TRADES)
        self.no_trades.setVisible(empty)
        self._trades_rows.setVisible(not empty)

    # ------------------------------------------------------------------------------------------------- appearance

    def set_appearance(self, theme: Theme, zone: tzinfo) -> None:
        """Switch colours and time zone."""
        self._theme, self._zone = theme, zone
        self.chart.set_theme(theme)
        self.chart.set_zone(zone)
        self._drawn_trades = None
        for model in (self.trades, self.ticks, self.watch):
            model.restyle(theme, zone)

    def set_stale(self, stale: bool) -> None:
        """Grey every price that is shown as the present one, while it may no longer be true."""
        tone = "muted" if stale else ""
        self.chart.set_stale(stale)
        for price in (self.statistics.values["price"], self.chart.legend.price):
            set_tone(price, tone)
        self.watch.stale = stale

    def _fit_columns(self) -> None:
        """Have the tables look again at what they show, where it may have become wider."""
        several = len(self._state.symbols) > 1
        strategies = self.trades.strategies
        kind = (self._theme.name, several, len(strategies), self.trades.rowCount())
        if kind != self._fitted and self.trades_table.isVisible():  # fonts are only known once it was shown
            self._fitted = kind
            absent = {"symbol": not several, "strategy": not strategies}
            self.trades_table.measure(
                [place for place, column in enumerate(TRADE_COLUMNS) if absent.get(column.name, False)]
            )
        longest = (self._theme.name, several, *self.ticks.longest())
        if longest != self._fitted_ticks and self.ticks_table.isVisible():
            self._fitted_ticks = longest
            self.ticks_table.measure(() if several else (1,))
        if self._watch_card.isVisible():
            self.watch_table.measure()
            self._watch_card.setFixedWidth(max(WATCH_WIDTH_PX, self.watch_table.narrowest()))

    # ---------------------------------------------------------------------------------------------------- actions

    def step_trade(self, step: int) -> None:
        """Show the previous (-1) or next (+1) trade of this instrument in the chart."""
        trades = [trade for trade in self._state.trades if trade.symbol == self.symbol]
        if not trades:
            return
        here = next((index for index, trade in enumerate(trades) if trade is self._current_trade), len(trades))
        self.show_trade(trades[min(max(here + step, 0), len(trades) - 1)])

    def show_trade(self, trade: TradeView) -> None:
        """Bring ``trade`` into view, in the chart and in the table."""
        if trade.symbol != self.symbol:
            self.choose(trade.symbol)
        self._current_trade = trade
        self.chart.jump_to(trade)
        row = self.trades.row_of(trade)
        if row >= 0:
            self.trades_table.selectRow(self.filtered.mapFromSource(self.trades.index(row, 0)).row())

    def _trade_clicked(self, index: QtCore.QModelIndex) -> None:
        self.show_trade(self.trades.trade(self.filtered.mapToSource(index).row()))

    def _watch_clicked(self, index: QtCore.QModelIndex) -> None:
        self.choose(list(self._state.symbols)[index.row()])

    def _filter_changed(self, query: str) -> None:
        problem = self.filtered.set_query(query)
        self.filter_problem.emit(words.BAD_FILTER.format(term=problem, hint=words.FILTER_HINT) if problem else "")

    def _precision(self, symbol: str) -> int:
        state = self._state.symbols.get(symbol)
        return state.view.price_precision if state is not None else 2


class SideColumn(QtWidgets.QScrollArea):
    """The cards beside the chart: as wide as the longest number asks for, and never narrower again."""

    def __init__(self, cards: QtWidgets.QWidget) -> None:
        super().__init__()
        self._cards = cards
        self.setWidget(cards)
        self.viewport().setObjectName("clear")
        self.setWidgetResizable(True)
        self.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFixedWidth(SIDE_WIDTH_PX)

    def make_room(self) -> None:
        """Call it when numbers may have become longer."""
        wanted = self._cards.minimumSizeHint().width() + self.verticalScrollBar().sizeHint().width()
        if wanted > self.width():
            self.setFixedWidth(wanted)


def _frame(content: QtWidgets.QWidget) -> QtWidgets.QFrame:
    frame = QtWidgets.QFrame()
    frame.setObjectName("card")
    layout = QtWidgets.QVBoxLayout(frame)
    layout.setContentsMargins(1, 1, 1, 1)
    layout.addWidget(content)
    return frame

"""The cards beside the chart: position, explain and statistics. Each is told the newest state and shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import groupby

from PySide6 import QtCore, QtGui, QtWidgets

from engine.telemetry_wire import AccountView, FeatureView, PositionView, Snapshot, SymbolView
from gui import words

Qt = QtCore.Qt


def label(kind: str, text: str = "", right: bool = False) -> QtWidgets.QLabel:
    """Return a plain-text label styled by its object name."""
    made = QtWidgets.QLabel(text)
    made.setObjectName(kind)
    made.setTextFormat(Qt.TextFormat.PlainText)  # names come from outside; none of them is markup
    if right:
        made.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return made


def yielding(made: QtWidgets.QLabel) -> QtWidgets.QLabel:
    """Let a label with words from outside be cut, rather than push its neighbours out of the window."""
    made.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Preferred)
    return made


class Elided(QtWidgets.QLabel):
    """A line of text that ends in … where the window is too narrow for it; all of it is in its tip."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)

    def minimumSizeHint(self) -> QtCore.QSize:
        """Give way to what must be whole."""
        return QtCore.QSize(self.fontMetrics().horizontalAdvance("…"), super().minimumSizeHint().height())

    def setText(self, text: str) -> None:
        super().setText(text)
        self.setToolTip(f"<span>{escape(text)}</span>")  # a name comes from outside; none is markup

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtWidgets.QStylePainter(self)
        shown = self.fontMetrics().elidedText(
            self.text(), QtCore.Qt.TextElideMode.ElideRight, self.contentsRect().width()
        )
        role = self.foregroundRole()
        self.style().drawItemText(
            painter, self.contentsRect(), int(self.alignment()), self.palette(), self.isEnabled(), shown, role
        )


def set_tone(widget: QtWidgets.QWidget, tone: str) -> None:
    """Give a label one of the style sheet's tones: up, down, amber, danger, muted or ""."""
    if widget.property("tone") != tone:
        widget.setProperty("tone", tone)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def tone_of(amount: float) -> str:
    """Return the tone of an amount of money."""
    return "up" if amount > 0 else "down" if amount < 0 else ""


class Card(QtWidgets.QFrame):
    """A titled box. Content goes into :attr:`body`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setAccessibleName(words.CARDS[name])
        self.head = QtWidgets.QHBoxLayout()
        self.head.addWidget(label("title", words.CARDS[name]))
        self.head.addStretch(1)
        self.body = QtWidgets.QVBoxLayout(self)
        self.body.setContentsMargins(10, 8, 10, 9)
        self.body.setSpacing(6)
        self.body.addLayout(self.head)


class PositionCard(Card):
    """The open position with its protective levels and the time left."""

    def __init__(self) -> None:
        super().__init__("position")
        self.side, self.pnl = label("big"), label("big", right=True)
        top = QtWidgets.QHBoxLayout()
        top.addWidget(self.side)
        top.addStretch(1)
        top.addWidget(self.pnl)
        self.body.addLayout(top)
        grid = QtWidgets.QGridLayout()
        grid.setHorizontalSpacing(10)
        self._values: dict[str, QtWidgets.QLabel] = {}
        for column, name in enumerate(("entry", "stop", "target")):
            self._values[name] = label("value")
            grid.addWidget(label("name", words.LEVELS[name].title()), 0, column)
            grid.addWidget(self._values[name], 1, column)
            grid.setColumnStretch(column, 1)
        self.body.addLayout(grid)
        self._bar = QtWidgets.QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setRange(0, 1000)
        self._left = label("muted")
        self.body.addWidget(self._bar)
        self.body.addWidget(self._left)

    def show_position(self, view: SymbolView, now_ns: int) -> None:
        """Show the position of ``view``; a flat instrument keeps the card's height, so nothing jumps."""
        position = view.position
        if position is None:
            self.side.setText(words.NO_POSITION)
            set_tone(self.side, "muted")
            self.pnl.setText("")
            for value in self._values.values():
                value.setText(words.NOTHING)
            self._bar.setValue(0)
            self._left.setText(" ")
            return
        word = words.POSITION.get(position.side, position.side)
        self.side.setText(f"{word} {words.quantity(position.qty)}")
        set_tone(self.side, "up" if position.side == "long" else "down")
        self.pnl.setText(words.money(position.open_pnl))
        set_tone(self.pnl, tone_of(position.open_pnl))
        prices = (position.entry_price, position.stop_price, position.target_price)
        for value, price in zip(self._values.values(), prices, strict=True):
            value.setText(words.price(price, view.price_precision))
        self._show_time_left(position, now_ns)

    def _show_time_left(self, position: PositionView, now_ns: int) -> None:
        if not position.deadline_ts_ns:
            self._bar.setValue(0)
            self._left.setText(" ")
            return
        whole = max(position.deadline_ts_ns - position.entry_ts_ns, 1)
        left = max(position.deadline_ts_ns - now_ns, 0)
        self._bar.setValue(min(left * 1000 // whole, 1000))
        self._left.setText(words.TIME_STOP.format(left=words.duration(left)))


class ExplainCard(Card):
    """Why the strategy does, or does not, trade at this moment: each condition against its threshold."""

    def __init__(self) -> None:
        super().__init__("explain")
        self.summary = yielding(label("muted", right=True))
        self.head.addWidget(self.summary, 100)
        self._grid = QtWidgets.QGridLayout()
        self._grid.setHorizontalSpacing(10)
        self._grid.setVerticalSpacing(5)
        self._grid.setColumnStretch(1, 1)
        self.body.addLayout(self._grid)
        self._rows: list[tuple[QtWidgets.QLabel, ...]] = []
        self.notes = label("muted")
        self.notes.setWordWrap(True)
        self.body.addWidget(self.notes)
        self.body.addStretch(1)

    def show_conditions(self, view: SymbolView, snapshot: Snapshot) -> None:
        """Show the conditions of ``view``, each strategy's under its name, and what risk had to say."""
        if not view.features:
            self.summary.setText(words.NO_CONDITIONS)
        elif not view.warm:
            self.summary.setText(words.WARMING)
        else:  # of several strategies each says its own
            self.summary.setText("" if view.features[0].strategy else _how_many(view.features))
        set_tone(self.summary, "amber" if view.features and not view.warm else "")
        lines: list[FeatureView | list[FeatureView]] = []
        for strategy, group in groupby(view.features, key=lambda feature: feature.strategy):
            own = list(group)
            lines += [own, *own] if strategy else own
        while len(self._rows) < len(lines):
            self._add_row()
        for index, row in enumerate(self._rows):
            shown = index < len(lines)
            for cell in row:
                cell.setVisible(shown)
            if shown:
                line = lines[index]
                if isinstance(line, list):
                    self._head(row, line, view.warm)
                else:
                    self._fill(row, line, view.price_precision)
        self._show_notes(snapshot)

    def _head(self, row: tuple[QtWidgets.QLabel, ...], features: list[FeatureView], warm: bool) -> None:
        mark, name, value, bound = row
        mark.setText("")
        name.setText(features[0].strategy)
        set_tone(name, "muted")
        value.setText("")
        bound.setText(_how_many(features) if warm else "")

    def _fill(self, row: tuple[QtWidgets.QLabel, ...], feature: FeatureView, precision: int) -> None:
        mark, name, value, bound = row
        known = math.isfinite(feature.value)
        mark.setText((words.PASSED if feature.passed else words.FAILED) if known else words.UNKNOWN)
        set_tone(mark, "good" if feature.passed and known else "muted")
        sign = words.OPERATORS.get(feature.op, feature.op)
        side = f"{words.POSITION[feature.side][0]} " if feature.side in words.POSITION else ""
        name.setText(f"{side}{feature.name}{f' {sign} {feature.against}' if feature.against else ''}")
        set_tone(name, "")
        value.setText(words.measure(feature.value, feature.unit, precision))
        set_tone(value, "" if feature.passed else "muted")
        threshold = words.measure(feature.threshold, feature.unit, precision)
        bound.setText("" if feature.unit == words.TRUTH else f"{sign} {threshold}")

    def _add_row(self) -> None:
        cells = label("value"), Elided("value"), label("value", right=True), label("muted", right=True)
        cells[0].setFixedWidth(16)
        for column, cell in enumerate(cells):
            self._grid.addWidget(cell, len(self._rows), column)
        self._rows.append(cells)

    def _show_notes(self, snapshot: Snapshot) -> None:
        notes = [words.PROBLEM.format(problem=snapshot.problem)] if snapshot.problem else []
        if snapshot.account.halted:
            notes.append(words.HALTED.format(reason=snapshot.account.halted))
        if snapshot.refusals:
            reasons = ", ".join(f"{reason} {count}" for reason, count in snapshot.refusals.items())
            notes.append(words.REFUSED.format(reasons=reasons))
        if snapshot.skipped_signals:
            notes.append(words.SKIPPED.format(count=snapshot.skipped_signals))
        self.notes.setText("\n".join(notes))
        self.notes.setVisible(bool(notes))
        set_tone(self.notes, "amber" if snapshot.account.halted else "muted")


def _how_many(features: Sequence[FeatureView]) -> str:
    """How many conditions hold; not of two sides, which never hold together."""
    if any(feature.side for feature in features):
        return ""
    return words.CONDITIONS.format(passed=sum(feature.passed for feature in features), total=len(features))


class StatisticsCard(Card):
    """Results so far, costs apart."""

    def __init__(self) -> None:
        super().__init__("statistics")
        self.net = label("value", right=True)
        self.head.addWidget(self.net)
        grid = QtWidgets.QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(5)
        grid.setColumnMinimumWidth(2, 6)
        self.values: dict[str, QtWidgets.QLabel] = {}
        for index, (key, text) in enumerate(words.STATISTICS):
            row, column = index // 2, index % 2 * 3
            self.values[key] = label("value", right=True)
            grid.addWidget(label("name", text), row, column)
            grid.addWidget(self.values[key], row, column + 1)
        grid.setColumnStretch(1, 1)
        grid.setColumnStretch(4, 1)
        self.body.addLayout(grid)

    def show_account(self, account: AccountView, view: SymbolView) -> None:
        """Show the account, and price and position of the selected instrument."""
        fees = account.fees + account.borrow_cost
        costs = account.spread_cost + account.slippage_cost + fees
        self.net.setText(words.NET.format(net=words.money(account.gross - costs)))
        set_tone(self.net, tone_of(account.gross - costs))
        side = view.position.side if view.position is not None else ""
        texts = {
            "price": words.price(view.price, view.price_precision),
            "position": words.POSITION.get(side, words.NONE),
            "trades": f"{words.count(account.trades)} ({account.wins} / {account.losses})",
            "win_rate": words.percent(account.win_rate),
            "daily": words.money(account.daily_pnl),
            "total": words.money(account.total_pnl),
            "drawdown": words.money(account.max_drawdown, sign=False),
            "equity": words.money(account.equity, sign=False),
            "gross": words.money(account.gross),
            "spread": words.money(account.spread_cost, sign=False),
            "slippage": words.money(account.slippage_cost, sign=False),
            "fees": words.money(fees, sign=False),
        }
        for key, text in texts.items():
            self.values[key].setText(text)
        for key, amount in (("daily", account.daily_pnl), ("total", account.total_pnl), ("gross", account.gross)):
            set_tone(self.values[key], tone_of(amount))
        set_tone(self.values["position"], {"long": "up", "short": "down"}.get(side, ""))

"""The card of risk: in which state the account is and why, and how much of each limit is used."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from engine.telemetry_wire import AccountView, GaugeView
from gui import words
from gui.panels import Card, label, set_tone, yielding

Qt = QtCore.Qt
STEPS = 1000
BAR_PX = 64
STATE_TONES = {"active": "good", "reducing": "amber", "halted": "danger"}
URGENT = ("", "amber", "danger")
"""The tone of a bar and its number, by the urgency of the limit."""


class Gauge:
    """One limit in a row of the grid: name, bar, what is used of what may be."""

    def __init__(self, grid: QtWidgets.QGridLayout, row: int) -> None:
        self.name, self.number = yielding(label("name")), label("value", right=True)
        self.bar = QtWidgets.QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, STEPS)
        self.bar.setFixedWidth(BAR_PX)
        self.widgets = self.name, self.bar, self.number
        for column, widget in enumerate(self.widgets):
            grid.addWidget(widget, row, column)

    def show(self, view: GaugeView) -> None:
        """Show a limit; what is beyond its bound fills the bar."""
        text = words.gauge(view)
        self.name.setText(words.limit_name(view.name))
        self.name.setToolTip(view.name)
        self.number.setText(text)
        self.bar.setValue(round(min(max(view.share, 0.0), 1.0) * STEPS))
        self.bar.setAccessibleName(f"{words.limit_name(view.name)}: {text}")
        for widget in (self.bar, self.number):
            set_tone(widget, URGENT[view.urgency])
        for widget in self.widgets:
            widget.setVisible(True)

    def hide(self) -> None:
        """There is no limit for the row."""
        for widget in self.widgets:
            widget.setVisible(False)


class RiskCard(Card):
    """State, reason, and one gauge for each limit that is on."""

    def __init__(self) -> None:
        super().__init__("risk")
        self.state = label("value", right=True)
        self.head.addWidget(self.state)
        self.reason = label("muted")
        self.reason.setWordWrap(True)
        self.body.addWidget(self.reason)
        self._grid = QtWidgets.QGridLayout()
        self._grid.setHorizontalSpacing(10)
        self._grid.setVerticalSpacing(5)
        self._grid.setColumnStretch(0, 1)
        self.body.addLayout(self._grid)
        self.gauges: list[Gauge] = []

    def show_risk(self, account: AccountView) -> None:
        """Show the state of an account and its limits."""
        icon, word = words.STATES.get(account.state, ("", account.state))
        self.state.setText(f"{icon} {word}")
        set_tone(self.state, STATE_TONES.get(account.state, ""))
        self.reason.setText(words.state_reason(account.state, account.halted))
        self.reason.setVisible(bool(self.reason.text()))
        set_tone(self.reason, "" if account.state == "active" else STATE_TONES.get(account.state, ""))
        while len(self.gauges) < len(account.gauges):
            self.gauges.append(Gauge(self._grid, len(self.gauges)))
        for gauge, view in zip(self.gauges, account.gauges, strict=False):
            gauge.show(view)
        for gauge in self.gauges[len(account.gauges) :]:
            gauge.hide()

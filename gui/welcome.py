"""The first page when there is nothing to watch: start a demo, or choose one of the running engines."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from engine.telemetry_wire import Endpoint
from gui import words
from gui.panels import label, set_tone

Qt = QtCore.Qt


class WelcomePage(QtWidgets.QWidget):
    """A card in the middle of the window."""

    demo_clicked = QtCore.Signal()
    engine_chosen = QtCore.Signal(object)  # Endpoint

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("page")
        self._engines: list[Endpoint] = []
        title, text, code = label("big", words.WELCOME_TITLE), label("muted", words.WELCOME_TEXT), label("code")
        self.title = title
        code.setText(words.WELCOME_TERMINAL)
        code.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        text.setWordWrap(True)
        self.problem = label("banner")
        self.problem.setWordWrap(True)
        self.problem.hide()
        self.notice = label("muted")
        self.notice.setWordWrap(True)
        self.demo = QtWidgets.QPushButton(words.START_DEMO)
        self.demo.setObjectName("primary")
        self.demo.clicked.connect(self.demo_clicked)
        self.connect_button = QtWidgets.QPushButton(words.CONNECT)
        self.connect_button.setObjectName("secondary")
        self.connect_button.clicked.connect(self._choose)
        self.engines = QtWidgets.QComboBox()
        self.engines.setAccessibleName(words.CHOOSE_ENGINE)
        buttons = QtWidgets.QHBoxLayout()
        buttons.setSpacing(10)
        for widget in (self.demo, self.connect_button, self.engines):
            buttons.addWidget(widget)
        buttons.addStretch(1)
        card = QtWidgets.QFrame()
        card.setObjectName("card")
        card.setFixedWidth(560)
        inside = QtWidgets.QVBoxLayout(card)
        inside.setContentsMargins(32, 28, 32, 28)
        inside.setSpacing(14)
        for line in (title, text, code, self.problem):
            inside.addWidget(line)
        inside.addLayout(buttons)
        inside.addWidget(self.notice)
        middle = QtWidgets.QHBoxLayout()
        middle.addStretch(1)
        middle.addWidget(card)
        middle.addStretch(1)
        outside = QtWidgets.QVBoxLayout(self)
        outside.addStretch(2)
        outside.addLayout(middle)
        outside.addStretch(3)
        self.show_engines([])

    def show_engines(self, engines: list[Endpoint]) -> None:
        """List the engines that can be watched, newest first."""
        if engines == self._engines and self.notice.text():
            return
        self._engines = engines
        self.engines.clear()
        self.engines.addItems([f"{one.mode} · {one.session_id} · process {one.pid}" for one in engines])
        self.engines.setVisible(bool(engines))
        self.connect_button.setEnabled(bool(engines))
        self.notice.setText(words.FOUND.format(count=len(engines)) if engines else words.NOTHING_FOUND)
        self.title.setText(words.WELCOME_CHOOSE if engines else words.WELCOME_TITLE)

    def show_starting(self) -> None:
        """Say that the demo's engine is on its way."""
        self.problem.hide()
        self.demo.setEnabled(False)
        self.notice.setText(words.STARTING_DEMO)
        self.title.setText(words.START_DEMO)

    def show_problem(self, text: str) -> None:
        """Say what went wrong; the buttons are ready for another try."""
        self.demo.setEnabled(True)
        self.problem.setText(text)
        self.problem.setVisible(bool(text))
        set_tone(self.problem, "")
        self._engines = []
        self.notice.setText("")

    def _choose(self) -> None:
        index = self.engines.currentIndex()
        if 0 <= index < len(self._engines):
            self.engine_chosen.emit(self._engines[index])

"""The line above the session that says it is over, or that its engine is gone, and offers the ways on."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from gui import words
from gui.panels import label


class Banner(QtWidgets.QWidget):
    """Hidden until there is something to say."""

    demo_clicked = QtCore.Signal()
    choose_clicked = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__()
        self.message = label("banner")
        self.message.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Preferred)
        self.message.setWordWrap(True)
        self.demo = QtWidgets.QPushButton(words.START_DEMO)
        self.choose = QtWidgets.QPushButton()
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(8, 0, 8, 8)
        layout.addWidget(self.message, 1)
        layout.addWidget(self.demo)
        layout.addWidget(self.choose)
        self.demo.clicked.connect(self.demo_clicked)
        self.choose.clicked.connect(self.choose_clicked)
        self.gone = False
        self.hide()

    def say(self, text: str, gone: bool = False) -> None:
        """Show ``text``; with ``gone`` also the ways to another engine, until :meth:`found`."""
        self.gone = gone
        self.message.setText(text)
        self.demo.setVisible(gone)
        self.choose.setText(words.CONNECT if gone else words.CHOOSE_ENGINE)
        self.show()

    def found(self) -> None:
        """Take back that the engine is gone; whatever else was said stays."""
        if self.gone:
            self.gone = False
            self.hide()

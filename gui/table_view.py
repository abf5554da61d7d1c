"""A table that cuts nothing: columns are as wide as what they show, or not there at all, and rows are whole."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from PySide6 import QtCore, QtGui, QtWidgets

Qt = QtCore.Qt
ROW_PX = 22
MARGIN_PX = 4


class FittedTable(QtWidgets.QTableView):
    """Where it is too narrow, the columns of ``drop`` leave in this order. They only ever grow, so nothing jumps."""

    def __init__(self, model: QtCore.QAbstractItemModel, drop: Sequence[int] = (), sortable: bool = False) -> None:
        super().__init__()
        self._drop = drop
        self._absent: frozenset[int] = frozenset()
        self._wanted: dict[int, int] = {}
        self.setModel(model)
        self.setShowGrid(False)
        self.setAlternatingRowColors(True)
        self.setWordWrap(False)
        self.verticalHeader().setDefaultSectionSize(ROW_PX)
        self.verticalHeader().hide()
        self.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QtWidgets.QAbstractItemView.ScrollMode.ScrollPerItem)
        self.setHorizontalScrollMode(QtWidgets.QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setIconSize(QtCore.QSize(15, 15))
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(24)
        header.setDefaultSectionSize(24)
        header.setResizeContentsPrecision(20)  # rows that are measured, from the first visible one
        header.setSectionResizeMode(QtWidgets.QHeaderView.ResizeMode.Interactive)
        self.setSortingEnabled(sortable)
        if sortable:
            header.setSortIndicatorClearable(True)
            self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)  # newest first, until a header is clicked

    def measure(self, absent: Collection[int] = ()) -> None:
        """Look again how wide columns must be; those that are ``absent`` have nothing to say and are left out."""
        self._absent = frozenset(absent)
        header = self.horizontalHeader()
        for column in range(self.model().columnCount()):
            self.setColumnHidden(column, column in self._absent)  # what is hidden has no size
            if column not in self._absent:
                wanted = max(self.sizeHintForColumn(column) + MARGIN_PX, header.sectionSizeHint(column))
                self._wanted[column] = max(wanted, self._wanted.get(column, 0))
        self._fit()

    def _fit(self) -> None:
        """Leave out what has no room, and share out the room that is left."""
        shown = [column for column in self._wanted if column not in self._absent]
        room = self.viewport().width()
        for column in self._drop:
            if column in shown and sum(self._wanted[one] for one in shown) > room:
                shown.remove(column)
        spare = max(room - sum(self._wanted[one] for one in shown), 0) // max(len(shown), 1)
        for column in self._wanted:
            self.setColumnHidden(column, column not in shown)
            if column in shown:
                self.horizontalHeader().resizeSection(column, self._wanted[column] + spare)

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        """Fit the columns to the new width."""
        super().resizeEvent(event)
        self._fit()


class WholeRows(QtWidgets.QWidget):
    """Holds a table at a height of whole rows: half a row at the bottom would be half a number."""

    def __init__(self, table: FittedTable) -> None:
        super().__init__()
        self._table = table
        table.setParent(self)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Expanding)

    def minimumSizeHint(self) -> QtCore.QSize:
        """Room for the header and two rows."""
        return QtCore.QSize(80, self._above() + 2 * ROW_PX)

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        """Give the table as many whole rows as there is room for."""
        rows = max(self.height() - self._above(), 0) // ROW_PX
        self._table.setGeometry(0, 0, self.width(), self._above() + rows * ROW_PX)

    def _above(self) -> int:
        return self._table.horizontalHeader().sizeHint().height() + 2 * self._table.frameWidth()

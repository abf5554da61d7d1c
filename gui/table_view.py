"""A table that cuts nothing: columns are as wide as what they show, or not there at all, and rows are whole."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from PySide6 import QtCore, QtGui, QtWidgets

Qt = QtCore.Qt
ROW_PX = 22
MARGIN_PX = 4
NAME_PX = 90  # of a long name, at least


class FittedTable(QtWidgets.QTableView):
    """Columns only ever grow, so nothing jumps.

    Args:
        model: what is shown.
        names: columns of names from outside; a long one is shown with … in it rather than that a number has no room.
        drop: columns that leave where it is still too narrow, group by group in this order.
        sortable: whether a click on a header sorts.
    """

    def __init__(
        self,
        model: QtCore.QAbstractItemModel,
        names: Collection[int],
        drop: Sequence[Collection[int]] = (),
        sortable: bool = False,
    ) -> None:
        super().__init__()
        self._names, self._drop = names, drop
        self._absent: frozenset[int] = frozenset()
        self._wanted: dict[int, int] = {}
        self.setModel(model)
        self.setShowGrid(False)
        self.setAlternatingRowColors(True)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # names of one kind often differ in their ends
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

    def narrowest(self) -> int:
        """How wide it must be to show every column."""
        return sum(self._least(column) for column in self._wanted) + self.verticalScrollBar().sizeHint().width()

    def _least(self, column: int) -> int:
        """How wide a column must be, at least."""
        return min(self._wanted[column], NAME_PX) if column in self._names else self._wanted[column]

    def _fit(self) -> None:
        """Leave out what has no room, show names as far as there is some, and share out what is left of it."""
        shown = [column for column in self._wanted if column not in self._absent]
        spare = self.viewport().width() - sum(map(self._least, shown))
        for group in self._drop:
            if spare < 0:
                spare += sum(self._least(column) for column in shown if column in group)
                shown = [column for column in shown if column not in group]
        spare = max(spare, 0)
        widths = {}
        for column in shown:
            widths[column] = min(self._wanted[column], self._least(column) + spare)
            spare -= widths[column] - self._least(column)
        for column in self._wanted:
            self.setColumnHidden(column, column not in widths)
            if column in widths:
                self.horizontalHeader().resizeSection(column, widths[column] + spare // len(widths))

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

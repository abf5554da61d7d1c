"""Exponential averages to fifty digits, and the core's own at the same ticks."""

from __future__ import annotations

from decimal import Context, Decimal

import numpy as np
from numpy.typing import NDArray

from engine import _core
from engine.graph.algebra import Real
from engine.graph.compiler import Compiler
from engine.language.grammar import Expr
from engine.model import Instrument

DIGITS = Context(prec=50)


class ReferenceAverage:
    """The definition, fed price by price: the mean of the first ``length`` values, then ``part`` of the distance."""

    def __init__(self, length: int, part: Decimal) -> None:
        self._length, self._part, self._seen = length, part, 0
        self.value = Decimal(0)

    def add(self, prices: NDArray[np.int64]) -> Decimal:
        """Go through these prices, in ticks; returns the average."""
        for price in map(Decimal, prices.tolist()):
            self._seen += 1
            if self._seen <= self._length:
                step = DIGITS.divide(DIGITS.subtract(price, self.value), Decimal(self._seen))
            else:
                step = DIGITS.multiply(self._part, DIGITS.subtract(price, self.value))
            self.value = DIGITS.add(self.value, step)
        return self.value


class CoreAverage:
    """The same expression in the core."""

    def __init__(self, expression: Expr) -> None:
        compiler = Compiler(Instrument("AVERAGE"))
        value = compiler.value(expression, {})
        assert isinstance(value, Real)
        self._column = value.column
        self._core = _core.Core([compiler.program])
        self._ticks = 0

    def add(self, prices: NDArray[np.int64]) -> float:
        """Go through these prices, in ticks; returns the average."""
        ts_ns = np.arange(self._ticks, self._ticks + len(prices)) * 1_000_000
        self._ticks += len(prices)
        self._core.load(ts_ns, prices, np.ones(len(prices), np.int64))
        assert self._core.advance() == _core.NONE
        found = self._core.value(0, self._column)
        assert found is not None
        return float(found)


def worst_error(expression: Expr, reference: ReferenceAverage, ticks: int, chunk: int) -> float:
    """The largest relative difference at the end of each chunk of a walk of ``ticks`` prices."""
    rng = np.random.default_rng(50)
    core, price, worst = CoreAverage(expression), 1_000_000, 0.0
    for _ in range(0, ticks, chunk):
        prices = price + np.cumsum(rng.integers(-40, 41, chunk))
        price = int(prices[-1]) if 500_000 < prices[-1] < 2_000_000 else 1_000_000  # a jump, now and then
        exact, found = reference.add(prices), core.add(prices)
        worst = max(worst, abs(float((Decimal(found) - exact) / exact)))
    return worst

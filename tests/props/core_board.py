"""A program with every kind of column over any windows, and beside each column what it must be by definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isclose, isnan, sqrt
from typing import Any

from engine import _core, _program
from tests.oracle import features
from tests.oracle.features import Market, Trade, holds, polynomial

Window = tuple[str, int]  # "time" and nanoseconds, or "count" and trades
OPS = tuple(_program.COMPARISONS)
Terms = list[tuple[int, tuple[str, ...]]]

WINDOWED: dict[str, Callable[[list[Trade]], int]] = {
    "first_price": lambda window: window[0].price,
    "count": len,
    "sum_size": features.sum_size,
    "sum_price": features.sum_price,
    "sum_price_size": features.sum_price_size,
    "sum_price_squared": features.sum_price_squared,
    "highest": features.highest,
    "lowest": features.lowest,
}


@dataclass
class Board:
    """The program, its columns by name, and the definitions."""

    program: _program.Program
    windows: list[Window]
    max_window: int
    columns: dict[str, int]
    conditions: dict[str, tuple[Terms, str]]  # name -> polynomial and comparison with zero
    quotients: dict[str, tuple[Terms, Terms]]

    def read(self, core: _core.Core, instrument: int) -> dict[str, Any]:
        """Every column as of the core's present event."""
        return {name: core.value(instrument, column) for name, column in self.columns.items()}

    def window(self, window: Window, market: Market, at: int = -1) -> list[Trade]:
        """The window by definition, cut to what the program admits."""
        kind, length = window
        trades = market.time_window(length, at) if kind == "time" else market.count_window(length, at)
        return trades[-self.max_window :]

    def is_cut(self, market: Market, at: int = -1) -> int:
        """How many windows hold less at this trade than they ask for."""
        return sum(
            kind == "time" and len(market.time_window(length, at)) > self.max_window for kind, length in self.windows
        )

    def expected(self, market: Market, at: int = -1) -> dict[str, Any]:
        """Every column by definition."""
        now = market.trades[at]
        values: dict[str, Any] = {"price": now.price, "size": now.size, "bid": now.bid, "ask": now.ask}
        for index, window in enumerate(self.windows):
            trades = self.window(window, market, at)
            values |= {f"{name}{index}": function(trades) for name, function in WINDOWED.items()}
        session = market.session(at)
        values["session_size"] = features.sum_size(session)
        values["session_price_size"] = features.sum_price_size(session)
        reference = session[0].price
        values["session_dev"] = sum((trade.price - reference) * trade.size for trade in session)
        values["session_dev_squared"] = sum((trade.price - reference) ** 2 * trade.size for trade in session)
        for name, (terms, op) in self.conditions.items():
            values[name] = holds(polynomial(terms, values), op, 0)
        for name, (top, bottom) in self.quotients.items():
            a, b = polynomial(top, values), polynomial(bottom, values)
            values[name] = float(a) / float(b) if b else float("nan")
        values["session_sd"] = features.square_root(features.vwap_variance(session))
        float_columns(values, now.price, now.size)
        return values


def float_columns(values: dict[str, Any], price: int, size: int) -> None:
    """The columns of doubles: x is the price and y the size less five, which may be negative, and zero."""
    x, y = float(price), float(size - 5)
    values |= {"x": x, "y": y, "x+y": x + y, "x-y": x - y, "x*y": x * y}
    values["x/y"] = x / y if y else float("nan")
    values["sqrt y"] = sqrt(y) if y >= 0 else float("nan")
    for op in OPS:
        values[f"x/y {op} sqrt y"] = holds(values["x/y"], op, values["sqrt y"])
    for op in OPS:
        values[f"y {op} y"] = holds(y, op, y)
    a, b = y > 0, y >= 0 or x < 2
    values |= {"all": a and b, "any": a or b, "not": not a}
    values |= {"state": 1 if a else 2 if b else 0, "long only": 1 if a else 0, "short only": 2 if b else 0}


def make_board(windows: list[Window], max_window: int = 1000) -> Board:
    """Every column there is, over these windows in this order."""
    program = _program.Program(max_window)
    columns = {
        "price": _program.PRICE_COLUMN,
        "size": _program.SIZE_COLUMN,
        "bid": _program.BID_COLUMN,
        "ask": _program.ASK_COLUMN,
    }
    board = Board(program, windows, max_window, columns, {}, {})
    tails = [getattr(program, f"window_{kind}")(length) for kind, length in windows]
    for index, tail in enumerate(tails):
        for name in WINDOWED:
            if name not in ("highest", "lowest"):
                columns[f"{name}{index}"] = getattr(program, name)(tail)
        columns[f"highest{index}"], columns[f"lowest{index}"] = program.extremes(tail)
    names = ("session_size", "session_price_size", "session_dev", "session_dev_squared")
    columns |= dict(zip(names, program.session(), strict=True))
    columns["session_sd"] = program.session_sd(columns["session_size"])

    def resolve(terms: Terms) -> list[tuple[int, tuple[int, ...]]]:
        return [(coefficient, tuple(columns[factor] for factor in factors)) for coefficient, factors in terms]

    for name, (terms, narrow) in polynomials(len(windows)).items():
        for op in OPS:
            columns[f"{name} {op} 0"] = program.compare(resolve(terms), _program.COMPARISONS[op], narrow)
            board.conditions[f"{name} {op} 0"] = (terms, op)
    for name, (top, bottom) in quotients(len(windows)).items():
        columns[name] = program.ratio(resolve(top), resolve(bottom))
        board.quotients[name] = (top, bottom)
    add_float_columns(program, columns)
    return board


def add_float_columns(program: _program.Program, columns: dict[str, int]) -> None:
    x = columns["x"] = program.ratio([(1, (columns["price"],))], [(1, ())])
    five = program.float_const(5.0)
    size = program.ratio([(1, (columns["size"],))], [(1, ())])
    y = columns["y"] = program.float_op("-", size, five)
    for op in "+-*/":
        columns[f"x{op}y"] = program.float_op(op, x, y)
    columns["sqrt y"] = program.float_op("sqrt", y)
    for op in OPS:
        columns[f"x/y {op} sqrt y"] = program.float_compare(columns["x/y"], columns["sqrt y"], _program.COMPARISONS[op])
        columns[f"y {op} y"] = program.float_compare(y, y, _program.COMPARISONS[op])
    zero, two = program.float_const(0.0), program.float_const(2.0)
    a = program.float_compare(y, zero, _program.COMPARISONS[">"])
    b = program.float_compare(y, zero, _program.COMPARISONS[">="])
    b = program.any_of(b, program.float_compare(x, two, _program.COMPARISONS["<"]))
    columns["all"], columns["any"] = program.all_of(a, b), program.any_of(a, b)
    columns["not"] = program.negation(a)
    columns["state"] = program.state(a, b)
    columns["long only"], columns["short only"] = program.state(a, -1), program.state(-1, b)


def polynomials(windows: int) -> dict[str, tuple[Terms, bool]]:
    """Polynomials of every shape that the core tells apart, with whether 63 bits hold them."""
    big = (1 << 62) - 1
    found: dict[str, tuple[Terms, bool]] = {
        "nothing": ([], False),
        "nothing, narrow": ([], True),
        "narrow, one": ([(-3, ("bid",))], True),
        "narrow, two": ([(1, ("price",)), (-1, ("ask",))], True),
        "narrow, three": ([(2, ("price",)), (-1, ("bid",)), (-1, ("ask",))], True),
        "narrow, four": ([(2, ("price",)), (-1, ("bid",)), (-1, ("ask",)), (-1, ("size",))], True),
        "linear, one": ([(-big, ("ask",))], False),
        "linear, two": ([(big, ("price",)), (-big, ("size",))], False),
        "linear, three": ([(big, ("price",)), (-big, ("size",)), (5, ("bid",))], False),
        "constant": ([(1, ("price",)), (-1000, ())], False),
        "product": ([(1, ("price", "size")), (-1, ("bid", "ask"))], False),
        "wide": ([(1, ("session_price_size",)), (-1, ("session_size", "price"))], False),
    }
    for i in range(windows):
        found |= {
            f"narrow return {i}": ([(2000, ("price",)), (-2001, (f"first_price{i}",))], True),
            f"linear volume {i}": ([(10**9, ("size",)), (-(10**9) // 2, (f"sum_size{i}",))], False),
            f"variance {i}": (
                [(1, (f"sum_price_squared{i}", f"count{i}")), (-1, (f"sum_price{i}", f"sum_price{i}"))],
                False,
            ),
            f"vwap {i}": ([(1, (f"sum_price_size{i}",)), (-1, ("price", f"sum_size{i}"))], False),
            f"range {i}": ([(1000, (f"highest{i}",)), (-1000, (f"lowest{i}",)), (-1, ("price",))], True),
        }
    return found


def quotients(windows: int) -> dict[str, tuple[Terms, Terms]]:
    """Quotients of every kind, some of them undefined at times."""
    found: dict[str, tuple[Terms, Terms]] = {
        "session vwap": ([(1, ("session_price_size",))], [(1, ("session_size",))]),
        "spread": ([(1, ("ask",)), (-1, ("bid",))], [(1, ("bid",))]),
        "zero": ([], [(1, ("price",))]),
        "undefined": ([(1, ("price",))], []),
    }
    for i in range(windows):
        found[f"vwap{i}"] = ([(1, (f"sum_price_size{i}",))], [(1, (f"sum_size{i}",))])
        found[f"change{i}"] = ([(1, ("price",)), (-1, (f"first_price{i}",))], [(1, (f"first_price{i}",))])
    return found


def differences(actual: dict[str, Any], expected: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Columns that differ: doubles of a deviation beyond one part in 10**12, everything else at all."""
    found = {}
    for name, value in actual.items():
        wanted = expected[name]
        same = value == wanted or (isinstance(wanted, float) and isnan(wanted) and isnan(value))
        if name == "session_sd":
            same = same or isclose(value, wanted, rel_tol=1e-12)
        if not same:
            found[name] = (value, wanted)
    return found

"""Types of the compiled CSV scanner and formatter."""

from typing import final

import numpy as np
from numpy.typing import NDArray

FIELDS: tuple[str, ...]
MORE: int
FULL: int
BAD_ROW: int
NEW_SYMBOL: int
FINER: int
MAX_PRECISION: int
MAX_SYMBOLS: int
ISO: int

def reason_name(field: int, code: int) -> str: ...

@final
class Scanner:
    @property
    def consumed(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def line(self) -> int: ...
    @property
    def other_rows(self) -> int: ...
    @property
    def late(self) -> int: ...
    @property
    def empty_bars(self) -> int: ...
    @property
    def field(self) -> int: ...
    @property
    def code(self) -> int: ...
    @property
    def column(self) -> int: ...
    @property
    def zones(self) -> int: ...
    @property
    def instrument(self) -> int: ...
    @property
    def price_precision(self) -> int: ...
    @property
    def size_precision(self) -> int: ...
    @property
    def text(self) -> bytes: ...
    @property
    def symbols(self) -> list[bytes]: ...
    def __init__(self, columns: list[int], unit: int, earliest_ns: int, line: int) -> None: ...
    def fix_precision(self, price: int | None, size: int | None) -> None: ...
    def set_precision(self, output: int, price: int, size: int) -> None: ...
    def add_symbol(self, symbol: bytes, output: int) -> None: ...
    def scan(
        self,
        chunk: bytes | bytearray | memoryview,
        start: int,
        stop: int,
        final: bool,
        row: int,
        ts_ns: NDArray[np.int64],
        price: NDArray[np.int64],
        size: NDArray[np.int64],
        bid: NDArray[np.int64] | None = None,
        ask: NDArray[np.int64] | None = None,
        bid_size: NDArray[np.int64] | None = None,
        ask_size: NDArray[np.int64] | None = None,
        instrument: NDArray[np.uint16] | None = None,
        kind: NDArray[np.uint8] | None = None,
        open: NDArray[np.int64] | None = None,
        high: NDArray[np.int64] | None = None,
        low: NDArray[np.int64] | None = None,
        lines: NDArray[np.int64] | None = None,
    ) -> int: ...

def first_bad_row(
    start: int,
    ts_ns: NDArray[np.int64],
    price: NDArray[np.int64],
    size: NDArray[np.int64],
    bid: NDArray[np.int64] | None = None,
    ask: NDArray[np.int64] | None = None,
    bid_size: NDArray[np.int64] | None = None,
    ask_size: NDArray[np.int64] | None = None,
    kind: NDArray[np.uint8] | None = None,
    open: NDArray[np.int64] | None = None,
    high: NDArray[np.int64] | None = None,
    low: NDArray[np.int64] | None = None,
) -> tuple[int, int, int]: ...
def count_late(ts_ns: NDArray[np.int64]) -> int: ...
def format_rows(
    start: int,
    stop: int,
    suffixes: list[bytes],
    precisions: list[tuple[int, int]],
    ts_ns: NDArray[np.int64],
    price: NDArray[np.int64],
    size: NDArray[np.int64],
    bid: NDArray[np.int64] | None = None,
    ask: NDArray[np.int64] | None = None,
    bid_size: NDArray[np.int64] | None = None,
    ask_size: NDArray[np.int64] | None = None,
    instrument: NDArray[np.uint16] | None = None,
    kind: NDArray[np.uint8] | None = None,
) -> bytes: ...

"""Types of the compiled journal writer and scanner."""

from mmap import mmap
from typing import final

import numpy as np
from numpy.typing import NDArray

from engine.model import TickBlock

MAX_RECORD: int
HEADER_BYTES: int
TICKS: int
TICK: int
COLUMNS: tuple[str, ...]
MAX_ROWS: int

def crc32c(data: bytes | bytearray | memoryview, seed: int = 0, by_table: bool = False) -> int: ...

@final
class Writer:
    at: int
    limit: int
    sequence: int
    checksum: int
    def __init__(self, memory: bytearray | memoryview | mmap, at: int, sequence: int, checksum: int) -> None: ...
    def take(self, memory: bytearray | memoryview | mmap, at: int) -> None: ...
    def release(self) -> None: ...
    @property
    def left(self) -> int: ...
    def append(self, type: int, version: int, payload: bytes | bytearray | memoryview) -> bool: ...
    def end(self, type: int) -> None: ...
    def append_tick(
        self,
        instrument: int,
        ts_ns: int,
        price_ticks: int,
        size_lots: int,
        bid_ticks: int = 0,
        ask_ticks: int = 0,
    ) -> bool: ...
    def append_block(self, block: TickBlock, start: int, stop: int) -> bool: ...

def touch(memory: bytearray | memoryview | mmap) -> None: ...

@final
class Scanner:
    at: int
    sequence: int
    checksum: int
    type: int
    version: int
    rows: int
    problem: str
    def __init__(self, data: bytes | bytearray | memoryview, at: int, sequence: int, checksum: int) -> None: ...
    def step(self) -> bool: ...
    def join(self) -> tuple[dict[str, NDArray[np.int64]], int]: ...
    def empty_rest(self) -> bool: ...
    @property
    def payload(self) -> bytes: ...

def read_block(payload: bytes | memoryview, rows: int) -> dict[str, NDArray[np.int64]]: ...

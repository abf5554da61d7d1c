"""Where feature columns lie: memory that is used again once nobody looks at the columns before.

A column of two million rows takes 16 MB, and the operating system clears fresh memory page by page as it is first
written, which takes half as long as computing what is written. Whoever asks for columns asks again, so the memory of
the last ones is kept, up to ``Spare.MOST_BYTES``, and lent out when their last array is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

ALIGNED = 64  # a cache line


class Spare:
    """The one piece of memory that waits to be used again."""

    MOST_BYTES = 256 << 20

    def __init__(self) -> None:
        self._memory: NDArray[np.uint8] | None = None
        self._lock = Lock()

    def give(self, memory: NDArray[np.uint8]) -> None:
        """Keep the memory, unless it is too much; the latest is the likeliest to be of the size that is wanted."""
        if memory.nbytes <= self.MOST_BYTES:
            with self._lock:
                self._memory = memory

    def take(self, size: int) -> NDArray[np.uint8]:
        """Return ``size`` bytes or more: what is spare, if it is enough and not twice too much, else fresh memory."""
        with self._lock:
            memory, self._memory = self._memory, None
        if memory is not None and size <= memory.nbytes <= 2 * size:
            return memory
        return np.empty(size, np.uint8)


class Loan:
    """Memory on loan to the arrays that lie in it; it comes back when the last of them is gone."""

    def __init__(self, spare: Spare, size: int) -> None:
        self._spare, self._memory = spare, spare.take(size)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """By this NumPy makes an array of the memory that keeps the loan alive."""
        return self._memory.__array_interface__

    def __del__(self) -> None:  # also when the interpreter ends and this module's names are gone
        self._spare.give(self._memory)


_spare = Spare()


def lay_out(rows: int, kinds: Iterable[DTypeLike]) -> list[NDArray[Any]]:
    """Return an array of ``rows`` for each of ``kinds``, side by side in one piece of memory; no value is set."""
    dtypes = [np.dtype(kind) for kind in kinds]
    sizes = [-(-rows * dtype.itemsize // ALIGNED) * ALIGNED for dtype in dtypes]
    whole = np.asarray(Loan(_spare, sum(sizes)))
    ends = np.cumsum(sizes, dtype=np.int64).tolist()
    parts = (whole[end - size : end] for end, size in zip(ends, sizes, strict=True))
    return [part[: rows * dtype.itemsize].view(dtype) for part, dtype in zip(parts, dtypes, strict=True)]

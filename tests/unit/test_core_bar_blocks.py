"""A full block in which every trade closes a bar, and the first one also closes what a session has left open."""

from __future__ import annotations

import numpy as np
import pytest

from engine import _core, _program

TRADES = _core.BLOCK_TRADES


def lots(values: range | list[int]) -> np.ndarray:
    return np.array(values, np.int64)


@pytest.mark.parametrize("block", [1, 100, TRADES - 1, TRADES])
@pytest.mark.parametrize("kind", ["size", "value"])
def test_a_full_block_may_close_one_bar_more_than_it_has_trades(kind: str, block: int) -> None:
    program = _program.Program()
    clock, columns, _ = program.bars(kind, 10)
    close = columns[3]
    high = program.compare([(1, (close,)), (-1505, ())], _program.COMPARISONS[">"], True, clock)
    positive = program.compare([(1, (close,))], _program.COMPARISONS[">"], True, clock)
    held = program.hold(program.all_of(high, positive))
    core = _core.Core([program])
    core.set_block(block)
    seen = np.zeros(1 + TRADES, np.uint8)
    core.tap(0, held, seen)
    core.load(lots([1]), lots([1]), lots([3]))  # too small for a bar: it stays open
    assert core.advance() == _core.NONE
    core.begin_session(0)
    core.load(lots(range(2, 2 + TRADES)), lots(range(1000, 1000 + TRADES)), lots([10] * TRADES))
    assert core.advance() == _core.NONE
    assert seen.tolist() == [
        0,
        *(1000 + k > 1505 for k in range(TRADES)),
    ]  # each bar is seen on the trade that closes it

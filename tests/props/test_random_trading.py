"""Whatever is traded, however it is filled: nothing stays open that should be left, and every book says the same."""

from __future__ import annotations

from collections import Counter

import pytest

from engine import _image
from engine.account.portfolio import Trade
from engine.events import Decision, End
from engine.journal.codec import pack_value, unpack_values
from engine.journal.writer import MemoryJournal
from engine.trading.kernel import Kernel
from tests.props.random_trading import Case, case_of, play

SEEDS = 320
PARTS = 8


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_stays_open_that_should_be_left(part: int) -> None:
    seen: Counter[str] = Counter()
    for seed in range(part, SEEDS, PARTS):
        case = case_of(seed)
        if case is None:
            continue
        try:
            kernel = play(case)
        except AssertionError as broken:
            raise AssertionError(f"seed {seed}: {broken}") from broken
        seen["runs"] += 1
        seen["trades"] += len(kernel.trades)
        seen.update(trade.reason.value for trade in kernel.trades)
        seen[str(case.settings["fills"])] += 1
    assert seen["runs"] > SEEDS // PARTS * 0.8
    assert seen["trades"] > seen["runs"]
    for needed in ("SL", "TP", "TIME", "SESSION", "END", "last", "touch", "through", "queue", "worst"):
        assert seen[needed], f"none of {needed} in {seen}"


@pytest.mark.parametrize("part", range(PARTS))
def test_a_kernel_that_is_put_back_goes_on_as_it_would_have(part: int) -> None:
    """Its core from its image, whatever else it remembers from plain values: at any record of any case."""
    for seed in range(part, SEEDS // 2, PARTS):
        case = case_of(10_000 + seed)
        if case is not None:
            cut = case.random.randint(1, len(case.file.block))
            assert went_on(case, cut) == went_on(case, cut, put_back=True), f"seed {10_000 + seed}, record {cut}"


def went_on(case: Case, cut: int, *, put_back: bool = False) -> tuple[list[Decision], list[Trade], int]:
    """What is decided after the first ``cut`` records, every trade, and the equity in the end."""
    kernel, journal = case.kernel()
    kernel.process(case.file.block.part(0, cut))
    if put_back:
        kernel, journal = restored(case, kernel)
    before = len(journal.decisions)
    if cut < len(case.file.block):
        kernel.process(case.file.block.part(cut, len(case.file.block)))
    kernel.process(End())
    return journal.decisions[before:], list(kernel.trades), kernel.core.equity


def restored(case: Case, kernel: Kernel) -> tuple[Kernel, MemoryJournal]:
    """Another kernel in the same state."""
    image, kept = bytes(_image.image_of(kernel.core)), pack_value(kernel.kept)
    trades = b"".join(pack_value(trade.values(kernel.instruments)) for trade in kernel.trades)
    again, journal = case.kernel()
    _image.put_back(again.core, image)
    (state,) = unpack_values(kept)
    again.restore(state, list(unpack_values(trades)))
    assert pack_value(again.kept) == kept
    return again, journal

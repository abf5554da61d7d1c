"""A core's image, put into another one, is that core: with rings that have grown and wrapped, bars, and every lane."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from engine import _image
from engine.journal.writer import MemoryJournal
from engine.live.session import PaperSession
from engine.model import TickBlock
from engine.trading.kernel import Kernel
from tests.crash.crashing import INSTRUMENTS, START_NS, config
from tests.crash.test_snapshots import core_of, differences, remembered

LONG = """
from engine.rules import *
from engine.strategy import Strategy


class Long(Strategy):
    slow = bars(seconds(30))
    long = (price > mean(ticks(3000))) & (price > highest(seconds(20))) & (slow.close > ema(slow.close, 9))
    short = (price < vwap(minutes(10))) & (price < lowest(previous(price, 200), 300))
    exits = (Stop(pct("0.2")), Target(pct("0.1")), Trailing(pct("0.1")), TimeStop(seconds(40)))
"""


def market(random: Random, count: int) -> TickBlock:
    """Trades and quotes of two instruments, five a second, most of the first."""
    number = np.random.default_rng(random.randrange(1 << 30))
    ts_ns = START_NS + np.cumsum(number.integers(0, 400_000_000, count))
    price = 10_000 + np.cumsum(number.integers(-2, 3, count))
    kind = (number.random(count) < 0.2).astype(np.uint8)
    instrument = (number.random(count) < 0.3).astype(np.uint16)
    return TickBlock(
        ts_ns, price, number.integers(1, 50, count), price - 1, price + 1, instrument=instrument, kind=kind
    )


def feed(kernel: Kernel, block: TickBlock, random: Random, start: int, stop: int, most: int) -> None:
    """Put rows through in reads of random length."""
    while start < stop:
        end = min(stop, start + random.randint(1, most))
        kernel.process(block.part(start, end))
        start = end


@pytest.mark.parametrize("seed", range(4))
def test_another_core_goes_on_as_the_first_would(tmp_path: Path, seed: int) -> None:
    random = Random(f"image {seed}")
    (tmp_path / "long.py").write_text(LONG)
    settings = config(tmp_path, **{"strategy.name": f"{tmp_path / 'long.py'}:Long"})
    block, at = market(random, 16_000), random.randrange(6_000, 12_000)
    kernels, journals = [], []
    for _ in range(2):
        journals.append(MemoryJournal())
        kernels.append(PaperSession.make_kernel(settings, INSTRUMENTS, journals[-1]))
    first, other = kernels
    most = random.choice((1, 3, 50, 900))
    feed(first, block, random, 0, at, most)
    assert first.core.ring(0)[1], "the ring has grown"
    assert _image.shape_of(first.core) == _image.shape_of(other.core)
    image = _image.image_of(first.core)
    assert len(image) == _image.size_of(first.core)
    _image.put_back(other.core, image)
    other.restore(first.kept, [trade.values(first.instruments) for trade in first.trades])
    assert not differences([*core_of(other.core, 2)], [*core_of(first.core, 2)])
    before = len(journals[0].decisions)
    for start in range(at, len(block), 1_000):
        stop = min(start + 1_000, len(block))
        feed(first, block, random, start, stop, most)
        feed(other, block, random, start, stop, random.choice((1, 3, 50, 900)))
        assert not differences([*core_of(other.core, 2)], [*core_of(first.core, 2)])
    assert len(journals[1].decisions) > 4
    assert journals[1].decisions == journals[0].decisions[before:]
    assert not differences(remembered(other, set()), remembered(first, set()))


def test_what_is_no_image_of_such_a_core_is_refused(tmp_path: Path) -> None:
    def made() -> Kernel:
        return PaperSession.make_kernel(config(tmp_path), INSTRUMENTS, MemoryJournal())

    first, random = made(), Random(1)
    feed(first, market(random, 500), random, 0, 500, 50)
    image = _image.image_of(first.core)
    for wrong in (b"", image[:-1], image + b"\0", bytes(len(image))):
        with pytest.raises(ValueError, match="no image of such a core"):
            _image.put_back(made().core, wrong)
    with pytest.raises(RuntimeError, match="seen nothing"):
        _image.put_back(first.core, image)
    again = made()
    again.core.load(np.array([START_NS]), np.array([5]), np.array([5]))
    with pytest.raises(RuntimeError, match="between inputs"):
        _image.image_of(again.core)

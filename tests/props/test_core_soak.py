"""Ten million ticks and as many again; ``make long`` has a thousand million (``tests/long/test_core_soak.py``)."""

from __future__ import annotations

from tests.props.core_soak import SETTLED, soak


def test_memory_stays_and_sums_are_exact() -> None:
    soaked = soak(2 * SETTLED)
    assert soaked.compared == 12 * 20
    assert soaked.growth_bytes <= 1 << 20

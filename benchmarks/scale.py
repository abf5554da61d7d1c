"""How much the benchmarks do: all of it, or with ``--smoke`` just enough to see that each of them runs."""

from __future__ import annotations

SMOKE_SHARE = 20
"""Of so many ticks a smoke run takes one."""

smoke = False
"""Set by ``conftest`` before the benchmarks are imported."""


def scaled(ticks: int) -> int:
    """The ticks to measure on."""
    return ticks // SMOKE_SHARE if smoke else ticks


def rounds(number: int) -> int:
    """How often to measure."""
    return 1 if smoke else number

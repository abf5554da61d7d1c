"""The ladder of fill models, from the most hopeful to the most careful: how market and waiting orders are filled.

Each rung but the first crosses the spread with market orders. A waiting order is filled by the core, record by record
(``engine._resting``): at every moment ``worst`` has filled no more than ``through``, and ``through`` and ``queue`` no
more than ``touch``.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from engine import _core

Fills = Literal["last", "touch", "through", "queue", "worst"]


class Rung(NamedTuple):
    """One fill model: the core's word for it, whether market orders cross the spread, and at the worst quote."""

    resting: int
    crosses: bool
    worst_quote: bool


LADDER: dict[Fills, Rung] = {
    "last": Rung(_core.LAST, False, False),  # market orders at the last trade; a waiting order when a trade reaches it
    "touch": Rung(_core.TOUCH, True, False),  # across the spread; a waiting order whole when the price reaches it
    "through": Rung(_core.THROUGH, True, False),  # across the spread; a waiting order when a trade goes beyond it
    "queue": Rung(_core.QUEUE, True, False),  # across the spread; a waiting order behind the size displayed there
    "worst": Rung(_core.WORST, True, True),  # at the worst quote on the way; a waiting order by what trades beyond it
}
"""Every fill model by name, the most hopeful first."""

NAMES: tuple[Fills, ...] = get_args(Fills)

"""The profit curve's corners. NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.telemetry_wire import keep_extremes

Column = NDArray[np.float64]

MOST_STEPS = 600


def steps(changes: Column, levels: Column, end_s: float) -> tuple[Column, Column]:
    """Return the corners of a line that holds each of ``levels`` from its time in ``changes`` until the next one.

    The newest level reaches ``end_s``. A step across zero gets a corner at zero, so that the line can be coloured by
    its sign. Equal levels in a row are one step, and beyond :data:`MOST_STEPS` only extremes stay.
    """
    new = np.append(True, np.diff(levels) != 0)
    changes, levels = changes[new], levels[new]
    while len(changes) > MOST_STEPS:
        kept = np.append(keep_extremes(levels[:-1]), len(levels) - 1)
        changes, levels = changes[kept], levels[kept]
    times = np.append(np.repeat(changes, 2)[1:], max(end_s, float(changes[-1])))
    crossing = np.flatnonzero(levels[:-1] * levels[1:] < 0)
    at = 2 * crossing + 2  # before the corner where the next level begins
    return np.insert(times, at, changes[crossing + 1]), np.insert(np.repeat(levels, 2), at, 0.0)

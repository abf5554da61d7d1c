"""Where a line must not be drawn because nothing is known there: a lost feed, a pause in the market. NumPy only.

A cut is the time of the first point after such a hole. It is a time, not an index, so it outlives thinning.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]

GAP_S = 5.0
NEIGHBOURS = 4  # distances on either side that tell how far apart points usually are here
UNUSUAL = 6.0  # times the usual distance: thinned history and quiet instruments are sparse, not interrupted


def gap_cuts(times: Column) -> Column:
    """Return the time of each point that comes more than :data:`GAP_S`, and unusually long, after the one before."""
    distances = np.diff(times)
    cuts = [
        times[index + 1]
        for index in np.flatnonzero(distances > GAP_S).tolist()
        if distances[index] > UNUSUAL * _usual(distances, index)
    ]
    return np.array(cuts, np.float64)


def _usual(distances: Column, index: int) -> float:
    around = np.concatenate((distances[max(index - NEIGHBOURS, 0) : index], distances[index + 1 :][:NEIGHBOURS]))
    return float(np.median(around)) if len(around) else 0.0


def starts(times: Column, cuts: Column) -> NDArray[np.intp]:
    """Return the index of the first point of each stretch after the first one, ascending."""
    found = np.unique(np.searchsorted(times, cuts))
    return found[(found > 0) & (found < len(times))]


def broken(times: Column, values: Column, first: NDArray[np.intp]) -> tuple[Column, Column]:
    """Return the line with a NaN before each of the indices ``first``, to be drawn with ``connect="finite"``."""
    return np.insert(times, first, times[first]), np.insert(values, first, np.nan)

# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""VPIN in bulk: how one-sided the volume of late is, from prices and sizes alone (0 balanced, 1 all one side).

Each record's volume V is shared between buyers and sellers by its price change dp: Phi(dp / sigma) of it was bought, so
V * abs(2 Phi(dp / sigma) - 1) stands on one side only. VPIN is the average of that over the average of V, and sigma
squared the average of dp squared; all three averages are plain over the first (length + 1) / 2 price changes and then
exponential with alpha = 2 / (length + 1). Undefined before ``length`` price changes. Without a unit.

Easley, Lopez de Prado and O'Hara (2012), Flow Toxicity and Liquidity in a High-frequency World, Review of Financial
Studies 25(5); theirs are plain averages over 50 volume bars.
"""

from libc.math cimport NAN, erf, fabs, fmax, sqrt

from engine._program cimport Operation
from engine._tape cimport Node, Slot, Tape, floats

from engine.rules import Custom

cdef enum:  # what a slot remembers
    LAST_PRICE
    VARIANCE
    ONE_SIDED
    VOLUME


cdef void vpin_of(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The last ``m`` records: columns a price, b size, c length; a record with an undefined one is passed over."""
    cdef const double* price = floats(tape, node.a)
    cdef const double* size = floats(tape, node.b)
    cdef const double* length = floats(tape, node.c)
    cdef double* out = floats(tape, node.out)
    cdef double* past = slot.x
    cdef double move, weight, one_sided
    cdef int k
    for k in range(m):
        out[k] = NAN
        if price[k] != price[k] or size[k] != size[k] or not length[k] >= 1:
            continue
        if slot.i[0] > 0:  # price changes so far, this one included
            move = price[k] - past[LAST_PRICE]
            weight = fmax(1.0 / slot.i[0], 2.0 / (length[k] + 1))
            past[VARIANCE] += weight * (move * move - past[VARIANCE])
            one_sided = 0
            if move != 0:  # 2 Phi(z) - 1 is erf(z / sqrt(2))
                one_sided = size[k] * fabs(erf(move / sqrt(2 * past[VARIANCE])))
            past[ONE_SIDED] += weight * (one_sided - past[ONE_SIDED])
            past[VOLUME] += weight * (size[k] - past[VOLUME])
            if slot.i[0] >= length[k] and past[VOLUME] > 0:
                out[k] = past[ONE_SIDED] / past[VOLUME]
        past[LAST_PRICE] = price[k]
        slot.i[0] += 1


VPIN = Operation.of("vpin", vpin_of, "fff", "f", "one-sided share of the volume", "restarts")


def build(program, columns, clock):
    """Add the node to a program; the compiler calls it once for equal inputs."""
    return program.add(VPIN, columns)


def vpin(price, size, length=50):
    """VPIN of prices and sizes, on trades or on bars; ``length`` is a number of records or a parameter."""
    return Custom("vpin", build, (price, size, length))

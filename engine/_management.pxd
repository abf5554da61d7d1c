"""The management of an open position: a stop that moves, and why it stands where it does.

The stop declared at the entry may come closer with time, move to the entry price once the trade is far enough in
profit, and follow the best price from then on. The tightest of them counts. Prices are compared the way a long position
sees them; a short one's are seen from below zero.
"""

from libc.stdint cimport int64_t, uint8_t

from engine._int128 cimport i128_less, i128_mul64

cdef enum StopKind:
    STOP_DECLARED
    STOP_DECAYED
    STOP_EVEN
    STOP_TRAILING

cdef struct Management:
    int on  # whether anything of this is declared
    int side
    int64_t best  # most favourable price since the entry
    int64_t declared  # the stop at the entry
    int64_t decay_ticks  # how far it comes closer in all; 0 for not at all
    int64_t decay_from_ns
    int64_t decay_ns
    int evens
    int64_t even_from  # price from which the stop is no worse than even_ticks
    int64_t even_ticks
    int trails
    int64_t trail_from  # price from which the stop follows the best price
    int64_t trail_ticks  # at this distance, or, where it is 0,
    int64_t trail_share  # at this share of the best price,
    int64_t trail_scale  # in these parts
    uint8_t opposite  # the state of the rule that closes; 0 for none
    int has_when
    int64_t when  # byte offset of the condition's column that closes


cdef inline int64_t trailing_stop(const Management* it) noexcept nogil:
    """Where the trailing stop stands after the best price so far: exact, on the tick that is no tighter."""
    if it.trail_ticks > 0:
        return it.best - it.side * it.trail_ticks
    if it.side > 0:
        return it.best * it.trail_share / it.trail_scale
    return (it.best * it.trail_share + it.trail_scale - 1) / it.trail_scale


cdef inline int64_t share_of(int64_t whole, int64_t part, int64_t parts) noexcept nogil:
    """``whole * part / parts``, rounded down exactly: a double's guess, put right."""
    cdef int64_t guess = <int64_t>(<double>whole * (<double>part / <double>parts))
    while i128_less(i128_mul64(whole, part), i128_mul64(guess, parts)):
        guess -= 1
    while not i128_less(i128_mul64(whole, part), i128_mul64(guess + 1, parts)):
        guess += 1
    return guess


cdef inline int64_t stop_at(const Management* it, int64_t ts_ns, int* kind) noexcept nogil:
    """The stop in force at ``ts_ns``, before the price of that moment is known; ``kind`` says which it is."""
    cdef int64_t side = it.side, stop = it.side * it.declared, moved
    cdef int64_t elapsed = ts_ns - it.decay_from_ns
    kind[0] = STOP_DECLARED
    if it.decay_ticks > 0 and elapsed > 0:
        moved = stop + (it.decay_ticks if elapsed >= it.decay_ns else share_of(it.decay_ticks, elapsed, it.decay_ns))
        if moved > stop:
            stop = moved
            kind[0] = STOP_DECAYED
    if it.evens and side * it.best >= side * it.even_from and side * it.even_ticks > stop:
        stop = side * it.even_ticks
        kind[0] = STOP_EVEN
    if it.trails and side * it.best >= side * it.trail_from:
        moved = side * trailing_stop(it)
        if moved > stop:
            stop = moved
            kind[0] = STOP_TRAILING
    return side * stop


cdef inline void note_best(Management* it, int64_t price) noexcept nogil:
    if it.side * price > it.side * it.best:
        it.best = price

"""The feature graph for one record: the nodes once more, each as a *step* in one line of the cache.

A record that arrives alone gains nothing from columns of 512. What it would pay for instead are calls through pointers,
loops that are begun for one pass, and terms to be looked up. So the nodes that most rules are made of are compiled to
steps whose operands lie in the step itself, and one loop does them all without a call; every other node is a step that
calls its ``work``. Steps write the same cells of the same columns, to the bit.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from engine._int128 cimport i128, i128_add, i128_hi, i128_make, i128_mul64, i128_of, i128_sub
from engine._tape cimport BLOCK, COL_PRICE, COL_TS, INT_BYTES, TYPE_BOOL, Graph, Slot, Step, Tape, flag_truncated
from engine._tails cimport first_tail, next_tail
from engine._totals cimport Totals

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define MICROBURST_NEVER_HERE() __builtin_unreachable()
    #else
    #define MICROBURST_NEVER_HERE() ((void)0)
    #endif
    """
    void never_here "MICROBURST_NEVER_HERE"() noexcept nogil

cdef enum StepKind:
    STEP_END  # after the last node
    STEP_NONE  # a neighbour computes the node
    STEP_CALL  # its own function does
    STEP_OF_BARS  # the same, if a bar has closed
    STEP_TAIL_TIME
    STEP_TAIL_COUNT
    STEP_FIRST_PRICE
    STEP_COUNT
    STEP_SUM_SIZE
    STEP_SUM_PRICE
    STEP_SUM_PRICE_SIZE
    STEP_SUM_PRICE_SQUARED
    STEP_EXTREMES
    STEP_NARROW  # comparisons
    STEP_LINEAR
    STEP_PRODUCT
    STEP_ALL_OF
    STEP_ANY_OF
    STEP_STATE


cdef inline int64_t* whole(char* columns, int offset) noexcept nogil:
    """The only cell of a column of int64; of doubles, 128 bits and conditions likewise."""
    return <int64_t*>(columns + offset)


cdef inline i128* wide(char* columns, int offset) noexcept nogil:
    return <i128*>(columns + offset)


cdef inline uint8_t* truth(char* columns, int offset) noexcept nogil:
    return <uint8_t*>(columns + offset)


cdef inline Slot* slot_of(Tape* tape, const Step* step) noexcept nogil:
    return <Slot*>(<char*>tape.slots + step.slot)


cdef inline void wake_columns(Tape* tape, int buffer) noexcept nogil:
    """Take back what blocks have said of a buffer's columns: that whole ones are false."""
    cdef const Graph* graph = tape.graph
    cdef int i
    for i in range(graph.n_columns):
        if graph.column_type[i] == TYPE_BOOL and graph.column_clock[i] == 0:
            truth(tape.buffers[buffer], <int>graph.column_offset[i])[BLOCK] = 0
    tape.may_be_quiet[buffer] = 0


cdef inline void step_tail_time(Tape* tape, char* columns, const Step* step) noexcept nogil:
    cdef Slot* slot = slot_of(tape, step)
    cdef int64_t limit = whole(columns, COL_TS * INT_BYTES)[0] - step.k + 1
    cdef int64_t tail = next_tail(tape.ts, tape.mask, first_tail(tape, slot), limit)
    if tape.head - 1 - tail >= tape.max_window:
        tail = tape.head - tape.max_window
        flag_truncated(tape, step.node.source, 0, 1)
    whole(columns, step.out)[0] = tail
    slot.i[0] = tail


cdef inline void step_tail_count(Tape* tape, char* columns, const Step* step) noexcept nogil:
    cdef int64_t tail = tape.head - step.k
    tail = tail if tail > tape.base else tape.base
    whole(columns, step.out)[0] = tail
    slot_of(tape, step).i[0] = tail


cdef inline void step_extremes(Tape* tape, char* columns, const Step* step) noexcept nogil:
    """As ``engine._windows.extremes``, which is called when its two stacks are to be turned over."""
    cdef Slot* slot = slot_of(tape, step)
    cdef int64_t tail = whole(columns, step.a)[0], price = whole(columns, COL_PRICE * INT_BYTES)[0], high, low
    if tail >= slot.i[0]:
        step.node.work(tape, slot, step.node, 1)
        return
    slot.i[1] = price if price > slot.i[1] else slot.i[1]
    slot.i[2] = price if price < slot.i[2] else slot.i[2]
    high = (<const int64_t*>slot.ring[0])[tail & tape.mask]
    low = (<const int64_t*>slot.ring[1])[tail & tape.mask]
    whole(columns, step.out)[0] = slot.i[1] if slot.i[1] > high else high
    whole(columns, step.out + INT_BYTES)[0] = slot.i[2] if slot.i[2] < low else low


cdef inline uint64_t total_size(const Tape* tape, int64_t cell) noexcept nogil:
    return <uint64_t>tape.sizes[cell] if tape.sizes != NULL else tape.totals[cell].size


cdef inline i128 total_price_size(const Tape* tape, int64_t cell) noexcept nogil:
    return i128_make(tape.uppers[cell].price_size if tape.carried else 0, tape.totals[cell].price_size)


cdef inline i128 total_price_squared(const Tape* tape, int64_t cell) noexcept nogil:
    return i128_make(tape.uppers[cell].price_squared if tape.carried else 0, tape.totals[cell].price_squared)


cdef inline int64_t product(char* columns, const Step* step, int i, int offset) noexcept nogil:
    return step.factor[i] * whole(columns, offset)[0]


cdef inline uint8_t linear(char* columns, const Step* step) noexcept nogil:
    cdef i128 value = i128_add(i128_of(step.k), i128_mul64(step.factor[0], whole(columns, step.a)[0]))
    return i128_hi(i128_add(value, i128_mul64(step.factor[1], whole(columns, step.b)[0]))) >= 0


cdef inline uint8_t above_product(char* columns, const Step* step) noexcept nogil:
    """``w - x*y``, or that less, with the first factor's sign."""
    cdef i128 value = i128_mul64(whole(columns, step.b)[0], whole(columns, step.c)[0])
    if step.factor[0] > 0:
        value = i128_sub(wide(columns, step.a)[0], value)
    else:
        value = i128_sub(value, wide(columns, step.a)[0])
    return i128_hi(i128_add(value, i128_of(step.k))) >= 0


cdef inline void evaluate_one(Tape* tape) noexcept nogil:
    """Compute all nodes for the only fresh trade, and for a bar that closes with it.

    Steps of one kind follow each other where they may (``engine._program``), and then need no look at what comes next:
    a jump to one of many places costs more than most steps do.
    """
    cdef const Step* step = tape.graph.steps
    cdef char* columns = tape.columns
    cdef int64_t mask = tape.mask
    cdef Tape* bars
    cdef const Totals* end
    cdef const Totals* begin
    cdef uint8_t yes
    cdef int kind
    while True:
        kind = step.kind
        if kind == STEP_END:
            return
        elif kind == STEP_NONE:
            pass
        elif kind == STEP_CALL:
            step.node.work(tape, slot_of(tape, step), step.node, 1)
        elif kind == STEP_OF_BARS:
            bars = tape.clocks[step.node.clock]
            if bars.fresh > 0:
                step.node.work(bars, slot_of(tape, step), step.node, bars.fresh)
        elif kind == STEP_TAIL_TIME:
            while step.kind == STEP_TAIL_TIME:
                step_tail_time(tape, columns, step)
                step += 1
            continue
        elif kind == STEP_TAIL_COUNT:
            step_tail_count(tape, columns, step)
        elif kind == STEP_FIRST_PRICE:
            whole(columns, step.out)[0] = tape.price[whole(columns, step.a)[0] & mask]
        elif kind == STEP_COUNT:
            whole(columns, step.out)[0] = tape.head - whole(columns, step.a)[0]
        elif kind == STEP_SUM_SIZE:
            while step.kind == STEP_SUM_SIZE:
                whole(columns, step.out)[0] = <int64_t>(
                    total_size(tape, tape.head & mask) - total_size(tape, whole(columns, step.a)[0] & mask)
                )
                step += 1
            continue
        elif kind == STEP_SUM_PRICE:
            end, begin = &tape.totals[tape.head & mask], &tape.totals[whole(columns, step.a)[0] & mask]
            whole(columns, step.out)[0] = <int64_t>(end.price - begin.price)
        elif kind == STEP_SUM_PRICE_SIZE:
            wide(columns, step.out)[0] = i128_sub(
                total_price_size(tape, tape.head & mask), total_price_size(tape, whole(columns, step.a)[0] & mask)
            )
        elif kind == STEP_SUM_PRICE_SQUARED:
            wide(columns, step.out)[0] = i128_sub(
                total_price_squared(tape, tape.head & mask), total_price_squared(tape, whole(columns, step.a)[0] & mask)
            )
        elif kind == STEP_EXTREMES:
            step_extremes(tape, columns, step)
        elif kind == STEP_NARROW:
            while step.kind == STEP_NARROW:
                truth(columns, step.out)[0] = (
                    step.k + product(columns, step, 0, step.a) + product(columns, step, 1, step.b)
                    + product(columns, step, 2, step.c) >= 0
                )
                step += 1
            continue
        elif kind == STEP_LINEAR:
            truth(columns, step.out)[0] = linear(columns, step)
        elif kind == STEP_PRODUCT:
            while step.kind == STEP_PRODUCT:
                truth(columns, step.out)[0] = above_product(columns, step)
                step += 1
            continue
        elif kind == STEP_ALL_OF:
            while step.kind == STEP_ALL_OF:
                truth(columns, step.out)[0] = (
                    truth(columns, step.a)[0] & truth(columns, step.b)[0] & truth(columns, step.c)[0]
                )
                step += 1
            continue
        elif kind == STEP_ANY_OF:
            truth(columns, step.out)[0] = (
                truth(columns, step.a)[0] | truth(columns, step.b)[0] | truth(columns, step.c)[0]
            )
        elif kind == STEP_STATE:
            yes = truth(columns, step.a)[0]
            truth(columns, step.out)[0] = yes | ((truth(columns, step.b)[0] & (yes ^ 1)) << 1)
        else:
            never_here()
        step += 1

"""The feature graph at work: every node of a program, in order, over the fresh records of one instrument."""

from libc.stdint cimport int64_t

from engine._tape cimport Node, Slot, Tape, seal_tape


cdef inline void begin_evaluation(Tape* tape) noexcept nogil:
    """Before the nodes: the bars of this block are still to be made."""
    cdef int clock
    if tape.graph.n_tails > 0:
        seal_tape(tape)
    tape.block_truncated = 0
    for clock in range(1, tape.graph.n_clocks):
        tape.clocks[clock].fresh = 0


cdef inline void evaluate(Tape* tape, int first, int last) noexcept nogil:
    """Compute nodes [first, last) for the block's fresh trades, and for the bars that close in it."""
    cdef const Node* node = tape.graph.nodes + first
    cdef const Node* end = tape.graph.nodes + last
    cdef Slot* slot = tape.slots + first
    cdef Tape* clock
    cdef int fresh = tape.fresh
    if tape.graph.n_clocks == 1 and fresh == 1:
        while node < end:
            if node.one != NULL:
                node.one(tape, slot, node, 1)
            node += 1
            slot += 1
        return
    if tape.graph.n_clocks == 1:
        while node < end:
            if node.work != NULL:
                node.work(tape, slot, node, fresh)
            node += 1
            slot += 1
        return
    while node < end:
        clock = tape.clocks[node.clock]
        if clock.fresh > 0 and node.work != NULL:
            node.work(clock, slot, node, clock.fresh)
        node += 1
        slot += 1


cdef inline void end_evaluation(Tape* tape) noexcept nogil:
    """After the nodes: find out which trades no window needs any more."""
    cdef const int* tails = tape.graph.tails
    cdef const Slot* slots = tape.slots
    cdef int64_t oldest = tape.head
    cdef int i
    for i in range(tape.graph.n_tails):
        if slots[tails[i]].i[0] < oldest:
            oldest = slots[tails[i]].i[0]
    tape.oldest = oldest

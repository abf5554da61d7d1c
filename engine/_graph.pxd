"""The feature graph at work: every node of a program, in order, over the fresh records of one instrument."""

from engine._steps cimport evaluate_one, wake_columns
from engine._tape cimport BLOCK, Node, Slot, Tape, buffer_of, note_oldest, seal_tape


cdef inline void begin_evaluation(Tape* tape) noexcept nogil:
    """Before the nodes: the bars of this block are still to be made."""
    cdef int clock
    if tape.graph.n_tails > 0:
        seal_tape(tape)
    tape.block_truncated = 0
    for clock in range(1, tape.graph.n_clocks):
        tape.clocks[clock].fresh = 0
    if tape.fresh == BLOCK:
        tape.may_be_quiet[buffer_of(tape)] = 1
    elif tape.fresh == 1 and tape.may_be_quiet[buffer_of(tape)]:
        wake_columns(tape, buffer_of(tape))


cdef inline void evaluate(Tape* tape, int first, int last) noexcept nogil:
    """Compute nodes [first, last) for the block's fresh trades, and for the bars that close in it."""
    cdef const Node* node = tape.graph.nodes + first
    cdef const Node* end = tape.graph.nodes + last
    cdef Slot* slot = tape.slots + first
    cdef Tape* clock
    while node < end:
        clock = tape.clocks[node.clock]
        if clock.fresh > 0 and node.work != NULL:
            node.work(clock, slot, node, clock.fresh)
        node += 1
        slot += 1


cdef inline void end_evaluation(Tape* tape) noexcept nogil:
    """After the nodes: find out which trades no window needs any more. For a single one that can wait."""
    if tape.fresh > 1:
        note_oldest(tape)

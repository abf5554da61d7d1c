"""C interface of the graph builder, for modules that add features of their own."""

cimport cython
from libc.stdint cimport int64_t, uint64_t

from engine._tape cimport Graph, Node, Slot, Tape, Work


cdef struct Shape:
    # What ``Work`` functions reach into. Whoever imports ``Operation`` compares its size with that in his own build, so
    # a module built before one of these structures grew or shrank is refused; it would read beside the mark.
    Tape tape
    Slot slot
    Node node


@cython.final
cdef class Operation:
    cdef readonly str name
    cdef readonly str doc
    cdef Work work
    cdef readonly str inputs  # types of the columns that it reads: i w f b
    cdef readonly str outputs  # types of the columns that it writes
    cdef readonly int rings
    cdef readonly int ring_width
    cdef readonly bint restarts
    cdef readonly bint is_source
    cdef readonly bint keeps_past
    cdef Shape shape  # never read: see there

    @staticmethod
    cdef Operation of(str name, Work work, str inputs, str outputs, str doc, str traits=*)


@cython.final
cdef class Program:
    cdef Graph graph
    cdef int sealed
    cdef int64_t max_window
    cdef int session_size  # the first column of the session totals, or -1
    cdef tuple newest  # the columns of the newest node
    cdef readonly list listing  # (column, operation, inputs, k, x) of every node, for people
    cdef set read_elsewhere  # nodes that other programs read
    cdef readonly list kept  # objects to which nodes point

    cdef int add_column(self, int type, int clock, uint64_t sources=*, int node=*) except -1
    cdef Node* add_node(self, Operation operation, inputs, int clock, int64_t k=*, double x=*) except NULL
    cdef void join_sums(self) noexcept
    cdef int lone_writer(self, int column)
    cdef seal(self)
    cdef pair_average(self)
    cdef void divide_by_number(self, int divisor) noexcept
    cdef uint64_t sources_of(self, int column) noexcept
    cdef set_terms(self, Node* node, int column, numerator, denominator)
    cdef bint is_short(self, terms)
    cdef int shape_of(self, terms, int comparison, bint narrow) except -1
    cdef check_exists(self, int column)
    cdef check_column(self, int column, int type)

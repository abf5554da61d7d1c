# cython: auto_pickle=False, autotestdict=False
"""Nodes whose work is a Python function: the slow way to a feature of one's own, ``engine.custom`` in the graph.

A program without such a node never comes here. One that has some takes the GIL once per node and block; the function is
called record by record, in order, so how a stream is cut into blocks does not change what it returns.
"""

cimport cython
from libc.math cimport NAN
from libc.stdint cimport int64_t, uintptr_t

from engine._program cimport Operation, Program
from engine._tape cimport Node, Slot, Tape, floats

cdef enum:
    INPUTS = 16

MAX_INPUTS = INPUTS


@cython.final
cdef class Caller:
    """A Python function in one program, and what it raised.

    ``make()`` returns the function, once for every tape that the program runs on, and again whenever the node's memory
    begins anew: what the function remembers is one instrument's. Once it has raised it is called no more.
    """

    cdef readonly str name
    cdef readonly object code  # what people wrote, to tell them the place
    cdef readonly tuple arguments  # of the last call
    cdef object make
    cdef dict functions  # by the address of the tape's slot
    cdef object error
    cdef bint failed
    cdef int n_inputs
    cdef int64_t offsets[INPUTS]  # of the input columns

    def __init__(self, str name, make, code):
        self.name, self.make, self.code, self.functions = name, make, code, {}

    cdef void run(self, Tape* tape, Slot* slot, const Node* node, int m) noexcept:
        """Call the function on every record on which all inputs are defined; NaN elsewhere, and once it has raised."""
        cdef double* out = floats(tape, node.out)
        cdef int k
        for k in range(m):
            out[k] = NAN
        if self.failed:
            return
        try:
            if slot.i[0] == 0:
                self.functions[<uintptr_t>slot] = self.make()
                slot.i[0] = 1
            function = self.functions[<uintptr_t>slot]
            for k in range(m):
                arguments = self.inputs_of(tape, k)
                if arguments is not None:
                    self.arguments = arguments
                    out[k] = number(function(*arguments))
        except BaseException as error:  # an interrupt too: nothing may leave the core's loop, so it waits for the end
            self.failed = 1
            self.error = error

    cdef tuple inputs_of(self, Tape* tape, int k):
        """The inputs' values at record ``k``; None when one is undefined."""
        cdef double value
        cdef list values = []
        cdef int i
        for i in range(self.n_inputs):
            value = floats(tape, self.offsets[i])[k]
            if value != value:
                return None
            values.append(value)
        return tuple(values)

    def take_error(self):
        """What it raised, the first time that one asks; None otherwise."""
        error, self.error = self.error, None
        return error


cdef double number(object result) except? -1:
    """A result as a double; None is undefined."""
    if result is None:
        return NAN
    try:
        return <double>result
    except TypeError:
        raise TypeError(f"it returned {result!r}, not a number") from None


cdef void call_python(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Hand the records to the ``Caller`` to which ``k`` points; the program keeps it."""
    with gil:
        (<Caller><void*><uintptr_t>node.k).run(tape, slot, node, m)


def add_call(Program program not None, Caller caller not None, inputs, int clock, bint restarts):
    """Add the node that calls a function of double columns; returns its column.

    Raises:
        ValueError: more inputs than ``MAX_INPUTS``, or ones that ``Program.add`` refuses.
    """
    cdef int i, column
    if len(inputs) > INPUTS:
        raise ValueError(f"a function takes at most {INPUTS} inputs, not {len(inputs)}")
    operation = Operation.of(
        caller.name, call_python, "f" * len(inputs), "f", "a Python function", "restarts" if restarts else ""
    )
    made = program.add(operation, inputs, clock=clock)
    caller.n_inputs = len(inputs)
    for i, column in enumerate(inputs):
        caller.offsets[i] = program.graph.column_offset[column]
    program.graph.nodes[program.graph.n_nodes - 1].k = <int64_t><uintptr_t><void*>caller
    program.kept.append(caller)
    return made

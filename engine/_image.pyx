# cython: auto_pickle=False, autotestdict=False
"""The core's memory as bytes, and back: what a snapshot keeps of it (``docs/adr/0022``).

One walk says what there is: it counts the bytes, takes them from a core, or puts them into one that was composed in the
same way and has seen nothing yet. Pointers are not part of it: a core keeps its own. Of rings only the cells go along
that windows still need. An image means something to the very build that took it alone, on the same graphs:
``shape_of`` is what two cores have in common whose images are exchangeable.
"""

from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy, memset

from engine._account cimport Account, Holding
from engine._core cimport Core
from engine._lanes cimport Block, Lane, Market
from engine._program cimport Program
from engine._resting cimport Resting
from engine._tape cimport (
    ASIDE,
    BLOCK,
    OWN_ARRAYS,
    Graph,
    Node,
    Slot,
    Tape,
    Term,
    mirror_times,
    note_oldest,
    resize_tape,
    ring_array,
)

cdef enum Walk:
    COUNT
    TAKE
    PUT

cdef int64_t MOST_CELLS = <int64_t>1 << 32  # of a ring; one of more is no ring that this machine has had

cdef struct Image:
    int walk
    char* at  # where the next byte is or goes
    int64_t left  # bytes; of a count those counted, below zero


cdef int carry(Image* image, void* memory, int64_t count) noexcept nogil:
    """Count bytes of the core, take them or put them back; returns 0, or -1 where the image is too short."""
    if image.walk != COUNT:
        if count > image.left:
            return -1
        if image.walk == TAKE:
            memcpy(image.at, memory, count)
        else:
            memcpy(memory, image.at, count)
        image.at += count
    image.left -= count
    return 0


cdef int carry_ring(Image* image, Tape* tape, char* ring, int64_t width) noexcept nogil:
    """The cells of a ring that are still needed, and the one after the last, which running totals have written."""
    cdef int64_t count = tape.head - tape.oldest + 1, first, room
    if count > tape.capacity:
        count = tape.capacity
    first = (tape.head + 1 - count) & tape.mask
    room = tape.capacity - first
    if count <= room:
        return carry(image, ring + first * width, count * width)
    if carry(image, ring + first * width, room * width) != 0:
        return -1
    return carry(image, ring, (count - room) * width)


cdef int place_of(const Tape* tape, const char* columns) noexcept nogil:
    """Where columns are, as a small number: the buffer, and whether they lie aside in it."""
    cdef int buffer = columns == tape.buffers[1] or columns == tape.buffers[1] + ASIDE
    return 2 * buffer + (columns != tape.buffers[buffer])


cdef int carry_tape(Image* image, Tape* tape) noexcept nogil:
    cdef Tape plain = tape[0]
    cdef Tape* own = tape
    cdef void** array
    cdef size_t width
    cdef int64_t bytes_of_columns = tape.graph.clock_bytes[tape.clock]
    cdef int i
    cdef int[2] places
    places[0], places[1] = place_of(tape, tape.columns), place_of(tape, tape.columns_before)
    forget_pointers(&plain)
    if carry(image, &plain, sizeof(Tape)) != 0 or carry(image, places, sizeof(places)) != 0:
        return -1
    if image.walk == PUT:
        if plain.capacity <= 0 or plain.capacity > MOST_CELLS or plain.capacity & (plain.capacity - 1) != 0:
            return -1
        if not 0 <= plain.oldest <= plain.head or (places[0] | places[1]) & ~3:
            return -1
        if plain.clock != tape.clock or plain.instrument != tape.instrument:
            return -1
        if resize_tape(tape, plain.capacity) != 0:
            return -1
        take_pointers(&plain, own)
        plain.columns = tape.buffers[places[0] >> 1] + ASIDE * (places[0] & 1)
        plain.columns_before = tape.buffers[places[1] >> 1] + ASIDE * (places[1] & 1)
        plain.sealed = 0  # the cells after the head are marked anew, as when a ring has grown
        tape[0] = plain
    for i in range(2):
        if carry(image, tape.buffers[i], bytes_of_columns) != 0:
            return -1
    for i in range(OWN_ARRAYS + 2 * tape.graph.n_nodes):
        array = ring_array(tape, i, &width)
        if array != NULL and carry_ring(image, tape, <char*>array[0], width) != 0:
            return -1
    if image.walk == PUT:
        mirror_times(tape)
    return 0


cdef void forget_pointers(Tape* tape) noexcept nogil:
    cdef Tape nothing
    memset(&nothing, 0, sizeof(Tape))
    take_pointers(tape, &nothing)


cdef void take_pointers(Tape* tape, const Tape* of) noexcept nogil:
    """Let a tape point to where another one does."""
    tape.graph, tape.slots, tape.clocks, tape.instruments = of.graph, of.slots, of.clocks, of.instruments
    tape.records, tape.columns, tape.columns_before = of.records, of.columns, of.columns_before
    tape.buffers[0], tape.buffers[1] = of.buffers[0], of.buffers[1]
    tape.ts, tape.price, tape.sizes = of.ts, of.price, of.sizes
    tape.totals, tape.uppers = of.totals, of.uppers


cdef int carry_slot(Image* image, Slot* slot, int64_t memory) noexcept nogil:
    cdef Slot plain = slot[0]
    plain.ring[0] = plain.ring[1] = plain.memory = NULL
    if carry(image, &plain, sizeof(Slot)) != 0:
        return -1
    plain.ring[0], plain.ring[1], plain.memory = slot.ring[0], slot.ring[1], slot.memory
    slot[0] = plain
    return carry(image, slot.memory, memory) if memory > 0 else 0


cdef int carry_market(Image* image, Market* market) noexcept nogil:
    cdef Market plain = market[0]
    plain.records = NULL
    if carry(image, &plain, sizeof(Market)) != 0:
        return -1
    plain.records = market.records
    market[0] = plain
    return carry(image, market.records, BLOCK * sizeof(int))


cdef int carry_resting(Image* image, Core core) noexcept nogil:
    cdef int many = core.n_resting
    cdef Resting* enlarged
    if carry(image, &many, sizeof(many)) != 0:
        return -1
    if image.walk == PUT and many > 0:
        if many > image.left / <int64_t>sizeof(Resting):
            return -1
        enlarged = <Resting*>realloc(core.resting, many * sizeof(Resting))
        if enlarged == NULL:
            return -1
        core.resting = enlarged
    core.n_resting = many
    return carry(image, core.resting, many * sizeof(Resting)) if many > 0 else 0


cdef int carry_core(Image* image, Core core) noexcept nogil:
    """All that a core is between two inputs; returns 0, or -1 where the image is not one of such a core."""
    cdef Tape* trades
    cdef int i, k, lanes = core.n_lanes
    for i in range(core.n_instruments):
        trades = &core.tapes[i]
        for k in range(trades.graph.n_nodes):
            if carry_slot(image, &trades.slots[k], trades.graph.nodes[k].memory) != 0:
                return -1
        for k in range(trades.graph.n_clocks):
            if carry_tape(image, trades.clocks[k]) != 0:
                return -1
        if carry_market(image, &core.markets[i]) != 0:
            return -1
    if carry(image, core.holdings, core.n_instruments * sizeof(Holding)) != 0:
        return -1
    if carry(image, core.touched, core.n_instruments * sizeof(int)) != 0:
        return -1
    if carry(image, &lanes, sizeof(lanes)) != 0 or lanes != core.n_lanes:
        return -1
    if lanes > 0 and carry(image, core.lanes, lanes * sizeof(Lane)) != 0:
        return -1
    if carry_resting(image, core) != 0:
        return -1
    if carry(image, &core.block, sizeof(Block)) != 0 or carry(image, &core.account, sizeof(Account)) != 0:
        return -1
    return carry_figures(image, core)


cdef int carry_figures(Image* image, Core core) noexcept nogil:
    """Times, counters, and the last event."""
    cdef int64_t* longs[19]
    cdef int* shorts[11]
    cdef int i
    longs[:] = [
        &core.records_before, &core.in_time, &core.engine_ts_ns, &core.begun, &core.reached, &core.cut_ns,
        &core.alarm_ns, &core.event_order, &core.event_lots, &core.event_ts_ns, &core.event_key, &core.event_price,
        &core.trades_seen, &core.quotes_seen, &core.late, &core.rejected_price, &core.rejected_size,
        &core.rejected_instrument, &core.rejected_time,
    ]
    shorts[:] = [
        &core.n_touched, &core.found, &core.event, &core.event_lane, &core.event_instrument, &core.event_state,
        &core.event_stop, &core.event_record, &core.event_on_record, &core.in_quotes, &core.callback_record,
    ]
    for i in range(19):
        if carry(image, longs[i], sizeof(int64_t)) != 0:
            return -1
    for i in range(11):
        if carry(image, shorts[i], sizeof(int)) != 0:
            return -1
    return 0


def size_of(Core core not None) -> int:
    """How many bytes the image of a core takes."""
    cdef Image image = [COUNT, NULL, 0]
    carry_core(&image, core)
    return -image.left


def image_of(Core core not None) -> bytearray:
    """Take the image of a core between two inputs.

    Raises:
        RuntimeError: its input is not finished.
    """
    cdef Image image
    cdef int i
    if core.block_open or core.in_next < core.in_count:
        raise RuntimeError("an image is taken between inputs: call advance() until it returns NONE")
    for i in range(core.n_instruments):
        note_oldest(&core.tapes[i])  # it only says sooner what is needed no more
    taken = bytearray(size_of(core))
    cdef uint8_t[::1] view = taken
    image.walk, image.at, image.left = TAKE, <char*>&view[0], len(taken)
    carry_core(&image, core)
    return taken


def put_back(Core core not None, const uint8_t[::1] image not None) -> None:
    """Make a core that has seen nothing what another one was when its image was taken.

    After an error it is good for nothing.

    Raises:
        ValueError: this is no image of such a core.
        RuntimeError: the core has seen something.
    """
    cdef Image put
    if core.trades_seen or core.quotes_seen or core.block_open:
        raise RuntimeError("an image is put into a core that has seen nothing")
    if image.shape[0] == 0:
        raise ValueError("no image of such a core")
    put.walk, put.at, put.left = PUT, <char*>&image[0], image.shape[0]
    if carry_core(&put, core) != 0 or put.left != 0:
        raise ValueError("no image of such a core")


cdef struct Outline:
    # what a node is, whatever its address
    int64_t out
    int64_t a
    int64_t b
    int64_t c
    int64_t k
    int64_t constant
    int64_t memory
    int64_t many[11]
    double x


def shape_of(Core core not None) -> bytes:
    """What cores have in common whose images are exchangeable, if one build has made them: their graphs and lanes."""
    cdef Outline outline
    cdef Node* node
    cdef Graph* graph
    cdef int i
    found = [
        b"%d %d %d %d" % (core.n_instruments, core.n_lanes, sizeof(Tape), sizeof(Lane)),
        *[b"%d %d" % (core.lanes[i].instrument, core.lanes[i].state) for i in range(core.n_lanes)],
    ]
    for program in core.programs:
        graph = &(<Program>program).graph
        found.append(repr((<Program>program).listing).encode())
        for i in range(graph.n_nodes):
            node = &graph.nodes[i]
            memset(&outline, 0, sizeof(Outline))
            outline.out, outline.a, outline.b, outline.c, outline.k = node.out, node.a, node.b, node.c, node.k
            outline.constant, outline.memory, outline.x = node.constant, node.memory, node.x
            outline.many[:] = [
                node.n_terms, node.n_denominator, node.clock, node.other_clock, node.other_instrument,
                node.needed_node, node.shape, node.restarts, node.rings, node.ring_width, node.source & 0x7FFFFFFF,
            ]
            found.append((<char*>&outline)[:sizeof(Outline)])
            if node.n_terms + node.n_denominator > 0:
                found.append((<char*>node.terms)[:(node.n_terms + node.n_denominator) * sizeof(Term)])
    return b"|".join(found)

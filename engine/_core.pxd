"""C interface of the core, for modules that extend it."""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t

from engine._account cimport Account, Holding
from engine._lanes cimport Block, Lane, Market, Record
from engine._program cimport Program
from engine._resting cimport Resting
from engine._tape cimport Tape


cdef struct Segment:
    # nodes [first, last) of one instrument's program, in the order of evaluation
    int instrument
    int first
    int last

cdef struct Tap:
    # a column that is copied to an array as it is computed; taps stand in the order of their nodes
    int instrument
    int node  # that may write whole blocks to the array itself; -1: none may
    int width  # bytes of a value
    int64_t offset
    int64_t skip  # trades of the stream before the array's first row
    int64_t n_rows  # of the array
    char* out
    char* rows  # where the block that is worked through goes, if it is whole; NULL where it does not, or not all of it


@cython.final
cdef class Core:
    cdef readonly tuple programs
    cdef int n_instruments
    cdef Tape* tapes
    cdef Holding* holdings
    cdef Lane* lanes
    cdef int n_lanes
    cdef Resting* resting  # orders at the venue
    cdef int n_resting
    cdef Market* markets
    cdef int* touched  # instruments with a record in this block
    cdef int n_touched
    cdef Block block
    cdef Account account
    cdef int64_t records_before  # accepted before this block
    cdef int block_limit  # records evaluated together, at most ``largest_block``
    cdef int largest_block  # BLOCK; one less where there are bars: the first record may close one more than its own
    cdef Segment* segments  # the order of evaluation, where instruments depend on each other; else there are none
    cdef int n_segments
    cdef Tap* taps
    cdef int n_taps
    cdef object tap_owners
    cdef int block_open
    cdef int found  # whether any lane or order has found an event in the block
    # input
    cdef const int64_t* in_ts
    cdef const int64_t* in_price
    cdef const int64_t* in_size
    cdef const int64_t* in_bid
    cdef const int64_t* in_ask
    cdef const uint16_t* in_instrument
    cdef const uint8_t* in_kind
    cdef const int64_t* in_bid_size
    cdef const int64_t* in_ask_size
    cdef int in_quotes  # whether any of the four columns of quotes is there
    cdef const int64_t* in_open  # of bars as input, as are the next three; NULL for trades
    cdef const int64_t* in_high
    cdef const int64_t* in_low
    cdef const int64_t* in_start
    cdef int64_t in_next
    cdef int64_t in_count
    cdef object in_owner
    cdef int64_t in_time  # the clock may run on to here once the records are worked through
    # time
    cdef readonly int64_t engine_ts_ns
    cdef int64_t begun  # the latest start of a bar so far
    cdef int64_t reached  # the newest record's time; engine_ts_ns runs behind it while a block is worked through
    cdef int64_t cut_ns
    cdef int64_t alarm_ns
    # the event that stopped the core
    cdef readonly int event
    cdef readonly int event_lane
    cdef readonly int event_instrument
    cdef readonly int event_state
    cdef readonly int event_stop  # of a stop: DECLARED, DECAYED, EVEN or TRAILING
    cdef readonly int64_t event_order  # of a fill, its order and lots
    cdef readonly int64_t event_lots
    cdef readonly int64_t event_ts_ns
    cdef int64_t event_key
    cdef int event_record
    cdef int event_on_record
    cdef int64_t event_price  # at which it fell, where that is not the record's own; else 0
    # per-tick callback, the slow path
    cdef readonly object callback
    cdef readonly object callback_result
    cdef int callback_record
    # counters
    cdef readonly int64_t trades_seen
    cdef readonly int64_t quotes_seen
    cdef readonly int64_t late
    cdef readonly int64_t rejected_price
    cdef readonly int64_t rejected_size
    cdef readonly int64_t rejected_instrument
    cdef readonly int64_t rejected_time

    cdef set_up_tapes(self, int instrument, Program program)
    cdef plan_evaluation(self)
    cdef int64_t* objection(self, const Record* record) noexcept nogil
    cdef int append(self, const Record* record, int single) noexcept nogil
    cdef void read_record(self, int64_t i, Record* record) noexcept nogil
    cdef void evaluate_graphs(self) noexcept nogil
    cdef void evaluate_and_fetch(self, Tape* tape) noexcept nogil
    cdef void aim_taps(self, const Tape* tape) noexcept nogil
    cdef int is_straight(self, const Tap* tap) noexcept nogil
    cdef void evaluate_straight(self, Tape* tape, const Tap* tap) noexcept nogil
    cdef void copy_taps(self) noexcept nogil
    cdef void rank_trades(self, int* rank) noexcept nogil
    cdef int append_plain_trades(self) noexcept nogil
    cdef int append_plain_trade(self) noexcept nogil
    cdef int is_plain(self) noexcept nogil
    cdef void pass_plain_trades(self) noexcept nogil
    cdef void note_plain_trades(self, int n) noexcept nogil
    cdef void begin_block(self) noexcept nogil
    cdef void finish_block(self) noexcept nogil
    cdef void search_block(self) noexcept nogil
    cdef int fill_block(self) noexcept nogil
    cdef int next_event(self, int64_t before) noexcept nogil
    cdef void research_resting(self, Resting* it) noexcept nogil
    cdef int may_fire(self) noexcept nogil
    cdef int take_fill(self, Resting* it) noexcept nogil
    cdef int64_t timer_ts(self, const Lane* lane) noexcept nogil
    cdef int64_t alarm_key(self) noexcept nogil
    cdef int next_block(self) noexcept nogil
    cdef int come_to_cut(self) noexcept nogil
    cdef void begin_time_block(self, int64_t ts) noexcept nogil
    cdef int run(self) noexcept nogil
    cdef int run_with_callback(self) except -2
    cdef void take(self, int event, int lane, int64_t key, int64_t ts) noexcept nogil
    cdef void research(self, int lane) noexcept nogil
    cdef int64_t price_before(self, int instrument, int record, int inclusive) noexcept nogil
    cdef void hold(self, int instrument, int64_t lots, int64_t unit, int64_t mark_ticks) noexcept nogil
    cdef int first_held(self) noexcept nogil
    cdef Resting* find_resting(self, int64_t order) except NULL
    cdef int record_of_quote(self, int instrument) noexcept nogil
    cdef check_instrument(self, int instrument)
    cdef check_lane(self, int lane)

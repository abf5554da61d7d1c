# cython: language_level=3, auto_pickle=False, autotestdict=False
"""Records in segments of memory: the writer and the scanner of journals. Files are ``engine.journal_files``' business.

A record is a header of 24 bytes and a payload, both multiples of 8 bytes, all integers little-endian:

    0   u32  length of the whole record; written last, so that a record is there entirely or not at all
    4   u32  CRC-32C of the length and of everything from byte 8 on, begun with the checksum of the record before
    8   u64  sequence number
    16  u16  type, u16 version of the type
    20  u32  rows of a block of ticks, otherwise 0

Checksums that begin with their predecessor's are a chain: a record that is lost, repeated or moved breaks it, and what
comes before the break is exactly what was written. The scanner believes nothing that it has not checked.

Appending allocates nothing and needs no GIL. ``docs/reference/journal.md`` describes the format in full.
"""

cimport cython
cimport numpy as cnp
from libc.string cimport memcpy

import numpy as np

cnp.import_array()

cdef extern from "_publish.h":
    void publish_u32(void* where, uint32_t value) noexcept nogil

cdef extern from "_crc32c.h":
    void crc32c_begin() noexcept nogil
    uint32_t crc32c_extend(uint32_t crc, const uint8_t* data, size_t count) noexcept nogil
    uint32_t crc32c_by_table(uint32_t crc, const uint8_t* data, size_t count) noexcept nogil

cdef extern from "_blake2b.h":
    ctypedef struct blake2b_state:
        uint64_t waiting
    void blake2b_begin(blake2b_state* it) noexcept nogil
    void blake2b_add(blake2b_state* it, const uint8_t* data, size_t count) noexcept nogil
    void blake2b_end(const blake2b_state* it, uint8_t* digest) noexcept nogil

MAX_RECORD = MAX_RECORD_
HEADER_BYTES = HEADER_BYTES_

TICKS, TICK = 16, 17

COLUMNS = (
    "ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks", "bid_lots", "ask_lots", "instrument", "kind",
    "open_ticks", "high_ticks", "low_ticks", "start_ns")
"""Columns of a block in the order in which a record holds them."""

MAX_ROWS = 8192
"""Rows of one record; a longer block becomes several."""

cdef int _INSTRUMENT = 7, _KIND = 8

cdef enum:
    JOINED_ = 32768  # rows of records that are read together

# ---------------------------------------------------------------- CRC-32C

crc32c_begin()


def crc32c(const uint8_t[::1] data not None, uint32_t seed=0, bint by_table=False) -> int:
    """Return the CRC-32C of bytes; ``seed`` is the checksum of what comes before them.

    ``by_table`` leaves the processor's instruction aside; the result is the same.
    """
    cdef const uint8_t* begin = &data[0] if data.shape[0] else NULL
    return (crc32c_by_table if by_table else crc32c_extend)(seed, begin, data.shape[0])


cdef inline uint32_t _checksum_of(uint32_t before, const uint8_t* record, uint32_t length) noexcept nogil:
    cdef uint32_t crc = crc32c_extend(before, <const uint8_t*>&length, 4)
    return crc32c_extend(crc, record + 8, length - 8)


# ---------------------------------------------------------------- the hash of decisions

@cython.final
cdef class Fold:
    """The hash of all that is added, as ``hashlib.blake2b`` of 16 bytes makes it, and its state can be kept.

    Args:
        state: what ``state`` was; empty for the beginning.

    Raises:
        ValueError: that is no such state.
    """

    cdef blake2b_state _it

    def __init__(self, bytes state=b""):
        blake2b_begin(&self._it)
        if state:
            if len(state) != sizeof(blake2b_state):
                raise ValueError("no state of a hash")
            memcpy(&self._it, <const char*>state, sizeof(blake2b_state))
            if self._it.waiting > 128:
                raise ValueError("no state of a hash")

    def update(self, bytes data not None) -> None:
        """Add bytes."""
        blake2b_add(&self._it, <const uint8_t*><const char*>data, len(data))

    def hexdigest(self) -> str:
        """The hash of everything so far."""
        cdef uint8_t[16] digest
        blake2b_end(&self._it, digest)
        return (<bytes>(<char*>digest)[:16]).hex()

    def copy(self) -> Fold:
        """Another one that goes on from here."""
        return Fold(self.state)

    @property
    def state(self) -> bytes:
        """What it is, for another one to go on from."""
        return (<char*>&self._it)[:sizeof(blake2b_state)]


# ---------------------------------------------------------------- writing

cdef inline int64_t _value(const Column* column, Py_ssize_t row) noexcept nogil:
    if column.bytes == 8:
        return (<const int64_t*>column.data)[row]
    if column.bytes == 2:
        return (<const uint16_t*>column.data)[row]
    return (<const uint8_t*>column.data)[row]


@cython.final
cdef class Writer:
    """Appends records to a segment: writable memory that is zero from ``at`` on.

    Every method that appends says whether there was room; when there was none, nothing has changed, and ``end`` still
    has room for the mark that names what follows.
    """

    def __init__(self, memory, Py_ssize_t at, uint64_t sequence, uint32_t checksum):
        self.sequence, self.checksum = sequence, checksum
        self.take(memory, at)

    def take(self, memory, Py_ssize_t at) -> None:
        """Go on in another segment, from byte ``at`` on."""
        cdef uint8_t[::1] view = memory
        if at < 0 or at % 8 or view.shape[0] < at + HEADER_BYTES_:
            raise ValueError("a segment has room for a mark, and begins on a multiple of 8")
        self.memory, self.base, self.at = view, &view[0], at
        self.limit = view.shape[0] // 8 * 8 - HEADER_BYTES_

    def release(self) -> None:
        """Let go of the memory, so that it can be unmapped; nothing may be appended any more."""
        self.limit = self.at = 0
        self.base = NULL
        self.memory = None

    @property
    def left(self) -> int:
        """Bytes that records may still fill here."""
        return self.limit - self.at

    cdef void _finish(self, uint8_t* record, uint32_t length, uint16_t type, uint16_t version,
                      uint32_t rows) noexcept nogil:
        """Fill in a header around its payload, the length last."""
        memcpy(record + 8, &self.sequence, 8)
        memcpy(record + 16, &type, 2)
        memcpy(record + 18, &version, 2)
        memcpy(record + 20, &rows, 4)
        self.checksum = _checksum_of(self.checksum, record, length)
        memcpy(record + 4, &self.checksum, 4)
        publish_u32(record, length)
        self.sequence += 1
        self.at += length

    cdef bint put(self, uint16_t type, uint16_t version, uint32_t rows, const void* payload,
                  Py_ssize_t count) noexcept nogil:
        cdef Py_ssize_t length = HEADER_BYTES_ + (count + 7) // 8 * 8
        if length > MAX_RECORD_ or self.at + length > self.limit:
            return False
        cdef uint8_t* record = self.base + self.at
        if count:
            memcpy(record + HEADER_BYTES_, payload, count)
        self._finish(record, <uint32_t>length, type, version, rows)
        return True

    def append(self, uint16_t type, uint16_t version, const uint8_t[::1] payload not None) -> bool:
        """Append a record; its payload is filled up with zeros to a multiple of 8 bytes."""
        cdef const uint8_t* data = &payload[0] if payload.shape[0] else NULL
        return self.put(type, version, 0, data, payload.shape[0])

    def end(self, uint16_t type) -> None:
        """Append an empty record in the room that is kept for it: nothing follows in this segment."""
        if self.base is NULL or self.at > self.limit:
            raise ValueError("the segment has ended")
        self._finish(self.base + self.at, HEADER_BYTES_, type, 1, 0)
        self.limit = self.at - HEADER_BYTES_

    cdef bint put_tick(self, uint64_t instrument, int64_t ts_ns, int64_t price_ticks, int64_t size_lots,
                       int64_t bid_ticks, int64_t ask_ticks) noexcept nogil:
        cdef int64_t[6] tick
        tick[0], tick[1], tick[2] = <int64_t>instrument, ts_ns, price_ticks
        tick[3], tick[4], tick[5] = size_lots, bid_ticks, ask_ticks
        return self.put(17, 1, 0, tick, sizeof(tick))

    def append_tick(self, uint64_t instrument, int64_t ts_ns, int64_t price_ticks, int64_t size_lots,
                    int64_t bid_ticks=0, int64_t ask_ticks=0) -> bool:
        """Append one trade, as ``Kernel.push`` takes it."""
        return self.put_tick(instrument, ts_ns, price_ticks, size_lots, bid_ticks, ask_ticks)

    cdef bint put_block(self, const Column* columns, uint32_t rows) noexcept nogil:
        """Each column as its least value and the differences to it, in as few bytes as the largest one needs."""
        cdef int64_t[COLUMNS_] least
        cdef int[COLUMNS_] width
        cdef int64_t value, most
        cdef uint64_t span, packed, shape = 0
        cdef Py_ssize_t length = HEADER_BYTES_ + 8
        cdef Py_ssize_t row
        cdef int number
        cdef uint8_t* record
        cdef uint8_t* out
        for number in range(COLUMNS_):
            if not columns[number].bytes:
                continue
            least[number] = most = _value(&columns[number], 0)
            for row in range(1, rows):
                value = _value(&columns[number], row)
                if value < least[number]:
                    least[number] = value
                elif value > most:
                    most = value
            span = <uint64_t>most - <uint64_t>least[number]
            width[number] = 0 if not span else 1 if span < 256 else 2 if span < 65536 else 4 if span >> 32 == 0 else 8
            shape |= <uint64_t>(width[number] + 1) << (4 * number)
            length += 8 + (<Py_ssize_t>width[number] * rows + 7) // 8 * 8
        if length > MAX_RECORD_ or self.at + length > self.limit:
            return False
        record = self.base + self.at
        memcpy(record + HEADER_BYTES_, &shape, 8)
        out = record + HEADER_BYTES_ + 8
        for number in range(COLUMNS_):
            if not columns[number].bytes:
                continue
            memcpy(out, &least[number], 8)
            out += 8
            if not width[number]:
                continue
            for row in range(rows):
                packed = <uint64_t>_value(&columns[number], row) - <uint64_t>least[number]
                memcpy(out + row * width[number], &packed, width[number])
            out += (<Py_ssize_t>width[number] * rows + 7) // 8 * 8
        self._finish(record, <uint32_t>length, 16, 1, rows)
        return True

    def append_block(self, block, Py_ssize_t start, Py_ssize_t stop) -> bool:
        """Append the rows [start, stop) of a ``TickBlock`` as one record; at most ``MAX_ROWS`` and at least one.

        Columns are as ``TickBlock`` promises them: contiguous, of equal length and of their exact types.
        """
        cdef Column[COLUMNS_] columns
        cdef cnp.ndarray values
        cdef int number, kind
        cdef Py_ssize_t rows = stop - start, all_rows = len(block)
        if not 0 < rows <= 8192 or start < 0 or stop > all_rows:
            raise ValueError("a record holds 1 to 8,192 of the block's rows")
        for number in range(COLUMNS_):
            found = getattr(block, COLUMNS[number])
            columns[number].bytes = 0
            if found is None:
                continue
            values = found
            kind = cnp.NPY_UINT16 if number == _INSTRUMENT else cnp.NPY_UINT8 if number == _KIND else cnp.NPY_INT64
            if cnp.PyArray_TYPE(values) != kind or not cnp.PyArray_IS_C_CONTIGUOUS(values):
                raise ValueError(f"the column {COLUMNS[number]} is not a contiguous one of its type")
            if cnp.PyArray_NDIM(values) != 1 or cnp.PyArray_DIM(values, 0) != all_rows:
                raise ValueError("the columns differ in length")
            columns[number].bytes = <int>cnp.PyArray_ITEMSIZE(values)
            columns[number].data = cnp.PyArray_BYTES(values) + start * columns[number].bytes
        return self.put_block(columns, <uint32_t>rows)


def touch(memory) -> None:
    """Write a zero to every page of zeroed memory, without the GIL: no later append waits for the page."""
    cdef uint8_t[::1] view = memory
    cdef Py_ssize_t at
    with nogil:
        for at in range(0, view.shape[0], 4096):
            view[at] = 0


# ---------------------------------------------------------------- reading

@cython.final
cdef class Scanner:
    """Steps through the records of a segment, checking each one before it says anything of it.

    Args:
        data: the segment's bytes.
        at: where its first record begins.
        sequence, checksum: of the next record and of the one before, as the segment's own header says.
    """

    cdef const uint8_t[::1] data
    cdef readonly Py_ssize_t at           # where the next record begins, or why there is none
    cdef readonly uint64_t sequence       # of the next record
    cdef readonly uint32_t checksum       # of the last one
    cdef readonly int type
    cdef readonly int version
    cdef readonly int rows
    cdef readonly str problem             # why the scan ended; "" while it goes on, and where everything is in order
    cdef Py_ssize_t _start
    cdef list _arrays                     # that ``join`` fills, and where they begin
    cdef int64_t* _out[COLUMNS_]
    cdef uint64_t _joined                 # the columns that they are for

    def __init__(self, data, Py_ssize_t at, uint64_t sequence, uint32_t checksum):
        self.data, self.at, self.sequence, self.checksum, self.problem = data, at, sequence, checksum, ""

    cpdef bint step(self):
        """Go to the next record; False at the end, or where one is not what was written."""
        cdef uint32_t length, found, rows
        cdef uint64_t sequence
        cdef uint16_t type, version
        cdef Py_ssize_t left = self.data.shape[0] - self.at
        cdef const uint8_t* record
        if self.problem:
            return False
        if left < HEADER_BYTES_:
            if not self._empty_from(self.at):
                self.problem = "a record is cut off"
            return False
        record = &self.data[self.at]
        memcpy(&length, record, 4)
        if not length:
            if not self._empty_from(self.at):
                self.problem = "a record was never finished"
            return False
        if length < HEADER_BYTES_ or length > MAX_RECORD_ or length % 8:
            self.problem = f"a record of {length} bytes"
            return False
        if length > left:
            self.problem = f"a record of {length} bytes is cut off after {left}"
            return False
        memcpy(&found, record + 4, 4)
        if found != _checksum_of(self.checksum, record, length):
            self.problem = "a wrong checksum"
            return False
        memcpy(&sequence, record + 8, 8)
        if sequence != self.sequence:
            self.problem = f"record {sequence} where {self.sequence} belongs"
            return False
        memcpy(&type, record + 16, 2)
        memcpy(&version, record + 18, 2)
        memcpy(&rows, record + 20, 4)
        self.type, self.version, self.rows = type, version, <int>rows
        self._start = self.at + HEADER_BYTES_
        self.checksum, self.at = found, self.at + length
        self.sequence += 1
        return True

    cdef bint _empty_from(self, Py_ssize_t at) noexcept:
        while at < self.data.shape[0]:
            if self.data[at]:
                return False
            at += 1
        return True

    def join(self) -> tuple:
        """Read the block of ticks that the record holds, and go on with the next ones while they have its columns.

        Returns the columns of all of them and how many records they are. The arrays are used again by the next call.

        Raises:
            ValueError: one is not what ``append_block`` writes.
        """
        cdef const uint8_t* payload = &self.data[self._start]
        cdef Py_ssize_t filled = 0, records = 0
        cdef uint64_t columns
        if self.at - self._start < 8 or not 0 < self.rows <= 8192:
            raise ValueError("no block of ticks")
        columns = columns_in(payload)
        if self._arrays is None or columns != self._joined:
            self._arrays, self._joined = arrays_for(columns, JOINED_, self._out), columns
        while True:
            payload = &self.data[self._start]
            if not unpack_block(payload, self.at - self._start, self.rows, self._out, filled):
                raise ValueError("a block that is not as long as its columns, or has unknown ones")
            filled += self.rows
            records += 1
            if not self._joins(filled) or not self.step():
                return columns_of(self._arrays, filled), records

    cdef bint _joins(self, Py_ssize_t filled) noexcept:
        """Whether the next record looks like another block of the same columns, and there is room for its rows."""
        cdef const uint8_t* record
        cdef uint32_t length, rows
        cdef uint16_t type, version
        if self.data.shape[0] - self.at < HEADER_BYTES_ + 8:
            return False
        record = &self.data[self.at]
        memcpy(&length, record, 4)
        memcpy(&type, record + 16, 2)
        memcpy(&version, record + 18, 2)
        memcpy(&rows, record + 20, 4)
        if length < HEADER_BYTES_ + 8 or type != 16 or version != 1 or not 0 < rows <= 8192:
            return False
        return filled + rows <= JOINED_ and columns_in(record + HEADER_BYTES_) == self._joined

    def pass_to(self, Py_ssize_t at) -> bool:
        """Step on until ``at``, where a record must begin; False where none does, or one before is not in order."""
        while self.at < at and self.step():
            pass
        return self.at == at and not self.problem

    def empty_rest(self) -> bool:
        """Whether nothing but zeros follows."""
        return self._empty_from(self.at)

    @property
    def payload(self) -> bytes:
        """What the record holds, with the zeros that fill it up."""
        return bytes(self.data[self._start:self.at])


cdef bint looks_like_record(const uint8_t[::1] data, Py_ssize_t at, uint64_t low, uint64_t high) noexcept nogil:
    """Whether a record's length and sequence number could stand there."""
    cdef uint32_t length
    cdef uint64_t sequence
    if data.shape[0] - at < HEADER_BYTES_:
        return False
    memcpy(&length, &data[at], 4)
    memcpy(&sequence, &data[at + 8], 8)
    if length < HEADER_BYTES_ or length > MAX_RECORD_ or length % 8 or length > data.shape[0] - at:
        return False
    return low <= sequence <= high


def find_record(const uint8_t[::1] data not None, Py_ssize_t at, uint64_t lowest, uint64_t highest):
    """Find a whole record behind a place at which there is none: one that goes on from the checksum before it.

    Args:
        data: the segment's bytes.
        at: where to look from; a multiple of 8.
        lowest, highest: which record may begin there.

    Returns:
        Where a ``Scanner`` may begin: place, sequence number and the checksum before it; None where there is no such
        record.
    """
    cdef Py_ssize_t begin = at, following
    cdef uint32_t length, before, found, following_length
    cdef uint64_t number
    while data.shape[0] - at >= 2 * HEADER_BYTES_:
        if looks_like_record(data, at, lowest, highest + (at - begin) // HEADER_BYTES_):
            memcpy(&length, &data[at], 4)
            memcpy(&before, &data[at + 4], 4)
            memcpy(&number, &data[at + 8], 8)
            following = at + length
            if looks_like_record(data, following, number + 1, number + 1):
                memcpy(&following_length, &data[following], 4)
                memcpy(&found, &data[following + 4], 4)
                if found == _checksum_of(before, &data[following], following_length):
                    return following, number + 1, before
        at += 8
    return None


cdef bint unpack_block(
    const uint8_t* payload, Py_ssize_t length, Py_ssize_t rows, int64_t** out, Py_ssize_t first
) noexcept nogil:
    """Write a block's columns from row ``first`` on; False where the record is not what ``put_block`` makes."""
    cdef uint64_t shape, base, packed
    cdef const uint8_t* cells
    cdef int64_t* column
    cdef Py_ssize_t row, at = 8
    cdef int number, width
    memcpy(&shape, payload, 8)
    if shape >> (4 * COLUMNS_):
        return False
    for number in range(COLUMNS_):
        width = <int>((shape >> (4 * number)) & 15) - 1
        if width < 0:
            continue
        if (width > 2 and width != 4 and width != 8) or at + 8 + (width * rows + 7) // 8 * 8 > length:
            return False
        memcpy(&base, payload + at, 8)
        cells = payload + at + 8
        column = out[number] + first
        if width == 1:
            for row in range(rows):
                column[row] = <int64_t>(base + cells[row])
        elif width == 2:
            for row in range(rows):
                column[row] = <int64_t>(base + (<const uint16_t*>cells)[row])
        elif width == 4:
            for row in range(rows):
                column[row] = <int64_t>(base + (<const uint32_t*>cells)[row])
        else:
            packed = 0
            for row in range(rows):
                if width:
                    memcpy(&packed, cells + row * 8, 8)
                column[row] = <int64_t>(base + packed)
        at += 8 + (width * rows + 7) // 8 * 8
    return at == length


cdef inline uint64_t columns_in(const uint8_t* payload) noexcept nogil:
    """Which columns a block has, a bit for each."""
    cdef uint64_t shape, found = 0
    cdef int number
    memcpy(&shape, payload, 8)
    for number in range(COLUMNS_):
        found |= <uint64_t>((shape >> (4 * number)) & 15 != 0) << number
    return found


cdef dict columns_of(list arrays, Py_ssize_t rows):
    """The first rows of the arrays that there are, by name and with their exact types."""
    kinds = {_INSTRUMENT: np.uint16, _KIND: np.uint8}
    return {
        COLUMNS[number]: array[:rows].astype(kinds[number]) if number in kinds else array[:rows]
        for number, array in enumerate(arrays)
        if array is not None
    }


def read_block(const uint8_t[::1] payload not None, Py_ssize_t rows) -> dict:
    """Return the columns of a block's record by name.

    Raises:
        ValueError: it is not what ``append_block`` writes.
    """
    cdef int64_t* out[COLUMNS_]
    if payload.shape[0] < 8 or not 0 < rows <= 8192:
        raise ValueError("no block of ticks")
    arrays = arrays_for(columns_in(&payload[0]), rows, out)
    if not unpack_block(&payload[0], payload.shape[0], rows, out, 0):
        raise ValueError("a block that is not as long as its columns, or has unknown ones")
    return columns_of(arrays, rows)


cdef list arrays_for(uint64_t columns, Py_ssize_t rows, int64_t** out):
    """An array of so many rows for each of the columns, None for the others; ``out`` has where they begin."""
    cdef int number
    arrays = [np.empty(rows, np.int64) if columns >> number & 1 else None for number in range(COLUMNS_)]
    for number in range(COLUMNS_):
        out[number] = NULL if arrays[number] is None else <int64_t*>cnp.PyArray_DATA(<cnp.ndarray>arrays[number])
    return arrays

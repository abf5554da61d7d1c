# cython: language_level=3
"""What other compiled code may use of the journal's writer: appending without Python. See ``_journal.pyx``."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    HEADER_BYTES_ = 24      # of a record
    COLUMNS_ = 13           # of a block of ticks
    MAX_RECORD_ = 1 << 20   # bytes of the longest record

cdef struct Column:
    const void* data
    int bytes               # of one value: 1, 2 or 8; 0 for a column that the block does not have

cdef class Writer:
    cdef uint8_t[::1] memory
    cdef uint8_t* base
    cdef readonly Py_ssize_t at           # where the next record goes
    cdef readonly Py_ssize_t limit        # what records may fill: the rest is for the mark that ends the segment
    cdef readonly uint64_t sequence       # of the next record
    cdef readonly uint32_t checksum       # of the last one
    cdef bint put(self, uint16_t type, uint16_t version, uint32_t rows, const void* payload,
                  Py_ssize_t count) noexcept nogil
    cdef bint put_tick(self, uint64_t instrument, int64_t ts_ns, int64_t price_ticks, int64_t size_lots,
                       int64_t bid_ticks, int64_t ask_ticks) noexcept nogil
    cdef bint put_block(self, const Column* columns, uint32_t rows) noexcept nogil
    cdef void _finish(self, uint8_t* record, uint32_t length, uint16_t type, uint16_t version,
                      uint32_t rows) noexcept nogil

"""Running totals on the ring and their differences, for Cython: see ``_totals.h`` for what each computes and why."""

from libc.stdint cimport int64_t, uint64_t

from engine._int128 cimport i128


cdef extern from "_totals.h" nogil:
    ctypedef struct Totals:
        uint64_t size
        uint64_t price
        uint64_t price_size
        uint64_t price_squared

    void run_totals(Totals* cells, const int64_t* price, const int64_t* size, uint64_t* bits, int n)
    void one_difference(
        const uint64_t* ends, const uint64_t* totals, int64_t mask, const int64_t* tail, int64_t* out, int n
    )
    void one_wide_difference(
        const uint64_t* ends, const uint64_t* totals, int64_t mask, const int64_t* tail, i128* out, int n
    )
    void all_differences(
        const Totals* ends, const Totals* totals, int64_t mask, const int64_t* tail, int64_t* size, int64_t* price,
        i128* price_size, i128* price_squared, int n
    )

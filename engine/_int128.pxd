"""Exact 128-bit integers for Cython: see ``_int128.h`` for why there are two implementations."""

from libc.stdint cimport int64_t, uint64_t


cdef extern from "_int128.h" nogil:
    ctypedef struct i128:
        pass
    i128 i128_make(int64_t hi, uint64_t lo)
    i128 i128_of(int64_t a)
    i128 i128_add(i128 a, i128 b)
    i128 i128_sub(i128 a, i128 b)
    i128 i128_mul64(int64_t a, int64_t b)
    i128 i128_mul(i128 a, int64_t b)
    int i128_sign(i128 a)
    int i128_less(i128 a, i128 b)
    double i128_double(i128 a)
    int64_t i128_hi(i128 a)
    uint64_t i128_lo(i128 a)

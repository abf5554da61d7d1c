"""Loops that are compiled twice, for Cython: see ``_loops.h`` for what each computes and why."""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from engine._int128 cimport i128


cdef extern from "_loops.h" nogil:
    uint64_t bits_of(const int64_t* x, uint64_t less, int n)
    int64_t falls_of(const int64_t* ts, int n)
    void divide_each(double* out, const double* below, int n)
    void divide_by(double* out, const double* above, double below, int n)
    void root_of_each(double* out, const double* of, int n)
    uint64_t doubles_of(double* out, const int64_t* x, uint64_t reach, int n)
    uint64_t sums_of(
        double* out, const int64_t* x, const int64_t* y, double cx, double cy, double c, uint64_t reach, int n
    )
    uint64_t quotients_by_number(
        double* out, const int64_t* x, const int64_t* y, double cx, double cy, double c, double below, uint64_t reach,
        int n
    )
    uint64_t quotients_by_column(
        double* out, const int64_t* x, const int64_t* y, const int64_t* z, double cx, double cy, double c, double d,
        uint64_t reach, int n
    )
    uint64_t quotients_of_one(double* out, const i128* w, const int64_t* x, double c, double d, int n)
    uint64_t variances(double* out, const i128* w, const int64_t* x, const int64_t* n, int m)
    void sums_reach(
        uint8_t* out, const int64_t* x, const int64_t* y, const int64_t* z, int64_t cx, int64_t cy, int64_t cz,
        int64_t least, int terms, int n
    )

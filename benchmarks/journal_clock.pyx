# cython: language_level=3
"""Times appends where they happen, in C: compiled by ``bench_journal.py`` against ``engine/_journal.pxd``."""

from libc.stdint cimport int64_t, uint8_t

from engine._journal cimport Writer

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* now)
    int CLOCK_MONOTONIC


cdef inline int64_t now_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


def single_ns(Writer writer, int64_t[::1] took) -> int:
    """Append 64-byte records, one clock reading between any two; return how many had room."""
    cdef uint8_t[40] payload
    cdef Py_ssize_t n
    cdef int64_t before, after
    for n in range(40):
        payload[n] = <uint8_t>n
    with nogil:
        before = now_ns()
        for n in range(took.shape[0]):
            if not writer.put(70, 1, 0, payload, 40):
                break
            after = now_ns()
            took[n] = after - before
            before = after
        else:
            n = took.shape[0]
    return n


def clock_ns(int64_t[::1] took) -> None:
    """What a clock reading costs by itself."""
    cdef Py_ssize_t n
    cdef int64_t before = now_ns(), after
    with nogil:
        for n in range(took.shape[0]):
            after = now_ns()
            took[n] = after - before
            before = after


def many_ns(Writer writer, Py_ssize_t count) -> float:
    """Append so many 64-byte records between two clock readings; return nanoseconds per record."""
    cdef uint8_t[40] payload
    cdef Py_ssize_t n, done = 0
    cdef int64_t before
    for n in range(40):
        payload[n] = <uint8_t>n
    with nogil:
        before = now_ns()
        while done < count and writer.put(70, 1, 0, payload, 40):
            done += 1
        before = now_ns() - before
    if done < count:
        raise ValueError("the segment is too small")
    return <double>before / count

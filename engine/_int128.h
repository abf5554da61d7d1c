/* Exact 128-bit signed integers for window sums and threshold comparisons.
 *
 * Compilers with __int128 (gcc, clang) use it. The portable form serves the others (MSVC) and is tested everywhere by
 * building with MICROBURST_PORTABLE_INT128. Every operation is exact modulo 2**128; the static bounds on inputs
 * (prices and sizes below 2**40, windows of at most 2**22 records) keep all results of interest far from the edge.
 */
#ifndef MICROBURST_INT128_H
#define MICROBURST_INT128_H

#include <math.h>
#include <stdint.h>

#if defined(__SIZEOF_INT128__) && !defined(MICROBURST_PORTABLE_INT128)

typedef __int128 i128;

static inline i128 i128_make(int64_t hi, uint64_t lo) { return (i128)(((unsigned __int128)(uint64_t)hi << 64) | lo); }
static inline i128 i128_of(int64_t a) { return (i128)a; }
static inline i128 i128_add(i128 a, i128 b) { return (i128)((unsigned __int128)a + (unsigned __int128)b); }
static inline i128 i128_sub(i128 a, i128 b) { return (i128)((unsigned __int128)a - (unsigned __int128)b); }
static inline i128 i128_mul64(int64_t a, int64_t b) { return (i128)a * b; }
static inline i128 i128_mul(i128 a, int64_t b) { return (i128)((unsigned __int128)a * (unsigned __int128)(i128)b); }
static inline int i128_sign(i128 a) { return (a > 0) - (a < 0); }
static inline int i128_less(i128 a, i128 b) { return a < b; }
static inline double i128_double(i128 a) {
    int64_t low = (int64_t)a; /* most sums fit, and a conversion of 64 bits is an instruction */
    return (i128)low == a ? (double)low : (double)a;
}
static inline int64_t i128_hi(i128 a) { return (int64_t)(a >> 64); }
static inline uint64_t i128_lo(i128 a) { return (uint64_t)a; }

#else

typedef struct { uint64_t lo; int64_t hi; } i128;

static inline i128 i128_make(int64_t hi, uint64_t lo) { i128 r; r.lo = lo; r.hi = hi; return r; }
static inline i128 i128_of(int64_t a) { return i128_make(a < 0 ? -1 : 0, (uint64_t)a); }
static inline i128 i128_add(i128 a, i128 b) {
    uint64_t lo = a.lo + b.lo;
    return i128_make((int64_t)((uint64_t)a.hi + (uint64_t)b.hi + (lo < a.lo)), lo);
}
static inline i128 i128_sub(i128 a, i128 b) {
    return i128_make((int64_t)((uint64_t)a.hi - (uint64_t)b.hi - (a.lo < b.lo)), a.lo - b.lo);
}
/* Unsigned 64 x 64 -> 128 by four 32-bit products. */
static inline i128 i128_umul64(uint64_t a, uint64_t b) {
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t p00 = a0 * b0, p01 = a0 * b1, p10 = a1 * b0, p11 = a1 * b1;
    uint64_t middle = (p00 >> 32) + (uint32_t)p01 + (uint32_t)p10;
    return i128_make((int64_t)(p11 + (p01 >> 32) + (p10 >> 32) + (middle >> 32)), (middle << 32) | (uint32_t)p00);
}
static inline i128 i128_mul(i128 a, int64_t b) {
    /* Two's complement: the low 128 bits of the product of the sign-extended operands. */
    uint64_t b_hi = b < 0 ? ~(uint64_t)0 : 0;
    i128 r = i128_umul64(a.lo, (uint64_t)b);
    r.hi = (int64_t)((uint64_t)r.hi + (uint64_t)a.hi * (uint64_t)b + a.lo * b_hi);
    return r;
}
static inline i128 i128_mul64(int64_t a, int64_t b) { return i128_mul(i128_of(a), b); }
static inline int i128_sign(i128 a) { return a.hi < 0 ? -1 : (a.hi > 0 || a.lo > 0); }
static inline int i128_less(i128 a, i128 b) { return a.hi < b.hi || (a.hi == b.hi && a.lo < b.lo); }
static inline int64_t i128_hi(i128 a) { return a.hi; }
static inline uint64_t i128_lo(i128 a) { return a.lo; }
static inline double i128_double(i128 a) {
    /* Round to nearest, ties to even, once: keep 62 leading bits with the rest folded into a sticky bit. */
    int negative = a.hi < 0, shift = 0;
    uint64_t sticky = 0;
    double r;
    if (negative) a = i128_sub(i128_of(0), a);
    while ((uint64_t)a.hi != 0 || a.lo >> 62) {
        sticky |= a.lo & 1;
        a.lo = (a.lo >> 1) | ((uint64_t)a.hi << 63);
        a.hi = (int64_t)((uint64_t)a.hi >> 1);
        shift++;
    }
    r = ldexp((double)(int64_t)(a.lo | sticky), shift);
    return negative ? -r : r;
}

#endif
#endif

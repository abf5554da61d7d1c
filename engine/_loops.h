/* Loops that are compiled twice: for any processor, and for those that do four at a time (AVX2).
 *
 * Which one runs is found out on the machine, so that one build serves all. Both are the same operations on the same
 * numbers, rounded each by itself (-ffp-contract=off), so their results are the same to the bit. With the environment
 * variable MICROBURST_PLAIN_LOOPS set when a module is loaded its plain ones run, for whoever wants to see that.
 */
#ifndef MICROBURST_LOOPS_H
#define MICROBURST_LOOPS_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "_int128.h"

#if defined(__GNUC__) && defined(__x86_64__)

static int microburst_wide = 0;

__attribute__((constructor)) static void microburst_find_wide(void)
{
    __builtin_cpu_init();
    microburst_wide = __builtin_cpu_supports("avx2") && getenv("MICROBURST_PLAIN_LOOPS") == NULL;
}

#define LOOP(TYPE, NAME, PARAMETERS, ARGUMENTS)                                                                 \
    static inline __attribute__((always_inline)) TYPE NAME##_body PARAMETERS;                                   \
    static __attribute__((noinline)) TYPE NAME##_plain PARAMETERS { return NAME##_body ARGUMENTS; }             \
    __attribute__((target("avx2"))) static TYPE NAME##_wide PARAMETERS { return NAME##_body ARGUMENTS; }        \
    static inline TYPE NAME PARAMETERS                                                                          \
    {                                                                                                           \
        return microburst_wide ? NAME##_wide ARGUMENTS : NAME##_plain ARGUMENTS;                                \
    }                                                                                                           \
    static inline __attribute__((always_inline)) TYPE NAME##_body PARAMETERS

#else
#define LOOP(TYPE, NAME, PARAMETERS, ARGUMENTS) static inline TYPE NAME PARAMETERS
#endif

/* The halves of wide integers, each as an array of its own would be read: compilers do several at once, where they take
 * the integers apart one by one. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LOWER(W, K) (((const uint64_t *)(W))[2 * (int64_t)(K) + 1])
#define UPPER(W, K) (((const uint64_t *)(W))[2 * (int64_t)(K)])
#else
#define LOWER(W, K) (((const uint64_t *)(W))[2 * (int64_t)(K)])
#define UPPER(W, K) (((const uint64_t *)(W))[2 * (int64_t)(K) + 1])
#endif

/* An integer below 2**51 either side of 0 as a double: processors of the plain x86-64 convert one at a time, but an
 * addition to the bits of 1.5 * 2**52 does the same to several. Larger ones come out wrong. */
static inline double small_double(int64_t value)
{
    union { uint64_t bits; double number; } shifted;
    shifted.bits = (uint64_t)value + UINT64_C(0x4338000000000000);
    return shifted.number - 6755399441055744.0;
}

/* All bits that any of some integers has, less ``less`` each. */
LOOP(uint64_t, bits_of, (const int64_t *x, uint64_t less, int n), (x, less, n))
{
    uint64_t bits = 0;
    int k;
    for (k = 0; k < n; k++)
        bits |= (uint64_t)x[k] - less;
    return bits;
}

/* Negative where one of some times, which are below 2**62, is less than the one before it. */
LOOP(int64_t, falls_of, (const int64_t *ts, int n), (ts, n))
{
    int64_t falls = 0;
    int k;
    for (k = 1; k < n; k++)
        falls |= ts[k] - ts[k - 1];
    return falls;
}

/* Divide each by its denominator; NaN for one of 0. Dividing first, whatever it is, lets compilers do several. */
LOOP(void, divide_each, (double *out, const double *below, int n), (out, below, n))
{
    int k;
    for (k = 0; k < n; k++) {
        double value = out[k] / below[k];
        out[k] = below[k] != 0 ? value : NAN;
    }
}

LOOP(void, divide_by, (double *out, const double *above, double below, int n), (out, above, below, n))
{
    int k;
    for (k = 0; k < n; k++)
        out[k] = above[k] / below;
}

/* Square roots; NaN below 0. */
LOOP(void, root_of_each, (double *out, const double *of, int n), (out, of, n))
{
    int k;
    for (k = 0; k < n; k++) {
        double value = sqrt(of[k]);
        out[k] = of[k] >= 0 ? value : NAN;
    }
}

/* Small integers as doubles; returns the bits that any of them plus ``reach`` had. */
LOOP(uint64_t, doubles_of, (double *out, const int64_t *x, uint64_t reach, int n), (out, x, reach, n))
{
    uint64_t bits = 0;
    int k;
    for (k = 0; k < n; k++) {
        bits |= (uint64_t)x[k] + reach;
        out[k] = small_double(x[k]);
    }
    return bits;
}

/* The same of ``cx * x + cy * y + c``. */
LOOP(uint64_t, sums_of,
     (double *out, const int64_t *x, const int64_t *y, double cx, double cy, double c, uint64_t reach, int n),
     (out, x, y, cx, cy, c, reach, n))
{
    uint64_t bits = 0;
    int k;
    for (k = 0; k < n; k++) {
        bits |= ((uint64_t)x[k] + reach) | ((uint64_t)y[k] + reach);
        out[k] = cx * small_double(x[k]) + cy * small_double(y[k]) + c;
    }
    return bits;
}

/* The same of ``(cx * x + cy * y + c) / below``. */
LOOP(uint64_t, quotients_by_number,
     (double *out, const int64_t *x, const int64_t *y, double cx, double cy, double c, double below, uint64_t reach,
      int n),
     (out, x, y, cx, cy, c, below, reach, n))
{
    uint64_t bits = 0;
    int k;
    for (k = 0; k < n; k++) {
        bits |= ((uint64_t)x[k] + reach) | ((uint64_t)y[k] + reach);
        out[k] = (cx * small_double(x[k]) + cy * small_double(y[k]) + c) / below;
    }
    return bits;
}

/* The same of ``(cx * x + cy * y + c) / (d * z)``; NaN where z is 0. */
LOOP(uint64_t, quotients_by_column,
     (double *out, const int64_t *x, const int64_t *y, const int64_t *z, double cx, double cy, double c, double d,
      uint64_t reach, int n),
     (out, x, y, z, cx, cy, c, d, reach, n))
{
    uint64_t bits = 0;
    int k;
    for (k = 0; k < n; k++) {
        double below = d * small_double(z[k]);
        double value = (cx * small_double(x[k]) + cy * small_double(y[k]) + c) / below;
        bits |= ((uint64_t)x[k] + reach) | ((uint64_t)y[k] + reach) | ((uint64_t)z[k] + reach);
        out[k] = below != 0 ? value : NAN;
    }
    return bits;
}

/* ``c * w / (d * x)`` of the lower halves of wide integers; NaN where x is 0. Returns the bits that any of them had, all
 * where an upper half had one. */
LOOP(uint64_t, quotients_of_one, (double *out, const i128 *w, const int64_t *x, double c, double d, int n),
     (out, w, x, c, d, n))
{
    uint64_t high = 0, low = 0;
    int k;
    for (k = 0; k < n; k++) {
        double below = d * small_double(x[k]);
        double value = c * small_double((int64_t)LOWER(w, k)) / below;
        high |= UPPER(w, k);
        low |= LOWER(w, k);
        out[k] = below != 0 ? value : NAN;
    }
    return high ? UINT64_MAX : low;
}

/* ``(n * w - x * x) / (n * n)`` of the same; NaN where n is 0. A product of integers that comes out below 2**53 is exact.
 * Returns the bits that any of them had, all where an upper half had one or a product left 53 bits. */
LOOP(uint64_t, variances, (double *out, const i128 *w, const int64_t *x, const int64_t *n, int m), (out, w, x, n, m))
{
    const double exact = 9007199254740992.0;
    uint64_t high = 0, low = 0, large = 0;
    int k;
    for (k = 0; k < m; k++) {
        double count = small_double(n[k]), sum = small_double(x[k]);
        double above = count * small_double((int64_t)LOWER(w, k)), squared = sum * sum, below = count * count;
        double value = (above - squared) / below;
        high |= UPPER(w, k);
        low |= LOWER(w, k) | (uint64_t)x[k] | (uint64_t)n[k];
        large |= (uint64_t)(above >= exact) | (uint64_t)(squared >= exact) | (uint64_t)(below >= exact);
        out[k] = below != 0 ? value : NAN;
    }
    return high || large ? UINT64_MAX : low;
}

/* Whether ``cx * x + cy * y + cz * z >= least``, of which there are one to three terms and 63 bits hold every part. */
LOOP(void, sums_reach,
     (uint8_t *out, const int64_t *x, const int64_t *y, const int64_t *z, int64_t cx, int64_t cy, int64_t cz,
      int64_t least, int terms, int n),
     (out, x, y, z, cx, cy, cz, least, terms, n))
{
    int k;
    if (terms == 1)
        for (k = 0; k < n; k++)
            out[k] = cx * x[k] >= least;
    else if (terms == 2)
        for (k = 0; k < n; k++)
            out[k] = cx * x[k] + cy * y[k] >= least;
    else
        for (k = 0; k < n; k++)
            out[k] = cx * x[k] + cy * y[k] + cz * z[k] >= least;
}

#endif

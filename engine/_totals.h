/* Running totals of an instrument's trades, and sums over windows as differences of two of them.
 *
 * The four totals before a trade lie side by side in half a line of the cache, so that all sums over a window find there
 * what they take away, and additions and subtractions are of two at once, which every processor of 64 bits can do. They
 * count modulo 2**64: that is all there is to a sum of prices or sizes, and the lower half of a sum of products.
 */
#ifndef MICROBURST_TOTALS_H
#define MICROBURST_TOTALS_H

#include <stdint.h>

#include "_int128.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef struct { uint64_t size, price, price_size, price_squared; } Totals;

#if defined(__has_builtin) && defined(__BYTE_ORDER__)
#if __has_builtin(__builtin_shufflevector) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define MICROBURST_BY_TWO 1
typedef uint64_t Two __attribute__((vector_size(16), aligned(8)));
#define TWO_AT(P) (*(Two *)(P))
#define TWO_IN(P) (*(const Two *)(P))
#define FIRSTS(A, B) __builtin_shufflevector(A, B, 0, 2)
#define SECONDS(A, B) __builtin_shufflevector(A, B, 1, 3)
#ifdef __SSE2__ /* has an instruction for factors of 32 bits, and none for larger ones */
#define TIMES(A, B, SMALL) ((SMALL) ? (Two)_mm_mul_epu32((__m128i)(A), (__m128i)(B)) : (Two)((A) * (B)))
#else
#define TIMES(A, B, SMALL) ((A) * (B))
#endif
#endif
#endif

static inline void run_totals_of(Totals *cells, const int64_t *price, const int64_t *size, uint64_t *bits, int n,
                                 int small)
{
    uint64_t prices = 0, sizes = 0;
    int k = 0;
#ifdef MICROBURST_BY_TWO
    Two single = TWO_IN(cells), squared = TWO_IN(&cells->price_size), all_prices = {0}, all_sizes = {0};
    for (; k + 2 <= n; k += 2) {
        Two p = TWO_IN(price + k), s = TWO_IN(size + k);
        Two ps = TIMES(p, s, small), pp = TIMES(p, p, small);
        all_prices |= p;
        all_sizes |= s;
        TWO_AT(&cells[k + 1].size) = single += FIRSTS(s, p);
        TWO_AT(&cells[k + 1].price_size) = squared += FIRSTS(ps, pp);
        TWO_AT(&cells[k + 2].size) = single += SECONDS(s, p);
        TWO_AT(&cells[k + 2].price_size) = squared += SECONDS(ps, pp);
    }
    prices = all_prices[0] | all_prices[1];
    sizes = all_sizes[0] | all_sizes[1];
#endif
    for (; k < n; k++) {
        uint64_t p = (uint64_t)price[k], s = (uint64_t)size[k];
        prices |= p;
        sizes |= s;
        cells[k + 1].size = cells[k].size + s;
        cells[k + 1].price = cells[k].price + p;
        cells[k + 1].price_size = cells[k].price_size + p * s;
        cells[k + 1].price_squared = cells[k].price_squared + p * p;
    }
    bits[0] = prices;
    bits[1] = sizes;
}

/* From the totals before a first trade, cells[0], write those after each of n; ``bits`` are all that any price had, and
 * any size. What suffices for prices and sizes of 32 bits is tried first. */
static inline void run_totals(Totals *cells, const int64_t *price, const int64_t *size, uint64_t *bits, int n)
{
    run_totals_of(cells, price, size, bits, n, 1);
    if ((bits[0] | bits[1]) >> 32)
        run_totals_of(cells, price, size, bits, n, 0);
}

/* Of ``Totals``, the one that stands at ``totals`` in the first cell: ends[k] less that at the window's tail. */
static inline void one_difference(const uint64_t *ends, const uint64_t *totals, int64_t mask, const int64_t *tail,
                                  int64_t *out, int n)
{
    int64_t k;
    for (k = 0; k < n; k++)
        out[k] = (int64_t)(ends[4 * k] - totals[4 * (tail[k] & mask)]);
}

/* The same as the lower halves of wide integers, of which the upper ones are 0. */
static inline void one_wide_difference(const uint64_t *ends, const uint64_t *totals, int64_t mask, const int64_t *tail,
                                       i128 *out, int n)
{
    int64_t k;
    for (k = 0; k < n; k++)
        out[k] = i128_make(0, ends[4 * k] - totals[4 * (tail[k] & mask)]);
}

/* All four differences, of which those are written that have somewhere to go. */
static inline void all_differences(const Totals *ends, const Totals *totals, int64_t mask, const int64_t *tail,
                                   int64_t *size, int64_t *price, i128 *price_size, i128 *price_squared, int n)
{
    int k = 0;
#ifdef MICROBURST_BY_TWO
    const Two zero = {0};
    for (; k + 2 <= n; k += 2) {
        const Totals *a = totals + (tail[k] & mask), *b = totals + (tail[k + 1] & mask);
        if (size || price) {
            Two first = TWO_IN(&ends[k].size) - TWO_IN(&a->size), second = TWO_IN(&ends[k + 1].size) - TWO_IN(&b->size);
            if (size)
                TWO_AT(size + k) = FIRSTS(first, second);
            if (price)
                TWO_AT(price + k) = SECONDS(first, second);
        }
        if (price_size || price_squared) {
            Two first = TWO_IN(&ends[k].price_size) - TWO_IN(&a->price_size);
            Two second = TWO_IN(&ends[k + 1].price_size) - TWO_IN(&b->price_size);
            if (price_size) {
                TWO_AT(price_size + k) = FIRSTS(first, zero);
                TWO_AT(price_size + k + 1) = FIRSTS(second, zero);
            }
            if (price_squared) {
                TWO_AT(price_squared + k) = SECONDS(first, zero);
                TWO_AT(price_squared + k + 1) = SECONDS(second, zero);
            }
        }
    }
#endif
    for (; k < n; k++) {
        const Totals *end = ends + k, *from = totals + (tail[k] & mask);
        if (size)
            size[k] = (int64_t)(end->size - from->size);
        if (price)
            price[k] = (int64_t)(end->price - from->price);
        if (price_size)
            price_size[k] = i128_make(0, end->price_size - from->price_size);
        if (price_squared)
            price_squared[k] = i128_make(0, end->price_squared - from->price_squared);
    }
}

#endif

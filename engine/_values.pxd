"""Values and conditions: polynomials in integer columns, doubles, comparisons and their combinations.

Each function computes a node on any clock from the columns of the same records; nothing here remembers anything.
"""

from libc.math cimport INFINITY, NAN, fabs, log, log1p
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memchr, memcpy, memset

from engine._int128 cimport (
    i128,
    i128_add,
    i128_double,
    i128_hi,
    i128_lo,
    i128_mul,
    i128_mul64,
    i128_of,
    i128_sign,
    i128_sub,
)
from engine._loops cimport (
    bits_of,
    divide_by,
    divide_each,
    doubles_of,
    quotients_by_column,
    quotients_by_number,
    quotients_of_one,
    root_of_each,
    sums_of,
    sums_reach,
    variances,
)
from engine._tape cimport BLOCK, Node, Slot, Tape, Term, bools, floats, ints, wides

cdef enum Comparison:
    CMP_GE
    CMP_GT
    CMP_LE
    CMP_LT
    CMP_EQ
    CMP_NE

cdef enum:
    SHAPE_GENERAL
    SHAPE_LINEAR  # every term has one int64 factor; 128-bit sum
    SHAPE_NARROW  # the same, and the sum provably fits in 63 bits

# ---------------------------------------------------------------- exact


cdef inline void add_term(const Tape* tape, const Term* term, i128* out, int m) noexcept nogil:
    """Add a term's value at each record; most have no coefficient, and one of 1 is not multiplied by."""
    cdef const int64_t* x = ints(tape, term.offset[0])
    cdef const int64_t* y = ints(tape, term.offset[1])
    cdef const int64_t* z = ints(tape, term.offset[2])
    cdef const i128* w = wides(tape, term.offset[0])
    cdef int64_t coef = term.coef
    cdef int k, plain = coef == 1
    if term.n_factors == 0:
        for k in range(m):
            out[k] = i128_add(out[k], i128_of(coef))
    elif term.n_factors == 1 and term.first_is_wide:
        for k in range(m):
            out[k] = i128_add(out[k], w[k] if plain else i128_mul(w[k], coef))
    elif term.n_factors == 1:
        for k in range(m):
            out[k] = i128_add(out[k], i128_mul64(x[k], coef))
    elif term.n_factors == 2 and term.first_is_wide:
        for k in range(m):
            out[k] = i128_add(out[k], i128_mul(w[k], y[k]) if plain else i128_mul(i128_mul(w[k], y[k]), coef))
    elif term.n_factors == 2 and (plain or coef == -1):
        for k in range(m):
            out[k] = i128_add(out[k], i128_mul64(coef * x[k], y[k]))
    elif term.n_factors == 2:
        for k in range(m):
            out[k] = i128_add(out[k], i128_mul(i128_mul64(x[k], y[k]), coef))
    elif term.first_is_wide:
        for k in range(m):
            out[k] = i128_add(out[k], i128_mul(i128_mul(i128_mul(w[k], y[k]), z[k]), coef))
    else:
        for k in range(m):
            out[k] = i128_add(out[k], i128_mul(i128_mul(i128_mul64(x[k], y[k]), z[k]), coef))


cdef inline void polynomial(const Tape* tape, const Term* terms, int n, i128* out, int m) noexcept nogil:
    """Exact values of a polynomial in the columns, term by term; the compiler has proved that they fit."""
    cdef int i, k
    for k in range(m):
        out[k] = i128_of(0)
    for i in range(n):
        add_term(tape, &terms[i], out, m)


cdef inline int narrow_product(const Tape* tape, const Term* term, int64_t* out, int m) noexcept nogil:
    """A term's values in 64 bits, where it is one or two plain columns that are small in this block; else returns 0."""
    cdef const int64_t* x = ints(tape, term.offset[0])
    cdef const int64_t* y = ints(tape, term.offset[1])
    cdef int64_t coef = term.coef, bits = 0
    cdef int k
    if term.first_is_wide or not 1 <= term.n_factors <= 2 or not -(1 << 20) < coef < (1 << 20):
        return 0
    if term.n_factors == 1:
        for k in range(m):
            bits |= x[k]
            out[k] = <int64_t>(<uint64_t>coef * <uint64_t>x[k])
        return 0 <= bits < (<int64_t>1 << 43)
    for k in range(m):
        bits |= x[k] | y[k]
        out[k] = <int64_t>(<uint64_t>coef * <uint64_t>x[k] * <uint64_t>y[k])
    return 0 <= bits < (<int64_t>1 << 21)


cdef inline i128 polynomial_now(const Tape* tape, const Term* term, int n) noexcept nogil:
    """A polynomial's exact value at the only record of a block."""
    cdef i128 total = i128_of(0), product
    cdef int i, j
    for i in range(n):
        product = i128_of(term[i].coef)
        if term[i].first_is_wide:
            product = i128_mul(wides(tape, term[i].offset[0])[0], term[i].coef)
        for j in range(term[i].first_is_wide, term[i].n_factors):
            product = i128_mul(product, ints(tape, term[i].offset[j])[0])
        total = i128_add(total, product)
    return total


cdef inline void whole_polynomial(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """A polynomial's value, which 63 bits hold."""
    cdef int64_t* out = ints(tape, node.out)
    cdef i128 value[BLOCK]
    cdef int k
    polynomial(tape, node.terms, node.n_terms, value, m)
    for k in range(m):
        out[k] = <int64_t>i128_lo(value[k])


cdef inline uint8_t holds(int sign, int comparison) noexcept nogil:
    """Whether ``sign`` (of left minus right) satisfies the comparison."""
    if comparison == CMP_GE:
        return sign >= 0
    if comparison == CMP_GT:
        return sign > 0
    if comparison == CMP_LE:
        return sign <= 0
    if comparison == CMP_LT:
        return sign < 0
    if comparison == CMP_EQ:
        return sign == 0
    return sign != 0


# A column of conditions is *quiet* when it is known to be false on every record of any block: what only reads it to
# find out where it holds need not look. Most conditions of most rules are, most of the time.

cdef inline int is_quiet(const uint8_t* column) noexcept nogil:
    return column[BLOCK]


cdef inline void quieten(uint8_t* out, int m) noexcept nogil:
    """Write a column that is false on all ``m`` records."""
    if out[BLOCK]:
        return
    if m < BLOCK:
        memset(out, 0, m)
        return
    memset(out, 0, BLOCK)
    out[BLOCK] = 1


cdef inline void compare_general(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    cdef uint8_t* out = bools(tape, node.out)
    cdef i128 value[BLOCK]
    cdef int k
    polynomial(tape, node.terms, node.n_terms, value, m)
    for k in range(m):
        out[k] = holds(i128_sign(value[k]), <int>node.k)
    out[BLOCK] = 0


cdef inline void compare_narrow(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """``c0*x0 + c1*x1 + c2*x2 + constant`` against zero, in 64 bits.

    GE and GT suffice: whoever builds the node flips the other two.
    """
    cdef uint8_t* out = bools(tape, node.out)
    cdef const int64_t* x0 = ints(tape, node.terms[0].offset[0])
    cdef const int64_t* x1 = ints(tape, node.terms[1].offset[0]) if node.n_terms > 1 else x0
    cdef const int64_t* x2 = ints(tape, node.terms[2].offset[0]) if node.n_terms > 2 else x0
    cdef int64_t c0 = node.terms[0].coef
    cdef int64_t c1 = node.terms[1].coef if node.n_terms > 1 else 0
    cdef int64_t c2 = node.terms[2].coef if node.n_terms > 2 else 0
    cdef int64_t least = (0 if node.k == CMP_GE else 1) - node.constant
    sums_reach(out, x0, x1, x2, c0, c1, c2, least, node.n_terms, m)
    out[BLOCK] = 0


cdef inline void compare_linear(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The same in 128 bits, for one or two terms."""
    cdef uint8_t* out = bools(tape, node.out)
    cdef const int64_t* x0 = ints(tape, node.terms[0].offset[0])
    cdef const int64_t* x1 = ints(tape, node.terms[1].offset[0]) if node.n_terms > 1 else x0
    cdef int64_t c0 = node.terms[0].coef
    cdef int64_t c1 = node.terms[1].coef if node.n_terms > 1 else 0
    cdef i128 value
    cdef int k, or_equal = node.k == CMP_GE
    out[BLOCK] = 0
    if (  # 64 bits mostly suffice: look before doing twice the work
        -(1 << 21) < c0 < (1 << 21) and -(1 << 21) < c1 < (1 << 21)
        and -(<int64_t>1 << 61) < node.constant < (<int64_t>1 << 61)
        and (bits_of(x0, 0, m) | bits_of(x1, 0, m)) >> 40 == 0
    ):
        sums_reach(out, x0, x1, x0, c0, c1, 0, 1 - or_equal - node.constant, node.n_terms, m)
        return
    for k in range(m):
        value = i128_add(i128_add(i128_mul64(c0, x0[k]), i128_mul64(c1, x1[k])), i128_of(node.constant))
        out[k] = i128_sign(value) + or_equal > 0


cdef inline void compare_product(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """``c0*w + c1*x*y`` against zero, ``w`` wide and the coefficients 1 and -1 either way: a VWAP and a price."""
    cdef uint8_t* out = bools(tape, node.out)
    cdef const i128* w = wides(tape, node.terms[0].offset[0])
    cdef const int64_t* x = ints(tape, node.terms[1].offset[0])
    cdef const int64_t* y = ints(tape, node.terms[1].offset[1])
    cdef int sign, c0 = <int>node.terms[0].coef, least = 0 if node.k == CMP_GE else 1
    cdef int k
    out[BLOCK] = 0
    for k in range(m):
        sign = i128_sign(i128_sub(w[k], i128_mul64(x[k], y[k])))
        out[k] = c0 * sign >= least


cdef inline void compare_screened(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """A comparison of a quotient with the number ``x``, where the quotient's bounds in this block are known (b).

    Mostly they decide it for all records at once, which is how a hundred thresholds on one value cost little more
    than one; else the exact comparison does. The bounds are widened by far more than a double can be wrong.
    """
    cdef const double* bounds = floats(tape, node.b)
    cdef double margin = 1e-9 * (fabs(bounds[0]) + fabs(bounds[1]) + fabs(node.x))
    if m > 1 and (bounds[1] + margin < node.x if node.c > 0 else bounds[0] - margin > node.x):
        quieten(bools(tape, node.out), m)
    elif node.shape == SHAPE_NARROW:
        compare_narrow(tape, slot, node, m)
    elif node.shape == SHAPE_LINEAR:
        compare_linear(tape, slot, node, m)
    else:
        compare_general(tape, slot, node, m)


cdef inline void bounds_of(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The lowest and highest of a block's doubles, in the column's first two cells; infinite where one is undefined."""
    cdef const double* a = floats(tape, node.a)
    cdef double* out = floats(tape, node.out)
    cdef double low = INFINITY, high = -INFINITY
    cdef int k, undefined = 0
    for k in range(m):
        low = a[k] if a[k] < low else low
        high = a[k] if a[k] > high else high
        undefined |= a[k] != a[k]
    out[0] = -INFINITY if undefined else low
    out[1] = INFINITY if undefined else high


# A quotient is written for all records, and taken back where its guard, the condition a, says that it is undefined.

cdef inline void guard(const Tape* tape, const Node* node, int m) noexcept nogil:
    """Undefine a quotient where its guard does not hold; mostly it holds throughout, or there is none."""
    cdef const uint8_t* holds
    cdef double* out = floats(tape, node.out)
    cdef int k
    if node.a < 0:
        return
    holds = bools(tape, node.a)
    if memchr(holds, 0, m) != NULL:
        for k in range(m):
            out[k] = out[k] if holds[k] else NAN


cdef inline void ratio(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Quotient of two polynomials as a double; NaN when undefined."""
    quotients(tape, node, m)
    guard(tape, node, m)


cdef inline void quotients(const Tape* tape, const Node* node, int m) noexcept nogil:
    cdef double* out = floats(tape, node.out)
    cdef i128 top[BLOCK]
    cdef i128 bottom[BLOCK]
    cdef int64_t narrow[BLOCK]
    cdef int k
    if m == 1:
        top[0] = polynomial_now(tape, node.terms, node.n_terms)
        out[0] = quotient(top[0], polynomial_now(tape, node.terms + node.n_terms, node.n_denominator))
        return
    if ratio_of_one_sum(tape, node, m):
        return
    polynomial(tape, node.terms, node.n_terms, top, m)
    if node.n_denominator == 1 and narrow_product(tape, node.terms + node.n_terms, narrow, m):
        for k in range(m):
            out[k] = i128_double(top[k]) / <double>narrow[k] if narrow[k] != 0 else NAN
        return
    polynomial(tape, node.terms + node.n_terms, node.n_denominator, bottom, m)
    for k in range(m):
        out[k] = quotient(top[k], bottom[k])


cdef inline int ratio_of_one_sum(const Tape* tape, const Node* node, int m) noexcept nogil:
    """``c*w / (d*x)`` with ``w`` wide, as in a VWAP; returns 0 where doubles might not hold both products exactly."""
    cdef const Term* above = node.terms
    cdef const Term* below = node.terms + 1
    cdef const i128* w
    cdef const int64_t* x
    cdef double* out = floats(tape, node.out)
    cdef double c, d
    if node.n_terms != 1 or above.n_factors != 1 or not above.first_is_wide:
        return 0
    if node.n_denominator != 1 or below.n_factors != 1 or below.first_is_wide:
        return 0
    w = wides(tape, above.offset[0])
    x = ints(tape, below.offset[0])
    c = <double>above.coef
    d = <double>below.coef
    if not <double>bits_of(x, 0, m) * fabs(d) < 2e15:  # 2**51 is 2.25e15
        return 0
    return <double>quotients_of_one(out, w, x, c, d, m) * fabs(c) < 2e15


cdef inline uint64_t bits_beside(const int64_t* x, const int64_t* known, uint64_t bits, int m) noexcept nogil:
    """``bits_of`` a column that is often one of which they are known."""
    return bits if x == known else bits_of(x, 0, m)


cdef inline int variance_of_small(const Tape* tape, const Node* node, int m) noexcept nogil:
    """``ratio_of_sums`` of a time window by doubles; returns 0 where it has another form or they do not hold it.

    The last record's sums say whether to try: others' seldom are much larger.
    """
    cdef const Term* terms = node.terms
    cdef const i128* w = wides(tape, terms[0].offset[0])
    cdef const int64_t* n = ints(tape, terms[0].offset[1])
    cdef const int64_t* x = ints(tape, terms[1].offset[0])
    if terms[0].n_factors != 2 or terms[1].offset[0] != terms[1].offset[1]:
        return 0
    if terms[2].offset[0] != terms[0].offset[1] or terms[2].offset[1] != terms[0].offset[1]:
        return 0
    if i128_double(w[m - 1]) * <double>n[m - 1] >= 9e15:  # 2**53 is 9.007e15
        return 0
    return variances(floats(tape, node.out), w, x, n, m) < <uint64_t>1 << 51


cdef inline int ratio_in_64_bits(const Tape* tape, const Node* node, int m) noexcept nogil:
    """``ratio_of_sums`` where every product in it provably fits in 62 bits; else returns 0."""
    cdef const Term* below = node.terms + 2
    cdef const i128* w = wides(tape, node.terms[0].offset[0])
    cdef const int64_t* n = ints(tape, node.terms[0].offset[1])
    cdef const int64_t* x = ints(tape, node.terms[1].offset[0])
    cdef const int64_t* y = ints(tape, node.terms[1].offset[1])
    cdef const int64_t* p = ints(tape, below.offset[0])
    cdef const int64_t* q = ints(tape, below.offset[1])
    cdef double* out = floats(tape, node.out)
    cdef int64_t coef = node.terms[0].coef
    cdef int64_t divisors[BLOCK]
    cdef double denominators[BLOCK]
    cdef double product
    cdef uint64_t ns, xs, ps, high = 0, low = 0
    cdef int k, plain = below.n_factors == 0
    if plain and coef < 0:
        return 0
    ns = <uint64_t>coef if plain else bits_of(n, 0, m)
    xs = bits_of(x, 0, m)
    if not <double>xs * <double>bits_beside(y, x, xs, m) < 4e18:  # 2**62 is 4.6e18
        return 0
    if plain:
        for k in range(m):
            high |= <uint64_t>i128_hi(w[k])
            low |= i128_lo(w[k])
            out[k] = <double><int64_t>(i128_lo(w[k]) * <uint64_t>coef - <uint64_t>(x[k] * y[k]))
        divide_by(out, out, <double>below.coef, m)
        return high == 0 and <double>low * <double>ns < 4e18
    ps = bits_beside(p, n, ns, m)
    product = <double>ps * <double>bits_beside(q, p, ps, m)
    if not product < 4e18:
        return 0
    for k in range(m):
        high |= <uint64_t>i128_hi(w[k])
        low |= i128_lo(w[k])
        out[k] = <double><int64_t>(i128_lo(w[k]) * <uint64_t>n[k] - <uint64_t>(x[k] * y[k]))
        divisors[k] = p[k] * q[k]
    if high or not <double>low * <double>ns < 4e18:
        return 0
    if product < 2e15:  # 2**51 is 2.25e15
        doubles_of(denominators, divisors, 0, m)
    else:
        for k in range(m):
            denominators[k] = <double>divisors[k]
    divide_each(out, denominators, m)
    return 1


cdef inline void ratio_of_sums(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """``(n*w - x*y) / (p*q)``, ``w`` wide, or the same with numbers for n and p*q: a variance from its exact sums."""
    quotients_of_sums(tape, node, m)
    guard(tape, node, m)


cdef inline void quotients_of_sums(const Tape* tape, const Node* node, int m) noexcept nogil:
    cdef const Term* first = node.terms
    cdef const Term* second = first + 1
    cdef const Term* below = first + 2
    cdef const i128* w = wides(tape, first.offset[0])
    cdef const int64_t* n = ints(tape, first.offset[1])
    cdef const int64_t* x = ints(tape, second.offset[0])
    cdef const int64_t* y = ints(tape, second.offset[1])
    cdef const int64_t* p = ints(tape, below.offset[0])
    cdef const int64_t* q = ints(tape, below.offset[1])
    cdef double* out = floats(tape, node.out)
    cdef int64_t coef = first.coef
    cdef double divisor = <double>below.coef
    cdef int k
    if variance_of_small(tape, node, m) or ratio_in_64_bits(tape, node, m):
        return
    if below.n_factors == 0:
        for k in range(m):
            out[k] = i128_double(i128_sub(i128_mul(w[k], coef), i128_mul64(x[k], y[k]))) / divisor
        return
    for k in range(m):
        out[k] = quotient(i128_sub(i128_mul(w[k], n[k]), i128_mul64(x[k], y[k])), i128_mul64(p[k], q[k]))


cdef inline void narrow_sum(
    const Tape* tape, const Term* terms, int n, int64_t constant, double* out, int m
) noexcept nogil:
    """``c0*x0 + c1*x1 + constant`` with n columns, a number that 63 bits hold, as doubles, rounded once.

    Where nothing in it leaves 51 bits, doubles compute it exactly, and several at once. That is done first; whether it
    was right stands in the bits that any column had.
    """
    cdef const int64_t* x = ints(tape, terms[0].offset[0] if n > 0 else 0)
    cdef const int64_t* y = ints(tape, terms[1].offset[0]) if n > 1 else x
    cdef int64_t cx = terms[0].coef if n > 0 else 0, cy = terms[1].coef if n > 1 else 0
    cdef uint64_t bits, reach = reach_of(cx, cy, constant)
    cdef int k
    if n == 0:
        for k in range(m):
            out[k] = <double>constant
        return
    bits = sums_of(out, x, y, <double>cx, <double>cy, <double>constant, reach, m)
    if bits >= 2 * reach:  # one was below -reach, or not below reach
        for k in range(m):
            out[k] = <double>(cx * x[k] + cy * y[k] + constant)


cdef inline uint64_t reach_of(int64_t cx, int64_t cy, int64_t constant) noexcept nogil:
    """A power of two: with columns from minus it to below it no sum leaves 51 bits; 0: there is none."""
    cdef uint64_t reach = <uint64_t>1 << 50
    cdef double weight = fabs(<double>cx) + fabs(<double>cy) + 1
    while reach and <double>reach * weight + fabs(<double>constant) >= 2e15:  # 2**51 is 2.25e15
        reach >>= 1
    return reach


cdef inline int64_t narrow_sum_now(const Tape* tape, const Term* terms, int n, int64_t total) noexcept nogil:
    cdef int i
    for i in range(n):
        total += terms[i].coef * ints(tape, terms[i].offset[0])[0]
    return total


cdef inline void ratio_narrow(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """``ratio`` where both are sums of up to two plain columns and a constant that 63 bits hold."""
    quotients_narrow(tape, node, m)
    guard(tape, node, m)


cdef inline void quotients_narrow(const Tape* tape, const Node* node, int m) noexcept nogil:
    cdef double* out = floats(tape, node.out)
    cdef double bottom[BLOCK]
    cdef int64_t whole
    if m == 1:
        whole = narrow_sum_now(tape, node.terms + node.n_terms, node.n_denominator, node.k)
        out[0] = <double>narrow_sum_now(tape, node.terms, node.n_terms, node.constant) / <double>whole if whole else NAN
        return
    if ratio_of_small(tape, node, m):
        return
    narrow_sum(tape, node.terms, node.n_terms, node.constant, out, m)
    if node.n_denominator == 0:
        divide_by(out, out, <double>node.k, m)
        return
    narrow_sum(tape, node.terms + node.n_terms, node.n_denominator, node.k, bottom, m)
    divide_each(out, bottom, m)


cdef inline int ratio_of_small(const Tape* tape, const Node* node, int m) noexcept nogil:
    """``ratio_narrow`` in one go; returns 0 where it has another form, or something leaves 51 bits."""
    cdef const Term* below = node.terms + node.n_terms
    cdef const int64_t* x
    cdef const int64_t* y
    cdef int64_t cx, cy = 0, d
    cdef uint64_t reach, other
    cdef double* out = floats(tape, node.out)
    if node.n_terms == 0 or node.n_denominator > 1 or (node.n_denominator == 1 and node.k != 0):
        return 0
    x = y = ints(tape, node.terms[0].offset[0])
    cx = node.terms[0].coef
    if node.n_terms > 1:
        y = ints(tape, node.terms[1].offset[0])
        cy = node.terms[1].coef
    reach = reach_of(cx, cy, node.constant)
    if node.n_denominator == 1:
        d = below.coef
        other = reach_of(d, 0, 0)
        reach = other if other < reach else reach
        return quotients_by_column(
            out, x, y, ints(tape, below.offset[0]), <double>cx, <double>cy, <double>node.constant, <double>d, reach, m
        ) < 2 * reach
    if node.k == 1 and cx == 1 and node.n_terms == 1 and node.constant == 0:
        return doubles_of(out, x, reach, m) < 2 * reach
    return quotients_by_number(
        out, x, y, <double>cx, <double>cy, <double>node.constant, <double>node.k, reach, m
    ) < 2 * reach


cdef inline double quotient(i128 numerator, i128 denominator) noexcept nogil:
    """Rounded once where both are below 2**53; NaN for a denominator of 0."""
    return NAN if i128_sign(denominator) == 0 else i128_double(numerator) / i128_double(denominator)


# ---------------------------------------------------------------- doubles

cdef inline void float_const(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The number ``x``."""
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = node.x


cdef inline void float_add(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """a + b"""
    cdef const double* a = floats(tape, node.a)
    cdef const double* b = floats(tape, node.b)
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = a[k] + b[k]


cdef inline void float_sub(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """a - b"""
    cdef const double* a = floats(tape, node.a)
    cdef const double* b = floats(tape, node.b)
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = a[k] - b[k]


cdef inline void float_mul(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """a * b"""
    cdef const double* a = floats(tape, node.a)
    cdef const double* b = floats(tape, node.b)
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = a[k] * b[k]


cdef inline void float_div(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """a / b; NaN for a divisor of 0."""
    cdef const double* a = floats(tape, node.a)
    cdef const double* b = floats(tape, node.b)
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = a[k] / b[k] if b[k] != 0 else NAN


cdef inline void float_div_by(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """a / x, for an x that is not 0."""
    divide_by(floats(tape, node.out), floats(tape, node.a), node.x, m)


cdef inline void float_min(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The smaller of two; NaN when either is."""
    cdef const double* a = floats(tape, node.a)
    cdef const double* b = floats(tape, node.b)
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = a[k] if a[k] <= b[k] else b[k] if b[k] <= a[k] else NAN


cdef inline void float_max(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The larger of two; NaN when either is."""
    cdef const double* a = floats(tape, node.a)
    cdef const double* b = floats(tape, node.b)
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = a[k] if a[k] >= b[k] else b[k] if b[k] >= a[k] else NAN


cdef inline void float_sqrt(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Square root; NaN below 0."""
    root_of_each(floats(tape, node.out), floats(tape, node.a), m)


cdef inline void float_abs(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Absolute value."""
    cdef const double* a = floats(tape, node.a)
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = fabs(a[k])


cdef inline void float_log(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Natural logarithm; NaN for 0 and below."""
    cdef const double* a = floats(tape, node.a)
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = log(a[k]) if a[k] > 0 else NAN


cdef inline void float_log_of(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Natural logarithm of a, given a - 1 as b: near 1, where a has few digits of what matters, it is taken from b."""
    cdef const double* a = floats(tape, node.a)
    cdef const double* b = floats(tape, node.b)
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = log1p(b[k]) if fabs(b[k]) < 0.5 else log(a[k]) if a[k] > 0 else NAN


cdef inline void float_whole(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """A double that is a whole number, as an integer; 0 for NaN."""
    cdef const double* a = floats(tape, node.a)
    cdef int64_t* out = ints(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = <int64_t>a[k] if a[k] == a[k] else 0


cdef inline void float_where(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """b where the condition a holds, else c."""
    cdef const uint8_t* a = bools(tape, node.a)
    cdef const double* b = floats(tape, node.b)
    cdef const double* c = floats(tape, node.c)
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = b[k] if a[k] else c[k]


cdef inline void guarded(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """b where the condition a holds, else undefined; mostly it holds throughout."""
    cdef const uint8_t* a = bools(tape, node.a)
    cdef const double* b = floats(tape, node.b)
    cdef double* out = floats(tape, node.out)
    cdef int k
    if memchr(a, 0, m) == NULL:
        memcpy(out, b, m * sizeof(double))
        return
    for k in range(m):
        out[k] = b[k] if a[k] else NAN


cdef inline void float_compare(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Compare two doubles: a NaN on either side satisfies nothing."""
    cdef const double* a = floats(tape, node.a)
    cdef const double* b = floats(tape, node.b)
    cdef uint8_t* out = bools(tape, node.out)
    cdef int k
    for k in range(m):
        if node.k == CMP_GE:
            out[k] = a[k] >= b[k]
        elif node.k == CMP_GT:
            out[k] = a[k] > b[k]
        elif node.k == CMP_LE:
            out[k] = a[k] <= b[k]
        elif node.k == CMP_LT:
            out[k] = a[k] < b[k]
        elif node.k == CMP_EQ:
            out[k] = a[k] == b[k]
        else:
            out[k] = a[k] < b[k] or a[k] > b[k]


# ---------------------------------------------------------------- conditions

cdef inline void float_known(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Whether a double is defined."""
    cdef const double* a = floats(tape, node.a)
    cdef uint8_t* out = bools(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = a[k] == a[k]


cdef inline void all_of(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """All two or three hold."""
    cdef const uint8_t* a = bools(tape, node.a)
    cdef const uint8_t* b = bools(tape, node.b)
    cdef const uint8_t* c = bools(tape, node.c) if node.c >= 0 else b
    cdef uint8_t* out = bools(tape, node.out)
    cdef int k
    if is_quiet(a) or is_quiet(b) or is_quiet(c):
        quieten(out, m)
    else:
        for k in range(m):
            out[k] = a[k] & b[k] & c[k]
        out[BLOCK] = 0


cdef inline void any_of(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """At least one of two or three holds."""
    cdef const uint8_t* a = bools(tape, node.a)
    cdef const uint8_t* b = bools(tape, node.b)
    cdef const uint8_t* c = bools(tape, node.c) if node.c >= 0 else b
    cdef uint8_t* out = bools(tape, node.out)
    cdef int k
    if is_quiet(a) and is_quiet(b) and is_quiet(c):
        quieten(out, m)
        return
    for k in range(m):
        out[k] = a[k] | b[k] | c[k]
    out[BLOCK] = 0


cdef inline void negation(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """It does not hold."""
    cdef const uint8_t* a = bools(tape, node.a)
    cdef uint8_t* out = bools(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = a[k] ^ 1


cdef inline void state(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """0 none, 1 long (a), 2 short (b); either may be missing, and long wins where both hold."""
    cdef uint8_t* out = bools(tape, node.out)
    cdef const uint8_t* a = bools(tape, node.a) if node.a >= 0 else NULL
    cdef const uint8_t* b = bools(tape, node.b) if node.b >= 0 else NULL
    cdef int k
    if (a == NULL or is_quiet(a)) and (b == NULL or is_quiet(b)):
        quieten(out, m)
        return
    out[BLOCK] = 0
    if b == NULL:
        for k in range(m):
            out[k] = a[k]
    elif a == NULL:
        for k in range(m):
            out[k] = b[k] << 1
    else:
        for k in range(m):
            out[k] = a[k] | ((b[k] & (a[k] ^ 1)) << 1)

"""Values and conditions: polynomials in integer columns, doubles, comparisons and their combinations.

Each function computes a node on any clock from the columns of the same records; nothing here remembers anything.
"""

from libc.math cimport NAN, fabs, log, sqrt
from libc.stdint cimport int64_t, uint8_t

from engine._int128 cimport (
    i128,
    i128_add,
    i128_double,
    i128_mul,
    i128_mul64,
    i128_of,
    i128_sign,
)
from engine._tape cimport Node, Slot, Tape, Term, bools, floats, ints, wides

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


cdef inline i128 sum_terms(const Tape* tape, const Term* terms, int n, int k) noexcept nogil:
    """Exact value of a polynomial in the columns at trade ``k``; the compiler has proved that it fits."""
    cdef i128 total = i128_of(0), product
    cdef int i, j
    for i in range(n):
        if terms[i].n_factors == 0:
            product = i128_of(terms[i].coef)
        elif terms[i].first_is_wide:
            product = i128_mul(wides(tape, terms[i].offset[0])[k], terms[i].coef)
        else:
            product = i128_mul64(ints(tape, terms[i].offset[0])[k], terms[i].coef)
        for j in range(1, terms[i].n_factors):
            product = i128_mul(product, ints(tape, terms[i].offset[j])[k])
        total = i128_add(total, product)
    return total


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


cdef inline void compare_general(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    cdef uint8_t* out = bools(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = holds(i128_sign(sum_terms(tape, node.terms, node.n_terms, k)), <int>node.k)


cdef inline void compare_narrow(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """``c0*x0 + c1*x1 + c2*x2`` against zero, in 64 bits. GE and GT suffice: the compiler flips the other two."""
    cdef uint8_t* out = bools(tape, node.out)
    cdef const int64_t* x0 = ints(tape, node.terms[0].offset[0])
    cdef const int64_t* x1 = ints(tape, node.terms[1].offset[0]) if node.n_terms > 1 else x0
    cdef const int64_t* x2 = ints(tape, node.terms[2].offset[0]) if node.n_terms > 2 else x0
    cdef int64_t c0 = node.terms[0].coef
    cdef int64_t c1 = node.terms[1].coef if node.n_terms > 1 else 0
    cdef int64_t c2 = node.terms[2].coef if node.n_terms > 2 else 0
    cdef int64_t least = 0 if node.k == CMP_GE else 1
    cdef int k
    if node.n_terms <= 2:
        for k in range(m):
            out[k] = c0 * x0[k] + c1 * x1[k] >= least
    else:
        for k in range(m):
            out[k] = c0 * x0[k] + c1 * x1[k] + c2 * x2[k] >= least


cdef inline void compare_linear(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """The same in 128 bits, for one or two terms."""
    cdef uint8_t* out = bools(tape, node.out)
    cdef const int64_t* x0 = ints(tape, node.terms[0].offset[0])
    cdef const int64_t* x1 = ints(tape, node.terms[1].offset[0]) if node.n_terms > 1 else x0
    cdef int64_t c0 = node.terms[0].coef
    cdef int64_t c1 = node.terms[1].coef if node.n_terms > 1 else 0
    cdef i128 value
    cdef int64_t bits = 0
    cdef int k, or_equal = node.k == CMP_GE
    for k in range(m):  # 64 bits mostly suffice: look before doing twice the work
        bits |= x0[k] | x1[k]
    if 0 <= bits < (<int64_t>1 << 40) and -(1 << 21) < c0 < (1 << 21) and -(1 << 21) < c1 < (1 << 21):
        for k in range(m):
            out[k] = c0 * x0[k] + c1 * x1[k] + or_equal > 0
        return
    for k in range(m):
        value = i128_add(i128_mul64(c0, x0[k]), i128_mul64(c1, x1[k]))
        out[k] = i128_sign(value) + or_equal > 0


cdef inline void ratio(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """Quotient of two polynomials as a double; NaN when undefined."""
    cdef double* out = floats(tape, node.out)
    cdef i128 denominator
    cdef int k
    for k in range(m):
        denominator = sum_terms(tape, node.terms + node.n_terms, node.n_denominator, k)
        out[k] = quotient(sum_terms(tape, node.terms, node.n_terms, k), denominator)


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
    cdef const double* a = floats(tape, node.a)
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = sqrt(a[k]) if a[k] >= 0 else NAN


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


cdef inline void float_where(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """b where the condition a holds, else c."""
    cdef const uint8_t* a = bools(tape, node.a)
    cdef const double* b = floats(tape, node.b)
    cdef const double* c = floats(tape, node.c)
    cdef double* out = floats(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = b[k] if a[k] else c[k]


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
    """Both hold."""
    cdef const uint8_t* a = bools(tape, node.a)
    cdef const uint8_t* b = bools(tape, node.b)
    cdef uint8_t* out = bools(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = a[k] & b[k]


cdef inline void any_of(Tape* tape, Slot* slot, const Node* node, int m) noexcept nogil:
    """At least one holds."""
    cdef const uint8_t* a = bools(tape, node.a)
    cdef const uint8_t* b = bools(tape, node.b)
    cdef uint8_t* out = bools(tape, node.out)
    cdef int k
    for k in range(m):
        out[k] = a[k] | b[k]


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
    if b == NULL:
        for k in range(m):
            out[k] = a[k]
    elif a == NULL:
        for k in range(m):
            out[k] = b[k] << 1
    else:
        for k in range(m):
            out[k] = a[k] | ((b[k] & (a[k] ^ 1)) << 1)

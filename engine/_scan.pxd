# cython: language_level=3
"""Exact text-to-integer scanning, shared by the CSV reader and the wire decoder.

Every function takes the text as ``[p, end)``, never reads at or past ``end``, allocates nothing, needs no GIL and
returns a ``ScanCode``; ``out`` is written only when that is ``SCAN_OK``. No float is involved anywhere: decimal text
becomes an integer number of ticks, or a reason why it cannot.

A module that shows these codes to Python maps them with ``scan_word`` (``b"not_number"``, ...) and puts the field's
name in front (``price_not_number``).
"""

from libc.stdint cimport INT64_MAX, UINT64_MAX, int64_t, uint64_t


cdef extern from *:
    """
    static const unsigned long long MICROBURST_POW10[20] = {
        1ULL, 10ULL, 100ULL, 1000ULL, 10000ULL, 100000ULL, 1000000ULL, 10000000ULL, 100000000ULL, 1000000000ULL,
        10000000000ULL, 100000000000ULL, 1000000000000ULL, 10000000000000ULL, 100000000000000ULL,
        1000000000000000ULL, 10000000000000000ULL, 100000000000000000ULL, 1000000000000000000ULL,
        10000000000000000000ULL};
    """
    const uint64_t SCAN_POW10 "MICROBURST_POW10"[20]


cdef enum ScanCode:
    SCAN_OK = 0
    SCAN_EMPTY = 1          # no text at all
    SCAN_NOT_NUMBER = 2     # not decimal text
    SCAN_NOT_FINITE = 3     # nan, inf, infinity in any case
    SCAN_OFF_GRID = 4       # more decimals than the precision holds (trailing zeros do not count)
    SCAN_OUT_OF_BOUNDS = 5  # larger than the limit
    SCAN_NEGATIVE = 6       # below zero; minus zero is zero
    SCAN_NOT_TIME = 7       # not an ISO 8601 date and time, or no such date


cdef enum ScanZone:
    ZONE_NONE = 1    # no zone was written: the time is taken as UTC
    ZONE_UTC = 2     # Z
    ZONE_OFFSET = 4  # +hh:mm; already subtracted


cdef struct ScanNumber:
    uint64_t digits    # the value is digits * 10**exponent; UINT64_MAX stands for more than 19 significant digits
    int64_t exponent
    bint negative


cdef inline const char *scan_word(int code) noexcept nogil:
    """The short reason name of a code, as it appears behind a field's name in counters and messages."""
    if code == SCAN_OK:
        return "ok"
    if code == SCAN_EMPTY:
        return "empty"
    if code == SCAN_NOT_NUMBER:
        return "not_number"
    if code == SCAN_NOT_FINITE:
        return "not_finite"
    if code == SCAN_OFF_GRID:
        return "off_grid"
    if code == SCAN_OUT_OF_BOUNDS:
        return "out_of_bounds"
    if code == SCAN_NEGATIVE:
        return "negative"
    if code == SCAN_NOT_TIME:
        return "not_time"
    return "unknown"


cdef inline bint _same_word(const char *p, const char *end, const char *word, Py_ssize_t length) noexcept nogil:
    """Whether ``[p, end)`` is the lower-case ASCII ``word``, in any case."""
    cdef Py_ssize_t i
    if end - p != length:
        return False
    for i in range(length):
        if (p[i] | 0x20) != word[i]:
            return False
    return True


cdef inline int _not_a_digit(const char *p, const char *end) noexcept nogil:
    """Tell text that names a non-finite number from text that is no number at all."""
    if _same_word(p, end, "nan", 3) or _same_word(p, end, "inf", 3) or _same_word(p, end, "infinity", 8):
        return SCAN_NOT_FINITE
    return SCAN_NOT_NUMBER


cdef inline int scan_number(const char *p, const char *end, ScanNumber *out) noexcept nogil:
    """Read ``[+-] digits [. digits] [e [+-] digits]`` exactly, with at least one digit before the exponent.

    ``out.digits`` may end in zeros; ``number_to_grid`` and ``number_decimals`` do not mind. Numbers of any length
    are read: more than 19 significant digits saturate ``out.digits``, with the exponent of the last digit that is
    not zero, which is enough to tell "too large" from "off the grid".
    """
    cdef uint64_t digits = 0
    cdef int64_t exponent = 0, power = 0, zeros = 0, held
    cdef int significant = 0
    cdef unsigned int digit
    cdef bint negative = False, fraction = False, any_digit = False, power_negative = False
    if p == end:
        return SCAN_EMPTY
    if p[0] == c'-' or p[0] == c'+':
        negative = p[0] == c'-'
        p += 1
        if p == end:
            return SCAN_NOT_NUMBER
    if not c'0' <= p[0] <= c'9' and p[0] != c'.':
        return _not_a_digit(p, end)
    while p != end:
        digit = <unsigned int>(<unsigned char>p[0]) - 48
        if digit <= 9:
            any_digit = True
            exponent -= fraction
            if digit == 0 and significant >= 17:
                zeros += 1  # held back: only a later non-zero digit makes it count
            elif digit or significant:
                held = zeros + 1
                zeros = 0
                if significant + held > 19:
                    digits = UINT64_MAX
                    significant = 20
                else:
                    significant += <int>held
                    digits = digits * SCAN_POW10[held] + digit
        elif p[0] == c'.' and not fraction:
            fraction = True
        else:
            break
        p += 1
    if not any_digit:
        return SCAN_NOT_NUMBER
    exponent += zeros
    if p != end:
        if (p[0] | 0x20) != c'e':
            return SCAN_NOT_NUMBER
        p += 1
        if p != end and (p[0] == c'-' or p[0] == c'+'):
            power_negative = p[0] == c'-'
            p += 1
        if p == end:
            return SCAN_NOT_NUMBER
        while p != end:
            digit = <unsigned int>(<unsigned char>p[0]) - 48
            if digit > 9:
                return SCAN_NOT_NUMBER
            if power < <int64_t>1000000000000000:  # beyond any text that fits in memory; the answer stays
                power = power * 10 + digit
            p += 1
        exponent += -power if power_negative else power
    out.digits = digits
    out.exponent = exponent
    out.negative = negative and digits != 0
    return SCAN_OK


cdef inline int number_to_grid(ScanNumber number, int precision, int64_t limit, int64_t *out) noexcept nogil:
    """Turn a number into steps of ``10**-precision``, ``0 <= out <= limit``.

    Trailing zeros never make a number off the grid; ``limit`` is any non-negative int64.
    """
    cdef int64_t shift = number.exponent + precision
    cdef uint64_t digits = number.digits
    if digits == 0:
        out[0] = 0
        return SCAN_OK
    if number.negative:
        return SCAN_NEGATIVE
    while shift < 0:
        if digits % 10 != 0:
            return SCAN_OFF_GRID
        digits //= 10
        shift += 1
    if digits > <uint64_t>limit:
        return SCAN_OUT_OF_BOUNDS
    if shift != 0:  # most numbers have all their decimals written, and a division is dear
        if shift > 19 or digits > <uint64_t>limit // SCAN_POW10[shift]:
            return SCAN_OUT_OF_BOUNDS
        digits *= SCAN_POW10[shift]
    out[0] = <int64_t>digits
    return SCAN_OK


cdef inline int64_t number_decimals(ScanNumber number) noexcept nogil:
    """How many decimals the number needs; trailing zeros do not count."""
    if number.digits == 0:
        return 0
    while number.exponent < 0 and number.digits % 10 == 0:
        number.digits //= 10
        number.exponent += 1
    return -number.exponent if number.exponent < 0 else 0


cdef inline int scan_decimal(const char *p, const char *end, int precision, int64_t limit,
                             int64_t *out) noexcept nogil:
    """Read decimal text as an integer number of ``10**-precision``, ``0 <= out <= limit``."""
    cdef ScanNumber number
    cdef int code = scan_number(p, end, &number)
    if code != SCAN_OK:
        return code
    return number_to_grid(number, precision, limit, out)


cdef inline int scan_integer(const char *p, const char *end, int64_t *out) noexcept nogil:
    """Read ``[-] digits`` as int64: plain integers only, no plus sign, point or exponent."""
    cdef uint64_t value = 0, limit = <uint64_t>INT64_MAX
    cdef unsigned int digit
    cdef bint negative
    if p == end:
        return SCAN_EMPTY
    negative = p[0] == c'-'
    if negative:
        p += 1
        limit += 1
        if p == end:
            return SCAN_NOT_NUMBER
    while p != end:
        digit = <unsigned int>(<unsigned char>p[0]) - 48
        if digit > 9:
            return SCAN_NOT_NUMBER
        if value > (limit - digit) // 10:
            # Only a well-formed number is out of bounds; finish reading before saying so.
            while p != end:
                if not c'0' <= p[0] <= c'9':
                    return SCAN_NOT_NUMBER
                p += 1
            return SCAN_OUT_OF_BOUNDS
        value = value * 10 + digit
        p += 1
    out[0] = <int64_t>(0 - value) if negative else <int64_t>value
    return SCAN_OK


cdef inline int _two_digits(const char *p) noexcept nogil:
    """The number written in ``p[0:2]``, or -1. The caller has checked that both are inside the text."""
    cdef unsigned int tens = <unsigned int>(<unsigned char>p[0]) - 48
    cdef unsigned int ones = <unsigned int>(<unsigned char>p[1]) - 48
    if tens > 9 or ones > 9:
        return -1
    return <int>(tens * 10 + ones)


cdef inline int _days_in_month(int year, int month) noexcept nogil:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef inline int64_t _days_since_epoch(int year, int month, int day) noexcept nogil:
    """Days from 1970-01-01 in the proleptic Gregorian calendar (years counted from March, in eras of 400)."""
    cdef int y = year - (month <= 2)
    cdef int era = y // 400
    cdef int year_of_era = y - era * 400
    cdef int day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    cdef int day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return <int64_t>era * 146097 + day_of_era - 719468


cdef inline int _scan_offset(const char *p, const char *end, int *seconds) noexcept nogil:
    """Read a zone ``+hh:mm``, ``+hhmm`` or ``+hh`` (or ``-``) that fills ``[p, end)``."""
    cdef int hours, minutes = 0
    cdef Py_ssize_t length = end - p
    if length != 3 and length != 5 and length != 6:
        return SCAN_NOT_TIME
    hours = _two_digits(p + 1)
    if length == 6:
        if p[3] != c':':
            return SCAN_NOT_TIME
        minutes = _two_digits(p + 4)
    elif length == 5:
        minutes = _two_digits(p + 3)
    if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
        return SCAN_NOT_TIME
    seconds[0] = hours * 3600 + minutes * 60
    if p[0] == c'-':
        seconds[0] = -seconds[0]
    return SCAN_OK


cdef inline int scan_time(const char *p, const char *end, int64_t *out, int *zone) noexcept nogil:
    """Read ``YYYY-MM-DD(T| )hh:mm[:ss[.f...]][zone]`` as nanoseconds since the epoch, UTC.

    ``zone`` gets a ``ScanZone``. Digits beyond the ninth decimal must be zeros, else ``SCAN_OFF_GRID``; years 1678 to
    2261 fit in 64 bits, others are ``SCAN_OUT_OF_BOUNDS``. A 60th second is no time here: the epoch has none.
    """
    cdef int century, year, month, day, hour, minute, second = 0, offset = 0, decimals = 0
    cdef int64_t nanoseconds = 0
    cdef unsigned int digit
    if p == end:
        return SCAN_EMPTY
    if end - p < 16 or p[4] != c'-' or p[7] != c'-' or p[13] != c':':
        return SCAN_NOT_TIME
    if p[10] != c'T' and p[10] != c't' and p[10] != c' ':
        return SCAN_NOT_TIME
    century, year = _two_digits(p), _two_digits(p + 2)
    month, day = _two_digits(p + 5), _two_digits(p + 8)
    hour, minute = _two_digits(p + 11), _two_digits(p + 14)
    if (century | year | month | day | hour | minute) < 0:  # the sign bit of any -1
        return SCAN_NOT_TIME
    year += century * 100
    p += 16
    if p != end and p[0] == c':':
        if end - p < 3:
            return SCAN_NOT_TIME
        second = _two_digits(p + 1)
        p += 3
        if p != end and p[0] == c'.':
            p += 1
            if p == end or not c'0' <= p[0] <= c'9':
                return SCAN_NOT_TIME
            while p != end:
                digit = <unsigned int>(<unsigned char>p[0]) - 48
                if digit > 9:
                    break
                if decimals < 9:
                    nanoseconds = nanoseconds * 10 + digit
                    decimals += 1
                elif digit:
                    return SCAN_OFF_GRID
                p += 1
            nanoseconds *= <int64_t>SCAN_POW10[9 - decimals]
    if month < 1 or month > 12 or day < 1 or day > _days_in_month(year, month):
        return SCAN_NOT_TIME
    if hour > 23 or minute > 59 or second < 0 or second > 59:
        return SCAN_NOT_TIME
    if p == end:
        zone[0] = ZONE_NONE
    elif p[0] == c'Z' or p[0] == c'z':
        if end - p != 1:
            return SCAN_NOT_TIME
        zone[0] = ZONE_UTC
    elif p[0] == c'+' or p[0] == c'-':
        if _scan_offset(p, end, &offset) != SCAN_OK:
            return SCAN_NOT_TIME
        zone[0] = ZONE_OFFSET
    else:
        return SCAN_NOT_TIME
    if year < 1678 or year > 2261:
        return SCAN_OUT_OF_BOUNDS
    out[0] = (_days_since_epoch(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset) * 1000000000 \
        + nanoseconds
    return SCAN_OK

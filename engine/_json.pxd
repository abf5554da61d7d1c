# cython: language_level=3
"""Proof that a frame is JSON, byte by byte: what ``_wire`` reads, it has first seen to be whole.

A scanner that only looks for the fields it knows accepts damaged frames with wrong values in them. This one walks the
full grammar of RFC 8259 and names the first thing that is wrong. It is deliberately narrower than the grammar where
no honest sender goes: nesting is limited, no object may repeat a key or hold more than ``MAX_KEYS`` of them, keys are
written without escapes, and a number must fit a double.

Functions take a ``Cursor``, never read at or past its ``end``, allocate nothing, need no GIL, and return whether they
succeeded; if not, ``cursor.fault`` says why.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp

ctypedef const uint8_t *bytes_at

cdef enum:
    MAX_DEPTH = 16  # containers inside one another, the frame itself included
    MAX_KEYS = 64   # keys of one object

cdef enum FrameFault:
    FRAME_PROVEN = 0
    FRAME_TOO_LARGE
    FRAME_TRUNCATED
    FRAME_SYNTAX
    FRAME_BAD_UTF8
    FRAME_BAD_ESCAPE
    FRAME_BAD_NUMBER
    FRAME_TOO_DEEP
    FRAME_DUPLICATE_KEY
    FRAME_TOO_MANY_KEYS
    FRAME_TRAILING_BYTES
    FRAME_NOT_MESSAGES
    FRAME_TOO_MANY_MESSAGES
    FRAME_BAD_HELLO
    FRAME_FAULTS  # how many there are


cdef enum ValueKind:
    VALUE_NUMBER
    VALUE_STRING
    VALUE_OTHER  # true, false, null, an array or an object


cdef struct Text:
    bytes_at start
    Py_ssize_t size
    bint escaped  # there is a backslash in it: it does not stand for itself


cdef struct Value:
    ValueKind kind
    Text text         # a number as it is written, or what stands between a string's quotes
    uint64_t digits   # a plain number's digits, point and sign left out
    int decimals      # how many of them stand behind the point
    bint plain        # a number without exponent, of at most 19 digits, so that ``digits`` holds them all


cdef struct Cursor:
    bytes_at at
    bytes_at end
    FrameFault fault


cdef inline bint failed(Cursor *c, FrameFault fault) noexcept nogil:
    """Record why the proof ends here; always False, so that ``return failed(...)`` reads as it acts."""
    c.fault = fault
    return False


cdef inline bint unexpected(Cursor *c) noexcept nogil:
    return failed(c, FRAME_TRUNCATED if c.at == c.end else FRAME_SYNTAX)


cdef inline void skip_space(Cursor *c) noexcept nogil:
    cdef bytes_at at = c.at  # a copy: the compiler cannot know that reading bytes leaves the cursor alone
    while at != c.end and at[0] <= 0x20 and (at[0] == 0x20 or at[0] == 0x0A or at[0] == 0x0D or at[0] == 0x09):
        at += 1
    c.at = at


cdef inline bint take(Cursor *c, uint8_t byte) noexcept nogil:
    """Step over ``byte`` if it is next; no fault when it is not."""
    if c.at != c.end and c.at[0] == byte:
        c.at += 1
        return True
    return False


cdef inline bint skip_multibyte(Cursor *c) noexcept nogil:
    """Step over one UTF-8 character of two to four bytes (shortest form, no surrogates, up to U+10FFFF)."""
    cdef uint8_t lead = c.at[0], low = 0x80, high = 0xBF
    cdef int _i, more
    if 0xC2 <= lead <= 0xDF:
        more = 1
    elif 0xE0 <= lead <= 0xEF:
        more = 2
        if lead == 0xE0:
            low = 0xA0
        elif lead == 0xED:
            high = 0x9F
    elif 0xF0 <= lead <= 0xF4:
        more = 3
        if lead == 0xF0:
            low = 0x90
        elif lead == 0xF4:
            high = 0x8F
    else:
        return failed(c, FRAME_BAD_UTF8)
    c.at += 1
    for _i in range(more):
        if c.at == c.end:
            return failed(c, FRAME_TRUNCATED)
        if not low <= c.at[0] <= high:
            return failed(c, FRAME_BAD_UTF8)
        low, high = 0x80, 0xBF
        c.at += 1
    return True


cdef inline int hex_unit(Cursor *c) noexcept nogil:
    """The UTF-16 unit written as four hexadecimal digits; -1 and a fault when there are not four."""
    cdef int _i, unit = 0
    cdef uint8_t byte
    for _i in range(4):
        if c.at == c.end:
            failed(c, FRAME_TRUNCATED)
            return -1
        byte = c.at[0]
        if c'0' <= byte <= c'9':
            unit = unit * 16 + (byte - c'0')
        elif c'a' <= (byte | 0x20) <= c'f':
            unit = unit * 16 + ((byte | 0x20) - c'a' + 10)
        else:
            failed(c, FRAME_BAD_ESCAPE)
            return -1
        c.at += 1
    return unit


cdef inline bint skip_escape(Cursor *c) noexcept nogil:
    """Step over what follows a backslash; a surrogate must come as a pair."""
    cdef uint8_t byte
    cdef int unit
    if c.at == c.end:
        return failed(c, FRAME_TRUNCATED)
    byte = c.at[0]
    c.at += 1
    if byte != c'u':
        if (byte == c'"' or byte == c'\\' or byte == c'/' or byte == c'b' or byte == c'f' or byte == c'n'
                or byte == c'r' or byte == c't'):
            return True
        return failed(c, FRAME_BAD_ESCAPE)
    unit = hex_unit(c)
    if unit < 0:
        return False
    if 0xD800 <= unit <= 0xDBFF:
        if not take(c, c'\\') or not take(c, c'u'):
            return failed(c, FRAME_TRUNCATED if c.at == c.end else FRAME_BAD_ESCAPE)
        unit = hex_unit(c)
        if unit < 0:
            return False
        if not 0xDC00 <= unit <= 0xDFFF:
            return failed(c, FRAME_BAD_ESCAPE)
    elif 0xDC00 <= unit <= 0xDFFF:
        return failed(c, FRAME_BAD_ESCAPE)
    return True


cdef inline bint read_string(Cursor *c, Text *text) noexcept nogil:
    """Read a string; the cursor stands on its opening quote."""
    cdef bytes_at at = c.at + 1
    cdef bytes_at end = c.end
    cdef uint8_t byte
    text.start = at
    text.escaped = False
    while at != end:
        byte = at[0]
        if byte == c'"':
            text.size = at - text.start
            c.at = at + 1
            return True
        at += 1
        if 0x20 <= byte < 0x80 and byte != c'\\':
            continue
        if byte < 0x20:
            return failed(c, FRAME_SYNTAX)
        if byte == c'\\':
            text.escaped = True
            c.at = at
            if not skip_escape(c):
                return False
        else:
            c.at = at - 1
            if not skip_multibyte(c):
                return False
        at = c.at
    return failed(c, FRAME_TRUNCATED)


cdef inline int read_digits(Cursor *c, uint64_t *digits) noexcept nogil:
    """Step over digits and append them to ``digits`` (modulo 2**64); returns how many there were."""
    cdef bytes_at start = c.at
    cdef bytes_at at = start
    cdef bytes_at end = c.end
    cdef uint64_t value = digits[0]
    cdef unsigned int digit
    while at != end:
        digit = <unsigned int>at[0] - 48
        if digit > 9:
            break
        value = value * 10 + digit
        at += 1
    c.at = at
    digits[0] = value
    return <int>(at - start)


cdef inline bint read_number(Cursor *c, Value *value) noexcept nogil:
    """Read a number that a double can hold; the cursor stands on its sign or first digit."""
    cdef int whole, power = 0
    cdef bint shrinking
    value.text.start = c.at
    value.text.escaped = False
    value.digits = 0
    value.decimals = 0
    take(c, c'-')
    if take(c, c'0'):
        whole = 0
    else:
        whole = read_digits(c, &value.digits)
        if whole == 0:
            return unexpected(c)
    if take(c, c'.'):
        value.decimals = read_digits(c, &value.digits)
        if value.decimals == 0:
            return unexpected(c)
    value.plain = whole + value.decimals <= 19
    if c.at != c.end and (c.at[0] | 0x20) == c'e':
        value.plain = False
        c.at += 1
        shrinking = take(c, c'-')
        if not shrinking:
            take(c, c'+')
        if c.at == c.end or not c'0' <= c.at[0] <= c'9':
            return unexpected(c)
        while c.at != c.end and c'0' <= c.at[0] <= c'9':
            if power < 10000:
                power = power * 10 + (c.at[0] - c'0')
            c.at += 1
        if shrinking:
            power = 0
    if whole + power > 308:
        return failed(c, FRAME_BAD_NUMBER)
    value.text.size = c.at - value.text.start
    return True


cdef inline bint skip_word(Cursor *c, const char *word, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        if not take(c, <uint8_t>word[i]):
            return unexpected(c)
    return True


cdef inline bint read_key(Cursor *c, Text *key) noexcept nogil:
    """Read a key and the colon behind it; the cursor ends on the value."""
    skip_space(c)
    if c.at == c.end or c.at[0] != c'"':
        return unexpected(c)
    if not read_string(c, key):
        return False
    if key.escaped:
        return failed(c, FRAME_BAD_ESCAPE)
    skip_space(c)
    if not take(c, c':'):
        return unexpected(c)
    skip_space(c)
    return True


cdef inline bint same_text(Text *a, Text *b) noexcept nogil:
    return a.size == b.size and memcmp(a.start, b.start, <size_t>a.size) == 0


cdef inline bint note_key(Cursor *c, Text *key, Text *keys, int *count) noexcept nogil:
    """Remember a key of the open object; refuse the second of its name."""
    cdef int i
    for i in range(count[0]):
        if same_text(key, &keys[i]):
            return failed(c, FRAME_DUPLICATE_KEY)
    if count[0] == MAX_KEYS:
        return failed(c, FRAME_TOO_MANY_KEYS)
    keys[count[0]] = key[0]
    count[0] += 1
    return True


cdef inline bint more_members(Cursor *c, uint8_t closing, bint *more) noexcept nogil:
    """After a member of a container: is there another one, or has the container been closed?"""
    skip_space(c)
    more[0] = take(c, c',')
    return more[0] or take(c, closing) or unexpected(c)


cdef inline bint skip_object(Cursor *c, int depth) noexcept nogil:
    cdef Text[MAX_KEYS] keys
    cdef Text key
    cdef Value value
    cdef int count = 0
    cdef bint more = True
    if depth > MAX_DEPTH:
        return failed(c, FRAME_TOO_DEEP)
    c.at += 1
    skip_space(c)
    if take(c, c'}'):
        return True
    while more:
        if not read_key(c, &key) or not note_key(c, &key, keys, &count) or not read_value(c, &value, depth):
            return False
        if not more_members(c, c'}', &more):
            return False
    return True


cdef inline bint skip_array(Cursor *c, int depth) noexcept nogil:
    cdef Value value
    cdef bint more = True
    if depth > MAX_DEPTH:
        return failed(c, FRAME_TOO_DEEP)
    c.at += 1
    skip_space(c)
    if take(c, c']'):
        return True
    while more:
        skip_space(c)
        if not read_value(c, &value, depth) or not more_members(c, c']', &more):
            return False
    return True


cdef inline bint read_value(Cursor *c, Value *value, int depth) noexcept nogil:
    """Read any value; ``depth`` containers are open around it. The text of a container or word is not kept."""
    cdef uint8_t byte
    if c.at == c.end:
        return failed(c, FRAME_TRUNCATED)
    byte = c.at[0]
    if byte == c'"':
        value.kind = VALUE_STRING
        return read_string(c, &value.text)
    if byte == c'-' or c'0' <= byte <= c'9':
        value.kind = VALUE_NUMBER
        return read_number(c, value)
    value.kind = VALUE_OTHER
    if byte == c'{':
        return skip_object(c, depth + 1)
    if byte == c'[':
        return skip_array(c, depth + 1)
    if byte == c't':
        return skip_word(c, "true", 4)
    if byte == c'f':
        return skip_word(c, "false", 5)
    if byte == c'n':
        return skip_word(c, "null", 4)
    return failed(c, FRAME_SYNTAX)

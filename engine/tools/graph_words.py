"""The compiled graph in words: what each operation computes, as a trader would say it.

``#3`` is node 3 of the listing, ``#3.high`` one of its values. Prices are in ticks, sizes in lots and times in
nanoseconds, as the core has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import isfinite, isnan

from engine import _program
from engine.quantities import format_duration

FIXED = {
    _program.PRICE_COLUMN: "price",
    _program.SIZE_COLUMN: "size",
    _program.BID_COLUMN: "bid",
    _program.ASK_COLUMN: "ask",
    _program.BID_SIZE_COLUMN: "bid_size",
    _program.ASK_SIZE_COLUMN: "ask_size",
    _program.FLOW_COLUMN: "order flow",
}
"""The columns that are there before any node."""

OUTPUTS = {
    "extremes": ("high", "low"),
    "anchored_extremes": ("high", "low"),
    "session_totals": ("size", "value", "deviation", "squares"),
}
"""The values of nodes that have several."""

WORDS = {
    # windows
    "tail_time": "window of {t}",
    "tail_count": "window of the last {n}",
    "anchor_session": "window since the session's first trade",
    "anchor_week": "window since the week's first trade",
    "anchor_time_of_day": "window since {t} past local midnight",
    "anchor_instant": "window since the moment {k}",
    "anchor_extreme": "window since the session's last {extreme}",
    "opening_phase": "whether the opening range of {t} is still open",
    "first_price": "oldest price in {0}",
    "count": "trades in {0}",
    "sum_size": "size traded in {0}",
    "sum_price": "sum of prices in {0}",
    "sum_price_size": "sum of price·size in {0}",
    "sum_price_squared": "sum of price² in {0}",
    "window_sum": "sum of {terms} in {0}",
    "window_sum_wide": "sum of {terms} in {0}",
    "change_since": "change of {0} since the beginning of {1}",
    "extremes": "highest and lowest price in {0}",
    "age_of_extreme": "time since the {extreme} of {0}",
    "anchored_first": "oldest price in {0}",
    "anchored_count": "trades in {0}",
    "anchored_extremes": "highest and lowest price in {0}",
    "anchored_sum": "sum of {terms} in {0}",
    "anchored_sum_wide": "sum of {terms} in {0}",
    "anchored_last": "{2} at the last trade of {0}",
    "anchored_change": "change of {2} since before {0}",
    "anchored_age": "time since the {extreme} of {0}",
    "anchored_volatility": "realised volatility in {0}",
    "deviation": "price less the first price",
    "deviation_sd": "volume-weighted deviation by {0}, {1}, {2}",
    "session_totals": "totals of the session",
    "session_sd": "volume-weighted deviation of the session",
    # values
    "polynomial": "{terms}",
    "ratio": "{terms} / {below}",
    "float_const": "{x:.15g}",
    "+": "{0} + {1}",
    "-": "{0} - {1}",
    "*": "{0} · {1}",
    "/": "{0} / {1}",
    "minimum": "the smaller of {0} and {1}",
    "maximum": "the larger of {0} and {1}",
    "sqrt": "√{0}",
    "abs": "|{0}|",
    "whole": "{0} as a whole number",
    "log": "ln {0}",
    "log_of": "ln {0}",
    "where": "{1} where {0}, else {2}",
    "guarded": "{1} while {0}",
    # conditions
    "compare": "{terms} {sign} {below}",
    "float_compare": "{0} {sign} {1}",
    "bounds_of": "lowest and highest of {0} in a block of trades",
    "warm_time": "whether {t} have been seen",
    "warm_count": "whether {n} have been seen",
    "known": "whether {0} is defined",
    "negation": "not {0}",
    "state": "long where {0}, short where {1}",
    # series
    "previous_int": "{0}, {n} ago",
    "previous": "{0}, {n} ago",
    "previous_bool": "{0}, {n} ago",
    "latest": "{1} when {0} last held",
    "position": "the record's number",
    "unbroken": "whether {0} has held for {n}",
    "run_length": "records in a row with {0}",
    "run_time": "time since {0} began to hold",
    "since_count": "records since {0} held",
    "since_time": "time since {0} held",
    "ema": "exponential average of {0}, alpha {x:.4g}",
    "ema_time": "exponential average of {0}, half-life {half_life}",
    "cumulative": "sum of {0} so far",
    "roll_sum": "sum of {0} in {1}",
    "roll_extreme": "{side} of {0} in {1}",
    "roll_stdev": "deviation of {0} in {1}",
    "roll_mad": "mean absolute deviation of {0} in {1}",
    "roll_slope": "least-squares slope of {0} in {1}",
    "roll_beta": "least-squares slope of {0} on {1} in {2}",
    # bars and the market
    "bars_by_time": "bars of {t}",
    "bars_by_count": "bars of {n}",
    "bars_by_volume": "bars of {k:,} lots",
    "bars_by_value": "bars of {k:,} ticks·lots",
    "hold_i": "{0} of the last closed bar",
    "hold_w": "{0} of the last closed bar",
    "hold_f": "{0} of the last closed bar",
    "hold_b": "{0} as of the last closed bar",
    "sample": "{0} at each bar's last trade",
    "tick_side": "aggressor by the tick rule",
    "quote_side": "aggressor by the quote rule, else {0}",
    "in_session": "whether a session is open",
    "time_of_day": "time of day",
    "since_open": "time since the session's opening",
    "to_close": "time until the session's close",
    "flat_candles": "flat candles of {t} in a row",
    "other_i": "{0}, as of this trade",
    "other_f": "{0}, as of this trade",
    "other_b": "{0}, as of this trade",
}
"""What each operation computes: ``{0}`` is its first input, ``{n}`` a number of records, ``{t}`` a duration."""

JOINS = {"all_of": " and ", "any_of": " or "}
"""Operations on as many conditions as there are."""

NEVER = "never"
"""The word for an input that is left out."""

Terms = Sequence[tuple[int, tuple[int, ...]]]


def in_words(
    operation: str, inputs: Sequence[str], k: int, x: float, records: str, parts: Sequence[str] = (), sign: str = ""
) -> str:
    """What a node computes.

    Args:
        operation, k, x: as the program lists them.
        inputs: its inputs in words.
        records: what ``k`` counts, where it counts records: ``trade`` or ``bar``.
        parts: its polynomials in words, and ``sign`` how the two are compared.
    """
    if operation in JOINS:
        return JOINS[operation].join(word for word in inputs if word != NEVER)
    words = WORDS.get(operation)
    if words is None:  # an operation of somebody else's making
        known = _program.OPERATIONS.get(operation)
        return " of ".join([known.doc if known is not None else operation, *([", ".join(inputs)] if inputs else [])])
    if operation == "float_const" and isnan(x):
        return "undefined"
    if operation == "anchor_instant":
        return words.format(k=f"{datetime.fromtimestamp(k / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC")
    terms, below = [*parts, "", ""][:2]
    if operation == "ratio" and below == "1":
        words = "{terms}"
    elif operation == "ratio":
        terms, below = bracketed(terms), bracketed(below)
    guard = 0 if operation == "ratio" else 1 if operation.startswith("anchored") else None
    if guard is not None and inputs[guard] != NEVER:
        words += f" while {{{guard}}}"
    return words.format(
        *inputs,
        k=k,
        n=counted(k, records),
        t=format_duration(k) if k >= 0 else k,
        x=x,
        half_life=format_duration(int(x)) if isfinite(x) else x,
        extreme="high" if k > 0 else "low",
        side="highest" if x > 0 else "lowest",
        terms=terms,
        below=below,
        sign=sign,
    )


def counted(number: int, what: str) -> str:
    """``1 trade``, ``100 trades``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def bracketed(text: str) -> str:
    """Text in brackets where it is a sum."""
    return f"({text})" if " " in text else text


def polynomial(terms: Terms, name: Callable[[int], str]) -> str:
    """A polynomial in words: ``2,000·price - #3²``; ``0`` for none."""
    signs = [" - " if coefficient < 0 else " + " for coefficient, _ in terms]
    words = [_term(abs(coefficient), [name(column) for column in columns]) for coefficient, columns in terms]
    text = "".join(sign + word for sign, word in zip(signs, words, strict=True))
    return (text.removeprefix(" + ") if not text.startswith(" - ") else f"-{text[3:]}") or "0"


def _term(coefficient: int, factors: Sequence[str]) -> str:
    powers = {factor: factors.count(factor) for factor in factors}
    words = [factor + {1: "", 2: "²", 3: "³", 4: "⁴"}.get(power, f"^{power}") for factor, power in powers.items()]
    return "·".join([*([] if coefficient == 1 and words else [f"{coefficient:,}"]), *words])


def two_sides(terms: Terms) -> tuple[Terms, Terms]:
    """A polynomial compared with zero as two with positive coefficients compared with each other."""
    left = [(coefficient, columns) for coefficient, columns in terms if coefficient > 0]
    return left, [(-coefficient, columns) for coefficient, columns in terms if coefficient < 0]

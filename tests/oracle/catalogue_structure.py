"""Reference: candle patterns, swings, and the zones built on them, each known once the bar it is given for closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tests.oracle.catalogue import Value, Values
from tests.oracle.catalogue_bars import Bar
from tests.oracle.catalogue_indicators import column
from tests.oracle.catalogue_series import Flags, both, compare, crosses_above, crosses_below, latest, previous_flag

DOJI_BODY = Fraction("0.1")
SHADOW = Fraction(2)
SMALL_SHADOW = Fraction("0.1")
LONG_BODY = Fraction("0.5")
STAR_BODY = Fraction("0.3")
PENETRATION = Fraction("0.5")
TOLERANCE = Fraction("0.0005")


def body(bar: Bar) -> Fraction:
    return abs(bar.close - bar.open)


def extent(bar: Bar) -> Fraction:
    return bar.high - bar.low


def upper_shadow(bar: Bar) -> Fraction:
    return bar.high - max(bar.open, bar.close)


def lower_shadow(bar: Bar) -> Fraction:
    return min(bar.open, bar.close) - bar.low


def pattern(bars: Sequence[Bar], length: int, shape: Callable[..., bool]) -> Flags:
    """Whether the last ``length`` bars have a shape; false before there are as many."""
    return [at + 1 >= length and shape(*bars[at + 1 - length : at + 1]) for at in range(len(bars))]


def doji(bars: Sequence[Bar]) -> Flags:
    return pattern(bars, 1, lambda b: body(b) <= DOJI_BODY * extent(b))


def hammer(bars: Sequence[Bar]) -> Flags:
    return pattern(
        bars,
        1,
        lambda b: body(b) > 0 and lower_shadow(b) >= SHADOW * body(b) and upper_shadow(b) <= SMALL_SHADOW * extent(b),
    )


def shooting_star(bars: Sequence[Bar]) -> Flags:
    return pattern(
        bars,
        1,
        lambda b: body(b) > 0 and upper_shadow(b) >= SHADOW * body(b) and lower_shadow(b) <= SMALL_SHADOW * extent(b),
    )


def bullish_engulfing(bars: Sequence[Bar]) -> Flags:
    def shape(a: Bar, b: Bar) -> bool:
        return a.close < a.open and b.close > b.open and b.open <= a.close and b.close >= a.open and body(b) > body(a)

    return pattern(bars, 2, shape)


def bearish_engulfing(bars: Sequence[Bar]) -> Flags:
    def shape(a: Bar, b: Bar) -> bool:
        return a.close > a.open and b.close < b.open and b.open >= a.close and b.close <= a.open and body(b) > body(a)

    return pattern(bars, 2, shape)


def long_body(bar: Bar) -> bool:
    return body(bar) >= LONG_BODY * extent(bar)


def morning_star(bars: Sequence[Bar]) -> Flags:
    def shape(a: Bar, star: Bar, c: Bar) -> bool:
        return (
            a.close < a.open
            and long_body(a)
            and body(star) <= STAR_BODY * body(a)
            and max(star.open, star.close) <= a.close
            and c.close > c.open
            and c.close >= a.close + PENETRATION * body(a)
        )

    return pattern(bars, 3, shape)


def evening_star(bars: Sequence[Bar]) -> Flags:
    def shape(a: Bar, star: Bar, c: Bar) -> bool:
        return (
            a.close > a.open
            and long_body(a)
            and body(star) <= STAR_BODY * body(a)
            and min(star.open, star.close) >= a.close
            and c.close < c.open
            and c.close <= a.close - PENETRATION * body(a)
        )

    return pattern(bars, 3, shape)


def inside_bar(bars: Sequence[Bar]) -> Flags:
    return pattern(bars, 2, lambda a, b: b.high < a.high and b.low > a.low)


def outside_bar(bars: Sequence[Bar]) -> Flags:
    return pattern(bars, 2, lambda a, b: b.high > a.high and b.low < a.low)


# ---------------------------------------------------------------- swings


@dataclass(frozen=True, slots=True)
class Swings:
    """Per bar, from what was confirmed by then: the last two swing highs and lows, and which bars confirmed one."""

    high: Values
    low: Values
    previous_high: Values
    previous_low: Values
    trend: list[int]
    new_high: Flags
    new_low: Flags


def confirmed_highs(high: Sequence[Fraction], left: int, right: int) -> Flags:
    """At each bar, whether the bar ``right`` before it is a swing high: above ``left`` bars, not below ``right``."""
    return [
        at >= left + right
        and all(high[at - right] > high[j] for j in range(at - right - left, at - right))
        and all(high[at - right] >= high[k] for k in range(at - right + 1, at + 1))
        for at in range(len(high))
    ]


def swings(bars: Sequence[Bar], left: int = 2, right: int = 2) -> Swings:
    highs, lows = [bar.high for bar in bars], [bar.low for bar in bars]
    new_high = confirmed_highs(highs, left, right)
    new_low = confirmed_highs([-low for low in lows], left, right)
    high_then = [highs[max(0, at - right)] for at in range(len(bars))]
    low_then = [lows[max(0, at - right)] for at in range(len(bars))]
    h0, h1 = latest(high_then, new_high), latest(high_then, new_high, 1)
    l0, l1 = latest(low_then, new_low), latest(low_then, new_low, 1)
    up, down = (both(compare(h0, sign, h1), compare(l0, sign, l1)) for sign in (">", "<"))
    return Swings(h0, l0, h1, l1, [a - b for a, b in zip(up, down, strict=True)], new_high, new_low)


@dataclass(frozen=True, slots=True)
class Zones:
    """Price zones: the bars on which one appeared, the edges of the latest, and whether that one still stands."""

    found: Flags
    top: Values
    bottom: Values
    stands: Flags


def standing(found: Sequence[bool], ended: Sequence[bool]) -> Flags:
    """From the bar that found a zone until the first later bar that ends it."""
    result: Flags = []
    for appears, ends in zip(found, ended, strict=True):
        result.append(appears or (bool(result) and result[-1] and not ends))
    return result


def zones(found: Flags, top: Values, bottom: Values, ends: Callable[[Values, Values], Flags]) -> Zones:
    """Keep the edges of the latest zone; ``ends`` says on which bars those edges are undone."""
    kept_top, kept_bottom = latest(top, found), latest(bottom, found)
    return Zones(found, kept_top, kept_bottom, standing(found, ends(kept_top, kept_bottom)))


@dataclass(frozen=True, slots=True)
class TwoSided:
    bullish: Zones
    bearish: Zones


def fair_value_gaps(bars: Sequence[Bar]) -> TwoSided:
    """Three bars of which the first and the last do not overlap; filled once price has crossed the whole gap."""
    high, low = column(bars, "high"), column(bars, "low")
    first_high: Values = [None, None, *high[:-2]][: len(bars)]
    first_low: Values = [None, None, *low[:-2]][: len(bars)]
    return TwoSided(
        zones(compare(low, ">", first_high), low, first_high, lambda top, bottom: compare(low, "<=", bottom)),
        zones(compare(high, "<", first_low), first_low, high, lambda top, bottom: compare(high, ">=", top)),
    )


def order_blocks(bars: Sequence[Bar], left: int = 2, right: int = 2) -> TwoSided:
    """The last bar against the move that broke the latest swing; undone by a close beyond its far edge."""
    high, low, close = (column(bars, name) for name in ("high", "low", "close"))
    opened = column(bars, "open")
    swing = swings(bars, left, right)
    down_bar, up_bar = compare(close, "<", opened), compare(close, ">", opened)
    bull_top, bull_bottom = latest(high, down_bar), latest(low, down_bar)
    bear_top, bear_bottom = latest(high, up_bar), latest(low, up_bar)
    broke_up = [hit and top is not None for hit, top in zip(crosses_above(close, swing.high), bull_top, strict=True)]
    broke_down = [hit and top is not None for hit, top in zip(crosses_below(close, swing.low), bear_top, strict=True)]
    return TwoSided(
        zones(broke_up, bull_top, bull_bottom, lambda top, bottom: compare(close, "<", bottom)),
        zones(broke_down, bear_top, bear_bottom, lambda top, bottom: compare(close, ">", top)),
    )


@dataclass(frozen=True, slots=True)
class Liquidity:
    """Stops expected above equal highs and below equal lows, and the bars that took them and closed back inside."""

    above: Zones
    below: Zones
    swept_above: Flags
    swept_below: Flags


def liquidity_zones(bars: Sequence[Bar], left: int = 2, right: int = 2, tolerance: Fraction = TOLERANCE) -> Liquidity:
    """Two successive swing highs (lows) within ``tolerance`` of the earlier one; taken once price trades beyond."""
    high, low, close = (column(bars, name) for name in ("high", "low", "close"))
    swing = swings(bars, left, right)
    above = _equal_levels(swing.new_high, swing.high, swing.previous_high, tolerance)
    below = _equal_levels(swing.new_low, swing.low, swing.previous_low, tolerance)
    upper = zones(*above, lambda top, bottom: compare(high, ">", top))
    lower = zones(*below, lambda top, bottom: compare(low, "<", bottom))
    return Liquidity(
        upper,
        lower,
        both(previous_flag(upper.stands), compare(high, ">", upper.top), compare(close, "<=", upper.top)),
        both(previous_flag(lower.stands), compare(low, "<", lower.bottom), compare(close, ">=", lower.bottom)),
    )


def _equal_levels(
    new: Flags, now: Sequence[Value], before: Sequence[Value], tolerance: Fraction
) -> tuple[Flags, Values, Values]:
    pairs = list(zip(now, before, strict=True))
    found = [
        flag and a is not None and b is not None and abs(a - b) <= tolerance * b
        for flag, (a, b) in zip(new, pairs, strict=True)
    ]
    top: Values = [None if a is None or b is None else max(a, b) for a, b in pairs]
    bottom: Values = [None if a is None or b is None else min(a, b) for a, b in pairs]
    return found, top, bottom

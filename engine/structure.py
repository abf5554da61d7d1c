"""The structure of bars: candle patterns, swings, and the zones that people draw around them.

Compositions of ``engine.rules`` on the clock of a bar series. Everything is known when its bar has closed, and nothing
is drawn back in time: a swing is there once the bars that confirm it are. The definitions stand in
``docs/reference/features.md``; for zones there is no original source, and these were chosen to be decidable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.language.grammar import Operand
from engine.language.measures import Bars, Length
from engine.language.naming import Call, composed
from engine.rules import (
    Condition,
    Expr,
    bps,
    crosses_above,
    crosses_below,
    highest,
    latest,
    lowest,
    maximum,
    minimum,
    pct,
    previous,
    where,
)

__all__ = [
    "LiquidityZones",
    "Swings",
    "TwoSided",
    "Zones",
    "bearish_engulfing",
    "bullish_engulfing",
    "doji",
    "evening_star",
    "fair_value_gaps",
    "hammer",
    "inside_bar",
    "liquidity_zones",
    "morning_star",
    "order_blocks",
    "outside_bar",
    "shooting_star",
    "swings",
]


TENTH, THREE_TENTHS, HALF, FIVE_BPS = pct(10), pct(30), pct(50), bps(5)


# ---------------------------------------------------------------- candle patterns


class _Candle:
    """The shape of a bar, the last closed one or the one ``ago`` bars before it."""

    def __init__(self, b: Bars, ago: int = 0) -> None:
        fields: tuple[Expr, ...] = (b.open, b.high, b.low, b.close)
        if ago:
            fields = tuple(previous(field, ago) for field in fields)
        self.open, self.high, self.low, self.close = fields
        self.body = abs(self.close - self.open)
        self.range = self.high - self.low
        self.upper_shadow = minimum(self.high - self.open, self.high - self.close)
        self.lower_shadow = minimum(self.open - self.low, self.close - self.low)
        self.white = self.close > self.open
        self.black = self.close < self.open


@composed
def doji(b: Bars, body: Operand = TENTH) -> Condition:
    """A body of at most ``body`` of the range."""
    bar = _Candle(b)
    return bar.body <= body * bar.range


@composed
def hammer(b: Bars, shadow: Operand = 2, small: Operand = TENTH) -> Condition:
    """A lower shadow of ``shadow`` bodies or more, an upper one of at most ``small`` of the range; some body."""
    bar = _Candle(b)
    return (bar.body > 0) & (bar.lower_shadow >= shadow * bar.body) & (bar.upper_shadow <= small * bar.range)


@composed
def shooting_star(b: Bars, shadow: Operand = 2, small: Operand = TENTH) -> Condition:
    """The hammer upside down."""
    bar = _Candle(b)
    return (bar.body > 0) & (bar.upper_shadow >= shadow * bar.body) & (bar.lower_shadow <= small * bar.range)


@composed
def bullish_engulfing(b: Bars) -> Condition:
    """A white body that covers the black one before it and is longer."""
    before, bar = _Candle(b, 1), _Candle(b)
    covers = (bar.open <= before.close) & (bar.close >= before.open)
    return before.black & bar.white & covers & (bar.body > before.body)


@composed
def bearish_engulfing(b: Bars) -> Condition:
    """A black body that covers the white one before it and is longer."""
    before, bar = _Candle(b, 1), _Candle(b)
    covers = (bar.open >= before.close) & (bar.close <= before.open)
    return before.white & bar.black & covers & (bar.body > before.body)


@composed
def morning_star(b: Bars, long: Operand = HALF, star: Operand = THREE_TENTHS, penetration: Operand = HALF) -> Condition:
    """A long black bar, a small body not above its close, and a white bar that closes well into the first body."""
    first, middle, last = _Candle(b, 2), _Candle(b, 1), _Candle(b)
    below = maximum(middle.open, middle.close) <= first.close
    back = last.white & (last.close >= first.close + penetration * first.body)
    return first.black & _is_star(first, middle, long, star) & below & back


@composed
def evening_star(b: Bars, long: Operand = HALF, star: Operand = THREE_TENTHS, penetration: Operand = HALF) -> Condition:
    """The morning star upside down."""
    first, middle, last = _Candle(b, 2), _Candle(b, 1), _Candle(b)
    above = minimum(middle.open, middle.close) >= first.close
    back = last.black & (last.close <= first.close - penetration * first.body)
    return first.white & _is_star(first, middle, long, star) & above & back


def _is_star(first: _Candle, middle: _Candle, long: Operand, star: Operand) -> Condition:
    """Whether a long body is followed by a small one."""
    return (first.body >= long * first.range) & (middle.body <= star * first.body)


@composed
def inside_bar(b: Bars) -> Condition:
    """A bar within the range of the one before it, touching neither end."""
    return (b.high < previous(b.high)) & (b.low > previous(b.low))


@composed
def outside_bar(b: Bars) -> Condition:
    """A bar that goes beyond both ends of the one before it."""
    return (b.high > previous(b.high)) & (b.low < previous(b.low))


# ---------------------------------------------------------------- swings


@dataclass(frozen=True, slots=True, eq=False)
class Swings:
    """The last confirmed swing high and low [price], the ones before them, and whether the last bar confirmed one."""

    high: Expr
    low: Expr
    high_before: Expr
    low_before: Expr
    new_high: Condition
    new_low: Condition

    @property
    def trend(self) -> Expr:
        """1 when the last two highs and the last two lows both rise, -1 when both fall, else 0."""
        rises = (self.high > self.high_before) & (self.low > self.low_before)
        falls = (self.high < self.high_before) & (self.low < self.low_before)
        made = where(rises, 1, where(falls, -1, 0))
        if isinstance(self.high.made_by, Call):
            made.made_by = replace(self.high.made_by, value=".trend")
        return made


@composed
def swings(b: Bars, left: Length = 2, right: Length = 2) -> Swings:
    """Swing highs and lows, each known once the ``right`` bars after it have closed.

    A swing high is above the highs of the ``left`` bars before it and not below those of the ``right`` bars after it;
    a swing low the same with the signs turned.
    """
    high, low = previous(b.high, right), previous(b.low, right)
    new_high = (high > highest(previous(high), left)) & (high >= highest(b.high, right))
    new_low = (low < lowest(previous(low), left)) & (low <= lowest(b.low, right))
    return Swings(
        latest(high, when=new_high),
        latest(low, when=new_low),
        latest(high, when=new_high, nth=1),
        latest(low, when=new_low, nth=1),
        new_high,
        new_low,
    )


# ---------------------------------------------------------------- zones


@dataclass(frozen=True, slots=True, eq=False)
class Zones:
    """Zones of one kind: whether the last bar brought one, the latest one's edges, and whether it still stands."""

    found: Condition
    top: Expr
    bottom: Expr
    stands: Condition


@dataclass(frozen=True, slots=True, eq=False)
class TwoSided:
    """Zones below the market that may hold it, and above it that may hold it down."""

    bullish: Zones
    bearish: Zones


def _zones(found: Condition, top: Expr, bottom: Expr, ended: Condition) -> Zones:
    """A zone stands when, of what found one and what ended one, the last was a find; on the same bar the find counts.

    ``top`` and ``bottom`` are the edges that have been kept since the latest find.
    """
    last = latest(where(found, 1, 0), when=found | ended)
    return Zones(found, top, bottom, last > 0)


@composed
def fair_value_gaps(b: Bars) -> TwoSided:
    """Three bars of which the first and the last do not overlap; filled when a later bar has crossed the whole gap."""
    first_high, first_low = previous(b.high, 2), previous(b.low, 2)
    up, down = b.low > first_high, b.high < first_low
    up_bottom, down_top = latest(first_high, when=up), latest(first_low, when=down)
    return TwoSided(
        _zones(up, latest(b.low, when=up), up_bottom, b.low <= up_bottom),
        _zones(down, down_top, latest(b.high, when=down), b.high >= down_top),
    )


@composed
def order_blocks(b: Bars, left: Length = 2, right: Length = 2) -> TwoSided:
    """The last bar against the move that broke the latest swing; undone by a close beyond its far edge."""
    swing = swings(b, left, right)
    black, white = b.close < b.open, b.close > b.open
    up = crosses_above(b.close, swing.high) & _has_been(black, b)
    down = crosses_below(b.close, swing.low) & _has_been(white, b)
    up_bottom = latest(latest(b.low, when=black), when=up)
    down_top = latest(latest(b.high, when=white), when=down)
    return TwoSided(
        _zones(up, latest(latest(b.high, when=black), when=up), up_bottom, b.close < up_bottom),
        _zones(down, down_top, latest(latest(b.low, when=white), when=down), b.close > down_top),
    )


def _has_been(when: Condition, b: Bars) -> Condition:
    """Whether the condition has ever held: the high of its last bar is then a price."""
    return latest(b.high, when=when) > 0


@dataclass(frozen=True, slots=True, eq=False)
class LiquidityZones:
    """Where stops are expected, above equal highs and below equal lows, and the bars that took them and came back."""

    above: Zones
    below: Zones
    swept_above: Condition
    swept_below: Condition


@composed
def liquidity_zones(b: Bars, left: Length = 2, right: Length = 2, tolerance: Operand = FIVE_BPS) -> LiquidityZones:
    """Two swing highs (lows) in a row, at most ``tolerance`` of the earlier one apart; taken once price trades beyond.

    ``swept_above`` is the bar that ends a standing zone above and closes at or below its top.
    """
    swing = swings(b, left, right)
    highs = swing.new_high & (abs(swing.high - swing.high_before) <= tolerance * swing.high_before)
    lows = swing.new_low & (abs(swing.low - swing.low_before) <= tolerance * swing.low_before)
    top = latest(maximum(swing.high, swing.high_before), when=highs)
    bottom = latest(minimum(swing.low, swing.low_before), when=lows)
    taken_above, taken_below = b.high > top, b.low < bottom
    above = _zones(highs, top, latest(minimum(swing.high, swing.high_before), when=highs), taken_above)
    below = _zones(lows, latest(maximum(swing.low, swing.low_before), when=lows), bottom, taken_below)
    return LiquidityZones(
        above,
        below,
        previous(above.stands) & taken_above & (b.close <= top),
        previous(below.stands) & taken_below & (b.close >= bottom),
    )

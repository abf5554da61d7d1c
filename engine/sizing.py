"""How large an entry is: sizes that a strategy declares, ``size = RiskPerTrade(pct(1))``, or a configuration names.

A size is worked out when the signal is taken, from the equity, the price and what the signal and the strategy's exits
say; exactly, and then rounded down to whole lots. Less than one lot is no order but a refusal, ``NO_SIZE``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from types import MappingProxyType
from typing import Protocol

from engine.errors import ConfigError
from engine.language.conditions import Regime
from engine.language.grammar import Expr, Kind, Quantity, RuleError, said
from engine.language.parameters import Param
from engine.model import Side
from engine.quantities import Number, parse_number, parse_ratio

Amount = Param | Quantity | Number
Parameters = Mapping[str, Quantity]


@dataclass(frozen=True, slots=True)
class Occasion:
    """What is known when an entry is sized. Money and prices are in the account's currency, exactly.

    ``stop_distance`` and ``target_distance`` are those of the entry's exits, None where it has none; ``measured`` holds
    the values of the size's own expressions by name, None while undefined.
    """

    side: Side
    price: Fraction
    equity: Fraction
    stop_distance: Fraction | None = None
    target_distance: Fraction | None = None
    confidence: Fraction = Fraction(1)
    metadata: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, Fraction | None] = field(default_factory=dict)


class Size(Protocol):
    """A way to size an entry."""

    def units(self, at: Occasion, parameters: Parameters) -> Fraction | None:
        """Shares, contracts or coins, not yet rounded; None when it cannot be worked out."""
        ...

    def distances(self) -> Mapping[str, Expr]:
        """Expressions in price that it measures."""
        ...

    def numbers(self) -> Mapping[str, Expr]:
        """Expressions without a unit that it measures."""
        ...


NOTHING: Mapping[str, Expr] = MappingProxyType({})


class _Plain:
    """A size that measures nothing of its own."""

    __slots__ = ()

    def distances(self) -> Mapping[str, Expr]:
        return NOTHING

    def numbers(self) -> Mapping[str, Expr]:
        return NOTHING


def lots_of(size: Size, at: Occasion, parameters: Parameters, size_precision: int) -> int:
    """Whole lots of ``10**-size_precision`` of a unit, rounded down; 0 when there is nothing to enter with."""
    wanted = size.units(at, parameters)
    return 0 if wanted is None or wanted <= 0 else floor(wanted * 10**size_precision)


# ---------------------------------------------------------------- fixed


@dataclass(frozen=True, slots=True)
class Units(_Plain):
    """Always so many shares, contracts or coins."""

    number: Amount

    def __post_init__(self) -> None:
        _take(self, "number", Kind.NUMBER, "Units(3)")

    def units(self, at: Occasion, parameters: Parameters) -> Fraction | None:
        """The number itself."""
        return _value(self.number, parameters)


@dataclass(frozen=True, slots=True)
class Dollars(_Plain):
    """As much as this amount of the account's currency buys."""

    amount: Amount

    def __post_init__(self) -> None:
        _take(self, "amount", Kind.NUMBER, "Dollars(500)")

    def units(self, at: Occasion, parameters: Parameters) -> Fraction | None:
        """The amount over the price."""
        return _value(self.amount, parameters) / at.price


# ---------------------------------------------------------------- shares of the equity


@dataclass(frozen=True, slots=True)
class CapitalFraction(_Plain):
    """A position worth this share of the equity; several positions share what ``[risk]`` allows together."""

    share: Amount

    def __post_init__(self) -> None:
        _take(self, "share", Kind.RATIO, "CapitalFraction(pct(5))")

    def units(self, at: Occasion, parameters: Parameters) -> Fraction | None:
        """The share of the equity over the price."""
        return _value(self.share, parameters) * at.equity / at.price


@dataclass(frozen=True, slots=True, eq=False)
class RiskPerTrade(_Plain):
    """As much as loses this share of the equity when the stop is reached, costs apart.

    The distance is that of the entry's stop, or ``distance``, an expression in price such as ``2 * atr(b)``: sizing by
    the average true range.
    """

    share: Amount
    distance: Expr | None = None

    def __post_init__(self) -> None:
        _take(self, "share", Kind.RATIO, "RiskPerTrade(pct(1))")
        if self.distance is not None and not isinstance(self.distance, Expr):
            raise RuleError(f"{said(self.distance)} is no distance", where="RiskPerTrade", fix="distance=2 * atr(b)")

    def distances(self) -> Mapping[str, Expr]:
        """Its own distance, where it has one."""
        return NOTHING if self.distance is None else {"risk": self.distance}

    def units(self, at: Occasion, parameters: Parameters) -> Fraction | None:
        """The share of the equity over the distance of the stop."""
        distance = at.stop_distance if self.distance is None else at.measured["risk"]
        if distance is None or distance <= 0:
            return None
        return _value(self.share, parameters) * at.equity / distance


@dataclass(frozen=True, slots=True)
class Kelly(_Plain):
    """A position worth ``fraction`` of Kelly's share of the equity, at most ``cap``.

    Kelly (1956): ``f* = (b p - q) / b`` with ``p`` the probability of winning, ``q = 1 - p`` and ``b`` what is won for
    each unit lost: here the distance of the target over that of the stop. ``p`` is the signal's confidence, or
    ``win_rate`` where it is stated. The share is put into the position as if all of it could be lost: less than Kelly
    asks for where a stop limits the loss. Half of it, at most a quarter of the equity, unless told otherwise.
    """

    win_rate: Amount | None = None
    fraction: Amount = "0.5"
    cap: Amount = "25%"

    def __post_init__(self) -> None:
        if self.win_rate is not None:
            _take(self, "win_rate", Kind.RATIO, "Kelly(win_rate=pct(55))")
        _take(self, "fraction", Kind.RATIO, "Kelly(fraction='0.5')")
        _take(self, "cap", Kind.RATIO, "Kelly(cap=pct(25))")

    def units(self, at: Occasion, parameters: Parameters) -> Fraction | None:
        """The share of the equity over the price; nothing where Kelly would not play."""
        if not at.stop_distance or at.target_distance is None or at.target_distance <= 0:
            return None
        win = at.confidence if self.win_rate is None else _value(self.win_rate, parameters)
        odds = at.target_distance / at.stop_distance
        best = (odds * win - (1 - win)) / odds
        share = min(max(Fraction(0), _value(self.fraction, parameters) * best), _value(self.cap, parameters))
        return share * at.equity / at.price


# ---------------------------------------------------------------- a size changed by something else

BANDS = (("0.55", 1), ("0.65", 2), ("0.80", 3))
"""Conviction bands: from which confidence, or probability of a rise, and how many times the size."""

SHORT_BANDS = (("0.45", 1), ("0.35", 2), ("0.25", 3))
"""The bands of a short by the probability of a rise: down from which."""

Bands = tuple[tuple[Number, Number], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Banded:
    """Another size times what the band of the confidence gives; before the first band there is no entry.

    ``probability`` names an entry of the signal's metadata that holds the probability of a rise: it then takes the
    place of the confidence, and shorts have their own bands, downwards.
    """

    size: Size
    bands: Bands = BANDS
    probability: str = ""
    short_bands: Bands = SHORT_BANDS

    def __post_init__(self) -> None:
        for name, direction, word in (("bands", 1, "rise"), ("short_bands", -1, "fall")):
            read = tuple((parse_ratio(level), parse_number(times)) for level, times in getattr(self, name))
            levels = [level for level, _ in read]
            if not read or levels != sorted(set(levels))[::direction]:
                what = f"its {name} do not {word}"
                raise RuleError(what, where="Banded", fix='write bands=(("0.55", 1), ("0.65", 2), ("0.80", 3))')
            object.__setattr__(self, name, read)

    def distances(self) -> Mapping[str, Expr]:
        """Those of the size."""
        return self.size.distances()

    def numbers(self) -> Mapping[str, Expr]:
        """Those of the size."""
        return self.size.numbers()

    def units(self, at: Occasion, parameters: Parameters) -> Fraction | None:
        """The size times the multiple of the last band that is reached."""
        direction, bands, sure = 1, self.bands, at.confidence
        if self.probability:
            if self.probability not in at.metadata:
                return None
            sure = parse_number(at.metadata[self.probability])
            if at.side is Side.SHORT:
                direction, bands = -1, self.short_bands
        reached = [many for level, many in bands if direction * (sure - Fraction(level)) >= 0]
        times = Fraction(reached[-1]) if reached else Fraction(0)
        base = self.size.units(at, parameters)
        return None if base is None else base * times


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """Another size times the factor of the market's regime; a class without a factor leaves it as it is.

    ``Scaled(Dollars(500), volatility_index("VIX"), {"ELEVATED": "0.5", "EXTREME": 0})``. While the regime is not
    known there is no entry.
    """

    size: Size
    regime: Regime
    factors: Mapping[str, Number]

    def __post_init__(self) -> None:
        if not isinstance(self.regime, Regime):
            raise RuleError(
                f"{said(self.regime)} is no regime", where="Scaled", fix="five_class(b), volatility_index()"
            )
        for name in self.factors:
            self.regime == name  # noqa: B015  a class that the regime does not have is refused with the nearest
        read = {name: parse_number(factor, where=f"Scaled: {name}") for name, factor in self.factors.items()}
        if any(factor < 0 for factor in read.values()):
            raise RuleError("a factor is negative", where="Scaled", fix="0 for no entry, 0.5 for half the size")
        object.__setattr__(self, "factors", read)

    def distances(self) -> Mapping[str, Expr]:
        """Those of the size."""
        return self.size.distances()

    def numbers(self) -> Mapping[str, Expr]:
        """The number of the regime's class, beside those of the size."""
        return {**self.size.numbers(), self._key: self.regime.code}

    @property
    def _key(self) -> str:
        return f"regime {len(self.size.numbers())}"

    def units(self, at: Occasion, parameters: Parameters) -> Fraction | None:
        """The size times the factor of the present class."""
        code, base = at.measured[self._key], self.size.units(at, parameters)
        if code is None or base is None:
            return None
        return base * Fraction(self.factors.get(self.regime.names[int(code)], 1))


@dataclass(frozen=True, slots=True)
class Weighted:
    """Another size times the weight of an entrant in a line-up."""

    size: Size
    weight: Fraction

    def distances(self) -> Mapping[str, Expr]:
        """Those of the size."""
        return self.size.distances()

    def numbers(self) -> Mapping[str, Expr]:
        """Those of the size."""
        return self.size.numbers()

    def units(self, at: Occasion, parameters: Parameters) -> Fraction | None:
        """The size times the weight."""
        base = self.size.units(at, parameters)
        return None if base is None else base * self.weight


SIZES = (Units, Dollars, CapitalFraction, RiskPerTrade, Kelly, Banded, Scaled)


def is_known(size: Size) -> bool:
    """Whether a size, and the one that it is made of, are of this module: they remember nothing."""
    inner = getattr(size, "size", None)
    return type(size) in SIZES and (inner is None or is_known(inner))


def stated_units(size: Size, parameters: Parameters) -> Fraction | None:
    """The units of a size that is the same at every entry; None of one that is worked out at each."""
    if isinstance(size, Weighted):
        base = stated_units(size.size, parameters)
        return None if base is None else base * size.weight
    return _value(size.number, parameters) if isinstance(size, Units) else None


# ---------------------------------------------------------------- as text

_TEXT = re.compile(
    r"(?P<dollars>\$\s*(?P<d1>[\d.]+)|(?P<d2>[\d.]+)\s*dollars)"
    r"|(?P<share>[\d.]+%)\s*(?P<of>risk|capital)"
    r"|(?P<kelly>kelly)(?:\s+(?P<win>[\d.]+%))?(?:\s+cap\s+(?P<cap>[\d.]+%))?"
    r"|(?P<units>[\d.]+)(?:\s*units)?"
)


def parse_size(text: str, *, where: str = "sizing.size") -> Size:
    """Read a size as a configuration writes it: ``3``, ``500 dollars``, ``1% risk``, ``5% capital``, ``kelly 55%``.

    Raises:
        ConfigError: none of these.
    """
    match = _TEXT.fullmatch(str(text).strip().lower())
    if match is None:
        fix = "write 3 units, 500 dollars, 1% risk, 5% capital, or kelly 55% cap 25%"
        raise ConfigError(f"{str(text)!r} is not a size", where=where, fix=fix)
    amounts = [match[name] for name in ("d1", "d2", "share", "win", "cap", "units") if match[name]]
    if any(parse_number(amount.rstrip("%"), where=where) == 0 for amount in amounts):
        raise ConfigError(f"a size of {text} enters nothing", where=where, fix="write more than 0")
    made: Size
    if match["dollars"]:
        made = Dollars(parse_number(match["d1"] or match["d2"], where=where))
    elif match["share"]:
        share = parse_ratio(match["share"], where=where)
        made = RiskPerTrade(share) if match["of"] == "risk" else CapitalFraction(share)
    elif match["kelly"]:
        made = Kelly(match["win"], cap=match["cap"] or "25%")
    else:
        made = Units(parse_number(match["units"], where=where))
    return made


def said_size(size: Size) -> str:
    """A size as a strategy declares it."""
    match size:
        case Banded():
            levels = ", ".join(f"{float(level):g}: {float(times):g}x" for level, times in size.bands)
            return f"Banded({said_size(size.size)}, {levels})"
        case Scaled():
            factors = ", ".join(f"{name}: {float(factor):g}x" for name, factor in size.factors.items())
            return f"Scaled({said_size(size.size)}, {size.regime}, {factors})"
        case RiskPerTrade(distance=Expr() as distance):
            return f"RiskPerTrade({size.share}, distance={distance})"
    values = [str(value) for name in size.__dataclass_fields__ if (value := getattr(size, name)) is not None]  # type: ignore[attr-defined]
    return f"{type(size).__name__}({', '.join(values)})"


def _take(size: object, name: str, kind: Kind, example: str) -> None:
    """Make an amount of a declaration a parameter or a quantity of its kind, and not negative."""
    value, fix = getattr(size, name), f"write {example}"
    if isinstance(value, Param):
        if value.kind not in (kind, Kind.COUNT):
            raise RuleError(f"{value} is a {value.kind}, not a {kind}", where=type(size).__name__, fix=fix)
        return
    if isinstance(value, Quantity):
        if value.kind is not kind:
            raise RuleError(f"{value} is a {value.kind}, not a {kind}", where=type(size).__name__, fix=fix)
    else:
        read = parse_ratio if kind is Kind.RATIO else parse_number
        value = Quantity(kind, read(value, where=type(size).__name__))
    if value.value < 0:
        raise RuleError(f"{value} is negative", where=type(size).__name__, fix=fix)
    object.__setattr__(size, name, value)


def _value(amount: Amount, parameters: Parameters) -> Fraction:
    quantity = parameters[amount.name] if isinstance(amount, Param) else amount
    assert isinstance(quantity, Quantity)
    return Fraction(quantity.value)

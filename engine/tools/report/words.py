"""Numbers as a report writes them; what is not defined is a dash."""

from __future__ import annotations


def number(value: float | None, decimals: int = 2) -> str:
    """A ratio, or a dash for one that is not defined."""
    return "–" if value is None else f"{value:,.{decimals}f}".replace("-", "−")


def percent(value: float | None, decimals: int = 1, *, signed: bool = False) -> str:
    """A fraction of one as per cent, or a dash."""
    if value is None:
        return "–"
    return f"{100 * value:{'+' if signed else ''},.{decimals}f} %".replace("-", "−")


def seconds(ns: int | None) -> str:
    """A time as people read it."""
    if ns is None:
        return "–"
    whole = ns / 1e9
    if whole < 120:
        return f"{whole:,.2f} s"
    return (
        f"{whole / 60:,.1f} min"
        if whole < 7200
        else f"{whole / 3600:,.1f} h"
        if whole < 172_800
        else f"{whole / 86400:,.1f} d"
    )


def money(amount: float, signed: bool = False) -> str:
    """An amount as people read it: more decimals the smaller it is."""
    size = abs(amount)
    decimals = 0 if size >= 1_000_000 else 2 if size >= 10 or not size else 4
    sign = "−" if amount < 0 and round(size, decimals) else "+" if signed and size else ""
    return f"{sign}{size:,.{decimals}f}"


def up_or_down(amount: float) -> str:
    """The class of an amount."""
    return "up" if amount > 0 else "down" if amount < 0 else "neutral"

"""Small charts as SVG: columns, a waterfall, bars and a scatter. Colours come from the page, by class.

Above zero and below are told by position and sign, not by colour alone; every mark carries its numbers as a title.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import floor, log10
from typing import NamedTuple

from engine.tools.report.words import money, up_or_down

WIDTH, HEIGHT = 620, 270
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 14, 34


class Column(NamedTuple):
    """A column from ``low`` to ``high``; ``shown`` is written at its end, ``title`` appears at the pointer."""

    label: str
    low: float
    high: float
    style: str
    title: str
    shown: str = ""


class Point(NamedTuple):
    """A mark of a scatter: a triangle up for what won, down for what lost."""

    x: float
    y: float
    title: str


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers between two values, about as many as wanted."""
    if high <= low:
        return [low]
    raw = (high - low) / wanted
    power = 10.0 ** floor(log10(raw))
    step = next(power * times for times in (1, 2, 2.5, 5, 10) if power * times >= raw * 0.999)
    first = -floor(-low / step)
    return [number * step for number in range(first, floor(high / step + 1e-9) + 1)]


def columns(marks: Sequence[Column], *, linked: bool = False, labels_every: int = 1) -> str:
    """A chart of columns on one axis; ``linked`` joins the end of each to the next, as in a waterfall."""
    if not marks:
        return empty()
    low = min(0.0, *(mark.low for mark in marks), *(mark.high for mark in marks))
    high = max(0.0, *(mark.low for mark in marks), *(mark.high for mark in marks))
    room = (high - low) * 0.1 or 1.0
    low, high = low - (room if low < 0 else 0), high + room
    scale = (HEIGHT - TOP - BOTTOM) / (high - low)
    parts = _grid(low, high, scale)
    slot = (WIDTH - LEFT - RIGHT) / len(marks)
    wide = min(96.0, slot * (0.62 if slot > 24 else 0.86))
    for number, mark in enumerate(marks):
        x = LEFT + slot * number + (slot - wide) / 2
        top, bottom = (HEIGHT - BOTTOM - (value - low) * scale for value in (max(mark[1:3]), min(mark[1:3])))
        parts.append(
            f'<rect class="{mark.style}" x="{x:.1f}" y="{top:.1f}" width="{wide:.1f}" '
            f'height="{max(bottom - top, 0.8):.1f}" rx="2"><title>{escape(mark.title)}</title></rect>'
        )
        if mark.shown:
            y = top - 5 if mark.high >= mark.low else bottom + 14
            parts.append(_text(x + wide / 2, y, mark.shown, "middle", "value"))
        if number % labels_every == 0:
            parts.append(_text(x + wide / 2, HEIGHT - 12, mark.label, "middle"))
        if linked and number + 1 < len(marks):
            y = HEIGHT - BOTTOM - (mark.high - low) * scale
            parts.append(f'<line class="link" x1="{x + wide:.1f}" x2="{x + slot:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
    return _svg(parts)


def _grid(low: float, high: float, scale: float) -> list[str]:
    parts = []
    for value in ticks(low, high):
        y = HEIGHT - BOTTOM - (value - low) * scale
        style = "zero" if abs(value) < 1e-12 * max(abs(low), abs(high)) else "rule"
        parts.append(f'<line class="{style}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 8, y + 4, axis_number(value, high - low), "end"))
    return parts


def with_mark(chart: str, part: float) -> str:
    """Draw a dashed line into a chart of columns, at a part of the way from its left to its right."""
    x = LEFT + part * (WIDTH - LEFT - RIGHT)
    line = f'<line class="mean" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
    return chart.replace("</svg>", f"{line}</svg>")


def bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """Horizontal bars from a common zero: name, value, and a note beside the name."""
    if not rows:
        return empty()
    low, high = min(0.0, *(value for _, value, _ in rows), 0.0), max(0.0, *(value for _, value, _ in rows), 0.0)
    begin, end, line = 190, WIDTH - 80, min(40.0, max(24.0, 220 / len(rows)))
    scale = (end - begin - 70) / ((high - low) or 1.0)
    zero = begin + 70 * (low < 0) - low * scale if low < 0 else begin
    height = line * len(rows) + 8
    parts = [f'<line class="zero" x1="{zero:.1f}" x2="{zero:.1f}" y1="2" y2="{height - 4:.0f}"/>']
    for number, (name, value, note) in enumerate(rows):
        y = 4 + number * line
        x, wide = (zero, value * scale) if value >= 0 else (zero + value * scale, -value * scale)
        parts += [
            _text(0, y + line / 2 + 4, name, "start", "value"),
            _text(66, y + line / 2 + 4, note, "start"),
            f'<rect class="{up_or_down(value)}" x="{x:.1f}" y="{y + line * 0.18:.1f}" width="{max(wide, 0.8):.1f}" '
            f'height="{line * 0.64:.1f}" rx="2"><title>{escape(name)}: {money(value, True)}</title></rect>',
            _text(x + wide + 6, y + line / 2 + 4, money(value, True), "start", "value")
            if value >= 0
            else _text(x - 6, y + line / 2 + 4, money(value, True), "end", "value"),
        ]
    return _svg(parts, height)


def scatter(points: Sequence[Point], x_title: str) -> str:
    """Points over two axes that both begin at zero, or below it."""
    if not points:
        return empty()
    high_x = max(point.x for point in points) or 1.0
    low, high = min(0.0, *(point.y for point in points), 0.0), max(0.0, *(point.y for point in points), 0.0)
    room = (high - low) * 0.08 or 1.0
    low, high = low - room, high + room
    across, scale = (WIDTH - LEFT - RIGHT - 8) / (high_x * 1.02), (HEIGHT - TOP - BOTTOM - 8) / (high - low)
    parts = _grid(low, high, scale)
    for value in ticks(0.0, high_x, 6):
        parts.append(_text(LEFT + value * across, HEIGHT - 18, axis_number(value, high_x), "middle"))
    parts.append(_text((LEFT + WIDTH) / 2, HEIGHT - 3, x_title, "middle"))
    for point in points:
        x, y = LEFT + point.x * across, HEIGHT - BOTTOM - (point.y - low) * scale
        d = 4.5 if point.y >= 0 else -4.5
        parts.append(
            f'<path class="{up_or_down(point.y)}" opacity="0.75" d="M{x:.1f} {y - d:.1f}l4.5 {1.8 * d:.1f}h-9z">'
            f"<title>{escape(point.title)}</title></path>"
        )
    return _svg(parts)


def axis_number(value: float, span: float) -> str:
    """A number of an axis, with the decimals that tell it from its neighbours."""
    decimals = max(0, min(6, 2 - floor(log10(span)))) if span > 0 else 0
    decimals = 0 if span >= 50 else decimals
    text = f"{abs(value):,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"−{text}" if value < 0 and text != "0" else text


def empty() -> str:
    """What stands in the place of a chart of nothing."""
    return '<p class="quiet">no trades</p>'


def _text(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    styled = f' class="{style}"' if style else ""
    return f'<text{styled} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(parts: Sequence[str], height: float = HEIGHT) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img">{"".join(parts)}</svg>'

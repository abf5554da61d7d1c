"""Numbers as the dashboard writes them."""

from __future__ import annotations

import dataclasses
import math
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from engine.model import Reason
from engine.ports import FeedState
from gui import words
from gui.axes import TimeAxis
from gui.link import Phase
from gui.theme import _DIRECTIONS, MODE_COLOURS, PALETTES, Theme, make_theme, style_sheet
from tests.gui.golden import T0, trade


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (words.price(1234.5, 2), "1,234.50"),
        (words.price(0.0, 2), "–"),
        (words.price(math.nan, 2), "–"),
        (words.money(0.0), "0.00"),
        (words.money(0.1 + 0.2 - 0.3), "0.00"),
        (words.money(-0.001), "−0.001"),
        (words.money(0.0034567), "+0.0035"),
        (words.money(0.0000123, sign=False), "0.000012"),
        (words.money(0.00996), "+0.01"),
        (words.money(-1234.567), "−1,234.57"),
        (words.money(5), "+5.00"),
        (words.money(5, sign=False), "5.00"),
        (words.money(math.nan), "–"),
        (words.quantity(1_500.0), "1,500"),
        (words.quantity(0.00012), "0.00012"),
        (words.percent(2 / 3), "66.7 %"),
        (words.percent(math.nan), "–"),
        (words.measure(-0.0005, "%"), "−0.050 %"),
        (words.measure(1.5, "x"), "1.50 ×"),
        (words.measure(101.5, "price", 3), "101.500"),
        (words.measure(12345.6, ""), "1.235e+04"),
        (words.clock(T0 + 1_999_999), "22:13:20.001"),
        (words.clock(T0, UTC, 0), "22:13:20"),
        (words.clock(0), "–"),
        (words.moment(T0), "2023-11-14 22:13:20.000 UTC"),
        (words.held(7_420_000_000), "7.4 s"),
        (words.held(185_000_000_000), "3:05"),
        (words.held(3_720_000_000_000), "1:02:00"),
        (words.duration(850_000_000), "850 ms"),
        (words.duration(7_420_000_000), "7.42 s"),
        (words.duration(185_000_000_000), "3 m 05 s"),
        (words.duration(3_720_000_000_000), "1 h 02 m"),
        (words.latency(3.24), "3.2 µs"),
        (words.latency(48.0), "48 µs"),
        (words.latency(12_340.0), "12.3 ms"),
        (words.latency(math.nan), "–"),
        (words.reason_letter("NEW"), "N"),
        (words.reason_words("NEW"), "NEW"),
    ],
)
def test_formats(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    ("utc_s", "before", "after"),
    [(1_710_054_000, "01:59:59 EST", "03:00:00 EDT"), (1_730_613_600, "01:59:59 EDT", "01:00:00 EST")],
)
def test_times_on_both_daylight_saving_days(utc_s: int, before: str, after: str) -> None:
    zone = ZoneInfo("America/New_York")
    for second, expected in ((utc_s - 1, before), (utc_s, after)):
        clock, name = expected.split()
        assert words.clock(second * 10**9, zone, 0) == clock
        assert words.moment(second * 10**9, zone).endswith(name)


def test_chart_and_tables_say_the_same_time(qapp: object) -> None:
    axis = TimeAxis()
    for ts_ns in range(T0, T0 + 2_000_000_000, 1_237_000):  # to the microsecond
        for decimals in (0, 3):
            assert axis.text(ts_ns * 1e-9, decimals) == words.clock(ts_ns, UTC, decimals)
    assert [axis.text(T0 // 10**9 + n * 0.001, 3)[-3:] for n in range(1000)] == [f"{n:03d}" for n in range(1000)]


def test_every_reason_and_state_has_its_words() -> None:
    assert set(words.REASONS) == {reason.value for reason in Reason}
    assert {state.value for state in FeedState} | {phase.value for phase in Phase} <= set(words.CONNECTION)
    assert set(words.MODES) == set(MODE_COLOURS)


def test_the_money_of_a_trade_card_adds_up() -> None:
    made = dataclasses.replace(trade(1, "SL", -0.22), gross=-0.195, costs=0.025)
    card = words.trade_card(made, 2, UTC)
    assert all(text in card for text in ("−0.195", "−0.025", "<b>−0.220</b>"))


def test_a_trade_card_cannot_smuggle_markup() -> None:
    card = words.trade_card(trade(1, "<b>x", 1.0, symbol="<img src=x>"), 2, UTC)
    assert "<img" not in card
    assert "<b>x" not in card


def _luminance(colour: str) -> float:
    channels = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the WCAG contrast ratio."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", PALETTES)
@pytest.mark.parametrize("name", ["dark", "light"])
def test_contrasts(name: str, palette: str) -> None:
    theme: Theme = make_theme(name, palette)
    for ground in (theme.background, theme.surface):
        for ink in (theme.text, theme.muted, theme.up_text, theme.down_text, theme.amber, theme.danger):
            assert contrast(ink, ground) >= 4.5, (ink, ground)
        for shape in (theme.up, theme.down, theme.vwap, theme.accent, theme.price_line):
            assert contrast(shape, ground) >= 3.0, (shape, ground)
    assert "$" not in style_sheet(theme)
    assert len(_DIRECTIONS) == 4


def test_mode_badges_are_readable() -> None:
    for colour in MODE_COLOURS.values():
        assert contrast("#FFFFFF", colour) >= 4.5, colour

"""Colours and the style sheet. Measured choices: see ``docs/explanation/telemetry.md``.

Colour never stands alone: direction is also ▲▼ and a sign, a reason is also a letter, a state is also a word.
Red is kept for losses and danger, amber for stale data.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Template


@dataclass(frozen=True, slots=True)
class Theme:
    """One complete set of colours, as ``#rrggbb``. ``up`` and ``down`` are for shapes, ``*_text`` for words."""

    name: str
    background: str
    surface: str
    raised: str
    border: str
    grid: str
    text: str
    muted: str
    accent: str
    price_line: str
    vwap: str
    amber: str
    danger: str
    up: str
    down: str
    up_text: str
    down_text: str


PALETTES = ("classic", "safe", "east-asia")
PALETTE_WORDS = {"classic": "Classic", "safe": "Colour-blind safe", "east-asia": "East Asia"}

# up, down, up_text, down_text; shapes have a contrast of at least 3 on their background, text at least 4.5
_DIRECTIONS = {
    ("dark", "classic"): ("#26A69A", "#EF5350", "#2EBDB0", "#FF6B68"),
    ("dark", "safe"): ("#56B4E9", "#E69F00", "#6CC0F0", "#F0AE1E"),
    ("light", "classic"): ("#22968B", "#E5484D", "#00796B", "#C62828"),
    ("light", "safe"): ("#0072B2", "#D55E00", "#00629B", "#B34E00"),
}

MODE_COLOURS = {
    "DEMO": "#7E57C2",
    "PAPER": "#2962FF",
    "REPLAY": "#00796B",
    "SHADOW": "#5D606B",
    "LIVE": "#D32F2F",
}
"""Behind white text, with a contrast of at least 4.5."""


def make_theme(name: str, palette: str) -> Theme:
    """Return the theme ``"dark"`` or ``"light"`` with one of :data:`PALETTES`."""
    directions = _DIRECTIONS[name, "classic" if palette == "east-asia" else palette]
    if palette == "east-asia":  # rising is red there, and users expect it
        up, down, up_text, down_text = directions
        directions = (down, up, down_text, up_text)
    if name == "dark":
        return Theme(
            "dark", "#131722", "#1A1F2C", "#252B3B", "#2F3648", "#232938", "#E3E6ED", "#9AA1B2",
            "#4C8DFF", "#E3E6ED", "#B794F6", "#F5A623", "#FF5252", *directions,
        )  # fmt: skip
    return Theme(
        "light", "#FFFFFF", "#F6F7F9", "#E9ECF1", "#D3D8E1", "#ECEFF3", "#161A25", "#5A6172",
        "#1F5FE0", "#1B2233", "#7B3FD4", "#A85F00", "#C62828", *directions,
    )  # fmt: skip


_STYLE = Template("""
* { font-size: ${size}pt; }
QMainWindow, QDialog, QWidget#page { background: $background; color: $text; }
QWidget { color: $text; }
QToolTip { background: $raised; color: $text; border: 1px solid $border; padding: 5px; }
QFrame#card { background: $surface; border: 1px solid $border; border-radius: 6px; }
QLabel { background: transparent; }
QLabel#title { color: $muted; font-weight: 600; }
QLabel#muted, QLabel#name { color: $muted; }
QLabel[tone="up"] { color: $up_text; }
QLabel[tone="down"] { color: $down_text; }
QLabel[tone="good"] { color: $good; }
QLabel[tone="amber"] { color: $amber; }
QLabel[tone="danger"] { color: $danger; }
QLabel[tone="muted"] { color: $muted; }
QLabel#big { font-size: ${big}pt; font-weight: 600; }
QLabel#symbol { font-size: ${large}pt; font-weight: 700; }
QLabel#mode { color: white; font-weight: 800; padding: 4px 14px; border-radius: 4px; letter-spacing: 1px; }
QLabel#badge { border: 1px solid $border; border-radius: 4px; padding: 4px 10px; background: $surface; }
QLabel#code { background: $raised; border-radius: 4px; padding: 8px 12px; }
QLabel#banner { background: $raised; border-left: 4px solid $danger; padding: 8px 12px; }
QLabel#hovercard { background: $raised; border: 1px solid $border; border-radius: 5px; padding: 8px; }
QPushButton, QToolButton, QComboBox, QLineEdit {
  background: $raised; color: $text; border: 1px solid $border; border-radius: 4px; padding: 4px 10px; }
QToolButton { padding: 3px 8px; }
QPushButton:hover, QToolButton:hover, QComboBox:hover { border-color: $accent; }
QPushButton:focus, QToolButton:focus, QComboBox:focus, QLineEdit:focus { border: 1px solid $accent; }
QPushButton:disabled, QToolButton:disabled { color: $muted; background: $surface; }
QPushButton#primary { background: $accent; color: $on_accent; font-weight: 600; padding: 8px 22px; border: none; }
QPushButton#primary:disabled { background: $raised; color: $muted; }
QPushButton#secondary { padding: 8px 22px; }
QToolButton#legend { background: transparent; border: none; padding: 2px 6px; }
QToolButton#legend:!checked { color: $muted; }
QScrollArea, QWidget#clear { background: transparent; border: none; }
QToolButton#live { background: $accent; color: $on_accent; border: none; font-weight: 600; padding: 3px 10px; }
QComboBox::drop-down { border: none; width: 18px; }
QComboBox::down-arrow { image: none; border-left: 4px solid $raised; border-right: 4px solid $raised;
  border-top: 5px solid $muted; width: 0; height: 0; margin-right: 6px; }
QComboBox QAbstractItemView { background: $raised; color: $text; selection-background-color: $accent;
  selection-color: $on_accent; border: 1px solid $border; }
QTableView { background: $surface; alternate-background-color: $background; border: none; gridline-color: transparent;
  selection-background-color: $raised; selection-color: $text; }
QTableView::item { padding: 0 4px; }
QHeaderView { background: $surface; }
QHeaderView::section { background: $surface; color: $muted; border: none; border-bottom: 1px solid $border;
  padding: 4px 4px; font-weight: 600; }
QHeaderView::up-arrow, QHeaderView::down-arrow { width: 8px; }
QTableCornerButton::section { background: $surface; border: none; }
QStatusBar { background: $surface; border-top: 1px solid $border; }
QStatusBar::item { border: none; }
QStatusBar QLabel { padding: 0 8px; color: $muted; }
QSplitter::handle { background: transparent; }
QProgressBar { background: $raised; border: none; border-radius: 2px; max-height: 4px; }
QProgressBar::chunk { background: $accent; border-radius: 2px; }
QProgressBar[tone="amber"]::chunk { background: $amber; }
QProgressBar[tone="danger"]::chunk { background: $danger; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 0; }
QScrollBar::handle { background: $border; border-radius: 4px; min-height: 24px; min-width: 24px; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
""")


def style_sheet(theme: Theme, font_points: int = 10) -> str:
    """Return the application's style sheet for ``theme`` at a base font size."""
    colours = {slot: getattr(theme, slot) for slot in theme.__slots__}
    # Health is green whatever the palette means by up and down; its icon and word carry it too.
    good = "#2EBDB0" if theme.name == "dark" else "#00796B"
    on_accent = "#0B1020" if theme.name == "dark" else "#FFFFFF"
    return _STYLE.substitute(
        colours, good=good, on_accent=on_accent, size=font_points, large=font_points + 3, big=font_points + 8
    )

"""The card of risk: state in words, and each limit as what is used of what may be."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from engine.telemetry_wire import GaugeView
from gui import words
from gui.risk import RiskCard
from tests.gui import golden

GAUGES = [
    GaugeView("daily_loss_limit", 0.041, 0.05, "ratio", "close"),
    GaugeView("max_drawdown", 0.06, 0.05, "ratio", "close"),
    GaugeView("max_trades_per_day", 20, 20, "count", "day"),
    GaugeView("max_position_units", 1.5, 3.0, "units"),
    GaugeView("a_new_limit", 1.0, 2.0, "number"),
]


@pytest.fixture
def card(qtbot) -> RiskCard:
    made = RiskCard()
    qtbot.addWidget(made)
    made.show()
    return made


def account(**changes):
    return replace(golden.snapshot().account, **changes)


def test_each_limit_is_a_bar_with_its_number(card):
    card.show_risk(account(gauges=GAUGES))
    shown = [(one.name.text(), one.number.text(), one.bar.value(), one.bar.property("tone")) for one in card.gauges]
    assert shown == [
        ("Daily loss", "4.10 % of 5.00 %", 820, "amber"),
        ("Drawdown", "6.00 % of 5.00 %", 1000, "danger"),
        ("Entries today", "20 of 20", 1000, "amber"),
        ("Position size", "1.5 of 3", 500, ""),
        ("A new limit", "1.00 × of 2.00 ×", 500, ""),
    ]
    assert card.gauges[0].bar.accessibleName() == "Daily loss: 4.10 % of 5.00 %"


def test_limits_that_are_off_leave_no_row(card):
    card.show_risk(account(gauges=GAUGES))
    card.show_risk(account(gauges=GAUGES[:1]))
    assert [one.bar.isVisible() for one in card.gauges] == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("state", "halted", "word", "reason", "tone"),
    [
        ("active", "", "● Active", "", "good"),
        ("reducing", "old data", "◐ Reducing", "No entries, exits work: old data", "amber"),
        ("halted", "halted", "■ Halted", "No entries until resumed", "danger"),
        ("halted", "halted: drawdown limit", "■ Halted", "No entries until resumed: drawdown limit", "danger"),
    ],
)
def test_the_state_is_a_sign_a_word_and_a_colour(card, state, halted, word, reason, tone):
    card.show_risk(account(state=state, halted=halted))
    assert (card.state.text(), card.reason.text(), card.state.property("tone")) == (word, reason, tone)
    assert card.reason.isVisible() == bool(reason)


def test_every_limit_of_the_engine_that_is_a_gauge_has_a_name():
    """The words live with the dashboard, so one that is forgotten would show as its key."""
    from engine.account.gauges import Gauges
    from engine.account.limits import PROFILES
    from engine.account.portfolio import Portfolio
    from engine.account.risk import RiskGate
    from engine.model import Instrument

    portfolio = Portfolio([Instrument("A", 2, 0)], Fraction(10_000))
    gauges = Gauges(RiskGate(PROFILES["guarded"].limits, portfolio), portfolio, None)
    assert set(gauges.names) == set(words.LIMITS)

"""Ten thousand random sequences, and not one limit exceeded; and proof that the observer would have seen it."""

from __future__ import annotations

import pytest

from engine.account.limits import ALL_OFF, LIMITS, with_limits
from tests.props.risk_sequences import CHOICES, play

SEQUENCES, PARTS = 10_000, 10

HAPPENS = {
    "rests limit",
    "rests stop",
    "rests target",
    "filled waiting",
    "filled in part",
    "cancelled whole",
    "cancelled part",
    "cancelled exit",
}
"""What sequences have to bring about, or else they show nothing of it."""


@pytest.mark.parametrize("part", range(PARTS))
def test_no_limit_is_exceeded(part):
    entries, seen = 0, set()
    for seed in range(part, SEQUENCES, PARTS):
        observer = play(seed)
        assert not observer.breaches, f"seed {seed}: {observer.breaches} under {observer.limits.to_json()}"
        entries += observer.entries
        seen |= observer.seen
    assert entries > 2 * SEQUENCES / PARTS  # something was judged
    assert seen == HAPPENS


STANDING = {"daily_loss_limit", "daily_loss_money", "max_drawdown"}
"""Limits that no single entry exceeds: what is exceeded is that anything was entered after them."""

MEASURES = {"liquidation_bar", "maintenance_margin"}
"""What only says how another limit measures."""


@pytest.mark.parametrize("name", [limit.name for limit in LIMITS if limit.name not in MEASURES])
def test_without_the_gate_the_observer_sees_this_limit_exceeded(name):
    given = {name: CHOICES[name][0]}
    if name == "liquidation_buffer":
        given |= {measure: CHOICES[measure][0] for measure in MEASURES}
    judged = with_limits(ALL_OFF, given)
    expected = "standing" if name in STANDING else name
    assert any(expected in play(seed, 40, ALL_OFF, judged).breaches for seed in range(300))

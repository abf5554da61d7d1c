"""Whoever starts a session while its market is closed is told so, and until when."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.live.paper import closed_line

OPEN_NS = int(datetime(2024, 1, 2, 14, 30, tzinfo=UTC).timestamp()) * 10**9
"""09:30 in New York, after a New Year's Day and the night before it."""

CLOSE_NS = OPEN_NS + 6 * 3600 * 10**9 + 1800 * 10**9


@pytest.mark.parametrize(
    ("now_ns", "opens"),
    [
        (OPEN_NS - 1, "Tue 2024-01-02 14:30"),
        (OPEN_NS, None),
        (CLOSE_NS - 1, None),
        (CLOSE_NS, "Wed 2024-01-03 14:30"),
    ],
)
def test_a_closed_market_is_told_with_its_next_opening(now_ns, opens):
    told = f"us_equities is closed: nothing is entered before {opens} UTC; microburst calendar next us_equities"
    assert closed_line("us_equities", now_ns) == (opens and told)


def test_a_market_without_hours_is_never_closed():
    assert closed_line("always", CLOSE_NS) is None

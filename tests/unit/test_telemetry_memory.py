"""The memory of what is kept for viewers, measured."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

from engine import telemetry
from tests.gui.publisher import SyntheticSession


def test_what_is_kept_for_viewers_takes_no_more_memory_the_longer_a_session_lasts(monkeypatch):
    """The whole of it, measured: once every history is full, four times as many frames add nothing."""
    for name, length in (("HISTORY_POINTS", 400), ("HISTORY_PNL", 100), ("HISTORY_TRADES", 50)):
        monkeypatch.setattr(telemetry, name, length)
    history, session = telemetry._SessionHistory(), SyntheticSession(rate=300)
    session.advance(30)
    template = session.advance(1)
    (symbol,) = template.symbols
    trade = session.trades[0]

    def frame(number: int) -> None:
        """A picture of objects of its own, as a session makes them: nothing in it is shared with the one before."""
        ts_ns, price = 10**18 + number * 10**8, 100.0 + number / 7
        points = [(ts_ns + step, price + step, price, price + 1, price, 0.5 * step) for step in range(10)]
        history.add(
            replace(
                template,
                seq=number,
                engine_ts_ns=ts_ns,
                account=replace(template.account, total_pnl=number / 3),
                symbols=[replace(symbol, points=points)],
                new_trades=[replace(trade, entry_ts_ns=ts_ns)],
            )
        )

    def most(begin: int, end: int) -> int:
        """The most memory in use after any of these frames."""
        found = 0
        for number in range(begin, end):
            frame(number)
            found = max(found, tracemalloc.get_traced_memory()[0])
        return found

    tracemalloc.start()
    try:
        full = most(0, 200)
        later = most(200, 1_000)
    finally:
        tracemalloc.stop()
    assert full > 50_000
    assert later < 1.05 * full

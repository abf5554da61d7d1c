"""The paper venue on bad days: it refuses some entries, and now and then is away for seconds, so that orders wait.

What an order meets follows from its number and its time alone, so that a session that is brought back meets the same.
What is sent arrives in order, as the engine's broker promises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from unittest import mock

from engine import backtesting
from engine.account.orders import OrderState
from engine.account.risk import Approved
from engine.brokers.paper import PaperBroker
from engine.ports import Fill
from tests.sim.clock import SECOND_NS

SPELL_NS = 10 * SECOND_NS
"""In some of the spells of this length the venue is away at first."""


@contextmanager
def moods(seed: int, met: Counter[str]) -> Iterator[None]:
    """Let kernels trade there; ``met`` counts what orders have met."""

    def mood(of: int) -> int:
        return blake2b(f"{seed} {of}".encode(), digest_size=1).digest()[0]

    class MoodyBroker(PaperBroker):
        def arrival_ns(self, approved: Approved, sent_ns: int) -> int:
            usual_ns = super().arrival_ns(approved, sent_ns)
            spell, into_ns = divmod(usual_ns, SPELL_NS)
            away_ns = max(0, mood(-spell) - 200) * SECOND_NS // 10
            if into_ns >= away_ns:
                return usual_ns
            met["the venue was away"] += 1
            return spell * SPELL_NS + away_ns

        def fill(self, approved: Approved, lots: int, last_ticks: int, bid_ticks: int, ask_ticks: int) -> Fill | None:
            is_sent = approved.state is not OrderState.APPROVED
            if is_sent and approved.reason is None and mood(approved.order_id) < 25:
                met["refused by the venue"] += 1
                return None
            return super().fill(approved, lots, last_ticks, bid_ticks, ask_ticks)

    with mock.patch.object(backtesting, "PaperBroker", MoodyBroker):
        yield

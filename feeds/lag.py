"""How much longer than usual records have taken from the exchange to here.

The clocks of an exchange and of this machine do not agree, so a record's age cannot be read from its exchange time.
What can be known is how much *more* time has passed between that time and its receipt than at the best of times: the
least difference of the last ten minutes is taken for the usual way, whatever the clocks are apart, and what is beyond
it is delay. That is never more than the true age. The monotonic clock is compared with, so a step of our own wall
clock is no delay; a step of the exchange's looks like one until ten minutes have passed.
"""

from __future__ import annotations

from feeds.base import SECOND_NS

HALF_NS = 300 * SECOND_NS
"""The least difference is that of this half and of the one before: it is five to ten minutes old at most."""

NEVER = 1 << 62


class ExchangeLag:
    """Calibrates itself to one venue."""

    def __init__(self) -> None:
        self._least_ns = self._least_before_ns = NEVER
        self._half_ends_ns = -NEVER

    def excess_ns(self, exchange_ns: int, received_ns: int) -> int:
        """Return how much longer than usual a record took; 0 for the first, which is all that is known yet.

        Args:
            exchange_ns: its time by the exchange's clock.
            received_ns: monotonic time of its receipt.
        """
        if received_ns >= self._half_ends_ns:
            recent = received_ns < self._half_ends_ns + HALF_NS
            self._least_before_ns = self._least_ns if recent else NEVER
            self._least_ns, self._half_ends_ns = NEVER, received_ns + HALF_NS
        lag_ns = received_ns - exchange_ns
        self._least_ns = min(self._least_ns, lag_ns)
        return lag_ns - min(self._least_ns, self._least_before_ns)

"""When to connect again: at once, then ever more patiently, never in step with others, never too often.

Full jitter: the wait before attempt *n* is drawn evenly from zero to a ceiling that doubles from ``backoff_first_s`` to
``backoff_cap_s``, so that clients cut off together do not come back together. There is no last attempt.
"""

from __future__ import annotations

from collections import deque
from random import Random

from feeds.base import SECOND_NS
from feeds.guard import FeedLimits


class Reconnect:
    """Counts attempts and says how long to wait before the next one."""

    def __init__(self, limits: FeedLimits, random: Random) -> None:
        self._limits = limits
        self._random = random
        self._failures = 0  # attempts since the last stable connection
        self._attempts_ns: deque[int] = deque(maxlen=limits.connects_per_window)

    def stable(self) -> None:
        """The last connection was a good one: the next attempt may be made at once."""
        self._failures = 0

    def wait_s(self, now_ns: int) -> float:
        """Seconds to wait from ``now_ns`` before the next attempt, which is counted as made after them."""
        wait_s = 0.0
        if self._failures:
            # The exponent is capped too: 2.0**1100 would not fit a float.
            ceiling = self._limits.backoff_first_s * 2.0 ** min(self._failures - 1, 60)
            wait_s = self._random.uniform(0.0, min(self._limits.backoff_cap_s, ceiling))
        if len(self._attempts_ns) == self._limits.connects_per_window:
            window_ns = self._attempts_ns[0] + int(self._limits.connect_window_s * SECOND_NS) - now_ns
            wait_s = max(wait_s, window_ns / SECOND_NS)
        self._failures += 1
        self._attempts_ns.append(now_ns + int(wait_s * SECOND_NS))
        return wait_s

"""How late market data and orders are: always the same, drawn from a distribution, or as measured.

A latency says what the delays are; a ``Leg`` is one way between market and engine, with a draw for each message. What
is drawn is the same for the same seed on every machine: the generator is integer arithmetic, and the distribution is
computed in decimal arithmetic, whose ``ln`` and ``exp`` are correctly rounded, where those of C libraries differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import cache, lru_cache
from itertools import cycle, repeat

from engine.quantities import format_duration

CELLS = 1_000
"""Delays are drawn from so many equally likely quantiles of a distribution: those in the middle of each cell."""

P99 = Decimal("0.99")
ARITHMETIC = Context(prec=40, rounding=ROUND_HALF_EVEN)
PI = Decimal("3.141592653589793238462643383279502884197")

WORD = (1 << 64) - 1
GOLDEN_GAMMA = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class Constant:
    """Every message is late by the same, in nanoseconds."""

    delay_ns: int

    def draws(self, _stream: int, _after: int = 0) -> Iterator[int]:
        """The delay of one message after the other, in nanoseconds."""
        return repeat(self.delay_ns)

    def __str__(self) -> str:
        return format_duration(self.delay_ns)


@dataclass(frozen=True, slots=True)
class Sampled:
    """Delays from the log-normal distribution with this median and this 99th percentile, in nanoseconds.

    The delay at the share ``p`` of messages is ``median * (p99 / median) ** (z(p) / z(0.99))``, rounded half to even,
    with ``z`` the quantiles of the standard normal distribution.
    """

    median_ns: int
    p99_ns: int
    seed: int

    def draws(self, stream: int, after: int = 0) -> Iterator[int]:
        """The delay of one message after the other, in nanoseconds, ``after`` so many that were drawn before.

        Each ``stream`` of a seed has draws of its own.
        """
        table = self.quantiles_ns()
        return (table[word * len(table) >> 64] for word in words(self.seed, stream, after))

    def quantiles_ns(self) -> tuple[int, ...]:
        """The delays that are drawn from, the shortest first."""
        return quantiles_ns(self.median_ns, self.p99_ns)

    def __str__(self) -> str:
        median, p99 = format_duration(self.median_ns), format_duration(self.p99_ns)
        return f"sampled median {median} p99 {p99} seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Measured:
    """Delays that were measured, in nanoseconds: in order and again from the start, or with a seed drawn from them.

    ``path``, ``column`` and ``sha256`` say which file they were read from.
    """

    delays_ns: tuple[int, ...]
    path: str
    column: str
    sha256: str
    seed: int | None

    def draws(self, stream: int, after: int = 0) -> Iterator[int]:
        """The delay of one message after the other, in nanoseconds, ``after`` so many that were drawn before."""
        delays_ns = self.delays_ns
        if self.seed is None:
            first = after % len(delays_ns)
            return cycle(delays_ns[first:] + delays_ns[:first])
        return (delays_ns[word * len(delays_ns) >> 64] for word in words(self.seed, stream, after))

    def __str__(self) -> str:
        column = f" column {self.column}" if self.column else ""
        seed = "" if self.seed is None else f" seed {self.seed}"
        return f"file {self.path}{column}{seed} sha256 {self.sha256}"


Latency = Constant | Sampled | Measured
AT_ONCE = Constant(0)


class Leg:
    """One way between market and engine: what is sent on it arrives late, and in the order in which it was sent."""

    def __init__(self, latency: Latency, stream: int) -> None:
        self._latency, self._stream = latency, stream
        self.restore((0, 0))

    @property
    def kept(self) -> tuple[int, int]:
        """How many messages were sent, and when the newest arrives: what another one goes on from."""
        return self._sent, self._newest_ns

    def restore(self, state: tuple[int, int]) -> None:
        """Go on from where another leg was in this state."""
        self._sent, self._newest_ns = state
        self._draws = self._latency.draws(self._stream, self._sent)

    def arrival_ns(self, sent_ns: int) -> int:
        """When a message arrives: after its own delay, and not before the one that was sent before it."""
        self._sent += 1
        self._newest_ns = max(self._newest_ns, sent_ns + next(self._draws))
        return self._newest_ns


def words(seed: int, stream: int, after: int = 0) -> Iterator[int]:
    """Pseudo-random words of 64 bits: SplitMix64 (Steele, Lea and Flood, 2014), begun where seed and stream say.

    Those ``after`` so many come at once: the generator's state moves on by the same with each.
    """
    state = _mixed(2 * seed + stream) + after * GOLDEN_GAMMA & WORD
    while True:
        state = state + GOLDEN_GAMMA & WORD
        yield _mixed(state)


def _mixed(state: int) -> int:
    """SplitMix64's finalizer: each bit of the result depends on every bit of the state."""
    state &= WORD
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & WORD
    state = (state ^ state >> 27) * 0x94D049BB133111EB & WORD
    return state ^ state >> 31


@lru_cache(maxsize=8)
def quantiles_ns(median_ns: int, p99_ns: int) -> tuple[int, ...]:
    """Delays in the middle of ``CELLS`` equally likely cells of a log-normal distribution, the shortest first."""
    with localcontext(ARITHMETIC):
        spread = (Decimal(p99_ns) / median_ns).ln() / normal_quantile(P99, Decimal(2))
        return tuple(round(median_ns * (z * spread).exp()) for z in normal_quantiles())


@cache
def normal_quantiles() -> tuple[Decimal, ...]:
    """The quantiles of the standard normal distribution in the middle of ``CELLS`` equal cells, ascending."""
    with localcontext(ARITHMETIC):
        upper, z = [], Decimal(0)
        for cell in range(CELLS // 2, CELLS):
            z = normal_quantile(Decimal(2 * cell + 1) / (2 * CELLS), z)
            upper.append(z)
        return (*(-z for z in reversed(upper)), *upper)


def normal_quantile(share: Decimal, near: Decimal) -> Decimal:
    """Where the standard normal distribution function has the value ``share``: Newton's method from ``near``."""
    z, step = near, Decimal(1)
    while abs(step) > Decimal("1e-18"):  # the next step, its square at most, would be beyond what is rounded away
        below, density = normal(z)
        step = (share - below) / density
        z += step
    return z


def normal(z: Decimal) -> tuple[Decimal, Decimal]:
    """Distribution function and density of the standard normal distribution.

    The function is ``1/2 + density * (z + z^3/3 + z^5/(3*5) + ...)`` (Abramowitz and Stegun 26.2.11).
    """
    density = (-z * z / 2).exp() / (2 * PI).sqrt()
    term = total = z
    odd = 1
    while abs(term) > Decimal("1e-30"):
        odd += 2
        term *= z * z / odd
        total += term
    return Decimal("0.5") + density * total, density

"""The weather between market and client: which faults a client meets, and when.

``--weather`` names them: ``gap,duplicate`` for both all the time, or a script such as ``calm 30s, garbage 5s,
disconnect`` that begins anew after its last step unless that is ``end``. The time is wall time since the server's
start, the same for all clients, so that a client that was cut off comes back into the weather it would have met.
What each word does is in :mod:`mock_server.weather_stages` and, for readers, in ``docs/reference/weather.md``.
"""

from __future__ import annotations

import difflib
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from mock_server.errors import ExitCode, MockError
from mock_server.units import duration_s

FAULTS = (
    "burst",
    "gap",
    "halt",
    "crossed",
    "out-of-order",
    "duplicate",
    "disconnect",
    "clock-jump",
    "garbage",
    "oversized",
    "flood",
    "slow-loris",
)
"""What can go wrong, each alone."""

WORDS = ("calm", *FAULTS, "mixed")
"""What may be asked for: no fault, one of them, or each second another one."""

STEP_S = 1.0
"""How long a step of a script takes that says nothing else."""

_FLAG = "--weather"


@dataclass(frozen=True, slots=True)
class Step:
    """Faults that happen at the same time, for ``seconds`` (``inf``: from then on)."""

    words: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Moment:
    """A second of a step: ``step`` counts from the server's start, ``second`` from the step's."""

    step: int
    second: int
    words: tuple[str, ...]


def read_script(text: str) -> tuple[Step, ...]:
    """Read what ``--weather`` says: words, a script, or the name of a ``.txt`` file with a script.

    In a file a line's end separates steps as a comma does, and ``#`` begins a comment.

    Raises:
        MockError: there is no such weather, no such file, or nothing in it.
    """
    where = _FLAG
    if text.strip().endswith(".txt"):
        where = text.strip()
        try:
            text = Path(where).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not a text in UTF-8"
            raise MockError(str(why), where=where, exit_code=ExitCode.DATA) from None
        text = ",".join(line.partition("#")[0] for line in text.splitlines())
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise MockError("no weather given", where=where, fix="for example --weather gap,duplicate")
    if all(part in WORDS for part in parts):  # no times: all of it at once, for ever
        return (Step(tuple(dict.fromkeys(parts)), float("inf")),)
    ends = len(parts) > 1 and parts[-1] == "end"
    steps = [_step(part, where) for part in (parts[:-1] if ends else parts)]
    return (*steps, Step(("calm",), float("inf"))) if ends else tuple(steps)


def _step(text: str, where: str) -> Step:
    names, _, time_text = (piece.strip() for piece in re.sub(r"\s+", " ", text).partition(" "))
    words = tuple(dict.fromkeys(names.split("+")))
    for word in words:
        if word not in WORDS:
            close = difflib.get_close_matches(word, WORDS, n=1, cutoff=0.5)
            fix = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(WORDS)}"
            raise MockError(f"{word!r} is no weather", where=where, fix=fix)
    return Step(words, duration_s(time_text, where) if time_text else STEP_S)


class Weather:
    """What the weather is now, and how often each fault has happened, over all connections.

    Args:
        steps: the script, from :func:`read_script`.
        seed: fixes what ``mixed`` chooses and which records each fault meets.
        now_s: a clock; tests bring their own.
    """

    def __init__(self, steps: tuple[Step, ...], seed: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self.seed = seed
        self.happened: Counter[str] = Counter()
        self._steps = steps
        self._now_s = now_s
        self._began_s = now_s()

    def now(self) -> Moment:
        """Return the moment of the script, with ``mixed`` resolved and ``calm`` left out."""
        elapsed_s = self._now_s() - self._began_s
        round_s = sum(step.seconds for step in self._steps)
        rounds = 0 if round_s == float("inf") else int(elapsed_s // round_s)
        into_s = elapsed_s - rounds * round_s if rounds else elapsed_s
        index = 0
        while index < len(self._steps) - 1 and into_s >= self._steps[index].seconds:
            into_s -= self._steps[index].seconds
            index += 1
        number, second = rounds * len(self._steps) + index, int(into_s)
        words = tuple(self._resolve(word, number, second) for word in self._steps[index].words)
        return Moment(number, second, tuple(word for word in words if word != "calm"))

    def _resolve(self, word: str, number: int, second: int) -> str:
        if word != "mixed":
            return word
        # Every other second is calm, so that what a fault leaves behind can be seen to heal.
        return "calm" if second % 2 == 0 else Random(f"{self.seed}/{number}/{second}").choice(FAULTS)  # noqa: S311

    def account(self) -> str:
        """Return the faults that have happened, for people: ``gap 12, duplicate 30``."""
        counts = ", ".join(f"{word} {self.happened[word]:,}" for word in FAULTS if self.happened[word])
        return counts or "no fault happened"

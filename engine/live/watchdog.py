"""The watchdog: a thread that ends the process when the engine's own thread hangs in a strategy's code.

The engine is one thread, so a strategy whose code never returns stops everything: ticks, exits, the dashboard's halt.
The watchdog hears a beat with every picture the session takes, five times a second or more. When none has come for
``LIMIT_S`` it says where the engine hangs, has that written to the health file, and ends the process with exit code 10;
the journal holds everything that was decided, so the next start goes on from it.

It counts its own looks rather than seconds: a process that was suspended as a whole is not hanging. Code in C that
never gives the interpreter up stops this thread too; only rules and features of one's own in C can do that.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import FrameType

from engine.errors import ExitCode

LOOK_S = 0.1
LIMIT_S = 2.0
"""Without a beat for so long the engine hangs; with a look to spare that is acted upon within 3 s."""


class Watchdog:
    """Watches the thread that creates it. Use as a context manager around what is watched.

    Args:
        on_stuck: is called, in the watchdog's thread, with a line that says where the engine hangs.
        end: ends the process; tests bring their own.
    """

    def __init__(self, on_stuck: Callable[[str], None], end: Callable[[int], object] = os._exit) -> None:
        self._on_stuck, self._end = on_stuck, end
        self._watched = threading.get_ident()
        self._beats = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def beat(self) -> None:
        """The engine is alive; it is watched from its first beat on."""
        self._beats += 1

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._thread.join()

    def release(self) -> None:
        """Watch no longer: what is still to be done may take its time."""
        self._stop.set()

    def _watch(self) -> None:
        heard, looks = 0, 0
        while not self._stop.wait(LOOK_S):
            heard, looks = self.look(heard, looks)
            if looks * LOOK_S >= LIMIT_S:
                self._on_stuck(f"the engine has hung for {LIMIT_S:g} s in {where(self._watched)}")
                self._end(ExitCode.STUCK)
                return

    def look(self, heard: int, looks: int) -> tuple[int, int]:
        """Return the beats so far, and how many looks in a row have found no new one."""
        beats = self._beats
        return beats, looks + 1 if beats and beats == heard else 0


def where(thread: int) -> str:
    """Return the line that a thread is in, as ``FILE:LINE (FUNCTION)``."""
    frame: FrameType | None = sys._current_frames().get(thread)
    if frame is None:
        return "code of its own"
    return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"

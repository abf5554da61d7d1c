"""Types of the nodes that call Python."""

from collections.abc import Callable, Sequence
from typing import final

from engine._program import Program

MAX_INPUTS: int

@final
class Caller:
    """A Python function in one program, and what it raised."""

    name: str
    code: Callable[..., object]
    arguments: tuple[float, ...] | None
    def __init__(self, name: str, make: Callable[[], Callable[..., object]], code: Callable[..., object]) -> None: ...
    def take_error(self) -> BaseException | None: ...

def add_call(program: Program, caller: Caller, inputs: Sequence[int], clock: int, restarts: bool) -> int: ...

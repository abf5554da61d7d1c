"""How far a long command is, on a terminal; in a file or a pipe nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show on standard error, where it is a terminal, how far a command is; what was shown is gone at the end.

    Yields:
        What tells it: the name of a step, how much of it is done, and how much there is.
    """
    if not sys.stderr.isatty():
        yield lambda step, done, of: None
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID

    with Progress(console=Console(stderr=True), transient=True) as shown:
        tasks: dict[str, TaskID] = {}

        def tell(step: str, done: int, of: int) -> None:
            if step not in tasks:
                for task in tasks.values():
                    shown.update(task, completed=shown.tasks[task].total or 0)
                tasks[step] = shown.add_task(step, total=of)
            shown.update(tasks[step], completed=done)

        yield tell

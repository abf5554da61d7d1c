"""``microburst compare``: two kept runs, or two strategies on the same file, side by side."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.commands.groups import with_groups
from engine.commands.inputs import Recording, check_kept, usage
from engine.commands.shared import JsonFlag, Trading, naming_origins, write_json
from engine.commands.side_by_side import show_kept, show_pairs
from engine.commands.whatif import variant_of

if TYPE_CHECKING:
    from engine.config.settings import Loaded

STRATEGY = "'NAME KEY=VALUE ...'"


@with_groups
def compare(
    recording: Recording,
    trading: Trading,
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RUN RUN]", help="Two folders of backtest --save.", show_default=False),
    ] = None,
    a: Annotated[
        str | None, typer.Option("--a", metavar=STRATEGY, help="With a file: the one strategy and its parameters.")
    ] = None,
    b: Annotated[str | None, typer.Option("--b", metavar=STRATEGY, help="With a file: the other one.")] = None,
    different_data: Annotated[
        bool, typer.Option("--different-data", help="Compare runs although they ran over different data.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Lay two runs side by side: what was different about them, their figures, their trades.

    Either two runs that were kept, or with --ticks (or --bars), --a and --b two strategies on the same file; then it is
    also said where and why they part. Runs over different data are refused (exit 8): their results say nothing about
    each other.
    """
    if not runs:
        _compare_strategies(recording, trading, a, b, as_json=as_json)
        return
    if recording.named or a is not None or b is not None:
        raise usage("kept runs and a file: not both", "name two runs, or --ticks FILE with --a and --b")
    check_kept(recording, trading)
    if len(runs) != 2:
        raise usage(f"{len(runs)} run{'s' if len(runs) > 1 else ''} to compare", "name two: microburst runs lists them")
    from engine.tools.compare import Comparison
    from engine.tools.runs import load

    found = Comparison(load(runs[0]), load(runs[1]), different_data=different_data)
    if as_json:
        write_json(found.to_json())
    else:
        show_kept(found)


def _compare_strategies(recording: Recording, trading: Trading, a: str | None, b: str | None, *, as_json: bool) -> None:
    if a is None or b is None:
        raise usage(
            "there is nothing to compare", "name two runs, or a file and two strategies: --ticks FILE --a NAME --b NAME"
        )
    recording.check()
    loaded = load_strategy(trading, a), load_strategy(trading, b)
    file = recording.read()
    from engine.tools.whatif import WhatIf

    with naming_origins(loaded[0].origins):  # of both: only their strategies are different
        found = WhatIf(file, *(variant_of(one, file) for one in loaded))
    if as_json:
        write_json(found.to_json())
    else:
        show_pairs(found, ("a", "b"))


def load_strategy(trading: Trading, text: str) -> Loaded:
    """The configuration with a strategy as it is written on one line: its name and parameters.

    Raises:
        UserError: there is no name (exit code 2), or a parameter is none of the strategy's.
    """
    try:
        name, *parameters = shlex.split(text)
    except ValueError as error:
        said = f" ({error})" if text.strip() else ""
        raise usage(f"--a and --b name a strategy each, and {text!r} names none{said}", f"write {STRATEGY}") from None
    return replace(trading, parameters=[*(trading.parameters or ()), *parameters]).load(name)

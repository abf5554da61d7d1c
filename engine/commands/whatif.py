"""``microburst whatif``: what one change would have done to the trades, and why the first one differs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Annotated

import typer

from engine.commands.groups import with_groups
from engine.commands.inputs import Recording, usage
from engine.commands.journal import journal_of
from engine.commands.shared import (
    JsonFlag,
    StrategyFlag,
    Trading,
    account_of,
    chosen_line,
    chosen_strategy,
    naming_origins,
    write_json,
)
from engine.commands.side_by_side import show_pairs, show_session
from engine.errors import ConfigError, nearest

if TYPE_CHECKING:
    from engine.config.settings import Loaded
    from engine.store.ticks import TickFile
    from engine.tools.whatif import Variant

SECTIONS = ("paper", "risk", "sizing", "session")
"""The tables of the configuration that decide a backtest besides its strategy."""

UNDECIDING = ("account", "duration")
"""Keys of theirs that only say whose trades these are, and for how long there was trading."""


@with_groups
def whatif(
    recording: Recording,
    trading: Trading,
    session: Annotated[
        str | None,
        typer.Argument(
            metavar="SESSION", help="A recorded session, or 'last', in place of a file.", show_default=False
        ),
    ] = None,
    strategy: StrategyFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Run the strategy twice over the same file or recorded session, once with a change; lay the trades side by side.

    --set changes a parameter of the strategy, or a setting such as fee, latency_order or daily_loss_limit.
    """
    if not trading.parameters:
        raise usage("there is nothing to change", "name it: --set window=7s, or --set fee=5bps")
    if session is not None:
        _whatif_session(session, recording, trading, strategy, as_json)
        return
    recording.check()
    base = replace(trading, parameters=None).load(strategy)
    parameters, settings = sort_changes(trading.parameters, chosen_strategy(base).declared)
    changed = replace(trading, parameters=parameters).load(strategy, **settings)
    file = recording.read()
    from engine.tools.whatif import WhatIf

    with naming_origins(changed.origins):
        found = WhatIf(file, variant_of(base, file), variant_of(changed, file))
    if as_json:
        write_json(found.to_json())
    else:
        show_pairs(found, ("as configured", "changed"))


def _whatif_session(
    session: str, recording: Recording, trading: Trading, strategy: Sequence[str] | None, as_json: bool
) -> None:
    """The same for a recorded session, which has settings and a strategy of its own."""
    own = [getattr(trading, one.name) for one in fields(trading) if one.name not in ("config_file", "parameters")]
    if recording.named or strategy or any(own):
        what = "SESSION goes with --set, and with the flags of neither files nor strategies"
        raise usage(what, "a session was recorded with its own settings")
    from engine.config.settings import Found, by_path
    from engine.tools.whatif_session import SessionWhatIf, strategy_of

    directory = journal_of(session, trading.config_file)
    chosen = strategy_of(directory)
    parameters, settings = sort_changes(trading.parameters or [], {} if chosen is None else chosen.declared)
    named = dict(text.split("=", 1) for text in split_all(parameters))
    changes = {f"strategy.params.{name}": Found(value, f"flag --set {name}") for name, value in named.items()}
    for place, value in settings.items():
        section, _, key = place.partition("__")
        changes[f"{section}.{key}"] = Found(value, f"flag --set {key}")
    with naming_origins({path: one.origin for path, one in by_path(changes).items()}):
        found = SessionWhatIf(directory, changes)
    if as_json:
        write_json(found.to_json())
    else:
        show_session(found, ("as recorded", "changed"))


def split_all(parameters: Sequence[str]) -> Sequence[str]:
    """Refuse a parameter without its value.

    Raises:
        ConfigError: there is no ``=``.
    """
    for text in parameters:
        if "=" not in text:
            raise ConfigError(f"'{text}' is not NAME=VALUE", where="flag --set", fix="write for example window=7s")
    return parameters


def variant_of(loaded: Loaded, file: TickFile) -> Variant:
    """One run as a configuration describes it."""
    from engine.backtesting import make_settings
    from engine.tools.whatif import Variant

    line = chosen_line(loaded)
    return Variant(line, make_settings(file.block, line, **account_of(loaded.config)))


def sort_changes(changes: Sequence[str], declared: Collection[str]) -> tuple[list[str], dict[str, str]]:
    """Tell the strategy's parameters from settings; the latter as ``load_config`` takes them.

    Raises:
        ConfigError: a name is neither, or there is no ``=``.
    """
    from engine.config.settings import sections

    known = {key: f"{name}__{key}" for name, section in sections() if name in SECTIONS for key in section.model_fields}
    known |= {place.replace("__", "."): place for place in known.values()}
    parameters, settings = [], {}
    for text in changes:
        name, separator, value = text.partition("=")
        if name in declared or not separator:
            parameters.append(text)
        elif name in known:
            place = known[name].replace("__", ".")
            if place.partition(".")[2] in UNDECIDING:
                raise ConfigError(f"{place} decides no trade", where=f"flag --set {name}", fix="change something else")
            settings[known[name]] = value
        else:
            what = f"there is neither a parameter nor a setting '{name}'"
            raise ConfigError(what, where="flag --set", fix=nearest(name, [*declared, *known]))
    return parameters, settings

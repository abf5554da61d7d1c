"""``microburst risk``: which limits are on, at which values, who says so, and what happens there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from engine.commands.figure_words import so_many
from engine.commands.shared import (
    ConfigFlag,
    JsonFlag,
    RiskProfileFlag,
    SizeFlag,
    StrategyFlag,
    chosen_strategy,
    load_roughly,
    plain_table,
    write_json,
    write_table,
)

if TYPE_CHECKING:
    from engine.config.settings import Loaded
    from engine.strategy import Strategy

SCHEMA = "microburst.risk/1"

app = typer.Typer(help="Show the limits of the account.", no_args_is_help=False)


@app.command()
def show(
    strategy: StrategyFlag = None,
    profile: RiskProfileFlag = None,
    size: SizeFlag = None,
    config_file: ConfigFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Show every limit: its value, who set it, and what happens when it is reached.

    As configured, or as a strategy and a profile would have it.
    """
    said = "these are the limits without it"
    loaded = load_roughly(config_file, said, strategy__name=strategy, risk__profile=profile, sizing__size=size)
    chosen = chosen_strategy(loaded)
    name, named_by = _profile_of(loaded, chosen)
    rows = list(_limits(loaded, name))
    sized, sized_by = _size_of(loaded, chosen)
    if as_json:
        found = {"profile": {"name": name, "origin": named_by}, "size": {"value": sized, "origin": sized_by}}
        write_json({"schema": SCHEMA, **found, "limits": rows})
        return
    head = plain_table("", "", "origin")
    head.add_row("profile", name, named_by)
    head.add_row("size of an entry", sized, sized_by)
    table = plain_table("limit", "value", "unit", "origin", "when reached")
    for row in rows:
        table.add_row(row["limit"], row["value"], row["unit"], row["origin"], row["reached"] if row["on"] else "")
    write_table(head, "", table)


@app.command()
def profiles(as_json: JsonFlag = False) -> None:
    """List the sets of limits and what each switches on."""
    from engine.account.limits import PROFILES

    on = {one.name: {n: text for n, text in one.limits.to_json().items() if text != "off"} for one in PROFILES.values()}
    if as_json:
        found = {name: {"for": one.meaning, "limits": on[name]} for name, one in PROFILES.items()}
        write_json({"schema": SCHEMA, "profiles": found})
        return
    table = plain_table("profile", "for", "limits")
    for name, one in PROFILES.items():
        table.add_row(name, one.meaning, ", ".join(f"{limit} {text}" for limit, text in on[name].items()) or "none")
    write_table(table)


def _profile_of(loaded: Loaded, strategy: type[Strategy]) -> tuple[str, str]:
    """The profile, and who named it."""
    named = loaded.config.risk.profile
    if named:
        return named, loaded.origins["risk", "profile"]
    return strategy.risk_profile, f"strategy {strategy.__name__}"


def _size_of(loaded: Loaded, strategy: type[Strategy]) -> tuple[str, str]:
    """How large entries are, and who says so."""
    from engine.quantities import format_decimal
    from engine.sizing import parse_size, said_size

    if loaded.config.sizing.size:
        return said_size(parse_size(loaded.config.sizing.size)), loaded.origins["sizing", "size"]
    if strategy.size is not None:
        return said_size(strategy.size), f"strategy {strategy.__name__}"
    origin = loaded.origins.get(("risk", "position_size"), "default")
    return so_many(format_decimal(loaded.config.risk.position_size), "unit"), origin


def _limits(loaded: Loaded, name: str) -> Iterator[dict[str, Any]]:
    """Every limit as a row."""
    from engine.account.limits import LIMITS, profile, with_limits

    given = loaded.config.risk.given
    limits = with_limits(profile(name).limits, given)
    for limit in LIMITS:
        value = getattr(limits, limit.name)
        yield {
            "limit": limit.name,
            "value": limit.written(value),
            "on": value is not None,
            "unit": limit.unit,
            "origin": loaded.origins["risk", limit.name] if limit.name in given else f"profile {name}",
            "meaning": limit.meaning,
            "refusal": None if limit.refusal is None else limit.refusal.value,
            "reached": limit.reached,
        }

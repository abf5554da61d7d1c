"""``microburst montecarlo``: how much of a result is the order of its trades."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from engine.commands.groups import with_groups
from engine.commands.inputs import Recording, check_kept, usage
from engine.commands.shared import JsonFlag, StrategyFlag, Trading, naming_origins, plain_table, write_json, write_table
from engine.commands.side_by_side import number
from engine.commands.whatif import variant_of

if TYPE_CHECKING:
    from engine.tools.montecarlo import Closed, MonteCarlo


@with_groups
def montecarlo(
    recording: Recording,
    trading: Trading,
    kept: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="A folder of backtest --save.", show_default=False)
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            "--method", metavar="shuffle|resample", help="The same trades in other orders, or as many drawn anew."
        ),
    ] = "shuffle",
    paths: Annotated[int, typer.Option("--paths", metavar="N", min=1, max=1_000_000, help="How many paths.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the draws.")] = 1,
    total_loss_limit: Annotated[
        str, typer.Option("--total-loss-limit", metavar="RATIO", help="Loss of the starting equity to ask about.")
    ] = "20%",
    strategy: StrategyFlag = None,
    as_json: JsonFlag = False,
) -> None:
    """Put the trades of a run in other orders, many times, and show what drawdowns and ends come of it.

    Of a run that was kept, or of a backtest over --ticks or --bars.

    It shows what chance does to a result with such trades, not what the rule will earn.
    """
    if method not in ("shuffle", "resample"):
        raise usage(f"--method {method} is neither shuffle nor resample", "write --method shuffle, or resample")
    chosen: Literal["shuffle", "resample"] = "resample" if method == "resample" else "shuffle"
    from engine.quantities import parse_ratio
    from engine.tools.montecarlo import monte_carlo

    limit = parse_ratio(total_loss_limit, where="flag --total-loss-limit")
    if not 0 < limit <= 1:
        raise usage(f"--total-loss-limit {total_loss_limit} is no share of the equity", "between 0% and 100%")
    if kept is not None:
        if recording.named:
            raise usage("a kept run and a file: not both", "leave one of them out")
        check_kept(recording, trading, strategy=strategy)
    trades, starting, daily_limit = _new_run(recording, trading, strategy) if kept is None else _kept_run(kept)
    found = monte_carlo(
        trades,
        starting,
        method=chosen,
        paths=paths,
        seed=seed,
        daily_loss_limit=daily_limit,
        total_loss_limit=limit,
    )
    if as_json:
        write_json(found.to_json())
    else:
        _show(found)


Facts = tuple[list["Closed"], Decimal, Fraction]
"""What paths are made of: the closed trades, the starting cash, the daily loss limit."""


def _new_run(recording: Recording, trading: Trading, strategy: str | None) -> Facts:
    recording.check()
    loaded = trading.load(strategy)
    from engine.backtesting import simulate
    from engine.tools.montecarlo import closed_trades

    file = recording.read()
    with naming_origins(loaded.origins):
        run = variant_of(loaded, file)
        result = simulate(file, run.strategy, run.settings)
    portfolio = result.kernel.portfolio
    trades = closed_trades(result.trades, run.settings.calendar)
    return trades, portfolio.money(portfolio.starting), run.settings.limits.daily_loss_limit or WHOLE


def _kept_run(folder: Path) -> Facts:
    from engine.account.limits import BY_NAME
    from engine.tools.montecarlo import closed_trades
    from engine.tools.runs import load

    run = load(folder)
    starting = Decimal(run.starting_cash.numerator) / Decimal(run.starting_cash.denominator)
    return (
        closed_trades(run.trades, run.passport["calendar"]),
        starting,
        BY_NAME["daily_loss_limit"].read(run.passport["risk"]["daily_loss_limit"]) or WHOLE,
    )


WHOLE = Fraction(1)
"""The day's loss limit of an account without one: everything."""

METHODS = {"shuffle": "the same trades in other orders", "resample": "as many trades, drawn anew each time"}


def _show(found: MonteCarlo) -> None:
    head = plain_table("made of", "")
    head.add_row("trades", f"{found.trades:,} on {found.days:,} {'day' if found.days == 1 else 'days'}")
    head.add_row("paths", f"{found.paths:,}: {METHODS[found.method]}; seed {found.seed}")
    columns = ("this run", *(f"{percentile} %" for percentile in found.final))
    table = plain_table("no more than, in so many of the paths", *columns, right=columns)
    for name, own, values in (
        ("final equity", found.own_final, found.final),
        ("greatest drawdown", found.own_drawdown, found.drawdown),
    ):
        table.add_row(name, *(number(value) for value in (own, *values.values())))
    shares = plain_table("share of the paths", "%", right="%")
    shares.add_row("greatest drawdown no greater than this run's", _share(found.no_deeper, found.paths))
    shares.add_row("end below the start", _share(found.losing, found.paths))
    daily, total = (f"{100 * float(limit):g} %" for limit in (found.daily_loss_limit, found.total_loss_limit))
    shares.add_row(f"a day's loss reaches {daily}", _share(found.daily_limit_reached, found.paths))
    shares.add_row(f"the loss since the start reaches {total}", _share(found.total_limit_reached, found.paths))
    warning = [f"warning: {found.warning}"] if found.warning else []
    write_table(
        head,
        "",
        table,
        "",
        shares,
        "",
        *warning,
        "It shows what chance does with such trades, not what the rule will earn.",
    )


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.2f}"

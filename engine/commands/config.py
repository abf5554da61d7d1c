"""``microburst config``: what is set, by whom, and a file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.shared import (
    ConfigFlag,
    ForceFlag,
    JsonFlag,
    check_new,
    load_config,
    plain_table,
    write_json,
    write_table,
)
from engine.errors import ConfigError
from engine.secret import redacted

app = typer.Typer(help="Show the settings, or write a file with all of them.", no_args_is_help=False)


@app.command()
def show(
    config_file: ConfigFlag = None,
    origin: Annotated[bool, typer.Option("--origin", help="Show where each value was found.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show every setting.

    Merged from environment, .env, files and defaults.
    """
    rows = [(key, redacted(value), found) for key, value, found in load_config(config_file).rows()]
    if as_json:
        settings = {key: {"value": value, "origin": found} for key, value, found in rows}
        write_json({"schema": "microburst.config/1", "settings": settings})
        return
    table = plain_table("setting", "value", *(["origin"] if origin else []))
    for row in rows:
        table.add_row(*row if origin else row[:2])
    write_table(table)


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="Where to write it.")] = Path("microburst.toml"),
    force: ForceFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a file with every setting.

    Each key stands there with its default and unit, commented out.
    """
    from engine.config.settings import template

    check_new(file, force=force)
    try:
        file.write_text(template(), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=str(file), fix="choose another place") from None
    if as_json:
        write_json({"schema": "microburst.config/1", "written": str(file)})
    else:
        write_table(f"wrote {file}")

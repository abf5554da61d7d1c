"""``--report``: the result of a backtest as a file, which never takes the place of the ticks it was made from."""

from __future__ import annotations

import csv
import html
import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigError

if TYPE_CHECKING:
    from engine.results import BacktestResult

ENDINGS = (".json", ".csv", ".html")

TRADE_COLUMNS = (
    *("symbol", "side", "entry_ts_ns", "exit_ts_ns", "entry_price", "exit_price", "qty", "reason"),
    *("gross", "spread_cost", "slippage_cost", "fees", "net"),
)
"""The header of ``--report x.csv``: the fields of a trade, whether there is one or not."""


def check_report(path: Path, *inputs: Path | None) -> None:
    """Refuse a report that could not be written, or would destroy an input: before the run rather than after it.

    Raises:
        ConfigError: what is wrong with ``path``.
    """
    fix = "name a file in a directory that exists and that you may write to"
    if path.is_dir():
        raise ConfigError("cannot write the report: this is a directory", where=str(path), fix=fix)
    if not path.parent.is_dir():
        raise ConfigError(f"cannot write the report: there is no directory {path.parent}", where=str(path), fix=fix)
    for given in inputs:
        if given and given.exists() and path.exists() and path.samefile(given):
            what = "cannot write the report: this file is an input, and would be lost"
            raise ConfigError(what, where=str(path), fix="name another file")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigError("cannot write the report: no permission", where=str(path), fix=fix)


def write_report(path: Path, result: BacktestResult, settings: str) -> str:
    """Write everything as .json, the trades as .csv, or the picture of price, trades and equity as .html.

    Args:
        path: where to; an existing file is replaced.
        result: what to write.
        settings: what the result was made with, in one line; the title of the picture.

    Returns:
        What was done, in one line.
    """
    existed = path.exists()
    try:
        path.write_bytes(_content(path.suffix, result, settings))
    except OSError as error:
        raise ConfigError(f"cannot write the report: {error.strerror}", where=str(path)) from None
    return f"report: {path}{' (replaced)' if existed else ''}"


def _content(ending: str, result: BacktestResult, settings: str) -> bytes:
    import io

    import orjson

    found = result.to_json()
    if ending == ".json":
        return orjson.dumps(found, option=orjson.OPT_INDENT_2)
    if ending == ".html":
        figure = result.plot()
        title, text = f"Backtest {found['run_id']}", html.escape(settings)
        figure.update_layout(title={"text": f"{title}<br><sub>{text}</sub>"})
        page: str = figure.to_html()
        return page.replace("<head>", f"<head><title>{title}: {text}</title>", 1).encode()
    lines = io.StringIO()
    lines.write(f"# run {found['run_id']}\n")
    table = csv.DictWriter(lines, TRADE_COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(found["trades"])
    return lines.getvalue().encode()

"""``--report``: the result of a backtest as a file, which never takes the place of the ticks it was made from."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigError

if TYPE_CHECKING:
    from engine.results import BacktestResult

ENDINGS = (".html", ".txt", ".json", ".csv", ".parquet")

LEGS = ".legs"
"""Before ``.csv`` or ``.parquet``: each exit on a row, in place of each trade."""


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


def write_report(path: Path, result: BacktestResult, text: str) -> str:
    """Write a report in the format that the ending of its name says.

    Args:
        path: where to; a file that is there is replaced; whether it may be, the caller has asked.
        result: what to write.
        text: the tables of the terminal, for ``.txt``.

    Returns:
        What was done, in one line.

    Raises:
        ConfigError: it cannot be written.
        MissingExtraError: ``.parquet`` without the ``data`` extra.
    """
    existed = path.exists()
    try:
        path.write_bytes(_content(path, result, text))
    except OSError as error:
        raise ConfigError(f"cannot write the report: {error.strerror}", where=str(path)) from None
    return f"report: {path}{' (replaced)' if existed else ''}"


def _content(path: Path, result: BacktestResult, text: str) -> bytes:
    ending, legs = path.suffix, path.suffixes[-2:-1] == [LEGS]
    if ending == ".txt":
        return text.encode()
    if ending == ".html":
        return result.to_html().encode()
    if ending == ".json":
        import orjson

        return orjson.dumps(result.to_json(), option=orjson.OPT_INDENT_2)
    if ending == ".parquet":
        file = io.BytesIO()
        (result.legs_frame() if legs else result.trades_frame()).write_parquet(file)
        return file.getvalue()
    from engine.results import LEG_FIELDS, ROW_FIELDS
    from engine.tools.runs import table

    names, found = (LEG_FIELDS, result.leg_rows) if legs else (ROW_FIELDS, result.trade_rows)
    rows = table(names, (row.values() for row in found))
    return f"# run {result.run_id}\n".encode() + rows

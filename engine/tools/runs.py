"""Runs that were kept: a folder each, with the result, its trades and its equity, which says when it was damaged.

A folder holds ``run.json`` (figures and passport), ``trades.csv`` (exact decimals), ``trades.parquet`` where the
``data`` extra is installed, ``days.csv``, ``equity.csv``, and ``report.html`` to look at. ``run.json`` has the SHA-256
of every other file, so what is read is what was written. ``docs/reference/saved-runs.md`` states the format.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from engine.account.pairs import whole_trades
from engine.errors import ConfigError, DataError, NotFoundError, UserError
from engine.model import SECOND_NS
from engine.results import LEG_FIELDS, ROW_FIELDS, BacktestResult

SCHEMA = "microburst.run/1"
RUN_FILE = "run.json"
RUNS = Path("runs")
"""Where runs are kept unless told otherwise."""

LATE_FIELDS = ("pair", "entry_decision", "exit_decision")
"""Whole numbers that earlier versions did not write."""
WHOLE_FIELDS = ("entry_ts_ns", "exit_ts_ns", *LATE_FIELDS)
TEXT_FIELDS = ("symbol", "side", "reason")


class SavedTrade(NamedTuple):
    """A closed trade as it was written: prices, sizes and money exact, as ``BacktestResult.trade_rows`` has them."""

    symbol: str
    side: str
    entry_ts_ns: int
    exit_ts_ns: int
    entry_price: Decimal
    exit_price: Decimal
    qty: Decimal
    reason: str
    gross: Decimal
    spread_cost: Decimal
    slippage_cost: Decimal
    fees: Decimal
    borrow_cost: Decimal
    net: Decimal
    mae: Decimal
    mfe: Decimal
    pair: int = 0
    entry_decision: int = 0
    exit_decision: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """A run that was kept."""

    folder: Path
    saved_ns: int
    run_id: str
    decision_hash: str
    starting_cash: Fraction
    """Equity at the start, exact, in the account's currency."""
    passport: Mapping[str, Any]
    """Everything that decided the result: data, code, strategy, settings."""
    metrics: Mapping[str, Any]
    """As ``microburst backtest --json`` prints them."""
    result: Mapping[str, Any]
    """All that it prints, apart from the trades."""
    trades: tuple[SavedTrade, ...]
    days: Mapping[str, Decimal]
    """Result of each trading day, by ISO date."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def strategy(self) -> str:
        """The name of the strategy's class."""
        return str(self.passport["strategy"]).rpartition(".")[2]


def save(result: BacktestResult, parent: Path, saved_ns: int) -> Path:
    """Keep a run in a new folder of ``parent`` and return the folder. Nothing that exists is ever replaced.

    Args:
        result: what to keep.
        parent: made if it does not exist.
        saved_ns: the present time; with strategy and run id it names the folder.

    Raises:
        ConfigError: it cannot be written.
    """
    found = result.to_json()
    trades = found.pop("trades")
    contents = {
        "trades.csv": table(ROW_FIELDS, (row.values() for row in result.trade_rows)),
        "legs.csv": table(LEG_FIELDS, (row.values() for row in result.leg_rows)),
        "days.csv": table(("day", "pnl"), result.daily_pnl.items()),
        "equity.csv": table(("ts_ns", "equity"), equity_at_closes(result)),
        "report.html": result.to_html().encode(),
    }
    if trades and find_spec("polars") is not None:
        for name, frame in (("trades", result.trades_frame()), ("legs", result.legs_frame())):
            parquet = io.BytesIO()
            frame.write_parquet(parquet)
            contents[f"{name}.parquet"] = parquet.getvalue()
    head = {
        "schema": SCHEMA,
        "saved_ns": saved_ns,
        "starting_cash": str(result.settings.starting_cash),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()},
        "result": found,
    }
    # The sheet that names the others is written last: a folder without it is one that was never finished.
    contents[RUN_FILE] = orjson.dumps(head, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)
    moment = datetime.fromtimestamp(saved_ns // SECOND_NS, UTC)
    words = "".join(letter for letter in result.title if letter.isalnum() or letter in "_+-")[:60]
    name = f"{moment:%Y%m%d-%H%M%S}-{words}-{result.run_id[:8]}"
    try:
        folder = _new_folder(parent, name)
        for file, data in contents.items():
            (folder / file).write_bytes(data)
    except OSError as error:
        fix = "name a folder that you may write to: --save runs"
        raise ConfigError(f"cannot keep the run: {error.strerror or error}", where=str(parent), fix=fix) from None
    return folder


def _new_folder(parent: Path, name: str) -> Path:
    """Make a folder that did not exist; the second of one name gets a number."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def equity_at_closes(result: BacktestResult) -> Iterator[tuple[int, Decimal]]:
    """Yield time and equity after each closed trade: the starting cash and all that was earned up to then."""
    portfolio = result.kernel.portfolio
    equity = portfolio.starting
    for trade in whole_trades(result.trades):
        equity += trade.net_units
        yield trade.exit_ts_ns, portfolio.money(equity)


def table(header: Sequence[str], rows: Any) -> bytes:
    """Return rows as CSV; decimals in full, without an exponent and without zeros that say nothing."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([plain_decimal(cell) if isinstance(cell, Decimal) else cell for cell in row] for row in rows)
    return text.getvalue().encode()


def plain_decimal(number: Decimal) -> str:
    """``1.5`` for ``1.500000000000``: the same number, whatever its length."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def load(path: str | Path) -> Run:
    """Read a run that was kept.

    Raises:
        NotFoundError: there is no such folder, or it holds no run.
        DataError: a file of it is missing, was changed, or is of another version.
    """
    folder = Path(path)
    head = _head(folder)
    files = head["files"]
    contents = {name: _content(folder / name, str(digest)) for name, digest in files.items()}
    result = head["result"]
    try:
        return Run(
            folder=folder,
            saved_ns=int(head["saved_ns"]),
            run_id=result["run_id"],
            decision_hash=result["decision_hash"],
            starting_cash=Fraction(head["starting_cash"]),
            passport=result["passport"],
            metrics=result["metrics"],
            result=result,
            trades=tuple(map(_trade, _rows(contents["trades.csv"]))),
            days={row["day"]: Decimal(row["pnl"]) for row in _rows(contents["days.csv"])},
        )
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        what = f"parts of this run are missing or not what they were ({error})"
        raise DataError(what, where=str(folder), fix="run the backtest again") from None


def _head(folder: Path) -> dict[str, Any]:
    """Return what ``run.json`` says, if it is one of ours."""
    fix = "keep one with: microburst backtest ... --save runs"
    if not folder.is_dir():
        what = "this is not the folder of a run" if folder.exists() else "there is no such run"
        raise NotFoundError(what, where=str(folder), fix=fix)
    file = folder / RUN_FILE
    try:
        head: Any = orjson.loads(file.read_bytes())
    except FileNotFoundError:
        raise NotFoundError(f"this folder has no {RUN_FILE}: it holds no run", where=str(folder), fix=fix) from None
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=str(file)) from None
    except orjson.JSONDecodeError:
        raise DataError(
            "this is not JSON: the file is damaged", where=str(file), fix="run the backtest again"
        ) from None
    found: dict[str, Any] = head if isinstance(head, dict) else {}
    schema = found.get("schema")
    if schema != SCHEMA:
        what = f"this is {schema}, not {SCHEMA}" if schema else "this is not a run of microburst"
        raise DataError(what, where=str(file), fix="run the backtest again")
    if not isinstance(found.get("files"), dict) or not isinstance(found.get("result"), dict):
        raise DataError("parts are missing: the file is damaged", where=str(file), fix="run the backtest again")
    return found


def _content(path: Path, digest: str) -> bytes:
    """Return a file's bytes, if they are those that were written."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=str(path), fix="run the backtest again") from None
    if hashlib.sha256(data).hexdigest() != digest:
        what = "this file was changed since the run was kept"
        raise DataError(what, where=str(path), fix="run the backtest again")
    return data


def _rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def _trade(row: Mapping[str, str]) -> SavedTrade:
    values: dict[str, Any] = {}
    for name in SavedTrade._fields:
        text = row.get(name, "0") if name in LATE_FIELDS else row[name]
        values[name] = text if name in TEXT_FIELDS else int(text) if name in WHOLE_FIELDS else Decimal(text)
    return SavedTrade(**values)


def runs_in(parent: Path) -> list[tuple[Path, dict[str, Any] | UserError]]:
    """Return every folder of ``parent`` with what its ``run.json`` says, or what is wrong with it; oldest first.

    Every file is read and compared with its hash: what is listed as sound, ``load`` takes.

    Raises:
        NotFoundError: there is no such folder.
    """
    if not parent.is_dir():
        fix = "keep a run with: microburst backtest ... --save runs"
        raise NotFoundError("there is no such folder", where=str(parent), fix=fix)
    found: list[tuple[Path, dict[str, Any] | UserError]] = []
    for folder in sorted(path for path in parent.iterdir() if path.is_dir()):
        try:
            head = _head(folder)
            for name, digest in head["files"].items():
                _content(folder / name, str(digest))
            found.append((folder, head))
        except UserError as error:
            found.append((folder, error))
    return found

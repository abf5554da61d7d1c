"""What the reference says about the recorded data, as committed files: counts and a hash of every trade list.

Regenerate after a change of the reference or of a parameter set, and read the difference before committing it::

    python -m tests.oracle.golden

One file per data set in ``tests/golden/momentum_burst/``; a run is named ``<fills>/<parameter set>``.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.oracle.momentum_burst import Params, Result, decimal_text, run
from tests.oracle.parameter_sets import PARAMETER_SETS
from tests.shared_data import DATASETS

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "momentum_burst"

WITH_QUOTES = ("aapl", "goog")

RUNS: list[tuple[str, str, str]] = [
    (dataset, fills, name)
    for dataset in DATASETS
    for fills in (("last", "touch") if dataset in WITH_QUOTES else ("last",))
    for name in PARAMETER_SETS
]
"""Every golden run: data set, fills, parameter set."""


@cache
def reference(dataset: str, fills: str, name: str) -> Result:
    """Run the reference over a recorded data set (skips the test when it is absent)."""
    ticks = DATASETS[dataset]()
    return run(
        PARAMETER_SETS[name],
        ticks.ts_ns.tolist(),
        ticks.price_ticks.tolist(),
        ticks.size_lots.tolist(),
        None if ticks.bid_ticks is None else ticks.bid_ticks.tolist(),
        None if ticks.ask_ticks is None else ticks.ask_ticks.tolist(),
        price_precision=ticks.price_precision,
        fills=fills,
    )


def summary(params: Params, result: Result) -> dict[str, Any]:
    """Return what a golden file keeps of a run."""
    return {
        "settings": params.as_settings() | params.as_account(),
        "ticks": result.ticks,
        "trades": len(result.trades),
        "by_reason": result.by_reason,
        "skipped_signals": len(result.skipped_signals),
        "refusals": len(result.refusals),
        "total_pnl": decimal_text(result.total_pnl),
        "max_drawdown": decimal_text(result.max_drawdown),
        "trades_sha256": result.sha256(),
    }


def load(dataset: str) -> dict[str, Any]:
    """Return the committed runs of a data set by ``<fills>/<parameter set>``."""
    runs: dict[str, Any] = json.loads((FOLDER / f"{dataset}.json").read_text())
    return runs


def write() -> None:
    """Write every golden file anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for dataset in DATASETS:
        runs = {
            f"{fills}/{name}": summary(PARAMETER_SETS[name], reference(of, fills, name))
            for of, fills, name in RUNS
            if of == dataset
        }
        (FOLDER / f"{dataset}.json").write_text(json.dumps(runs, indent=1) + "\n")
        print(f"{dataset}: {len(runs)} runs, {sum(run['trades'] for run in runs.values())} trades")


if __name__ == "__main__":
    write()

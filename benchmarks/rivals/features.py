"""``python -m benchmarks.rivals.features``: the feature graph against polars, pandas, TA-Lib's streams, river, talipp.

Three parts, each with everybody on the same ticks in one process and with the values compared:

* ``columns``: six feature columns over all ticks (``features_columns``), once with one thread of polars' and once
  with as many as the machine has; polars settles that when it is imported, so each of the two is a process of its
  own,
* ``updates``: the cost of one more bar of five indicators (``features_updates``),
* ``errors``: who is still right after a wild market (``features_variance``).

It ends with exit code 1 when a value differs by more than its part allows. A rival that is not installed is skipped
with the line that installs it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.rivals import features_columns, features_updates, features_variance
from benchmarks.rivals.features_common import say, version_of

PARTS = ("columns", "updates", "errors")
PACKAGES = ("numpy", "polars", "pandas", "river", "talipp", "TA-Lib")


def main() -> None:
    """Parse the flags, run the parts asked for, print the tables and write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals.features", description=__doc__.splitlines()[0])
    parser.add_argument("--ticks", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", choices=PARTS, action="append", help="just this part; may be repeated")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/features.json"))
    flags = parser.parse_args()
    chosen = flags.part or PARTS
    report: dict[str, Any] = {"ticks": flags.ticks, "rounds": flags.rounds, "seed": flags.seed, "machine": machine()}
    wrong: list[str] = []
    print(f"{flags.ticks:,} ticks, seed {flags.seed}, {flags.rounds} rounds; {in_one_line(report['machine'])}")
    if "columns" in chosen:
        results = [run_columns(threads, flags) for threads in (1, None)]
        report["columns"] = [asdict(result) for result in results]
        for result in results:
            print(f"\n{columns_table(result)}")
            wrong += [f"{a.contestant}: {a.column}" for a in result.agreements if not a.agrees]
    if "updates" in chosen:
        updates = features_updates.compete(flags.ticks, flags.rounds, flags.seed)
        report["updates"] = asdict(updates)
        print(f"\n{updates_table(updates)}")
        wrong += [f"{u.contestant}: {u.indicator}" for u in updates.updates if not u.agrees]
    if "errors" in chosen:
        say("the wild and calm market")
        errors = features_variance.compete(flags.ticks, flags.seed)
        report["errors"] = [asdict(error) for error in errors]
        print(f"\n{errors_table(errors)}")
    flags.json.parent.mkdir(parents=True, exist_ok=True)
    flags.json.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nwritten: {flags.json}")
    if wrong:
        raise SystemExit(f"values differ: {', '.join(wrong)}")


def run_columns(threads: int | None, flags: argparse.Namespace) -> features_columns.Result:
    """Run the first part in a new process in which polars has so many threads (None: all of the machine's)."""
    say(f"columns, polars with {'all threads' if threads is None else f'{threads} thread'}")
    with (
        features_columns.polars_limited_to(threads),
        ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool,
    ):
        return pool.submit(features_columns.compete, flags.ticks, flags.rounds, flags.seed).result()


def machine() -> dict[str, str]:
    """Return what the figures were measured on and with."""
    found = {
        "python": platform.python_version(),
        "system": f"{platform.machine()} {platform.system()}",
        "processor": processor(),
        "cores": str(os.cpu_count()),
    }
    return found | {package: version_of(package) for package in PACKAGES}


def processor() -> str:
    """Return the processor's name where Linux tells it, else what Python knows."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def in_one_line(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items())


def columns_table(result: features_columns.Result) -> str:
    """Return the first part as text: the times, then every column's largest difference from ours."""
    ours = result.outcomes[0]
    threads = f"{result.threads} thread{'s' if result.threads != 1 else ''}" if result.threads else "no polars"
    lines = [
        f"{len(features_columns.COLUMNS)} columns over 15 s, polars with {threads}",
        f"{'':24}{'min':>10}{'median':>10}{'min':>12}{'ratio':>10}{'median':>10}",
        f"{'':24}{'ms':>10}{'ms':>10}{'ns/tick':>12}{'of min':>10}{'ratio':>10}",
    ]
    for outcome in result.outcomes:
        if outcome.skipped:
            lines.append(f"{outcome.name:24}skipped: {outcome.skipped}")
            continue
        lines.append(
            f"{outcome.name:24}{outcome.best * 1e3:>10.1f}{outcome.median * 1e3:>10.1f}"
            f"{outcome.best / result.ticks * 1e9:>12.1f}{outcome.best / ours.best:>9.2f}x"
            f"{outcome.median / ours.median:>9.2f}x"
        )
    lines.append(
        f"{'largest difference':24}{'column':>14}{'rows':>12}{'absolute':>12}{'relative':>12}{'rows alone':>13}"
    )
    for agreement in result.agreements:
        apart = agreement.difference
        lines.append(
            f"{agreement.contestant:24}{agreement.column:>14}{apart.rows:>12,}{apart.largest:>12.1e}"
            f"{apart.largest_relative:>12.1e}{apart.only_first + apart.only_second:>13,}"
            f"{'' if agreement.agrees else '  DIFFERS'}"
        )
    return "\n".join(lines)


def updates_table(result: features_updates.Result) -> str:
    """Return the second part as text; the ratios are of a rival's fastest round to ours in the core and from Python."""
    ours = {(u.indicator, u.contestant): u.best_ns for u in result.updates}
    lines = [
        f"one update, {result.bars:,} bars of {features_updates.TRADES_PER_BAR} trades",
        f"{'':12}{'':34}{'min ns':>9}{'median':>9}{'/ core':>9}{'/ all':>9}{'/ push':>9}{'max difference':>16}",
    ]
    for update in result.updates:
        start = f"{update.indicator:12}{update.contestant:34}"
        if update.skipped:
            lines.append(f"{start}skipped: {update.skipped}")
            continue
        figures = f"{update.best_ns:>9.1f}{update.median_ns:>9.1f}"
        if update.apart is None:
            lines.append(start + figures)
            continue
        ratios = "".join(ratio(update.best_ns, ours[update.indicator, own]) for own in features_updates.OWN_CONTESTANTS)
        lines.append(f"{start}{figures}{ratios}{update.apart.largest:>16.1e}{'' if update.agrees else '  DIFFERS'}")
    return "\n".join(lines)


def ratio(theirs: float, ours: float) -> str:
    """Return a ratio in nine places; a difference of two times that came out below a tenth of a nanosecond has none."""
    return f"{theirs / ours:>8.1f}x" if ours >= 0.1 else f"{'-':>9}"


def errors_table(errors: list[features_variance.Error]) -> str:
    """Return the third part as text."""
    lines = [
        "wild, then calm, with sizes of 10^9: error in the calm windows, relative to the exact value",
        f"{'':10}{'':26}{'windows':>10}{'largest':>12}{'over 1 %':>12}{'equal bits':>12}",
    ]
    for error in sorted(errors, key=lambda error: features_variance.COLUMNS.index(error.column)):
        start = f"{error.column:10}{error.contestant:26}"
        if error.skipped:
            lines.append(f"{start}skipped: {error.skipped}")
            continue
        lines.append(
            f"{start}{error.windows:>10,}{error.largest_relative:>12.1e}{error.visibly_wrong:>12,}{error.equal_bits:>12,}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()

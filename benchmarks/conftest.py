"""``pytest benchmarks/ --benchmark`` runs every benchmark, prints the table and writes the JSON.

Files are called ``bench_*.py`` and their functions ``bench_*``, and without the flag none of them is collected (a run
of this folder alone then ends with pytest's own exit code 5, "no tests collected"). The JSON goes to
``benchmarks/results/latest.json`` unless ``--benchmark-json PATH`` says otherwise. Nothing here asserts a time: a
benchmark fails when its result is wrong, never when the machine is slow. With ``--smoke`` each of them runs once on few
ticks: its figures mean nothing, and a build sees that it runs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import scale

RESULTS = Path(__file__).parent / "results"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--benchmark", action="store_true", help="collect and run the benchmarks in benchmarks/")
    parser.addoption("--smoke", action="store_true", help="with --benchmark: a twentieth of the ticks, one round")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--benchmark"):
        return
    scale.smoke = config.getoption("--smoke")
    config.addinivalue_line("python_files", "bench_*.py")
    config.addinivalue_line("python_functions", "bench_*")
    if not config.getoption("benchmark_json", None):
        RESULTS.mkdir(exist_ok=True)
        config.option.benchmark_json = str(RESULTS / "latest.json")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the benchmarks alone unless asked for, even when a file is named on the command line."""
    if collection_path.name.startswith("bench_") and not config.getoption("--benchmark"):
        return True
    return None


def pytest_report_header(config: pytest.Config) -> str | None:
    if config.getoption("--benchmark"):
        return None
    return "benchmarks: none collected; add --benchmark to run them"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what the benchmarks noted beside their times: ticks per second, ns per tick, memory."""
    session = getattr(config, "_benchmarksession", None)
    noted = [
        f"{bench.name}: {', '.join(f'{name} {value:,}' for name, value in bench.extra_info.items())}"
        for bench in (session.benchmarks if session else [])
        if bench.extra_info and all(isinstance(value, int | float) for value in bench.extra_info.values())
    ]
    if noted:
        terminalreporter.section("noted by the benchmarks")
        terminalreporter.write_line("\n".join(noted))

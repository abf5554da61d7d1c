"""Writes what `make long` found, with commit and machine: python tests/record_long.py build/long.xml PAGE.md."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

MANY = 10
"""Seeds of one test from which on they share a row."""


def main(report: Path, page: Path) -> None:
    """Turn pytest's XML report into a page of the reference."""
    cases = list(ElementTree.parse(report).iter("testcase"))
    head = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True)
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    failed = [case for case in cases if outcome(case) == "failed"]
    lines = [
        "# The last long run",
        "",
        "Written by `make long`: the tests that take minutes to hours, at their full sizes.",
        "",
        f"Commit {head.stdout.strip()}, {machine}: {len(cases)} tests, {len(failed)} failed.",
        "",
        "| test | result | seconds | figures |",
        "|---|---|---|---|",
        *rows(cases),
    ]
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {page}")


def rows(cases: list[ElementTree.Element]) -> Iterator[str]:
    """A row for each test; the many seeds of one test share a row unless one of them failed."""
    for name, group in groupby(cases, lambda case: str(case.get("name")).partition("[")[0]):
        seeds = list(group)
        alike = len(seeds) > MANY and {outcome(case) for case in seeds} == {"passed"}
        for shown in [seeds] if alike else [[case] for case in seeds]:
            title = f"{name}, {len(shown)} seeds" if alike else str(shown[0].get("name"))
            seconds = sum(float(case.get("time", 0)) for case in shown)
            noted = "" if alike else figures(shown[0])
            yield f"| {title} | {outcome(shown[0])} | {seconds:.0f} | {noted} |"


def outcome(case: ElementTree.Element) -> str:
    """Return passed, failed or skipped."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def figures(case: ElementTree.Element) -> str:
    """Return what the test noted with ``record_property``."""
    return ", ".join(f"{noted.get('name')} {noted.get('value')}" for noted in case.iter("property"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

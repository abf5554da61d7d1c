"""Writes what long runs have found: python tests/record_long.py REPORT.xml... PAGE.md.

`make long` gives it one report. A run may be played in parts, on several days: each test is told with the commit that
it ran at, and where two reports have the same test the later one counts. Some tests may themselves be played in parts,
which begin with different seeds: each of these has a row.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

MANY = 10
"""Seeds of one test from which on they share a row."""

COMMIT = "commit"
"""The property that says at which commit a test ran (``tests/conftest.py``)."""

FIRST = "the first"
"""The property that says with which seed a test began."""

Case = ElementTree.Element


def main(reports: Sequence[Path], page: Path) -> None:
    """Turn pytest's XML reports into a page of the reference."""
    found = {}
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            found[case.get("classname"), case.get("name"), noted(case).get(FIRST)] = case
    cases = list(found.values())
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    outcomes = [outcome(case) for case in cases]
    lines = [
        "# The last long run",
        "",
        "Written by `make long`, or by `python tests/record_long.py REPORT.xml... PAGE.md` where it was run in parts:",
        "the tests that take minutes to hours. Each row says at which commit it ran, and its figures how much of it;",
        "[how it is tested](../explanation/how-it-is-tested.md) says what each is for, and what its full size is.",
        "",
        f"{machine}: {len(cases)} tests, {outcomes.count('failed')} failed, {outcomes.count('skipped')} skipped.",
        "",
        "| test | result | commit | seconds | figures |",
        "|---|---|---|---|---|",
        *rows(cases),
    ]
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {page}")


def rows(cases: Sequence[Case]) -> Iterator[str]:
    """A row for each test; of many seeds of one test those share a row that ended alike at the same commit."""
    for name, group in groupby(cases, lambda case: str(case.get("name")).partition("[")[0]):
        for (result, commit), several in groupby(sorted(group, key=ending), ending):
            seeds = list(several)
            alike = len(seeds) > MANY
            for shown in [seeds] if alike else [[case] for case in seeds]:
                title = f"{name}, {len(shown)} times" if alike else str(shown[0].get("name"))
                seconds = sum(float(case.get("time", 0)) for case in shown)
                properties = {} if alike else noted(shown[0])
                figures = ", ".join(f"{name} {value}" for name, value in properties.items() if name != COMMIT)
                yield f"| {title} | {result} | {commit} | {seconds:.0f} | {figures} |"


def ending(case: Case) -> tuple[str, str]:
    """How a test ended, and at which commit."""
    return outcome(case), noted(case).get(COMMIT, "?")


def outcome(case: Case) -> str:
    """Return passed, failed or skipped."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def noted(case: Case) -> dict[str, str]:
    """Return what the test noted with ``record_property``."""
    return {str(one.get("name")): str(one.get("value")) for one in case.iter("property")}


if __name__ == "__main__":
    *given, last = map(Path, sys.argv[1:])
    main(given, last)

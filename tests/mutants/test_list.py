"""The list of faults fits the code: who changes a line that a fault is made of hears of it at once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.faults import FAULTS, Fault

ROOT = Path(__file__).resolve().parents[2]


def test_there_are_thirty_and_each_is_another() -> None:
    assert len(FAULTS) >= 30
    assert max(Counter(fault.name for fault in FAULTS).values()) == 1
    assert max(Counter((fault.file, fault.after) for fault in FAULTS if fault.after).values()) == 1


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_made_and_somebody_looks_for_it(fault: Fault) -> None:
    assert (ROOT / fault.file).read_text().count(fault.before) == 1
    assert fault.after != fault.before
    assert fault.tests
    assert all((ROOT / test).is_file() for test in fault.tests)

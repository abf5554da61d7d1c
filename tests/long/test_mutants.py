"""Each fault of ``tests/mutants`` is made in a copy of the tree, built, and must be found by its tests.

``make mutants`` runs these alone.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.long.trees import build, copy_tree, in_tree
from tests.mutants.faults import FAULTS, Fault

pytestmark = pytest.mark.long

FAILED = 1
"""What pytest ends with when tests have failed; anything else is a fault in the making of the fault."""

PATIENCE_S = 1200
"""Some faults keep a test from ever ending, within C, where no timer of Python's reaches it."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy for all faults."""
    return copy_tree(tmp_path_factory.mktemp("mutants") / "main")


def build_quickly(tree: Path) -> None:
    """Without optimisation: nobody waits for these modules to be fast."""
    build(tree, "", "-O0")


def is_compiled(fault: Fault) -> bool:
    return Path(fault.file).suffix in (".pyx", ".pxd", ".h")


@pytest.fixture
def faulty(tree: Path, fault: Fault, tmp_path: Path) -> Iterator[Path]:
    """The copy with one fault in it; afterwards what it is in is put back as it was, and need not be built again."""
    file = tree / fault.file
    whole = file.read_text()
    assert whole.count(fault.before) == 1, f"{fault.file} has no single {fault.before!r}: the list is out of date"
    package = tree / Path(fault.file).parts[0]  # whole: a header is compiled into modules of other rooms too
    shutil.copytree(package, kept := tmp_path / "kept")
    file.write_text(whole.replace(fault.before, fault.after))
    if is_compiled(fault):
        build_quickly(tree)
    yield tree
    shutil.rmtree(package)
    kept.rename(package)


@pytest.mark.parametrize("fault", sorted(FAULTS, key=is_compiled), ids=lambda fault: fault.name)
def test_a_fault_is_found(faulty: Path, fault: Fault) -> None:
    words = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *fault.tests)
    try:
        found = in_tree(faulty, *words, patience_s=PATIENCE_S)
    except subprocess.TimeoutExpired:
        return  # whoever waits for these tests notices
    assert found.returncode == FAILED, f"nobody noticed that {fault.name}:\n{found.stdout[-2_000:]}"


def test_without_a_fault_the_tests_pass(tree: Path) -> None:
    """What finds every fault must not find one where there is none."""
    build_quickly(tree)
    names = sorted({test for fault in FAULTS for test in fault.tests})
    done = in_tree(tree, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *names)
    assert done.returncode == 0, done.stdout[-2_000:]

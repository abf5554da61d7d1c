"""Each fault of ``tests/mutants`` is made in a copy of the tree, built, and must be found by its tests.

``make mutants`` runs these alone.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutants.faults import FAULTS, Fault

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
FAILED = 1
"""What pytest ends with when tests have failed; anything else is a fault in the making of the fault."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is under version control, with what is built of it and the shared data beside it."""
    folder = tmp_path_factory.mktemp("mutants") / "main"
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    built = [str(path.relative_to(ROOT)) for kind in ("*.so", "*.c") for path in (ROOT / "engine").glob(kind)]
    for name in (*listed.splitlines(), *built):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def in_tree(tree: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python there, on the copy's own packages."""
    shared = os.environ.get("MICROBURST_SHARED", str(ROOT.parent / "shared"))
    environment = os.environ | {"PYTHONPATH": str(tree), "MICROBURST_SHARED": shared} | variables
    return subprocess.run([sys.executable, *words], cwd=tree, env=environment, capture_output=True, text=True)


def build(tree: Path) -> None:
    """Compile what has changed, without optimisation: nobody waits for these modules to be fast."""
    compiler = tree.parent / "quick-cc"
    usual = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC"))
    compiler.write_text(f'#!/bin/sh\nexec {shlex.join(usual)} "$@" -O0\n')
    compiler.chmod(0o755)
    done = in_tree(tree, "setup.py", "-q", "build_ext", "--inplace", CC=str(compiler))
    assert done.returncode == 0, done.stderr[-2_000:]


@pytest.fixture
def faulty(tree: Path, fault: Fault, tmp_path: Path) -> Iterator[Path]:
    """The copy with one fault in it; afterwards what it is in is put back as it was, and need not be built again."""
    file = tree / fault.file
    whole = file.read_text()
    assert whole.count(fault.before) == 1, f"{fault.file} has no single {fault.before!r}: the list is out of date"
    shutil.copytree(file.parent, kept := tmp_path / "kept")
    file.write_text(whole.replace(fault.before, fault.after))
    if file.suffix in (".pyx", ".pxd", ".h"):
        build(tree)
    yield tree
    shutil.rmtree(file.parent)
    kept.rename(file.parent)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found(faulty: Path, fault: Fault) -> None:
    found = in_tree(faulty, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *fault.tests)
    assert found.returncode == FAILED, f"nobody noticed that {fault.name}:\n{found.stdout[-2_000:]}"


def test_without_a_fault_the_tests_pass(tree: Path) -> None:
    """What finds every fault must not find one where there is none."""
    build(tree)
    names = sorted({test for fault in FAULTS for test in fault.tests})
    done = in_tree(tree, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *names)
    assert done.returncode == 0, done.stdout[-2_000:]

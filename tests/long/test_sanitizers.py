"""The tests of the compiled rooms once more, with modules that AddressSanitizer and UndefinedBehaviorSanitizer watch.

Every read or write outside an object, every use after it was freed and every operation that C leaves undefined ends
the run. ``make sanitize`` runs this alone, and continuous integration a part of it: those in ``SANITIZED``, with
spaces between them.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.long.trees import build, copy_tree, in_tree

pytestmark = pytest.mark.long

CORE_TESTS = (
    "tests/props",
    "tests/oracle",
    "tests/golden",
    "tests/crash/test_journal_images.py",
    "tests/unit/test_core_bar_blocks.py",
    "tests/unit/test_core_lanes.py",
    "tests/unit/test_core_limits.py",
    "tests/unit/test_core_loops.py",
    "tests/unit/test_core_review.py",
    "tests/unit/test_custom_features.py",
    "tests/unit/test_feature_shares.py",
    "tests/unit/test_journal_records.py",
    "tests/unit/test_store_csv.py",
    "tests/unit/test_wire.py",
    "tests/unit/test_wire_guard.py",
)
LIMITS_MEMORY = "tests/unit/test_core_review.py::test_a_ring_that_cannot_grow_stays_as_it_was"
"""AddressSanitizer wants twenty terabytes of addresses, this test to do with little."""

WATCHED = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",  # the interpreter leaves much to the end of its process
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


def runtime(name: str) -> str:
    """Where gcc keeps the sanitizer's library, which has to be loaded before Python."""
    found = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    path = found.stdout.strip()
    if not Path(path).is_absolute():
        pytest.skip(f"{name} is not installed: on Debian and Ubuntu it comes with gcc")
    return path


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy whose modules are built with both sanitizers."""
    tree = copy_tree(tmp_path_factory.mktemp("sanitized") / "main")
    for built in (tree / "engine").rglob("*.so"):
        built.unlink()
    build(tree, "gcc", MICROBURST_SANITIZE="1")
    return tree


def test_a_read_out_of_bounds_would_be_seen(tree: Path) -> None:
    """The run proves nothing unless the modules are really watched."""
    module = next((tree / "engine").glob("_core.*.so"))
    assert b"__asan_report_load8" in module.read_bytes()
    assert b"__ubsan_handle" in module.read_bytes()


def test_the_core_is_clean(tree: Path, record_property: Callable[[str, object], None]) -> None:
    tests = os.environ.get("SANITIZED", " ".join(CORE_TESTS)).split()
    preloaded = f"{runtime('libasan.so')} {runtime('libubsan.so')}"
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=0", "--deselect", LIMITS_MEMORY, *tests)
    done = in_tree(tree, *words, LD_PRELOAD=preloaded, **WATCHED)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4_000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    record_property("tests under both sanitizers", passed[1])

"""Copies of this checkout, for what must be built in another way."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copy_tree(folder: Path) -> Path:
    """Copy what is under version control, and what is built of it."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    built = [str(path.relative_to(ROOT)) for kind in ("*.so", "*.c") for path in (ROOT / "engine").rglob(kind)]
    for name in (*listed.splitlines(), *built):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def in_tree(
    tree: Path, *words: str, patience_s: float | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python there, on the copy's own packages.

    Raises:
        subprocess.TimeoutExpired: it has not ended after ``patience_s``, and was killed.
    """
    shared = os.environ.get("MICROBURST_SHARED", str(ROOT.parent / "shared"))
    environment = os.environ | {"PYTHONPATH": str(tree), "MICROBURST_SHARED": shared} | variables
    command = [sys.executable, *words]
    return subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, timeout=patience_s, check=False
    )


def build(tree: Path, compiler: str = "", *flags: str, **variables: str) -> None:
    """Compile there what has changed, by a compiler, the usual one unless it is named; the last flags win."""
    usual = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC"))
    command = tree.parent / f"{tree.name}-cc"
    command.write_text(f'#!/bin/sh\nexec {shlex.join([compiler] if compiler else usual)} "$@" {shlex.join(flags)}\n')
    command.chmod(0o755)
    done = in_tree(tree, "setup.py", "-q", "build_ext", "--inplace", CC=str(command), **variables)
    assert done.returncode == 0, done.stderr[-2_000:]

"""``kill -9`` at any moment: everything that was acknowledged is in the journal, once and in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KILLS = 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
def test_nothing_acknowledged_is_lost(tmp_path):
    command = [sys.executable, "-m", "tests.crash.killed", str(tmp_path), str(KILLS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == KILLS
    for one in results:
        assert one["killed"]
        assert not one["sealed"]
        for name in ("blocks", "times", "orders"):
            assert one[name] == list(range(1, len(one[name]) + 1)), f"{name}: each once and in order"
            assert len(one[name]) >= one["acknowledged"], f"{name}: none lost"
        assert len(one["blocks"]) >= len(one["times"]) >= len(one["orders"]), "input before decision"
        assert not one["problem"] or "never finished" in one["problem"], one["problem"]
    assert sum(one["segments"] > 3 for one in results) > KILLS / 2, "kills came at changes of segments too"

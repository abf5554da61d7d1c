"""A thousand million ticks through ``advance``: at most 1 MiB more memory, and every sum equal to a fresh count.

``SOAK_TICKS`` changes how many.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.props.core_soak import soak

TICKS = int(float(os.environ.get("SOAK_TICKS", "1e9")))

pytestmark = pytest.mark.long


def test_a_thousand_million_ticks(record_property: Callable[[str, object], None]) -> None:
    soaked = soak(TICKS)
    record_property("ticks", f"{soaked.ticks:,}")
    record_property("sums compared with a fresh count", f"{soaked.compared:,}")
    record_property("growth KiB", soaked.growth_bytes // 1024)
    assert soaked.growth_bytes <= 1 << 20

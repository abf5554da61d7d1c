"""100,000 journals that something happened to; ``tests/crash`` reads the first 5,000 of them."""

from __future__ import annotations

import pytest

from tests.crash.images import FAULTS, check_images

pytestmark = pytest.mark.long


def test_images_of_journals(tmp_path, record_property):
    made, lost = check_images(tmp_path, range(100_000))
    assert all(made[fault.__name__] > 7_000 for fault in FAULTS)
    record_property("measured", f"{sum(made.values()):,} images, {sum(lost.values()):,} of them with a loss")

"""5,000 journals that something happened to: an exact prefix each time, a clear message, no crash.

``make long`` reads 100,000 of them (``tests/long/test_journal.py``).
"""

from __future__ import annotations

from tests.crash.images import FAULTS, check_images

IMAGES = 5_000


def test_every_image_gives_an_exact_prefix(tmp_path):
    made, lost = check_images(tmp_path, range(IMAGES))
    least = IMAGES // len(FAULTS)
    for fault in FAULTS:
        assert made[fault.__name__] >= least * 0.9, f"{fault.__name__} did happen"
        assert lost[fault.__name__] >= least * 0.2, f"{fault.__name__} did harm"

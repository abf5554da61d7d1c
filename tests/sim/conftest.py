"""``--seed=N`` plays one world again, and no other test of this folder."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import pytest
import structlog


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="play this simulated world alone")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """A world says thousands of lines that nobody reads, and makes much: what was there before is no garbage of its."""
    gc.collect()
    gc.freeze()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()

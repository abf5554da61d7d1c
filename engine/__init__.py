"""Microburst: a tick-level micro-trading engine.

Names are loaded when they are first used: importing ``engine.model`` does not load the world.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.backtesting import backtest as backtest
    from engine.model import Instrument as Instrument
    from engine.model import Side as Side
    from engine.model import Signal as Signal
    from engine.model import TickBlock as TickBlock
    from engine.results import BacktestResult as BacktestResult
    from engine.store.bars import read_bars as read_bars
    from engine.store.ticks import read_ticks as read_ticks
    from engine.store.ticks import write_ticks as write_ticks
    from engine.strategy import Strategy as Strategy
    from engine.tools.features import features as features

_HOMES = {
    "BacktestResult": "engine.results",
    "Instrument": "engine.model",
    "Side": "engine.model",
    "Signal": "engine.model",
    "Strategy": "engine.strategy",
    "TickBlock": "engine.model",
    "backtest": "engine.backtesting",
    "features": "engine.tools.features",
    "read_bars": "engine.store.bars",
    "read_ticks": "engine.store.ticks",
    "write_ticks": "engine.store.ticks",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")

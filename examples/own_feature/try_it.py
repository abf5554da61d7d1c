"""A feature in C, built beside this file, in a strategy and as columns.

Build it first, in this folder: ``python setup.py build_ext --inplace``.
"""

import numpy as np
from own_feature import vpin

import engine
from engine.rules import Param, Stop, Target, bars, change, pct, price, seconds, size, ticks
from engine.strategy import Strategy
from mock_server.market import generate


class OneSided(Strategy):
    """Follow a move while trades, and bars of 50 trades, are one-sided."""

    length = Param(100, "records that VPIN remembers", low=1)
    b = bars(ticks(50))
    pressure = vpin(price, size, length)
    slow = vpin(b.close, b.volume, 20)
    move = change(seconds(5))
    long = (move >= pct("0.05")) & (pressure > "0.5") & (slow > "0.3")
    short = (move <= -pct("0.05")) & (pressure > "0.5") & (slow > "0.3")
    exits = (Stop(pct("0.1")), Target(pct("0.2")))


def main() -> None:
    market = generate(100_000)._asdict()  # integer columns of the mock market: time, price, size, bid, ask
    result = engine.backtest(market, OneSided, symbol="AAPL", length=50)
    print(f"{result.metrics['trades']} trades, net {result.metrics['net']:.2f}")
    columns = engine.features(market, {"trades": vpin(price, size, 50), "bars": OneSided.slow})
    for name, values in columns.items():
        print(f"VPIN of {name}: median {np.nanmedian(values):.3f}, undefined on {np.isnan(values).sum():,} trades")


if __name__ == "__main__":
    main()

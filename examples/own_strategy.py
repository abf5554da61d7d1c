"""A strategy of your own: buy a new high that stands above the session's VWAP, sell short the mirror image.

Run it here, or by any command that takes a strategy:

    python -m engine backtest --demo --strategy examples/own_strategy.py:Breakout --set window=20s
    python -m engine --paper --strategy examples/own_strategy.py:Breakout
"""

import engine
from engine.rules import Param, Stop, Target, TimeStop, change, highest, lowest, pct, price, seconds, vwap
from engine.strategy import Strategy
from mock_server.market import generate


class Breakout(Strategy):
    """Follow a new extreme of the window, on the side of the session's VWAP on which it lies."""

    window = Param(seconds(10), "window in which the price must be extreme", low="1s")
    least_move = Param(pct("0.08"), "least net move over the window", low=0)
    stop_loss = Param(pct("0.08"), "loss that closes", low=0)
    profit_target = Param(pct("0.2"), "gain that closes", low=0)
    time_stop = Param(seconds(20), "longest holding time; 0 switches it off")

    move = change(window)
    long = (price == highest(window)) & (move >= least_move) & (price > vwap())
    short = (price == lowest(window)) & (move <= -least_move) & (price < vwap())

    exits = (Stop(stop_loss), Target(profit_target), TimeStop(time_stop))


def main() -> None:
    ticks = generate(100_000)._asdict()  # integer columns of the mock market: time, price, size, bid, ask
    result = engine.backtest(ticks, Breakout, symbol="AAPL", window="20s")
    metrics = result.metrics
    print(f"{metrics['trades']} trades, gross {metrics['gross']:.2f}, net {metrics['net']:.2f}")
    for reason, count in metrics["by_reason"].items():
        print(f"{reason:5} {count:4}")


if __name__ == "__main__":
    main()

"""Quote updates between trades: they move the market that orders are filled against, and wake no rule.

The same trades are run twice. With the quote updates, an order that is 50 ms late meets the quote of its arrival;
without them it meets the quote of the last trade before that.
"""

import numpy as np

import engine
from engine.model import Kind
from mock_server.market import generate


def main() -> None:
    both = generate(150_000, quotes=True)._asdict()
    is_trade = both["kind"] == Kind.TRADE
    trades_only = {name: np.ascontiguousarray(column[is_trade]) for name, column in both.items()}
    print(f"{is_trade.sum():,} trades and {(~is_trade).sum():,} quote updates")

    for latency in ("0ms", "50ms"):
        for name, ticks in (("with quote updates", both), ("trades only", trades_only)):
            found = engine.backtest(ticks, "momentum_burst", fills="touch", latency_order=latency).metrics
            print(
                f"order {latency:>4} late, {name:18} {found['trades']:4} trades,"
                f" spread {found['spread_cost']:.3f}, net {found['net']:.3f}"
            )


if __name__ == "__main__":
    main()

"""What the same signals cost under different assumptions: spread, slippage, fees and latency.

``last`` fills at the last trade price and costs nothing: a reference, not a market. ``touch`` buys at the ask and sells
at the bid. The other rows add one assumption each.
"""

from typing import Any

import engine
from mock_server.market import generate

ASSUMPTIONS: dict[str, dict[str, Any]] = {
    "last price, no costs": {"fills": "last"},
    "touch": {"fills": "touch"},
    "touch, slippage 0.5 bps": {"fills": "touch", "slippage_bps": "0.5"},
    "touch, 0.005 per share": {"fills": "touch", "fee": "0.005/share"},
    "touch, order 20 ms late": {"fills": "touch", "latency_order": "20ms"},
}


def main() -> None:
    ticks = generate(100_000)._asdict()
    print(f"{'assumption':24} {'trades':>6} {'gross':>8} {'spread':>8} {'slippage':>8} {'fees':>8} {'net':>8}")
    for name, assumption in ASSUMPTIONS.items():
        found = engine.backtest(ticks, "momentum_burst", **assumption).metrics
        amounts = [found[key] for key in ("gross", "spread_cost", "slippage_cost", "fees", "net")]
        print(f"{name:24} {found['trades']:>6} " + " ".join(f"{amount:>8.3f}" for amount in amounts))
        assert amounts[0] - sum(amounts[1:4]) == amounts[4], "net is gross less every cost, to the last digit"


if __name__ == "__main__":
    main()

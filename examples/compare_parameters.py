"""One strategy, several parameters, the same ticks: a table of what each setting would have given.

A table like this says how sensitive a rule is. The best row of many was picked by hindsight: try it on other ticks.
"""

from itertools import product

import engine
from mock_server.market import generate

WINDOWS = ("5s", "10s", "15s")
THRESHOLDS = ("0.03%", "0.05%", "0.08%")


def main() -> None:
    ticks = generate(60_000)._asdict()
    print(f"{'window':>7} {'entry':>6} {'trades':>7} {'win rate':>9} {'gross':>8} {'costs':>8} {'net':>8}")
    for window, threshold in product(WINDOWS, THRESHOLDS):
        found = engine.backtest(ticks, "momentum_burst", window=window, entry_threshold=threshold).metrics
        rate = "-" if found["win_rate"] is None else f"{found['win_rate']:.0%}"
        costs = found["gross"] - found["net"]
        print(
            f"{window:>7} {threshold:>6} {found['trades']:>7} {rate:>9}"
            f" {found['gross']:>8.2f} {costs:>8.2f} {found['net']:>8.2f}"
        )


if __name__ == "__main__":
    main()

"""The journal of a run: every decision in order, which is what the decision hash is taken over."""

from collections import Counter

import engine
from engine.events import OrderFilled, OrderSubmitted, PositionClosed, SignalSkipped
from mock_server.market import generate

SHOWN = 12


def main() -> None:
    result = engine.backtest(generate(50_000)._asdict(), "momentum_burst", symbol="AAPL")
    decisions = result.journal.decisions
    for kind, count in Counter(type(decision).__name__ for decision in decisions).items():
        print(f"{count:5} {kind}")

    first_ns = decisions[0].ts_ns
    instrument, money = result.file.instruments[0], result.kernel.portfolio.money
    print()
    for decision in decisions[:SHOWN]:
        at = f"{(decision.ts_ns - first_ns) / 1e9:10.3f} s"
        match decision:
            case OrderSubmitted(side=side, lots=lots, purpose=purpose):
                print(at, "order", "buys" if side > 0 else "sells", instrument.size(lots), f"({purpose})")
            case OrderFilled(price_ticks=int(price_ticks), lots=lots):
                print(at, "filled", instrument.size(lots), "at", instrument.price(price_ticks))
            case PositionClosed(reason=reason, net=net):
                print(at, f"closed by {reason}, net {money(net):+.4f}")
            case SignalSkipped(left=left):
                print(at, f"{decision.side} signal skipped after a loss, {left} more to skip")
            case _:
                print(at, type(decision).__name__)
    print("\ndecision hash", result.decision_hash)


if __name__ == "__main__":
    main()

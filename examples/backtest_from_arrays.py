"""The same ticks as integers and as decimals: two ways to hand arrays to a backtest, one result.

Integer columns (``price_ticks``, ``size_lots``) are used in place. Columns of values (``price``, ``size``) are turned
into integers first: each float stands for the shortest decimal that reads back as it, and must have no more decimals
than the price precision.
"""

import numpy as np

import engine
from mock_server.market import generate

PRICE_PRECISION = 2  # one tick is 0.01


def main() -> None:
    made = generate(50_000)
    integers = {"ts_ns": made.ts_ns, "price_ticks": made.price_ticks, "size_lots": made.size_lots}
    from_integers = engine.backtest(integers, "momentum_burst", symbol="AAPL", price_precision=PRICE_PRECISION)

    # Dividing by 100 gives the double nearest to the decimal; multiplying by 0.01 often does not.
    values = {"timestamp": made.ts_ns, "price": made.price_ticks / 100, "size": made.size_lots}
    from_values = engine.backtest(values, "momentum_burst", symbol="AAPL", price_precision=PRICE_PRECISION)

    print("integers:", from_integers)
    print("decimals:", from_values)
    assert from_integers.decision_hash == from_values.decision_hash
    assert np.shares_memory(from_integers.file.block.price_ticks, made.price_ticks), "integer columns are not copied"


if __name__ == "__main__":
    main()

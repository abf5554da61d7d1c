"""A recording, pushed by the mock market to a paper session, gives the trades of its backtest, one by one."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from engine.backtesting import backtest

START_NS = 1_700_000_000_000_000_000
SYMBOLS = ("AAPL", "MSFT")


def write_ticks(path: Path, rows: int, *, quotes: bool) -> None:
    """Two symbols that drift in bursts; prices keep trailing zeros, as recordings do."""
    random = Random(7)
    prices, drift, ts_ns = [Decimal("170.00"), Decimal("420.00")], [0, 0], START_NS
    with path.open("w") as file:
        file.write("timestamp,price,size,bid,ask,symbol\n" if quotes else "timestamp,price,size,symbol\n")
        for _ in range(rows):
            ts_ns += random.randrange(1, 20_000_000)
            index = random.randrange(2)
            if random.random() < 0.005:
                drift[index] = random.choice((-1, 0, 1))
            prices[index] += Decimal("0.01") * (
                random.choice((-1, 0, 1)) + (drift[index] if random.random() < 0.3 else 0)
            )
            price, size = prices[index], random.randrange(1, 400) * (4 if drift[index] else 1)
            touch = f"{price - Decimal('0.01')},{price + Decimal('0.01')}," if quotes else ""
            file.write(f"{ts_ns},{price}0,{size},{touch}{SYMBOLS[index]}\n")


@pytest.mark.parametrize("fills", ["last", "touch"])
def test_replay_equals_backtest(start, run, tmp_path: Path, fills: str) -> None:
    file = tmp_path / "ticks.csv"
    write_ticks(file, 20_000, quotes=fills == "touch")
    parameters = {"window": "5s", "guard": "0.02%", "entry_threshold": "0.02%", "volume_spike": "1"}
    expected = backtest(file, fills=fills, **parameters)
    assert len(expected.trades) > 30
    assert len({trade.reason for trade in expected.trades}) >= 3

    mock = start("mock_server", "--port", "0", "--replay", str(file), "--speed", "max", "--quiet")
    address = mock.line("listening ").removeprefix("listening ")
    settings = [flag for name, value in parameters.items() for flag in ("--set", f"{name}={value}")]
    done = run("engine", "--paper", "--feed", address, "--fills", fills, "--json", *settings)
    assert done.code == 0, done.err
    told = [json.loads(line) for line in done.out.splitlines()]
    closes, summary = [event for event in told if event["event"] == "close"], told[-1]

    assert [
        (c["symbol"], c["side"], c["entry_ts_ns"], c["exit_ts_ns"], c["entry_price"], c["exit_price"], c["reason"])
        for c in closes
    ] == [
        (
            trade.symbol,
            trade.side,
            trade.entry_ts_ns,
            trade.exit_ts_ns,
            float(trade.entry_price),
            float(trade.exit_price),
            trade.reason.value,
        )
        for trade in expected.trades
    ]
    assert [c["net"] for c in closes] == [float(trade.net) for trade in expected.trades]
    assert summary["ended"] == "the feed ended"
    assert summary["ticks"] == 20_000
    assert summary["net"] == float(expected.metrics["total_pnl"])
    assert summary["skipped_signals"] == len(expected.skipped_signals)
    assert summary["max_drawdown"] == float(expected.metrics["max_drawdown"])

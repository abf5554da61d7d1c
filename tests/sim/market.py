"""A seeded market: trades and quotes of two symbols at about twenty a second, calm and wild by turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

SYMBOLS = ("A", "B")


@dataclass(slots=True)
class Print:
    """A trade as the venue knows it. ``at_s`` counts from the beginning of the world."""

    at_s: float
    symbol: str
    number: int
    price_ticks: int
    size_lots: int
    bid_ticks: int
    ask_ticks: int


def trades(random: Random, seconds: float) -> Iterator[Print]:
    """The market's life: a walk whose steps grow in bursts of a few seconds, which is what makes rules fire."""
    now, wild_until, drift = 0.0, 0.0, 0
    price = dict.fromkeys(SYMBOLS, 10_000)
    number = dict.fromkeys(SYMBOLS, 0)
    while (now := now + random.expovariate(20)) < seconds:
        symbol = random.choice(SYMBOLS)
        if random.random() < 0.01:
            wild_until, drift = now + random.uniform(1, 5), random.choice((-1, 1))
        wild = now < wild_until
        price[symbol] = max(1_000, price[symbol] + (drift * random.randint(0, 4) if wild else random.randint(-1, 1)))
        number[symbol] += 1
        size = random.randint(1, 2_000 if wild else 100)
        spread = random.randint(1, 3)
        yield Print(now, symbol, number[symbol], price[symbol], size, price[symbol] - spread, price[symbol] + spread)


def message(trade: Print, ts_ns: int) -> str:
    """The trade in the venue's words (``docs/reference/mock-wire.md``), written here without the server's code."""
    price, bid, ask = trade.price_ticks, trade.bid_ticks, trade.ask_ticks
    return (
        f'{{"T":"t","S":"{trade.symbol}","i":{trade.number},"t":{ts_ns},'
        f'"p":{price // 100}.{price % 100:02},"s":{trade.size_lots},'
        f'"b":{bid // 100}.{bid % 100:02},"a":{ask // 100}.{ask % 100:02}}}'
    )

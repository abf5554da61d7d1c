"""``python -m benchmarks.rivals.resting FILE…``: resting orders, ours against hftbacktest's, order by order.

FILE is a recorded Binance futures session (``<receive time> <message>`` a line, gzip) with trades and best quotes. Both
get the same orders at the best quote, one lot each, post-only, called back after three seconds, and the same
information: the best quotes and the trades, no depth behind them. Both estimate the queue in the same careful way; what
they make of each order is compared, and every difference is shown with the record on which each filled it.

One difference is known. hftbacktest asks who the aggressor was: a trade above a resting sell order fills it only where
a buyer lifted it. Our ticks do not tell, and need not: whoever sold higher would have met our order first. A difference
of another kind ends it with exit code 1. ``--write FILE`` keeps hftbacktest's answers for the tests.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.rivals import resting_hft, resting_ours
from benchmarks.rivals.resting_data import TRADE, Resting, Session, orders_on, read_session

LOTS, SEED = 1, 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals.resting", description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--write", type=Path, metavar="FILE")
    flags = parser.parse_args()
    answers, unexplained = {}, 0
    for file in flags.files:
        session = read_session(file)
        orders = orders_on(session, LOTS, SEED)
        ours, theirs = resting_ours.filled_on(session, orders), resting_hft.filled_on(session, orders)
        answers[file.name] = [theirs[order.number] for order in orders]
        differing = [order for order in orders if ours[order.number] != theirs[order.number]]
        filled = sum(place >= 0 for place in ours.values())
        print(f"{file.name}: {len(orders)} orders, {filled} filled by us, {len(differing)} differ")
        for order in differing:
            known = is_known(session, order, ours[order.number])
            unexplained += not known
            print(
                f"  {'buy' if order.side > 0 else 'sell'} {order.number} at {order.price_ticks}{'' if known else ' ?'}"
            )
            print(f"    ours         {told(session, ours[order.number])}")
            print(f"    hftbacktest  {told(session, theirs[order.number])}")
    if flags.write:
        flags.write.write_text(json.dumps(answers) + "\n")
    return int(unexplained > 0)


def is_known(session: Session, order: Resting, ours: int) -> bool:
    """Whether we filled it by a trade beyond its price of which the aggressor was on the order's own side."""
    beyond = order.side * (order.price_ticks - int(session.price_ticks[ours])) > 0
    return ours >= 0 and session.kind[ours] == TRADE and beyond and (order.side > 0) == bool(session.buyer[ours])


def told(session: Session, place: int) -> str:
    """A record in words."""
    if place < 0:
        return "not filled"
    if session.kind[place] == TRADE:
        side = "buyer" if session.buyer[place] else "seller"
        return f"record {place}: a {side} traded {session.size_lots[place]} at {session.price_ticks[place]}"
    bid = f"{session.bid_lots[place]} at {session.bid_ticks[place]}"
    return f"record {place}: quotes {bid}, {session.ask_lots[place]} at {session.ask_ticks[place]}"


if __name__ == "__main__":
    sys.exit(main())

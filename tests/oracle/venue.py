"""Reference: what resting orders are filled by, record by record, from the definitions on the page of fills alone.

A record is ``(price, size, bid, ask, bid_size, ask_size)``; price 0 is a quote. Quotes stand until they are replaced.
"""

from __future__ import annotations

from collections.abc import Sequence

Row = tuple[int, int, int, int, int, int]


def filled(rung: str, side: int, limit: int, lots: int, before: Row, rows: Sequence[Row]) -> list[int]:
    """Lots filled after each record, of a limit order that came right after ``before``."""
    done, ahead, total = 0, None, []
    standing = list(before[2:])

    def better(a: int, b: int) -> bool:
        return a < b if side > 0 else a > b

    def queue_by_quote() -> None:
        nonlocal ahead
        own, shown = (standing[0], standing[2]) if side > 0 else (standing[1], standing[3])
        if not own:
            return
        if better(own, limit):
            ahead = 0
        elif own == limit and shown:
            ahead = shown if ahead is None else min(ahead, shown)

    queue_by_quote()
    for price, size, *quote in rows:
        standing = [new or old for new, old in zip(quote, standing, strict=True)]
        across = standing[1] if side > 0 else standing[0]
        beyond = bool(price) and better(price, limit)
        at = price == limit
        crossed = bool(across) and not better(limit, across)
        some = 0
        if rung == "last":
            some = lots if beyond or at else 0
        elif rung == "touch":
            some = lots if beyond or at or crossed else 0
        elif rung == "through":
            some = lots if beyond else 0
        elif rung == "worst":
            some = size if beyond else 0
        elif beyond or crossed:
            some = lots
        else:
            if at and ahead is not None:
                some = max(0, size - ahead)
                ahead = max(0, ahead - size)
            queue_by_quote()
        done = min(lots, done + some)
        total.append(done)
    return total

"""A feature depends on its instrument's records alone: not on how they are cut into blocks, in which order features are
declared and what is computed beside them, nor on what other instruments do in between. To the bit.

The features are those of the catalogue, all families, on a stream of trades and quotes that crosses sessions. Whether
the values are right is not asked here: ``tests/oracle/test_catalogue_vs_engine.py`` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.backtesting import make_kernel, make_settings
from engine.journal.writer import MemoryJournal
from engine.language.grammar import Condition, Part
from engine.model import Instrument, TickBlock
from engine.rules import Expr, crosses_above, of, price
from tests.oracle.catalogue import Record
from tests.oracle.catalogue_cases_series import CASES
from tests.oracle.catalogue_streams import STREAMS, columns_of, random_records

RECORDS = STREAMS["sessions"][0]
NAMES = sorted(CASES)
Declared = Mapping[str, Part]
Columns = dict[str, np.ndarray]

some_names = st.lists(st.sampled_from(NAMES), min_size=1, max_size=25, unique=True)
cuts = st.lists(st.integers(0, len(RECORDS)), max_size=8)
blocks = st.sampled_from([1, 2, 3, 7, 64, 511, 512])


def block_of(records: Sequence[Record], instruments: Sequence[int] | None = None) -> TickBlock:
    return TickBlock(
        **columns_of(records), instrument=None if instruments is None else np.array(instruments, np.uint16)
    )


class Watch:
    """A kernel that trades nothing, and the columns of what is declared as it works through records."""

    def __init__(self, declared: Declared, trades: int, instruments: int = 1, block: int = 512) -> None:
        known = [Instrument(symbol) for symbol in "ABC"[:instruments]]
        account = make_settings(block_of(RECORDS), calendar="us_equities")
        self.kernel = make_kernel(known, None, account, MemoryJournal(), watched=declared, parameters={})
        self.kernel.core.set_block(block)
        self.columns: Columns = {
            name: np.zeros(trades, bool if isinstance(part, Condition) else np.float64)
            for name, part in declared.items()
        }
        for name, column in self.columns.items():
            for instrument, number in enumerate(self.kernel.columns[name]):
                self.kernel.core.tap(instrument, number, column.view(np.uint8))


def is_trade(records: Sequence[Record]) -> list[bool]:
    return [not record.is_quote for record in records]


def run(declared: Declared, edges: Sequence[int] = (), block: int = 512) -> Columns:
    """The columns on the stream, handed over in parts that begin at ``edges``."""
    watch, ticks = Watch(declared, sum(is_trade(RECORDS)), block=block), block_of(RECORDS)
    for first, last in pairwise([0, *sorted(edges), len(RECORDS)]):
        if first < last:
            watch.kernel.process(ticks.part(first, last))
    return watch.columns


def written(names: Sequence[str]) -> dict[str, Part]:
    return {name: CASES[name].written for name in names}


@cache
def whole() -> Columns:
    """Every feature at once, in one part and whole blocks."""
    return run(written(NAMES))


def assert_same(found: Columns, wanted: Columns) -> None:
    for name, column in found.items():
        np.testing.assert_array_equal(column, wanted[name], err_msg=name)


@settings(max_examples=12, deadline=None)
@given(some_names, cuts, blocks)
def test_neither_blocks_nor_cuts_nor_the_order_of_declaration_matter(
    names: list[str], edges: list[int], block: int
) -> None:
    assert_same(run(written(names), edges, block), whole())


def test_one_record_at_a_time_all_features_together() -> None:
    assert_same(run(written(NAMES[::-1]), range(len(RECORDS)), 1), whole())


PUSHED = [record._replace(bid_size=0, ask_size=0) for record in RECORDS if not record.is_quote]


@settings(max_examples=4, deadline=None)
@given(some_names)
def test_trades_pushed_one_by_one(names: list[str]) -> None:
    declared = written(names)
    processed, pushed = Watch(declared, len(PUSHED)), Watch(declared, len(PUSHED))
    processed.kernel.process(block_of(PUSHED))
    for record in PUSHED:
        pushed.kernel.push(0, record.ts_ns, record.price, record.size, record.bid, record.ask)
    assert_same(pushed.columns, processed.columns)


# ---------------------------------------------------------------- several instruments


def interleave(seed: int) -> tuple[list[Record], list[int]]:
    """The stream as that of one of three instruments, with records of the others at the same times in between."""
    rng = Random(seed)
    own = rng.randrange(3)
    others = iter(random_records(seed, 2 * len(RECORDS), 0, {}))
    records: list[Record] = []
    instruments: list[int] = []
    now = 0
    for record in RECORDS:
        now = max(now, record.ts_ns)
        records.append(record)
        instruments.append(own)
        for _ in range(rng.choice([0, 0, 1, 2])):
            records.append(next(others)._replace(ts_ns=now))
            instruments.append((own + rng.choice([1, 2])) % 3)
    return records, instruments


interleaved = st.integers(0, 10_000).map(interleave)


@settings(max_examples=6, deadline=None)
@given(interleaved, some_names, blocks)
def test_other_instruments_do_not_matter(stream: tuple[list[Record], list[int]], names: list[str], block: int) -> None:
    records, instruments = stream
    watch = Watch(written(names), sum(is_trade(records)), 3, block)
    watch.kernel.process(block_of(records, instruments))
    own = [i == instruments[0] for i, trade in zip(instruments, is_trade(records), strict=True) if trade]
    assert_same({name: column[own] for name, column in watch.columns.items()}, whole())


NUMBERS = [name for name in NAMES if isinstance(CASES[name].written, Expr)]
TRUTHS = [name for name in NAMES if isinstance(CASES[name].written, Condition)]


@settings(max_examples=6, deadline=None)
@given(
    interleaved,
    st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=12, unique=True),
    st.lists(st.sampled_from(TRUTHS), max_size=6, unique=True),
    blocks,
)
def test_what_is_taken_from_another_instrument(
    stream: tuple[list[Record], list[int]], numbers: list[str], truths: list[str], block: int
) -> None:
    """It is what the other's own column said at its latest trade by then: undefined, or false, before it traded."""
    records, instruments = stream
    source = instruments[0]
    declared: dict[str, Any] = {name: of("ABC"[source], CASES[name].written) for name in [*numbers, *truths]}
    watch = Watch(declared, sum(is_trade(records)), 3, block)
    watch.kernel.process(block_of(records, instruments))
    traded_on = [i for i, trade in zip(instruments, is_trade(records), strict=True) if trade]
    latest = np.cumsum([i == source for i in traded_on]) - 1  # of the source's trades, by each trade
    elsewhere = np.array([i != source for i in traded_on])
    for name, column in watch.columns.items():
        held = whole()[name][np.maximum(latest, 0)]
        if name in truths:
            np.testing.assert_array_equal(column[elsewhere], (held & (latest >= 0))[elsewhere], err_msg=name)
            continue
        wanted = np.where(latest >= 0, held, np.nan)
        np.testing.assert_array_equal(np.isnan(column[elsewhere]), np.isnan(wanted[elsewhere]), err_msg=name)
        known = elsewhere & ~np.isnan(wanted)
        np.testing.assert_array_max_ulp(column[known], wanted[known], maxulp=1)  # 128 bits come over as a double


def test_a_value_of_two_instruments_is_made_of_both() -> None:
    """Spread and crossing of two prices, against the prices themselves."""
    records = [record for record in RECORDS if not record.is_quote]
    pair = [record._replace(price=record.price + place % 5 - 2) for place, record in enumerate(records)]
    merged = [record for both in zip(records, pair, strict=True) for record in both]
    declared = {
        "gap": price - of("A", price),
        "cross": crosses_above(price, of("A", price)),
    }
    watch = Watch(declared, len(merged), 2)
    watch.kernel.process(block_of(merged, [0, 1] * len(records)))
    gap = np.array([(b.price - a.price) / 100 for a, b in zip(records, pair, strict=True)])
    np.testing.assert_array_equal(watch.columns["gap"][1::2], gap)
    assert watch.columns["cross"][1::2].sum() > len(records) // 6

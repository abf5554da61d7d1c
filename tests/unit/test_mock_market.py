"""The generated market: the same to the bit for a seed, well-formed, and lively enough for the default strategy."""

import hashlib

import numpy as np
import pytest

from mock_server.errors import MockError
from mock_server.listings import listings
from mock_server.market import START_NS, Market, generate
from tests.oracle.momentum_burst import Params
from tests.oracle.momentum_burst import run as run_rule

SECOND_NS = 1_000_000_000
PINNED = "8050dcb79feb930b95c11a17a002dd730233b9d4d5730a643ac7972008da0be3"


def fingerprint(ticks):
    return hashlib.sha256(b"".join(column.astype("<i8").tobytes() for column in ticks)).hexdigest()


def test_a_seed_gives_the_same_market_everywhere():
    """Pinned: a change here changes every result that was ever obtained on the practice market."""
    assert fingerprint(generate(50_000, seed=7, symbols=("AAPL", "BTCUSDT"), rate=500, quotes=True)) == PINNED


def test_seeds_symbols_and_rates_differ():
    kinds = [
        generate(1000, seed=1),
        generate(1000, seed=2),
        generate(1000, symbols=("MSFT",)),
        generate(1000, rate=100),
        generate(1000, quotes=True),
    ]
    assert len({fingerprint(ticks) for ticks in kinds}) == len(kinds)


@pytest.mark.parametrize("symbols", [("AAPL",), ("AAPL", "MSFT", "BTCUSDT")])
@pytest.mark.parametrize("quotes", [False, True])
def test_blocks_cut_the_stream_without_changing_it(symbols, quotes):
    def stream(block_ticks):
        blocks = Market(listings(symbols), seed=3, rate=300, quotes=quotes).blocks(block_ticks)
        table = next(blocks)
        while table.shape[1] < 5000:
            block = next(blocks)
            assert block.shape[1] > 0
            table = np.concatenate([table, block], axis=1)
        return table[:, :5000]

    whole = stream(20_000)
    for block_ticks in (1, 7, 64, 999):
        assert np.array_equal(stream(block_ticks), whole)


def test_a_shorter_market_is_the_beginning_of_a_longer_one():
    short, long = generate(1000, seed=5, quotes=True), generate(40_000, seed=5, quotes=True)
    for column, longer in zip(short, long, strict=True):
        assert np.array_equal(column, longer[:1000])


def test_start_moves_the_times_and_nothing_else():
    there, here = generate(1000, start_ns=5), generate(1000)
    assert np.array_equal(there.ts_ns - 5, here.ts_ns - START_NS)
    assert all(np.array_equal(a, b) for a, b in zip(there[1:], here[1:], strict=True))


@pytest.mark.parametrize("symbol", ["AAPL", "MSFT", "ES", "BTCUSDT", "LTCUSDT", "NOSUCH"])
@pytest.mark.parametrize("quotes", [False, True])
def test_every_record_is_well_formed(symbol, quotes):
    (listing,) = listings([symbol])
    ticks = generate(30_000, seed=11, symbols=(symbol,), quotes=quotes)
    assert all(column.dtype == np.int64 and column.shape == (30_000,) for column in ticks)
    trade, quote = ticks.kind == 0, ticks.kind == 1
    assert trade.any()
    assert quote.any() == quotes
    assert (trade | quote).all()
    assert (np.diff(ticks.ts_ns) >= 0).all()
    assert (ticks.instrument == 0).all()
    # Quotes: two-sided, on the tick, a spread of at least one tick. Trades: at the bid or at the ask.
    assert (ticks.bid_ticks > 0).all()
    assert (ticks.ask_ticks - ticks.bid_ticks >= listing.tick_size).all()
    assert (ticks.bid_ticks % listing.tick_size == 0).all()
    assert (ticks.ask_ticks % listing.tick_size == 0).all()
    at_bid, at_ask = ticks.price_ticks == ticks.bid_ticks, ticks.price_ticks == ticks.ask_ticks
    assert (at_bid | at_ask)[trade].all()
    assert at_bid.any()
    assert at_ask.any()
    assert (ticks.size_lots[trade] > 0).all()
    assert not (ticks.bid_lots[trade].any())
    assert not (ticks.ask_lots[trade].any())
    assert not (ticks.price_ticks[quote].any())
    assert not (ticks.size_lots[quote].any())
    assert (ticks.bid_lots[quote] > 0).all()
    assert (ticks.ask_lots[quote] > 0).all()
    # Nothing jumps: a reader's guard against bad prints must stay quiet.
    price = ticks.price_ticks[trade]
    assert (np.abs(np.diff(price)) * 100 < price[:-1]).all()
    assert abs(int(price[0]) - listing.level_ticks) * 100 < listing.level_ticks


def test_a_trade_meets_the_quote_that_was_sent_before_it():
    ticks = generate(20_000, seed=2, quotes=True)
    before, trade = slice(None, -1), np.flatnonzero(ticks.kind == 0)
    trade = trade[trade > 0]
    assert np.array_equal(ticks.bid_ticks[before][trade - 1], ticks.bid_ticks[trade])
    assert np.array_equal(ticks.ask_ticks[before][trade - 1], ticks.ask_ticks[trade])


@pytest.mark.parametrize("rate", [2.0, 200.0, 20_000.0])
def test_the_mean_rate_is_the_one_asked_for(rate):
    ticks = generate(min(200_000, int(rate * 3600)), seed=4, rate=rate, symbols=("AAPL", "SPY"))
    span_s = int(ticks.ts_ns[-1] - ticks.ts_ns[0]) / SECOND_NS
    assert len(ticks.ts_ns) / span_s == pytest.approx(rate, rel=0.12)
    assert np.bincount(ticks.instrument).tolist() == pytest.approx([len(ticks.ts_ns) / 2] * 2, rel=0.12)


def test_a_fast_market_is_steady_from_the_first_second():
    """A load that is to be measured must be there at once: no second is more than a fifth off the rate asked for."""
    ticks = generate(1_000_000, seed=1, rate=100_000)
    per_second = np.bincount((ticks.ts_ns - START_NS) // SECOND_NS)[:-1]
    assert np.abs(per_second - 100_000).max() < 20_000


def test_an_ordinary_market_has_bursts_quiet_spells_and_clusters():
    ticks = generate(200 * 300, seed=6)
    second = (ticks.ts_ns - START_NS) // SECOND_NS
    volume = np.bincount(second, weights=ticks.size_lots)
    assert np.percentile(volume, 95) > 20 * np.percentile(volume, 5)
    assert 0.1 < (np.diff(ticks.ts_ns) == 0).mean() < 0.3


def test_the_default_strategy_finds_something_to_do():
    """By the reference of the rule: three trades a minute, the first well within a minute, exits of every kind."""
    minutes, reasons = 4, set()
    for seed in (1, 2, 3, 4):
        ticks = generate(200 * 60 * minutes, seed=seed)
        trades = run_rule(Params(), *ticks[:3]).finished
        assert len(trades) >= 3 * minutes
        assert trades[0].entry_ts_ns - START_NS < 45 * SECOND_NS
        reasons |= {trade.reason for trade in trades}
    assert reasons >= {"SL", "TP", "TIME", "FLAT"}


@pytest.mark.parametrize("symbols", [[], ["A", "A"], [""], ['A"B'], ["A B"], ["X" * 25], ["É"]])
def test_symbols_that_cannot_be_are_refused(symbols):
    with pytest.raises(MockError, match="--symbols"):
        listings(symbols)

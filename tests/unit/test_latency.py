"""Delays by name: constant, sampled, measured. What is drawn, that it is the same again, and that nothing overtakes."""

from __future__ import annotations

import hashlib
from itertools import islice, pairwise
from math import log
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Strategy
from engine.account.portfolio import Portfolio
from engine.backtesting import backtest, load_ticks
from engine.brokers.paper import PaperBroker, VenueModel
from engine.commands.shared import load_config
from engine.config import latency as config_latency
from engine.config.latency import parse_latency
from engine.errors import ConfigError, UserError
from engine.events import OrderCancelled, OrderFilled, OrderRests, OrderSubmitted
from engine.latency import CELLS, Constant, Leg, Measured, Sampled, words
from engine.live.replay import config_of
from engine.model import Instrument
from engine.rules import TimeStop, falling, price, rising, seconds
from mock_server.market import generate

MS = 1_000_000
SAMPLED = "sampled median 20ms p99 900ms seed 3"


class ByTheClock(Strategy):
    """In after two upticks or downticks, out after two seconds."""

    long = rising(price, 2)
    short = falling(price, 2)
    exits = (TimeStop(seconds(2)),)


@pytest.fixture(scope="module")
def ticks():
    made = generate(20_000)
    names = ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks")
    return load_ticks({name: np.ascontiguousarray(getattr(made, name)) for name in names})


@pytest.fixture
def delays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "delays.csv"
    path.write_text("5ms\n0\n1.5s\n250us\n")
    return path


def run(ticks, **latencies):
    return backtest(ticks, ByTheClock, fills="touch", **latencies)


def first(latency, count, stream=0):
    return list(islice(latency.draws(stream), count))


def test_words_are_splitmix64():
    """SplitMix64 as its authors wrote it, in wrapping 64-bit arithmetic, gives the same words from the same state."""

    def mix(z):
        z = ((z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)) & np.uint64(2**64 - 1)
        z = ((z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)) & np.uint64(2**64 - 1)
        return z ^ (z >> np.uint64(31))

    with np.errstate(over="ignore"):
        state = mix(np.uint64(2 * 1234567 + 1))
        steps = np.arange(1, 6, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        expected = [int(mix(state + step)) for step in steps]
    assert list(islice(words(1234567, 1), 5)) == expected


def test_quantiles_are_those_of_the_stated_distribution():
    """The median and the 99th percentile are met exactly; in between the standard library's normal agrees."""
    table = list(Sampled(2 * MS, 20 * MS, 0).quantiles_ns())
    assert table == sorted(table)
    assert len(table) == CELLS
    assert sum(delay < 2 * MS for delay in table) == CELLS // 2
    assert sum(delay <= 20 * MS for delay in table) == CELLS * 99 // 100
    spread = log(10) / NormalDist().inv_cdf(0.99)
    for cell, delay in enumerate(table):
        share = (2 * cell + 1) / (2 * CELLS)
        assert log(delay / (2 * MS)) / spread == pytest.approx(NormalDist().inv_cdf(share), abs=1e-5)


def test_draws_are_the_same_on_every_machine():
    """The figures stand here: another machine, Python or C library that draws otherwise fails."""
    sampled = Sampled(2 * MS, 20 * MS, 7)
    table = list(sampled.quantiles_ns())
    assert hashlib.sha256(repr(table).encode()).hexdigest()[:16] == "78c1b6778afd3089"
    assert first(sampled, 5) == [1507158, 1095354, 2279097, 2470416, 532128]
    assert first(sampled, 5, stream=1) == [1046714, 6544985, 1808490, 1151508, 1105181]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**18 - 1), stream=st.integers(0, 1))
def test_a_seed_draws_the_same_again_and_only_from_the_table(seed, stream):
    sampled = Sampled(5 * MS, 50 * MS, seed)
    drawn = first(sampled, 20, stream)
    assert drawn == first(sampled, 20, stream)
    assert set(drawn) <= set(sampled.quantiles_ns())
    assert drawn != first(sampled, 20, 1 - stream)


def test_draws_are_spread_evenly():
    """Of 100,000 draws each tenth of the table gets its tenth, within five standard deviations of chance."""
    table = Sampled(10**9, 10**10, 11).quantiles_ns()
    rank = {delay: cell for cell, delay in enumerate(table)}
    counts = np.bincount([rank[delay] * 10 // CELLS for delay in first(Sampled(10**9, 10**10, 11), 100_000)])
    assert len(rank) == CELLS
    assert abs(counts - 10_000).max() < 5 * (100_000 * 0.1 * 0.9) ** 0.5


@given(
    delays=st.lists(st.integers(0, 100), min_size=1, max_size=5),
    steps=st.lists(st.integers(0, 60), min_size=1, max_size=40),
)
def test_nothing_is_early_and_nothing_overtakes(delays, steps):
    """Each message arrives at the latest of its own time plus its own delay, and those of all before it."""
    sent = np.cumsum(steps).tolist()
    leg = Leg(Measured(tuple(delays), "f", "", "", None), 0)
    own = [ts + delays[number % len(delays)] for number, ts in enumerate(sent)]
    assert [leg.arrival_ns(ts) for ts in sent] == [max(own[: number + 1]) for number in range(len(own))]


def test_one_message_of_data_has_one_delay():
    portfolio = Portfolio([Instrument("S", 2, 0)], 0)
    venue = VenueModel(
        latency_feed=Measured((10, 1, 1), "f", "", "", None), latency_order=Measured((5, 6, 7), "f", "", "", None)
    )
    broker = PaperBroker(venue, portfolio)
    assert [broker.arrival_ns(None, ts) for ts in (100, 100, 101, 200)] == [115, 116, 117, 206]


@pytest.mark.parametrize("leg", ["latency_feed", "latency_order"])
def test_a_constant_by_any_name_decides_the_same(ticks, delays, leg):
    """A file, a distribution and a name that all say 40 ms give the decisions of ``40ms``."""
    delays.write_text("40ms\n0.04\n")
    plain = run(ticks, **{leg: "40ms"})
    assert len(plain.trades) > 15
    for text in ("constant 40ms", "file delays.csv", "file delays.csv seed 5", "sampled median 40ms p99 40ms"):
        assert run(ticks, **{leg: text}).decision_hash == plain.decision_hash


@pytest.mark.parametrize("text", [SAMPLED, "file delays.csv", "file delays.csv seed 9"])
def test_the_same_seed_the_same_result_and_another_another(ticks, delays, text):
    one, again = run(ticks, latency_order=text), run(ticks, latency_order=text)
    assert (one.decision_hash, one.run_id) == (again.decision_hash, again.run_id)
    other = run(ticks, latency_order=text.replace("seed ", "seed 1")) if "seed" in text else run(ticks)
    assert one.decision_hash != other.decision_hash
    assert one.run_id != other.run_id


@pytest.mark.parametrize("leg", ["latency_feed", "latency_order"])
def test_every_order_arrives_late_and_in_turn(ticks, leg):
    """In the journal fills follow what sent them, in the order of sending, and by no less than the shortest delay."""
    found = run(ticks, **{leg: SAMPLED})
    least_ns = parse_latency(SAMPLED).quantiles_ns()[0]
    sent, arrived = {}, []
    for decision in found.journal.decisions:
        if isinstance(decision, OrderSubmitted):
            sent[decision.order_id] = decision.ts_ns
        elif isinstance(decision, OrderFilled | OrderCancelled | OrderRests):
            arrived.append((decision.order_id, decision.ts_ns - sent[decision.order_id]))
    assert len(arrived) > 30
    assert all(one[0] < other[0] for one, other in pairwise(arrived))
    assert min(late for _, late in arrived[:-2]) >= least_ns  # the last two are cut off by the end of the data
    assert len({late for _, late in arrived}) > 15


def test_the_passport_names_seed_and_file(ticks, delays):
    passport = run(ticks, latency_feed="file delays.csv", latency_order="sampled median 2ms p99 20ms").passport
    digest = hashlib.sha256(delays.read_bytes()).hexdigest()
    assert passport["latency_feed"] == f"file delays.csv sha256 {digest}"
    assert passport["latency_order"] == "sampled median 2ms p99 20ms seed 0"


@settings(max_examples=30, deadline=None)
@given(
    st.one_of(
        st.builds(Constant, st.integers(0, 10**15)),
        st.builds(Sampled, st.integers(10**6, 10**9), st.integers(10**9, 10**12), st.integers(0, 10**18 - 1)),
    )
)
def test_what_is_written_is_read_back(latency):
    assert parse_latency(str(latency)) == latency


def test_a_file_is_read_back_and_must_be_the_same(delays):
    measured = parse_latency("file delays.csv seed 4")
    assert measured.delays_ns == (5 * MS, 0, 1500 * MS, 250_000)
    assert parse_latency(str(measured)) == measured
    delays.write_text("5ms\n")
    with pytest.raises(ConfigError, match=r"latency_order: delays\.csv is not the file that is named: its sha256 is"):
        parse_latency(str(measured), where="latency_order")


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        ("late_ns", "when,late_ns\n1,250\n2,0\n", (250, 0)),
        ("late_us", "late_us,when\n 250 ,1\n1ms,2\n", (250_000, MS)),
        ("late", 'late\n0.001\n"2ms"\n', (MS, 2 * MS)),
    ],
)
def test_a_column_has_the_unit_of_its_name(delays, column, text, expected):
    delays.write_text(text)
    assert parse_latency(f"file delays.csv column {column}").delays_ns == expected
    assert parse_latency(str(parse_latency(f"file delays.csv column {column}"))).delays_ns == expected


@pytest.mark.parametrize(
    ("text", "held", "line"),
    [
        ("fast", "", "latency_order: 'fast' is not a latency; write 5ms, sampled"),
        ("5 parsecs", "", "latency_order: '5 parsecs' is not a duration"),
        ("-1ms", "", "latency_order: -1ms is outside 0 to 366 days"),
        ("constant fast", "", "latency_order: 'fast' is not a duration"),
        ("sampled 2ms", "", "latency_order: 'sampled 2ms' is not a distribution of delays; write sampled median"),
        ("sampled median 2ms p99 1ms", "", "no delays have a median of 2ms and a p99 of 1ms"),
        ("sampled median 0ms p99 1ms", "", "no delays have a median of 0ms"),
        ("sampled median 1ns p99 1h", "", "means delays of more than 366 days"),
        ("file", "", "latency_order: 'file' names no file of delays"),
        ("file none.csv", "", "latency_order: cannot read none.csv: No such file or directory; name a file"),
        ("file .", "", "latency_order: cannot read .: Is a directory"),
        ("file delays.csv", "", "latency_order: delays.csv holds 0 delays; give it between 1 and 1,000,000"),
        ("file delays.csv", "1ms\n-1ms\n", "delays.csv:2: -1ms is outside 0 to 366 days"),
        ("file delays.csv", "1ms\n\n2ms\n", "delays.csv:2: '' is not a duration"),
        ("file delays.csv", "1ms\nsoon\n", "delays.csv:2: 'soon' is not a duration"),
        ("file delays.csv", "when,late\n1,2\n", "delays.csv:1: several values on a line; name the column"),
        ("file delays.csv column lat", "when,late\n1,2\n", "delays.csv:1: there is no column 'lat'"),
        ("file delays.csv column late", "when,late\n1,2\n3\n", "delays.csv:3: there is no late on this line"),
    ],
)
def test_mistakes_are_told_in_one_line(delays, text, held, line):
    delays.write_text(held)
    with pytest.raises(ConfigError) as raised:
        parse_latency(text, where="latency_order")
    assert line in raised.value.line()


def test_a_file_has_a_largest_size(delays, monkeypatch):
    monkeypatch.setattr(config_latency, "MOST_DELAYS", 3)
    monkeypatch.setattr(config_latency, "MOST_BYTES", 9)
    delays.write_text("0\n0\n 10ns")
    assert parse_latency("file delays.csv").delays_ns == (0, 0, 10)
    delays.write_text("0\n" * 4)
    with pytest.raises(ConfigError, match=r"holds 4 delays; give it between 1 and 3$"):
        parse_latency("file delays.csv")
    delays.write_text("0\n0\n  10ns")
    with pytest.raises(ConfigError, match=r"is too large with 10 bytes; at most 9 bytes"):
        parse_latency("file delays.csv")
    delays.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"delays\.csv is not text"):
        parse_latency("file delays.csv")


def test_a_recorded_session_holds_the_hash_of_its_file(delays):
    """A replay reads the latency from the manifest: with another file it is refused."""
    config = load_config(None, None, paper__latency_feed="file delays.csv", paper__latency_order="2ms").config
    manifest = {"config": config.model_dump(mode="json")}
    assert config_of(manifest).paper == config.paper
    delays.write_text("6ms\n")
    with pytest.raises(UserError, match="not the file that is named"):
        config_of(manifest)

"""The encoder writes the golden frames byte for byte, from the values that a reader must get out of them."""

import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from mock_server import wire
from mock_server.listings import Listing

GOLDEN = Path(__file__).parents[1] / "golden" / "mock_wire"
LINES = (GOLDEN / "frames.jsonl").read_text(encoding="ascii").splitlines()
RECORDS = json.loads((GOLDEN / "expected.json").read_text(encoding="ascii"))
LISTED = [Listing(item["S"], item["pp"], item["sp"]) for item in json.loads(LINES[0])[0]["instruments"]]
SYMBOLS = [listing.symbol for listing in LISTED]

ROWS = ("ts_ns", "price_ticks", "size_lots", "bid_ticks", "ask_ticks", "bid_lots", "ask_lots")


def table_of(records):
    table = np.zeros((9, len(records)), np.int64)
    for row, name in enumerate(ROWS):
        table[row] = [record[name] for record in records]
    table[7] = [SYMBOLS.index(record["symbol"]) for record in records]
    table[8] = [record["kind"] for record in records]
    return table


def test_golden_files_have_one_list_of_records_per_frame():
    assert len(LINES) == len(RECORDS) == 8


def test_hello_is_the_golden_first_frame():
    assert wire.Hello("record", 1000, 7, 1.0, LISTED).frame().decode() == LINES[0]


@pytest.mark.parametrize("index", [index for index, records in enumerate(RECORDS) if records])
def test_records_are_written_as_the_golden_frames(index):
    records = RECORDS[index]
    ids = np.array([record["id"] for record in records])
    assert wire.frame(wire.Encoder(LISTED).messages(table_of(records), ids, 0)).decode() == LINES[index]


def test_start_is_added_to_the_offsets():
    records = RECORDS[1]
    table, start_ns = table_of(records), 1_600_000_000_000_000_000
    table[0] -= start_ns
    assert wire.frame(wire.Encoder(LISTED).messages(table, np.array([1]), start_ns)).decode() == LINES[1]


def test_heartbeat_and_end_are_the_golden_frames():
    assert wire.heartbeat(1_700_000_001_000_000_000, 6).decode() == LINES[4]
    assert wire.end(1_700_000_002_000_000_000, 12).decode() == LINES[7]


def test_ids_count_the_trades_of_each_symbol_across_blocks():
    ids = wire.TradeIds(len(LISTED))
    numbered = [ids.number(table_of(records)).tolist() for records in RECORDS if records]
    assert numbered == [[record["id"] for record in records] for records in RECORDS if records]


@pytest.mark.parametrize("name", ["frames", "tolerant"])
def test_golden_values_are_those_of_a_plain_json_reader(name):
    """The golden files agree with the written format when read by the simplest possible reader."""
    lines = (GOLDEN / f"{name}.jsonl").read_text(encoding="ascii").splitlines()
    expected_name = "expected.json" if name == "frames" else "tolerant_expected.json"
    expected = json.loads((GOLDEN / expected_name).read_text(encoding="ascii"))
    frames = [json.loads(line, parse_float=Decimal) for line in lines]
    precision = {item["S"]: (item["pp"], item["sp"]) for item in frames[0][0]["instruments"]}
    for messages, records in zip(frames, expected, strict=True):
        assert [plain_record(message, precision) for message in messages if message["T"] in {"t", "q"}] == records


def plain_record(message, precision):
    price_precision, size_precision = precision[message["S"]]

    def units(key, decimals):
        scaled = Decimal(message.get(key, 0)).scaleb(decimals)
        assert scaled == int(scaled)
        return int(scaled)

    return {
        "symbol": message["S"],
        "kind": int(message["T"] == "q"),
        "id": message.get("i", 0),
        "ts_ns": message["t"],
        "price_ticks": units("p", price_precision),
        "size_lots": units("s", size_precision),
        "bid_ticks": units("b", price_precision),
        "ask_ticks": units("a", price_precision),
        "bid_lots": units("bs", size_precision),
        "ask_lots": units("as", size_precision),
    }


def test_spellings_are_right_after_the_memory_has_been_emptied(monkeypatch):
    monkeypatch.setattr(wire._Decimals, "_LIMIT", 2)
    spell = wire._Decimals(3)
    assert [spell[units] for units in (1, 1000, 12345, 1, 999)] == ["0.001", "1.000", "12.345", "0.001", "0.999"]
    assert len(spell) <= 2

"""The frame scanner: what it reads, and the reason it gives for everything it does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine._wire import END, FRAME_REASONS, GAP, HEARTBEAT, HELLO, REFUSED, REJECT_REASONS, TICKS, Columns, Decoder
from engine.model import Clock
from feeds.guard import FeedLimits, check_conservation, decoder_for
from feeds.venues import MOCK
from tests.oracle.wire import NOW_NS, Reader, Row, Scanner

GOLDEN = Path(__file__).parents[1] / "golden" / "mock_wire"
T0 = 1_700_000_000_000_000_000
AAPL = [("AAPL", 2, 0)]


def trade(**changes: object) -> bytes:
    """One trade as the text of a message; a value of ... leaves its key out."""
    fields = {"T": '"t"', "S": '"AAPL"', "i": 1, "t": T0, "p": "150.01", "s": 100, "b": "150.00", "a": "150.02"}
    fields.update(changes)
    return ("{" + ",".join(f'"{key}":{value}' for key, value in fields.items() if value is not ...) + "}").encode()


def quote(**changes: object) -> bytes:
    return trade(**{"T": '"q"', "i": ..., "p": ..., "s": ..., "bs": 300, "as": 200} | changes)


@pytest.mark.parametrize("name", ["frames", "tolerant"])
def test_golden_samples_are_read_record_for_record(name: str) -> None:
    expected = json.loads((GOLDEN / f"{'' if name == 'frames' else name + '_'}expected.json").read_text())
    frames = (GOLDEN / f"{name}.jsonl").read_bytes().splitlines()
    decoder = decoder_for(MOCK, FeedLimits())
    columns = Columns(65536)
    names: list[str] = []
    for frame, records in zip(frames, expected, strict=True):
        columns.clear()
        outcome = decoder.decode(frame, NOW_NS, columns)
        assert decoder.fault == ""
        if outcome & HELLO:
            hello = MOCK.read_hello(decoder.hello)
            for instrument in hello.instruments:
                decoder.add_symbol(
                    instrument.symbol,
                    price_precision=instrument.price_precision,
                    size_precision=instrument.size_precision,
                )
                names.append(instrument.symbol)
            # On record time: the samples' prices jump about as no market does.
            decoder.accept_hello(recorded=True, ids_continue=False)
        rows = zip(*(column.tolist() for column in columns.view(0, columns.rows)), strict=True)
        assert [
            {
                "symbol": names[row.instrument],
                "kind": row.kind,
                "ts_ns": row.ts_ns,
                "price_ticks": row.price_ticks,
                "size_lots": row.size_lots,
                "bid_ticks": row.bid_ticks,
                "ask_ticks": row.ask_ticks,
                "bid_lots": row.bid_lots,
                "ask_lots": row.ask_lots,
            }
            for row in (Row(*row) for row in rows)
        ] == [{key: value for key, value in record.items() if key != "id"} for record in records]
    assert decoder.rejected() == decoder.bad_frames() == {}
    assert decoder.gaps == 0
    check_conservation(decoder)


def test_the_golden_hello_says_which_clock_to_trade_on() -> None:
    for name, clock in (("frames", Clock.RECORD), ("tolerant", Clock.RECEIVE)):
        text = (GOLDEN / f"{name}.jsonl").read_bytes().splitlines()[0]
        assert MOCK.read_hello(text[1:-1]).clock is clock


BROKEN = [
    (b"", "truncated"),
    (b"  ", "truncated"),
    (b"[", "truncated"),
    (b"[%s", "truncated"),
    (b"[%s,", "truncated"),
    (b"[%s]]", "trailing_bytes"),
    (b"[%s] x", "trailing_bytes"),
    (b"[%s]\x00", "trailing_bytes"),
    (b"[%s %s]", "syntax"),
    (b"[%s,]", "not_messages"),
    (b"[,%s]", "not_messages"),
    (b"%s", "not_messages"),
    (b"7", "not_messages"),
    (b"\xef\xbb\xbf[%s]", "not_messages"),
    (b"[1,%s]", "not_messages"),
    (b"[[%s]]", "not_messages"),
    (b'[%s,{"T"}]', "syntax"),
    (b'[%s,{"T":}]', "syntax"),
    (b'[%s,{"T":"t",}]', "syntax"),
    (b"[%s,{'T':1}]", "syntax"),
    (b"[%s,{T:1}]", "syntax"),
    (b'[%s,{"x":tru}]', "syntax"),
    (b'[%s,{"x":nul', "truncated"),
    (b'[%s,{"x":NaN}]', "syntax"),
    (b'[%s,{"x":Infinity}]', "syntax"),
    (b'[%s,{"x":+1}]', "syntax"),
    (b'[%s,{"x":01}]', "syntax"),
    (b'[%s,{"x":1.}]', "syntax"),
    (b'[%s,{"x":.5}]', "syntax"),
    (b'[%s,{"x":-}]', "syntax"),
    (b'[%s,{"x":1e}]', "syntax"),
    (b'[%s,{"x":1e+}]', "syntax"),
    (b'[%s,{"x":0x1}]', "syntax"),
    (b'[%s,{"x":1e400}]', "bad_number"),
    (b'[%s,{"x":1' + b"0" * 400 + b"}]", "bad_number"),
    (b'[%s,{"x":"a\nb"}]', "syntax"),
    (b'[%s,{"x":"\\q"}]', "bad_escape"),
    (b'[%s,{"x":"\\u12g4"}]', "bad_escape"),
    (b'[%s,{"x":"\\ud800"}]', "bad_escape"),
    (b'[%s,{"x":"\\ud800\\u0041"}]', "bad_escape"),
    (b'[%s,{"x":"\\udc00"}]', "bad_escape"),
    (b'[%s,{"x":"\\ud800', "truncated"),
    (b'[%s,{"x":"\\', "truncated"),
    (b'[%s,{"\\u0054":"t"}]', "bad_escape"),
    (b'[%s,{"x":"\xff"}]', "bad_utf8"),
    (b'[%s,{"x":"\xc0\x80"}]', "bad_utf8"),
    (b'[%s,{"x":"\xe0\x80\x80"}]', "bad_utf8"),
    (b'[%s,{"x":"\xed\xa0\x80"}]', "bad_utf8"),
    (b'[%s,{"x":"\xf0\x80\x80\x80"}]', "bad_utf8"),
    (b'[%s,{"x":"\xf4\x90\x80\x80"}]', "bad_utf8"),
    (b'[%s,{"x":"\xe2\x82"}]', "bad_utf8"),
    (b'[%s,{"x":"\xe2\x82', "truncated"),
    (b'[%s,{"T":"x","T":"t"}]', "duplicate_key"),
    (b'[%s,{"x":1,"x":1}]', "duplicate_key"),
    (b'[%s,{"x":{"y":1,"y":1}}]', "duplicate_key"),
    (b'[%s,{"x":' + b"[" * 15 + b"]" * 15 + b"}]", "too_deep"),
    (b'[%s,{"x":' + b'{"y":' * 15 + b"1" + b"}" * 15 + b"}]", "too_deep"),
    (b"[%s,{" + b",".join(b'"k%d":1' % k for k in range(65)) + b"}]", "too_many_keys"),
    (b'[%s,{"x":{' + b",".join(b'"k%d":1' % k for k in range(65)) + b"}}]", "too_many_keys"),
    (b"[%s" + b",{}" * 16384 + b"]", "too_many_messages"),
    (b"[%s" + b" " * (1 << 20) + b"]", "too_large"),
]


@pytest.mark.parametrize(("text", "reason"), BROKEN, ids=[f"{reason}-{n}" for n, (_, reason) in enumerate(BROKEN)])
def test_a_broken_frame_is_refused_whole_with_its_reason(text: bytes, reason: str) -> None:
    frame = text.replace(b"%s", trade())
    scanner = Scanner(AAPL)
    assert scanner.read(frame) == []
    assert scanner.outcome == REFUSED
    assert scanner.decoder.fault == reason
    assert scanner.decoder.bad_frames() == {reason: 1}
    assert scanner.decoder.bad_bytes() == ({reason: len(frame)} if frame else {})
    assert scanner.decoder.offered == 0
    # It has left nothing behind: the good frame that follows is read as if it were the first.
    assert len(scanner.read(b"[" + trade() + b"]")) == 1
    assert scanner.outcome == TICKS


FITTING = [
    b'[%s,{"x":' + b"[" * 14 + b"]" * 14 + b"}]",
    b"[%s,{" + b",".join(b'"k%d":1' % k for k in range(64)) + b"}]",
    b"[%s" + b",{}" * 16383 + b"]",
    b'[%s,{"x":1e307,"y":-0,"z":1E-400,"u":"\\ud83d\\ude00\xf0\x9f\x98\x80\x7f","v":[],"w":{}}]',
    b'\r\n\t [ %s , { "T" : "new" , "x" : [ 1 , { } , null , true , false ] } ] \r\n',
]


@pytest.mark.parametrize("text", FITTING, ids=range(len(FITTING)))
def test_a_frame_at_the_limits_is_read(text: bytes) -> None:
    scanner = Scanner(AAPL)
    assert len(scanner.read(text.replace(b"%s", trade()))) == 1
    assert scanner.decoder.fault == ""


REFUSED_TRADES = [
    ({"T": ...}, "no_type"),
    ({"T": "null"}, "no_type"),
    ({"T": '"\\u0074"'}, "no_type"),
    ({"S": ...}, "missing_field"),
    ({"S": "1"}, "wrong_type"),
    ({"S": '"MSFT"'}, "unknown_symbol"),
    ({"S": '""'}, "unknown_symbol"),
    ({"S": '"AAPL\\u0000"'}, "unknown_symbol"),
    ({"S": '"A\\u0041PL"'}, "unknown_symbol"),
    ({"i": ...}, "missing_field"),
    ({"i": '"1"'}, "wrong_type"),
    ({"i": "1.0"}, "bad_id"),
    ({"i": "-1"}, "bad_id"),
    ({"i": "1e3"}, "bad_id"),
    ({"i": "99999999999999999999"}, "bad_id"),
    ({"t": ...}, "missing_field"),
    ({"t": "null"}, "wrong_type"),
    ({"t": "1.7e18"}, "bad_time"),
    ({"t": "1700000000000000000.5"}, "bad_time"),
    ({"t": "-1"}, "bad_time"),
    ({"t": "0"}, "time_before_2000"),
    ({"t": "946684799999999999"}, "time_before_2000"),
    ({"t": NOW_NS + 5 * 10**9 + 1}, "time_future"),
    ({"p": ...}, "missing_field"),
    ({"p": '"150.01"'}, "wrong_type"),
    ({"p": "null"}, "wrong_type"),
    ({"p": "[150.01]"}, "wrong_type"),
    ({"p": "0"}, "price_not_positive"),
    ({"p": "-0.00"}, "price_not_positive"),
    ({"p": "-150.01"}, "price_not_positive"),
    ({"p": "150.011"}, "price_off_tick"),
    ({"p": "150.01000000000000000000000001"}, "price_off_tick"),
    ({"p": "10995116277.76", "b": ..., "a": ...}, "price_too_large"),
    ({"p": "1e300"}, "price_too_large"),
    ({"s": ...}, "missing_field"),
    ({"s": "0"}, "size_not_positive"),
    ({"s": "-1"}, "size_not_positive"),
    ({"s": "1.5"}, "size_off_lot"),
    ({"s": "1099511627776"}, "size_over_cap"),
    ({"b": "null"}, "wrong_type"),
    ({"b": "0"}, "price_not_positive"),
    ({"a": "150.025"}, "price_off_tick"),
    ({"b": "150.03"}, "crossed_quote"),
]


@pytest.mark.parametrize(("changes", "reason"), REFUSED_TRADES)
def test_a_record_that_cannot_be_is_refused_with_its_reason(changes: dict[str, object], reason: str) -> None:
    scanner = Scanner(AAPL)
    good = trade(i=2, t=T0 + 1)
    assert [row.ts_ns for row in scanner.read(b"[" + trade(**changes) + b"," + good + b"]")] == [T0 + 1]
    assert scanner.decoder.rejected() == {reason: 1}
    assert (scanner.decoder.offered, scanner.decoder.accepted) == (2, 1)
    if "\\" not in str(changes):  # a name written with escapes is understood by others; we need not
        assert Reader(AAPL).read(b"[" + trade(**changes) + b"]") == []


@pytest.mark.parametrize("changes", [{"bs": 0}, {"as": -1}])
def test_a_quote_needs_sizes(changes: dict[str, object]) -> None:
    scanner = Scanner(AAPL)
    assert scanner.read(b"[" + quote(**changes) + b"]") == []
    assert scanner.decoder.rejected() == {"size_not_positive": 1}


EXACT = [("150.01", 15001), ("150.010", 15001), ("150.0100000000000000000000", 15001), ("1.5001e2", 15001),
         ("0.01", 1), ("150", 15000), ("1e2", 10000), ("10995116277.75", 2**40 - 1)]  # fmt: skip


@pytest.mark.parametrize(("text", "ticks"), EXACT)
def test_prices_are_exact(text: str, ticks: int) -> None:
    frame = b"[" + trade(p=text, b=..., a=...) + b"]"
    assert [row.price_ticks for row in Scanner(AAPL).read(frame)] == [ticks]


def test_bounds_are_included() -> None:
    scanner = Scanner(AAPL, limits=FeedLimits(max_size_lots=100))
    assert len(scanner.read(b"[" + trade(s=100, t=946_684_800 * 10**9) + b"]")) == 1
    assert len(scanner.read(b"[" + trade(i=2, t=NOW_NS + 5 * 10**9) + b"]")) == 1
    assert scanner.read(b"[" + trade(i=3, s=101) + b"]") == []
    assert scanner.decoder.rejected() == {"size_over_cap": 1}


def test_receive_time_is_the_clock_and_never_runs_back() -> None:
    scanner = Scanner(AAPL, recorded=False)
    assert [row.ts_ns for row in scanner.read(b"[" + trade() + b"]")] == [NOW_NS]
    scanner.now_ns -= 10**9
    assert [row.ts_ns for row in scanner.read(b"[" + trade(i=2) + b"]")] == [NOW_NS]
    scanner.now_ns += 10**9 + 1
    assert [row.ts_ns for row in scanner.read(b"[" + trade(i=3) + b"]")] == [NOW_NS + 1]


def test_record_time_is_the_clock_and_never_runs_back() -> None:
    scanner = Scanner(AAPL)
    frame = b"[" + trade(i=1, t=T0 + 9) + b"," + trade(i=2, t=T0 + 3) + b"," + trade(i=3, t=T0 + 9) + b"]"
    assert [row.ts_ns for row in scanner.read(frame)] == [T0 + 9] * 3
    assert scanner.decoder.late == 1


def test_nothing_is_accepted_before_the_hello() -> None:
    scanner = Scanner(AAPL)
    scanner.decoder.begin_connection()
    assert scanner.read(b"[" + trade() + b"]") == []
    assert scanner.decoder.rejected() == {"before_hello": 1}
    scanner.decoder.accept_hello(recorded=False, ids_continue=False)
    assert len(scanner.read(b"[" + trade() + b"]")) == 1


def test_a_hello_that_is_not_honoured_is_a_bad_frame_after_all() -> None:
    scanner = Scanner(AAPL)
    scanner.read(b'[{"T":"hello","v":2}]')
    assert scanner.outcome == HELLO
    assert scanner.decoder.hello == b'{"T":"hello","v":2}'
    scanner.decoder.refuse_hello()
    assert scanner.decoder.bad_frames() == {"bad_hello": 1}
    check_conservation(scanner.decoder)


def test_unselected_symbols_are_ignored_but_counted_as_sent() -> None:
    scanner = Scanner(AAPL)
    assert scanner.decoder.add_symbol("MSFT", price_precision=2, size_precision=0, selected=False) == -1
    assert scanner.read(b"[" + trade(S='"MSFT"') + b'{"T":"h","n":1}]'.replace(b"{", b",{", 1)) == []
    assert scanner.outcome == HEARTBEAT
    assert (scanner.decoder.offered, scanner.decoder.sent, scanner.decoder.ignored_messages) == (0, 1, 1)


def test_a_heartbeat_discloses_what_never_arrived() -> None:
    scanner = Scanner(AAPL)
    scanner.read(b"[" + trade() + b',{"T":"h","n":1}]')
    assert scanner.outcome == TICKS | HEARTBEAT
    scanner.read(b'[{"T":"h","n":3},' + trade(i=2) + b',{"T":"end","n":4}]')
    assert scanner.outcome == TICKS | HEARTBEAT | END | GAP
    assert scanner.decoder.take_gaps() == [(0, -1)]
    assert scanner.decoder.take_gaps() == []


def test_what_came_twice_does_not_hide_what_is_lost_later() -> None:
    scanner = Scanner(AAPL)
    scanner.read(b"[" + b",".join([trade()] * 4) + b',{"T":"h","n":1}]')
    assert scanner.decoder.sent == 1
    scanner.read(b'[{"T":"h","n":2}]')
    assert scanner.outcome == HEARTBEAT | GAP


def test_heartbeats_without_a_count_are_still_heartbeats() -> None:
    scanner = Scanner(AAPL)
    for count in (b"", b',"n":null', b',"n":-1', b',"n":1.5'):
        scanner.read(b'[{"T":"h"' + count + b"}]")
        assert scanner.outcome == HEARTBEAT


def test_another_venue_is_another_map() -> None:
    decoder = Decoder(
        {"type": "kind", "symbol": "product_id", "time": "ts", "price": "px", "size": "quantity"},
        {"trade": "match"},
        max_frame_bytes=1000,
        jump_bps=1000,
        jump_confirmations=3,
        max_size_lots=1000,
        future_ns=0,
    )
    decoder.add_symbol("BTC-USD", price_precision=1, size_precision=2)
    decoder.accept_hello(recorded=True, ids_continue=False)
    columns = Columns(65536)
    frame = b'[{"product_id":"BTC-USD","px":9.5,"T":"t","quantity":0.25,"kind":"match","ts":%d}]' % T0
    assert decoder.decode(frame + b" ", NOW_NS, columns) == TICKS
    assert decoder.decode(frame, NOW_NS, columns) == TICKS  # there are no ids, so nothing is a duplicate
    assert [column.tolist()[0] for column in columns.view(0, 1)] == [T0, 95, 25, 0, 0, 0, 0, 0, 0]


def test_many_symbols_keep_apart() -> None:
    instruments = [(f"S{n}", 2, 0) for n in range(3000)]
    scanner = Scanner(instruments)
    frame = b"[" + b",".join(trade(S=f'"S{n}"', s=n + 1) for n in range(3000)) + b"]"
    assert [(row.instrument, row.size_lots) for row in scanner.read(frame)] == [(n, n + 1) for n in range(3000)]
    with pytest.raises(ValueError, match="there already"):
        scanner.decoder.add_symbol("S7", price_precision=2, size_precision=0)


@pytest.mark.parametrize("symbol", ["", "x" * 33])
def test_a_symbol_must_fit(symbol: str) -> None:
    with pytest.raises(ValueError, match="1 to 32 bytes"):
        Scanner([(symbol, 2, 0)])


def test_precisions_must_fit() -> None:
    with pytest.raises(ValueError, match="precisions"):
        Scanner([("AAPL", 13, 0)])


def test_decode_insists_on_room() -> None:
    columns = Columns(65536, 16)
    with pytest.raises(ValueError, match="reserved"):
        Scanner(AAPL).decoder.decode(b" " * 1000, NOW_NS, columns)


def test_columns_grow_to_their_limit_and_no_further() -> None:
    columns = Columns(20_000, 16)
    assert columns.reserve(16)
    assert columns.capacity == 16
    assert columns.reserve(17)
    assert columns.capacity == 32
    assert columns.reserve(20_000)
    assert columns.capacity == 20_000
    assert not columns.reserve(20_001)
    with pytest.raises(IndexError):
        columns.view(0, 1)
    with pytest.raises(ValueError, match="whole frame"):
        Columns(100)


def test_growing_keeps_rows_and_earlier_views() -> None:
    scanner = Scanner(AAPL)
    scanner.columns = Columns(65536, 40)
    scanner.decoder.decode(b"[" + trade() + b"]", NOW_NS, scanner.columns)
    before = scanner.columns.view(0, 1)
    assert scanner.columns.reserve(1000)
    scanner.columns.reserve(1000)
    for old, new in zip(before, scanner.columns.view(0, 1), strict=True):
        assert not np.shares_memory(old, new)
        assert old.tolist() == new.tolist()


def test_every_reason_has_a_name_of_its_own() -> None:
    assert len(set(FRAME_REASONS)) == len(FRAME_REASONS)
    assert len(set(REJECT_REASONS)) == len(REJECT_REASONS)


def test_every_reason_is_explained_in_the_reference() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "feed.md").read_text(encoding="utf-8")
    assert [reason for reason in (*FRAME_REASONS, *REJECT_REASONS) if reason and f"`{reason}`" not in page] == []

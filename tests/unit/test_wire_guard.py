"""The guard: ids, jumps and times, judged one record after the other (reliability D2-D4)."""

from __future__ import annotations

import random

import pytest

from engine._wire import GAP
from feeds.guard import FeedLimits
from tests.oracle.wire import NOW_NS, Scanner

T0 = NOW_NS - 3600 * 10**9


class Tape:
    """Feeds single records on receive time and remembers what became of them."""

    def __init__(self, **limits: int) -> None:
        self.scanner = Scanner([("A", 2, 0), ("B", 2, 0)], recorded=False, limits=FeedLimits(**limits))
        self.next_id = 1
        self.t = T0

    def feed(self, text: str) -> str:
        """Returns the reason of the refusal, "gap", "late" or ""."""
        decoder = self.scanner.decoder
        before, late = decoder.rejected(), decoder.late
        rows = self.scanner.read(b"[" + text.encode() + b"]")
        assert decoder.fault == ""
        refused = [reason for reason, count in decoder.rejected().items() if count != before.get(reason, 0)]
        assert len(rows) + len(refused) == 1
        gaps = decoder.take_gaps()
        assert bool(gaps) == bool(self.scanner.outcome & GAP)
        if gaps:
            assert [row for row, _ in gaps] == [0]
            return "gap"
        return refused[0] if refused else "late" if decoder.late > late else ""

    def trade(
        self, price: int = 100, *, symbol: str = "A", id: int | None = None, t: int | None = None, quote: str = ""
    ) -> str:
        if id is None:
            id, self.next_id = self.next_id, self.next_id + 1
        self.t += 1
        return self.feed(
            f'{{"T":"t","S":"{symbol}","i":{id},"t":{self.t if t is None else t},"p":{price},"s":1{quote}}}'
        )

    def quote(self, bid: int, ask: int, *, t: int | None = None) -> str:
        self.t += 1
        return self.feed(f'{{"T":"q","S":"A","t":{self.t if t is None else t},"b":{bid},"bs":1,"a":{ask},"as":1}}')


# -- jumps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("price", "verdict"), [(110, ""), (90, ""), (111, "price_jump"), (89, "price_jump")])
def test_the_allowed_jump_is_ten_percent_inclusive(price: int, verdict: str) -> None:
    tape = Tape()
    assert tape.trade(100) == ""
    assert tape.trade(price) == verdict


def test_a_jump_is_believed_by_the_third_confirmation_and_discloses_the_withheld_trades() -> None:
    tape = Tape()
    assert [tape.trade(p) for p in (100, 150, 149, 151, 150, 150)] == ["", *["price_jump"] * 3, "gap", ""]


def test_an_ordinary_trade_in_between_starts_the_count_again() -> None:
    tape = Tape()
    odd = "price_jump"
    assert [tape.trade(p) for p in (100, 150, 150, 150, 100, 150, 150, 150, 150)] == [
        "", odd, odd, odd, "", odd, odd, odd, "gap",
    ]  # fmt: skip


def test_odd_prices_that_do_not_agree_with_one_another_confirm_nothing() -> None:
    tape = Tape()
    assert [tape.trade(p) for p in (100, 150, 300, 150, 300, 150, 300)] == ["", *["price_jump"] * 6]


def test_a_duplicate_does_not_confirm_its_own_jump() -> None:
    tape = Tape()
    tape.trade(100)
    assert tape.trade(150, id=2) == "price_jump"
    assert [tape.trade(150, id=2) for _ in range(5)] == ["duplicate"] * 5
    tape = Tape()  # the same when trades before it were lost
    tape.trade(100)
    assert tape.trade(150, id=9) == "price_jump"
    assert [tape.trade(150, id=9) for _ in range(5)] == ["duplicate"] * 5
    assert tape.trade(100, id=10) == "gap"


def test_a_quarantined_quote_that_agrees_makes_the_jump_believed() -> None:
    tape = Tape()
    tape.trade(100)
    assert tape.quote(149, 151) == "quote_jump"
    assert tape.trade(150) == ""  # nothing was withheld before it
    assert tape.quote(149, 151) == ""


def test_a_quarantined_trade_makes_a_quote_believed_and_the_next_trade_with_it() -> None:
    tape = Tape()
    tape.trade(100)
    tape.quote(99, 101)
    assert tape.trade(150) == "price_jump"
    assert tape.quote(149, 151) == ""
    assert tape.trade(150) == "gap"


def test_a_record_cannot_vouch_for_itself() -> None:
    tape = Tape()
    tape.trade(100)
    assert tape.trade(1000, quote=',"b":999,"a":1001') == "price_jump"


def test_a_wide_quote_vouches_for_nothing() -> None:
    tape = Tape()
    tape.trade(100)
    assert tape.quote(1, 199) == "quote_jump"
    assert tape.trade(150) == "price_jump"


def test_a_drifting_quote_carries_the_price_with_it() -> None:
    tape = Tape()
    tape.trade(100)
    for level in range(100, 200, 5):
        assert tape.quote(level - 1, level + 1) == ""
    assert tape.trade(195) == ""


def test_quotes_confirm_one_another() -> None:
    tape = Tape()
    tape.trade(100)
    assert [tape.quote(50, 51) for _ in range(5)] == [*["quote_jump"] * 3, "", ""]
    tape.quote(50, 51)
    assert tape.quote(50, 99) == ""  # each side is near something known: the last quote, or the last trade


def test_an_odd_quote_on_a_trade_refuses_the_trade() -> None:
    tape = Tape()
    tape.trade(100)
    assert tape.trade(100, quote=',"b":99,"a":1010') == "quote_jump"
    assert tape.trade(100, quote=',"b":99,"a":101') == ""  # and its id was not lost


def test_a_spread_that_has_widened_is_believed_though_trades_go_on_where_they_were() -> None:
    tape, odd = Tape(), "quote_jump"
    tape.trade(100, quote=',"b":99,"a":101')
    wide = ',"b":99,"a":130'
    assert [tape.trade(100, quote=wide) for _ in range(5)] == [odd, odd, odd, "gap", ""]  # trades were withheld
    tape = Tape()
    tape.trade(100)
    verdicts = [verdict for _ in range(4) for verdict in (tape.quote(99, 130), tape.trade(100))]
    assert verdicts == [odd, "", odd, "", odd, "", "", ""]


def test_a_trade_outside_a_quarantined_quote_starts_its_count_again() -> None:
    tape, odd = Tape(), "quote_jump"
    tape.trade(100)
    assert [tape.quote(149, 151) for _ in range(3)] == [odd] * 3
    assert tape.trade(100) == ""
    assert [tape.quote(149, 151) for _ in range(4)] == [odd, odd, odd, ""]


def test_a_duplicate_does_not_confirm_its_own_quote() -> None:
    tape = Tape()
    tape.trade(100)
    wide = ',"b":99,"a":130'
    assert tape.trade(100, id=2, quote=wide) == "quote_jump"
    assert [tape.trade(100, id=2, quote=wide) for _ in range(5)] == ["duplicate"] * 5
    assert tape.trade(100, id=3) == ""  # nothing was lost, and the quote was not believed


def test_instruments_are_judged_apart() -> None:
    tape = Tape()
    tape.trade(100)
    assert tape.trade(900, symbol="B", id=1) == ""


def test_a_recording_is_taken_as_it_was_recorded() -> None:
    scanner = Scanner([("A", 2, 0)], recorded=True)
    frame = ",".join(f'{{"T":"t","S":"A","i":{n},"t":{T0 + n},"p":{10**n},"s":1}}' for n in range(9))
    assert len(scanner.read(f"[{frame}]".encode())) == 9


@pytest.mark.parametrize("bps", [1, 10_000])
def test_the_limit_is_the_configured_one(bps: int) -> None:
    tape = Tape(max_jump_bps=bps, jump_confirmations=1)
    tape.trade(10_000)
    assert tape.trade(10_000 + bps) == ""
    tape.trade(10_000)
    assert tape.trade(30_000) == "price_jump"
    assert tape.trade(30_000) == "gap"


# -- ids --------------------------------------------------------------------------------------------------------


def test_a_missing_id_is_a_gap() -> None:
    tape = Tape()
    assert [tape.trade(id=id) for id in (5, 6, 8, 9)] == ["", "", "gap", ""]


def test_a_delayed_id_is_accepted_once() -> None:
    tape = Tape()
    assert [tape.trade(id=id) for id in (5, 8, 6, 6, 7, 8, 4)] == [
        "", "gap", "", "duplicate", "", "duplicate", "",
    ]  # fmt: skip


def test_ids_are_remembered_for_65536_trades() -> None:
    tape = Tape()
    tape.trade(id=1)
    assert tape.trade(id=65_536) == "gap"
    assert tape.trade(id=1) == "duplicate"
    assert tape.trade(id=65_537) == ""
    assert tape.trade(id=1) == "id_too_old"
    assert tape.trade(id=2) == ""
    assert tape.trade(id=10**15) == "gap"
    assert tape.trade(id=10**15 - 65_535) == ""
    assert tape.trade(id=2) == "id_too_old"


@pytest.mark.parametrize("seed", range(3))
def test_every_duplicate_within_65536_is_removed_whatever_the_order(seed: int) -> None:
    """Drop, duplicate and reorder up to 30 % at once; a set is the oracle."""
    rng = random.Random(seed)
    sent = [id for id in range(1, 20_001) if rng.random() > 0.3 or id == 1]
    sent += [id for id in sent if rng.random() < 0.3]
    sent.sort(key=lambda id: id + rng.uniform(0, rng.choice((1, 1000))))
    scanner = Scanner([("A", 2, 0)], recorded=False)
    accepted = 0
    expected_gaps, last = 0, None
    for start in range(0, len(sent), 500):
        ids = sent[start : start + 500]
        for id in ids:
            expected_gaps += last is not None and id > last + 1
            last = id if last is None else max(last, id)
        text = ",".join(f'{{"T":"t","S":"A","i":{id},"t":{T0},"p":100,"s":1}}' for id in ids)
        accepted += len(scanner.read(f"[{text}]".encode()))
    assert accepted == len(set(sent))
    assert scanner.decoder.rejected() == {"duplicate": len(sent) - len(set(sent))}
    assert scanner.decoder.gaps == expected_gaps > 1000


def test_a_refused_trade_is_no_gap_but_an_implausible_id_teaches_nothing() -> None:
    tape = Tape()
    tape.trade(id=1)
    assert tape.trade(-1, id=2) == "price_not_positive"
    assert tape.trade(id=3) == ""
    assert tape.trade(id=2) == ""  # sent again as it should have been
    assert tape.trade(-1, id=1_000_000) == "price_not_positive"
    assert tape.trade(id=4) == ""
    assert tape.trade(900, id=2_000_000) == "price_jump"
    assert tape.trade(id=5) == ""


# -- times ------------------------------------------------------------------------------------------------------


def test_a_trade_that_runs_backwards_is_late_and_an_equal_time_is_not() -> None:
    tape = Tape()
    assert tape.trade(t=T0) == ""
    assert tape.trade(t=T0) == ""
    assert tape.trade(t=T0 - 1) == "late"
    assert tape.trade(t=T0 + 1) == ""


def test_an_older_quote_says_nothing_any_more() -> None:
    tape = Tape()
    assert tape.quote(99, 101, t=T0) == ""
    assert tape.quote(99, 101, t=T0 - 1) == "stale_quote"
    assert tape.quote(99, 101, t=T0) == ""


def test_a_future_time_is_refused_and_does_not_move_anything() -> None:
    tape = Tape()
    tape.trade(t=T0)
    assert tape.trade(t=NOW_NS + 6 * 10**9) == "time_future"
    assert tape.trade(t=0) == "time_before_2000"
    assert tape.trade(t=T0) == ""  # neither late nor a gap


# -- connections ------------------------------------------------------------------------------------------------


def reconnect(tape: Tape, *, ids_continue: bool) -> None:
    tape.scanner.decoder.begin_connection()
    tape.scanner.decoder.accept_hello(recorded=False, ids_continue=ids_continue)


def test_a_new_stream_has_its_own_ids_and_times() -> None:
    tape = Tape()
    tape.trade(id=7)
    tape.quote(99, 101)
    reconnect(tape, ids_continue=False)
    assert tape.trade(id=1, t=T0 - 10**9) == ""
    assert tape.quote(99, 101, t=T0 - 10**9) == ""


def test_continuing_ids_prove_that_nothing_was_lost() -> None:
    tape = Tape()
    tape.trade(id=7)
    reconnect(tape, ids_continue=True)
    assert tape.trade(id=8) == ""
    reconnect(tape, ids_continue=True)
    assert tape.trade(id=8) == "duplicate"  # the sender is behind us
    assert tape.quote(99, 101) == ""
    assert tape.trade(id=9) == ""


def test_continuing_ids_disclose_what_was_lost() -> None:
    tape = Tape()
    tape.trade(id=7)
    reconnect(tape, ids_continue=True)
    assert tape.trade(id=9) == "gap"
    reconnect(tape, ids_continue=True)
    assert tape.quote(99, 101) == "gap"  # before the first trade nothing is proven
    assert tape.trade(id=10) == ""


def test_an_instrument_never_heard_of_has_lost_nothing() -> None:
    tape = Tape()
    reconnect(tape, ids_continue=True)
    assert tape.quote(99, 101) == ""


def test_a_repeated_quote_is_not_taken_twice() -> None:
    tape = Tape()
    tape.trade(id=7, t=T0)
    assert tape.quote(99, 101, t=T0) == ""
    reconnect(tape, ids_continue=True)
    assert tape.quote(99, 101, t=T0) == "stale_quote"
    assert tape.trade(id=7, t=T0) == "duplicate"
    assert tape.quote(99, 101, t=T0) == "stale_quote"
    assert tape.trade(id=8, t=T0) == ""
    assert tape.quote(99, 101, t=T0) == ""  # caught up: another quote at the same time is news

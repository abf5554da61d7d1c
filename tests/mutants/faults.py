"""The faults, each of a kind that somebody has really made, and the tests that must find it.

``before`` stands exactly once in the file. A change to the code that moves it breaks the list loudly: a fault that
cannot be made is a failure too.
"""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """Replace ``before`` by ``after`` in ``file``; one of ``tests`` fails."""

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]


COLUMNS = "tests/props/test_core_columns.py"
LOOPS = "tests/unit/test_core_loops.py"
TAPS = "tests/unit/test_core_taps.py"
LANES = "tests/unit/test_core_lanes.py"
ORACLE = "tests/oracle/test_engine_vs_oracle.py"
GUARD = "tests/unit/test_wire_guard.py"
FRAMES = "tests/props/test_wire_frames.py"
CATALOGUE = "tests/oracle/test_catalogue_vs_engine.py"
RISK = "tests/unit/test_risk.py"
LIMITS = "tests/unit/test_risk_in_trading.py"
FILLS = "tests/unit/test_fills.py"
ORDERS = "tests/props/test_orders.py"
MANAGED = "tests/oracle/test_managed.py"
RECORDS = "tests/unit/test_journal_records.py"
RECOVERY = "tests/crash/test_recovery.py"
SNAPSHOTS = "tests/crash/test_snapshots.py"
REPLAY = "tests/unit/test_replay.py"

FAULTS = (
    Fault(
        "a window keeps a trade that has just expired",
        "engine/_tails.pxd",
        "tape.mask, tail, now[k] - window + 1, now[k + 1] - window + 1, &out[k])",
        "tape.mask, tail, now[k] - window, now[k + 1] - window, &out[k])",
        (COLUMNS, ORACLE, CATALOGUE),
    ),
    Fault(
        "a window's last trades are written past the end of the ring",
        "engine/_tape.pxd",
        "        memcpy(ring, cells + room, (n - room) * sizeof(int64_t))",
        "        memcpy(ring, cells, (n - room) * sizeof(int64_t))",
        (COLUMNS,),
    ),
    Fault(
        "the totals after a ring's last cell are not brought to its first",
        "engine/_tape.pxd",
        "        tape.totals[0] = tape.totals[tape.capacity]\n",
        "",
        (COLUMNS,),
    ),
    Fault(
        "upper halves of totals are forgotten until the first block that needs none",
        "engine/_tape.pxd",
        "    if not tape.carried and most < 1.8e19:\n",
        "    if most < 1.8e19:\n",
        (COLUMNS, CATALOGUE),
    ),
    Fault(
        "sums of products take nothing from the upper halves",
        "engine/_windows.pxd",
        "    if tape.carried and price_squared != NULL:\n",
        "    if tape.carried and price_squared == NULL:\n",
        (COLUMNS, CATALOGUE),
    ),
    Fault(
        "a variance is taken for exact by doubles that are not",
        "engine/_loops.h",
        "    return high || large ? UINT64_MAX : low;\n",
        "    return high ? UINT64_MAX : low;\n",
        (LOOPS,),
    ),
    Fault(
        "a column that two arrays take is written to one of them",
        "engine/_core.pyx",
        "                new.node = taps[i].node = -1\n",
        "                pass\n",
        (TAPS,),
    ),
    Fault(
        "a stretch of merged tails ends with a guess that stays",
        "engine/_tails.pxd",
        "        out[begins[part]] = tail + t\n    return 1",
        "        out[begins[part]] = out[begins[part]]\n    return 1",
        (LOOPS,),
    ),
    Fault(
        "numbers that leave 51 bits are taken for small ones",
        "engine/_values.pxd",
        "    cdef double weight = fabs(<double>cx) + fabs(<double>cy) + 1\n",
        "    cdef double weight = 2\n",
        (LOOPS,),
    ),
    Fault(
        "the oldest extreme is kept when the window has moved past it",
        "engine/_windows.pxd",
        "            back_high = INT64_MIN\n",
        "",
        (COLUMNS, CATALOGUE),
    ),
    Fault(
        "at least is read as more than",
        "engine/_values.pxd",
        "    cdef int64_t least = (0 if node.k == CMP_GE else 1) - node.constant",
        "    cdef int64_t least = 1 - node.constant",
        ("tests/props/test_graph_values.py", ORACLE),
    ),
    Fault(
        "a stop is missed when the price is exactly there",
        "engine/_lanes.pxd",
        "(lane.stop_ticks if lane.side > 0 else lane.target_ticks) + 1",
        "(lane.stop_ticks if lane.side > 0 else lane.target_ticks + 1)",
        (LANES, ORACLE),
    ),
    Fault(
        "a short position's target is missed when the price is exactly there",
        "engine/_lanes.pxd",
        "(lane.stop_ticks if lane.side > 0 else lane.target_ticks) + 1",
        "(lane.stop_ticks + 1 if lane.side > 0 else lane.target_ticks)",
        (LANES, ORACLE),
    ),
    Fault(
        "a second in which the price moved is the first flat one",
        "engine/_lanes.pxd",
        "            lane.flat_run = 0\n",
        "            lane.flat_run = 1\n",
        (LANES, ORACLE),
    ),
    Fault(
        "a duplicate trade is believed",
        "engine/_guard.pxd",
        "    return REJECT_DUPLICATE if id_seen(m, id) else ACCEPTED",
        "    return ACCEPTED",
        (GUARD, FRAMES),
    ),
    Fault(
        "missing trades are not disclosed",
        "engine/_guard.pxd",
        "        m.missed = m.missed or id - m.last_id > 1\n",
        "",
        (GUARD, FRAMES),
    ),
    Fault(
        "a price jump is believed one confirmation early",
        "engine/_guard.pxd",
        "m.price_confirmed >= limits.confirmations:",
        "m.price_confirmed >= limits.confirmations - 1:",
        (GUARD, FRAMES),
    ),
    Fault(
        "a crossed quote is believed",
        "engine/_guard.pxd",
        "    if r.bid_ticks and r.ask_ticks and r.bid_ticks > r.ask_ticks:",
        "    if False:",
        (GUARD, FRAMES),
    ),
    Fault(
        "the clock runs back with a late record",
        "engine/_core.pyx",
        "        now = ts[k] if ts[k] > now else now\n",
        "        now = ts[k]\n",
        (COLUMNS, "tests/unit/test_core_limits.py"),
    ),
    Fault(
        "an invalid price is let in when it is the last of a block",
        "engine/_core.pyx",
        "    if bits_of(cells, 1, n) < <uint64_t>INPUT_BOUND:",
        "    if bits_of(cells, 1, n - 1) < <uint64_t>INPUT_BOUND:",
        ("tests/unit/test_core_limits.py", COLUMNS),
    ),
    Fault(
        "daylight saving ends a week late",
        "engine/sessions/clock.py",
        "nth_weekday(year, 11, SUNDAY, 1)",
        "nth_weekday(year, 11, SUNDAY, 2)",
        ("tests/unit/test_sessions.py", "tests/unit/test_calendars.py"),
    ),
    Fault(
        "the back-off does not grow",
        "feeds/reconnect.py",
        "self._failures += 1",
        "self._failures += 0",
        ("tests/unit/test_feed_ws.py",),
    ),
    # ------------------------------------------------------------ bars, waiting orders and stops that move
    Fault(
        "a trade at the end of a period belongs to the bar before",
        "engine/_bars.pxd",
        "(records.begins[k] >= end and node.k",
        "(records.begins[k] > end and node.k",
        (CATALOGUE,),
    ),
    Fault(
        "an order in the queue forgets who is ahead",
        "engine/_resting.pxd",
        "        it.ahead = displayed\n",
        "        it.ahead = 0\n",
        (FILLS,),
    ),
    Fault(
        "a trade at the limit is taken for one beyond it",
        "engine/_resting.pxd",
        "        return NEVER if beyond > 0 else 0\n    if it.model == FILL_WORST",
        "        return NEVER if beyond >= 0 else 0\n    if it.model == FILL_WORST",
        (FILLS,),
    ),
    Fault(
        "a stop that follows the price follows it back",
        "engine/_management.pxd",
        "    if it.side * price > it.side * it.best:\n",
        "    if True:\n",
        (MANAGED,),
    ),
    # ------------------------------------------------------------ risk
    Fault(
        "an entry on its way is not part of the position",
        "engine/account/ledger.py",
        "        return held + sum(self.left[order.order_id] for order in coming)\n",
        "        return held\n",
        (RISK,),
    ),
    Fault(
        "orders are remembered a moment longer than a second",
        "engine/account/ledger.py",
        "self._sent_ns[0] <= ts_ns - SECOND_NS",
        "self._sent_ns[0] < ts_ns - SECOND_NS",
        (RISK,),
    ),
    Fault(
        "a loss of exactly the day's limit is let pass",
        "engine/account/risk.py",
        "market.equity <= self.floor",
        "market.equity < self.floor",
        (RISK,),
    ),
    Fault(
        "the day's loss is counted from the start of the account",
        "engine/trading/desk.py",
        "self._risk.start_day(self._core.equity, number)",
        "self._risk.start_day(self._portfolio.starting, number)",
        ("tests/unit/test_risk_in_trading.py",),
    ),
    Fault(
        "a short position keeps the wider of two stops",
        "engine/account/risk.py",
        "if side * own > side * stop_ticks",
        "if own > stop_ticks",
        (RISK,),
    ),
    Fault(
        "a reason of blanks ends a halt",
        "engine/account/risk.py",
        "and not reason.strip():",
        "and not reason:",
        (RISK,),
    ),
    # ------------------------------------------------------------ orders, positions and money
    Fault(
        "a fill that is told twice is counted twice",
        "engine/account/orders.py",
        "        if fill_id in self.fills:\n            return 0\n",
        "",
        (ORDERS,),
    ),
    Fault(
        "a fill that was annulled before it was told counts all the same",
        "engine/account/orders.py",
        "        if fill_id in self.busts:\n            self.busted += lots\n            return 0\n",
        "",
        (ORDERS,),
    ),
    Fault(
        "an order whose acknowledgement is lost is taken for cancelled",
        "engine/account/orders.py",
        "table[at, event.LOST] = state.UNKNOWN",
        "table[at, event.LOST] = state.CANCELLED",
        (ORDERS,),
    ),
    Fault(
        "an id is sent twice",
        "engine/account/orders.py",
        "if order.order_id <= self.newest:",
        "if order.order_id < self.newest:",
        (ORDERS,),
    ),
    Fault(
        "an order that is triggered takes a new id",
        "engine/trading/dispatch.py",
        "        if order.awaits_trigger:\n",
        "        if order.awaits_trigger:\n            self._book.newest += 1\n",
        (FILLS,),
    ),
    Fault(
        "one signal that is skipped ends the cooldown",
        "engine/trading/desk.py",
        "lane.cooldown_left -= 1",
        "lane.cooldown_left = 0",
        (ORACLE,),
    ),
    Fault(
        "a time stop that ran out at night is filled at yesterday's price",
        "engine/trading/nights.py",
        "    return lane.slept\n",
        "    return False\n",
        ("tests/unit/test_overnight.py",),
    ),
    Fault(
        "the other leg is forgotten when one is left",
        "engine/trading/desk.py",
        "            self._part(other, reason_of_other(reason))\n",
        "            pass\n",
        ("tests/unit/test_legs.py",),
    ),
    Fault(
        "the other leg is judged as if nothing had been sent",
        "engine/trading/legs.py",
        "        risk.ledger.sent(leading)\n        answer = risk.approve_entry(index, lambda: (order, NO_EXITS))\n",
        "        answer = risk.approve_entry(index, lambda: (order, NO_EXITS))\n        risk.ledger.sent(leading)\n",
        ("tests/unit/test_legs.py",),
    ),
    Fault(
        "a loss that is all costs begins no cooldown",
        "engine/trading/positions.py",
        "if net_units < 0:",
        "if trade.gross_units < 0:",
        (ORACLE,),
    ),
    Fault(
        "the margin of what is held already is not asked for",
        "engine/account/entry_limits.py",
        "            required += self._margin(instrument, side, lots, market.price(instrument))\n",
        "            pass\n",
        (RISK,),
    ),
    Fault(
        "a long and a short position are liquidated equally far away",
        "engine/account/entry_limits.py",
        "(1 - order.side * margin)",
        "(1 - margin)",
        (RISK,),
    ),
    Fault(
        "what is called back after it was filled in part came to nothing",
        "engine/account/ledger.py",
        "if order.reason is None and self.left[order.order_id] == order.lots:",
        "if order.reason is None:",
        (RISK,),
    ),
    Fault(
        "what is added to a position today is as old as the position",
        "engine/account/ledger.py",
        "                held.day, held.day_trade = self.day, False\n",
        "                pass\n",
        (RISK,),
    ),
    Fault(
        "one lot more than was sent may be filled",
        "engine/account/ledger.py",
        "        if left < 0:\n",
        "        if left < -1:\n",
        (RISK,),
    ),
    Fault(
        "books that do not add up are an error like any other",
        "engine/trading/kernel.py",
        "        self._desk.halt(Refusal.CONSERVATION, Reason.RISK, self.core.event_ts_ns)\n",
        "",
        (LIMITS,),
    ),
    Fault(
        "a lost day forgets the highest equity of the drawdown",
        "engine/trading/desk.py",
        "            self._core.set_account(self._core.equity, self._risk.live_floor)\n            self._journal",
        "            self._tell_limits()\n            self._journal",
        (LIMITS,),
    ),
    Fault(
        "a time stop is counted from the wall clock",
        "engine/trading/positions.py",
        "ts_ns + plan.time_stop_ns if",
        '__import__("time").time_ns() + plan.time_stop_ns if',
        (FILLS,),
    ),
    Fault(
        "the equity gains by costs",
        "engine/_core.pyx",
        "round(amount) - costs",
        "round(amount) + costs",
        ("tests/props/test_money.py",),
    ),
    Fault(
        "fees of one side only",
        "engine/account/portfolio.py",
        "        fee += entry_fees\n",
        "",
        ("tests/unit/test_portfolio.py",),
    ),
    Fault(
        "a target's share is rounded up",
        "engine/trading/lanes.py",
        "return entered * self.until // self.whole - entered * self.since // self.whole",
        "return -(-entered * (self.until - self.since) // self.whole)",
        (FILLS,),
    ),
    Fault(
        "a buyer is filled at the bid",
        "engine/brokers/paper.py",
        "ask_ticks if order.side > 0 else bid_ticks",
        "bid_ticks if order.side > 0 else ask_ticks",
        ("tests/unit/test_cost_knobs.py",),
    ),
    Fault(
        "a size is rounded up",
        "engine/sizing.py",
        "floor(wanted * 10**size_precision)",
        "-floor(-wanted * 10**size_precision)",
        ("tests/unit/test_sizing.py",),
    ),
    # ------------------------------------------------------------ the journal, replays and sessions
    Fault(
        "a record's checksum is not looked at",
        "engine/_journal.pyx",
        "if found != _checksum_of(self.checksum, record, length):",
        "if False:",
        ("tests/crash/test_journal_images.py",),
    ),
    Fault(
        "checksums are no chain",
        "engine/_journal.pyx",
        "crc32c_extend(before, <const uint8_t*>&length, 4)",
        "crc32c_extend(0, <const uint8_t*>&length, 4)",
        (RECORDS,),
    ),
    Fault(
        "a record's length is written first",
        "engine/_journal.pyx",
        "        memcpy(record + 8, &self.sequence, 8)\n",
        "        publish_u32(record, length)\n        memcpy(record + 8, &self.sequence, 8)\n",
        ("tests/crash/test_journal_disk.py",),
    ),
    Fault(
        "a segment of another session continues the journal",
        "engine/journal/reader.py",
        "if (own, sequence, session, checksum) != expected:",
        "if own != number:",
        ("tests/crash/test_journal_disk.py",),
    ),
    Fault(
        "a decision is in the journal before its input",
        "engine/live/recording.py",
        "            self.journal.record(part)\n            try:\n                self.kernel.process(part)\n",
        "            try:\n                self.kernel.process(part)\n                self.journal.record(part)\n",
        (REPLAY,),
    ),
    Fault(
        "what was decided on the last input before a crash is not written afterwards",
        "engine/live/recovery.py",
        "self.reader, self.inputs, self.decided, self._folded, self._made)",
        "self.reader, self.inputs, self.decided, self._folded, ())",
        (RECOVERY,),
    ),
    Fault(
        "a snapshot of other code is gone on from",
        "engine/live/snapshots.py",
        "        if facts.get(name) != value:\n",
        "        if False:\n",
        (SNAPSHOTS,),
    ),
    Fault(
        "a snapshot is gone on from to which the journal does not lead",
        "engine/journal/reader.py",
        "if not begins or (scanner.sequence, scanner.checksum) != (self._start.sequence, self._start.checksum):",
        "if not begins:",
        (SNAPSHOTS,),
    ),
    Fault(
        "a snapshot forgets how many delays were drawn",
        "engine/latency.py",
        "        self._draws = self._latency.draws(self._stream, self._sent)\n",
        "        self._draws = self._latency.draws(self._stream, 0)\n",
        (SNAPSHOTS,),
    ),
    Fault(
        "a session that goes on begins its order ids anew",
        "engine/account/orders.py",
        "        self.newest = order.order_id\n",
        "        self.newest = order.order_id % 7\n",
        (RECOVERY,),
    ),
    Fault(
        "a record that was torn by a crash is not cut off",
        "engine/journal/segments.py",
        "            segment.memory[place.at : place.at + len(torn)] = nothing\n",
        "",
        (RECOVERY,),
    ),
    Fault(
        "two sessions trade one account",
        "engine/journal/accounts.py",
        "        if self._lock is None:\n            raise AccountBusy",
        "        if False:\n            raise AccountBusy",
        ("tests/unit/test_opening.py",),
    ),
    Fault(
        "a halt ends with the session that was halted",
        "engine/trading/kernel.py",
        "risk.halted, risk.halted_for, risk.paused = carried.halted, carried.halted_for, carried.paused",
        "risk.paused = carried.paused",
        ("tests/unit/test_opening.py",),
    ),
    Fault(
        "the day's loss begins anew with every session",
        "engine/trading/kernel.py",
        "        if carried.day == self._day:\n",
        "        if False:\n",
        ("tests/unit/test_opening.py",),
    ),
    Fault(
        "a replay leaves out that time has passed",
        "engine/live/replay.py",
        "                again.process(event)\n",
        '                type(event).__name__ == "TimePassed" or again.process(event)\n',
        (REPLAY,),
    ),
    Fault(
        "data that has waited for half a second is traded on",
        "engine/live/freshness.py",
        "for_ns > self.old_ns:",
        "for_ns > GAP_NS:",
        ("tests/unit/test_freshness.py",),
    ),
    Fault(
        "data that took half a second longer than usual is traded on",
        "engine/live/freshness.py",
        "age_ns > self.old_ns:",
        "age_ns > GAP_NS:",
        ("tests/unit/test_freshness.py",),
    ),
    Fault(
        "an entry that waits at the venue stays there while the feed is stale",
        "engine/trading/desk.py",
        "        if refusal is not None:\n            self._call_back_entries(refusal)",
        "        if refusal is not None:\n            pass",
        ("tests/unit/test_freshness.py",),
    ),
    Fault(
        "a half day is taken for a whole one",
        "engine/sessions/tables.py",
        "minutes(13) if half_day else minutes(16)",
        "minutes(16)",
        ("tests/unit/test_sessions.py",),
    ),
    # ------------------------------------------------------------ files and viewers
    Fault(
        "a row that is cut off is accepted",
        "engine/_csv.pyx",
        "        if column == self.columns:\n            return SCAN_OK\n",
        "        if column >= self.columns - 1:\n            return SCAN_OK\n",
        ("tests/unit/test_store_csv.py",),
    ),
    Fault(
        "quotes keep the old precision when a finer price comes",
        "engine/store/csv.py",
        '(("price", "bid", "ask", "open", "high", "low"), old[0], new[0])',
        '(("price", "open", "high", "low"), old[0], new[0])',
        ("tests/unit/test_store_csv.py",),
    ),
    Fault(
        "a token is compared by its beginning",
        "engine/telemetry.py",
        "hello.token != self._endpoint.token:",
        "not hello.token.reveal().startswith(self._endpoint.token.reveal()[:16]):",
        ("tests/unit/test_telemetry.py",),
    ),
    Fault(
        "the log quotes a secret that a library wrote into its error",
        "engine/log.py",
        "return masked(super().format(record))",
        "return super().format(record)",
        ("tests/unit/test_secret.py",),
    ),
    Fault(
        "a file of secrets that others can read is read",
        "engine/secret_store.py",
        "stat.S_IMODE(facts.st_mode) & 0o077:",
        "stat.S_IMODE(facts.st_mode) & 0o007:",
        ("tests/unit/test_secret.py",),
    ),
    Fault(
        "a session is resumed although the kill file is there",
        "engine/live/session.py",
        "if self._kill_file is not None and self._kill_file.is_there():",
        "if self._kill_file is None:",
        ("tests/unit/test_kill_file.py",),
    ),
    Fault(
        "who may watch may command",
        "engine/telemetry.py",
        "if not self.commands:",
        "if not self.greeted:",
        ("tests/unit/test_telemetry.py",),
    ),
)

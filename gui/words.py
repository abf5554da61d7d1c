"""Every word the dashboard shows, in one place so that it can be translated. No Qt.

Numbers become text here too, so the same quantity looks the same wherever it stands.
"""

from __future__ import annotations

import html
import math
from datetime import UTC, datetime, tzinfo

from engine.telemetry_wire import GaugeView, Snapshot, TradeView, decimals
from gui.link import LinkStatus

TITLE = "Microburst"
NOTHING = "–"

# Reason codes of closed trades: letter on the chart, and words.
REASONS = {
    "SL": ("S", "Stop loss"),
    "TP": ("T", "Profit target"),
    "TIME": ("⏱", "Time stop"),
    "FLAT": ("F", "Flat market"),
    "RISK": ("R", "Risk limit"),
    "RISK_SL": ("R", "The account's stop"),
    "LEG": ("L", "The other leg was closed"),
    "SESSION": ("E", "Session end"),
    "EOD": ("E", "Before the close"),
    "DECAY": ("S", "Stop, come closer with time"),
    "BE": ("S", "Stop at break-even"),
    "TRAIL": ("S", "Trailing stop"),
    "OPP": ("O", "Opposite signal"),
    "WHEN": ("W", "Exit condition"),
    "END": ("E", "End of data"),
    "MANUAL": ("M", "Manual"),
}

MODES = {
    "DEMO": "Simulated market, simulated money",
    "PAPER": "Simulated money",
    "REPLAY": "A recording is being played back",
    "SHADOW": "Real market, orders are only written down",
    "LIVE": "REAL MONEY",
}

# Connection badge: icon and word. The first group is the link to the engine, the second the engine's feed.
CONNECTION = {
    "none": ("○", "Not connected"),
    "connecting": ("◌", "Connecting"),
    "reconnecting": ("↻", "Reconnecting"),
    "gone": ("✕", "Engine gone"),
    "refused": ("✕", "Refused"),
    "live": ("●", "Live"),
    "stale": ("◐", "Stale"),
    "gap": ("◫", "Gap"),
    "end": ("■", "End of data"),
    "ended": ("■", "Session over"),
    "closed": ("○", "Closed"),
}

REFUSALS = {
    "scope": "the engine does not take commands from this viewer; it was probably restarted",
    "token": "the engine does not accept this user's token; it was probably restarted",
    "version": "the engine is another version of Microburst",
    "full": "the engine already has as many viewers as it serves",
    "silent": "the engine did not get a greeting in time",
}

WELCOME_TITLE = "No engine is running"
WELCOME_TEXT = (
    "The dashboard watches an engine; it does not trade by itself.\n"
    "Start a demo, which trades play money on a simulated market, or run an engine in a terminal."
)
WELCOME_CHOOSE = "Choose an engine to watch"
FOUND = "Running engines: {count}"
WELCOME_TERMINAL = "python -m engine --paper"
START_DEMO = "Start demo"
CONNECT = "Connect"
STARTING_DEMO = "Starting the engine on its simulated market …"
NOTHING_FOUND = "No running engine was found. It appears here by itself once it runs."
CHILD_FAILED = "The engine stopped with exit code {code}: {line}"
CHILD_SILENT = "it wrote no message"
STOPPING = "Stopping the engine …"
FLATTEN_QUESTION = "Close every open position at the market price now?\nThe engine goes on trading afterwards."
NO_TRADES = "No trade yet. The Explain panel shows which condition is still missing."
NO_TRADES_HELD = "No trade yet, and none is opened now: {why}."
WAITING_TICKS = "Waiting for the first tick …"

PNL_TITLE = "Total P/L"
LEVELS = {"entry": "entry", "stop": "stop", "target": "target"}
LEGEND = {"price": "Last", "spread": "Spread", "vwap": "VWAP", "sd": "σ"}
LAYERS = {
    "vwap": ("VWAP", "Volume-weighted average price of the session (V)"),
    "bands": ("±1 ±2 σ", "Bands of one and two volume-weighted standard deviations (B)"),
    "levels": ("Orders", "Entry, stop and target of the open position (O)"),
    "markers": ("Trades", "Entries ▲▼ and lettered exits (M)"),
}
GO_LIVE = "▶ Live"
GO_LIVE_TIP = "Back to the newest tick (End)"

NONE = "None"
NET = "net {net}"
NO_POSITION = "No position"
POSITION = {"long": "▲ LONG", "short": "▼ SHORT"}
TIME_STOP = "time stop in {left}"
WARMING = "Warming up: windows are filling"
CONDITIONS = "{passed} of {total} conditions hold"
NO_CONDITIONS = "This strategy publishes no conditions"
HALTED = "No entries: {reason}"
PROBLEM = "Problem: {problem}"
REFUSED = "Refused by risk: {reasons}"
SKIPPED = "Signals skipped (cooldown): {count}"
OPERATORS = {">=": "≥", "<=": "≤", ">": ">", "<": "<", "==": "="}
TRUTH = "truth"
"""The unit of what holds or does not."""
YES, NO = "yes", "no"
PASSED, FAILED, UNKNOWN = "✓", "✗", "…"

STATES = {  # of the account: icon and word
    "active": ("●", "Active"),
    "reducing": ("◐", "Reducing"),
    "halted": ("■", "Halted"),
}
STATE_REASONS = {
    "active": "",
    "reducing": "No entries, exits work",
    "halted": "No entries until resumed",
}
LIMITS = {
    "daily_loss_limit": "Daily loss",
    "daily_loss_money": "Daily loss, sum",
    "max_drawdown": "Drawdown",
    "max_losses_in_row": "Losses in a row",
    "max_stops_in_row": "Stops in a row",
    "max_trades_per_day": "Entries today",
    "pdt": "Day trades",
    "positions_per_symbol": "Per symbol",
    "max_position_units": "Position size",
    "max_position_value": "Position value",
    "position_capital_fraction": "Position share",
    "max_total_capital_fraction": "All positions",
    "max_leverage": "Leverage",
    "max_open_orders": "Open orders",
    "max_cancel_ratio": "Unfilled to filled",
    "max_orders_per_second": "Orders a second",
}
OF = "{use} of {bound}"

CARDS = {
    "position": "Position",
    "risk": "Risk",
    "explain": "Explain",
    "statistics": "Statistics",
    "trades": "Trades",
    "ticks": "Tick log",
}
STATISTICS = (  # key, label; two columns, row by row
    ("price", "Price"),
    ("position", "Position"),
    ("trades", "Trades"),
    ("win_rate", "Win rate"),
    ("daily", "Daily P/L"),
    ("total", "Total P/L"),
    ("drawdown", "Max drawdown"),
    ("equity", "Equity"),
    ("gross", "Gross"),
    ("spread", "Spread cost"),
    ("slippage", "Slippage"),
    ("fees", "Fees, borrow"),
)
PAUSE, RESUME, FLATTEN, HALT = "Pause entries", "Resume entries", "Flatten", "Halt"
PAUSE_TIP = "No new positions; exits keep working (Space)"
FLATTEN_TIP = "Close every open position now; the engine goes on trading"
HALT_TIP = "Hold for a second: close everything and open nothing until resumed with a reason"
RESUME_QUESTION = "Trading is halted ({halted}).\nWhy may it go on? The reason is written down."
NOT_OFFERED = "This engine does not take commands from viewers"
PAUSED = "paused"
LATCHED = "halted"
"""How the engine's halt reason begins while entries are paused, and while it is halted until resumed with a reason."""

SESSION_OVER = "The session is over: {reason}. What it showed last stays on screen."
CHOOSE_ENGINE = "Choose an engine"
GONE_ENDED = "Engine gone (pid {pid} ended)"
GONE_SILENT = "Engine gone (pid {pid} no longer announces itself)"
GONE_LOOKING = "{what}, {seconds:.0f} s ago. Looking for another engine: try {attempt}. The last price stays, greyed."
ENGINES_RUN = "{count} engines run: --session chooses"

SESSION = "session"
STATUS_TIPS = {
    "ticks": "Ticks accepted since the start",
    "rate": "Ticks accepted per second",
    "queue": "Ticks that wait between feed and engine",
    "rejected": "Ticks and frames refused by the feed; the connection badge lists the reasons",
    "latency": "From the receive stamp to the decision",
    "refusals": "Signals that risk refused; the Explain panel lists the reasons",
    "frame": "Time to draw one frame of this window (95th percentile)",
}
SAVED = "{count} trades saved to {path}"
NOT_SAVED = "Not saved: {reason}"
BAD_FILTER = "'{term}' is not understood; try {hint}"
SENT = "Sent to the engine: {command}"
DONE = "{command} done at {time}: {state}"
NOT_OBEYED = "{command} was not obeyed: {detail}"
NOT_SENT = "Not sent, the engine cannot be reached: {command}"
SNAP_ON, SNAP_OFF = "Crosshair snaps to ticks", "Crosshair moves freely"

LOCAL = "Local"
SHORTCUTS_TITLE = "Keyboard shortcuts"
SHORTCUTS = (
    ("← →", "scroll the chart a tenth of a screen"),
    ("Shift ← →", "scroll a whole screen"),
    ("↑ ↓  + −", "zoom in and out"),
    ("Home  End", "oldest data, live edge"),
    ("[  ]", "previous, next trade"),
    ("PgUp  PgDn", "previous, next symbol"),
    ("V  B  O  M", "show VWAP, bands, order lines, markers"),
    ("C", "crosshair snaps to ticks"),
    ("T", "times in UTC or local"),
    ("D", "dark or light"),
    ("P", "next colour palette"),
    ("Space", "pause or resume entries"),
    ("F", "filter the trades table"),
    ("Ctrl E", "save the trades table as CSV"),
    ("F11", "full screen"),
    ("?", "this sheet"),
)

FILTER_HINT = "reason:time side:long net<0"
"""Examples of the words that the trades filter understands."""


NO_MONEY = 1e-9
"""An amount below it reads as nothing: so much is left where doubles cancel out."""


def price(value: float, precision: int) -> str:
    """Return a price with the instrument's decimals; a dash for none (NaN or 0)."""
    return f"{value:,.{precision}f}" if value and math.isfinite(value) else NOTHING


def money(value: float, sign: bool = True, digits: int = 2) -> str:
    """Return an amount with ``digits`` decimals, a true minus sign, and a plus where ``sign`` asks for it.

    What would read as nothing and is not, has the decimals of its first two digits.
    """
    if not math.isfinite(value):
        return NOTHING
    text = f"{abs(value):,.{digits}f}"
    if not text.strip("0.,") and abs(value) > NO_MONEY:
        text = f"{abs(value):.{1 - math.floor(math.log10(abs(value)))}f}".rstrip("0")
    if text.strip("0.,") == "":
        return text
    if value < 0:
        return f"−{text}"
    return f"+{text}" if sign else text


def quantity(value: float) -> str:
    """Return a size without superfluous zeros."""
    return f"{value:,.8f}".rstrip("0").rstrip(".") if math.isfinite(value) else NOTHING


def count(value: int) -> str:
    """Return an integer with thousands separators."""
    return f"{value:,}"


def percent(fraction: float, decimals: int = 1) -> str:
    """Return a fraction as percent."""
    return f"{fraction * 100:.{decimals}f} %" if math.isfinite(fraction) else NOTHING


def measure(value: float, unit: str, precision: int = 2) -> str:
    """Return a feature value in its unit: ``%`` (given as a fraction), ``x``, ``price``, ``truth`` or plain."""
    if not math.isfinite(value):
        return NOTHING
    if unit == "%":
        return f"{value * 100:+.3f} %".replace("-", "−")
    if unit == "x":
        return f"{value:.2f} ×"
    if unit == "price":
        return f"{value:,.{precision}f}"
    if unit == TRUTH:
        return YES if value else NO
    return f"{value:,.4g}"


def state_reason(state: str, halted: str) -> str:
    """Return why the account is in its state, and what that means."""
    meaning, why = STATE_REASONS.get(state, ""), halted.removeprefix(LATCHED).removeprefix(": ")
    return f"{meaning}: {why}" if meaning and why else meaning or why


def limit_name(name: str) -> str:
    """Return what a limit is called; one that is new to this version by its key."""
    return LIMITS.get(name, name.replace("_", " ").capitalize())


def gauge(view: GaugeView) -> str:
    """Return how much of a limit is used, in its measure."""

    def said(value: float) -> str:
        if view.measure == "ratio":
            return percent(value, 2)
        if view.measure == "money":
            return money(value, sign=False)
        return f"{value:.2f} ×" if view.measure == "number" else quantity(value)

    return OF.format(use=said(view.use), bound=said(view.bound))


def clock(ts_ns: int, zone: tzinfo = UTC, decimals: int = 3) -> str:
    """Return the time of day in ``zone`` with ``decimals`` (0 to 6) of the second."""
    if ts_ns <= 0:
        return NOTHING
    seconds, fraction = divmod(ts_ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, zone).strftime("%H:%M:%S")
    return f"{text}.{fraction // 10 ** (9 - decimals):0{decimals}d}" if decimals else text


def moment(ts_ns: int, zone: tzinfo = UTC) -> str:
    """Return date, time and zone."""
    if ts_ns <= 0:
        return NOTHING
    when = datetime.fromtimestamp(ts_ns // 1_000_000_000, zone)
    return f"{when:%Y-%m-%d} {clock(ts_ns, zone)} {when:%Z}"


def duration(span_ns: int) -> str:
    """Return a holding time: ``850 ms``, ``7.42 s``, ``3 m 05 s`` or ``1 h 02 m``."""
    seconds = span_ns / 1e9
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} m {seconds % 60:02.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:02.0f} m"


def held(span_ns: int) -> str:
    """Return a holding time for a narrow column: ``7.4 s``, ``3:05`` or ``1:02:00``."""
    seconds = span_ns // 1_000_000_000
    if seconds < 60:
        return f"{span_ns / 1e9:.1f} s"
    minutes = (
        f"{seconds // 60 % 60:02d}:{seconds % 60:02d}" if seconds >= 3600 else f"{seconds // 60}:{seconds % 60:02d}"
    )
    return f"{seconds // 3600}:{minutes}" if seconds >= 3600 else minutes


def latency(microseconds: float) -> str:
    """Return a latency in µs, or ms from a thousand on."""
    if not math.isfinite(microseconds):
        return NOTHING
    if microseconds < 1000:
        return f"{microseconds:.0f} µs" if microseconds >= 10 else f"{microseconds:.1f} µs"
    return f"{microseconds / 1000:.1f} ms"


def reason_words(code: str) -> str:
    """Return the words for a reason code, or the code itself when it is new to this version."""
    return REASONS.get(code, ("", code))[1]


def reason_letter(code: str) -> str:
    """Return the letter for a reason code."""
    return REASONS.get(code, (code[:1], code))[0]


def trade_card(trade: TradeView, precision: int, zone: tzinfo) -> str:
    """Return the hover card of a trade as rich text; its money adds up to the last digit."""
    digits = decimals(trade.gross, trade.costs, trade.net)
    rows = (
        ("Entry", f"{moment(trade.entry_ts_ns, zone)} @ {price(trade.entry_price, precision)}"),
        ("Exit", f"{moment(trade.exit_ts_ns, zone)} @ {price(trade.exit_price, precision)}"),
        ("Size", quantity(trade.qty)),
        ("Held", duration(trade.exit_ts_ns - trade.entry_ts_ns)),
        ("Reason", f"{reason_letter(trade.reason)} · {html.escape(reason_words(trade.reason))}"),
        ("Gross", money(trade.gross, digits=digits)),
        ("Costs", money(-trade.costs, digits=digits)),
        ("Net", f"<b>{money(trade.net, digits=digits)}</b>"),
    )
    body = "".join(f"<tr><td>{name}&nbsp;&nbsp;</td><td align='right'>{text}</td></tr>" for name, text in rows)
    arrow = "▲ long" if trade.side == "long" else "▼ short"
    return f"<b>#{trade.number} {html.escape(trade.symbol)} {arrow}</b><table cellspacing='2'>{body}</table>"


def engine_gone(link: LinkStatus, now_s: float) -> str:
    """Return the banner over a session whose engine is gone, with how long ago that was noticed."""
    what = (GONE_ENDED if link.gone_ended else GONE_SILENT).format(pid=link.gone_pid)
    return GONE_LOOKING.format(what=what, seconds=max(now_s - link.gone_since_s, 0.0), attempt=link.attempt)


def connection_card(detail: str, link: LinkStatus | None, snapshot: Snapshot | None, now_s: float) -> str:
    """Return the connection badge's tooltip: what happened, then the counters (plain text)."""
    lines = [detail] if detail else []
    if link is not None:
        if link.last_message_s:
            lines.append(f"Last message from the engine {(now_s - link.last_message_s) * 1e3:,.0f} ms ago")
        lines.append(f"Frames {link.frames:,}, merged {link.conflated:,}, reconnects {link.reconnects:,}")
    if snapshot is not None:
        feed = snapshot.feed
        age = f"{feed.age_ms:,.0f} ms ago" if math.isfinite(feed.age_ms) else "none yet"
        lines.append(f"Feed {feed.address}: {feed.state}, last message {age}")
        lines.append(
            f"Accepted {feed.accepted:,}, late {feed.late:,}, gaps {feed.gaps:,}, reconnects {feed.reconnects:,}"
        )
        for title, counters in (("Rejected", feed.rejected), ("Bad frames", feed.bad_frames)):
            if counters:
                lines.append(f"{title}: " + ", ".join(f"{reason} {count:,}" for reason, count in counters.items()))
    return "\n".join(lines)
